"""The feed of a worker's subscribers: what reaches whom, resuming, and subscribers that do not keep up."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from app.errors import InvalidCursor, ShuttingDown, StoreUnavailable, SubscriberTooSlow
from app.events.fanout import EventFanout, Subscriber
from app.events.filters import EventFilter, FanoutEvent, FanoutGap, subject_key
from app.events.log import ChangeEvent, EventLog, EventPage
from app.events.stores import connect_events
from app.settings import EventSettings, Settings
from app.sources.changes import ChangeKind
from tests.support.events import update

ALL = EventFilter(ChangeKind.SHIPMENT)


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[EventLog]:
    events = connect_events(Settings(data_dir=tmp_path))
    yield events
    await events.close()


@asynccontextmanager
async def fed(log: EventLog, **options: Any) -> AsyncIterator[EventFanout]:
    feed = EventFanout(log, **options)
    async with feed.running():
        yield feed


async def keys(subscriber: Subscriber, count: int) -> list[str]:
    """The keys of the next so many."""
    async with asyncio.timeout(120):
        found = [await subscriber.next() for _ in range(count)]
    return [item.update.key if isinstance(item, FanoutEvent) else str(item.reason) for item in found]


async def record(log: EventLog, *updates: ChangeEvent) -> list[str]:
    return [one.cursor for one in await log.record((), updates)]


class Resets:
    """A listener of the log that counts its resets."""

    def __init__(self) -> None:
        self.count = 0

    def reset(self) -> None:
        self.count += 1

    def apply(self, events: Iterable[ChangeEvent]) -> None:
        pass


async def test_feed_has_its_position_once_its_listener_was_reset(log: EventLog, monkeypatch: pytest.MonkeyPatch):
    """The gateway warms its cache then: what was cached before is dropped."""
    opened, end, resets = asyncio.Event(), log.end, Resets()

    async def late() -> str:
        await opened.wait()
        return await end()

    monkeypatch.setattr(log, "end", late)
    async with fed(log, listeners=[resets]) as feed:
        await asyncio.sleep(0)
        assert (feed.positioned.is_set(), resets.count) == (False, 0)
        opened.set()
        async with asyncio.timeout(120):
            await feed.positioned.wait()
        assert resets.count == 1


INTERESTS: list[Any] = [
    pytest.param(ALL, "abcdef", id="all"),
    pytest.param(EventFilter(ChangeKind.ORDER), "o", id="another kind"),
    pytest.param(EventFilter(ChangeKind.SHIPMENT, customers=frozenset({"C1", "C2"})), "abf", id="customers"),
    pytest.param(EventFilter(ChangeKind.SHIPMENT, customers=frozenset()), "", id="of nobody"),
    pytest.param(EventFilter(ChangeKind.SHIPMENT, orders=frozenset({"O1"})), "acf", id="order"),
    pytest.param(
        EventFilter(ChangeKind.SHIPMENT, customers=frozenset({"C1"}), orders=frozenset({"O1"})), "af", id="both"
    ),
    pytest.param(EventFilter(ChangeKind.SHIPMENT, subjects=frozenset({"node-a", "T4"})), "ad", id="subjects"),
    pytest.param(
        EventFilter(ChangeKind.SHIPMENT, subjects=frozenset({subject_key("parcels", "e"), "node-e"})), "e", id="key"
    ),
]
HAPPENED = [
    update("a", customer="C1", orders=("O1", "O9")),
    update("b", customer="C2", orders=("O2",)),
    update("c", customer="C3", orders=("O1",)),
    update("o", kind=ChangeKind.ORDER, customer="C4", orders=("O4",)),
    update("d", tracking_number="T4"),
    update("e"),
    update("f", customer="C1", orders=("O1",)),
]


@pytest.mark.parametrize("resumed", [False, True], ids=["live", "resumed"])
@pytest.mark.parametrize(("filter", "expected"), INTERESTS)
async def test_subscriber_gets_what_fits_all_that_it_names(
    log: EventLog, filter: EventFilter, expected: str, resumed: bool
) -> None:
    start = await log.end()
    async with fed(log) as feed:
        if resumed:
            await record(log, *HAPPENED)
        subscriber = await feed.subscribe(filter, start)
        last = await feed.subscribe(EventFilter(filter.kind, subjects=frozenset({"node-last"})), start)
        reading = asyncio.create_task(keys(last, 1))
        if not resumed:
            await record(log, *HAPPENED)
        await record(log, update("last", kind=filter.kind, customer="C1", orders=("O1",)))
        assert await reading == ["last"]
        assert await keys(subscriber, len(expected)) == list(expected)


async def test_without_a_cursor_it_begins_now(log: EventLog) -> None:
    await record(log, update("before"))
    async with fed(log) as feed:
        subscriber = await feed.subscribe(ALL)
        await record(log, update("after"))
        assert await keys(subscriber, 1) == ["after"]


async def test_cursor_of_nobody_is_refused(log: EventLog) -> None:
    async with fed(log) as feed:
        with pytest.raises(InvalidCursor):
            await feed.subscribe(ALL, "nonsense")


@pytest.mark.parametrize("recent", [0, 3, 1_000])
async def test_who_resumes_anywhere_at_any_time_misses_nothing_and_gets_nothing_twice(
    log: EventLog, recent: int
) -> None:
    chance = random.Random(recent)
    cursors = [await log.end(), *await record(log, *(update(str(number)) for number in range(20)))]
    async with fed(log, window=recent, queue_limit=1_000) as feed:

        async def follow() -> None:
            """Read some, lose the connection, come back after the last that was read."""
            at = place = chance.randrange(len(cursors))
            subscriber = await feed.subscribe(ALL, cursors[at])
            while place < 200:
                for _ in range(chance.randint(1, 40)):
                    item = await subscriber.next()
                    assert isinstance(item, FanoutEvent)
                    assert item.update.key == str(place)
                    place += 1
                    if place == 200:
                        break
                subscriber.close()
                subscriber = await feed.subscribe(ALL, item.cursor)
            subscriber.close()

        async def happen() -> None:
            number = 20
            while number < 200:
                some = range(number, min(number + chance.randint(1, 7), 200))
                cursors.extend(await record(log, *(update(str(one)) for one in some)))
                number = some.stop
                await asyncio.sleep(0)

        async with asyncio.timeout(120), asyncio.TaskGroup() as group:
            for _ in range(20):
                group.create_task(follow())
            group.create_task(happen())


async def test_one_read_of_the_log_serves_all_subscribers(log: EventLog) -> None:
    counted = Counted(log)
    async with fed(counted) as feed:  # type: ignore[arg-type]
        subscribers = [await feed.subscribe(ALL) for _ in range(200)]
        reading = [asyncio.create_task(keys(one, 1)) for one in subscribers]
        await asyncio.sleep(0)
        before = counted.reads
        await record(log, update("a"))
        assert await asyncio.gather(*reading) == [["a"]] * 200
        assert counted.reads - before <= 2


async def test_newest_update_of_a_subject_replaces_older_ones_for_a_slow_subscriber(log: EventLog) -> None:
    async with fed(log) as feed:
        slow, quick = await feed.subscribe(ALL, limit=4), await feed.subscribe(ALL)
        reading = asyncio.create_task(keys(slow, 1))
        quick_reading = asyncio.create_task(keys(quick, 8))
        await record(log, update("0"))
        assert await reading == ["0"]
        cursors = await record(log, *(update(key) for key in "abacaba"))
        assert await quick_reading == list("0abacaba")
        found = [await slow.next() for _ in range(3)]
        assert [item.cursor for item in found] == [cursors[3], cursors[5], cursors[6]]
        await record(log, update("z"))
        assert await keys(slow, 1) == ["z"]


async def test_subscriber_with_a_full_queue_is_dropped_with_a_cursor_and_resumes_without_loss(log: EventLog) -> None:
    async with fed(log) as feed:
        slow, quick = await feed.subscribe(ALL, limit=4), await feed.subscribe(ALL)
        reading = asyncio.create_task(keys(slow, 1))
        quick_reading = asyncio.create_task(keys(quick, 6))
        (first,) = await record(log, update("0"))
        assert await reading == ["0"]
        await record(log, *(update(key) for key in "abcde"))
        assert await quick_reading == list("0abcde")
        with pytest.raises(SubscriberTooSlow) as dropped:
            await slow.next()
        assert dropped.value.extensions == {"cursor": first}
        assert slow not in {one for here in feed._index.values() for one in here}
        assert await keys(await feed.subscribe(ALL, dropped.value.cursor), 5) == list("abcde")


async def test_trimmed_events_are_reported_with_a_cursor_to_resume_from(tmp_path: Path) -> None:
    log = connect_events(Settings(data_dir=tmp_path, events=EventSettings(keep_updates=2)))
    try:
        start = await log.end()
        cursors = await record(log, *(update(key) for key in "abcd"))
        assert await log.trim() == 2
        async with fed(log) as feed:
            subscriber = await feed.subscribe(ALL, start)
            gap = await subscriber.next()
            assert isinstance(gap, FanoutGap)
            assert (gap.after, gap.to, gap.reason) == (start, cursors[2], "TOO_MANY")
            assert await keys(subscriber, 2) == ["c", "d"]
            assert await keys(await feed.subscribe(ALL, gap.cursor), 2) == ["c", "d"]
    finally:
        await log.close()


async def test_end_of_the_gateway_ends_subscriptions(log: EventLog) -> None:
    feed = EventFanout(log)
    feed.start()
    live, resumed = await feed.subscribe(ALL), await feed.subscribe(ALL, await log.end())
    waiting = asyncio.create_task(live.next())
    await asyncio.sleep(0)
    await feed.stop()
    for one in (waiting, resumed.next()):
        with pytest.raises(ShuttingDown):
            await one


async def test_closed_subscriber_leaves_nothing_behind(log: EventLog) -> None:
    async with fed(log) as feed:
        named = EventFilter(ChangeKind.SHIPMENT, subjects=frozenset({"a", "b"}))
        async with AsyncExitStack() as stack:
            for filter in (ALL, named):
                subscriber = await feed.subscribe(filter)
                task = asyncio.create_task(subscriber.next())
                stack.callback(subscriber.close)
                stack.callback(task.cancel)
            await asyncio.sleep(0)
            assert len(feed._index) == 3
        assert feed._index == {}


class Counted:
    """A log that counts what is read of it, and does not answer while it is `down`."""

    def __init__(self, inner: EventLog) -> None:
        self._inner = inner
        self.reads = 0
        self.down = False

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return getattr(self._inner, name)

    async def read(self, after: str, limit: int = 500) -> EventPage:
        self.reads += 1
        if self.down:
            raise StoreUnavailable(detail="down for a test")
        return await self._inner.read(after, limit)


async def test_log_that_comes_back_is_read_on(log: EventLog) -> None:
    counted = Counted(log)
    async with fed(counted) as feed:  # type: ignore[arg-type]
        subscriber = await feed.subscribe(ALL)
        reading = asyncio.create_task(keys(subscriber, 2))
        await asyncio.sleep(0)
        counted.down = True
        before = counted.reads
        await record(log, update("a"))
        while counted.reads < before + 2:
            await asyncio.sleep(0)
        counted.down = False
        await record(log, update("b"))
        assert await reading == ["a", "b"]
