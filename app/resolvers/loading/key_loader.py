"""The loader all batched reads go through: many keys in, one port call, anew per operation.

A dataloader in what it does (https://github.com/graphql/dataloader), but with one future for each batch instead of one
for each key: a level asks for a hundred keys at once, and waiting for a hundred futures costs more than the read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Hashable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from app.errors import DeadlineExceeded, TradegraphError
from app.telemetry import remaining, without_stack

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
        self._batch_of: dict[K, _Batch[K]] = {}
        self._gathering: _Batch[K] | None = None
        self._batches: list[_Batch[K]] = []
        self._closed = False

    def close(self) -> None:
        """Stop what is being read and start nothing more: nobody waits for it."""
        self._closed = True
        self._gathering = None
        for batch in self._batches:
            if not batch.done:
                if batch.task is not None:
                    batch.task.cancel()
                self._fail(batch, TradegraphError("The request was cancelled."))

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
        return _Answers(asked, self._ask(asked), self._batch_of)

    async def many(self, keys: Iterable[K | None]) -> list[V | None | Exception]:
        """Values in the order of the keys, None for None; a failure stands in its key's place."""
        return await self.start(keys)

    def _ask(self, asked: Iterable[K | None]) -> tuple[_Batch[K], ...]:
        """Ask for what was not asked for yet; the batches that hold the keys."""
        keys: dict[Any, None] = dict.fromkeys(asked)
        keys.pop(None, None)
        if not keys:
            return ()
        known = self._batch_of
        if not known:  # As nearly always: the first who ask, ask for all.
            batch = self._open(keys)
            return (batch,)
        batches = {known[key]: None for key in keys if key in known}
        new = {key: None for key in keys if key not in known} if batches else keys
        if new:
            batches[self._open(new)] = None
        return tuple(batches)

    def _open(self, keys: dict[K, None]) -> _Batch[K]:
        """The batch that takes new keys. It is read when the event loop has come round, so that cascades of edges
        join it."""
        batch = self._gathering
        if batch is None:
            batch = self._gathering = _Batch(keys)
            self._batches.append(batch)
            asyncio.get_running_loop().call_soon(self._begin, batch)
        else:
            batch.keys.update(keys)
        self._batch_of.update(dict.fromkeys(keys, batch))
        return batch

    def _begin(self, batch: _Batch[K]) -> None:
        if self._closed:
            self._fail(batch, TradegraphError("The request was cancelled."))
        else:
            batch.task = asyncio.get_running_loop().create_task(self._read(batch))

    async def _read(self, batch: _Batch[K]) -> None:
        keys = list(batch.keys)
        self._gathering = None
        left = remaining()
        try:
            if left is not None and left <= 0:
                raise DeadlineExceeded
            found = await self._fetch(keys)
        except Exception as error:  # noqa: BLE001 - whatever failed is the answer of every key
            self._fail(batch, without_stack(error))
        except asyncio.CancelledError:
            self._fail(batch, TradegraphError("The request was cancelled."))
        else:
            batch.settle(found)

    @staticmethod
    def _fail(batch: _Batch[K], error: Exception) -> None:
        batch.settle(dict.fromkeys(batch.keys, error))


class _Batch(Generic[K]):
    """Keys that are read together, and who waits for them. Every waiter has a future of its own: one that is cancelled
    leaves the others alone."""

    __slots__ = ("done", "found", "keys", "task", "waiting")

    def __init__(self, keys: dict[K, None]) -> None:
        self.keys = keys
        self.found: Mapping[K, Any] = {}
        self.task: asyncio.Task[None] | None = None
        self.done = False
        self.waiting: list[asyncio.Future[None]] = []

    def settle(self, found: Mapping[K, Any]) -> None:
        """The answers are there."""
        self.found = found
        self.done = True
        for waiter in self.waiting:
            if not waiter.done():
                waiter.set_result(None)

    def wait(self) -> asyncio.Future[None]:
        """Done when the answers are there."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(waiter)
        return waiter


class _Answers(Awaitable[list[Any]]):
    """Answers on their way. Unlike a coroutine, it may be left without being awaited: its waiter was cancelled."""

    __slots__ = ("_asked", "_batch_of", "_batches")

    def __init__(
        self, asked: Sequence[Any], batches: Sequence[_Batch[Any]], batch_of: Mapping[Any, _Batch[Any]]
    ) -> None:
        self._asked = asked
        self._batches = batches
        self._batch_of = batch_of

    def __await__(self) -> Generator[Any, Any, list[Any]]:
        for batch in self._batches:
            if not batch.done:
                yield from batch.wait()
        if len(self._batches) == 1:
            return list(map(self._batches[0].found.get, self._asked))
        return [None if key is None else self._batch_of[key].found.get(key) for key in self._asked]


async def gather_in_order(*reads: Awaitable[V]) -> list[V]:
    """The answers of reads made at the same time. Of several failures the first in the reads' order is raised, not the
    first in time: the same question fails the same way each time."""
    found = await asyncio.gather(*reads, return_exceptions=True)
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return [one for one in found if not isinstance(one, BaseException)]


def first_exception(*values: object) -> Exception | None:
    """The first of the values that is a failure."""
    return next((value for value in values if isinstance(value, Exception)), None)
