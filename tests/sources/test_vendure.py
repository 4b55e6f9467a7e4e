"""Vendure's peculiarities; what all adapters have in common is in tests/contract."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from app import telemetry
from app.auth.principal import SYSTEM
from app.errors import (
    ConfigurationError,
    InvalidCursor,
)
from app.settings import SourceSettings
from app.sources.changes import ChangeKind
from app.sources.orders import CustomerPoKey, OrderQuery, OrderSort, OrderStatus
from app.sources.shipments import ShipmentStatus
from app.sources.values import Money, PageRequest
from app.sources.vendure import connect
from app.sources.vendure.client import VendureClient
from app.sources.vendure.options import VendureOptions
from tests.contract.case import Environment
from tests.contract.vendure_case import URL, connect_to, open_vendure

SHARED = [f"SO-{number}" for number in range(100011, 100061)]
SKUS = [f"SKU-{number:04}" for number in range(1, 201)]
HOSTILE = ["", " ", "'", '"}{', "SO-100040\0", "../x?y#z", "%", "_", "x" * 10_000, "😀", "so-100040", "SO-100040'"]


@pytest.fixture
async def vendure(live, recording):
    async with open_vendure(Environment(live=live, recording=recording, sandbox=NotImplemented)) as source:
        yield source


# The seeded server, recorded


async def test_order_that_the_erp_thinks_unsent_is_shipped_here(vendure):
    order = (await vendure.orders.by_number(SYSTEM, ["SO-100053"]))["SO-100053"]
    assert (order.status, order.raw_status) == (OrderStatus.SHIPPED, "Shipped")
    assert [(sent.tracking_number, sent.status) for sent in order.shipments] == [
        ("1ZDEMO000053", ShipmentStatus.IN_TRANSIT)
    ]
    assert [line.shipped_quantity for line in order.lines] == [line.quantity for line in order.lines]


async def test_cancelled_order_keeps_what_was_ordered(vendure):
    order = (await vendure.orders.by_number(SYSTEM, ["SO-100082"]))["SO-100082"]
    assert order.status is OrderStatus.CANCELLED
    assert [(line.quantity, line.cancelled_quantity) for line in order.lines] == [(4, 4), (3, 3)]
    assert order.totals.total == Money(amount=Decimal("0.00"), currency="USD")
    assert [step.status for step in order.history] == [
        OrderStatus.DRAFT,
        OrderStatus.DRAFT,
        OrderStatus.PROCESSING,
        OrderStatus.CANCELLED,
    ]


async def test_every_state_of_the_seed_is_known(vendure):
    codes = [
        f"SO-{number}" for number in (100001, 100006, 100011, 100036, 100046, 100061, 100066, 100081, 100086, 100096)
    ]
    orders = await vendure.orders.by_number(SYSTEM, codes)
    assert {orders[code].raw_status: orders[code].status for code in codes} == {
        "Draft": OrderStatus.DRAFT,
        "ArrangingPayment": OrderStatus.DRAFT,
        "PaymentSettled": OrderStatus.PROCESSING,
        "PartiallyShipped": OrderStatus.PARTIALLY_SHIPPED,
        "Shipped": OrderStatus.SHIPPED,
        "PartiallyDelivered": OrderStatus.PARTIALLY_DELIVERED,
        "Delivered": OrderStatus.DELIVERED,
        "Cancelled": OrderStatus.CANCELLED,
        "PaymentAuthorized": OrderStatus.CONFIRMED,
        "AddingItems": OrderStatus.DRAFT,
    }


async def test_totals_add_up_to_the_cent(vendure):
    orders = await vendure.orders.by_number(SYSTEM, SHARED)
    assert len(orders) == 50
    for order in orders.values():
        sums = order.totals
        assert sums.net.amount + sums.shipping.amount + sums.tax.amount == sums.total.amount
        assert sum(line.total.amount for line in order.lines) == sums.net.amount


async def test_fifty_orders_take_as_many_calls_as_one(vendure):
    await vendure.ping()
    with telemetry.open_scope() as scope:
        await vendure.orders.by_number(SYSTEM, SHARED[:1])
    assert scope.calls == [("commerce", "orders.by_number")]
    with telemetry.open_scope() as scope:
        await vendure.orders.by_number(SYSTEM, SHARED)
    assert scope.calls == [("commerce", "orders.by_number")]


async def test_hostile_keys_are_absent(vendure):
    assert dict(await vendure.orders.by_number(SYSTEM, HOSTILE)) == {}
    assert dict(await vendure.orders.by_id(SYSTEM, HOSTILE)) == {}
    assert dict(await vendure.contents.contents(SYSTEM, HOSTILE)) == {}
    assert dict(await vendure.reservations.reservations(SYSTEM, HOSTILE)) == {}
    keys = [CustomerPoKey(customer="CUST-0024", number=number) for number in HOSTILE]
    assert dict(await vendure.orders.by_customer_po(SYSTEM, keys)) == {}
    assert dict(await vendure.orders.by_customer(SYSTEM, HOSTILE, OrderQuery(page=PageRequest(first=5)))) == {}


async def test_keys_that_cannot_exist_are_not_sent(vendure):
    await vendure.ping()
    with telemetry.open_scope() as scope:
        assert dict(await vendure.orders.by_number(SYSTEM, ["", "a\0b", "x" * 10_000])) == {}
    assert scope.calls == []


async def test_pages_of_a_customer_follow_each_other(vendure):
    first = OrderQuery(page=PageRequest(first=1, count=True))
    one = (await vendure.orders.by_customer(SYSTEM, ["CUST-0002"], first))["CUST-0002"]
    assert [row.number for row in one.rows] == ["SO-100094"]
    assert (one.total, one.has_next, one.has_previous) == (2, True, False)
    rest = OrderQuery(page=PageRequest(first=5, after=one.cursors[-1]))
    two = (await vendure.orders.by_customer(SYSTEM, ["CUST-0002"], rest))["CUST-0002"]
    assert [row.number for row in two.rows] == ["SO-100044"]
    assert (two.total, two.has_next, two.has_previous) == (2, False, True)


async def test_orders_of_a_customer_by_status_and_oldest_first(vendure):
    async def codes(**query: Any) -> list[str]:
        asked = OrderQuery(page=PageRequest(first=5), **query)
        found = await vendure.orders.by_customer(SYSTEM, ["CUST-0002"], asked)
        return [row.number for row in found["CUST-0002"].rows]

    assert await codes(sort=OrderSort.ORDERED_AT_ASC) == ["SO-100044", "SO-100094"]
    assert await codes(status=(OrderStatus.CONFIRMED, OrderStatus.SHIPPED)) == ["SO-100094"]
    assert await codes(status=(OrderStatus.UNKNOWN,)) == []
    assert await codes(status=(OrderStatus.UNKNOWN, OrderStatus.PARTIALLY_SHIPPED)) == ["SO-100044"]
    assert await codes(status=(OrderStatus.QUOTED,)) == []


@pytest.mark.parametrize("cursor", ["", "-1", "1.5", "x", "9" * 40, "١"])
async def test_garbage_cursor_is_refused(vendure, cursor):
    with pytest.raises(InvalidCursor):
        await vendure.orders.by_customer(SYSTEM, ["CUST-0002"], OrderQuery(page=PageRequest(first=1, after=cursor)))


async def test_purchase_order_of_another_customer_is_absent(vendure):
    mine = CustomerPoKey(customer="CUST-0024", number="PO-00040")
    other = CustomerPoKey(customer="CUST-0001", number="PO-00040")
    found = await vendure.orders.by_customer_po(SYSTEM, [mine, other])
    assert {key: order.number for key, order in found.items()} == {mine: "SO-100040"}


async def test_reservations_of_any_number_of_items_take_one_call(vendure):
    await vendure.ping()
    with telemetry.open_scope() as scope:
        some = await vendure.reservations.reservations(SYSTEM, ["SKU-0145"])
        every = await vendure.reservations.reservations(SYSTEM, SKUS)
    assert scope.calls == [("commerce", "reservations")] * 2
    assert every["SKU-0145"] == some["SKU-0145"]
    assert sum(row.quantity for rows in every.values() for row in rows) == 343
    # The rest of a part shipment is still promised; what was shipped is not.
    partly = {(row.sku, row.quantity) for rows in every.values() for row in rows if row.order == "SO-100040"}
    assert partly == {("SKU-0165", 4), ("SKU-0124", 5), ("SKU-0045", 1)}


@pytest.mark.live
async def test_reservations_agree_with_the_allocations_of_the_real_server(recording):
    if recording:
        pytest.skip("compares two moments of the real server")
    source, client = connect_to(URL), VendureClient("commerce", _settings(URL), VendureOptions())
    document = "{ productVariants(options: {take: 1000}) { items { sku stockLevels { stockAllocated } } } }"
    try:
        reserved = await source.reservations.reservations(SYSTEM, SKUS)
        answer = await client.run(document, {}, into=dict[str, Any], call="stock")
    finally:
        await source.aclose()
        await client.aclose()
    allocated = {
        item["sku"]: sum(level["stockAllocated"] for level in item["stockLevels"])
        for item in answer["productVariants"]["items"]
    }
    assert len(allocated) == 200
    assert {sku: sum(row.quantity for row in reserved.get(sku, ())) for sku in SKUS} == allocated


async def test_changes_are_read_to_the_end_without_gaps_or_repeats(vendure):
    cursor = "ORDER@2020-01-01T00:00:00+00:00@"
    seen, more = [], True
    while more:
        page = await vendure.changes.since(SYSTEM, frozenset({ChangeKind.ORDER}), cursor, limit=30)
        assert len(page.changes) <= 30
        seen += page.changes
        cursor, more = page.cursor, page.more
    assert [change.key for change in seen] == [
        change.key for change in sorted(seen, key=lambda change: (change.at, int(change.key[3:])))
    ]
    assert len({change.key for change in seen}) == len(seen) == 100


async def test_changes_start_now_without_a_call():
    source = connect("commerce", _settings("http://127.0.0.1:9"), clock=lambda: datetime(2026, 11, 1, tzinfo=UTC))
    page = await source.changes.since(SYSTEM, frozenset({ChangeKind.ORDER, ChangeKind.STOCK}), None)
    assert (page.changes, page.more) == ((), False)
    assert page.cursor == "ORDER@2026-11-01T00:00:00+00:00@"
    await source.aclose()


@pytest.mark.parametrize("cursor", ["x", "ORDER@yesterday@1", "ORDER@2026-01-01T00:00:00@1", "STOCK@2026-01-01@1"])
async def test_garbage_change_cursor_is_refused(vendure, cursor):
    with pytest.raises(InvalidCursor):
        await vendure.changes.since(SYSTEM, frozenset({ChangeKind.ORDER}), cursor)


def _settings(url: str, **options: object) -> SourceSettings:
    credentials = {"username": "connector@example.com", "password": "connector-demo"}
    raw = {"vendor": "vendure", "base_url": url, "credentials": credentials, "options": options}
    return SourceSettings.model_validate(raw)


# Configuration


@pytest.mark.parametrize(
    ("credentials", "options", "key"),
    [
        ({"username": "x"}, {}, "sources.shop.credentials.password"),
        ({"username": "x", "password": "y"}, {"chanel": "x"}, "sources.shop.options"),
        ({"username": "x", "password": "y"}, {"po_number_field": "po}{evil"}, "sources.shop.options"),
        ({"username": "x", "password": "y"}, {"money_digits": -1}, "sources.shop.options"),
    ],
)
def test_wrong_configuration_names_the_key(credentials, options, key):
    raw = {"vendor": "vendure", "base_url": "http://shop.example.com", "credentials": credentials, "options": options}
    with pytest.raises(ConfigurationError) as caught:
        connect("shop", SourceSettings.model_validate(raw))
    assert caught.value.key == key
