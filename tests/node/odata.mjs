// An OData server of another project, over the metadata and rows in odata/, on a free port of this machine. Prints its
// address as one JSON line, and ends with standard input.
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import FEMockserver from '@sap-ux/fe-mockserver-core';

const folder = fileURLToPath(new URL('odata', import.meta.url));
const Mockserver = FEMockserver.default ?? FEMockserver;
const mock = new Mockserver({
  services: [
    { urlPath: '/base/v4', metadataPath: `${folder}/metadata.xml`, mockdataPath: folder, generateMockData: false, noETag: true },
  ],
});
await mock.isReady;
const router = mock.getRouter();
// In JSON batches this server reads `contentId` in place of `id`, and paths with a slash before them.
const readBatch = async (request) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const { requests } = JSON.parse(Buffer.concat(chunks));
  const changed = requests.map((one) => ({ ...one, contentId: one.id, url: `/${one.url}` }));
  request.body = JSON.stringify({ requests: changed });
  request._body = true;
};
const server = createServer(async (request, response) => {
  if (request.url.endsWith('/$batch') && request.headers['content-type'] === 'application/json') await readBatch(request);
  router(request, response, () => response.writeHead(404).end());
});
await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
console.log(JSON.stringify({ url: `http://127.0.0.1:${server.address().port}` }));
process.stdin.on('end', () => process.exit()).resume();
