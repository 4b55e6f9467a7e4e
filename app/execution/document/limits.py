"""Limits of a document and its variables; docs/limits.md says what each counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from app.errors import LimitExceeded
from app.execution.document.measure import Measure

MAX_INTROSPECTION_FIELDS = 5
"""`__schema` and `__type` in one operation: each produces the whole schema."""


@dataclass(frozen=True, slots=True)
class DocumentLimits:
    """The maximum of each kind in one document."""

    tokens: int = 3_000
    depth: int = 20
    aliases: int = 100
    root_fields: int = 20
    fields: int = 2_000
    directives: int = 100
    directives_per_place: int = 5
    list_items: int = 1_000
    introspection_depth: int = 1
    operations: int = 50
    variable_values: int = 10_000


NORMAL = DocumentLimits()


def check_limit(name: str, actual: int, most: int) -> None:
    """Raise LimitExceeded if `actual` exceeds `most`."""
    if actual > most:
        raise LimitExceeded(name, most, actual)


def check_measure(measure: Measure, limits: DocumentLimits) -> None:
    """Raise LimitExceeded for the first limit that an operation exceeds."""
    check_limit("fields", measure.fields, limits.fields)
    check_limit("depth", measure.depth, limits.depth)
    check_limit("rootFields", measure.width, limits.root_fields)
    if measure.introspections:
        check_limit("introspectionFields", measure.introspections, MAX_INTROSPECTION_FIELDS)
        check_limit("introspectionDepth", measure.type_lists, limits.introspection_depth)


def check_variables(variables: Mapping[str, Any], limits: DocumentLimits) -> None:
    """Raise LimitExceeded for a list that is too long, or for too many values in all: graphql-core makes an error for
    each wrong one."""
    values = 0
    waiting: list[Any] = [variables]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            inner: Iterable[Any] = value.values()
        elif isinstance(value, list):
            check_limit("listItems", len(value), limits.list_items)
            inner = value
        else:
            continue
        values += len(value)
        check_limit("variableValues", values, limits.variable_values)
        waiting.extend(inner)
