"""Who may open a stream, and of what: the policy, trusted documents and arguments, over both transports of a whole
gateway."""

from __future__ import annotations

from typing import Any

import pytest

from app.auth.principal import Role
from app.gateway.documents.stores.document_store import document_id
from app.gateway.documents.stores.sqlite_documents import SQLiteDocuments
from app.sandbox import Sandbox
from app.settings import DocumentSettings
from tests.support.gateway import BUYER, CSR, OTHER_BUYER, REP, Graph, document, gateway, signed
from tests.support.stored import keep, stored
from tests.support.streams import OTHERS, OURS, Events, events_of, log_of, shipment_of, socket_of

FINANCE = signed(Role.FINANCE)
PARTNER = signed(Role.PARTNER, "CUST-0001")
TEXT = document("shipment_updates")
NAMED = "subscription ($by: [ShipmentKey!]) { shipmentUpdates(shipments: $by) { cursor } }"
STOCK = "subscription ($by: [ItemKey!]!) { availabilityChanged(items: $by) { at } }"
ORDERS = "subscription ($by: OrderKey, $after: Cursor) { orderUpdates(order: $by, after: $after) { cursor } }"


async def streamed(graph: Graph, principal: dict[str, str], query: str, variables: dict[str, Any]) -> tuple[str, str]:
    """Code and message by which a stream of server-sent events is refused."""
    async with events_of(graph, principal, query, **variables) as events:
        (error,) = (await events.next())["data"]["errors"]
        assert (await events.next())["event"] == "complete"
    return error["extensions"]["code"], error["message"]


async def socketed_once(
    graph: Graph, principal: dict[str, str], query: str, variables: dict[str, Any]
) -> tuple[str, str]:
    """Code and message by which a subscription over a socket is refused."""
    async with socket_of(graph, principal) as socket:
        await socket.subscribe("1", query, **variables)
        return await socket.refusal()


async def socketed(graph: Graph, principal: dict[str, str], query: str, variables: dict[str, Any]) -> tuple[str, str]:
    """Code and message by which a subscription over a socket is refused; the socket stays."""
    async with socket_of(graph, principal) as socket:
        await socket.subscribe("1", query, **variables)
        refused = await socket.refusal()
        await socket.subscribe("1", "{ me { subject } }")
        assert list((await socket.next())["data"]) == ["me"]
    return refused


NO_CUSTOMER, NO_ORDER = "There is no such customer.", "There is no such order."
ASKED: list[Any] = [
    pytest.param(
        FINANCE,
        TEXT,
        {},
        ("FORBIDDEN", "Your role does not have permission for this field."),
        id="a role that sees no shipments",
    ),
    pytest.param(BUYER, TEXT, {"customer": {"number": "CUST-0002"}}, ("INVALID_INPUT", NO_CUSTOMER), id="foreign"),
    pytest.param(BUYER, TEXT, {"customer": {"number": "CUST-9999"}}, ("INVALID_INPUT", NO_CUSTOMER), id="missing"),
    pytest.param(CSR, TEXT, {"customer": {"number": "CUST-9999"}}, ("INVALID_INPUT", NO_CUSTOMER), id="of nobody"),
    pytest.param(BUYER, TEXT, {"order": {"number": "SO-000000"}}, ("INVALID_INPUT", NO_ORDER), id="missing order"),
    pytest.param(
        OTHER_BUYER, TEXT, {"order": {"number": "SO-100040"}}, ("INVALID_INPUT", NO_ORDER), id="foreign order"
    ),
    pytest.param(OTHER_BUYER, ORDERS, {"by": {"number": "SO-100040"}}, ("INVALID_INPUT", NO_ORDER), id="of orders"),
    pytest.param(
        BUYER,
        NAMED,
        {"by": [{"trackingNumber": OURS}, {"trackingNumber": OTHERS}]},
        ("INVALID_INPUT", "There is no such shipment: shipments[1]."),
        id="foreign shipment",
    ),
    pytest.param(
        BUYER, NAMED, {"by": []}, ("INVALID_INPUT", "shipments must hold 1 to 100 keys, not 0."), id="no shipment"
    ),
    pytest.param(
        BUYER,
        STOCK,
        {"by": [{"sku": "SKU-0001"}, {"sku": "nothing"}]},
        ("INVALID_INPUT", "There is no such item: items[1]."),
        id="missing item",
    ),
    pytest.param(
        BUYER,
        STOCK,
        {"by": [{"sku": "SKU-0001"}] * 101},
        ("INVALID_INPUT", "items must hold 1 to 100 keys, not 101."),
        id="too many items",
    ),
]


@pytest.mark.parametrize("ask", [streamed, socketed])
@pytest.mark.parametrize(("principal", "query", "variables", "refused"), ASKED)
async def test_stream_is_refused_with_a_code(
    graph: Graph, ask: Any, principal: dict[str, str], query: str, variables: dict[str, Any], refused: tuple[str, str]
) -> None:
    assert await ask(graph, principal, query, variables) == refused


@pytest.mark.parametrize("ask", [streamed, socketed])
@pytest.mark.parametrize(
    ("variables", "code"),
    [
        ({"customer": {}}, "BAD_USER_INPUT"),
        ({"customer": 7}, "BAD_USER_INPUT"),
        ({"customer": {"id": "nothing"}}, "INVALID_ID"),
        ({"after": "nothing"}, "INVALID_CURSOR"),
        ({"after": ""}, "INVALID_CURSOR"),
        ({"after": 7}, "BAD_USER_INPUT"),
    ],
)
async def test_wrong_argument_fails_its_operation_alone(
    graph: Graph, ask: Any, variables: dict[str, Any], code: str
) -> None:
    assert (await ask(graph, BUYER, TEXT, variables))[0] == code


async def test_partner_opens_what_is_published_and_nothing_by_text(dated_sandbox: Sandbox) -> None:
    async with gateway(dated_sandbox, documents=DocumentSettings()) as graph:
        store = SQLiteDocuments(graph.data_dir / "documents.sqlite")
        await keep(store, stored("a-partner", TEXT))
        await store.close()
        for ask in (streamed, socketed_once):
            assert (await ask(graph, PARTNER, TEXT, {}))[0] == "TRUSTED_DOCUMENT_REQUIRED"
        changed = await shipment_of(graph)
        async with log_of(graph) as log, socket_of(graph, PARTNER) as socket:
            variables = {"after": await log.events.end()}
            (cursor,) = await log.record(changed)
            asked = {"documentId": document_id(TEXT), "variables": variables}
            await socket.send({"id": "1", "type": "subscribe", "payload": asked})
            assert (await socket.next())["data"]["shipmentUpdates"]["cursor"] == cursor
            headers = {**PARTNER, "accept": "text/event-stream"}
            async with graph.client.stream("POST", "/graphql", json=asked, headers=headers) as response:
                assert (await Events(response).next())["id"] == cursor


@pytest.mark.parametrize("principal", [BUYER, REP, CSR])
async def test_named_shipments_are_followed(graph: Graph, principal: dict[str, str]) -> None:
    ours = await shipment_of(graph)
    keys = [{"id": ours.node_id}, {"trackingNumber": OURS}, {"ref": {"system": ours.source, "id": ours.key}}]
    async with log_of(graph) as log, socket_of(graph, principal) as socket:
        start = await log.events.end()
        cursor, _ = await log.record(ours, await shipment_of(graph, OTHERS))
        query = "subscription ($by: [ShipmentKey!], $after: Cursor) { shipmentUpdates(shipments: $by, after: $after)"
        for key in keys:
            await socket.subscribe("1", f"{query} {{ cursor }} }}", by=[key], after=start)
            assert await socket.next() == {"data": {"shipmentUpdates": {"cursor": cursor}}}
            await socket.send({"id": "1", "type": "complete"})
