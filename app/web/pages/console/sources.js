// A card for each source: how it is, and its calls by kind.

import { chart, milliseconds, perMinute, plain } from './charts.js';
import { badge, h, number, replace } from './dom.js';
import { table } from './table.js';

export const HEALTH = {
  OK: ['good', 'OK'],
  DEGRADED: ['warn', 'Degraded'],
  FAILING: ['bad', 'Failing'],
};

const BREAKER = {
  CLOSED: () => badge('good', 'closed'),
  OPEN: (kind) => badge('bad', `open${kind.retryIn === null ? '' : `, ${kind.retryIn.toFixed(1)} s`}`),
  HALF_OPEN: () => badge('warn', 'half-open'),
};

// Reads that travel together have a breaker for the request and one for each kind of read in it.
const name = (kind) => (kind.startsWith('batch:') ? `↳ ${kind.slice(6)}` : kind);
const latency = (value) => (value === null ? '–' : milliseconds(value));
const count = (of) => (kind) => (kind.kind.startsWith('batch:') && !of(kind) ? '–' : number.format(of(kind)));

const COLUMNS = [
  ['Calls', (kind) => h('code', {}, name(kind.kind))],
  ['Breaker', (kind) => (kind.unsent ? badge('bad', 'batch open') : BREAKER[kind.breaker](kind))],
  ['Failed', count((kind) => kind.failed), true, (kind) => kind.failed > 0],
  ['Blocked', count((kind) => kind.held), true, (kind) => kind.held > 0],
  ['p50', (kind) => latency(kind.latencyP50), true],
  ['p99', (kind) => latency(kind.latencyP99), true],
  ['Sent', count((kind) => kind.calls), true],
];

export function showSources(container, state) {
  if (state.sources.length === 0) {
    replace(container, h('p', { class: 'empty' }, 'No source is configured.'));
    return;
  }
  replace(container, state.sources.map(card));
}

// Calls that go alone, then those that travel together. Kinds of the latter that never travelled say nothing yet.
function ordered(kinds) {
  const together = (kind) => kind.kind.startsWith('batch');
  // A read cannot be sent while the requests that carry it are blocked by their breaker.
  const batch = kinds.find((kind) => kind.kind === 'batch');
  const unsent = (kind) => kind.kind.startsWith('batch:') && batch !== undefined && batch.breaker !== 'CLOSED' && kind.breaker === 'CLOSED';
  const listed = kinds.filter((kind) => !kind.kind.startsWith('batch:') || kind.latencyP50 !== null || kind.breaker !== 'CLOSED' || kind.held > 0 || unsent(kind));
  return [...listed.filter((kind) => !together(kind)), ...listed.filter(together)].map((kind) => ({ ...kind, unsent: unsent(kind) }));
}

function card(source) {
  const [kind, word] = HEALTH[source.health];
  const serves = [source.master.length && `master of ${source.master.join(', ')}`, source.adds.length && `adds ${source.adds.join(', ')}`].filter(Boolean);
  return h('article', { class: `card source ${kind === 'good' ? '' : kind}`, 'data-source': source.name, 'aria-label': source.name },
    h('header', {}, h('h3', {}, source.name), h('span', { class: 'soft small' }, source.vendor), badge(kind, word)),
    h('p', { class: 'soft small' }, serves.join(' · ') || 'serves nothing by itself'),
    source.kinds.length
      ? table(`calls-${source.name}`, `Calls to ${source.name} by kind`, COLUMNS, ordered(source.kinds), (one) => ({ 'data-kind': one.kind, 'data-breaker': one.breaker, 'data-unsent': one.unsent }))
      : h('p', { class: 'empty' }, 'Not called yet.'),
    h('div', { class: 'charts', role: 'group', 'aria-label': `The last hour of ${source.name}` },
      chart('Rate', source.timeline.calls, perMinute),
      chart('Errors', source.timeline.failed, perMinute, 'bad'),
      chart('p99', source.timeline.p99, milliseconds),
      chart('Queue', source.timeline.queue, plain)),
    h('dl', { class: 'facts' },
      fact('Under way', `${source.inFlight} of ${source.concurrency}`),
      fact('Waiting', source.waiting),
      fact('Timeout', `${source.timeout} s`),
      source.rate !== null && fact('Rate', `${source.rate}/s`),
      fact('Repeated', number.format(source.retries)),
      fact('Shed', source.sheds.length ? source.sheds.map((one) => `${one.caller} ${number.format(one.calls)} (${one.reason})`).join(', ') : 'none')));
}

function fact(term, value) {
  return h('div', {}, h('dt', {}, `${term} `), h('dd', {}, String(value)));
}

