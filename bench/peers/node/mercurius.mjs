// Mercurius 16 with JIT:   node mercurius.mjs PORT UPSTREAM_URL loaders|dataloader
// With its own loaders, which batch by level, or with dataloaders made per request.
import Fastify from "fastify";
import mercurius from "mercurius";
import { makeLoaders, plain, port, resolvers, typeDefs } from "./common.mjs";
import { loaders, roots } from "./mercurius-loaders.mjs";

const app = Fastify({ logger: false });
if (process.argv[4] === "dataloader") {
  await app.register(mercurius, {
    schema: typeDefs, resolvers, jit: 1, context: () => ({ loaders: makeLoaders() }),
  });
} else {
  await app.register(mercurius, { schema: typeDefs, resolvers: { Query: roots, ...plain }, loaders, jit: 1 });
}
await app.listen({ port, host: "127.0.0.1" });
