// The slowest documents, and the plan of the one that is chosen.

import { operationName } from './degraded.js';
import { ago, badge, h, number, replace } from './dom.js';
import { drawn, inWords } from './plan.js';
import { table } from './table.js';

const SHOWN = 12;
const key = (one) => JSON.stringify([one.document, one.operation]);
const milliseconds = (value) => `${number.format(value < 10 ? value : Math.round(value))} ms`;

// Documents of one name are distinguished by the start of their hash.
function titles(documents) {
  const counts = new Map();
  for (const one of documents) counts.set(operationName(one), (counts.get(operationName(one)) ?? 0) + 1);
  return (one) => (counts.get(operationName(one)) > 1 ? `${operationName(one)} ${one.document.replace('sha256:', '').slice(0, 6)}` : operationName(one));
}

export class Documents {
  constructor(list, plan, ask) {
    this.list = list;
    this.plan = plan;
    this.ask = ask;
    this.reset();
  }

  reset() {
    this.chosen = null;
    this.worker = null;
    this.state = null;
    this.drawnFor = null;
    replace(this.plan);
  }

  show(state) {
    this.state = state;
    const documents = state.documents.slice(0, SHOWN);
    this.title = titles(documents);
    if (documents.length === 0) {
      replace(this.list, h('p', { class: 'empty' }, 'No document has run in this worker yet.'));
      replace(this.plan);
      return;
    }
    if (!state.documents.some((one) => key(one) === this.chosen)) this.chosen = key(documents.find((one) => one.kind === 'query') ?? documents[0]);
    replace(this.list, table('slowest', 'Slowest documents', [
      ['Document', (one) => this.choice(one)],
      ['p50', (one) => milliseconds(one.latencyP50), true],
      ['p99', (one) => milliseconds(one.latencyP99), true],
      ['Runs', (one) => number.format(one.runs), true],
      ['With errors', (one) => number.format(one.failed), true, (one) => one.failed > 0],
      ['Calls', (one) => number.format(one.calls), true],
      ['Last', (one) => ago(one.secondsAgo), true],
    ], documents, (one) => ({ 'data-operation': one.operation })));
    const mark = `${state.worker.id} ${this.chosen}`;
    if (this.drawnFor !== mark) this.draw(mark);
  }

  choice(one) {
    return h('button', {
      type: 'button',
      class: 'link',
      id: `document-${one.document.slice(-12)}-${one.operation ?? ''}`,
      title: one.document,
      'aria-pressed': String(key(one) === this.chosen),
      onclick: () => {
        this.chosen = key(one);
        this.show(this.state);
      },
    }, this.title(one));
  }

  async draw(mark) {
    this.drawnFor = mark;
    const one = this.state.documents.find((each) => key(each) === this.chosen);
    if (one.kind === 'subscription') {
      replace(this.plan, h('p', { class: 'empty' }, 'A stream has no plan of its own: each event runs what it selects.'));
      return;
    }
    replace(this.plan, h('p', { class: 'empty' }, 'Explaining …'));
    try {
      const query = new URLSearchParams({ document: one.document, operation: one.operation ?? '' });
      const explained = await this.ask(`plan?${query}`);
      if (this.drawnFor !== mark) return;
      replace(this.plan, this.figure(one, explained));
    } catch (error) {
      if (this.drawnFor !== mark) return;
      // Another worker may have answered; it is tried again with the next state.
      this.drawnFor = null;
      replace(this.plan, h('p', { class: 'empty' }, error.status ? error.message : 'The plan cannot be read at the moment.'));
    }
  }

  figure(one, explained) {
    const { total } = explained.requests;
    const facts = `${number.format(total)} ${total === 1 ? 'request' : 'requests'} in ${explained.rounds.length} ${explained.rounds.length === 1 ? 'round' : 'rounds'} · cost ${number.format(explained.cost)} · ${number.format(explained.rows)} rows`;
    return h('figure', { class: 'plan', 'aria-label': `Plan of ${operationName(one)}` },
      h('figcaption', {}, h('h3', {}, operationName(one)), h('p', { class: 'soft small' }, `${facts}, as predicted for a cold cache and the caller who ran it last`)),
      h('div', { class: 'scroll', id: 'drawing', tabindex: '0', role: 'group', 'aria-label': 'Drawing of the plan' }, drawn(operationName(one), explained, this.plan.clientWidth)),
      explained.refused.length > 0 && h('p', {}, badge('warn', `refused to that caller: ${explained.refused.join(', ')}`)),
      h('details', {}, h('summary', {}, 'In words'), inWords(explained)));
  }
}
