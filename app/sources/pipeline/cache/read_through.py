"""The read-through cache of one read of one source, such as its items by SKU.

Each key is looked up in this order:

    fresh in the memory tier           hit; refreshed in the background from half of its maximum age
    in flight in this worker           joined
    fresh in the shared tier           hit; copied to the memory tier
    claimed by another worker          waited for, for a limited time
    else                               read from the source, for all waiters

A value is cached only if it has the declared type; errors never are. While the source fails, an entry beyond its
maximum age is served with a label for as long as the contract allows. A read whose contract has a maximum age of 0 is
not cached, only shared in flight, by callers of the same row scope.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

import msgspec

from app.auth.principal import Principal, Role
from app.errors import DeadlineExceeded, SourceError
from app.sources.field_mask import field_mask
from app.sources.freshness_contracts import FreshnessTracker, Share, Volatility, freshness_tracker
from app.sources.pipeline.cache.entries import ABSENT, CacheEntry
from app.sources.pipeline.cache.memory import MemoryTier
from app.sources.pipeline.cache.single_flight import SingleFlight
from app.sources.ports import CacheSpec
from app.sources.values import Freshness
from app.telemetry import cache_read, log, open_scope

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

NEGATIVE_TTL = 30.0
"""Seconds for which an unknown key is cached."""

REFRESH_AHEAD = 0.5
"""The share of its maximum age from which an entry is refreshed in the background."""

REFRESH_RETRY = 1.0
"""Seconds between two attempts to refresh an entry."""

BACKGROUND_TIMEOUT = 10.0
"""Seconds for a background refresh."""

Load = Callable[[Principal, list[Any]], Awaitable[Mapping[Any, Any]]]


class SharedTier(Protocol):
    """The tier that all workers share, see `shared_tier.py`."""

    async def get_many(self, spec: CacheSpec, scope: str, keys: Sequence[Any]) -> dict[Any, CacheEntry]:
        """Their entries, of any age."""
        ...

    async def claim_fills(self, spec: CacheSpec, scope: str, keys: Sequence[Any]) -> set[Any]:
        """The keys that this worker has claimed to read; other workers are reading the others."""
        ...

    async def wait_for_fills(
        self, spec: CacheSpec, scope: str, keys: Sequence[Any], since: float
    ) -> dict[Any, CacheEntry]:
        """Entries that other workers have read since then, of keys that they claimed."""
        ...

    def put_in_background(
        self, spec: CacheSpec, scope: str, entries: Mapping[Any, CacheEntry], keys: Sequence[Any], lifetime: float
    ) -> None:
        """Write entries in the background and release the claims on these keys."""
        ...


class ReadThroughCache:
    """Caches one read of one source."""

    def __init__(
        self,
        source: str,
        spec: CacheSpec,
        memory: MemoryTier,
        single_flight: SingleFlight,
        *,
        now: Callable[[], datetime],
        shared_tier: SharedTier | None = None,
        background: Callable[[Any], None],
    ) -> None:
        self._source = source
        self._spec = spec
        self._memory = memory
        self._single_flight = single_flight
        self._now = now
        self._shared_tier = shared_tier
        self._background = background
        contract = spec.contract
        self.max_age = contract.max_age
        self._lifetime = float(contract.max_age + contract.stale_for)

    async def read(
        self, principal: Principal, keys: Iterable[Any], load: Load, *, with_volatile: bool = False
    ) -> dict[Any, Any]:
        """The values of the keys that exist, from the cache or read now. If some could not be read, the error stands in
        their place. `with_volatile`: the rows bring volatile data along, and are shared in flight by callers of the
        same row scope only."""
        contract, scope, requested = self._spec.contract, self._scope(principal), freshness_tracker.get()
        within = math.inf if requested is None or requested.within is None else requested.within
        if not contract.max_age:
            return await self._through(CacheRead(principal, scope, load, within), list(dict.fromkeys(keys)))
        limit = min(float(contract.max_age), within)
        found, missing, due, oldest = self._in_memory(scope, dict.fromkeys(keys), limit)
        self._note(requested, oldest)
        reader = CacheRead(
            _as_gateway(principal),
            scope,
            load,
            limit,
            (principal.roles, principal.customers, principal.agents) if with_volatile else None,
        )
        if due:
            self._background(self._refresh(reader, due))
        if not missing:
            return found
        try:
            read = await self._through(reader, missing)
        except (SourceError, DeadlineExceeded) as error:
            if not found:
                raise
            return {**found, **dict.fromkeys(missing, error)}
        return {**found, **read} if found else read

    def _in_memory(
        self, scope: Any, keys: Iterable[Any], limit: float
    ) -> tuple[dict[Any, Any], list[Any], list[Any], float | None]:
        """Fresh values of the memory tier, the missing keys, the keys to refresh, and when the oldest value was
        read."""
        memory, spec, now = self._memory, self._spec, self._memory.clock()
        found: dict[Any, Any] = {}
        missing: list[Any] = []
        due: list[Any] = []
        oldest = None
        soon = spec.contract.max_age * REFRESH_AHEAD if spec.contract.kind is Volatility.REF else math.inf
        for key in keys:
            entry = memory.get((self._source, spec.name, scope, key))
            if entry is None or not _counts(entry, now, limit):
                missing.append(key)
                continue
            oldest = entry.read if oldest is None else min(oldest, entry.read)
            if entry.value is not ABSENT:
                found[key] = entry.value
            # Probabilistic early refresh: slow reads start earlier, and workers do not refresh all at once.
            if (
                now - entry.read - entry.load_seconds * math.log(1 - random.random()) >= soon
                and now >= entry.quiet_until
            ):
                entry.quiet_until = now + REFRESH_RETRY
                due.append(key)
        cache_read(self._source, spec.name, "hit", len(found))
        return found, missing, due, oldest

    async def _through(self, reader: CacheRead, missing: list[Any], *, join: bool = True) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        while missing:
            since = self._memory.clock() - reader.limit if join else math.inf
            joined = {key: self._single_flight.join(self._in_flight_key(reader, key), since) for key in missing}
            own = [key for key, in_flight in joined.items() if in_flight is None]
            if own:
                found.update(await self._fetch_shared(reader, own))
            missing = []
            for key, in_flight in joined.items():
                if in_flight is None:
                    continue
                await in_flight.wait()
                if in_flight.abandoned:
                    missing.append(key)
                elif in_flight.error is not None:
                    raise in_flight.error
                elif key in in_flight.found:
                    found[key] = in_flight.found[key]
            if missing:  # Another waiter may have read them meanwhile.
                stored_at, missing, _, _ = self._in_memory(reader.scope, missing, reader.limit)
                found.update(stored_at)
        return found

    async def _fetch_shared(self, reader: CacheRead, keys: list[Any]) -> Mapping[Any, Any]:
        flight_keys = [self._in_flight_key(reader, key) for key in keys]
        in_flight = self._single_flight.start(flight_keys, self._memory.clock())
        try:
            in_flight.found = await self._fetch(reader, keys)
            return in_flight.found
        except (asyncio.CancelledError, DeadlineExceeded):
            in_flight.abandoned = True
            raise
        except Exception as error:
            in_flight.error = error
            raise
        finally:
            self._single_flight.end(flight_keys, in_flight)

    async def _fetch(self, reader: CacheRead, keys: list[Any]) -> Mapping[Any, Any]:
        if not self._spec.contract.max_age:
            return await reader.load(reader.principal, keys)
        held = await self._shared_tier.get_many(self._spec, reader.scope, keys) if self._shared_tier else {}
        found = self._adopt(reader, held, keys)
        missing = [key for key in keys if key not in found]
        if missing and self._shared_tier:
            claimed = await self._shared_tier.claim_fills(self._spec, reader.scope, missing)
            claimed_by_others = [key for key in missing if key not in claimed]
            if claimed_by_others:
                since = self._memory.clock() - reader.limit
                filled = await self._shared_tier.wait_for_fills(self._spec, reader.scope, claimed_by_others, since)
                found.update(self._adopt(reader, filled, claimed_by_others))
                missing = [key for key in missing if key not in found]
        if missing:
            found.update(await self._load(reader, missing, held))
        return {key: value for key, value in found.items() if value is not ABSENT}

    def _adopt(self, reader: CacheRead, held: Mapping[Any, CacheEntry], keys: Iterable[Any]) -> dict[Any, Any]:
        now, found, oldest = self._memory.clock(), {}, None
        for key in keys:
            entry = held.get(key)
            if entry is not None and _counts(entry, now, reader.limit):
                entry.value = self._as_cached(entry.value, self._as_of(entry.read))
                self._store(reader.scope, key, entry)
                found[key] = entry.value
                oldest = entry.read if oldest is None else min(oldest, entry.read)
        self._note(freshness_tracker.get(), oldest)
        cache_read(self._source, self._spec.name, "shared", len(found))
        return found

    async def _load(self, reader: CacheRead, keys: list[Any], held: Mapping[Any, CacheEntry]) -> dict[Any, Any]:
        """From the source, whole records with the gateway's own permissions; stale entries if the source fails."""
        began, as_of = self._memory.clock(), self._now()
        cache_read(self._source, self._spec.name, "miss", len(keys))
        entries: dict[Any, CacheEntry] = {}
        token = field_mask.set(None)
        try:
            answer = await reader.load(reader.principal, keys)
        except SourceError as error:
            stale = self._stale(reader, keys, held, error)
            if not stale:
                raise
            return {**dict.fromkeys(keys, error), **stale}
        else:
            entries = self._entries(keys, answer, began, as_of)
            for key, entry in entries.items():
                self._store(reader.scope, key, entry)
            failed = {key: error for key in keys if isinstance(error := answer.get(key), SourceError)}
            for key, error in failed.items():
                answer = {**answer, **self._stale(reader, [key], held, error)}
            return dict(answer)
        finally:
            field_mask.reset(token)
            if self._shared_tier:
                self._shared_tier.put_in_background(self._spec, reader.scope, entries, keys, self._lifetime)

    def _entries(
        self, keys: list[Any], answer: Mapping[Any, Any], began: float, as_of: datetime
    ) -> dict[Any, CacheEntry]:
        load_seconds, spec = self._memory.clock() - began, self._spec
        entries: dict[Any, CacheEntry] = {}
        for key in keys:
            value = answer.get(key, ABSENT)
            if value is ABSENT or spec.accepts(key, value):
                stored_at = value if value is ABSENT else spec.cached_form(value)
                entries[key] = CacheEntry(self._as_cached(stored_at, as_of), began, load_seconds, spec.tags(key), 0.0)
        return entries

    def _store(self, scope: Any, key: Any, entry: CacheEntry) -> None:
        entry.stored_at = self._memory.clock()
        lifetime = min(NEGATIVE_TTL, self._lifetime) if entry.value is ABSENT else self._lifetime
        self._memory.put((self._source, self._spec.name, scope, key), entry, lifetime)

    def _stale(
        self, reader: CacheRead, keys: Iterable[Any], held: Mapping[Any, CacheEntry], error: SourceError
    ) -> dict[Any, Any]:
        """Entries of keys whose source fails, labelled as degraded; none older than the contract and the client
        allow."""
        now, requested = self._memory.clock(), freshness_tracker.get()
        most = (
            self._lifetime if requested is None or requested.within is None else min(self._lifetime, requested.within)
        )
        reason = f"{error.source} did not answer ({error.code}); this was read earlier."
        found: dict[Any, Any] = {}
        for key in keys:
            entry = self._memory.get_stale((self._source, self._spec.name, reader.scope, key)) or held.get(key)
            if entry is None or entry.value is ABSENT or now - entry.read > most:
                continue
            as_of = self._as_of(entry.read)
            found[key] = _with_freshness(self._as_cached(entry.value, as_of), degraded=True, reason=reason)
            if requested is not None:
                requested.note(self._source, as_of, reason=reason)
        cache_read(self._source, self._spec.name, "stale", len(found))
        return found

    async def _refresh(self, reader: CacheRead, keys: list[Any]) -> None:
        freshness_tracker.set(None)
        with open_scope(timeout=BACKGROUND_TIMEOUT):
            try:
                fresher = CacheRead(
                    reader.principal, reader.scope, reader.load, self._spec.contract.max_age * REFRESH_AHEAD
                )
                await self._through(fresher, keys, join=False)
            except Exception as error:  # noqa: BLE001 - the next read meets the same error
                log.info("cache_refresh_failed", source=self._source, read=self._spec.name, error=repr(error))

    def _as_cached(self, value: Any, as_of: datetime) -> Any:
        return _with_freshness(value, as_of, source=self._source, cached=True, max_age=self._spec.contract.max_age)

    def _as_of(self, read: float) -> datetime:
        return self._now() - timedelta(seconds=max(self._memory.clock() - read, 0.0))

    def _note(self, requested: FreshnessTracker | None, oldest: float | None) -> None:
        if requested is not None and oldest is not None:
            requested.note(self._source, self._as_of(oldest))

    def _scope(self, principal: Principal) -> Any:
        """The scope within which values are shared: of uncached reads, callers with the same rows and permissions."""
        contract = self._spec.contract
        if not contract.max_age:
            return principal.tenant, principal.roles, principal.customers, principal.agents, field_mask.get()
        return "" if contract.share is Share.PUBLIC else principal.tenant

    def _in_flight_key(self, reader: CacheRead, key: Any) -> Hashable:
        return self._source, self._spec.name, reader.scope, reader.among, key


@dataclass(frozen=True, slots=True)
class CacheRead:
    """One lookup: the caller, the scope of its entries, the read of the source, the maximum age in seconds, and what
    narrows the sharing of reads in flight."""

    principal: Principal
    scope: Any
    load: Load
    limit: float
    among: Hashable = None


def _counts(entry: CacheEntry, now: float, limit: float) -> bool:
    return now - entry.read <= (min(limit, NEGATIVE_TTL) if entry.value is ABSENT else limit)


def _as_gateway(principal: Principal) -> Principal:
    """Cached rows are read with the gateway's own permissions, so that they hold nothing of one caller."""
    return Principal(subject="cache", roles=frozenset({Role.ADMIN}), tenant=principal.tenant)


def _with_freshness(value: Any, as_of: datetime | None = None, **changes: Any) -> Any:
    """A record, or each record of a tuple, with its freshness changed. `as_of` never becomes later."""
    if isinstance(value, tuple):
        return tuple(_with_freshness(one, as_of, **changes) for one in value)
    known: Freshness | None = getattr(value, "freshness", None)
    if known is None:
        return value
    if as_of is not None:
        changes["as_of"] = min(known.as_of, as_of)
    return msgspec.structs.replace(value, freshness=msgspec.structs.replace(known, **changes))
