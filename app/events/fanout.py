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
from typing import Any
from weakref import WeakValueDictionary

from app.errors import ShuttingDown, StoreUnavailable, SubscriberTooSlow
from app.events.log import EventLog, Page, Recorded, Update
from app.sources.changes import ChangeKind
from app.telemetry import log

WAIT = 15.0
"""Seconds after which the log is looked at, though it says nothing."""

RECENT = 1_000
"""Updates kept in memory, for subscribers that come back after a moment."""

QUEUE = 100
"""Updates that one subscriber may leave waiting."""

SCANS = 4
"""Subscribers that read the log from places of their own at the same time; others wait for their turn."""

PAUSES = (0.05, 0.1, 0.2, 0.5, 1.0)
"""Seconds until a log that does not answer is tried again."""

Place = tuple[ChangeKind, str, str]
"""A place of the index: a kind, what is named, and its name."""


class Thing:
    """Something that updates are about. `shared` holds what was read of it for one subscriber and serves others, until
    it changes again."""

    __slots__ = ("__weakref__", "shared")

    def __init__(self) -> None:
        self.shared: dict[Hashable, Any] = {}


class Entry:
    """An update in its place. Entries of the same thing have it in common, where several may be told of it."""

    __slots__ = ("cursor", "thing", "update")

    def __init__(self, recorded: Recorded, thing: Thing | None = None) -> None:
        self.cursor = recorded.cursor
        self.update = recorded.update
        self.thing = thing or Thing()


class Gap:
    """Updates after one cursor and before another are gone. `cursor` is where to go on, before the oldest there is."""

    __slots__ = ("after", "cursor", "reason", "to")

    def __init__(self, after: str, page: Page) -> None:
        self.after = after
        self.cursor = page.start
        self.to = page.entries[0].cursor if page.entries else page.cursor
        self.reason = str(page.lost)


Item = Entry | Gap


class Interest:
    """Which updates a subscriber waits for: those of a kind, of one of these customers, of one of these orders, and of
    one of these things, by what `marks` calls them. None is any."""

    __slots__ = ("customers", "kind", "orders", "things")

    def __init__(
        self,
        kind: ChangeKind,
        *,
        customers: frozenset[str] | None = None,
        orders: frozenset[str] | None = None,
        things: frozenset[str] | None = None,
    ) -> None:
        self.kind = kind
        self.customers = customers
        self.orders = orders
        self.things = things

    def wants(self, item: Item) -> bool:
        """Whether something is for this subscriber. A gap is for everybody: who knows what was in it?"""
        if isinstance(item, Gap):
            return True
        update = item.update
        return (
            update.kind is self.kind
            and (self.customers is None or update.customer in self.customers)
            and (self.orders is None or not self.orders.isdisjoint(update.orders))
            and (self.things is None or not self.things.isdisjoint(marks(update)))
        )

    def places(self) -> Iterator[Place]:
        """Where it stands in the index: by the narrowest of what it names."""
        for family in ("things", "orders", "customers"):
            named: frozenset[str] | None = getattr(self, family)
            if named is not None:
                yield from ((self.kind, family, name) for name in named)
                return
        yield (self.kind, "", "")


def mark(source: str, key: str) -> str:
    """A thing by its key in a source."""
    return f"{source}:{key}"


def marks(update: Update) -> tuple[str, ...]:
    """What the thing of an update is called: its id, its key in the source, its tracking number."""
    names = (update.node_id, mark(update.source, update.key))
    return (*names, update.tracking_number) if update.tracking_number else names


def _places(update: Update) -> Iterator[Place]:
    yield (update.kind, "", "")
    if update.customer is not None:
        yield (update.kind, "customers", update.customer)
    yield from ((update.kind, "orders", number) for number in update.orders)
    yield from ((update.kind, "things", name) for name in marks(update))


class Subscriber:
    """Waits for what is of interest to it. While it waits it costs a future, and no task.

    What it leaves waiting is bounded: beyond `most`, the newest update of a thing takes the place of older ones, for
    whoever gets it reads the thing as it is then. With more than that it is dropped. `cursor` is where to resume.
    """

    __slots__ = ("_end", "_entered", "_feed", "_most", "_pending", "_waiting", "cursor", "interest", "place")

    def __init__(self, feed: Feed, interest: Interest, place: str, most: int) -> None:
        self.interest = interest
        self.cursor = self.place = place
        self._feed = feed
        self._most = most
        self._entered = False
        self._pending: list[Item] | None = None
        self._waiting: asyncio.Future[None] | None = None
        self._end: Exception | None = None

    async def next(self) -> Item:
        """The next that is of interest. Raises SubscriberTooSlow, ShuttingDown: then nothing more comes."""
        await self._something()
        assert self._pending is not None  # noqa: S101 - or it would have waited
        item = self._pending.pop(0)
        self._pending = self._pending or None
        self.cursor = item.cursor
        return item

    async def some(self) -> list[Item]:
        """All that is waiting, at least one: the newest of each thing, oldest first."""
        await self._something()
        items, self._pending = coalesced(self._pending or ()), None
        self.cursor = items[-1].cursor
        return items

    async def _something(self) -> None:
        while not self._pending:
            if self._end is not None:
                raise self._end
            if self._entered:
                self._waiting = asyncio.get_running_loop().create_future()
                try:
                    await self._waiting
                finally:
                    self._waiting = None
            elif self._feed.enter(self):
                self._entered, self.cursor = True, self.place
            else:
                found, self.place = await self._feed.after(self.place)
                self._pending = [item for item in found if self.interest.wants(item)] or None

    def push(self, item: Item) -> None:
        """Hand it something new."""
        if self._pending is None:
            self._pending = [item]
        else:
            self._pending.append(item)
            if len(self._pending) > self._most:
                self._pending = coalesced(self._pending)
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
            self._feed.leave(self)

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


def coalesced(items: Sequence[Item]) -> list[Item]:
    """The newest of each thing, and every gap, in their order."""
    newest = {item.update.node_id: item for item in items if isinstance(item, Entry)}
    return [item for item in items if isinstance(item, Gap) or newest[item.update.node_id] is item]


class Feed:
    """One reader of the log for all subscribers of this worker."""

    def __init__(self, events: EventLog, *, recent: int = RECENT, queue: int = QUEUE) -> None:
        self._log = events
        self._queue = queue
        self._index: dict[Place, set[Subscriber]] = {}
        self._most_recent = recent
        self._recent: deque[Entry] = deque()
        self._numbers: dict[str, int] = {}
        self._things: WeakValueDictionary[str, Thing] = WeakValueDictionary()
        self._read = 0
        self._cursor: str | None = None
        self._turn: asyncio.Future[None] | None = None
        self._scans = asyncio.Semaphore(SCANS)
        self._stopped = False
        self._reader: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to read, from the end of the log."""
        self._reader = asyncio.get_running_loop().create_task(self._follow())

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Follow the log as long as this lasts."""
        self.start()
        try:
            yield
        finally:
            await self.stop()

    async def stop(self) -> None:
        """End all subscriptions, so that their clients go on elsewhere, and read no more."""
        self._stopped = True
        for subscriber in {one for here in self._index.values() for one in here}:
            subscriber.end(ShuttingDown())
        self._end_turn()
        if self._reader is not None:
            self._reader.cancel()
            with suppress(asyncio.CancelledError):
                await self._reader
            self._reader = None

    # Subscribing

    async def subscribe(self, interest: Interest, after: str | None = None, most: int | None = None) -> Subscriber:
        """Whoever waits for what is of interest, from after a cursor or from now on. Raises InvalidCursor, and
        StoreUnavailable where it cannot be said what comes after the cursor."""
        while self._cursor is None and not self._stopped:
            await self._next_turn()
        if after is None:
            after = self._cursor or ""
        elif after not in self._numbers:
            await self._log.read(after, 1)
        return Subscriber(self, interest, after, most or self._queue)

    def enter(self, subscriber: Subscriber) -> bool:
        """Hand it whatever comes from now on, if nothing lies between its place and that."""
        if self._stopped:
            raise ShuttingDown
        if subscriber.place != self._cursor:
            return False
        for place in subscriber.interest.places():
            self._index.setdefault(place, set()).add(subscriber)
        return True

    def leave(self, subscriber: Subscriber) -> None:
        """Hand it nothing more."""
        for place in subscriber.interest.places():
            here = self._index.get(place, set())
            here.discard(subscriber)
            if not here:
                self._index.pop(place, None)

    async def after(self, place: str) -> tuple[Sequence[Item], str]:
        """What comes after a place, and the place after that; nothing where that is where the feed is."""
        number = self._numbers.get(place)
        if number is not None:
            begins = number - (self._read - len(self._recent))
            found = list(islice(self._recent, begins, None))
            return found, found[-1].cursor if found else place
        async with self._scans:
            here = self._cursor or ""
            page = await self._log.read(place)
            entries = [self._entry(one) for one in page.entries]
            if page.lost is not None:
                return [Gap(place, page), *entries], page.cursor
            if entries:
                return entries, page.cursor
            if not await self._log.follows(here, place):
                return (), here
        await self._next_turn()  # The feed has not come so far yet.
        return (), place

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
        page = await self._log.read(self._cursor)
        if page.lost is not None:
            self._recent.clear()
            self._numbers.clear()
            gap = Gap(self._cursor, page)
            for subscriber in {one for here in self._index.values() for one in here}:
                subscriber.push(gap)
        for recorded in page.entries:
            self._hand_out(self._entry(recorded))
        self._cursor = page.cursor
        self._end_turn()
        if not page.entries:
            await self._log.wait(self._cursor, WAIT)

    def _entry(self, recorded: Recorded) -> Entry:
        name = recorded.update.node_id
        thing = self._things.get(name)
        if thing is None:
            thing = self._things[name] = Thing()
        return Entry(recorded, thing)

    def _hand_out(self, entry: Entry) -> None:
        entry.thing.shared = {}  # What was read before this is old.
        self._read += 1
        self._recent.append(entry)
        self._numbers[entry.cursor] = self._read
        if len(self._recent) > self._most_recent:
            del self._numbers[self._recent.popleft().cursor]
        for subscriber in self._interested(_places(entry.update)):
            if subscriber.interest.wants(entry):
                subscriber.push(entry)

    def _interested(self, places: Iterable[Place]) -> set[Subscriber]:
        found: set[Subscriber] = set()
        for place in places:
            found |= self._index.get(place, set())
        return found

    async def _next_turn(self) -> None:
        """Until the reader has read once more. A waiter that is cancelled takes nothing from the others."""
        if self._turn is None:
            self._turn = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._turn)

    def _end_turn(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None and not turn.done():
            turn.set_result(None)
