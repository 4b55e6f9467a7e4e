"""Availability over the sandbox: what each system adds, and at which day."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.gateway import Graph

pytestmark = pytest.mark.shared_gateway

STOCK = """
query($sku: String!, $at: Date, $only: [String!]) { item(by: {sku: $sku}) { availability(at: $at, warehouses: $only) {
  warehouse { code kind } uom at atp projected item { sku } supply { date delta kind }
  breakdown { onHand reserved allocated qualityHold safetyStock inTransfer inbound backordered }
  freshness { source cached degraded reason }
} } }
"""
NOTHING = {
    "onHand": "0",
    "reserved": "0",
    "allocated": "0",
    "qualityHold": "0",
    "safetyStock": "0",
    "inTransfer": "0",
    "inbound": "0",
    "backordered": "0",
}


async def stock(graph: Graph, sku: str, **asked: object) -> dict[str, Any]:
    rows = (await graph.data(STOCK, {"sku": sku, **asked}))["item"]["availability"]
    assert [row["warehouse"]["code"] for row in rows] == sorted(row["warehouse"]["code"] for row in rows)
    return {row["warehouse"]["code"]: row for row in rows}


async def test_reservation_of_an_order_unknown_to_the_erp_lowers_atp(graph: Graph):
    """The shop holds 2 for SO-300001, which the ERP has not taken over."""
    central = (await stock(graph, "SKU-0001"))["WH-CENTRAL"]
    assert central["atp"] == "4020"
    assert central["breakdown"] == NOTHING | {"onHand": "4022", "allocated": "2"}
    assert central["freshness"] == {"source": "erp", "cached": False, "degraded": False, "reason": None}
    assert (central["at"], central["uom"], central["item"]) == ("2026-11-21", "EA", {"sku": "SKU-0001"})


async def test_reservation_of_an_order_the_erp_knows_counts_once(graph: Graph):
    """The shop holds 15 for SO-100040 in WH-CENTRAL and 400 for SO-119867 in WH-WEST; both are the ERP's demand."""
    found = await stock(graph, "SKU-0004")
    assert {code: row["breakdown"]["allocated"] for code, row in found.items()} == {
        "WH-CENTRAL": "0",
        "WH-EAST": "0",
        "WH-WEST": "0",
    }
    assert found["WH-WEST"]["breakdown"] == NOTHING | {"onHand": "946", "reserved": "400", "safetyStock": "100"}
    assert found["WH-WEST"]["atp"] == "446"


async def test_third_party_counts_its_own_goods(graph: Graph):
    """The ERP believes in 18 pieces at the 3PL, which counts 15; what the ERP reserved stays reserved."""
    found = await stock(graph, "SKU-0017")
    assert found["WH-WEST"]["warehouse"]["kind"] == "THIRD_PARTY"
    assert found["WH-WEST"]["breakdown"] == NOTHING | {"onHand": "15", "reserved": "12"}
    assert found["WH-WEST"]["atp"] == "3"


async def test_item_the_third_party_never_saw_has_the_erps_count(graph: Graph):
    west = (await stock(graph, "SKU-0040"))["WH-WEST"]
    assert west["breakdown"] == NOTHING | {"onHand": "1293", "safetyStock": "100"}
    assert west["atp"] == "1193"


async def test_quality_hold_and_safety_stock_are_not_available(graph: Graph):
    central = (await stock(graph, "SKU-0040"))["WH-CENTRAL"]
    assert central["breakdown"] == NOTHING | {"onHand": "208", "qualityHold": "2", "safetyStock": "100"}
    assert central["atp"] == "106"


async def test_later_demand_is_not_promised_to_somebody_else_today(graph: Graph):
    """43 on hand, 2 held by the shop, 2 due on the 26th: 39 today."""
    central = (await stock(graph, "SKU-0002"))["WH-CENTRAL"]
    assert (central["atp"], central["projected"]) == ("39", "41")
    assert central["supply"] == [
        {"date": "2026-11-26", "delta": "-2", "kind": "DEMAND"},
        {"date": "2026-12-21", "delta": "10", "kind": "RECEIPT"},
    ]


async def test_receipt_counts_from_its_day_on(graph: Graph):
    days = {}
    for day in ("2026-11-27", "2026-11-28", "2026-11-30"):
        row = (await stock(graph, "SKU-0004", at=day))["WH-CENTRAL"]
        days[day] = (row["atp"], row["projected"], row["breakdown"]["inbound"])
    assert days == {
        "2026-11-27": ("0", "0", "0"),
        "2026-11-28": ("985", "1000", "1000"),
        "2026-11-30": ("985", "985", "1000"),
    }


async def test_past_day_is_refused(graph: Graph):
    answer = await graph.ask(STOCK, {"sku": "SKU-0001", "at": "2026-11-20"})
    (error,) = answer["errors"]
    assert error["message"] == "at must not lie in the past: 2026-11-20 is before 2026-11-21."
    assert error["extensions"] == {"code": "INVALID_INPUT"}
    assert (await stock(graph, "SKU-0001", at="2026-11-21"))["WH-CENTRAL"]["at"] == "2026-11-21"


TOTALS = """
query($skus: [String!]!, $only: [String!]) { itemsBySku(skus: $skus) {
  sku totalAtp(warehouses: $only) availability(warehouses: $only) { atp }
} }
"""


async def test_total_is_the_sum_over_warehouses(graph: Graph):
    skus = ["SKU-0001", "SKU-0002", "SKU-0004"]
    for only in (None, ["WH-CENTRAL", "WH-EAST"]):
        found = (await graph.data(TOTALS, {"skus": skus, "only": only}))["itemsBySku"]
        sums = {row["sku"]: sum(int(part["atp"]) for part in row["availability"]) for row in found}
        assert {row["sku"]: int(row["totalAtp"]) for row in found} == sums
        assert min(sums.values()) > 0
    nowhere = (await graph.data(TOTALS, {"skus": skus[:1], "only": ["WH-NONE"]}))["itemsBySku"]
    assert nowhere == [{"sku": "SKU-0001", "totalAtp": None, "availability": []}]


async def test_keys_are_found_in_capitals_too(graph: Graph):
    query = """{
      item(by: {sku: "sku-0001"}) { sku } customer(by: {number: "cust-0001"}) { number }
      order(by: {number: "so-100040"}) { number } shipment(by: {trackingNumber: "1zsb001000401"}) { trackingNumber }
      none: item(by: {sku: "sku-none"}) { sku }
    }"""
    assert await graph.data(query) == {
        "item": {"sku": "SKU-0001"},
        "customer": {"number": "CUST-0001"},
        "order": {"number": "SO-100040"},
        "shipment": {"trackingNumber": "1ZSB001000401"},
        "none": None,
    }


async def test_transfer_leaves_one_warehouse_for_another(graph: Graph):
    found = await stock(graph, "SKU-0027", at="2026-11-24")
    quantity = found["WH-EAST"]["breakdown"]["inTransfer"]
    assert found["WH-EAST"]["breakdown"]["inbound"] == quantity != "0"
    assert {"date": "2026-11-24", "delta": quantity, "kind": "TRANSFER_IN"} in found["WH-EAST"]["supply"]
    assert {"date": "2026-11-24", "delta": f"-{quantity}", "kind": "TRANSFER_OUT"} in found["WH-CENTRAL"]["supply"]


async def test_named_warehouses_only(graph: Graph):
    assert list(await stock(graph, "SKU-0001", only=["WH-WEST", "WH-NONE"])) == ["WH-WEST"]
    assert await stock(graph, "SKU-0001", only=[]) == {}
    assert list(await stock(graph, "SKU-0001", only=None)) == ["WH-CENTRAL", "WH-EAST", "WH-WEST"]


async def test_lines_of_an_order_have_the_availability_of_their_items(graph: Graph):
    query = """query($at: Date) { order(by: {number: "SO-100040"}) { lines {
      item { sku availability(at: $at) { atp } } availability(at: $at) { atp } } } }"""
    for day in (None, "2026-11-30"):
        lines = (await graph.data(query, {"at": day}))["order"]["lines"]
        assert [line["availability"] for line in lines] == [line["item"]["availability"] for line in lines]
        assert len(lines) == 4
