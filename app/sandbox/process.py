"""Run the sandbox's three servers in one process of their own, and stop them by its id."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
import uvicorn

from app.sandbox.build import SYSTEMS, build, is_built
from app.sandbox.server import create_app
from app.sandbox.store import SandboxStore
from app.sandbox.webhooks import WebhookTarget

DEFAULT_TOKEN = "sandbox"  # noqa: S105 -- the demo servers' token guards nothing; they listen on loopback.
HOST = "127.0.0.1"


class Ready(msgspec.Struct):
    """The line that the process prints when all three answer."""

    erp: str
    commerce: str
    logistics: str
    token: str


@dataclass(slots=True)
class Sandbox:
    """A running sandbox: base URLs, the token they ask for, and the process."""

    erp: str
    commerce: str
    logistics: str
    token: str = field(repr=False)
    data_dir: Path
    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def urls(self) -> dict[str, str]:
        return {"erp": self.erp, "commerce": self.commerce, "logistics": self.logistics}

    def stop(self) -> None:
        if self.process.stdin is not None:
            self.process.stdin.close()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


def start_sandbox(
    data_dir: Path | str,
    ports: Sequence[int] = (0, 0, 0),
    *,
    token: str = DEFAULT_TOKEN,
    today: date | None = None,
    webhook: tuple[str, str] | None = None,
    large: bool = False,
) -> Sandbox:
    """Start the three servers in a process of their own and wait until they answer; port 0 takes a free one.
    `tell` is an address below which each system's webhooks are taken, and their secret. The process ends with
    `stop()`, or with the calling process whatever happens to that."""
    command = [sys.executable, "-m", "app.sandbox", "--data-dir", str(data_dir), "--token", token, "--with-parent",
               "--ports", *map(str, ports), *(["--today", today.isoformat()] if today else []),
               *(["--webhook", *webhook] if webhook else []), *(["--large"] if large else [])]  # fmt: skip
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).resolve().parents[2]
    )
    line = process.stdout.readline() if process.stdout is not None else b""
    try:
        ready = msgspec.json.decode(line, type=Ready)
    except msgspec.DecodeError:
        process.kill()
        raise RuntimeError(f"the sandbox did not start (exit code {process.wait()}); its stderr says why") from None
    return Sandbox(ready.erp, ready.commerce, ready.logistics, ready.token, Path(data_dir), process)


def serve(
    data_dir: Path,
    ports: Sequence[int],
    *,
    token: str,
    today: date | None,
    with_parent: bool,
    webhook: tuple[str, str] | None = None,
    large: bool = False,
) -> None:
    """Build the data if it is not there, serve until a signal (or the parent's end), and say so when ready."""
    sockets = [listen(port) for port in ports]
    if not is_built(data_dir, large=large):
        gc.disable()  # Hundreds of thousands of small objects, none of them in cycles: half the time would go there.
        build(data_dir, today or datetime.now(UTC).date(), large=large)
        gc.enable()
    stores = [SandboxStore(data_dir / f"{name}.db", today) for name in SYSTEMS]
    try:
        asyncio.run(_serve(sockets, stores, token, with_parent, webhook))
    finally:
        for store in stores:
            store.close()


def listen(port: int) -> socket.socket:
    """Take a port of the loopback interface; 0 takes a free one."""
    # asyncio sends at once (TCP_NODELAY) only where the protocol is named: else a streamed line waits 40 ms for the
    # other side to acknowledge the line before it.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        raise SystemExit(
            f"port {port} on {HOST} cannot be used ({error.strerror}); choose another with --ports"
        ) from None
    return listener


class _Server(uvicorn.Server):
    """A server that leaves signals to the process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _serve(
    sockets: list[socket.socket],
    stores: list[SandboxStore],
    token: str,
    with_parent: bool,
    webhook: tuple[str, str] | None,
) -> None:
    apps = {name: create_app(name, store, token) for name, store in zip(SYSTEMS, stores, strict=True)}
    if webhook is not None:
        for name, app in apps.items():
            await app.state.system.webhooks.set(WebhookTarget(url=f"{webhook[0]}/{name}", secrets=(webhook[1],)))
    servers = [
        _Server(uvicorn.Config(app, lifespan="off", log_level="warning", access_log=False,
                               server_header=False, timeout_keep_alive=75, timeout_graceful_shutdown=1))
        for app in apps.values()
    ]  # fmt: skip

    def stop() -> None:
        for server in servers:
            server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    if with_parent:
        threading.Thread(target=_watch_parent, args=(loop, stop), daemon=True).start()
    tasks = [
        asyncio.create_task(server.serve(sockets=[listener])) for server, listener in zip(servers, sockets, strict=True)
    ]
    while not all(server.started for server in servers) and not any(task.done() for task in tasks):
        await asyncio.sleep(0.01)
    urls = [f"http://{HOST}:{listener.getsockname()[1]}" for listener in sockets]
    sys.stdout.write(msgspec.json.encode(Ready(**dict(zip(SYSTEMS, urls, strict=True)), token=token)).decode() + "\n")
    sys.stdout.flush()
    await asyncio.gather(*tasks)


def _watch_parent(loop: asyncio.AbstractEventLoop, stop: object) -> None:
    """Standard input is a pipe that the parent holds open: its end is the parent's end."""
    while sys.stdin.buffer.read(1024):
        pass
    if not loop.is_closed():
        loop.call_soon_threadsafe(stop)  # pyright: ignore[reportArgumentType]
