// Shipments of a customer, and one of them in full, kept up to date by the stream of updates.

import { ago, badge, h, replace, sign } from './dom.js';
import { customersOf, followShipments, shipmentsOf } from './graph.js';
import { currentCursor, Refused } from './graph_client.js';
import { bearerOf, storedToken, storeToken, wireSignIn } from './session.js';
import { detail, statusBadge } from './shipment.js';
import { wireTheme } from './theme.js';
import { STATUS, timeOf } from './words.js';

const SHOWN = 12;
const FRESH = 15_000;
const AGAIN = 3000;
const $ = (id) => document.getElementById(id);

const view = {
  token: '',
  customer: null,
  shipments: new Map(), // by id
  taken: new Map(), // by id, when an update brought it
  chosen: null,
  fresh: new Map(), // by id, the sequences of events that have just come
  updates: null,
  connection: null,
  confirmed: 0, // when the view was last known to be complete
  updated: 0,
};

async function enter(token) {
  view.updates?.stop();
  Object.assign(view, { token, customer: null, shipments: new Map(), chosen: null, updates: null, connection: null, updated: 0 });
  const inside = token !== '';
  $('sign-in').hidden = inside;
  $('bearer').hidden = $('sign-out').hidden = !inside;
  $('bearer').textContent = inside ? bearerOf(token) : '';
  $('content').hidden = true;
  $('loading').hidden = !inside;
  replace($('failure'));
  showLive();
  if (!inside) {
    $('sign-in').querySelector('input').focus();
    return;
  }
  await trying(token, async () => {
    const customers = await customersOf(token);
    if (customers.length === 0) {
      replace($('failure'), h('p', { class: 'notice warn' }, sign('warn'), 'There is no customer whose shipments you may see.'));
      $('loading').hidden = true;
      return;
    }
    if (token !== view.token) return;
    replace($('customer'), customers.map((one) => h('option', { value: one.number }, `${one.name} (${one.number})`)));
    $('whose').hidden = customers.length === 1;
    await follow(customers[0].number);
  });
}

// Runs until it succeeds, or until somebody else is signed in. What is refused to these rights ends at the sign-in.
async function trying(token, work) {
  for (;;) {
    try {
      await work();
      return;
    } catch (error) {
      if (token !== view.token) return;
      if (error instanceof Refused && error.status < 500) {
        signOut(error.message);
        return;
      }
      const words = error instanceof Refused ? error.message : 'The gateway cannot be reached.';
      replace($('failure'), h('p', { class: 'notice bad' }, sign('bad'), `${words} Trying again.`));
      await new Promise((done) => setTimeout(done, AGAIN));
    }
  }
}

async function follow(number) {
  view.updates?.stop();
  view.customer = number;
  const { token } = view;
  // First the cursor, then the data, then the updates after the cursor: every change is in one of them.
  const after = await currentCursor(token);
  await readAll();
  if (token !== view.token || number !== view.customer) return;
  view.updates = followShipments({
    token, customer: number, after,
    received: apply,
    stateChanged: setState,
    refused: (error) => signOut(error.message),
  });
}

async function readAll() {
  const began = Date.now();
  const { shipments, lines, partial } = await shipmentsOf(view.token, view.customer);
  view.lines = lines;
  // What an update brought meanwhile is newer than what was read.
  const newer = [...view.shipments].filter(([id]) => view.taken.get(id) >= began);
  view.shipments = new Map([...shipments.map((one) => [one.id, one]), ...newer]);
  view.confirmed = Date.now();
  if (!view.shipments.has(view.chosen)) view.chosen = ordered()[0]?.id ?? null;
  replace($('failure'), partial && h('p', { class: 'notice warn' }, sign('warn'), 'Some of it could not be read at the moment; what is shown may be less than there is.'));
  $('loading').hidden = true;
  $('content').hidden = false;
  show();
}

function setState(state) {
  if (state === 'live') view.confirmed = Date.now();
  if (view.connection === state) return;
  view.connection = state;
  showLive();
}

async function apply(update, incomplete) {
  view.confirmed = view.updated = Date.now();
  if (update.__typename === 'UpdatesLost') {
    say(`Updates in between are no longer stored (${update.reason}); everything was read again.`);
    await trying(view.token, readAll);
  } else if (update.shipment && !incomplete) {
    take(update.shipment);
  } else {
    // It could not be read then; or it does not exist any more, or not for this caller.
    await trying(view.token, readAll);
  }
}

function take(shipment) {
  const known = view.shipments.get(shipment.id);
  const before = new Set(known?.events.map((event) => event.sequence));
  const fresh = view.fresh.get(shipment.id) ?? new Set();
  for (const event of shipment.events) if (!before.has(event.sequence)) fresh.add(event.sequence);
  view.fresh.set(shipment.id, fresh);
  view.shipments.set(shipment.id, shipment);
  view.taken.set(shipment.id, Date.now());
  view.chosen ??= shipment.id;
  say(`${shipment.orderNumbers.join(', ')}: ${(STATUS[shipment.status] ?? STATUS.UNKNOWN)[1]}`);
  show();
  setTimeout(() => {
    if (view.fresh.get(shipment.id) !== fresh) return;
    view.fresh.delete(shipment.id);
    show();
  }, FRESH);
}

// On their way first, then the latest.
function ordered() {
  const latest = (one) => one.events.at(-1)?.at ?? '';
  const open = (one) => one.status !== 'DELIVERED' && !one.cancelled;
  return [...view.shipments.values()].sort((a, b) => open(b) - open(a) || latest(b).localeCompare(latest(a)));
}

function show() {
  const all = ordered();
  const chosen = view.shipments.get(view.chosen);
  const listed = all.slice(0, SHOWN);
  if (chosen && !listed.includes(chosen)) listed.push(chosen);
  replace($('list'), listed.map((one) => h('li', {}, h('button', {
    type: 'button',
    id: `choice-${one.id}`,
    'data-id': one.id,
    'aria-pressed': String(one.id === view.chosen),
    onclick: () => {
      view.chosen = one.id;
      show();
    },
  }, h('span', { class: 'number mono' }, one.trackingNumber ?? 'no tracking number'), statusBadge(one), h('span', { class: 'order' }, `${one.orderNumbers.join(', ')} · ${one.carrier ?? ''}`)))));
  replace($('detail'), chosen
    ? detail(chosen, view.fresh.get(chosen.id) ?? new Set(), view.lines)
    : h('p', { class: 'card empty' }, 'There are no shipments of the last 20 orders.'));
  showLive();
}

function showLive() {
  const live = $('live');
  if (view.token === '' || view.customer === null) replace(live);
  else if (view.connection === 'live') set(live, 'good', `Live${view.updated ? ` · updated ${ago((Date.now() - view.updated) / 1000)}` : ''}`);
  else if (view.connection === 'waiting') set(live, 'warn', `Reconnecting · as of ${timeOf(view.confirmed)}`);
  else set(live, 'wait', 'Connecting');
}

function set(live, kind, text) {
  if (live.textContent !== text) replace(live, badge(kind, text));
}

function say(text) {
  $('news').textContent = text;
}

function signOut(reason) {
  storeToken('');
  replace($('refusal'), reason && h('p', { class: 'notice bad' }, sign('bad'), h('span', {}, reason)));
  enter('');
}

wireTheme($('theme'));
wireSignIn($('sign-in').querySelector('form'), (token) => {
  replace($('refusal'));
  enter(token);
});
$('sign-out').addEventListener('click', () => signOut(null));
$('customer').addEventListener('change', () => {
  view.chosen = null;
  trying(view.token, () => follow($('customer').value));
});
setInterval(() => { if (!document.hidden) showLive(); }, 5000);
enter(storedToken());
