"""The account of orders in: how many were lost or doubled while workers are killed and answers are lost.

The target ignores keys, so that an order that is posted twice is two orders. Every order is counted twice: in the
store, and in the target.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import httpx
from pydantic import SecretStr

from app.intake.records import QUEUED, IntakeContent, IntakeFilter, IntakeLine, IntakeState, OrderIntake, digest_of
from app.intake.store import IntakeStore
from app.intake.stores import connect_intakes
from app.sandbox import Sandbox, start_sandbox
from app.settings import (
    BreakerSettings,
    Domain,
    DomainSettings,
    IntakeSettings,
    OrderDomain,
    PostgresSettings,
    Settings,
    SourceLimits,
    SourceSettings,
)
from app.telemetry import new_id

Store = Literal["sqlite", "postgres"]

ROOT = str(Path(__file__).resolve().parents[2])
CUSTOMERS = 200
TIMEOUT, MAX_SECONDS, LEASE = 1.0, 4.0, 3.0
"""Seconds of a request, after which the target has no order any more, and of a claim."""


STALLED = 300.0
"""Seconds without an order that leaves the queue, after which a trial fails."""


@dataclass
class Account:
    """What was submitted, what the store and the target have of it, and how it went."""

    trial: str
    store: str
    submitted: int
    posted: int = 0
    in_target: int = 0
    lost: int = 0
    doubled: int = 0
    out_of_order: int = 0
    kills: int = 0
    seconds: float = 0.0
    submit_seconds: float = 0.0
    states: dict[str, int] = field(default_factory=dict)

    @property
    def kept(self) -> bool:
        """Whether every order is in the target once, and those of each customer in order."""
        return not (self.lost or self.doubled or self.out_of_order) and self.posted == self.submitted


class Workers:
    """Worker processes."""

    def __init__(self, settings_file: Path) -> None:
        self._file = settings_file
        self._running: list[subprocess.Popen[bytes]] = []

    async def start(self) -> subprocess.Popen[bytes]:
        """A new worker, once it claims orders."""
        command = [sys.executable, "-P", "-m", "bench.trials.order_worker", str(self._file)]
        process = await asyncio.to_thread(
            subprocess.Popen, command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=ROOT,
            env={**os.environ, "PYTHONPATH": ROOT},
        )  # fmt: skip
        assert process.stderr is not None  # noqa: S101
        with process.stderr as pipe:
            line = await asyncio.to_thread(pipe.readline)
        if line != b"ready\n":
            raise RuntimeError("a worker did not start")
        self._running.append(process)
        return process

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        process.kill()
        process.wait()
        self._running.remove(process)

    def close(self) -> None:
        for process in list(self._running):
            self.kill(process)


@asynccontextmanager
async def world(
    store: Store, postgres_url: str | None, sandbox_dir: Path, **intake: Any
) -> AsyncIterator[tuple[Settings, IntakeStore, httpx.AsyncClient, Workers, Sandbox]]:
    """A target, a store, and workers over them."""
    with TemporaryDirectory(prefix="tradegraph-orders-") as folder, start_sandbox(sandbox_dir) as sandbox:
        settings = _settings(store, postgres_url, Path(folder), sandbox, intake)
        file = Path(folder) / "settings.json"
        file.write_text(_dump(settings))
        workers, opened = Workers(file), connect_intakes(settings)
        headers = {"authorization": f"Bearer {sandbox.token}"}
        async with httpx.AsyncClient(base_url=sandbox.urls["erp"], headers=headers, timeout=30) as backend:
            await backend.delete("/sandbox/submitted-orders")
            try:
                yield settings, opened, backend, workers, sandbox
            finally:
                workers.close()
                await opened.close()


def _settings(
    store: Store, postgres_url: str | None, folder: Path, sandbox: Sandbox, intake: dict[str, Any]
) -> Settings:
    erp = SourceSettings(
        vendor="rest", base_url=sandbox.urls["erp"], credentials={"token": SecretStr(sandbox.token)}, timeout=TIMEOUT,
        options={"unique_order_keys": False, "max_order_seconds": MAX_SECONDS}, breaker=BreakerSettings(open_for=0.5),
        limits=SourceLimits(timeouts={"order_submissions": TIMEOUT}),
    )  # fmt: skip
    return Settings(
        data_dir=folder,
        sources={"erp": erp},
        domains=DomainSettings(customers=Domain(master="erp"), orders=OrderDomain(master="erp", write="erp")),
        intake=IntakeSettings(store=store, lease=LEASE, checks=(), concurrency=32, **intake),
        postgres=PostgresSettings(url=SecretStr(postgres_url) if postgres_url else None),
    )


def _dump(settings: Settings) -> str:
    """The settings as JSON, secrets included: they are the trial's own."""
    plain = json.loads(settings.model_dump_json(include={"data_dir", "domains", "intake"}))
    erp = settings.sources["erp"]
    plain["sources"] = {
        "erp": {
            "vendor": erp.vendor, "base_url": erp.base_url, "timeout": erp.timeout, "options": erp.options,
            "credentials": {"token": erp.credentials["token"].get_secret_value()},
            "breaker": erp.breaker.model_dump(), "limits": {"timeouts": erp.limits.timeouts},
        }
    }  # fmt: skip
    if settings.postgres.url is not None:
        plain["postgres"] = {"url": settings.postgres.url.get_secret_value()}
    return json.dumps(plain)


def order(number: int, target: str = "erp") -> OrderIntake:
    """The n-th order; those of a customer are numbered upwards."""
    customer, po = f"CUST-{number % CUSTOMERS + 1:04d}", f"PO-{number:06d}"
    line = IntakeLine(line_number=1, sku=f"SKU-{number % 100 + 1:04d}", quantity=Decimal(100))
    content, now = IntakeContent(lines=(line,)), time.time()
    return OrderIntake(
        id=new_id(), tenant="default", client="trial", key=f"key-{number}", digest=digest_of(customer, po, content),
        state=IntakeState.POSTING, channel="API", received=now, since=now, submitted_by="trial", customer=customer,
        customer_po=po, target=target, due_at=0.0, content=content,
    )  # fmt: skip


async def submit(store: IntakeStore, count: int, target: str = "erp") -> float:
    """Submit so many orders, those of a customer one after the other; the seconds that it took."""
    began = time.perf_counter()

    async def submitter(customer: int) -> None:
        for number in range(customer, count, CUSTOMERS):
            await store.submit(order(number, target), guard_po=0)

    await asyncio.gather(*(submitter(customer) for customer in range(CUSTOMERS)))
    return time.perf_counter() - began


async def drained(store: IntakeStore) -> None:
    """Wait until nothing is queued, however long that takes. Raises TimeoutError once nothing leaves the queue."""
    least, since = sys.maxsize, time.monotonic()
    while queued := sum(one.count for one in await store.depths() if one.state in QUEUED):
        if queued < least:
            least, since = queued, time.monotonic()
        elif time.monotonic() - since > STALLED:
            raise TimeoutError(f"{queued} orders are queued, and none was posted for {STALLED:.0f} s")
        await asyncio.sleep(0.25)


async def account(trial: Account, store: IntakeStore, backend: httpx.AsyncClient) -> Account:
    """Count every order in the store and in the target."""
    intakes: list[OrderIntake] = []
    before: int | None = None
    while True:
        page = await store.page(IntakeFilter(), 1000, before)
        intakes += [one for _, one in page.rows]
        if not page.has_next:
            break
        before = page.rows[-1][0]
    counts = (await backend.get("/sandbox/submitted-orders", params={"list": "1"})).json()
    created: Sequence[dict[str, Any]] = counts["created"]
    by_key: dict[str, int] = {}
    for one in created:
        by_key[one["key"]] = by_key.get(one["key"], 0) + 1
    trial.posted = sum(one.state is IntakeState.POSTED for one in intakes)
    trial.in_target = len(created)
    trial.lost = sum(by_key.get(one.id, 0) == 0 for one in intakes) + max(trial.submitted - len(intakes), 0)
    trial.doubled = sum(count > 1 for count in by_key.values())
    trial.out_of_order = _out_of_order(created, {one.id: one for one in intakes})
    for one in intakes:
        trial.states[one.state.value] = trial.states.get(one.state.value, 0) + 1
    return trial


def _out_of_order(created: Sequence[dict[str, Any]], intakes: dict[str, OrderIntake]) -> int:
    """Orders that the target created before an earlier order of their customer."""
    last: dict[str, str] = {}
    count = 0
    for one in created:
        intake = intakes[one["key"]]
        count += intake.customer_po < last.get(intake.customer, "")
        last[intake.customer] = max(intake.customer_po, last.get(intake.customer, ""))
    return count


async def fault(backend: httpx.AsyncClient, **rule: Any) -> None:
    body = {"resource": "order-submissions", "ignoreKeys": True, **rule}
    (await backend.post("/sandbox/faults", json=body)).raise_for_status()


async def killed(
    store: Store, postgres_url: str | None, sandbox_dir: Path, *, orders: int, kills: int, lost: float, every: float
) -> Account:
    """Workers are killed while a share of answers is lost: half by silence, half by a reset after the commit."""
    found = Account("killed", store, orders)
    async with world(store, postgres_url, sandbox_dir) as (_, opened, backend, workers, _sandbox):
        await fault(backend, errorRate=lost, errorKind="reset", delayMs=20)
        found.submit_seconds = await submit(opened, orders)
        began = time.perf_counter()
        current = [await workers.start(), await workers.start()]
        for number in range(kills):
            await fault(backend, errorRate=lost, errorKind="hang" if number % 2 else "reset", delayMs=20, seed=number)
            await asyncio.sleep(every)
            workers.kill(current.pop(0))
            current.append(await workers.start())
            found.kills += 1
        await drained(opened)
        found.seconds = time.perf_counter() - began
        return await account(found, opened, backend)


async def zombies(store: Store, postgres_url: str | None, sandbox_dir: Path, *, orders: int, rounds: int) -> Account:
    """A worker is stopped for three leases while another takes over, and goes on."""
    found = Account("zombie", store, orders)
    async with world(store, postgres_url, sandbox_dir) as (_, opened, backend, workers, _sandbox):
        await fault(backend, delayMs=100)
        found.submit_seconds = await submit(opened, orders)
        began = time.perf_counter()
        zombie, _other = await workers.start(), await workers.start()
        for _ in range(rounds):
            await asyncio.sleep(0.5)
            zombie.send_signal(signal.SIGSTOP)
            await asyncio.sleep(3 * LEASE)
            zombie.send_signal(signal.SIGCONT)
            found.kills += 1
        await drained(opened)
        found.seconds = time.perf_counter() - began
        return await account(found, opened, backend)


async def away(store: Store, postgres_url: str | None, sandbox_dir: Path, *, orders: int, seconds: float) -> Account:
    """Orders queue while the target refuses connections; then they are drained, in order by customer."""
    found = Account("away", store, orders)
    async with world(store, postgres_url, sandbox_dir) as (_, opened, backend, workers, _sandbox):
        await fault(backend, rateLimit=0)
        await workers.start()
        await workers.start()
        found.submit_seconds = await submit(opened, orders)
        await asyncio.sleep(seconds)
        refused = (await backend.get("/sandbox/submitted-orders")).json()["orders"]
        assert refused == 0  # noqa: S101
        await fault(backend)
        began = time.perf_counter()
        await drained(opened)
        found.seconds = time.perf_counter() - began
        return await account(found, opened, backend)


def as_text(found: Sequence[Account]) -> str:
    """The accounts as a table; nothing for none."""
    if not found:
        return ""
    lines = ["| trial | store | submitted | posted | in the target | lost | doubled | out of order | kills | s |",
             "|---|---|---|---|---|---|---|---|---|---|"]  # fmt: skip
    lines += [
        f"| {one.trial} | {one.store} | {one.submitted} | {one.posted} | {one.in_target} | {one.lost} | {one.doubled} "
        f"| {one.out_of_order} | {one.kills} | {one.seconds:.0f} |"
        for one in found
    ]
    return "\n".join(lines)


def as_json(found: Sequence[Account]) -> dict[str, Any]:
    """The accounts, and whether all of them kept what is promised."""
    return {"kept": all(one.kept for one in found), "accounts": [asdict(one) for one in found]}
