"""Arguments of a plan are what resolvers get from Strawberry, be they written out or in variables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from graphql import FieldNode, GraphQLError, GraphQLField, OperationDefinitionNode, parse
from graphql.execution.values import VariableValues, get_argument_values, get_variable_values
from strawberry.types.arguments import convert_arguments

from app.execution.engine import Request
from app.execution.plan.arguments import argument_reader
from app.execution.plan.engine import PlanEngine
from app.schema import build_schema
from app.schema.declare.edges import EdgeField, to_resolver_value
from app.schema.declare.streams import StreamField
from tests.differential.arguments import WRONG_IDS

STRAWBERRY = build_schema()
SCHEMA = STRAWBERRY._schema
PLANS = PlanEngine(SCHEMA)

REF = {"system": "erp", "id": "7"}
CUSTOMERS: list[Any] = [{"number": "C"}, {"id": WRONG_IDS[0]}, {"ref": REF}]
PARTS: list[Any] = [{"customer": one, "number": "P"} for one in CUSTOMERS]
ITEMS: list[Any] = [{"sku": "A"}, {"gtin": "1"}, {"id": "x"}, *({"customerPart": one} for one in PARTS)]
ORDERS: list[Any] = [{"number": "SO"}, {"id": "x"}, {"ref": REF}, *({"customerPo": one} for one in PARTS)]
LINES: list[Any] = [
    [],
    [{"item": ITEMS[0], "quantity": "1.50"}, {"item": ITEMS[-1], "quantity": 2, "uom": None}],
    [{"item": ITEMS[1], "quantity": "3", "uom": "EA"}],
    {"item": ITEMS[2], "quantity": "3"},
]
RANGES: list[Any] = [{}, {"since": "2026-11-01"}, {"since": None, "until": "2026-11-30"}]
ORDER_FILTERS: list[Any] = [
    {},
    {"status": "SHIPPED", "hold": ["CREDIT"], "late": True, "open": False, "text": "bolt"},
    {"status": None, "hold": [], "late": None, "text": None, "item": None, "ordered": None},
    *({"item": one} for one in ITEMS),
    *({"ordered": one, "requested": one, "promised": one} for one in RANGES),
    {"customerPo": "PO", "shipTo": "1", "warehouse": "MAIN"},
]
PAGES: list[Any] = [{"first": 1}, {"first": 2, "after": None}]
SHIPMENT_FILTERS: list[Any] = [
    {"status": "DELIVERED", "late": True, "warehouse": "MAIN"},
    {"shipped": RANGES[1], "promised": None, "item": ITEMS[0], "text": "x"},
]
INVOICE_FILTERS: list[Any] = [
    {"status": ["POSTED"], "kind": "INVOICE", "pastDue": True},
    {"invoiced": RANGES[1], "due": RANGES[2], "item": ITEMS[1], "open": None},
]
RETURN_FILTERS: list[Any] = [
    {"shipmentState": "RECEIVED", "creditState": ["NONE", "PENDING"], "open": True},
    {"requested": RANGES[1], "item": ITEMS[2], "text": None},
]
QUOTE_FILTERS: list[Any] = [
    {"status": ["OFFERED", "RENEGOTIATING"], "open": True, "validTo": RANGES[1]},
    {"status": "EXPIRED", "requested": RANGES[1], "item": ITEMS[2], "text": None},
]
ORDER_LINES: list[Any] = [
    {"lineNumber": 1, "item": ITEMS[0], "quantity": "1.50", "uom": "EA", "requestedDate": "2026-12-01", "proof": "p"},
    {"lineNumber": 2, "item": ITEMS[-1], "quantity": 2, "uom": None, "requestedDate": None, "proof": None},
]
QUOTE_LINES: list[Any] = [
    {"lineNumber": 1, "item": ITEMS[0], "quantity": "1.50", "uom": "EA", "targetPrice": "0.10", "note": "n"},
    {"lineNumber": 2, "item": ITEMS[-1], "quantity": 2, "uom": None, "targetPrice": None, "note": None},
]
RETURN_LINES: list[Any] = [
    {"lineNumber": 1, "quantity": "1.50", "reason": "DAMAGED", "condition": "OPENED", "note": "n"},
    {"lineNumber": 2, "quantity": 2, "reason": "OTHER", "condition": None, "note": None},
]
RETURN_REQUEST: dict[str, Any] = {
    "key": "K", "customer": CUSTOMERS[0], "order": {"number": "SO-1"}, "lines": RETURN_LINES
}  # fmt: skip
SUBMISSION: dict[str, Any] = {"key": "K", "customer": CUSTOMERS[0], "customerPo": "PO", "lines": ORDER_LINES}
VERSIONED: dict[str, Any] = {"id": "x", "version": 3}
CASES: dict[str, list[dict[str, Any]]] = {
    "Query.node": [{"id": "x"}, {"id": 5}],
    "Query.nodes": [{"ids": []}, {"ids": ["a", 2]}, {"ids": "one"}],
    "Query.customer": [{"by": one} for one in CUSTOMERS],
    "Query.customers": [
        {"first": 5},
        {"first": 1, "after": None, "filter": None},
        {"first": 1, "filter": {}},
        {"first": 2, "after": "c", "filter": {"search": "a"}},
        {"first": 2, "filter": {"search": None}},
    ],
    "Query.item": [{"by": one} for one in ITEMS],
    "Query.itemsBySku": [{"skus": ["a", "b"]}, {"skus": "a"}],
    "Query.items": [{"first": 5, "filter": {"search": "a", "category": None}}],
    "Query.auditEvents": [
        {"first": 1},
        {"first": 1, "after": None, "filter": {}},
        {"first": 1, "filter": {"client": "a", "code": None, "since": "2026-11-20T00:00:00Z"}},
    ],
    "Query.changes": [
        {"first": 1},
        {"first": 1, "since": None, "kinds": None, "holding": None},
        {"first": 1, "since": "c", "kinds": ["ORDER", "STOCK"], "holding": ["a", "b"]},
        {"first": 1, "kinds": "SHIPMENT", "holding": "a"},
    ],
    "Query.order": [{"by": one} for one in ORDERS],
    "Query.shipment": [{"by": {"trackingNumber": "T"}}, {"by": {"ref": REF}}, {"by": {"id": "x"}}],
    "Query.priceAndAvailability": [{"customer": CUSTOMERS[0], "lines": one} for one in LINES],
    "Query.promise": [
        {"item": ITEMS[0], "quantity": "1"},
        {"item": ITEMS[0], "quantity": 1, "by": "2026-12-01", "uom": "EA", "warehouses": ["A", "B"]},
        {"item": ITEMS[0], "quantity": 1, "by": None, "uom": None, "warehouses": None},
    ],
    "Customer.orders": [
        {"first": 1},
        {"first": 1, "after": None, "orderBy": "ORDERED_AT_ASC", "status": None},
        {"first": 1, "status": ["SHIPPED", "UNKNOWN"]},
        {"first": 1, "status": "SHIPPED"},
        {"first": 1, "status": []},
        *({"first": 1, "filter": one} for one in ORDER_FILTERS),
    ],
    "Viewer.customersConnection": PAGES,
    "Customer.shipTosConnection": PAGES,
    "Order.linesConnection": PAGES,
    "Order.shipmentsConnection": PAGES,
    "Workbench.lateOrders": PAGES,
    "Workbench.pastDueInvoices": PAGES,
    "Workbench.exceptions": PAGES,
    "Workbench.expiringQuotes": [*PAGES, {"first": 1, "days": 30}],
    "Workbench.heldOrders": [*PAGES, {"first": 1, "hold": ["CREDIT"]}, {"first": 1, "hold": "CREDIT"}],
    "Query.shipments": [*PAGES, *({"first": 1, "filter": one} for one in SHIPMENT_FILTERS)],
    "Customer.shipments": [*PAGES, *({"first": 1, "filter": one} for one in SHIPMENT_FILTERS)],
    "Query.invoices": [*PAGES, *({"first": 1, "filter": one} for one in INVOICE_FILTERS)],
    "Customer.invoices": [*PAGES, *({"first": 1, "filter": one} for one in INVOICE_FILTERS)],
    "Query.returns": [*PAGES, *({"first": 1, "filter": one} for one in RETURN_FILTERS)],
    "Customer.returns": [*PAGES, *({"first": 1, "filter": one} for one in RETURN_FILTERS)],
    "Query.quote": [{"by": {"number": "QU-1"}}, {"by": {"id": "x"}}],
    "Query.return": [{"by": {"number": "RMA-1"}}, {"by": {"id": "x"}}],
    "Query.quotes": [*PAGES, *({"first": 1, "filter": one} for one in QUOTE_FILTERS)],
    "Customer.quotes": [*PAGES, *({"first": 1, "filter": one} for one in QUOTE_FILTERS)],
    "Query.orders": [
        {"first": 1},
        {"first": 1, "after": None, "orderBy": "PROMISED_ON_ASC", "customers": None, "filter": None},
        {"first": 1, "customers": CUSTOMERS},
        {"first": 1, "customers": CUSTOMERS[0]},
        *({"first": 1, "filter": one} for one in ORDER_FILTERS),
    ],
    "Query.agent": [{"by": {"number": "AG-01"}}, {"by": {"id": "x"}}],
    "Query.commissionStatement": [{"by": {"number": "CS-1"}}, {"by": {"id": "x"}}],
    "Agent.statements": [
        {"first": 1},
        {"first": 2, "state": None},
        {"first": 2, "state": ["APPROVED", "PAID"]},
        {"first": 2, "state": "OPEN"},
    ],
    "Query.orderIntake": [{"by": {"id": "x"}}, {"by": {"key": "K"}}],
    "Query.approvalsAwaitingMe": PAGES,
    "Query.orderIntakes": [
        *PAGES,
        {"first": 1, "filter": None},
        {"first": 1, "filter": {"states": ["HELD", "FAILED"], "customerPo": "PO"}},
        {"first": 1, "filter": {"states": "POSTED", "customer": None, "customerPo": None}},
        *({"first": 1, "filter": {"customer": one}} for one in CUSTOMERS),
    ],
    "Query.snapshot": [
        {"first": 1},
        {"first": 1, "after": None, "kinds": None, "customers": None},
        {"first": 1, "after": "c", "kinds": ["ORDER", "STOCK"], "customers": CUSTOMERS},
        {"first": 1, "kinds": "SHIPMENT", "customers": CUSTOMERS[0]},
    ],
    "Mutation.submitOrder": [
        {"input": SUBMISSION},
        {"input": SUBMISSION | {"lines": ORDER_LINES[0]}},
        {"input": SUBMISSION | {"shipTo": "1", "requestedDate": "2026-12-01", "note": "n", "allowPartial": False}},
        {"input": SUBMISSION | {"shipTo": None, "requestedDate": None, "note": None, "allowDuplicatePo": True}},
        {"input": SUBMISSION | {"allowSubstitutes": True}},
        *({"input": SUBMISSION | {"customer": one}} for one in CUSTOMERS[1:]),
    ],
    "Mutation.decideIntake": [
        {"input": VERSIONED | {"decision": "APPROVE"}},
        {"input": VERSIONED | {"decision": "RELEASE"}},
        {"input": VERSIONED | {"decision": "REJECT", "note": "n"}},
        {"input": VERSIONED | {"decision": "CANCEL", "note": None}},
    ],
    "Mutation.requestQuote": [
        {"input": {"key": "K", "customer": CUSTOMERS[0], "lines": QUOTE_LINES}},
        {"input": {"key": "K", "customer": CUSTOMERS[0], "lines": QUOTE_LINES[0], "note": None}},
        *({"input": {"key": "K", "customer": one, "lines": [], "note": "n"}} for one in CUSTOMERS[1:]),
    ],
    "Mutation.decideQuote": [
        {"input": VERSIONED | {"decision": "ACCEPT", "customerPo": "PO", "shipTo": "1", "requestedDate": "2026-12-01"}},
        {"input": VERSIONED | {"decision": "ACCEPT", "customerPo": "PO", "allowDuplicatePo": True, "lines": None}},
        {"input": VERSIONED | {"decision": "DECLINE", "note": None}},
        {"input": VERSIONED | {"decision": "RENEGOTIATE", "note": "n", "lines": QUOTE_LINES}},
    ],
    "Mutation.requestReturn": [
        {"input": RETURN_REQUEST},
        {"input": RETURN_REQUEST | {"note": None, "lines": RETURN_LINES[0]}},
        *({"input": RETURN_REQUEST | {"customer": one, "lines": [], "note": "n"}} for one in CUSTOMERS[1:]),
    ],
    "Mutation.decideReturn": [
        {"input": VERSIONED | {"decision": "APPROVE"}},
        {"input": VERSIONED | {"decision": "REJECT", "note": "n"}},
        {"input": VERSIONED | {"decision": "CANCEL", "note": None}},
    ],
    "Mutation.amendOrder": [
        {"input": {"key": "k", "order": {"number": "SO-1"}, "lines": [{"lineNumber": 1, "quantity": "0"}]}},
        {"input": {"key": "k", "intake": "x", "reason": "r", "lines": {"lineNumber": 1, "quantity": 2}}},
        {"input": {"key": "k", "order": None, "intake": "x", "reason": None, "lines": []}},
    ],
    "Mutation.cancelOrder": [
        {"input": {"key": "k", "order": {"number": "SO-1"}}},
        {"input": {"key": "k", "order": None, "intake": "x", "reason": None}},
        {"input": {"key": "k", "intake": "x", "reason": "r"}},
    ],
    "Mutation.retryIntake": [{"input": VERSIONED}, {"input": VERSIONED | {"note": "n"}}],
    "Customer.openIntakes": [{"first": 1}, {"first": 1, "postedWithin": 60}],
    "Customer.orderGuide": PAGES,
    "Customer.purchaseHistory": [{"skus": []}, {"skus": ["a", "b"]}, {"skus": "a"}],
    "Item.purchaseHistory": [{"customer": one} for one in CUSTOMERS],
    "Item.totalAtp": [{}, {"at": None, "warehouses": None}, {"at": "2026-12-01", "warehouses": ["A"]}],
    "Receivables.openItems": [*PAGES, {"first": 1, "overdue": True}],
    "Receivables.statement": [{"since": "2026-11-01", "until": "2026-11-30"}],
    "Item.customerPartNumber": [{"customer": one} for one in CUSTOMERS],
    "Item.contractPrice": [
        {"customer": CUSTOMERS[0]},
        {"customer": CUSTOMERS[0], "quantity": "2.500", "uom": None, "on": "2026-01-31"},
    ],
    "Item.availability": [{}, {"at": None, "warehouses": None}, {"at": "2026-12-01", "warehouses": ["A"]}],
    "OrderLine.availability": [{}, {"at": "2026-12-01"}],
    "Shipment.events": [{}, {"last": None}, {"last": 3}],
}


def edges() -> Iterator[tuple[str, EdgeField, GraphQLField]]:
    for type_ in SCHEMA.type_map.values():
        for name, field in getattr(type_, "fields", {}).items():
            edge = (getattr(field, "extensions", None) or {}).get("strawberry-definition")
            if isinstance(edge, EdgeField) and not isinstance(edge, StreamField) and field.args:
                yield f"{type_.name}.{name}", edge, field


EDGES = {place: (edge, field) for place, edge, field in edges()}


def test_every_edge_with_arguments_has_a_case() -> None:
    assert sorted(CASES) == sorted(EDGES)


def given(place: str, values: dict[str, Any]) -> tuple[str, FieldNode, VariableValues]:
    """The field as a client writes it with variables, and their values."""
    _, field = EDGES[place]
    declared = ", ".join(f"${name}: {field.args[name].type}" for name in values)
    passed = ", ".join(f"{name}: ${name}" for name in values)
    text = f"query {f'({declared})' if declared else ''} {{ f{f'({passed})' if passed else ''} }}"
    operation = parse(text).definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    node = operation.selection_set.selections[0]
    assert isinstance(node, FieldNode)
    variables = get_variable_values(SCHEMA, operation.variable_definitions or (), values)
    assert isinstance(variables, VariableValues), variables
    return text, node, variables


ENUMS = {
    "status",
    "state",
    "orderBy",
    "kinds",
    "hold",
    "kind",
    "shipmentState",
    "creditState",
    "states",
    "decision",
    "reason",
    "condition",
}


def literal(value: Any, place: str = "") -> str:
    """JSON as GraphQL writes it; a text in capitals is an enum's value where one can stand."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name}: {literal(part, name)}" for name, part in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(literal(part, place) for part in value) + "]"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    is_enum = place in ENUMS and isinstance(value, str) and value.isupper()
    return str(value) if isinstance(value, int) or is_enum else f'"{value}"'


def strawberrys(edge: EdgeField, values: dict[str, Any]) -> dict[str, Any]:
    """What Strawberry makes of coerced values, as `EdgeField.get_result` hands it to the function."""
    converted = convert_arguments(
        values, edge.arguments, scalar_registry=STRAWBERRY.schema_converter.scalar_registry, config=STRAWBERRY.config
    )
    return {name: to_resolver_value(value) for name, value in converted.items()}


@pytest.mark.parametrize(("place", "values"), [(place, values) for place, many in CASES.items() for values in many])
def test_arguments_are_those_of_strawberry(place: str, values: dict[str, Any]) -> None:
    edge, field = EDGES[place]
    _, node, variables = given(place, values)
    written = ", ".join(f"{name}: {literal(value, name)}" for name, value in values.items())
    operation = parse(f"{{ f{f'({written})' if written else ''} }}").definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    constant = operation.selection_set.selections[0]
    assert isinstance(constant, FieldNode)
    found = []
    for one, known in ((node, variables), (constant, None)):
        coerced = get_argument_values(field, one, known)
        plain = edge.resolver_arguments(coerced)
        assert plain == strawberrys(edge, coerced)
        assert {name: type(value) for name, value in plain.items()} == {
            name: type(value) for name, value in strawberrys(edge, coerced).items()
        }
        found.append(plain)
    assert found[0] == found[1]


ORDERS_OF_A_CUSTOMER = 'query Q%s { customer(by: { number: "C" }) { orders%s { totalCount } } }'


def read(declared: str, passed: str, **sent: Any) -> list[dict[str, Any]]:
    """What the plan's reader makes of a field's arguments, twice over, and graphql-core beside it."""
    text = ORDERS_OF_A_CUSTOMER % (declared and f"({declared})", passed)
    operation = PLANS.prepare(Request(text, None, sent))
    plan = PLANS.plan_for(operation)
    assert plan is not None
    one = next(one for one in plan.tree.walk() if one.name == "orders")
    variables = get_variable_values(SCHEMA, operation.definition.variable_definitions or (), sent)
    assert isinstance(variables, VariableValues), variables
    reads = argument_reader(one)
    found = [reads(variables), reads(variables)]
    assert one.edge is not None
    assert found[0] == one.edge.resolver_arguments(
        get_argument_values(one.parent.fields["orders"], one.nodes[0], variables)
    )
    return found


def test_arguments_without_variables_are_coerced_once() -> None:
    first, second = read("", "(first: 5, status: [SHIPPED])")
    assert first is second
    assert first["first"] == 5


def test_variable_that_is_an_argument_is_taken_as_it_was_coerced() -> None:
    first, second = read("$n: Int!", "(first: $n, orderBy: ORDERED_AT_ASC)", n=7)
    assert first == second
    assert (first["first"], first["order_by"]) == (7, "ORDERED_AT_ASC")


def test_variable_within_a_list_is_read_each_time() -> None:
    first, _ = read("$s: OrderStatus!", "(first: 1, status: [CANCELLED, $s])", s="SHIPPED")
    assert [str(one) for one in first["status"]] == ["CANCELLED", "SHIPPED"]


def test_variable_that_was_not_sent_leaves_the_arguments_default() -> None:
    without, _ = read("", "(first: 1)")
    assert read("$o: OrderSort", "(first: 1, orderBy: $o)")[0] == without


def test_null_of_a_non_null_field_is_an_error() -> None:
    with pytest.raises(GraphQLError, match="first"):
        read("$n: Int = 3", "(first: $n)", n=None)
