// Requests to the console's endpoints, and a poller that reads one of them while the page is visible.

const TIMEOUT = 10_000;

export class RequestError extends Error {
  constructor(message, status = 0, code = '') {
    super(message);
    this.status = status;
    this.code = code;
  }
}

// The JSON of a response. With a `body` it is a POST. Throws RequestError; its status is 0 if there was no response.
export async function request(token, address, { body, signal } = {}) {
  const headers = { Authorization: `Bearer ${token}`, ...(body !== undefined && { 'Content-Type': 'application/json' }) };
  const options = { method: body === undefined ? 'GET' : 'POST', headers, body: JSON.stringify(body), cache: 'no-store', signal };
  const response = await fetch(address, options).catch(() => {
    throw new RequestError('The gateway cannot be reached.');
  });
  if (response.ok) return response.json();
  const error = (await response.json().catch(() => null))?.errors?.[0];
  throw new RequestError(error?.message ?? `The gateway answered ${response.status}.`, response.status, error?.extensions?.code);
}

export class StatePoller {
  // `address` returns the address to read, `received` takes its state, `refused` an error of a credential that is not
  // accepted (401, 403), `settled` is called after each answer or failure. `failure` is the current one, with its message.
  constructor({ address, interval, received, refused, settled }) {
    Object.assign(this, { address, interval, received, refused, settled });
    this.token = '';
    this.timer = 0;
    this.pending = null;
    this.failure = null;
    document.addEventListener('visibilitychange', () => {
      this.settled();
      if (!document.hidden) this.poll();
    });
  }

  start(token) {
    this.stop();
    this.token = token;
    return this.poll();
  }

  stop() {
    clearTimeout(this.timer);
    this.pending?.abort();
    this.pending = null;
    this.failure = null;
    this.token = '';
  }

  async poll() {
    clearTimeout(this.timer);
    this.pending?.abort();
    if (document.hidden || this.token === '') return;
    const pending = new AbortController();
    this.pending = pending;
    const timeout = setTimeout(() => pending.abort(), TIMEOUT);
    try {
      const state = await request(this.token, this.address(), { signal: pending.signal });
      if (pending !== this.pending) return;
      this.failure = null;
      this.received(state);
    } catch (error) {
      if (pending !== this.pending) return;
      if (error.status === 401 || error.status === 403) {
        this.refused(error);
        return;
      }
      this.failure = error;
    } finally {
      clearTimeout(timeout);
    }
    this.settled();
    this.timer = setTimeout(() => this.poll(), this.interval);
  }
}
