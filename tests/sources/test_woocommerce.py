"""WooCommerce's peculiarities and faults, each with its code, against a typed fake of its REST API."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

import pytest
from starlette.responses import HTMLResponse, JSONResponse, Response

from app.auth.principal import SYSTEM
from app.errors import (
    ConfigurationError,
    NotSupported,
    SourceError,
    SourceMalformed,
    SourceRejected,
    SourceThrottled,
)
from app.sources.billing import ReturnCreditState, ReturnShipmentState
from app.sources.capabilities import CapabilityStatus
from app.sources.customers import CustomerQuery
from app.sources.orders import OrderQuery, OrderSearch, OrderStatus
from app.sources.pipeline.compose import compile_source
from app.sources.pipeline.derived_capabilities import capabilities_of
from app.sources.source import Source
from app.sources.values import PageRequest, utc_now
from app.sources.woocommerce import calls
from app.sources.woocommerce.client import fields_of, portions
from app.sources.woocommerce.order_records import WooOrder
from tests.contract.woocommerce_case import connect_to
from tests.upstreams.woocommerce import KEY, Shop, customer, line, order, product, serve_woocommerce

DEBUG = "cs_debug_0123456789"
BY_META = {"customer_number": "meta:erp_number"}
BY_NAME = {"customer_number": "username"}


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    async with serve_woocommerce() as running:
        yield running


@pytest.fixture
async def source(shop: Shop) -> AsyncIterator[Source]:
    opened = connect_to(shop.url, limits={"retries": 0})
    yield opened
    await opened.aclose()


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"credentials": {"consumer_key": KEY}}, "credentials.consumer_secret"),
        ({"credentials": {}}, "credentials.consumer_key"),
        ({"base_url": "http://shop.example.com"}, "base_url"),
        ({"options": {"currency": "dollars"}}, "options"),
        ({"options": {"customer_number": "email"}}, "options"),
        ({"options": {"statuses": {"picking": "GONE"}}}, "options"),
        ({"options": {"shipped_key": None, "tracking_number_key": "tracking_number"}}, "options.shipped_key"),
        ({"options": {"magic": 1}}, "options"),
        ({"options": {"lookup_days": 1}}, "options"),
        ({"options": {"max_order_seconds": 1}}, "max_order_seconds"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], place: str):
    with pytest.raises(ConfigurationError) as caught:
        connect_to("https://shop.example.com", **settings)
    assert place in caught.value.key


def test_fields_come_from_the_structs_that_decode():
    fields = fields_of(WooOrder).split(",")
    assert {"date_created_gmt", "line_items", "refunds", "customer_id"} <= set(fields)
    assert not {"date_created", "date_modified"} & set(fields)


def test_keys_are_cut_where_a_request_line_would_be_too_long():
    assert [len(one) for one in portions([f"SKU-{number:04}" for number in range(250)])] == [100, 100, 50]
    assert [len(one) for one in portions(["x" * 250] * 50)] == [23, 23, 4]
    assert list(portions([])) == []


@pytest.mark.parametrize(("headers", "after"), [({"retry-after": "7"}, 7.0), ({}, None)])
async def test_429_is_throttled(shop: Shop, source: Source, headers: dict[str, str], after: float | None):
    shop.fault = lambda _: JSONResponse({}, 429, headers=headers)
    with pytest.raises(SourceThrottled) as caught:
        await source.items.by_sku(SYSTEM, ["SKU-0001"])
    assert caught.value.retry_after == after


TOTAL = {"x-wp-total": "1"}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (HTMLResponse("<form action=/wp-login.php>", headers=TOTAL), SourceMalformed),
        (Response(f"<b>Warning</b>: {DEBUG} in /var/www\n[]", headers=TOTAL), SourceMalformed),
        (JSONResponse({"code": "woocommerce_rest_cannot_view", "message": DEBUG}, 401), SourceRejected),
        (JSONResponse([product(1, sku=1)], headers=TOTAL), SourceMalformed),
        (JSONResponse([{"id": 1, "sku": "SKU-0001"}], headers=TOTAL), SourceMalformed),
        (JSONResponse([product(1, weight="heavy")], headers=TOTAL), SourceMalformed),
        (JSONResponse([product(1, weight="Infinity")], headers=TOTAL), SourceMalformed),
        (JSONResponse({"rows": []}, headers=TOTAL), SourceMalformed),
        (JSONResponse([product(1)]), SourceMalformed),
        (JSONResponse([product(1)], headers={"x-wp-total": "many"}), SourceMalformed),
    ],
    ids=[
        "login page",
        "warning of PHP",
        "key revoked",
        "wrong type",
        "field missing",
        "measure no number",
        "measure infinite",
        "no list",
        "no total",
        "wrong total",
    ],
)
async def test_wrong_answers_have_their_code(shop: Shop, source: Source, answer: Response, expected: type[SourceError]):
    shop.fault = lambda _: answer
    with pytest.raises(expected) as caught:
        await source.items.by_sku(SYSTEM, ["SKU-0001"])
    assert type(caught.value) is expected
    assert DEBUG not in caught.value.message


@pytest.mark.parametrize("total", ["", "12,50", "NaN", None, []])
async def test_an_amount_that_is_no_number_is_malformed(shop: Shop, source: Source, total: object):
    shop.orders[0]["total"] = total
    with pytest.raises(SourceMalformed):
        await source.orders.by_number(SYSTEM, ["101"])


async def test_a_wrong_key_is_rejected_and_never_shown(shop: Shop, caplog: pytest.LogCaptureFixture):
    secret = "cs_of_another_shop_000"
    source = connect_to(shop.url, credentials={"consumer_key": KEY, "consumer_secret": secret})
    with caplog.at_level(logging.DEBUG), pytest.raises(SourceRejected) as caught:
        await source.ping()
    await source.aclose()
    shown = f"{caught.value!r} {caught.value.message} {caught.value.detail} {caplog.text}"
    assert caught.value.status == 401
    assert secret not in shown
    assert KEY not in shown


# Filters that were ignored


@pytest.mark.parametrize(
    ("name", "read"),
    [("sku", "by_sku"), ("include", "by_id")],
)
async def test_an_ignored_filter_is_an_error_and_no_answer(shop: Shop, source: Source, name: str, read: str):
    shop.ignores = frozenset({name})
    key = "SKU-0001" if name == "sku" else "1"
    with pytest.raises(SourceMalformed) as caught:
        await getattr(source.items, read)(SYSTEM, [key])
    assert f"the filter {name} was ignored" in (caught.value.detail or "")


async def test_where_a_list_is_no_longer_than_the_keys_an_ignored_filter_returns_no_foreign_row(
    shop: Shop, source: Source
):
    shop.ignores = frozenset({"include"})
    shop.customers, shop.orders = shop.customers[:1], shop.orders[:1]
    assert await source.customers.by_id(SYSTEM, ["2"]) == {}
    assert await source.orders.by_id(SYSTEM, ["102"]) == {}
    assert list(await source.orders.by_id(SYSTEM, ["101", "102"])) == ["101"]


async def test_an_older_shop_without_a_filter_by_gtin_is_not_supported(shop: Shop, source: Source):
    shop.ignores = frozenset({"global_unique_id"})
    with pytest.raises(NotSupported, match="no filter by GTIN"):
        await source.items.by_gtin(SYSTEM, ["4000000000007"])


async def test_an_older_shop_finds_products_but_no_variations_by_id(shop: Shop, source: Source):
    shop.lacks = frozenset({"variations"})
    assert list(await source.items.by_id(SYSTEM, ["1", "2"])) == ["1", "2"]
    assert shop.seen == ["GET /products"]
    with pytest.raises(NotSupported, match=r"since WooCommerce 10\.3"):
        await source.items.by_id(SYSTEM, ["1", "21"])


async def test_keys_are_exact_though_the_database_compares_them_without_case(shop: Shop, source: Source):
    found = await source.items.by_sku(SYSTEM, ["sku-0001", "SKU-0002"])
    assert list(found) == ["SKU-0002"]
    assert (await source.stock.levels(SYSTEM, ["sku-0001"])) == {}


async def test_of_several_translations_with_one_sku_the_oldest_is_the_item(shop: Shop, source: Source):
    shop.products += [product(50 + number, sku="SKU-0001", name=f"Schraube {number}") for number in range(150)]
    found = await source.items.by_sku(SYSTEM, ["SKU-0001"])
    assert (found["SKU-0001"].name, len(shop.seen)) == ("Hex bolt M1", 2)


@pytest.mark.parametrize("key", ["01", "0", "-1", "1.0", "٣", "1,2", "9" * 19])
async def test_what_is_no_id_is_not_asked_for(shop: Shop, source: Source, key: str):
    for read in (source.customers.by_number, source.customers.by_id, source.orders.by_number, source.items.by_id):
        assert await read(SYSTEM, [key]) == {}
    assert shop.seen == []


# Items and stock


async def test_a_product_with_variations_is_no_item(source: Source):
    assert await source.items.by_sku(SYSTEM, ["BOLT"]) == {}
    assert await source.items.by_id(SYSTEM, ["20"]) == {}


async def test_what_is_not_managed_has_no_level_and_not_zero(shop: Shop, source: Source):
    shop.products[2]["stock_quantity"] = 0
    shop.products[3]["stock_quantity"] = -4
    shop.products[-1] |= {"manage_stock": False, "stock_quantity": 5}
    found = await source.stock.levels(SYSTEM, ["SKU-0023", "SKU-0003", "SKU-0004", "BOLT"])
    assert {sku: level.positions[0].on_hand for sku, level in found.items()} == {
        "SKU-0003": Decimal(0),
        "SKU-0004": Decimal(-4),
    }


async def test_the_warehouse_is_the_configured_one(source: Source):
    assert [(one.code, one.name) for one in await source.warehouses.all(SYSTEM)] == [("WH-SHOP", "WH-SHOP")]


async def test_without_a_warehouse_no_stock_is_served(shop: Shop):
    source = connect_to(shop.url, options={"warehouse": None})
    compiled = compile_source(source, utc_now)
    assert (source.stock, source.warehouses, compiled.stock) == (None, None, None)
    missing = {one.name: one.missing_reason for one in capabilities_of(source) if one.port == "stock"}
    assert missing == {"stock.levels": "no warehouse is configured that the shop's stock lies in"}
    await source.aclose()


# Customers


@pytest.mark.parametrize("options", [BY_META, BY_NAME], ids=["meta key", "username"])
async def test_customers_are_found_by_other_numbers_with_the_filter_of_the_shop(shop: Shop, options: dict[str, str]):
    shop.has_filters = True
    source = connect_to(shop.url, options=options)
    await source.ping()
    one, two = ("CUST-0001", "CUST-0002") if options is BY_META else ("company-0001", "company-0002")
    shop.seen.clear()
    found = await source.customers.by_number(SYSTEM, [two, one, "nobody", "a,b"])
    assert {number: row.refs[0].id for number, row in found.items()} == {two: "2", one: "1"}
    assert shop.seen == ["GET /customers"]
    assert {key: row.number for key, row in (await source.customers.by_id(SYSTEM, ["1"])).items()} == {"1": one}
    orders = await source.orders.by_number(SYSTEM, ["101", "104", "106"])
    assert {number: row.customer for number, row in orders.items()} == {"101": one, "104": two, "106": None}
    shop.seen.clear()
    pages = await source.orders.by_customer(SYSTEM, [one, "nobody"], OrderQuery(page=PageRequest(first=2)))
    assert {number: [row.number for row in page.rows] for number, page in pages.items()} == {one: ["105", "103"]}
    assert {row.customer for row in pages[one].rows} == {one}
    assert shop.seen == ["GET /customers", "GET /orders"]
    assert source.requests("orders.by_customer", 2, None) == 3
    assert source.requests("orders.by_number", 150, None) == 4
    await source.aclose()


async def test_without_the_filter_of_the_shop_a_look_up_by_number_is_not_supported(shop: Shop):
    source = connect_to(shop.url, options=BY_META)
    probe = source.limitations["customers.by_number"].probe
    assert (probe and probe.found) is None
    await source.ping()
    assert (probe and probe.found) is False
    with pytest.raises(NotSupported, match="lacks the filter by customer number"):
        await source.customers.by_number(SYSTEM, ["CUST-0001"])
    missing = {one.name for one in capabilities_of(source) if one.status is CapabilityStatus.MISSING}
    assert {"customers.by_number", "customers.search", "orders.by_customer"} <= missing
    assert "orders.by_number" not in missing
    assert (await source.customers.by_id(SYSTEM, ["2"]))["2"].number == "CUST-0002"
    assert (await source.orders.by_number(SYSTEM, ["101"]))["101"].customer == "CUST-0001"
    shop.has_filters = True
    await source.ping()
    assert (probe and probe.found) is True
    assert list(await source.customers.by_number(SYSTEM, ["CUST-0001"])) == ["CUST-0001"]
    await source.aclose()


async def test_of_several_users_with_one_number_the_oldest_is_the_customer(shop: Shop):
    shop.has_filters = True
    shop.customers.append(customer(9, meta_data=[{"id": 1, "key": "erp_number", "value": "CUST-0001"}]))
    source = connect_to(shop.url, options=BY_META)
    assert (await source.customers.by_number(SYSTEM, ["CUST-0001"]))["CUST-0001"].refs[0].id == "1"
    await source.aclose()


@pytest.mark.parametrize(
    ("value", "number"), [(7, "7"), ("0007", "0007"), ("", None), (None, None), (True, None), ({"a": 1}, None)]
)
async def test_a_number_in_a_meta_key_is_text(shop: Shop, value: object, number: str | None):
    shop.customers[0]["meta_data"] = [{"id": 1, "key": "erp_number", "value": value}]
    source = connect_to(shop.url, options=BY_META)
    found = await source.customers.by_id(SYSTEM, ["1"])
    assert [row.number for row in found.values()] == ([number] if number else [])
    await source.aclose()


async def test_users_of_any_role_are_customers(shop: Shop, source: Source):
    shop.customers[0]["role"] = "wholesale_buyer"
    assert list(await source.customers.by_number(SYSTEM, ["1"])) == ["1"]


async def test_a_list_of_too_many_customers_is_not_supported(shop: Shop, source: Source):
    query = CustomerQuery(page=PageRequest(first=5), numbers=tuple(str(number) for number in range(1000, 3000)))
    with pytest.raises(NotSupported):
        await source.customers.search(SYSTEM, query)
    assert shop.seen == []


# Orders


async def test_times_are_those_in_utc(shop: Shop, source: Source):
    found = (await source.orders.by_number(SYSTEM, ["103"]))["103"]
    assert shop.orders[2]["date_created"] == "2026-03-03T22:30:00"
    assert found.ordered_at == datetime(2026, 3, 4, 3, 30, tzinfo=UTC)


async def test_a_time_that_is_no_time_is_malformed_and_none_is_none(shop: Shop, source: Source):
    shop.orders[0]["date_modified_gmt"] = None
    assert (await source.orders.by_number(SYSTEM, ["101"]))["101"].updated_at is None
    shop.orders[0]["date_modified_gmt"] = "0000-00-00T00:00:00"
    with pytest.raises(SourceMalformed):
        await source.orders.by_number(SYSTEM, ["101"])


async def test_statuses_of_plugins_are_mapped_by_configuration_and_else_unknown(shop: Shop, source: Source):
    shop.orders[0]["status"] = "picking"
    found = (await source.orders.by_number(SYSTEM, ["101"]))["101"]
    assert (found.status, found.raw_status) == (OrderStatus.UNKNOWN, "picking")
    told = connect_to(shop.url, options={"statuses": {"picking": "PROCESSING", "completed": "DELIVERED"}})
    orders = await told.orders.by_number(SYSTEM, ["101", "103"])
    assert [one.status for one in orders.values()] == [OrderStatus.PROCESSING, OrderStatus.DELIVERED]
    await told.aclose()


def orders_of(source: Source) -> OrderSearch:
    return cast(OrderSearch, source.orders)


@pytest.mark.parametrize("status", [OrderStatus.UNKNOWN, OrderStatus.PROCESSING])
async def test_a_list_is_filtered_by_the_shops_own_statuses(shop: Shop, source: Source, status: OrderStatus):
    query = OrderQuery(page=PageRequest(first=5), status=(status,))
    if status is OrderStatus.UNKNOWN:
        with pytest.raises(NotSupported):
            await orders_of(source).search(SYSTEM, query)
        return
    assert [row.number for row in (await orders_of(source).search(SYSTEM, query)).rows] == ["105", "101"]
    assert shop.queries[-1]["status"] == "processing"


async def test_a_status_that_the_shop_never_has_finds_nothing_without_a_call(shop: Shop, source: Source):
    query = OrderQuery(page=PageRequest(first=5, count=True), status=(OrderStatus.QUOTED,))
    page = await orders_of(source).search(SYSTEM, query)
    assert (page.rows, page.total, shop.seen) == ((), 0, [])


@pytest.mark.parametrize("filters", [{"late": True}, {"text": "bolt"}, {"customers": ("1",)}, {"item": "SKU-0001"}])
async def test_a_list_with_other_filters_is_not_supported(shop: Shop, source: Source, filters: dict[str, Any]):
    query = OrderQuery(page=PageRequest(first=5), **filters)
    with pytest.raises(NotSupported):
        await orders_of(source).search(SYSTEM, query)
    assert shop.seen == []


async def test_a_page_of_more_than_a_hundred_orders_takes_several_calls(shop: Shop, source: Source):
    lines = [line(1, "SKU-0001", 1, "9.50", 9.5)]
    days = [f"2026-05-{day:02}T{hour:02}:00:00" for day in range(1, 11) for hour in range(12)]
    shop.orders = [order(1000 + at, shop.customers[0], lines, day) for at, day in enumerate(days)]
    query = OrderQuery(page=PageRequest(first=110, count=True))
    page = (await source.orders.by_customer(SYSTEM, ["1"], query))["1"]
    assert [row.number for row in page.rows] == [str(1000 + at) for at in range(119, 9, -1)]
    assert (page.total, page.has_next, page.cursors[-1]) == (120, True, "110")
    assert [query["per_page"] for query in shop.queries] == ["100", "10"]


async def test_pages_of_orders_that_repeat_are_an_error(shop: Shop, source: Source):
    page = JSONResponse([shop.orders[0]], headers={"x-wp-total": "500"})
    shop.fault = lambda _: page
    with pytest.raises(SourceMalformed):
        await orders_of(source).search(SYSTEM, OrderQuery(page=PageRequest(first=5)))
    assert len(shop.seen) == 2


async def test_an_order_that_a_plugin_numbers_is_found_by_id_and_not_by_anothers_number(shop: Shop, source: Source):
    shop.orders[0]["number"] = "SO-7"
    assert (await source.orders.by_id(SYSTEM, ["101"]))["101"].number == "SO-7"
    assert await source.orders.by_number(SYSTEM, ["101", "SO-7"]) == {}


@pytest.mark.parametrize(
    ("value", "shipments"),
    [("1", 1), (True, 1), (1, 1), ("yes", 1), ("", 0), ("0", 0), (False, 0), ("no", 0), (None, 0), ([1], 0)],
)
async def test_the_mark_of_a_shipment_is_whatever_php_writes_for_true(
    shop: Shop, source: Source, value: object, shipments: int
):
    shop.orders[3]["meta_data"] = [{"id": 1, "key": "is_fulfilled", "value": value}]
    found = (await source.orders.by_number(SYSTEM, ["104"]))["104"]
    assert len(found.shipments or ()) == shipments


async def test_without_a_mark_of_shipments_they_are_declared_missing(shop: Shop):
    options = {"shipped_key": None, "tracking_number_key": None, "carrier_key": None}
    source = connect_to(shop.url, options=options)
    found = (await source.orders.by_number(SYSTEM, ["101"]))["101"]
    assert (found.shipments, source.brings_shipments) == (None, False)
    assert source.limitations["shipments"].missing == "no meta key is configured that marks orders as sent"
    await source.aclose()


async def test_refunds_are_returns_that_are_credited(shop: Shop, source: Source):
    assert source.billing is not None
    found = await source.billing.returns(SYSTEM, ["101", "103", "999"])
    assert list(found) == ["103"]
    assert [(one.id, one.reason, one.order, one.customer) for one in found["103"]] == [
        ("201", "damaged", "103", "1"),
        ("202", None, "103", "1"),
    ]
    assert {(one.credit_state, one.shipment_state) for one in found["103"]} == {
        (ReturnCreditState.CREDITED, ReturnShipmentState.UNKNOWN)
    }
    assert shop.seen == ["GET /orders"]
    with pytest.raises(NotSupported, match="WooCommerce has no invoices"):
        await compile_source(source, utc_now).billing.invoices(SYSTEM, ["103"])


# The declaration


def test_only_known_parameters_are_sent():
    """WooCommerce ignores what it does not know: each parameter is in its documentation or in its source."""
    known = {
        *("_fields", "per_page", "offset", "orderby", "order", "include", "sku", "global_unique_id", "role", "search"),
        *("customer", "status", "after", "before", "modified_after", "dates_are_gmt"),
        *("tradegraph_usernames", "tradegraph_numbers"),
    }
    sent = {param for call in calls.DECLARATION.calls for param in call.params}
    assert sent == known
