"""Lists as oracles: nobody filters, sorts or searches by a value that is hidden or masked for them.

The table of what a filter tells is in the code; that it is whole is read from the schema, so that a new filter or sort
is not forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import pytest
from graphql import GraphQLEnumType, GraphQLInputObjectType, get_named_type
from strawberry.utils.str_converters import to_camel_case

from app.auth.principal import Role
from app.resolvers.billing import INVOICE_LIST, RETURN_LIST, InvoiceFilter, ReturnFilter
from app.resolvers.loading.lists import RowList
from app.resolvers.orders import ORDER_LIST, OrderFilter
from app.resolvers.quotes import QUOTE_LIST, QuoteFilter
from app.resolvers.shipments import SHIPMENT_LIST, ShipmentFilter
from app.sandbox import Sandbox
from app.schema import build_schema
from app.settings import MaskSettings, PolicySettings
from tests.support.gateway import CSR, OPERATIONS, Graph, gateway, signed
from tests.support.policy_table import MASKED, ROLES

pytestmark = pytest.mark.shared_gateway

SCHEMA = build_schema()._schema
LISTS: dict[str, tuple[RowList, type[Any]]] = {
    "orders": (ORDER_LIST, OrderFilter),
    "shipments": (SHIPMENT_LIST, ShipmentFilter),
    "invoices": (INVOICE_LIST, InvoiceFilter),
    "returns": (RETURN_LIST, ReturnFilter),
    "quotes": (QUOTE_LIST, QuoteFilter),
}
"""The lists with filters and sorts, by their root field."""

OTHER_FILTERS = {
    "AuditFilter": "tests/audit/test_audit.py: for those only who see whole entries",
    "CustomerFilter": "tests/search/test_counts.py: a search leaves out what is hidden",
    "ItemFilter": "tests/search/test_counts.py: a search leaves out what is hidden",
    "ItemAttributeFilter": "a part of ItemFilter; attributes are for all",
    "OrderIntakeFilter": "tests/support/policy_table.py: for those only who see whole intakes",
}
"""Filters of other lists, and where their rights are tested."""

VALUES: dict[str, Any] = {
    "Boolean": True,
    "String": "1ZSB001000401",
    "DateRange": {"since": "2026-11-01"},
    "ItemKey": {"sku": "SKU-0001"},
}


def input_of(name: str) -> GraphQLInputObjectType:
    kind = get_named_type(SCHEMA.query_type.fields[name].args["filter"].type)  # type: ignore[union-attr]
    assert isinstance(kind, GraphQLInputObjectType)
    return kind


def sorts_of(name: str) -> list[str]:
    kind = get_named_type(SCHEMA.query_type.fields[name].args["orderBy"].type)  # type: ignore[union-attr]
    assert isinstance(kind, GraphQLEnumType)
    return list(kind.values)


def value_of(kind: GraphQLInputObjectType, field: str) -> Any:
    named = get_named_type(kind.fields[field].type)
    if isinstance(named, GraphQLEnumType):
        first = next(iter(named.values))
        return [first] if str(kind.fields[field].type).startswith("[") else first
    return VALUES[named.name]


def told_by(name: str) -> Iterator[tuple[str, dict[str, Any], frozenset[Role]]]:
    """Each filter and sort of a list: its name, the variables that use it, and the roles that see all that it tells."""
    rows, filters = LISTS[name]
    for field in fields(filters):
        public = to_camel_case(field.name)
        yield public, {"filter": {public: value_of(input_of(name), public)}}, see_all(name, rows.fields[field.name])
    for sort in sorts_of(name):
        yield sort, {"sort": sort}, see_all(name, rows.fields[sort.rpartition("_")[0]])


def see_all(name: str, told: Any) -> frozenset[Role]:
    seen = ROLES[f"Query.{name}"]
    for key in (".".join(one) for one in told):
        seen &= ROLES[key] - (MASKED[key][1] if key in MASKED else frozenset())
    return seen


def test_every_list_with_a_filter_is_in_the_table():
    inputs = {name for name in SCHEMA.type_map if name.endswith("Filter") and not name.startswith("__")}
    known = {input_of(name).name for name in LISTS} | set(OTHER_FILTERS)
    assert {name for name in inputs if isinstance(SCHEMA.type_map[name], GraphQLInputObjectType)} - UPDATES == known


UPDATES = {name for name in SCHEMA.type_map if name.endswith(("UpdateFilter", "UpdatesFilter"))}


@pytest.mark.parametrize("name", LISTS)
def test_every_filter_and_sort_names_the_fields_that_it_reveals(name: str):
    rows, filters = LISTS[name]
    public = {to_camel_case(field.name) for field in fields(filters)}
    assert public == set(input_of(name).fields)
    named = {field.name for field in fields(filters)} | {sort.rpartition("_")[0] for sort in sorts_of(name)}
    assert set(rows.fields) == named
    assert {".".join(key) for told in rows.fields.values() for key in told} <= set(ROLES)
    assert all(rows.fields.values())


def query(name: str, variables: dict[str, Any]) -> str:
    sort = f"$sort: {get_named_type(SCHEMA.query_type.fields[name].args['orderBy'].type)}"  # type: ignore[union-attr]
    if "sort" in variables:
        return f"query({sort}!) {{ {name}(first: 1, orderBy: $sort) {{ totalCount }} }}"
    return f"query($filter: {input_of(name)}) {{ {name}(first: 1, filter: $filter) {{ totalCount }} }}"


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("name", LISTS)
async def test_a_role_selects_rows_by_what_it_sees_whole_and_by_nothing_else(graph: Graph, name: str, role: Role):
    customers = () if role in {Role.CSR, Role.CSR_LEAD, Role.FINANCE, Role.OPERATIONS, Role.ADMIN} else ("CUST-0001",)
    principal = signed(role, *customers, agents=("01-01",) if role is Role.AGENT else ())
    for field, variables, roles in told_by(name):
        answer = await graph.ask(query(name, variables), variables, principal=principal)
        codes = [error["extensions"]["code"] for error in answer.get("errors", ())]
        assert codes == ([] if role in roles else ["FORBIDDEN"]), (field, role)


async def test_operations_do_not_find_shipments_by_their_masked_tracking_number(graph: Graph):
    text = "query($filter: ShipmentFilter) { shipments(first: 1, filter: $filter) { totalCount } }"
    variables = {"filter": {"text": "1ZSB001000401"}}
    assert (await graph.data(text, variables, principal=CSR))["shipments"] == {"totalCount": 1}
    await graph.forget()
    answer = await graph.ask(text, variables, principal=OPERATIONS)
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["FORBIDDEN"]
    assert answer["errors"][0]["message"] == (
        "Your role may not use 'text': it does not see Shipment.trackingNumber whole."
    )
    assert sum((await graph.requests()).values()) == 0


async def test_masks_of_a_deployment_close_its_filters(dated_sandbox: Sandbox):
    policy = PolicySettings(masks={"Order.customerPo": MaskSettings(mask="LAST4", whole="STAFF")})
    text = """query($filter: OrderFilter) { orders(first: 1, filter: $filter) { totalCount }
      customer(by: {number: "CUST-0001"}) { orders(first: 1, filter: $filter) { totalCount } } }"""
    async with gateway(dated_sandbox, policy=policy) as graph:
        for filter in ({"customerPo": "PO-0001-00040"}, {"text": "PO-0001"}):
            found = await graph.data(text, {"filter": filter})
            assert found["orders"]["totalCount"] > 0
            assert found["customer"]["orders"]["totalCount"] > 0
            await graph.forget()
            answer = await graph.ask(text, {"filter": filter}, principal=signed(Role.BUYER, "CUST-0001"))
            assert [(error["path"], error["extensions"]["code"]) for error in answer["errors"]] == [
                (["orders"], "FORBIDDEN"),
                (["customer", "orders"], "FORBIDDEN"),
            ]
            assert await graph.requests() == {"erp": 1, "commerce": 0, "logistics": 0}  # The customer.
