"""Fan-out of the event log: one reader a worker, for all its subscribers and partners' endpoints.

    log ──(one task reads)──> window of recent events ──(index)──> subscribers
                                                      └──(by cursor)──> endpoints

A subscriber that resumes reads from its own cursor, first from the log, then from the window, and is indexed in the
step in which nothing is left to read: between the two no event is lost or repeated. An endpoint that lags reads its own
range of the log until it has caught up with the window.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import islice
from typing import Protocol
from weakref import WeakValueDictionary

from app.errors import ShuttingDown, StoreUnavailable, SubscriberTooSlow
from app.events.filters import EventFilter, FanoutEvent, FanoutGap, FanoutItem, IndexKey, Subject, coalesce, index_keys
from app.events.log import ChangeEvent, EventLog, LoggedEvent
from app.telemetry import log

MAX_WAIT = 15.0
"""Seconds after which the log is read again though it has notified nobody."""

WINDOW = 1_000
"""Events kept in memory, for subscribers that reconnect and for endpoints."""

PAGE = 500
"""Events read of the log at once."""

QUEUE_LIMIT = 100
"""Pending events of one subscriber."""

OWN_READS = 4
"""Subscribers and endpoints that read ranges of their own at once; others wait."""

RETRY_PAUSES = (0.05, 0.1, 0.2, 0.5, 1.0)
"""Seconds until an unavailable log is read again."""


class LogListener(Protocol):
    """Receives everything that this worker reads of the log, before subscribers do."""

    def reset(self) -> None:
        """Events may have been missed."""
        ...

    def apply(self, events: Iterable[ChangeEvent]) -> None:
        """Events that were read, in order."""
        ...


class Subscriber:
    """Waits for items that match its filter. While it waits it costs a future, and no task.

    Pending items are bounded: beyond `limit`, the newest event of a subject replaces older ones, since the subject is
    read when the event is delivered; beyond that, the subscriber is dropped. Resume after `cursor`.
    """

    __slots__ = ("_end", "_fanout", "_indexed", "_limit", "_pending", "_waiting", "cursor", "filter", "position")

    def __init__(self, fanout: EventFanout, filter: EventFilter, position: str, limit: int) -> None:
        self.filter = filter
        self.cursor = self.position = position
        self._fanout = fanout
        self._limit = limit
        self._indexed = False
        self._pending: list[FanoutItem] | None = None
        self._waiting: asyncio.Future[None] | None = None
        self._end: Exception | None = None

    async def next(self) -> FanoutItem:
        """The next matching item. Raises SubscriberTooSlow, ShuttingDown: then the subscription has ended."""
        await self._wait_pending()
        assert self._pending is not None  # noqa: S101 - or it would have waited
        item = self._pending.pop(0)
        self._pending = self._pending or None
        self.cursor = item.cursor
        return item

    async def next_batch(self) -> list[FanoutItem]:
        """All pending items, at least one: the newest event of each subject, oldest first."""
        await self._wait_pending()
        items, self._pending = coalesce(self._pending or ()), None
        self.cursor = items[-1].cursor
        return items

    async def _wait_pending(self) -> None:
        while not self._pending:
            if self._end is not None:
                raise self._end
            if self._indexed:
                self._waiting = asyncio.get_running_loop().create_future()
                try:
                    await self._waiting
                finally:
                    self._waiting = None
            elif self._fanout.add(self):
                self._indexed, self.cursor = True, self.position
            else:
                found, self.position = await self._fanout.read_after(self.position)
                self._pending = [item for item in found if self.filter.matches(item)] or None

    def push(self, item: FanoutItem) -> None:
        """Add a new item."""
        if self._pending is None:
            self._pending = [item]
        else:
            self._pending.append(item)
            if len(self._pending) > self._limit:
                self._pending = coalesce(self._pending)
                if len(self._pending) > self._limit:
                    self.end(SubscriberTooSlow(self.cursor))
        self._wake()

    def end(self, error: Exception) -> None:
        """End the subscription; pending items are dropped."""
        self._end, self._pending = error, None
        self.close()
        self._wake()

    def close(self) -> None:
        """Unsubscribe."""
        if self._indexed:
            self._indexed = False
            self._fanout.remove(self)

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


class EventFanout:
    """The one reader of the log in this worker."""

    def __init__(
        self,
        events: EventLog,
        *,
        window: int = WINDOW,
        queue_limit: int = QUEUE_LIMIT,
        listeners: Sequence[LogListener] = (),
    ) -> None:
        self._log = events
        self.positioned = asyncio.Event()  # Set once the position in the log is known and the listener reset.
        self._listeners = tuple(listeners)
        self._queue_limit = queue_limit
        self._index: dict[IndexKey, set[Subscriber]] = {}
        self._window_size = window
        self._window: deque[FanoutEvent] = deque()
        self._window_start = ""
        self._counts: dict[str, int] = {}  # Cursor -> events read up to it, for each cursor that the window serves.
        self._count = 0
        self._subjects: WeakValueDictionary[str, Subject] = WeakValueDictionary()
        self._cursor: str | None = None
        self._next: asyncio.Future[None] | None = None
        self._own_reads = asyncio.Semaphore(OWN_READS)
        self._stopped = False
        self._reader: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start reading at the end of the log."""
        self._reader = asyncio.get_running_loop().create_task(self._read_forever())

    @asynccontextmanager
    async def running(self) -> AsyncIterator[EventFanout]:
        """Read the log for as long as this lasts."""
        self.start()
        try:
            yield self
        finally:
            await self.stop()

    async def stop(self) -> None:
        """End all subscriptions with ShuttingDown and stop reading."""
        self._stopped = True
        for subscriber in self._subscribers():
            subscriber.end(ShuttingDown())
        self._end_read()
        if self._reader is not None:
            self._reader.cancel()
            with suppress(asyncio.CancelledError):
                await self._reader
            self._reader = None

    # Subscribing

    async def subscribe(self, filter: EventFilter, after: str | None = None, limit: int | None = None) -> Subscriber:
        """A subscriber to what matches the filter, after a cursor or from now on. Raises InvalidCursor, and
        StoreUnavailable where it is unknown what follows the cursor."""
        while self._cursor is None and not self._stopped:
            await self._next_read()
        if after is None:
            after = self._cursor or ""
        elif after not in self._counts:
            await self._log.read(after, 1)
        return Subscriber(self, filter, after, limit or self._queue_limit)

    def add(self, subscriber: Subscriber) -> bool:
        """Index a subscriber for events from now on, unless there are some between its position and now."""
        if self._stopped:
            raise ShuttingDown
        if subscriber.position != self._cursor:
            return False
        for key in subscriber.filter.index_keys():
            self._index.setdefault(key, set()).add(subscriber)
        return True

    def remove(self, subscriber: Subscriber) -> None:
        """Remove a subscriber from the index."""
        for key in subscriber.filter.index_keys():
            indexed = self._index.get(key, set())
            indexed.discard(subscriber)
            if not indexed:
                self._index.pop(key, None)

    async def next_items(self, after: str, limit: int) -> tuple[Sequence[FanoutItem], str]:
        """Up to `limit` items after a cursor, as soon as there are some, and the cursor after them. Raises
        InvalidCursor and StoreUnavailable."""
        while True:
            items, cursor = await self.read_after(after, limit)
            if items:
                return items, cursor
            after = cursor
            if after == self._cursor:
                await self._next_read()

    async def read_after(self, cursor: str, limit: int | None = None) -> tuple[Sequence[FanoutItem], str]:
        """Items after a cursor, and the cursor after them; none at the end of what was read. From the window where it
        reaches back so far, else from the log."""
        count = self._counts.get(cursor)
        if count is not None:
            first = count - (self._count - len(self._window))
            events = list(islice(self._window, first, None if limit is None else first + limit))
            return events, events[-1].cursor if events else cursor
        async with self._own_reads:
            end = self._cursor or ""
            page = await self._log.read(cursor, limit or PAGE)
            entries = [self._fanout_event(one) for one in page.entries]
            if page.lost is not None:
                return [FanoutGap(cursor, page, page.lost), *entries], page.cursor
            if entries:
                return entries, page.cursor
            if not await self._log.follows(end, cursor):
                return (), end
        await self._next_read()  # The shared reader is not there yet.
        return (), cursor

    async def caught_up(self, cursor: str) -> None:
        """Wait until the shared reader has read up to a cursor. Raises StoreUnavailable."""
        while self._cursor is None or await self._log.follows(self._cursor, cursor):
            await self._next_read()

    # Reading

    async def _read_forever(self) -> None:
        failures = 0
        while True:
            try:
                await self._read_page()
                failures = 0
            except StoreUnavailable as error:
                if not failures:
                    log.warning("event_log_unavailable", code=error.code, detail=error.detail)
                await asyncio.sleep(RETRY_PAUSES[min(failures, len(RETRY_PAUSES) - 1)])
                failures += 1
            except Exception as error:  # noqa: BLE001 - all subscribers of this worker depend on it
                log.error("event_log_not_read", error=repr(error))
                await asyncio.sleep(RETRY_PAUSES[-1])

    async def _read_page(self) -> None:
        if self._cursor is None:
            self._cursor = await self._log.end()
            self._restart_window(self._cursor)
            for listener in self._listeners:
                listener.reset()
            self.positioned.set()
        page = await self._log.read(self._cursor)
        for listener in self._listeners:
            if page.lost is not None:
                listener.reset()
            listener.apply([logged.update for logged in page.entries])
        if page.lost is not None:
            self._restart_window(page.start)
            gap = FanoutGap(self._cursor, page, page.lost)
            for subscriber in self._subscribers():
                subscriber.push(gap)
        for logged in page.entries:
            self._dispatch(self._fanout_event(logged))
        self._cursor = page.cursor
        self._end_read()
        if not page.entries:
            await self._log.wait(self._cursor, MAX_WAIT)

    def _restart_window(self, cursor: str) -> None:
        self._window.clear()
        self._counts = {cursor: self._count}
        self._window_start = cursor

    def _fanout_event(self, logged: LoggedEvent) -> FanoutEvent:
        id = logged.update.node_id
        subject = self._subjects.get(id)
        if subject is None:
            subject = self._subjects[id] = Subject()
        return FanoutEvent(logged, subject)

    def _dispatch(self, event: FanoutEvent) -> None:
        event.subject.shared = {}  # What was read before this event is stale.
        self._count += 1
        self._window.append(event)
        self._counts[event.cursor] = self._count
        if len(self._window) > self._window_size:
            del self._counts[self._window_start]
            self._window_start = self._window.popleft().cursor
        for subscriber in self._indexed_by(index_keys(event.update)):
            if subscriber.filter.matches(event):
                subscriber.push(event)

    def _subscribers(self) -> set[Subscriber]:
        return self._indexed_by(list(self._index))

    def _indexed_by(self, keys: Iterable[IndexKey]) -> set[Subscriber]:
        found: set[Subscriber] = set()
        for key in keys:
            found |= self._index.get(key, set())
        return found

    async def _next_read(self) -> None:
        """Wait for the end of the next read. A cancelled waiter does not cancel the others."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._next)

    def _end_read(self) -> None:
        waiting, self._next = self._next, None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)
