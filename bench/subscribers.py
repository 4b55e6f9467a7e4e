"""What a subscriber costs that waits: memory of a worker for each idle WebSocket subscription.

    python -m bench.subscribers [--sockets 2000] [--must KILOBYTES]

Starts a gateway of its own, without sources, and opens sockets that subscribe to `shipmentUpdates` and get nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr

from app.auth.demo import AUDIENCE, ISSUER, issue_demo_token
from app.auth.principal import Role
from app.server import run
from app.settings import AuthSettings, BudgetSettings, ConnectionSettings, ServerSettings, Settings

AUTH = AuthSettings(
    issuer=ISSUER,
    audience=AUDIENCE,
    algorithms=("HS256",),
    secret=SecretStr("a secret of the bench, 32 bytes and more"),
)
TEXT = (Path(__file__).parents[1] / "clients" / "documents" / "shipment_updates.graphql").read_text()
AT_ONCE = 100
WARM = 100
"""Sockets that are open before it is measured: what is there once for all does not count."""


def settings(port: int, folder: str) -> Settings:
    """A gateway that any number of sockets may be opened to."""
    return Settings(
        auth=AUTH,
        demo=True,
        data_dir=Path(folder),
        server=ServerSettings(port=port, connections=ConnectionSettings(most=100_000)),
        budgets=BudgetSettings(max_connections=100_000, max_subscriptions=100_000),
    )


@contextmanager
def serving(folder: str) -> Iterator[tuple[int, int]]:
    """The gateway in a process of its own: its port and its process id."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "bench.subscribers", "--serve", str(port), folder]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        for line in running.stdout or ():
            if line.startswith(b"ready"):
                break
            sys.stdout.write(line.decode())
        threading.Thread(target=running.communicate, daemon=True).start()  # It may go on printing.
        yield port, running.pid
    finally:
        running.terminate()
        running.wait(timeout=60)


def frame(value: object) -> bytes:
    """A text frame as clients send it, masked with zeros."""
    text = json.dumps(value).encode()
    size = bytes([128 | len(text)]) if len(text) < 126 else b"\xfe" + len(text).to_bytes(2, "big")
    return b"\x81" + size + bytes(4) + text


async def subscribed(port: int, place: int) -> asyncio.StreamWriter:
    """A socket that has subscribed: everybody is a customer of their own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(
        f"GET /graphql HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0\r\n"
        "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n".encode()
    )
    await reader.readuntil(b"\r\n\r\n")
    customer = f"CUST-{place:05}"
    token = issue_demo_token(AUTH, roles=[Role.BUYER], subject=f"buyer-{place}", customers=[customer])
    writer.write(frame({"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}}))
    await reader.readuntil(b"connection_ack")
    payload = {"query": TEXT, "variables": {"customer": {"number": customer}}}
    writer.write(frame({"id": "1", "type": "subscribe", "payload": payload}))
    writer.write(frame({"type": "ping"}))
    await reader.readuntil(b"pong")
    return writer


def memory(pid: int) -> float:
    """What a process holds, in kB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() / 1024


async def measured(port: int, pid: int, sockets: int) -> float:
    """Kilobytes for each subscriber."""
    kept: list[asyncio.StreamWriter] = []

    async def open_up_to(count: int) -> None:
        while len(kept) < count:
            some = range(len(kept), min(len(kept) + AT_ONCE, count))
            kept.extend(await asyncio.gather(*(subscribed(port, place) for place in some)))

    await open_up_to(WARM)
    await asyncio.sleep(1)
    before = memory(pid)
    await open_up_to(WARM + sockets)
    await asyncio.sleep(1)
    after = memory(pid)
    for writer in kept:
        writer.close()
    return (after - before) / sockets


def main() -> int:
    """Print it; fail where it is more than it must be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sockets", type=int, default=2_000)
    parser.add_argument("--must", type=float, default=40.0)
    parser.add_argument("--serve", nargs=2)
    given = parser.parse_args()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    if given.serve:
        run(settings(int(given.serve[0]), given.serve[1]), started=lambda: print("ready", flush=True))
        return 0
    with tempfile.TemporaryDirectory() as folder, serving(folder) as (port, pid):
        found = asyncio.run(measured(port, pid, given.sockets))
    print(f"{found:.1f} kB for each of {given.sockets} idle subscribers")
    return 0 if found <= given.must else 1


if __name__ == "__main__":
    sys.exit(main())
