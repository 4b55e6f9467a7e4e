// The console: asks for the state every two seconds while the page is seen, and shows the worker that was chosen.

import { showCache } from './cache.js';
import { showClients } from './clients.js';
import { showNow } from './degraded.js';
import { Documents } from './documents.js';
import { ago, badge, h, number, plural, replace, sign } from './dom.js';
import { bearerOf, storedToken, storeToken, wireSignIn } from './session.js';
import { showEvents } from './events.js';
import { showSources } from './sources.js';
import { wireTheme } from './theme.js';

const EVERY = 2000;
const FORGOTTEN = 30_000;
const RECENT = 5;
const $ = (id) => document.getElementById(id);

const workers = new Map(); // by id: { state, before, heard }
let chosen = null;
let token = '';
let timer = 0;
let asking = null;
let failing = null;

async function ask(address) {
  const answer = await fetch(address, { headers: { Authorization: `Bearer ${token}` }, cache: 'no-store', signal: asking?.signal });
  if (answer.ok) return answer.json();
  const told = await answer.json().catch(() => null);
  const error = new Error(told?.errors?.[0]?.message ?? `The gateway answered ${answer.status}.`);
  error.status = answer.status;
  throw error;
}

const documents = new Documents($('documents'), $('plan'), (address) => ask(address));

async function poll() {
  clearTimeout(timer);
  if (document.hidden || token === '') return;
  asking = new AbortController();
  const impatience = setTimeout(() => asking?.abort(new Error('no answer within 10 seconds')), 10_000);
  const mine = token;
  try {
    take(await ask('state'));
    failing = null;
  } catch (error) {
    if (mine !== token) return;
    if (error.status === 401 || error.status === 403) {
      leave(error.message);
      return;
    }
    failing ??= { since: Date.now() };
    failing.message = error.status ? error.message : 'The gateway cannot be reached.';
  } finally {
    clearTimeout(impatience);
  }
  show();
  timer = setTimeout(poll, EVERY);
}

function take(state) {
  const known = workers.get(state.worker.id);
  workers.set(state.worker.id, { state, before: known?.state ?? null, heard: Date.now() });
  for (const [id, one] of workers) if (Date.now() - one.heard > FORGOTTEN && workers.size > 1) workers.delete(id);
  if (!workers.has(chosen)) chosen = state.worker.id;
}

function show() {
  const one = workers.get(chosen);
  $('loading').hidden = one !== undefined || failing !== null;
  $('content').hidden = one === undefined;
  showTrouble(one);
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

function showTrouble(one) {
  const text = failing && `${failing.message} Trying again every 2 seconds.${one ? ` What is shown was read ${ago((Date.now() - one.heard) / 1000)}.` : ''}`;
  replace($('trouble'), text && h('p', { class: 'notice bad' }, sign('bad'), h('span', {}, text)));
}

function showLive() {
  const one = workers.get(chosen);
  const live = $('live');
  if (token === '') replace(live);
  else if (document.hidden) replace(live, badge('none', 'Paused'));
  else if (failing) replace(live, badge('bad', 'No answer'));
  else if (one) replace(live, badge('good', `Live · ${ago((Date.now() - one.heard) / 1000)}`));
}

function showWorkers(state) {
  const several = workers.size > 1;
  const up = (Date.parse(state.at) - Date.parse(state.worker.startedAt)) / 1000;
  const label = (one) => (one.number === null ? `pid ${one.pid}` : `${one.number} (pid ${one.pid})`);
  if (!several) {
    replace($('workers'), h('span', { class: 'soft small' }, `Worker ${label(state.worker)}, up ${ago(up).replace(' ago', '')}`));
    return;
  }
  const choices = [...workers.values()].sort((a, b) => a.state.worker.pid - b.state.worker.pid).map(({ state: { worker }, heard }) =>
    h('button', {
      type: 'button',
      id: `worker-${worker.id}`,
      'aria-pressed': String(worker.id === chosen),
      title: `heard ${ago((Date.now() - heard) / 1000)}`,
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
  const ill = state.sources.filter((one) => one.health !== 'OK');
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
    tile('Sources', `${state.sources.length - ill.length} of ${state.sources.length}`, 'well', ill.length ? badge('bad', `${ill.map((one) => one.name).join(', ')}`) : badge('good', 'all calls are sent')),
    tile('Operations', perSecond === null ? '–' : perSecond.toFixed(1), 'a second', `${state.worker.running} of ${number.format(state.worker.most)} under way · ${plural(streams, 'stream')}`),
    tile('Answered in full', answered ? `${(100 * ok / answered).toFixed(1)} %` : '–', `in ${RECENT} minutes`, partial + failed ? badge(ok / answered < 0.95 ? 'bad' : 'warn', `${number.format(partial)} in part, ${number.format(failed)} failed of ${number.format(answered)}`) : `${number.format(answered)} operations, none in part or failed`),
    tile('Cache', read ? `${(100 * (read - sum('misses')) / read).toFixed(1)} %` : '–', 'of keys kept', refused ? badge('warn', `${plural(refused, 'budget refusal')}`) : `lowest budget ${Math.round(100 * lowest)} %`));
}

function enter(given) {
  token = given;
  workers.clear();
  chosen = null;
  failing = null;
  const inside = token !== '';
  $('door').hidden = inside;
  $('bearer').hidden = $('leave').hidden = !inside;
  $('bearer').textContent = inside ? bearerOf(token) : '';
  $('loading').hidden = !inside;
  $('content').hidden = true;
  replace($('workers'));
  replace($('trouble'));
  documents.reset();
  showLive();
  if (inside) poll();
  else $('door').querySelector('input').focus();
}

function leave(reason) {
  asking?.abort();
  clearTimeout(timer);
  storeToken('');
  replace($('refusal'), reason && h('p', { class: 'notice bad' }, sign('bad'), h('span', {}, reason)));
  enter('');
}

wireTheme($('theme'));
wireSignIn($('door').querySelector('form'), (given) => {
  replace($('refusal'));
  enter(given);
});
$('leave').addEventListener('click', () => leave(null));
document.addEventListener('visibilitychange', () => {
  showLive();
  if (!document.hidden) poll();
});
setInterval(() => { if (!document.hidden && token !== '') showLive(); }, 1000);
enter(storedToken());
