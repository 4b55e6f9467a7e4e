"""The time limits of calls."""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType
from typing import Any, Literal

Reason = Literal["timeout", "deadline", "cancelled"]


class CallStopped(Exception):
    """The call's time limit has passed, or its client was closed; `CallTimeout.reason` says which."""


class CallTimeout:
    """Stops a call by cancelling its task within `with timeout:`, as asyncio.timeout does. It can be entered several
    times; in between nothing is cancelled, but the next entry raises CallStopped."""

    __slots__ = ("_cancelled", "_cancels_before", "_task", "_timer", "admitted", "closed", "reason", "seconds", "when")

    def __init__(self, seconds: float, when: float) -> None:
        self.seconds = seconds
        self.when = when
        """The event loop's time at which the call is stopped."""
        self.admitted = self.closed = False
        """Whether the call had a slot; whether it is over."""
        self.reason: Reason | None = None
        """Why it was stopped, if it was."""
        self._task: asyncio.Task[Any] | None = None
        self._cancels_before = 0
        self._cancelled = False
        self._timer: asyncio.TimerHandle | None = None

    def stop(self, reason: Reason) -> None:
        """Stop the call now, unless it is over or being stopped."""
        if self.reason is None and not self.closed:
            self.reason = reason
            if self._task is not None:
                self._cancelled = True
                self._task.cancel()

    def stop_at(self, loop: asyncio.AbstractEventLoop, seconds: float, when: float, reason: Reason) -> None:
        """Stop the call at this time, by a timer of its own, unless it is to stop before."""
        if when <= self.when:
            self.seconds, self.when = seconds, when
            if self._timer is not None:
                self._timer.cancel()
            self._timer = loop.call_at(when, self.stop, reason)

    def shorten(self, seconds: float) -> None:
        """Stop the call after so many seconds from now, unless it is to stop before."""
        loop = asyncio.get_running_loop()
        self.stop_at(loop, seconds, loop.time() + seconds, "timeout")

    @property
    def remaining(self) -> float:
        """Seconds left."""
        return self.when - asyncio.get_running_loop().time()

    def close(self) -> None:
        """The call is over."""
        self.closed = True
        if self._timer is not None:
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


class TimeoutQueue:
    """Calls of the same time limit, which end in the order in which they began: one timer of the event loop does for
    all of them, where one for each would cost a tenth of a call."""

    __slots__ = ("_loop", "_queue", "_seconds", "_timer")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._queue: deque[CallTimeout] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._queue)

    def start(self) -> CallTimeout:
        """The time limit of a call that begins now."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # A command line may use one client in several, in turn.
            self._loop, self._timer = loop, None
            self._queue.clear()
        queue = self._queue
        while queue and queue[0].closed:
            queue.popleft()
        timeout = CallTimeout(self._seconds, loop.time() + self._seconds)
        queue.append(timeout)
        if self._timer is None:
            self._timer = loop.call_at(timeout.when, self._expire, loop)
        return timeout

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop is not self._loop:
            return
        now = loop.time()
        while self._queue and (self._queue[0].closed or self._queue[0].when <= now):
            self._queue.popleft().stop("timeout")
        self._timer = loop.call_at(self._queue[0].when, self._expire, loop) if self._queue else None
