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

// A line has an item in a unit; adding it again sets its quantity.
export function addLine(app, { sku, name, uoms }, quantity, uom) {
  const line = { sku, name, uoms, quantity, uom };
  return changeDraft(app, ({ lines }) => {
    const index = lines.findIndex((one) => one.sku === sku && one.uom === uom);
    return { lines: index < 0 ? [...lines, line] : lines.with(index, line) };
  });
}
