// Who asks, and what is left of their budgets.

import { ago, h, number, plural, replace } from './dom.js';
import { meter, table } from './table.js';

export function showClients(container, state) {
  if (state.clients.length === 0) {
    replace(container, h('p', { class: 'empty' }, 'No client has sent this worker an operation yet.'));
    return;
  }
  const tenants = new Set(state.clients.map((one) => one.tenant)).size > 1;
  const where = state.budgetStore === 'redis' ? 'Stored in Redis for all workers; the state that this worker read last.' : 'Stored by this worker alone.';
  const met = Object.entries(state.worker.limitsExceeded).map(([name, count]) => `${name} ${number.format(count)}`);
  replace(container,
    h('p', { class: 'soft small' }, `${where} People share a client and are not named: shown is who has least. Limits met: ${met.join(', ') || 'none'}.`),
    table('budgets', 'Clients and budgets', [
      ['Client', (one) => h('span', { title: one.client || null, class: one.client ? null : 'soft' }, `${tenants ? `${one.tenant} / ` : ''}${one.client || 'no client named'}`)],
      ['Callers', (one) => (one.people ? plural(one.callers, 'person', 'people') : 'partner')],
      ['Left', (one) => [meter(one.least / one.capacity, kind(one)), ` ${number.format(one.least)} of ${number.format(one.capacity)}`]],
      ['Restored', (one) => `${number.format(one.restoreRate)}/s`, true],
      ['Refused', (one) => number.format(one.refused), true, (one) => one.refused > 0],
      ['Last', (one) => ago(one.secondsAgo), true],
    ], state.clients));
}

function kind(one) {
  const share = one.least / one.capacity;
  if (share < 0.1) return 'bad';
  return share < 0.3 ? 'warn' : '';
}
