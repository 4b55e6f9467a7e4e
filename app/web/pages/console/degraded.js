// What is degraded now: sources whose calls are held back, and what the documents of consumers lack for it.

import { badge, h, plural, replace } from './dom.js';
import { HEALTH } from './sources.js';

export function called(document) {
  return document.operation ?? `${document.kind} ${document.document.replace('sha256:', '').slice(0, 8)}`;
}

let shown = '';

export function showNow(container, state) {
  const ill = state.sources.filter((source) => source.health !== 'OK');
  const lacking = state.documents.filter((one) => one.lost.length > 0);
  const others = new Set(lacking.flatMap((one) => one.lost.map((lost) => lost.source)));
  for (const source of ill) others.delete(source.name);
  const sources = [...ill, ...state.sources.filter((one) => others.has(one.name))];
  const items = sources.map((source) => item(source, state.documents));
  // Read out only when something has changed, not at each count.
  const text = items.map((one) => one.dataset.told).join('|') || 'none';
  if (text === shown && container.childElementCount > 0) return;
  shown = text;
  replace(container, items.length
    ? h('ul', { class: 'held' }, items)
    : h('p', { class: 'line' }, badge('good', 'Nothing'), ' ', h('span', { class: 'soft' }, 'All kinds of calls are sent, and no answer of the last minute lacked anything for its source.')));
}

function item(source, documents) {
  const held = source.kinds.filter((kind) => kind.breaker !== 'CLOSED').map((kind) => kind.kind.replace('batch:', ''));
  const touched = documents.filter((one) => one.lost.some((lost) => lost.source === source.name));
  const exposed = documents.filter((one) => !touched.includes(one) && one.sources.includes(source.name));
  const [kind, word] = source.health === 'OK' ? ['warn', 'Errors'] : HEALTH[source.health];
  const lines = touched.map((one) => {
    const lost = one.lost.filter((each) => each.source === source.name);
    const fields = lost.filter((each) => each.path !== '');
    return h('li', {}, h('strong', {}, called(one)), ': ',
      fields.length ? [h('code', {}, [...new Set(fields.map((each) => each.path))].join(', ')), ` null, ${[...new Set(fields.map((each) => each.code))].join(', ')}`] : '',
      fields.length < lost.length ? `${fields.length ? '; ' : ''}answered from what was kept, labelled` : '');
  });
  const about = [
    held.length ? `${plural(held.length, 'kind')} of calls held back: ${[...new Set(held)].join(', ')}.` : 'All calls are sent.',
    held.length ? 'A probe goes with the next call once the pause is over.' : '',
  ].join(' ');
  const also = exposed.length ? `Also ask it: ${exposed.map(called).join(', ')}.` : '';
  const told = `${source.name} ${word} ${about} ${lines.map((one) => one.textContent).join(' ')} ${also}`;
  return h('li', { class: kind, 'data-source': source.name, 'data-told': told },
    h('div', { class: 'line' }, h('strong', {}, source.name), badge(kind, word), h('span', {}, about)),
    lines.length ? h('ul', { class: 'touched', 'aria-label': 'Documents touched in the last minute' }, lines) : h('p', { class: 'soft small' }, 'No document has lost anything in the last minute.'),
    also && h('p', { class: 'soft small' }, also));
}

