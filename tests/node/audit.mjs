// Runs the GraphQL-over-HTTP audit suite against URL with TOKEN; prints one JSON object a line.
import { serverAudits } from 'graphql-http';

const [url, authorization] = process.argv.slice(2);
const fetchFn = (address, options = {}) =>
  fetch(address, { ...options, headers: { ...options.headers, authorization } });

for (const audit of serverAudits({ url, fetchFn })) {
  const { id, name, status, reason } = { id: audit.id, name: audit.name, ...(await audit.fn()) };
  console.log(JSON.stringify({ id, name, status, reason }));
}
