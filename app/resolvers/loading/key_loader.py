"""The loader of all batched reads: many keys in, one port call, made for one operation.

A dataloader (https://github.com/graphql/dataloader) with one future for each batch instead of one for each key: a plan
asks for all keys of a level at once, and waiting for a hundred futures costs more than the read.
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
    """Loads values by key through a port's batch read; None for keys that the port omits.

    Keys requested in the same iteration of the event loop become one read. A key is read once in an operation, and a
    failure is cached: ten edges over one failing backend make one call. The read is a task of its own, so that a
    cancelled waiter does not affect the others.
    """

    def __init__(self, fetch: Fetch[K, V]) -> None:
        self._fetch = fetch
        self._batch_of: dict[K, _Batch[K]] = {}
        self._open_batch: _Batch[K] | None = None
        self._batches: list[_Batch[K]] = []
        self._closed = False

    def close(self) -> None:
        """Cancel pending reads and start no others."""
        self._closed = True
        self._open_batch = None
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

    def prefetch(self, *keys: K) -> None:
        """Start the read of keys that will be needed."""
        self._request(keys)

    def start(self, keys: Iterable[K | None]) -> Awaitable[list[V | None | Exception]]:
        """Like `many`, but the read starts before the result is awaited."""
        requested = list(keys)
        return _PendingValues(requested, self._request(requested), self._batch_of)

    async def many(self, keys: Iterable[K | None]) -> list[V | None | Exception]:
        """Values in the order of the keys, None for None; a failed key's value is its exception."""
        return await self.start(keys)

    def _request(self, requested: Iterable[K | None]) -> tuple[_Batch[K], ...]:
        """Request the keys that were not requested before; the batches that hold all of them."""
        keys: dict[Any, None] = dict.fromkeys(requested)
        keys.pop(None, None)
        if not keys:
            return ()
        known = self._batch_of
        if not known:  # The usual case: the first request holds all keys.
            batch = self._open(keys)
            return (batch,)
        batches = {known[key]: None for key in keys if key in known}
        new = {key: None for key in keys if key not in known} if batches else keys
        if new:
            batches[self._open(new)] = None
        return tuple(batches)

    def _open(self, keys: dict[K, None]) -> _Batch[K]:
        """The batch for new keys. Its read starts in the next iteration of the event loop, so that other edges can join
        it."""
        batch = self._open_batch
        if batch is None:
            batch = self._open_batch = _Batch(keys)
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
        self._open_batch = None
        left = remaining()
        try:
            if left is not None and left <= 0:
                raise DeadlineExceeded
            found = await self._fetch(keys)
        except Exception as error:  # noqa: BLE001 - the failure is the value of every key
            self._fail(batch, without_stack(error))
        except asyncio.CancelledError:
            self._fail(batch, TradegraphError("The request was cancelled."))
        else:
            batch.settle(found)

    @staticmethod
    def _fail(batch: _Batch[K], error: Exception) -> None:
        batch.settle(dict.fromkeys(batch.keys, error))


class _Batch(Generic[K]):
    """Keys that are read together, and their waiters. Every waiter has a future of its own: cancelling one does not
    affect the others."""

    __slots__ = ("done", "found", "keys", "task", "waiting")

    def __init__(self, keys: dict[K, None]) -> None:
        self.keys = keys
        self.found: Mapping[K, Any] = {}
        self.task: asyncio.Task[None] | None = None
        self.done = False
        self.waiting: list[asyncio.Future[None]] = []

    def settle(self, found: Mapping[K, Any]) -> None:
        """Publish the values and wake the waiters."""
        self.found = found
        self.done = True
        for waiter in self.waiting:
            if not waiter.done():
                waiter.set_result(None)

    def wait(self) -> asyncio.Future[None]:
        """A future that is done when the values are published."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(waiter)
        return waiter


class _PendingValues(Awaitable[list[Any]]):
    """Values of pending reads. Unlike a coroutine, it need not be awaited."""

    __slots__ = ("_batch_of", "_batches", "_requested")

    def __init__(
        self, requested: Sequence[Any], batches: Sequence[_Batch[Any]], batch_of: Mapping[Any, _Batch[Any]]
    ) -> None:
        self._requested = requested
        self._batches = batches
        self._batch_of = batch_of

    def __await__(self) -> Generator[Any, Any, list[Any]]:
        for batch in self._batches:
            if not batch.done:
                yield from batch.wait()
        if len(self._batches) == 1:
            return list(map(self._batches[0].found.get, self._requested))
        return [None if key is None else self._batch_of[key].found.get(key) for key in self._requested]


async def gather_in_order(*reads: Awaitable[V]) -> list[V]:
    """The results of concurrent reads. Of several failures the first in the order of the reads is raised, not the first
    in time: the same request fails the same way each time."""
    found = await asyncio.gather(*reads, return_exceptions=True)
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return [one for one in found if not isinstance(one, BaseException)]


def first_exception(*values: object) -> Exception | None:
    """The first of the values that is an exception."""
    return next((value for value in values if isinstance(value, Exception)), None)
