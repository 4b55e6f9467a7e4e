// Bearer tokens: RS256, verified on every request by the issuer's key set. No result is cached.
import { createPublicKey } from "node:crypto";
import { createVerifier } from "fast-jwt";

const LEEWAY_MS = 30_000;
const REFRESH_MS = 600_000;
const COOLDOWN_MS = 30_000; // between two reads of the key set for an unknown key id

export class Unauthenticated extends Error {}

// Resolves to a function from the Authorization header to {subject, roles, customers}; it throws Unauthenticated.
export async function tokenVerifier({ issuer, audience, jwks }) {
  let verifiers = new Map();
  let readAt = 0;

  function verifierOf(jwk) {
    const key = createPublicKey({ key: jwk, format: "jwk" }).export({ type: "spki", format: "pem" });
    return createVerifier({
      key, algorithms: ["RS256"], allowedIss: issuer, allowedAud: audience, requiredClaims: ["exp", "sub"],
      clockTolerance: LEEWAY_MS, cache: false,
    });
  }

  async function readKeySet() {
    readAt = Date.now();
    const response = await fetch(jwks);
    if (!response.ok) throw new Error(`${jwks} answered ${response.status}`);
    const { keys } = await response.json();
    verifiers = new Map(keys.map((jwk) => [jwk.kid, verifierOf(jwk)]));
  }

  async function find(keyId) {
    if (!verifiers.has(keyId) && Date.now() - readAt > COOLDOWN_MS) await readKeySet();
    return verifiers.get(keyId);
  }

  await readKeySet();
  setInterval(() => readKeySet().catch(() => {}), REFRESH_MS).unref(); // A failure leaves the keys as they are.

  return async (authorization) => {
    try {
      const token = /^Bearer ([\w.-]+)$/i.exec(authorization)[1];
      const header = JSON.parse(Buffer.from(token.slice(0, token.indexOf(".")), "base64url").toString());
      const claims = (verifiers.get(header.kid) ?? (await find(header.kid)))(token);
      return { subject: claims.sub, roles: claims.roles ?? [], customers: claims.customers ?? [] };
    } catch (error) {
      throw new Unauthenticated("The access token is missing or not valid.", { cause: error });
    }
  };
}
