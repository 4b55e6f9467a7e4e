"""The loader all batched reads go through: many keys in, one port call, anew per operation.

A dataloader in what it does (https://github.com/graphql/dataloader), but with one future for each batch instead of one
for each key: a level asks for a hundred keys at once, and waiting for a hundred futures costs more than the read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Hashable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

from app.errors import DeadlineExceeded, TradegraphError
from app.telemetry import remaining

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

Fetch = Callable[[Sequence[K]], Awaitable[Mapping[K, V]]]


class KeyLoader(Generic[K, V]):
    """Loads values by key through a port's batch read; None for keys the port leaves out.

    Keys that are asked for before the event loop comes round become one read. A key is read once in an operation, and
    so is a failure: ten edges over one failing backend make one call. A waiter that is cancelled takes nothing from
    the others, because the read is a task of its own.
    """

    def __init__(self, fetch: Fetch[K, V]) -> None:
        self._fetch = fetch
        self._batch_of: dict[K, asyncio.Task[None]] = {}
        self._found: dict[K, V | Exception | None] = {}
        self._gathering: dict[K, None] = {}
        self._next: asyncio.Task[None] | None = None
        self._reads: list[asyncio.Task[None]] = []

    def close(self) -> None:
        """Stop what is being read and start nothing more: nobody waits for it."""
        for read in self._reads:
            if not read.done():
                read.cancel()

    async def one(self, key: K) -> V | None:
        """The value of a key; raises what the port raised."""
        (value,) = await self.start((key,))
        if isinstance(value, Exception):
            raise value
        return value

    def prefetch(self, key: K) -> None:
        """Ask for a key that will be needed; whoever asks for it later gets the same answer or failure."""
        self._ask((key,))

    def start(self, keys: Iterable[K | None]) -> Awaitable[list[V | None | Exception]]:
        """Like `many`, but the keys are asked for at once, before the answer is awaited."""
        asked = list(keys)
        self._ask(asked)
        return _Answers(partial(self._answers, asked))

    async def many(self, keys: Iterable[K | None]) -> list[V | None | Exception]:
        """Values in the order of the keys, None for None; a failure stands in its key's place."""
        return await self.start(keys)

    def _ask(self, keys: Iterable[K | None]) -> None:
        for key in keys:
            if key is None or key in self._batch_of:
                continue
            if self._next is None:
                self._next = asyncio.get_running_loop().create_task(self._read())
                self._reads.append(self._next)
            self._gathering[key] = None
            self._batch_of[key] = self._next

    async def _read(self) -> None:
        """One batch: the keys gathered until the event loop has come round, so that cascades of edges join."""
        await asyncio.sleep(0)
        keys = list(self._gathering)
        self._gathering, self._next = {}, None
        left = remaining()
        try:
            if left is not None and left <= 0:
                raise DeadlineExceeded
            found = await self._fetch(keys)
        except Exception as error:  # noqa: BLE001 - whatever failed is the answer of every key
            self._found.update(dict.fromkeys(keys, error))
        except asyncio.CancelledError:
            self._found.update(dict.fromkeys(keys, TradegraphError("The request was cancelled.")))
        else:
            for key in keys:
                self._found[key] = found.get(key)

    async def _answers(self, asked: Sequence[K | None]) -> list[V | None | Exception]:
        batches = {self._batch_of[key] for key in asked if key is not None and key not in self._found}
        for batch in batches:
            await asyncio.shield(batch)
        found: dict[Any, Any] = self._found
        return [found.get(key) for key in asked]


class _Answers(Awaitable[V]):
    """Answers on their way. Unlike a coroutine, it may be left without being awaited: its waiter was cancelled."""

    def __init__(self, wait: Callable[[], Awaitable[V]]) -> None:
        self._wait = wait

    def __await__(self) -> Generator[Any, Any, V]:
        return self._wait().__await__()


async def side_by_side(*reads: Awaitable[V]) -> list[V]:
    """The answers of reads made at the same time. Of several failures the first in the reads' order is raised, not the
    first in time: the same question fails the same way each time."""
    found = await asyncio.gather(*reads, return_exceptions=True)
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return [one for one in found if not isinstance(one, BaseException)]


def failure(*values: object) -> Exception | None:
    """The first of the values that is a failure."""
    return next((value for value in values if isinstance(value, Exception)), None)
