"""Generates the Python that serializes all objects of a selection to JSON at once.

For each selection a function `serialize_N(rows, ...)` takes the rows and, for every field that was read or serialized
before, a column with its value for each row; it returns a piece of JSON for each row. Plain fields are attribute reads;
plain nested objects are serialized inline. An object that appears at several paths is encoded once. The code is correct
only for rows that conform to the type and columns without failures; otherwise `complete` builds the response.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from json.encoder import encode_basestring
from typing import Any

import orjson
from graphql import (
    GraphQLEnumType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLOutputType,
)

from app.execution.plan.tree import Level, PlanField, Selection, Serializer, Tree

STRINGS = frozenset({"String", "ID", "Cursor"})
"""Scalars whose values on records are strings, written with JSON's escapes."""

PLAIN_DIGITS = 40
"""Decimals of up to so many characters are within the scalar's bound on digits."""


def utf8(text: str) -> str:
    """A character for each byte of the UTF-8 encoding. One wide character would double the size of every string that it
    becomes a part of, and each of them is copied on its way to the root."""
    return text.encode().decode("latin-1")


WRITERS = {"text": encode_basestring, "utf8": utf8, "boolean": {True: "true", False: "false"}, "day": date.isoformat}
"""The names by which generated code calls what writes a value."""

RESERVED = ("object_", "serialize_", "enum_", "write_", "mask_")
"""Prefixes of global names in generated code."""


class DateTimeCache(dict[datetime, str]):
    """Datetimes as JSON. Rows of a response share a few, such as the time of the read."""

    LARGEST = 1_000

    def __missing__(self, value: datetime) -> str:
        if value.tzinfo is not UTC:  # Not cached: times that compare equal may differ in `fold`.
            return _json(value.astimezone(UTC))
        if len(self) >= self.LARGEST:
            self.clear()
        text = self[value] = _json(value)
        return text


class CodeWriter:
    """The text of a plan's serializers, and the names that the text uses."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: dict[str, Any] = {**WRITERS, "moment": DateTimeCache()}
        self.field = ""
        self._count = 0
        self._objects: set[str] = set()

    def name(self, field: str | None = None) -> str:
        """A new local name after a field, by default the one that is being written."""
        self._count += 1
        name = f"{field or self.field}_{self._count}"
        return f"_{name}" if name.startswith(RESERVED) else name

    def bind(self, prefix: str, type_: Any, make: Callable[[Any], Any]) -> str:
        """The global name of the writer of a type's values."""
        name = f"{prefix}_{type_.name}"
        if name not in self.names:
            self.names[name] = make(type_)
        return name

    def object(self, level: Level) -> str:
        """The name of the function that serializes one object of an inline level."""
        name = f"object_{level.index}"
        if name not in self._objects:
            self._objects.add(name)
            outer = self.field
            _write_object(name, level, self)
            self.field = outer
        return name


def generate(tree: Tree, filename: str) -> tuple[str, dict[int, Serializer]]:
    """The text of all serializers, and the functions by the index of their selection. `filename` is that of
    tracebacks."""
    code = CodeWriter()
    needed = [tree.root]
    _write_serializer(tree.root, (), code)
    for level in (one.level for one in tree.walk() if one.level is not None and not one.is_inline):
        for selection in level.selections.values():
            needed.append(selection)
            _write_serializer(selection, level.path, code)
    text = "\n".join(code.lines)
    scope = dict(code.names)
    exec(compile(text, filename, "exec"), scope)  # noqa: S102 - the text is made of the schema's own names
    return text, {selection.index: scope[f"serialize_{selection.index}"] for selection in needed}


def _write_serializer(selection: Selection, path: Sequence[str], code: CodeWriter) -> None:
    columns = {one.index: code.name(f"{one.key}_column") for one in selection.columns}
    values = {one.index: code.name(one.key) for one in selection.columns}
    inner: Inner = []
    parts = _parts(selection, "row", values, inner, code)
    rows = f"zip(rows, {', '.join(columns.values())})" if columns else "rows"
    code.lines += [
        f"def serialize_{selection.index}(rows{''.join(f', {name}' for name in columns.values())}):",
        f"    # {'.'.join(path) or 'the response'}: {selection.type.name}",
        "    return [",
        *(f"        f'''{part}'''" for part in parts),
        f"        for {', '.join(['row', *values.values()])} in {rows}",
        *(f"        for {name} in [{expression}]" for name, expression in inner),
        "    ]",
    ]


def _write_object(name: str, level: Level, code: CodeWriter) -> None:
    inner: Inner = []
    parts = _parts(_only(level), "row", {}, inner, code)
    code.lines += [
        f"def {name}(row):",
        f"    # {'.'.join(level.path)}: {level.type_name}",
        *(f"    {name} = {expression}" for name, expression in inner),
        "    return (",
        *(f"        f'''{part}'''" for part in parts),
        "    )",
    ]


Inner = list[tuple[str, str]]
"""Names of the objects that are serialized inline, with the expressions that read them."""


def _parts(selection: Selection, row: str, values: dict[int, str], inner: Inner, code: CodeWriter) -> list[str]:
    """An object as parts of f-strings. Its keys are GraphQL names, which need no escapes."""
    fields = [f'"{one.key}":{_value(one, row, values, inner, code)}' for one in selection.fields]
    return ["{{", *fields[:1], *(f",{field}" for field in fields[1:]), "}}"]


def _value(one: PlanField, row: str, values: dict[int, str], inner: Inner, code: CodeWriter) -> str:
    if one.is_typename:
        return f'"{one.parent.name}"'
    code.field = one.key
    if one.index in values and one.level is not None:
        return f"{{{values[one.index]}}}"
    expression = _masked(one, values.get(one.index, f"{row}.{one.attribute}"), code)
    if one.level is not None and _is_present_object(one.type):
        name = code.name()
        inner.append((name, expression))
        return "".join(_parts(_only(one.level), name, {}, inner, code))
    written = _written(one.type, expression, one.level, code)
    return f"{{{written}}}"


def _is_present_object(type_: GraphQLOutputType) -> bool:
    return isinstance(type_, GraphQLNonNull) and not isinstance(type_.of_type, GraphQLList)


def _only(level: Level) -> Selection:
    if level.only is None:
        raise TypeError("an abstract type is never serialized inline")
    return level.only


def _masked(one: PlanField, expression: str, code: CodeWriter) -> str:
    if one.mask is None:
        return expression
    name = f"mask_{one.mask.__name__}"
    code.names[name] = one.mask
    return f"{name}({expression})"


def _written(type_: GraphQLOutputType, expression: str, level: Level | None, code: CodeWriter) -> str:
    """An expression for the JSON of a value. It is part of a triple-quoted f-string: no backslashes."""
    if isinstance(type_, GraphQLNonNull):
        return _present(type_.of_type, expression, level, code)
    name = code.name()
    return f'("null" if ({name} := {expression}) is None else {_present(type_, name, level, code)})'


def _present(type_: GraphQLOutputType, expression: str, level: Level | None, code: CodeWriter) -> str:
    if isinstance(type_, GraphQLList):
        name = code.name()
        each = _written(type_.of_type, name, level, code)
        return f'("[" + ",".join([{each} for {name} in {expression}]) + "]")'
    if level is not None:
        return f"{code.object(level)}({expression})"
    name = getattr(type_, "name", "")
    if name in STRINGS:
        return _string(expression, code)
    if isinstance(type_, GraphQLEnumType):
        return f"{code.bind('enum', type_, _names)}[{expression}._value_]"
    if name == "Boolean":
        return f"boolean[{expression}]"
    if name == "DateTime":
        return f"moment[{expression}]"
    if name == "Date":
        return f"f'\"{{day({expression})}}\"'"
    if name == "Decimal":
        return _decimal(type_, expression, code)
    if name == "Int":
        return _integer(type_, expression, code)
    return f"{code.bind('write', type_, _writer)}({expression})"


def _string(expression: str, code: CodeWriter) -> str:
    name = code.name()
    return f"({name} if ({name} := text({expression})).isascii() else utf8({name}))"


def _decimal(type_: Any, expression: str, code: CodeWriter) -> str:
    """Plain digits, inline. The scalar expands an exponent, and refuses what is too long or not finite: those have
    capitals in their text."""
    name = code.name()
    digits = f"({name} := str({expression})) == {name}.lower() and len({name}) <= {PLAIN_DIGITS}"
    plain = "f'\"{" + name + "}\"'"
    return f"({plain} if {digits} else {code.bind('write', type_, _writer)}({expression}))"


def _integer(type_: Any, expression: str, code: CodeWriter) -> str:
    name = code.name()
    fits = f"type({name} := {expression}) is int and -2147483648 <= {name} <= 2147483647"
    return f"(str({name}) if {fits} else {code.bind('write', type_, _writer)}({name}))"


def _writer(type_: Any) -> Callable[[Any], str]:
    coerce = type_.coerce_output_value
    return lambda value: _json(coerce(value))


def _json(value: Any) -> str:
    return orjson.dumps(value, None, orjson.OPT_UTC_Z).decode("latin-1")


def _names(type_: GraphQLEnumType) -> dict[Any, str]:
    """The names of an enum as JSON, by the values of its members: the hash of a member is computed in Python."""
    return {getattr(one.value, "_value_", one.value): f'"{name}"' for name, one in type_.values.items()}
