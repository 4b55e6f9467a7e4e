// Elements from words. Nothing here takes HTML: text is always text.

const SVG = 'http://www.w3.org/2000/svg';

function made(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function h(tag, properties, ...children) {
  return made(document.createElement(tag), properties, children);
}

export function s(tag, properties, ...children) {
  return made(document.createElementNS(SVG, tag), properties, children);
}

// Replaces the content; focus and scroll positions of elements with an id are restored.
export function replace(container, ...children) {
  const focused = container.contains(document.activeElement) ? document.activeElement.id : '';
  const scrolled = [...container.querySelectorAll('[id]')].filter((one) => one.scrollLeft > 0).map((one) => [one.id, one.scrollLeft]);
  container.replaceChildren(...children.flat(Infinity).filter(Boolean));
  for (const [id, left] of scrolled) {
    const again = document.getElementById(id);
    if (again !== null) again.scrollLeft = left;
  }
  if (focused !== '') document.getElementById(focused)?.focus({ preventScroll: true });
}

// A symbol beside a word: neither colour nor shape alone says anything.
const SHAPES = {
  good: ['M3 8.5 6.5 12 13 4.5'],
  warn: ['M8 2 15 14H1Z', 'M8 6.5v3.5', 'M8 12v.2'],
  bad: ['M4 4l8 8', 'M12 4l-8 8'],
  wait: ['M8 2a6 6 0 1 1-6 6', 'M8 4.5V8l2.5 1.5'],
  none: ['M4 8h8'],
};

export function sign(kind) {
  const shapes = SHAPES[kind].map((path) => s('path', { d: path }));
  return s('svg', { class: 'sign', viewBox: '0 0 16 16', 'aria-hidden': 'true' }, shapes);
}

export function badge(kind, text) {
  return h('span', { class: `badge ${kind}` }, sign(kind), text);
}

export const number = new Intl.NumberFormat('en');

export function plural(count, one, many = `${one}s`) {
  return `${number.format(count)} ${count === 1 ? one : many}`;
}

export function ago(seconds) {
  if (seconds < 1) return 'now';
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  return seconds < 172800 ? `${Math.floor(seconds / 3600)} h ago` : `${Math.floor(seconds / 86400)} days ago`;
}
