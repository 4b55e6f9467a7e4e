// The cost of an operation, by graphql-query-complexity; kept by what it depends on, as the gateway keeps its own.
import { createHash } from "node:crypto";
import { GraphQLError, getNullableType, getOperationAST, isListType } from "graphql";
import { getComplexity } from "graphql-query-complexity";

const LIST_SIZE = 5; // rows assumed for a list without a page size
const MAX_SHAPES = 200; // costs kept for one document

const operations = new WeakMap();

function estimate({ args, field, childComplexity }) {
  const rows = args.first ?? args.last ?? args.skus?.length;
  return 1 + (rows ?? (isListType(getNullableType(field.type)) ? LIST_SIZE : 1)) * childComplexity;
}

// The part of the variables that decides the cost: numbers, flags, and lengths of lists.
const shape = (variables) =>
  JSON.stringify(variables, (_, value) =>
    Array.isArray(value) ? value.length : typeof value === "string" ? "" : value);

function describe(document, source, operationName) {
  const node = getOperationAST(document, operationName);
  if (!node) throw new GraphQLError("The document has no operation of this name.");
  const id = `sha256:${createHash("sha256").update(source).digest("hex")}`;
  return { document: id, operation: node.name?.value ?? null, kind: node.operation, costs: new Map() };
}

// {document, operation, kind, cost} of a valid operation; throws GraphQLError beyond `maxCost`.
export function admit(schema, { document, source, operationName, variables }, maxCost) {
  let byName = operations.get(document);
  if (byName === undefined) operations.set(document, (byName = new Map()));
  let known = byName.get(operationName);
  if (known === undefined) byName.set(operationName, (known = describe(document, source, operationName)));
  const key = shape(variables);
  let cost = known.costs.get(key);
  if (cost === undefined) {
    cost = getComplexity({ schema, query: document, operationName, variables, estimators: [estimate] });
    if (known.costs.size >= MAX_SHAPES) known.costs.clear();
    known.costs.set(key, cost);
  }
  if (cost > maxCost) {
    const extensions = { code: "COST_LIMIT_EXCEEDED" };
    throw new GraphQLError(`Operation cost ${cost} exceeds the limit of ${maxCost}.`, { extensions });
  }
  return { document: known.document, operation: known.operation, kind: known.kind, cost };
}
