// The sales app: who is signed in, which view is shown, and what runs beside the views.

import { showCart } from './cart.js';
import { showCustomer, showCustomers } from './customers.js';
import { badge, h, replace, sign } from './dom.js';
import { draftOf, latestDraft } from './drafts.js';
import { subjectOf } from './graph.js';
import { Refused } from './graph_client.js';
import { IntakeFollower } from './intakes.js';
import { showItems } from './items.js';
import { showOrders } from './orders.js';
import { Outbox } from './outbox.js';
import { bearerOf, storedToken, storeToken, wireSignIn } from './session.js';
import { deleteRead, get } from './store.js';
import { wireTheme } from './theme.js';
import { stateOf } from './words.js';

const SUBJECT = 'tradegraph:sales-subject';
const CUSTOMER = 'tradegraph:sales-customer';
const AGAIN = 3000;
const VIEWS = { customers: showCustomers, customer: showCustomer, items: showItems, cart: showCart, orders: showOrders };
const $ = (id) => document.getElementById(id);

// What the views use.
const app = {
  token: '',
  subject: '',
  customer: null,
  searches: { customers: '', items: '' },

  // What is read now, or if that fails what was read before.
  async read(fresh, before) {
    const { token } = app;
    try {
      const value = await fresh();
      trouble(null);
      reach(true);
      return { value, live: true };
    } catch (error) {
      if (error instanceof Refused && error.status === 401 && token === app.token) signOut(error.message);
      else if (error instanceof Refused) trouble(error.message);
      else reach(false);
      return { value: await before(), live: false };
    }
  },

  // Runs what an event started; a failure is shown.
  async attempt(work) {
    try {
      await work();
    } catch (error) {
      trouble(error.message);
    }
  },

  announce(text) {
    $('news').textContent = text;
  },

  go(view) {
    location.hash = view;
  },

  choose(customer) {
    app.customer = customer;
    if (customer === null) sessionStorage.removeItem(CUSTOMER);
    else sessionStorage.setItem(CUSTOMER, customer);
  },

  showing(container) {
    return container.isConnected;
  },

  async count() {
    const lines = app.customer === null ? 0 : (await draftOf(app))?.lines.length ?? 0;
    $('tab-cart').textContent = lines > 0 ? `Cart (${lines})` : 'Cart';
  },

  async placed() {
    navigator.storage?.persist?.(); // The browser should not evict what was not sent yet.
    await app.count();
    running.outbox.drain();
  },
};

const running = { outbox: null, follower: null, reached: true };

function trouble(text) {
  replace($('failure'), text && h('p', { class: 'notice bad' }, sign('bad'), h('span', {}, text)));
}

// The subject by the gateway's word. Offline it is that of this tab's token, if the gateway said so before.
async function identify(token) {
  const [known, subject] = JSON.parse(sessionStorage.getItem(SUBJECT) ?? '[]');
  if (known === token) return subject;
  const found = await subjectOf(token);
  sessionStorage.setItem(SUBJECT, JSON.stringify([token, found]));
  return found;
}

async function enter(token) {
  running.outbox?.stop();
  running.follower?.stop();
  Object.assign(app, { token, subject: '' });
  $('sign-in').hidden = token !== '';
  $('view').hidden = $('tabs').hidden = $('sign-out').hidden = $('bearer').hidden = true;
  trouble(null);
  if (token === '') {
    $('sign-in').querySelector('input').focus();
    return;
  }
  try {
    const subject = await identify(token);
    if (token === app.token) await open(subject);
  } catch (error) {
    if (token !== app.token) return;
    if (error instanceof Refused && error.status < 500) {
      signOut(error.message);
      return;
    }
    trouble('The gateway cannot be reached, and signing in needs it. Trying again.');
    setTimeout(() => { if (token === app.token) enter(token); }, AGAIN);
  }
}

async function open(subject) {
  app.subject = subject;
  $('bearer').textContent = bearerOf(app.token);
  $('view').hidden = $('tabs').hidden = $('sign-out').hidden = $('bearer').hidden = false;
  app.choose(sessionStorage.getItem(CUSTOMER) ?? (await latestDraft(subject))?.customer ?? null);
  const common = { token: app.token, subject, refused: (error) => signOut(error.message) };
  running.follower = new IntakeFollower({ ...common, changed: (intake) => changed(intake.key), stateChanged: (state) => reach(state === 'live') });
  running.outbox = new Outbox({ ...common, changed: async (key) => {
    await changed(key);
    await running.follower.refresh();
  } });
  showNetwork();
  await app.count();
  await show();
  running.outbox.drain();
  await running.follower.refresh();
}

async function changed(key) {
  const order = await get('orders', app.subject, key);
  if (order === undefined) return;
  app.announce(`Order ${order.input.customerPo}: ${stateOf(order)[1]}`);
  if (route().name === 'orders') await show();
}

function route() {
  const [name, argument] = location.hash.slice(1).split('/');
  return { name: name in VIEWS ? name : 'customers', argument: argument && decodeURIComponent(argument) };
}

async function show() {
  const { name, argument } = route();
  if (name === 'customer') app.choose(argument ?? app.customer);
  if (name === 'customer' && app.customer === null) {
    app.go('customers');
    return;
  }
  for (const tab of $('tabs').children) {
    const current = tab.hash.slice(1) === (name === 'customer' ? 'customers' : name);
    if (current) tab.setAttribute('aria-current', 'page');
    else tab.removeAttribute('aria-current');
  }
  await app.count();
  // Each view has a container of its own: one that was left finds its container out of the document.
  const shown = $('view').firstElementChild;
  const container = shown?.dataset.view === location.hash ? shown : h('div', { 'data-view': location.hash, class: 'stack' });
  if (container !== shown) $('view').replaceChildren(container);
  await app.attempt(() => VIEWS[name](app, container));
}

function showNetwork() {
  const [kind, text] = !navigator.onLine ? ['warn', 'Offline'] : running.reached ? ['good', 'Online'] : ['warn', 'Gateway not reached'];
  if (app.subject === '') replace($('network'));
  else if ($('network').textContent !== text) replace($('network'), badge(kind, text));
}

function reach(reached) {
  running.reached = reached;
  showNetwork();
}

async function networkChanged() {
  showNetwork();
  if (app.subject !== '' && route().name === 'orders') await show();
}

async function signOut(reason) {
  const { subject } = app;
  storeToken('');
  sessionStorage.removeItem(SUBJECT);
  app.choose(null);
  app.searches = { customers: '', items: '' };
  $('view').replaceChildren();
  replace($('refusal'), reason && h('p', { class: 'notice bad' }, sign('bad'), h('span', {}, reason)));
  await enter('');
  showNetwork();
  // Whoever signs out leaves nothing to read; whose token ended goes on where he was.
  if (reason === null && subject !== '') await deleteRead(subject);
}

async function navigate() {
  if (location.hash.startsWith('#token=')) enter(storedToken());
  else if (app.subject !== '') {
    focusHeading();
    scrollTo(0, 0);
    await show();
  }
}

// The heading of the view that is about to be shown gets the focus as soon as it is there.
function focusHeading() {
  const view = location.hash;
  const watch = new MutationObserver(() => {
    const shown = $('view').firstElementChild;
    const heading = shown?.dataset.view === view ? $('heading') : null;
    if (heading === null && location.hash === view) return;
    watch.disconnect();
    heading?.focus({ preventScroll: true });
  });
  watch.observe($('view'), { childList: true, subtree: true });
}

wireTheme($('theme'));
wireSignIn($('sign-in').querySelector('form'), (token) => {
  replace($('refusal'));
  enter(token);
});
$('sign-out').addEventListener('click', () => signOut(null));
addEventListener('hashchange', navigate);
addEventListener('online', networkChanged);
addEventListener('offline', networkChanged);
navigator.serviceWorker?.register('worker.js').catch((error) => console.warn('No service worker:', error.message));
enter(storedToken());
