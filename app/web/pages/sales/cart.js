// The cart of the chosen customer: lines, the head of the order, submission.

import { ago, h, plural, replace, sign } from './dom.js';
import { changeDraft, draftOf, quoteOf, storeQuotes } from './drafts.js';
import { pricesOf } from './graph.js';
import { heading, QUANTITY, unitSelect } from './items.js';
import { placeOrder } from './outbox.js';
import { get } from './store.js';
import { money, stockOf } from './words.js';

const STORED = 'The cart is stored on this device.';
let saving = 0;

export async function showCart(app, container) {
  const draft = app.customer === null ? undefined : await draftOf(app);
  if (!app.showing(container)) return;
  if (draft === undefined || draft.lines.length === 0) {
    replace(container, h('section', { class: 'card' }, heading('Cart'), h('p', { class: 'empty' }, 'The cart is empty. ',
      h('a', { href: app.customer === null ? '#customers' : '#items' }, app.customer === null ? 'Choose a customer' : 'Search items'), '.')));
    return;
  }
  const customer = await get('customers', app.subject, app.customer);
  replace(container, h('section', { class: 'card', 'aria-labelledby': 'heading' },
    heading(`Cart for ${draft.customerName}`),
    h('form', { id: 'order', onsubmit: (event) => { event.preventDefault(); app.attempt(() => submit(app, event.target)); } },
      h('ul', { class: 'rows' }, draft.lines.map((line, index) => lineRow(app, container, line, index))),
      h('label', {}, 'Purchase order number', field(app, 'customerPo', draft, { required: true, maxlength: '64' })),
      h('label', {}, 'Ship to', shipToSelect(app, draft, customer?.view?.shipTos ?? [])),
      h('label', {}, 'Requested date', field(app, 'requestedDate', draft, { type: 'date' })),
      h('label', {}, 'Note', field(app, 'note', draft, { maxlength: '1000' })),
      h('button', { type: 'submit', id: 'submit', class: 'primary' }, `Submit ${plural(draft.lines.length, 'line')}`),
      h('p', { id: 'stored', class: 'soft small' }, STORED))));
  await app.attempt(() => showPrices(app, draft.lines));
}

// Stores a change, and shows when it is on the disk.
async function save(app, change) {
  saving += 1;
  document.getElementById('stored').textContent = 'Storing …';
  try {
    const draft = await changeDraft(app, change);
    const stored = document.getElementById('stored');
    if (saving === 1 && stored !== null) stored.textContent = STORED;
    return draft;
  } finally {
    saving -= 1;
  }
}

function field(app, name, draft, properties) {
  return h('input', { id: name, value: draft[name], autocomplete: 'off', ...properties,
    oninput: (event) => app.attempt(() => save(app, () => ({ [name]: event.target.value }))) });
}

function shipToSelect(app, draft, shipTos) {
  return h('select', { id: 'shipTo', onchange: (event) => app.attempt(() => save(app, () => ({ shipTo: event.target.value }))) },
    h('option', { value: '' }, 'Default location'),
    shipTos.map(({ id, name }) => h('option', { value: id, selected: id === draft.shipTo }, name)));
}

function lineRow(app, container, line, index) {
  const change = (changed) => app.attempt(async () => {
    const { lines } = await save(app, (draft) => ({ lines: draft.lines.with(index, { ...draft.lines[index], ...changed }) }));
    await showPrices(app, lines);
  });
  const drop = () => app.attempt(async () => {
    await changeDraft(app, (draft) => ({ lines: draft.lines.toSpliced(index, 1) }));
    app.announce(`${line.name} removed`);
    await app.count();
    await showCart(app, container);
    document.getElementById('heading').focus();
  });
  const unit = unitSelect(`line-unit-${index}`, `Unit of ${line.name}`, line.uoms, line.uom);
  unit.addEventListener('change', () => change({ uom: unit.value }));
  return h('li', { class: 'row', 'data-sku': line.sku },
    h('div', { class: 'what' }, h('strong', {}, line.name), h('span', { class: 'soft small mono' }, line.sku)),
    h('div', { class: 'small', id: `line-price-${index}` }, 'Reading the price …'),
    h('div', { class: 'add' },
      h('input', { id: `line-quantity-${index}`, 'aria-label': `Quantity of ${line.name}`, value: line.quantity, ...QUANTITY, onchange: (event) => { if (event.target.checkValidity()) change({ quantity: event.target.value }); } }),
      unit,
      h('button', { type: 'button', id: `line-remove-${index}`, 'aria-label': `Remove ${line.name}`, onclick: drop }, 'Remove')));
}

// Prices of the quantities in the cart, as the ERP answers. The draft has them with their proofs: the order is submitted at
// the prices that were shown. Offline, those that were quoted last are shown.
async function showPrices(app, lines) {
  const { subject, customer } = app;
  const { value, live } = await app.read(() => pricesOf(app.token, customer, lines), () => null);
  if (live) await storeQuotes(subject, customer, lines, value);
  lines.forEach((line, index) => {
    const cell = document.getElementById(`line-price-${index}`);
    const priced = value?.[index];
    if (cell === null) return;
    if (!live) replace(cell, quotedPrice(line));
    else if (!priced?.price) replace(cell, h('span', { class: 'problem' }, sign('warn'), priced?.message ?? 'No price.'));
    else replace(cell, h('span', {}, money(priced.price.net), priced.item ? ` · ${stockOf(priced.item)}` : ''), priced.outcome !== 'OK' && priced.message && h('span', { class: 'problem' }, sign('warn'), priced.message));
  });
}

function quotedPrice(line) {
  const quote = quoteOf(line);
  if (quote === null) return 'No price now; it is checked when the order is sent.';
  return `${money(quote.net)}, quoted ${ago((Date.now() - Date.parse(quote.quotedAt)) / 1000)}; it is checked when the order is sent.`;
}

async function submit(app, form) {
  const button = form.querySelector('#submit');
  button.disabled = true;
  try {
    // Fields store what is typed as it is typed, but the last one may not be stored yet.
    const typed = Object.fromEntries(['customerPo', 'shipTo', 'requestedDate', 'note'].map((name) => [name, form.querySelector(`#${name}`).value.trim()]));
    const shown = [...form.querySelectorAll('li[data-sku]')].map((row) => ({ quantity: row.querySelector('input').value, uom: row.querySelector('select').value }));
    await changeDraft(app, (draft) => ({ ...typed, lines: draft.lines.map((line, index) => ({ ...line, ...shown[index] })) }));
    const order = await placeOrder(app.subject, app.customer);
    app.announce(`Order ${order?.input.customerPo ?? ''} stored on this device`);
    app.go('orders');
    await app.placed();
  } finally {
    button.disabled = false;
  }
}
