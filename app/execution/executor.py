"""graphql-core's executor with short cuts through what nearly every field is: an attribute of a record, or an edge.

A short cut is taken only where it is sure to end as graphql-core's own way does: a leaf that can be written, an object
of its type. All else, and whatever fails, is left to graphql-core's methods.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from graphql import (
    Executor,
    GraphQLEnumType,
    GraphQLError,
    GraphQLField,
    GraphQLLeafType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    Undefined,
    is_leaf_type,
)
from graphql.execution.values import get_argument_values
from graphql.pyutils import Path, gather_with_cancel
from graphql.pyutils.is_awaitable import is_awaitable

from app.execution.compiler import DEFINITION
from app.schema.guards import closed, is_guarded

Write = Callable[[Any], Any]


class Values(dict[type, bool]):
    """Whether instances of a class are values: neither awaited nor raised. Each class is looked at once."""

    def __missing__(self, cls: type) -> bool:
        self[cls] = found = not issubclass(cls, BaseException) and not hasattr(cls, "__await__")
        return found


class Leaves:
    """How leaves are written, for one schema."""

    def __init__(self) -> None:
        self.values = Values()
        self._writers: dict[GraphQLLeafType, Write] = {}

    def writer(self, type_: GraphQLLeafType) -> Write:
        """What writes a value of the type; an enum's few values are looked for once."""
        found = self._writers.get(type_)
        if found is None:
            write = type_.coerce_output_value
            kept = lru_cache(maxsize=1000, typed=True)(write) if isinstance(type_, GraphQLEnumType) else write
            found = self._writers[type_] = kept
        return found


class Place:
    """A field where it stands in the document: what holds for all objects that are found there.

    `attribute` is set for a plain field, `write` too if it is a leaf; `load` for an edge. graphql-core does all others.
    """

    __slots__ = ("attribute", "details", "info", "load", "nullable", "type", "values", "write")

    def __init__(self, definition: GraphQLField, details: list[Any], info: Any, values: Values) -> None:
        self.type: GraphQLOutputType = definition.type
        self.details = details  # kept, for places are known by it
        self.info = info
        self.values = values
        self.nullable = not isinstance(definition.type, GraphQLNonNull)
        self.attribute: str = ""
        self.write: Write | None = None
        self.load: Callable[[Any], Any] | None = None

    def leaf(self, source: Any, write: Write) -> Any:
        """A plain leaf as it is written; Undefined where graphql-core has to look at it."""
        value = getattr(source, self.attribute, Undefined)
        if value is None:
            return None if self.nullable else Undefined
        if not self.values[value.__class__]:
            return Undefined
        try:
            written = write(value)
        except Exception:  # noqa: BLE001 - it fails again where graphql-core tells failures
            return Undefined
        return Undefined if written is None else written


class LeanExecutor(Executor[None]):
    """Answers as `Executor` does."""

    def __init__(self, *given: Any, leaves: Leaves, **more: Any) -> None:
        super().__init__(*given, **more)
        self._leaves = leaves
        self._places: dict[int, Place] = {}

    def execute_fields(
        self,
        parent_type: GraphQLObjectType,
        source_value: Any,
        path: Path | None,
        grouped_field_set: Any,
        position_context: None,
    ) -> Any:
        """Write plain leaves at once; all other fields are executed one by one, side by side where they wait."""
        results: dict[str, Any] = {}
        waiting: list[str] = []
        places, values = self._places, self._leaves.values
        try:
            for key, details in grouped_field_set.items():
                place = places.get(id(details)) or self._place(parent_type, details)
                if place.write is not None:
                    written = place.leaf(source_value, place.write)
                    if written is not Undefined:
                        results[key] = written
                        continue
                field_path = Path(path, key, parent_type.name)
                result = self.execute_field(parent_type, source_value, details, field_path, None)
                if result is not Undefined:
                    results[key] = result
                    if not values[result.__class__]:
                        waiting.append(key)
        except Exception:
            if waiting:
                self.settle_in_background([results[key] for key in waiting])
            raise
        return _all(results, waiting) if waiting else results

    def execute_field(
        self, parent_type: GraphQLObjectType, source: Any, field_details_list: Any, path: Path, position_context: None
    ) -> Any:
        """Read an attribute or ask an edge's batch, and complete the value."""
        place = self._places.get(id(field_details_list)) or self._place(parent_type, field_details_list)
        if not place.attribute and place.load is None:
            return super().execute_field(parent_type, source, field_details_list, path, None)
        try:
            result = place.load(source) if place.load else getattr(source, place.attribute)
            if is_awaitable(result):
                return self.complete_awaitable_value(place.type, field_details_list, place.info, path, result, None)
            completed = self.complete_value(place.type, field_details_list, place.info, path, result, None)
            if is_awaitable(completed):
                return self._completed(completed, place.type, field_details_list, path)
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to the field
            self.handle_field_error(error, place.type, field_details_list, path)
            return None
        return completed

    async def _completed(self, completed: Any, type_: GraphQLOutputType, details: Any, path: Path) -> Any:
        try:
            return await completed
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to the field
            self.handle_field_error(error, type_, details, path)
            return None

    def complete_value(
        self,
        return_type: GraphQLOutputType,
        field_details_list: Any,
        info: Any,
        path: Path,
        result: Any,
        position_context: None,
    ) -> Any:
        """Complete an object of its type; anything else is graphql-core's."""
        bare = return_type.of_type if isinstance(return_type, GraphQLNonNull) else return_type
        if isinstance(bare, GraphQLObjectType) and result is not None and not isinstance(result, Exception):
            is_type_of = bare.is_type_of
            if is_type_of is None or is_type_of(result, info) is True:
                fields = self.collect_subfields(bare, field_details_list).grouped_field_set
                return self.execute_fields(bare, result, path, fields, None)
        return super().complete_value(return_type, field_details_list, info, path, result, None)

    def _place(self, parent: GraphQLObjectType, details: list[Any]) -> Place:
        node = details[0].node
        definition: Any = self.schema.get_field(parent, node.name.value)
        info = self.build_resolve_info(definition, [one.node for one in details], parent, Path(None, "", None))
        place = self._places[id(details)] = Place(definition, details, info, self._leaves.values)
        source = definition.extensions.get(DEFINITION)
        if is_guarded(definition) and closed(definition, parent.name, node.name.value, self.context_value.rights):
            return place  # its resolver refuses or masks
        if hasattr(source, "plain_arguments"):
            place.load = self._loader(source, definition, details[0])
        elif source is not None and not definition.args and source.is_basic_field:
            place.attribute = source.python_name
            bare = definition.type if place.nullable else definition.type.of_type
            place.write = self._leaves.writer(bare) if is_leaf_type(bare) else None
        return place

    def _loader(self, edge: Any, definition: GraphQLField, details: Any) -> Callable[[Any], Any] | None:
        """The batch of an edge with its arguments here. What cannot be read fails where graphql-core reads it."""
        if edge.is_root:
            return None
        try:
            given = get_argument_values(
                definition, details.node, self.variable_values, details.fragment_variable_values, self.hide_suggestions
            )
        except GraphQLError:
            return None
        return edge.level(self.context_value, edge.plain_arguments(given)).load


async def _all(results: dict[str, Any], waiting: list[str]) -> dict[str, Any]:
    """The results, with those that are awaited in their places."""
    if len(waiting) == 1:
        results[waiting[0]] = await results[waiting[0]]
    else:
        awaited = await gather_with_cancel(*(results[key] for key in waiting))
        results.update(zip(waiting, awaited, strict=True))
    return results
