// What is degraded now: sources whose calls are blocked by a breaker, and the fields that documents lack for it.

import { badge, h, plural, replace } from './dom.js';
import { HEALTH } from './sources.js';

export function operationName(document) {
  return document.operation ?? `${document.kind} ${document.document.replace('sha256:', '').slice(0, 8)}`;
}

let shown = '';

export function showNow(container, state) {
  const unhealthy = state.sources.filter((source) => source.health !== 'OK');
  const partial = state.documents.filter((one) => one.lost.length > 0);
  const failing = new Set(partial.flatMap((one) => one.lost.map((lost) => lost.source)));
  for (const source of unhealthy) failing.delete(source.name);
  const sources = [...unhealthy, ...state.sources.filter((one) => failing.has(one.name))];
  const items = sources.map((source) => item(source, state.documents));
  // Announced only when something has changed, not at each count.
  const text = items.map((one) => one.dataset.announced).join('|') || 'none';
  if (text === shown && container.childElementCount > 0) return;
  shown = text;
  replace(container, items.length
    ? h('ul', { class: 'degraded' }, items)
    : h('p', { class: 'line' }, badge('good', 'Nothing'), ' ', h('span', { class: 'soft' }, 'All kinds of calls are sent, and no response of the last minute lacked a field for its source.')));
}

function item(source, documents) {
  const blocked = source.kinds.filter((kind) => kind.breaker !== 'CLOSED').map((kind) => kind.kind.replace('batch:', ''));
  const affected = documents.filter((one) => one.lost.some((lost) => lost.source === source.name));
  const readers = documents.filter((one) => !affected.includes(one) && one.sources.includes(source.name));
  const [kind, word] = source.health === 'OK' ? ['warn', 'Errors'] : HEALTH[source.health];
  const lines = affected.map((one) => {
    const lost = one.lost.filter((each) => each.source === source.name);
    const fields = lost.filter((each) => each.path !== '');
    return h('li', {}, h('strong', {}, operationName(one)), ': ',
      fields.length ? [h('code', {}, [...new Set(fields.map((each) => each.path))].join(', ')), ` null, ${[...new Set(fields.map((each) => each.code))].join(', ')}`] : '',
      fields.length < lost.length ? `${fields.length ? '; ' : ''}answered from stale cache entries, labelled` : '');
  });
  const breakers = [
    blocked.length ? `${plural(blocked.length, 'kind')} of calls blocked by a breaker: ${[...new Set(blocked)].join(', ')}.` : 'All calls are sent.',
    blocked.length ? 'A probe goes with the next call once the pause is over.' : '',
  ].join(' ');
  const others = readers.length ? `Other documents that read it: ${readers.map(operationName).join(', ')}.` : '';
  const announced = `${source.name} ${word} ${breakers} ${lines.map((one) => one.textContent).join(' ')} ${others}`;
  return h('li', { class: kind, 'data-source': source.name, 'data-announced': announced },
    h('div', { class: 'line' }, h('strong', {}, source.name), badge(kind, word), h('span', {}, breakers)),
    lines.length ? h('ul', { class: 'affected', 'aria-label': 'Documents with null fields in the last minute' }, lines) : h('p', { class: 'soft small' }, 'No document lacked a field in the last minute.'),
    others && h('p', { class: 'soft small' }, others));
}
