"""The log of simulated reads: weighted keys, and the rounds in which reads wait for each other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from app.sources.values import Page

IDLE_TURNS = 12
"""Turns of the event loop without a read after which a round is over."""


class WeightedKey(str):
    """The key of a row that stands for `weight` rows."""

    __slots__ = ("weight",)
    weight: int

    def __new__(cls, text: str, weight: int) -> Self:
        """Rows of different weights are different rows."""
        made = super().__new__(cls, f"{text}#{weight}")
        made.weight = weight
        return made


class SimulatedAccounts(frozenset[str]):
    """A caller's accounts. They contain the customers of simulated lists, which the source restricts to them."""

    __slots__ = ()

    def __contains__(self, number: object) -> bool:
        return isinstance(number, WeightedKey) or super().__contains__(number)


def key_weight(key: Any) -> int:
    """The number of rows that a key stands for; of a composite key that of its heaviest part."""
    if isinstance(key, WeightedKey):
        return key.weight
    if isinstance(key, str):
        return 1
    parts = key if isinstance(key, tuple) else (getattr(key, name) for name in getattr(key, "__struct_fields__", ()))
    return max((part.weight for part in parts if isinstance(part, WeightedKey)), default=1)


def total_weight(keys: Iterable[Any]) -> int:
    """The number of rows that these keys stand for."""
    return sum(map(key_weight, keys))


def count_rows(answer: Any) -> int:
    """The number of rows that a result stands for."""
    if isinstance(answer, Page):
        return total_weight(answer.rows)
    if isinstance(answer, Mapping):
        return sum(
            count_rows(found) if isinstance(found, (Page, tuple)) else max(key_weight(key), key_weight(found))
            for key, found in answer.items()
        )
    return total_weight(answer)


@dataclass(frozen=True, slots=True)
class SimulatedRead:
    """A read of a port: its source and name, its keys, requests on the wire and rows. `cached` reads are always served
    from memory."""

    source: str
    read: str
    keys: int
    requests: int
    rows: int = 0
    round: int = 0
    cached: bool = False


@dataclass(slots=True)
class ReadLog:
    """Reads in rounds: the reads of a round run side by side, and the next round waits for them. `links` are the signed
    links that the operation makes."""

    reads: list[SimulatedRead] = field(default_factory=list)
    round: int = 1
    links: int = 0
    _gate: asyncio.Event = field(default_factory=asyncio.Event)
    _active: bool = False

    async def record(self, read: SimulatedRead) -> None:
        """Record a read of this round, and wait until the round is over."""
        self.reads.append(replace(read, round=self.round))
        self._active = True
        if not read.cached:
            await self._gate.wait()

    async def drive(self, run: asyncio.Task[Any]) -> None:
        """End each round once nothing more is read in it, until the run ends."""
        while not run.done():
            idle_turns = 0
            while idle_turns < IDLE_TURNS and not run.done():
                await asyncio.sleep(0)
                idle_turns = 0 if self._active else idle_turns + 1
                self._active = False
            self.round += 1
            opened, self._gate = self._gate, asyncio.Event()
            opened.set()
