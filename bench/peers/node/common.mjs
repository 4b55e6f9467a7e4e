// What the Node peers share: one undici pool to the upstream, the printed schema, resolvers over one dataloader per kind
// of read. Rows stay as the upstream sends them.
import { readFileSync } from "node:fs";
import DataLoader from "dataloader";
import { Pool } from "undici";

export const port = Number(process.argv[2]);
const pool = new Pool(process.argv[3], { connections: 512, pipelining: 1 });
export const typeDefs = readFileSync(new URL("../../../schema.graphql", import.meta.url), "utf8");

const headers = { "content-type": "application/json", authorization: "Bearer bench" };

export async function post(path, body) {
  const answer = await pool.request({ path, method: "POST", headers, body: JSON.stringify(body) });
  if (answer.statusCode !== 200) throw new Error(`${path} answered ${answer.statusCode}`);
  return answer.body.json();
}

export async function byKey(path, name, keys) {
  const found = new Map();
  for (const { key, value } of await post(path, { [name]: keys })) found.set(key, value);
  return keys.map((key) => found.get(key) ?? null);
}

// Questions are {customer, sku, quantity, uom}; prices come back by place.
export async function prices(questions) {
  const found = new Map();
  for (const { key, value } of await post("/v1/prices/quote", { requests: questions })) found.set(key, value);
  return questions.map((_, place) => found.get(place) ?? null);
}

// Pages of orders by {customer, first}; one call, for a document asks for one size of page.
export async function orderPages(keys) {
  const query = { page: { first: keys[0].first, after: null, count: false }, sort: "ORDERED_AT_DESC" };
  const found = new Map();
  const customers = keys.map((key) => key.customer);
  for (const { key, value } of await post("/v1/orders/by-customer", { customers, query })) found.set(key, value);
  return keys.map((key) => found.get(key.customer) ?? null);
}

export const orderByNumber = async (number) => (await byKey("/v1/orders/read", "numbers", [number]))[0];

const text = (key) => JSON.stringify(key);

export const makeLoaders = () => ({
  customers: new DataLoader((keys) => byKey("/v1/customers/read", "numbers", keys)),
  credit: new DataLoader((keys) => byKey("/v1/credit/read", "customers", keys)),
  items: new DataLoader((keys) => byKey("/v1/items/read", "skus", keys)),
  stock: new DataLoader((keys) => byKey("/v1/stock/read", "skus", keys)),
  shipments: new DataLoader((keys) => byKey("/v1/shipments/by-order", "orders", keys)),
  orders: new DataLoader(orderPages, { cacheKeyFn: text }),
  prices: new DataLoader(prices, { cacheKeyFn: text }),
});

export const nodeId = (...parts) => Buffer.from(parts.join(":")).toString("base64url");

export const connection = (page) => ({
  edges: page.rows.map((node) => ({ node })),
  pageInfo: {
    hasNextPage: page.hasNext,
    endCursor: page.cursors.length
      ? Buffer.from(JSON.stringify(["orders", page.cursors.at(-1)])).toString("base64url")
      : null,
  },
});

export const priced = (row) => row && { ...row, freshness: { asOf: row.asOf, cached: false } };

export function atp(position) {
  let running = position.onHand - position.reserved - position.qualityHold - position.safetyStock;
  let low = running;
  for (const change of position.supply) {
    running += Number(change.delta);
    if (running < low) low = running;
  }
  return String(Math.max(0, low));
}

export function availability(level) {
  const freshness = { asOf: level.asOf, degraded: false };
  return level.positions.map((one) => ({ warehouse: { code: one.warehouse }, atp: atp(one), freshness }));
}

// What needs no call; the same for every peer.
export const plain = {
  Customer: { id: (row) => nodeId("Customer", row.number) },
  Order: { id: (row) => nodeId("Order", "erp", row.id), total: (row) => row.totals.total },
  Item: { id: (row) => nodeId("Item", row.sku) },
  Shipment: {
    id: (row) => nodeId("Shipment", "logistics", row.id),
    events: (row, { last }) => (last == null ? row.events : row.events.slice(-last)),
  },
};

export const question = (customer, sku, quantity, uom) => ({ customer, sku, quantity, uom });

export const resolvers = {
  Query: {
    customer: (_, { by }, { loaders }) => loaders.customers.load(by.number),
    order: (_, { by }) => orderByNumber(by.number),
    itemsBySku: (_, { skus }, { loaders }) => loaders.items.loadMany(skus),
  },
  Customer: {
    ...plain.Customer,
    creditStatus: (row, _, { loaders }) => loaders.credit.load(row.number),
    orders: async (row, { first }, { loaders }) =>
      connection(await loaders.orders.load({ customer: row.number, first })),
  },
  Order: {
    ...plain.Order,
    shipments: async (row, _, { loaders }) => (await loaders.shipments.load(row.number)) ?? [],
  },
  OrderLine: {
    item: (row, _, { loaders }) => loaders.items.load(row.sku),
    contractPrice: async (row, _, { loaders }) =>
      priced(await loaders.prices.load(question(row.customer, row.sku, row.quantity, row.uom))),
    availability: async (row, _, { loaders }) => availability(await loaders.stock.load(row.sku)),
  },
  Item: {
    ...plain.Item,
    contractPrice: async (row, { customer, quantity }, { loaders }) =>
      priced(await loaders.prices.load(question(customer.number, row.sku, quantity, null))),
    availability: async (row, _, { loaders }) => availability(await loaders.stock.load(row.sku)),
  },
  Shipment: plain.Shipment,
};
