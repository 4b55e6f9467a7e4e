"""How many calls a source gets at once, and how long each may take."""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType
from typing import Any


class FairSemaphore:
    """So many at once; who comes first is served first."""

    def __init__(self, total: int) -> None:
        self._total = self._free = total
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def in_use(self) -> int:
        """How many are in use."""
        return self._total - self._free

    def try_acquire(self) -> bool:
        """Take one, if one is free."""
        if self._free:
            self._free -= 1
            return True
        return False

    async def acquire(self) -> None:
        """Wait for one, and take it."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled():
                self.release()  # It came at the moment at which the wait was given up.
            raise

    def release(self) -> None:
        """Give one back; whoever waits longest has it at once."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._free += 1


class CallStopped(Exception):
    """The call's time is over, or its client is closed; `CallTimeout.reason` tells which."""


class CallTimeout:
    """Ends a call by cancelling its task within `with limit:`, as asyncio.timeout does, at a third of the cost. It can
    be entered several times; what is waited for between is not disturbed, but the next entry raises CallStopped."""

    __slots__ = ("_cancelled", "_cancels_before", "_task", "_timer", "admitted", "reason", "seconds")

    def __init__(self, seconds: float, reason: str) -> None:
        self.seconds = seconds
        self.admitted = False
        """Whether the call had its place."""
        self.reason: str | None = None
        """Why it was stopped, if it was: "timeout", "deadline" or "cancelled"."""
        self._task: asyncio.Task[Any] | None = None
        self._cancels_before = 0
        self._cancelled = False
        self._timer = asyncio.get_running_loop().call_later(seconds, self.stop, reason)

    def stop(self, reason: str) -> None:
        """End the call now, unless it is being ended."""
        if self.reason is None:
            self.reason = reason
            if self._task is not None:
                self._cancelled = True
                self._task.cancel()

    @property
    def remaining(self) -> float:
        """Seconds until it ends."""
        return self._timer.when() - asyncio.get_running_loop().time()

    def shorten(self, seconds: float) -> None:
        """End the call after so many seconds from now, unless it ends before."""
        if seconds < self.remaining:
            self._timer.cancel()
            self.seconds = seconds
            self._timer = asyncio.get_running_loop().call_later(seconds, self.stop, "timeout")

    def close(self) -> None:
        """The call is over."""
        self._timer.cancel()

    def __enter__(self) -> None:
        if self.reason is not None:
            raise CallStopped
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a backend is called outside of a task")
        self._task = task
        self._cancels_before = task.cancelling()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        if self._cancelled and task is not None:
            self._cancelled = False
            # Cancelled by somebody else as well: that is theirs to handle, and they wait for it.
            if task.uncancel() <= self._cancels_before and isinstance(error, asyncio.CancelledError):
                raise CallStopped from None
