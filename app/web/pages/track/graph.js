// What is asked of the graph, and the stream that brings what changes.

const ENDPOINT = new URL('../graphql', location.href).href;
const JSON_ANSWER = 'application/graphql-response+json, application/json;q=0.9';
const SILENT = 40_000; // The gateway says something every 15 seconds.
const PAUSES = [300, 600, 1200, 2500, 5000];

const SHIPMENT = `
  fragment Shipment on Shipment {
    id status rawStatus trackingNumber trackingUrl carrier service shippedAt cancelled orderNumbers
    eta { promised carrier }
    incident { party reason }
    warehouse { name }
    proofOfDelivery { signedBy at }
    lines { order lineNumber sku quantity }
    packages { sscc trackingNumber items { lineNumber sku quantity lot serial } }
    freshness { source asOf cached degraded reason }
    events { sequence at recordedAt status location description source }
  }`;

const WHO = 'query TrackWho { me { subject customers { number name } } }';
const SOME = 'query TrackCustomers { customers(first: 20) { edges { node { number name } } } }';
const NOW = 'query TrackNow { changes(first: 1) { cursor } }';
const SHIPMENTS = `query TrackShipments($customer: CustomerKey!) {
  customer(by: $customer) { number name orders(first: 20) { edges { node {
    number lines { number description uom } shipments { ...Shipment }
  } } } }
} ${SHIPMENT}`;
const UPDATES = `subscription TrackUpdates($customer: CustomerKey, $after: Cursor) {
  shipmentUpdates(customer: $customer, after: $after) {
    __typename cursor
    ... on ShipmentUpdate { at shipment { ...Shipment } }
    ... on UpdatesLost { reason }
  }
} ${SHIPMENT}`;

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

async function ask(token, query, variables = {}) {
  const answer = await fetch(ENDPOINT, { method: 'POST', headers: headers(token, JSON_ANSWER), body: JSON.stringify({ query, variables }) });
  const body = await answer.json();
  if (!body.data) throw new Refused(body.errors[0], answer.status);
  return body;
}

export async function customersOf(token) {
  const { data } = await ask(token, WHO);
  if (data.me.customers?.length) return data.me.customers;
  const { data: some, errors } = await ask(token, SOME);
  if (some.customers === null) throw new Refused(errors[0], 403);
  return some.customers.edges.map((edge) => edge.node);
}

// The place in the log of updates from which nothing is missed: taken before anything is read.
export async function placeNow(token) {
  const { data, errors } = await ask(token, NOW);
  if (!data.changes) throw new Refused(errors[0], 503);
  return data.changes.cursor;
}

export async function shipmentsOf(token, number) {
  const { data, errors } = await ask(token, SHIPMENTS, { customer: { number } });
  if (data.customer === null && errors) throw new Refused(errors[0], 503);
  const orders = data.customer?.orders?.edges.map((edge) => edge.node) ?? [];
  const lines = orders.flatMap((order) => (order.lines ?? []).map((line) => [`${order.number} ${line.number}`, line]));
  return { shipments: orders.flatMap((order) => order.shipments ?? []), lines: new Map(lines), partial: Boolean(errors) };
}

// Follows a customer's shipments after a place, over any number of connections: each goes on where the last one was.
// `heard` is told of every update, `turned` of the state of the connection: 'live' or 'waiting'.
export class Updates {
  constructor({ token, customer, after, heard, turned, refused }) {
    Object.assign(this, { token, customer, after, heard, turned, refused });
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
      this.turned('waiting');
      const pause = PAUSES[Math.min(this.tries++, PAUSES.length - 1)] * (0.75 + Math.random() / 2);
      await new Promise((done) => {
        this.wake = done;
        setTimeout(done, pause);
      });
    }
  }

  async connect() {
    this.connection = new AbortController();
    const body = JSON.stringify({ query: UPDATES, variables: { customer: { number: this.customer }, after: this.after } });
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
        if (answer.ok) this.turned('live');
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
    if (!body.data?.shipmentUpdates) throw new Refused(body.errors?.[0] ?? { message: 'The stream ended.' }, status >= 400 ? status : statusOf(body));
    this.tries = 0;
    const update = body.data.shipmentUpdates;
    this.heard(update, Boolean(body.errors));
    this.after = update.cursor;
  }
}

// A stream that has begun ends with a code alone; only these mean that coming back as one is would be for nothing.
function statusOf(body) {
  return ['UNAUTHENTICATED', 'FORBIDDEN', 'INVALID_INPUT'].includes(body.errors?.[0]?.extensions?.code) ? 400 : 503;
}
