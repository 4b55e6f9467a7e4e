"""Shopify's peculiarities, against a typed fake of its Admin API: how its rows are read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from app.auth.principal import SYSTEM
from app.errors import (
    InvalidCursor,
    NotSupported,
    SourceMalformed,
)
from app.settings import SourceSettings
from app.sources.changes import ChangeKind
from app.sources.custom_fields import SourceField, SourceFields
from app.sources.customers import CustomerQuery, CustomerStatus, PriceAgreement
from app.sources.items import ItemQuery
from app.sources.order_writer import NewOrder, NewOrderLine, WrittenOrder
from app.sources.orders import CustomerPoKey, Order, OrderQuery, OrderSort, OrderStatus
from app.sources.prices import PriceRequest
from app.sources.shopify import connect
from app.sources.source import Source
from app.sources.values import Money, PageRequest
from tests.contract.case import counted_calls
from tests.contract.shopify_case import connect_to, price_of
from tests.upstreams.shopify import TOKEN, Shop, serve_shop
from tests.upstreams.shopify_rows import bag, fulfillment, gid, line, location, order


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    async with serve_shop() as running:
        yield running


@pytest.fixture
async def source(shop: Shop) -> AsyncIterator[Source]:
    opened = connect_to(shop.url)
    yield opened
    await opened.aclose()


async def orders_of(source: Source, *numbers: str, **query: Any) -> dict[str, Any]:
    asked = OrderQuery(page=PageRequest(**{"first": 50, **query}))
    return dict(await source.orders.by_customer(SYSTEM, list(numbers), asked))


async def read_order(source: Source, number: str = "#1001") -> Order:
    return (await source.orders.by_number(SYSTEM, [number]))[number]


# Customers and prices


async def test_a_company_without_locations_or_external_id(shop: Shop, source: Source):
    found = (await source.customers.by_number(SYSTEM, ["CUST-0004"]))["CUST-0004"]
    assert (found.status, found.currency, found.ship_tos, found.agreement) == (CustomerStatus.INACTIVE, "USD", (), None)
    shop.companies[3]["externalId"] = None
    listed = await source.customers.search(SYSTEM, CustomerQuery(page=PageRequest(first=10)))
    assert [row.number for row in listed.rows] == ["CUST-0001", "CUST-0002", "CUST-0003"]
    assert await source.customers.by_id(SYSTEM, ["4", "1 OR 2", "-1"]) == {}


async def test_more_locations_than_a_page_are_read_by_themselves(shop: Shop, source: Source):
    shop.companies[0]["locations"] = [location(number, 1, None) for number in range(100, 140)]
    found = (await source.customers.by_number(SYSTEM, ["CUST-0001"]))["CUST-0001"]
    assert [one.id for one in found.ship_tos] == [str(number) for number in range(100, 140)]
    assert found.agreement is None  # None of them is the company's own.
    assert shop.count("CompanyLocations") == 1


async def test_lists_are_restricted_to_a_hundred_customers(source: Source):
    numbers = tuple(f"CUST-{number:04}" for number in range(101))
    with pytest.raises(NotSupported):
        await source.customers.search(SYSTEM, CustomerQuery(page=PageRequest(first=5), numbers=numbers))


@pytest.mark.parametrize(
    ("rule", "ids", "expected"),
    [
        ("main", ("CUST-0001-A", "CUST-0001"), "12.00"),
        ("main", ("CUST-0001-A", None), None),
        ("first", ("CUST-0001-A", None), "9.00"),
        ("first", ("CUST-0001-A", "CUST-0001"), "12.00"),
    ],
)
async def test_the_price_of_several_locations_is_that_of_the_main_one(
    shop: Shop, rule: str, ids: tuple[str | None, str | None], expected: str | None
):
    shop.companies[0]["locations"] = [location(11, 1, ids[0]), location(12, 1, ids[1])]
    shop.breaks[gid("CompanyLocation", 12), "SKU-0001"] = [(1, "12.00")]
    opened = connect_to(shop.url, options={"price_location": rule})
    request = price_of("SKU-0001", 10, agreement=None)
    found = await opened.prices.quote(SYSTEM, [request])
    assert {one.unit_price.amount for one in found.values()} == ({Decimal(expected)} if expected else set())
    customer = (await opened.customers.by_number(SYSTEM, ["CUST-0001"]))["CUST-0001"]
    by_agreement = price_of("SKU-0001", 10, agreement=customer.agreement)
    assert [one.unit_price for one in (await opened.prices.quote(SYSTEM, [by_agreement])).values()] == [
        one.unit_price for one in found.values()
    ]
    await opened.aclose()


async def test_prices_of_an_agreement_need_one_call_and_of_a_customer_two(source: Source):
    skus = [f"SKU-{number:04}" for number in range(1, 13)]
    foreign = PriceAgreement(id="42", name="a price list of the ERP")
    for agreement, calls in ((price_of("SKU-0001", 1).agreement, 1), (None, 2), (foreign, 2)):
        with counted_calls() as made:
            found = await source.prices.quote(SYSTEM, [price_of(sku, 10, agreement=agreement) for sku in skus])
        assert (len(found), len(made)) == (12, calls)


async def test_prices_of_two_customers_are_each_their_own(source: Source):
    requests = [PriceRequest(number, "SKU-0001", Decimal(1)) for number in ("CUST-0001", "CUST-0002", "CUST-0003")]
    found = await source.prices.quote(SYSTEM, requests)
    assert [found[one].unit_price.amount for one in requests] == [Decimal("9.50"), Decimal("7.125"), Decimal("10.00")]


async def test_more_breaks_than_a_page_are_refused(shop: Shop, source: Source):
    steps = [(quantity, f"{100 - quantity}.00") for quantity in range(1, 30)]
    shop.breaks[gid("CompanyLocation", 11), "SKU-0001"] = steps
    with pytest.raises(SourceMalformed):
        await source.prices.quote(SYSTEM, [price_of("SKU-0001", 5)])


# Items and stock


async def test_the_oldest_active_variant_has_the_sku_of_several(shop: Shop, source: Source):
    archived = shop.variants[12]["product"]
    shop.variants[2]["product"] = archived
    shop.variants += [{**shop.variants[3], "id": gid("ProductVariant", n), "sku": "SKU-0003"} for n in (31, 30)]
    found = await source.items.by_sku(SYSTEM, ["SKU-0001", "SKU-0003"])
    assert {sku: row.refs[0].id for sku, row in found.items()} == {"SKU-0001": "1", "SKU-0003": "30"}


async def test_an_sku_that_only_resembles_is_not_found(shop: Shop, source: Source):
    assert await source.items.by_sku(SYSTEM, ["sku-0001", "SKU-000*"]) == {}
    quoted = 'A "B" \\ (C) OR sku:X'
    shop.variants[4]["sku"] = quoted
    assert list(await source.items.by_sku(SYSTEM, [quoted])) == [quoted]


async def test_an_item_that_is_not_tracked_has_no_level(shop: Shop, source: Source):
    shop.variants[1]["inventoryItem"]["tracked"] = False
    assert list(await source.stock.levels(SYSTEM, ["SKU-0001", "SKU-0002"])) == ["SKU-0001"]


async def test_levels_at_more_locations_than_a_page_are_read_by_themselves(shop: Shop, source: Source):
    levels = shop.variants[0]["inventoryItem"]["inventoryLevels"]
    for number in range(3, 26):
        place = {**levels[0]["location"], "id": gid("Location", number), "name": f"Shop {number:02}"}
        levels.append({**levels[0], "id": gid("InventoryLevel", 1000 + number), "location": place})
    level = (await source.stock.levels(SYSTEM, ["SKU-0001"]))["SKU-0001"]
    assert len(level.positions) == 25
    assert shop.count("Levels") == 1


async def test_warehouses_have_the_configured_codes(shop: Shop):
    opened = connect_to(shop.url, options={"warehouses": {"2": "WH-WEST"}})
    assert [row.code for row in await opened.warehouses.all(SYSTEM)] == ["East", "WH-WEST"]
    level = (await opened.stock.levels(SYSTEM, ["SKU-0001"]))["SKU-0001"]
    assert [row.warehouse for row in level.positions] == ["East", "WH-WEST"]
    await opened.aclose()


# Orders


async def test_orders_of_customers_cost_the_same_calls_for_one_and_for_fifty(shop: Shop, source: Source):
    shop.orders += [
        order(number, shop.companies[0], [line(number * 10, "SKU-0001", 1)], 50) for number in range(2000, 2060)
    ]
    for first in (1, 50):
        with counted_calls() as calls:
            page = (await orders_of(source, "CUST-0001", first=first))["CUST-0001"]
        assert (len(page.rows), page.has_next, len(calls)) == (first, True, 1)
    assert shop.costs["CompanyOrders"] <= 1000
    page = (await orders_of(source, "CUST-0001", first=65, count=True))["CUST-0001"]
    assert (len(page.rows), page.total, page.has_next) == (65, 65, False)


async def test_filters_and_other_sorts_of_a_customers_orders_are_refused(source: Source):
    page = PageRequest(first=1)
    for query in (OrderQuery(page=page, text="1001"), OrderQuery(page=page, sort=OrderSort.PROMISED_ON_ASC)):
        with pytest.raises(NotSupported):
            await source.orders.by_customer(SYSTEM, ["CUST-0001"], query)


async def test_a_cursor_of_another_system_is_refused_before_it_is_sent(shop: Shop, source: Source):
    with pytest.raises(InvalidCursor):
        await orders_of(source, "CUST-0001", after="eyJsYXN0X2lkIjo0fQ==")
    assert shop.asked == []


async def test_an_order_larger_than_a_list_reads_is_completed(shop: Shop, source: Source):
    lines = [line(number, "SKU-0001", 2) for number in range(50_000, 50_600)]
    large = order(3000, shop.companies[1], lines, 60)
    parts = [fulfillment(number, [(one, 1) for one in lines[:30]], 61) for number in range(700, 705)]
    large["fulfillments"] = parts
    shop.orders.append(large)
    found = await read_order(source, "#3000")
    assert (len(found.lines), len({one.id for one in found.lines})) == (600, 600)
    assert found.shipments is not None
    assert [(one.id, len(one.lines)) for one in found.shipments] == [(str(number), 30) for number in range(700, 705)]
    assert (found.lines[0].shipped_quantity, found.lines[40].shipped_quantity) == (Decimal(5), Decimal(0))
    assert {name: shop.count(name) for name in ("Orders", "OrdersById", "OrderLines")} == {
        "Orders": 1, "OrdersById": 1, "OrderLines": 2,
    }  # fmt: skip


async def test_a_purchase_order_number_of_two_orders_is_the_newest_ones(shop: Shop, source: Source):
    shop.orders[0]["poNumber"] = shop.orders[4]["poNumber"] = "PO-X"
    keys = [CustomerPoKey(customer="CUST-0001", number="PO-X"), CustomerPoKey(customer="CUST-0002", number="PO-X")]
    found = await source.orders.by_customer_po(SYSTEM, keys)
    assert {key.customer: row.number for key, row in found.items()} == {"CUST-0001": "#1005"}


async def test_an_order_of_a_person_has_no_customer(shop: Shop, source: Source):
    shop.orders[0]["purchasingEntity"] = {"__typename": "Customer", "id": gid("Customer", 5)}
    found = await read_order(source)
    assert (found.customer, found.lines[0].customer) == (None, None)


async def test_an_order_on_hold_says_so(shop: Shop, source: Source):
    shop.orders[2]["displayFulfillmentStatus"] = "ON_HOLD"
    found = await read_order(source, "#1003")
    assert (found.status, [hold.kind.value for hold in found.holds]) == (OrderStatus.CONFIRMED, ["OTHER"])


async def test_prices_with_tax_leave_no_net_amount(shop: Shop, source: Source):
    shop.orders[0] |= {"taxesIncluded": True, "currentTotalPriceSet": bag("200.00")}
    found = await read_order(source)
    assert (found.totals.net, found.totals.total) == (None, Money(amount=Decimal("200.00"), currency="USD"))


async def test_metafields_are_custom_fields_and_are_read_only_if_there_are_some(shop: Shop, source: Source):
    await read_order(source)
    assert {variables["own"] for name, variables in shop.asked if name == "Orders"} == {False}
    fields = SourceFields(
        "shop",
        {
            "Order": (SourceField("dock", "custom.dock", str), SourceField("gate", "custom.gate", str)),
            "Item": (SourceField("threads", "specs.threads", int), SourceField("wrong", "specs.threads", str)),
            "Customer": (SourceField("route", "custom.route", str),),
        },
    )
    settings = {"vendor": "shopify", "base_url": shop.url, "credentials": {"access_token": TOKEN}, "timeout": 10}
    opened = connect("shop", SourceSettings.model_validate(settings), fields=fields)
    item = (await opened.items.by_sku(SYSTEM, ["SKU-0003"]))["SKU-0003"]
    customer = (await opened.customers.by_number(SYSTEM, ["CUST-0002"]))["CUST-0002"]
    with counted_calls() as calls:
        found = await read_order(opened)
    assert len(calls) == 1
    assert found.custom is not None
    assert found.custom.values == {"dock": "7"}
    assert item.custom is not None
    assert (item.custom.values, item.custom.malformed) == ({"threads": 23}, ("wrong",))
    assert customer.custom is not None
    assert customer.custom.values == {"route": "R2"}
    await opened.aclose()


# Changes


async def test_changes_of_one_second_are_all_returned_in_pages(shop: Shop, source: Source):
    for row in shop.products:
        row["updatedAt"] = "2026-04-01T10:00:00Z"
    cursor: str | None = "ITEM@2026-04-01T10:00:00+00:00@"
    keys: list[str] = []
    for _ in range(6):
        part = await source.changes.since(SYSTEM, frozenset({ChangeKind.ITEM}), cursor, limit=3)
        keys += [change.key for change in part.changes]
        cursor = part.cursor
    assert part.more is False
    assert sorted(keys) == sorted(row["sku"] for row in shop.variants if row["sku"])


async def test_a_product_of_more_variants_than_a_page_is_read_whole(shop: Shop, source: Source):
    first = shop.variants[0]
    shop.variants += [{**first, "id": gid("ProductVariant", 9000 + n), "sku": f"V-{n:04}"} for n in range(150)]
    start = "ITEM@2020-01-01T00:00:00+00:00@"
    found = await source.changes.since(SYSTEM, frozenset({ChangeKind.ITEM}), start, limit=1000)
    assert {f"V-{n:04}" for n in range(150)} <= {change.key for change in found.changes}
    assert shop.count("ProductVariants") == 1


async def test_the_feed_starts_at_the_clock(shop: Shop):
    opened = connect_to(shop.url, lambda: datetime(2026, 11, 30, tzinfo=UTC))
    start = await opened.changes.since(SYSTEM, frozenset({ChangeKind.ORDER}), None)
    assert start.cursor == "ORDER@2026-11-30T00:00:00+00:00@"
    await opened.aclose()


# The declaration


async def test_every_declared_call_is_made(shop: Shop):
    """The other half of what the fake checks at every request: that it is declared."""
    shop.tokens = set()
    shop.companies[1]["locations"] += [location(number, 2, None) for number in range(200, 230)]
    shop.variants += [
        {**shop.variants[0], "id": gid("ProductVariant", 9000 + n), "sku": f"V-{n:04}"} for n in range(150)
    ]
    levels = shop.variants[0]["inventoryItem"]["inventoryLevels"]
    levels += [{**levels[0], "id": gid("InventoryLevel", 9000 + n)} for n in range(20)]
    lines = [line(number, "SKU-0001", 2) for number in range(50_000, 50_300)]
    shop.orders.append(order(3000, shop.companies[1], lines, 60))
    source = connect_to(shop.url, credentials={"client_id": "id", "client_secret": "secret"})
    await source.ping()
    await source.customers.by_number(SYSTEM, ["CUST-0002"])
    await source.customers.by_id(SYSTEM, ["1"])
    await source.customers.search(SYSTEM, CustomerQuery(page=PageRequest(first=1), numbers=("CUST-0001",), search="c"))
    await source.items.by_sku(SYSTEM, ["SKU-0001"])
    await source.items.by_id(SYSTEM, ["1"])
    await source.items.costs(SYSTEM, ["SKU-0001"])
    await source.items.search(SYSTEM, ItemQuery(page=PageRequest(first=1), search="bolt", category="Fasteners"))
    await source.warehouses.all(SYSTEM)
    await source.stock.levels(SYSTEM, ["SKU-0001"])
    await source.prices.quote(SYSTEM, [price_of("SKU-0001", 1, agreement=None)])
    await read_order(source, "#3000")
    await orders_of(source, "CUST-0001")
    start = "|".join(f"{kind}@2020-01-01T00:00:00+00:00@" for kind in ("CUSTOMER", "ITEM", "ORDER"))
    await source.changes.since(SYSTEM, frozenset(ChangeKind), start, limit=1000)
    writer = source.order_writer
    assert writer is not None
    new = NewOrderLine(number=1, sku="SKU-0001", quantity=Decimal(1), requested_date=date(2026, 12, 1))
    given = NewOrder(key="k", customer="CUST-0001", customer_po="1", channel="API", note="n", lines=(new,))
    await writer.simulate(SYSTEM, given)
    written = await writer.post(SYSTEM, given)
    assert await writer.find(SYSTEM, ["k"]) == {"k": (written,)}
    await writer.cancel(SYSTEM, written, "x")
    await writer.cancel(SYSTEM, WrittenOrder(key="k", id="1", number="#D1", step="drafted"), "x")
    assert {name.partition(".")[0] for name in shop.traffic.unused} == {"webhooks"}
    await source.aclose()
