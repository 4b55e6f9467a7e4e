// What a Node peer has in production, around its GraphQL server: verified tokens, and for each request one JSON log
// line, Prometheus metrics and an audit entry. Fastify carries both peers.
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import Fastify, { LogController } from "fastify";
import pino from "pino";
import prometheus from "prom-client";
import { openAudit } from "./audit.mjs";
import { port } from "./common.mjs";
import { Unauthenticated, tokenVerifier } from "./tokens.mjs";

export const settings = JSON.parse(readFileSync(process.argv.at(-1), "utf8"));

const MAX_NAMES = 100; // operations with a label of their own
const PATH = "/graphql";

const verify = await tokenVerifier(settings);
const audit = openAudit(`${settings.folder}/audit-${port}.sqlite`);

const registry = new prometheus.Registry();
prometheus.collectDefaultMetrics({ register: registry });
const requests = new prometheus.Counter({
  name: "graphql_requests_total", help: "Requests by operation and outcome", labelNames: ["operation", "outcome"],
  registers: [registry],
});
const seconds = new prometheus.Histogram({
  name: "graphql_request_seconds", help: "Duration by operation", labelNames: ["operation"], registers: [registry],
  buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
});
const dropped = new prometheus.Counter({
  name: "audit_dropped_total", help: "Audit entries that the full queue dropped", registers: [registry],
});

const names = new Set();

function label(name) {
  if (name === null) return "";
  if (names.size < MAX_NAMES) names.add(name);
  return names.has(name) ? name : "other";
}

const NO_OPERATION = { document: null, operation: null, kind: null, cost: null };

function account(request, reply) {
  const { document, operation, kind, cost } = request.operation ?? NO_OPERATION;
  const entry = {
    at: Date.now() / 1000, request_id: request.id, subject: request.who?.subject ?? "",
    roles: request.who?.roles.join(",") ?? "", document, operation, kind, status: reply.statusCode,
    outcome: request.outcome, code: request.code, cost, milliseconds: Math.round(reply.elapsedTime * 10) / 10,
  };
  requests.inc({ operation: label(operation), outcome: entry.outcome }, 1);
  seconds.observe({ operation: label(operation) }, reply.elapsedTime / 1000);
  if (!audit.add(entry)) dropped.inc();
  const { at, request_id, roles, cost: _, ...shown } = entry;
  request.log.info(shown, "request");
}

// Called where an answer has errors. `data` tells whether the operation ran.
export function failed(request, errors, { data }) {
  request.outcome = data ? "partial" : "failed";
  request.code = errors[0]?.extensions?.code ?? errors[0]?.code ?? null;
}

export const app = Fastify({
  loggerInstance: pino(pino.destination({ dest: 1, sync: false, minLength: 4096 })),
  logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: "request_id" }),
  genReqId: () => randomUUID(),
});
app.decorateRequest("who", null);
app.decorateRequest("operation", null);
app.decorateRequest("outcome", "ok");
app.decorateRequest("code", null);

app.addHook("onRequest", async (request, reply) => {
  if (request.routeOptions.url !== PATH) return;
  try {
    request.who = await verify(request.headers.authorization);
  } catch (error) {
    if (!(error instanceof Unauthenticated)) throw error;
    const errors = [{ message: error.message, extensions: { code: "UNAUTHENTICATED" } }];
    failed(request, errors, { data: false });
    return reply.code(401).header("www-authenticate", "Bearer").send({ errors });
  }
});
app.addHook("onResponse", (request, reply, done) => {
  if (request.routeOptions.url === PATH) account(request, reply);
  done();
});
app.get("/metrics", async (_, reply) => reply.type(registry.contentType).send(await registry.metrics()));
app.addHook("onClose", async () => audit.close());

export async function listen() {
  await app.listen({ port, host: "127.0.0.1" });
  process.once("SIGTERM", () => app.close());
}
