"""What ends a request that waits: its deadline, and the client that closes the connection."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from contextlib import AbstractContextManager
from types import TracebackType, coroutine
from typing import Any

from starlette.types import Receive

WATCH_DELAY = 0.02
"""Seconds until the connection is watched: most responses are ready before, and a watch costs a task."""


class ClientDisconnected(Exception):
    """The client closed the connection before its response."""


class Deadline:
    """Cancels the running task after `timeout` seconds, which raises TimeoutError on leaving the block. A plain context
    manager on one timer: half the cost of `asyncio.timeout`."""

    __slots__ = ("_expired", "_task", "_timeout", "_timer")

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._expired = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - an event loop runs this
        self._task = task
        self._timer = asyncio.get_running_loop().call_later(self._timeout, self._expire)

    def _expire(self) -> None:
        self._expired = True
        self._task.cancel()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._timer.cancel()
        if self._expired and self._task.uncancel() == 0:
            raise TimeoutError from error


class DisconnectWatcher(Deadline):
    """A deadline that also watches the connection: a client that disconnects cancels the running task, which raises
    ClientDisconnected on leaving the block. Without a `timeout` there is no deadline."""

    __slots__ = ("_after", "_disconnected", "_receive", "_watcher")

    def __init__(self, receive: Receive, timeout: float | None = None, *, after: float = WATCH_DELAY) -> None:
        super().__init__(float("inf") if timeout is None else timeout)
        self._receive = receive
        self._after = after
        self._watcher: asyncio.Task[None] | None = None
        self._disconnected = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - an event loop runs this
        self._task = task
        wait = min(self._after, self._timeout)
        self._timer = asyncio.get_running_loop().call_later(wait, self._start_watching, wait)

    def _start_watching(self, waited: float) -> None:
        if waited >= self._timeout:
            self._expire()
            return
        self._watcher = asyncio.ensure_future(_wait_for_disconnect(self._receive))
        self._watcher.add_done_callback(self._cancel_task)
        if self._timeout != float("inf"):
            self._timer = asyncio.get_running_loop().call_later(self._timeout - waited, self._expire)

    def _cancel_task(self, watcher: asyncio.Task[None]) -> None:
        if not watcher.cancelled():
            watcher.exception()  # A connection that cannot be read has been closed as well.
            self._disconnected = True
            self._task.cancel()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.remove_done_callback(self._cancel_task)
            self._watcher.cancel()
        if self._disconnected and self._task.uncancel() == 0:
            raise ClientDisconnected from error
        if self._expired and self._task.uncancel() == 0:
            raise TimeoutError from error


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


@coroutine
def guard_suspension(work: Coroutine[Any, Any, Any], guard: AbstractContextManager[None]) -> Generator[Any, Any, Any]:
    """Await a coroutine; enter the guard only once it suspends: work that never waits needs no timer."""
    try:
        waiting = work.send(None)
    except StopIteration as done:
        return done.value
    with guard:
        while True:
            try:
                yield waiting
            except BaseException as error:  # noqa: BLE001 - cancellations too are passed on
                try:
                    waiting = work.throw(error)
                except StopIteration as done:
                    return done.value
            else:
                return (yield from work)
