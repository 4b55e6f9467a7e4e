"""The calls that an adapter makes of its vendor, declared once beside the types that it decodes and sends.

`app/sources/<vendor>/calls.py` holds `DECLARATION`, and `./run sources uses` writes `uses.json` from it: names and
types of fields come from the structs. The file is checked against the vendor's published contract elsewhere; a test of
each adapter checks its own traffic against it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

_SCALARS: Mapping[type[inspect.Type], str] = {
    inspect.StrType: "string",
    inspect.IntType: "integer",
    inspect.FloatType: "float",
    inspect.DecimalType: "decimal",
    inspect.BoolType: "boolean",
    inspect.DateTimeType: "datetime",
    inspect.DateType: "date",
    inspect.TimeType: "time",
    inspect.UUIDType: "uuid",
    inspect.EnumType: "string",
    inspect.LiteralType: "string",
    inspect.DictType: "object",
    inspect.RawType: "any",
    inspect.AnyType: "any",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorCall:
    """One call. `name` is that of its metrics, `port` the port that it serves.

    The call is named in the vendor's terms: `method` and `path` with `{}` for each key, a GraphQL `document` or webhook
    `topic`, or an OData `set`, `function` or `action` of an `api`. `params` are query parameters; `reads` and `sends`
    are the types that are decoded and encoded, `filters` and `sorts` the fields that the call filters and sorts by.
    `variables` are the paths of a document's other variables that no type is encoded to.
    """

    name: str
    port: str
    method: str | None = None
    path: str | None = None
    document: str | None = None
    topic: str | None = None
    api: str | None = None
    set: str | None = None
    function: str | None = None
    action: str | None = None
    params: tuple[str, ...] = ()
    sends: Any = None
    variables: tuple[str, ...] = ()
    reads: Any = None
    filters: tuple[str, ...] = ()
    sorts: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The call in `uses.json`."""
        named = ("method", "path", "document", "topic", "api", "set", "function", "action")
        types = field_types(self.reads)
        return {
            "name": self.name,
            "port": self.port,
            **{name: value for name in named if (value := getattr(self, name)) is not None},
            "params": list(self.params),
            "sends": sorted([*field_types(self.sends), *self.variables]),
            "reads": sorted(types),
            "filters": sorted(self.filters),
            "sorts": sorted(self.sorts),
            "types": dict(sorted(types.items())),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorDeclaration:
    """All calls of an adapter. `artefact` names the vendor's contract and its version in words; `artefacts` says by
    name what kind of contract the calls are checked against."""

    vendor: str
    artefact: str
    artefacts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    calls: Sequence[VendorCall]

    def as_json(self) -> dict[str, Any]:
        """The content of `uses.json`."""
        return {
            "vendor": self.vendor,
            "artefact": self.artefact,
            "artefacts": {name: dict(value) for name, value in self.artefacts.items()},
            "calls": [call.as_json() for call in self.calls],
        }


def field_types(kind: Any) -> dict[str, str]:
    """The paths of all scalar fields of a struct, as they are encoded, with their types; `items[].sku` is in a list."""
    return {} if kind is None else dict(_fields(_info(kind), ""))


@cache
def _info(kind: Any) -> inspect.Type:
    return inspect.type_info(kind)


def _fields(info: inspect.Type, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(info, inspect.StructType):
        prefix = f"{path}." if path else ""
        for one in info.fields:
            yield from _fields(one.type, f"{prefix}{one.encode_name}")
    elif isinstance(info, (inspect.ListType, inspect.VarTupleType, inspect.SetType, inspect.FrozenSetType)):
        yield from _fields(info.item_type, f"{path}[]" if path else "")
    elif isinstance(info, inspect.UnionType):
        variants = [one for one in info.types if not isinstance(one, inspect.NoneType)]
        for one in variants:
            yield from _fields(one, path)
    else:
        yield path, _SCALARS.get(type(info), "any")


def encode_declaration(declaration: VendorDeclaration) -> str:
    """The text of `uses.json`."""
    return msgspec.json.format(msgspec.json.encode(declaration.as_json()), indent=2).decode() + "\n"
