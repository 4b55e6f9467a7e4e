"""Generates the Python that shapes all objects of a selection at once: one comprehension, no call per object or field.

For each selection a function `shape_N(rows, ...)` gets the rows and, for every field that was read or shaped before, a
column with its value for each row. Plain fields are attribute reads; plain objects below are written in place. It
is right only for rows that the type promises and columns without failures: with a failure anywhere, the answer is built
by `completion` instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLOutputType,
    GraphQLScalarType,
)

from app.execution.shape import Level, PlanField, Selection, Tree

NATIVE = frozenset({"String", "Boolean", "ID", "Cursor", "Date"})
"""Scalars whose values on records are what JSON takes as it is."""

Shaper = Callable[..., list[Any]]


class Source:
    """The text of a plan's shapers, and the names that the text uses."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: dict[str, Any] = {"moment": write_moment, "UTC": UTC}
        self._count = 0

    def name(self) -> str:
        """A fresh local name."""
        self._count += 1
        return f"v{self._count}"

    def bind(self, prefix: str, type_: Any, make: Callable[[Any], Any]) -> str:
        """The global name of what writes values of a type."""
        name = f"{prefix}_{type_.name}"
        if name not in self.names:
            self.names[name] = make(type_)
        return name


def decimal_writer(type_: GraphQLScalarType) -> Callable[[Decimal], str]:
    """Plain digits. The common case without an exponent costs one conversion; the scalar itself writes the others."""
    serialize = type_.coerce_output_value

    def write_decimal(value: Decimal) -> str:
        text = str(value)
        return serialize(value) if "E" in text or "N" in text or "I" in text or len(text) > 40 else text

    return write_decimal


def write_moment(value: datetime) -> datetime:
    """A moment of any zone as one that the encoder writes with a Z."""
    return value.astimezone(UTC)


def generate(tree: Tree) -> tuple[str, dict[int, Shaper]]:
    """The text of all shapers, and the functions by their selection's index."""
    source = Source()
    needed = [tree.root]
    _write_shaper(tree.root, (), source)
    for level in (one.level for one in tree.walk() if one.level is not None and not one.is_inline):
        for selection in level.selections.values():
            needed.append(selection)
            _write_shaper(selection, level.path, source)
    text = "\n".join(source.lines)
    scope = dict(source.names)
    exec(compile(text, "<plan>", "exec"), scope)  # noqa: S102 - the text is made of the schema's own names, quoted by repr
    return text, {selection.index: scope[f"shape_{selection.index}"] for selection in needed}


def _write_shaper(selection: Selection, path: Sequence[str], source: Source) -> None:
    columns = selection.columns
    names = {one.index: f"c{one.index}" for one in columns}
    source.lines += [
        f"def shape_{selection.index}(rows{''.join(f', {name}' for name in names.values())}):",
        f"    # {'.'.join(path) or 'the answer'}: {selection.type.name}",
    ]
    row = "r"
    values = {one.index: f"x{one.index}" for one in columns}
    parts = [f"{one.key!r}: {_value(one, row, values, source)}" for one in selection.fields]
    targets = ", ".join([row, *values.values()])
    rows = f"zip(rows, {', '.join(names.values())})" if names else "rows"
    source.lines += [
        "    return [",
        "        {" + ", ".join(parts) + "}",
        f"        for {targets} in {rows}",
        "    ]",
    ]


def _value(one: PlanField, row: str, values: dict[int, str], source: Source) -> str:
    if one.is_typename:
        return repr(one.parent.name)
    if one.index in values:
        if one.level is not None:
            return values[one.index]
        return _written(one.type, _masked(one, values[one.index], source), None, source)
    return _written(one.type, _masked(one, f"{row}.{one.attribute}", source), one.level, source)


def _masked(one: PlanField, expression: str, source: Source) -> str:
    """What this caller sees of a value: the mask is called where the rights say so, and nowhere else."""
    if one.mask is None:
        return expression
    name = f"mask_{one.mask.__name__}"
    source.names[name] = one.mask
    return f"{name}({expression})"


def _written(type_: GraphQLOutputType, expression: str, level: Level | None, source: Source) -> str:
    """An expression for a plain value of a type, in place."""
    if isinstance(type_, GraphQLNonNull):
        return _present(type_.of_type, expression, level, source)
    if level is None and _is_native(type_):
        return expression
    name = source.name()
    return f"(None if ({name} := {expression}) is None else {_present(type_, name, level, source)})"


def _present(type_: GraphQLOutputType, expression: str, level: Level | None, source: Source) -> str:
    if isinstance(type_, GraphQLList):
        if level is None and _is_native(_without_null(type_.of_type)):
            return expression
        name = source.name()
        return f"[{_written(type_.of_type, name, level, source)} for {name} in {expression}]"
    if level is not None:
        return _object(level, expression, source)
    if isinstance(type_, GraphQLScalarType) and type_.name == "Decimal":
        return f"{source.bind('decimal', type_, decimal_writer)}({expression})"
    if isinstance(type_, GraphQLScalarType) and type_.name == "DateTime":
        return _moment(expression, source)
    if isinstance(type_, GraphQLScalarType) and type_.name == "Int":
        return _integer(type_, expression, source)
    if _is_native(type_):
        return expression
    return f"{source.bind('write', type_, _writer)}({expression})"


def _moment(expression: str, source: Source) -> str:
    """A moment that is in UTC as it is, in place."""
    name = expression if expression.isidentifier() else source.name()
    given = name if name == expression else f"({name} := {expression})"
    return f"({name} if {given}.tzinfo is UTC else moment({name}))"


def _integer(type_: GraphQLScalarType, expression: str, source: Source) -> str:
    """A number of 32 bits, in place; the scalar refuses any other."""
    name = expression if expression.isidentifier() else source.name()
    given = name if name == expression else f"({name} := {expression})"
    return f"({name} if -2147483648 <= {given} <= 2147483647 else {source.bind('write', type_, _writer)}({name}))"


def _object(level: Level, expression: str, source: Source) -> str:
    """An object in place; its fields are all plain, or it would have a column."""
    selection = level.only
    if selection is None:
        raise TypeError("an abstract type is never written in place")
    name = expression if expression.isidentifier() else source.name()
    inner = "{" + ", ".join(f"{one.key!r}: {_value(one, name, {}, source)}" for one in selection.fields) + "}"
    return inner if name == expression else f"(({name} := {expression}), {inner})[1]"


def _writer(type_: Any) -> Callable[[Any], Any]:
    """How a leaf that JSON does not know is written."""
    return type_.coerce_output_value


def _is_native(type_: Any) -> bool:
    if isinstance(type_, GraphQLEnumType):
        return all(_same(value.value, name) for name, value in type_.values.items())
    return isinstance(type_, GraphQLScalarType) and type_.name in NATIVE


def _same(value: Any, name: str) -> bool:
    raw = value.value if isinstance(value, Enum) else value
    return isinstance(raw, str) and raw == name


def _without_null(type_: Any) -> Any:
    return type_.of_type if isinstance(type_, GraphQLNonNull) else type_
