"""The consumers' documents, unchanged, over the sandbox: exact answers, and how many backend calls each costs."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from graphql import build_schema, parse, validate
from structlog.testing import capture_logs

from app.sandbox import Sandbox
from app.telemetry import metrics
from tests.support.consumers import VARIABLES
from tests.support.gateway import BUYER, CSR, DOCUMENTS, REP, Graph, document, gateway

pytestmark = pytest.mark.shared_gateway

NAMES = sorted(path.stem for path in DOCUMENTS.glob("*.graphql"))
SDL = Path(__file__).resolve().parents[2] / "schema.graphql"

CALLS = {
    "sales_view": {"erp": 4, "commerce": 1, "logistics": 2},
    "price_and_availability": {"erp": 5, "commerce": 1, "logistics": 1},
    "item_list": {"erp": 2, "commerce": 1, "logistics": 1},
    "customer_card": {"erp": 1, "commerce": 0, "logistics": 0},
    "order_tracking": {"erp": 3, "commerce": 1, "logistics": 1},
    "promise": {"erp": 3, "commerce": 1, "logistics": 1},
    "find": {"erp": 4, "commerce": 1, "logistics": 0},  # one of them a buyer's assortments
}
"""The most HTTP requests a document may cost, on a gateway that has just started."""


def test_there_are_the_eight_documents_and_variables_for_the_seven_queries():
    assert len(NAMES) == 8
    assert set(NAMES) - set(VARIABLES) == {"shipment_updates"}


@pytest.mark.parametrize("name", NAMES)
def test_document_is_valid_as_its_consumer_wrote_it(name: str):
    assert validate(build_schema(SDL.read_text(encoding="utf-8")), parse(document(name))) == []


def test_document_with_a_misspelt_field_is_not_valid():
    wrong = document("customer_card").replace("currency", "currencey")
    assert len(validate(build_schema(SDL.read_text(encoding="utf-8")), parse(wrong))) == 1


async def test_subscription_is_refused_to_who_takes_json_alone(graph: Graph):
    answer = await graph.ask(document("shipment_updates"), {"customer": {"number": "CUST-0001"}})
    assert answer == {
        "errors": [
            {
                "message": "A subscription is a stream: accept text/event-stream, or use a WebSocket.",
                "extensions": {"code": "NOT_ACCEPTABLE"},
            }
        ]
    }


def sent() -> float:
    """Backend requests that the gateway's own metric has counted so far."""
    samples = [sample for family in metrics().backend_calls.collect() for sample in family.samples]
    return sum(sample.value for sample in samples if sample.name == "tradegraph_backend_calls_total")


async def counted(
    graph: Graph, query: str, variables: dict[str, Any], principal: dict[str, str] = REP
) -> dict[str, int]:
    """Requests by backend, as the backends and the request's own log line agree on them."""
    await graph.forget()
    with capture_logs() as logs:
        answer = await graph.ask(query, variables, principal=principal)
    assert {error["extensions"]["code"] for error in answer.get("errors", ())} <= {"FORBIDDEN"}
    requests = await graph.requests()
    (line,) = [line for line in logs if line["event"] == "request"]
    assert sum(requests.values()) == line["backend_calls"]
    return requests


async def test_metric_counts_what_the_backends_count(dated_sandbox: Sandbox):
    """Compared once the gateway is closed: the end of a streamed answer may come after ours was sent."""
    async with gateway(dated_sandbox) as graph:
        before = sent()
        for name, variables in VARIABLES.items():
            await graph.data(document(name), variables, principal=REP)
        requests = await graph.requests()
    assert sent() - before == sum(requests.values())


@pytest.mark.parametrize("principal", [BUYER, REP, CSR], ids=["buyer", "sales_rep", "csr"])
@pytest.mark.parametrize("name", list(CALLS))
async def test_document_answers_within_its_calls(graph: Graph, name: str, principal: dict[str, str]):
    cold = await counted(graph, document(name), VARIABLES[name], principal)
    warm = await counted(graph, document(name), VARIABLES[name], principal)
    for requests in (cold, warm):
        assert {system: count for system, count in requests.items() if count > CALLS[name][system]} == {}
    assert sum(warm.values()) <= sum(cold.values())
    assert name != "sales_view" or sum(cold.values()) <= 7


async def test_sales_view_costs_the_same_for_one_order_and_for_fifty(graph: Graph):
    await graph.data("{ warehouses { code } }")
    counts = []
    for orders in (1, 20, 50):
        requests = await counted(graph, document("sales_view"), VARIABLES["sales_view"] | {"orders": orders})
        counts.append(sum(requests.values()))
    assert counts[0] == counts[1] == counts[2] <= 7


async def test_order_pad_of_one_line_and_of_fifty_costs_the_same(graph: Graph):
    await graph.data("{ warehouses { code } }")
    counts = []
    for size in (1, 50):
        lines = [{"item": {"sku": f"SKU-{number:04}"}, "quantity": "1"} for number in range(1, size + 1)]
        query = document("price_and_availability")
        counts.append(await counted(graph, query, {"customer": {"number": "CUST-0001"}, "lines": lines}))
    assert counts[0] == counts[1] == {"erp": 3, "commerce": 1, "logistics": 1}


async def test_item_list_of_one_item_and_of_fifty_costs_the_same(graph: Graph):
    await graph.data("{ warehouses { code } }")
    counts = []
    for size in (1, 50):
        skus = [f"SKU-{number:04}" for number in range(1, size + 1)]
        counts.append(await counted(graph, document("item_list"), VARIABLES["item_list"] | {"skus": skus}))
    assert counts[0] == counts[1] == {"erp": 1, "commerce": 1, "logistics": 1}


async def answer(graph: Graph, name: str, **changes: object) -> Any:
    variables = copy.deepcopy(VARIABLES[name]) | changes
    return await graph.data(document(name), variables, principal=REP)


def usd(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": "USD"}


async def test_customer_card(graph: Graph):
    assert await answer(graph, "customer_card") == {
        "customer": {
            "id": "Q3VzdG9tZXI6Q1VTVC0wMDAx",
            "number": "CUST-0001",
            "name": "Boltmaster Fabrication LLC",
            "status": "ACTIVE",
            "currency": "USD",
        }
    }


async def test_sales_view(graph: Graph):
    customer = (await answer(graph, "sales_view", orders=64))["customer"]
    assert customer["paymentTerms"] == {"code": "2-10-NET30", "netDays": 30}
    assert customer["creditStatus"]["state"] == "OK"
    assert customer["creditStatus"]["available"] == usd("11224.67")
    assert [place["address"]["city"] for place in customer["shipTos"]] == ["Indianapolis", "Milwaukee"]
    orders = [edge["node"] for edge in customer["orders"]["edges"]]
    assert len(orders) == 64
    assert customer["orders"]["pageInfo"]["hasNextPage"] is False
    moments = [order["orderedAt"] for order in orders]
    assert moments == sorted(moments, reverse=True)
    (demo,) = [order for order in orders if order["number"] == "SO-100040"]
    assert (demo["status"], demo["customerPo"]) == ("PARTIALLY_SHIPPED", "PO-0001-00040")
    bolts = demo["lines"][0]
    assert (bolts["quantity"], bolts["uom"], bolts["item"]["sku"]) == ("12", "XBX", "SKU-0001")
    assert bolts["contractPrice"]["unitPrice"] == usd("4.99")
    assert bolts["contractPrice"]["discountPercent"] == "50.00"
    assert bolts["contractPrice"]["reason"] == {"rule": "CONTRACT", "certainty": "KNOWN"}
    assert bolts["contractPrice"]["freshness"]["cached"] is False
    assert [(place["warehouse"]["code"], place["atp"]) for place in bolts["availability"]] == [
        ("WH-CENTRAL", "4020"),
        ("WH-EAST", "86"),
        ("WH-WEST", "1259"),
    ]
    assert [(one["trackingNumber"], one["status"], len(one["events"])) for one in demo["shipments"]] == [
        ("1ZSB001000401", "DELIVERED", 5),
        ("1ZSB001000402", "IN_TRANSIT", 4),
    ]


async def test_price_and_availability(graph: Graph):
    bolts, glue = (await answer(graph, "price_and_availability"))["priceAndAvailability"]
    assert (bolts["outcome"], bolts["message"], bolts["quantity"], bolts["uom"]) == ("OK", None, "12", "XBX")
    assert bolts["price"]["net"] == usd("59.88")
    assert bolts["price"]["validTo"] == "2027-05-05"
    assert (glue["outcome"], glue["item"]["sku"], glue["uom"]) == ("OK", "SKU-0007", "EA")
    assert glue["price"]["unitPrice"] == usd("30.175")
    assert glue["price"]["net"] == usd("90.525")
    assert glue["availability"][0]["supply"] == [{"date": "2026-11-26", "delta": "-6", "kind": "DEMAND"}]


async def test_item_list_is_in_the_order_of_the_skus(graph: Graph):
    rows = (await answer(graph, "item_list", skus=["SKU-0002", "SKU-none", "SKU-0001", "SKU-0002"]))["itemsBySku"]
    assert [row and row["sku"] for row in rows] == ["SKU-0002", None, "SKU-0001", "SKU-0002"]
    assert rows[0] == rows[3]
    assert rows[0]["contractPrice"] == {"unitPrice": usd("206.2215"), "listPrice": usd("338.0681")}
    assert [place["atp"] for place in rows[0]["availability"]] == ["39", "0", "0"]


async def test_order_tracking(graph: Graph):
    order = (await answer(graph, "order_tracking"))["order"]
    assert [(one["system"], one["status"]) for one in order["statusBySource"]] == [
        ("erp", "PARTIALLY_SHIPPED"),
        ("commerce", "PARTIALLY_DELIVERED"),
    ]
    assert order["refs"] == [{"system": "erp", "id": "500040"}, {"system": "commerce", "id": "w40"}]
    assert [line["backorderedQuantity"] for line in order["lines"]] == ["0", "0", "0", "15"]
    assert order["lines"][3]["scheduleLines"] == [
        {"requestedDate": "2026-11-20", "confirmedDate": "2026-11-20", "quantity": "10"},
        {"requestedDate": "2026-11-20", "confirmedDate": "2026-11-30", "quantity": "15"},
    ]
    first, second = order["shipments"]
    assert first["packages"] == [
        {
            "trackingNumber": "1ZSB001000401-1",
            "sscc": "306141410000000501",
            "items": [{"lineNumber": 1, "quantity": "12"}, {"lineNumber": 2, "quantity": "40"}],
        }
    ]
    assert [event["status"] for event in first["events"]][-1] == "DELIVERED"
    assert second["eta"] == {"promised": "2026-11-20", "carrier": "2026-11-22"}


async def test_promise(graph: Graph):
    data = await answer(graph, "promise")
    assert data["promise"] == {
        "requested": {"quantity": "40", "uom": "EA", "date": "2026-12-01"},
        "confirmed": [
            {
                "quantity": "40",
                "shipDate": "2026-11-21",
                "warehouse": {"code": "WH-CENTRAL"},
                "item": {"sku": "SKU-0001"},
            }
        ],
        "unconfirmedQuantity": "0",
        "binding": False,
        "reason": "CONFIRMED",
    }
    assert [place["breakdown"]["onHand"] for place in data["item"]["availability"]] == ["4022", "86", "1259"]


async def test_find(graph: Graph):
    data = await answer(graph, "find")
    assert data["me"]["roles"] == ["SALES_REP"]
    assert [one["number"] for one in data["me"]["customers"]] == [f"CUST-{number:04}" for number in range(1, 11)]
    assert data["byPart"] == {
        "sku": "SKU-0007",
        "name": "Instant adhesive high strength",
        "customerPartNumber": "C01-0007",
    }
    assert data["items"]["totalCount"] == 709
    assert [edge["node"]["sku"] for edge in data["items"]["edges"]][:3] == ["SKU-0001", "SKU-0008", "SKU-0011"]
    assert data["items"]["pageInfo"]["hasNextPage"] is True
    assert [one["node"]["number"] for one in data["customers"]["edges"]] == ["CUST-0001"]
    assert [(one["code"], one["kind"]) for one in data["warehouses"]] == [
        ("WH-CENTRAL", "OWN"),
        ("WH-EAST", "OWN"),
        ("WH-WEST", "THIRD_PARTY"),
    ]
