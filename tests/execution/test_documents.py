"""The engine's preparation: documents are parsed and validated once, within bounds; what they select is known."""

from __future__ import annotations

import pytest
from graphql import build_schema

from app.execution.document.cache import Document, DocumentCache
from app.execution.document.limits import DocumentLimits
from app.execution.engine import Request, RequestRefused
from app.execution.reference import ReferenceEngine

SCHEMA = build_schema(
    """
    interface Node { id: ID! }
    type Customer implements Node { id: ID!, name: String, orders: [Order!]! }
    type Order implements Node { id: ID!, number: String, customer: Customer }
    type Query { node: Node, customer: Customer, order: Order }
    """
)


def cache(characters: int = 1_000_000) -> DocumentCache:
    return DocumentCache(SCHEMA, limits=DocumentLimits(tokens=1000), characters=characters)


def test_valid_document_is_parsed_once():
    documents = cache()
    assert isinstance(documents.get("{ customer { name } }"), Document)
    assert documents.get("{ customer { name } }") is documents.get("{ customer { name } }")


def test_invalid_and_long_documents_are_not_cached():
    documents = cache(characters=1000)
    assert isinstance(documents.get("{ nothing }"), tuple)
    assert isinstance(documents.get("{"), tuple)
    assert isinstance(documents.get("{ customer { name } }" + " " * 50), Document)
    assert len(documents) == 0


def test_least_recently_used_document_goes_first():
    documents = cache(characters=1000)
    texts = [f"{{ a{number}: customer {{ name }} }}".ljust(50) for number in range(25)]
    first = documents.get(texts[0])
    for text in texts[1:]:
        documents.get(text)
        assert documents.get(texts[0]) is first
    assert len(documents) == 20


def selection(query: str, name: str | None = None) -> dict[str, set[str]]:
    operation = ReferenceEngine(SCHEMA, limits=DocumentLimits(depth=50)).prepare(Request(query, name))
    return {type_name: set(fields) for type_name, fields in operation.selection.items()}


def test_selection_names_the_fields_of_each_type_through_fragments():
    query = """
      query A { customer { ...C orders { ... on Order { number } } } }
      query B { order { id } }
      fragment C on Customer { name alias: id @skip(if: true) orders { ...O } }
      fragment O on Order { customer { __typename } }
    """
    assert selection(query, "A") == {
        "Query": {"customer"},
        "Customer": {"name", "id", "orders", "__typename"},
        "Order": {"number", "customer"},
    }
    assert selection(query, "B") == {"Query": {"order"}, "Order": {"id"}}


def test_field_of_an_interface_counts_for_each_of_its_types():
    assert selection("{ node { id ... on Order { number } } }") == {
        "Query": {"node"},
        "Node": {"id"},
        "Customer": {"id"},
        "Order": {"id", "number"},
    }


def test_chained_fragments_are_visited_once_each():
    """1 kB of fragments that each spread the next one twice would take hours if each spread were followed."""
    chain = " ".join(
        f"fragment F{n} on Customer {{ orders {{ customer {{ ...F{n + 1} ...F{n + 1} }} }} }}" for n in range(20)
    )
    query = f"{{ customer {{ ...F0 }} }} {chain} fragment F20 on Customer {{ name }}"
    assert selection(query) == {
        "Query": {"customer"},
        "Customer": {"orders", "name"},
        "Order": {"customer"},
    }


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{ a" + "{ a" * 5000, "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ customer { ...F } } fragment F on Customer { orders { customer { ...F } } }", "GRAPHQL_VALIDATION_FAILED"),
        ("fragment F on Customer { name }", "GRAPHQL_VALIDATION_FAILED"),
        ("query A { customer { name } } query B { order { id } }", "BAD_REQUEST"),
    ],
)
def test_document_that_cannot_run_is_refused_with_its_code(query: str, code: str):
    with pytest.raises(RequestRefused) as caught:
        ReferenceEngine(SCHEMA).prepare(Request(query))
    assert {(error.extensions or {})["code"] for error in caught.value.errors} == {code}
