"""The one walk over a document: what it finds out about each operation."""

from __future__ import annotations

import time

import pytest
from graphql import parse

from app.errors import DocumentTooLarge
from app.execution.document.analysis import OperationAnalysis, analyze
from app.execution.document.limits import DocumentLimits
from app.execution.engine import Request
from app.execution.plan.engine import PlanEngine
from app.schema import build_schema

SCHEMA = build_schema()._schema
MOST = 10**15
UNLIMITED = DocumentLimits(
    tokens=MOST, operations=MOST, depth=MOST, aliases=MOST, root_fields=MOST, fields=MOST, directives=MOST,
    directives_per_place=MOST, list_items=MOST,
)  # fmt: skip


def only(text: str) -> OperationAnalysis:
    (found,) = analyze(SCHEMA, parse(text)).values()
    return found


def test_selected_fields_are_those_of_the_operation_and_its_fragments() -> None:
    text = """
    query A { me { ...V } } query B { warehouses { code } }
    fragment V on Viewer { subject customers { ... on Customer { name } ...C } }
    fragment C on Customer { number } fragment Unused on Customer { parent { number } }
    """
    found = analyze(SCHEMA, parse(text))
    assert found["A"].selected_fields == {
        "Query": {"me"},
        "Viewer": {"subject", "customers"},
        "Customer": {"name", "number"},
    }
    assert found["B"].selected_fields == {"Query": {"warehouses"}, "Warehouse": {"code"}}


def test_field_of_an_interface_counts_for_each_of_its_types() -> None:
    found = only('{ node(id: "x") { id ... on Item { sku } } }').selected_fields
    assert found["Item"] == {"id", "sku"}
    assert found["Order"] == found["Node"] == {"id"}


def test_skipped_fields_are_selected_and_their_variables_are_switches() -> None:
    found = only("query ($a: Boolean!, $b: Boolean!) { me @skip(if: $a) { ...V @include(if: $b) } }"
                 "fragment V on Viewer { subject @skip(if: true) roles @include(if: $a) }")  # fmt: skip
    assert found.switches == {"a", "b"}
    assert found.selected_fields["Viewer"] == {"subject", "roles"}
    assert found.is_compiled


def test_introspection_and_other_directives_are_not_compiled() -> None:
    assert not only("{ __schema { queryType { name } } }").is_compiled
    assert not only('{ ...F } fragment F on Query { __type(name: "Item") { name } }').is_compiled
    assert not only("{ me { subject @unknown } }").is_compiled
    assert not only("query @unknown { me { subject } }").is_compiled
    assert only('query @fresh(within: "PT5S") { me { __typename } }').is_compiled
    assert only("mutation { anything { below } }").is_compiled


def test_variables_of_an_event_are_those_below_its_root_field() -> None:
    found = only("""
    subscription ($by: [ShipmentKey!]!, $n: Int!, $deep: Decimal!, $f: Boolean!) {
        shipmentUpdates(shipments: $by) { shipment { ...S events(last: $n) { at } } }
    }
    fragment S on Shipment { id @include(if: $f) orders { lines { item { contractPrice(by: {quantity: $deep}) } } } }
    """)
    assert found.event_variables == ("deep", "f", "n")


def test_two_operations_of_a_document_share_no_facts() -> None:
    """Facts were once cached by the operation's name alone, for whatever was computed of it."""
    engine = PlanEngine(SCHEMA)
    text = "query A { me { subject } } query B { me { roles } }"
    one, same, other = (engine.prepare(Request(text, name)) for name in ("A", "A", "B"))
    assert one.analysis is same.analysis
    assert one.analysis is not other.analysis
    one.annotations["costs"] = 1
    assert same.annotations == {"costs": 1}
    assert other.annotations == {}


def test_unknown_types_and_fields_are_left_to_validation() -> None:
    found = only("{ unknown { below(a: $x) } ...F me { unknown } } fragment F on Nobody { x { y } }")
    assert found.selected_fields == {"Query": {"unknown", "me"}, "Viewer": {"unknown"}}


def test_a_long_document_is_walked_once() -> None:
    """400 kB of selections; each node and each fragment is visited once, whatever spreads it."""
    fragments = " ".join(f"fragment F{n} on Customer {{ a{n}: name ...F{n + 1} }}" for n in range(8_000))
    spread = " ".join(f"...F{n}" for n in range(100))
    text = f"{{ me {{ customers {{ {spread} }} }} }} {fragments} fragment F8000 on Customer {{ {'number ' * 10_000} }}"
    assert len(text) > 400_000
    node = parse(text)
    started = time.process_time()
    with pytest.raises(DocumentTooLarge):
        analyze(SCHEMA, node, UNLIMITED)
    assert time.process_time() - started < 1.0
