// The sales view over Apollo Client, typed by the generated code.
//   GRAPH_URL=http://127.0.0.1:8000/graphql GRAPH_TOKEN=... node generated/js/sales_view_apollo.js CUST-0001
// Prints the customer and its orders as one line of JSON.
import { ApolloClient, HttpLink, InMemoryCache } from "@apollo/client";
import { SalesViewDocument } from "./generated/operations.js";

const client = new ApolloClient({
  cache: new InMemoryCache(),
  link: new HttpLink({
    uri: process.env.GRAPH_URL,
    headers: { authorization: `Bearer ${process.env.GRAPH_TOKEN}` },
  }),
});

const number = process.argv[2] ?? "CUST-0001";
const { data } = await client.query({
  query: SalesViewDocument,
  variables: { customer: { number }, orders: 5 },
});
const customer = data?.customer;
if (!customer) throw new Error(`no customer ${number}`);
const orders = customer.orders?.edges.map(({ node }) => ({ number: node.number, lines: node.lines.length })) ?? [];
console.log(JSON.stringify({ number: customer.number, name: customer.name, orders }));
client.stop();
