// Mercurius' own loaders, which batch by level, and its roots.
import { availability, byKey, connection, orderPages, orderByNumber, priced, prices, question } from "./common.mjs";

// Mercurius hands all parents of a level to a loader, repeated ones too; each key is asked for once.
const once = async (keys, name, load) => {
  const names = keys.map(name);
  const places = new Map();
  for (const [place, key] of names.entries()) if (!places.has(key)) places.set(key, place);
  const asked = [...places.keys()];
  const answers = await load(asked, (key) => keys[places.get(key)]);
  const found = new Map(asked.map((key, place) => [key, answers[place]]));
  return names.map((key) => found.get(key));
};

const stock = async (queries) => {
  const rows = await once(queries, ({ obj }) => obj.sku, async (skus) =>
    (await byKey("/v1/stock/read", "skus", skus)).map(availability));
  return rows;
};

const quoted = (ask) => (queries) =>
  once(queries, (query) => JSON.stringify(ask(query)), async (keys, of) =>
    (await prices(keys.map((key) => ask(of(key))))).map(priced));

// Mercurius keeps a loader's answers by parent and arguments within a request; that is of no use here and costs.
const uncached = (loader) => ({ loader, opts: { cache: false } });

export const loaders = {
  Customer: {
    creditStatus: uncached((queries) =>
      byKey("/v1/credit/read", "customers", queries.map(({ obj }) => obj.number))),
    orders: uncached(async (queries) => {
      const keys = queries.map(({ obj, params }) => ({ customer: obj.number, first: params.first }));
      return (await orderPages(keys)).map(connection);
    }),
  },
  Order: {
    shipments: uncached(async (queries) =>
      (await byKey("/v1/shipments/by-order", "orders", queries.map(({ obj }) => obj.number))).map((rows) => rows ?? [])),
  },
  OrderLine: {
    item: uncached((queries) =>
      once(queries, ({ obj }) => obj.sku, (skus) => byKey("/v1/items/read", "skus", skus))),
    contractPrice: uncached(quoted(({ obj }) => question(obj.customer, obj.sku, obj.quantity, obj.uom))),
    availability: uncached(stock),
  },
  Item: {
    contractPrice: uncached(quoted(({ obj, params }) =>
      question(params.customer.number, obj.sku, params.quantity, null))),
    availability: uncached(stock),
  },
};

export const roots = {
  customer: async (_, { by }) => (await byKey("/v1/customers/read", "numbers", [by.number]))[0],
  order: (_, { by }) => orderByNumber(by.number),
  itemsBySku: (_, { skus }) => byKey("/v1/items/read", "skus", skus),
};
