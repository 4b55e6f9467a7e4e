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
    try {
      contextValue.request.operation = admit(schema, operation, settings.maxCost);
    } catch (error) {
      error.extensions.http = { status: 400 };
      throw error;
    }
  },
  async didEncounterErrors({ errors, contextValue, operation }) {
    failed(contextValue.request, errors, { data: operation !== undefined && errors[0].path !== undefined });
  },
};

// As an error of validation, which Apollo answers by 400; thrown, as by default, it would be a 500.
const depthRule = maxDepthRule({
  n: settings.maxDepth,
  propagateOnRejection: false,
  onReject: [(context, error) => context.reportError(error)],
});

const apollo = new ApolloServer({
  typeDefs,
  resolvers: scopedResolvers(resolvers),
  introspection: false,
  stopOnTerminationSignals: false, // Fastify drains it, and the audit is written before the process ends.
  parseOptions: { maxTokens: settings.maxTokens },
  validationRules: [depthRule],
  plugins: [fastifyApolloDrainPlugin(app), { requestDidStart: async () => listener }],
});
await apollo.start();
await app.register(fastifyApollo(apollo), {
  path: "/graphql",
  context: async (request) => ({ request, who: request.who, loaders: makeLoaders() }),
});
await listen();
