"""Trusted token issuers from settings: their keys, and what their tokens may claim."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import Key, OctKey, import_key

from app.auth.fetching import Fetched, Fetcher, FetchFailed, is_http_url, is_secure
from app.auth.key_sets import KeySet, RemoteKeySet, StaticKeySet, public_keys
from app.auth.principal import AnyRole, RowReach, row_reach
from app.errors import ConfigurationError
from app.settings import AuthSettings, ClaimNames, IssuerSettings
from app.settings.roles import BUILT_IN_ROLES
from app.telemetry import log

DISCOVERY = "/.well-known/openid-configuration"

Read = Callable[[str], Awaitable[Fetched]]
Timer = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Issuer:
    """An issuer. `roles` and `customers` (patterns) limit what its tokens may grant; `namespace` prefixes its subjects
    and clients."""

    name: str
    audience: str
    algorithms: frozenset[str]
    keys: KeySet
    claims: ClaimNames
    roles: frozenset[AnyRole]
    customers: tuple[str, ...]
    namespace: str | None


def trusted_issuers(
    settings: AuthSettings,
    *,
    demo: bool,
    roles: Mapping[str, AnyRole] = BUILT_IN_ROLES,
    fetcher: Fetcher | None = None,
    timer: Timer = time.monotonic,
) -> dict[str, Issuer]:
    """The configured issuers by the `iss` of their tokens; `roles` are those of the deployment. Raises
    ConfigurationError."""
    read = (fetcher or Fetcher(anywhere=demo)).read
    entries: list[tuple[str, IssuerSettings]] = []
    if settings.issuer is not None or not settings.issuers:
        entries.append(("auth", settings))
    entries += [(f"auth.issuers[{index}]", entry) for index, entry in enumerate(settings.issuers)]
    found: dict[str, Issuer] = {}
    for key, entry in entries:
        issuer = _issuer(key, entry, _roles(key, entry, roles), demo=demo, read=read, timer=timer)
        if issuer.name in found:
            raise ConfigurationError(f"{key}.issuer", issuer.name, "is configured twice; keep one entry for it")
        found[issuer.name] = issuer
    return found


def _issuer(
    key: str, settings: IssuerSettings, roles: frozenset[AnyRole], *, demo: bool, read: Read, timer: Timer
) -> Issuer:
    name = _required(key, "issuer", settings.issuer)
    return Issuer(
        name=name,
        audience=_required(key, "audience", settings.audience),
        algorithms=_algorithms(key, settings, demo=demo),
        keys=_keys(key, name, settings, demo=demo, read=read, timer=timer),
        claims=settings.claims,
        roles=roles,
        customers=settings.customers,
        namespace=settings.namespace,
    )


def _required(key: str, name: str, value: str | None) -> str:
    if value is None:
        raise ConfigurationError(
            f"{key}.{name}", None, f"is required: the '{name[:3]}' that tokens for this gateway carry"
        )
    return value


def _algorithms(key: str, settings: IssuerSettings, *, demo: bool) -> frozenset[str]:
    if "HS256" in settings.algorithms and not demo:
        cure = "a shared secret is for demos only; name the algorithms of your issuer's public keys, such as RS256"
        raise ConfigurationError(f"{key}.algorithms", list(settings.algorithms), cure)
    return frozenset(settings.algorithms)


def _roles(key: str, settings: IssuerSettings, known: Mapping[str, AnyRole]) -> frozenset[AnyRole]:
    bound = "*" not in settings.customers
    unrestricted = frozenset(role for role in known.values() if row_reach(role) is RowReach.ALL)
    if settings.roles is None:
        return frozenset(known.values()) - unrestricted if bound else frozenset(known.values())
    unknown = [name for name in settings.roles if name not in known]
    if unknown:
        raise ConfigurationError(f"{key}.roles", unknown[0], f"choose from {', '.join(known)}")
    roles = frozenset(known[name] for name in settings.roles)
    if bound and roles & unrestricted:
        cure = "sees every customer, so that `customers` would limit nothing; leave the role or `customers` out"
        raise ConfigurationError(f"{key}.roles", min(roles & unrestricted).value, cure)
    return roles


# Keys


def _keys(key: str, name: str, settings: IssuerSettings, *, demo: bool, read: Read, timer: Timer) -> KeySet:
    given: list[Key] = []
    if settings.jwks_file:
        given += _from_file(f"{key}.jwks_file", settings.jwks_file)
    if settings.public_key:
        given.append(_from_pem(f"{key}.public_key", settings.public_key))
    if isinstance(settings, AuthSettings) and settings.secret:
        given.append(OctKey.import_key(settings.secret.get_secret_value()))
    if settings.jwks_url and given:
        raise ConfigurationError(f"{key}.jwks_url", settings.jwks_url, "is set together with other keys; keep one")
    if given:
        return StaticKeySet(given)
    if settings.jwks_url:
        url = _address(f"{key}.jwks_url", settings.jwks_url, demo=demo)
        return RemoteKeySet(name, lambda: _published(read, url), now=timer)
    _address(f"{key}.issuer", name, demo=demo, otherwise="; or say where its keys are: jwks_url, jwks_file, public_key")
    return RemoteKeySet(name, lambda: _discovered(read, name), now=timer)


def _address(key: str, url: str, *, demo: bool, otherwise: str = "") -> str:
    if not is_http_url(url) or not (is_secure(url) or demo):
        cure = f"should be https:// with a host; http:// is for servers on this machine{otherwise}"
        raise ConfigurationError(key, url, cure)
    return url


async def _discovered(read: Read, issuer: str) -> tuple[Sequence[Key], float | None]:
    """The keys at the `jwks_uri` of the issuer's discovery document (OpenID Connect Discovery 1.0, section 4)."""
    url = f"{issuer.rstrip('/')}{DISCOVERY}"
    content = (await read(url)).content
    if not isinstance(content, dict) or content.get("issuer") != issuer:
        raise FetchFailed(f"{url}: the discovery document names another issuer than {issuer!r}")
    address = content.get("jwks_uri")
    if not isinstance(address, str):
        raise FetchFailed(f"{url}: has no jwks_uri")
    return await _published(read, address)


async def _published(read: Read, url: str) -> tuple[Sequence[Key], float | None]:
    fetched = await read(url)
    try:
        keys, left_out = public_keys(fetched.content)
    except ValueError as error:
        raise FetchFailed(f"{url}: {error}") from None
    if left_out:
        log.info("jwks_keys_skipped", url=url, reasons=left_out[:10])
    if not keys:
        raise FetchFailed(f"{url}: has no key that could verify a signature")
    return keys, fetched.max_age


def _from_file(key: str, file: Path) -> list[Key]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        keys, left_out = public_keys(content)
    except OSError as error:
        raise ConfigurationError(key, str(file), f"cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise ConfigurationError(key, str(file), f"is not a JWK set ({type(error).__name__})") from None
    if _has_shared_secret(content):
        raise ConfigurationError(key, str(file), "holds a shared secret; only public keys belong here")
    if left_out or not keys:
        reason = left_out[0] if left_out else "it is empty"
        raise ConfigurationError(key, str(file), f"has keys that cannot verify a signature ({reason})")
    return keys


def _has_shared_secret(content: dict[str, Any]) -> bool:
    return any(isinstance(member, dict) and member.get("kty") == "oct" for member in content["keys"])


def _from_pem(key: str, pem: str) -> Key:
    for kind in ("RSA", "EC", "OKP"):
        try:
            return import_key(pem, kind)
        except (JoseError, ValueError, TypeError):
            continue
    cure = "is not a public key in PEM: it begins with -----BEGIN PUBLIC KEY-----"
    raise ConfigurationError(key, "(hidden)", cure)
