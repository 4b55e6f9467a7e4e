"""Orders in for Medusa: a draft with the key in its metadata, found by it, and converted once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.auth.principal import SYSTEM
from app.errors import SourceUnavailable
from app.sources.order_writer import NewOrder, NewOrderLine, OrderNotAccepted, OrderWriter, WrittenOrder
from app.sources.source import Source
from app.sources.values import Money
from tests.contract.medusa_case import connect_to
from tests.upstreams.medusa import ADDRESS, Medusa, serve_medusa

REGION = {"currency": "USD", "region": "reg_1", "sales_channel": "sc_1"}


@pytest.fixture
async def medusa() -> AsyncIterator[Medusa]:
    async with serve_medusa() as running:
        yield running


@pytest.fixture
async def source(medusa: Medusa) -> AsyncIterator[Source]:
    opened = connect_to(medusa.url, limits={"retries": 0}, options=REGION)
    yield opened
    await opened.aclose()


@pytest.fixture
def writer(source: Source) -> OrderWriter:
    assert source.order_writer is not None
    return source.order_writer


def order(**given: Any) -> NewOrder:
    lines = (
        NewOrderLine(
            number=10,
            sku="SKU-0001",
            quantity=Decimal(12),
            uom="EA",
            unit_price=Money(amount=Decimal("9.0000000000000000001"), currency="USD"),
        ),
        NewOrderLine(number=20, sku="SKU-0002", quantity=Decimal(2), requested_date=date(2026, 12, 24)),
    )
    return NewOrder(**{
        "key": "k", "customer": "CUST-0001", "customer_po": "PO 77", "channel": "API", "lines": lines, **given,
    })  # fmt: skip


async def test_an_order_is_drafted_whole_and_converted(writer: OrderWriter, medusa: Medusa):
    written = await writer.post(SYSTEM, order(ship_to="cuaddr_1", note="gate 4"))
    assert written == WrittenOrder(key="k", id="order_41", number="41", step="converted")
    address = {name: value for name, value in ADDRESS.items() if value is not None}
    assert medusa.sent == [
        {
            "region_id": "reg_1",
            "sales_channel_id": "sc_1",
            "customer_id": "cus_1",
            "email": "buyer1@example.com",
            "currency_code": "usd",
            "shipping_address": address,
            "billing_address": address,
            "items": [
                {
                    "variant_id": "variant_1",
                    "quantity": 12,
                    "unit_price": "9.0000000000000000001",
                    "metadata": {"line_number": 10},
                },
                {"variant_id": "variant_2", "quantity": 2, "metadata": {"line_number": 20}},
            ],
            "metadata": {
                "tradegraph_key": "k",
                "po_number": "PO 77",
                "note": "gate 4\nLine 20: requested for 2026-12-24.",
            },
        },
        None,
    ]


async def test_a_draft_that_a_crash_left_is_found_and_converted_not_doubled(writer: OrderWriter, medusa: Medusa):
    medusa.fault = lambda request: JSONResponse({}, 503) if request.url.path.endswith("convert-to-order") else None
    with pytest.raises(SourceUnavailable) as caught:
        await writer.post(SYSTEM, order())
    assert caught.value.sent
    medusa.fault = None
    [found] = (await writer.find(SYSTEM, ["k", "other"]))["k"]
    assert found == WrittenOrder(key="k", id="order_41", number="41", step="drafted")
    assert (await writer.post(SYSTEM, order(), found)).step == "converted"
    [again] = (await writer.find(SYSTEM, ["k"]))["k"]
    assert (await writer.post(SYSTEM, order(), again), len(medusa.orders)) == (again, 1)


async def test_a_draft_that_medusa_does_not_convert_is_deleted_and_held(writer: OrderWriter, medusa: Medusa):
    def out_of_stock(request: Request) -> Response | None:
        body = {"type": "not_allowed", "message": "Not enough stock available"}
        return JSONResponse(body, 400) if request.url.path.endswith("convert-to-order") else None

    medusa.fault = out_of_stock
    with pytest.raises(OrderNotAccepted) as caught:
        await writer.post(SYSTEM, order())
    assert (caught.value.held, medusa.orders) == (True, [])
    assert "Not enough stock" in caught.value.detail


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        ({"customer": "CUST-9999"}, ()),
        ({"ship_to": "cuaddr_2"}, ()),
        ({"lines": (NewOrderLine(number=7, sku="SKU-9999", quantity=Decimal(1)),)}, (7,)),
        ({"lines": (NewOrderLine(number=7, sku="SKU-0001", quantity=Decimal("1.5")),)}, (7,)),
        ({"lines": (NewOrderLine(number=7, sku="SKU-0001", quantity=Decimal(1), uom="BOX"),)}, (7,)),
        (
            {
                "lines": (
                    NewOrderLine(
                        number=7,
                        sku="SKU-0001",
                        quantity=Decimal(1),
                        unit_price=Money(amount=Decimal(1), currency="EUR"),
                    ),
                )
            },
            (7,),
        ),
    ],
    ids=["unknown customer", "foreign address", "unknown item", "part of a unit", "other unit", "other currency"],
)
async def test_what_medusa_cannot_hold_is_refused_before_it_is_sent(
    writer: OrderWriter, medusa: Medusa, given: dict[str, Any], lines: tuple[int, ...]
):
    with pytest.raises(OrderNotAccepted) as caught:
        await writer.post(SYSTEM, order(**given))
    assert (caught.value.lines, medusa.sent) == (lines, [])


async def test_a_failure_before_the_draft_is_not_sent(writer: OrderWriter, medusa: Medusa):
    medusa.fault = lambda request: JSONResponse({}, 503) if request.url.path == "/admin/product-variants" else None
    with pytest.raises(SourceUnavailable) as caught:
        await writer.post(SYSTEM, order())
    assert (caught.value.sent, medusa.sent) == (False, [])


async def test_cancelled_orders_are_not_found(writer: OrderWriter, medusa: Medusa):
    written = await writer.post(SYSTEM, order())
    await writer.cancel(SYSTEM, written, "customer request")
    assert (medusa.orders[0]["status"], await writer.find(SYSTEM, ["k"])) == ("canceled", {})


async def test_a_draft_is_cancelled_by_deleting_it(medusa: Medusa):
    source = connect_to(medusa.url, options=REGION | {"convert_orders": False})
    writer = source.order_writer
    assert writer is not None
    written = await writer.post(SYSTEM, order())
    assert (written.step, list(writer.steps), writer.unique_key) == ("drafted", ["drafted"], False)
    await writer.cancel(SYSTEM, written, "")
    assert medusa.orders == []
    await source.aclose()


def test_without_a_region_no_order_is_written():
    source = connect_to("https://medusa.example.com")
    assert source.order_writer is None
    assert "no region" in (source.limitations["order_writer"].missing or "")
