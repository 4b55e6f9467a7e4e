"""Budgets over time: the same contract in memory and in a real Valkey; caps of what is open at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from app.errors import RateLimited
from app.gateway.admission.concurrency import ConcurrencyLimiter
from app.gateway.admission.redis_token_buckets import BUDGET_TIMEOUT, RedisTokenBuckets
from app.gateway.admission.token_buckets import MemoryTokenBuckets, TokenBucket, TokenBuckets
from app.settings import RedisSettings
from app.storage.redis import connect
from tests.support.valkey import Valkey, running_valkey

SLOW = TokenBucket(capacity=100, restore_rate=0.001)
"""Nothing comes back while a test runs."""

PATIENT = 5.0
"""The machine that runs the tests has other things to do; only the tests of a Redis that is gone are about time."""


def redis(url: str, timeout: float) -> Redis:
    """A client as the gateway makes it."""
    return connect(RedisSettings(url=SecretStr(url)), timeout=timeout)


def asked_of(budgets: RedisTokenBuckets, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What Redis is asked to do from now on."""
    asked: list[str] = []
    script = budgets._script

    async def noted(keys: list[str], args: list[Any]) -> Any:
        asked.append(args[-1])
        return await script(keys=keys, args=args)

    monkeypatch.setattr(budgets, "_script", noted)
    return asked


@pytest.fixture(params=["memory", "redis"])
async def budgets(request: pytest.FixtureRequest) -> AsyncIterator[TokenBuckets]:
    if request.param == "memory":
        made: TokenBuckets = MemoryTokenBuckets()
    else:
        url: str = request.getfixturevalue("valkey")
        async with Redis.from_url(url) as client:
            await client.flushall()
        made = RedisTokenBuckets(redis(url, PATIENT))
    yield made
    await made.close()


async def test_full_bucket_is_spent_to_the_last_unit(budgets: TokenBuckets) -> None:
    assert (await budgets.charge("a", 60, SLOW)).remaining == 40
    assert (await budgets.charge("a", 40, SLOW)).remaining == 0
    level = await budgets.charge("a", 1, SLOW)
    assert not level.allowed
    assert level.retry_after == pytest.approx(1000, abs=5)


async def test_refused_charge_takes_nothing(budgets: TokenBuckets) -> None:
    await budgets.charge("a", 60, SLOW)
    level = await budgets.charge("a", 41, SLOW)
    assert (level.allowed, level.remaining) == (False, 40)
    assert (await budgets.charge("a", 40, SLOW)).allowed


async def test_unused_units_go_back_exactly(budgets: TokenBuckets) -> None:
    await budgets.charge("a", 90, SLOW)
    assert (await budgets.adjust("a", 77, SLOW)).remaining == 87
    assert (await budgets.charge("a", 87, SLOW)).remaining == 0


async def test_nothing_goes_back_beyond_full(budgets: TokenBuckets) -> None:
    await budgets.charge("a", 10, SLOW)
    assert (await budgets.adjust("a", 50, SLOW)).remaining == 100
    assert not (await budgets.charge("a", 101, SLOW)).allowed


async def test_what_was_used_beyond_is_owed(budgets: TokenBuckets) -> None:
    await budgets.charge("a", 90, SLOW)
    assert (await budgets.adjust("a", -30, SLOW)).remaining == 0
    level = await budgets.charge("a", 1, SLOW)
    assert not level.allowed
    assert level.retry_after == pytest.approx(21_000, abs=10)


async def test_each_key_has_its_own_bucket(budgets: TokenBuckets) -> None:
    await budgets.charge("a", 100, SLOW)
    assert (await budgets.charge("b", 100, SLOW)).allowed


async def test_concurrent_charges_never_exceed_the_capacity(budgets: TokenBuckets) -> None:
    levels = await asyncio.gather(*(budgets.charge("a", 7, SLOW) for _ in range(40)))
    assert sum(level.allowed for level in levels) == 14
    assert (await budgets.adjust("a", 0, SLOW)).remaining == 2


async def test_bucket_fills_up_over_time() -> None:
    now = 0.0
    budgets = MemoryTokenBuckets(lambda: now)
    bucket = TokenBucket(capacity=100, restore_rate=10)
    await budgets.charge("a", 100, bucket)
    assert (await budgets.charge("a", 30, bucket)).retry_after == pytest.approx(3)
    now = 3.0
    assert (await budgets.charge("a", 30, bucket)).remaining == 0
    now = 100.0
    assert (await budgets.adjust("a", 0, bucket)).remaining == 100


async def test_two_workers_share_a_bucket_in_redis(redis_url: str) -> None:
    one, two = RedisTokenBuckets(redis(redis_url, PATIENT)), RedisTokenBuckets(redis(redis_url, PATIENT))
    await one.charge("a", 60, SLOW)
    assert (await two.charge("a", 41, SLOW)).allowed is False
    assert (await two.charge("a", 40, SLOW)).remaining == 0
    await one.close()
    await two.close()


async def test_bucket_leaves_redis_when_it_is_full(redis_url: str) -> None:
    budgets = RedisTokenBuckets(redis(redis_url, PATIENT))
    await budgets.charge("a", 10, TokenBucket(capacity=100, restore_rate=0.1))
    async with Redis.from_url(redis_url) as client:
        (key,) = await client.keys("tradegraph:budget:*")
        assert 90_000 < await client.pttl(key) <= 101_000
    await budgets.close()


async def test_each_worker_has_its_own_bucket_while_redis_is_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    with running_valkey(tmp_path) as url:
        budgets = RedisTokenBuckets(redis(url, PATIENT), clock=lambda: now)
        assert (await budgets.charge("a", 90, SLOW)).remaining == 10
    asked = asked_of(budgets, monkeypatch)
    assert (await budgets.charge("a", 60, SLOW)).remaining == 40
    assert (await budgets.charge("a", 60, SLOW)).allowed is False
    assert asked == ["charge"]
    port = int(url.rpartition(":")[2].partition("/")[0])
    with running_valkey(tmp_path, port=port):
        assert (await budgets.charge("a", 10, SLOW)).remaining == 30
        now = 1.1
        assert (await budgets.charge("a", 10, SLOW)).remaining == 90
    await budgets.close()


async def test_redis_that_hangs_is_waited_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Valkey(tmp_path)
    server.start()
    try:
        budgets = RedisTokenBuckets(redis(server.url, BUDGET_TIMEOUT), clock=lambda: 0.0)
        asked = asked_of(budgets, monkeypatch)
        with server.hanging():
            for _ in range(20):
                assert (await budgets.charge("hanging", 1, SLOW)).allowed
        assert asked == ["charge"]
        await budgets.close()
    finally:
        server.stop()


# Caps


def test_lease_over_the_limit_is_refused_until_one_is_released() -> None:
    caps = ConcurrencyLimiter("connections")
    first, second = caps.acquire("a", 2), caps.acquire("a", 2)
    with pytest.raises(RateLimited) as caught:
        caps.acquire("a", 2)
    assert caught.value.extensions == {"limit": {"name": "connections", "max": 2, "actual": 3}}
    assert caught.value.headers == {"retry-after": "1"}
    first.release()
    first.release()
    assert caps.in_use("a") == 1
    second.release()
    assert caps.in_use("a") == 0


def test_slot_of_an_unreferenced_lease_is_released() -> None:
    caps = ConcurrencyLimiter("subscriptions")
    caps.acquire("a", 1)
    caps.acquire("a", 1).release()
    assert caps.in_use("a") == 0


def test_lease_ends_with_its_block() -> None:
    caps = ConcurrencyLimiter("subscriptions")
    with caps.acquire("a", 1):
        assert caps.in_use("a") == 1
    assert caps.in_use("a") == 0
