"""Reads while the queue of orders drains: the sales view at a steady rate, in windows of which every second one drains.

A backlog is in the queue. In the first window of a pair the target refuses orders; in the second one it takes them.
Requests are sent at a rate, not as fast as they are answered, so that both windows have the same load.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Literal

import httpx
from pydantic import SecretStr

from app.intake.stores import connect_intakes
from app.sandbox import Sandbox, start_sandbox
from app.settings import IntakeSettings, PostgresSettings, Settings
from bench.processes import cpu_seconds
from bench.trials.orders import submit
from bench.trials.reads import CUSTOMERS, body_of, headers_of
from tests.support.gateway import document
from tests.support.processes import Running, serve, served

Store = Literal["sqlite", "postgres"]

TARGET = "order-target"
"""The source that takes the orders."""

SETTLE = 1.0
"""Seconds after a change of the target before a window begins."""

PROMISED = 1.2
"""The p99 while the queue drains, as a multiple of the p99 while it does not."""


@dataclass
class Window:
    """Reads in one window: seconds of each, and processor seconds of the worker that answers them."""

    seconds: list[float] = field(default_factory=list)
    processor: float = 0.0
    posted: int = 0


@dataclass
class Reads:
    """Milliseconds of the sales view while the queue stands and while it drains; `p95_ratio` is the median of those of
    the pairs. `read_ms` and `draining_read_ms` are processor time of the worker that answers, for one read: what other
    programs take of the processors is not in them."""

    store: str
    background_worker: bool
    own_target: bool
    rate: float
    reads: int
    p50: float
    p99: float
    draining_p50: float
    draining_p99: float
    p99_ratio: float
    p95_ratio: float
    read_ms: float
    draining_read_ms: float
    posted_a_second: float
    backlog_left: int

    @property
    def kept(self) -> bool:
        """Whether the queue has drained all the time, and the p99 is within what a background worker promises."""
        drained = self.backlog_left > 0 and self.posted_a_second > 0
        return drained and (self.p99_ratio <= PROMISED or not self.background_worker)


async def measure(
    store: Store, postgres_url: str | None, *,
    backlog: int, rate: float, seconds: float, pairs: int, own_target: bool = True, background: bool = True,
) -> Reads:  # fmt: skip
    """The sales view `rate` times a second of one worker, with or without a background worker. With `own_target`
    orders go to a sandbox that answers no reads."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="tradegraph-draining-")))
        sandbox = stack.enter_context(start_sandbox(folder / "sandbox"))
        target = stack.enter_context(start_sandbox(folder / "target")) if own_target else sandbox
        (folder / "gateway").mkdir()
        environment = _with_order_target(
            target,
            sandbox,
            data_dir=folder / "gateway",
            overlay={"concurrency": 64},
            server={"background_worker": background},
            intake={"store": store},
            postgres={"url": postgres_url} if postgres_url else {},
            budgets={"mode": "measure"},
            limits={"mode": "measure"},
        )
        gateway = await stack.enter_async_context(serve(environment))
        backend = await stack.enter_async_context(
            httpx.AsyncClient(
                base_url=target.urls["erp"], headers={"authorization": f"Bearer {target.token}"}, timeout=30
            )
        )
        await _hold(backend, True)
        await _fill(store, postgres_url, folder / "gateway", backlog)
        client = await stack.enter_async_context(gateway.client())
        requests = itertools.cycle(_requests())
        await _window(gateway, client, requests, rate, 3.0)
        windows: dict[bool, list[Window]] = {False: [], True: []}
        for _ in range(pairs):
            for draining in (False, True):
                await _hold(backend, not draining)
                await asyncio.sleep(SETTLE)
                before = await _posted(backend)
                window = await _window(gateway, client, requests, rate, seconds)
                window.posted = await _posted(backend) - before
                windows[draining].append(window)
        left = backlog - await _posted(backend)
    return _reads((store, background, own_target), rate, seconds, windows, left)


def _with_order_target(target: Sandbox, sandbox: Sandbox, **given: Any) -> dict[str, str]:
    """The environment of a gateway over the sandbox whose orders go to `target`, a source of its own."""
    environment = served(sandbox, **given)
    sources, domains = (json.loads(environment[f"TRADEGRAPH_{name}"]) for name in ("SOURCES", "DOMAINS"))
    sources[TARGET] = {**sources["erp"], "base_url": target.urls["erp"], "credentials": {"token": target.token}}
    domains["orders"]["write"] = TARGET
    return environment | {"TRADEGRAPH_SOURCES": json.dumps(sources), "TRADEGRAPH_DOMAINS": json.dumps(domains)}


def _reads(
    setting: tuple[str, bool, bool], rate: float, seconds: float, windows: Mapping[bool, Sequence[Window]], left: int
) -> Reads:
    idle, draining = (sorted(itertools.chain(*(one.seconds for one in windows[drains]))) for drains in (False, True))
    ratios = [
        _at(sorted(drains.seconds), 95) / _at(sorted(stands.seconds), 95)
        for stands, drains in zip(windows[False], windows[True], strict=True)
    ]
    whole = seconds * len(ratios)
    return Reads(
        *setting, rate, len(idle) + len(draining),
        p50=_ms(_at(idle, 50)), p99=_ms(_at(idle, 99)),
        draining_p50=_ms(_at(draining, 50)), draining_p99=_ms(_at(draining, 99)),
        p99_ratio=round(_at(draining, 99) / _at(idle, 99), 2), p95_ratio=round(median(ratios), 2),
        read_ms=_ms(sum(one.processor for one in windows[False]) / len(idle)),
        draining_read_ms=_ms(sum(one.processor for one in windows[True]) / len(draining)),
        posted_a_second=round(sum(one.posted for one in windows[True]) / whole, 1),
        backlog_left=left,
    )  # fmt: skip


def _at(ordered: Sequence[float], percent: int) -> float:
    return ordered[len(ordered) * percent // 100]


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 1)


def _requests() -> Iterator[tuple[bytes, Mapping[str, str]]]:
    query = document("sales_view")
    for customer in CUSTOMERS:
        yield body_of(query, {"customer": {"number": customer}, "orders": 20}), headers_of(customer)


async def _window(
    gateway: Running,
    client: httpx.AsyncClient,
    requests: Iterator[tuple[bytes, Mapping[str, str]]],
    rate: float,
    seconds: float,
) -> Window:
    found = Window()

    async def read(body: bytes, headers: Mapping[str, str]) -> None:
        began = time.perf_counter()
        response = await client.post("/graphql", content=body, headers=dict(headers))
        found.seconds.append(time.perf_counter() - began)
        if response.status_code != 200 or b'"errors"' in response.content:
            raise RuntimeError(response.text[:300])

    pids = [next((line["pid"] for line in gateway.logged("worker_ready") if line["worker"] == 0), gateway.process.pid)]
    began, spent = time.perf_counter(), cpu_seconds(pids)
    async with asyncio.TaskGroup() as running:
        for number in range(round(rate * seconds)):
            await asyncio.sleep(max(began + number / rate - time.perf_counter(), 0))
            running.create_task(read(*next(requests)))
    found.processor = cpu_seconds(pids) - spent
    return found


async def _hold(backend: httpx.AsyncClient, held: bool) -> None:
    rule = {"resource": "order-submissions", **({"rateLimit": 0} if held else {})}
    (await backend.post("/sandbox/faults", json=rule)).raise_for_status()


async def _posted(backend: httpx.AsyncClient) -> int:
    return (await backend.get("/sandbox/submitted-orders")).json()["keys"]


async def _fill(store: Store, postgres_url: str | None, folder: Path, backlog: int) -> None:
    settings = Settings(
        data_dir=folder,
        intake=IntakeSettings(store=store),
        postgres=PostgresSettings(url=SecretStr(postgres_url) if postgres_url else None),
    )
    opened = connect_intakes(settings)
    try:
        await submit(opened, backlog, TARGET)
    finally:
        await opened.close()


def as_text(found: Sequence[Reads]) -> str:
    """The runs as a table; nothing for none."""
    if not found:
        return ""
    names = list(asdict(found[0]))
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    lines += [f"| {' | '.join(str(value) for value in asdict(one).values())} |" for one in found]
    return "\n".join(lines)
