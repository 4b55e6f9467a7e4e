"""Promises over the sandbox: how much now, how much at a date, when all of it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.gateway import Graph

pytestmark = pytest.mark.shared_gateway

ASK = """
query($sku: String!, $quantity: Decimal!, $by: Date, $uom: String, $only: [String!]) {
  promise(item: {sku: $sku}, quantity: $quantity, by: $by, uom: $uom, warehouses: $only) {
    requested { quantity uom date } confirmed { quantity shipDate warehouse { code } item { sku } }
    unconfirmedQuantity binding reason freshness { source degraded }
  }
}
"""


async def promise(graph: Graph, sku: str, quantity: str, **asked: object) -> Any:
    return (await graph.data(ASK, {"sku": sku, "quantity": quantity, **asked}))["promise"]


def parts(found: dict) -> list[tuple[str, str, str]]:
    return [(part["quantity"], part["shipDate"], part["warehouse"]["code"]) for part in found["confirmed"]]


async def test_now_from_the_one_warehouse_that_has_it_all(graph: Graph):
    found = await promise(graph, "SKU-0001", "4020", by="2026-11-21")
    assert parts(found) == [("4020", "2026-11-21", "WH-CENTRAL")]
    assert found["requested"] == {"quantity": "4020", "uom": "EA", "date": "2026-11-21"}
    assert (found["reason"], found["binding"], found["unconfirmedQuantity"]) == ("CONFIRMED", False, "0")
    assert found["freshness"] == {"source": "erp", "degraded": False}
    assert found["confirmed"][0]["item"] == {"sku": "SKU-0001"}


async def test_now_from_several_warehouses(graph: Graph):
    found = await promise(graph, "SKU-0001", "5300")
    assert parts(found) == [
        ("4020", "2026-11-21", "WH-CENTRAL"),
        ("1259", "2026-11-21", "WH-WEST"),
        ("21", "2026-11-21", "WH-EAST"),
    ]


async def test_what_no_supply_covers_stays_unconfirmed(graph: Graph):
    found = await promise(graph, "SKU-0001", "5400")
    assert sum(int(quantity) for quantity, *_ in parts(found)) == 5365
    assert (found["unconfirmedQuantity"], found["reason"], found["binding"]) == ("35", "NOT_ENOUGH_SUPPLY", False)


async def test_by_a_date_only_what_can_ship_until_then(graph: Graph):
    """In WH-CENTRAL nothing lies; 1000 come on the 28th, of which 15 are promised."""
    before = await promise(graph, "SKU-0004", "10", by="2026-11-27", only=["WH-CENTRAL"])
    assert (parts(before), before["unconfirmedQuantity"], before["reason"]) == ([], "10", "NOT_ENOUGH_BY_DATE")
    after = await promise(graph, "SKU-0004", "10", by="2026-11-28", only=["WH-CENTRAL"])
    assert (parts(after), after["reason"]) == ([("10", "2026-11-28", "WH-CENTRAL")], "CONFIRMED")


async def test_when_all_of_it(graph: Graph):
    """39 now, ten more from the receipt of 21 December."""
    found = await promise(graph, "SKU-0002", "45")
    assert parts(found) == [("39", "2026-11-21", "WH-CENTRAL"), ("6", "2026-12-21", "WH-CENTRAL")]
    assert (found["reason"], found["unconfirmedQuantity"], found["requested"]["date"]) == ("CONFIRMED", "0", None)


async def test_promise_in_boxes_is_in_whole_boxes(graph: Graph):
    """4020, 1259 and 86 pieces are 40, 12 and no whole boxes."""
    found = await promise(graph, "SKU-0001", "52", uom="box")
    assert parts(found) == [("40", "2026-11-21", "WH-CENTRAL"), ("12", "2026-11-21", "WH-WEST")]
    assert found["requested"] == {"quantity": "52", "uom": "XBX", "date": None}
    more = await promise(graph, "SKU-0001", "53", uom="XBX")
    assert (parts(more), more["unconfirmedQuantity"], more["reason"]) == (parts(found), "1", "NOT_ENOUGH_SUPPLY")


async def test_item_that_does_not_exist_has_no_promise(graph: Graph):
    assert await promise(graph, "SKU-9999", "1") is None


async def test_no_warehouse_is_no_stock_record(graph: Graph):
    found = await promise(graph, "SKU-0001", "1", only=["WH-NONE"])
    assert (found["confirmed"], found["unconfirmedQuantity"], found["reason"]) == ([], "1", "NO_STOCK_RECORD")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"quantity": "0"}, "quantity must be greater than 0 and at most 10^12."),
        ({"quantity": "-1"}, "quantity must be greater than 0 and at most 10^12."),
        ({"quantity": "1000000000000.1"}, "quantity must be greater than 0 and at most 10^12."),
        ({"quantity": "1.5"}, "The quantity must be a multiple of 1 each."),
        ({"quantity": "0.5", "uom": "box"}, "The smallest quantity is 1 box."),
        ({"by": "2026-11-20"}, "by must not lie in the past: 2026-11-20 is before 2026-11-21."),
        ({"uom": "barrel"}, "SKU-0001 has no unit 'barrel'; it has EA (each), XBX (box), XCS (case)."),
    ],
    ids=str,
)
async def test_wrong_question_is_refused_and_the_rest_of_the_answer_stands(graph: Graph, asked: dict, message: str):
    query = ASK.rstrip().removesuffix("}") + " item(by: {sku: $sku}) { name } }"
    answer = await graph.ask(query, {"sku": "SKU-0001", "quantity": "1"} | asked)
    assert answer["data"] == {"promise": None, "item": {"name": "Hex bolt M4 x 12 8.8 zinc plated"}}
    (error,) = answer["errors"]
    assert (error["message"], error["path"], error["extensions"]) == (message, ["promise"], {"code": "INVALID_INPUT"})
