"""A source of one tenant: for callers of another nothing in it exists, and nothing is asked of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.auth.demo import issue_demo_token
from app.auth.principal import SYSTEM, Principal, Role
from app.events.filters import FanoutEvent
from app.events.log import ChangeEvent, LoggedEvent
from app.events.stores import connect_events
from app.resolvers.updates import AvailabilityChanged, OrderUpdate, ShipmentUpdate, SubjectUpdate
from app.sandbox import Sandbox
from app.settings import Settings
from app.sources.changes import ChangeKind
from app.sources.node_ids import node_id
from tests.support.events import THEN, update
from tests.support.gateway import AUTH, Graph, gateway
from tests.support.intake import SECRET, event, ingest_bench


def signed(role: Role, tenant: str, *customers: str) -> dict[str, str]:
    """The header of a caller of this tenant."""
    token = issue_demo_token(AUTH, roles=[role], subject="a", customers=customers, tenant=tenant, ttl=86_400)
    return {"authorization": f"Bearer {token}"}


NORTH, SOUTH = signed(Role.CSR, "north"), signed(Role.CSR, "south")
BUYER_NORTH = signed(Role.BUYER, "north", "CUST-0001")
BUYER_SOUTH = signed(Role.BUYER, "south", "CUST-0001")

OWNED = {name: {"tenant": "north"} for name in ("erp", "commerce", "logistics")}
TELLING = {"logistics": {"tenant": "north", "webhooks": {"secrets": [SECRET]}}}
READS = {
    "customer": '{ customer(by: {number: "CUST-0001"}) { number } }',
    "order": '{ order(by: {number: "SO-100040"}) { number } }',
    "item": '{ item(by: {sku: "SKU-0001"}) { sku } }',
    "customers": "{ customers(first: 3) { nodes { number } } }",
    "items": "{ items(first: 3) { nodes { sku } } }",
    "warehouses": "{ warehouses { code } }",
}


@pytest.fixture
async def graph(sandbox: Sandbox) -> AsyncIterator[Graph]:
    async with gateway(sandbox, sources=OWNED) as running:
        yield running


@pytest.mark.parametrize("name", READS)
async def test_what_another_tenants_source_holds_is_absent_and_not_asked_for(graph: Graph, name: str):
    own = (await graph.data(READS[name], principal=NORTH))[name]
    await graph.forget()
    foreign = (await graph.data(READS[name], principal=SOUTH))[name]
    assert own
    assert foreign in (None, [], {"nodes": []})
    assert await graph.requests() == {"erp": 0, "commerce": 0, "logistics": 0}


async def test_token_that_names_the_customer_opens_nothing_of_another_tenant(graph: Graph):
    query = READS["customer"]
    assert await graph.data(query, principal=BUYER_NORTH) == {"customer": {"number": "CUST-0001"}}
    assert await graph.data(query, principal=BUYER_SOUTH) == {"customer": None}


async def test_source_without_a_tenant_serves_all(sandbox: Sandbox):
    async with gateway(sandbox) as graph:
        for principal in (NORTH, SOUTH):
            assert await graph.data(READS["customer"], principal=principal) == {"customer": {"number": "CUST-0001"}}


CHANGES = "query ($since: Cursor) { changes(since: $since, first: 10) { changes { id } cursor } }"


async def test_changes_of_another_tenants_source_are_not_listed(graph: Graph):
    log = connect_events(Settings(data_dir=graph.data_dir))
    start = await log.end()
    owned, common = node_id("Order", "erp", "500040"), node_id("Shipment", "logistics", "shp-000026")
    given: dict[str, Any] = {"recorded_at": THEN, "customer": "CUST-0001"}
    await log.record((), [
        ChangeEvent(kind=ChangeKind.ORDER, source="erp", key="SO-100040", node_id=owned, tenant="north", **given),
        ChangeEvent(kind=ChangeKind.SHIPMENT, source="logistics", key="shp-000026", node_id=common, **given),
    ])  # fmt: skip
    await log.close()

    async def listed(principal: dict[str, str]) -> list[str]:
        found = await graph.data(CHANGES, {"since": start}, principal=principal)
        return [one["id"] for one in found["changes"]["changes"]]

    assert await listed(NORTH) == [owned, common]
    assert await listed(SOUTH) == [common]


async def test_recorded_changes_carry_the_tenant_of_their_source(sandbox: Sandbox):
    async with ingest_bench(sandbox, sources=TELLING) as here:
        assert (await here.post({"events": [event("shp-000026", "t1")]})).status_code == 202
        (entry,) = await here.updates(1)
    assert (entry.update.key, entry.update.tenant) == ("shp-000026", "north")


@pytest.mark.parametrize("kind", [OrderUpdate, ShipmentUpdate, AvailabilityChanged])
def test_subscribers_of_another_tenant_are_not_sent_a_change(kind: type[SubjectUpdate]):
    north, south = (Principal(subject="a", roles=frozenset({Role.CSR}), tenant=name) for name in ("north", "south"))

    def sent(tenant: str | None) -> list[bool]:
        logged = LoggedEvent(cursor="c", update=update("1", tenant=tenant))
        return [kind(FanoutEvent(logged)).concerns(principal) for principal in (north, south)]

    assert [sent("north"), sent("south"), sent(None)] == [[True, False], [False, True], [True, True]]


def test_tenants_compare_exactly_and_the_gateway_itself_belongs_to_all():
    principal = Principal(subject="a", roles=frozenset({Role.ADMIN}), tenant="north")
    assert [principal.belongs_to(tenant) for tenant in (None, "north", "North", "south", "default")] == [
        True, True, False, False, False,
    ]  # fmt: skip
    assert SYSTEM.belongs_to("south")
    assert not Principal(subject="system", roles=frozenset({Role.ADMIN})).belongs_to("south")
