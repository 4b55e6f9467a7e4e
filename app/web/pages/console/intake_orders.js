// Orders of the queue: state, cause of a failure, problems by line, and the decisions that apply.

import { ago, badge, h, number, replace } from './dom.js';
import { table } from './table.js';

export const STATES = {
  FAILED: ['bad', 'Failed'],
  HELD: ['warn', 'Held'],
  NEEDS_APPROVAL: ['warn', 'Needs approval'],
  RECEIVED: ['wait', 'Received'],
  POSTING: ['wait', 'Posting'],
  POSTED: ['good', 'Posted'],
  REJECTED: ['none', 'Rejected'],
  CANCELLED: ['none', 'Cancelled'],
};

const CAUSES = {
  SOURCE_UNAVAILABLE: 'The system of record is not available.',
  SOURCE_TIMEOUT: 'The system of record did not answer in time.',
  SOURCE_THROTTLED: 'The system of record limits the rate of requests.',
  SOURCE_REJECTED: 'The system of record rejected the request.',
  SOURCE_MALFORMED: 'The system of record answered something unreadable.',
  SOURCE_ERROR: 'The system of record failed.',
  DEADLINE_EXCEEDED: 'The time for the request was used up.',
  ORDER_REFUSED: 'The system of record refused the order.',
  ATTEMPTS: 'All attempts were used up.',
  CHECKS_UNKNOWN: 'A check could not be made.',
  INTERNAL: 'The gateway failed while it posted the order.',
};
const LABELS = { RETRY: 'Retry', RELEASE: 'Release', CANCEL: 'Cancel' };

export function showOrders(container, { at, intakes: orders }, actions) {
  replace(container, orders.length === 0
    ? h('p', { class: 'empty' }, 'No orders match.')
    : table('orders-table', 'Orders, newest first', [
      ['Order', (one) => [h('strong', {}, `PO ${one.customerPo}`), h('span', { class: 'soft small' }, one.customer, one.orderNumber && ` · ${one.orderNumber}`)]],
      ['State', (one) => [badge(...(STATES[one.state] ?? ['none', one.state])), h('span', { class: 'soft small' }, `since ${ago(one.secondsInState).replace(' ago', '')}`)]],
      ['Received', (one) => h('time', { datetime: one.receivedAt, title: one.receivedAt }, ago((Date.parse(at) - Date.parse(one.receivedAt)) / 1000))],
      ['Source', (one) => one.target],
      ['Attempts', (one) => number.format(one.attempts), true],
      ['Cause and problems', causeOf],
      ['Actions', (one) => actionsOf(one, actions)],
    ], orders, (one) => ({ 'data-intake': one.id, 'data-state': one.state }), { stacked: true }));
}

function causeOf({ cause, problems }) {
  const lines = [
    ...(cause ? [[cause, CAUSES[cause] ?? 'The order could not be posted.']] : []),
    ...problems.filter((one) => one.code !== cause).map((one) => [one.code, one.lineNumber === null ? one.message : `Line ${one.lineNumber}: ${one.message}`]),
  ];
  return lines.length === 0 ? '–' : h('ul', { class: 'causes' }, lines.map(([code, text]) => h('li', { 'data-code': code }, h('code', {}, code), ' ', text)));
}

function actionsOf(order, { confirming, deciding, decide, confirm }) {
  const name = `PO ${order.customerPo} of ${order.customer}`;
  const button = (id, text, label, onclick, kind = null) => (
    h('button', { type: 'button', id: `${id}-${order.id}`, class: kind, 'aria-label': `${label} ${name}`, disabled: deciding.has(order.id), onclick }, text));
  if (confirming === order.id && order.actions.includes('CANCEL')) {
    return h('div', { class: 'actions' },
      button('cancel', 'Confirm cancel', 'Confirm to cancel', () => decide(order, 'CANCEL'), 'danger'),
      button('keep', 'Do not cancel', 'Do not cancel', () => confirm(null)));
  }
  return order.actions.length === 0 ? '–' : h('div', { class: 'actions' }, order.actions.map((decision) => {
    const act = decision === 'CANCEL' ? () => confirm(order.id) : () => decide(order, decision);
    return button(decision.toLowerCase(), LABELS[decision], LABELS[decision], act, decision === 'RETRY' ? 'primary' : null);
  }));
}
