// The outbox: orders are stored with their key before they are sent, and sent with it until there is an answer.

import { quoteOf } from './drafts.js';
import { submitOrder } from './graph.js';
import { PAUSES, Refused } from './graph_client.js';
import { list, placeDraft, update } from './store.js';

const FINAL = new Set(['FORBIDDEN', 'INVALID_INPUT', 'BAD_USER_INPUT', 'PAYLOAD_TOO_LARGE', 'GRAPHQL_VALIDATION_FAILED']);

// The order that a draft becomes; its input never changes, so that each retry is the same request.
function orderOf({ subject, customer, customerName, lines, customerPo, shipTo, requestedDate, note }) {
  const key = crypto.randomUUID();
  const numbered = lines.map((line, index) => ({ lineNumber: index + 1, ...line }));
  const input = {
    key,
    customer: { number: customer },
    customerPo,
    lines: numbered.map((line) => {
      const { lineNumber, sku, quantity, uom } = line;
      const proof = quoteOf(line)?.proof;
      return { lineNumber, item: { sku }, quantity, uom, ...(proof && { proof }) };
    }),
    ...(shipTo && { shipTo }),
    ...(requestedDate && { requestedDate }),
    ...(note && { note }),
  };
  return { subject, key, customer, customerName, lines: numbered, input, status: 'QUEUED', createdAt: Date.now(), intake: null, problems: [] };
}

export async function placeOrder(subject, customer) {
  return placeDraft(subject, customer, orderOf);
}

// What is known of an intake, unless the record is newer.
export async function saveIntake(subject, intake) {
  return update('orders', [subject, intake.key], (order) => {
    if (order === undefined || order.intake?.version > intake.version) return null;
    return { ...order, status: 'SUBMITTED', intake, problems: intake.problems };
  });
}

export class Outbox {
  // `changed` is called after an order changed, `refused` when the credential is not accepted any more.
  constructor({ token, subject, changed, refused }) {
    Object.assign(this, { token, subject, changed, refused });
    this.stopped = false;
    this.failures = 0;
    this.timer = null;
    this.draining = null;
    this.again = false;
    this.wake = () => {
      this.failures = 0;
      this.drain();
    };
    addEventListener('online', this.wake);
  }

  stop() {
    this.stopped = true;
    removeEventListener('online', this.wake);
    clearTimeout(this.timer);
  }

  // Sends what is queued, oldest first. One tab does it at a time; the others find it done.
  async drain() {
    clearTimeout(this.timer);
    if (this.draining !== null) {
      this.again = true;
      return;
    }
    this.again = false;
    this.draining = navigator.locks.request(`tradegraph-sales-outbox ${this.subject}`, () => this.sendQueued());
    try {
      await this.draining;
      this.failures = 0;
    } catch (error) {
      this.fail(error);
    } finally {
      this.draining = null;
    }
    if (this.again && !this.stopped) this.drain();
  }

  async sendQueued() {
    const queued = (await list('orders', this.subject)).filter((order) => order.status === 'QUEUED');
    for (const order of queued.sort((a, b) => a.createdAt - b.createdAt)) {
      if (this.stopped) return;
      await this.send(order);
    }
  }

  async send(order) {
    try {
      const { intake, problems } = await submitOrder(this.token, order.input);
      if (intake !== null) await saveIntake(this.subject, intake);
      else await this.refuse(order, problems);
    } catch (error) {
      if (!(error instanceof Refused && FINAL.has(error.code))) throw error;
      await this.refuse(order, [{ code: error.code, message: error.message, cure: null, lineNumber: null }]);
    }
    await this.changed(order.key);
  }

  // Nothing was stored by the gateway.
  async refuse(order, problems) {
    await update('orders', [order.subject, order.key], (known) => ({ ...known, status: 'REFUSED', problems }));
  }

  fail(error) {
    if (this.stopped) return;
    if (error instanceof Refused && error.status === 401) {
      this.refused(error);
      return;
    }
    if (!navigator.onLine) return; // The event `online` wakes it.
    const pause = PAUSES[Math.min(this.failures++, PAUSES.length - 1)] * (0.75 + Math.random() / 2);
    this.timer = setTimeout(() => this.drain(), pause);
  }
}
