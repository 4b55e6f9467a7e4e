// One shipment: where it is, how it got there, and how sure that is.

import { badge, h, sign } from './dom.js';
import { ADVICE, at, MILESTONES, onDay, STATUS } from './words.js';

const LATE = 2 * 3600_000;

export function statusBadge(shipment) {
  if (shipment.cancelled) return badge('bad', 'Called off');
  const [kind, words] = STATUS[shipment.status] ?? STATUS.UNKNOWN;
  return badge(kind, words);
}

// `lines` are the lines of the customer's orders, by order and number.
export function detail(shipment, fresh, lines = new Map()) {
  const [kind, words] = shipment.cancelled ? ['bad', 'Called off'] : STATUS[shipment.status] ?? STATUS.UNKNOWN;
  return h('article', { class: 'card shipment', 'aria-labelledby': 'status', 'data-status': shipment.status },
    h('header', {},
      h('div', {}, h('h2', { id: 'status', class: kind }, sign(kind), words),
        h('p', { class: 'soft' }, [shipment.carrier, shipment.service].filter(Boolean).join(' · '))),
      arrival(shipment)),
    trouble(shipment, kind),
    steps(shipment),
    facts(shipment),
    contents(shipment, lines),
    h('section', { 'aria-labelledby': 'events-title' }, h('h3', { id: 'events-title' }, 'What happened'), timeline(shipment, fresh)),
    asOf(shipment));
}

function arrival(shipment) {
  if (shipment.status === 'DELIVERED') {
    const when = shipment.proofOfDelivery?.at ?? shipment.events.at(-1)?.at;
    return when ? h('p', { class: 'arrival' }, h('span', { class: 'soft small' }, 'Delivered'), h('strong', {}, at(when))) : null;
  }
  const { promised, carrier } = shipment.eta ?? {};
  if (!promised && !carrier) return null;
  const late = promised && carrier && carrier > promised;
  return h('p', { class: 'arrival' }, h('span', { class: 'soft small' }, 'Expected'), h('strong', {}, onDay(carrier ?? promised)),
    late && h('span', {}, badge('warn', `promised for ${onDay(promised)}`)));
}

function trouble(shipment, kind) {
  const advice = ADVICE[shipment.status];
  const incident = shipment.incident && `${shipment.incident.reason} (${shipment.incident.party.toLowerCase()})`;
  const unknown = shipment.status === 'UNKNOWN' && shipment.rawStatus && `The carrier says “${shipment.rawStatus}”.`;
  const text = [advice, incident, unknown].filter(Boolean).join(' ');
  return text && h('p', { class: `notice ${kind === 'none' ? 'warn' : kind}` }, sign(kind === 'none' ? 'warn' : kind), h('span', {}, text));
}

function steps(shipment) {
  const [kind, , reached] = STATUS[shipment.status] ?? STATUS.UNKNOWN;
  const halted = kind === 'bad' || shipment.cancelled;
  return h('ol', { class: 'steps', 'aria-label': 'Way of the shipment' }, MILESTONES.map((name, index) => {
    const done = index < reached;
    const current = index === reached - 1;
    const classes = [done && 'done', current && halted && 'halted'].filter(Boolean).join(' ');
    return h('li', { class: classes || null, 'aria-current': current ? 'step' : null }, name, h('span', { class: 'away' }, done ? ': done' : ': still to come'));
  }));
}

function facts(shipment) {
  const proof = shipment.proofOfDelivery;
  const number = shipment.trackingUrl?.startsWith('https://')
    ? h('a', { href: shipment.trackingUrl, rel: 'noreferrer' }, shipment.trackingNumber)
    : shipment.trackingNumber;
  return h('dl', { class: 'facts' }, [
    ['Tracking number', number && h('span', { class: 'mono' }, number)],
    [shipment.orderNumbers.length > 1 ? 'Orders' : 'Order', shipment.orderNumbers.join(', ')],
    ['From', shipment.warehouse?.name],
    ['Left', shipment.shippedAt && at(shipment.shippedAt)],
    ['Signed by', proof?.signedBy],
  ].filter(([, value]) => value).map(([term, value]) => h('div', {}, h('dt', {}, term), h('dd', {}, value))));
}

function contents(shipment, lines) {
  const rows = shipment.lines.map((part) => row(part, lines.get(`${part.order} ${part.lineNumber}`)));
  if (rows.length === 0) return null;
  const packages = shipment.packages.length > 1 ? ` in ${shipment.packages.length} packages` : '';
  return h('section', { 'aria-labelledby': 'contents-title' }, h('h3', { id: 'contents-title' }, `What is in it${packages}`),
    h('table', { class: 'contents' },
      h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'Item'), h('th', { scope: 'col' }, 'Description'), h('th', { scope: 'col', class: 'right' }, 'Quantity'))),
      h('tbody', {}, rows)),
    shipment.packages.length > 1 && h('ul', { class: 'packages' }, shipment.packages.map(parcel)));
}

function row(part, line) {
  return h('tr', { 'data-sku': part.sku },
    h('td', { class: 'mono' }, part.sku ?? '–'),
    h('td', {}, line?.description ?? '–'),
    h('td', { class: 'right' }, `${part.quantity}${line?.uom ? ` ${line.uom}` : ''}`));
}

function parcel(one, index) {
  const items = one.items.map((item) => [`${item.sku ?? 'item'} × ${item.quantity}`, item.lot && `lot ${item.lot}`, item.serial && `serial ${item.serial}`].filter(Boolean).join(', '));
  return h('li', {}, h('strong', {}, one.trackingNumber ?? one.sscc ?? `Package ${index + 1}`), items.length ? `: ${items.join('; ')}` : '');
}

function timeline(shipment, fresh) {
  if (shipment.events.length === 0) return h('p', { class: 'empty' }, 'Nothing yet.');
  const events = [...shipment.events].sort((a, b) => b.sequence - a.sequence);
  return h('ol', { class: 'timeline' }, events.map((event, index) => {
    const isFresh = fresh.has(event.sequence);
    const late = event.recordedAt && Date.parse(event.recordedAt) - Date.parse(event.at) > LATE;
    const location = [event.location, event.description].filter(Boolean).join(' · ');
    return h('li', { class: [index === 0 && 'latest', isFresh && 'fresh'].filter(Boolean).join(' ') || null, 'data-sequence': event.sequence, 'data-status': event.status },
      h('time', { datetime: event.at }, at(event.at)),
      h('div', {}, h('h4', {}, (STATUS[event.status] ?? STATUS.UNKNOWN)[1], isFresh && badge('good', 'new')),
        location && h('p', {}, location), late && h('p', { class: 'small' }, `recorded ${at(event.recordedAt)}`)));
  }));
}

function asOf(shipment) {
  const { source, asOf: read, degraded, reason } = shipment.freshness;
  return h('p', { class: 'asof' }, degraded && [badge('warn', 'incomplete'), ' ', reason, ' '], `From ${source}, as of ${at(read)}. Times are those of this device.`);
}
