"""Breaking schema changes: served documents that become invalid, and announced removals.

A reason of `@deprecated` ends with the day from which the element may be removed: `Use b instead. Removal: 2027-06-01.`
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from graphql import (
    GraphQLError,
    GraphQLSchema,
    is_enum_type,
    is_input_object_type,
    is_interface_type,
    is_object_type,
    parse,
    validate,
)
from graphql.utilities.find_schema_changes import BreakingChange, BreakingChangeType, find_schema_changes

from app.gateway.documents.publishing.checks import fields_of
from app.gateway.documents.stores.document_store import StoredDocument

REMOVAL = re.compile(r"\bRemoval: (\d{4}-\d{2}-\d{2})\b")
COORDINATE = re.compile(r"\b(\w+\.\w+(?:\(\w+:\))?)")
REMOVED = {
    BreakingChangeType.FIELD_REMOVED,
    BreakingChangeType.ARG_REMOVED,
    BreakingChangeType.VALUE_REMOVED_FROM_ENUM,
}


@dataclass(frozen=True, slots=True)
class BrokenDocument:
    """A document that a new schema breaks, with the reasons."""

    document: StoredDocument
    reasons: tuple[str, ...]


def broken_documents(
    documents: Iterable[StoredDocument], new: GraphQLSchema, old: GraphQLSchema | None = None
) -> list[BrokenDocument]:
    """Those that are not valid any more; with the old schema also those whose fields change their type."""
    changed = _changed_fields(old, new) if old is not None else {}
    found = []
    for one in documents:
        node = parse(one.text)
        reasons = [_describe(error) for error in validate(new, node)]
        if old is not None:
            selected = {field for field, _, _ in fields_of(node, old)}
            reasons += [reason for field, reason in changed.items() if field in selected]
        if reasons:
            found.append(BrokenDocument(one, tuple(dict.fromkeys(reasons))))
    return found


def _describe(error: GraphQLError) -> str:
    start = error.locations[0] if error.locations else None
    return f"{start.line}:{start.column} {error.message}" if start else error.message


def _changed_fields(old: GraphQLSchema, new: GraphQLSchema) -> Mapping[str, str]:
    kinds = {BreakingChangeType.FIELD_CHANGED_KIND}
    return {_coordinate(change): change.description for change in _breaking(old, new) if change.type in kinds}


def _breaking(old: GraphQLSchema, new: GraphQLSchema) -> Iterator[BreakingChange]:
    for change in find_schema_changes(old, new):
        if isinstance(change, BreakingChange):
            yield change


def _coordinate(change: BreakingChange) -> str:
    found = COORDINATE.search(change.description)
    return found[1] if found else ""


def breaking_changes(old: GraphQLSchema, new: GraphQLSchema) -> list[str]:
    """All breaking changes, used or not."""
    return sorted(change.description for change in _breaking(old, new))


def deprecations(schema: GraphQLSchema) -> dict[str, str]:
    """What is deprecated, by its coordinate, with the reason."""
    return {coordinate: reason for coordinate, reason in _deprecated(schema) if reason is not None}


def removal_of(reason: str) -> date | None:
    """The day from which a deprecated element may be removed."""
    found = REMOVAL.search(reason)
    try:
        return date.fromisoformat(found[1]) if found else None
    except ValueError:
        return None


def undated_deprecations(schema: GraphQLSchema) -> list[str]:
    """Deprecated elements that do not say when they go."""
    return sorted(name for name, reason in deprecations(schema).items() if removal_of(reason) is None)


def removed_early(old: GraphQLSchema, new: GraphQLSchema, today: date) -> list[str]:
    """What is removed before the day that was promised, or without a promise."""
    promised = deprecations(old)
    found = []
    for change in _breaking(old, new):
        name = _coordinate(change)
        if change.type not in REMOVED or name.partition(".")[0] not in new.type_map:
            continue
        day = removal_of(promised.get(name, ""))
        if day is None:
            found.append(f"{change.description} It was not deprecated with a date of removal.")
        elif today < day:
            found.append(f"{change.description} It was promised until {day}.")
    return sorted(found)


def deprecated_in(document: StoredDocument, schema: GraphQLSchema) -> dict[str, date | None]:
    """The deprecated fields that a document selects, with their day."""
    known = deprecations(schema)
    selected = sorted({field for field, _, _ in fields_of(parse(document.text), schema)})
    return {field: removal_of(known[field]) for field in selected if field in known}


def _deprecated(schema: GraphQLSchema) -> Iterator[tuple[str, str | None]]:
    for type_ in schema.type_map.values():
        if type_.name.startswith("__"):
            continue
        if is_enum_type(type_):
            for name, value in type_.values.items():  # type: ignore[union-attr]
                yield f"{type_.name}.{name}", value.deprecation_reason
        elif is_object_type(type_) or is_interface_type(type_) or is_input_object_type(type_):
            for name, field in type_.fields.items():  # type: ignore[union-attr]
                yield f"{type_.name}.{name}", field.deprecation_reason
                for argument, one in getattr(field, "args", {}).items():
                    yield f"{type_.name}.{name}({argument}:)", one.deprecation_reason
