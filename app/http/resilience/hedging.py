"""A second request when the first is slow; the first response counts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def hedge(first: Callable[[], Awaitable[T]], after: float, second: Callable[[], Awaitable[T] | None]) -> T:
    """The result of `first`, or of `second`, which is started after so many seconds without one. If both fail, the
    failure of `first`. `second` may decline by None. The loser is cancelled and awaited."""
    running = [asyncio.ensure_future(first())]
    try:
        done, waiting = await asyncio.wait(running, timeout=after)
        if not done and (other := second()) is not None:
            running.append(asyncio.ensure_future(other))
            waiting.add(running[1])
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if not task.cancelled() and task.exception() is None:
                    return task.result()
        return running[0].result()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
