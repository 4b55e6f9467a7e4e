// The subject's orders on this device: state, acknowledgement and problems by line, kept up to date.

import { badge, h, replace, sign } from './dom.js';
import { heading } from './items.js';
import { list, update } from './store.js';
import { at, quantity, REOPENABLE, stateOf } from './words.js';

const SHOWN = 50;

export async function showOrders(app, container) {
  const orders = (await list('orders', app.subject)).sort((a, b) => b.createdAt - a.createdAt);
  if (!app.showing(container)) return;
  replace(container, h('section', { class: 'orders', 'aria-labelledby': 'heading' }, heading('Orders of this device'),
    orders.length === 0 && h('p', { class: 'empty' }, 'No orders yet.'),
    orders.slice(0, SHOWN).map((order) => orderCard(app, order))));
}

function orderCard(app, order) {
  const of = (lineNumber) => order.problems.filter((one) => one.lineNumber === lineNumber);
  const known = new Set(order.lines.map((line) => line.lineNumber));
  const others = order.problems.filter((one) => !known.has(one.lineNumber));
  const title = `order-${order.key}`;
  return h('article', { class: 'card', 'aria-labelledby': title, 'data-key': order.key, 'data-state': order.intake?.state ?? order.status },
    h('h3', { id: title }, `PO ${order.input.customerPo}`),
    h('p', {}, badge(...stateOf(order)), order.intake?.orderNumber && [' ', h('strong', { class: 'number' }, order.intake.orderNumber)]),
    h('p', { class: 'soft small' }, [order.customerName, at(order.createdAt)].join(' · ')),
    problemList(others),
    h('ol', { class: 'rows' }, order.lines.map((line) => h('li', { class: 'row', 'data-line': line.lineNumber },
      h('span', {}, `${line.lineNumber}. ${line.name}`), h('span', { class: 'small' }, `${quantity(line.quantity)} ${line.uom}`), problemList(of(line.lineNumber))))),
    (order.status === 'REFUSED' || REOPENABLE.has(order.intake?.state)) && h('button', {
      type: 'button', id: `again-${order.key}`, 'aria-label': `Correct as a new order: PO ${order.input.customerPo}`, onclick: () => app.attempt(() => reopen(app, order)),
    }, 'Correct as a new order'));
}

function problemList(problems) {
  return problems.length > 0 && h('ul', { class: 'problems' }, problems.map((one) => (
    h('li', { class: 'problem', 'data-code': one.code }, sign('bad'), h('span', {}, [one.message, one.cure].filter(Boolean).join(' '))))));
}

// A final order is not sent again: its lines become the draft of another, which gets a key and prices of its own.
async function reopen(app, order) {
  const { subject, customer, customerName, input } = order;
  const lines = order.lines.map(({ lineNumber: _, quote: __, ...line }) => line);
  await update('drafts', [subject, customer], (draft) => ({
    subject, customer, customerName, lines: [...(draft?.lines ?? []), ...lines], customerPo: input.customerPo, shipTo: input.shipTo ?? '',
    requestedDate: input.requestedDate ?? '', note: input.note ?? '', updatedAt: Date.now(),
  }));
  app.choose(customer);
  await app.count();
  app.go('cart');
}
