"""From a source's raw values to the stored form of a row, or the reason why the row is rejected.

Values are checked as text and stored as text: no number passes through a float.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from app.sources.replica.datasets import SEPARATOR, Dataset

LONGEST_KEY = 256
LONGEST_TEXT = 4_000
LONGEST_INTEGER = 18
"""Digits before the decimal mark."""

_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(?:\.[0-9]{0,12})?|[+-]?\.[0-9]{1,12}")
_GROUPED = {
    ",": re.compile(r"[+-]?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]*)?-?"),
    ".": re.compile(r"[+-]?[0-9]{1,3}(?:\.[0-9]{3})+(?:,[0-9]*)?-?"),
}
"""A number with thousands separators, by the separator."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_encode = msgspec.json.Encoder().encode


class RowFault(StrEnum):
    """Why a row is rejected."""

    COLUMNS = "ROW_COLUMNS"
    MALFORMED = "ROW_MALFORMED"
    MISSING = "VALUE_MISSING"
    TOO_LONG = "VALUE_TOO_LONG"
    CONTROL_CHARACTER = "VALUE_CONTROL_CHARACTER"
    NOT_A_NUMBER = "VALUE_NOT_A_NUMBER"
    NOT_A_DATE = "VALUE_NOT_A_DATE"
    NOT_A_TIME = "VALUE_NOT_A_TIME"
    UNKNOWN = "VALUE_UNKNOWN"
    KEY_REPEATED = "ROW_KEY_REPEATED"


class RowRejected(Exception):
    """A rejected row: the reason and the attribute. The value is not repeated."""

    def __init__(self, fault: RowFault, field: str | None = None) -> None:
        super().__init__(f"{fault} {field or ''}")
        self.fault = fault
        self.field = field


class MappedRow(NamedTuple):
    """A row to store: key, part and stored form; the values of its look-ups."""

    key: str
    part: str
    value: bytes
    lookups: tuple[tuple[str, str], ...]


class Column(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where an attribute comes from: a `column` by name or a constant `value`; `start` (from 1) and `length` in files
    of fixed width. `format` is a date's or time's, as `strptime` has it; `scale` the number of implied decimals;
    `values` translates the source's words; `separator` splits a list."""

    column: str | None = None
    value: str | None = None
    start: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    length: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    format: Annotated[str, Meta(min_length=1)] | None = None
    scale: Annotated[int, Meta(ge=0, le=12)] | None = None
    values: dict[str, str] = {}
    separator: Annotated[str, Meta(min_length=1, max_length=1)] = ","


Parse = Callable[[str], Any]


class RowMapper:
    """Maps the raw values of a dataset's columns, in the order of `requested`, to rows.

    `decimal` is the source's decimal mark; its thousands separator may be the other of comma and point. `zone` is the
    zone of times without an offset; without it such a time is rejected.
    """

    def __init__(
        self, dataset: Dataset, columns: Mapping[str, Column], *, decimal: str = ".", zone: ZoneInfo | None = None
    ) -> None:
        self._decimal, self._zone = decimal, zone
        fields = msgspec.structs.fields(dataset.row)
        hints = get_type_hints(dataset.row, include_extras=True)
        names = [field.name for field in fields]
        self.mapped = tuple(name for name in names if name in columns and columns[name].value is None)
        self._defaults = [None if field.required else field.default for field in fields]
        self._steps: list[tuple[int, int, str, Parse, bool]] = []
        for index, name in enumerate(self.mapped):
            at = names.index(name)
            limit = LONGEST_KEY if name in {*dataset.key, *dataset.part, *dataset.lookups} else LONGEST_TEXT
            parse = self._parser(name, hints[name], columns[name], limit)
            self._steps.append((index, at, name, parse, fields[at].required))
        for name, column in columns.items():
            if column.value is not None:
                at = names.index(name)
                self._defaults[at] = self._parser(name, hints[name], column, LONGEST_TEXT)(column.value)
        self._key = tuple(map(names.index, dataset.key))
        self._parts = tuple(map(names.index, dataset.part))
        self._lookups = tuple((name, names.index(name)) for name in dataset.lookups)

    def map(self, raw: Sequence[str | None]) -> MappedRow:
        """The row of raw values. Raises RowRejected."""
        row = self._defaults.copy()
        for index, at, name, parse, required in self._steps:
            text = raw[index]
            text = text.strip() if text is not None else ""
            if text:
                row[at] = parse(text)
            elif required:
                raise RowRejected(RowFault.MISSING, name)
        lookups = self._look_ups(row) if self._lookups else ()
        return MappedRow(_joined(row, self._key), _joined(row, self._parts), _encode(row), lookups)

    def key(self, raw: Sequence[str | None]) -> str | None:
        """The key of a rejected row, if that can be read."""
        row = self._defaults.copy()
        for index, at, _, parse, _ in self._steps:
            if at in self._key:
                try:
                    row[at] = parse((raw[index] or "").strip()) or None
                except (RowRejected, IndexError):
                    return None
        return None if any(row[at] is None for at in self._key) else _joined(row, self._key)

    def _look_ups(self, row: Sequence[Any]) -> tuple[tuple[str, str], ...]:
        found: list[tuple[str, str]] = []
        for name, at in self._lookups:
            value = row[at]
            found += [(name, one) for one in (value if isinstance(value, list | tuple) else (value,)) if one]
        return tuple(found)

    def _parser(self, name: str, hint: Any, column: Column, limit: int) -> Parse:
        parse = self._plain_parser(name, _without_none(hint), column, limit)
        if not column.values:
            return parse
        words = column.values

        def translate(text: str) -> Any:
            return parse(words.get(text, text))

        return translate

    def _plain_parser(self, name: str, kind: Any, column: Column, limit: int) -> Parse:
        if kind is Decimal:
            return self._number(name, column.scale)
        if kind is date:
            return _date(name, column.format)
        if kind is datetime:
            return _time(name, column.format, self._zone)
        if kind is bool:
            return _flag(name)
        if isinstance(kind, type) and issubclass(kind, StrEnum):
            return _word(name, kind)
        text = _text(name, limit)
        if get_origin(kind) is tuple:
            return lambda value: [text(one.strip()) for one in value.split(column.separator) if one.strip()]
        return text

    def _number(self, name: str, scale: int | None) -> Parse:
        matches, mark = _NUMBER.fullmatch, self._decimal
        separator = "." if mark == "," else ","
        grouped = _GROUPED[separator].fullmatch

        def number(text: str) -> str:
            if scale is None and len(text) <= LONGEST_INTEGER and text.isdigit() and text.isascii():
                return text
            plain = text
            if separator in plain:
                plain = plain.replace(separator, "") if grouped(plain) else "?"
            if mark == ",":
                plain = plain.replace(",", ".")
            if plain[-1:] == "-":  # As SAP and mainframes write it.
                plain = f"-{plain[:-1]}"
            if matches(plain) is None:
                raise RowRejected(RowFault.NOT_A_NUMBER, name)
            return plain if scale is None else str(Decimal(plain).scaleb(-scale))

        return number


def _joined(row: Sequence[Any], indexes: tuple[int, ...]) -> str:
    if len(indexes) == 1:
        return str(row[indexes[0]])
    return SEPARATOR.join([str(row[at]) for at in indexes])


def _without_none(hint: Any) -> Any:
    kinds = [kind for kind in get_args(hint) if kind is not type(None)]
    if type(None) in get_args(hint) and len(kinds) == 1:
        hint = kinds[0]
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _text(name: str, limit: int) -> Parse:
    control = _CONTROL.search

    def text(value: str) -> str:
        if len(value) > limit:
            raise RowRejected(RowFault.TOO_LONG, name)
        if not value.isprintable() and control(value) is not None and (limit == LONGEST_KEY or "\x00" in value):
            raise RowRejected(RowFault.CONTROL_CHARACTER, name)
        return value

    return text


def _date(name: str, form: str | None) -> Parse:
    def parse(text: str) -> str:
        try:
            found = date.fromisoformat(text) if form is None else datetime.strptime(text, form).date()  # noqa: DTZ007
        except ValueError:
            raise RowRejected(RowFault.NOT_A_DATE, name) from None
        return found.isoformat()

    return parse


def _time(name: str, form: str | None, zone: ZoneInfo | None) -> Parse:
    def parse(text: str) -> str:
        try:
            found = datetime.fromisoformat(text) if form is None else datetime.strptime(text, form)  # noqa: DTZ007
            if found.tzinfo is None:
                if zone is None:
                    raise RowRejected(RowFault.NOT_A_TIME, name)
                found = found.replace(tzinfo=zone)
            return found.astimezone(UTC).isoformat()
        except (ValueError, OverflowError):
            raise RowRejected(RowFault.NOT_A_TIME, name) from None

    return parse


def _word(name: str, words: type[StrEnum]) -> Parse:
    """One of an enum's values; what it does not have is its UNKNOWN, where it has that."""
    known = {word.value: word.value for word in words}
    other = known.get("UNKNOWN")

    def parse(text: str) -> str:
        found = known.get(text, other)
        if found is None:
            raise RowRejected(RowFault.UNKNOWN, name)
        return found

    return parse


def _flag(name: str) -> Parse:
    words = {"true": True, "1": True, "y": True, "false": False, "0": False, "n": False}

    def parse(text: str) -> bool:
        found = words.get(text.lower())
        if found is None:
            raise RowRejected(RowFault.UNKNOWN, name)
        return found

    return parse
