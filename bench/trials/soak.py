"""`./run trial soak --minutes 30`: rated load while backends and Redis fail at random, every answer compared with the
truth."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from bench.processes import tree
from bench.trials.judge import judge
from bench.trials.reads import Read, ask
from bench.trials.world import DEADLINE, SOURCES, World, world
from tests.upstreams.proxy import FAULTS

PROMISED = {"answered": 0.999, "wrong": 0, "memory_drift": 0.10, "descriptors": 20}
REDIS = ("down", "hanging")
WELL, SICK = (2.0, 8.0), (1.0, 6.0)
"""Seconds between two faults, and of one, at least and at most."""

QUIET = 5.0
"""Seconds without a fault at the end, so that what is open then is open for good."""


@dataclass
class Soak:
    """What was met."""

    outcomes: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    documents: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    samples: list[tuple[float, float, int]] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The figures, and whether they are what was promised."""
        reads = sum(self.outcomes.values())
        answered = (reads - self.outcomes["unanswered"] - self.outcomes["wrong"]) / max(reads, 1)
        fifth = max(len(self.samples) // 5, 1)
        # The first fifth warms up: what the gateway keeps of each customer and item is read then.
        first, last = self.samples[fifth : 2 * fifth] or self.samples, self.samples[-fifth:]
        before, after = (statistics.median(one[1] for one in part) for part in (first, last))
        opened = self.samples[-1][2] - min(one[2] for one in first)
        drift = after / before - 1
        ordered = sorted(self.seconds)
        return {
            "reads": reads,
            "answered": round(answered, 6),
            "whole": round(self.outcomes["whole"] / max(reads, 1), 4),
            "labelled": self.outcomes["labelled"],
            "unanswered": self.outcomes["unanswered"],
            "wrong": self.outcomes["wrong"],
            "p50_ms": round(1000 * ordered[len(ordered) // 2], 1),
            "p99_ms": round(1000 * ordered[int(len(ordered) * 0.99)], 1),
            "slowest_ms": round(1000 * ordered[-1], 1),
            "memory_mb": [round(before, 1), round(after, 1)],
            "memory_over_time": [round(one[1]) for one in self.samples[:: max(len(self.samples) // 20, 1)]],
            "memory_drift": round(drift, 4),
            "descriptors": opened,
            "documents": dict(self.documents),
            "codes": dict(self.codes.most_common()),
            "faults": dict(sorted(self.faults.items())),
            "differences": self.differences,
            "kept": answered >= PROMISED["answered"]
            and not self.outcomes["wrong"]
            and drift < PROMISED["memory_drift"]
            and opened <= PROMISED["descriptors"],
        }


async def soak(minutes: float, rate: float, workers: int, seed: int) -> Soak:
    """Load for so long."""
    found, chance = Soak(), random.Random(seed)
    async with world(workers=workers) as over, over.gateway.client(timeout=3 * DEADLINE) as client:
        until = time.monotonic() + minutes * 60
        sick = asyncio.create_task(_faults(over, found, chance, until - QUIET))
        watch = asyncio.create_task(_watch(over, found, max(minutes * 60 / 200, 0.2)))
        asking: set[asyncio.Task[None]] = set()
        due = time.monotonic()
        while due < until:
            await asyncio.sleep(max(due - time.monotonic(), 0))
            due += chance.expovariate(rate)
            task = asyncio.create_task(_one(client, chance.choice(over.reads), found))
            asking.add(task)
            task.add_done_callback(asking.discard)
        await asyncio.gather(sick, *asking)
        watch.cancel()
        with suppress(asyncio.CancelledError):
            await watch
        found.samples.append(_sample(over))
    return found


async def _one(client: httpx.AsyncClient, read: Read, found: Soak) -> None:
    started = time.perf_counter()
    try:
        answer = await ask(client, read.body, read.headers)
    except (httpx.HTTPError, ValueError) as error:
        answer = repr(error)
    verdict = judge(answer, read.truth)
    found.seconds.append(time.perf_counter() - started)
    found.outcomes[verdict.outcome] += 1
    found.documents[read.name] += 1
    found.codes.update(verdict.codes)
    if verdict.difference and len(found.differences) < 20:
        found.differences.append(f"{read.name} {read.customer}: {verdict.difference}")


async def _faults(over: World, found: Soak, chance: random.Random, until: float) -> None:
    """One fault after the other, each of one backend or of Redis, until then."""
    while time.monotonic() < until:
        await asyncio.sleep(chance.uniform(*WELL))
        lasts = min(chance.uniform(*SICK), max(until - time.monotonic(), 0))
        at = chance.choice([*SOURCES, "redis"])
        if at == "redis":
            over.redis.state = chance.choice(REDIS)
            found.faults[f"redis {over.redis.state}"] += 1
        else:
            over.between[at].fault = chance.choice(list(FAULTS))
            found.faults[f"{at} {over.between[at].fault}"] += 1
        await asyncio.sleep(lasts)
        over.redis.state = "well"
        for between in over.between.values():
            between.fault = None


async def _watch(over: World, found: Soak, every: float) -> None:
    while True:
        found.samples.append(_sample(over))
        await asyncio.sleep(every)


def _sample(over: World) -> tuple[float, float, int]:
    """Now, the gateway's memory in MB, and its descriptors."""
    memory, opened = 0, 0
    for pid in tree(over.gateway.process.pid):
        with suppress(OSError):
            opened += len(list(Path(f"/proc/{pid}/fd").iterdir()))
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    memory += int(line.split()[1])
    return time.monotonic(), memory / 1024, opened


def as_text(figures: dict[str, Any]) -> str:
    """A table for people."""
    rows = [(key, figures[key]) for key in figures if key not in {"differences", "faults", "documents", "codes"}]
    lines = [f"{key:14} {value}" for key, value in rows]
    lines += [f"{key:14} " + ", ".join(f"{name} {count}" for name, count in figures[key].items())
              for key in ("documents", "codes", "faults")]  # fmt: skip
    return "\n".join([*lines, *figures["differences"]])
