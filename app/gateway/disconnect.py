"""Whether the client is still there."""

from __future__ import annotations

import asyncio
from types import TracebackType

from starlette.types import Receive

WATCH_DELAY = 0.02
"""Seconds until the connection is watched: most answers are there before, and a watch costs a task."""


class ClientDisconnected(Exception):
    """The client closed the connection before its answer."""


class DisconnectWatcher:
    """While the client is waited for: once it leaves, the running task is cancelled, which raises ClientGone here."""

    def __init__(self, receive: Receive, after: float = WATCH_DELAY) -> None:
        self._receive = receive
        self._after = after
        self._watcher: asyncio.Task[None] | None = None
        self._disconnected = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - an event loop runs this
        self._task = task
        self._timer = asyncio.get_running_loop().call_later(self._after, self._start_watching)

    def _start_watching(self) -> None:
        self._watcher = asyncio.ensure_future(_wait_for_disconnect(self._receive))
        self._watcher.add_done_callback(self._cancel_task)

    def _cancel_task(self, watcher: asyncio.Task[None]) -> None:
        if not watcher.cancelled():
            watcher.exception()  # A connection that cannot be read has been left as well.
            self._disconnected = True
            self._task.cancel()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.remove_done_callback(self._cancel_task)
            self._watcher.cancel()
        if self._disconnected and self._task.uncancel() == 0:
            raise ClientDisconnected from error


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
