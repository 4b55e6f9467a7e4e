"""A gateway over the parcels as `serve` runs it, in processes of its own, and what befalls them."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from joserfc import jwt
from joserfc.jwk import RSAKey

from app.settings import Settings, load
from bench.events.webhooks import SECRET
from bench.processes import ROOT, free_port, tree

ISSUER, AUDIENCE = "https://id.example.com", "tradegraph"
START = 60.0

CONFIG = """
data_dir = "{data}"

[server]
port = {port}
workers = {workers}
graceful_shutdown = 3
connections = {{ most = 100000 }}

[auth]
issuer = "{issuer}"
audience = "{audience}"
algorithms = ["RS256"]
public_key_file = "key.pem"

[audit]
log = false

[cache]
enabled = false

[budgets]
capacity = 1000000000
restore_rate = 1000000000
max_concurrent = 100000
max_connections = 100000
max_subscriptions = 100000

[events]
store = "{store}"

{redis}

[sources.erp]
vendor = "rest"
base_url = "{backend}"
credentials = {{ token = "bench" }}
poll = 0

[sources.logistics]
vendor = "rest"
base_url = "{backend}"
credentials = {{ token = "bench" }}
concurrency = 64
poll = 0
webhooks = {{ secrets = ["{secret}"] }}

[domains]
customers = {{ master = "erp" }}
orders = {{ master = "erp" }}
items = {{ master = "erp" }}
shipments = {{ master = "logistics" }}
"""


class Gateway:
    """One gateway, of one worker or several."""

    def __init__(self, folder: Path, backend: str, *, redis: str | None = None, workers: int = 1) -> None:
        self._key = RSAKey.generate_key(2048, private=True)
        (folder / "key.pem").write_bytes(self._key.as_pem(private=False))
        self.port = free_port()
        self.workers = workers
        self._config = folder / "tradegraph.toml"
        self._log = folder / "gateway.log"
        self._config.write_text(
            CONFIG.format(
                data=folder / "data",
                port=self.port,
                workers=workers,
                issuer=ISSUER,
                audience=AUDIENCE,
                store="redis" if redis else "sqlite",
                redis=f'[redis]\nurl = "{redis}"' if redis else "",
                backend=backend,
                secret=SECRET,
            )
        )
        self._process: asyncio.subprocess.Process | None = None

    @property
    def settings(self) -> Settings:
        """What it runs with."""
        return load(self._config)

    @property
    def pid(self) -> int:
        """Of the process that was started."""
        return self._started.pid

    @property
    def _started(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise RuntimeError("the gateway is not running")
        return self._process

    def authorization(self, customer: str) -> str:
        """The header of a buyer of one customer."""
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": f"buyer-{customer}", "iat": now, "exp": now + 24 * 3600}
        return (
            f"Bearer {jwt.encode({'alg': 'RS256'}, claims | {'roles': ['buyer'], 'customers': [customer]}, self._key)}"
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Gateway]:
        """As long as this lasts, whatever is done to it."""
        await self.start()
        try:
            yield self
        finally:
            await self._end()

    async def start(self) -> None:
        """Start it, and wait until all of it answers."""
        with self._log.open("ab") as log:
            before = log.tell()
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "app.cli", "serve", "--config", self._config, cwd=ROOT, stdout=log, stderr=log
            )
        sign = b'"workers_ready"' if self.workers > 1 else b'"serving"'
        until = time.monotonic() + START
        while sign not in (said := self._log.read_bytes()[before:]):
            if self._process.returncode is not None or time.monotonic() > until:
                raise RuntimeError(f"the gateway does not answer:\n{said.decode(errors='replace')[-2000:]}")
            await asyncio.sleep(0.05)

    async def kill(self, chance: random.Random) -> None:
        """End a worker without a warning. With several, their supervisor starts another; one alone is started here."""
        if self.workers > 1:
            workers = tree(self.pid)[1:]
            if workers:
                with suppress(ProcessLookupError):
                    os.kill(chance.choice(workers), signal.SIGKILL)
            return
        self._started.kill()
        await self._started.wait()
        await self.start()

    async def replace(self) -> None:
        """Restart it without an interruption, worker by worker; one alone ends in good order and is started again."""
        if self.workers == 1:
            await self._end()
            await self.start()
            return
        before = set(tree(self.pid)[1:])
        os.kill(self.pid, signal.SIGHUP)
        async with asyncio.timeout(START):
            while before & set(tree(self.pid)[1:]):  # noqa: ASYNC110 - nobody tells when a process of another ends
                await asyncio.sleep(0.1)

    async def _end(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(20):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
