"""graphql-core's executor with short cuts through what nearly every field is: an attribute of a record, or an edge.

A short cut is taken only where it is sure to end as graphql-core's own way does: a leaf that can be written, an object
of its type. All else, and whatever fails, is left to graphql-core's methods.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

from graphql import (
    Executor,
    GraphQLEnumType,
    GraphQLError,
    GraphQLField,
    GraphQLLeafType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    Undefined,
    is_leaf_type,
)
from graphql.execution.values import get_argument_values
from graphql.pyutils import Path
from graphql.pyutils.is_awaitable import is_awaitable

from app.execution.later import All, Later
from app.execution.plan.compile import DEFINITION
from app.schema.declare.guards import is_guarded, is_restricted

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
        self._tasks: list[asyncio.Future[Any]] = []
        self._ended = False

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
        for key, details in grouped_field_set.items():
            place = places.get(id(details)) or self._place(parent_type, details)
            if place.write is not None:
                written = place.leaf(source_value, place.write)
                if written is not Undefined:
                    results[key] = written
                    continue
            field_path = Path(path, key, parent_type.name)
            result = self.execute_field(parent_type, source_value, details, field_path, None)
            if result is Undefined:
                continue
            results[key] = result
            if not values[result.__class__]:
                results[key] = self._later(result)
                waiting.append(key)
        return All(results, waiting) if waiting else results

    def execute_field(
        self, parent_type: GraphQLObjectType, source: Any, field_details_list: Any, path: Path, position_context: None
    ) -> Any:
        """Read an attribute or ask an edge's batch, and complete the value."""
        place = self._places.get(id(field_details_list)) or self._place(parent_type, field_details_list)
        if not place.attribute and place.load is None:
            return super().execute_field(parent_type, source, field_details_list, path, None)
        try:
            result = place.load(source) if place.load else getattr(source, place.attribute)
            if isinstance(result, asyncio.Future):
                later = Later()
                result.add_done_callback(partial(self._answered, later, place, path))
                return later
            completed = self.complete_value(place.type, field_details_list, place.info, path, result, None)
            if is_awaitable(completed):
                return self._guarded(completed, place.type, field_details_list, path)
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to the field
            self.handle_field_error(error, place.type, field_details_list, path)
            return None
        return completed

    def _answered(self, later: Later, place: Place, path: Path, answer: asyncio.Future[Any]) -> None:
        """An edge's answer for one parent has come: complete it."""
        if self._ended or answer.cancelled():
            return
        try:
            completed = self.complete_value(place.type, place.details, place.info, path, answer.result(), None)
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to the field
            self._failed(later, place.type, place.details, path, error)
            return
        if is_awaitable(completed):
            self._later(completed).then(partial(self._completed, later, place.type, place.details, path))
        else:
            later.settle(completed)

    def _guarded(self, completed: Any, type_: GraphQLOutputType, details: Any, path: Path) -> Later:
        later = Later()
        self._later(completed).then(partial(self._completed, later, type_, details, path))
        return later

    def _completed(self, later: Later, type_: GraphQLOutputType, details: Any, path: Path, one: Later) -> None:
        if isinstance(one.error, Exception):
            self._failed(later, type_, details, path, one.error)
        else:
            later.settle(one.value, one.error)

    def _failed(self, later: Later, type_: GraphQLOutputType, details: Any, path: Path, error: Exception) -> None:
        try:
            self.handle_field_error(error, type_, details, path)
        except Exception as raised:  # noqa: BLE001 - the parent's, for this may not be null
            later.settle(None, raised)
        else:
            later.settle(None)

    def _later(self, awaited: Any) -> Later:
        """What graphql-core awaits, as what is waited for here."""
        if isinstance(awaited, Later):
            return awaited
        later = Later()
        task = asyncio.ensure_future(awaited)
        self._tasks.append(task)
        task.add_done_callback(partial(_ended, later))
        return later

    def end(self) -> None:
        """The run is over, or nobody waits for it any more: what still runs is stopped, what still comes is left."""
        self._ended = True
        for task in self._tasks:
            task.cancel()

    def complete_list_value(
        self,
        return_type: GraphQLList[Any],
        field_details_list: Any,
        info: Any,
        path: Path,
        result: Any,
        position_context: None,
    ) -> Any:
        """Complete a list or tuple of values that are there; anything else, and what streams, is graphql-core's."""
        plain = isinstance(result, (list, tuple)) and not field_details_list[0].node.directives
        if not plain or any(map(is_awaitable, result)):
            return super().complete_list_value(return_type, field_details_list, info, path, result, None)
        items: list[Any] = []
        waiting: list[int] = []
        type_ = return_type.of_type
        for index, item in enumerate(result):
            item_path = Path(path, index, None)
            try:
                completed = self.complete_value(type_, field_details_list, info, item_path, item, None)
            except Exception as error:  # noqa: BLE001 - whatever it is belongs to the item
                self.handle_field_error(error, type_, field_details_list, item_path)
                completed = None
            if is_awaitable(completed):
                completed = self._guarded(completed, type_, field_details_list, item_path)
                waiting.append(index)
            items.append(completed)
        return All(items, waiting) if waiting else items

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
        if is_guarded(definition) and is_restricted(
            definition, parent.name, node.name.value, self.context_value.permissions
        ):
            return place  # its resolver refuses or masks
        if hasattr(source, "resolver_arguments"):
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
        return edge.level(self.context_value, edge.resolver_arguments(given)).load


def _ended(later: Later, task: asyncio.Future[Any]) -> None:
    if task.cancelled():
        later.settle(None, asyncio.CancelledError())
    elif task.exception() is not None:
        later.settle(None, task.exception())
    else:
        later.settle(task.result())
