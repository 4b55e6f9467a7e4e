"""Medusa's peculiarities and faults, each with its code, against a small server of the same shape."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.requests import Request
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
from app.sources.capabilities import CapabilityStatus
from app.sources.changes import ChangeKind
from app.sources.items import ItemQuery
from app.sources.medusa.client import fields_of
from app.sources.medusa.order_records import MedusaOrder
from app.sources.pipeline.derived_capabilities import capabilities_of
from app.sources.source import Source
from app.sources.values import PageRequest
from tests.contract.medusa_case import connect_to
from tests.upstreams.medusa import Medusa, serve_medusa, variant

SECRET = "sk_debug_0123456789"
ITEMS = frozenset({ChangeKind.ITEM})
EARLIEST = "ITEM@2020-01-01T00:00:00+00:00@"


@pytest.fixture
async def medusa() -> AsyncIterator[Medusa]:
    async with serve_medusa() as running:
        yield running


@pytest.fixture
async def source(medusa: Medusa) -> AsyncIterator[Source]:
    opened = connect_to(medusa.url, limits={"retries": 0})
    yield opened
    await opened.aclose()


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"credentials": {}}, "credentials.secret_key"),
        ({"options": {"currency": "dollars"}}, "options"),
        ({"options": {"lookup_path": "/store/lookup"}}, "options"),
        ({"options": {"magic": 1}}, "options"),
        ({"options": {"max_order_seconds": 1}}, "max_order_seconds"),
    ],
)
def test_wrong_settings_stop_the_start(settings: dict[str, Any], place: str):
    with pytest.raises(ConfigurationError) as caught:
        connect_to("https://medusa.example.com", **settings)
    assert place in caught.value.key


def test_fields_come_from_the_structs_that_decode():
    fields = fields_of(MedusaOrder).split(",")
    assert {"total", "raw_total", "items.raw_unit_price", "items.detail.raw_fulfilled_quantity"} <= set(fields)
    assert "fulfillments.labels.tracking_number" in fields
    assert not [name for name in fields if name.endswith(".value") or "location." in name or "[" in name]


@pytest.mark.parametrize(("headers", "after"), [({"retry-after": "7"}, 7.0), ({}, None)])
async def test_429_is_throttled(medusa: Medusa, source: Source, headers: dict[str, str], after: float | None):
    medusa.fault = lambda _: JSONResponse({}, 429, headers=headers)
    with pytest.raises(SourceThrottled) as caught:
        await source.items.by_sku(SYSTEM, ["SKU-0001"])
    assert caught.value.retry_after == after


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (HTMLResponse("<form action=/login>"), SourceMalformed),
        (JSONResponse({"type": "unauthorized", "message": f"bad {SECRET}"}, 401), SourceRejected),
        (JSONResponse({"variants": [variant(1) | {"sku": 1}], "count": 1}), SourceMalformed),
        (JSONResponse({"variants": [{"id": "variant_1", "sku": "SKU-0001"}], "count": 1}), SourceMalformed),
    ],
    ids=["login page", "key revoked", "wrong type", "field missing"],
)
async def test_wrong_answers_have_their_code(
    medusa: Medusa, source: Source, answer: Response, expected: type[SourceError]
):
    medusa.fault = lambda _: answer
    with pytest.raises(expected) as caught:
        await source.items.by_sku(SYSTEM, ["SKU-0001"])
    assert SECRET not in caught.value.message


@pytest.mark.parametrize("name", ["sku", "id"])
async def test_an_ignored_filter_is_an_error_and_no_answer(medusa: Medusa, source: Source, name: str):
    medusa.ignores = (name,)
    with pytest.raises(SourceMalformed) as caught:
        await (
            source.items.by_sku(SYSTEM, ["SKU-0001"]) if name == "sku" else source.items.by_id(SYSTEM, ["variant_1"])
        )
    assert f"the filter {name} was ignored" in (caught.value.detail or "")


async def test_an_ignored_time_is_an_error_of_the_feed(medusa: Medusa, source: Source):
    medusa.ignores = ("updated_at",)
    with pytest.raises(SourceMalformed):
        await source.changes.since(SYSTEM, ITEMS, "ITEM@2026-12-01T00:00:00+00:00@")


async def test_without_the_routes_of_the_project_their_reads_are_not_supported(medusa: Medusa, source: Source):
    medusa.has_routes = False
    await source.ping()
    with pytest.raises(NotSupported, match="lacks the look-up route"):
        await source.customers.by_number(SYSTEM, ["CUST-0001"])
    missing = {one.name for one in capabilities_of(source) if one.status is CapabilityStatus.MISSING}
    assert {"customers.by_number", "orders.by_number", "orders.by_customer"} <= missing
    assert list(await source.items.by_sku(SYSTEM, ["SKU-0001"])) == ["SKU-0001"]
    assert list(await source.customers.by_id(SYSTEM, ["cus_2"])) == ["cus_2"]


async def test_of_several_people_with_one_number_the_oldest_is_the_customer(medusa: Medusa, source: Source):
    medusa.customers[1]["metadata"] = {"erp_number": "CUST-0001"}
    found = (await source.customers.by_number(SYSTEM, ["CUST-0001"]))["CUST-0001"]
    assert (found.name, found.ship_tos[0].id) == ("Company 0001", "cuaddr_1")


async def test_a_list_by_category_is_not_supported(source: Source):
    with pytest.raises(NotSupported):
        await source.items.search(SYSTEM, ItemQuery(page=PageRequest(first=1), category="Bolts"))


async def keys_since(source: Source, cursor: str = EARLIEST) -> list[str]:
    changes = await source.changes.since(SYSTEM, ITEMS, cursor, limit=1000)
    return [change.key for change in changes.changes]


async def test_rows_that_move_between_pages_are_in_the_feed(medusa: Medusa, source: Source):
    medusa.variants = [variant(n, f"2026-11-30T12:{n // 60:02}:{n % 60:02}.000Z") for n in range(450)]

    def touched(request: Request) -> None:
        # After the first page its first row changes: with an offset, the row behind the page would be missed.
        medusa.after = None
        medusa.variants[0]["updated_at"] = "2026-11-30T13:00:00.000Z"

    medusa.after = touched
    keys = await keys_since(source)
    assert set(keys) == {f"SKU-{n:04}" for n in range(450)}
    assert keys[-1] == "SKU-0000"


async def test_many_rows_of_one_time_are_in_the_feed_once(medusa: Medusa, source: Source):
    medusa.variants = [variant(n) for n in range(450)]
    keys = await keys_since(source)
    assert sorted(keys) == [f"SKU-{n:04}" for n in range(450)]
    assert len(medusa.seen) == 4


async def test_pages_that_repeat_for_ever_are_an_error(medusa: Medusa, source: Source):
    page = JSONResponse({"variants": [variant(n) for n in range(200)], "count": 10**6})
    medusa.fault = lambda _: page
    with pytest.raises(SourceMalformed):
        await keys_since(source)
    assert len(medusa.seen) < 10


async def test_the_feed_goes_on_after_its_last_row(medusa: Medusa, source: Source):
    first = await source.changes.since(SYSTEM, ITEMS, EARLIEST, limit=2)
    rest = await source.changes.since(SYSTEM, ITEMS, first.cursor)
    assert [one.key for one in (*first.changes, *rest.changes)] == ["SKU-0001", "SKU-0002", "SKU-0003"]
    assert (first.more, rest.more) == (True, False)
    assert first.changes[0].at == datetime(2026, 11, 30, 12, tzinfo=UTC)
