// Items: search, price and availability for the chosen customer, and the form that puts one into the cart.

import { h, replace, sign } from './dom.js';
import { addLine } from './drafts.js';
import { searchItems } from './graph.js';
import { list, remember } from './store.js';
import { priceOf, seen, stockOf } from './words.js';

export const QUANTITY = { inputmode: 'decimal', pattern: '[0-9]{1,12}([.][0-9]{1,6})?', required: true, autocomplete: 'off', title: 'A number such as 12 or 0.5' };

export function heading(text) {
  return h('h2', { id: 'heading', tabindex: '-1' }, text);
}

export function unitSelect(id, label, uoms, chosen) {
  const options = uoms.some((one) => one.code === chosen) ? uoms : [{ code: chosen, name: null }, ...uoms];
  return h('select', { id, 'aria-label': label }, options.map(({ code, name }) => (
    h('option', { value: code, selected: code === chosen }, name ?? code))));
}

// `seenAt` is null if the item was read just now. Price and availability are of then.
export function itemRow(app, item, seenAt, { id = item.sku, quantity = '1', uom = item.contractPrice?.uom ?? item.baseUom } = {}) {
  const amount = h('input', { id: `quantity-${id}`, 'aria-label': `Quantity of ${item.name}`, value: quantity, ...QUANTITY });
  const unit = unitSelect(`unit-${id}`, `Unit of ${item.name}`, item.uoms, uom);
  const form = h('form', {
    class: 'add',
    onsubmit: (event) => {
      event.preventDefault();
      app.attempt(async () => {
        await addLine(app, item, amount.value, unit.value);
        app.announce(`${amount.value} ${unit.value} of ${item.name} in the cart`);
        await app.count();
      });
    },
  }, amount, unit, h('button', { type: 'submit', id: `add-${id}`, 'aria-label': `Add ${item.name} to the cart` }, 'Add'));
  return h('li', { class: 'row', 'data-sku': item.sku },
    h('div', { class: 'what' }, h('strong', {}, item.name), h('span', { class: 'soft small mono' }, item.sku)),
    h('div', { class: 'small' }, h('span', {}, priceOf(item.contractPrice)), ' · ', h('span', {}, stockOf(item)), ' ', seen(seenAt)),
    form);
}

// Items that were read earlier; a price only if it was this customer's.
export async function seenItems(app, search) {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const found = new Map();
  for (const item of await list('items', app.subject)) {
    const text = `${item.sku} ${item.name}`.toLowerCase();
    if (!words.every((word) => text.includes(word))) continue;
    if (item.customer === app.customer) found.set(item.sku, item);
    else if (!found.has(item.sku)) found.set(item.sku, { ...item, contractPrice: null });
  }
  return [...found.values()].sort((a, b) => b.seenAt - a.seenAt).slice(0, 20);
}

export function rememberItems(app, items) {
  return remember('items', app.subject, items.map((item) => ({ ...item, customer: app.customer })));
}

export async function showItems(app, container) {
  if (app.customer === null) {
    replace(container, h('section', { class: 'card' }, heading('Items'), h('p', { class: 'empty' }, 'Prices are a customer’s. ', h('a', { href: '#customers' }, 'Choose a customer'), '.')));
    return;
  }
  const results = h('div', { id: 'results' });
  const input = h('input', { id: 'search', type: 'search', maxlength: '256', value: app.searches.items, autocomplete: 'off' });
  const search = async () => {
    app.searches.items = input.value.trim();
    if (app.searches.items !== '') await app.attempt(() => find(app, results, app.searches.items));
  };
  replace(container, h('section', { class: 'card', 'aria-labelledby': 'heading' }, heading(`Items for ${app.customer}`),
    h('form', { class: 'search', role: 'search', onsubmit: (event) => { event.preventDefault(); search(); } },
      h('label', { for: 'search' }, 'Name, SKU, GTIN or part number'), input, h('button', { type: 'submit', class: 'primary' }, 'Search')),
    results));
  await search();
}

async function find(app, results, search) {
  const { value, live } = await app.read(() => searchItems(app.token, app.customer, search), () => seenItems(app, search));
  if (!results.isConnected) return;
  if (live) await rememberItems(app, value);
  replace(results,
    !live && h('p', { class: 'notice warn' }, sign('warn'), 'Not read now. These items were read before, with price and availability of then.'),
    value.length === 0 ? h('p', { class: 'empty' }, 'No items found.') : h('ul', { class: 'rows' }, value.map((item) => itemRow(app, item, live ? null : item.seenAt))));
  app.announce(`${value.length} items found`);
}
