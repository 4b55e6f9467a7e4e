"""What every event log does: the same over SQLite and over Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from app.errors import InvalidCursor
from app.events.log import EventLog, Loss, Page, Taken
from app.events.retention import kept_trimmed
from app.events.stores import connect_events
from app.settings import EventSettings, RedisSettings, Settings
from app.sources.changes import ChangeKind
from tests.events import notice, update

LEASE = 30.0
DAY = 86400.0


@dataclass
class Bench:
    """Opens one log as several processes would, each over a connection of its own, with a clock that tests move."""

    settings: Settings
    began: float = field(default_factory=time.time)
    later: float = 0.0
    opened: list[EventLog] = field(default_factory=list)

    def log(self, **kept: Any) -> EventLog:
        """The log, keeping so much."""
        events = self.settings.events.model_copy(update=kept)
        settings = self.settings.model_copy(update={"events": events})
        self.opened.append(connect_events(settings, clock=self.clock))
        return self.opened[-1]

    def clock(self) -> float:
        """The time of day at which the test began, `later` seconds later."""
        return self.began + self.later


@pytest.fixture(params=["sqlite", "redis"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    events = EventSettings(store=request.param)
    if request.param == "sqlite":
        return Settings(data_dir=tmp_path / "data", events=events)
    return Settings(events=events, redis=RedisSettings(url=SecretStr(request.getfixturevalue("redis_url"))))


@pytest.fixture
async def bench(settings: Settings) -> AsyncIterator[Bench]:
    made = Bench(settings)
    yield made
    for log in made.opened:
        await log.close()


@pytest.fixture
def log(bench: Bench) -> EventLog:
    return bench.log()


def ids(taken: Any) -> list[str]:
    """Which notices were taken."""
    return [one.notice.id for one in taken]


def keys(page: Page) -> list[str]:
    """Which things a page tells of."""
    return [entry.update.key for entry in page.entries]


async def only(log: EventLog) -> Taken:
    """The one notice that there is to take."""
    (taken,) = await log.take("w", 10, LEASE)
    return taken


async def test_updates_come_in_the_order_of_their_recording(log: EventLog):
    start = await log.end()
    await log.record((), [update("A"), update("B")])
    await log.record((), [update("A")])
    page = await log.read(start)
    assert (keys(page), page.start, page.lost) == (["A", "B", "A"], start, None)
    assert page.cursor == page.entries[-1].cursor == await log.end()


async def test_update_comes_back_as_it_was_recorded(log: EventLog):
    start = await log.end()
    whole = update(
        "Größe-1", customer="C1", orders=("SO-1", "SO-2"), tracking_number="1Z", status="IN_TRANSIT", raw_code="x",
        digest="d", deleted=True,
    )  # fmt: skip
    (recorded,) = await log.record((), [whole])
    assert recorded.update == whole
    assert (await log.read(start)).entries == (recorded,)


async def test_reading_goes_on_after_any_cursor(log: EventLog):
    start = await log.end()
    recorded = await log.record((), [update(key) for key in "ABCDE"])
    page = await log.read(start, 2)
    assert (keys(page), page.cursor) == (["A", "B"], recorded[1].cursor)
    assert keys(await log.read(page.cursor, 2)) == ["C", "D"]
    assert keys(await log.read(recorded[3].cursor)) == ["E"]
    end = await log.read(recorded[4].cursor)
    assert (end.entries, end.cursor, end.lost) == ((), recorded[4].cursor, None)


async def test_newest_updates_come_in_order(log: EventLog):
    assert list(await log.newest(2)) == []
    recorded = await log.record((), [update(key) for key in "ABC"])
    assert list(await log.newest(2)) == list(recorded)[1:]


async def test_cursors_tell_which_place_is_later(log: EventLog):
    start = await log.end()
    first, second = await log.record((), [update("A"), update("B")])
    assert await log.follows(first.cursor, second.cursor)
    assert await log.follows(start, first.cursor)
    assert not await log.follows(second.cursor, first.cursor)
    assert not await log.follows(first.cursor, first.cursor)


async def test_notice_is_known_again_by_source_and_id(log: EventLog):
    assert await log.note([notice("1"), notice("2"), notice("1")]) == [True, True, False]
    assert await log.note([notice("2", "other"), notice("3")]) == [False, True]
    assert await log.note([notice("2", source="erp")]) == [True]
    assert ids(await log.take("w", 10, LEASE)) == ["1", "2", "3", "2"]


async def test_same_notice_object_twice_is_one(log: EventLog):
    one = notice("1")
    assert await log.note([one, one]) == [True, False]


async def test_notice_is_known_again_after_its_work_is_done(log: EventLog):
    await log.note([notice("1")])
    await log.record([await only(log)], [update("1")])
    assert await log.note([notice("1")]) == [False]
    assert await log.take("w", 10, LEASE) == []


async def test_of_many_notes_of_one_notice_at_once_one_is_new(bench: Bench):
    logs = [bench.log() for _ in range(4)]
    found = await asyncio.gather(*(log.note([notice("1"), notice(f"own-{n}")]) for n, log in enumerate(logs * 5)))
    assert sorted(new for new, _ in found) == [False] * 19 + [True]
    assert sum(own for _, own in found) == 20


async def test_notice_comes_back_as_it_was_noted(log: EventLog):
    whole = notice("1", at=None, sequence=2**40, raw_code="x", deleted=True)
    await log.note([whole])
    taken = await only(log)
    assert (taken.notice, taken.attempts) == (whole, 1)


async def test_notices_are_taken_oldest_first_and_once(bench: Bench):
    one, other = bench.log(), bench.log()
    await one.note([notice(str(n)) for n in range(5)])
    assert ids(await one.take("a", 2, LEASE)) == ["0", "1"]
    assert ids(await other.take("b", 10, LEASE)) == ["2", "3", "4"]
    assert await one.take("a", 10, LEASE) == []


async def test_one_thing_is_with_one_worker(bench: Bench):
    one, other = bench.log(), bench.log()
    await one.note([notice("1", "A")])
    taken = await one.take("a", 10, LEASE)
    await one.note(
        [notice("2", "A"), notice("3", "B"), notice("4", "A", source="erp"), notice("5", "A", kind=ChangeKind.ORDER)]
    )
    assert ids(await other.take("b", 10, LEASE)) == ["3", "4", "5"]
    assert await one.take("a", 10, LEASE) == []
    await one.record(taken, [])
    assert ids(await other.take("b", 10, LEASE)) == ["2"]


async def test_all_notices_of_a_thing_go_to_the_one_who_takes_it(log: EventLog):
    await log.note([notice("1", "A"), notice("2", "B"), notice("3", "A")])
    taken = await log.take("w", 10, LEASE)
    assert ids(taken) == ["1", "2", "3"]
    await log.note([notice("4", "A")])
    await log.record(taken[:1], [])
    assert await log.take("w", 10, LEASE) == []
    await log.record(taken[2:], [])
    assert ids(await log.take("w", 10, LEASE)) == ["4"]


async def test_what_a_lost_worker_had_is_taken_when_its_lease_ends(bench: Bench):
    log = bench.log()
    await log.note([notice("1")])
    (first,) = await log.take("a", 10, 5)
    bench.later = 4
    assert await log.take("b", 10, 5) == []
    bench.later = 6
    (second,) = await log.take("b", 10, 5)
    assert (second.notice, second.place, second.attempts) == (first.notice, first.place, 2)


async def test_worker_that_lives_keeps_what_it_renews(bench: Bench):
    log = bench.log()
    await log.note([notice("1"), notice("2"), notice("3")])
    mine, forgotten, done = await log.take("a", 3, 5)
    await log.record([done], [])
    bench.later = 4
    await log.renew([mine, done], 5)
    bench.later = 8
    assert await log.take("b", 10, 5) == [Taken(place=forgotten.place, notice=forgotten.notice, attempts=2)]
    assert len(await log.record([mine], [update("1")])) == 1
    await log.renew([mine], 5)
    assert await log.take("c", 10, 5) == []


async def test_lease_that_has_ended_is_not_renewed(bench: Bench):
    log = bench.log()
    await log.note([notice("1")])
    late = await log.take("a", 10, 5)
    bench.later = 6
    await log.renew(late, 5)
    assert ids(await log.take("b", 10, 5)) == ["1"]
    await log.renew(late, 100)
    bench.later = 12
    assert ids(await log.take("c", 10, 5)) == ["1"]


async def test_who_lost_its_lease_records_nothing(bench: Bench):
    log = bench.log()
    start = await log.end()
    await log.note([notice("1"), notice("2")])
    late = await log.take("a", 10, 5)
    bench.later = 6
    taken = await log.take("b", 1, 5)
    assert list(await log.record(late, [update("late")])) == []
    assert len(await log.record(taken, [update("1")])) == 1
    assert list(await log.record(late[:1], [update("late")])) == []
    assert keys(await log.read(start)) == ["1"]


async def test_who_lost_its_lease_neither_postpones_nor_buries(bench: Bench):
    log = bench.log()
    await log.note([notice("1")])
    (late,) = await log.take("a", 10, 5)
    bench.later = 6
    (taken,) = await log.take("b", 10, 5)
    await log.postpone(late, "late", 0)
    await log.bury(late, "late")
    assert await log.take("c", 10, 5) == []
    assert await log.dead() == []
    assert len(await log.record([taken], [update("1")])) == 1


async def test_recording_is_done_once(log: EventLog):
    start = await log.end()
    await log.note([notice("1")])
    taken = [await only(log)]
    assert len(await log.record(taken, [update("1")])) == 1
    assert list(await log.record(taken, [update("1")])) == []
    assert keys(await log.read(start)) == ["1"]


async def test_postponed_notice_comes_later_and_not_before(bench: Bench):
    log = bench.log()
    await log.note([notice("1")])
    await log.postpone(await only(log), "source is down", 60)
    bench.later = 59
    assert await log.take("w", 10, LEASE) == []
    bench.later = 61
    again = await only(log)
    assert (again.notice.id, again.attempts) == ("1", 2)


async def test_postponed_notice_does_not_hold_up_others_of_its_thing(log: EventLog):
    await log.note([notice("1", "A")])
    await log.postpone(await only(log), "source is down", 60)
    await log.note([notice("2", "A")])
    assert ids(await log.take("w", 10, LEASE)) == ["2"]


async def test_buried_notice_is_dead_until_it_is_replayed(bench: Bench):
    log, other = bench.log(), bench.log()
    await log.note([notice("1", "A"), notice("2", "B")])
    for taken, cause in zip(await log.take("w", 10, LEASE), ("no such shipment", "the source refuses"), strict=True):
        await log.bury(taken, cause)
    assert [(one.notice.id, one.attempts, one.cause) for one in await other.dead()] == [
        ("2", 1, "the source refuses"),
        ("1", 1, "no such shipment"),
    ]
    assert [one.notice.id for one in await other.dead(most=1)] == ["2"]
    assert await log.take("w", 10, LEASE) == []
    assert await log.note([notice("1", "A")]) == [False]
    (_, first) = await other.dead()
    assert await other.replay([first.place, "99", "garbage"]) == 1
    again = await only(log)
    assert (again.notice.id, again.attempts) == ("1", 1)
    assert [one.notice.id for one in await log.dead()] == ["2"]
    assert (await log.replay(), await log.replay()) == (1, 0)
    assert ids(await log.take("w", 10, LEASE)) == ["2"]


async def test_last_update_of_a_thing_is_known(log: EventLog):
    await log.record((), [update("A", status="1"), update("A", status="2"), update("B"), update("A", source="erp")])
    found = await log.latest(ChangeKind.SHIPMENT, "parcels", "A")
    assert found == update("A", status="2")
    assert await log.latest(ChangeKind.ORDER, "parcels", "A") is None
    assert await log.latest(ChangeKind.SHIPMENT, "parcels", "C") is None


@pytest.mark.parametrize(
    ("kept", "later", "lost"),
    [({"keep_updates": 2}, 0, Loss.TOO_MANY), ({"keep_days": 2}, 3 * DAY, Loss.EXPIRED)],
)
async def test_trimming_is_told(bench: Bench, kept: dict[str, Any], later: float, lost: Loss):
    log, reader = bench.log(**kept), bench.log()
    start = await log.end()
    old = await log.record((), [update(key) for key in "ABC"])
    bench.later = later
    if later:
        assert await log.trim() == 3
        new = await log.record((), [update(key) for key in "DE"])
    else:
        new = await log.record((), [update(key) for key in "DE"])
        assert await log.trim() == 3
    assert await log.trim() == 0
    for place in (start, old[0].cursor, old[1].cursor):
        page = await reader.read(place)
        assert (keys(page), page.lost, page.start) == (["D", "E"], lost, old[2].cursor)
    for place in (old[2].cursor, page.start):
        page = await reader.read(place)
        assert (keys(page), page.lost) == (["D", "E"], None)
    assert (await reader.read(new[1].cursor)).lost is None
    assert await log.latest(ChangeKind.SHIPMENT, "parcels", "A") is None
    assert await log.latest(ChangeKind.SHIPMENT, "parcels", "D") is not None


async def test_trimming_by_size_is_told(bench: Bench):
    log = bench.log(keep_megabytes=1)
    start = await log.end()
    recorded = await log.record((), [update(str(n), digest="x" * 100_000) for n in range(12)])
    assert await log.trim() == 2
    page = await log.read(start)
    assert (keys(page), page.lost) == ([str(n) for n in range(2, 12)], Loss.TOO_LARGE)
    assert page.start == recorded[1].cursor


async def test_log_that_was_trimmed_to_nothing_goes_on(bench: Bench):
    log = bench.log(keep_days=1)
    start = await log.end()
    (gone,) = await log.record((), [update("A")])
    bench.later = 2 * DAY
    assert await log.trim() == 1
    assert await log.end() == gone.cursor
    page = await log.read(start)
    assert (page.entries, page.lost, page.cursor) == ((), Loss.EXPIRED, gone.cursor)
    assert (await log.read(gone.cursor)).lost is None
    await log.record((), [update("B")])
    assert keys(await log.read(gone.cursor)) == ["B"]


async def test_trimming_lets_go_of_ids_and_dead_notices_as_old(bench: Bench):
    log = bench.log(keep_days=2)
    await log.note([notice("1"), notice("2")])
    taken, other = await log.take("w", 10, LEASE)
    await log.bury(taken, "no")
    await log.record([other], [])
    bench.later = DAY
    await log.trim()
    assert await log.note([notice("1"), notice("2")]) == [False, False]
    assert len(await log.dead()) == 1
    bench.later = 3 * DAY
    await log.trim()
    assert await log.dead() == []
    assert await log.note([notice("1"), notice("2")]) == [True, True]


async def test_cursor_of_another_log_is_told_and_begins_with_the_oldest(log: EventLog, tmp_path: Path):
    other = Bench(Settings(data_dir=tmp_path / "other")).log()
    (foreign,) = await other.record((), [update("X")])
    await other.close()
    before = await log.end()
    await log.record((), [update("A"), update("B")])
    page = await log.read(foreign.cursor)
    assert (keys(page), page.lost, page.start) == (["A", "B"], Loss.OTHER_LOG, before)


@pytest.mark.parametrize("garbage", ["", "x", "A" * 27, "A" * 28, "ä" * 27, "=" * 27, "0", "a b", "A" * 100_000])
async def test_cursor_that_no_log_made_is_refused(log: EventLog, garbage: str):
    for ask in (log.read(garbage), log.wait(garbage, 0), log.follows(garbage, garbage)):
        with pytest.raises(InvalidCursor):
            await ask


async def test_every_changed_letter_of_a_cursor_is_noticed(log: EventLog):
    (recorded,) = await log.record((), [update("A")])
    for index, letter in enumerate(recorded.cursor):
        for other in "AB_-z":
            if other != letter:
                with pytest.raises(InvalidCursor):
                    await log.read(recorded.cursor[:index] + other + recorded.cursor[index + 1 :])


async def test_places_are_kept_by_name(bench: Bench):
    one, other = bench.log(), bench.log()
    assert await one.place("endpoint:a") is None
    await one.keep_place("endpoint:a", "c1")
    await one.keep_place("endpoint:b", "c2")
    await one.keep_place("endpoint:a", "c3")
    assert (await other.place("endpoint:a"), await other.place("endpoint:b")) == ("c3", "c2")


async def test_one_worker_leads_until_its_lease_ends(bench: Bench):
    log, other = bench.log(), bench.log()
    assert await log.lead("poll", "a", 10)
    assert not await other.lead("poll", "b", 10)
    assert await other.lead("trim", "b", 10)
    bench.later = 9
    assert await log.lead("poll", "a", 10)
    bench.later = 18
    assert not await other.lead("poll", "b", 10)
    bench.later = 20
    assert await other.lead("poll", "b", 10)
    assert not await log.lead("poll", "a", 10)


async def test_waiting_ends_when_anybody_records(bench: Bench):
    reader, writer = bench.log(), bench.log()
    start = await reader.end()
    for who in (reader, writer):
        waiting = asyncio.create_task(reader.wait(start, 20))
        await asyncio.sleep(0)
        (recorded,) = await who.record((), [update("A")])
        async with asyncio.timeout(2):
            await waiting
            await reader.wait(start, 20)
        start = recorded.cursor


async def test_waiting_ends_after_the_time_given(log: EventLog):
    await log.wait(await log.end(), 0.01)
    await log.wait_notices(0.01)


async def test_worker_waits_for_notices_that_it_has_not_seen(bench: Bench):
    worker, other = bench.log(), bench.log()
    for n, who in enumerate((worker, other)):
        assert await worker.take("w", 10, LEASE) == []
        waiting = asyncio.create_task(worker.wait_notices(20))
        await asyncio.sleep(0)
        await who.note([notice(str(n))])
        async with asyncio.timeout(2):
            await waiting
            await worker.wait_notices(20)
        assert ids(await worker.take("w", 10, LEASE)) == [str(n)]


async def test_caller_that_goes_away_takes_nothing_back(log: EventLog):
    going = asyncio.create_task(log.note([notice("1")]))
    await asyncio.sleep(0)
    going.cancel()
    assert await log.note([notice("2")]) == [True]
    assert ids(await log.take("w", 10, LEASE)) == ["1", "2"]


async def test_gateway_trims_by_itself(bench: Bench):
    log = bench.log(keep_updates=1)
    start = await log.end()
    await log.record((), [update("A"), update("B")])
    async with kept_trimmed(log, every=0.01), asyncio.timeout(5):
        while (await log.read(start)).lost is None:
            await asyncio.sleep(0)
    assert keys(await log.read(start)) == ["B"]


async def test_gateway_that_does_not_lead_does_not_trim(bench: Bench):
    log, looks = bench.log(keep_updates=1), 0
    await log.lead("trim", "another", 1000)
    await log.record((), [update("A"), update("B")])
    async with kept_trimmed(log, every=0.01), asyncio.timeout(5):
        while looks < 50:
            looks += 1
            await log.read(await log.end())
    assert await log.trim() == 1
