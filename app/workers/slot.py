"""A worker's slot: reports readiness, ends with the supervisor, and shares metrics with the other workers."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from app.telemetry import merge_metrics, metrics_text

READY = b"\n"
METRICS_TIMEOUT = 1.0
"""Seconds for another worker's metrics; one that hangs is left out."""


class WorkerRole(StrEnum):
    """What a worker does: with a background worker the others answer requests only."""

    ALL = "all"
    REQUESTS = "requests"
    BACKGROUND = "background"


@dataclass
class WorkerSlot:
    """Slot `number`. `control` is the socket to the supervisor; `folder` holds a Unix socket per worker."""

    number: int
    control: socket.socket
    folder: Path
    role: WorkerRole = WorkerRole.ALL
    _path: Path = field(init=False)

    def __post_init__(self) -> None:
        # The later one of two, of which one takes the other's place, has the greater name.
        self._path = self.folder / f"{self.number}-{time.time_ns()}"

    def ready(self) -> None:
        """Report to the supervisor that this worker accepts requests."""
        with suppress(OSError):
            self.control.send(READY)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve this worker's metrics and watch the supervisor for the duration of the context."""
        loop = asyncio.get_running_loop()
        self.control.setblocking(False)
        loop.add_reader(self.control, self._on_supervisor_exit)
        server = await asyncio.start_unix_server(_send_metrics, self._path)
        try:
            yield
        finally:
            loop.remove_reader(self.control)
            server.close()
            _unlink(self._path)

    async def metrics(self) -> bytes:
        """The metrics of all workers, in Prometheus' text format, each sample with its worker's number."""
        newest = {path.name.partition("-")[0]: path for path in sorted(self.folder.iterdir()) if path.is_socket()}
        newest[str(self.number)] = self._path
        numbers = sorted(newest, key=int)
        texts = await asyncio.gather(*(self._text(newest[number]) for number in numbers))
        return merge_metrics({number: text for number, text in zip(numbers, texts, strict=True) if text})

    async def _text(self, path: Path) -> bytes:
        if path == self._path:
            return metrics_text()
        try:
            async with asyncio.timeout(METRICS_TIMEOUT):
                reader, writer = await asyncio.open_unix_connection(path)
                try:
                    return await reader.read(-1)
                finally:
                    writer.close()
        except ConnectionRefusedError:  # It was killed.
            _unlink(path)
        except (OSError, TimeoutError):
            pass
        return b""

    def _on_supervisor_exit(self) -> None:
        asyncio.get_running_loop().remove_reader(self.control)
        os.kill(os.getpid(), signal.SIGTERM)


def _unlink(path: Path) -> None:
    path.unlink(missing_ok=True)


async def _send_metrics(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        writer.write(metrics_text())
        await writer.drain()
    writer.close()
