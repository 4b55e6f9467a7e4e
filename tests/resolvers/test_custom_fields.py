"""A deployment with other rights, two roles of its own and five fields of its own over two vendors."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from difflib import ndiff
from typing import Any, Literal

import pytest
from graphql import GraphQLError

from app.auth.principal import Principal, Role
from app.cli.demo import SANDBOX_DOMAINS, sandbox_sources
from app.errors import ConfigurationError
from app.execution.plan.printing import format_plan
from app.gateway.explain.explainer import explain_document, plan_of
from app.sandbox import Sandbox
from app.schema import build_schema, policy_of, print_schema
from app.settings import CacheSettings, FieldSettings, Settings, StockDomain
from app.sources.node_ids import node_id
from tests.auth.test_policy_configuration import header
from tests.support.deployments import BRANCHES
from tests.support.gateway import Graph, gateway, signed
from tests.support.policy_walk import cells_of
from tests.support.streams import first_by_events, first_by_socket, log_of, order_of
from tests.upstreams.decorated import decorated
from tests.upstreams.graphql import graphql_upstream

FIELDS = tuple(
    FieldSettings.model_validate(one)
    for one in (
        {"type": "Customer", "name": "routeCode", "scalar": "String", "description": "Delivery route.",
         "sources": {"erp": "routeCode"}},
        {"type": "Item", "name": "shelfLifeDays", "scalar": "Int", "description": "Shelf life in days.",
         "volatility": "FACT", "sources": {"erp": "shelf_life"}},
        {"type": "Item", "name": "landedCost", "scalar": "Decimal", "description": "Landed cost of a base unit.",
         "scope": "COST", "sources": {"erp": "landedCost"}},
        {"type": "Order", "name": "certificates", "scalar": "String", "list": True,
         "description": "Certificates that go with the goods.", "sources": {"erp": "certificates"}},
        {"type": "Shipment", "name": "dockDoor", "scalar": "String", "description": "Dock door.",
         "sources": {"logistics": "dock_door"}},
    )
)  # fmt: skip
KEYS: dict[str, dict[str, Any]] = {
    "customers": {"routeCode": "R-17"},
    "items": {"shelf_life": 365, "landedCost": "3.1400"},
    "orders": {"certificates": ["3.1", "RoHS"]},
}
ENGINES = ["plan", "reference"]
MANAGER, SHOWROOM = (BRANCHES.policy.known_roles[name] for name in ("branch_manager", "showroom"))
WIRE = {
    "id": "shp_1", "status": "in_transit", "created_at": "2026-11-20T00:00:00Z", "updated_at": "2026-11-20T00:00:00Z",
    "metadata": {"customer": "CUST-0001", "dock_door": "D4"},
}  # fmt: skip


@asynccontextmanager
async def deployment(
    sandbox: Sandbox, keys: dict[str, dict[str, Any]] = KEYS, metadata: Any = WIRE["metadata"], **changed: Any
) -> AsyncIterator[Graph]:
    """The deployment over the sandbox's ERP with more keys, and over a Karrio with one shipment."""
    shipments = {"data": {"shipments": {"edges": [{"node": {**WIRE, "metadata": metadata}}]}}}
    async with (
        decorated(sandbox.urls["erp"], keys) as erp,
        graphql_upstream({"ByID": lambda variables, request: shipments}) as karrio,
    ):
        sources: dict[str, dict[str, Any]] = {
            "erp": {"base_url": erp, "options": {**sandbox_sources(sandbox.urls, "")["erp"].options, "batch": False}},
            "logistics": {"vendor": "karrio", "base_url": karrio.url, "credentials": {"api_key": "k"}, "options": {}},
        }
        domains = SANDBOX_DOMAINS.model_copy(update={"stock": StockDomain(master="erp")})
        given = {"policy": BRANCHES.policy, "fields": FIELDS, "domains": domains, **changed}
        async with gateway(sandbox, sources=sources, **given) as graph:
            yield graph


QUERY = """query($shipment: ID!) {
  customer(by: {number: "CUST-0001"}) { name routeCode orders(first: 2) { nodes { number certificates } } }
  item(by: {sku: "SKU-0001"}) { name shelfLifeDays landedCost }
  node(id: $shipment) { ... on Shipment { status dockDoor } }
}"""
GIVEN = {"shipment": node_id("Shipment", "logistics", "shp_1")}


@pytest.mark.parametrize("engine", ENGINES)
async def test_fields_are_answered_with_their_rows(
    dated_sandbox: Sandbox, engine: Literal["plan", "reference"]
) -> None:
    async with deployment(dated_sandbox, engine=engine) as graph:
        data = await graph.data(QUERY, GIVEN, principal=header(MANAGER))
        refused = await graph.ask(QUERY, GIVEN, principal=header(SHOWROOM))
    assert data["customer"]["routeCode"] == "R-17"
    assert [one["certificates"] for one in data["customer"]["orders"]["nodes"]] == [["3.1", "RoHS"]] * 2
    assert (data["item"]["shelfLifeDays"], data["item"]["landedCost"]) == (365, "3.1400")
    assert data["node"] == {"status": "IN_TRANSIT", "dockDoor": "D4"}
    codes = {tuple(one["path"]): one["extensions"]["code"] for one in refused["errors"]}
    assert codes == {("item", "landedCost"): "FORBIDDEN", ("node",): "FORBIDDEN"}
    assert refused["data"]["item"] == {"name": data["item"]["name"], "shelfLifeDays": 365, "landedCost": None}


@pytest.mark.parametrize("engine", ENGINES)
async def test_wrong_value_is_null_with_a_code_and_labelled(
    dated_sandbox: Sandbox, engine: Literal["plan", "reference"]
) -> None:
    wrong = {"customers": {"routeCode": 17}, "items": {"shelf_life": "long", "landedCost": "3.14"}, "orders": {}}
    async with deployment(dated_sandbox, wrong, {"dock_door": ["D4"]}, engine=engine) as graph:
        answer = await graph.ask(QUERY, GIVEN, principal=signed(Role.FINANCE))
        shipment = await graph.ask(QUERY, GIVEN, principal=signed(Role.CSR))
    codes = {tuple(one["path"]): one["extensions"]["code"] for one in answer["errors"]}
    assert codes == {
        ("customer", "routeCode"): "SOURCE_MALFORMED",
        ("item", "shelfLifeDays"): "SOURCE_MALFORMED",
        ("node",): "FORBIDDEN",
    }
    assert answer["data"]["item"] == {
        "name": answer["data"]["item"]["name"],
        "shelfLifeDays": None,
        "landedCost": "3.14",
    }
    assert [one["certificates"] for one in answer["data"]["customer"]["orders"]["nodes"]] == [None, None]
    labels = {one["source"]: one for one in answer["extensions"]["freshness"]}
    assert labels["erp"]["degraded"] is True
    wrong = ("Customer.routeCode", "Item.shelfLifeDays")  # read at the same time: the first to come is the reason
    assert labels["erp"]["reason"] in {f"erp has a {name} of another type: it is null." for name in wrong}
    assert shipment["data"]["node"] == {"status": "IN_TRANSIT", "dockDoor": None}
    assert "long" not in str(answer)


@pytest.mark.parametrize("engine", ENGINES)
async def test_fields_cost_no_calls_for_one_row_and_for_fifty(
    dated_sandbox: Sandbox, engine: Literal["plan", "reference"]
) -> None:
    async with deployment(dated_sandbox, engine=engine) as graph:
        made = []
        for first in (1, 50):
            for selected in ("sku", "sku shelfLifeDays landedCost"):
                await graph.forget()
                query = f"{{ items(first: {first}) {{ nodes {{ {selected} }} }} }}"
                data = await graph.data(query, principal=signed(Role.FINANCE))
                assert len(data["items"]["nodes"]) == first
                made.append((await graph.requests())["erp"])
    assert made == [1, 1, 1, 1]


async def test_cached_rows_keep_their_fields(dated_sandbox: Sandbox) -> None:
    query = '{ item(by: {sku: "SKU-0001"}) { shelfLifeDays landedCost } }'
    async with deployment(dated_sandbox, cache=CacheSettings()) as graph:
        first = await graph.data(query, principal=signed(Role.FINANCE))
        await graph.forget()
        again = await graph.data(query, principal=signed(Role.FINANCE))
        assert (await graph.requests())["erp"] == 0
    assert first == again == {"item": {"shelfLifeDays": 365, "landedCost": "3.1400"}}


@pytest.mark.parametrize("transport", [first_by_events, first_by_socket])
async def test_streams_and_changes_have_the_fields(dated_sandbox: Sandbox, transport: Any) -> None:
    selected = "... on OrderUpdate { order { number certificates } }"
    query = f"subscription($after: Cursor) {{ orderUpdates(after: $after) {{ __typename {selected} }} }}"
    changes = (
        "query($since: Cursor) { changes(since: $since, first: 5, kinds: [ORDER]) "
        "{ changes { node { ... on Order { number certificates } } } } }"
    )
    expected = {"number": "SO-100040", "certificates": ["3.1", "RoHS"]}
    async with deployment(dated_sandbox) as graph, log_of(graph) as log:
        start = await log.events.end()
        await log.record(await order_of(graph))
        streamed = await transport(graph, log, header(MANAGER), query, start)
        listed = await graph.data(changes, {"since": start}, principal=header(MANAGER))
    assert streamed["data"]["orderUpdates"]["order"] == expected
    assert [one["node"] for one in listed["changes"]["changes"]] == [expected]


def settings(**changed: Any) -> Settings:
    nowhere: dict[str, str] = dict.fromkeys(("erp", "commerce", "logistics"), "http://127.0.0.1:1")
    given = {"policy": BRANCHES.policy, "fields": FIELDS, **changed}
    return Settings(sources=sandbox_sources(nowhere, "none"), domains=SANDBOX_DOMAINS, **given)


def test_plan_and_explanation_know_the_fields() -> None:
    query = '{ item(by: {sku: "SKU-0001"}) { shelfLifeDays landedCost } }'
    principal = Principal("x", frozenset({SHOWROOM}))
    explained = explain_document(settings(), query, {}, principal)
    plain = explain_document(settings(), '{ item(by: {sku: "SKU-0001"}) { name } }', {}, principal)
    assert (explained.refused, explained.reads) == (("Item.landedCost",), plain.reads)
    plan = plan_of(settings(), query, None, {})
    assert plan is not None
    assert "shelfLifeDays" in format_plan(plan)


def test_policy_of_the_deployment_opens_nothing_else() -> None:
    cells = copy.deepcopy(BRANCHES.cells)
    like = {
        "Customer.routeCode": "Customer.salesRep",
        "Item.shelfLifeDays": "Item.gtin",
        "Item.landedCost": "Item.cost",
        "Order.certificates": "Order.customerPo",
        "Shipment.dockDoor": "Shipment.service",
    }
    cells |= {name: cells[other] for name, other in like.items()}
    assert cells_of(policy_of(build_schema(settings()))) == cells


def test_sdl_of_the_deployment_differs_in_its_fields_and_roles_only() -> None:
    own = print_schema(Settings(policy=BRANCHES.policy)).splitlines()
    added = [line[2:] for line in ndiff(own, print_schema(settings()).splitlines()) if line[0] in "+-"]
    assert [line.strip() for line in added if line.strip() and '"' not in line] == [
        "routeCode: String",
        "shelfLifeDays: Int @volatility(kind: FACT, maxAge: 600, staleFor: 21600, share: PUBLIC)",
        "landedCost: Decimal @requires(scope: COST)",
        "certificates: [String!]",
        "dockDoor: String",
    ]
    assert print_schema() == print_schema(Settings())
    assert "routeCode" not in print_schema()


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "existing": (
        {"name": "salesRep"},
        "fields[0].name = 'salesRep': Customer has a field of that name; choose another",
    ),
    "node": ({"name": "id"}, "fields[0].name = 'id': Customer has a field of that name; choose another"),
    "reserved": (
        {"name": "__typename"},
        "fields[0].name = '__typename': names with two underscores belong to GraphQL; choose another",
    ),
    "no name": (
        {"name": "route-code"},
        "fields[0].name = 'route-code': should be letters and digits that begin in lower case, as routeCode",
    ),
    "SDL": (
        {"name": "a: String } type Query {"},
        (
            "fields[0].name = 'a: String } type Query {': should be letters and digits that begin in lower case, as "
            "routeCode"
        ),
    ),
    "type": ({"type": "Costumer"}, "fields[0].type = 'Costumer': cannot have fields; did you mean 'Customer'?"),
    "root": (
        {"type": "Query"},
        "fields[0].type = 'Query': cannot have fields; known here: Customer, Item, Order, Shipment",
    ),
    "scope": ({"scope": "COSTS"}, "fields[0].scope = 'COSTS': is not a scope; did you mean 'COST'?"),
    "volatility": (
        {"volatility": "VOL"},
        (
            "fields[0].volatility = 'VOL': the value is read with its Customer, which is REF and up to 300 s old; "
            "leave it out"
        ),
    ),
}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_field_that_cannot_be_stops_the_start(name: str) -> None:
    changed, message = REFUSED[name]
    given = {"type": "Customer", "name": "routeCode", "scalar": "String", "description": "x", "sources": {"erp": "x"}}
    one = FieldSettings.model_validate({**given, **changed})
    with pytest.raises((ConfigurationError, GraphQLError)) as refused:
        build_schema(Settings(fields=(one,)))
    assert isinstance(refused.value, ConfigurationError)
    assert refused.value.message == message


def test_field_of_one_name_twice_stops_the_start() -> None:
    with pytest.raises(ConfigurationError) as refused:
        build_schema(Settings(fields=(FIELDS[0], FIELDS[0])))
    message = "fields[1].name = 'routeCode': Customer has a field of that name; choose another"
    assert refused.value.message == message
