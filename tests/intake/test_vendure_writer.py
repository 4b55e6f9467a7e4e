"""Orders in for Vendure: a draft is labelled, filled and placed once, whatever fails between the calls."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from app.auth.principal import SYSTEM
from app.errors import ConfigurationError, SourceError, SourceRejected, SourceUnavailable
from app.http.background import background
from app.intake.records import IntakeState
from app.intake.store import IntakeStore
from app.intake.stores import connect_intakes
from app.settings import Settings
from app.settings.resilience import ORDER_SUBMISSIONS
from app.sources.order_writer import NewOrder, NewOrderLine, OrderNotAccepted, OrderWriter, WrittenOrder
from app.sources.values import Money
from tests.contract.vendure_case import connect_to
from tests.support.intakes import content, intake
from tests.support.posting import run
from tests.upstreams.vendure_orders import Shop, shop_upstream

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
OPTIONS: dict[str, Any] = {"quoted_price_field": "quotedUnitPrice", "unique_order_keys": True}
BROKEN = ["reset before", "truncated", "HTML", "malformed", "503", "not HTTP"]
"""What happens to an answer after Vendure has done what it was asked."""
CALLS = ["OrderContent", "CreateOrder", "FillOrder", "CheckOrder", "PlaceOrder"]


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    async with shop_upstream() as upstream:
        yield upstream


@pytest.fixture
async def writer(shop: Shop) -> AsyncIterator[OrderWriter]:
    source = connect_to(shop.proxy.url, lambda: NOW, **OPTIONS)
    assert source.order_writer is not None
    yield source.order_writer
    await source.aclose()


def usd(amount: str) -> Money:
    return Money(amount=Decimal(amount), currency="USD")


def order(**given: Any) -> NewOrder:
    lines = (
        NewOrderLine(
            number=10, sku="SKU-1", quantity=Decimal(12), uom="EA", unit_price=usd("250"), price_unit=Decimal(100)
        ),
        NewOrderLine(number=20, sku="SKU-2", quantity=Decimal(2)),
    )  # fmt: skip
    return NewOrder(**{
        "key": "k", "customer": "CUST-1", "customer_po": "PO 77", "channel": "API", "lines": lines, **given,
    })  # fmt: skip


def line(**given: Any) -> NewOrder:
    """An order of one line."""
    return order(lines=(NewOrderLine(**{"number": 7, "sku": "SKU-1", "quantity": Decimal(1), **given}),))


# The order


async def test_order_has_prices_addresses_and_both_numbers(writer: OrderWriter, shop: Shop):
    given = order(requested_date=date(2026, 12, 20), note="gate 4", allow_partial=False, ship_to="19")
    written = await writer.post(SYSTEM, given)
    assert written == WrittenOrder(key="k", id="101", number="SO-100101", step="placed")
    made = shop.orders["101"]
    assert (made.state, made.key, made.po, made.customer, made.ship_to, made.method) == (
        "PaymentSettled", "k", "PO 77", "12", "12 Depot Rd", "1",
    )  # fmt: skip
    assert made.lines == [("SKU-1", 12, 250), ("SKU-2", 2, 900)]
    assert made.note == "gate 4\nRequested for 2026-12-20.\nShip complete: the customer takes no partial shipments."
    assert shop.called == CALLS
    assert await writer.find(SYSTEM, ["k", "other", ""]) == {"k": (written,)}


async def test_lines_travel_by_twenty(writer: OrderWriter, shop: Shop):
    lines = tuple(NewOrderLine(number=n, sku=f"SKU-{n}", quantity=Decimal(n)) for n in range(1, 51))
    await writer.post(SYSTEM, order(lines=lines))
    assert shop.called == [*CALLS[:2], "FillOrder", "FillOrder", *CALLS[2:]]
    assert shop.orders["101"].lines == [(f"SKU-{n}", n, 900) for n in range(1, 51)]


async def test_default_address_and_the_configured_method_are_used(shop: Shop):
    source = connect_to(shop.proxy.url, lambda: NOW, **OPTIONS, shipping_method="freight")
    assert source.order_writer is not None
    await source.order_writer.post(SYSTEM, order())
    await source.aclose()
    assert (shop.orders["101"].ship_to, shop.orders["101"].method) == ("12 Main St", "2")


@pytest.mark.parametrize(
    ("given", "lines", "held"),
    [
        (order(customer="CUST-9"), (), False),
        (order(customer="CUST-2"), (), True),
        (order(ship_to="44"), (), True),
        (line(sku="SKU-99"), (7,), False),
        (
            order(lines=tuple(NewOrderLine(number=n, sku=f"SKU-{n}", quantity=Decimal(1)) for n in range(1001))),
            (),
            True,
        ),
        (line(uom="KGM"), (7,), False),
        (line(quantity=Decimal("1.5")), (7,), False),
        (line(quantity=Decimal(-1)), (7,), False),
        (line(unit_price=usd("1"), price_unit=Decimal(3)), (7,), True),
        (line(unit_price=Money(amount=Decimal(1), currency="EUR")), (7,), True),
    ],
)
async def test_order_that_vendure_cannot_hold_is_refused_before_it_is_sent(
    writer: OrderWriter, shop: Shop, given: NewOrder, lines: tuple[int, ...], held: bool
):
    with pytest.raises(OrderNotAccepted) as refused:
        await writer.post(SYSTEM, given)
    assert (refused.value.lines, refused.value.held) == (lines, held)
    assert shop.orders == {}


# Refusals


@pytest.mark.parametrize(
    ("alias", "lines"), [("line10", (10,)), ("line20", (20,)), ("customer", ()), ("shipping", ()), ("arranging", ())]
)
async def test_refused_order_is_deleted_and_held(writer: OrderWriter, shop: Shop, alias: str, lines: tuple[int, ...]):
    shop.refusals[alias] = "INSUFFICIENT_STOCK_ERROR"
    with pytest.raises(OrderNotAccepted) as refused:
        await writer.post(SYSTEM, order())
    assert (refused.value.lines, refused.value.held) == (lines, True)
    assert refused.value.detail == f"{alias}: INSUFFICIENT_STOCK_ERROR"
    assert shop.orders == {}
    shop.refusals.clear()
    await writer.post(SYSTEM, order())
    assert shop.states("k") == ["PaymentSettled"]


async def test_order_that_cannot_be_paid_is_cancelled_without_its_key(writer: OrderWriter, shop: Shop):
    """It is past the state in which it could be deleted, and would block the key."""
    shop.refusals["paid"] = "MANUAL_PAYMENT_STATE_ERROR"
    with pytest.raises(OrderNotAccepted) as refused:
        await writer.post(SYSTEM, order())
    assert refused.value.held
    assert [(one.state, one.key) for one in shop.orders.values()] == [("Cancelled", None)]
    shop.refusals.clear()
    await writer.post(SYSTEM, order())
    assert shop.states("k") == ["PaymentSettled"]


async def test_price_of_vendures_own_is_refused(writer: OrderWriter, shop: Shop):
    shop.takes_quoted_prices = False
    with pytest.raises(OrderNotAccepted) as refused:
        await writer.post(SYSTEM, order())
    assert (refused.value.lines, refused.value.held, shop.orders) == ((10,), True, {})


async def test_lines_of_one_variant_at_one_price_may_be_merged(writer: OrderWriter, shop: Shop):
    lines = tuple(
        NewOrderLine(number=n, sku="SKU-1", quantity=Decimal(n), unit_price=usd(price))
        for n, price in ((1, "2.5"), (2, "2.50"), (3, "3"))
    )
    await writer.post(SYSTEM, order(lines=lines))
    assert shop.orders["101"].lines == [("SKU-1", 1, 250), ("SKU-1", 2, 250), ("SKU-1", 3, 300)]


async def test_method_that_does_not_ship_there_is_refused(writer: OrderWriter, shop: Shop):
    shop.methods = []
    with pytest.raises(OrderNotAccepted) as refused:
        await writer.post(SYSTEM, order())
    assert (refused.value.held, shop.orders) == (True, {})


# Faults


@pytest.mark.parametrize("fault", BROKEN)
@pytest.mark.parametrize("step", ["FillOrder", "PlaceOrder"])
async def test_lost_answer_is_resumed_from_what_the_look_up_shows(
    writer: OrderWriter, shop: Shop, step: str, fault: str
):
    shop.spoiled[step] = fault
    with pytest.raises(SourceUnavailable) as failed:
        await writer.post(SYSTEM, order())
    assert failed.value.sent
    shop.proxy.fault = None
    (found,) = (await writer.find(SYSTEM, ["k"]))["k"]
    assert found.step == {"FillOrder": "draft", "PlaceOrder": "placed"}[step]
    if step == "FillOrder":
        assert (await writer.post(SYSTEM, order(), found)).step == "placed"
    assert shop.states("k") == ["PaymentSettled"]
    assert [one.lines for one in shop.orders.values()] == [[("SKU-1", 12, 250), ("SKU-2", 2, 900)]]


@pytest.mark.parametrize("fault", BROKEN)
async def test_lost_answer_to_the_creation_leaves_an_empty_draft(writer: OrderWriter, shop: Shop, fault: str):
    """It cannot be found by a key that it does not have yet: it is deleted with the look-up."""
    shop.spoiled["CreateOrder"] = fault
    with pytest.raises(SourceError) as failed:
        await writer.post(SYSTEM, order())
    assert failed.value.sent
    assert not isinstance(failed.value, SourceRejected)
    shop.proxy.fault = None
    assert list(shop.orders) == ["101"]
    assert await writer.find(SYSTEM, ["k"]) == {}
    assert shop.orders == {}
    await writer.post(SYSTEM, order())
    assert [(one.id, one.state) for one in shop.orders.values()] == [("102", "PaymentSettled")]


async def test_draft_that_lacks_lines_gets_only_those(writer: OrderWriter, shop: Shop):
    shop.spoiled["CheckOrder"] = "malformed"
    with pytest.raises(SourceUnavailable):
        await writer.post(SYSTEM, order())
    shop.proxy.fault = None
    shop.orders["101"].lines.pop()
    (found,) = (await writer.find(SYSTEM, ["k"]))["k"]
    shop.upstream.asked.clear()
    await writer.post(SYSTEM, order(), found)
    assert shop.called == ["OrderContent", "CheckOrder", "FillOrder", "CheckOrder", "PlaceOrder"]
    assert [one.lines for one in shop.orders.values()] == [[("SKU-1", 12, 250), ("SKU-2", 2, 900)]]


@pytest.mark.parametrize("lines", [[("SKU-3", 1, 900)], [("SKU-1", 11, 250)], [("SKU-1", 24, 250), ("SKU-2", 2, 900)]])
async def test_draft_with_other_lines_is_replaced(writer: OrderWriter, shop: Shop, lines: list[tuple[str, int, int]]):
    shop.spoiled["CheckOrder"] = "malformed"
    with pytest.raises(SourceUnavailable):
        await writer.post(SYSTEM, order())
    shop.proxy.fault = None
    shop.orders["101"].lines = lines
    (found,) = (await writer.find(SYSTEM, ["k"]))["k"]
    assert (await writer.post(SYSTEM, order(), found)).id == "102"
    assert [one.lines for one in shop.orders.values()] == [[("SKU-1", 12, 250), ("SKU-2", 2, 900)]]


async def test_draft_with_lines_that_were_added_twice_is_not_placed(writer: OrderWriter, shop: Shop):
    def doubled(variables: dict[str, Any], request: Any) -> Any:
        shop.orders["101"].lines *= 2
        return {"data": shop.check_order(variables)}

    shop.upstream.answers["CheckOrder"] = doubled
    with pytest.raises(SourceUnavailable) as failed:
        await writer.post(SYSTEM, order())
    assert failed.value.sent
    assert shop.states("k") == ["Draft"]


async def test_order_that_waits_for_payment_is_only_paid(writer: OrderWriter, shop: Shop):
    written = await writer.post(SYSTEM, order())
    shop.orders["101"].state = "ArrangingPayment"
    (found,) = (await writer.find(SYSTEM, ["k"]))["k"]
    assert found.step == "arranging_payment"
    shop.upstream.asked.clear()
    assert await writer.post(SYSTEM, order(), found) == written
    assert (shop.called, shop.states("k")) == (["PayOrder"], ["PaymentSettled"])


@pytest.mark.parametrize("step", ["FillOrder", "PlaceOrder"])
@pytest.mark.parametrize("fault", ["429", "redirect"])
async def test_step_that_was_not_taken_leaves_an_order_to_look_up(
    writer: OrderWriter, shop: Shop, step: str, fault: str
):
    """Neither "not sent" nor "refused": after both, the next attempt would make a second order."""
    shop.spoiled[step] = fault
    with pytest.raises(SourceUnavailable) as failed:
        await writer.post(SYSTEM, order())
    assert failed.value.sent


@pytest.mark.parametrize("code", ["FORBIDDEN", "INTERNAL_SERVER_ERROR", "USER_INPUT_ERROR"])
async def test_error_in_a_step_leaves_an_order_to_look_up(writer: OrderWriter, shop: Shop, code: str):
    shop.failures["PlaceOrder"] = code
    if code == "FORBIDDEN":  # Once more after another login: the session may have ended.
        assert (await writer.post(SYSTEM, order())).step == "placed"
        return
    with pytest.raises(SourceUnavailable) as failed:
        await writer.post(SYSTEM, order())
    assert failed.value.sent
    assert "10.0.0.7" not in str(failed.value)
    assert shop.states("k") == ["Draft"]


async def test_failed_read_before_the_creation_was_not_sent(writer: OrderWriter, shop: Shop):
    shop.upstream.answers["OrderContent"] = lambda variables, request: _spoil(shop)
    with pytest.raises(SourceError) as failed:
        await writer.post(SYSTEM, order())
    assert (failed.value.sent, shop.orders) == (False, {})


def _spoil(shop: Shop) -> dict[str, Any]:
    shop.proxy.fault = "503"
    return {}


async def test_time_that_ends_between_two_steps_leaves_an_order_to_look_up(writer: OrderWriter, shop: Shop):
    await writer.post(SYSTEM, order(key="warm"))
    shop.spoiled["FillOrder"] = "hang"
    with background(0.5), pytest.raises(SourceUnavailable) as failed:
        await writer.post(SYSTEM, order())
    assert failed.value.sent
    shop.proxy.fault = None
    assert [one.step for one in (await writer.find(SYSTEM, ["k"]))["k"]] == ["draft"]


async def test_unique_key_stops_the_second_order_before_its_lines(writer: OrderWriter, shop: Shop):
    """As by a worker that was stopped for longer than its lease."""
    written = await writer.post(SYSTEM, order())
    with pytest.raises(SourceUnavailable) as failed:
        await writer.post(SYSTEM, order())
    assert failed.value.sent
    assert await writer.find(SYSTEM, ["k"]) == {"k": (written,)}
    assert shop.states("k") == ["PaymentSettled"]


async def test_key_that_is_not_unique_doubles_and_both_are_found(writer: OrderWriter, shop: Shop):
    shop.unique_keys = False
    written = [await writer.post(SYSTEM, order()) for _ in range(2)]
    assert await writer.find(SYSTEM, ["k"]) == {"k": tuple(written)}


# Empty drafts


async def test_only_drafts_without_key_customer_and_lines_are_deleted(writer: OrderWriter, shop: Shop):
    for _ in range(3):
        shop.create_order({})
    shop.orders["102"].customer = "12"
    shop.orders["103"].lines.append(("SKU-1", 1, 900))
    await writer.find(SYSTEM, ["k"])
    assert list(shop.orders) == ["102", "103"]
    [before] = [variables["before"] for name, variables in shop.upstream.asked if name == "EmptyDrafts"]
    assert before == "2026-11-30T11:00:00+00:00"


async def test_empty_drafts_are_searched_for_once_in_a_while(writer: OrderWriter, shop: Shop):
    for _ in range(3):
        await writer.find(SYSTEM, ["k"])
    assert shop.called.count("EmptyDrafts") == 1


@pytest.mark.parametrize("operation", ["EmptyDrafts", "DeleteOrder"])
async def test_look_up_succeeds_where_empty_drafts_cannot_be_deleted(writer: OrderWriter, shop: Shop, operation: str):
    written = await writer.post(SYSTEM, order())
    shop.create_order({})
    shop.failures[operation] = "USER_INPUT_ERROR"
    assert await writer.find(SYSTEM, ["k"]) == {"k": (written,)}


# Cancellation


async def test_order_is_cancelled_and_not_found_any_more(writer: OrderWriter, shop: Shop):
    written = await writer.post(SYSTEM, order())
    await writer.cancel(SYSTEM, written, "ordered twice")
    assert shop.orders["101"].state == "Cancelled"
    assert await writer.find(SYSTEM, ["k"]) == {}
    await writer.cancel(SYSTEM, written, "again")


@pytest.mark.parametrize("refusal", [True, False])
async def test_order_of_which_goods_were_picked_is_not_cancelled(writer: OrderWriter, shop: Shop, refusal: bool):
    written = await writer.post(SYSTEM, order())
    if refusal:
        shop.refusals["cancelled"] = "QUANTITY_TOO_GREAT_ERROR"
    else:
        shop.orders["101"].fulfillments = [{"state": "Pending"}]
    with pytest.raises(OrderNotAccepted):
        await writer.cancel(SYSTEM, written, "too late")
    with pytest.raises(OrderNotAccepted):
        await writer.cancel(SYSTEM, WrittenOrder(key="k", id="999", number="", step="draft"), "unknown")
    assert shop.states("k") == ["PaymentSettled"]


async def test_draft_is_deleted_to_cancel_it(writer: OrderWriter, shop: Shop):
    written = await writer.post(SYSTEM, order())
    shop.orders["101"].state = "Draft"
    await writer.cancel(SYSTEM, written, "")
    assert shop.orders == {}


# The declaration


async def test_each_declared_call_of_orders_is_made(writer: OrderWriter, shop: Shop):
    shop.create_order({})
    written = await writer.post(SYSTEM, order())
    shop.orders[written.id].state = "ArrangingPayment"
    (found,) = (await writer.find(SYSTEM, ["k"]))["k"]
    await writer.cancel(SYSTEM, await writer.post(SYSTEM, order(), found), "ordered twice")
    shop.refusals["paid"] = "MANUAL_PAYMENT_STATE_ERROR"
    with pytest.raises(OrderNotAccepted):
        await writer.post(SYSTEM, order(key="k2"))
    assert shop.upstream.traffic is not None
    assert [name for name in shop.upstream.traffic.unused if name.startswith(ORDER_SUBMISSIONS)] == []


# The worker


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[IntakeStore]:
    made = connect_intakes(Settings(data_dir=tmp_path))
    yield made
    await made.close()


@pytest.mark.parametrize("step", CALLS)
async def test_worker_posts_one_order_whatever_answer_is_lost(store: IntakeStore, shop: Shop, step: str):
    source = connect_to(shop.proxy.url, lambda: NOW, **OPTIONS)
    writer = source.order_writer
    assert writer is not None
    writer.max_seconds = 0.02  # type: ignore[misc]
    shop.spoiled[step] = "reset before"
    one = intake(customer="CUST-1", content=content())
    done = await run(store, writer, one)
    await source.aclose()
    assert done.state is IntakeState.POSTED
    assert [(each.id, each.key, each.state) for each in shop.orders.values()] == [
        (done.order_id, one.id, "PaymentSettled")
    ]


# Settings


@pytest.mark.parametrize(
    "options",
    [
        {"order_key_field": "a b"},
        {"max_order_seconds": 0.5},
        {"draft_max_age": 1},
        {"quoted_price_field": "1x"},
        {"unique_order_keys": "yes"},
    ],
)
def test_wrong_options_stop_the_start(options: dict[str, Any]):
    with pytest.raises(ConfigurationError):
        connect_to("http://127.0.0.1:1", **options)


async def test_names_of_fields_are_the_deployments(shop: Shop):
    shop.upstream.traffic = None  # The calls are declared with the names of the seed.
    source = connect_to(shop.proxy.url, lambda: NOW, order_key_field="portalKey", po_number_field="theirs")
    assert source.order_writer is not None
    assert (source.order_writer.unique_key, source.order_writer.max_seconds) == (False, 30.0)
    with pytest.raises(SourceUnavailable):
        await source.order_writer.post(SYSTEM, order())
    [sent] = [variables["key"] for name, variables in shop.upstream.asked if name == "FillOrder"]
    assert sent == {"id": "101", "customFields": {"portalKey": "k", "theirs": "PO 77"}}
    await source.aclose()
