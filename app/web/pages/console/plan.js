// A plan as a drawing: rounds in order, in each the calls that are made at the same time. A round waits at the joint
// before it until all calls of the round before have been answered.

import { h, number, s } from './dom.js';

const WIDTH = 236;
const LINE = 17;
const HEAD = 26;
const PAD = 14;
const GAP = 12;
const BETWEEN = 62;
const TOP = 24;
const PILL = 124;

const cut = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
const height = (call) => HEAD + call.reads.length * LINE + 8;

export function drawn(name, explained, room) {
  const across = PILL * 2 + explained.rounds.length * (WIDTH + 2 * PAD + BETWEEN) + BETWEEN;
  return across <= Math.max(room - 40, 0) || room > 760 ? horizontal(name, explained) : vertical(name, explained);
}

function styles(explained) {
  const names = [...new Set(explained.rounds.flat().map((call) => call.source))].sort();
  return new Map(names.map((one, index) => [one, `s${index % 5}`]));
}

function drawing(name, explained, width, height, parts) {
  const label = `Plan of ${name}: ${explained.rounds.length} rounds, ${explained.requests.total} requests.`;
  return s('svg', { class: 'drawing', role: 'img', 'aria-label': label, width, height, viewBox: `0 0 ${width} ${height}` }, parts);
}

function box(call, x, y, style, explained) {
  const cacheable = (read) => `${call.source}.${read}` in explained.mayBeKept;
  const requests = `${number.format(call.requests)} ${call.requests === 1 ? 'request' : 'requests'}`;
  return s('g', { class: `call ${style}`, 'data-source': call.source },
    s('rect', { class: 'box', x, y, width: WIDTH, height: height(call), rx: 7 }),
    s('rect', { class: 'stripe', x, y, width: 5, height: height(call), rx: 2.5 }),
    s('text', { class: 'name', x: x + 14, y: y + 18 }, cut(call.source, 16)),
    s('text', { class: 'soft', x: x + WIDTH - 10, y: y + 18, 'text-anchor': 'end' }, requests),
    call.reads.map(({ read, keys }, index) => {
      const at = y + HEAD + 13 + index * LINE;
      return [
        s('text', { class: 'read', x: x + 14, y: at }, cut(read, 25), s('title', {}, cacheable(read) ? `${read}: may be cached for ${explained.mayBeKept[`${call.source}.${read}`]} s` : read)),
        s('text', { class: 'soft read', x: x + WIDTH - 10, y: at, 'text-anchor': 'end' }, `${cacheable(read) ? '◷ ' : ''}×${number.format(keys)}`),
      ];
    }));
}

function pill(text, x, y, width = PILL) {
  return s('g', {}, s('rect', { class: 'pill', x, y: y - 14, width, height: 28, rx: 14 }),
    s('text', { class: 'pill-text', x: x + width / 2, y: y + 4, 'text-anchor': 'middle' }, cut(text, Math.floor(width / 7.2))));
}

function horizontal(name, explained) {
  const style = styles(explained);
  const tall = explained.rounds.map((calls) => calls.reduce((sum, call) => sum + height(call) + GAP, -GAP) + 2 * PAD);
  const most = Math.max(...tall, 60);
  const middle = TOP + most / 2;
  const wires = [];
  const bands = [];
  const boxes = [];
  let x = PILL;
  let from = [[PILL, middle]];
  explained.rounds.forEach((calls, index) => {
    const joint = x + BETWEEN / 2;
    const left = x + BETWEEN;
    let y = middle - tall[index] / 2;
    bands.push(s('rect', { class: 'band', x: left, y, width: WIDTH + 2 * PAD, height: tall[index], rx: 10 }),
      s('text', { class: 'round', x: left + 2, y: y - 7 }, `Round ${index + 1}`));
    y += PAD;
    for (const [fx, fy] of from) wires.push(curve(fx, fy, joint, middle));
    from = [];
    for (const call of calls) {
      const center = y + height(call) / 2;
      wires.push(curve(joint, middle, left + PAD, center));
      boxes.push(box(call, left + PAD, y, style.get(call.source), explained));
      from.push([left + PAD + WIDTH, center]);
      y += height(call) + GAP;
    }
    boxes.push(s('circle', { class: 'joint', cx: joint, cy: middle, r: 5 }));
    x = left + WIDTH + 2 * PAD;
  });
  const end = x + BETWEEN / 2;
  for (const [fx, fy] of from) wires.push(curve(fx, fy, end, middle));
  const width = end + PILL;
  return drawing(name, explained, width, TOP + most + 6, [
    ...bands, ...wires, ...boxes, pill(name, 0, middle), pill(explained.rounds.length ? 'answer' : 'from the cache', end, middle),
  ]);
}

function curve(x1, y1, x2, y2) {
  const half = (x1 + x2) / 2;
  return s('path', { class: 'wire', d: `M${x1} ${y1}C${half} ${y1} ${half} ${y2} ${x2} ${y2}` });
}

function vertical(name, explained) {
  const style = styles(explained);
  const width = WIDTH + 2 * PAD;
  const middle = width / 2;
  const parts = [];
  const wires = [];
  let y = 30;
  explained.rounds.forEach((calls, index) => {
    wires.push(s('path', { class: 'wire', d: `M${middle} ${y - 2}V${y + 36}` }));
    parts.push(s('circle', { class: 'joint', cx: middle, cy: y + 12, r: 5 }), s('text', { class: 'round', x: 2, y: y + 27 }, `Round ${index + 1}`));
    y += 34;
    const tall = calls.reduce((sum, call) => sum + height(call) + GAP, -GAP) + 2 * PAD;
    parts.push(s('rect', { class: 'band', x: 0.5, y, width: width - 1, height: tall, rx: 10 }));
    let at = y + PAD;
    for (const call of calls) {
      parts.push(box(call, PAD, at, style.get(call.source), explained));
      at += height(call) + GAP;
    }
    y += tall;
  });
  wires.push(s('path', { class: 'wire', d: `M${middle} ${y}V${y + 20}` }));
  return drawing(name, explained, width, y + 50, [...wires, ...parts, pill(name, middle - 75, 15, 150), pill('answer', middle - 75, y + 34, 150)]);
}

export function inWords(explained) {
  const rounds = explained.rounds.map((calls) => h('li', {}, calls.map((call) =>
    h('p', {}, `${call.source}: ${call.requests} ${call.requests === 1 ? 'request' : 'requests'} for `,
      h('code', {}, call.reads.map(({ read, keys }) => `${read} × ${keys}`).join(', '))))));
  const cacheable = Object.entries(explained.mayBeKept).map(([read, age]) => `${read} (${age} s at most)`);
  return h('div', {}, h('ol', {}, rounds),
    cacheable.length > 0 && h('p', { class: 'soft' }, `◷ may be answered from the cache: ${cacheable.join(', ')}.`),
    explained.fromKept.length > 0 && h('p', { class: 'soft' }, `Always cached: ${explained.fromKept.join(', ')}.`));
}
