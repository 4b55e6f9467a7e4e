// Drafts: the cart of a subject for a customer, stored with each change.

import { get, list, update } from './store.js';

export const draftOf = (app) => get('drafts', app.subject, app.customer);

export async function latestDraft(subject) {
  return (await list('drafts', subject)).sort((a, b) => b.updatedAt - a.updatedAt)[0];
}

export async function changeDraft(app, change) {
  const record = await get('customers', app.subject, app.customer);
  return update('drafts', [app.subject, app.customer], (known) => {
    const draft = known ?? { subject: app.subject, customer: app.customer, lines: [], customerPo: '', shipTo: '', requestedDate: '', note: '' };
    return { ...draft, customerName: record?.name ?? draft.customerName ?? app.customer, ...change(draft), updatedAt: Date.now() };
  });
}

// The price that was shown for a line, while its quantity and unit are those that it was quoted for.
export function quoteOf({ quote, quantity, uom }) {
  return quote && quote.quantity === quantity && quote.uom === uom ? quote : null;
}

// Stores the prices that are shown with their proofs, for lines that are still as they were when `lines` were priced. A
// draft that was submitted meanwhile does not come back.
export function storeQuotes(subject, customer, lines, prices) {
  const quotes = new Map(prices.flatMap((priced, index) => {
    const { sku, quantity, uom } = lines[index];
    const { net, proof, quotedAt } = priced?.price ?? {};
    return net ? [[`${sku} ${quantity} ${uom}`, { quantity, uom, net, proof, quotedAt }]] : [];
  }));
  return update('drafts', [subject, customer], (draft) => draft && {
    ...draft, lines: draft.lines.map((line) => ({ ...line, quote: quotes.get(`${line.sku} ${line.quantity} ${line.uom}`) ?? quoteOf(line) })),
  });
}

// A line has an item in a unit; adding it again sets its quantity.
export function addLine(app, { sku, name, uoms }, quantity, uom) {
  const line = { sku, name, uoms, quantity, uom };
  return changeDraft(app, ({ lines }) => {
    const index = lines.findIndex((one) => one.sku === sku && one.uom === uom);
    return { lines: index < 0 ? [...lines, line] : lines.with(index, line) };
  });
}
