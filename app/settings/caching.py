"""Caching: `[cache]`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from app.settings.section import Section

CacheKind = Literal["customers", "items", "relations", "part_numbers", "contents", "warehouses"]


class CacheSettings(Section):
    """Reference data is kept within the contracts that the schema prints: in the memory of each worker, `entries` of it
    at most, and with `store` "redis" for all workers together. `max_age` and `stale_for` make a contract tighter, in
    seconds; 0 keeps nothing. `prices_seconds` keeps quoted prices, each for its own question. `redis_timeout` is how
    many seconds a reader waits for Redis before it reads without. Changes that a source's feed or webhooks report end
    entries; see `[events]`."""

    enabled: bool = True
    store: Literal["memory", "redis"] = "memory"
    entries: int = Field(default=50_000, ge=100)
    max_age: dict[CacheKind, int] = {}
    stale_for: dict[CacheKind, int] = {}
    prices_seconds: int = Field(default=0, ge=0, le=60)
    redis_timeout: float = Field(default=0.05, ge=0.005, le=5)
