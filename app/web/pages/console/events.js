// The event log and the endpoints of partners: what waits, what was given up, and how late events are.

import { chart, perMinute, seconds } from './charts.js';
import { badge, h, number, plural, replace } from './dom.js';
import { table } from './table.js';

const STATE = { active: 'good', paused: 'none', disabled: 'bad' };
const MOST = 100;

export function showEvents(container, { events }) {
  const dead = events.deadLetters;
  replace(container,
    events.error && h('p', { class: 'notice bad' }, events.error),
    h('p', { class: 'line' },
      badge(dead ? 'bad' : 'good', `${dead >= MOST ? `${MOST} or more` : number.format(dead)} dead ${dead === 1 ? 'letter' : 'letters'}`), ' ',
      badge(events.postponed ? 'warn' : 'good', `${plural(events.postponed, 'hint')} postponed`), ' ',
      h('span', { class: 'soft small' }, './run events dead lists them, ./run events replay tries again.')),
    h('div', { class: 'charts' },
      chart('Events', events.timeline.events, perMinute),
      chart('Lag', events.timeline.lag, seconds)),
    events.topics.length > 0 && table('topics', 'Topics of message brokers', [
      ['Source', (one) => one.source],
      ['Topic', (one) => h('code', {}, one.topic)],
      ['Messages waiting', (one) => number.format(one.lag), true],
    ], events.topics, (one) => ({ 'data-topic': `${one.source}:${one.topic}` })),
    events.endpoints.length === 0
      ? h('p', { class: 'empty' }, 'No endpoints of partners.')
      : table('endpoints', 'Endpoints of partners', [
        ['Client', (one) => one.client],
        ['Endpoint', (one) => h('code', { title: one.reason }, one.id)],
        ['State', (one) => badge(STATE[one.state] ?? 'none', one.state)],
        ['Waiting', (one) => number.format(one.waiting), true],
        ['Given up', (one) => (one.dead >= MOST ? `${MOST}+` : number.format(one.dead)), true, (one) => one.dead > 0],
      ], events.endpoints, (one) => ({ 'data-endpoint': one.id })));
}
