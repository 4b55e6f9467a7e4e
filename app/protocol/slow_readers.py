"""Slow readers: clients that do not read what they are sent."""

from __future__ import annotations

from asyncio import AbstractEventLoop, TimerHandle, Transport

from app.telemetry import metrics

SLOWEST_READER = 512
"""Bytes a second that a client must at least take of what it is sent."""


class SlowReaderWatch:
    """Protocol mixin that aborts the connection of a client that reads too slowly. `loop` and `transport` are the
    protocol's own."""

    loop: AbstractEventLoop
    transport: Transport
    write_timeout: float
    _writing: TimerHandle | None = None

    def watch_reader(self) -> None:
        if self._writing is None:
            self._later(self.transport.get_write_buffer_size())

    def stop_watching_reader(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None

    def _later(self, left: int) -> None:
        self._writing = self.loop.call_later(self.write_timeout, self._check_reader, left)

    def _check_reader(self, before: int) -> None:
        self._writing = None
        left = self.transport.get_write_buffer_size()
        if not left:
            return
        if before - left < SLOWEST_READER * self.write_timeout:
            metrics().connection_refused("unread")
            self.transport.abort()
        else:
            self._later(left)
