"""Completes a response that has failures value by value: sections 6.4.3 and 6.4.4 of the specification.

It works on what a plan has read, so nothing is read twice. Every position of a shared object gets its own errors and
paths.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from graphql import GraphQLError, GraphQLList, GraphQLNonNull, Undefined, located_error
from graphql.pyutils import Path

from app.execution.plan.execute import PlanExecution
from app.execution.plan.tree import PlanField, Selection
from app.telemetry import without_stack


class ValueCompletion:
    """One response under construction; `errors` are in the order of the response."""

    def __init__(self, execution: PlanExecution) -> None:
        self._execution = execution
        self.errors: list[GraphQLError] = []
        self._by_row: dict[int, dict[int, Any]] = {}

    def data(self) -> dict[str, Any] | None:
        """The data; None if a failure propagated to the root."""
        try:
            return self._object(self._execution.plan.tree.root, None, None)
        except GraphQLError as error:
            self.errors.append(without_stack(error))
            return None

    def propagates(self, one: PlanField) -> bool:
        """Whether a root field's failure makes the whole response null."""
        root = self._execution.plan.tree.root
        try:
            self._field(root, one, None, Path(None, one.key, root.type.name))
        except GraphQLError:
            return True
        return False

    def _object(self, selection: Selection, row: Any, path: Path | None) -> dict[str, Any]:
        name = selection.type.name
        count = len(self.errors)
        made: dict[str, Any] = {}
        for one in selection.fields:
            try:
                made[one.key] = self._field(selection, one, row, Path(path, one.key, name))
            except GraphQLError:
                # The object will be null: of its errors only the one that made it null is reported, by the caller.
                del self.errors[count:]
                raise
        return made

    def _field(self, selection: Selection, one: PlanField, row: Any, path: Path) -> Any:
        try:
            value = self._raw(selection, one, row)
            if one.mask is not None and not isinstance(value, Exception):
                value = one.mask(value)
            return self._complete(one.type, one, value, path)
        except Exception as cause:
            error = _located(without_stack(cause), one, path)
            if isinstance(one.type, GraphQLNonNull):
                raise error from cause
            self.errors.append(error)
            return None

    def _raw(self, selection: Selection, one: PlanField, row: Any) -> Any:
        if one.is_typename:
            return one.parent.name
        if one.is_inline:
            return getattr(row, one.attribute or "")
        known = self._by_row.get(one.index)
        if known is None:
            rows = self._execution.rows[selection.index]
            known = self._by_row[one.index] = dict(zip(map(id, rows), self._execution.values[one.index], strict=True))
        return known[id(row)]

    def _complete(self, type_: Any, one: PlanField, value: Any, path: Path) -> Any:
        if isinstance(value, Exception):
            raise value
        if isinstance(type_, GraphQLNonNull):
            completed = self._complete(type_.of_type, one, value, path)
            if completed is None:
                raise TypeError(f"Cannot return null for non-nullable field {one.parent.name}.{one.name}.")
            return completed
        if value is None:
            return None
        if isinstance(type_, GraphQLList):
            return self._list(type_.of_type, one, value, path)
        if one.level is None:
            return _leaf(type_, value)
        name = self._execution.plan.type_of(value, one.level)
        if name is None:
            raise TypeError(f"No type of {one.level.type_name} is bound to {type(value).__name__}.")
        return self._object(one.level.selections[name], value, path)

    def _list(self, type_: Any, one: PlanField, values: Iterable[Any], path: Path) -> list[Any]:
        count = len(self.errors)
        made: list[Any] = []
        for index, value in enumerate(values):
            at = Path(path, index, None)
            try:
                made.append(self._complete(type_, one, value, at))
            except Exception as cause:
                error = _located(without_stack(cause), one, at)
                if isinstance(type_, GraphQLNonNull):
                    del self.errors[count:]
                    raise error from cause
                self.errors.append(error)
                made.append(None)
        return made


def _leaf(type_: Any, value: Any) -> Any:
    written = type_.coerce_output_value(value)
    if written is None or written is Undefined:
        raise TypeError(f"{type_.name} serialized to nothing for a {type(value).__name__}.")
    return written


def _located(cause: Exception, one: PlanField, path: Path) -> GraphQLError:
    if isinstance(cause, GraphQLError) and cause.path is not None:
        return cause
    return located_error(cause, list(one.nodes), path.as_list())
