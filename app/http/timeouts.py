"""The time limit of a call."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any


class CallStopped(Exception):
    """The call's time limit has passed, or its client was closed; `CallTimeout.reason` says which."""


class CallTimeout:
    """Stops a call by cancelling its task within `with timeout:`, as asyncio.timeout does, at a third of the cost. It
    can be entered several times; in between nothing is cancelled, but the next entry raises CallStopped."""

    __slots__ = ("_cancelled", "_cancels_before", "_task", "_timer", "admitted", "reason", "seconds")

    def __init__(self, seconds: float, reason: str) -> None:
        self.seconds = seconds
        self.admitted = False
        """Whether the call had a slot."""
        self.reason: str | None = None
        """Why it was stopped, if it was: "timeout", "deadline" or "cancelled"."""
        self._task: asyncio.Task[Any] | None = None
        self._cancels_before = 0
        self._cancelled = False
        self._timer = asyncio.get_running_loop().call_later(seconds, self.stop, reason)

    def stop(self, reason: str) -> None:
        """Stop the call now, unless it is being stopped."""
        if self.reason is None:
            self.reason = reason
            if self._task is not None:
                self._cancelled = True
                self._task.cancel()

    @property
    def remaining(self) -> float:
        """Seconds left."""
        return self._timer.when() - asyncio.get_running_loop().time()

    def shorten(self, seconds: float) -> None:
        """Stop the call after so many seconds from now, unless it is to stop before."""
        if seconds < self.remaining:
            self._timer.cancel()
            self.seconds = seconds
            self._timer = asyncio.get_running_loop().call_later(seconds, self.stop, "timeout")

    def close(self) -> None:
        """Cancel the timer."""
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
