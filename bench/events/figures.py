"""The figures of shipment updates: intake, delay, memory, recovery.

./run bench --events              everything, over SQLite and Redis; some ten minutes
./run bench --events --quick      the same with less of everything; fails where a figure misses what it must be
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import count, islice
from pathlib import Path
from typing import Any

import uvloop

from app.events.stores import connect_events
from bench.events.accountant import tasks
from bench.events.gateways import Gateway
from bench.events.ledger import Ledger
from bench.events.parcels import Parcels, customer_of, shipment_id
from bench.events.subscribers import DOCUMENT, UPGRADE, Subscriber, message
from bench.events.webhooks import Sender, request
from bench.processes import tree
from tests.support.valkey import Valkey

QUIET = 1.0


@dataclass(frozen=True)
class Size:
    """How much is measured with."""

    intake_seconds: float
    connections: int
    idle: int
    active: int
    customers: int
    rate: int
    seconds: float
    crowd: int


FULL = Size(10.0, 64, idle=2_000, active=500, customers=50, rate=100, seconds=30.0, crowd=10_000)
QUICK = Size(3.0, 32, idle=200, active=50, customers=10, rate=50, seconds=5.0, crowd=0)


@dataclass(frozen=True)
class Figure:
    """One row of the table: `must` and `aim` are bounds that it has to be below, or above if `more` is better."""

    name: str
    value: float
    unit: str
    must: float
    aim: float
    more: bool = False

    @property
    def met(self) -> str:
        """Which of the bounds it keeps."""
        inside = [self.value >= bound if self.more else self.value <= bound for bound in (self.must, self.aim)]
        return "aim" if inside[1] else "must" if inside[0] else "MISSED"

    def __str__(self) -> str:
        """One line of the printed table."""
        return f"{self.name:<62} {self.value:>10.1f} {self.unit:<7} must {self.must:g}, aim {self.aim:g}: {self.met}"


@dataclass
class Stage:
    """A gateway over the parcels, and the driver's side of it."""

    gateway: Gateway
    parcels: Parcels
    ledger: Ledger
    start: str
    subscribers: list[Subscriber]

    def subscriber(self, customer: str) -> Subscriber:
        """Another subscriber over WebSocket, not running yet."""
        account = self.ledger.account(f"{customer} {len(self.subscribers)}", customer)
        made = Subscriber(
            "websocket",
            lambda: self.gateway.port,
            self.gateway.authorization(customer),
            self.start,
            self.ledger,
            account,
        )
        self.subscribers.append(made)
        return made

    def memory(self) -> float:
        """What the gateway holds, in kB."""
        pages = (int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in tree(self.gateway.pid))
        return sum(pages) * resource.getpagesize() / 1024


@asynccontextmanager
async def staged(size: Size, redis: str | None, *, workers: int = 1, customers: int = 0) -> AsyncIterator[Stage]:
    """Everything started."""
    parcels = Parcels(2_000, customers or size.customers)
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        backend = await stack.enter_async_context(parcels.served())
        gateway = Gateway(Path(folder), backend, redis=redis, workers=workers)
        await stack.enter_async_context(gateway.running())
        log = connect_events(gateway.settings)
        start = await log.end()
        await log.close()
        yield Stage(gateway, parcels, Ledger(), start, [])


async def intake(size: Size, redis: str | None) -> float:
    """Webhooks that one worker acknowledges in a second, each signed, about another shipment, read again meanwhile."""
    async with staged(size, redis) as stage:
        port, most = stage.gateway.port, int(size.intake_seconds * 6_000)
        waiting = iter([request(port, shipment_id(number % 2_000), number) for number in range(most)])
        until = time.perf_counter() + size.intake_seconds

        async def send() -> int:
            sender, count = Sender(lambda: port), 0
            for whole in waiting:
                if await sender.send(whole) // 100 != 2:
                    raise RuntimeError("a webhook was refused")
                count += 1
                if time.perf_counter() > until:
                    break
            sender.close()
            return count

        started = time.perf_counter()
        counts = await asyncio.gather(*(send() for _ in range(size.connections)))
        return sum(counts) / (time.perf_counter() - started)


async def delay(size: Size, redis: str | None) -> list[Figure]:
    """From acknowledgement to client, with idle and active subscribers; and what an idle one costs."""
    async with staged(size, redis) as stage:
        active = [stage.subscriber(customer_of(n, size.customers)) for n in range(size.active)]
        idle = [stage.subscriber(f"IDLE{n:05}") for n in range(size.idle)]
        with tasks([one.run for one in active]):
            await followed(active)
            await asyncio.sleep(QUIET)
            before = stage.memory()
            with tasks([one.run for one in idle]):
                await followed(idle)
                await asyncio.sleep(QUIET)
                each = (stage.memory() - before) / size.idle
                await tell(stage, size, count(), int(size.rate * size.seconds))
        latencies = [seconds * 1000 for seconds in stage.ledger.latencies()]
        verdict = stage.ledger.verdict()
        if not verdict.good:
            raise RuntimeError(f"updates went wrong: {verdict}")
    load = f"{size.idle} idle + {size.active} active, {size.rate}/s"
    return [
        Figure(f"acknowledged to client, p50; {load}", quantile(latencies, 0.5), "ms", 500, 100),
        Figure(f"acknowledged to client, p99; {load}", quantile(latencies, 0.99), "ms", 500, 100),
        Figure(f"memory of an idle WebSocket subscriber, of {size.idle}", each, "kB", 40, 20),
    ]


async def crowd(size: Size) -> Figure:
    """How many idle subscribers one worker keeps, of as many as were asked for; each is told of a step at the end."""
    async with staged(size, None) as stage:
        everybody = [stage.subscriber(f"IDLE{n:05}") for n in range(size.crowd)]
        one = stage.subscriber(customer_of(0, size.customers))
        with tasks([one.run for one in [*everybody, one]]):
            await followed([*everybody, one])
            await asyncio.sleep(QUIET)
            await tell(stage, size, count(), size.customers)
            kept = sum(one.following.is_set() for one in everybody)
    return Figure(f"idle subscribers on one worker, of {size.crowd}", kept, "", 10_000, 20_000, more=True)


async def recovery(size: Size, server: Valkey | None) -> Figure:
    """From a fault until every subscriber has got a step that was told after it."""
    async with staged(size, server.url if server else None, workers=2) as stage:
        subscribers = [stage.subscriber(customer_of(n, size.customers)) for n in range(size.customers * 2)]
        with tasks([one.run for one in subscribers]):
            await followed(subscribers)
            numbers = count()
            await tell(stage, size, numbers, size.customers)
            started = time.perf_counter()
            if server is None:
                await stage.gateway.kill(random.Random(1))
            else:
                server.kill()
                server.start()
            await tell(stage, size, numbers, size.customers)
            seconds = time.perf_counter() - started - size.customers / size.rate
        if not (verdict := stage.ledger.verdict()).good:
            raise RuntimeError(f"updates went wrong: {verdict}")
    name = "Redis killed and started" if server else "one of two workers killed"
    return Figure(f"{name}, until {len(subscribers)} subscribers are told again", max(seconds, 0), "s", 5, 1)


async def silent(size: Size) -> list[Figure]:
    """Ten readers that never read: what they take, how long they are kept, and what others notice of them."""
    async with staged(size, None, customers=1) as stage:
        customer = customer_of(0, 1)
        others = [stage.subscriber(customer) for _ in range(20)]
        with tasks([one.run for one in others]), ExitStack() as stack:
            await followed(others)
            before = stage.memory()
            variables = {"customer": {"number": customer}, "after": stage.start}
            ports = [
                stack.enter_context(never_reading(stage.gateway.port, stage.gateway.authorization(customer), variables))
                for _ in range(10)
            ]
            started, dropped, most = time.perf_counter(), 0.0, before
            numbers = count()
            while time.perf_counter() - started < 40:
                await tell(stage, size, numbers, size.rate)
                most = max(most, stage.memory())
                if not connected(stage.gateway.port, ports):
                    dropped = time.perf_counter() - started
                    break
            latencies = [seconds * 1000 for seconds in stage.ledger.latencies()]
    return [
        Figure("ten readers that never read, memory", (most - before) / 1024, "MB", 50, 50),
        Figure("ten readers that never read, until they are dropped", dropped or float("inf"), "s", 30, 30),
        Figure("acknowledged to others meanwhile, p99", quantile(latencies, 0.99), "ms", 500, 100),
    ]


@contextmanager
def never_reading(port: int, authorization: str, variables: dict[str, Any]) -> Iterator[int]:
    """A WebSocket that has subscribed and reads no more: the port that it comes from."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(5)
        client.connect(("127.0.0.1", port))
        client.sendall(UPGRADE)
        heard(client, b"\r\n\r\n")
        client.sendall(message({"type": "connection_init", "payload": {"authorization": authorization}}))
        heard(client, b"connection_ack")
        payload = {"query": DOCUMENT, "variables": variables}
        client.sendall(message({"id": "1", "type": "subscribe", "payload": payload}))
        yield client.getsockname()[1]


def heard(client: socket.socket, sign: bytes) -> None:
    """Read until something is said."""
    said = b""
    while sign not in said:
        part = client.recv(4096)
        if not part:
            raise ConnectionError(f"the gateway hung up after {said[:100]!r}")
        said += part


def connected(port: int, others: Sequence[int]) -> int:
    """To how many of these ports a server is still connected, as the kernel has it."""
    found = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, state, *_ = line.split()
        found += (int(local[-4:], 16), state) == (port, "01") and int(remote[-4:], 16) in others
    return found


async def followed(subscribers: Sequence[Subscriber]) -> None:
    """Wait until all have begun."""
    async with asyncio.timeout(60 + len(subscribers) / 50):
        await asyncio.gather(*(one.following.wait() for one in subscribers))


async def tell(stage: Stage, size: Size, numbers: Iterator[int], steps: int) -> None:
    """Steps at an even rate, of all customers in turn; return when all have come."""
    senders = [Sender(lambda: stage.gateway.port) for _ in range(16)]

    async def step(number: int) -> None:
        key = shipment_id(number % stage.parcels.count)
        stage.parcels.move(key, number)
        await senders[number % len(senders)].tell(key, number)
        stage.ledger.acknowledge(number, customer_of(number % stage.parcels.count, stage.parcels.customers))

    begun, running, told = time.perf_counter(), [], list(islice(numbers, steps))
    for place, number in enumerate(told):
        await asyncio.sleep(max(begun + place / size.rate - time.perf_counter(), 0))
        running.append(asyncio.create_task(step(number)))
    await asyncio.gather(*running)
    for number in told:
        if stage.ledger.followed(customer_of(number % stage.parcels.count, stage.parcels.customers)):
            await stage.ledger.settled(number, 30)
    for sender in senders:
        sender.close()


def quantile(values: Sequence[float], share: float) -> float:
    """Of sorted values."""
    return values[min(int(len(values) * share), len(values) - 1)]


@contextmanager
def fresh_valkey() -> Iterator[Valkey]:
    """A server that has heard of nothing: steps have the same numbers in each figure, and would be known already."""
    with tempfile.TemporaryDirectory() as folder:
        server = Valkey(Path(folder), durable=True)
        server.start()
        try:
            yield server
        finally:
            server.stop()


async def measured(size: Size) -> AsyncIterator[Figure]:
    """All figures, one after the other."""
    yield Figure("webhooks taken by one worker, SQLite", await intake(size, None), "/s", 500, 1_500, more=True)
    with fresh_valkey() as server:
        taken = await intake(size, server.url)
        yield Figure("webhooks taken by one worker, Redis", taken, "/s", 1_500, 5_000, more=True)
    with fresh_valkey() as server:
        yield await recovery(size, server)
    yield await recovery(size, None)
    for figure in await delay(size, None):
        yield figure
    if size.crowd:
        for figure in await silent(size):
            yield figure
        yield await crowd(size)


async def run(size: Size) -> list[Figure]:
    """Measure and print."""
    found = []
    async for figure in measured(size):
        print(figure, flush=True)
        found.append(figure)
    return found


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="./run bench --events", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="less of everything")
    parser.add_argument("--crowd", type=int, default=FULL.crowd, help="idle subscribers to try on one worker")
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    found = uvloop.run(run(QUICK if given.quick else replace(FULL, crowd=given.crowd)))
    if given.json:
        given.json.write_text(json.dumps([asdict(one) for one in found], indent=1), encoding="utf-8")
    return int(any(one.met == "MISSED" for one in found))
