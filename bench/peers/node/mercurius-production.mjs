// Mercurius 16 with JIT, as in production:   node mercurius-production.mjs PORT UPSTREAM_URL loaders|dataloader SETTINGS
import { NoSchemaIntrospectionCustomRule } from "graphql";
import mercurius from "mercurius";
import { makeLoaders, plain, resolvers, typeDefs } from "./common.mjs";
import { admit } from "./limits.mjs";
import { loaders, roots } from "./mercurius-loaders.mjs";
import { app, failed, listen, settings } from "./production.mjs";
import { scopedLoaders, scopedResolvers, scopedRoots } from "./row-scope.mjs";

const options = {
  schema: typeDefs,
  jit: 1,
  queryDepth: settings.maxDepth,
  validationRules: [NoSchemaIntrospectionCustomRule],
  graphql: { parseOptions: { maxTokens: settings.maxTokens } },
  errorFormatter(execution, context) {
    failed(context.reply.request, execution.errors, { data: execution.data != null });
    return mercurius.defaultErrorFormatter(execution, context);
  },
};
if (process.argv[4] === "dataloader") {
  options.resolvers = scopedResolvers(resolvers);
  options.context = (request) => ({ who: request.who, loaders: makeLoaders() });
} else {
  options.resolvers = { Query: scopedRoots(roots), ...plain };
  options.loaders = scopedLoaders(loaders);
  options.context = (request) => ({ who: request.who });
}
await app.register(mercurius, options);
app.graphql.addHook("preExecution", async (schema, document, context, variables) => {
  const { request } = context.reply;
  const { query: source, operationName } = request.body ?? request.query;
  request.operation = admit(schema, { document, source, operationName, variables }, settings.maxCost);
});
await listen();
