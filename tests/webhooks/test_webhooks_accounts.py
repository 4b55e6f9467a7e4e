"""Webhooks of an endpoint whose client is a sales rep: its accounts are those that the ERP assigns at the moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from app.auth.demo import issue_demo_token
from app.auth.principal import Role
from app.gateway.documents.stores import connect_documents
from app.gateway.documents.stores.document_store import document_id
from app.sandbox import Sandbox, start_sandbox
from app.settings import Settings
from tests.support.endpoints import endpoint, put
from tests.support.gateway import AUTH, TODAY, gateway
from tests.support.stored import keep, stored
from tests.support.streams import PATIENCE
from tests.upstreams.receiver import receiving
from tests.webhooks.test_webhooks_out import LOCAL, OURS, SHIPMENTS, THEIRS, Partner, partner_of

REP = "rep-02"
TOKEN = {"authorization": f"Bearer {issue_demo_token(AUTH, roles=[Role.SALES_REP], subject=REP, ttl=86_400)}"}
AUTH_BY_SOURCE = AUTH.model_copy(update={"accounts": "source", "accounts_max_age": 0.1})


@pytest.fixture(scope="module")
def moving(dated_sandbox: Sandbox) -> Iterator[Sandbox]:
    """A sandbox of this module's own, in which customers move."""
    with start_sandbox(dated_sandbox.data_dir, today=TODAY) as running:
        yield running


@pytest.fixture
async def partner(moving: Sandbox) -> AsyncIterator[Partner]:
    async with (
        receiving() as receiver,
        gateway(moving, endpoints=LOCAL, auth=AUTH_BY_SOURCE) as graph,
        partner_of(graph, receiver) as partner,
    ):
        yield partner


async def assign(partner: Partner, salesperson: str, *, seen: bool) -> None:
    """Assign CUST-0001, and wait until the gateway has read it."""
    erp = partner.graph.backends["erp"]
    (await erp.post("/sandbox/customers/CUST-0001", json={"salesRep": salesperson})).raise_for_status()
    query = '{ customer(by: {number: "CUST-0001"}) { number } }'
    async with asyncio.timeout(PATIENCE):
        while ((await partner.graph.data(query, principal=TOKEN))["customer"] is not None) != seen:
            await asyncio.sleep(0.01)


async def test_deliveries_follow_the_accounts_that_the_erp_assigns(partner: Partner):
    documents = connect_documents(Settings(data_dir=partner.graph.data_dir))
    try:
        await keep(documents, stored(REP, SHIPMENTS))
    finally:
        await documents.close()
    made = endpoint(client=REP, url=f"{partner.receiver.url}/in", document=document_id(SHIPMENTS),
                    roles=("sales_rep",), customers=("CUST-0001",))  # fmt: skip
    await partner.events.commit_offset(made.reader_name, await partner.events.end())
    await put(partner.store, made)

    async def delivered(count: int) -> list[str]:
        webhooks = await partner.receiver.until(count)
        return [one.payload["data"]["shipmentUpdates"]["shipment"]["trackingNumber"] for one in webhooks]

    await partner.happens(OURS, THEIRS)
    assert await delivered(1) == [THEIRS]
    await assign(partner, REP, seen=True)
    await partner.happens(OURS)
    assert await delivered(2) == [THEIRS, OURS]
    await assign(partner, "rep-01", seen=False)
    await partner.happens(OURS, THEIRS)
    assert await delivered(3) == [THEIRS, OURS, THEIRS]
