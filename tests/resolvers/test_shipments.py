"""Shipments over the sandbox: by every key, with packages, events and what went wrong on the way."""

from __future__ import annotations

from typing import Any

import pytest

from app.sources.node_ids import node_id
from app.telemetry import metrics
from tests.support.gateway import Graph

pytestmark = pytest.mark.shared_gateway

BY = "query($by: ShipmentKey!) { shipment(by: $by) { id trackingNumber } }"
DEMO_ID = node_id("Shipment", "logistics", "shp-000026")


@pytest.mark.parametrize(
    "key",
    [{"id": DEMO_ID}, {"trackingNumber": "1ZSB001000402"}, {"ref": {"system": "logistics", "id": "shp-000026"}}],
    ids=lambda key: next(iter(key)),
)
async def test_shipment_is_found_by_each_key(graph: Graph, key: dict):
    assert await graph.data(BY, {"by": key}) == {"shipment": {"id": DEMO_ID, "trackingNumber": "1ZSB001000402"}}


@pytest.mark.parametrize(
    "key",
    [
        {"id": node_id("Shipment", "logistics", "shp-999999")},
        {"id": node_id("Shipment", "erp", "shp-000026")},
        {"trackingNumber": "1ZSB001000409"},
        {"ref": {"system": "logistics", "id": "1ZSB001000402"}},
        {"ref": {"system": "nowhere", "id": "shp-000026"}},
    ],
    ids=str,
)
async def test_unknown_shipment_is_null(graph: Graph, key: dict):
    assert await graph.data(BY, {"by": key}) == {"shipment": None}


async def shipment(graph: Graph, number: str, fields: str) -> Any:
    query = f"query($by: ShipmentKey!) {{ shipment(by: $by) {{ {fields} }} }}"
    return (await graph.data(query, {"by": {"trackingNumber": number}}))["shipment"]


async def test_delivered_shipment_with_all_its_fields(graph: Graph):
    found = await shipment(
        graph,
        "1ZSB001000401",
        """status rawStatus cancelled carrier service trackingUrl shippedAt eta { promised carrier } asn orderNumbers
        incident { party reason } refs { system id } lines { order lineNumber sku quantity }
        packages { sscc trackingNumber dimensions { length width height lengthUnit weight weightUnit }
          items { lineNumber sku quantity lot } }
        proofOfDelivery { signedBy at } order { number } customer { number } warehouse { code } freshness { source }""",
    )
    packages = found.pop("packages")
    assert found == {
        "status": "DELIVERED",
        "rawStatus": "DL",
        "cancelled": False,
        "carrier": "Parcelway",
        "service": "Ground",
        "trackingUrl": "https://track.example.com/1ZSB001000401",
        "shippedAt": "2026-11-16T18:20:00Z",
        "eta": {"promised": "2026-11-20", "carrier": "2026-11-19"},
        "asn": "ASN-000025",
        "orderNumbers": ["SO-100040"],
        "incident": None,
        "refs": [{"system": "logistics", "id": "shp-000025"}],
        "lines": [
            {"order": "SO-100040", "lineNumber": 1, "sku": "SKU-0001", "quantity": "12"},
            {"order": "SO-100040", "lineNumber": 2, "sku": "SKU-0002", "quantity": "40"},
        ],
        "proofOfDelivery": {"signedBy": "Receiving 6", "at": "2026-11-18T15:05:00Z"},
        "order": {"number": "SO-100040"},
        "customer": {"number": "CUST-0001"},
        "warehouse": {"code": "WH-CENTRAL"},
        "freshness": {"source": "logistics"},
    }
    (package,) = packages
    assert (package["sscc"], package["dimensions"]["lengthUnit"], package["dimensions"]["weightUnit"]) == (
        "306141410000000501",
        "CMT",
        "KGM",
    )
    assert package["items"] == [
        {"lineNumber": 1, "sku": "SKU-0001", "quantity": "12", "lot": None},
        {"lineNumber": 2, "sku": "SKU-0002", "quantity": "40", "lot": None},
    ]


async def test_events_ascend_and_the_last_few_are_the_newest(graph: Graph):
    fields = "all: events { sequence at status location description rawCode source } two: events(last: 2) { sequence }"
    found = await shipment(graph, "1ZSB001000401", fields)
    assert [event["sequence"] for event in found["all"]] == [1, 2, 3, 4, 5, 6]
    assert [event["at"] for event in found["all"]] == sorted(event["at"] for event in found["all"])
    assert found["two"] == [{"sequence": 5}, {"sequence": 6}]
    assert found["all"][5] == {
        "sequence": 6,
        "at": "2026-11-18T15:05:00Z",
        "status": "DELIVERED",
        "location": "Indianapolis, IN",
        "description": "Delivered",
        "rawCode": "DL",
        "source": "logistics",
    }


async def test_goods_that_could_not_be_handed_over_say_on_whose_side(graph: Graph):
    found = await shipment(graph, "1ZSB001195841", "status incident { party reason }")
    assert found == {"status": "DELIVERY_FAILED", "incident": {"party": "CONSIGNEE", "reason": "Dock was closed"}}


async def test_unknown_status_is_preserved_and_counted(graph: Graph):
    def unknown() -> float:
        samples = [sample for family in metrics().unknown_statuses.collect() for sample in family.samples]
        wanted = {"source": "logistics", "raw": "CUSTOMS_INSPECTION"}
        return sum(one.value for one in samples if one.name.endswith("_total") and wanted.items() <= one.labels.items())

    before = unknown()
    found = await shipment(graph, "1ZSB001196441", "status rawStatus events(last: 1) { status rawCode }")
    assert found == {"status": "UNKNOWN", "rawStatus": "CI", "events": [{"status": "UNKNOWN", "rawCode": "CI"}]}
    assert unknown() > before


async def test_cancelled_is_no_status(graph: Graph):
    found = await shipment(graph, "1ZSB001198602", "status cancelled order { number shipments { cancelled } }")
    assert found == {
        "status": "PENDING",
        "cancelled": True,
        "order": {"number": "SO-119860", "shipments": [{"cancelled": False}, {"cancelled": True}]},
    }


async def test_order_without_shipments_has_an_empty_list(graph: Graph):
    assert await graph.data('{ order(by: {number: "SO-119910"}) { shipments { id } } }') == {"order": {"shipments": []}}


@pytest.mark.parametrize("last", [0, -1, 1001, 2147483647])
async def test_number_of_events_outside_its_bounds_is_refused(graph: Graph, last: int):
    query = 'query($last: Int) { shipment(by: {trackingNumber: "1ZSB001000401"}) { events(last: $last) { at } } }'
    answer = await graph.ask(query, {"last": last})
    (error,) = answer["errors"]
    assert error["extensions"] == {"code": "INVALID_PAGE_SIZE"}
    assert error["message"] == f"last must be between 1 and 1000, not {last}."
