"""Answers read as partial records: straight from the wire, without a row in between, and only what is needed.

For an operation of the contract and a set of needs there is a type that msgspec decodes the answer as. In it each
record is a subclass of itself: what is left out, or what only the gateway knows, has a default and stands under a name
that no system uses. What takes more than decoding is made when it is first looked at (`Computed`).

Such a type takes what a system should send. Whatever it refuses (a status that is not known here, a null in place of a
time) is read whole: `mapping` knows what to make of it, and the whole reading says what is wrong with an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, lru_cache, reduce
from operator import or_
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import msgspec

from app.http.response import ResponseDecoder
from app.sources.customers import CreditStatus
from app.sources.field_mask import OPTIONAL_FIELDS, FieldMask, field_mask
from app.sources.prices import ContractPrice
from app.sources.rest.contract import ContractOperation
from app.sources.rest.contract_rows import ROWS
from app.sources.rest.extended_rows import ExtendedRows, default_of
from app.sources.rest.mapping import Mapper, by_sequence
from app.sources.shipments import Shipment, TrackingEvent
from app.sources.values import RecordType, Unfetched

READERS = 512
"""How many readers a source keeps."""

Make = Callable[[Any, Any], Any]

_SOURCE = frozenset({"source", "system", "authority"})
_MADE_OF = {"refs": "id", "freshness": "as_of"}
_READ_AT: Mapping[type, str] = {ContractPrice: "quoted_at", CreditStatus: "checked_at"}
"""What tells when a row was read, where its `asOf` does not."""


class PartialDecoders:
    """The readers of one source. A reader is made when the same is asked for the second time: most documents that are
    sent once are never sent again, and it costs more to make one than to read some rows whole."""

    def __init__(self, mapper: Mapper, rows: ExtendedRows) -> None:
        self._mapper = mapper
        self._rows = rows
        self._slots = lru_cache(READERS)(_DecoderSlot)

    def of(self, operation: ContractOperation) -> ResponseDecoder | None:
        """What reads the operation's answer in part; None if it is to be read whole."""
        mask = field_mask.get()
        if mask is None:
            return None
        slot = self._slots(operation.path, mask)
        if not slot.made and slot.requested_once:
            types = _Types(self._mapper, mask, self._rows)
            kind = types.of(operation.answer)
            slot.reader = ResponseDecoder(kind) if types.has_optional else None
            slot.made = True
        slot.requested_once = True
        return slot.reader


class _DecoderSlot:
    """Where a reader is kept."""

    __slots__ = ("made", "reader", "requested_once")

    def __init__(self, path: str, mask: FieldMask) -> None:
        self.requested_once = self.made = False
        self.reader: ResponseDecoder | None = None


class Computed:
    """An attribute that `make(row, value)` makes of what was decoded, when it is first read."""

    def __init__(self, record: type, name: str, make: Make) -> None:
        self._slot = record.__dict__[name]
        self._make = make

    def __get__(self, row: Any, owner: type | None = None) -> Any:
        if row is None:
            return self
        value = self._slot.__get__(row)
        made = self._make(row, value)
        if made is not value:
            self._slot.__set__(row, made)
        return made


_fields_of = cache(msgspec.structs.fields)


class _Types:
    """The types of one answer. `has_optional` says whether anything in it is left out."""

    def __init__(self, mapper: Mapper, mask: FieldMask, rows: ExtendedRows) -> None:
        self.has_optional = False
        self._mapper = mapper
        self._rows = rows
        self._mask = mask
        self._made: dict[type, type] = {}

    def of(self, kind: Any) -> Any:
        """The type as it is read: for a row or a record that can be read in part, its partial record."""
        record = getattr(kind, "record", kind)
        if record in ROWS or self._left_out(record):
            if record not in self._made:
                self._made[record] = self._record(record)
            return self._made[record]
        origin, parts = get_origin(kind), get_args(kind)
        if origin is None or origin is Literal:
            return kind
        parts = tuple(self.of(part) for part in parts)
        return reduce(or_, parts) if origin in (Union, UnionType) else origin[parts]

    def _left_out(self, record: Any) -> set[str]:
        return {name for name in OPTIONAL_FIELDS.get(record, ()) if (record, name) not in self._mask}

    def _record(self, record: Any) -> type:
        types: dict[str, Any] = {}
        fields: dict[str, Any] = {}
        shown: dict[str, Any] = {}
        row, makes, optional = ROWS.get(record), self._makes(record), self._left_out(record)
        self.has_optional = self.has_optional or bool(optional)
        for field in _fields_of(record):
            name = field.name
            if name in optional:
                shown[name] = Unfetched(record, name)
            elif name in makes:
                shown[name] = Computed(record, name, makes[name])
            if name in optional or name == "custom" or (row is not None and name in _MADE_OF):
                types[name], fields[name] = None, msgspec.field(default=None, name=f"({name})")
            elif row is not None and name in _SOURCE:
                source = self._mapper.source
                types[name], fields[name] = Literal[source], msgspec.field(default=source, name=f"({name})")
            else:
                types[name] = self.of(list[TrackingEvent] if name == "events" else field.type)
                fields[name] = default_of(field)
            extra = _MADE_OF.get(name)
            if extra is not None and row is not None and name not in optional and extra not in record.__struct_fields__:
                types[extra], fields[extra] = row.__annotations__[extra], None
        for name, (kind, default) in self._rows.wire_fields(record).items():
            types[name], fields[name] = kind, default
        made: Any = RecordType(
            record.__name__, (record,), {"__annotations__": types, "__module__": record.__module__, **fields}
        )
        for name, attribute in shown.items():
            setattr(made, name, attribute)
        return made

    def _makes(self, record: type) -> dict[str, Make]:
        mapper, read_at = self._mapper, _READ_AT.get(record, "as_of")
        makes: dict[str, Make] = {
            "raw_status": lambda row, raw: "UNKNOWN" if raw is None and row.status == "UNKNOWN" else raw
        }
        if record in ROWS:
            makes["refs"] = lambda row, made: mapper.refs(row) if made is None else made
            makes["freshness"] = lambda row, made: made or mapper.freshness(row.as_of or getattr(row, read_at))
        if self._rows.fields.of(record.__name__):
            makes["custom"] = lambda row, made: made or self._rows.values(record, row)
        if record is TrackingEvent:
            makes["raw_code"] = lambda _, raw: raw or None
        if record is Shipment:
            makes["events"] = lambda _, events: by_sequence(events) if type(events) is list else events
        return makes
