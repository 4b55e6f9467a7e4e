// Apollo Server 5 on Fastify, as in production:   node apollo-production.mjs PORT UPSTREAM_URL SETTINGS
import { ApolloServer } from "@apollo/server";
import fastifyApollo, { fastifyApolloDrainPlugin } from "@as-integrations/fastify";
import { maxDepthRule } from "@escape.tech/graphql-armor-max-depth";
import { makeLoaders, resolvers, typeDefs } from "./common.mjs";
import { admit } from "./limits.mjs";
import { app, failed, listen, settings } from "./production.mjs";
import { scopedResolvers } from "./row-scope.mjs";

const listener = {
  async didResolveOperation({ schema, document, source, operationName, request, contextValue }) {
    const operation = { document, source, operationName, variables: request.variables };
    contextValue.request.operation = admit(schema, operation, settings.maxCost);
  },
  async didEncounterErrors({ errors, contextValue, operation }) {
    failed(contextValue.request, errors, { data: operation !== undefined && errors[0].path !== undefined });
  },
};

const apollo = new ApolloServer({
  typeDefs,
  resolvers: scopedResolvers(resolvers),
  introspection: false,
  parseOptions: { maxTokens: settings.maxTokens },
  validationRules: [maxDepthRule({ n: settings.maxDepth })],
  plugins: [fastifyApolloDrainPlugin(app), { requestDidStart: async () => listener }],
});
await apollo.start();
await app.register(fastifyApollo(apollo), {
  path: "/graphql",
  context: async (request) => ({ request, who: request.who, loaders: makeLoaders() }),
});
await listen();
