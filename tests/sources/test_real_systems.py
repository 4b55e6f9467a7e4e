"""The graph over the three real systems: Tryton, Vendure and Karrio as `backends/` seeds them. Run with `--live`."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.auth.principal import Role
from app.settings import CacheSettings, ServerSettings
from tests.support.gateway import CSR, OPERATIONS, document, signed
from tests.support.real import WEBHOOKS_ONLY, real_gateway

pytestmark = pytest.mark.live

REP = signed(Role.SALES_REP, "CUST-0001", "CUST-0015", "CUST-0018", "CUST-0024")
COUNTED = re.compile(r"^tradegraph_backend_calls_total\{[^}]*\} ([0-9.]+)$", re.MULTILINE)


class Real:
    """A gateway over the real systems, and how many requests it has sent them."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def ask(self, name: str, principal: Mapping[str, str] = CSR, **variables: object) -> dict[str, Any]:
        body = {"query": document(name), "variables": variables}
        answer = (await self._client.post("/graphql", json=body, headers=principal, timeout=60)).json()
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    async def sent(self) -> int:
        metrics = (await self._client.get("/metrics", headers=OPERATIONS)).text
        return int(sum(float(count) for count in COUNTED.findall(metrics)))

    async def counted(self, name: str, principal: Mapping[str, str] = CSR, **variables: object) -> int:
        before = await self.sent()
        await self.ask(name, principal, **variables)
        return await self.sent() - before


@pytest.fixture
async def real(tmp_path: Path) -> AsyncIterator[Real]:
    """It keeps nothing and polls nothing: what an operation sends is counted."""
    plain = real_gateway(
        tmp_path, WEBHOOKS_ONLY, {}, server=ServerSettings(request_timeout=60), cache=CacheSettings(enabled=False)
    )
    async with plain as (url, _), httpx.AsyncClient(base_url=url) as client:
        assert (await client.get("/readyz", timeout=30)).status_code == 200
        yield Real(client)


def order(number: str) -> dict[str, Any]:
    return {"order": {"number": number}}


CUSTOMER: dict[str, Any] = {"customer": {"number": "CUST-0001"}}


async def test_sales_view_joins_three_systems_in_twelve_calls_for_one_order_and_for_fifty(real: Real) -> None:
    await real.ask("sales_view", REP, **CUSTOMER, orders=1)
    counts = [await real.counted("sales_view", REP, **CUSTOMER, orders=orders) for orders in (1, 20, 50)]
    assert counts == [12, 12, 12]
    data = (await real.ask("sales_view", REP, **CUSTOMER, orders=20))["customer"]
    assert (data["number"], data["name"], data["currency"]) == ("CUST-0001", "Company 0001", "USD")
    assert data["paymentTerms"] == {"code": "Net 60", "netDays": 60}
    assert data["creditStatus"]["state"] == "OK"
    lines = [line for edge in data["orders"]["edges"] for line in edge["node"]["lines"]]
    assert lines
    for line in lines:
        assert line["contractPrice"]["reason"]["certainty"] == "KNOWN"
        assert [place["warehouse"]["code"] for place in line["availability"]] == ["WH-CENTRAL", "WH-EAST", "WH-WEST"]


async def test_one_order_in_three_systems_with_shipment_and_events(real: Real) -> None:
    data = (await real.ask("order_tracking", **order("SO-100040")))["order"]
    assert (data["status"], data["customer"]["number"]) == ("PARTIALLY_SHIPPED", "CUST-0024")
    assert [line["item"]["sku"] for line in data["lines"]] == ["SKU-0061", "SKU-0165", "SKU-0124", "SKU-0045"]
    assert [line["shippedQuantity"] for line in data["lines"]] == ["3", "0", "0", "0"]
    sent, waiting = data["shipments"]
    assert (sent["trackingNumber"], sent["status"], sent["carrier"]) == ("1ZDEMO000040", "IN_TRANSIT", "demofreight")
    assert sent["packages"] == [
        {"trackingNumber": "1ZDEMO000040", "sscc": None, "items": [{"lineNumber": 1, "quantity": "3"}]}
    ]
    assert [event["status"] for event in sent["events"]] == ["PENDING", "PICKED_UP", "IN_TRANSIT"]
    assert (waiting["trackingNumber"], waiting["status"]) == (None, "PENDING")


@pytest.mark.parametrize(
    ("number", "statuses"),
    [
        ("SO-100053", {"erp": "PROCESSING", "commerce": "SHIPPED", "logistics": "SHIPPED"}),
        ("SO-100082", {"erp": "PROCESSING", "commerce": "CANCELLED"}),
        ("SO-100070", {"erp": "DELIVERED", "commerce": "DELIVERED", "logistics": "DELIVERED"}),
        ("SO-100084", {"erp": "CANCELLED", "commerce": "CANCELLED"}),
        ("SO-100003", {"commerce": "DRAFT"}),
    ],
)
async def test_systems_that_disagree_are_all_shown(real: Real, number: str, statuses: dict[str, str]) -> None:
    data = (await real.ask("order_tracking", **order(number)))["order"]
    assert {one["system"]: one["status"] for one in data["statusBySource"]} == statuses
    assert data["status"] == next(iter(statuses.values()))


async def test_reservation_of_an_order_the_erp_has_not_taken_up_lowers_availability(real: Real) -> None:
    data = await real.ask("promise", item={"sku": "SKU-0001"}, quantity="40", by=None)
    allocated = {place["warehouse"]["code"]: place["breakdown"]["allocated"] for place in data["item"]["availability"]}
    assert allocated == {"WH-CENTRAL": "0", "WH-EAST": "2", "WH-WEST": "0"}
    assert data["promise"]["unconfirmedQuantity"] == "0"
    assert data["promise"]["binding"] is False


async def test_every_line_of_an_order_pad_has_its_outcome(real: Real) -> None:
    lines = [
        {"item": {"sku": "SKU-0001"}, "quantity": "12", "uom": "box"},
        {"item": {"sku": "SKU-9999"}, "quantity": "1"},
        {"item": {"sku": "SKU-0002"}, "quantity": "0"},
    ]
    data = (await real.ask("price_and_availability", REP, **CUSTOMER, lines=lines))["priceAndAvailability"]
    assert [line["outcome"] for line in data] == ["OK", "UNKNOWN_ITEM", "INVALID"]
    assert data[0]["price"]["unitPrice"] == {"amount": "169.6800", "currency": "USD"}
    assert data[0]["price"]["net"] == {"amount": "2036.1600", "currency": "USD"}
    assert data[0]["uom"] == "XBX"


async def test_items_with_price_and_stock(real: Real) -> None:
    data = (await real.ask("item_list", REP, skus=["SKU-0002", "none", "SKU-0001"], **CUSTOMER))["itemsBySku"]
    assert [item and item["sku"] for item in data] == ["SKU-0002", None, "SKU-0001"]
    assert data[0]["contractPrice"]["unitPrice"]["currency"] == "USD"
    assert len(data[0]["availability"]) == 3


async def test_find_pages_through_items_and_joins_content(real: Real) -> None:
    seen: list[str] = []
    after = None
    while True:
        data = await real.ask("find", REP, **CUSTOMER, part="none", search="bolt", after=after)
        seen += [edge["node"]["sku"] for edge in data["items"]["edges"]]
        after = data["items"]["pageInfo"]["endCursor"]
        if not data["items"]["pageInfo"]["hasNextPage"]:
            break
    assert len(seen) == len(set(seen)) == data["items"]["totalCount"] == 17
    assert [one["number"] for one in data["me"]["customers"]] == ["CUST-0001", "CUST-0015", "CUST-0018", "CUST-0024"]
    assert [place["code"] for place in data["warehouses"]] == ["WH-CENTRAL", "WH-EAST", "WH-WEST"]


async def test_customer_card_is_one_call(real: Real) -> None:
    await real.ask("customer_card", **CUSTOMER)
    assert await real.counted("customer_card", **CUSTOMER) == 1


async def test_a_foreign_order_is_like_a_missing_one(real: Real) -> None:
    buyer = signed(Role.BUYER, "CUST-0001")
    assert await real.ask("order_tracking", buyer, **order("SO-100040")) == {"order": None}
    assert await real.ask("order_tracking", buyer, **order("SO-999999")) == {"order": None}
