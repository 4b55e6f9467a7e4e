"""Records of any type, filled by chance within what their annotations promise, and with values that are hard to write.

Numbers that decisions are made of (stock, units, prices) stay ordinary: arithmetic that overflows is another test's.
"""

from __future__ import annotations

import random
import types
import typing
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from app.sources.values import CustomValues, Record

R = TypeVar("R", bound=Record)

TEXTS = (
    "",
    " ",
    "plain",
    "Ünï€ 😀",
    'quo"te\\n',
    "line\nbreak\t",
    "\u2028\u007f",
    "null",
    "0",
    "<b>&amp;</b>",
    "x" * 300,
)
NUMBERS = tuple(
    map(Decimal, ("0", "-0.00", "1", "12.50", "100", "1E+2", "0.000001", "1E-7", "-3.14159", "99999999.99"))
)
WILD_NUMBERS = (
    *NUMBERS,
    *map(Decimal, ("1E+60", "1E+61", "1E-61", "1E+999999", "0E-20", "0E+70", "NaN", "-Infinity", "1" * 45, "1" * 61)),
)
DAYS = (date(2026, 11, 21), date(2026, 12, 1), date(2026, 2, 28), date.min, date.max, date(999, 1, 1))
MOMENTS = (
    datetime(2026, 11, 21, 12, tzinfo=UTC),
    datetime(2026, 11, 21, 12, 0, 0, 120, tzinfo=UTC),
    datetime(2026, 3, 29, 1, 30, tzinfo=ZoneInfo("Europe/Vienna")),
    datetime(2026, 7, 1, 23, 59, 59, 999999, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    datetime(2026, 1, 1, tzinfo=timezone(-timedelta(hours=8))),
    datetime(1, 1, 2, tzinfo=UTC),
    datetime(2026, 6, 1, tzinfo=ZoneInfo("UTC")),
)
WILD_MOMENTS = (*MOMENTS, datetime.max.replace(tzinfo=timezone(-timedelta(hours=3))))
COUNTS = (0, 1, 2, 30, 2**31 - 1)
SECONDS = (0.0, 1_795_000_000.5)
WILD_COUNTS = (*COUNTS, 2**31, -(2**31) - 1, -(2**31), 10**15)

TAME = frozenset(
    {"StockPosition", "StockLevel", "Supply", "Reservation", "Balance", "Uom", "PriceAgreement", "OrderLine"}
)
"""Records whose numbers resolvers reckon with."""


@cache
def fields_of(cls: type) -> tuple[msgspec.structs.FieldInfo, ...]:
    """The fields of a record, looked up once."""
    return msgspec.structs.fields(cls)


class Maker:
    """Makes records. `keys` are the values of fields that point at other things, by the field's name."""

    def __init__(self, rng: random.Random, keys: dict[str, Sequence[str]]) -> None:
        self._rng = rng
        self._keys = keys
        self._made: dict[type, list[Any]] = {}

    def record(self, cls: type[R], **given: Any) -> R:
        """A record; one of the last ones again now and then, so that many places share it."""
        made = self._made.setdefault(cls, [])
        if not given and made and self._rng.random() < 0.4:
            return self._rng.choice(made)
        tame = cls.__name__ in TAME
        values = {
            field.name: self.value(field.type, field.name, tame=tame)
            for field in fields_of(cls)
            if field.name not in given and (field.required or self._rng.random() < 0.9)
        }
        made.append(cls(**values, **given))
        return made[-1]

    def value(self, type_: Any, name: str, *, tame: bool = False) -> Any:
        """A value of an annotation; None only where it allows None."""
        origin, parts = typing.get_origin(type_), typing.get_args(type_)
        if origin is typing.Annotated:
            return self.value(parts[0], name, tame=tame)
        if origin in (types.UnionType, typing.Union):
            if self._rng.random() < 0.3:
                return None
            return self.value(next(part for part in parts if part is not type(None)), name, tame=tame)
        if origin in (tuple, frozenset):
            many = self._rng.choice((0, 1, 1, 2, 3))
            return origin(self.value(parts[0], name, tame=tame) for _ in range(many))
        if issubclass(type_, CustomValues):
            return CustomValues(source="erp")  # The schema of the tests has no fields of a deployment.
        if issubclass(type_, Record):
            return self.record(type_)
        return self._plain(type_, name, tame)

    def _plain(self, type_: type, name: str, tame: bool) -> Any:
        pick = self._rng.choice
        if issubclass(type_, Enum):
            return pick(list(type_))
        if type_ is bool:
            return pick((True, False))
        if type_ is str:
            return pick(self._keys.get(name) or TEXTS)
        wild = not tame and self._rng.random() < 0.02
        if name in {"numerator", "denominator"}:
            return pick((1, 2, 12, 144)) if self._rng.random() < 0.98 else 2**31
        pools: dict[type, tuple[Sequence[Any], Sequence[Any]]] = {
            int: (COUNTS, WILD_COUNTS),
            float: (SECONDS, SECONDS),
            Decimal: (NUMBERS, WILD_NUMBERS),
            datetime: (MOMENTS, WILD_MOMENTS),
            date: (DAYS, DAYS),
        }
        usual, unusual = pools[type_]
        return pick(unusual if wild else usual)
