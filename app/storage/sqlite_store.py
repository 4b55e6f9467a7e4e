"""Reads and writes of an SQLite file from an event loop: group commit in one thread, reads in another."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TypeVar

import msgspec

from app.errors import StoreUnavailable
from app.storage.sqlite import BUSY_TIMEOUT, SQLiteDatabase

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

MAX_GROUP = 256
"""Writes of one transaction."""


class SQLiteStore:
    """One file. Connections and threads are opened at first use; after `close` the store can be used again."""

    def __init__(self, database: SQLiteDatabase) -> None:
        self._database = database
        self._writer = _Writer(database)
        self._reader = _Reader(database)

    def exists(self) -> bool:
        """Whether the file has been created."""
        return self._database.path.exists()

    async def read(self, work: Work[T]) -> T:
        """Run queries against one snapshot of the file. Raises StoreUnavailable."""
        return await self._reader.run(work)

    async def write(self, work: Work[T]) -> T:
        """Run statements in a transaction, and return once it is committed. Concurrent writes share a transaction and
        one sync of the disk; an exception of one rolls back that one alone. Raises StoreUnavailable where it may not
        be on the disk."""
        return await self._writer.run(work)

    async def close(self) -> None:
        """Commit what is queued, and close the file."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._writer.close()
        self._reader.close()


class _Job(NamedTuple):
    work: Work[Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]


class _Writer:
    def __init__(self, database: SQLiteDatabase) -> None:
        self._database = database
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._connection: sqlite3.Connection | None = None

    async def run(self, work: Work[T]) -> T:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="sqlite-writer", daemon=True)
            self._thread.start()
        self._jobs.put(_Job(work, loop, future))
        return await future

    def close(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            self._jobs.put(None)
            thread.join()

    def _run(self) -> None:
        running = True
        while running:
            jobs, running = self._next_group()
            if jobs:
                _resolve(jobs, self._commit(jobs))
        self._disconnect()

    def _next_group(self) -> tuple[list[_Job], bool]:
        job, jobs = self._jobs.get(), []
        while job is not None and len(jobs) < MAX_GROUP:
            jobs.append(job)
            try:
                job = self._jobs.get_nowait()
            except Empty:
                return jobs, True
        if job is not None:
            jobs.append(job)
        return jobs, job is not None

    def _commit(self, jobs: list[_Job]) -> list[Any]:
        try:
            if self._connection is None:
                self._connection = self._database.connect()
            with self._database.transaction(self._connection) as sql:
                return [self._run_in_savepoint(sql, job.work) for job in jobs]
        except (sqlite3.Error, OSError) as error:
            self._disconnect()
            return [_unavailable(self._database, error)] * len(jobs)

    def _run_in_savepoint(self, sql: sqlite3.Connection, work: Work[Any]) -> Any:
        """What `work` returns, or the exception that it raised; then it has written nothing."""
        sql.execute("SAVEPOINT job")
        try:
            outcome = work(sql)
        except sqlite3.OperationalError:
            raise  # The disk is full or gone: the whole transaction fails.
        except Exception as error:  # noqa: BLE001 - the caller of this job gets it
            sql.execute("ROLLBACK TO job")
            unreadable = isinstance(error, (sqlite3.Error, msgspec.MsgspecError))
            outcome = _unavailable(self._database, error) if unreadable else error
        sql.execute("RELEASE job")
        return outcome

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class _Reader:
    def __init__(self, database: SQLiteDatabase) -> None:
        self._database = database
        self._threads: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None

    async def run(self, work: Work[T]) -> T:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(1, "sqlite-reader")
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._read, work)

    def close(self) -> None:
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.submit(self._disconnect)
            threads.shutdown()

    def _read(self, work: Work[T]) -> T:
        try:
            if self._connection is None:
                self._connection = self._database.connect()
                # The first reader after a crash recovers the write-ahead log, and the others wait for it.
                self._connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT * 1000:.0f}")
            self._connection.execute("BEGIN")
            try:
                return work(self._connection)
            finally:
                self._connection.execute("ROLLBACK")
        except (sqlite3.Error, OSError, msgspec.MsgspecError) as error:
            self._disconnect()
            raise _unavailable(self._database, error) from error

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class SQLiteWatcher:
    """Checks every `seconds` whether any process has written, and passes what `query` returns to `notify`, in a thread
    of its own."""

    def __init__(
        self, database: SQLiteDatabase, query: Work[T], notify: Callable[[T], None], *, seconds: float
    ) -> None:
        self._database = database
        self._query = query
        self._notify = notify
        self._seconds = seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sqlite-watcher", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop checking. Blocks until the thread has ended."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        connection: sqlite3.Connection | None = None
        version: int | None = None
        while not self._stopped.wait(self._seconds):
            try:
                connection = connection or self._database.connect()
                (found,) = connection.execute("PRAGMA data_version").fetchone()
                if found != version:
                    self._notify(self._query(connection))
                    version = found
            except (sqlite3.Error, OSError):
                if connection is not None:
                    connection.close()
                connection = version = None
        if connection is not None:
            connection.close()


def _unavailable(database: SQLiteDatabase, error: Exception) -> StoreUnavailable:
    return StoreUnavailable(detail=f"{database.path}: {error}")


def _resolve(jobs: list[_Job], outcomes: list[Any]) -> None:
    loops: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
    for job, outcome in zip(jobs, outcomes, strict=True):
        loops.setdefault(job.loop, []).append((job.future, outcome))
    for loop, resolved in loops.items():
        try:
            loop.call_soon_threadsafe(_set_results, resolved)
        except RuntimeError:  # The loop has ended, and nobody waits.
            continue


def _set_results(resolved: list[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, outcome in resolved:
        if future.done():
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
