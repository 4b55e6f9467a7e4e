"""Delivery to one endpoint over the real event log and store: order, repetition, giving up, going on after a stop."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response

from app.events.fanout import EventFanout
from app.events.log import ChangeEvent, EventLog
from app.events.stores import connect_events
from app.http.standard_webhooks import decode_secret, verify_signature
from app.settings import EndpointSettings, Settings
from app.webhooks.outbound.endpoint_worker import DisableEndpoint, EndpointWorker, RetryLater
from app.webhooks.outbound.endpoints import Delivery, Endpoint, EndpointStore
from app.webhooks.outbound.sender import WebhookSender
from app.webhooks.outbound.stores import connect_endpoints
from tests.support.endpoints import SECRET, delivery, endpoint
from tests.support.events import update
from tests.upstreams.receiver import Letter, Receiver, receiving

ROOT = Path(__file__).resolve().parents[2]
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
QUICK = EndpointSettings(allowed_networks=("127.0.0.0/8",), timeout=2.0, retry_first=0.02, retry_most=0.05)


@dataclass
class Said:
    """What is said of an update: its thing and its status. `unwanted` things are nobody's, `trouble` is raised once."""

    unwanted: set[str] = field(default_factory=set)
    untold: set[str] = field(default_factory=set)
    trouble: list[Exception] = field(default_factory=list)

    async def matches(self, events: Sequence[ChangeEvent]) -> Sequence[bool]:
        return [event.key not in self.unwanted for event in events]

    async def render(self, delivery: Delivery) -> bytes | None:
        if self.trouble:
            raise self.trouble.pop()
        if delivery.gap is not None:
            return json.dumps({"lost": delivery.gap.reason}).encode()
        assert delivery.update is not None
        told = delivery.update.key not in self.untold
        return json.dumps([delivery.update.key, delivery.update.status]).encode() if told else None


@dataclass
class Office:
    """A log, a store, and a receiver; `courier` works while it lasts."""

    events: EventLog
    store: EndpointStore
    receiver: Receiver
    endpoint: Endpoint
    said: Said = field(default_factory=Said)
    frozen: datetime | None = None

    @property
    def now(self) -> datetime:
        """The time, unless it stands still."""
        return self.frozen or datetime.now(UTC)

    async def record(self, *things: tuple[str, str]) -> list[str]:
        """Something happens to things; the cursors."""
        recorded = await self.events.record((), [update(key, status=status) for key, status in things])
        return [one.cursor for one in recorded]

    @asynccontextmanager
    async def courier(self, settings: EndpointSettings = QUICK) -> AsyncIterator[asyncio.Task[None]]:
        """A courier at work; stopped in the end."""
        async with EventFanout(self.events).running() as fanout:
            courier = EndpointWorker(
                self.endpoint, self.said, self.events, fanout, self.store, WebhookSender(settings), settings,
                slots=asyncio.Semaphore(10), clock=lambda: self.now,
            )  # fmt: skip
            working = asyncio.create_task(courier.run())
            try:
                yield working
            finally:
                courier.stop()
                await asyncio.wait({working})

    @property
    def told(self) -> list[Any]:
        return [letter.said for letter in self.receiver.letters]

    async def settled(self, cursor: str) -> None:
        """Until the place is there."""
        async with asyncio.timeout(120):
            while await self.events.offset(self.endpoint.reader_name) != cursor:
                await asyncio.sleep(0.01)


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    settings = Settings(data_dir=tmp_path)
    events, store = connect_events(settings), connect_endpoints(settings)
    async with receiving() as receiver:
        office = Office(events, store, receiver, endpoint(url=f"{receiver.url}/in"))
        await events.commit_offset(office.endpoint.reader_name, await events.end())
        yield office
    await events.close()
    await store.close()


def failing(*statuses: int, thing: str | None = None) -> Callable[[Letter], Response]:
    """A receiver that answers so at first; of one thing alone, if it is named."""
    left = list(statuses)

    def answer(letter: Letter) -> Response:
        concerned = left and (thing is None or letter.said[0] == thing)
        return Response(status_code=left.pop(0) if concerned else 204)

    return answer


async def test_updates_are_posted_signed_and_in_order(office: Office):
    office.frozen = NOON
    async with office.courier():
        *_, last = await office.record(("S1", "PENDING"), ("S1", "IN_TRANSIT"), ("S1", "DELIVERED"))
        letters = await office.receiver.until(3)
        await office.settled(last)
    assert office.told == [["S1", "PENDING"], ["S1", "IN_TRANSIT"], ["S1", "DELIVERED"]]
    assert len({letter.id for letter in letters}) == 3
    for letter in letters:
        timestamp = int(letter.headers["webhook-timestamp"])
        assert timestamp == int(NOON.timestamp())
        assert verify_signature(
            letter.headers["webhook-signature"], [decode_secret(SECRET)], letter.id, timestamp, letter.body
        )
    assert await office.store.pending("ep1") == []


async def test_failed_delivery_is_retried_with_its_id_and_blocks_later_ones_of_its_subject(office: Office):
    office.receiver.answer = failing(500, 503, thing="S1")
    async with office.courier():
        *_, last = await office.record(("S1", "PENDING"), ("S1", "DELIVERED"), ("S2", "PENDING"))
        await office.receiver.until(5)
        await office.settled(last)
    first, *_ = [letter for letter in office.receiver.letters if letter.said == ["S1", "PENDING"]]
    of_one = [letter.said[1] for letter in office.receiver.letters if letter.said[0] == "S1"]
    assert of_one == ["PENDING", "PENDING", "PENDING", "DELIVERED"]
    assert [letter.id for letter in office.receiver.letters].count(first.id) == 3
    assert ["S2", "PENDING"] in office.told[:3], "another thing does not wait"
    assert await office.store.pending("ep1") == []


async def test_failed_deliveries_survive_a_restart_and_are_sent_first(office: Office):
    office.frozen = NOON
    office.receiver.answer = lambda _: Response(status_code=500)
    slow = QUICK.model_copy(update={"retry_first": 600.0, "retry_most": 600.0})
    async with office.courier(slow):
        *_, last = await office.record(("S1", "PENDING"), ("S1", "DELIVERED"))
        await office.receiver.until(1)
        await office.settled(last)
    waiting = await office.store.pending("ep1")
    assert [(one.update and one.update.status, one.attempts, one.cause) for one in waiting] == [
        ("PENDING", 1, "HTTP 500"),
        ("DELIVERED", 0, None),
    ]
    assert timedelta(seconds=300) <= waiting[0].next_at - NOON <= timedelta(seconds=600)

    office.receiver.answer = lambda _: Response(status_code=200)
    office.frozen += timedelta(seconds=601)
    async with office.courier(slow):
        await office.record(("S1", "ON_HOLD"))
        letters = await office.receiver.until(4)
    assert office.told[1:] == [["S1", "PENDING"], ["S1", "DELIVERED"], ["S1", "ON_HOLD"]]
    assert letters[0].id == letters[1].id


async def test_update_that_was_taken_and_not_noted_comes_again_under_its_id(office: Office):
    """As after kill -9: the place was not kept."""
    place = await office.events.offset(office.endpoint.reader_name)
    assert place is not None
    async with office.courier():
        (cursor,) = await office.record(("S1", "PENDING"))
        await office.settled(cursor)
    await office.events.commit_offset(office.endpoint.reader_name, place)
    async with office.courier():
        first, second = await office.receiver.until(2)
    assert (first.id, first.body) == (second.id, second.body)


async def test_retry_after_is_honoured(office: Office):
    office.frozen = NOON
    office.receiver.answer = lambda _: Response(status_code=429, headers={"retry-after": "120"})
    async with office.courier():
        *_, last = await office.record(("S1", "PENDING"))
        await office.settled(last)
        await office.record(("S2", "PENDING"))
    waiting = await office.store.pending("ep1")
    assert waiting[0].next_at == NOON + timedelta(seconds=120)
    assert office.told == [["S1", "PENDING"]], "who asks for time is not asked for something else either"


async def test_status_410_disables_the_endpoint(office: Office):
    office.receiver.answer = lambda _: Response(status_code=410)
    async with office.courier() as working:
        await office.record(("S1", "PENDING"))
        with pytest.raises(DisableEndpoint, match="410 Gone"):
            await asyncio.wait_for(working, 120)


async def test_expired_delivery_is_dead_lettered_and_the_next_of_its_subject_is_sent(office: Office):
    office.frozen, later = NOON, NOON + timedelta(hours=36)

    def answer(letter: Letter) -> Response:
        if letter.said == ["S1", "PENDING"]:
            office.frozen = later
            return Response("a secret of the receiver", status_code=500)
        return Response(status_code=204)

    office.receiver.answer = answer
    async with office.courier():
        first, last = await office.record(("S1", "PENDING"), ("S1", "DELIVERED"))
        await office.receiver.until(2)
        await office.settled(last)
    assert office.told == [["S1", "PENDING"], ["S1", "DELIVERED"]]
    (dead,) = await office.store.dead_letters()
    assert (dead.cursor, dead.attempts, dead.cause, dead.dead_at) == (first, 1, "HTTP 500", later)


async def test_what_waits_for_an_endpoint_that_is_down_dies_in_its_turn(office: Office):
    old = office.now - timedelta(hours=36)
    await office.store.save(
        [
            delivery("c1", "S1", first_at=old, next_at=office.now + timedelta(hours=1), cause="HTTP 502"),
            delivery("c2", "S1", first_at=old, next_at=old, attempts=0, cause=None),
            delivery("c3", "S2", first_at=office.now, next_at=office.now),
        ]
    )
    async with office.courier():
        await office.receiver.until(1)
    assert office.told == [["S2", None]]
    assert {(one.cursor, one.cause) for one in await office.store.dead_letters()} == {
        ("c1", "HTTP 502"),
        ("c2", "the endpoint was down"),
    }


async def test_endpoint_that_is_down_is_asked_by_one_delivery_at_a_time(office: Office):
    together = busiest = 0

    async def answer(_: Letter) -> Response:
        nonlocal together, busiest
        together += 1
        busiest = max(busiest, together if len(office.receiver.letters) > 6 else 0)
        await asyncio.sleep(0.005)
        together -= 1
        return Response(status_code=503 if len(office.receiver.letters) < 20 else 204)

    office.receiver.answer = answer
    things = [(f"S{number}", "PENDING") for number in range(30)]
    async with office.courier():
        *_, last = await office.record(*things)
        await office.receiver.until(20)
        most_while_down = busiest
        await office.settled(last)
        async with asyncio.timeout(120):
            while len({tuple(one) for one in office.told[19:]}) < 30:
                await asyncio.sleep(0.01)
    assert most_while_down == 1
    assert {tuple(one) for one in office.told} == set(things)
    assert await office.store.pending("ep1") == []


async def test_at_most_so_many_at_once(office: Office):
    together, busiest = 0, 0
    release = asyncio.Event()

    async def answer(_: Letter) -> Response:
        nonlocal together, busiest
        together += 1
        busiest = max(busiest, together)
        await release.wait()
        together -= 1
        return Response(status_code=204)

    office.receiver.answer = answer
    async with office.courier(QUICK.model_copy(update={"concurrency": 3})):
        await office.record(*((f"S{number}", "PENDING") for number in range(10)))
        await office.receiver.until(3)
        release.set()
        await office.receiver.until(10)
    assert busiest == 3


async def test_what_is_not_for_the_endpoint_is_passed_over(office: Office):
    office.said.unwanted, office.said.untold = {"S1"}, {"S2"}
    async with office.courier():
        *_, last = await office.record(("S1", "PENDING"), ("S2", "PENDING"), ("S3", "PENDING"))
        await office.receiver.until(1)
        await office.settled(last)
    assert office.told == [["S3", "PENDING"]]


async def test_source_that_cannot_be_read_is_not_the_endpoints_fault(office: Office):
    office.said.trouble = [RetryLater("SOURCE_UNAVAILABLE") for _ in range(5)]
    async with office.courier():
        *_, last = await office.record(("S1", "PENDING"))
        await office.receiver.until(1)
        await office.settled(last)
    assert office.told == [["S1", "PENDING"]]


async def test_trimmed_updates_are_reported(office: Office, tmp_path: Path):
    await office.events.commit_offset(office.endpoint.reader_name, await cursor_of_another_log(tmp_path / "other"))
    async with office.courier():
        await office.receiver.until(1)
    assert office.told == [{"lost": "OTHER_LOG"}]


async def cursor_of_another_log(folder: Path) -> str:
    other = connect_events(Settings(data_dir=folder))
    try:
        return await other.end()
    finally:
        await other.close()


async def test_dead_endpoint_does_not_delay_another(office: Office):
    released = asyncio.Event()

    async def silence(_: Letter) -> Response:
        await released.wait()
        return Response()

    async with receiving() as dead:
        dead.answer = silence
        other = Office(office.events, office.store, dead, endpoint("ep2", url=dead.url))
        await office.events.commit_offset(other.endpoint.reader_name, await office.events.end())
        async with other.courier(QUICK.model_copy(update={"timeout": 30.0})), office.courier():
            things = [(f"S{number}", "PENDING") for number in range(20)]
            await office.record(*things)
            await dead.until(1)
            await office.receiver.until(20)
            released.set()
    assert {tuple(one) for one in office.told} == set(things)


WORKER = """
import asyncio, pathlib, sys
from app.webhooks.outbound.stores import connect_endpoints
from app.events.stores import connect_events
from app.settings import Settings
from tests.support.endpoints import endpoint
from tests.webhooks.test_courier import Office, Receiver

async def work(folder, url):
    settings = Settings(data_dir=pathlib.Path(folder))
    office = Office(connect_events(settings), connect_endpoints(settings), Receiver(), endpoint(url=url))
    async with office.courier():
        await asyncio.Event().wait()

asyncio.run(work(*sys.argv[1:]))
"""


async def test_killed_process_loses_nothing(office: Office, tmp_path: Path):
    """kill -9 in the middle of deliveries, of which some fail; another process goes on from the place."""
    count = 0

    def answer(_: Letter) -> Response:
        nonlocal count
        count += 1
        return Response(status_code=500 if count % 7 == 0 else 204)

    office.receiver.answer = answer
    steps = [(f"S{number % 40}", f"step {number // 40}") for number in range(400)]
    await office.events.record((), [update(key, status=status) for key, status in steps])
    for enough in (60, 150, 250):
        async with worker(tmp_path, office.endpoint.url) as process:
            await office.receiver.until(enough, seconds=20)
            process.kill()
    async with worker(tmp_path, office.endpoint.url), asyncio.timeout(120):
        while len({letter.id for letter in office.receiver.letters}) < 400 or await office.store.pending("ep1"):
            await asyncio.sleep(0.05)
    bodies: dict[str, set[bytes]] = {}
    for letter in office.receiver.letters:
        bodies.setdefault(letter.id, set()).add(letter.body)
    assert all(len(said) == 1 for said in bodies.values())
    assert {tuple(json.loads(*said)) for said in bodies.values()} == set(steps)
    first: dict[str, list[str]] = {}
    for key, status in office.told:
        if status not in first.setdefault(key, []):
            first[key].append(status)
    assert all(statuses == [f"step {number}" for number in range(10)] for statuses in first.values())


@asynccontextmanager
async def worker(folder: Path, url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that delivers, until it is killed."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", WORKER, str(folder), url, cwd=ROOT)
    try:
        yield process
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
        await process.wait()
