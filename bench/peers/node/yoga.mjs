// GraphQL Yoga 5 on Node's own server:   node yoga.mjs PORT UPSTREAM_URL
import { createServer } from "node:http";
import { createSchema, createYoga } from "graphql-yoga";
import { makeLoaders, port, resolvers, typeDefs } from "./common.mjs";

const yoga = createYoga({
  schema: createSchema({ typeDefs, resolvers }),
  context: () => ({ loaders: makeLoaders() }),
  graphiql: false,
  logging: false,
});
createServer(yoga).listen(port, "127.0.0.1");
