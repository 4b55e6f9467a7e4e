"""Explanations: the reads that an operation will make of the sources, in rounds of requests."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from graphql import ExecutionResult

from app.gateway.explain.read_log import ReadLog, SimulatedRead

PER_REQUEST = 10
"""Cost units of a request; a key costs 1, and so does a signed link."""


@dataclass(frozen=True, slots=True)
class PredictedCalls:
    """Requests to one source in one round, the reads they are made for, with how many keys each, and the rows that the
    source hands over."""

    source: str
    requests: int
    reads: tuple[tuple[str, int], ...]
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Explanation:
    """Rounds of calls: a round waits for the one before it. `cached` reads are always served from memory, `cacheable`
    reads may be, with the maximum age of their entries in seconds. `links` are signed links to documents. `cost` counts
    a request as 10, a key and a link as 1."""

    rounds: tuple[tuple[PredictedCalls, ...], ...]
    cached: tuple[str, ...]
    refused: tuple[str, ...]
    cacheable: Mapping[str, int] = field(default_factory=dict)
    links: int = 0

    @property
    def reads(self) -> list[str]:
        """Each read, as `source.port.read`, once."""
        every = (f"{call.source}.{read}" for calls in self.rounds for call in calls for read, _ in call.reads)
        return list(dict.fromkeys(every))

    @property
    def requests(self) -> dict[str, int]:
        """Requests by source."""
        totals: dict[str, int] = {}
        for calls in self.rounds:
            for call in calls:
                totals[call.source] = totals.get(call.source, 0) + call.requests
        return totals

    @property
    def rows(self) -> int:
        """Rows that the sources hand over."""
        return sum(call.rows for calls in self.rounds for call in calls)

    @property
    def cost(self) -> int:
        """Cost units: `PER_REQUEST` for a request, 1 for a key or a link."""
        return self.links + sum(
            PER_REQUEST * call.requests + sum(keys for _, keys in call.reads) for calls in self.rounds for call in calls
        )

    def as_json(self) -> dict[str, Any]:
        """What `extensions.explain` and `--json` show."""
        return {
            "requests": {"total": sum(self.requests.values()), "bySource": self.requests},
            "cost": self.cost,
            "rows": self.rows,
            "links": self.links,
            "rounds": [
                [
                    {
                        "source": call.source,
                        "requests": call.requests,
                        "reads": [{"read": read, "keys": keys} for read, keys in call.reads],
                    }
                    for call in calls
                ]
                for calls in self.rounds
            ],
            "fromKept": list(self.cached),
            "mayBeKept": dict(self.cacheable),
            "refused": list(self.refused),
        }

    def as_text(self) -> str:
        """A tree for people."""
        total = sum(self.requests.values())
        each = ", ".join(f"{source} {count}" for source, count in self.requests.items())
        lines = [f"{total} requests ({each}), cost {self.cost}, {self.rows} rows, in {len(self.rounds)} rounds"]
        for number, calls in enumerate(self.rounds, 1):
            lines.append(f"round {number}{'' if number == 1 else ', after round ' + str(number - 1)}")
            for call in calls:
                lines.append(f"  {call.source}: {call.requests} request{'s' if call.requests != 1 else ''}")
                lines += [f"    {read} for {keys} key{'s' if keys != 1 else ''}" for read, keys in call.reads]
        if self.links:
            lines.append(f"signed links: {self.links}")
        lines += [f"cacheable: {read}, {age} s at most" for read, age in self.cacheable.items()]
        lines += [f"cached: {read}" for read in self.cached] + [f"refused: {name}" for name in self.refused]
        return "\n".join(lines)


async def explain(
    run: Any, log: ReadLog, coalescing: frozenset[str], refused: Sequence[str] = ()
) -> tuple[Explanation, ExecutionResult]:
    """Run an operation over simulated sources to its end, and explain its reads."""
    task = asyncio.ensure_future(run)
    await log.drive(task)
    result = await task
    return replace(explanation(log.reads, coalescing, refused), links=log.links), result


def explanation(reads: Sequence[SimulatedRead], coalescing: frozenset[str], refused: Sequence[str] = ()) -> Explanation:
    """The reads of a run as rounds of calls."""
    waiting = [read for read in reads if not read.cached]
    numbers = sorted({read.round for read in waiting})
    rounds = tuple(tuple(_calls([read for read in waiting if read.round == number], coalescing)) for number in numbers)
    cached = tuple(dict.fromkeys(f"{read.source}.{read.read}" for read in reads if read.cached))
    return Explanation(rounds, cached, tuple(refused))


def _calls(reads: Sequence[SimulatedRead], coalescing: frozenset[str]) -> Iterable[PredictedCalls]:
    for source in dict.fromkeys(read.source for read in reads):
        own = [read for read in reads if read.source == source]
        requests = 1 if source in coalescing else sum(read.requests for read in own)
        yield PredictedCalls(
            source, requests, tuple((read.read, read.keys) for read in own), sum(read.rows for read in own)
        )
