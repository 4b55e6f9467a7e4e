"""Rows of the `rest` contract with a deployment's own fields, each under its JSON key."""

from __future__ import annotations

from functools import reduce
from operator import or_
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import msgspec

from app.sources.custom_fields import SourceFields, check_keys
from app.sources.rest.contract_rows import ROWS


class ExtendedRows:
    """The types that answers of one source are decoded as, with its fields. Raises ConfigurationError for a key that
    rows have anyway."""

    def __init__(self, fields: SourceFields) -> None:
        self.fields = fields
        self._made: dict[Any, Any] = {}
        for record, row in ROWS.items():
            known = {one.encode_name for one in (*msgspec.structs.fields(row), *msgspec.structs.fields(record))}
            cure = "is a key of the contract already; name one of the system's own"
            check_keys(fields.of(record.__name__), known, cure)

    def of(self, kind: Any) -> Any:
        """A type with its rows extended; itself where none of them has fields."""
        if not self.fields.types:
            return kind
        if kind not in self._made:
            self._made[kind] = self._row(kind) if getattr(kind, "record", None) in ROWS else self._generic(kind)
        return self._made[kind]

    def wire_fields(self, record: type) -> dict[str, tuple[Any, Any]]:
        """Attributes of a row that hold its fields as they came: type and default by name."""
        return {
            f"custom_{index}": (msgspec.Raw, msgspec.field(default=msgspec.Raw(), name=one.key))
            for index, one in enumerate(self.fields.of(record.__name__))
        }

    def values(self, record: type, row: Any) -> Any:
        """The values of a row with `wire_fields`."""
        found = [(one, getattr(row, f"custom_{index}")) for index, one in enumerate(self.fields.of(record.__name__))]
        return self.fields.of_values(found) if found else None

    def _generic(self, kind: Any) -> Any:
        origin, parts = get_origin(kind), get_args(kind)
        if origin is None or origin is Literal:
            return kind
        made = tuple(self.of(part) for part in parts)
        if made == parts:
            return kind
        return reduce(or_, made) if origin in (Union, UnionType) else origin[made]

    def _row(self, kind: Any) -> Any:
        record = kind.record
        own = self.wire_fields(record)
        nested = [
            (field.name, self.of(field.type), default_of(field))
            for field in msgspec.structs.fields(kind)
            if self.of(field.type) is not field.type
        ]
        if not own and not nested:
            return kind
        added = [(name, type_, default) for name, (type_, default) in own.items()]
        namespace = {"custom": property(lambda row: self.values(record, row)), "record": record} if own else {}
        return msgspec.defstruct(
            kind.__name__, [*nested, *added], bases=(kind,), frozen=True, kw_only=True, rename="camel",
            namespace=namespace,
        )  # fmt: skip


def default_of(field: msgspec.structs.FieldInfo) -> Any:
    """The default of a field, for a class that has it too."""
    if field.default_factory is not msgspec.NODEFAULT:
        return msgspec.field(default_factory=field.default_factory)
    return msgspec.field() if field.default is msgspec.NODEFAULT else msgspec.field(default=field.default)
