"""The age of a response's data by source, for `extensions.freshness` and for a header."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from app.sources.freshness_contracts import FreshnessTracker, SourceFreshness

FRESHNESS_HEADER = "tradegraph-freshness"


def oldest_by_source(
    reading: FreshnessTracker, calls: Iterable[tuple[str, str]], started_at: datetime
) -> dict[str, SourceFreshness]:
    """The oldest datum of each source: cached data names the time of its read, called sources were read at
    `started_at`."""
    found = dict(reading.seen)
    for source, _ in calls:
        if source not in found:
            found[source] = SourceFreshness(started_at)
    return found if len(found) < 2 else dict(sorted(found.items()))


def describe_freshness(found: Mapping[str, SourceFreshness], now: datetime) -> list[dict[str, Any]]:
    """The entries of `extensions.freshness`."""
    return [
        {
            "source": source,
            "asOf": seen.as_of.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            "age": age_seconds(seen, now),
            "cached": seen.cached,
            "degraded": seen.degraded,
            "reason": seen.reason,
        }
        for source, seen in found.items()
    ]


def freshness_header(found: Mapping[str, SourceFreshness], now: datetime) -> str:
    """The header, a structured field list (RFC 9651): `erp;age=12;cached, logistics;age=0`."""
    return ", ".join([f"{_token(source)};age={age_seconds(seen, now)}{_flags(seen)}" for source, seen in found.items()])


def is_degraded(found: Mapping[str, SourceFreshness]) -> bool:
    """Whether any datum is older than its contract."""
    return any(seen.degraded for seen in found.values())


def greatest_age(found: Mapping[str, SourceFreshness], now: datetime) -> int:
    """The age of the oldest datum in seconds."""
    ages: Sequence[int] = [age_seconds(seen, now) for seen in found.values()]
    return max(ages, default=0)


def age_seconds(seen: SourceFreshness, now: datetime) -> int:
    """Whole seconds."""
    return max(int((now - seen.as_of).total_seconds()), 0)


@lru_cache(1_000)
def _token(source: str) -> str:
    return source if source[:1].isalpha() and source.replace("-", "").replace("_", "").isalnum() else f'"{source}"'


def _flags(seen: SourceFreshness) -> str:
    return (";cached" if seen.cached else "") + (";degraded" if seen.degraded else "")
