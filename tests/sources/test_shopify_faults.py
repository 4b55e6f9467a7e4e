"""Signing in to Shopify, and what it answers wrongly: each fault with its code, against a typed fake of its API."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from starlette.responses import HTMLResponse, Response

from app import telemetry
from app.auth.principal import SYSTEM
from app.errors import (
    ConfigurationError,
    SourceError,
    SourceMalformed,
    SourceRejected,
    SourceThrottled,
)
from app.http.client import HTTPClient
from app.http.graphql import GraphQLClient
from app.http.oauth import ClientSecret
from app.settings import SourceSettings
from app.sources.changes import ChangeKind
from app.sources.freshness_contracts import FreshnessTracker, freshness_tracker
from app.sources.orders import Order, OrderStatus
from app.sources.shipments import ShipmentStatus
from app.sources.shopify.client import PING, TOKEN_PATH, ShopifySignIn
from app.sources.source import Source
from tests.contract.shopify_case import connect_to
from tests.http.resilience.clock import Clock
from tests.upstreams.shopify import Shop, serve_shop
from tests.upstreams.shopify_rows import line, order

SECRET = "shpat_debug_0123456789"
CURSOR = base64.b64encode(b'["2026-03-02T14:00:00Z", 1001]').decode()


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    async with serve_shop() as running:
        yield running


@pytest.fixture
async def source(shop: Shop) -> AsyncIterator[Source]:
    opened = connect_to(shop.url)
    yield opened
    await opened.aclose()


async def read_order(source: Source, number: str = "#1001") -> Order:
    return (await source.orders.by_number(SYSTEM, [number]))[number]


def changed(change: Any) -> Any:
    """A fault that alters a copy of the true answer."""

    def apply(answer: Any) -> Any:
        copy = msgspec.json.decode(msgspec.json.encode(answer))
        change(copy["data"])
        return copy

    return apply


# Signing in


async def test_client_credentials_are_exchanged_once(shop: Shop):
    shop.tokens = set()
    opened = connect_to(shop.url, credentials={"client_id": "id", "client_secret": "secret"})
    await asyncio.gather(*(opened.ping() for _ in range(8)))
    assert (shop.grants, shop.count("Ping")) == (1, 8)
    await opened.aclose()


async def test_an_expired_token_is_renewed_once_in_the_middle_of_many_reads(shop: Shop):
    clock = Clock()
    sign_in = ShopifySignIn("shop", shop.url + TOKEN_PATH, ClientSecret("id", "secret"), clock=clock)
    http = HTTPClient("shop", SourceSettings(vendor="shopify", base_url=shop.url), sign_in=sign_in)
    client = GraphQLClient(http, "/admin/api/2026-10/graphql.json")

    async def ask() -> None:
        assert (await client.execute(PING.text, {}, into=PING.into, call="ping")).whole().shop == {"name": "Example"}

    await ask()
    clock.now += 3600
    shop.tokens = {"shpat_of_nobody"}
    await asyncio.gather(*(ask() for _ in range(8)))
    assert shop.grants == 2
    await http.aclose()


async def test_a_token_that_is_refused_is_an_error_without_the_token(shop: Shop):
    opened = connect_to(shop.url, credentials={"access_token": SECRET})
    with pytest.raises(SourceRejected) as caught:
        await opened.ping()
    assert caught.value.status == 401
    assert SECRET not in f"{caught.value!r}{caught.value.detail}"
    await opened.aclose()


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"credentials": {}}, "credentials"),
        ({"credentials": {"client_id": "a"}}, "credentials"),
        ({"options": {"uom": ""}}, "options"),
        ({"options": {"api_version": "latest"}}, "api_version"),
        ({"options": {"price_location": "cheapest"}}, "options"),
        ({"options": {"magic": 1}}, "options"),
    ],
)
def test_wrong_settings_stop_the_start(settings: dict[str, Any], place: str):
    with pytest.raises(ConfigurationError) as caught:
        connect_to("https://example.myshopify.com", **settings)
    assert place in caught.value.key


# Faults, each with its code


async def test_a_query_throttled_in_a_200_is_repeated_once(shop: Shop, source: Source):
    shop.fault("Orders", shop.throttled())
    assert (await read_order(source)).number == "#1001"
    assert shop.count("Orders") == 2
    shop.fault("Orders", shop.throttled(), times=2)
    with pytest.raises(SourceThrottled):
        await read_order(source)
    assert shop.count("Orders") == 4


@pytest.mark.parametrize(("headers", "after"), [({"retry-after": "7"}, 7.0), ({}, None)])
async def test_429_is_throttled_with_and_without_retry_after(shop: Shop, headers: dict[str, str], after: float | None):
    opened = connect_to(shop.url, limits={"retries": 0})
    shop.fault("Ping", Response("slow down", 429, headers))
    with pytest.raises(SourceThrottled) as caught:
        await opened.ping()
    assert caught.value.retry_after == after
    await opened.aclose()


WRONG: dict[str, tuple[Any, type[SourceError]]] = {
    "login page": (HTMLResponse("<!doctype html><form>Log in</form>"), SourceMalformed),
    "error as text": ({"errors": f"[API] Invalid API key {SECRET}"}, SourceMalformed),
    "debug text": (
        {"errors": [{"message": f"NoMethodError at /app {SECRET}", "extensions": {"code": "INTERNAL_SERVER_ERROR"}}]},
        SourceError,
    ),
    "not allowed": (
        {"data": None, "errors": [{"message": SECRET, "path": ["rows"], "extensions": {"code": "ACCESS_DENIED"}}]},
        SourceRejected,
    ),
    "no data": ({"data": None}, SourceMalformed),
    "name is a number": (changed(lambda data: data["rows"]["nodes"][0].update(name=1001)), SourceMalformed),
    "lines are a list": (changed(lambda data: data["rows"]["nodes"][0].update(lineItems=[])), SourceMalformed),
    "time without a zone": (
        changed(lambda data: data["rows"]["nodes"][0].update(processedAt="2026-03-02T14:00:00")),
        SourceMalformed,
    ),
    "quantity is a fraction": (
        changed(lambda data: data["rows"]["nodes"][0]["lineItems"]["nodes"][0].update(quantity=1.5)),
        SourceMalformed,
    ),
}


@pytest.mark.parametrize("name", WRONG)
async def test_malformed_response_is_an_error_without_its_text(shop: Shop, name: str):
    answer, error = WRONG[name]
    opened = connect_to(shop.url, limits={"retries": 0})
    shop.fault("Orders", answer)
    with pytest.raises(error) as caught:
        await read_order(opened)
    assert SECRET not in caught.value.message
    assert (await read_order(opened)).number == "#1001"
    await opened.aclose()


async def test_decimals_as_floats_are_read_digit_by_digit(shop: Shop, source: Source):
    def as_floats(answer: Any) -> Response:
        text = msgspec.json.encode(answer).decode().replace('"148.50"', "148.500000000000001")
        return Response(text, media_type="application/json")

    shop.fault("Orders", as_floats)
    assert (await read_order(source)).totals.total.amount == Decimal("148.500000000000001")


async def test_empty_texts_are_no_values(shop: Shop, source: Source):
    row = shop.orders[0]
    row |= {"poNumber": "", "sourceName": "", "shippingAddress": dict.fromkeys(row["shippingAddress"], "")}
    row["lineItems"][0]["sku"] = ""
    found = await read_order(source)
    assert (found.customer_po, found.channel, found.ship_to, found.lines[0].sku) == (None, None, None, None)


async def test_unknown_statuses_are_preserved_and_reported(shop: Shop, source: Source):
    def unknown(data: Any) -> None:
        row = data["rows"]["nodes"][0]
        row["displayFulfillmentStatus"] = "TELEPORTED"
        row["fulfillments"][0]["displayStatus"] = "IN_ORBIT"

    shop.fault("Orders", changed(unknown))
    before = unknown_statuses()
    found = await read_order(source)
    assert (found.status, found.raw_status) == (OrderStatus.UNKNOWN, "TELEPORTED")
    assert found.shipments is not None
    assert (found.shipments[0].status, found.shipments[0].raw_status) == (ShipmentStatus.UNKNOWN, "IN_ORBIT")
    assert unknown_statuses() == before + 2


def unknown_statuses() -> float:
    samples = [one for family in telemetry.metrics().unknown_statuses.collect() for one in family.samples]
    return sum(one.value for one in samples if one.name.endswith("_total") and one.labels["source"] == "shop")


async def test_a_page_that_repeats_for_ever_is_refused(shop: Shop, source: Source):
    def endless(data: Any) -> None:
        data["rows"]["pageInfo"] = {"hasNextPage": True, "endCursor": CURSOR}

    shop.fault("Orders", changed(endless), times=10)
    with pytest.raises(SourceMalformed):
        await read_order(source)
    assert shop.count("Orders") == 2


async def test_rows_that_move_between_pages_are_neither_lost_nor_doubled(shop: Shop, source: Source):
    shop.orders += [
        order(number, shop.companies[0], [line(number * 10, "SKU-0001", 1)], 50) for number in range(2000, 2300)
    ]
    moved = shop.orders[3]

    def between(answer: Any) -> Any:
        moved["updatedAt"] = "2026-12-01T00:00:00Z"  # Of the first page, and now of the last.
        return answer

    shop.fault("ChangedOrders", between)
    start = "ORDER@2020-01-01T00:00:00+00:00@"
    found = await source.changes.since(SYSTEM, frozenset({ChangeKind.ORDER}), start, limit=1000)
    keys = [change.key for change in found.changes]
    assert set(keys) == {row["name"] for row in shop.orders}
    assert len(keys) == len(shop.orders) + 1  # It changed again, and is told of again.
    assert shop.count("ChangedOrders") == 2


async def test_partial_data_is_cached_and_marked_incomplete(shop: Shop, source: Source):
    def without_terms(answer: Any) -> Any:
        path = ["rows", "nodes", 0, "paymentTerms"]
        answer["data"]["rows"]["nodes"][0]["paymentTerms"] = None
        denied = {"message": f"no scope {SECRET}", "path": path, "extensions": {"code": "ACCESS_DENIED"}}
        return {**answer, "errors": [denied]}

    shop.fault("Orders", without_terms)
    tracker = FreshnessTracker()
    token = freshness_tracker.set(tracker)
    try:
        found = await read_order(source)
    finally:
        freshness_tracker.reset(token)
    assert (found.terms, found.totals.total.amount) == (None, Decimal("148.50"))
    assert tracker.seen["shop"].degraded is True
    assert tracker.seen["shop"].reason == "The source did not return all fields."


async def test_a_read_that_costs_too_much_is_halved(shop: Shop, source: Source):
    too_costly = {"errors": [{"message": "Query cost is 1002", "extensions": {"code": "MAX_COST_EXCEEDED"}}]}
    shop.fault("Variants", too_costly, times=2)
    skus = [f"SKU-{number:04}" for number in range(1, 13)]
    assert list(await source.items.by_sku(SYSTEM, skus)) == skus
    sizes = [variables["query"].count("sku:") for name, variables in shop.asked if name == "Variants"]
    assert sizes == [12, 6, 3, 3, 6]


async def test_a_search_term_that_shopify_ignored_is_an_error(shop: Shop, source: Source):
    def ignored(answer: Any) -> Any:
        warning = {"field": "external_id", "message": "Invalid search field for this query.", "code": "invalid_field"}
        answer["extensions"]["search"] = [{"path": ["rows"], "query": "", "parsed": {}, "warnings": [warning]}]
        return answer

    shop.fault("Companies", ignored)
    with pytest.raises(SourceRejected) as caught:
        await source.customers.by_number(SYSTEM, ["CUST-0001"])
    assert caught.value.detail == "customers.by_number: search terms were ignored: ['external_id']"
    assert list(await source.customers.by_number(SYSTEM, ["CUST-0001"])) == ["CUST-0001"]


async def test_one_row_that_costs_too_much_is_refused(shop: Shop, source: Source):
    too_costly = {"errors": [{"message": "Query cost is 1002", "extensions": {"code": "MAX_COST_EXCEEDED"}}]}
    shop.fault("Variants", too_costly)
    with pytest.raises(SourceRejected):
        await source.items.by_sku(SYSTEM, ["SKU-0001"])


async def test_an_exhausted_budget_is_refused_before_it_is_overdrawn(shop: Shop):
    opened = connect_to(shop.url, timeout=0.5)
    await opened.ping()
    shop.available = 0.0

    def spent(answer: Any) -> Any:
        answer["extensions"]["cost"]["requestedQueryCost"] = 10_000
        return answer

    shop.fault("Ping", spent)
    await opened.ping()
    with pytest.raises(SourceThrottled) as caught:
        await opened.ping()  # Ten seconds of points are missing.
    assert (shop.count("Ping"), caught.value.sent) == (2, False)
    await opened.aclose()
