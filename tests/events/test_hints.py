"""Hints of what changed, over SQLite and Redis: which are new, gaps in their sequence, why they were postponed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.events.ingest import Ingestion
from app.events.log import EventLog
from app.events.stores import connect_events
from app.settings import EventSettings, RedisSettings, Settings, SourceSettings
from app.sources.changes import ChangeKind, FeedChange
from app.sources.webhooks import hint_from_change
from app.sources.wiring import connect_all
from tests.support.events import THEN, hint, update
from tests.support.intake import count


@pytest.fixture(params=["sqlite", "redis"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    events = EventSettings(store=request.param)
    sources = {
        "parcels": SourceSettings(vendor="rest", base_url="http://127.0.0.1:1", credentials={"token": SecretStr("t")})
    }
    if request.param == "sqlite":
        return Settings(data_dir=tmp_path / "data", events=events, sources=sources)
    url = SecretStr(request.getfixturevalue("redis_url"))
    return Settings(events=events, redis=RedisSettings(url=url), sources=sources)


@pytest.fixture
async def logs(settings: Settings) -> AsyncIterator[tuple[EventLog, EventLog]]:
    """The log as two workers have it."""
    opened = connect_events(settings), connect_events(settings)
    yield opened
    for log in opened:
        await log.close()


@contextmanager
def gaps_found(expected: int) -> Iterator[None]:
    before = count("tradegraph_event_gaps_total", source="parcels")
    yield
    assert count("tradegraph_event_gaps_total", source="parcels") - before == expected


def at(second: int, id: str | None = None) -> FeedChange:
    return FeedChange(kind=ChangeKind.SHIPMENT, key="A", at=THEN + timedelta(seconds=second), id=id)


# Changes without an id


async def test_second_change_in_one_second_is_a_hint_of_its_own(logs: tuple[EventLog, EventLog]):
    log, _ = logs
    assert await log.enqueue([hint_from_change("parcels", at(1), THEN)]) == [True]
    claimed = await log.claim("w", 10, 30)
    assert await log.enqueue([hint_from_change("parcels", at(1), THEN)]) == [True], "the first one is being read"
    await log.record(claimed, [update("A")])
    (second,) = await log.claim("w", 10, 30)
    await log.record([second], [])
    assert await log.enqueue([hint_from_change("parcels", at(1), THEN)]) == [True], "nothing of it waits"


async def test_change_without_an_id_joins_one_that_waits(logs: tuple[EventLog, EventLog]):
    log, other = logs
    found = await log.enqueue([hint_from_change("parcels", at(second), THEN) for second in (1, 2, 2)])
    assert list(found) == [True, False, False]
    assert await other.enqueue([hint_from_change("parcels", at(3), THEN)]) == [False]
    deletion = hint_from_change("parcels", FeedChange(kind=ChangeKind.SHIPMENT, key="A", at=THEN, deleted=True), THEN)
    assert await other.enqueue([deletion, hint("1", "A"), hint("2", "B")]) == [True, True, True]
    assert len(await log.claim("w", 10, 30)) == 4


async def test_change_with_an_id_is_one_hint_however_often_it_is_sent(logs: tuple[EventLog, EventLog]):
    log, _ = logs
    assert await log.enqueue([hint_from_change("parcels", at(1, id="c1"), THEN)]) == [True]
    await log.record(await log.claim("w", 10, 30), [update("A")])
    assert await log.enqueue([hint_from_change("parcels", at(1, id="c1"), THEN)]) == [False]


async def test_postponed_change_without_an_id_does_not_hide_the_next(logs: tuple[EventLog, EventLog]):
    log, _ = logs
    await log.enqueue([hint_from_change("parcels", at(1), THEN)])
    (claimed,) = await log.claim("w", 10, 30)
    await log.postpone(claimed, "SOURCE_UNAVAILABLE", 60)
    assert await log.enqueue([hint_from_change("parcels", at(2), THEN)]) == [True]
    assert len(await log.claim("w", 10, 30)) == 1


# Sequences


async def test_webhooks_without_a_gap_raise_no_alarm_whichever_worker_receives_them(
    settings: Settings, logs: tuple[EventLog, EventLog]
):
    sources = connect_all(settings)
    workers = [Ingestion(settings, sources, log, lambda: THEN) for log in logs]
    with gaps_found(0):
        for number in range(1, 21):
            await workers[number % 2].webhook_received("parcels", [hint(str(number), sequence=number)])
    with gaps_found(1):
        await workers[0].webhook_received("parcels", [hint("22", sequence=22)])
    with gaps_found(0):
        await workers[1].webhook_received("parcels", [hint("21", sequence=21)])
        await workers[1].webhook_received("parcels", [hint("23", sequence=23)])
    await sources.close()


@pytest.mark.parametrize(
    ("numbers", "opened"),
    [
        ([[7], [8], [9]], [False, False, False]),
        ([[7], [9], [8], [10]], [False, True, False, False]),
        ([[7], [9], [10]], [False, True, True]),
        ([[7, 8, 9]], [False]),
        ([[7], [7], [6]], [False, False, False]),
        ([[9, 7, 8], [10]], [False, False]),
        ([[2**50], [2**50 + 2], [2**50 + 1]], [False, True, False]),
    ],
)
async def test_gaps_are_seen(logs: tuple[EventLog, EventLog], numbers: list[list[int]], opened: list[bool]):
    found = [await logs[n % 2].observe_sequence("parcels", some) for n, some in enumerate(numbers)]
    assert found == opened


async def test_poll_closes_a_gap_for_all_workers(logs: tuple[EventLog, EventLog]):
    log, other = logs
    assert [await log.observe_sequence("parcels", [number]) for number in (1, 5)] == [False, True]
    assert await other.observe_sequence("erp", [1]) is False
    await other.reset_sequence("parcels")
    assert [await log.observe_sequence("parcels", [number]) for number in (6, 8)] == [False, True]


# Postponed hints


async def test_postponed_hint_shows_its_cause(logs: tuple[EventLog, EventLog]):
    log, other = logs
    assert list(await other.postponed()) == []
    await log.enqueue([hint("1", "A"), hint("2", "B"), hint("3", "C")])
    one, two, _ = await log.claim("w", 10, 30)
    await log.postpone(one, "SOURCE_UNAVAILABLE", 60)
    await log.postpone(two, "SOURCE_MALFORMED", 30)
    found = await other.postponed()
    assert [(late.hint.id, late.attempts, late.cause) for late in found] == [
        ("2", 1, "SOURCE_MALFORMED"),
        ("1", 1, "SOURCE_UNAVAILABLE"),
    ]
    assert 20 < (found[0].until - datetime.now(UTC)).total_seconds() <= 30
    assert [late.hint.id for late in await other.postponed(1)] == ["2"]


async def test_cause_goes_with_its_hint(logs: tuple[EventLog, EventLog]):
    log, _ = logs
    await log.enqueue([hint("1", "A"), hint("2", "B")])
    for one in await log.claim("w", 10, 30):
        await log.postpone(one, "NOT_FOUND", 0)
    done, dead = await log.claim("w", 10, 30)
    await log.postpone(dead, "SOURCE_MALFORMED", 0)
    await log.record([done], [])
    assert [(late.hint.id, late.attempts, late.cause) for late in await log.postponed()] == [
        (dead.hint.id, 2, "SOURCE_MALFORMED")
    ]
    (dead,) = await log.claim("w", 10, 30)
    await log.dead_letter(dead, "SOURCE_MALFORMED")
    assert list(await log.postponed()) == []
    assert await log.replay() == 1
    assert list(await log.postponed()) == []
