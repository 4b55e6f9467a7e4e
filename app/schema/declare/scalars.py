"""The scalars: exact decimals as strings, ISO 8601 dates, times and durations, opaque cursors."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NewType

import strawberry
from strawberry.types.scalar import ScalarDefinition

from app.errors import SourceMalformed

Cursor = NewType("Cursor", str)
"""A position in a stream."""

MAX_DIGITS = 60

FLOAT_DIGITS = 15
"""Decimal digits that a float keeps."""

_DECIMAL = re.compile(r"[+-]?\d{1,20}(\.\d{1,15})?", re.ASCII)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_DURATION = re.compile(
    r"P(?=.)(?:(?P<days>\d{1,4})D)?(?:T(?=.)(?:(?P<hours>\d{1,6})H)?(?:(?P<minutes>\d{1,6})M)?"
    r"(?:(?P<seconds>\d{1,9}(?:\.\d{1,6})?)S)?)?",
    re.ASCII,
)


def write_decimal(value: Decimal) -> str:
    """Plain digits without an exponent. 1E+999999999 is refused: written out, it would exhaust the memory."""
    if not value.is_finite() or abs(value.adjusted()) > MAX_DIGITS or len(value.as_tuple().digits) > MAX_DIGITS:
        raise SourceMalformed("of this field", detail="a number out of range")
    return f"{value:f}"


def read_decimal(value: Any) -> Decimal:
    """A string of digits, an integer, or a JSON number of at most 15 digits, which a float holds exactly as written."""
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    if isinstance(value, float):
        value = repr(value) if len(Decimal(repr(value)).as_tuple().digits) <= FLOAT_DIGITS else None
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return Decimal(value)
    raise ValueError('A Decimal is a string such as "12.50", at most 20 digits before and 15 after the point.')


def read_date(value: Any) -> date:
    """YYYY-MM-DD."""
    try:
        if isinstance(value, str) and _DATE.fullmatch(value):
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise ValueError('A Date is a string such as "2026-12-01".')


def write_datetime(value: datetime) -> str:
    """In UTC, with a Z."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def read_datetime(value: Any) -> datetime:
    """ISO 8601 with an offset."""
    try:
        if isinstance(value, str) and (read := datetime.fromisoformat(value)).tzinfo is not None:
            return read
    except ValueError:
        pass
    raise ValueError('A DateTime is a string with an offset, such as "2026-12-01T08:00:00Z".')


def read_duration(value: Any) -> timedelta:
    """ISO 8601 in days, hours, minutes and seconds; years and months are not always as long."""
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError('A Duration is a string such as "PT5S" or "PT1M30S", in days, hours, minutes and seconds.')
    return timedelta(**{unit: float(number) for unit, number in found.groupdict().items() if number is not None})


def write_duration(value: timedelta) -> str:
    """In seconds: "PT90S"."""
    return f"PT{value.total_seconds():.6f}".rstrip("0").rstrip(".") + "S"


def read_cursor(value: Any) -> Cursor:
    """Any string; the stream interprets it."""
    if isinstance(value, str):
        return Cursor(value)
    raise ValueError("A Cursor is a string, as an earlier answer gave it.")


SCALARS: dict[object, ScalarDefinition] = {
    Decimal: strawberry.scalar(
        name="Decimal",
        description='An exact decimal number, as a string: `"12.50"`. As an input, a number of at most 15 digits is '
        "accepted as well.",
        serialize=write_decimal,
        parse_value=read_decimal,
    ),
    date: strawberry.scalar(
        name="Date",
        description="A calendar day, ISO 8601: `2026-12-01`.",
        serialize=date.isoformat,
        parse_value=read_date,
    ),
    datetime: strawberry.scalar(
        name="DateTime",
        description="A moment, ISO 8601 with an offset; answers are in UTC: `2026-12-01T08:00:00Z`.",
        serialize=write_datetime,
        parse_value=read_datetime,
    ),
    timedelta: strawberry.scalar(
        name="Duration",
        description="A length of time, ISO 8601 in days, hours, minutes and seconds: `PT5S`.",
        serialize=write_duration,
        parse_value=read_duration,
    ),
    Cursor: strawberry.scalar(
        name="Cursor",
        description="An opaque position in one stream. Pass it back to the field that returned it, unchanged.",
        serialize=str,
        parse_value=read_cursor,
    ),
}
