"""Absurd filters and cursors of every list: refused with their code before a backend is called.

The filters and sorts are read from the schema, so that a new one is not forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from graphql import GraphQLEnumType, get_named_type

from tests.resolvers.test_list_rights import LISTS, SCHEMA, input_of, sorts_of
from tests.support.gateway import CSR, Graph

pytestmark = pytest.mark.shared_gateway

REVERSED = {"since": "2026-11-02", "until": "2026-11-01"}
LONG = "9" * 10_240


def absurd_values(name: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Values that no filter can have, and the code that refuses each."""
    for field, definition in input_of(name).fields.items():
        kind = get_named_type(definition.type)
        if isinstance(kind, GraphQLEnumType):
            yield {field: ["SHIPPED_TOMORROW"]}, "BAD_USER_INPUT"
        elif kind.name == "DateRange":
            yield {field: REVERSED}, "INVALID_INPUT"
            yield {field: {"since": "2026-02-30"}}, "BAD_USER_INPUT"
        elif kind.name == "String":
            yield {field: LONG}, "INVALID_INPUT"
            yield {field: "word " * 5_000}, "INVALID_INPUT"
            yield {field: "nul\0inside"}, "INVALID_INPUT"
        elif kind.name == "ItemKey":
            yield {field: {"sku": LONG}}, "INVALID_INPUT"
            yield {field: {"sku": "SKU-0001", "gtin": "1"}}, "BAD_USER_INPUT"
        else:
            yield {field: "perhaps"}, "BAD_USER_INPUT"


def query(name: str) -> str:
    sort = get_named_type(SCHEMA.query_type.fields[name].args["orderBy"].type)  # type: ignore[union-attr]
    arguments = f"$filter: {input_of(name)}, $sort: {sort}! = {sorts_of(name)[0]}, $after: String"
    selection = "{ pageInfo { endCursor hasNextPage } nodes { id } }"
    return f"query({arguments}) {{ {name}(first: 1, filter: $filter, orderBy: $sort, after: $after) {selection} }}"


async def codes(graph: Graph, name: str, **variables: Any) -> list[str]:
    answer = await graph.ask(query(name), variables, principal=CSR)
    assert not (answer.get("data") or {}).get(name)
    return [error["extensions"]["code"] for error in answer["errors"]]


@pytest.mark.parametrize("name", LISTS)
async def test_absurd_filters_and_sorts_are_refused_before_a_backend_is_called(graph: Graph, name: str):
    await graph.forget()
    for value, code in absurd_values(name):
        assert await codes(graph, name, filter=value) == [code], value
    assert await codes(graph, name, sort="MARGIN_DESC") == ["BAD_USER_INPUT"]
    assert sum((await graph.requests()).values()) == 0


@pytest.mark.parametrize("name", LISTS)
async def test_a_cursor_of_another_filter_sort_or_list_is_refused_before_a_backend_is_called(graph: Graph, name: str):
    page = (await graph.data(query(name), {}, principal=CSR))[name]
    after = page["pageInfo"]["endCursor"]
    following = (await graph.data(query(name), {"after": after}, principal=CSR))[name]
    assert [row["id"] for row in following["nodes"]] != [row["id"] for row in page["nodes"]]
    await graph.forget()
    other_sort = sorts_of(name)[-1]
    assert await codes(graph, name, after=after, filter={"open": True}) == ["INVALID_CURSOR"]
    assert await codes(graph, name, after=after, sort=other_sort) == ["INVALID_CURSOR"]
    for other in LISTS.keys() - {name}:
        assert await codes(graph, other, after=after) == ["INVALID_CURSOR"], other
    assert sum((await graph.requests()).values()) == 0


HOSTILE = [
    '" OR "1"="1',
    "NEAR(a b, 2) AND NOT c*",
    "name:acme",
    "'; DROP TABLE customers; --",
    "😀",
    "%_%_%",
    "^-+{}()",
]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("name", ["customers", "items"])
async def test_search_operators_and_signs_are_text(graph: Graph, name: str, text: str):
    found = f"query($text: String) {{ {name}(first: 5, filter: {{search: $text}}) {{ nodes {{ id }} }} }}"
    assert (await graph.data(found, {"text": text}, principal=CSR))[name] == {"nodes": []}
