// Small charts of the last hour, a value for each minute.

import { h, number, s } from './dom.js';

const WIDTH = 120;
const HEIGHT = 28;
const MINUTES = 60;

// `values` are oldest first, null where there is none; `of` writes a value.
export function chart(name, values, of, kind = '') {
  const known = values.filter((value) => value !== null);
  const most = Math.max(0, ...known);
  const now = values.at(-1) ?? null;
  const label = `${name}: ${now === null ? 'none' : of(now)} in this minute, at most ${of(most)} in the last hour`;
  return h('figure', { class: 'chart', 'data-chart': name.toLowerCase() },
    h('figcaption', {}, name, ' ', h('strong', {}, now === null ? '–' : of(now)), h('span', { class: 'soft' }, ` max ${of(most)}`)),
    s('svg', { class: kind, role: 'img', 'aria-label': label, viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none' },
      s('line', { class: 'base', x1: 0, x2: WIDTH, y1: HEIGHT - 0.5, y2: HEIGHT - 0.5 }),
      bars(values, most)));
}

function bars(values, most) {
  const wide = WIDTH / MINUTES;
  const first = MINUTES - values.length;
  return values.map((value, index) => {
    if (!value || most === 0) return null;
    const height = Math.max(1, (HEIGHT - 2) * (value / most));
    return s('rect', { x: (first + index) * wide, y: HEIGHT - height, width: wide * 0.85, height });
  });
}

export const perMinute = (value) => `${number.format(value)}/min`;
export const milliseconds = (value) => `${number.format(value)} ms`;
export const plain = (value) => number.format(value);
export const seconds = (value) => `${value < 10 ? value.toFixed(1) : number.format(Math.round(value))} s`;
