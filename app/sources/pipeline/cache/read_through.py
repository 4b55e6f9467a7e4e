"""One kind of read of one source, such as its items by SKU: kept, shared, and answered while its source fails.

A read goes through memory, then joins what is under way, then asks what other workers kept, then the source:

    fresh enough in memory             answered; read again ahead of time once it is half as old as it may be
    being read by somebody             waited for
    fresh enough in the shared cache   answered and kept here
    being read by another worker       waited for, for a while
    else                               read from the source, for all who wait

What a source answers is kept only if it is of the type that it should be; its failures never are. If it fails, what is
older than it should be is answered with a label, as long as the contract allows. What has no age by its contract is
not kept at all, only shared while it is being read, and only by callers of the same scope.
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
"""Seconds for which a key counts as unknown."""

REFRESH_AHEAD = 0.5
"""The part of its greatest age from which an entry is read again in the background."""

REFRESH_RETRY = 1.0
"""Seconds between two tries to read an entry ahead of time."""

BACKGROUND_TIMEOUT = 10.0
"""Seconds for a read that nobody waits for."""

Load = Callable[[Principal, list[Any]], Awaitable[Mapping[Any, Any]]]


class SharedTier(Protocol):
    """What other workers keep and read, see `shared_tier.py`."""

    async def get_many(self, kind: CacheSpec, scope: str, keys: Sequence[Any]) -> dict[Any, CacheEntry]:
        """What they keep of these keys, whatever its age."""
        ...

    async def claim_fills(self, kind: CacheSpec, scope: str, keys: Sequence[Any]) -> set[Any]:
        """The keys that this worker is to read; the others are being read by other workers."""
        ...

    async def wait_for_fills(
        self, kind: CacheSpec, scope: str, keys: Sequence[Any], since: float
    ) -> dict[Any, CacheEntry]:
        """What others read since then of keys that they have claimed."""
        ...

    def put_later(
        self, kind: CacheSpec, scope: str, entries: Mapping[Any, CacheEntry], keys: Sequence[Any], lifetime: float
    ) -> None:
        """Hand over what was read, soon, and give back the claim on these keys."""
        ...


class ReadThroughCache:
    """Keeps one kind of one source."""

    def __init__(
        self,
        source: str,
        kind: CacheSpec,
        memory: MemoryTier,
        single_flight: SingleFlight,
        *,
        now: Callable[[], datetime],
        shared_tier: SharedTier | None = None,
        background: Callable[[Any], None],
    ) -> None:
        self._source = source
        self._kind = kind
        self._memory = memory
        self._single_flight = single_flight
        self._now = now
        self._shared_tier = shared_tier
        self._background = background
        contract = kind.contract
        self.max_age = contract.max_age
        self._lifetime = float(contract.max_age + contract.stale_for)

    async def read(
        self, who: Principal, keys: Iterable[Any], load: Load, *, with_volatile: bool = False
    ) -> dict[Any, Any]:
        """What there is of the keys, kept or read now. If only a part of them could be read, the error stands in the
        place of the others. `along`: a read brings volatile data with it, and is shared with callers of the same scope
        only."""
        contract, scope, wanted = self._kind.contract, self._scope(who), freshness_tracker.get()
        within = math.inf if wanted is None or wanted.within is None else wanted.within
        if not contract.max_age:
            return await self._through(CacheRead(who, scope, load, within), list(dict.fromkeys(keys)))
        limit = min(float(contract.max_age), within)
        found, missing, due, oldest = self._in_memory(scope, dict.fromkeys(keys), limit)
        self._note(wanted, oldest)
        reader = CacheRead(_as_gateway(who), scope, load, limit, (who.roles, who.customers) if with_volatile else None)
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
        """What memory has that is fresh enough, the keys that it has not, those to be read ahead of time, and the
        moment at which the oldest was read."""
        memory, kind, now = self._memory, self._kind, self._memory.clock()
        found: dict[Any, Any] = {}
        missing: list[Any] = []
        due: list[Any] = []
        oldest = None
        soon = kind.contract.max_age * REFRESH_AHEAD if kind.contract.kind is Volatility.REF else math.inf
        for key in keys:
            entry = memory.get((self._source, kind.name, scope, key))
            if entry is None or not _counts(entry, now, limit):
                missing.append(key)
                continue
            oldest = entry.read if oldest is None else min(oldest, entry.read)
            if entry.value is not ABSENT:
                found[key] = entry.value
            # A read that takes long begins early, and not in all workers at once.
            if now - entry.read - entry.took * math.log(1 - random.random()) >= soon and now >= entry.quiet_until:
                entry.quiet_until = now + REFRESH_RETRY
                due.append(key)
        cache_read(self._source, kind.name, "hit", len(found))
        return found, missing, due, oldest

    async def _through(self, reader: CacheRead, missing: list[Any], *, join: bool = True) -> dict[Any, Any]:
        """Read keys that memory has not: by joining who reads them already, else oneself."""
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
            if missing:  # Another one of those who waited may have read them meanwhile.
                stored_at, missing, _, _ = self._in_memory(reader.scope, missing, reader.limit)
                found.update(stored_at)
        return found

    async def _fetch_shared(self, reader: CacheRead, keys: list[Any]) -> Mapping[Any, Any]:
        """Read keys for all who ask for them meanwhile."""
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
        """From the other workers, else from the source."""
        if not self._kind.contract.max_age:
            return await reader.load(reader.who, keys)
        held = await self._shared_tier.get_many(self._kind, reader.scope, keys) if self._shared_tier else {}
        found = self._adopt(reader, held, keys)
        missing = [key for key in keys if key not in found]
        if missing and self._shared_tier:
            claimed = await self._shared_tier.claim_fills(self._kind, reader.scope, missing)
            elsewhere = [key for key in missing if key not in claimed]
            if elsewhere:
                since = self._memory.clock() - reader.limit
                wait_for_fills = await self._shared_tier.wait_for_fills(self._kind, reader.scope, elsewhere, since)
                found.update(self._adopt(reader, wait_for_fills, elsewhere))
                missing = [key for key in missing if key not in found]
        if missing:
            found.update(await self._load(reader, missing, held))
        return {key: value for key, value in found.items() if value is not ABSENT}

    def _adopt(self, reader: CacheRead, held: Mapping[Any, CacheEntry], keys: Iterable[Any]) -> dict[Any, Any]:
        """Keep here what others kept, as far as it is fresh enough."""
        now, found, oldest = self._memory.clock(), {}, None
        for key in keys:
            entry = held.get(key)
            if entry is not None and _counts(entry, now, reader.limit):
                entry.value = self._as_cached(entry.value, self._as_of(entry.read))
                self._store(reader.scope, key, entry)
                found[key] = entry.value
                oldest = entry.read if oldest is None else min(oldest, entry.read)
        self._note(freshness_tracker.get(), oldest)
        cache_read(self._source, self._kind.name, "shared", len(found))
        return found

    async def _load(self, reader: CacheRead, keys: list[Any], held: Mapping[Any, CacheEntry]) -> dict[Any, Any]:
        """From the source, as the gateway itself and whole; if that fails, what is left of it."""
        began, as_of = self._memory.clock(), self._now()
        cache_read(self._source, self._kind.name, "miss", len(keys))
        entries: dict[Any, CacheEntry] = {}
        token = field_mask.set(None)
        try:
            answer = await reader.load(reader.who, keys)
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
                self._shared_tier.put_later(self._kind, reader.scope, entries, keys, self._lifetime)

    def _entries(
        self, keys: list[Any], answer: Mapping[Any, Any], began: float, as_of: datetime
    ) -> dict[Any, CacheEntry]:
        """What of an answer can be kept."""
        took, kind = self._memory.clock() - began, self._kind
        entries: dict[Any, CacheEntry] = {}
        for key in keys:
            value = answer.get(key, ABSENT)
            if value is ABSENT or kind.accepts(key, value):
                stored_at = value if value is ABSENT else kind.cached_form(value)
                entries[key] = CacheEntry(self._as_cached(stored_at, as_of), began, took, kind.tags(key), 0.0)
        return entries

    def _store(self, scope: Any, key: Any, entry: CacheEntry) -> None:
        entry.stored_at = self._memory.clock()
        lifetime = min(NEGATIVE_TTL, self._lifetime) if entry.value is ABSENT else self._lifetime
        self._memory.put((self._source, self._kind.name, scope, key), entry, lifetime)

    def _stale(
        self, reader: CacheRead, keys: Iterable[Any], held: Mapping[Any, CacheEntry], error: SourceError
    ) -> dict[Any, Any]:
        """What was kept of keys whose source fails, labelled; nothing older than the contract allows, nor than the
        client does."""
        now, wanted = self._memory.clock(), freshness_tracker.get()
        most = self._lifetime if wanted is None or wanted.within is None else min(self._lifetime, wanted.within)
        reason = f"{error.source} did not answer ({error.code}); this was read earlier."
        found: dict[Any, Any] = {}
        for key in keys:
            entry = self._memory.get_stale((self._source, self._kind.name, reader.scope, key)) or held.get(key)
            if entry is None or entry.value is ABSENT or now - entry.read > most:
                continue
            as_of = self._as_of(entry.read)
            found[key] = _with_freshness(self._as_cached(entry.value, as_of), degraded=True, reason=reason)
            if wanted is not None:
                wanted.note(self._source, as_of, reason=reason)
        cache_read(self._source, self._kind.name, "stale", len(found))
        return found

    async def _refresh(self, reader: CacheRead, keys: list[Any]) -> None:
        """Read keys again before anybody has to wait for them."""
        freshness_tracker.set(None)
        with open_scope(timeout=BACKGROUND_TIMEOUT):
            try:
                fresher = CacheRead(reader.who, reader.scope, reader.load, self._kind.contract.max_age * REFRESH_AHEAD)
                await self._through(fresher, keys, join=False)
            except Exception as error:  # noqa: BLE001 - nobody waits for it; who needs it will meet the same
                log.info("not read ahead of time", source=self._source, read=self._kind.name, error=repr(error))

    def _as_cached(self, value: Any, as_of: datetime) -> Any:
        """A record that says that it was kept; other values have no place for it."""
        return _with_freshness(value, as_of, source=self._source, cached=True, max_age=self._kind.contract.max_age)

    def _as_of(self, read: float) -> datetime:
        return self._now() - timedelta(seconds=max(self._memory.clock() - read, 0.0))

    def _note(self, wanted: FreshnessTracker | None, oldest: float | None) -> None:
        if wanted is not None and oldest is not None:
            wanted.note(self._source, self._as_of(oldest))

    def _scope(self, who: Principal) -> Any:
        """Who may be given the same: of what is not kept, only callers who see the same rows and are told the same."""
        contract = self._kind.contract
        if not contract.max_age:
            return who.tenant, who.roles, who.customers, field_mask.get()
        return "" if contract.share is Share.PUBLIC else who.tenant

    def _in_flight_key(self, reader: CacheRead, key: Any) -> Hashable:
        return self._source, self._kind.name, reader.scope, reader.among, key


@dataclass(frozen=True, slots=True)
class CacheRead:
    """Who reads, for whom it may be kept, how it is read, how old it may be, and among whom a read is shared, if not
    among all for whom it may be kept."""

    who: Principal
    scope: Any
    load: Load
    limit: float
    among: Hashable = None


def _counts(entry: CacheEntry, now: float, limit: float) -> bool:
    return now - entry.read <= (min(limit, NEGATIVE_TTL) if entry.value is ABSENT else limit)


def _as_gateway(who: Principal) -> Principal:
    """What is kept for many is read by the gateway itself, so that nothing of one caller is in it."""
    return Principal(subject="cache", roles=frozenset({Role.ADMIN}), tenant=who.tenant)


def _with_freshness(value: Any, as_of: datetime | None = None, **changes: Any) -> Any:
    """A record with its label changed; a list of records with each one's. A source may have read it earlier itself."""
    if isinstance(value, tuple):
        return tuple(_with_freshness(one, as_of, **changes) for one in value)
    known: Freshness | None = getattr(value, "freshness", None)
    if known is None:
        return value
    if as_of is not None:
        changes["as_of"] = min(known.as_of, as_of)
    return msgspec.structs.replace(value, freshness=msgspec.structs.replace(known, **changes))
