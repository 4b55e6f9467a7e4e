// A table from rows: `columns` are [heading, of row -> content, is it a number].

import { h, s } from './dom.js';

export function table(id, caption, columns, rows, attributes = () => ({})) {
  const head = columns.map(([name, , right]) => h('th', { scope: 'col', class: right && 'right' }, name));
  const body = rows.map((row) =>
    h('tr', attributes(row), columns.map(([, of, right, strong]) => {
      const classes = [right && 'right', strong?.(row) && 'strong'].filter(Boolean).join(' ');
      return h('td', { class: classes || null }, of(row) ?? '–');
    })));
  // What can be scrolled can be scrolled by the keyboard.
  return h('div', { class: 'scroll', id, tabindex: '0', role: 'group', 'aria-label': caption },
    h('table', {}, h('caption', {}, caption), h('thead', {}, h('tr', {}, head)), h('tbody', {}, body)));
}

// A bar for what is also written beside it.
export function meter(share, kind = '') {
  return h('span', { class: `meter ${kind}`, 'aria-hidden': 'true' },
    s('svg', { viewBox: '0 0 100 1', preserveAspectRatio: 'none' }, s('rect', { width: Math.max(0, Math.min(share, 1)) * 100, height: 1 })));
}
