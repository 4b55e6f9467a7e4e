"""The event log while processes are killed and its server is away."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from app.errors import StoreUnavailable
from app.events.log import EventLog, LeasedHint, LossReason
from app.events.stores import connect_events
from app.settings import EventSettings, RedisSettings, Settings
from app.sources.changes import ChangeKind
from tests.support.events import hint, update
from tests.support.valkey import Valkey

LEASE = 1.0
ROOT = Path(__file__).resolve().parents[2]
WRITER = """
import asyncio, sys
from app.settings import Settings
from app.events.stores import connect_events
from tests.support.events import hint, update

async def main():
    log = connect_events(Settings.model_validate_json(sys.argv[1]))
    name = sys.argv[2]
    for n in range(100_000):
        await log.enqueue([hint(f"{name}-{n}")])
        print(f"noted {name}-{n}", flush=True)
        taken = await log.claim(name, 10, 1.0)
        for one in await log.record(taken, [update(one.hint.id) for one in taken]):
            print(f"recorded {one.update.key}", flush=True)

asyncio.run(main())
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Valkey]:
    """A durable server that tests may end."""
    made = Valkey(tmp_path, durable=True)
    made.start()
    yield made
    made.stop()


@pytest.fixture(params=["sqlite", "redis"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    if request.param == "sqlite":
        return Settings(data_dir=tmp_path / "data")
    return over(request.getfixturevalue("server"))


def over(server: Valkey) -> Settings:
    """The log over a server."""
    return Settings(events=EventSettings(store="redis"), redis=RedisSettings(url=SecretStr(server.url)))


@asynccontextmanager
async def logs(settings: Settings, count: int = 1) -> AsyncIterator[list[EventLog]]:
    """The log, opened so many times."""
    opened = [connect_events(settings) for _ in range(count)]
    try:
        yield opened
    finally:
        for log in opened:
            await log.close()


async def writer(settings: Settings, name: str) -> asyncio.subprocess.Process:
    """A process that notes, takes and records until it is killed, and says what was acknowledged."""
    given = settings.model_dump(mode="json", include={"data_dir", "events"})
    if settings.redis.url is not None:
        given["redis"] = {"url": settings.redis.url.get_secret_value()}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, json.dumps(given), name, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )


async def heard(process: asyncio.subprocess.Process, lines: int) -> list[str]:
    """What a process says in so many lines."""
    assert process.stdout
    return [(await process.stdout.readline()).decode().strip() for _ in range(lines)]


async def kill(process: asyncio.subprocess.Process) -> list[str]:
    """End a process without a warning; what it said until then, in whole lines."""
    process.kill()
    assert process.stdout
    rest = (await process.stdout.read()).decode()
    await process.wait()
    return rest.splitlines()[: rest.count("\n")]


async def all_of(log: EventLog, start: str) -> list[str]:
    """The keys of all updates after a place, with every hint that is left recorded first."""
    taken: Sequence[LeasedHint] = ()
    over = time.monotonic() + LEASE + 0.5  # What the killed had sent may still have come.
    while time.monotonic() < over or taken:
        await log.wait_hints(over - time.monotonic())
        taken = await log.claim("rest", 100, 30)
        await log.record(taken, [update(str(one.hint.id)) for one in taken])
    keys, cursor = [], start
    while (page := await log.read(cursor)).entries:
        assert page.lost is None
        keys += [entry.update.key for entry in page.entries]
        cursor = page.cursor
    return keys


async def test_what_killed_processes_were_acknowledged_is_there_once(settings: Settings):
    async with logs(settings) as (log,):
        start = await log.end()
        said: list[str] = []
        writers = [await writer(settings, name) for name in ("a", "b", "c")]
        for process in writers:
            said += await heard(process, 40)
        for process in writers:
            said += await kill(process)
        keys = await all_of(log, start)
    noted = [line.split()[1] for line in said if line.startswith("noted")]
    assert len(noted) > 50
    assert set(noted) <= set(keys)
    assert {line.split()[1] for line in said if line.startswith("recorded")} <= set(keys)
    assert [key for key, count in Counter(keys).items() if count > 1] == []


async def test_readers_in_other_processes_see_one_order(settings: Settings):
    async with logs(settings, 3) as opened:
        start = await opened[0].end()
        await asyncio.gather(*(opened[n % 3].record((), [update(str(n))]) for n in range(300)))
        seen = [[entry.cursor for entry in (await log.read(start)).entries] for log in opened]
        assert len(seen[0]) == 300
        assert seen[0] == seen[1] == seen[2]


async def test_reader_misses_nothing_while_others_write(settings: Settings):
    """Who follows the log sees each update once, in the order that the log has in the end."""
    async with logs(settings, 3) as (reader, *writers):
        start = await reader.end()

        async def write(log: EventLog, name: str) -> None:
            for n in range(150):
                await log.record((), [update(f"{name}-{n}")])

        async def follow() -> list[str]:
            seen, cursor = [], start
            while len(seen) < 300:
                page = await reader.read(cursor, 7)
                seen += [entry.cursor for entry in page.entries]
                cursor = page.cursor
                if not page.entries:
                    await reader.wait(cursor, 5)
            return seen

        async with asyncio.timeout(120):
            seen, *_ = await asyncio.gather(follow(), *(write(log, str(n)) for n, log in enumerate(writers)))
        assert seen == [entry.cursor for entry in (await reader.read(start)).entries]


async def test_sqlite_that_cannot_be_opened_is_reported(tmp_path: Path):
    (tmp_path / "events.sqlite").write_text("not a database, but long enough to look like one" * 50)
    async with logs(Settings(data_dir=tmp_path)) as (log,):
        for ask in (
            log.enqueue([hint("1")]),
            log.claim("w", 1, 1),
            log.record((), [update("A")]),
            log.end(),
            log.dead_letters(),
        ):
            with pytest.raises(StoreUnavailable) as caught:
                await ask
            assert "not a database" in (caught.value.detail or "")
            assert "sqlite" not in caught.value.message


async def test_sqlite_restored_to_an_earlier_state_is_reported(tmp_path: Path):
    async with logs(Settings(data_dir=tmp_path)) as (log,):
        await log.record((), [update("A")])
    file = tmp_path / "events.sqlite"
    earlier = file.read_bytes()
    async with logs(Settings(data_dir=tmp_path)) as (log,):
        (unknown,) = await log.record((), [update("B")])
    file.write_bytes(earlier)
    async with logs(Settings(data_dir=tmp_path)) as (log,):
        await log.record((), [update("C")])
        page = await log.read(unknown.cursor)
        assert ([entry.update.key for entry in page.entries], page.lost) == (["A", "C"], LossReason.RESTORED)


async def test_unavailable_redis_is_reported_and_recovers(server: Valkey):
    async with logs(over(server)) as (log,):
        start = await log.end()
        await log.enqueue([hint("1")])
        (before,) = await log.record(await log.claim("w", 1, 30), [update("A")])
        waiting = asyncio.create_task(log.wait(before.cursor, 20))
        server.kill()
        for ask in (
            log.enqueue([hint("2")]),
            log.record((), [update("B")]),
            log.read(start),
            log.acquire_lease("x", "w", 1),
        ):
            with pytest.raises(StoreUnavailable):
                await ask
        assert not waiting.done()
        server.start()
        async with asyncio.timeout(120):
            await waiting
            assert (await log.read(start)).entries == (before,)
        assert await log.enqueue([hint("1"), hint("2")]) == [False, True]


async def test_hanging_redis_is_reported_and_recovers(server: Valkey):
    async with logs(over(server), 2) as (log, other):
        start = await log.end()
        await log.wait(start, 0.01)
        with server.hanging():
            async with asyncio.timeout(120):
                with pytest.raises(StoreUnavailable):
                    await log.enqueue([hint("1")])
        async with asyncio.timeout(120):
            waiting = asyncio.create_task(log.wait(start, 20))
            (recorded,) = await other.record((), [update("A")])
            while not (found := (await log.read(start)).entries):
                await waiting
        assert found == (recorded,)


async def test_redis_that_lost_its_data_is_reported(tmp_path: Path):
    server = Valkey(tmp_path)
    server.start()
    try:
        async with logs(over(server), 2) as (log, other):
            (before,) = await log.record((), [update("A")])
            waiting = asyncio.create_task(log.wait(before.cursor, 20))
            await log.wait(before.cursor, 0.01)
            server.kill()
            server.start()
            async with asyncio.timeout(120):
                await waiting
            page = await log.read(before.cursor)
            assert (page.entries, page.lost) == ((), LossReason.OTHER_LOG)
            assert await log.latest(ChangeKind.SHIPMENT, "parcels", "A") is None
            waiting = asyncio.create_task(log.wait_hints(20))
            await other.enqueue([hint("1")])
            async with asyncio.timeout(120):
                await waiting
            (recorded,) = await other.record(await other.claim("w", 1, 30), [update("B")])
            again = await log.read(before.cursor)
            assert ([*again.entries], again.lost) == ([recorded], LossReason.OTHER_LOG)
            assert (await log.read(page.cursor)).entries == (recorded,)
    finally:
        server.stop()


async def test_secret_of_the_server_is_in_no_error():
    redis = RedisSettings(url=SecretStr("redis://:secret@127.0.0.1:1/0"))
    async with logs(Settings(events=EventSettings(store="redis"), redis=redis)) as (log,):
        with pytest.raises(StoreUnavailable) as caught:
            await log.end()
        assert "secret" not in str(caught.value) + (caught.value.detail or "")


@pytest.mark.parametrize(
    ("durable", "warnings"), [(True, []), (False, [{"appendonly": "no", "appendfsync": "everysec"}])]
)
async def test_redis_that_acknowledges_too_early_is_logged(
    tmp_path: Path, durable: bool, warnings: list[dict[str, str]]
):
    server = Valkey(tmp_path, durable=durable)
    server.start()
    try:
        with capture_logs() as said:
            async with logs(over(server), 2) as (reader, writer), asyncio.timeout(120):
                waiting = asyncio.create_task(reader.wait(await reader.end(), 20))
                await writer.record((), [update("A")])
                await waiting
    finally:
        server.stop()
    # It is told anew by who lost the connection meanwhile.
    found = {json.dumps(entry): entry for entry in said if entry["event"] == "events_not_durable"}
    told = [{"event": "events_not_durable", "log_level": "warning", **warning} for warning in warnings]
    assert list(found.values()) == told
