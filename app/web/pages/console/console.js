// The console: reads the state every two seconds while the page is visible, and shows the selected worker.

import { showCache } from './cache.js';
import { showClients } from './clients.js';
import { showNow } from './degraded.js';
import { Documents } from './documents.js';
import { ago, badge, h, number, plural, replace, sign } from './dom.js';
import { bearerOf, storedToken, storeToken, wireSignIn } from './session.js';
import { showEvents } from './events.js';
import { request, StatePoller } from './polling.js';
import { showSources } from './sources.js';
import { wireTheme } from './theme.js';

const INTERVAL = 2000;
const EXPIRY = 30_000;
const RECENT = 5;
const $ = (id) => document.getElementById(id);

const workers = new Map(); // by id: { state, before, receivedAt }
let chosen = null;

const poller = new StatePoller({
  address: () => 'state',
  interval: INTERVAL,
  received: take,
  refused: (error) => signOut(error.message),
  settled: show,
});
const documents = new Documents($('documents'), $('plan'), (address) => request(poller.token, address));

function take(state) {
  const known = workers.get(state.worker.id);
  workers.set(state.worker.id, { state, before: known?.state ?? null, receivedAt: Date.now() });
  for (const [id, one] of workers) if (Date.now() - one.receivedAt > EXPIRY && workers.size > 1) workers.delete(id);
  if (!workers.has(chosen)) chosen = state.worker.id;
}

function show() {
  const one = workers.get(chosen);
  $('loading').hidden = one !== undefined || poller.failure !== null || poller.token === '';
  $('content').hidden = one === undefined;
  showFailure(one);
  showLive();
  if (one === undefined) return;
  const { state, before } = one;
  showWorkers(state);
  showTiles(state, before);
  showNow($('now'), state);
  showSources($('sources'), state);
  showEvents($('events'), state);
  documents.show(state);
  showCache($('cache'), state.cache);
  showClients($('clients'), state);
}

function showFailure(one) {
  const { failure } = poller;
  const text = failure && `${failure.message} Trying again every 2 seconds.${one ? ` What is shown was read ${ago((Date.now() - one.receivedAt) / 1000)}.` : ''}`;
  replace($('failure'), text && h('p', { class: 'notice bad' }, sign('bad'), h('span', {}, text)));
}

function showLive() {
  const one = workers.get(chosen);
  const live = $('live');
  if (poller.token === '') replace(live);
  else if (document.hidden) replace(live, badge('none', 'Paused'));
  else if (poller.failure) replace(live, badge('bad', 'No answer'));
  else if (one) replace(live, badge('good', `Live · ${ago((Date.now() - one.receivedAt) / 1000)}`));
}

function showWorkers(state) {
  const several = workers.size > 1;
  const up = (Date.parse(state.at) - Date.parse(state.worker.startedAt)) / 1000;
  const label = (one) => (one.number === null ? `pid ${one.pid}` : `${one.number} (pid ${one.pid})`);
  if (!several) {
    replace($('workers'), h('span', { class: 'soft small' }, `Worker ${label(state.worker)}, up ${ago(up).replace(' ago', '')}`));
    return;
  }
  const choices = [...workers.values()].sort((a, b) => a.state.worker.pid - b.state.worker.pid).map(({ state: { worker }, receivedAt }) =>
    h('button', {
      type: 'button',
      id: `worker-${worker.id}`,
      'aria-pressed': String(worker.id === chosen),
      title: `read ${ago((Date.now() - receivedAt) / 1000)}`,
      onclick: () => { chosen = worker.id; show(); },
    }, label(worker)));
  replace($('workers'), h('span', { class: 'soft small' }, 'Worker'), choices);
}

function rate(state, before, of) {
  const seconds = before ? (Date.parse(state.at) - Date.parse(before.at)) / 1000 : 0;
  return seconds > 0 ? Math.max(of(state) - of(before), 0) / seconds : null;
}

const total = (counts) => Object.values(counts).reduce((sum, one) => sum + one, 0);

function tile(name, value, unit, note) {
  return h('li', { class: 'tile' }, h('span', { class: 'name' }, name), h('span', { class: 'value' }, value, ' ', h('small', {}, unit)), h('span', { class: 'note' }, note));
}

function showTiles(state, before) {
  const unhealthy = state.sources.filter((one) => one.health !== 'OK');
  const perSecond = rate(state, before, (one) => total(one.worker.requests));
  // Of the last minutes: counts since the start would hide an outage for hours.
  const [ok, partial, failed] = ['ok', 'partial', 'failed'].map((name) => state.operations[name].slice(-RECENT).reduce((sum, one) => sum + one, 0));
  const answered = ok + partial + failed;
  const sum = (name) => state.cache.types.reduce((all, one) => all + one[name], 0);
  const read = sum('hits') + sum('shared') + sum('misses');
  const refused = state.clients.reduce((all, one) => all + one.refused, 0);
  const lowest = state.clients.reduce((least, one) => Math.min(least, one.least / one.capacity), 1);
  const streams = total(state.worker.streams);
  replace($('tiles'),
    tile('Sources', `${state.sources.length - unhealthy.length} of ${state.sources.length}`, 'healthy', unhealthy.length ? badge('bad', `${unhealthy.map((one) => one.name).join(', ')}`) : badge('good', 'all calls are sent')),
    tile('Operations', perSecond === null ? '–' : perSecond.toFixed(1), 'a second', `${state.worker.running} of ${number.format(state.worker.most)} running · ${plural(streams, 'stream')}`),
    tile('Answered in full', answered ? `${(100 * ok / answered).toFixed(1)} %` : '–', `in ${RECENT} minutes`, partial + failed ? badge(ok / answered < 0.95 ? 'bad' : 'warn', `${number.format(partial)} in part, ${number.format(failed)} failed of ${number.format(answered)}`) : `${number.format(answered)} operations, none in part or failed`),
    tile('Cache', read ? `${(100 * (read - sum('misses')) / read).toFixed(1)} %` : '–', 'of keys from the cache', refused ? badge('warn', `${plural(refused, 'budget refusal')}`) : `lowest budget ${Math.round(100 * lowest)} %`));
}

function signIn(token) {
  workers.clear();
  chosen = null;
  const signedIn = token !== '';
  $('sign-in').hidden = signedIn;
  $('bearer').hidden = $('sign-out').hidden = !signedIn;
  $('bearer').textContent = signedIn ? bearerOf(token) : '';
  replace($('workers'));
  documents.reset();
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

wireTheme($('theme'));
wireSignIn($('sign-in').querySelector('form'), (token) => {
  replace($('refusal'));
  signIn(token);
});
$('sign-out').addEventListener('click', () => signOut(null));
setInterval(() => { if (!document.hidden && poller.token !== '') showLive(); }, 1000);
signIn(storedToken());
