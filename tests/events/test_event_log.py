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
from app.events.log import EventLog, EventPage, LeasedHint, LossReason
from app.events.retention import run_retention
from app.events.stores import connect_events
from app.settings import EventSettings, RedisSettings, Settings
from app.sources.changes import ChangeKind
from tests.support.events import hint, update

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
    """Which hints were taken."""
    return [one.hint.id for one in taken]


def keys(page: EventPage) -> list[str]:
    """Which things a page tells of."""
    return [entry.update.key for entry in page.entries]


async def only(log: EventLog) -> LeasedHint:
    """The one hint that there is to take."""
    (taken,) = await log.claim("w", 10, LEASE)
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


async def test_cursors_are_ordered_by_position(log: EventLog):
    start = await log.end()
    first, second = await log.record((), [update("A"), update("B")])
    assert await log.follows(first.cursor, second.cursor)
    assert await log.follows(start, first.cursor)
    assert not await log.follows(second.cursor, first.cursor)
    assert not await log.follows(first.cursor, first.cursor)


async def test_notice_is_known_again_by_source_and_id(log: EventLog):
    assert await log.enqueue([hint("1"), hint("2"), hint("1")]) == [True, True, False]
    assert await log.enqueue([hint("2", "other"), hint("3")]) == [False, True]
    assert await log.enqueue([hint("2", source="erp")]) == [True]
    assert ids(await log.claim("w", 10, LEASE)) == ["1", "2", "3", "2"]


async def test_same_notice_object_twice_is_one(log: EventLog):
    one = hint("1")
    assert await log.enqueue([one, one]) == [True, False]


async def test_notice_is_known_again_after_its_work_is_done(log: EventLog):
    await log.enqueue([hint("1")])
    await log.record([await only(log)], [update("1")])
    assert await log.enqueue([hint("1")]) == [False]
    assert await log.claim("w", 10, LEASE) == []


async def test_of_many_notes_of_one_notice_at_once_one_is_new(bench: Bench):
    logs = [bench.log() for _ in range(4)]
    found = await asyncio.gather(*(log.enqueue([hint("1"), hint(f"own-{n}")]) for n, log in enumerate(logs * 5)))
    assert sorted(new for new, _ in found) == [False] * 19 + [True]
    assert sum(own for _, own in found) == 20


async def test_notice_comes_back_as_it_was_noted(log: EventLog):
    whole = hint("1", at=None, sequence=2**40, raw_code="x", deleted=True)
    await log.enqueue([whole])
    taken = await only(log)
    assert (taken.hint, taken.attempts) == (whole, 1)


async def test_notices_are_taken_oldest_first_and_once(bench: Bench):
    one, other = bench.log(), bench.log()
    await one.enqueue([hint(str(n)) for n in range(5)])
    assert ids(await one.claim("a", 2, LEASE)) == ["0", "1"]
    assert ids(await other.claim("b", 10, LEASE)) == ["2", "3", "4"]
    assert await one.claim("a", 10, LEASE) == []


async def test_one_subject_is_leased_to_one_worker(bench: Bench):
    one, other = bench.log(), bench.log()
    await one.enqueue([hint("1", "A")])
    taken = await one.claim("a", 10, LEASE)
    await one.enqueue(
        [hint("2", "A"), hint("3", "B"), hint("4", "A", source="erp"), hint("5", "A", kind=ChangeKind.ORDER)]
    )
    assert ids(await other.claim("b", 10, LEASE)) == ["3", "4", "5"]
    assert await one.claim("a", 10, LEASE) == []
    await one.record(taken, [])
    assert ids(await other.claim("b", 10, LEASE)) == ["2"]


async def test_all_hints_of_a_subject_are_claimed_by_one_worker(log: EventLog):
    await log.enqueue([hint("1", "A"), hint("2", "B"), hint("3", "A")])
    taken = await log.claim("w", 10, LEASE)
    assert ids(taken) == ["1", "2", "3"]
    await log.enqueue([hint("4", "A")])
    await log.record(taken[:1], [])
    assert await log.claim("w", 10, LEASE) == []
    await log.record(taken[2:], [])
    assert ids(await log.claim("w", 10, LEASE)) == ["4"]


async def test_what_a_lost_worker_had_is_taken_when_its_lease_ends(bench: Bench):
    log = bench.log()
    await log.enqueue([hint("1")])
    (first,) = await log.claim("a", 10, 5)
    bench.later = 4
    assert await log.claim("b", 10, 5) == []
    bench.later = 6
    (second,) = await log.claim("b", 10, 5)
    assert (second.hint, second.number, second.attempts) == (first.hint, first.number, 2)


async def test_worker_that_lives_keeps_what_it_renews(bench: Bench):
    log = bench.log()
    await log.enqueue([hint("1"), hint("2"), hint("3")])
    mine, forgotten, done = await log.claim("a", 3, 5)
    await log.record([done], [])
    bench.later = 4
    await log.renew([mine, done], 5)
    bench.later = 8
    assert await log.claim("b", 10, 5) == [LeasedHint(number=forgotten.number, hint=forgotten.hint, attempts=2)]
    assert len(await log.record([mine], [update("1")])) == 1
    await log.renew([mine], 5)
    assert await log.claim("c", 10, 5) == []


async def test_lease_that_has_ended_is_not_renewed(bench: Bench):
    log = bench.log()
    await log.enqueue([hint("1")])
    late = await log.claim("a", 10, 5)
    bench.later = 6
    await log.renew(late, 5)
    assert ids(await log.claim("b", 10, 5)) == ["1"]
    await log.renew(late, 100)
    bench.later = 12
    assert ids(await log.claim("c", 10, 5)) == ["1"]


async def test_who_lost_its_lease_records_nothing(bench: Bench):
    log = bench.log()
    start = await log.end()
    await log.enqueue([hint("1"), hint("2")])
    late = await log.claim("a", 10, 5)
    bench.later = 6
    taken = await log.claim("b", 1, 5)
    assert list(await log.record(late, [update("late")])) == []
    assert len(await log.record(taken, [update("1")])) == 1
    assert list(await log.record(late[:1], [update("late")])) == []
    assert keys(await log.read(start)) == ["1"]


async def test_who_lost_its_lease_neither_postpones_nor_buries(bench: Bench):
    log = bench.log()
    await log.enqueue([hint("1")])
    (late,) = await log.claim("a", 10, 5)
    bench.later = 6
    (taken,) = await log.claim("b", 10, 5)
    await log.postpone(late, "late", 0)
    await log.dead_letter(late, "late")
    assert await log.claim("c", 10, 5) == []
    assert await log.dead_letters() == []
    assert len(await log.record([taken], [update("1")])) == 1


async def test_recording_is_done_once(log: EventLog):
    start = await log.end()
    await log.enqueue([hint("1")])
    taken = [await only(log)]
    assert len(await log.record(taken, [update("1")])) == 1
    assert list(await log.record(taken, [update("1")])) == []
    assert keys(await log.read(start)) == ["1"]


async def test_postponed_notice_comes_later_and_not_before(bench: Bench):
    log = bench.log()
    await log.enqueue([hint("1")])
    await log.postpone(await only(log), "source is down", 60)
    bench.later = 59
    assert await log.claim("w", 10, LEASE) == []
    bench.later = 61
    again = await only(log)
    assert (again.hint.id, again.attempts) == ("1", 2)


async def test_postponed_hint_does_not_block_others_of_its_subject(log: EventLog):
    await log.enqueue([hint("1", "A")])
    await log.postpone(await only(log), "source is down", 60)
    await log.enqueue([hint("2", "A")])
    assert ids(await log.claim("w", 10, LEASE)) == ["2"]


async def test_buried_notice_is_dead_until_it_is_replayed(bench: Bench):
    log, other = bench.log(), bench.log()
    await log.enqueue([hint("1", "A"), hint("2", "B")])
    for taken, cause in zip(await log.claim("w", 10, LEASE), ("no such shipment", "the source refuses"), strict=True):
        await log.dead_letter(taken, cause)
    assert [(one.hint.id, one.attempts, one.cause) for one in await other.dead_letters()] == [
        ("2", 1, "the source refuses"),
        ("1", 1, "no such shipment"),
    ]
    assert [one.hint.id for one in await other.dead_letters(limit=1)] == ["2"]
    assert await log.claim("w", 10, LEASE) == []
    assert await log.enqueue([hint("1", "A")]) == [False]
    (_, first) = await other.dead_letters()
    assert await other.replay([first.number, "99", "garbage"]) == 1
    again = await only(log)
    assert (again.hint.id, again.attempts) == ("1", 1)
    assert [one.hint.id for one in await log.dead_letters()] == ["2"]
    assert (await log.replay(), await log.replay()) == (1, 0)
    assert ids(await log.claim("w", 10, LEASE)) == ["2"]


async def test_last_update_of_a_subject_is_stored(log: EventLog):
    await log.record((), [update("A", status="1"), update("A", status="2"), update("B"), update("A", source="erp")])
    found = await log.latest(ChangeKind.SHIPMENT, "parcels", "A")
    assert found == update("A", status="2")
    assert await log.latest(ChangeKind.ORDER, "parcels", "A") is None
    assert await log.latest(ChangeKind.SHIPMENT, "parcels", "C") is None


@pytest.mark.parametrize(
    ("kept", "later", "lost"),
    [({"keep_updates": 2}, 0, LossReason.TOO_MANY), ({"keep_days": 2}, 3 * DAY, LossReason.EXPIRED)],
)
async def test_trimming_is_reported(bench: Bench, kept: dict[str, Any], later: float, lost: LossReason):
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


async def test_trimming_by_size_is_reported(bench: Bench):
    log = bench.log(keep_megabytes=1)
    start = await log.end()
    recorded = await log.record((), [update(str(n), digest="x" * 100_000) for n in range(12)])
    assert await log.trim() == 2
    page = await log.read(start)
    assert (keys(page), page.lost) == ([str(n) for n in range(2, 12)], LossReason.TOO_LARGE)
    assert page.start == recorded[1].cursor


async def test_log_that_was_trimmed_to_nothing_goes_on(bench: Bench):
    log = bench.log(keep_days=1)
    start = await log.end()
    (gone,) = await log.record((), [update("A")])
    bench.later = 2 * DAY
    assert await log.trim() == 1
    assert await log.end() == gone.cursor
    page = await log.read(start)
    assert (page.entries, page.lost, page.cursor) == ((), LossReason.EXPIRED, gone.cursor)
    assert (await log.read(gone.cursor)).lost is None
    await log.record((), [update("B")])
    assert keys(await log.read(gone.cursor)) == ["B"]


async def test_trimming_lets_go_of_ids_and_dead_notices_as_old(bench: Bench):
    log = bench.log(keep_days=2)
    await log.enqueue([hint("1"), hint("2")])
    taken, other = await log.claim("w", 10, LEASE)
    await log.dead_letter(taken, "no")
    await log.record([other], [])
    bench.later = DAY
    await log.trim()
    assert await log.enqueue([hint("1"), hint("2")]) == [False, False]
    assert len(await log.dead_letters()) == 1
    bench.later = 3 * DAY
    await log.trim()
    assert await log.dead_letters() == []
    assert await log.enqueue([hint("1"), hint("2")]) == [True, True]


async def test_cursor_of_another_log_is_reported_and_reading_starts_at_the_oldest(log: EventLog, tmp_path: Path):
    other = Bench(Settings(data_dir=tmp_path / "other")).log()
    (foreign,) = await other.record((), [update("X")])
    await other.close()
    before = await log.end()
    await log.record((), [update("A"), update("B")])
    page = await log.read(foreign.cursor)
    assert (keys(page), page.lost, page.start) == (["A", "B"], LossReason.OTHER_LOG, before)


@pytest.mark.parametrize("garbage", ["", "x", "A" * 27, "A" * 28, "ä" * 27, "=" * 27, "0", "a b", "A" * 100_000])
async def test_cursor_that_no_log_made_is_refused(log: EventLog, garbage: str):
    for ask in (log.read(garbage), log.wait(garbage, 0), log.follows(garbage, garbage)):
        with pytest.raises(InvalidCursor):
            await ask


async def test_every_changed_character_of_a_cursor_is_detected(log: EventLog):
    (recorded,) = await log.record((), [update("A")])
    for index, letter in enumerate(recorded.cursor):
        for other in "AB_-z":
            if other != letter:
                with pytest.raises(InvalidCursor):
                    await log.read(recorded.cursor[:index] + other + recorded.cursor[index + 1 :])


async def test_offsets_are_stored_by_name(bench: Bench):
    one, other = bench.log(), bench.log()
    assert await one.offset("endpoint:a") is None
    await one.commit_offset("endpoint:a", "c1")
    await one.commit_offset("endpoint:b", "c2")
    await one.commit_offset("endpoint:a", "c3")
    assert (await other.offset("endpoint:a"), await other.offset("endpoint:b")) == ("c3", "c2")


async def test_one_worker_leads_until_its_lease_ends(bench: Bench):
    log, other = bench.log(), bench.log()
    assert await log.acquire_lease("poll", "a", 10)
    assert not await other.acquire_lease("poll", "b", 10)
    assert await other.acquire_lease("trim", "b", 10)
    bench.later = 9
    assert await log.acquire_lease("poll", "a", 10)
    bench.later = 18
    assert not await other.acquire_lease("poll", "b", 10)
    bench.later = 20
    assert await other.acquire_lease("poll", "b", 10)
    assert not await log.acquire_lease("poll", "a", 10)


async def test_waiting_ends_when_anybody_records(bench: Bench):
    reader, writer = bench.log(), bench.log()
    start = await reader.end()
    for principal in (reader, writer):
        waiting = asyncio.create_task(reader.wait(start, 1000))
        await asyncio.sleep(0)
        (recorded,) = await principal.record((), [update("A")])
        async with asyncio.timeout(120):
            await waiting
            await reader.wait(start, 1000)
        start = recorded.cursor


async def test_waiting_ends_after_the_time_given(log: EventLog):
    await log.wait(await log.end(), 0.01)
    await log.wait_hints(0.01)


async def test_worker_waits_for_notices_that_it_has_not_seen(bench: Bench):
    worker, other = bench.log(), bench.log()
    for n, principal in enumerate((worker, other)):
        assert await worker.claim("w", 10, LEASE) == []
        waiting = asyncio.create_task(worker.wait_hints(1000))
        await asyncio.sleep(0)
        await principal.enqueue([hint(str(n))])
        async with asyncio.timeout(120):
            await waiting
            await worker.wait_hints(1000)
        assert ids(await worker.claim("w", 10, LEASE)) == [str(n)]


async def test_caller_that_goes_away_takes_nothing_back(log: EventLog):
    going = asyncio.create_task(log.enqueue([hint("1")]))
    await asyncio.sleep(0)
    going.cancel()
    assert await log.enqueue([hint("2")]) == [True]
    assert ids(await log.claim("w", 10, LEASE)) == ["1", "2"]


async def test_gateway_trims_by_itself(bench: Bench):
    log = bench.log(keep_updates=1)
    start = await log.end()
    await log.record((), [update("A"), update("B")])
    async with run_retention(log, every=0.01), asyncio.timeout(120):
        while (await log.read(start)).lost is None:
            await asyncio.sleep(0)
    assert keys(await log.read(start)) == ["B"]


async def test_gateway_that_does_not_lead_does_not_trim(bench: Bench):
    log, looks = bench.log(keep_updates=1), 0
    await log.acquire_lease("trim", "another", 1000)
    await log.record((), [update("A"), update("B")])
    async with run_retention(log, every=0.01), asyncio.timeout(120):
        while looks < 50:
            looks += 1
            await log.read(await log.end())
    assert await log.trim() == 1
