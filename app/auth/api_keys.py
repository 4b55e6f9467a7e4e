"""API keys of partners: `tg_<id>_<secret><check>`, 256 random bits, stored as a hash only.

The form makes leaked keys recognisable, and a mistyped key is refused without a lookup.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import secrets
import string
import time
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from app.auth.credentials import bearer
from app.auth.principal import AnyRole, Principal
from app.errors import AuthenticationUnavailable, StoreUnavailable, TradegraphError, Unauthenticated
from app.settings.roles import BUILT_IN_ROLES
from app.telemetry import log

PREFIX = "tg_"
REFUSED = "The API key was not accepted. Send a valid one in the Authorization header, or ask the operators for one."
MAX_LIVE_KEYS = 2
"""Live keys of one client: the old and the new one while it changes from one to the other."""

REFRESH_INTERVAL = 2.0
"""Seconds after which the store is asked whether anything changed; a revoked key ends so soon in every process."""

UNKNOWN_KEY_REFRESH_INTERVAL = 0.1
"""The same where a key is not known: a new one opens at once, and made-up ones cause few questions."""

MAX_STALENESS = 5.0
"""Seconds for which keys are believed while the store cannot be asked."""

USAGE_FLUSH_INTERVAL = 60.0
"""Seconds between two writes of when keys were used."""

_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_ID_LENGTH, _SECRET_LENGTH, _CHECK_LENGTH = 12, 43, 6  # 62**43 > 2**256
_FORM = re.compile(rf"tg_([0-9a-z]{{{_ID_LENGTH}}})_([0-9A-Za-z]{{{_SECRET_LENGTH}}})([0-9A-Za-z]{{{_CHECK_LENGTH}}})")


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A stored API key, without the key. Times are in seconds since 1970."""

    id: str
    digest: str = field(repr=False)
    client: str
    role: str
    customers: frozenset[str]
    created_at: float
    tenant: str = "default"
    expires_at: float | None = None
    revoked_at: float | None = None
    last_used_at: float | None = None

    def live(self, now: float) -> bool:
        """Whether the key is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class TooManyKeys(TradegraphError):
    """The client has MAX_LIVE_KEYS live keys."""


class KeyStore(Protocol):
    """Stores keys. The generation changes with every change of a key. All methods raise StoreUnavailable."""

    async def generation(self) -> int: ...

    async def all(self) -> tuple[int, Sequence[KeyRecord]]:
        """The generation and all its keys, oldest first."""
        ...

    async def add(self, record: KeyRecord, *, now: float, ending: Mapping[str, float] | None = None) -> None:
        """Store a key and set the expiry of others, in one transaction. Raises TooManyKeys."""
        ...

    async def revoke(self, ids: Collection[str], *, now: float) -> int:
        """Revoke keys. Returns how many were live."""
        ...

    async def used(self, at: Mapping[str, float]) -> None:
        """Record the last use of keys."""
        ...

    async def close(self) -> None: ...


def new_key() -> tuple[str, str]:
    """A key's id and the key, which is never stored."""
    key_id = "".join(secrets.choice(string.digits + string.ascii_lowercase) for _ in range(_ID_LENGTH))
    secret = "".join(secrets.choice(_DIGITS) for _ in range(_SECRET_LENGTH))
    body = f"{PREFIX}{key_id}_{secret}"
    return key_id, body + _check(body)


def digest_of(key: str) -> str:
    """The stored digest of a key. A fast hash suffices for 256 random bits."""
    return hashlib.sha256(key.encode("ascii")).hexdigest()


def _check(body: str) -> str:
    number, text = zlib.crc32(body.encode("ascii")), ""
    for _ in range(_CHECK_LENGTH):
        number, digit = divmod(number, len(_DIGITS))
        text = _DIGITS[digit] + text
    return text


class APIKeyAuthenticator:
    """Verifies API keys against a copy of the store that is refreshed every REFRESH_INTERVAL. `roles` are those of the
    deployment by name; `timer` is monotonic, `now` the time of day."""

    def __init__(
        self,
        store: KeyStore,
        *,
        roles: Mapping[str, AnyRole] = BUILT_IN_ROLES,
        now: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._roles = roles
        self._now = now
        self._timer = timer
        self._refreshing = asyncio.Lock()
        self._generation: int | None = None
        self._known: dict[str, tuple[KeyRecord, Principal]] = {}
        self._refreshed_at = self._confirmed_at = float("-inf")
        self._used: dict[str, float] = {}
        self._flushed_at = timer()
        self._flushing: asyncio.Task[None] | None = None

    async def authenticate(self, authorization: str | None) -> Principal:
        """Verify `Bearer tg_...`."""
        key = bearer(authorization)
        form = _FORM.fullmatch(key)
        if form is None or _check(key[:-_CHECK_LENGTH]) != form[3]:
            raise Unauthenticated(REFUSED, detail="not an API key: wrong format or checksum")
        await self._refresh(REFRESH_INTERVAL)
        if form[1] not in self._known:
            await self._refresh(UNKNOWN_KEY_REFRESH_INTERVAL)
        if form[1] not in self._known:
            raise Unauthenticated(REFUSED, detail="unknown API key id")
        record, principal = self._known[form[1]]
        if not hmac.compare_digest(record.digest, digest_of(key)):
            raise Unauthenticated(REFUSED, detail=f"wrong secret for API key {record.id}")
        now = self._now()
        if not record.live(now):
            ended = "revoked" if record.revoked_at is not None else "expired"
            raise Unauthenticated(REFUSED, detail=f"API key {record.id} of {record.client} is {ended}")
        if not principal.roles or not principal.restricted:
            detail = f"role {record.role} of API key {record.id} is unknown, or sees the rows of all accounts"
            raise Unauthenticated(REFUSED, detail=detail)
        self._used[record.id] = now
        return principal

    async def _refresh(self, after: float) -> None:
        if self._timer() - self._refreshed_at >= after:
            async with self._refreshing:
                if self._timer() - self._refreshed_at >= after:
                    await self._refresh_now()
        if self._timer() - self._confirmed_at > MAX_STALENESS:
            raise AuthenticationUnavailable(detail="the store of API keys cannot be read")

    async def _refresh_now(self) -> None:
        started = self._timer()
        try:
            await self._read()
            self._confirmed_at = started
        except StoreUnavailable as error:
            log.warning("api_keys_unreadable", detail=error.detail)
        self._refreshed_at = self._timer()
        self._flush_soon()

    async def _read(self) -> None:
        if await self._store.generation() == self._generation:
            return
        self._generation, records = await self._store.all()
        self._known = {record.id: (record, self._principal(record)) for record in records}

    def _principal(self, record: KeyRecord) -> Principal:
        role = self._roles.get(record.role)
        return Principal(
            subject=record.client,
            roles=frozenset() if role is None else frozenset({role}),
            customers=record.customers,
            tenant=record.tenant,
            client=record.client,
            salesperson=record.client,
            expires_at=record.expires_at,
            claims={"api_key": record.id},
        )

    def _flush_soon(self) -> None:
        if self._used and self._flushing is None and self._timer() - self._flushed_at >= USAGE_FLUSH_INTERVAL:
            self._flushing = asyncio.create_task(self._flush_uses())

    async def _flush_uses(self) -> None:
        used, self._used = self._used, {}
        self._flushed_at = self._timer()
        try:
            await self._store.used(used)
        except StoreUnavailable as error:
            self._used = {**used, **self._used}
            log.warning("api_key_usage_write_failed", detail=error.detail)
        finally:
            self._flushing = None

    async def warm(self) -> None:
        """Load the keys before the first request."""
        with suppress(AuthenticationUnavailable):  # It was logged, and is tried again.
            await self._refresh(REFRESH_INTERVAL)

    async def aclose(self) -> None:
        """Flush recorded uses."""
        if self._flushing is not None:
            await self._flushing
        if self._used:
            await self._flush_uses()
