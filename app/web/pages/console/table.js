// A table from rows: `columns` are [heading, of row -> content, is it a number]. On a narrow screen a `stacked` one has a
// block for each row, with the headings beside the values; its roles are explicit, as blocks have none.

import { h, s } from './dom.js';

export function table(id, caption, columns, rows, attributes = () => ({}), { stacked = false } = {}) {
  const role = (name) => (stacked ? { role: name } : {});
  const head = columns.map(([name, , right]) => h('th', { scope: 'col', class: right && 'right', ...role('columnheader') }, name));
  const body = rows.map((row) =>
    h('tr', { ...attributes(row), ...role('row') }, columns.map(([name, of, right, strong]) => {
      const classes = [right && 'right', strong?.(row) && 'strong'].filter(Boolean).join(' ');
      return h('td', { class: classes || null, 'data-label': stacked && name, ...role('cell') }, of(row) ?? '–');
    })));
  // What can be scrolled can be scrolled by the keyboard.
  return h('div', { class: 'scroll', id, tabindex: '0', role: 'group', 'aria-label': caption },
    h('table', { class: stacked && 'stacked', ...role('table') }, h('caption', {}, caption),
      h('thead', role('rowgroup'), h('tr', role('row'), head)), h('tbody', role('rowgroup'), body)));
}

// A bar for what is also written beside it.
export function meter(share, kind = '') {
  return h('span', { class: `meter ${kind}`, 'aria-hidden': 'true' },
    s('svg', { viewBox: '0 0 100 1', preserveAspectRatio: 'none' }, s('rect', { width: Math.max(0, Math.min(share, 1)) * 100, height: 1 })));
}
