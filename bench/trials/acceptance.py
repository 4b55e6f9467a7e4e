"""Orders submitted to gateways over HTTP: latency of acceptance, orders a second, processor time of an order.

The client is a process of its own beside gateways as `serve` runs them: a submission in flight on each of its
connections, the next as soon as the answer is there; or at a rate (`a_second`), where an order's time begins when it
is due, however late it can be sent. Nothing is sampled: every answer must be an accepted order, and at
the end every order is in the target once.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import httpx
from pydantic import SecretStr

from app.auth.principal import Role
from app.intake.records import IntakeFilter, IntakeState
from app.intake.stores import connect_intakes
from app.sandbox import Sandbox, start_sandbox
from app.settings import IntakeSettings, PostgresSettings, Settings
from bench.processes import cpu_seconds, tree
from tests.support.gateway import signed
from tests.support.processes import Running, serve, served

Store = Literal["sqlite", "postgres"]

WARM_UP = 200
"""Orders before the measurement: plans are compiled, connections are open, and it is known what is accepted."""

RUNS: Mapping[Store, Sequence[Mapping[str, Any]]] = {
    "sqlite": ({"checks": False}, {"checks": True}, {"checks": True, "of_capacity": 0.6}, {"in_flight": 1}),
    "postgres": ({"checks": False}, {"checks": True}, {"gateways": 2}, {"in_flight": 1}),
}
"""Without checks and with those that the sandbox answers; at 60 % of the rate of the run before; one order at a time;
over PostgreSQL also two gateways that share the work."""

WHO = signed(Role.CSR)

DRAIN_TIMEOUT = 900.0

MOST_CONNECTIONS = 200
"""Of a run at a rate."""

DOCUMENT = """
mutation Submit($input: SubmitOrderInput!) {
  submitOrder(input: $input) {
    intake { id version acknowledgement state orderNumber checks { kind result message lineNumber } }
    problems { code message cure path lineNumber }
  }
}
"""


@dataclass
class Acceptance:
    """What a run of submissions took. Times in milliseconds; `processor_ms` is that of all gateway processes for one
    order while orders are accepted, `posted_ms` until all are in the target; `client_ms` that of the client,
    `target_ms` that of the sandbox, which gets `calls` requests of all kinds for an order. `to_posted_p50` and
    `to_posted_p99` run from the submission to the order's number."""

    store: str
    checks: bool
    posting: bool
    gateways: int
    in_flight: int
    orders: int
    accepted: int
    refused: int
    p50: float
    p99: float
    a_second: float
    processor_ms: float
    client_ms: float
    target_ms: float
    calls: float
    rate: float | None = None
    posted_ms: float | None = None
    drain_seconds: float | None = None
    to_posted_p50: float | None = None
    to_posted_p99: float | None = None
    in_target: int | None = None
    doubled: int | None = None

    @property
    def kept(self) -> bool:
        """Whether every submission was accepted, and all that were posted are in the target once."""
        counted = not self.posting or (self.in_target == self.accepted and not self.doubled)
        return not self.refused and counted


@dataclass
class Submitted:
    """Seconds of each submission, and the accepted orders: number and kind."""

    seconds: list[float] = field(default_factory=list)
    accepted: list[tuple[int, int]] = field(default_factory=list)


Due = Callable[[int], float]
"""When the n-th order is due, by `time.perf_counter`."""


class Submitter(asyncio.Protocol):
    """A connection that submits an order, waits for its acceptance, and submits the next one: at once, or when it is
    due by `due`."""

    def __init__(self, orders: Iterator[tuple[int, int]], found: Submitted, due: Due | None) -> None:
        self._orders = orders
        self._due = due
        self._head = (
            "POST /graphql HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\n"
            f"authorization: {WHO['authorization']}\r\ncontent-length: "
        ).encode()
        self._found = found
        self._answer = bytearray()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._submit()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the gateway closed the connection"))

    def _submit(self) -> None:
        self._order = next(self._orders, None)
        if self._order is None:
            self.done.set_result(None)
            self._transport.close()
            return
        if self._due is None:
            self._send(time.perf_counter())
        else:
            due = self._due(self._order[0])
            asyncio.get_running_loop().call_later(max(due - time.perf_counter(), 0), self._send, due)

    def _send(self, began: float) -> None:
        assert self._order is not None  # noqa: S101 - the next one was taken
        body = submission(*self._order)
        self._sent = began
        self._transport.write(b"%b%d\r\n\r\n%b" % (self._head, len(body), body))

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, separator, body = self._answer.partition(b"\r\n\r\n")
        if not separator:
            return
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        if len(body) < int(length.partition(b":")[2]):
            return
        self._found.seconds.append(time.perf_counter() - self._sent)
        if b'"acknowledgement":"ACCEPTED"' in body:
            self._found.accepted.append(self._order)
        self._answer.clear()
        self._submit()


def submission(number: int, kind: int) -> bytes:
    """The request of the n-th order, of two lines; the kind names its customer and items."""
    skus = f"SKU-{kind % 100 + 1:04d}", f"SKU-{(kind + 7) % 100 + 1:04d}"
    order = {
        "key": f"key-{number}",
        "customer": {"number": f"CUST-{kind + 1:04d}"},
        "customerPo": f"PO-{number:06d}",
        "lines": [{"lineNumber": at + 1, "item": {"sku": sku}, "quantity": "100"} for at, sku in enumerate(skus)],
    }
    return json.dumps({"query": DOCUMENT, "variables": {"input": order}}).encode()


async def submit(
    gateways: Sequence[Running], orders: Sequence[tuple[int, int]], in_flight: int, rate: float | None = None
) -> Submitted:
    """Submit orders over so many connections, as fast as they are answered or so many a second."""
    loop, found, left = asyncio.get_running_loop(), Submitted(), iter(orders)
    submitters: list[Submitter] = []
    began, first = time.perf_counter(), orders[0][0]
    due: Due | None = None if rate is None else lambda number: began + (number - first) / rate
    for connection in range(min(in_flight, len(orders))):
        port = int(gateways[connection % len(gateways)].url.rpartition(":")[2])
        _, one = await loop.create_connection(lambda: Submitter(left, found, due), "127.0.0.1", port)
        submitters.append(one)
    await asyncio.gather(*(one.done for one in submitters))
    return found


@asynccontextmanager
async def running(
    store: Store, postgres_url: str | None, sandbox: Sandbox, *, gateways: int, checks: bool
) -> AsyncIterator[list[Running]]:
    """Gateways over one store and one target."""
    intake: dict[str, Any] = {"store": store, **({} if checks else {"checks": []})}
    sections: dict[str, Any] = {"intake": intake, "budgets": {"mode": "measure"}, "limits": {"mode": "measure"}}
    if postgres_url is not None:
        sections["postgres"] = {"url": postgres_url}
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="tradegraph-acceptance-"))
        started = []
        for number in range(gateways):
            own = Path(folder) / str(number)
            own.mkdir()
            environment = served(sandbox, data_dir=own, overlay={"concurrency": 64}, **sections)
            started.append(await stack.enter_async_context(serve(environment)))
        yield started


async def measure(
    store: Store, postgres_url: str | None, folder: Path, *,
    orders: int, in_flight: int = 50, gateways: int = 1, checks: bool = False, posting: bool = True,
    rate: float | None = None,
) -> Acceptance:  # fmt: skip
    """Submit orders over `in_flight` connections, or at a rate over as many as it takes; with `posting` they reach the
    target meanwhile, otherwise it refuses them until the end."""
    with start_sandbox(folder) as sandbox:
        headers = {"authorization": f"Bearer {sandbox.token}"}
        async with (
            httpx.AsyncClient(base_url=sandbox.urls["erp"], headers=headers, timeout=30) as target,
            running(store, postgres_url, sandbox, gateways=gateways, checks=checks) as started,
        ):
            await target.delete("/sandbox/submitted-orders")
            rule = {"resource": "order-submissions", "ignoreKeys": True}
            await target.post("/sandbox/faults", json=rule if posting else {**rule, "rateLimit": 0})
            first = await submit(started, [(number, number) for number in range(WARM_UP)], in_flight)
            kinds = [kind for _, kind in first.accepted]
            planned = [(WARM_UP + number, kinds[number % len(kinds)]) for number in range(orders)]
            pids = [pid for one in started for pid in tree(one.process.pid)]
            calls, target_spent = await _calls(target, sandbox), cpu_seconds([sandbox.process.pid])
            began, spent, own = time.perf_counter(), cpu_seconds(pids), time.process_time()
            given = await submit(started, planned, in_flight if rate is None else MOST_CONNECTIONS, rate)
            seconds = time.perf_counter() - began
            processor, client = cpu_seconds(pids) - spent, time.process_time() - own
            target_spent = cpu_seconds([sandbox.process.pid]) - target_spent
            calls = await _calls(target, sandbox) - calls
            taken = sorted(given.seconds)
            found = Acceptance(
                store, checks, posting, gateways, in_flight, orders,
                accepted=len(first.accepted) + len(given.accepted),
                refused=orders - len(given.accepted),
                p50=round(1000 * taken[orders // 2], 1),
                p99=round(1000 * taken[orders * 99 // 100], 1),
                a_second=round(orders / seconds, 1),
                processor_ms=round(1000 * processor / orders, 2),
                client_ms=round(1000 * client / orders, 2),
                target_ms=round(1000 * target_spent / orders, 2),
                calls=round(calls / orders, 2),
                rate=rate,
            )  # fmt: skip
            if posting:
                await _drained(target, found.accepted)
                counts = (await target.get("/sandbox/submitted-orders")).json()
                found.in_target, found.doubled = counts["orders"], len(counts["doubled"])
                found.drain_seconds = round(time.perf_counter() - began - seconds, 1)
                found.to_posted_p50, found.to_posted_p99 = await _to_posted(store, postgres_url, started[0], orders)
                found.posted_ms = round(1000 * (cpu_seconds(pids) - spent) / orders, 2)
            await target.post("/sandbox/faults", json={"resource": "order-submissions"})
            return found


async def _calls(client: httpx.AsyncClient, sandbox: Sandbox) -> int:
    """Requests that all systems of the sandbox have answered."""
    found = [await client.get(f"{url}/sandbox/counters") for url in sandbox.urls.values()]
    return sum(one.json()["requests"] for one in found)


async def _to_posted(store: Store, postgres_url: str | None, gateway: Running, orders: int) -> tuple[float, float]:
    """Milliseconds from the submission to the order's number of the newest orders: median and p99."""
    settings = Settings(
        data_dir=gateway.logs.parent,
        intake=IntakeSettings(store=store),
        postgres=PostgresSettings(url=SecretStr(postgres_url) if postgres_url else None),
    )
    opened = connect_intakes(settings)
    try:
        page = await opened.page(IntakeFilter(states=frozenset({IntakeState.POSTED})), orders)
    finally:
        await opened.close()
    taken = sorted(1000 * (one.since - one.received) for _, one in page.rows)
    return round(taken[len(taken) // 2], 1), round(taken[len(taken) * 99 // 100], 1)


async def _drained(target: httpx.AsyncClient, orders: int) -> None:
    async with asyncio.timeout(DRAIN_TIMEOUT):
        while (await target.get("/sandbox/submitted-orders")).json()["keys"] < orders:  # noqa: ASYNC110 - other processes work
            await asyncio.sleep(0.25)


def as_text(found: Sequence[Acceptance]) -> str:
    """The runs as a table; nothing for none."""
    if not found:
        return ""
    names = list(asdict(found[0]))
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    lines += [f"| {' | '.join(str(value) for value in asdict(one).values())} |" for one in found]
    return "\n".join(lines)
