"""The loader all batched reads go through: many keys in, one port call, anew per operation."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from aiodataloader import DataLoader

from app.errors import TradegraphError

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

Fetch = Callable[[Sequence[K]], Awaitable[Mapping[K, V]]]


class KeyLoader(DataLoader[K, V | None], Generic[K, V]):
    """Loads values by key through a port's batch read; None for keys the port leaves out.

    A failed read is remembered for the operation, so that ten edges over one failing backend make one call.
    Waiters are shielded: aiodataloader shares one future among all waiters of a key, and a cancelled one would
    otherwise cancel it for the others.
    """

    def __init__(self, fetch: Fetch[K, V]) -> None:
        super().__init__()
        self._fetch = fetch

    async def batch_load_fn(self, keys: list[K]) -> list[Any]:
        """Answer aiodataloader: a value, None or an exception for each key."""
        try:
            found = await self._fetch(keys)
        except Exception as error:  # noqa: BLE001 - whatever failed is the answer of every key
            return [error] * len(keys)
        except asyncio.CancelledError:
            return [TradegraphError("The request was cancelled.")] * len(keys)
        return [found.get(key) for key in keys]

    async def one(self, key: K) -> V | None:
        """The value of a key; raises what the port raised."""
        return await asyncio.shield(self.load(key))

    def prefetch(self, key: K) -> None:
        """Ask for a key that will be needed; whoever asks for it later gets the same answer or failure."""
        self.load(key).add_done_callback(_seen)

    def start(self, keys: Iterable[K | None]) -> Awaitable[list[V | None | Exception]]:
        """Like `many`, but the keys are asked for at once, before the answer is awaited."""
        asked = list(keys)
        return self._answers(asked, {key: self.load(key) for key in asked if key is not None})

    async def many(self, keys: Iterable[K | None]) -> list[V | None | Exception]:
        """Values in the order of the keys, None for None; a failure stands in its key's place."""
        return await self.start(keys)

    async def _answers(
        self, asked: Sequence[K | None], futures: Mapping[K, asyncio.Future[V | None]]
    ) -> list[V | None | Exception]:
        if futures:
            await asyncio.wait(futures.values())
        return [None if key is None else _outcome(futures[key]) for key in asked]


def _outcome(future: asyncio.Future[Any]) -> Any:
    error = future.exception()
    return error if error is not None else future.result()


def _seen(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()


def failure(*values: object) -> Exception | None:
    """The first of the values that is a failure."""
    return next((value for value in values if isinstance(value, Exception)), None)
