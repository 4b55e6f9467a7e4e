"""Key sets that verify signatures: configured, or fetched from an issuer and cached."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey, import_key
from joserfc.util import urlsafe_b64decode

from app.auth.fetching import FetchFailed
from app.errors import AuthenticationUnavailable
from app.telemetry import log

MAX_KEYS = 100
MIN_RSA_BITS = 2048

DEFAULT_TTL = 600.0
MIN_TTL = 60.0
MAX_TTL = 3600.0
"""Seconds for which a key set holds: what its sender says within these bounds, or the default."""

REFRESH_AT = 0.8
"""Part of its time after which a key set is read again beside the requests, so that none waits for it."""

MAX_STALENESS = 24 * 3600.0
"""Seconds beyond its time for which a key set is believed while the issuer cannot be reached."""

RETRY_DELAY = 10.0
MAX_RETRY_DELAY = 120.0
"""Seconds between two attempts to read, however many unknown key ids are named; doubled after each failure."""

# Which kind of key an algorithm may be used with: a public key never serves as an HMAC secret.
_KINDS = {"RS": RSAKey, "PS": RSAKey, "ES": ECKey, "HS": OctKey, "Ed": OKPKey}

ReadKeys = Callable[[], Awaitable[tuple[Sequence[Key], float | None]]]
"""Reads a key set, and for how many seconds it holds. Raises FetchFailed."""


class KeySet(Protocol):
    """The keys of one issuer."""

    async def find(self, algorithm: str, key_id: str | None) -> Key | None:
        """The key with this id for this algorithm. Raises AuthenticationUnavailable if no key set is available."""
        ...

    async def warm(self) -> None:
        """Fetch the keys; failures are logged."""
        ...

    async def aclose(self) -> None:
        """Stop fetching."""
        ...


class StaticKeySet:
    """Configured keys."""

    def __init__(self, keys: Sequence[Key]) -> None:
        self._keys = keys

    async def find(self, algorithm: str, key_id: str | None) -> Key | None:
        return select_key(self._keys, algorithm, key_id)

    async def warm(self) -> None:
        pass

    async def aclose(self) -> None:
        pass


class RemoteKeySet:
    """Keys that an issuer publishes. Concurrent callers share one fetch."""

    def __init__(self, issuer: str, read: ReadKeys, *, now: Callable[[], float] = time.monotonic) -> None:
        self._issuer = issuer
        self._read = read
        self._now = now
        self._keys: Sequence[Key] = ()
        self._refresh_at = self._fresh_until = self._usable_until = float("-inf")
        self._not_before = float("-inf")
        self._failures = 0
        self._reading: asyncio.Task[None] | None = None

    async def find(self, algorithm: str, key_id: str | None) -> Key | None:
        now = self._now()
        if now >= self._usable_until or (now >= self._fresh_until and not self._failures):
            await self._wait_for_refresh()
        elif now >= self._refresh_at:
            # Also while the issuer fails and the keys grow stale: a slow issuer holds up nobody whose key is known.
            self._start()
        if self._now() >= self._usable_until:
            raise AuthenticationUnavailable(detail=f"{self._issuer}: no key set")
        found = select_key(self._keys, algorithm, key_id)
        if found is None and await self._wait_for_refresh():
            found = select_key(self._keys, algorithm, key_id)
        return found

    async def warm(self) -> None:
        await self._wait_for_refresh()

    async def aclose(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading})

    async def _wait_for_refresh(self) -> bool:
        reading = self._start()
        if reading is None:
            return False
        # The read goes on when one of those who wait for it leaves.
        await asyncio.shield(reading)
        return True

    def _start(self) -> asyncio.Task[None] | None:
        if self._reading is None and self._now() >= self._not_before:
            self._reading = asyncio.create_task(self._refresh())
        return self._reading

    async def _refresh(self) -> None:
        try:
            keys, age = await self._read()
        except FetchFailed as failure:
            self._failures += 1
            log.warning("key_set_fetch_failed", issuer=self._issuer, failures=self._failures, detail=str(failure))
        else:
            self._failures = 0
            self._store(keys, DEFAULT_TTL if age is None else min(max(age, MIN_TTL), MAX_TTL))
        finally:
            # Counted from the end, so that a slow issuer is not asked without a pause.
            self._not_before = self._now() + min(RETRY_DELAY * 2 ** max(0, self._failures - 1), MAX_RETRY_DELAY)
            self._reading = None

    def _store(self, keys: Sequence[Key], age: float) -> None:
        now = self._now()
        self._keys = keys
        self._refresh_at = now + REFRESH_AT * age
        self._fresh_until = now + age
        self._usable_until = self._fresh_until + MAX_STALENESS


def select_key(keys: Sequence[Key], algorithm: str, key_id: str | None) -> Key | None:
    """The one matching key; None if none or several match."""
    kind = _KINDS.get(algorithm[:2])
    fitting = [key for key in keys if kind and isinstance(key, kind) and key.alg in {None, algorithm}]
    if key_id is not None:
        # A single key given in PEM has no name that an issuer could know.
        nameless = len(keys) == 1 and keys[0].kid is None
        fitting = fitting if nameless else [key for key in fitting if key.kid == key_id]
    return fitting[0] if len(fitting) == 1 else None


def public_keys(content: Any) -> tuple[list[Key], list[str]]:
    """The keys of a JWK set that can verify signatures, and the reasons for skipping others. Raises ValueError if it is
    no JWK set."""
    members = content.get("keys") if isinstance(content, dict) else None
    if not isinstance(members, list):
        raise ValueError("is not a JWK set")  # noqa: TRY004 - it is what was sent that is wrong, not a type here
    if len(members) > MAX_KEYS:
        raise ValueError(f"has {len(members)} keys, more than {MAX_KEYS}")
    keys: list[Key] = []
    left_out: list[str] = []
    for index, member in enumerate(members):
        try:
            keys.append(_public_key(member))
        except (JoseError, ValueError, TypeError, KeyError) as error:
            left_out.append(f"key {index}: {error or type(error).__name__}")
    return keys, left_out


def _public_key(member: Any) -> Key:
    if not isinstance(member, dict):
        raise TypeError("is no object")
    if member.get("kty") not in {"RSA", "EC", "OKP"}:
        raise ValueError("is not a public key")
    if member.get("use", "sig") != "sig":
        raise ValueError("is not for signatures")
    if "verify" not in member.get("key_ops", ["verify"]):
        raise ValueError("is not for verifying")
    if not isinstance(member.get("kid"), str | None):
        raise TypeError("has a key id that is not a string")
    if member["kty"] == "RSA" and _bits(member.get("n")) < MIN_RSA_BITS:
        raise ValueError(f"has fewer than {MIN_RSA_BITS} bits")
    public = {name: value for name, value in member.items() if name in {"kty", "kid", "alg", "n", "e", "crv", "x", "y"}}
    return import_key(public)


def _bits(number: Any) -> int:
    return int.from_bytes(urlsafe_b64decode(str(number).encode("ascii"))).bit_length()
