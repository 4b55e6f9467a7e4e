"""The event log as this worker's subscribers follow it: read once for all of them, and handed to those who wait.

    log ──(one task reads)──> recent ──(index)──> subscribers

Who resumes reads on from a place of its own, in the log and then in what is kept of it in memory, and enters the index
in the same step in which nothing is left to read: nothing is missed between the two, and nothing comes twice.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Hashable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import islice
from typing import Any, Protocol
from weakref import WeakValueDictionary

from app.errors import ShuttingDown, StoreUnavailable, SubscriberTooSlow
from app.events.log import ChangeEvent, EventLog, EventPage, LoggedEvent, LossReason
from app.sources.changes import ChangeKind
from app.telemetry import log

WAIT = 15.0
"""Seconds after which the log is looked at, though it says nothing."""

RECENT = 1_000
"""Updates kept in memory, for subscribers that come back after a moment."""

PAGE = 500
"""Events read of the log at once."""

QUEUE = 100
"""Updates that one subscriber may leave waiting."""

SCANS = 4
"""Subscribers that read the log from places of their own at the same time; others wait for their turn."""

PAUSES = (0.05, 0.1, 0.2, 0.5, 1.0)
"""Seconds until a log that does not answer is tried again."""

IndexKey = tuple[ChangeKind, str, str]
"""A place of the index: a kind, what is named, and its name."""


class Subject:
    """Something that updates are about. `shared` holds what was read of it for one subscriber and serves others, until
    it changes again."""

    __slots__ = ("__weakref__", "shared")

    def __init__(self) -> None:
        self.shared: dict[Hashable, Any] = {}


class FanoutEvent:
    """An update in its place. Entries of the same thing have it in common, where several may be told of it."""

    __slots__ = ("cursor", "subject", "update")

    def __init__(self, recorded: LoggedEvent, thing: Subject | None = None) -> None:
        self.cursor = recorded.cursor
        self.update = recorded.update
        self.subject = thing or Subject()


class FanoutGap:
    """Updates after one cursor and before another are gone. `cursor` is where to go on, before the oldest there is."""

    __slots__ = ("after", "cursor", "reason", "to")

    def __init__(self, after: str, page: EventPage, reason: LossReason) -> None:
        self.after = after
        self.cursor = page.start
        self.to = page.entries[0].cursor if page.entries else page.cursor
        self.reason = reason


FanoutItem = FanoutEvent | FanoutGap


class EventFilter:
    """Which updates a subscriber waits for: those of a kind, of one of these customers, of one of these orders, and of
    one of these subjects, by `subject_keys`. None is any."""

    __slots__ = ("customers", "kind", "orders", "subjects")

    def __init__(
        self,
        kind: ChangeKind,
        *,
        customers: frozenset[str] | None = None,
        orders: frozenset[str] | None = None,
        subjects: frozenset[str] | None = None,
    ) -> None:
        self.kind = kind
        self.customers = customers
        self.orders = orders
        self.subjects = subjects

    def matches(self, item: FanoutItem) -> bool:
        """Whether something is for this subscriber. A gap is for everybody: who knows what was in it?"""
        if isinstance(item, FanoutGap):
            return True
        update = item.update
        return (
            update.kind is self.kind
            and (self.customers is None or update.customer in self.customers)
            and (self.orders is None or not self.orders.isdisjoint(update.orders))
            and (self.subjects is None or not self.subjects.isdisjoint(subject_keys(update)))
        )

    def index_keys(self) -> Iterator[IndexKey]:
        """Where it stands in the index: by the narrowest of what it names."""
        for family in ("subjects", "orders", "customers"):
            named: frozenset[str] | None = getattr(self, family)
            if named is not None:
                yield from ((self.kind, family, name) for name in named)
                return
        yield (self.kind, "", "")


def subject_key(source: str, key: str) -> str:
    """A thing by its key in a source."""
    return f"{source}:{key}"


def subject_keys(update: ChangeEvent) -> tuple[str, ...]:
    """What the thing of an update is called: its id, its key in the source, its tracking number."""
    names = (update.node_id, subject_key(update.source, update.key))
    return (*names, update.tracking_number) if update.tracking_number else names


def _index_keys(update: ChangeEvent) -> Iterator[IndexKey]:
    yield (update.kind, "", "")
    if update.customer is not None:
        yield (update.kind, "customers", update.customer)
    yield from ((update.kind, "orders", number) for number in update.orders)
    yield from ((update.kind, "subjects", name) for name in subject_keys(update))


class Subscriber:
    """Waits for events that match its filter. While it waits it costs a future, and no task.

    What it leaves waiting is bounded: beyond `most`, the newest update of a thing takes the place of older ones, for
    whoever gets it reads the thing as it is then. With more than that it is dropped. `cursor` is where to resume.
    """

    __slots__ = ("_end", "_entered", "_feed", "_most", "_pending", "_waiting", "cursor", "filter", "place")

    def __init__(self, feed: EventFanout, filter: EventFilter, place: str, most: int) -> None:
        self.filter = filter
        self.cursor = self.place = place
        self._feed = feed
        self._most = most
        self._entered = False
        self._pending: list[FanoutItem] | None = None
        self._waiting: asyncio.Future[None] | None = None
        self._end: Exception | None = None

    async def next(self) -> FanoutItem:
        """The next item that matches. Raises SubscriberTooSlow, ShuttingDown: then nothing more comes."""
        await self._wait_pending()
        assert self._pending is not None  # noqa: S101 - or it would have waited
        item = self._pending.pop(0)
        self._pending = self._pending or None
        self.cursor = item.cursor
        return item

    async def next_batch(self) -> list[FanoutItem]:
        """All that is waiting, at least one: the newest of each thing, oldest first."""
        await self._wait_pending()
        items, self._pending = coalesce(self._pending or ()), None
        self.cursor = items[-1].cursor
        return items

    async def _wait_pending(self) -> None:
        while not self._pending:
            if self._end is not None:
                raise self._end
            if self._entered:
                self._waiting = asyncio.get_running_loop().create_future()
                try:
                    await self._waiting
                finally:
                    self._waiting = None
            elif self._feed.add(self):
                self._entered, self.cursor = True, self.place
            else:
                found, self.place = await self._feed.read_after(self.place)
                self._pending = [item for item in found if self.filter.matches(item)] or None

    def push(self, item: FanoutItem) -> None:
        """Hand it something new."""
        if self._pending is None:
            self._pending = [item]
        else:
            self._pending.append(item)
            if len(self._pending) > self._most:
                self._pending = coalesce(self._pending)
                if len(self._pending) > self._most:
                    self.end(SubscriberTooSlow(self.cursor))
        self._wake()

    def end(self, error: Exception) -> None:
        """Nothing more comes, and what is waiting is let go."""
        self._end, self._pending = error, None
        self.close()
        self._wake()

    def close(self) -> None:
        """Stop following."""
        if self._entered:
            self._entered = False
            self._feed.remove(self)

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


def coalesce(items: Sequence[FanoutItem]) -> list[FanoutItem]:
    """The newest of each thing, and every gap, in their order."""
    newest = {item.update.node_id: item for item in items if isinstance(item, FanoutEvent)}
    return [item for item in items if isinstance(item, FanoutGap) or newest[item.update.node_id] is item]


class LogListener(Protocol):
    """Is shown everything that this worker reads of the log, before subscribers are."""

    def reset(self) -> None:
        """Events may have been missed."""
        ...

    def apply(self, events: Iterable[ChangeEvent]) -> None:
        """These were read, in order."""
        ...


class EventFanout:
    """One reader of the log for all subscribers of this worker."""

    def __init__(
        self, events: EventLog, *, recent: int = RECENT, queue: int = QUEUE, listener: LogListener | None = None
    ) -> None:
        self._log = events
        self._listener = listener
        self._queue = queue
        self._index: dict[IndexKey, set[Subscriber]] = {}
        self._most_recent = recent
        self._recent: deque[FanoutEvent] = deque()
        self._numbers: dict[str, int] = {}
        self._start = ""
        self._subjects: WeakValueDictionary[str, Subject] = WeakValueDictionary()
        self._read = 0
        self._cursor: str | None = None
        self._reading: asyncio.Future[None] | None = None
        self._scans = asyncio.Semaphore(SCANS)
        self._stopped = False
        self._reader: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to read, from the end of the log."""
        self._reader = asyncio.get_running_loop().create_task(self._follow())

    @asynccontextmanager
    async def running(self) -> AsyncIterator[EventFanout]:
        """Follow the log as long as this lasts."""
        self.start()
        try:
            yield self
        finally:
            await self.stop()

    async def stop(self) -> None:
        """End all subscriptions, so that their clients go on elsewhere, and read no more."""
        self._stopped = True
        for subscriber in {one for here in self._index.values() for one in here}:
            subscriber.end(ShuttingDown())
        self._end_read()
        if self._reader is not None:
            self._reader.cancel()
            with suppress(asyncio.CancelledError):
                await self._reader
            self._reader = None

    # Subscribing

    async def subscribe(self, filter: EventFilter, after: str | None = None, most: int | None = None) -> Subscriber:
        """A subscriber to what matches the filter, from after a cursor or from now on. Raises InvalidCursor, and
        StoreUnavailable where it cannot be said what comes after the cursor."""
        while self._cursor is None and not self._stopped:
            await self._next_read()
        if after is None:
            after = self._cursor or ""
        elif after not in self._numbers:
            await self._log.read(after, 1)
        return Subscriber(self, filter, after, most or self._queue)

    def add(self, subscriber: Subscriber) -> bool:
        """Hand it whatever comes from now on, if nothing lies between its place and that."""
        if self._stopped:
            raise ShuttingDown
        if subscriber.place != self._cursor:
            return False
        for place in subscriber.filter.index_keys():
            self._index.setdefault(place, set()).add(subscriber)
        return True

    def remove(self, subscriber: Subscriber) -> None:
        """Hand it nothing more."""
        for place in subscriber.filter.index_keys():
            here = self._index.get(place, set())
            here.discard(subscriber)
            if not here:
                self._index.pop(place, None)

    async def next_items(self, after: str, limit: int) -> tuple[Sequence[FanoutItem], str]:
        """Up to `limit` items after a cursor, as soon as there are some, and the cursor after them. Those that this
        worker has read already come from memory. Raises InvalidCursor and StoreUnavailable."""
        while True:
            found, cursor = await self.read_after(after, limit)
            if found:
                return found, cursor
            after = cursor
            if after == self._cursor:
                await self._next_read()

    async def read_after(self, cursor: str, limit: int | None = None) -> tuple[Sequence[FanoutItem], str]:
        """Items after a cursor, and the cursor after them; none where that is the end of what was read. From memory
        where it reaches back so far, else from the log."""
        number = self._numbers.get(cursor)
        if number is not None:
            first = number - (self._read - len(self._recent))
            found = list(islice(self._recent, first, None if limit is None else first + limit))
            return found, found[-1].cursor if found else cursor
        async with self._scans:
            here = self._cursor or ""
            page = await self._log.read(cursor, limit or PAGE)
            entries = [self._entry(one) for one in page.entries]
            if page.lost is not None:
                return [FanoutGap(cursor, page, page.lost), *entries], page.cursor
            if entries:
                return entries, page.cursor
            if not await self._log.follows(here, cursor):
                return (), here
        await self._next_read()  # The shared reader is not there yet.
        return (), cursor

    # Reading

    async def _follow(self) -> None:
        failures = 0
        while True:
            try:
                await self._read_on()
                failures = 0
            except StoreUnavailable as error:
                if not failures:
                    log.warning("events", code=error.code, detail=error.detail)
                await asyncio.sleep(PAUSES[min(failures, len(PAUSES) - 1)])
                failures += 1
            except Exception as error:  # noqa: BLE001 - all subscribers of this worker depend on it
                log.error("events", error=repr(error))
                await asyncio.sleep(PAUSES[-1])

    async def _read_on(self) -> None:
        if self._cursor is None:
            self._cursor = await self._log.end()
            self._restart_window(self._cursor)
            if self._listener is not None:
                self._listener.reset()
        page = await self._log.read(self._cursor)
        if self._listener is not None:
            if page.lost is not None:
                self._listener.reset()
            self._listener.apply(recorded.update for recorded in page.entries)
        if page.lost is not None:
            self._restart_window(page.start)
            gap = FanoutGap(self._cursor, page, page.lost)
            for subscriber in {one for here in self._index.values() for one in here}:
                subscriber.push(gap)
        for recorded in page.entries:
            self._dispatch(self._entry(recorded))
        self._cursor = page.cursor
        self._end_read()
        if not page.entries:
            await self._log.wait(self._cursor, WAIT)

    def _restart_window(self, cursor: str) -> None:
        self._recent.clear()
        self._numbers = {cursor: self._read}
        self._start = cursor

    def _entry(self, recorded: LoggedEvent) -> FanoutEvent:
        name = recorded.update.node_id
        thing = self._subjects.get(name)
        if thing is None:
            thing = self._subjects[name] = Subject()
        return FanoutEvent(recorded, thing)

    def _dispatch(self, entry: FanoutEvent) -> None:
        entry.subject.shared = {}  # What was read before this is old.
        self._read += 1
        self._recent.append(entry)
        self._numbers[entry.cursor] = self._read
        if len(self._recent) > self._most_recent:
            del self._numbers[self._start]
            self._start = self._recent.popleft().cursor
        for subscriber in self._matching(_index_keys(entry.update)):
            if subscriber.filter.matches(entry):
                subscriber.push(entry)

    def _matching(self, places: Iterable[IndexKey]) -> set[Subscriber]:
        found: set[Subscriber] = set()
        for place in places:
            found |= self._index.get(place, set())
        return found

    async def _next_read(self) -> None:
        """Until the reader has read once more. A waiter that is cancelled takes nothing from the others."""
        if self._reading is None:
            self._reading = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._reading)

    def _end_read(self) -> None:
        turn, self._reading = self._reading, None
        if turn is not None and not turn.done():
            turn.set_result(None)
