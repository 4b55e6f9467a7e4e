"""Webhooks out over a whole gateway: what a partner's endpoint is told, by its own document and with its own rights."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from starlette.responses import Response

from app.events.log import ChangeEvent, EventLog
from app.events.stores import connect_events
from app.gateway.documents.stores import connect_documents
from app.gateway.documents.stores.document_store import DocumentState, document_id
from app.http.standard_webhooks import decode_secret, verify_signature
from app.sandbox import Sandbox
from app.settings import EndpointSettings, PolicySettings, ScopeSettings, Settings
from app.sources.changes import ChangeKind
from app.sources.node_ids import node_id
from app.sources.values import utc_now
from app.webhooks.outbound.endpoints import Endpoint, EndpointState, EndpointStore
from app.webhooks.outbound.stores import connect_endpoints
from tests.support.endpoints import SECRET, delivery, endpoint, put
from tests.support.events import THEN
from tests.support.gateway import NOON, Graph, gateway
from tests.support.stored import keep, stored
from tests.upstreams.receiver import Receiver, receiving

SHIPMENTS = """subscription Steps($customer: CustomerKey) { shipmentUpdates(customer: $customer) {
  __typename cursor
  ... on ShipmentUpdate { shipment { trackingNumber customer { number } } }
  ... on UpdatesLost { reason }
} }"""
ORDERS = "subscription Orders { orderUpdates { ... on OrderUpdate { order { number } } } }"
RETURNS = "subscription Returns { returnUpdates { ... on ReturnUpdate { return { number shipmentState } } } }"
QUOTES = "subscription Quotes { quoteUpdates { ... on QuoteUpdate { quote { number status } } } }"
STOCK = 'subscription Stock { availabilityChanged(items: [{sku: "SKU-0001"}]) { at } }'
OURS, THEIRS = "1ZSB001000401", "1ZSB001156861"
LOCAL = EndpointSettings(allowed_networks=("127.0.0.0/8",), retry_first=0.05, retry_most=0.1, timeout=2.0)


class Partner:
    """A gateway that posts to a partner's receiver; what both keep, through connections of our own."""

    def __init__(self, graph: Graph, receiver: Receiver, events: EventLog, store: EndpointStore) -> None:
        self.graph, self.receiver, self.events, self.store = graph, receiver, events, store

    async def bind(self, text: str = SHIPMENTS, **changed: Any) -> Endpoint:
        """Publish a document for the partner, and bind it to the receiver."""
        documents = connect_documents(Settings(data_dir=self.graph.data_dir))
        try:
            await keep(documents, stored("acme", text))
        finally:
            await documents.close()
        made = endpoint(url=f"{self.receiver.url}/in", document=document_id(text), **changed)
        await self.events.commit_offset(made.reader_name, await self.events.end())
        await put(self.store, made)
        return made

    async def happens(self, *tracking_numbers: str) -> list[str]:
        """Shipments change; the cursors."""
        updates = [await self.shipment(number) for number in tracking_numbers]
        return [one.cursor for one in await self.events.record((), updates)]

    async def shipment(self, number: str) -> ChangeEvent:
        query = "query ($by: ShipmentKey!) { shipment(by: $by) { id refs { system id } customer { number } } }"
        found = (await self.graph.data(query, {"by": {"trackingNumber": number}}))["shipment"]
        (ref,) = found["refs"]
        return ChangeEvent(
            kind=ChangeKind.SHIPMENT, source=ref["system"], key=ref["id"], node_id=found["id"], recorded_at=THEN,
            customer=found["customer"]["number"], tracking_number=number,
        )  # fmt: skip

    async def state(self, wanted: EndpointState) -> Endpoint:
        """The endpoint, once it is in a state."""
        async with asyncio.timeout(120):
            while (await self.store.all())[0].state is not wanted:
                await asyncio.sleep(0.02)
        return (await self.store.all())[0]


@asynccontextmanager
async def partner_of(graph: Graph, receiver: Receiver) -> AsyncIterator[Partner]:
    settings = Settings(data_dir=graph.data_dir)
    events, store = connect_events(settings), connect_endpoints(settings)
    try:
        yield Partner(graph, receiver, events, store)
    finally:
        await events.close()
        await store.close()


@pytest.fixture
async def partner(dated_sandbox: Sandbox) -> AsyncIterator[Partner]:
    async with (
        receiving() as receiver,
        gateway(dated_sandbox, endpoints=LOCAL) as graph,
        partner_of(graph, receiver) as partner,
    ):
        yield partner


async def test_partner_gets_signed_payloads_of_its_own_document_and_rows_only(partner: Partner):
    await partner.bind()
    _, cursor = await partner.happens(THEIRS, OURS)
    (webhook,) = await partner.receiver.until(1)
    assert webhook.payload == {
        "type": "shipment.updated",
        "timestamp": "2026-11-01T09:30:00Z",
        "cursor": cursor,
        "data": {
            "shipmentUpdates": {
                "__typename": "ShipmentUpdate",
                "cursor": cursor,
                "shipment": {"trackingNumber": OURS, "customer": {"number": "CUST-0001"}},
            }
        },
    }
    timestamp = int(webhook.headers["webhook-timestamp"])
    assert abs(time.time() - timestamp) < 60
    assert verify_signature(
        webhook.headers["webhook-signature"], [decode_secret(SECRET)], webhook.id, timestamp, webhook.body
    )


async def test_variables_say_which_updates(partner: Partner):
    both = {"customers": ("CUST-0001", "CUST-0002"), "variables": {"customer": {"number": "CUST-0002"}}}
    await partner.bind(**both)
    await partner.happens(OURS, THEIRS)
    (webhook,) = await partner.receiver.until(1)
    assert webhook.payload["data"]["shipmentUpdates"]["shipment"]["trackingNumber"] == THEIRS


async def test_orders_are_delivered_too(partner: Partner):
    await partner.bind(ORDERS)
    order = (await partner.graph.data('{ order(by: {number: "SO-100040"}) { id } }'))["order"]
    changed = ChangeEvent(
        kind=ChangeKind.ORDER, source="erp", key="SO-100040", node_id=order["id"], recorded_at=THEN,
        customer="CUST-0001", orders=("SO-100040",),
    )  # fmt: skip
    await partner.events.record((), [changed])
    (webhook,) = await partner.receiver.until(1)
    assert webhook.payload["type"] == "order.updated"
    assert webhook.payload["data"] == {"orderUpdates": {"order": {"number": "SO-100040"}}}


async def test_quotes_of_the_partners_customers_are_delivered(partner: Partner):
    await partner.bind(QUOTES)
    changed = [
        ChangeEvent(kind=ChangeKind.QUOTE, source="erp", key=key, node_id=node_id("Quote", "erp", key),
                    recorded_at=THEN, customer=customer)
        for key, customer in (("q2011", "CUST-0499"), ("q2002", "CUST-0001"))
    ]  # fmt: skip
    await partner.events.record((), changed)
    (webhook,) = await partner.receiver.until(1)
    assert webhook.payload["type"] == "quote.updated"
    assert webhook.payload["data"] == {"quoteUpdates": {"quote": {"number": "QU-2002", "status": "OFFERED"}}}


async def test_returns_of_the_partners_customers_are_delivered(dated_sandbox: Sandbox):
    policy = PolicySettings(scopes={"RETURNS": ScopeSettings(add=("partner",))})
    async with (
        receiving() as receiver,
        gateway(dated_sandbox, endpoints=LOCAL, policy=policy) as graph,
        partner_of(graph, receiver) as partner,
    ):
        await _returns_are_delivered(partner)


async def test_returns_are_refused_to_a_partner_without_their_scope(partner: Partner):
    await partner.bind(RETURNS)
    await partner.events.record((), [_changed_return("916356", "CUST-0001")])
    disabled = await partner.state(EndpointState.DISABLED)
    assert (partner.receiver.webhooks, "FORBIDDEN" in (disabled.reason or "")) == ([], True)


def _changed_return(key: str, customer: str) -> ChangeEvent:
    id = node_id("Return", "erp", key)
    return ChangeEvent(kind=ChangeKind.RETURN, source="erp", key=key, node_id=id, recorded_at=THEN, customer=customer)


async def _returns_are_delivered(partner: Partner) -> None:
    await partner.bind(RETURNS)
    changed = [_changed_return("900047", "CUST-0362"), _changed_return("916356", "CUST-0001")]
    await partner.events.record((), changed)
    (webhook,) = await partner.receiver.until(1)
    assert webhook.payload["type"] == "return.updated"
    assert webhook.payload["data"] == {
        "returnUpdates": {"return": {"number": "RMA-16356", "shipmentState": "RECEIVED"}}
    }


async def test_source_that_is_away_costs_time_and_nothing_else(partner: Partner):
    await partner.bind()
    update = await partner.shipment(OURS)
    await partner.graph.turn("logistics", errorRate=1, errorKind="html")
    await partner.events.record((), [update])
    async with asyncio.timeout(120):
        while not await partner.store.pending("ep1"):
            await asyncio.sleep(0.02)
    assert partner.receiver.webhooks == []
    await partner.graph.backends["logistics"].delete("/sandbox/faults")
    (webhook,) = await partner.receiver.until(1, seconds=20)
    assert webhook.payload["data"]["shipmentUpdates"]["shipment"]["trackingNumber"] == OURS


async def test_resumed_endpoint_gets_the_events_it_missed(partner: Partner):
    made = await partner.bind(state=EndpointState.PAUSED)
    await partner.happens(OURS)
    await put(partner.store, replace(made, state=EndpointState.ACTIVE))
    (webhook,) = await partner.receiver.until(1)
    assert webhook.payload["data"]["shipmentUpdates"]["shipment"]["trackingNumber"] == OURS


async def test_status_410_disables_the_endpoint_with_a_reason(partner: Partner):
    partner.receiver.answer = lambda _: Response(status_code=410)
    await partner.bind()
    await partner.happens(OURS)
    assert (await partner.state(EndpointState.DISABLED)).reason == "it answered 410 Gone"


@pytest.mark.parametrize(
    ("text", "changed", "reason"),
    [
        (SHIPMENTS, {"client": "globex"}, "DOCUMENT_NOT_FOUND"),
        (SHIPMENTS, {"variables": {"customer": {"number": "CUST-0002"}}}, "INVALID_INPUT: There is no such customer."),
        (SHIPMENTS, {"variables": {"customer": 7}}, "Variable '$customer' has invalid value"),
        (SHIPMENTS, {"roles": ("finance",)}, "FORBIDDEN"),
        (STOCK, {}, "hints of stock"),
        ("query Q { me { subject } }", {}, "is not a subscription"),
    ],
    ids=["anothers document", "anothers customer", "wrong variables", "not its right", "stock", "a query"],
)
async def test_document_that_cannot_be_run_disables(partner: Partner, text: str, changed: Any, reason: str):
    await partner.bind(text, **changed)
    await partner.happens(OURS)
    assert reason in ((await partner.state(EndpointState.DISABLED)).reason or "")
    assert partner.receiver.webhooks == []


async def test_retired_document_disables(partner: Partner):
    await partner.bind()
    documents = connect_documents(Settings(data_dir=partner.graph.data_dir))
    retired = stored("acme", SHIPMENTS, state=DocumentState.RETIRED, retires=NOON.date())
    try:
        await keep(documents, retired)
    finally:
        await documents.close()
    await asyncio.sleep(0)
    async with asyncio.timeout(120):
        while (await partner.store.all())[0].state is EndpointState.ACTIVE:
            await partner.happens(OURS)
            await asyncio.sleep(0.2)
    assert "DOCUMENT_RETIRED" in ((await partner.store.all())[0].reason or "")


async def test_private_address_is_refused_where_it_is_not_allowed(dated_sandbox: Sandbox):
    async with (
        receiving() as receiver,
        gateway(dated_sandbox, endpoints=EndpointSettings()) as graph,
        partner_of(graph, receiver) as partner,
    ):
        await partner.bind()
        await partner.happens(OURS)
        async with asyncio.timeout(120):
            while not (waiting := await partner.store.pending("ep1")):
                await asyncio.sleep(0.02)
        assert (waiting[0].cause or "").startswith("the address is refused: 127.0.0.1 is not a public address")
        assert receiver.webhooks == []


async def test_replayed_delivery_comes_again_under_its_id(partner: Partner):
    await partner.bind()
    (cursor,) = await partner.happens(OURS)
    (first,) = await partner.receiver.until(1)
    now = utc_now()
    await partner.store.save([delivery(cursor, update=await partner.shipment(OURS), dead_at=now)])
    assert await partner.store.replay("ep1", now=now) == 1
    _, second = await partner.receiver.until(2)
    assert (second.id, second.body) == (first.id, first.body)


async def test_two_gateways_deliver_once_and_one_takes_over(dated_sandbox: Sandbox, tmp_path: Path):
    async with receiving() as receiver:
        shared = {"endpoints": LOCAL, "data_dir": tmp_path}
        async with gateway(dated_sandbox, **shared) as second:
            async with gateway(dated_sandbox, **shared) as first, partner_of(first, receiver) as partner:
                await partner.bind()
                await partner.happens(*[OURS] * 5)
                await receiver.until(5)
            async with partner_of(second, receiver) as partner:
                await partner.happens(OURS)
                webhooks = await receiver.until(6, seconds=20)
    assert len({webhook.id for webhook in webhooks}) == 6
