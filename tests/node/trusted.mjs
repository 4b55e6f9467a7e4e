// Trusted documents as other people's clients ask for them. Prints the data of each answer as one line of JSON.
//   node trusted.mjs apq|manifest|relay URL AUTHORIZATION DOCUMENT-OR-MANIFEST VARIABLES
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from "@apollo/client";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries";
import { generatePersistedQueryIdsFromManifest } from "@apollo/persisted-query-lists";
import relay from "relay-runtime";

const [way, url, authorization, file, variables] = process.argv.slice(2);
const text = readFileSync(file, "utf8");
const sent = [];

async function counted(address, options) {
  sent.push({ method: options.method, text: (options.body ?? "").includes('"query"') });
  return fetch(address, options);
}

async function apollo(query, hashing, times) {
  const http = new HttpLink({ uri: url, headers: { authorization }, fetch: counted });
  const link = ApolloLink.from([new PersistedQueryLink(hashing), http]);
  const client = new ApolloClient({ cache: new InMemoryCache(), link });
  const given = { query, variables: JSON.parse(variables), fetchPolicy: "network-only" };
  for (let turn = 0; turn < times; turn++) answers.push((await client.query(given)).data);
  client.stop();
}

const answers = [];
if (way === "apq") {
  const sha256 = (printed) => createHash("sha256").update(printed).digest("hex");
  await apollo(gql(text), { sha256, useGETForHashedQueries: true }, 2);
} else if (way === "manifest") {
  const manifest = JSON.parse(text);
  const ids = generatePersistedQueryIdsFromManifest({ loadManifest: () => manifest });
  await apollo(gql(manifest.operations[0].body), ids, 1);
} else {
  const [[id]] = Object.entries(JSON.parse(text));
  const network = relay.Network.create(async (params, values) => {
    const body = JSON.stringify({ documentId: params.id, variables: values });
    const headers = { authorization, "content-type": "application/json" };
    return (await counted(url, { method: "POST", headers, body })).json();
  });
  const params = { id, cacheID: id, name: "Persisted", operationKind: "query", text: null, metadata: {} };
  answers.push((await network.execute(params, JSON.parse(variables), {}).toPromise()).data);
}
console.log(JSON.stringify({ answers, sent }));
