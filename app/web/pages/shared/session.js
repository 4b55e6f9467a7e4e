// The bearer token of this tab, shared with the IDE page. It may come in the fragment (`#token=…`), which browsers never
// send to a server; it is taken out of the address at once, so that it stays in no history and no shared link.

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

// What a token says of its bearer, for display only: the gateway verifies it, a page does not.
export function claimsOf(token) {
  try {
    const bytes = Uint8Array.from(atob(token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0));
    const claims = JSON.parse(new TextDecoder().decode(bytes));
    const roles = Array.isArray(claims.roles) ? claims.roles : [];
    return { subject: String(claims.sub ?? '?'), roles, customers: claims.customers ?? [], expires: claims.exp ?? null };
  } catch {
    return null;
  }
}

export function bearerOf(token) {
  const claims = claimsOf(token);
  return claims === null ? 'an API key or opaque token' : [claims.subject, ...claims.roles].join(' · ');
}

// A form that takes a token; `hint` says how to get one.
export function wireSignIn(form, onToken) {
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const input = form.querySelector('input');
    const token = input.value.trim();
    if (token === '') return;
    input.value = '';
    storeToken(token);
    onToken(token);
  });
}
