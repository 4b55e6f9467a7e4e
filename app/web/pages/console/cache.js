// Cache lookups and entries by type.

import { badge, h, number, replace } from './dom.js';
import { meter, table } from './table.js';

export function showCache(container, cache) {
  const where = cache.store === 'redis' ? 'this worker’s memory, shared through Redis' : 'this worker’s memory';
  const about = h('p', { class: 'soft small' }, `${number.format(cache.entries)} of ${number.format(cache.most)} entries in ${where}.`,
    cache.receivesInvalidations ? '' : [' ', badge('warn', 'invalidations not received: entries live 2 s')]);
  if (!cache.enabled && cache.types.length === 0) {
    replace(container, h('p', { class: 'empty' }, 'The cache is switched off.'));
    return;
  }
  if (cache.types.length === 0) {
    replace(container, about, h('p', { class: 'empty' }, 'Nothing has been looked up yet.'));
    return;
  }
  replace(container, about, table('cache-types', 'Cache by type', [
    ['Type', (one) => h('code', {}, `${one.source}.${one.type}`)],
    ['Hit ratio', ratio],
    ['Hits', (one) => number.format(one.hits), true],
    ...(cache.store === 'redis' ? [['Shared', (one) => number.format(one.shared), true]] : []),
    ['Misses', (one) => number.format(one.misses), true],
    ['Stale', (one) => number.format(one.stale), true, (one) => one.stale > 0],
    ['Entries', (one) => number.format(one.entries), true],
  ], cache.types));
}

function ratio(one) {
  const found = one.hits + one.shared;
  const lookups = found + one.misses;
  if (lookups === 0) return '–';
  return [meter(found / lookups), ` ${Math.round((100 * found) / lookups)} %`];
}
