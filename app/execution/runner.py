"""Runs a plan: reads level by level, then shapes from the leaves up.

Every edge of a selection is asked once, for all rows of the selection, as soon as the rows are known; edges of one
level run side by side. Nothing is shaped before all is read. A failure anywhere hands the rows to `completion`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from graphql import GraphQLError, GraphQLNonNull
from graphql.execution.values import VariableValues, get_argument_values

from app.errors import Forbidden, TradegraphError
from app.execution.shape import Level, PlanField, Selection

if TYPE_CHECKING:
    from app.execution.plans import Plan


class Reading:
    """What one run of a plan has read: for every selection its rows, for every column its values, row by row."""

    def __init__(self, plan: Plan, variables: VariableValues, ctx: Any) -> None:
        self.plan = plan
        self.ctx = ctx
        self.rows: dict[int, Sequence[Any]] = {}
        self.values: dict[int, Sequence[Any]] = {}
        self.failed = False
        self._variables = variables

    async def root(self) -> None:
        """Read everything, from the root's fields down."""
        root = self.plan.tree.root
        self.rows[root.index] = (None,)
        for one in self.plan.early:
            arguments = self.arguments(one)
            if one.edge is not None and one.edge.early is not None and not isinstance(arguments, Exception):
                one.edge.early(self.ctx, **arguments)
        await _together([self._root_field(one) for one in root.columns])

    async def _root_field(self, one: PlanField) -> None:
        edge = one.edge
        arguments = self.arguments(one)
        if one.refused or edge is None or isinstance(arguments, Exception):
            self._fail(one, 1, arguments if isinstance(arguments, Exception) else Forbidden())
            return
        if edge.known_key is not None and one.level is not None and one.level.only is not None:
            self._read_ahead(one.level.only, edge.known_key(**arguments))
        try:
            answer = await edge.function(self.ctx, **arguments)
        except Exception as error:  # noqa: BLE001 - whatever failed is the field's answer
            answer = error
        await self._answered(one, (answer,))

    def _read_ahead(self, selection: Selection, key: Any) -> None:
        """Start, beside the object itself, what is read by its key."""
        if key is None:
            return
        for one in selection.fields:
            if one.edge is not None and one.edge.ahead is not None and not one.refused:
                arguments = self.arguments(one)
                if not isinstance(arguments, Exception):
                    one.edge.ahead(self.ctx, key, **arguments)

    async def _selection(self, selection: Selection, rows: Sequence[Any]) -> None:
        self.rows[selection.index] = rows
        if rows:
            await _together([self._field(one, rows) for one in selection.columns])
        else:
            for one in selection.columns:
                self.values[one.index] = ()
                self._nothing_below(one)

    def _nothing_below(self, one: PlanField) -> None:
        for selection in one.level.selections.values() if one.level else ():
            self.rows[selection.index] = ()
            for below in selection.columns:
                self.values[below.index] = ()
                self._nothing_below(below)

    async def _field(self, one: PlanField, rows: Sequence[Any]) -> None:
        if one.refused:
            self._fail(one, len(rows), Forbidden())
        elif one.edge is None:
            await self._answered(one, _attributes(rows, one.attribute or ""))
        else:
            await self._answered(one, await self._edge(one, rows))

    async def _edge(self, one: PlanField, rows: Sequence[Any]) -> Sequence[Any]:
        arguments = self.arguments(one)
        if isinstance(arguments, Exception):
            return [arguments] * len(rows)
        try:
            answers = await one.edge.function(rows, self.ctx, **arguments)  # type: ignore[union-attr]
        except Exception as error:  # noqa: BLE001 - whatever failed is the answer of every row
            return [error] * len(rows)
        if len(answers) != len(rows):
            return [
                TradegraphError(detail=f"{one.parent.name}.{one.name} answered {len(answers)} of {len(rows)}")
            ] * len(rows)
        return answers

    async def _answered(self, one: PlanField, values: Sequence[Any]) -> None:
        self.values[one.index] = values
        if one.level is not None:
            await self._level(one.level, self._objects(one, values))
        elif _failures(values) or (isinstance(one.type, GraphQLNonNull) and None in values):
            self.failed = True

    async def _level(self, level: Level, objects: Mapping[int, Any]) -> None:
        only = level.only
        if only is not None:
            await self._selection(only, list(objects.values()))
            return
        by_type: dict[str, list[Any]] = {name: [] for name in level.selections}
        for value in objects.values():
            name = self.plan.type_of(value, level)
            if name is None:
                self.failed = True
            else:
                by_type[name].append(value)
        await _together([self._selection(level.selections[name], rows) for name, rows in by_type.items()])

    def _objects(self, one: PlanField, values: Sequence[Any]) -> dict[int, Any]:
        """The distinct objects in the values of a field, by identity, in their first order."""
        nullable = one.nullable
        for depth in range(one.depth):
            if not self._sound(values, nullable=nullable[depth]):
                values = [value for value in values if value is not None and not isinstance(value, Exception)]
            try:
                values = [item for value in values for item in value]
            except TypeError:  # No list: completion says so in its place.
                self.failed = True
                values = [item for value in values if isinstance(value, (list, tuple)) for item in value]
        if not self._sound(values, nullable=nullable[-1]):
            values = [value for value in values if value is not None and not isinstance(value, Exception)]
        return {id(value): value for value in values}

    def _sound(self, values: Sequence[Any], *, nullable: bool) -> bool:
        """Whether there is neither a failure nor a null among the values."""
        kinds = set(map(type, values))
        if any(issubclass(kind, Exception) for kind in kinds) or (type(None) in kinds and not nullable):
            self.failed = True
            return False
        return type(None) not in kinds

    def _fail(self, one: PlanField, rows: int, error: Exception) -> None:
        self.failed = True
        self.values[one.index] = [error] * rows
        self._nothing_below(one)

    def arguments(self, one: PlanField) -> dict[str, Any] | Exception:
        """The field's arguments as its function takes them; an exception if they cannot be read."""
        constant = self.plan.constants.get(one.index)
        if constant is not None:
            return constant
        try:
            values = get_argument_values(one.parent.fields[one.name], one.nodes[0], self._variables)
            return one.edge.plain_arguments(values) if one.edge else {}
        except (GraphQLError, TradegraphError) as error:
            return error


def _attributes(rows: Sequence[Any], name: str) -> list[Any]:
    """The attribute of every row; a property that fails stands as its error."""
    try:
        return [getattr(row, name) for row in rows]
    except Exception:  # noqa: BLE001 - found out row by row
        return [_attribute(row, name) for row in rows]


def _attribute(row: Any, name: str) -> Any:
    try:
        return getattr(row, name)
    except Exception as error:  # noqa: BLE001 - whatever failed is the answer of this row
        return error


async def _together(reads: Sequence[Any]) -> None:
    if len(reads) == 1:
        await reads[0]
    elif reads:
        await asyncio.gather(*reads)


def shaped(reading: Reading) -> dict[str, Any]:
    """The answer's data, of a reading without failures."""
    (data,) = _shape(reading, reading.plan.tree.root)
    return data


def _shape(reading: Reading, selection: Selection) -> list[Any]:
    rows = reading.rows[selection.index]
    columns = [_column(reading, one) for one in selection.columns] if rows else ()
    return reading.plan.shapers[selection.index](rows, *columns) if rows else []


def _column(reading: Reading, one: PlanField) -> Sequence[Any]:
    values = reading.values[one.index]
    if one.level is None:
        return values
    selections = one.level.selections.values()
    if one.level.only is not None:
        (selection,) = selections
        rows = reading.rows[selection.index]
        made = _shape(reading, selection)
        if one.depth == 0 and len(rows) == len(values):
            return made  # Every value is another object, in this order.
        by_id = dict(zip(map(id, rows), made, strict=True))
    else:
        by_id = {}
        for selection in selections:
            rows = reading.rows.get(selection.index, ())
            by_id.update(zip(map(id, rows), _shape(reading, selection), strict=True))
    by_id[id(None)] = None
    if one.depth == 0:
        return [by_id[id(value)] for value in values]
    if one.depth == 1:
        return [None if value is None else [by_id[id(item)] for item in value] for value in values]
    return [_nested(value, one.depth, by_id) for value in values]


def _nested(value: Any, depth: int, made: Mapping[int, Any]) -> Any:
    if value is None or depth == 0:
        return made[id(value)]
    return [_nested(item, depth - 1, made) for item in value]


def _failures(values: Sequence[Any]) -> bool:
    return any(issubclass(kind, Exception) for kind in set(map(type, values)))
