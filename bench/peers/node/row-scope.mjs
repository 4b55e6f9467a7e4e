// Row scope by the token's customers: a foreign row is absent, exactly like a missing one.
const sees = (who, number) => who.customers.includes(number);

const ownRows = (who, rows) =>
  rows.every((row) => sees(who, row.customer)) ? rows : rows.filter((row) => sees(who, row.customer));

const ownEdges = (who, { edges, pageInfo }) =>
  ({ edges: edges.filter(({ node }) => sees(who, node.customer)), pageInfo });

const ownRow = (who, row) => (row && sees(who, row.customer) ? row : null);

// Resolvers that call `resolvers` for visible keys and hide foreign rows.
export function scopedResolvers({ Query, Customer, Order, Item, ...others }) {
  const after = (resolve, own) => async (row, args, context) => own(context.who, await resolve(row, args, context));
  return {
    ...others,
    Query: scopedRoots(Query),
    Customer: { ...Customer, orders: after(Customer.orders, ownEdges) },
    Order: { ...Order, shipments: after(Order.shipments, ownRows) },
    Item: {
      ...Item,
      contractPrice: (row, args, context) =>
        sees(context.who, args.customer.number) ? Item.contractPrice(row, args, context) : null,
    },
  };
}

export const scopedRoots = (roots) => ({
  ...roots,
  customer: (root, args, context) => (sees(context.who, args.by.number) ? roots.customer(root, args, context) : null),
  order: async (root, args, context) => ownRow(context.who, await roots.order(root, args, context)),
});

// The same for Mercurius' loaders, which get all the parents of a level.
export function scopedLoaders({ Customer, Order, Item, ...others }) {
  const after = ({ loader, opts }, own) => ({
    opts,
    loader: async (queries, context) => (await loader(queries, context)).map((rows) => own(context.who, rows)),
  });
  return {
    ...others,
    Customer: { ...Customer, orders: after(Customer.orders, ownEdges) },
    Order: { ...Order, shipments: after(Order.shipments, ownRows) },
    Item: { ...Item, contractPrice: ofVisible(Item.contractPrice, ({ params }) => params.customer.number) },
  };
}

const ofVisible = ({ loader, opts }, customerOf) => ({
  opts,
  loader: async (queries, context) => {
    const visible = queries.filter((query) => sees(context.who, customerOf(query)));
    if (visible.length === 0) return queries.map(() => null);
    const found = await loader(visible, context);
    if (visible.length === queries.length) return found;
    const rows = new Map(visible.map((query, index) => [query, found[index]]));
    return queries.map((query) => rows.get(query) ?? null);
  },
});
