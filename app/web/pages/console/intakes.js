// The order queue: depth, age and rates, orders by state with retry, release and cancel, and reconciliation.

import { ago, badge, h, number, replace, sign } from './dom.js';
import { showOrders, STATES } from './intake_orders.js';
import { showQueue, showReconciliation } from './intake_queue.js';
import { request, StatePoller } from './polling.js';
import { bearerOf, storedToken, storeToken, wireSignIn } from './session.js';
import { wireTheme } from './theme.js';

const INTERVAL = 3000;
const FIRST = 25;
const $ = (id) => document.getElementById(id);

// Named filters of states; an empty list is all states.
const FILTERS = {
  attention: ['Failed and held', ['FAILED', 'HELD']],
  queued: ['Queued', ['RECEIVED', 'POSTING']],
  ...Object.fromEntries(Object.entries(STATES).map(([state, [, word]]) => [state.toLowerCase(), [word, [state]]])),
  all: ['All states', []],
};

let state = null;
let receivedAt = 0;
let confirming = null; // The id of the order whose cancellation is to be confirmed.
const given = new URLSearchParams(location.search);
const filter = { state: FILTERS[given.get('state')] ? given.get('state') : 'attention', customer: given.get('customer') ?? '' };
let cursors = []; // Of the pages before this one and of this one; none for the first page.
const deciding = new Set();

const poller = new StatePoller({
  address: () => `intakes?${query()}`,
  interval: INTERVAL,
  received: (found) => { state = found; receivedAt = Date.now(); },
  refused: (error) => (error.status === 401 ? signOut(error.message) : refuse(error.message)),
  settled: show,
});

function query() {
  const parameters = new URLSearchParams({ first: FIRST });
  for (const one of FILTERS[filter.state][1]) parameters.append('state', one);
  if (filter.customer !== '') parameters.set('customer', filter.customer);
  if (cursors.length > 0) parameters.set('before', cursors.at(-1));
  return parameters;
}

function show() {
  const { failure } = poller;
  $('loading').hidden = state !== null || failure !== null || poller.token === '';
  $('content').hidden = state === null;
  showFailure();
  showLive();
  if (state === null) return;
  showTiles();
  showOrders($('orders'), state, { confirming, deciding, decide, confirm: (id) => { confirming = id; show(); $(`cancel-${id}`)?.focus(); } });
  $('newer').disabled = cursors.length === 0;
  $('older').disabled = state.next === null;
  showQueue($('queue'), state);
  $('reconcile').hidden = state.reconciliation === null;
  $('reconcile').querySelector('button').disabled = state.reconciliation?.running ?? true;
  showReconciliation($('reconciliation'), state.reconciliation);
}

function showFailure() {
  const { failure } = poller;
  const age = state === null ? '' : ` What is shown was read ${ago((Date.now() - receivedAt) / 1000)}.`;
  replace($('failure'), failure && h('p', { class: 'notice bad' }, sign('bad'), h('span', {}, `${failure.message} Trying again every 3 seconds.${age}`)));
}

function showLive() {
  const badgeOf = () => {
    if (poller.token === '') return null;
    if (document.hidden) return badge('none', 'Paused');
    if (poller.failure !== null) return badge('bad', 'No answer');
    return state && badge('good', `Live · ${ago((Date.now() - receivedAt) / 1000)}`);
  };
  replace($('live'), badgeOf());
}

function tile(name, states, kind) {
  const found = state.queue.filter((one) => states.includes(one.state));
  const count = found.reduce((sum, one) => sum + one.count, 0);
  const oldest = Math.max(0, ...found.map((one) => one.oldestSeconds));
  const note = count === 0 ? badge('good', 'none') : badge(kind, `oldest ${ago(oldest).replace(' ago', '')}`);
  return h('li', { class: 'tile', 'data-tile': name.toLowerCase() }, h('span', { class: 'name' }, name), h('span', { class: 'value' }, number.format(count)), h('span', { class: 'note' }, note));
}

function showTiles() {
  replace($('tiles'),
    tile('Queued', ['RECEIVED', 'POSTING'], 'wait'), tile('Failed', ['FAILED'], 'bad'),
    tile('Held', ['HELD'], 'warn'), tile('Needs approval', ['NEEDS_APPROVAL'], 'warn'));
}

function announce(kind, text) {
  replace($('message'), text && h('p', { class: `notice ${kind}` }, sign(kind), h('span', {}, text)));
}

// One request with the version that is shown: of two operators, one decides.
async function decide(order, decision) {
  if (deciding.has(order.id)) return;
  deciding.add(order.id);
  confirming = null;
  show();
  try {
    const changed = await request(poller.token, `intakes/${order.id}`, { body: { version: order.version, decision } });
    announce('good', `PO ${order.customerPo} of ${order.customer}: ${STATES[changed.state][1]}.`);
  } catch (error) {
    if (error.status === 401) { signOut(error.message); return; }
    announce('bad', `PO ${order.customerPo} of ${order.customer}: ${error.message}`);
  } finally {
    deciding.delete(order.id);
  }
  await poller.poll();
  if (document.activeElement === document.body) $('orders-title').focus();
}

async function reconcile(event) {
  event.preventDefault();
  try {
    state.reconciliation = await request(poller.token, 'reconciliations', { body: { days: Number($('days').value) } });
    show();
  } catch (error) {
    if (error.status === 401) signOut(error.message);
    else announce('bad', error.message);
  }
}

function applyFilter(event) {
  event.preventDefault();
  Object.assign(filter, { state: $('state').value, customer: $('customer').value.trim() });
  cursors = [];
  const shown = new URLSearchParams(filter.customer === '' ? { state: filter.state } : filter);
  history.replaceState(null, '', `${location.pathname}?${shown}`);
  readPage();
}

function readPage() {
  confirming = null;
  announce('good', null);
  poller.poll();
}

// A role without the scope: its token stays for the other pages of the console.
function refuse(message) {
  state = null;
  poller.stop();
  show();
  replace($('failure'), h('p', { class: 'notice bad' }, sign('bad'), h('span', {}, message)));
}

function signIn(token) {
  state = null;
  const signedIn = token !== '';
  $('sign-in').hidden = signedIn;
  $('bearer').hidden = $('sign-out').hidden = !signedIn;
  $('bearer').textContent = signedIn ? bearerOf(token) : '';
  announce('good', null);
  if (signedIn) poller.start(token);
  else poller.stop();
  show();
  if (!signedIn) $('sign-in').querySelector('input').focus();
}

function signOut(reason) {
  storeToken('');
  replace($('refusal'), reason && h('p', { class: 'notice bad' }, sign('bad'), h('span', {}, reason)));
  signIn('');
}

replace($('state'), Object.entries(FILTERS).map(([name, [word]]) => h('option', { value: name, selected: name === filter.state }, word)));
$('customer').value = filter.customer;
wireTheme($('theme'));
wireSignIn($('sign-in').querySelector('form'), (token) => { replace($('refusal')); signIn(token); });
$('sign-out').addEventListener('click', () => signOut(null));
$('filter').addEventListener('submit', applyFilter);
$('state').addEventListener('change', applyFilter);
$('older').addEventListener('click', () => { cursors.push(state.next); readPage(); });
$('newer').addEventListener('click', () => { cursors.pop(); readPage(); });
$('reconcile').addEventListener('submit', reconcile);
setInterval(() => { if (!document.hidden && poller.token !== '') showLive(); }, 1000);
signIn(storedToken());
