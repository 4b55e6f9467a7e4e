"""`./run trial sharing`: what workers share, and what that saves the backends."""

from __future__ import annotations

import asyncio
import math
import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

import httpx
from pydantic import SecretStr

from app.auth.principal import Role
from app.settings import RedisSettings
from app.sources.pipeline.cache.shared_tier import RedisCacheStore
from app.storage.redis import connect
from bench.candidates import OURS, Candidate, settings_of
from bench.gateway import Gateway
from bench.processes import python
from bench.session import session
from bench.trials.judge import judge
from bench.trials.reads import Read, ask, body_of, headers_of
from bench.trials.world import World, world
from tests.support.gateway import signed

SKU = "SKU-0001"
AGE = body_of("query Age($sku: String!) { item(by: {sku: $sku}) { sku freshness { asOf cached } } }", {"sku": SKU})
WORKERS = 4
REPLY_TIMEOUT = 60.0
"""Seconds for an operation: here nothing is about deadlines."""

POLL_SECONDS = 0.01
"""Seconds between two looks: workers that are never idle would measure the machine."""

PROMISED = 0.1
"""Seconds until all workers have heard of a change."""


async def sharing(rounds: int, views: int) -> dict[str, Any]:
    """All figures."""
    patient = {"request_timeout": REPLY_TIMEOUT}
    async with (
        world(workers=WORKERS, poll=0, timeout=REPLY_TIMEOUT, server=patient, disturb_redis=False) as over,
        over.gateway.client() as client,
    ):
        flight = await single_flight(over, client)
        async with over.gateway.client() as another:  # without a thousand connections that nobody uses
            heard = await invalidation(over, another, rounds)
    print(flight, heard, file=sys.stderr)
    without = await _views(views, cache=False)
    kept = await _views(views, cache=True)
    return {
        "single_flight": flight,
        "invalidation": heard,
        "sales_views": {"nothing kept": without["warm"], "cold": kept["cold"], "warm": kept["warm"]},
        "workers": await asyncio.to_thread(throughput),
        "kept": flight["calls"] == 1 and heard["p99_ms"] <= 1000 * PROMISED,
    }


async def single_flight(over: World, client: httpx.AsyncClient, requests: int = 1000) -> dict[str, Any]:
    """So many cold requests for one item at once: how many calls they make."""
    headers = headers_of("CUST-0001")
    over.between["erp"].fault, before = "late", over.between["erp"].requests
    answers = await asyncio.gather(*(ask(client, AGE, headers) for _ in range(requests)))
    calls = over.between["erp"].requests - before
    over.between["erp"].fault = None
    for answer in answers:
        if not answer.get("data") or answer["data"]["item"]["sku"] != SKU:
            raise RuntimeError(f"a wrong answer: {answer}")
    return {"requests": requests, "workers": WORKERS, "answered_by": len(await _served(client)), "calls": calls}


async def invalidation(over: World, client: httpx.AsyncClient, rounds: int) -> dict[str, Any]:
    """How long after a change was told any worker still answers from before it."""
    redis = connect(RedisSettings(url=SecretStr(over.valkey)), timeout=1.0)
    spawned: list[asyncio.Task[Any]] = []
    store = RedisCacheStore(redis, lambda work: spawned.append(asyncio.create_task(work)))
    headers, windows = headers_of("CUST-0001"), []
    before = await _served(client)
    try:
        for _ in range(rounds):
            await asyncio.gather(*(ask(client, AGE, headers) for _ in range(16)))
            changed = time.time()
            if not await store.changed([f"item:{SKU}"]):
                raise RuntimeError("Redis did not take the change")
            last = await asyncio.gather(*(_last_stale(client, headers, changed) for _ in range(16)))
            windows.append(max(last))
    finally:
        await redis.aclose()
    ordered = sorted(windows)
    served = await _served(client)
    return {
        "rounds": rounds,
        "answered_by": sum(served[worker] > before[worker] for worker in served),
        "p50_ms": round(1000 * statistics.median(ordered), 1),
        "p99_ms": round(1000 * ordered[math.ceil(len(ordered) * 0.99) - 1], 1),
        "most_ms": round(1000 * ordered[-1], 1),
    }


async def _last_stale(client: httpx.AsyncClient, headers: dict[str, str], changed: float) -> float:
    """Seconds from the change to the last request that was still answered from before it."""
    last = 0.0
    while (asked := time.time()) - changed < 2 * PROMISED:
        answer = await ask(client, AGE, headers)
        read = datetime.fromisoformat(answer["data"]["item"]["freshness"]["asOf"])
        if read.timestamp() < changed:
            last = asked - changed
        await asyncio.sleep(POLL_SECONDS)
    return last


async def _served(client: httpx.AsyncClient) -> Counter[str]:
    """Operations that each worker answered."""
    text = (await client.get("/metrics", headers=signed(Role.OPERATIONS))).text
    found: Counter[str] = Counter()
    for worker, count in re.findall(r'tradegraph_requests_total{worker="(\d+)"[^}]*} (\S+)', text):
        found[worker] += int(float(count))
    return found


async def _views(views: int, *, cache: bool) -> dict[str, Any]:
    """Sales views of all customers in turn, twice: what they ask of the backends, and find in the cache."""
    async with (
        world(cache=cache, poll=0, timeout=REPLY_TIMEOUT, server={"request_timeout": REPLY_TIMEOUT}) as over,
        over.gateway.client() as client,
    ):
        reads = [read for read in over.reads if read.name == "sales_view"]
        found = {name: await _asked(over, client, reads, views) for name in ("cold", "warm")}
    return found if cache else {name: one | {"hit_ratio": None} for name, one in found.items()}


async def _asked(over: World, client: httpx.AsyncClient, reads: Sequence[Read], views: int) -> dict[str, Any]:
    calls = {name: between.requests for name, between in over.between.items()}
    before = await _looked_up(client)
    room = asyncio.Semaphore(4)

    async def one(read: Read) -> None:
        async with room:
            verdict = judge(await ask(client, read.body, read.headers), read.truth)
            if verdict.outcome != "whole":
                raise RuntimeError(f"{read.customer}: {verdict}")

    await asyncio.gather(*(one(reads[place % len(reads)]) for place in range(views)))
    after = await _looked_up(client)
    looked = Counter({result: after[result] - before[result] for result in after})
    total = sum(looked.values())
    made = {name: between.requests - calls[name] for name, between in over.between.items()}
    return {
        "views": views,
        "customers": len(reads),
        "calls_per_1000": {name: round(1000 * count / views) for name, count in made.items()},
        "hit_ratio": round((looked["hit"] + looked["shared"]) / total, 4) if total else None,
        "keys_read_of_sources": looked["miss"],
    }


async def _looked_up(client: httpx.AsyncClient) -> Counter[str]:
    text = (await client.get("/metrics", headers=signed(Role.OPERATIONS))).text
    found: Counter[str] = Counter()
    for result, count in re.findall(r'tradegraph_cache_reads_total{[^}]*result="(\w+)"[^}]*} (\S+)', text):
        found[result] += int(float(count))
    return found


def throughput(counts: Sequence[int] = (1, 2), *, rounds: int = 3, seconds: float = 4.0) -> list[dict[str, Any]]:
    """Sales views a second with so many workers, of which driver and upstream take their part of the processors."""
    with session(partial(_candidates, counts), apart=False) as running:
        found = {
            name: [running.load(name, "sales_view", 32, seconds) for _ in range(rounds)] for name in running.started
        }
    return [
        {
            "workers": int(name),
            "views_per_second": round(statistics.median(one.rate for one in samples)),
            "cpu_ms": round(statistics.median(one.cpu_ms for one in samples), 3),
            "driver_and_upstream": round(
                statistics.median(one.driver_share + one.upstream_share for one in samples), 2
            ),
        }
        for name, samples in found.items()
    ]


def _candidates(counts: Sequence[int], gateway: Gateway) -> list[Candidate]:
    serve = python("-m", "app.cli", "serve", "--config", gateway.config)
    shared = settings_of(gateway, OURS)
    return [
        Candidate(str(count), f"{count} workers", serve, shared | {"TRADEGRAPH_SERVER__WORKERS": str(count)})
        for count in counts
    ]


def as_text(found: dict[str, Any]) -> str:
    """For people."""
    flight, heard = found["single_flight"], found["invalidation"]
    views = found["sales_views"].items()
    return "\n".join(
        [
            f"{flight['requests']} cold requests for one item over {flight['workers']} workers, of which",
            f"    {flight['answered_by']} answered: {flight['calls']} calls",
            f"{heard['rounds']} changes, heard of by {heard['answered_by']} workers, until no answer is from before:",
            f"    p50 {heard['p50_ms']} ms, p99 {heard['p99_ms']} ms, most {heard['most_ms']} ms",
            "backend calls per 1,000 sales views, and keys found in the cache:",
            *(f"    {name:14} {_counted(one)}" for name, one in views),
            "sales views a second, CPU of each, and what driver and upstream take of the processors:",
            *(_of_workers(one) for one in found["workers"]),
        ]
    )


def _counted(one: dict[str, Any]) -> str:
    calls = ", ".join(f"{source} {count}" for source, count in one["calls_per_1000"].items())
    return calls if one["hit_ratio"] is None else f"{calls}; {one['hit_ratio']:.1%}"


def _of_workers(one: dict[str, Any]) -> str:
    figures = f"{one['views_per_second']}, {one['cpu_ms']} ms, {one['driver_and_upstream']}"
    return f"    {one['workers']} workers      {figures}"
