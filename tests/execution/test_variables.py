"""Compiled coercion of variables: equal to graphql-core's for every value, its errors included."""

from __future__ import annotations

import json
from typing import Any

import pytest
from graphql import build_schema, parse
from graphql.execution.values import VariableValues, get_variable_values

from app.execution.document.variables import VariableCoercion
from app.schema import build_schema as build_graph

SCHEMA = build_schema("""
    enum Colour { RED GREEN }
    input Point { x: Int! y: Int = 7 tags: [String!] inner: Deep }
    input Deep { id: ID! colours: [Colour!]! = [RED] }
    input Key @oneOf { id: ID number: String }
    input Loop { next: Loop name: String }
    type Query { anything(a: Int): Int }
""")
TYPES = [
    "Int", "Int!", "Float", "String", "String!", "ID", "ID!", "Boolean!", "Colour", "[Int]", "[Int!]!", "[[String!]!]",
    "Point", "Point!", "[Point!]", "Key", "Key!", "Loop", "[Colour!]", "Deep!",
]  # fmt: skip
VALUES: list[Any] = [
    None, 0, 1, -1, 2**31, 2**31 - 1, 1.0, 1.5, "", "a", "RED", "BLUE", True, False, [], [None], [1], ["a", None],
    [["a"], []], [[None]], {}, {"x": 1}, {"x": None}, {"x": "1"}, {"x": 1, "y": None}, {"x": 1, "tags": "a"},
    {"x": 1, "tags": ["a"], "inner": {"id": 5}}, {"x": 1, "inner": {"id": "i", "colours": ["GREEN"]}},
    {"x": 1, "unknown": 2}, {"id": "a"}, {"id": None}, {"id": "a", "number": "b"}, {"number": "b"}, {"id": 1, "x": 1},
    {"next": {"next": {"name": "n"}}}, [{"x": 1}, {"x": 2, "y": 3}], [{"x": 1}, None], {"id": "a", "colours": []},
]  # fmt: skip
DEFAULTS = {"Int": "5", "Point": "{x: 2}", "[Int]": "3", "Key": '{id: "d"}', "[Colour!]": "[GREEN]"}


def coerced(text: str, inputs: dict[str, Any], schema: Any = SCHEMA) -> tuple[Any, Any]:
    """By us and by graphql-core: values and their sources, or errors as text."""
    definitions: Any = parse(text).definitions[0].variable_definitions  # type: ignore[union-attr]
    ours = VariableCoercion(schema, definitions).coerce(inputs, hide_suggestions=True)
    theirs = get_variable_values(schema, definitions, inputs, hide_suggestions=True)
    return described(ours), described(theirs)


def described(found: Any) -> Any:
    if isinstance(found, VariableValues):
        sources = {name: (str(one.signature.type), one.value) for name, one in found.sources.items()}
        return repr(sources), json.dumps(found.coerced, sort_keys=True, default=repr), found.coerced
    return [str(error) for error in found]


@pytest.mark.parametrize("type_", TYPES)
def test_every_value_is_coerced_as_by_graphql_core(type_: str) -> None:
    for default in ("", f" = {DEFAULTS[type_]}" if type_ in DEFAULTS else ""):
        text = f"query ($v: {type_}{default}) {{ anything }}"
        ours, theirs = coerced(text, {})
        assert ours == theirs
        for value in VALUES:
            ours, theirs = coerced(text, {"v": value})
            assert ours == theirs, json.dumps(value)


def test_several_variables_have_all_their_errors() -> None:
    text = "query ($a: Int!, $b: String!, $c: Point = {x: 1}) { anything }"
    ours, theirs = coerced(text, {"a": "x", "c": {"y": 1}, "other": 1})
    assert ours == theirs
    assert len(ours) == 3
    assert coerced(text, {"a": 1, "b": "b"})[0][2] == {"a": 1, "b": "b", "c": {"x": 1, "y": 7}}


def test_inputs_of_the_graph_are_coerced_as_by_graphql_core() -> None:
    graph = build_graph()._schema
    text = "query ($c: CustomerKey!, $i: ItemKey, $q: Decimal, $on: Date, $d: [OrderStatus!]) { me { subject } }"
    key = {"customerPart": {"customer": {"number": "1"}, "number": "P"}}
    for inputs in (
        {"c": {"number": "1"}, "i": key, "q": "1.50", "on": "2026-01-01", "d": ["OPEN"]},
        {"c": {"number": "1"}, "i": key, "q": 1.5, "on": "2026-13-01", "d": ["NONE"]},
        {"c": {"number": None}},
        {"c": {"number": "1", "id": "2"}, "i": None, "q": None},
    ):
        ours, theirs = coerced(text, inputs, graph)
        assert ours == theirs
