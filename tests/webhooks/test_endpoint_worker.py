"""Delivery to one endpoint over the real event log and store: order, retries, dead letters, restart."""

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
from tests.upstreams.receiver import ReceivedWebhook, Receiver, receiving

ROOT = Path(__file__).resolve().parents[2]
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
QUICK = EndpointSettings(allowed_networks=("127.0.0.0/8",), timeout=2.0, retry_first=0.02, retry_most=0.05)


@dataclass
class FakeRenderer:
    """Renders an update as its key and status. `unmatched` keys match no endpoint, `skipped` ones have no payload; each
    of `errors` is raised once."""

    unmatched: set[str] = field(default_factory=set)
    skipped: set[str] = field(default_factory=set)
    errors: list[Exception] = field(default_factory=list)

    async def matches(self, events: Sequence[ChangeEvent]) -> Sequence[bool]:
        return [event.key not in self.unmatched for event in events]

    async def render(self, delivery: Delivery) -> bytes | None:
        if self.errors:
            raise self.errors.pop()
        if delivery.gap is not None:
            return json.dumps({"lost": delivery.gap.reason}).encode()
        assert delivery.update is not None
        if delivery.update.key in self.skipped:
            return None
        return json.dumps([delivery.update.key, delivery.update.status]).encode()


@dataclass
class WorkerBench:
    """A log, a store, and a receiver; `worker` runs one."""

    events: EventLog
    store: EndpointStore
    receiver: Receiver
    endpoint: Endpoint
    renderer: FakeRenderer = field(default_factory=FakeRenderer)
    fixed_time: datetime | None = None

    @property
    def now(self) -> datetime:
        """The time, or `fixed_time` if set."""
        return self.fixed_time or datetime.now(UTC)

    async def record(self, *subjects: tuple[str, str]) -> list[str]:
        """Record a status of each subject; the cursors."""
        recorded = await self.events.record((), [update(key, status=status) for key, status in subjects])
        return [one.cursor for one in recorded]

    @asynccontextmanager
    async def worker(self, settings: EndpointSettings = QUICK) -> AsyncIterator[asyncio.Task[None]]:
        """A running worker, stopped at the end."""
        async with EventFanout(self.events).running() as fanout:
            worker = EndpointWorker(
                self.endpoint, self.renderer, self.events, fanout, self.store, WebhookSender(settings), settings,
                slots=asyncio.Semaphore(10), clock=lambda: self.now,
            )  # fmt: skip
            working = asyncio.create_task(worker.run())
            try:
                yield working
            finally:
                worker.stop()
                await asyncio.wait({working})

    @property
    def payloads(self) -> list[Any]:
        return [webhook.payload for webhook in self.receiver.webhooks]

    async def until_committed(self, cursor: str) -> None:
        """Wait until the offset is committed."""
        async with asyncio.timeout(120):
            while await self.events.offset(self.endpoint.reader_name) != cursor:
                await asyncio.sleep(0.01)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[WorkerBench]:
    settings = Settings(data_dir=tmp_path)
    events, store = connect_events(settings), connect_endpoints(settings)
    async with receiving() as receiver:
        bench = WorkerBench(events, store, receiver, endpoint(url=f"{receiver.url}/in"))
        await events.commit_offset(bench.endpoint.reader_name, await events.end())
        yield bench
    await events.close()
    await store.close()


def failing(*statuses: int, key: str | None = None) -> Callable[[ReceivedWebhook], Response]:
    """A receiver that answers with these statuses first, then 204; for one key only if given."""
    left = list(statuses)

    def answer(webhook: ReceivedWebhook) -> Response:
        concerned = left and (key is None or webhook.payload[0] == key)
        return Response(status_code=left.pop(0) if concerned else 204)

    return answer


async def test_updates_are_posted_signed_and_in_order(bench: WorkerBench):
    bench.fixed_time = NOON
    async with bench.worker():
        *_, last = await bench.record(("S1", "PENDING"), ("S1", "IN_TRANSIT"), ("S1", "DELIVERED"))
        webhooks = await bench.receiver.until(3)
        await bench.until_committed(last)
    assert bench.payloads == [["S1", "PENDING"], ["S1", "IN_TRANSIT"], ["S1", "DELIVERED"]]
    assert len({webhook.id for webhook in webhooks}) == 3
    for webhook in webhooks:
        timestamp = int(webhook.headers["webhook-timestamp"])
        assert timestamp == int(NOON.timestamp())
        assert verify_signature(
            webhook.headers["webhook-signature"], [decode_secret(SECRET)], webhook.id, timestamp, webhook.body
        )
    assert await bench.store.pending("ep1") == []


async def test_failed_delivery_is_retried_with_its_id_and_blocks_later_ones_of_its_subject(bench: WorkerBench):
    bench.receiver.answer = failing(500, 503, key="S1")
    async with bench.worker():
        *_, last = await bench.record(("S1", "PENDING"), ("S1", "DELIVERED"), ("S2", "PENDING"))
        await bench.receiver.until(5)
        await bench.until_committed(last)
    first, *_ = [webhook for webhook in bench.receiver.webhooks if webhook.payload == ["S1", "PENDING"]]
    of_one = [webhook.payload[1] for webhook in bench.receiver.webhooks if webhook.payload[0] == "S1"]
    assert of_one == ["PENDING", "PENDING", "PENDING", "DELIVERED"]
    assert [webhook.id for webhook in bench.receiver.webhooks].count(first.id) == 3
    assert ["S2", "PENDING"] in bench.payloads[:3], "another subject is not blocked"
    assert await bench.store.pending("ep1") == []


async def test_failed_deliveries_survive_a_restart_and_are_sent_first(bench: WorkerBench):
    bench.fixed_time = NOON
    bench.receiver.answer = lambda _: Response(status_code=500)
    slow = QUICK.model_copy(update={"retry_first": 600.0, "retry_most": 600.0})
    async with bench.worker(slow):
        *_, last = await bench.record(("S1", "PENDING"), ("S1", "DELIVERED"))
        await bench.receiver.until(1)
        await bench.until_committed(last)
    waiting = await bench.store.pending("ep1")
    assert [(one.update and one.update.status, one.attempts, one.cause) for one in waiting] == [
        ("PENDING", 1, "HTTP 500"),
        ("DELIVERED", 0, None),
    ]
    assert timedelta(seconds=300) <= waiting[0].next_at - NOON <= timedelta(seconds=600)

    bench.receiver.answer = lambda _: Response(status_code=200)
    bench.fixed_time += timedelta(seconds=601)
    async with bench.worker(slow):
        await bench.record(("S1", "ON_HOLD"))
        webhooks = await bench.receiver.until(4)
    assert bench.payloads[1:] == [["S1", "PENDING"], ["S1", "DELIVERED"], ["S1", "ON_HOLD"]]
    assert webhooks[0].id == webhooks[1].id


async def test_update_delivered_but_not_committed_is_sent_again_with_its_id(bench: WorkerBench):
    """As after kill -9: the offset was not committed."""
    offset = await bench.events.offset(bench.endpoint.reader_name)
    assert offset is not None
    async with bench.worker():
        (cursor,) = await bench.record(("S1", "PENDING"))
        await bench.until_committed(cursor)
    await bench.events.commit_offset(bench.endpoint.reader_name, offset)
    async with bench.worker():
        first, second = await bench.receiver.until(2)
    assert (first.id, first.body) == (second.id, second.body)


async def test_retry_after_is_honoured(bench: WorkerBench):
    bench.fixed_time = NOON
    bench.receiver.answer = lambda _: Response(status_code=429, headers={"retry-after": "120"})
    async with bench.worker():
        *_, last = await bench.record(("S1", "PENDING"))
        await bench.until_committed(last)
        await bench.record(("S2", "PENDING"))
    waiting = await bench.store.pending("ep1")
    assert waiting[0].next_at == NOON + timedelta(seconds=120)
    assert bench.payloads == [["S1", "PENDING"]], "Retry-After pauses all deliveries to the endpoint"


async def test_status_410_disables_the_endpoint(bench: WorkerBench):
    bench.receiver.answer = lambda _: Response(status_code=410)
    async with bench.worker() as working:
        await bench.record(("S1", "PENDING"))
        with pytest.raises(DisableEndpoint, match="410 Gone"):
            await asyncio.wait_for(working, 120)


async def test_expired_delivery_is_dead_lettered_and_the_next_of_its_subject_is_sent(bench: WorkerBench):
    bench.fixed_time, later = NOON, NOON + timedelta(hours=36)

    def answer(webhook: ReceivedWebhook) -> Response:
        if webhook.payload == ["S1", "PENDING"]:
            bench.fixed_time = later
            return Response("a secret of the receiver", status_code=500)
        return Response(status_code=204)

    bench.receiver.answer = answer
    async with bench.worker():
        first, last = await bench.record(("S1", "PENDING"), ("S1", "DELIVERED"))
        await bench.receiver.until(2)
        await bench.until_committed(last)
    assert bench.payloads == [["S1", "PENDING"], ["S1", "DELIVERED"]]
    (dead,) = await bench.store.dead_letters()
    assert (dead.cursor, dead.attempts, dead.cause, dead.dead_at) == (first, 1, "HTTP 500", later)


async def test_expired_deliveries_of_a_failing_endpoint_are_dead_lettered(bench: WorkerBench):
    old = bench.now - timedelta(hours=36)
    await bench.store.save(
        [
            delivery("c1", "S1", first_at=old, next_at=bench.now + timedelta(hours=1), cause="HTTP 502"),
            delivery("c2", "S1", first_at=old, next_at=old, attempts=0, cause=None),
            delivery("c3", "S2", first_at=bench.now, next_at=bench.now),
        ]
    )
    async with bench.worker():
        await bench.receiver.until(1)
    assert bench.payloads == [["S2", None]]
    assert {(one.cursor, one.cause) for one in await bench.store.dead_letters()} == {
        ("c1", "HTTP 502"),
        ("c2", "the endpoint was down"),
    }


async def test_failing_endpoint_is_probed_by_one_delivery_at_a_time(bench: WorkerBench):
    in_flight = busiest = 0

    async def answer(_: ReceivedWebhook) -> Response:
        nonlocal in_flight, busiest
        in_flight += 1
        busiest = max(busiest, in_flight if len(bench.receiver.webhooks) > 6 else 0)
        await asyncio.sleep(0.005)
        in_flight -= 1
        return Response(status_code=503 if len(bench.receiver.webhooks) < 20 else 204)

    bench.receiver.answer = answer
    subjects = [(f"S{number}", "PENDING") for number in range(30)]
    async with bench.worker():
        *_, last = await bench.record(*subjects)
        await bench.receiver.until(20)
        most_while_down = busiest
        await bench.until_committed(last)
        async with asyncio.timeout(120):
            while len({tuple(one) for one in bench.payloads[19:]}) < 30:
                await asyncio.sleep(0.01)
    assert most_while_down == 1
    assert {tuple(one) for one in bench.payloads} == set(subjects)
    assert await bench.store.pending("ep1") == []


async def test_deliveries_in_flight_are_limited(bench: WorkerBench):
    in_flight, busiest = 0, 0
    release = asyncio.Event()

    async def answer(_: ReceivedWebhook) -> Response:
        nonlocal in_flight, busiest
        in_flight += 1
        busiest = max(busiest, in_flight)
        await release.wait()
        in_flight -= 1
        return Response(status_code=204)

    bench.receiver.answer = answer
    async with bench.worker(QUICK.model_copy(update={"concurrency": 3})):
        await bench.record(*((f"S{number}", "PENDING") for number in range(10)))
        await bench.receiver.until(3)
        release.set()
        await bench.receiver.until(10)
    assert busiest == 3


async def test_events_of_other_customers_are_skipped(bench: WorkerBench):
    bench.renderer.unmatched, bench.renderer.skipped = {"S1"}, {"S2"}
    async with bench.worker():
        *_, last = await bench.record(("S1", "PENDING"), ("S2", "PENDING"), ("S3", "PENDING"))
        await bench.receiver.until(1)
        await bench.until_committed(last)
    assert bench.payloads == [["S3", "PENDING"]]


async def test_unavailable_source_is_retried_without_blaming_the_endpoint(bench: WorkerBench):
    bench.renderer.errors = [RetryLater("SOURCE_UNAVAILABLE") for _ in range(5)]
    async with bench.worker():
        *_, last = await bench.record(("S1", "PENDING"))
        await bench.receiver.until(1)
        await bench.until_committed(last)
    assert bench.payloads == [["S1", "PENDING"]]


async def test_trimmed_updates_are_reported(bench: WorkerBench, tmp_path: Path):
    await bench.events.commit_offset(bench.endpoint.reader_name, await cursor_of_another_log(tmp_path / "other"))
    async with bench.worker():
        await bench.receiver.until(1)
    assert bench.payloads == [{"lost": "OTHER_LOG"}]


async def cursor_of_another_log(folder: Path) -> str:
    other = connect_events(Settings(data_dir=folder))
    try:
        return await other.end()
    finally:
        await other.close()


async def test_dead_endpoint_does_not_delay_another(bench: WorkerBench):
    released = asyncio.Event()

    async def silence(_: ReceivedWebhook) -> Response:
        await released.wait()
        return Response()

    async with receiving() as dead:
        dead.answer = silence
        other = WorkerBench(bench.events, bench.store, dead, endpoint("ep2", url=dead.url))
        await bench.events.commit_offset(other.endpoint.reader_name, await bench.events.end())
        async with other.worker(QUICK.model_copy(update={"timeout": 30.0})), bench.worker():
            subjects = [(f"S{number}", "PENDING") for number in range(20)]
            await bench.record(*subjects)
            await dead.until(1)
            await bench.receiver.until(20)
            released.set()
    assert {tuple(one) for one in bench.payloads} == set(subjects)


WORKER = """
import asyncio, pathlib, sys
from app.webhooks.outbound.stores import connect_endpoints
from app.events.stores import connect_events
from app.settings import Settings
from tests.support.endpoints import endpoint
from tests.webhooks.test_endpoint_worker import Receiver, WorkerBench

async def work(folder, url):
    settings = Settings(data_dir=pathlib.Path(folder))
    bench = WorkerBench(connect_events(settings), connect_endpoints(settings), Receiver(), endpoint(url=url))
    async with bench.worker():
        await asyncio.Event().wait()

asyncio.run(work(*sys.argv[1:]))
"""


async def test_killed_process_loses_nothing(bench: WorkerBench, tmp_path: Path):
    """kill -9 in the middle of deliveries, of which some fail; another process resumes from the offset."""
    count = 0

    def answer(_: ReceivedWebhook) -> Response:
        nonlocal count
        count += 1
        return Response(status_code=500 if count % 7 == 0 else 204)

    bench.receiver.answer = answer
    steps = [(f"S{number % 40}", f"step {number // 40}") for number in range(400)]
    await bench.events.record((), [update(key, status=status) for key, status in steps])
    for enough in (60, 150, 250):
        async with worker_process(tmp_path, bench.endpoint.url) as process:
            await bench.receiver.until(enough, seconds=20)
            process.kill()
    async with worker_process(tmp_path, bench.endpoint.url), asyncio.timeout(120):
        while len({webhook.id for webhook in bench.receiver.webhooks}) < 400 or await bench.store.pending("ep1"):
            await asyncio.sleep(0.05)
    bodies: dict[str, set[bytes]] = {}
    for webhook in bench.receiver.webhooks:
        bodies.setdefault(webhook.id, set()).add(webhook.body)
    assert all(len(sent) == 1 for sent in bodies.values())
    assert {tuple(json.loads(*sent)) for sent in bodies.values()} == set(steps)
    first: dict[str, list[str]] = {}
    for key, status in bench.payloads:
        if status not in first.setdefault(key, []):
            first[key].append(status)
    assert all(statuses == [f"step {number}" for number in range(10)] for statuses in first.values())


@asynccontextmanager
async def worker_process(folder: Path, url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that delivers, until it is killed."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", WORKER, str(folder), url, cwd=ROOT)
    try:
        yield process
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
        await process.wait()
