// What a first visitor sees: the customer screen of a sales app, in small.

export const FIRST_QUERY = `# Who is this customer, does their credit hold, and where are their goods?
# Run it with Ctrl-Enter. The panel on the left documents every type.
query Customer($customer: CustomerKey!) {
  customer(by: $customer) {
    number
    name
    creditStatus { state available { amount currency } }
    orders(first: 5) {
      edges {
        node {
          number
          status
          lines { item { sku name } quantity uom }
          shipments { status carrier trackingNumber }
        }
      }
    }
  }
}
`;

export const FIRST_VARIABLES = JSON.stringify({ customer: { number: 'CUST-0001' } }, null, 2);
