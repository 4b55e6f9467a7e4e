// A certified OpenID Connect provider on a free port of this machine. Prints its address as one JSON line; then each
// line on standard input changes its keys, and is answered by the ids of those that it publishes:
//   publish    a new key stands beside the old ones        sign    the newest key signs        retire    the others go
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { Provider } from 'oidc-provider';

const partners = JSON.parse(process.argv[2]);
const key = () => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), alg: 'RS256', use: 'sig' };
};
const clients = Object.entries(partners).map(([client_id, { secret }]) => ({
  client_id,
  client_secret: secret,
  grant_types: ['client_credentials'],
  redirect_uris: [],
  response_types: [],
}));

// The provider signs with the first of its keys that fits.
let keys = [key()];
let answer = (request, response) => response.writeHead(503).end();
const server = createServer((request, response) => answer(request, response));
await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
const issuer = `http://127.0.0.1:${server.address().port}`;

const restart = () => {
  answer = new Provider(issuer, {
    clients,
    jwks: { keys },
    ttl: { ClientCredentials: 300 },
    cookies: { keys: [randomUUID()] },
    extraTokenClaims: (_, { clientId }) => partners[clientId].claims,
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, audience) => ({
          audience,
          scope: 'graph',
          accessTokenFormat: 'jwt',
          accessTokenTTL: 300,
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
  }).callback();
};

const commands = {
  publish: () => (keys = [...keys, key()]),
  sign: () => (keys = [keys.at(-1), ...keys.slice(0, -1)]),
  retire: () => (keys = keys.slice(0, 1)),
};

restart();
console.log(JSON.stringify({ issuer }));
for await (const line of createInterface({ input: process.stdin })) {
  commands[line]();
  restart();
  console.log(JSON.stringify(keys.map(({ kid }) => kid)));
}
process.exit(0);
