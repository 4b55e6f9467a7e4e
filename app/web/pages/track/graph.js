// The operations of the tracking page, and the stream of changes.

import { ask, Refused, UpdateStream } from './graph_client.js';

const SHIPMENT = `
  fragment Shipment on Shipment {
    id status rawStatus trackingNumber trackingUrl carrier service shippedAt cancelled orderNumbers
    eta { promised carrier }
    incident { party reason }
    warehouse { name }
    proofOfDelivery { signedBy at }
    lines { order lineNumber sku quantity }
    packages { sscc trackingNumber items { lineNumber sku quantity lot serial } }
    freshness { source asOf cached degraded reason }
    events { sequence at recordedAt status location description source }
  }`;

const WHO = 'query TrackWho { me { subject customers { number name } } }';
const SOME = 'query TrackCustomers { customers(first: 20) { edges { node { number name } } } }';
const SHIPMENTS = `query TrackShipments($customer: CustomerKey!) {
  customer(by: $customer) { number name orders(first: 20) { edges { node {
    number lines { number description uom } shipments { ...Shipment }
  } } } }
} ${SHIPMENT}`;
const UPDATES = `subscription TrackUpdates($customer: CustomerKey, $after: Cursor) {
  shipmentUpdates(customer: $customer, after: $after) {
    __typename cursor
    ... on ShipmentUpdate { at shipment { ...Shipment } }
    ... on UpdatesLost { reason }
  }
} ${SHIPMENT}`;

export async function customersOf(token) {
  const { data } = await ask(token, WHO);
  if (data.me.customers?.length) return data.me.customers;
  const { data: some, errors } = await ask(token, SOME);
  if (some.customers === null) throw new Refused(errors[0], 403);
  return some.customers.edges.map((edge) => edge.node);
}

export async function shipmentsOf(token, number) {
  const { data, errors } = await ask(token, SHIPMENTS, { customer: { number } });
  if (data.customer === null && errors) throw new Refused(errors[0], 503);
  const orders = data.customer?.orders?.edges.map((edge) => edge.node) ?? [];
  const lines = orders.flatMap((order) => (order.lines ?? []).map((line) => [`${order.number} ${line.number}`, line]));
  return { shipments: orders.flatMap((order) => order.shipments ?? []), lines: new Map(lines), partial: Boolean(errors) };
}

export function followShipments({ customer, ...stream }) {
  return new UpdateStream({ query: UPDATES, field: 'shipmentUpdates', variables: { customer: { number: customer } }, ...stream });
}
