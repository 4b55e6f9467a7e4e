"""An SQLite file used by threads: one writes, in transactions that calls at the same time share, and one reads."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TypeVar

import msgspec

from app.errors import StoreUnavailable
from app.storage.sqlite import patiently, write_ahead

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

BUSY = 5.0
"""Seconds that other processes' writing is waited for."""
MOST = 256
"""How much is written in one transaction."""


class Job(NamedTuple):
    """What to write, and who waits for it."""

    work: Work[Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]


class Writer:
    """Writes from a thread of its own. What waits is written in one transaction; each part of it alone may fail."""

    def __init__(self, file: Path, tables: str) -> None:
        self._file = file
        self._tables = tables
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._connection: sqlite3.Connection | None = None

    async def do(self, work: Work[T]) -> T:
        """What `work` says once it is on the disk. Raises StoreUnavailable where it may not be."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="sqlite-writer", daemon=True)
            self._thread.start()
        self._jobs.put(Job(work, loop, future))
        return await future

    def stop(self) -> None:
        """Write what waits, and let go of the file."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._jobs.put(None)
            thread.join()

    def _run(self) -> None:
        going = True
        while going:
            jobs, going = self._waiting()
            if jobs:
                _tell(jobs, self._outcomes(jobs))
        self._let_go()

    def _waiting(self) -> tuple[list[Job], bool]:
        """What there is to do, once there is something; and whether there is more to come."""
        job, jobs = self._jobs.get(), []
        while job is not None and len(jobs) < MOST:
            jobs.append(job)
            try:
                job = self._jobs.get_nowait()
            except Empty:
                return jobs, True
        if job is not None:
            jobs.append(job)
        return jobs, job is not None

    def _outcomes(self, jobs: list[Job]) -> list[Any]:
        try:
            if self._connection is None:
                self._connection = opened(self._file, self._tables)
            with writing(self._connection) as sql:
                return [_tried(sql, job.work) for job in jobs]
        except (sqlite3.Error, OSError) as error:
            self._let_go()
            return [unavailable(self._file, error)] * len(jobs)

    def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Reader:
    """Reads from a thread of its own, beside whoever writes."""

    def __init__(self, file: Path, tables: str) -> None:
        self._file = file
        self._tables = tables
        self._threads = ThreadPoolExecutor(1, "sqlite-reader")
        self._connection: sqlite3.Connection | None = None

    async def do(self, work: Work[T]) -> T:
        """What `work` finds, in one state of the file. Raises StoreUnavailable where it cannot be read."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._read, work)

    def stop(self) -> None:
        """Let go of the file."""
        self._threads.submit(self._let_go)
        self._threads.shutdown()

    def _read(self, work: Work[T]) -> T:
        try:
            if self._connection is None:
                self._connection = opened(self._file, self._tables)
            self._connection.execute("BEGIN")
            try:
                return work(self._connection)
            finally:
                self._connection.execute("ROLLBACK")
        except (sqlite3.Error, OSError, msgspec.MsgspecError) as error:
            self._let_go()
            raise unavailable(self._file, error) from error

    def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Watcher:
    """Looks every `seconds` whether any process has written, and then tells what `look` finds."""

    def __init__(self, file: Path, tables: str, look: Work[T], tell: Callable[[T], None], seconds: float) -> None:
        self._file = file
        self._tables = tables
        self._look = look
        self._tell = tell
        self._seconds = seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sqlite-watcher", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        connection: sqlite3.Connection | None = None
        version: int | None = None
        while not self._ended.wait(self._seconds):
            try:
                connection = connection or opened(self._file, self._tables)
                (found,) = connection.execute("PRAGMA data_version").fetchone()
                if found != version:
                    self._tell(self._look(connection))
                    version = found
            except (sqlite3.Error, OSError):
                if connection is not None:
                    connection.close()
                connection = version = None
        if connection is not None:
            connection.close()


def opened(file: Path, tables: str) -> sqlite3.Connection:
    """A connection for which what is committed is on the disk; the file is made where there is none."""
    file.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(file, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        write_ahead(connection, BUSY)
        connection.execute("PRAGMA synchronous = FULL")
        with writing(connection):
            for statement in tables.split(";"):
                connection.execute(statement)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


@contextmanager
def writing(sql: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """A transaction that is on the disk when this ends."""
    patiently(sql, "BEGIN IMMEDIATE", BUSY)
    try:
        yield sql
        sql.execute("COMMIT")
    except BaseException:
        if sql.in_transaction:
            sql.execute("ROLLBACK")
        raise


def unavailable(file: Path, error: Exception) -> StoreUnavailable:
    """What went wrong with a file, as our own error."""
    return StoreUnavailable(detail=f"{file}: {error}")


def _tried(sql: sqlite3.Connection, work: Work[Any]) -> Any:
    """What `work` says, or the exception that it ended with, and then it has written nothing."""
    sql.execute("SAVEPOINT job")
    try:
        outcome = work(sql)
    except Exception as error:
        if isinstance(error, sqlite3.OperationalError):
            raise  # The disk is full or gone: nothing of this transaction will be kept.
        sql.execute("ROLLBACK TO job")
        outcome = error
    sql.execute("RELEASE job")
    return outcome


def _tell(jobs: list[Job], outcomes: list[Any]) -> None:
    loops: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
    for job, outcome in zip(jobs, outcomes, strict=True):
        loops.setdefault(job.loop, []).append((job.future, outcome))
    for loop, settled in loops.items():
        try:
            loop.call_soon_threadsafe(_settle, settled)
        except RuntimeError:  # The loop has ended, and nobody waits.
            continue


def _settle(settled: list[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, outcome in settled:
        if future.done():
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
