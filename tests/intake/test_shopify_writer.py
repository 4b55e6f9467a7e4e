"""Orders in for Shopify: a draft for a location of the company, found by its tag, completed once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import HTMLResponse, Response

from app.auth.principal import SYSTEM
from app.errors import (
    ConfigurationError,
    SourceError,
    SourceMalformed,
    SourceRejected,
    SourceThrottled,
    SourceUnavailable,
)
from app.intake.records import IntakeState
from app.intake.stores import connect_intakes
from app.settings import Settings
from app.sources.order_writer import NewOrder, NewOrderLine, OrderNotAccepted, OrderWriter, WrittenOrder
from app.sources.shopify.order_writer import tag_of
from app.sources.source import Source
from app.sources.values import Money
from tests.contract.shopify_case import connect_to
from tests.support.intakes import content, intake
from tests.support.posting import run
from tests.upstreams.shopify import Shop, serve_shop
from tests.upstreams.shopify_rows import gid, location

SECRET = "shpat_debug_0123456789"


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    async with serve_shop() as running:
        yield running


@pytest.fixture
async def source(shop: Shop) -> AsyncIterator[Source]:
    opened = connect_to(shop.url, limits={"retries": 0})
    yield opened
    await opened.aclose()


@pytest.fixture
def writer(source: Source) -> OrderWriter:
    assert source.order_writer is not None
    return source.order_writer


def usd(amount: str) -> Money:
    return Money(amount=Decimal(amount), currency="USD")


def order(**given: Any) -> NewOrder:
    lines = (
        NewOrderLine(number=10, sku="SKU-0001", quantity=Decimal(12), uom="EA", unit_price=usd("9.00")),
        NewOrderLine(number=20, sku="SKU-0002", quantity=Decimal(2), requested_date=date(2026, 12, 24)),
    )
    return NewOrder(**{
        "key": "k", "customer": "CUST-0001", "customer_po": "PO 77", "channel": "API", "lines": lines, **given,
    })  # fmt: skip


def one_line(**given: Any) -> NewOrder:
    return order(lines=(NewOrderLine(**{"number": 7, "sku": "SKU-0001", "quantity": Decimal(1), **given}),))


async def test_an_order_is_drafted_for_its_location_and_completed(writer: OrderWriter, shop: Shop):
    written = await writer.post(SYSTEM, order(requested_date=date(2026, 12, 20), note="gate 4"))
    assert written == WrittenOrder(key="k", id="1008", number="#1008", step="completed")
    (draft,) = shop.drafts
    assert draft["input"] == {
        "purchasingEntity": {
            "purchasingCompany": {
                "companyId": gid("Company", 1),
                "companyContactId": gid("CompanyContact", 901),
                "companyLocationId": gid("CompanyLocation", 11),
            }
        },
        "poNumber": "PO 77",
        "note": "gate 4",
        "tags": [tag_of("k")],
        "customAttributes": [
            {"key": "tradegraph_key", "value": "k"},
            {"key": "requested_date", "value": "2026-12-20"},
        ],
        "billingAddress": {
            "company": "Company 0001", "lastName": "Receiving", "address1": "1 Main St", "city": "Seattle",
            "provinceCode": "WA", "zip": "98101", "countryCode": "US",
        },
        "shippingAddress": {
            "company": "Company 0011", "lastName": "Receiving", "address1": "11 Dock Rd", "city": "Seattle",
            "provinceCode": "WA", "zip": "98101", "countryCode": "US",
        },
        "lineItems": [
            {
                "variantId": gid("ProductVariant", 1),
                "quantity": 12,
                "priceOverride": {"amount": "9.00", "currencyCode": "USD"},
            },
            {
                "variantId": gid("ProductVariant", 2),
                "quantity": 2,
                "customAttributes": [{"key": "requested_date", "value": "2026-12-24"}],
            },
        ],
    }  # fmt: skip
    assert [name for name, _ in shop.asked] == ["Buyers", "VariantsToOrder", "CreateDraft", "CompleteDraft"]


async def test_a_posted_order_is_read_by_its_id_and_number(writer: OrderWriter, source: Source):
    written = await writer.post(SYSTEM, order())
    found = (await source.orders.by_id(SYSTEM, [written.id]))[written.id]
    assert (found.number, found.customer, found.customer_po) == (written.number, "CUST-0001", "PO 77")
    assert [(row.sku, row.quantity, row.unit_price) for row in found.lines] == [
        ("SKU-0001", Decimal(12), usd("9.00")),
        ("SKU-0002", Decimal(2), usd("11.00")),
    ]


async def test_orders_are_found_by_their_keys_in_one_call(writer: OrderWriter, shop: Shop):
    keys = [f"key-{number}" for number in range(3)]
    written = [await writer.post(SYSTEM, order(key=key)) for key in keys]
    found = await writer.find(SYSTEM, [*keys, "of nobody", keys[0]])
    assert found == {key: (one,) for key, one in zip(keys, written, strict=True)}
    assert shop.count("Drafts") == 1
    assert await writer.find(SYSTEM, []) == {}


async def test_a_tag_of_another_key_is_not_taken_for_it(writer: OrderWriter, shop: Shop):
    await writer.post(SYSTEM, order())
    shop.drafts[0]["customAttributes"] = [{"key": "tradegraph_key", "value": "other"}]
    assert await writer.find(SYSTEM, ["k"]) == {}


async def test_a_doubled_order_is_found_twice_and_a_cancelled_one_not(writer: OrderWriter):
    first, second = [await writer.post(SYSTEM, order()) for _ in range(2)]
    assert (await writer.find(SYSTEM, ["k"]))["k"] == (first, second)
    await writer.cancel(SYSTEM, first, "entered twice")
    assert (await writer.find(SYSTEM, ["k"]))["k"] == (second,)


async def test_a_found_draft_is_completed_without_another(writer: OrderWriter, shop: Shop):
    shop.fault("CompleteDraft", shop.throttled(), runs=False)
    with pytest.raises(SourceUnavailable) as caught:
        await writer.post(SYSTEM, order())
    assert caught.value.sent is True
    (found,) = (await writer.find(SYSTEM, ["k"]))["k"]
    assert found == WrittenOrder(key="k", id="1", number="#D1", step="drafted")
    written = await writer.post(SYSTEM, order(), found)
    assert (written.number, len(shop.drafts), shop.count("CreateDraft")) == ("#1008", 1, 1)
    assert await writer.post(SYSTEM, order(), written) == written


async def test_a_draft_that_a_person_completes_stays_one(shop: Shop):
    source = connect_to(shop.url, options={"complete_orders": False})
    assert source.order_writer is not None
    written = await source.order_writer.post(SYSTEM, order())
    assert (written.step, written.number, source.order_writer.steps) == ("drafted", "#D1", ("drafted",))
    await source.order_writer.cancel(SYSTEM, written, "")
    assert (shop.drafts, shop.count("CompleteDraft")) == ([], 0)
    await source.aclose()


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        (order(customer="CUST-9999"), ()),
        (order(customer="*"), ()),
        (order(customer="CUST-0004"), ()),
        (order(ship_to="21"), ()),
        (order(ship_to="../11"), ()),
        (one_line(sku="SKU-9999"), (7,)),
        (one_line(sku=""), (7,)),
        (one_line(uom="BX"), (7,)),
        (one_line(quantity=Decimal("1.5")), (7,)),
        (one_line(quantity=Decimal(-1)), (7,)),
        (one_line(quantity=Decimal(0)), (7,)),
        (one_line(unit_price=usd("1"), price_unit=Decimal(100)), (7,)),
    ],
)
async def test_an_order_that_shopify_cannot_hold_is_refused_before_it_is_sent(
    writer: OrderWriter, shop: Shop, given: NewOrder, lines: tuple[int, ...]
):
    with pytest.raises(OrderNotAccepted) as refused:
        await writer.post(SYSTEM, given)
    assert (refused.value.lines, shop.drafts) == (lines, [])


async def test_a_company_without_a_contact_cannot_order(writer: OrderWriter, shop: Shop):
    shop.companies[0]["mainContact"] = None
    with pytest.raises(OrderNotAccepted):
        await writer.post(SYSTEM, order())
    assert shop.drafts == []


async def test_the_location_is_the_named_one(writer: OrderWriter, shop: Shop):
    shop.companies[0]["locations"] = [location(11, 1, None), location(12, 1, None)]
    with pytest.raises(OrderNotAccepted):
        await writer.post(SYSTEM, order())
    await writer.post(SYSTEM, order(ship_to="12"))
    company = shop.drafts[0]["input"]["purchasingEntity"]["purchasingCompany"]
    assert company["companyLocationId"] == gid("CompanyLocation", 12)


async def test_what_the_business_refuses_names_the_lines(writer: OrderWriter, shop: Shop):
    lines = (*order().lines, NewOrderLine(number=30, sku="SKU-0003", quantity=Decimal(2_000_000)))
    with pytest.raises(OrderNotAccepted) as refused:
        await writer.post(SYSTEM, order(lines=lines))
    assert (refused.value.lines, refused.value.held) == ((30,), False)
    assert refused.value.detail == "input.lineItems.2.quantity: must be at most 1000000"
    assert shop.drafts == []


async def test_a_throttled_mutation_was_not_run_and_is_not_repeated(writer: OrderWriter, shop: Shop):
    shop.fault("CreateDraft", shop.throttled(), runs=False)
    with pytest.raises(SourceThrottled) as caught:
        await writer.post(SYSTEM, order())
    assert (caught.value.sent, shop.count("CreateDraft"), shop.drafts) == (False, 1, [])


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (HTMLResponse("<form>Log in</form>"), SourceMalformed),
        ({"data": {"payload": {"draftOrder": 7, "userErrors": []}}}, SourceMalformed),
        ({"errors": [{"message": SECRET, "extensions": {"code": "ACCESS_DENIED"}}], "data": None}, SourceRejected),
        (Response("", 503), SourceUnavailable),
    ],
)
async def test_a_wrong_answer_to_a_creation_may_have_created_it(
    writer: OrderWriter, shop: Shop, answer: Any, error: type[SourceError]
):
    shop.fault("CreateDraft", answer)
    with pytest.raises(error) as caught:
        await writer.post(SYSTEM, order())
    assert caught.value.sent is True
    assert SECRET not in caught.value.message
    assert shop.count("CreateDraft") == 1


async def test_a_failed_read_before_the_creation_was_not_sent(writer: OrderWriter, shop: Shop):
    shop.fault("Buyers", Response("", 503))
    with pytest.raises(SourceUnavailable) as caught:
        await writer.post(SYSTEM, order())
    assert caught.value.sent is False


async def test_a_simulation_has_the_catalogs_prices_and_creates_nothing(writer: OrderWriter, shop: Shop):
    lines = await writer.simulate(SYSTEM, order())
    assert lines is not None
    assert [(one.number, one.unit_price, one.available) for one in lines] == [
        (10, usd("10.00"), None),
        (20, usd("11.00"), None),
    ]
    assert (shop.drafts, len(shop.orders)) == ([], 7)


async def test_an_order_with_fulfilments_is_not_cancelled(writer: OrderWriter):
    sent = WrittenOrder(key="k", id="1001", number="#1001", step="completed")
    with pytest.raises(OrderNotAccepted) as refused:
        await writer.cancel(SYSTEM, sent, "x" * 1000)
    assert refused.value.detail == "orderId: Order has fulfillments"


def test_a_time_for_the_look_up_that_is_shorter_than_the_write_is_refused():
    with pytest.raises(ConfigurationError):
        connect_to("https://example.myshopify.com", options={"max_order_seconds": 1})


@pytest.mark.parametrize("broken", ["CreateDraft", "CompleteDraft", "Drafts"])
async def test_the_intake_posts_once_whatever_fails(shop: Shop, broken: str, tmp_path: Path):
    """The draft exists, but its answer is lost: the intake looks it up, and does not send it again."""
    source = connect_to(shop.url, options={"max_order_seconds": 10}, limits={"retries": 0})
    assert source.order_writer is not None
    source.order_writer.max_seconds = 0.05  # pyright: ignore[reportAttributeAccessIssue]
    shop.fault(broken, Response("", 502))
    if broken == "Drafts":
        shop.fault("CreateDraft", Response("", 502))
    store = connect_intakes(Settings(data_dir=tmp_path))
    given = intake("key-1", customer="CUST-0001", content=content())
    shop.variants[0]["sku"] = "SKU-1"
    try:
        done = await run(store, source.order_writer, given)
    finally:
        await store.close()
        await source.aclose()
    assert done.state is IntakeState.POSTED
    assert (len(shop.drafts), len(shop.orders)) == (1, 8)
