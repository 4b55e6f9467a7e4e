// States in words, amounts and ages.

import { ago, badge, number } from './dom.js';

const STATES = {
  RECEIVED: ['wait', 'Pending: a check is repeated'],
  NEEDS_APPROVAL: ['warn', 'Pending: needs approval'],
  HELD: ['warn', 'Pending: on hold'],
  POSTING: ['wait', 'Accepted: waits for the ERP'],
  POSTED: ['good', 'Accepted: posted'],
  REJECTED: ['bad', 'Rejected'],
  FAILED: ['bad', 'Accepted: posting failed'],
  CANCELLED: ['none', 'Cancelled'],
};
const CREDIT = { OK: ['good', 'Credit OK'], WARN: ['warn', 'Credit warning'], HOLD: ['bad', 'Credit hold'], BLOCKED: ['bad', 'Credit blocked'] };
const clock = new Intl.DateTimeFormat('en', { month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });

export const REOPENABLE = new Set(['REJECTED', 'CANCELLED']);

export function stateOf(order) {
  if (order.status === 'REFUSED') return ['bad', 'Refused'];
  if (order.status === 'QUEUED') return navigator.onLine ? ['wait', 'Sending'] : ['warn', 'Queued until online'];
  return STATES[order.intake.state] ?? ['none', order.intake.state];
}

export const creditOf = (state) => CREDIT[state] ?? ['none', state];
export const at = (moment) => clock.format(new Date(moment));
export const money = ({ amount, currency }) => `${amount} ${currency}`;
export const quantity = (value) => number.format(Number(value));

export function priceOf(price) {
  if (!price) return 'no price';
  const unit = price.priceUnit === '1' ? price.uom : `${price.priceUnit} ${price.uom}`;
  return `${money(price.unitPrice)} per ${unit}`;
}

export function stockOf(item) {
  return item.totalAtp === null || item.totalAtp === undefined ? 'availability unknown' : `${quantity(item.totalAtp)} ${item.baseUom} available`;
}

// The age of what is shown: `seenAt` in milliseconds; nothing for what was read just now.
export function seen(seenAt) {
  return seenAt === null ? null : badge('warn', `Last seen ${ago((Date.now() - seenAt) / 1000)}`);
}
