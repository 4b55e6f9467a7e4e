"""Executes a plan: reads level by level, then serializes from the leaves up.

Every edge of a selection is called once, for all rows of the selection, as soon as the rows are known; edges whose rows
are known at the same time run concurrently. Serialization starts when everything is read. With a failure anywhere,
`complete` builds the response instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, islice
from typing import Any

from graphql import GraphQLError, GraphQLNonNull
from graphql.execution.values import VariableValues

from app.errors import Forbidden, TradegraphError
from app.execution.plan.tree import Level, Plan, PlanField, Selection, Serializer
from app.telemetry import without_stack

Waiting = list[tuple[PlanField, Sequence[Any]]]
"""Edges that can be called, each with its rows."""


_NULL = type(None)


class PlanExecution:
    """One run of a plan: the rows of every selection, and the values of every column, row by row."""

    def __init__(self, plan: Plan, variables: VariableValues, ctx: Any) -> None:
        self.plan = plan
        self.ctx = ctx
        self.rows: dict[int, Sequence[Any]] = {}
        self.values: dict[int, Sequence[Any]] = {}
        self.failed = False
        self._variables = variables
        self._arguments: dict[int, dict[str, Any] | Exception] = {}

    async def root(self) -> None:
        """Read everything, from the root fields down, concurrently."""
        self.start()
        for one in self.plan.prefetch:
            arguments = self._arguments_of(one)
            if one.edge is not None and one.edge.prefetch is not None and not isinstance(arguments, Exception):
                one.edge.prefetch(self.ctx, **arguments)
        await _gather([self.root_field(one) for one in self.plan.tree.root.columns])

    def start(self) -> None:
        """Make the root's one row."""
        self.rows[self.plan.tree.root.index] = (None,)

    async def root_field(self, one: PlanField) -> None:
        """Read one root field and everything below it."""
        edge = one.edge
        if one.forbidden or edge is None:
            self._fail(one, 1, Forbidden())
            return
        arguments = self._arguments_of(one)
        if isinstance(arguments, Exception):
            self._fail(one, 1, arguments)
            return
        if edge.keys_from_args is not None and one.level is not None and one.level.only is not None:
            self._prefetch_by_keys(one.level.only, edge.keys_from_args(**arguments))
        try:
            answer = await edge.function(self.ctx, **arguments)
        except Exception as error:  # noqa: BLE001 - whatever failed is the field's answer
            answer = without_stack(error)
        await self._store_and_descend(one, (answer,))

    def _prefetch_by_keys(self, selection: Selection, keys: Sequence[str]) -> None:
        """Start the reads that need only the objects' keys, concurrently with the objects' own."""
        if not keys:
            return
        for one in selection.columns:
            if one.edge is not None and one.edge.prefetch_by_keys is not None and not one.forbidden:
                arguments = self._arguments_of(one)
                if not isinstance(arguments, Exception):
                    one.edge.prefetch_by_keys(self.ctx, keys, **arguments)

    async def _field(self, one: PlanField, rows: Sequence[Any]) -> None:
        await self._store_and_descend(one, await self._edge(one, rows))

    async def _edge(self, one: PlanField, rows: Sequence[Any]) -> Sequence[Any]:
        arguments = self._arguments_of(one)
        if isinstance(arguments, Exception):
            return [arguments] * len(rows)
        try:
            answers = await one.edge.function(rows, self.ctx, **arguments)  # type: ignore[union-attr]
        except Exception as error:  # noqa: BLE001 - whatever failed is the answer of every row
            return [without_stack(error)] * len(rows)
        if len(answers) != len(rows):
            return [
                TradegraphError(detail=f"{one.parent.name}.{one.name} answered {len(answers)} of {len(rows)}")
            ] * len(rows)
        return answers

    async def _store_and_descend(self, one: PlanField, values: Sequence[Any]) -> None:
        waiting: Waiting = []
        self._store_column(one, values, waiting)
        await _gather([self._field(below, rows) for below, rows in waiting])

    def _store_column(self, one: PlanField, values: Sequence[Any], waiting: Waiting) -> None:
        """Store a column and the columns below it that are attributes; edges below it are added to `waiting`."""
        self.values[one.index] = values
        if one.level is not None:
            for selection, rows in self._by_selection(one.level, self._objects(one, values)):
                self._store_rows(selection, rows, waiting)
        elif _failures(values) or (isinstance(one.type, GraphQLNonNull) and None in values):
            self.failed = True

    def _store_rows(self, selection: Selection, rows: Sequence[Any], waiting: Waiting) -> None:
        self.rows[selection.index] = rows
        for one in selection.columns:
            if not rows:
                self.values[one.index] = ()
                self._store_empty_subtree(one)
            elif one.forbidden:
                self._fail(one, len(rows), Forbidden())
            elif one.edge is not None:
                waiting.append((one, rows))
            else:
                self._store_column(one, _attributes(rows, one.attribute or ""), waiting)

    def _store_empty_subtree(self, one: PlanField) -> None:
        for selection in one.level.selections.values() if one.level else ():
            self._store_rows(selection, (), [])

    def _by_selection(self, level: Level, objects: list[Any]) -> Iterable[tuple[Selection, Sequence[Any]]]:
        if level.only is not None:
            return ((level.only, objects),)
        by_type: dict[str, list[Any]] = {name: [] for name in level.selections}
        for value in objects:
            name = self.plan.type_of(value, level)
            if name is None:
                self.failed = True
            else:
                by_type[name].append(value)
        return [(level.selections[name], rows) for name, rows in by_type.items()]

    def _objects(self, one: PlanField, values: Sequence[Any]) -> list[Any]:
        """The distinct objects in the values of a field, by identity, in their first order."""
        nullable = one.nullable
        for depth in range(one.depth):
            values = self._present(distinct(values), nullable=nullable[depth])
            try:
                values = list(chain.from_iterable(values))
            except TypeError:  # Not a list: completion reports it with its path.
                self.failed = True
                values = [item for value in values if isinstance(value, (list, tuple)) for item in value]
        return self._present(distinct(values), nullable=nullable[-1])

    def _present(self, values: list[Any], *, nullable: bool) -> list[Any]:
        """The values without failures and nulls; a failure, or a null of a non-null type, fails the execution."""
        kinds = set(map(type, values))
        wrong = _are_failures(kinds)
        if wrong or (_NULL in kinds and not nullable):
            self.failed = True
        if wrong or _NULL in kinds:
            return [value for value in values if value is not None and not isinstance(value, Exception)]
        return values

    def _fail(self, one: PlanField, rows: int, error: Exception) -> None:
        self.failed = True
        self.values[one.index] = [error] * rows
        self._store_empty_subtree(one)

    def _arguments_of(self, one: PlanField) -> dict[str, Any] | Exception:
        """The arguments of an edge as its function takes them; an exception if they are invalid."""
        known = self._arguments.get(one.index)
        if known is None:
            try:
                known = self.plan.arguments[one.index](self._variables)
            except (GraphQLError, TradegraphError) as error:
                known = error
            self._arguments[one.index] = known
        return known


def _attributes(rows: Sequence[Any], name: str) -> list[Any]:
    try:
        return [getattr(row, name) for row in rows]
    except Exception:  # noqa: BLE001 - each row has its own error
        return [_attribute(row, name) for row in rows]


def _attribute(row: Any, name: str) -> Any:
    try:
        return getattr(row, name)
    except Exception as error:  # noqa: BLE001 - whatever failed is the answer of this row
        return without_stack(error)


async def _gather(reads: Sequence[Any]) -> None:
    if len(reads) == 1:
        await reads[0]
    elif reads:
        await asyncio.gather(*reads)


def serialize(execution: PlanExecution) -> bytes:
    """The response data as JSON, of an execution without failures."""
    serializers = execution.plan.serializers
    if serializers is None:
        raise TypeError("the plan has no serializers")
    (data,) = _serialize(execution, serializers, execution.plan.tree.root)
    return data.encode("latin-1")  # Its characters are the bytes already: see `codegen.utf8`.


def _serialize(execution: PlanExecution, serializers: Mapping[int, Serializer], selection: Selection) -> list[str]:
    rows = execution.rows.get(selection.index)
    if not rows:
        return []
    columns = [_column(execution, serializers, one) for one in selection.columns]
    return serializers[selection.index](rows, *columns)


def _column(execution: PlanExecution, serializers: Mapping[int, Serializer], one: PlanField) -> Sequence[Any]:
    level, values = one.level, execution.values[one.index]
    if level is None:
        return values
    if level.only is not None:
        made = _serialize(execution, serializers, level.only)
        return _distribute(values, one.depth, execution.rows.get(level.only.index, ()), made, in_order=True)
    rows: list[Any] = []
    made = []
    for selection in level.selections.values():
        rows += execution.rows.get(selection.index, ())
        made += _serialize(execution, serializers, selection)
    return _distribute(values, one.depth, rows, made, in_order=False)


def _distribute(
    values: Sequence[Any], depth: int, rows: Sequence[Any], made: Sequence[str], *, in_order: bool
) -> Sequence[str]:
    """The JSON of the rows at the positions where the values hold them; `in_order` if the rows are in the order in
    which the values first hold them."""
    if depth == 0:
        if in_order and len(values) == len(rows):
            return made  # Each row is at one position, and nothing else at any.
        return _by_identity(values, rows, made)
    lists = distinct(values)
    inner = list(chain.from_iterable(value for value in lists if value is not None))
    pieces = iter(_distribute(inner, depth - 1, rows, made, in_order=in_order))
    joined = ["null" if value is None else f"[{','.join(islice(pieces, len(value)))}]" for value in lists]
    return joined if len(lists) == len(values) else _by_identity(values, lists, joined)


def _by_identity(values: Sequence[Any], rows: Sequence[Any], made: Sequence[str]) -> list[str]:
    by_id = dict(zip(map(id, rows), made, strict=True))
    by_id[id(None)] = "null"
    return list(map(by_id.__getitem__, map(id, values)))


def distinct(values: Sequence[Any]) -> list[Any]:
    """The values, each object once, in the order in which they first appear."""
    return list(dict(zip(map(id, values), values, strict=True)).values())


def _failures(values: Sequence[Any]) -> bool:
    return _are_failures(set(map(type, values)))


def _are_failures(kinds: Iterable[type]) -> bool:
    for kind in kinds:  # noqa: SIM110 - a generator costs more than the check, for each column
        if issubclass(kind, Exception):
            return True
    return False
