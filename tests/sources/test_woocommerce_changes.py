"""WooCommerce's feed of changes: two lists in one, rows that move, pages that repeat, versions that lack a list."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse

from app.auth.principal import SYSTEM
from app.errors import SourceMalformed
from app.sources.changes import ChangeKind
from app.sources.source import Source
from tests.contract.woocommerce_case import connect_to
from tests.upstreams.woocommerce import Shop, product, serve_woocommerce, stamps, variation

ITEMS, ORDERS = frozenset({ChangeKind.ITEM}), frozenset({ChangeKind.ORDER})
EARLIEST = "ITEM@2020-01-01T00:00:00+00:00@"


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    async with serve_woocommerce() as running:
        yield running


@pytest.fixture
async def source(shop: Shop) -> AsyncIterator[Source]:
    opened = connect_to(shop.url, limits={"retries": 0})
    yield opened
    await opened.aclose()


async def keys_since(source: Source, cursor: str = EARLIEST) -> list[str]:
    changes = await source.changes.since(SYSTEM, ITEMS, cursor, limit=1000)
    return [change.key for change in changes.changes]


def many(number: int, at: str | None = None) -> list[dict[str, Any]]:
    """Products that changed a second apart, or all at one time."""
    return [product(one, **(stamps("modified", at) if at else {})) for one in range(1, number + 1)]


async def test_products_and_variations_are_one_feed_in_the_order_of_time(shop: Shop, source: Source):
    shop.products = [product(2), product(4, sku=""), variation(3, 4), variation(5, 4), product(6)]
    assert await keys_since(source) == ["SKU-0002", "SKU-0003", "SKU-0005", "SKU-0006"]
    first = await source.changes.since(SYSTEM, ITEMS, EARLIEST, limit=2)
    rest = await source.changes.since(SYSTEM, ITEMS, first.cursor)
    assert [one.key for one in rest.changes] == ["SKU-0005", "SKU-0006"]
    assert (first.more, rest.more, first.changes[0].at) == (True, False, datetime(2026, 11, 30, 12, 0, 2, tzinfo=UTC))


async def test_an_older_shop_has_a_feed_of_products(shop: Shop, source: Source):
    shop.products, shop.lacks = [product(2), variation(3, 4)], frozenset({"variations"})
    assert await keys_since(source) == ["SKU-0002"]


async def test_rows_that_move_between_pages_are_in_the_feed(shop: Shop, source: Source):
    shop.products = many(250)

    def touched(request: Request) -> None:
        # After the first page its first row changes: with an offset, the row behind the page would be missed.
        shop.after = None
        shop.products[0] |= stamps("modified", "2026-11-30T13:00:00")

    shop.after = touched
    keys = await keys_since(source)
    assert set(keys) == {f"SKU-{n:04}" for n in range(1, 251)}
    assert keys[-1] == "SKU-0001"


async def test_many_rows_of_one_time_are_in_the_feed_once(shop: Shop, source: Source):
    shop.products = many(250, "2026-11-30T12:00:00")
    assert await keys_since(source) == [f"SKU-{n:04}" for n in range(1, 251)]


@pytest.mark.parametrize("number", [1, 100])
async def test_pages_that_repeat_for_ever_are_an_error(shop: Shop, source: Source, number: int):
    page = JSONResponse(many(number, "2026-11-30T12:00:00"), headers={"x-wp-total": "1000000"})
    shop.fault = lambda _: page
    with pytest.raises(SourceMalformed) as caught:
        await keys_since(source)
    assert "repeat" in (caught.value.detail or "")
    assert len(shop.seen) < 6


async def test_changed_orders_are_told_by_number(shop: Shop, source: Source):
    cursor = "ORDER@2026-03-06T00:00:00+00:00@"
    changes = await source.changes.since(SYSTEM, ORDERS, cursor)
    assert [(one.kind, one.key) for one in changes.changes] == [("ORDER", "105"), ("ORDER", "106")]
    assert (shop.queries[-1]["modified_after"], shop.queries[-1]["dates_are_gmt"]) == ("2026-03-05T23:59:59", "true")


@pytest.mark.parametrize("ignored", ["modified_after", "orderby"])
async def test_an_ignored_time_or_sort_is_an_error_of_the_feed(shop: Shop, source: Source, ignored: str):
    shop.ignores = frozenset({ignored})
    shop.products[4] |= stamps("modified", "2026-11-30T13:00:00")
    with pytest.raises(SourceMalformed):
        await source.changes.since(SYSTEM, ITEMS, "ITEM@2026-11-30T12:00:03+00:00@")
