"""How the `rest` adapter maps what a system answers: unknown statuses, exact amounts, misfit rows, malformed values."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app import telemetry
from app.auth.principal import SYSTEM
from app.errors import (
    SourceMalformed,
)
from app.sources.field_mask import OPTIONAL_FIELDS, FieldMask, field_mask
from app.sources.orders import OrderStatus
from app.sources.pipeline.compose import compile_source
from app.sources.prices import PriceRequest
from app.sources.shipments import ShipmentStatus
from app.sources.values import utc_now
from tests.support.rest import ORDER, answering, connected, price
from tests.upstreams import serve


async def test_unknown_status_keeps_its_raw_value_and_is_counted():
    counter = telemetry.metrics().unknown_statuses.labels("erp", "order.status", "AWAITING_PIXIES")
    before = counter._value.get()
    async with serve(answering(orders=[{"key": "SO-1", "value": ORDER}])) as url:
        source = connected(url)
        order = (await source.orders.by_number(SYSTEM, ["SO-1"]))["SO-1"]
        await source.aclose()
    assert (order.status, order.raw_status) == (OrderStatus.UNKNOWN, "AWAITING_PIXIES")
    assert (order.history[0].status, order.history[0].raw_status) == (OrderStatus.UNKNOWN, "AWAITING_PIXIES")
    assert order.freshness.as_of == datetime(2026, 11, 21, tzinfo=UTC)
    assert counter._value.get() == before + 1


async def test_unknown_event_status_keeps_the_systems_word():
    event = {"sequence": 1, "at": "2026-11-21T00:00:00Z", "status": "TELEPORTED"}
    shipment = {"id": "1", "status": "TELEPORTED", "rawStatus": "T9", "events": [event]}
    async with serve(answering(shipments=[{"key": "SO-1", "value": [shipment]}])) as url:
        source = connected(url)
        (row,) = (await source.shipments.by_order(SYSTEM, ["SO-1"]))["SO-1"]
        await source.aclose()
    assert (row.status, row.raw_status) == (ShipmentStatus.UNKNOWN, "T9")
    assert (row.events[0].status, row.events[0].raw_code) == (ShipmentStatus.UNKNOWN, "TELEPORTED")


async def test_amounts_sent_as_numbers_keep_their_digits():
    body = (b'[{"key":"SO-1","value":{"id":"1","number":"SO-1","status":"DRAFT","currency":"EUR",'
            b'"totals":{"total":{"amount":0.30000000000000000001,"currency":"EUR"}}}}]')  # fmt: skip

    async def answer(_: Request) -> Response:
        return Response(body, media_type="application/json")

    async with serve(Starlette(routes=[Route("/{path:path}", answer, methods=["POST"])])) as url:
        source = connected(url)
        order = (await source.orders.by_number(SYSTEM, ["SO-1"]))["SO-1"]
        await source.aclose()
    assert order.totals.total.amount == Decimal("0.30000000000000000001")


async def test_rows_nobody_asked_for_are_dropped():
    async with serve(answering(orders=[{"key": "SO-2", "value": ORDER}])) as url:
        source = connected(url)
        assert await source.orders.by_number(SYSTEM, ["SO-1"]) == {}
        await source.aclose()


MOST_FIELDS: FieldMask = frozenset(
    (record, name) for record, names in OPTIONAL_FIELDS.items() for name in names if name != "refs"
)
PRICE = {
    "customer": "CUST-0001",
    "sku": "SKU-0001",
    "uom": "EA",
    "quantity": "1",
    "unitPrice": {"amount": "1", "currency": "USD"},
    "quotedAt": "2026-11-21T00:00:00Z",
}


@pytest.mark.parametrize("mask", [None, frozenset()], ids=["whole", "partial"])
@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"customer": "CUST-0002"}, "customer, sku: expected CUST-0001 SKU-0001, got CUST-0002 SKU-0001"),
        ({"sku": "SKU-0002"}, "customer, sku: expected CUST-0001 SKU-0001, got CUST-0001 SKU-0002"),
        ({"uom": "XBX"}, "uom: expected EA, got XBX"),
        ({"quantity": "12"}, "quantity: expected 1, got 12"),
        ({"priceUnit": "0"}, "price_unit: expected a number above 0, got 0"),
        (
            {"unitPrice": {"amount": "-1", "currency": "USD"}},
            "unit_price: expected an amount of 0 or more in ISO 4217, got -1 USD",
        ),
        (
            {"unitPrice": {"amount": "1", "currency": "Dollar"}},
            "unit_price: expected an amount of 0 or more in ISO 4217, got 1 Dollar",
        ),
    ],
    ids=["customer", "sku", "uom", "quantity", "price unit", "negative", "currency"],
)
async def test_price_that_does_not_fit_its_request_is_malformed(
    change: dict[str, Any], detail: str, mask: FieldMask | None
) -> None:
    request = PriceRequest(customer="CUST-0001", sku="SKU-0001", quantity=Decimal(1), uom="EA")
    async with serve(answering(prices=[{"key": 0, "value": PRICE | change}])) as url:
        source = compile_source(connected(url), utc_now)
        assert source.prices is not None
        token = field_mask.set(mask)
        try:
            for _ in range(2):  # A partial decoder is made on the second request.
                found: Any = (await source.prices.quote(SYSTEM, [request]))[request]
        finally:
            field_mask.reset(token)
        await source.aclose()
    assert isinstance(found, SourceMalformed)
    assert found.detail == detail
    assert found.message == SourceMalformed("erp").message


@pytest.mark.parametrize("mask", [None, MOST_FIELDS], ids=["whole", "partial"])
@pytest.mark.parametrize(
    ("noun", "value", "path"),
    [
        ("prices", PRICE | {"quotedAt": "2026-11-21T00:00:00"}, "quotedAt"),
        ("prices", PRICE | {"asOf": "2026-11-21T00:00:00"}, "asOf"),
        ("orders", ORDER | {"updatedAt": "2026-11-21T00:00:00"}, "updatedAt"),
        ("orders", ORDER | {"asOf": "2026-11-21T00:00:00"}, "asOf"),
        ("orders", ORDER | {"history": [{"status": "DRAFT", "at": "2026-11-21T00:00:00"}]}, "at"),
    ],
    ids=["quotedAt", "price asOf", "updatedAt", "order asOf", "history"],
)
async def test_time_without_an_offset_is_malformed_and_its_path_logged(
    noun: str, value: dict[str, Any], path: str, mask: FieldMask | None
) -> None:
    key: Any = "SO-1" if noun == "orders" else 0
    async with serve(answering(**{noun: [{"key": key, "value": value}]})) as url:
        source = connected(url)
        assert source.orders is not None
        assert source.prices is not None
        token = field_mask.set(mask)
        try:
            for _ in range(2):
                read = source.orders.by_number if noun == "orders" else source.prices.quote
                keys: Any = ["SO-1"] if noun == "orders" else [price("SKU-0001")]
                with pytest.raises(SourceMalformed) as caught:
                    await read(SYSTEM, keys)
        finally:
            field_mask.reset(token)
        await source.aclose()
    assert "timezone" in (caught.value.detail or "")
    assert f".{path}`" in (caught.value.detail or "")
