"""From Vendure's wire to records, where the seeded server has no case for it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from starlette.requests import Request

from app import telemetry
from app.auth.principal import SYSTEM
from app.sources.orders import OrderQuery, OrderStatus
from app.sources.shipments import ShipmentStatus
from app.sources.values import Money, PageRequest
from app.sources.vendure.items import plain_text
from tests.contract.vendure_case import connect_to
from tests.upstreams.vendure import NO_ORDERS, Sessions, vendure_upstream


def _order(**changes: Any) -> dict[str, Any]:
    return {
        "id": "1",
        "code": "SO-1",
        "state": "PaymentSettled",
        "orderPlacedAt": "2026-01-02T03:04:05.678Z",
        "updatedAt": "2026-01-02T03:04:05.678Z",
        "currencyCode": "USD",
        "subTotal": 1999,
        "shipping": 100,
        "total": 2099,
        "totalWithTax": 2300,
        "customFields": {"po": None},
        "channels": [{"code": "__default_channel__"}, {"code": "canada"}],
        "customer": {"customFields": {"number": "C-1"}},
        "shippingAddress": {},
        "billingAddress": None,
        "lines": [],
        "fulfillments": None,
        "history": {"items": []},
        **changes,
    }


def _orders(*orders: dict[str, Any]) -> dict[str, Any]:
    return {"data": {"orders": {"totalItems": len(orders), "items": list(orders)}}}


async def _read(answer: dict[str, Any], **options: Any):
    async with vendure_upstream(Sessions(), Orders=lambda variables, request: answer) as upstream:
        source = connect_to(upstream.url, **options)
        found = await source.orders.by_number(SYSTEM, ["SO-1"])
        await source.aclose()
    return found["SO-1"]


@pytest.mark.parametrize(
    ("currency", "options", "amount"),
    [
        ("USD", {}, "23.00"),
        ("JPY", {}, "2300"),
        ("KWD", {}, "2.300"),
        ("JPY", {"money_digits": 2}, "23.00"),
        ("USD", {"money_digits": 4}, "0.2300"),
    ],
)
async def test_money_has_the_digits_of_its_currency(currency, options, amount):
    order = await _read(_orders(_order(currencyCode=currency)), **options)
    assert order.totals.total == Money(amount=Decimal(amount), currency=currency)
    assert str(order.totals.total.amount) == amount


async def test_unknown_states_are_preserved_and_counted():
    sent = {"id": "9", "state": "Lost", "updatedAt": "2026-01-02T03:04:05Z", "lines": []}
    order = await _read(_orders(_order(state="Fraud check", fulfillments=[sent])))
    assert (order.status, order.raw_status) == (OrderStatus.UNKNOWN, "Fraud check")
    assert (order.shipments[0].status, order.shipments[0].raw_status) == (ShipmentStatus.UNKNOWN, "Lost")
    text = telemetry.metrics_text().decode()
    assert 'tradegraph_unknown_statuses_total{field="order.state",raw="Fraud check",source="commerce"}' in text
    assert 'tradegraph_unknown_statuses_total{field="fulfillment.state",raw="Lost",source="commerce"}' in text


async def test_lines_are_numbered_by_id_and_count_what_left_the_house():
    def line(key: str, quantity: int, placed: int) -> dict[str, Any]:
        variant = {"sku": f"S{key}", "name": f"Thing {key}"}
        prices = {"proratedUnitPrice": 10, "proratedLinePrice": 10 * quantity}
        return {"id": key, "quantity": quantity, "orderPlacedQuantity": placed, **prices, "productVariant": variant}

    def sent(key: str, state: str, quantity: int) -> dict[str, Any]:
        lines = [{"orderLineId": "9", "quantity": quantity}]
        return {"id": key, "state": state, "updatedAt": "2026-01-02T03:04:05Z", "lines": lines}

    order = await _read(
        _orders(
            _order(
                lines=[line("10", 2, 5), line("9", 8, 6)],
                fulfillments=[sent("2", "Shipped", 3), sent("1", "Delivered", 1), sent("3", "Pending", 2)],
            )
        )
    )
    told = [
        (line.number, line.sku, line.quantity, line.shipped_quantity, line.cancelled_quantity) for line in order.lines
    ]
    assert told == [(1, "S9", 8, 4, 0), (2, "S10", 5, 0, 3)]
    assert [(sent.id, sent.status) for sent in order.shipments] == [
        ("1", ShipmentStatus.DELIVERED),
        ("2", ShipmentStatus.IN_TRANSIT),
        ("3", ShipmentStatus.PENDING),
    ]


async def test_sparse_order_of_another_channel_is_read():
    order = await _read(_orders(_order(customer=None)))
    assert (order.customer, order.customer_po, order.bill_to, order.ship_to) == (None, None, None, None)
    assert (order.channel, order.lines, order.shipments) == ("canada", (), ())
    assert order.ordered_at == datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)


async def test_unpaid_change_holds_the_order():
    order = await _read(_orders(_order(state="ArrangingAdditionalPayment")))
    assert order.status is OrderStatus.PROCESSING
    assert [(hold.kind, hold.since) for hold in order.holds] == [("PAYMENT", order.updated_at)]


async def test_orders_of_several_buyers_of_a_customer_are_merged():
    placed = {"anna": [8, 5, 2], "bert": [9, 4]}  # days, newest first

    def answer(variables: dict[str, Any], request: Request) -> dict[str, Any]:
        skip, take = variables["orders"].get("skip", 0), variables["orders"]["take"]
        people = []
        for buyer, days in placed.items():
            rows = [_order(id=str(day), code=f"SO-{day}", orderPlacedAt=f"2026-01-0{day}T00:00:00Z") for day in days]
            page = {"totalItems": len(rows), "items": rows[skip : skip + take]}
            people.append({"id": buyer, "customFields": {"number": "C-1"}, "orders": page})
        return {"data": {"customers": {"totalItems": 2, "items": people}}}

    async with vendure_upstream(Sessions(), CustomerOrders=answer) as upstream:
        source = connect_to(upstream.url)
        after, codes = None, []
        for _ in range(3):
            query = OrderQuery(page=PageRequest(first=2, after=after))
            page = (await source.orders.by_customer(SYSTEM, ["C-1"], query))["C-1"]
            assert page.total == 5
            after = page.cursors[-1]
            codes.append([row.number for row in page.rows])
        await source.aclose()
    assert codes == [["SO-9", "SO-8"], ["SO-5", "SO-4"], ["SO-2"]]
    assert (page.has_next, page.has_previous) == (False, True)


async def test_reservations_are_read_page_by_page_and_over_all_channels():
    def order(number: int) -> dict[str, Any]:
        lines = [{"id": "1", "quantity": 2, "productVariant": {"sku": "S"}}]
        return {"code": f"SO-{number}", "orderPlacedAt": None, "lines": lines, "fulfillments": None}

    channels = []

    def answer(variables: dict[str, Any], request: Request) -> dict[str, Any]:
        channels.append(request.headers.get("vendure-token"))
        skip, take = variables["options"]["skip"], variables["options"]["take"]
        rows = [order(number) for number in range(1200)][skip : skip + take]
        return {"data": {"orders": {"totalItems": 1200, "items": rows}}}

    async with vendure_upstream(Sessions(), OpenOrders=answer) as upstream:
        source = connect_to(upstream.url, channel="canada-channel")
        found = await source.reservations.reservations(SYSTEM, ["S", "T"])
        await source.aclose()
    assert set(found) == {"S"}
    assert len({row.order for row in found["S"]}) == len(found["S"]) == 1200
    assert channels == [None, None]


async def test_channel_is_sent_with_orders_and_content():
    seen = []

    def answer(variables: dict[str, Any], request: Request) -> dict[str, Any]:
        seen.append(request.headers.get("vendure-token"))
        return NO_ORDERS

    async with vendure_upstream(Sessions(), Orders=answer) as upstream:
        source = connect_to(upstream.url, channel="canada-channel")
        await source.orders.by_number(SYSTEM, ["SO-1"])
        await source.aclose()
    assert seen == ["canada-channel"]


async def test_content_is_plain_text_with_absolute_media_and_public_attributes():
    picture = {"name": "Bolt", "type": "IMAGE", "mimeType": "image/png", "source": "a/bolt.png"}
    sheet = {"name": "", "type": "BINARY", "mimeType": "application/pdf", "source": "https://cdn.example.com/b.pdf"}
    metal = {"name": "Steel", "facet": {"code": "material", "isPrivate": False}}
    secret = {"name": "low margin", "facet": {"code": "steering", "isPrivate": True}}
    product = {
        "id": "1",
        "slug": "bolt",
        "description": "<p>Hex &amp; hard</p><script>alert(1)</script><p>M8</p>",
        "assets": [picture, sheet],
        "facetValues": [metal, secret],
    }
    option = {"name": "100 pcs", "group": {"code": "bolt-pack"}}
    base = {"sku": "S", "product": product, "assets": [picture], "options": [option], "facetValues": [metal]}
    variants = [{"id": "1", "enabled": False, **base}, {"id": "2", "enabled": True, **base}]
    answer = {"data": {"productVariants": {"items": variants}}}
    async with vendure_upstream(Sessions(), Contents=lambda variables, request: answer) as upstream:
        source = connect_to(upstream.url)
        found = (await source.contents.contents(SYSTEM, ["S", "T"]))["S"]
        await source.aclose()
    assert found.description == "Hex & hard\nM8"
    assert [(one.code, one.value) for one in found.attributes] == [("pack", "100 pcs"), ("material", "Steel")]
    assert [(one.url, one.kind, one.alt) for one in found.media] == [
        (f"{upstream.url}/assets/a/bolt.png", "IMAGE", "Bolt"),
        ("https://cdn.example.com/b.pdf", "DATASHEET", None),
    ]
    assert found.refs[0].id == "2"


def test_markup_that_is_never_closed_is_still_text():
    assert plain_text("a <b>bold</b> word <br>next <script>x") == "a bold word\nnext"
    assert plain_text("") == ""
