// Requests to the graph, and streams of updates that resume after their cursor.

const ENDPOINT = new URL('../graphql', location.href).href;
const JSON_ANSWER = 'application/graphql-response+json, application/json;q=0.9';
const TIMEOUT = 30_000;
const SILENT = 40_000; // The gateway sends a keep-alive every 15 seconds.
export const PAUSES = [300, 600, 1200, 2500, 5000];

const CURSOR = 'query CurrentCursor { changes(first: 1) { cursor } }';

export class Refused extends Error {
  constructor(error, status) {
    super(error.message);
    this.code = error.extensions?.code ?? '';
    this.status = status;
  }
}

function headers(token, accept) {
  return { Accept: accept, Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' };
}

// The body of an answer with data, which may have errors too. An answer without data is thrown as Refused.
export async function ask(token, query, variables = {}) {
  const answer = await fetch(ENDPOINT, {
    method: 'POST', headers: headers(token, JSON_ANSWER), body: JSON.stringify({ query, variables }), signal: AbortSignal.timeout(TIMEOUT),
  });
  const body = await answer.json();
  if (!body.data) throw new Refused(body.errors[0], answer.status);
  return body;
}

// The end of the event log: nothing is missed after it, if it is taken before anything is read.
export async function currentCursor(token) {
  const { data, errors } = await ask(token, CURSOR);
  if (!data.changes) throw new Refused(errors[0], 503);
  return data.changes.cursor;
}

// Events of a subscription's `field` after a cursor, over any number of connections: each resumes after the last event.
// `received` is called with every update, `stateChanged` with the state of the connection: 'live' or 'waiting'.
export class UpdateStream {
  constructor({ token, query, field, variables, after, received, stateChanged, refused }) {
    Object.assign(this, { token, query, field, variables, after, received, stateChanged, refused });
    this.ended = false;
    this.tries = 0;
    this.wake = null;
    this.online = () => this.wake?.();
    this.offline = () => this.connection?.abort(); // It would be noticed by its silence only.
    addEventListener('online', this.online);
    addEventListener('offline', this.offline);
    this.run();
  }

  stop() {
    this.ended = true;
    removeEventListener('online', this.online);
    removeEventListener('offline', this.offline);
    this.connection?.abort();
    this.wake?.();
  }

  async run() {
    while (!this.ended) {
      try {
        await this.connect();
      } catch (error) {
        if (this.ended) return;
        if (error instanceof Refused && error.status < 500 && error.code !== 'RATE_LIMITED') {
          this.stop();
          this.refused(error);
          return;
        }
      }
      if (this.ended) return;
      this.stateChanged('waiting');
      const pause = PAUSES[Math.min(this.tries++, PAUSES.length - 1)] * (0.75 + Math.random() / 2);
      await new Promise((done) => {
        this.wake = done;
        setTimeout(done, pause);
      });
    }
  }

  async connect() {
    this.connection = new AbortController();
    const body = JSON.stringify({ query: this.query, variables: { ...this.variables, after: this.after } });
    let silence = setTimeout(() => this.connection.abort(), SILENT);
    try {
      const answer = await fetch(ENDPOINT, {
        method: 'POST', headers: headers(this.token, 'text/event-stream'), body, signal: this.connection.signal, cache: 'no-store',
      });
      if (!answer.headers.get('content-type')?.startsWith('text/event-stream')) {
        throw new Refused((await answer.json()).errors[0], answer.status);
      }
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = '';
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        clearTimeout(silence);
        silence = setTimeout(() => this.connection.abort(), SILENT);
        text += value;
        const parts = text.split('\n\n');
        text = parts.pop();
        if (answer.ok) this.stateChanged('live');
        for (const part of parts) this.take(part, answer.status);
      }
    } finally {
      clearTimeout(silence);
    }
  }

  take(part, status) {
    const data = part.split('\n').filter((line) => line.startsWith('data:')).map((line) => line.slice(5).trim()).join('\n');
    if (data === '') return;
    const body = JSON.parse(data);
    const update = body.data?.[this.field];
    if (!update) throw new Refused(body.errors?.[0] ?? { message: 'The stream ended.' }, status >= 400 ? status : statusOf(body));
    this.tries = 0;
    this.received(update, Boolean(body.errors));
    this.after = update.cursor;
  }
}

// A stream that has begun ends with a code alone; with these, connecting again as one is would fail again.
function statusOf(body) {
  return ['UNAUTHENTICATED', 'FORBIDDEN', 'INVALID_INPUT'].includes(body.errors?.[0]?.extensions?.code) ? 400 : 503;
}
