"""Metafields: a deployment's own fields of a row, by `namespace.key`."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from app.sources.custom_fields import SourceFields
from app.sources.values import CustomValues

METAFIELDS = "metafields(first: 50, keys: $fields) @include(if: $own) { nodes { namespace key jsonValue } }"
"""The selection; its documents take the variables of `field_variables`."""


class Metafield(msgspec.Struct, frozen=True, rename="camel"):
    """A metafield with its value as JSON."""

    namespace: str
    key: str
    json_value: msgspec.Raw


class Metafields(msgspec.Struct, frozen=True):
    """The metafields of a row."""

    nodes: tuple[Metafield, ...] = ()


def field_variables(fields: SourceFields, type_name: str) -> Mapping[str, object]:
    """The variables that select the metafields of a type; without any of its own, none are read."""
    keys = list(dict.fromkeys(one.key for one in fields.of(type_name)))
    return {"fields": keys, "own": bool(keys)}


def custom_values(fields: SourceFields, type_name: str, metafields: Metafields | None) -> CustomValues | None:
    """The values of a row's own fields."""
    values = {f"{one.namespace}.{one.key}": one.json_value for one in metafields.nodes} if metafields else {}
    return fields.read(type_name, values.get)
