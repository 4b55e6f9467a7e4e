// The bearer token of this tab. It may come in the fragment (`#token=…`), which browsers never send to a server;
// it is taken out of the address at once, so that it does not stay in the history or in a shared link.

const KEY = 'tradegraph:token';

export function storedToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get('token');
  if (given !== null) {
    history.replaceState(null, '', location.pathname + location.search);
    storeToken(given);
  }
  return sessionStorage.getItem(KEY) ?? '';
}

export function storeToken(token) {
  sessionStorage.setItem(KEY, token.trim());
}

// What the token says of its bearer, for display only: the gateway verifies it, this page does not.
export function bearerOf(token) {
  try {
    const payload = token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/');
    const claims = JSON.parse(atob(payload));
    const roles = Array.isArray(claims.roles) ? claims.roles.join(', ') : '';
    const expired = typeof claims.exp === 'number' && claims.exp * 1000 < Date.now();
    return `${claims.sub ?? '?'} · ${roles}${expired ? ' · expired' : ''}`;
  } catch {
    return token === '' ? 'no token: requests are refused' : 'not a readable token';
  }
}
