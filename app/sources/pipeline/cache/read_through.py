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
from app.sources.field_mask import needs
from app.sources.freshness_contracts import Contract, Reading, Share, Volatility, reading
from app.sources.pipeline.cache.entries import ABSENT, Entry
from app.sources.pipeline.cache.memory import Memory
from app.sources.pipeline.cache.single_flight import Flights
from app.sources.values import Freshness
from app.telemetry import cache_read, log, open_scope

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

ABSENT_FOR = 30.0
"""Seconds for which a key counts as unknown."""

AHEAD = 0.5
"""The part of its greatest age from which an entry is read again in the background."""

AGAIN_AFTER = 1.0
"""Seconds between two tries to read an entry ahead of time."""

BACKGROUND = 10.0
"""Seconds for a read that nobody waits for."""

Load = Callable[[Principal, list[Any]], Awaitable[Mapping[Any, Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What is kept: `record` is the type of every value, `identity` the key that a value itself names, if it does;
    `tags` what a value of a key is made of; `kept_as` takes away what is not kept with it.
    """

    name: str
    contract: Contract
    record: Any
    tags: Callable[[Any], tuple[str, ...]] = lambda _: ()
    identity: Callable[[Any], Any] | None = None
    kept_as: Callable[[Any], Any] = lambda value: value

    def fits(self, key: Any, value: Any) -> bool:
        """Whether a value is what it should be, whole, and of this key."""
        expected = getattr(self.record, "__origin__", self.record)
        return type(value) is expected and (self.identity is None or self.identity(value) == key)


class Others(Protocol):
    """What other workers keep and read, see `shared.py`."""

    async def look(self, kind: Kind, scope: str, keys: Sequence[Any]) -> dict[Any, Entry]:
        """What they keep of these keys, whatever its age."""
        ...

    async def claim(self, kind: Kind, scope: str, keys: Sequence[Any]) -> set[Any]:
        """The keys that this worker is to read; the others are being read by other workers."""
        ...

    async def awaited(self, kind: Kind, scope: str, keys: Sequence[Any], since: float) -> dict[Any, Entry]:
        """What others read since then of keys that they have claimed."""
        ...

    def offer(self, kind: Kind, scope: str, entries: Mapping[Any, Entry], keys: Sequence[Any], lifetime: float) -> None:
        """Hand over what was read, soon, and give back the claim on these keys."""
        ...


class Shelf:
    """Keeps one kind of one source."""

    def __init__(
        self,
        source: str,
        kind: Kind,
        memory: Memory,
        flights: Flights,
        *,
        now: Callable[[], datetime],
        others: Others | None = None,
        background: Callable[[Any], None],
    ) -> None:
        self._source = source
        self._kind = kind
        self._memory = memory
        self._flights = flights
        self._now = now
        self._others = others
        self._background = background
        contract = kind.contract
        self._lifetime = float(contract.max_age + contract.stale_for)

    async def read(self, who: Principal, keys: Iterable[Any], load: Load, *, along: bool = False) -> dict[Any, Any]:
        """What there is of the keys, kept or read now. If only a part of them could be read, the error stands in the
        place of the others. `along`: a read brings volatile data with it, and is shared with callers of the same scope
        only."""
        contract, scope, wanted = self._kind.contract, self._scope(who), reading.get()
        within = math.inf if wanted is None or wanted.within is None else wanted.within
        if not contract.max_age:
            return await self._through(Reader(who, scope, load, within), list(dict.fromkeys(keys)))
        limit = min(float(contract.max_age), within)
        found, missing, due, oldest = self._in_memory(scope, dict.fromkeys(keys), limit)
        self._note(wanted, oldest)
        reader = Reader(_as_gateway(who), scope, load, limit, (who.roles, who.customers) if along else None)
        if due:
            self._background(self._ahead(reader, due))
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
        soon = kind.contract.max_age * AHEAD if kind.contract.kind is Volatility.REF else math.inf
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
                entry.quiet_until = now + AGAIN_AFTER
                due.append(key)
        cache_read(self._source, kind.name, "hit", len(found))
        return found, missing, due, oldest

    async def _through(self, reader: Reader, missing: list[Any], *, join: bool = True) -> dict[Any, Any]:
        """Read keys that memory has not: by joining who reads them already, else oneself."""
        found: dict[Any, Any] = {}
        while missing:
            since = self._memory.clock() - reader.limit if join else math.inf
            joined = {key: self._flights.joinable(self._flight_key(reader, key), since) for key in missing}
            own = [key for key, flight in joined.items() if flight is None]
            if own:
                found.update(await self._lead(reader, own))
            missing = []
            for key, flight in joined.items():
                if flight is None:
                    continue
                await flight.wait()
                if flight.gone:
                    missing.append(key)
                elif flight.error is not None:
                    raise flight.error
                elif key in flight.found:
                    found[key] = flight.found[key]
            if missing:  # Another one of those who waited may have read them meanwhile.
                kept, missing, _, _ = self._in_memory(reader.scope, missing, reader.limit)
                found.update(kept)
        return found

    async def _lead(self, reader: Reader, keys: list[Any]) -> Mapping[Any, Any]:
        """Read keys for all who ask for them meanwhile."""
        flight_keys = [self._flight_key(reader, key) for key in keys]
        flight = self._flights.start(flight_keys, self._memory.clock())
        try:
            flight.found = await self._fetch(reader, keys)
            return flight.found
        except (asyncio.CancelledError, DeadlineExceeded):
            flight.gone = True
            raise
        except Exception as error:
            flight.error = error
            raise
        finally:
            self._flights.end(flight_keys, flight)

    async def _fetch(self, reader: Reader, keys: list[Any]) -> Mapping[Any, Any]:
        """From the other workers, else from the source."""
        if not self._kind.contract.max_age:
            return await reader.load(reader.who, keys)
        held = await self._others.look(self._kind, reader.scope, keys) if self._others else {}
        found = self._adopt(reader, held, keys)
        missing = [key for key in keys if key not in found]
        if missing and self._others:
            claimed = await self._others.claim(self._kind, reader.scope, missing)
            elsewhere = [key for key in missing if key not in claimed]
            if elsewhere:
                since = self._memory.clock() - reader.limit
                awaited = await self._others.awaited(self._kind, reader.scope, elsewhere, since)
                found.update(self._adopt(reader, awaited, elsewhere))
                missing = [key for key in missing if key not in found]
        if missing:
            found.update(await self._load(reader, missing, held))
        return {key: value for key, value in found.items() if value is not ABSENT}

    def _adopt(self, reader: Reader, held: Mapping[Any, Entry], keys: Iterable[Any]) -> dict[Any, Any]:
        """Keep here what others kept, as far as it is fresh enough."""
        now, found, oldest = self._memory.clock(), {}, None
        for key in keys:
            entry = held.get(key)
            if entry is not None and _counts(entry, now, reader.limit):
                entry.value = self._as_kept(entry.value, self._as_of(entry.read))
                self._keep(reader.scope, key, entry)
                found[key] = entry.value
                oldest = entry.read if oldest is None else min(oldest, entry.read)
        self._note(reading.get(), oldest)
        cache_read(self._source, self._kind.name, "shared", len(found))
        return found

    async def _load(self, reader: Reader, keys: list[Any], held: Mapping[Any, Entry]) -> dict[Any, Any]:
        """From the source, as the gateway itself and whole; if that fails, what is left of it."""
        began, as_of = self._memory.clock(), self._now()
        cache_read(self._source, self._kind.name, "miss", len(keys))
        entries: dict[Any, Entry] = {}
        token = needs.set(None)
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
                self._keep(reader.scope, key, entry)
            failed = {key: error for key in keys if isinstance(error := answer.get(key), SourceError)}
            for key, error in failed.items():
                answer = {**answer, **self._stale(reader, [key], held, error)}
            return dict(answer)
        finally:
            needs.reset(token)
            if self._others:
                self._others.offer(self._kind, reader.scope, entries, keys, self._lifetime)

    def _entries(self, keys: list[Any], answer: Mapping[Any, Any], began: float, as_of: datetime) -> dict[Any, Entry]:
        """What of an answer can be kept."""
        took, kind = self._memory.clock() - began, self._kind
        entries: dict[Any, Entry] = {}
        for key in keys:
            value = answer.get(key, ABSENT)
            if value is ABSENT or kind.fits(key, value):
                kept = value if value is ABSENT else kind.kept_as(value)
                entries[key] = Entry(self._as_kept(kept, as_of), began, took, kind.tags(key), 0.0)
        return entries

    def _keep(self, scope: Any, key: Any, entry: Entry) -> None:
        entry.kept = self._memory.clock()
        lifetime = min(ABSENT_FOR, self._lifetime) if entry.value is ABSENT else self._lifetime
        self._memory.keep((self._source, self._kind.name, scope, key), entry, lifetime)

    def _stale(
        self, reader: Reader, keys: Iterable[Any], held: Mapping[Any, Entry], error: SourceError
    ) -> dict[Any, Any]:
        """What was kept of keys whose source fails, labelled; nothing older than the contract allows, nor than the
        client does."""
        now, wanted = self._memory.clock(), reading.get()
        most = self._lifetime if wanted is None or wanted.within is None else min(self._lifetime, wanted.within)
        reason = f"{error.source} did not answer ({error.code}); this was read earlier."
        found: dict[Any, Any] = {}
        for key in keys:
            entry = self._memory.last((self._source, self._kind.name, reader.scope, key)) or held.get(key)
            if entry is None or entry.value is ABSENT or now - entry.read > most:
                continue
            as_of = self._as_of(entry.read)
            found[key] = _labelled(self._as_kept(entry.value, as_of), degraded=True, reason=reason)
            if wanted is not None:
                wanted.note(self._source, as_of, reason=reason)
        cache_read(self._source, self._kind.name, "stale", len(found))
        return found

    async def _ahead(self, reader: Reader, keys: list[Any]) -> None:
        """Read keys again before anybody has to wait for them."""
        reading.set(None)
        with open_scope(timeout=BACKGROUND):
            try:
                fresher = Reader(reader.who, reader.scope, reader.load, self._kind.contract.max_age * AHEAD)
                await self._through(fresher, keys, join=False)
            except Exception as error:  # noqa: BLE001 - nobody waits for it; who needs it will meet the same
                log.info("not read ahead of time", source=self._source, read=self._kind.name, error=repr(error))

    def _as_kept(self, value: Any, as_of: datetime) -> Any:
        """A record that says that it was kept; other values have no place for it."""
        return _labelled(value, as_of, source=self._source, cached=True, max_age=self._kind.contract.max_age)

    def _as_of(self, read: float) -> datetime:
        return self._now() - timedelta(seconds=max(self._memory.clock() - read, 0.0))

    def _note(self, wanted: Reading | None, oldest: float | None) -> None:
        if wanted is not None and oldest is not None:
            wanted.note(self._source, self._as_of(oldest))

    def _scope(self, who: Principal) -> Any:
        """Who may be given the same: of what is not kept, only callers who see the same rows and are told the same."""
        contract = self._kind.contract
        if not contract.max_age:
            return who.tenant, who.roles, who.customers, needs.get()
        return "" if contract.share is Share.PUBLIC else who.tenant

    def _flight_key(self, reader: Reader, key: Any) -> Hashable:
        return self._source, self._kind.name, reader.scope, reader.among, key


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads, for whom it may be kept, how it is read, how old it may be, and among whom a read is shared, if not
    among all for whom it may be kept."""

    who: Principal
    scope: Any
    load: Load
    limit: float
    among: Hashable = None


def _counts(entry: Entry, now: float, limit: float) -> bool:
    return now - entry.read <= (min(limit, ABSENT_FOR) if entry.value is ABSENT else limit)


def _as_gateway(who: Principal) -> Principal:
    """What is kept for many is read by the gateway itself, so that nothing of one caller is in it."""
    return Principal(subject="cache", roles=frozenset({Role.ADMIN}), tenant=who.tenant)


def _labelled(value: Any, as_of: datetime | None = None, **changes: Any) -> Any:
    """A record with its label changed; a list of records with each one's. A source may have read it earlier itself."""
    if isinstance(value, tuple):
        return tuple(_labelled(one, as_of, **changes) for one in value)
    known: Freshness | None = getattr(value, "freshness", None)
    if known is None:
        return value
    if as_of is not None:
        changes["as_of"] = min(known.as_of, as_of)
    return msgspec.structs.replace(value, freshness=msgspec.structs.replace(known, **changes))
