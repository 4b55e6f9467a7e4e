"""Caching: `[cache]`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from app.settings.section import Section

CacheKind = Literal["customers", "items", "relations", "part_numbers", "contents", "warehouses"]


class CacheSettings(Section):
    """Reference data is cached within the freshness contracts of the schema: at most `entries` in the memory of each
    worker, and with `store` "redis" shared by all workers. `max_age` and `stale_for` tighten a contract, in seconds; 0
    disables the cache. `prices_seconds` caches prices by customer, item, unit and quantity. A read waits at most
    `redis_timeout` seconds for Redis and then calls the source. Changes reported by a source's feed or webhooks
    invalidate entries; see `[events]`."""

    enabled: bool = True
    store: Literal["memory", "redis"] = "memory"
    entries: int = Field(default=50_000, ge=100)
    max_age: dict[CacheKind, int] = {}
    stale_for: dict[CacheKind, int] = {}
    prices_seconds: int = Field(default=0, ge=0, le=60)
    redis_timeout: float = Field(default=0.05, ge=0.005, le=5)
