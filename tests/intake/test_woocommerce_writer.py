"""Orders in for WooCommerce: created whole with the key in their meta data, and found among the orders of late."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse

from app.auth.principal import SYSTEM
from app.errors import SourceMalformed, SourceRejected, SourceUnavailable
from app.intake.reconcile import reconcile
from app.intake.records import IntakeState
from app.intake.stores import connect_intakes
from app.settings import Settings
from app.sources.order_writer import NewOrder, NewOrderLine, OrderNotAccepted, OrderWriter, WrittenOrder
from app.sources.source import Source
from app.sources.values import Money
from tests.contract.woocommerce_case import connect_to
from tests.support.intakes import intake
from tests.support.posting import run
from tests.upstreams.woocommerce import Shop, address, customer, line, order, serve_woocommerce

NOW = datetime(2026, 12, 1, 13, tzinfo=UTC)
CREATE = "POST /orders"


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    async with serve_woocommerce() as running:
        yield running


@pytest.fixture
async def source(shop: Shop) -> AsyncIterator[Source]:
    opened = connect_to(shop.url, clock=lambda: NOW, limits={"retries": 0})
    yield opened
    await opened.aclose()


@pytest.fixture
def writer(source: Source) -> OrderWriter:
    assert source.order_writer is not None
    return source.order_writer


def price(amount: str, currency: str = "USD") -> Money:
    return Money(amount=Decimal(amount), currency=currency)


def only(**given: Any) -> tuple[NewOrderLine, ...]:
    """One line of an order."""
    return (NewOrderLine(**{"number": 7, "sku": "SKU-0001", "quantity": Decimal(1), **given}),)


def new_order(**given: Any) -> NewOrder:
    lines = (
        NewOrderLine(number=10, sku="SKU-0021", quantity=Decimal(12), uom="EA", unit_price=price("9.125")),
        NewOrderLine(number=20, sku="SKU-0002", quantity=Decimal(2), requested_date=date(2026, 12, 24)),
    )
    return NewOrder(**{"key": "k", "customer": "1", "customer_po": "PO 77", "channel": "API", "lines": lines, **given})


async def test_an_order_is_created_whole_in_one_request(writer: OrderWriter, shop: Shop):
    written = await writer.post(SYSTEM, new_order(note="gate 4"))
    assert written == WrittenOrder(key="k", id="906", number="906", step="created")
    bill_to, ship_to = address("Company 0001", "1 Main St"), address("Company 0001", "1 Dock Rd", "Kent", "WA")
    written_names = {"company", "address_1", "city", "state", "postcode", "country"}
    assert shop.sent == [
        {
            "status": "processing",
            "customer_id": 1,
            "currency": "USD",
            "billing": {name: bill_to[name] for name in written_names} | {"email": "buyer1@example.com"},
            "shipping": {name: ship_to[name] for name in written_names},
            "line_items": [
                {
                    "product_id": 20,
                    "variation_id": 21,
                    "quantity": 12,
                    "subtotal": "109.5",
                    "total": "109.5",
                    "meta_data": [{"key": "line_number", "value": "10"}],
                },
                {"product_id": 2, "quantity": 2, "meta_data": [{"key": "line_number", "value": "20"}]},
            ],
            "meta_data": [{"key": "tradegraph_key", "value": "k"}, {"key": "po_number", "value": "PO 77"}],
            "customer_note": "gate 4\nLine 20: requested for 2026-12-24.",
        }
    ]
    assert shop.seen == ["GET /customers", "GET /products", CREATE]
    assert (list(writer.steps), writer.unique_key, writer.max_seconds) == (["created"], False, 30.0)


@pytest.mark.parametrize(
    ("location", "line_1"), [(None, "1 Dock Rd"), ("1-shipping", "1 Dock Rd"), ("1-billing", "1 Main St")]
)
async def test_the_goods_go_to_the_address_that_the_order_names(
    writer: OrderWriter, shop: Shop, location: str | None, line_1: str
):
    await writer.post(SYSTEM, new_order(ship_to=location))
    assert shop.sent[0]["shipping"]["address_1"] == line_1


async def test_an_order_that_was_created_though_no_answer_came_is_found_and_not_doubled(
    writer: OrderWriter, shop: Shop
):
    shop.loses_answers = True
    with pytest.raises(SourceUnavailable) as caught:
        await writer.post(SYSTEM, new_order())
    assert caught.value.sent
    [found] = (await writer.find(SYSTEM, ["k", "other"]))["k"]
    assert found == WrittenOrder(key="k", id="906", number="906", step="created")
    assert await writer.post(SYSTEM, new_order(), found) == found
    assert [one for one in shop.seen if one == CREATE] == [CREATE]


async def test_orders_of_one_key_are_all_found_and_cancelled_ones_are_not(writer: OrderWriter, shop: Shop):
    for _ in range(2):
        await writer.post(SYSTEM, new_order())
    assert [one.id for one in (await writer.find(SYSTEM, ["k"]))["k"]] == ["906", "907"]
    shop.orders[-1]["status"] = "trash"
    shop.orders[-2]["status"] = "cancelled"
    assert await writer.find(SYSTEM, ["k"]) == {}


async def test_a_look_up_reads_the_orders_of_the_last_days_only(writer: OrderWriter, shop: Shop):
    lines = [line(1, "SKU-0001", 1, "9.50", 9.5)]
    key = [{"id": 1, "key": "tradegraph_key", "value": "k"}]
    days = [f"2026-11-{day:02}T{hour:02}:00:00" for day in range(24, 31) for hour in range(24)]
    shop.orders = [order(at, shop.customers[0], lines, day) for at, day in enumerate(days, start=1)]
    shop.orders[0]["meta_data"] = shop.orders[120]["meta_data"] = key
    shop.orders.append(order(500, shop.customers[0], lines, "2026-11-23T12:59:58", meta_data=key))
    assert [one.id for one in (await writer.find(SYSTEM, ["k"]))["k"]] == ["1", "121"]
    assert shop.queries[0]["after"] == "2026-11-23T12:59:59"
    assert len(shop.seen) == 2
    assert await writer.find(SYSTEM, []) == {}
    assert len(shop.seen) == 2


async def test_an_order_that_is_resumed_after_its_last_days_is_found_and_not_doubled(
    writer: OrderWriter, shop: Shop, tmp_path: Path
):
    received = (NOW - timedelta(days=30)).timestamp()
    resumed = intake("old", received=received, sent_at=received + 60, attempts=1)
    key = [{"id": 1, "key": "tradegraph_key", "value": resumed.id}]
    lines = [line(1, "SKU-0001", 1, "9.50", 9.5)]
    shop.orders = [order(1, shop.customers[0], lines, "2026-10-31T14:00:00", meta_data=key)]  # Its clock is late.
    store = connect_intakes(Settings(data_dir=tmp_path))
    done = await run(store, writer, resumed)
    await store.close()
    assert (done.state, done.order_number, shop.sent) == (IntakeState.POSTED, "1", [])
    assert (shop.seen, shop.queries[0]["after"]) == (["GET /orders"], "2026-10-31T12:59:59")
    assert await writer.find(SYSTEM, [resumed.id]) == {}


async def test_reconciliation_reads_back_to_its_oldest_order(writer: OrderWriter, shop: Shop, tmp_path: Path):
    store = connect_intakes(Settings(data_dir=tmp_path))
    ages = {number: NOW - timedelta(days=days) for number, days in enumerate((30, 1), start=1)}
    posted = [
        intake(received=at.timestamp(), state=IntakeState.POSTED, order_id=str(number), order_number=str(number))
        for number, at in ages.items()
    ]
    lines = [line(1, "SKU-0001", 1, "9.50", 9.5)]
    keys = [[{"id": 1, "key": "tradegraph_key", "value": one.id}] for one in posted]
    shop.orders = [
        order(number, shop.customers[0], lines, f"{at:%Y-%m-%dT%H:%M:%S}", meta_data=key)
        for (number, at), key in zip(ages.items(), keys, strict=True)
    ]
    for one in posted:
        await store.submit(one, guard_po=0)
    found = await reconcile(store, {"erp": writer}, since=(NOW - timedelta(days=31)).timestamp())
    await store.close()
    assert (found.compared, found.discrepancies, shop.seen) == (2, (), ["GET /orders"])


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        ({"customer": "99"}, ()),
        ({"ship_to": "2-shipping"}, ()),
        ({"lines": only(sku="SKU-9999")}, (7,)),
        ({"lines": only(sku="BOLT")}, (7,)),
        ({"lines": only(sku="sku-0001")}, (7,)),
        ({"lines": only(quantity=Decimal("1.5"))}, (7,)),
        ({"lines": only(quantity=Decimal(0))}, (7,)),
        ({"lines": only(uom="BOX")}, (7,)),
        ({"lines": only(unit_price=price("1"), price_unit=Decimal(100))}, (7,)),
        ({"lines": only(unit_price=price("1", "EUR"))}, (7,)),
        ({"lines": only(unit_price=price("9.0000001"))}, (7,)),
        ({"lines": only(unit_price=price("1234567890123.456"))}, (7,)),
    ],
    ids=[
        "unknown customer",
        "foreign address",
        "unknown item",
        "product with variations",
        "other case",
        "part of a unit",
        "nothing",
        "other unit",
        "price of a hundred",
        "other currency",
        "too many decimals",
        "too many digits",
    ],
)
async def test_what_woocommerce_cannot_hold_is_refused_before_it_is_sent(
    writer: OrderWriter, shop: Shop, given: dict[str, Any], lines: tuple[int, ...]
):
    with pytest.raises(OrderNotAccepted) as caught:
        await writer.post(SYSTEM, new_order(**given))
    assert (caught.value.lines, shop.sent) == (lines, [])


async def test_a_refusal_by_the_shop_is_not_repeated(writer: OrderWriter, shop: Shop):
    body = {"code": "rest_invalid_param", "message": "Invalid parameter(s): currency", "data": {"status": 400}}
    shop.fault = lambda request: JSONResponse(body, 400) if request.method == "POST" else None
    with pytest.raises(OrderNotAccepted) as caught:
        await writer.post(SYSTEM, new_order())
    assert "rest_invalid_param" in caught.value.detail


async def test_a_key_without_the_right_to_write_is_rejected(writer: OrderWriter, shop: Shop):
    body = {"code": "woocommerce_rest_authentication_error", "message": "The API key has no write permission."}
    shop.fault = lambda request: JSONResponse(body, 401) if request.method == "POST" else None
    with pytest.raises(SourceRejected):
        await writer.post(SYSTEM, new_order())


async def test_a_failure_before_the_creation_is_not_sent(writer: OrderWriter, shop: Shop):
    shop.fault = lambda request: JSONResponse({}, 503) if request.url.path.endswith("/products") else None
    with pytest.raises(SourceUnavailable) as caught:
        await writer.post(SYSTEM, new_order())
    assert (caught.value.sent, shop.sent) == (False, [])


async def test_an_order_is_cancelled_by_its_status(writer: OrderWriter, shop: Shop):
    written = await writer.post(SYSTEM, new_order())
    await writer.cancel(SYSTEM, written, "customer request")
    assert shop.sent[-1] == {
        "status": "cancelled",
        "meta_data": [{"key": "tradegraph_cancel_reason", "value": "customer request"}],
    }
    await writer.cancel(SYSTEM, written, "again")
    assert (len(shop.sent), shop.orders[-1]["status"]) == (2, "cancelled")


@pytest.mark.parametrize("change", ["status", "mark"])
async def test_an_order_that_is_on_its_way_is_not_cancelled(writer: OrderWriter, shop: Shop, change: str):
    written = await writer.post(SYSTEM, new_order())
    if change == "status":
        shop.orders[-1]["status"] = "completed"
    else:
        shop.orders[-1]["meta_data"].append({"id": 9, "key": "is_fulfilled", "value": True})
    with pytest.raises(OrderNotAccepted) as caught:
        await writer.cancel(SYSTEM, written, "")
    assert (caught.value.picked, len(shop.sent)) == (True, 1)


async def test_an_order_that_is_gone_needs_no_cancelling_and_a_wrong_id_is_malformed(writer: OrderWriter, shop: Shop):
    written = WrittenOrder(key="k", id="4711", number="4711", step="created")
    await writer.cancel(SYSTEM, written, "")
    with pytest.raises(SourceMalformed):
        await writer.cancel(SYSTEM, WrittenOrder(key="k", id="SO/1", number="1", step="created"), "")
    assert shop.sent == []


async def test_an_order_is_written_for_a_customer_by_another_number(shop: Shop):
    shop.has_filters = True
    shop.customers.append(customer(8))
    source = connect_to(shop.url, options={"customer_number": "meta:erp_number", "order_status": "on-hold"})
    assert source.order_writer is not None
    await source.order_writer.post(SYSTEM, new_order(customer="CUST-0008"))
    assert (shop.sent[0]["customer_id"], shop.sent[0]["status"]) == (8, "on-hold")
    await source.aclose()


async def test_woocommerce_tells_no_price_beforehand(writer: OrderWriter, shop: Shop):
    assert await writer.simulate(SYSTEM, new_order()) is None
    assert shop.seen == []
