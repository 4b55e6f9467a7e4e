// Depth and age of the queue by source and state, rates of the last hour, and the last reconciliation.

import { chart, perMinute, plain } from './charts.js';
import { ago, badge, h, number, plural, replace } from './dom.js';
import { STATES } from './intake_orders.js';
import { table } from './table.js';

const KINDS = {
  doubled: ['bad', 'Several orders'],
  missing: ['bad', 'No order'],
  unrecorded: ['warn', 'Not recorded as posted'],
};

export function showQueue(container, { queue, posting }) {
  replace(container,
    queue.length === 0 ? h('p', { class: 'empty' }, 'No order waits.') : table('depths', 'Orders that wait, by source and state', [
      ['Source', (one) => one.target],
      ['State', (one) => badge(...STATES[one.state])],
      ['Orders', (one) => number.format(one.count), true],
      ['Oldest', (one) => ago(one.oldestSeconds).replace(' ago', ''), true],
    ], queue, (one) => ({ 'data-depth': `${one.target}:${one.state}` })),
    (posting ?? []).map(({ source, timeline }) => h('div', { class: 'rates', 'data-source': source },
      h('h3', {}, source),
      h('div', { class: 'charts' },
        chart('Posted', timeline.posted, perMinute),
        chart('Retried', timeline.retried, perMinute, 'bad'),
        chart('Failed', timeline.failed, perMinute, 'bad'),
        chart('Queue', timeline.queue, plain)))));
}

let shown = '';

// Replaced only when something changed: it is read out.
export function showReconciliation(container, found) {
  const text = JSON.stringify(found);
  if (text === shown && container.childElementCount > 0) return;
  shown = text;
  replace(container, found === null ? h('p', { class: 'empty' }, 'Reconciliation is of all customers, and this role sees some.') : [
    h('p', { class: 'line', 'data-running': String(found.running) }, found.running && badge('wait', 'Running'), ' ', summary(found)),
    found.keys.length > 0 && table('discrepancies', 'Orders that the gateway and their source disagree about', [
      ['Result', (one) => badge(...KINDS[one.kind])],
      ['Order', (one) => [h('strong', {}, `PO ${one.customerPo}`), h('span', { class: 'soft small' }, one.customer)]],
      ['Source', (one) => one.target],
      ['Orders of the source', (one) => one.orders.join(', ') || '–'],
    ], found.keys, (one) => ({ 'data-key': one.id, 'data-kind': one.kind }), { stacked: true }),
  ]);
}

function summary({ finishedAt, since, compared, doubled, missing, unrecorded, failure }) {
  if (finishedAt === null) return 'There is no result yet.';
  const moment = new Date(finishedAt).toLocaleString('en', { hourCycle: 'h23' });
  if (failure !== null) return [badge('bad', 'Failed'), ` The last run, of ${moment}, ended early: ${failure}. Nothing was proven.`];
  const result = doubled + missing + unrecorded === 0
    ? badge('good', 'No discrepancies')
    : [badge('bad', plural(doubled + missing + unrecorded, 'discrepancy', 'discrepancies')), ` ${plural(doubled, 'key')} with more than one order, ${number.format(missing)} without an order, ${number.format(unrecorded)} not recorded as posted.`];
  return [result, ` ${plural(compared, 'order')} received since ${new Date(since).toLocaleDateString('en')} compared at ${moment}.`];
}
