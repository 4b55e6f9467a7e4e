"""Clocks that are five minutes off: nothing is younger than it is, and workers still share what they read."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from pydantic import SecretStr

from app.sandbox import Sandbox
from app.settings import CacheSettings, RedisSettings
from app.sources.rest.mapping import Mapper
from tests.support.gateway import NOON, gateway

OFF = timedelta(minutes=5)
AGE = '{ item(by: {sku: "SKU-0001"}) { sku freshness { asOf age cached } } }'


def test_source_whose_clock_is_ahead_is_as_old_as_now():
    mapper = Mapper("erp", lambda: NOON)
    assert [mapper.freshness(NOON + OFF).as_of for _ in range(2)] == [NOON, NOON]
    assert mapper.freshness(NOON - OFF).as_of == NOON - OFF
    assert mapper.freshness(None).as_of == NOON


@pytest.mark.parametrize(("first", "told"), [(OFF, 0), (-OFF, 600)])
async def test_gateways_with_different_clocks_share_entries_without_understating_their_age(
    dated_sandbox: Sandbox, redis_url: str, first: timedelta, told: int
):
    """What a gateway whose clock is behind has read is older to the other one by the difference, never younger."""
    shared = {
        "cache": CacheSettings(store="redis", redis_timeout=5),
        "redis": RedisSettings(url=SecretStr(redis_url)),
    }
    async with (
        gateway(dated_sandbox, clock=lambda: NOON + first, **shared) as one,
        gateway(dated_sandbox, clock=lambda: NOON - first, **shared) as other,
    ):
        await one.forget()
        own = (await one.data(AGE))["item"]["freshness"]
        assert own == {"asOf": (NOON + first).isoformat().replace("+00:00", "Z"), "age": 0, "cached": False}
        async with asyncio.timeout(120):  # until it is written
            while not (theirs := (await other.data(AGE))["item"]["freshness"])["cached"]:
                pass
        assert told <= theirs["age"] <= told + 5
        assert (await one.requests())["erp"] <= 2
