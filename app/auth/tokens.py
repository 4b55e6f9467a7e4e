"""Bearer tokens: a JWT is verified and becomes a principal.

What is wrong with a refused token goes to the log by its claim or kind; the caller hears one sentence, always the same.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Protocol

from cachetools import LRUCache
from joserfc import jws, jwt
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwk import ECKey, Key, KeySet, OctKey, OKPKey, RSAKey, import_key

from app.auth.principal import Principal, Role
from app.errors import ConfigurationError, Unauthenticated
from app.settings import AuthSettings

MAX_TOKEN_BYTES = 8 * 1024
MAX_CUSTOMERS = 1000
KEPT = 60.0
"""Seconds for which a verified token is believed without being verified again, but never past its `exp`."""

MOST_KEPT = 10_000
REFUSED = "The bearer token was not accepted. Get a new one and send it in the Authorization header."

# Which kind of key an algorithm may be used with: a public key never serves as an HMAC secret.
KEY_TYPES = {"R": RSAKey, "P": RSAKey, "E": ECKey, "H": OctKey}


class _Algorithms(jws.JWSRegistry):
    """The allow-list. joserfc warns on each use of EdDSA since RFC 9864, and issuers will write it for years."""

    def get_alg(self, name: str) -> Any:
        if name not in (self.allowed or ()) or name not in self.algorithms:
            raise UnsupportedAlgorithmError(f"{name!r} is not allowed")
        return self.algorithms[name]


class Authenticator(Protocol):
    """Turns the value of an Authorization header into who asks. Raises Unauthenticated."""

    async def authenticate(self, authorization: str | None) -> Principal:
        """The bearer of this credential; None where there was no header."""
        ...


class TokenAuthenticator:
    """Verifies JWTs by configured keys: algorithm allow-list; `exp`, `iss`, `aud` and `sub` required."""

    def __init__(self, settings: AuthSettings, *, demo: bool = False, now: Callable[[], float] = time.time) -> None:
        self._algorithms = _algorithms(settings, demo=demo)
        self._keys = _keys(settings)
        self._now = now
        self._known: LRUCache[str, tuple[Principal, float]] = LRUCache(maxsize=MOST_KEPT)
        self._registry = _Algorithms(algorithms=list(self._algorithms), strict_check_header=False)
        self._claims = jwt.JWTClaimsRegistry(
            now=lambda: int(self._now()),
            leeway=settings.leeway,
            iss={"essential": True, "value": _required("issuer", settings.issuer)},
            aud={"essential": True, "value": _required("audience", settings.audience)},
            exp={"essential": True},
            sub={"essential": True},
        )

    async def authenticate(self, authorization: str | None) -> Principal:
        """Verify `Bearer <JWT>`."""
        if authorization is None:
            raise Unauthenticated
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated
        if len(token) > MAX_TOKEN_BYTES:
            raise Unauthenticated(REFUSED, detail="longer than 8 kB")
        known = self._known.get(token)
        if known is not None and self._now() < known[1]:
            return known[0]
        claims = self._verified(token)
        principal = principal_of(claims)
        self._known[token] = (principal, min(float(claims["exp"]), self._now() + KEPT))
        return principal

    def _verified(self, token: str) -> dict[str, Any]:
        try:
            claims = jwt.decode(token, self._key_for, registry=self._registry).claims
            self._claims.validate(claims)
            if not math.isfinite(claims["exp"]):
                raise ValueError("exp is no time")
        except (JoseError, ValueError, TypeError, RecursionError) as error:
            raise Unauthenticated(REFUSED, detail=f"{type(error).__name__}: {error}") from None
        return claims

    def _key_for(self, token: Any) -> Key:
        """The one configured key of the right kind that the header's `kid` names; without `kid` the only such key."""
        header = token.headers()
        algorithm = str(header.get("alg", ""))
        kind = KEY_TYPES.get(algorithm[:1], OKPKey) if not algorithm.startswith("Ed") else OKPKey
        fitting = [key for key in self._keys if isinstance(key, kind) and key.alg in {None, algorithm}]
        if header.get("kid") is not None:
            named = [key for key in fitting if key.kid == header["kid"]]
            # A single key given in PEM has no name that an issuer could know.
            fitting = named or ([] if len(self._keys.keys) > 1 else fitting)
        if len(fitting) != 1:
            raise ValueError(f"{len(fitting)} keys fit")
        return fitting[0]


def principal_of(claims: dict[str, Any]) -> Principal:
    """Who the verified claims speak of: `sub`, `roles` (at least one known), `customers`, `tenant`, and the
    application that the token was issued to: `azp`, else `client_id`."""
    subject = claims["sub"]
    known = {role.value for role in Role}
    roles = frozenset(Role(name) for name in _strings(claims, "roles") if name in known)
    customers = frozenset(_strings(claims, "customers"))
    tenant = claims.get("tenant", "default")
    client = claims.get("azp") or claims.get("client_id") or subject
    if not _is_name(subject) or not _is_name(client) or not isinstance(tenant, str):
        raise Unauthenticated(REFUSED, detail="sub, client or tenant is not a name")
    if not roles:
        raise Unauthenticated("The bearer token names no role that this gateway knows.", detail="no known role")
    if len(customers) > MAX_CUSTOMERS:
        raise Unauthenticated(REFUSED, detail=f"{len(customers)} customers")
    return Principal(
        subject=subject,
        roles=roles,
        customers=customers,
        tenant=tenant,
        client=client,
        expires_at=float(claims["exp"]),
    )


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 256


def _strings(claims: dict[str, Any], name: str) -> Collection[str]:
    values = claims.get(name, [])
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise Unauthenticated(REFUSED, detail=f"{name} is not a list of strings")
    return values


def _algorithms(settings: AuthSettings, *, demo: bool) -> tuple[str, ...]:
    if "HS256" in settings.algorithms and not demo:
        cure = "a shared secret is for demos only; name the algorithms of your issuer's public keys, such as RS256"
        raise ConfigurationError("auth.algorithms", list(settings.algorithms), cure)
    return settings.algorithms


def _required(key: str, value: str | None) -> str:
    if value is None:
        raise ConfigurationError(
            f"auth.{key}", None, f"is required: the '{key[:3]}' that tokens for this gateway carry"
        )
    return value


def _keys(settings: AuthSettings) -> KeySet:
    keys: list[Key] = []
    if settings.jwks_file:
        keys += _key_set(settings.jwks_file)
    if settings.public_key:
        keys.append(_public_key(settings.public_key))
    if settings.secret:
        keys.append(OctKey.import_key(settings.secret.get_secret_value()))
    if not keys:
        cure = "no key to verify tokens with; set one of jwks_file, public_key, public_key_file"
        raise ConfigurationError("auth.jwks_file", None, cure)
    return KeySet(keys)


def _key_set(file: Path) -> list[Key]:
    try:
        keys = KeySet.import_key_set(json.loads(file.read_text(encoding="utf-8"))).keys
    except OSError as error:
        raise ConfigurationError("auth.jwks_file", str(file), f"cannot be read ({error.strerror})") from None
    except (JoseError, ValueError, TypeError, KeyError) as error:
        cure = f"is not a JWK set ({type(error).__name__})"
        raise ConfigurationError("auth.jwks_file", str(file), cure) from None
    if any(isinstance(key, OctKey) for key in keys):
        raise ConfigurationError("auth.jwks_file", str(file), "holds a shared secret; only public keys belong here")
    return keys


def _public_key(pem: str) -> Key:
    for kind in ("RSA", "EC", "OKP"):
        try:
            return import_key(pem, kind)
        except (JoseError, ValueError, TypeError):
            continue
    cure = "is not a public key in PEM: it begins with -----BEGIN PUBLIC KEY-----"
    raise ConfigurationError("auth.public_key", "(hidden)", cure)
