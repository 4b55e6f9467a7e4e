"""The gateway as `serve` runs it: in processes of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from app.cli.demo import SANDBOX_DOMAINS, sandbox_sources
from app.sandbox import Sandbox
from tests.support.gateway import AUTH

UNLIMITED = httpx.Limits(max_connections=None, max_keepalive_connections=None)


def served(
    sandbox: Sandbox,
    *,
    data_dir: Path,
    urls: Mapping[str, str] | None = None,
    overlay: Mapping[str, Any] | None = None,
    **sections: Mapping[str, Any],
) -> dict[str, str]:
    """The environment of a gateway over the sandbox, on a free port; `sections` are laid over the settings, `urls`
    over the backends' addresses, `overlay` over the settings of each backend."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    sources: dict[str, Any] = {}
    for name, source in sandbox_sources({**sandbox.urls, **(urls or {})}, sandbox.token).items():
        given = source.model_dump(mode="json", exclude_unset=True)
        own = {"credentials": {"token": sandbox.token}, "timeout": 30}
        sources[name] = given | own | dict(overlay or {})
    assert AUTH.secret is not None
    settings: dict[str, Any] = {
        "server": {"port": port, "graceful_shutdown": 10} | dict(sections.pop("server", {})),
        "auth": {
            "issuer": AUTH.issuer,
            "audience": AUTH.audience,
            "algorithms": ["HS256"],
            "secret": AUTH.secret.get_secret_value(),
        },
        "sources": sources,
        "search": {"enabled": False},
        **sections,
    }
    return os.environ | {
        "TRADEGRAPH_DATA_DIR": str(data_dir),
        "TRADEGRAPH_DEMO": "true",
        "TRADEGRAPH_DOMAINS": SANDBOX_DOMAINS.model_dump_json(exclude_none=True),
        **{f"TRADEGRAPH_{name.upper()}": json.dumps(section) for name, section in settings.items()},
    }


@dataclass(frozen=True)
class Running:
    """A gateway that answers, and where what it logs is written."""

    process: asyncio.subprocess.Process
    url: str
    logs: Path

    def client(self, *, timeout: float = 30.0) -> httpx.AsyncClient:
        """A client with as many connections as it wants."""
        return httpx.AsyncClient(base_url=self.url, limits=UNLIMITED, timeout=timeout)

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The lines of this event."""
        lines = self.logs.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and f'"event":"{event}"' in line]

    async def logs_until(self, event: str, count: int = 1) -> list[dict[str, Any]]:
        """The lines of this event, once there are so many."""
        async with asyncio.timeout(120):
            while len(found := self.logged(event)) < count:
                assert self.process.returncode is None, self.logs.read_text()
                await asyncio.sleep(0.05)
        return found


@asynccontextmanager
async def serve(environment: Mapping[str, str], *, until: str | None = None) -> AsyncIterator[Running]:
    """Run `serve`, which answers or has logged `until` when this begins; it is told to stop at the end."""
    logs = Path(environment["TRADEGRAPH_DATA_DIR"]) / "log"
    server = json.loads(environment["TRADEGRAPH_SERVER"])
    with logs.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "app.cli", "serve", env=environment, stdout=out, stderr=out
        )
    running = Running(process, f"http://127.0.0.1:{server['port']}", logs)
    try:
        supervised = server.get("workers", 1) > 1 or server.get("background_worker")
        await running.logs_until(until or ("workers_ready" if supervised else "serving"))
        yield running
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(120):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
