"""Values that hardly change, such as reference data of a source: read once, and kept a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from app.errors import SourceError

T = TypeVar("T")


class TimedValue(Generic[T]):
    """A value that one reader loads for all, and that is served on while it cannot be loaded anew."""

    def __init__(self, load: Callable[[], Awaitable[T]], ttl: float) -> None:
        self._load = load
        self._ttl = ttl
        self._value: T | None = None
        self._loaded_at = 0.0
        self._loading: asyncio.Task[T] | None = None

    async def get(self, max_age: float | None = None) -> T:
        """The value, no older than the time it is kept for or, if less, than `max_age` seconds."""
        limit = self._ttl if max_age is None else min(self._ttl, max_age)
        if self._value is not None and time.monotonic() - self._loaded_at <= limit:
            return self._value
        try:
            return await self.reload()
        except SourceError:
            if self._value is None:
                raise
            return self._value

    async def reload(self) -> T:
        """The value as it is now, read together with whoever else waits for it."""
        if self._loading is None:
            self._loading = asyncio.create_task(self._store())
            self._loading.add_done_callback(self._done)
        return await asyncio.shield(self._loading)

    async def _store(self) -> T:
        value = await self._load()
        self._value, self._loaded_at = value, time.monotonic()
        return value

    def _done(self, task: asyncio.Task[T]) -> None:
        self._loading = None
        if not task.cancelled():
            task.exception()  # seen, even if the one who waited has left
