// The operations of the sales app.

import { ask, Refused, UpdateStream } from './graph_client.js';

const INTAKE = `
  fragment Intake on OrderIntake {
    id key version acknowledgement state orderNumber attempts
    problems { code message cure lineNumber }
  }`;
const ITEM = `
  fragment Priced on Item {
    sku name baseUom totalAtp uoms { code name }
    contractPrice(customer: $customer) { unitPrice { amount currency } priceUnit uom }
  }`;

const VIEWER = 'query SalesViewer { me { subject } }';
const CUSTOMERS = `query SalesCustomers($filter: CustomerFilter) {
  customers(first: 20, filter: $filter) { nodes { number name billTo { address { city } } } }
}`;
const CUSTOMER = `query SalesCustomer($customer: CustomerKey!) {
  customer(by: $customer) {
    number name status currency
    creditStatus { state available { amount currency } checkedAt }
    shipTos { id name }
    orders(first: 5) { nodes {
      number customerPo status orderedAt total { amount currency }
      lines { number quantity uom item { ...Priced } }
    } }
  }
} ${ITEM}`;
const ITEMS = `query SalesItems($customer: CustomerKey!, $search: String!) {
  items(first: 20, filter: { search: $search }) { nodes { ...Priced } }
} ${ITEM}`;
const PRICES = `query SalesPrices($customer: CustomerKey!, $lines: [LineInput!]!) {
  priceAndAvailability(customer: $customer, lines: $lines) {
    outcome message uom
    price { net { amount currency } proof quotedAt }
    item { totalAtp baseUom }
  }
}`;
const SUBMIT = `mutation SalesSubmit($input: SubmitOrderInput!) {
  submitOrder(input: $input) { intake { ...Intake } problems { code message cure lineNumber } }
} ${INTAKE}`;
const INTAKES = `query SalesIntakes($ids: [ID!]!) { nodes(ids: $ids) { ...Intake } } ${INTAKE}`;
const UPDATES = `subscription SalesUpdates($intakes: [ID!], $after: Cursor) {
  intakeUpdates(intakes: $intakes, after: $after) {
    __typename cursor
    ... on IntakeUpdate { intake { ...Intake } }
    ... on UpdatesLost { reason }
  }
} ${INTAKE}`;

// One field of an answer; where it could not be read, the error.
async function read(token, query, variables, field) {
  const { data, errors } = await ask(token, query, variables);
  if (data[field] === null && errors) throw new Refused(errors[0], 200);
  return data[field];
}

export async function subjectOf(token) {
  return (await read(token, VIEWER, {}, 'me')).subject;
}

export async function searchCustomers(token, search) {
  const filter = search === '' ? null : { search };
  const page = await read(token, CUSTOMERS, { filter }, 'customers');
  return page.nodes.map(({ number, name, billTo }) => ({ number, name, city: billTo?.address.city ?? null }));
}

export async function customerView(token, number) {
  return read(token, CUSTOMER, { customer: { number } }, 'customer');
}

export async function searchItems(token, customer, search) {
  return (await read(token, ITEMS, { customer: { number: customer }, search }, 'items')).nodes;
}

export async function pricesOf(token, customer, lines) {
  const requested = lines.map(({ sku, quantity, uom }) => ({ item: { sku }, quantity, uom }));
  return read(token, PRICES, { customer: { number: customer }, lines: requested }, 'priceAndAvailability');
}

export async function submitOrder(token, input) {
  return read(token, SUBMIT, { input }, 'submitOrder');
}

export async function intakesOf(token, ids) {
  return (await read(token, INTAKES, { ids }, 'nodes')).filter((one) => one !== null);
}

export function followIntakes({ intakes, ...stream }) {
  return new UpdateStream({ query: UPDATES, field: 'intakeUpdates', variables: { intakes }, ...stream });
}
