"""`./run trial faults`: one fault after the other between the gateway and one of its sources, or Redis, or a worker:
what it costs that source's fields, and what everybody else."""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import httpx
from redis.asyncio import Redis
from redis.exceptions import RedisError

from bench.trials.judge import judge
from bench.trials.reads import CUSTOMERS, Read, ask, body_of, headers_of
from bench.trials.world import DEADLINE, World, world
from tests.support.valkey import running_valkey
from tests.upstreams.proxy import FAULTS

AT = "logistics"
RECOVERED = 5.0
MOST_CALLS = 1.1
OWN = ("order_tracking", "sales_view")
OTHERS = """query Others($customer: CustomerKey!) { customer(by: $customer) { number name creditStatus { state }
  orders(first: 5) { nodes { number status lines { number quantity unitPrice { amount } } } } } }"""
OWN_RATE, OTHERS_RATE = 10.0, 25.0
"""Reads a second, whether or not the ones before are answered."""

ELSEWHERE = ("Redis down", "Redis hanging", "Redis restarted", "a worker killed")


@dataclass
class Phase:
    """What was met for a while."""

    outcomes: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)
    others_seconds: list[float] = field(default_factory=list)
    slowest: float = 0.0
    calls: int = 0
    lost: int = 0
    differences: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A fault, and what it cost. `calls_ratio` is against the mean of all phases without a
    fault, under the same load; the others' p99 stands beside that of the moment before."""

    fault: str
    codes: list[str]
    own: dict[str, int]
    others: dict[str, int]
    wrong: int
    slowest: float
    others_p99: float
    others_p99_before: float
    calls_ratio: float | None
    recovered_after: float
    lost: int
    differences: list[str]

    @property
    def kept(self) -> bool:
        """Whether it is what was promised, but for the others' p99: that is the machine's as well."""
        calls = self.calls_ratio is None or self.calls_ratio <= MOST_CALLS
        others = set(self.others) <= {"whole"}
        return not self.wrong and calls and others and self.recovered_after <= RECOVERED and self.slowest <= DEADLINE


class Bystanders:
    """Reads of nothing that the source has."""

    def __init__(self, reads: Sequence[Read]) -> None:
        self.reads = list(reads)

    @classmethod
    async def of(cls, client: httpx.AsyncClient) -> Bystanders:
        """Asked while all is well."""
        found: list[Read] = []
        for customer in CUSTOMERS:
            body, headers = body_of(OTHERS, {"customer": {"number": customer}}), headers_of(customer)
            truth = await ask(client, body, headers)
            if "errors" in truth or truth["data"]["customer"]["number"] != customer:
                raise RuntimeError(f"{customer}: {str(truth)[:500]}")
            found.append(Read("others", customer, body, headers, truth))
        return cls(found)


async def faults(seconds: float, chosen: Iterable[str] = ()) -> list[Row]:
    """Each of the faults for so long, or of those chosen."""
    wanted = list(chosen) or [*FAULTS, *ELSEWHERE]
    measured: list[tuple[str, Phase, Phase, float]] = []
    async with world(workers=2, poll=0) as over, over.gateway.client(timeout=3 * DEADLINE) as client:
        others = await Bystanders.of(client)
        await _load(over, client, others, min(seconds, 3.0))
        for fault in wanted:
            before = await _load(over, client, others, seconds)
            with ExitStack() as stack:
                over_again, during = await _during(over, client, others, seconds, fault, stack)
                measured.append((fault, before, during, await over_again()))
    usual = statistics.mean(before.calls for _, before, _, _ in measured)
    return [_row(*one, usual) for one in measured]


async def _during(
    over: World, client: httpx.AsyncClient, others: Bystanders, seconds: float, fault: str, stack: ExitStack
) -> tuple[Callable[[], Awaitable[float]], Phase]:
    """The load during a fault, and what ends the fault and tells how long it took until all was well."""
    whole = lambda: _whole_again(over, client)  # noqa: E731
    if fault in FAULTS:
        over.between[AT].fault = fault
        during = await _load(over, client, others, seconds)
        over.between[AT].fault = None
        return whole, during
    if fault == "a worker killed":
        loading = asyncio.create_task(_load(over, client, others, seconds))
        await asyncio.sleep(seconds / 4)
        before = len(over.gateway.logged("worker_ready"))
        os.kill(over.gateway.logged("worker_ready")[-1]["pid"], signal.SIGKILL)
        killed = time.monotonic()
        await over.gateway.logs_until("worker_ready", before + 1)
        took = time.monotonic() - killed
        during = await loading
        return lambda: _after(took), during
    if fault == "Redis restarted":
        loading = asyncio.create_task(_load(over, client, others, seconds))
        await asyncio.sleep(seconds / 4)
        await _restart(over, stack, seconds / 4)
        return whole, await loading
    over.redis.state = "down" if fault == "Redis down" else "hanging"
    during = await _load(over, client, others, seconds)
    over.redis.state = "well"
    return whole, during


async def _after(took: float) -> float:
    return took


async def _restart(over: World, stack: ExitStack, gone: float) -> None:
    """End Redis with all that it keeps, and start another one on its port."""
    async with Redis.from_url(over.valkey) as redis:
        with suppress(RedisError):  # It is gone before it answers.
            await redis.shutdown(nosave=True)
    await asyncio.sleep(gone)
    folder = stack.enter_context(TemporaryDirectory(prefix="tradegraph-valkey-"))
    over.keep(running_valkey(Path(folder), port=urlsplit(over.valkey).port or 0))


async def _load(over: World, client: httpx.AsyncClient, others: Bystanders, seconds: float) -> Phase:
    """Reads of the source's fields, and of others, for so long."""
    found = Phase()
    own = [read for read in over.reads if read.name in OWN]
    before = over.between[AT].reads

    async def one(read: Read, *, is_own: bool) -> None:
        started = time.perf_counter()
        try:
            answer = await ask(client, read.body, read.headers)
        except (httpx.HTTPError, ValueError):
            found.lost += 1
            return
        taken = time.perf_counter() - started
        verdict = judge(answer, read.truth)
        if is_own:
            found.outcomes[verdict.outcome] += 1
            found.codes.update(verdict.codes)
        else:
            found.others[verdict.outcome] += 1
            found.others_seconds.append(taken)
        found.slowest = max(found.slowest, taken)
        if verdict.difference:
            found.differences.append(f"{read.name} {read.customer}: {verdict.difference}")

    async def at(rate: float, reads: Sequence[Read], *, is_own: bool) -> None:
        begun = time.monotonic()
        tasks: list[asyncio.Task[None]] = []
        for count in range(int(rate * seconds)):
            await asyncio.sleep(max(begun + count / rate - time.monotonic(), 0))
            tasks.append(asyncio.create_task(one(reads[count % len(reads)], is_own=is_own)))
        await asyncio.gather(*tasks)

    await asyncio.gather(at(OWN_RATE, own, is_own=True), at(OTHERS_RATE, others.reads, is_own=False))
    found.calls = over.between[AT].reads - before
    return found


async def _whole_again(over: World, client: httpx.AsyncClient) -> float:
    """Seconds until the source's fields are whole, as each worker sees it: so many times in succession."""
    began = time.monotonic()
    own = [read for read in over.reads if read.name in OWN]
    last, streak = began, 0
    while streak < 12:
        read = own[streak % len(own)]
        verdict = judge(await ask(client, read.body, read.headers), read.truth)
        if verdict.outcome == "whole":
            streak += 1
        else:
            streak, last = 0, time.monotonic()
            if last - began > 4 * RECOVERED:
                return last - began
        await asyncio.sleep(0.02)
    return last - began


def _row(fault: str, before: Phase, during: Phase, took: float, usual: float) -> Row:
    return Row(
        fault=fault,
        codes=sorted(during.codes, key=lambda code: -during.codes[code]),
        own=dict(during.outcomes),
        others=dict(during.others),
        wrong=during.outcomes["wrong"] + during.others["wrong"],
        slowest=round(during.slowest, 3),
        others_p99=_p99(during.others_seconds),
        others_p99_before=_p99(before.others_seconds),
        calls_ratio=round(during.calls / usual, 2) if fault in FAULTS else None,
        recovered_after=round(took, 2),
        lost=during.lost,
        differences=during.differences[:3],
    )


def _p99(seconds: list[float]) -> float:
    return round(sorted(seconds)[int(len(seconds) * 0.99)], 4) if seconds else 0.0


def as_json(rows: Sequence[Row]) -> dict[str, Any]:
    """All rows, and whether each is what was promised."""
    return {"rows": [asdict(row) | {"kept": row.kept} for row in rows], "kept": all(row.kept for row in rows)}


def as_table(rows: Sequence[Row]) -> str:
    """A table in Markdown."""
    lines = [
        "| Fault | Own fields | Codes | Others right | Others' p99, before | Calls | Slowest | Well again | Wrong |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        own = ", ".join(f"{row.own[name]} {name}" for name in ("whole", "labelled", "unanswered") if name in row.own)
        right, asked = row.others.get("whole", 0), sum(row.others.values())
        calls = "–" if row.calls_ratio is None else f"{row.calls_ratio:.2f}"
        lost = f", {row.lost} lost" if row.lost else ""
        codes = ", ".join(f"`{code}`" for code in row.codes) or "–"
        lines.append(
            f"| {row.fault} | {own}{lost} | {codes} | {right} of {asked} | "
            f"{1000 * row.others_p99:.0f} ms, {1000 * row.others_p99_before:.0f} ms | {calls} | {row.slowest:.2f} s | "
            f"{row.recovered_after:.2f} s | {row.wrong} |"
        )
    return "\n".join(lines)
