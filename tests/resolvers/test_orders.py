"""Orders over the sandbox: by every key, what each system says of them, and what hangs on them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from app.sources.node_ids import node_id
from app.telemetry import metrics
from tests.support.gateway import BUYER_ADMIN, NOON, Graph

pytestmark = pytest.mark.shared_gateway

BY = "query($by: OrderKey!) { order(by: $by) { number status freshness { source } } }"
DEMO = {"number": "SO-100040", "status": "PARTIALLY_SHIPPED", "freshness": {"source": "erp"}}
CUSTOMER = {"number": "CUST-0001"}


@pytest.mark.parametrize(
    "key",
    [
        {"id": node_id("Order", "erp", "500040")},
        {"number": "SO-100040"},
        {"customerPo": {"customer": CUSTOMER, "number": "PO-0001-00040"}},
        {"customerPo": {"customer": {"id": node_id("Customer", "CUST-0001")}, "number": "PO-0001-00040"}},
        {"ref": {"system": "erp", "id": "500040"}},
        {"ref": {"system": "commerce", "id": "w40"}},
    ],
    ids=["id", "number", "po by number", "po by id", "ref of the master", "ref of the shop"],
)
async def test_order_is_found_by_each_key_and_answered_by_its_master(graph: Graph, key: dict):
    assert await graph.data(BY, {"by": key}) == {"order": DEMO}


@pytest.mark.parametrize(
    "key",
    [
        {"id": node_id("Order", "erp", "1")},
        {"id": node_id("Order", "nowhere", "500040")},
        {"number": "SO-999999"},
        {"customerPo": {"customer": CUSTOMER, "number": "PO-0002-00040"}},
        {"customerPo": {"customer": {"number": "CUST-0002"}, "number": "PO-0001-00040"}},
        {"customerPo": {"customer": {"ref": {"system": "erp", "id": "1"}}, "number": "PO-0001-00040"}},
        {"ref": {"system": "erp", "id": "w40"}},
        {"ref": {"system": "logistics", "id": "500040"}},
        {"ref": {"system": "nowhere", "id": "500040"}},
    ],
    ids=str,
)
async def test_unknown_order_is_null(graph: Graph, key: dict):
    assert await graph.data(BY, {"by": key}) == {"order": None}


WEB_KEYS = [
    {"id": node_id("Order", "commerce", "w90000")},
    {"number": "SO-300001"},
    {"customerPo": {"customer": CUSTOMER, "number": "WEB-0001"}},
    {"ref": {"system": "commerce", "id": "w90000"}},
]


@pytest.mark.parametrize("key", WEB_KEYS, ids=lambda key: next(iter(key)))
async def test_order_that_only_the_shop_knows_is_the_shops(graph: Graph, key: dict):
    query = """query($by: OrderKey!) { order(by: $by) {
      id number customerPo status rawStatus total { amount currency } freshness { source } refs { system id }
      statusBySource { system status rawStatus at } customer { number } shipments { id } invoices { number }
      lines { number quantity confirmedQuantity item { sku } contractPrice { unitPrice { amount } } }
    } }"""
    order = (await graph.data(query, {"by": key}, principal=BUYER_ADMIN))["order"]
    assert order == {
        "id": node_id("Order", "commerce", "w90000"),
        "number": "SO-300001",
        "customerPo": "WEB-0001",
        "status": "CONFIRMED",
        "rawStatus": "PaymentAuthorized",
        "total": {"amount": "412.5626", "currency": "USD"},
        "freshness": {"source": "commerce"},
        "refs": [{"system": "commerce", "id": "w90000"}],
        "statusBySource": [
            {
                "system": "commerce",
                "status": "CONFIRMED",
                "rawStatus": "PaymentAuthorized",
                "at": "2026-11-21T04:00:00Z",
            }
        ],
        "customer": CUSTOMER,
        "shipments": [],
        "invoices": [],
        "lines": [
            {
                "number": 1,
                "quantity": "2",
                "confirmedQuantity": None,
                "item": {"sku": "SKU-0001"},
                "contractPrice": {"unitPrice": {"amount": "0.0598"}},
            },
            {
                "number": 2,
                "quantity": "2",
                "confirmedQuantity": None,
                "item": {"sku": "SKU-0002"},
                "contractPrice": {"unitPrice": {"amount": "206.2215"}},
            },
        ],
    }


def disagreements() -> float:
    """How often the ERP and the shop differed on an order's status so far."""
    samples = [sample for family in metrics().disagreements.collect() for sample in family.samples]
    wanted = {"field": "order.status", "sources": "commerce,erp"}
    return sum(one.value for one in samples if one.name.endswith("_total") and one.labels == wanted)


async def statuses(graph: Graph, number: str) -> list[tuple[str, str, str]]:
    query = "query($by: OrderKey!) { order(by: $by) { statusBySource { system status rawStatus at } } }"
    found = (await graph.data(query, {"by": {"number": number}}))["order"]["statusBySource"]
    return [(one["system"], one["status"], one["rawStatus"]) for one in found]


@pytest.mark.parametrize(
    ("number", "erp", "commerce"),
    [
        ("SO-100040", ("PARTIALLY_SHIPPED", "45-PARTIAL"), ("PARTIALLY_DELIVERED", "PartiallyDelivered")),
        ("SO-119685", ("SHIPPED", "50-SHIPPED"), ("PROCESSING", "PaymentSettled")),
        ("SO-119817", ("PROCESSING", "30-PICKING"), ("CANCELLED", "Cancelled")),
    ],
)
async def test_systems_that_disagree_are_both_shown_and_counted(
    graph: Graph, number: str, erp: tuple[str, str], commerce: tuple[str, str]
):
    before = disagreements()
    assert await statuses(graph, number) == [("erp", *erp), ("commerce", *commerce)]
    assert disagreements() - before == 1
    conflict = "fieldName rule sides { system value won at age }"
    query = f"query($by: OrderKey!) {{ order(by: $by) {{ status conflicts {{ {conflict} }} }} }}"
    found = (await graph.data(query, {"by": {"number": number}}))["order"]
    (told,) = found["conflicts"]
    assert (told["fieldName"], told["rule"]) == ("status", "SYSTEM_OF_RECORD")
    assert [(one["system"], one["value"], one["won"]) for one in told["sides"]] == [
        ("erp", erp[0], True),
        ("commerce", commerce[0], False),
    ]
    for one in told["sides"]:
        assert one["age"] == max(int((NOON - datetime.fromisoformat(one["at"])).total_seconds()), 0)
    assert found["status"] == erp[0], "the rule's word is the graph's"
    assert disagreements() - before == 2
    both = "query($by: OrderKey!) { order(by: $by) { statusBySource { at } conflicts { rule } } }"
    await graph.data(both, {"by": {"number": number}})
    assert disagreements() - before == 3, "each operation counts it once"


async def test_systems_that_agree_have_no_conflict(graph: Graph):
    found = await graph.data(
        '{ order(by: {number: "SO-100041"}) { statusBySource { status } conflicts { fieldName } } }'
    )
    assert len({one["status"] for one in found["order"]["statusBySource"]}) == 1
    assert found["order"]["conflicts"] == []


async def test_systems_that_agree_are_not_counted(graph: Graph):
    before = disagreements()
    found = await statuses(graph, "SO-118795")
    assert found == [("erp", "DELIVERED", "60-COMPLETE"), ("commerce", "DELIVERED", "Delivered")]
    assert disagreements() == before


async def test_order_that_only_the_erp_knows_has_one_status(graph: Graph):
    assert await statuses(graph, "SO-119824") == [("erp", "SHIPPED", "50-SHIPPED")]


async def test_order_with_all_its_fields(graph: Graph):
    query = """{ order(by: {number: "SO-100040"}) {
      channel orderedAt currency total { amount } totals { net { amount } tax { amount } shipping { amount } }
      billTo { name } shipTo { name address { lines city } } terms { code netDays } warehouse { code }
      holds { kind reason since } exceptions { code } history { system status rawStatus at }
      lines { number description uom quantity confirmedQuantity shippedQuantity invoicedQuantity backorderedQuantity
        cancelledQuantity returnedQuantity unitPrice { amount } total { amount } substitutionFor requestedItem { sku } }
    } }"""
    order = (await graph.data(query))["order"]
    lines = order.pop("lines")
    assert order == {
        "channel": "WEB",
        "orderedAt": "2026-11-15T14:12:00Z",
        "currency": "USD",
        "total": {"amount": "8267.26"},
        "totals": {"net": {"amount": "7726.41"}, "tax": {"amount": "540.85"}, "shipping": None},
        "billTo": {"name": "Boltmaster Fabrication LLC"},
        "shipTo": {
            "name": "Boltmaster Fabrication, Indianapolis site 1",
            "address": {"lines": ["7200 Enterprise Blvd"], "city": "Indianapolis"},
        },
        "terms": {"code": "2-10-NET30", "netDays": 30},
        "warehouse": {"code": "WH-CENTRAL"},
        "holds": [{"kind": "STOCK", "reason": "Waiting for goods", "since": "2026-11-15T14:12:00Z"}],
        "exceptions": [],
        "history": [
            {"system": "erp", "status": "CONFIRMED", "rawStatus": "20-RELEASED", "at": "2026-11-15T14:12:00Z"},
            {"system": "erp", "status": "PROCESSING", "rawStatus": "30-PICKING", "at": "2026-11-16T14:12:00Z"},
            {"system": "erp", "status": "PARTIALLY_SHIPPED", "rawStatus": "45-PARTIAL", "at": "2026-11-17T14:12:00Z"},
        ],
    }
    assert lines[3] == {
        "number": 4,
        "description": "Socket head cap screw M5 x 20 A4 stainless",
        "uom": "EA",
        "quantity": "25",
        "confirmedQuantity": "10",
        "shippedQuantity": "10",
        "invoicedQuantity": "10",
        "backorderedQuantity": "15",
        "cancelledQuantity": "0",
        "returnedQuantity": "0",
        "unitPrice": {"amount": "0.1312"},
        "total": {"amount": "3.28"},
        "substitutionFor": None,
        "requestedItem": None,
    }


async def test_line_that_replaces_another_item_names_both(graph: Graph):
    query = '{ order(by: {number: "SO-100061"}) { lines { item { sku } requestedItem { sku } substitutionFor } } }'
    order = (await graph.data(query))["order"]
    assert order["lines"][0] == {
        "item": {"sku": "SKU-3159"},
        "requestedItem": {"sku": "SKU-4661"},
        "substitutionFor": "SKU-4661",
    }


async def test_price_of_a_line_is_for_the_orders_customer_quantity_and_unit(graph: Graph):
    query = """{ order(by: {number: "SO-100040"}) { lines {
      quantity uom contractPrice { quantity uom unitPrice { amount } item { sku } } } } }"""
    lines: list[dict[str, Any]] = (await graph.data(query, principal=BUYER_ADMIN))["order"]["lines"]
    assert [(line["quantity"], line["uom"]) for line in lines] == [
        (line["contractPrice"]["quantity"], line["contractPrice"]["uom"]) for line in lines
    ]
    assert lines[0]["contractPrice"]["unitPrice"] == {"amount": "4.99"}


async def test_invoices_and_returns(graph: Graph):
    query = """{ order(by: {number: "SO-100047"}) {
      invoices { kind number status orderNumbers net { amount } tax { amount } total { amount } open { amount }
        priceMatches lines { lineNumber sku quantity uom } }
      returns { number reason shipmentState creditState creditMemo lines { lineNumber sku quantity uom } }
    } }"""
    order = (await graph.data(query))["order"]
    invoice, memo = order["invoices"]
    assert (invoice["kind"], invoice["number"], invoice["status"]) == ("INVOICE", "INV-800047", "PAID")
    assert (invoice["net"], invoice["tax"], invoice["total"], invoice["open"]) == (
        {"amount": "418.16"},
        {"amount": "29.27"},
        {"amount": "447.43"},
        {"amount": "0.00"},
    )
    assert (invoice["priceMatches"], invoice["orderNumbers"]) == (True, ["SO-100047"])
    assert invoice["lines"][0] == {"lineNumber": 1, "sku": "SKU-0186", "quantity": "2", "uom": "EA"}
    assert (memo["kind"], memo["number"]) == ("CREDIT_MEMO", "CM-800047")
    assert order["returns"] == [
        {
            "number": "RMA-00047",
            "reason": "Not needed",
            "shipmentState": "RECEIVED",
            "creditState": "CREDITED",
            "creditMemo": "CM-800047",
            "lines": [{"lineNumber": 1, "sku": "SKU-0186", "quantity": "1", "uom": "EA"}],
        }
    ]
