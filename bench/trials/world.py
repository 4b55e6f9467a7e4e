"""Sandbox, Valkey and gateway, with a proxy between the gateway and each of the others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from app.sandbox import Sandbox, start_sandbox
from bench.trials.reads import Read, true_reads
from tests.support.processes import Running, serve, served
from tests.support.valkey import running_valkey
from tests.upstreams.proxy import Proxy, proxy
from tests.upstreams.redis_proxy import RedisProxy, redis_proxy

Ask = Callable[[httpx.AsyncClient], Awaitable[list[Read]]]

SOURCES = ("erp", "commerce", "logistics")
TIMEOUT, DEADLINE = 1.0, 3.0
"""Seconds for a call, and for an operation."""


@dataclass(frozen=True)
class World:
    """A gateway and what it depends on."""

    gateway: Running
    sandbox: Sandbox
    between: Mapping[str, Proxy]
    redis: RedisProxy
    valkey: str
    reads: list[Read]
    keep: Callable[[AbstractContextManager[Any]], Any]
    """Enter something that ends with all of this."""


@asynccontextmanager
async def world(
    *,
    workers: int = 1,
    ask: Ask = true_reads,
    cache: bool = True,
    poll: float = 5,
    timeout: float = TIMEOUT,
    server: Mapping[str, Any] | None = None,
    overlay: Mapping[str, Any] | None = None,
    disturb_redis: bool = True,
) -> AsyncIterator[World]:
    """All of it, running. A gateway that keeps nothing and works without plans is asked what is true. The proxies share
    the caller's process: where it is busy itself, nothing but a Redis without one is fast."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="tradegraph-trial-")))
        sandbox = stack.enter_context(start_sandbox(folder / "sandbox"))
        plain = _serving(sandbox, _made(folder / "truth"), engine="reference", cache={"enabled": False})
        async with plain as running, running.client() as client:
            reads = await ask(client)
        valkey = stack.enter_context(running_valkey(_made(folder / "valkey")))
        redis = await stack.enter_async_context(redis_proxy(valkey))
        between = {name: await stack.enter_async_context(proxy(sandbox.urls[name])) for name in SOURCES}
        gateway = await stack.enter_async_context(
            _serving(
                sandbox,
                _made(folder / "gateway"),
                urls={name: one.url for name, one in between.items()},
                overlay={"timeout": timeout, "max_response_bytes": 2_000_000, **(overlay or {})},
                server={"workers": workers, "request_timeout": DEADLINE, **(server or {})},
                redis={"url": redis.url if disturb_redis else valkey},
                cache={"enabled": cache, "store": "redis"},
                events={"poll": poll, "poll_webhooks": poll},
                budgets={"mode": "measure", "store": "redis"},
            )
        )
        yield World(gateway, sandbox, between, redis, valkey, reads, stack.enter_context)


@asynccontextmanager
async def _serving(
    sandbox: Sandbox,
    folder: Path,
    *,
    urls: Mapping[str, str] | None = None,
    overlay: Mapping[str, Any] | None = None,
    engine: str = "plan",
    **sections: Mapping[str, Any],
) -> AsyncIterator[Running]:
    given = {"budgets": {"mode": "measure"}, **sections}
    environment = served(sandbox, data_dir=folder, urls=urls, overlay=overlay, **given)
    async with serve(environment | {"TRADEGRAPH_ENGINE": engine}) as running:
        yield running


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
