"""Every field for every role over real servers, by both engines, held to a table that was written by hand."""

from __future__ import annotations

import asyncio
import itertools
import json
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from app.auth.principal import UNRESTRICTED, Principal, Role
from app.cli.demo import SANDBOX_DOMAINS, sandbox_sources
from app.execution.engine import Request
from app.execution.plan.engine import PlanEngine
from app.gateway.explain.explainer import Explainer
from app.gateway.explain.simulated_records import Assumptions
from app.sandbox import Sandbox
from app.schema import build_schema, policy_of
from app.settings import Settings
from app.sources.node_ids import node_id
from app.sources.wiring import connect_all
from tests.support.consumers import VARIABLES
from tests.support.gateway import Graph, document, gateway, signed
from tests.support.policy_table import CELLS, INPUTS, MASKED, ROLES
from tests.support.policy_walk import ACCOUNTS, DOMAINS, OWN_AGENT, UNSERVED, Walk, cells_of, walk
from tests.support.streams import OURS, first_by_events, first_by_socket, log_of, order_of, shipment_of

SCHEMA = build_schema()

UNREACHED = {
    Role.SALES_REP: {"DocumentLink"},
    Role.OPERATIONS: {
        "DocumentLink",
        "OrderGuideItem",
        "OrderGuideItemConnection",
        "OrderGuideItemEdge",
        "Purchase",
        "PurchaseHistory",
    },
    Role.AGENT: {"Address", "DocumentLink", "Party"},
    Role.ADMIN: {"Address", "DocumentLink", "Money", "Party"},
}
"""Parts of things that the role may not see, and what is reached by a customer only."""

VALUES: dict[str, tuple[str | None, str | None]] = {
    "TaxProfile.registrationNumber": ("99-0000001", "****0001"),
    "Shipment.trackingNumber": ("1ZSB001000401", "****0401"),
    "Shipment.trackingUrl": ("https://track.example.com/1ZSB001000401", None),
    "Package.trackingNumber": ("1ZSB001000401-1", "****01-1"),
    "ProofOfDelivery.signedBy": ("Receiving 6", "R. 6."),
}
"""What is seen whole, and what through the mask."""

NOWHERE: dict[str, str] = dict.fromkeys(("erp", "commerce", "logistics"), "http://127.0.0.1:1")
SETTINGS = Settings(sources=sandbox_sources(NOWHERE, "none"), domains=SANDBOX_DOMAINS)
HEADERS = {role: signed(role) if role in UNRESTRICTED else signed(role, *ACCOUNTS) for role in Role} | {
    Role.AGENT: signed(Role.AGENT, agents=[OWN_AGENT])
}


@dataclass(frozen=True, slots=True)
class Post:
    """GraphQL over HTTP by POST."""

    graph: Graph

    async def ask(self, query: str, role: Role) -> dict[str, Any]:
        return await self.graph.ask(query, principal=HEADERS[role])


@dataclass(frozen=True, slots=True)
class Get:
    """GraphQL over HTTP by GET."""

    graph: Graph

    async def ask(self, query: str, role: Role) -> dict[str, Any]:
        return (await self.graph.client.get("/graphql", params={"query": query}, headers=HEADERS[role])).json()


@dataclass(frozen=True, slots=True)
class Events:
    """A query by server-sent events: the one answer of the stream."""

    graph: Graph

    async def ask(self, query: str, role: Role) -> dict[str, Any]:
        return await self.told(query, role)

    async def told(self, query: str, role: Role) -> dict[str, Any]:
        """The first answer of a stream."""
        headers = {**HEADERS[role], "accept": "text/event-stream"}
        answer = await self.graph.client.post("/graphql", json={"query": query}, headers=headers)
        (data,) = [line[6:] for line in answer.text.split("\n") if line.startswith("data: {")]
        return json.loads(data)


@dataclass(frozen=True, slots=True)
class Socket:
    """GraphQL over WebSocket, a socket for each question: a role may be asked many at once."""

    graph: Graph

    async def ask(self, query: str, role: Role) -> dict[str, Any]:
        return await self.told(query, role)

    async def told(self, query: str, role: Role) -> dict[str, Any]:
        """The first answer of an operation, or its refusal."""
        address = f"ws{str(self.graph.client.base_url)[4:].rstrip('/')}/graphql"
        async with connect(address, subprotocols=[Subprotocol("graphql-transport-ws")]) as socket:
            await socket.send(json.dumps({"type": "connection_init", "payload": HEADERS[role]}))
            assert json.loads(await socket.recv()) == {"type": "connection_ack"}
            await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": {"query": query}}))
            answer = json.loads(await socket.recv())["payload"]
        return {"errors": answer} if isinstance(answer, list) else answer


TRANSPORTS = {"post": Post, "get": Get, "events": Events, "websocket": Socket}
"""Each is anything with `ask(query, role)`."""


def test_table_of_the_code_is_the_one_written_by_hand() -> None:
    table = policy_of(SCHEMA)
    assert cells_of(table) == CELLS
    assert {name: frozenset(roles) for name, roles in table.inputs.items()} == INPUTS


@pytest.mark.timeout(300)
@pytest.mark.parametrize("transport", sorted(TRANSPORTS))
@pytest.mark.parametrize("engine", ["plan", "reference"])
async def test_every_field_answers_or_is_refused_as_the_table_says(
    dated_sandbox: Sandbox, engine: Literal["plan", "reference"], transport: str, record_property: Any
) -> None:
    async with gateway(dated_sandbox, engine=engine, domains=DOMAINS) as graph:
        asked = TRANSPORTS[transport](graph)
        walks = dict(zip(Role, await asyncio.gather(*(walk(asked, role) for role in Role)), strict=True))
    assert [wrong for found in walks.values() for wrong in found.wrong] == []
    served = {key for key in CELLS if key.partition(".")[0] not in UNSERVED}
    for role, found in walks.items():
        assert found.empty == set(), f"{role}: nothing to see at the end of the way"
        assert set(found.cells) == served
        assert found.unreached == UNREACHED.get(role, set())
        for key, (whole, masked) in VALUES.items():
            if role in ROLES[key]:
                assert found.values[key] == {masked if role in MASKED[key][1] else whole}, f"{role}: {key}"
    record_property("cells", sum(len(found.cells) for found in walks.values()))


KINDS = {
    "Customer": (node_id("Customer", "CUST-0001"), node_id("Customer", "CUST-9999")),
    "Order": (node_id("Order", "erp", "500040"), node_id("Order", "erp", "999999")),
    "Agent": (node_id("Agent", "AG-01-01"), node_id("Agent", "AG-99")),
    "CommissionStatement": (
        node_id("CommissionStatement", "CS-01-01-103"),
        node_id("CommissionStatement", "CS-01-01-999"),
    ),
    "Shipment": (node_id("Shipment", "logistics", "shp-014986"), node_id("Shipment", "logistics", "shp-914986")),
}
"""An id of something that exists, and one of something that does not, for each type that not everybody may see."""


@pytest.mark.parametrize("engine", ["plan", "reference"])
async def test_node_of_a_refused_type_is_forbidden_whether_it_exists_or_not(
    dated_sandbox: Sandbox, engine: Literal["plan", "reference"]
) -> None:
    query = "query($id: ID!) { node(id: $id) { id } nodes(ids: [$id]) { id } }"
    refused = 0
    async with gateway(dated_sandbox, engine=engine) as graph:
        for role, (kind, ids) in itertools.product(Role, KINDS.items()):
            if role in ROLES[f"{kind}.id"]:
                continue
            answers = [await graph.ask(query, {"id": one}, principal=HEADERS[role]) for one in ids]
            for answer in answers:  # What is left of a partner's budget depends on the time since its last request.
                answer.get("extensions", {}).get("cost", {}).pop("remaining", None)
            assert answers[0] == answers[1]
            assert answers[0]["data"] == {"node": None, "nodes": [None]}
            codes = {tuple(error["path"]): error["extensions"]["code"] for error in answers[0]["errors"]}
            assert codes == {("node",): "FORBIDDEN", ("nodes", 0): "FORBIDDEN"}
            refused += 1
    assert refused == 24


PART = '{customerPart: {customer: {number: "CUST-0001"}, number: "C01-0007"}}'
PO = '{customerPo: {customer: {number: "CUST-0001"}, number: "PO-0001-00040"}}'
ASKED = {
    "item": f"{{ item(by: {PART}) {{ sku }} }}",
    "order": f"{{ order(by: {PO}) {{ number }} }}",
    "promise": f"{{ promise(quantity: 1, item: {PART}) {{ reason }} }}",
}


@pytest.mark.parametrize("engine", ["plan", "reference"])
@pytest.mark.parametrize("field", sorted(ASKED))
async def test_nobody_learns_by_asking_what_he_may_not_see(
    dated_sandbox: Sandbox, engine: Literal["plan", "reference"], field: str
) -> None:
    """Whose an order is and what a customer calls an item can be asked by those only who may see customers."""
    key = "ItemKey" if field != "order" else "OrderKey"
    by = {"customer": {"number": "CUST-0001"}, "number": "PO-0001-00040" if field == "order" else "C01-0007"}
    given = {"by": {"customerPo" if field == "order" else "customerPart": by}}
    argument = "item: $by, quantity: 1" if field == "promise" else "by: $by"
    asked = [(ASKED[field], {}), (f"query($by: {key}!) {{ {field}({argument}) {{ __typename }} }}", given)]
    async with gateway(dated_sandbox, engine=engine) as graph:
        for query, variables in asked:
            for role in Role:
                answer = await graph.ask(query, variables, principal=HEADERS[role])
                if role in INPUTS["CustomerKey"]:
                    assert answer["data"][field] is not None
                    assert "errors" not in answer
                else:
                    assert answer["data"] == {field: None}
                    (error,) = answer["errors"]
                    assert (error["path"], error["extensions"]) == ([field], {"code": "FORBIDDEN"})


@pytest.mark.parametrize("role", list(Role))
async def test_explanation_names_what_is_refused(role: Role) -> None:
    sources = connect_all(SETTINGS)
    engine = PlanEngine(SCHEMA._schema)
    explainer = Explainer(SETTINGS, sources, engine, policy_of(SCHEMA))
    principal = Principal(subject="x", roles=frozenset({role}), customers=frozenset(ACCOUNTS))
    try:
        for name, variables in VARIABLES.items():
            operation = engine.prepare(Request(document(name), None, variables))
            selected = {f"{type_}.{one}" for type_, names in operation.selection.items() for one in names}
            found = await explainer.explain(operation, principal, Assumptions())
            assert found.refused == tuple(sorted(key for key in selected & set(ROLES) if role not in ROLES[key]))
    finally:
        await sources.close()


@pytest.mark.parametrize("role", list(Role))
async def test_explanation_refuses_every_cell_that_the_table_refuses(role: Role) -> None:
    sources = connect_all(SETTINGS)
    engine = PlanEngine(SCHEMA._schema)
    explainer = Explainer(SETTINGS, sources, engine, policy_of(SCHEMA))
    principal = Principal(subject="x", roles=frozenset({role}), customers=frozenset(ACCOUNTS))
    ways = Walk(SCHEMA._schema)
    seen: set[str] = set()
    try:
        for probe in ways.probes(role):
            operation = engine.prepare(Request(f"{{ {ways.text(probe)} }}", None, {}))
            selected = {f"{type_}.{one}" for type_, names in operation.selection.items() for one in names}
            found = await explainer.explain(operation, principal, Assumptions())
            assert found.refused == tuple(sorted(key for key in selected & set(ROLES) if role not in ROLES[key]))
            seen |= selected & set(ROLES)
    finally:
        await sources.close()
    assert seen == {key for key in ROLES if key.partition(".")[0] not in UNSERVED}


STREAMS = {
    "shipmentUpdates": "(after: $after) { __typename cursor ... on ShipmentUpdate { at shipment { trackingNumber } } "
    "... on UpdatesLost { from to reason } }",
    "orderUpdates": "(after: $after) { __typename cursor "
    "... on OrderUpdate { at order { totals { margin { amount } } } } ... on UpdatesLost { from to reason } }",
    "availabilityChanged": '(items: [{sku: "SKU-0001"}]) { at item { cost { freshness { source } } } }',
}
"""What is asked of each stream: what it tells, and something below that not everybody sees whole."""


@pytest.mark.parametrize("transport", [first_by_events, first_by_socket])
async def test_streams_send_only_rows_and_fields_that_the_caller_may_see(graph: Graph, transport: Any) -> None:
    shipment, order = await shipment_of(graph), await order_of(graph)
    async with log_of(graph) as log:
        start = await log.events.end()
        await log.record(shipment, order)
        for name, selected in STREAMS.items():
            variable = "($after: Cursor)" if "$after" in selected else ""
            query = f"subscription {variable} {{ {name}{selected} }}"
            for role in Role:
                answer = await transport(graph, log, HEADERS[role], query, start)
                codes = [error["extensions"]["code"] for error in answer.get("errors", ())]
                if role not in ROLES[f"Subscription.{name}"]:
                    assert ("data" in answer, codes) == (False, ["FORBIDDEN"])
                elif name == "shipmentUpdates":
                    masked = role in MASKED["Shipment.trackingNumber"][1]
                    number = answer["data"][name]["shipment"]["trackingNumber"]
                    assert number == (f"****{OURS[-4:]}" if masked else OURS)
                else:
                    closed = "OrderTotals.margin" if name == "orderUpdates" else "Item.cost"
                    assert codes == ([] if role in ROLES[closed] else ["FORBIDDEN"])
                    assert answer["data"][name]["at"] == "2026-11-01T09:30:00Z"
