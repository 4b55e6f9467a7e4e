"""From wire rows to records: the fields both have, what the gateway adds, statuses by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar

import msgspec

from app import telemetry
from app.sources.shipments import TrackingEvent
from app.sources.values import Freshness, Ref

R = TypeVar("R", bound=msgspec.Struct)
E = TypeVar("E", bound=StrEnum)


class Mapper:
    """Makes one source's records."""

    def __init__(self, source: str, clock: Callable[[], datetime]) -> None:
        self.source = source
        self._clock = clock
        self._reported_at = datetime.min.replace(tzinfo=UTC)
        self._last = Freshness(source=source, as_of=self._reported_at)

    def fill(self, kind: type[R], row: Any, /, **given: Any) -> R:
        """A record of the row's values under the names that both have, and the given ones."""
        return _maker(kind, type(row), tuple(given))(kind, row, given)

    def freshness(self, as_of: datetime | None) -> Freshness:
        """Freshness of what the system read at `as_of`; now, where it does not say, or says something later because its
        clock is ahead. The rows of an answer share one."""
        as_of, reported_at = as_of or self._clock(), self._reported_at
        if as_of != reported_at or as_of.tzinfo is not reported_at.tzinfo:
            self._reported_at = as_of
            self._last = Freshness(source=self.source, as_of=min(as_of, self._clock()))
        return self._last

    def refs(self, row: Any) -> tuple[Ref, ...]:
        return (Ref(system=self.source, id=row.id),) if row.id else ()

    def status(self, kind: type[E], text: str, field: str) -> E:
        """The status of this name; UNKNOWN, and counted, for one that is not known here."""
        try:
            return kind(text)
        except ValueError:
            telemetry.unknown_status(self.source, field, text)
            return kind("UNKNOWN")

    def statuses(self, kind: type[E], row: Any, field: str) -> dict[str, Any]:
        """`status` and `raw_status` of a row: an unknown status is kept raw."""
        status = self.status(kind, row.status, field)
        raw = row.raw_status
        return {"status": status, "raw_status": row.status if raw is None and status == "UNKNOWN" else raw}


def by_sequence(events: Iterable[TrackingEvent]) -> tuple[TrackingEvent, ...]:
    return tuple(sorted(events, key=_sequence))


_sequence = attrgetter("sequence")


@cache
def _maker(kind: type, row: type, given: tuple[str, ...]) -> Callable[[Any, Any, Any], Any]:
    """A function that calls `kind` with the fields both have: written out, because thousands of rows go through it."""
    have = {field.name for field in msgspec.structs.fields(row)} - set(given)
    have |= {"custom"} & set(vars(row))  # Of an extended row.
    names = (field.name for field in msgspec.structs.fields(kind) if field.name in have)
    values = "".join(f"{name}=row.{name}, " for name in names)
    made: dict[str, Any] = {}
    exec(f"def make(kind, row, given): return kind({values}**given)", made)  # noqa: S102 - names of our own classes
    return made["make"]
