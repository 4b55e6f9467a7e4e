"""The dataloader of graphql-core's path: it collects the parents of one level and calls the edge's function once.

aiodataloader shares one future among all who load a key, so that one cancelled waiter would cancel it for all, and for
whoever loads the key later; and it does not settle its futures when its batch is cancelled. Both are prevented here.
Plans have no need of it: they know all parents of a level at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from aiodataloader import DataLoader

from app.errors import TradegraphError
from app.telemetry import without_stack


class LevelLoader(DataLoader[Any, Any]):
    """One edge with one set of arguments. Parents are known by identity.

    A failure is a value: graphql-core raises it where it completes the field. It may leave an answer behind when a null
    next to it removes the parent, and a future with an exception would then be reported as never retrieved.
    """

    def __init__(
        self, function: Callable[..., Awaitable[Sequence[Any]]], ctx: Any, arguments: Mapping[str, Any]
    ) -> None:
        super().__init__(get_cache_key=id)
        self._function = function
        self._ctx = ctx
        self._arguments = arguments
        self._parents: list[Any] = []

    def load(self, key: Any) -> asyncio.Future[Any]:
        """A future of the caller's own, which it may cancel: what `asyncio.shield` gives, with failures as values."""
        self._parents.append(key)  # Or another object could get its identity while the answer is cached.
        shared = super().load(key)
        own: asyncio.Future[Any] = self.loop.create_future()
        shared.add_done_callback(partial(_copy, own))
        return own

    async def batch_load_fn(self, parents: list[Any]) -> Sequence[Any]:  # type: ignore[override]
        """The answers of the edge's function, one for each parent."""
        try:
            answers = await self._function(parents, self._ctx, **self._arguments)
        except Exception as error:  # noqa: BLE001 - the failure is the answer of every parent
            return [without_stack(error)] * len(parents)
        except asyncio.CancelledError:
            return [TradegraphError("The request was cancelled.")] * len(parents)
        if len(answers) != len(parents):
            return [TradegraphError(detail=f"an edge answered {len(answers)} of {len(parents)}")] * len(parents)
        return answers


def _copy(own: asyncio.Future[Any], shared: asyncio.Future[Any]) -> None:
    if not own.done():
        own.set_result(shared.exception() or shared.result())
