"""Tryton's tagged JSON values, and the rows' fields read off the row types.

A row type is a struct of exactly the fields that are wanted; nested structs follow relations. `fields_of` turns it into
the field paths of a request, so that a mapping never asks for what it does not read.
"""

from __future__ import annotations

import types
import typing
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from typing import Any, ClassVar

import msgspec

from app.sources.custom_fields import SourceField, SourceFields, check_keys
from app.sources.values import CustomValues


class Row(msgspec.Struct, kw_only=True):
    """A record of Tryton; every record carries its id. What a user may not read is left out by Tryton."""

    shows: ClassVar[str] = ""
    """The GraphQL type that is made of the row, where it may have fields of a deployment's own."""

    id: int

    @property
    def custom(self) -> CustomValues | None:
        """The values of those fields; see `extended`."""
        return None


class Number(msgspec.Struct, tag_field="__class__", tag="Decimal"):
    """An exact number."""

    decimal: Decimal


class Day(msgspec.Struct, tag_field="__class__", tag="date"):
    """A date."""

    year: int
    month: int
    day: int


class Moment(msgspec.Struct, tag_field="__class__", tag="datetime"):
    """A timestamp; Tryton's are in UTC and do not say so."""

    year: int
    month: int
    day: int
    hour: int = 0
    minute: int = 0
    second: int = 0
    microsecond: int = 0


Flag = bool | int
"""A boolean; databases without the type send 0 and 1."""

LEAVES = (Number, Day, Moment)


def number(value: Number | None) -> Decimal | None:
    """The exact number, as many digits as Tryton sent."""
    return None if value is None else value.decimal


def day(value: Day | None) -> date | None:
    return None if value is None else date(value.year, value.month, value.day)


def midnight(value: Day | None) -> datetime | None:
    return None if value is None else datetime(value.year, value.month, value.day, tzinfo=UTC)


def moment(value: Moment | None) -> datetime | None:
    if value is None:
        return None
    return datetime(
        value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond, tzinfo=UTC
    )


def quantity(value: Decimal) -> Decimal:
    """A quantity as people write it: Tryton sends floats, so twelve comes as `12.0`."""
    plain = value.normalize()
    return plain.quantize(Decimal(1)) if plain == plain.to_integral_value() else plain


def tagged_day(value: date) -> dict[str, object]:
    """A date as Tryton takes it in domains and contexts."""
    return {"__class__": "date", "year": value.year, "month": value.month, "day": value.day}


def tagged_decimal(value: Decimal) -> dict[str, object]:
    """An exact number as Tryton takes it in values."""
    return {"__class__": "Decimal", "decimal": str(value)}


def tagged_moment(value: datetime) -> dict[str, object]:
    """A timestamp as Tryton takes it: UTC, without a zone."""
    at = value.astimezone(UTC)
    return {
        "__class__": "datetime",
        "year": at.year,
        "month": at.month,
        "day": at.day,
        "hour": at.hour,
        "minute": at.minute,
        "second": at.second,
        "microsecond": at.microsecond,
    }


def extended(row: type[Any], fields: SourceFields) -> type[Any]:
    """The row type with the deployment's own fields of its GraphQL type. Raises ConfigurationError for a field that the
    row has anyway."""
    own = fields.of(row.shows)
    if not own:
        return row
    known = {one.encode_name for one in msgspec.structs.fields(row)}
    check_keys(own, known, "is read by the gateway already; name one of the database's own")

    def custom(one: Any) -> CustomValues:
        return fields.of_values([(each, _plain(each, getattr(one, f"custom_{n}"))) for n, each in enumerate(own)])

    added = [
        (f"custom_{n}", msgspec.Raw, msgspec.field(default=msgspec.Raw(), name=one.key)) for n, one in enumerate(own)
    ]
    return msgspec.defstruct(row.__name__, added, bases=(row,), kw_only=True, namespace={"custom": property(custom)})


def _plain(one: SourceField, raw: msgspec.Raw) -> Any:
    """A value of Tryton's tagged JSON as a plain one."""
    text = bytes(raw)
    if one.type is bool and text in (b"0", b"1"):
        return text == b"1"
    if not text.startswith(b"{"):
        return raw
    try:
        value = msgspec.json.decode(text, type=Number | Day | Moment)
    except msgspec.MsgspecError:
        return raw
    if isinstance(value, Number):
        return value.decimal
    return day(value) if isinstance(value, Day) else moment(value)


@cache
def fields_of(row: type[Row]) -> tuple[str, ...]:
    """The field paths of a row type, relations followed: `("code", "addresses.city")`."""
    paths: list[str] = []
    for field in msgspec.structs.fields(row):
        nested = _row_in(field.type)
        if nested is None:
            paths.append(field.encode_name)
        else:
            paths.extend(f"{field.encode_name}.{path}" for path in fields_of(nested))
    return tuple(paths)


def _row_in(annotation: Any) -> type[Row] | None:
    if isinstance(annotation, type) and issubclass(annotation, Row):
        return annotation
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is not None:
        return next(filter(None, map(_row_in, typing.get_args(annotation))), None)
    return None
