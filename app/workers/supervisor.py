"""Supervises workers: restarts those that exit and, on HUP, replaces them one by one once the new one is ready.

All workers accept from one listening socket, so no connection is lost with a worker, and none waits for a restart.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from app.settings import Settings
from app.telemetry import log
from app.workers.slot import WorkerRole

START_TIMEOUT = 60.0
"""Seconds in which a worker must answer."""

KILL_AFTER = 5.0
"""Seconds beyond `graceful_shutdown` after which a worker that does not end is killed."""

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0
"""Seconds between two tries to start a worker that ends before it answers."""


class WorkerStartError(Exception):
    """A worker exited or hung before it was ready; `code` is its exit code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, eq=False)
class WorkerProcess:
    """A ready worker. It exits once `control` is closed."""

    process: asyncio.subprocess.Process
    control: socket.socket


def supervise(settings: Settings, config: Path | None, listener: socket.socket) -> int:
    """Run `[server] workers` workers over this listener, and the background worker if there is one, until TERM or INT.
    Returns the exit code."""
    in_memory = "memory" in (settings.budgets.store, settings.cache.store)
    if in_memory and settings.server.workers > 1:
        log.warning("workers_do_not_share_state", cure="set `store` of [budgets] and [cache] to redis")
    with TemporaryDirectory(prefix="tradegraph-") as folder:
        return asyncio.run(Supervisor(settings, config, listener, Path(folder)).run())


class Supervisor:
    def __init__(self, settings: Settings, config: Path | None, listener: socket.socket, folder: Path) -> None:
        self._requests = settings.server.workers
        self._background = settings.server.background_worker
        self._count = self._requests + self._background
        self._stop_timeout = settings.server.graceful_shutdown + KILL_AFTER
        self._listener = listener
        self._folder = folder
        self._config: Sequence[str] = () if config is None else ("--config", str(config))
        self._workers: dict[int, WorkerProcess] = {}
        self._processes: set[asyncio.subprocess.Process] = set()
        self._locks = {number: asyncio.Lock() for number in range(self._count)}
        self._replacing: asyncio.Task[None] | None = None
        self._stop_requested: asyncio.Event = asyncio.Event()

    async def run(self) -> int:
        """Run until TERM or INT. Returns the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop_requested.set)
        loop.add_signal_handler(signal.SIGHUP, self._request_replacement)
        stop = asyncio.create_task(self._stop_requested.wait())
        running = asyncio.create_task(self._run_all())
        try:
            await asyncio.wait({stop, running}, return_when=asyncio.FIRST_COMPLETED)
            if running.done() and isinstance(error := running.exception(), WorkerStartError):
                return error.code or 1
            return 0
        finally:
            tasks: list[asyncio.Task[Any]] = [stop, running, *([self._replacing] if self._replacing else [])]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(*map(self._stop, list(self._processes)))

    async def _run_all(self) -> None:
        # The first one alone: a wrong setting is told once, and ends the start. The others are tried until they answer.
        self._workers[0] = await self._start(0)
        await asyncio.gather(self._restart_on_exit(0), self._run_others(range(1, self._count)))

    async def _run_others(self, numbers: range) -> None:
        started = await asyncio.gather(*map(self._start_with_backoff, numbers))
        self._workers |= dict(zip(numbers, started, strict=True))
        log.info("workers_ready", workers=self._count)
        await asyncio.gather(*map(self._restart_on_exit, numbers))

    async def _restart_on_exit(self, number: int) -> None:
        while True:
            worker = self._workers[number]
            code = await worker.process.wait()
            async with self._locks[number]:
                if worker is not self._workers[number]:
                    continue
                log.error("worker_exited", worker=number, pid=worker.process.pid, exit_code=code)
                worker.control.close()
                self._processes.discard(worker.process)
                self._workers[number] = await self._start_with_backoff(number)

    async def _start_with_backoff(self, number: int) -> WorkerProcess:
        pause = FIRST_PAUSE
        while True:
            try:
                return await self._start(number)
            except WorkerStartError as error:
                log.error("worker_start_failed", worker=number, exit_code=error.code, again_in=pause)
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)

    async def _start(self, number: int) -> WorkerProcess:
        parent_end, child_end = socket.socketpair()
        parent_end.setblocking(False)
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, *(["-P"] if sys.flags.safe_path else []), "-m", "app.cli", "worker", *self._config),
                *("--slot", str(number), "--of", str(self._count), "--folder", str(self._folder)),
                *("--role", self._role_of(number).value),
                *("--listener", str(self._listener.fileno()), "--control", str(child_end.fileno())),
                pass_fds=(self._listener.fileno(), child_end.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
            )
        finally:
            child_end.close()
        self._processes.add(process)
        try:
            async with asyncio.timeout(START_TIMEOUT):
                ready = await asyncio.get_running_loop().sock_recv(parent_end, 1)
        except (OSError, TimeoutError):
            ready = b""
        if ready:
            log.info("worker_ready", worker=number, pid=process.pid)
            return WorkerProcess(process, parent_end)
        parent_end.close()
        raise WorkerStartError(await self._stop(process))

    def _role_of(self, number: int) -> WorkerRole:
        if not self._background:
            return WorkerRole.ALL
        return WorkerRole.REQUESTS if number < self._requests else WorkerRole.BACKGROUND

    def _request_replacement(self) -> None:
        if self._replacing is None or self._replacing.done():
            self._replacing = asyncio.create_task(self._replace())

    async def _replace(self) -> None:
        for number in range(self._count):
            async with self._locks[number]:
                before = self._workers.get(number)
                if before is None:
                    return  # They are being started.
                try:
                    self._workers[number] = await self._start(number)
                except WorkerStartError as error:
                    log.error("worker_replacement_failed", exit_code=error.code)
                    return
            await self._stop(before.process)
            before.control.close()
        log.info("workers_replaced", workers=self._count)

    async def _stop(self, process: asyncio.subprocess.Process) -> int:
        if process.returncode is None:
            _send(process, signal.SIGTERM)
            try:
                async with asyncio.timeout(self._stop_timeout):
                    await process.wait()
            except TimeoutError:
                _send(process, signal.SIGKILL)
        code = await process.wait()
        self._processes.discard(process)
        return code


def _send(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    # Not by `process.terminate()`: up to Python 3.12 it may collect the process's exit code itself, and asyncio, which
    # then finds none, tells 255 (https://github.com/python/cpython/issues/87744).
    with suppress(ProcessLookupError):
        os.kill(process.pid, number)
