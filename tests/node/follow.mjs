// Follows shipments by other people's clients, over lost connections. Prints each cursor as a line; ends after COUNT, or
// with the code of a refusal.
//   node follow.mjs graphql-ws|graphql-sse|apollo|urql|urql-fetch|relay URL AUTHORIZATION AFTER COUNT
import { ApolloClient, InMemoryCache, gql } from "@apollo/client";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { Client, fetchExchange, subscriptionExchange } from "@urql/core";
import { createClient as createSSE } from "graphql-sse";
import { createClient as createWS } from "graphql-ws";
import relay from "relay-runtime";
import WebSocket from "ws";

const [way, url, authorization, start, count] = process.argv.slice(2);
const query = `subscription Follow($after: Cursor) {
  shipmentUpdates(after: $after) { __typename cursor ... on ShipmentUpdate { shipment { id status } } }
}`;

// It is not to come back by itself, with the variables it began with: it is asked anew with the last cursor.
const socket = () =>
  createWS({
    url: url.replace(/^http/, "ws"),
    webSocketImpl: WebSocket,
    connectionParams: { authorization },
    retryAttempts: 0,
  });
const forwarded = (client) => (request, sink) => client.subscribe(request, sink);

function urql(exchange, more) {
  const fetchOptions = { headers: { authorization } };
  const client = new Client({ url, exchanges: [exchange], fetchOptions, preferGetMethod: false, ...more });
  return (variables, sink) => {
    const seen = (result) => (result.error ? sink.error(result.error) : sink.next(result));
    client.subscription(query, variables).subscribe((result) => {
      if (result.data || result.error) seen(result);
      if (!result.hasNext && !result.error) sink.complete();
    });
  };
}

// Each way opens a subscription: it tells the sink what comes, and how it ended.
const ways = {
  "graphql-ws": () => (variables, sink) => socket().subscribe({ query, variables }, sink),
  "graphql-sse": () => (variables, sink) =>
    createSSE({ url, headers: { authorization }, retryAttempts: 0 }).subscribe({ query, variables }, sink),
  apollo: () => (variables, sink) => {
    const client = new ApolloClient({ cache: new InMemoryCache(), link: new GraphQLWsLink(socket()) });
    const seen = (result) => (result.error ? sink.error(result.error) : sink.next(result));
    const given = { query: gql(query), variables, fetchPolicy: "no-cache" };
    client.subscribe(given).subscribe({ next: seen, error: sink.error, complete: sink.complete });
  },
  urql: () => (variables, sink) => {
    const client = socket();
    const forwardSubscription = (request) => ({
      subscribe: (inner) => ({ unsubscribe: forwarded(client)(request, inner) }),
    });
    urql(subscriptionExchange({ forwardSubscription }))(variables, sink);
  },
  "urql-fetch": () => urql(fetchExchange, { fetchSubscriptions: true }),
  relay: () => (variables, sink) => {
    const client = socket();
    const network = relay.Network.create(
      () => {
        throw new Error("no query is asked");
      },
      (params, values) =>
        relay.Observable.create((inner) => client.subscribe({ query: params.text, variables: values }, inner)),
    );
    const params = { id: null, cacheID: "f", name: "Follow", operationKind: "subscription", text: query, metadata: {} };
    network.execute(params, variables, {}).subscribe(sink);
  },
};

const open = ways[way]();
let after = start;
let seen = 0;

function follow() {
  let over = false;
  const refused = (errors) => {
    console.log(errors[0].extensions.code);
    process.exit(1);
  };
  const again = (problem) => {
    if (Array.isArray(problem)) refused(problem);
    if (!over) setTimeout(follow, 50);
    over = true;
  };
  open(
    { after },
    {
      next: ({ data, errors }) => {
        if (errors) refused(errors);
        if (over || !data) return;
        after = data.shipmentUpdates.cursor;
        console.log(after);
        seen += 1;
        if (seen === Number(count)) process.exit(0);
      },
      error: again,
      complete: again,
    },
  );
}

follow();
