// Customers: search, and the sales view of one.

import { badge, h, replace, sign } from './dom.js';
import { customerView, searchCustomers } from './graph.js';
import { heading, itemRow, rememberItems } from './items.js';
import { get, list, remember } from './store.js';
import { at, creditOf, money, seen } from './words.js';

export async function showCustomers(app, container) {
  const results = h('div', { id: 'results' });
  const input = h('input', { id: 'search', type: 'search', maxlength: '256', value: app.searches.customers, autocomplete: 'off' });
  const search = () => {
    app.searches.customers = input.value.trim();
    return app.attempt(() => find(app, results, app.searches.customers));
  };
  replace(container, h('section', { class: 'card', 'aria-labelledby': 'heading' }, heading('Customers'),
    h('form', { class: 'search', role: 'search', onsubmit: (event) => { event.preventDefault(); search(); } },
      h('label', { for: 'search' }, 'Name or number'), input, h('button', { type: 'submit', class: 'primary' }, 'Search')),
    results));
  await search();
}

async function seenCustomers(app, search) {
  const found = (await list('customers', app.subject)).filter((one) => `${one.number} ${one.name}`.toLowerCase().includes(search.toLowerCase()));
  return found.sort((a, b) => b.seenAt - a.seenAt).slice(0, 20);
}

async function find(app, results, search) {
  const { value, live } = await app.read(() => searchCustomers(app.token, search), () => seenCustomers(app, search));
  if (!results.isConnected) return;
  if (live) await remember('customers', app.subject, value);
  replace(results,
    !live && h('p', { class: 'notice warn' }, sign('warn'), 'Not read now. These customers were read before.'),
    value.length === 0 ? h('p', { class: 'empty' }, 'No customers found.') : h('ul', { class: 'rows' }, value.map((one) => (
      h('li', {}, h('a', { class: 'row', href: `#customer/${encodeURIComponent(one.number)}`, 'data-customer': one.number },
        h('strong', {}, one.name), h('span', { class: 'soft small' }, [one.number, one.city].filter(Boolean).join(' · ')),
        seen(live ? null : one.seenAt)))))));
  app.announce(`${value.length} customers found`);
}

// First as it was seen last, then as it is now.
export async function showCustomer(app, container) {
  const known = await get('customers', app.subject, app.customer);
  if (known?.view) showView(app, container, known.view, known.viewedAt);
  else replace(container, h('section', { class: 'card' }, heading(app.customer), h('p', { class: 'empty' }, 'Reading the customer …')));
  const { value, live } = await app.read(() => customerView(app.token, app.customer), () => null);
  if (!app.showing(container)) return;
  if (!live) {
    if (!known?.view) replace(container, h('section', { class: 'card' }, heading(known?.name ?? app.customer), h('p', { class: 'notice warn' }, sign('warn'), 'Not read now, and this customer was not opened before. Items can be put into the cart all the same.')));
    return;
  }
  if (value === null) {
    replace(container, h('section', { class: 'card' }, heading(app.customer), h('p', { class: 'empty' }, 'There is no such customer.')));
    return;
  }
  try {
    await remember('customers', app.subject, [{ number: value.number, name: value.name, view: value, viewedAt: Date.now() }]);
    await rememberItems(app, linesOf(value).map(({ item }) => item));
  } finally {
    if (app.showing(container)) showView(app, container, value, null);
  }
}

// The last orders' lines, each item once.
function linesOf(view) {
  const lines = new Map();
  for (const line of view.orders?.nodes.flatMap((order) => order.lines ?? []) ?? []) {
    if (line.item && !lines.has(line.item.sku)) lines.set(line.item.sku, line);
  }
  return [...lines.values()];
}

function showView(app, container, view, seenAt) {
  const credit = view.creditStatus;
  const orders = view.orders?.nodes ?? [];
  const lines = linesOf(view);
  replace(container,
    h('section', { class: 'card', 'aria-labelledby': 'heading' }, heading(view.name),
      h('p', { class: 'soft small' }, view.number, ' · ', view.currency, ' ', seen(seenAt)),
      h('p', { id: 'credit' }, credit ? badge(...creditOf(credit.state)) : 'Credit unknown', credit?.available && ` ${money(credit.available)} available`)),
    h('section', { class: 'card', 'aria-labelledby': 'last-orders' }, h('h3', { id: 'last-orders' }, 'Last orders'),
      view.orders === null && h('p', { class: 'empty' }, 'Orders could not be read.'),
      h('ul', { class: 'rows' }, orders.map((order) => h('li', { class: 'row' },
        h('strong', {}, order.number), h('span', { class: 'small' }, [order.customerPo, order.status, order.total && money(order.total), at(order.orderedAt)].filter(Boolean).join(' · ')))))),
    h('section', { class: 'card', 'aria-labelledby': 'last-lines' }, h('h3', { id: 'last-lines' }, 'Ordered lately'),
      h('ul', { class: 'rows' }, lines.map(({ item, quantity, uom }) => itemRow(app, item, seenAt, { quantity, uom })))));
}
