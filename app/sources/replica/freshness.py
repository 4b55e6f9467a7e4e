"""The age of replicated rows as records report it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from app.sources.replica.datasets import Dataset
from app.sources.values import Freshness

OVERDUE = "FILE_OVERDUE"
"""The reason of rows that are older than the next file should have been."""


@dataclass(frozen=True, slots=True)
class FeedAges:
    """`expected` are the seconds after which a dataset should have been renewed, by name; of one that is not in it
    every age is all right."""

    source: str
    expected: Mapping[str, float]
    clock: Callable[[], datetime]

    def freshness(self, dataset: Dataset, as_of: datetime) -> Freshness:
        """The freshness of rows that were true at a time; degraded once they should have been renewed."""
        limit = self.expected.get(dataset.name)
        overdue = limit is not None and (self.clock() - as_of).total_seconds() > limit
        return Freshness(
            source=self.source,
            as_of=as_of,
            cached=True,
            degraded=overdue,
            max_age=None if limit is None else round(limit),
            reason=OVERDUE if overdue else None,
        )
