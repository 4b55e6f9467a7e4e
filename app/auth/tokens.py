"""Bearer tokens: verifies a JWT and maps it to a principal.

The reason for a refusal is logged; the caller always gets the same message.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from cachetools import LRUCache
from joserfc import jws, jwt
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwk import Key
from joserfc.util import urlsafe_b64decode

from app.auth.claims import REFUSED, principal_of
from app.auth.credentials import bearer
from app.auth.fetching import Fetcher
from app.auth.issuers import Issuer, trusted_issuers
from app.auth.principal import AnyRole, Principal
from app.errors import CredentialTooLarge, Unauthenticated
from app.settings import AuthSettings
from app.settings.roles import BUILT_IN_ROLES

MAX_TOKEN_BYTES = 8 * 1024
MAX_KEY_ID = 256
CACHE_TTL = 60.0
"""Seconds for which a verified token is believed without being verified again, but never past its `exp`: so long, too,
after its key is known to be gone."""

CACHE_SIZE = 10_000

TYPES = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})
"""What the header may say that the token is: RFC 7519 and RFC 9068. Issuers sign other things with the same keys."""


class _Algorithms(jws.JWSRegistry):
    """The allow-list. joserfc warns on each use of EdDSA since RFC 9864, and issuers will write it for years."""

    def get_alg(self, name: str) -> Any:
        if name not in (self.allowed or ()) or name not in self.algorithms:
            raise UnsupportedAlgorithmError(f"{name!r} is not allowed")
        return self.algorithms[name]


class _Verifier:
    """Verifies the tokens of one issuer; `exp`, `iss` and `aud` are required."""

    def __init__(self, issuer: Issuer, leeway: int, now: Callable[[], float]) -> None:
        self.issuer = issuer
        self._registry = _Algorithms(algorithms=sorted(issuer.algorithms), strict_check_header=False)
        self._claims = jwt.JWTClaimsRegistry(
            now=lambda: int(now()),
            leeway=leeway,
            iss={"essential": True, "value": issuer.name},
            aud={"essential": True, "value": issuer.audience},
            exp={"essential": True},
        )

    async def verified(self, token: str, header: dict[str, Any]) -> dict[str, Any]:
        key = await self._key(header)
        claims = jwt.decode(token, key, registry=self._registry).claims
        self._claims.validate(claims)
        if not math.isfinite(claims["exp"]):
            raise ValueError("exp is not a timestamp")
        return claims

    async def _key(self, header: dict[str, Any]) -> Key:
        """The issuer's key that the header names. Keys in the header itself (`jwk`, `jku`, `x5c`, `x5u`) are ignored:
        they are not trusted."""
        algorithm, key_id = header.get("alg"), header.get("kid")
        if algorithm not in self.issuer.algorithms:
            raise UnsupportedAlgorithmError(f"{str(algorithm)[:20]!r} is not allowed")
        if not isinstance(key_id, str | None) or len(key_id or "") > MAX_KEY_ID:
            raise ValueError("kid is not a string")
        key = await self.issuer.keys.find(algorithm, key_id)
        if key is None:
            raise ValueError("no key, or more than one, matches the header")
        return key


class TokenAuthenticator:
    """Verifies JWTs by the keys of their issuers. `roles` are those of the deployment by name, `now` is the time of
    day, `timer` is monotonic."""

    def __init__(
        self,
        settings: AuthSettings,
        *,
        demo: bool = False,
        roles: Mapping[str, AnyRole] = BUILT_IN_ROLES,
        now: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
        fetcher: Fetcher | None = None,
    ) -> None:
        issuers = trusted_issuers(settings, demo=demo, roles=roles, fetcher=fetcher, timer=timer)
        self._verifiers = {name: _Verifier(issuer, settings.leeway, now) for name, issuer in issuers.items()}
        self._now = now
        self._known: LRUCache[str, tuple[Principal, float]] = LRUCache(maxsize=CACHE_SIZE)

    async def authenticate(self, authorization: str | None) -> Principal:
        """Verify `Bearer <JWT>`."""
        token = bearer(authorization)
        if len(token) > MAX_TOKEN_BYTES:
            raise CredentialTooLarge
        known = self._known.get(token)
        if known is not None and self._now() < known[1]:
            return known[0]
        try:
            verifier, header = self._select_verifier(token)
            principal = principal_of(await verifier.verified(token, header), verifier.issuer)
        except (JoseError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise Unauthenticated(REFUSED, detail=f"{type(error).__name__}: {error}") from None
        self._known[token] = (principal, min(principal.expires_at or 0.0, self._now() + CACHE_TTL))
        return principal

    def _select_verifier(self, token: str) -> tuple[_Verifier, dict[str, Any]]:
        parts = token.split(".")
        if len(parts) != 3:
            raise ValueError("is not in three parts")
        header, claims = _json_object(parts[0]), _json_object(parts[1])
        if str(header.get("typ", "JWT")).lower() not in TYPES:
            raise ValueError(f"is of type {str(header['typ'])[:20]!r}")
        name = claims.get("iss")
        verifier = self._verifiers.get(name) if isinstance(name, str) else None
        if verifier is None:
            raise ValueError("iss is not a configured issuer")
        return verifier, header

    async def warm(self) -> None:
        """Fetch the issuers' keys before the first request."""
        await asyncio.gather(*(verifier.issuer.keys.warm() for verifier in self._verifiers.values()))

    async def aclose(self) -> None:
        """Stop fetching keys."""
        await asyncio.gather(*(verifier.issuer.keys.aclose() for verifier in self._verifiers.values()))


def _json_object(part: str) -> dict[str, Any]:
    value = json.loads(urlsafe_b64decode(part.encode("ascii")))
    if not isinstance(value, dict):
        raise TypeError("is no JSON object")
    return value
