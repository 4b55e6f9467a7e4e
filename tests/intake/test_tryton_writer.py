"""Orders in for Tryton: a sale is created, quoted and confirmed once, whatever fails between the steps."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.auth.principal import SYSTEM
from app.errors import ConfigurationError, SourceError, SourceRejected, SourceUnavailable
from app.http.background import background
from app.intake.records import IntakeState
from app.intake.store import IntakeStore
from app.intake.stores import connect_intakes
from app.settings import Settings
from app.sources.order_writer import NewOrder, NewOrderLine, OrderNotAccepted, OrderWriter, WrittenOrder
from app.sources.values import Money
from tests.contract.tryton_case import connect_to
from tests.support.intakes import intake
from tests.support.posting import run
from tests.upstreams.tryton_sales import Sales, sales_upstream, user_error, user_warning

OPTIONS: dict[str, Any] = {"order_warehouse": "EAST", "confirm_warnings": ("credit_limit_amount",)}
BROKEN = ["reset before", "truncated", "HTML", "malformed", "503", "not HTTP"]
"""What happens to an answer after Tryton has done what it was called for."""


@pytest.fixture
async def sales() -> AsyncIterator[Sales]:
    async with sales_upstream() as upstream:
        yield upstream


@pytest.fixture
async def writer(sales: Sales) -> AsyncIterator[OrderWriter]:
    source = connect_to(sales.proxy.url, **OPTIONS)
    assert source.order_writer is not None
    yield source.order_writer
    await source.aclose()


def usd(amount: str) -> Money:
    return Money(amount=Decimal(amount), currency="USD")


def order(**given: Any) -> NewOrder:
    lines = (
        NewOrderLine(
            number=10, sku="SKU-1", quantity=Decimal(12), uom="EA", unit_price=usd("1576"), price_unit=Decimal(100)
        ),
        NewOrderLine(number=20, sku="SKU-2", quantity=Decimal(2), uom="XBX", unit_price=usd("392.0976")),
    )  # fmt: skip
    return NewOrder(**{
        "key": "k", "customer": "CUST-1", "customer_po": "PO 77", "channel": "API", "lines": lines, **given,
    })  # fmt: skip


def line(**given: Any) -> NewOrder:
    """An order of one line."""
    return order(lines=(NewOrderLine(**{"number": 7, "sku": "SKU-1", "quantity": Decimal(1), **given}),))


# The sale


async def test_sale_has_units_prices_taxes_addresses_and_both_numbers(writer: OrderWriter, sales: Sales):
    written = await writer.post(SYSTEM, order(requested_date=date(2026, 12, 20), note="gate 4", allow_partial=False))
    assert written == WrittenOrder(key="k", id="301", number="271", step="confirmed")
    sale = sales.sales[301]
    assert {name: sale[name] for name in ("state", "reference", "description", "warehouse", "currency", "party")} == {
        "state": "processing", "reference": "PO 77", "description": "k", "warehouse": 5, "currency": 1, "party": 11,
    }  # fmt: skip
    assert [sale[name] for name in ("invoice_address", "shipment_address", "payment_term", "price_list")] == [
        41,
        42,
        7,
        3,
    ]
    assert sale["shipping_date"] == {"__class__": "date", "year": 2026, "month": 12, "day": 20}
    assert sale["comment"] == "gate 4\nShip complete: the customer takes no partial shipments."
    assert not any(name.endswith(".") for name in sale)
    [[command, lines]] = sale["lines"]
    assert (command, lines) == ("create", [
        {"type": "line", "sequence": 10, "product": 1, "quantity": 12.0, "unit": 1, "taxes": [["add", [5]]],
         "unit_price": {"__class__": "Decimal", "decimal": "15.76"}},
        {"type": "line", "sequence": 20, "product": 2, "quantity": 2.0, "unit": 2, "taxes": [],
         "unit_price": {"__class__": "Decimal", "decimal": "392.0976"}},
    ])  # fmt: skip
    assert sales.called == ["on_change", "create", "quote", "confirm"]
    assert await writer.find(SYSTEM, ["k", "other", ""]) == {"k": (written,)}


async def test_order_costs_the_same_calls_for_1_and_30_lines(writer: OrderWriter, sales: Sales):
    counts = []
    for count in (1, 30):
        lines = tuple(
            NewOrderLine(number=n, sku="SKU-1", quantity=Decimal(n), unit_price=usd("3")) for n in range(1, count + 1)
        )
        await writer.post(SYSTEM, order(key="warm", lines=lines))
        before = sales.proxy.requests
        await writer.post(SYSTEM, order(key=f"k{count}", lines=lines))
        counts.append(sales.proxy.requests - before)
    assert counts == [7, 7]


async def test_line_without_a_price_costs_what_tryton_says(writer: OrderWriter, sales: Sales):
    await writer.post(SYSTEM, line())
    [[_, [made]]] = sales.sales[301]["lines"]
    assert (made["unit_price"]["decimal"], made["taxes"]) == ("9.5000", [["add", [6]]])
    assert sales.changed_lines == [{
        "type": "line", "product": 1, "quantity": 1.0, "unit": 1,
        "sale": {"party": 11, "company": 1, "currency": 1, "price_list": 3},
    }]  # fmt: skip


async def test_tax_rule_of_the_customer_is_applied_and_the_price_of_the_order_stays(writer: OrderWriter, sales: Sales):
    given = line(unit_price=usd("4.5"))
    await writer.post(SYSTEM, msgspec.structs.replace(given, customer="CUST-2"))
    [[_, [made]]] = sales.sales[301]["lines"]
    assert (made["unit_price"]["decimal"], made["taxes"]) == ("4.5", [["add", [6]]])


async def test_ship_to_and_currency_of_the_order_win_over_trytons(writer: OrderWriter, sales: Sales):
    prices = (
        NewOrderLine(number=1, sku="SKU-1", quantity=Decimal(1), unit_price=Money(amount=Decimal(2), currency="EUR")),
    )
    await writer.post(SYSTEM, order(ship_to="41", lines=prices))
    assert [sales.sales[301][name] for name in ("shipment_address", "currency")] == [41, 2]


@pytest.mark.parametrize(
    ("given", "lines", "held"),
    [
        (order(customer="CUST-9"), (), False),
        (order(customer=" CUST-1"), (), False),
        (order(ship_to="43"), (), False),
        (order(ship_to="forty"), (), False),
        (order(customer_po="SO-100040"), (), False),
        (line(sku="SKU-9"), (7,), False),
        (line(uom="KGM"), (7,), False),
        (line(unit_price=usd("1"), price_unit=Decimal(3)), (7,), True),
        (line(unit_price=Money(amount=Decimal(1), currency="XXX")), (), False),
    ],
)
async def test_order_that_tryton_cannot_hold_is_refused_before_it_is_sent(
    writer: OrderWriter, sales: Sales, given: NewOrder, lines: tuple[int, ...], held: bool
):
    with pytest.raises(OrderNotAccepted) as refused:
        await writer.post(SYSTEM, given)
    assert (refused.value.lines, refused.value.held) == (lines, held)
    assert "create" not in sales.called


# Refusals


async def test_refused_creation_is_final(writer: OrderWriter, sales: Sales):
    sales.refusals["create"] = user_error("The number of digits exceeds the limit.")
    with pytest.raises(OrderNotAccepted) as refused:
        await writer.post(SYSTEM, order())
    assert (refused.value.held, refused.value.detail) == (False, "The number of digits exceeds the limit. ")
    assert sales.states("k") == []


@pytest.mark.parametrize("step", ["quote", "confirm"])
async def test_refused_step_holds_the_order_and_cancels_the_sale(writer: OrderWriter, sales: Sales, step: str):
    """A sale that stays would be doubled by the next attempt, which makes no look-up after a refusal."""
    sales.refusals[step] = user_error("The party will exceed their credit limit.")
    with pytest.raises(OrderNotAccepted) as refused:
        await writer.post(SYSTEM, order())
    assert refused.value.held
    assert sales.states("k") == ["cancelled"]
    assert await writer.find(SYSTEM, ["k"]) == {}
    sales.refusals.clear()
    written = await writer.post(SYSTEM, order())
    assert sales.states("k") == ["cancelled", "processing"]
    assert await writer.find(SYSTEM, ["k"]) == {"k": (written,)}


@pytest.mark.parametrize(
    ("button", "state", "called"),
    [
        ("quote", "quotation", ["quote", "confirm"]),
        ("quote", "processing", ["quote"]),
        ("confirm", "processing", ["quote", "confirm"]),
    ],
)
async def test_sale_that_was_moved_on_meanwhile_goes_on_from_there(
    writer: OrderWriter, sales: Sales, button: str, state: str, called: list[str]
):
    """By a person, or by a request of an earlier attempt that Tryton took long for."""
    sales.refusals[button] = user_error("You can not call it in this state.")

    def moved(method: str) -> None:
        if method == button:
            sales.sales[301]["state"] = state

    sales.before = moved
    assert (await writer.post(SYSTEM, order())).step == "confirmed"
    assert (sales.states("k"), sales.called[2:]) == (["processing"], called)


@pytest.mark.parametrize("button", ["quote", "confirm"])
async def test_sale_that_somebody_cancelled_meanwhile_is_refused(writer: OrderWriter, sales: Sales, button: str):
    sales.refusals[button] = user_error("You can not call it in this state.")

    def cancelled(method: str) -> None:
        if method == button:
            sales.sales[301]["state"] = "cancelled"

    sales.before = cancelled
    with pytest.raises(OrderNotAccepted) as refused:
        await writer.post(SYSTEM, order())
    assert refused.value.held
    assert sales.states("k") == ["cancelled"]


@pytest.mark.parametrize("step", ["create", "quote", "confirm"])
async def test_warning_that_may_be_is_confirmed_once(writer: OrderWriter, sales: Sales, step: str):
    sales.refusals[step] = user_warning("credit_limit_amount")
    await writer.post(SYSTEM, order())
    assert sales.confirmed_warnings == ["72359930d83c1f2418fa7e04ba48fa39.credit_limit_amount"]
    assert sales.states("k") == ["processing"]
    assert sales.called.count(step) == 2


@pytest.mark.parametrize("step", ["quote", "confirm"])
async def test_any_other_warning_holds_the_order(writer: OrderWriter, sales: Sales, step: str):
    sales.refusals[step] = user_warning("check_move_quantity")
    with pytest.raises(OrderNotAccepted) as refused:
        await writer.post(SYSTEM, order())
    assert refused.value.held
    assert (sales.confirmed_warnings, sales.states("k")) == ([], ["cancelled"])


async def test_warning_that_comes_again_after_it_was_confirmed_holds_the_order(writer: OrderWriter, sales: Sales):
    sales.refusals["confirm"] = user_warning("credit_limit_amount")
    sales.refusals["res.user.warning.skip"] = user_error("not allowed")
    with pytest.raises(OrderNotAccepted):
        await writer.post(SYSTEM, order())
    assert sales.called.count("confirm") == 1


# Faults


@pytest.mark.parametrize("fault", BROKEN)
@pytest.mark.parametrize("step", ["create", "quote", "confirm"])
async def test_lost_answer_is_resumed_from_what_the_look_up_shows(
    writer: OrderWriter, sales: Sales, step: str, fault: str
):
    sales.spoiled[step] = fault
    with pytest.raises(SourceError) as failed:
        await writer.post(SYSTEM, order())
    assert failed.value.sent
    assert not isinstance(failed.value, SourceRejected)
    sales.proxy.fault = None
    (found,) = (await writer.find(SYSTEM, ["k"]))["k"]
    assert found.step == {"create": "draft", "quote": "quotation", "confirm": "confirmed"}[step]
    written = await writer.post(SYSTEM, order(), found)
    assert (written.id, written.number, written.step) == ("301", "271", "confirmed")
    assert sales.states("k") == ["processing"]
    assert [sales.called.count(one) for one in ("create", "quote", "confirm")] == [1, 1, 1]


async def test_number_that_cannot_be_read_leaves_an_order_to_look_up(writer: OrderWriter, sales: Sales):
    sales.spoiled["read"] = "HTML"
    with pytest.raises(SourceUnavailable) as failed:
        await writer.post(SYSTEM, order())
    assert failed.value.sent
    sales.proxy.fault = None
    assert [one.step for one in (await writer.find(SYSTEM, ["k"]))["k"]] == ["confirmed"]


@pytest.mark.parametrize("fault", ["429", "redirect"])
@pytest.mark.parametrize("step", ["quote", "confirm"])
async def test_step_that_was_not_taken_leaves_an_order_to_look_up(
    writer: OrderWriter, sales: Sales, step: str, fault: str
):
    """Neither "not sent" nor "refused": after both, the next attempt would create a second sale."""
    sales.spoiled[step] = fault
    with pytest.raises(SourceUnavailable) as failed:
        await writer.post(SYSTEM, order())
    assert failed.value.sent


async def test_failure_of_trytons_own_in_a_step_leaves_an_order_to_look_up(writer: OrderWriter, sales: Sales):
    sales.refusals["quote"] = ["ConcurrencyException", "sale.sale"]
    with pytest.raises(SourceUnavailable) as failed:
        await writer.post(SYSTEM, order())
    assert failed.value.sent
    assert sales.states("k") == ["draft"]


async def test_creation_that_raised_in_tryton_may_be_there(writer: OrderWriter, sales: Sales):
    sales.refusals["create"] = ["'bogus'", ""]
    with pytest.raises(SourceUnavailable) as failed:
        await writer.post(SYSTEM, order())
    assert failed.value.sent


@pytest.mark.parametrize("fault", ["reset before", "503", "429"])
async def test_failed_read_before_the_creation_was_not_sent(writer: OrderWriter, sales: Sales, fault: str):
    sales.tryton.rows["party.party"] = lambda _: _spoil(sales, fault)
    with pytest.raises(SourceError) as failed:
        await writer.post(SYSTEM, order())
    assert failed.value.sent is False
    assert "create" not in sales.called


def _spoil(sales: Sales, fault: str) -> list[dict[str, Any]]:
    sales.proxy.fault = fault
    return []


async def test_time_that_ends_between_two_steps_leaves_an_order_to_look_up(writer: OrderWriter, sales: Sales):
    await writer.post(SYSTEM, order(key="warm"))
    sales.spoiled["quote"] = "hang"
    with background(0.5), pytest.raises(SourceUnavailable) as failed:
        await writer.post(SYSTEM, order())
    assert failed.value.sent
    sales.proxy.fault = None
    assert [one.step for one in (await writer.find(SYSTEM, ["k"]))["k"]] == ["quotation"]


async def test_detail_of_a_failure_is_for_the_log_alone(writer: OrderWriter, sales: Sales):
    sales.refusals["quote"] = ["psycopg.OperationalError", "server 10.0.0.7"]
    with pytest.raises(SourceUnavailable) as failed:
        await writer.post(SYSTEM, order())
    assert "10.0.0.7" not in str(failed.value)
    assert failed.value.detail is not None
    assert "10.0.0.7" in failed.value.detail


# Cancellation


@pytest.mark.parametrize("state", ["draft", "quotation", "confirmed", "cancelled"])
async def test_sale_that_is_not_processed_is_cancelled(writer: OrderWriter, sales: Sales, state: str):
    written = await writer.post(SYSTEM, order())
    sales.sales[301]["state"] = state
    await writer.cancel(SYSTEM, written, "ordered twice")
    assert sales.states("k") == ["cancelled"]


async def test_sale_that_is_processed_is_not_cancelled(writer: OrderWriter, sales: Sales):
    written = await writer.post(SYSTEM, order())
    with pytest.raises(OrderNotAccepted):
        await writer.cancel(SYSTEM, written, "too late")
    with pytest.raises(OrderNotAccepted):
        await writer.cancel(SYSTEM, WrittenOrder(key="k", id="999", number="", step="draft"), "unknown")
    assert sales.states("k") == ["processing"]


# The worker


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[IntakeStore]:
    made = connect_intakes(Settings(data_dir=tmp_path))
    yield made
    await made.close()


@pytest.mark.parametrize("step", ["create", "quote", "confirm", "read"])
async def test_worker_posts_one_sale_whatever_answer_is_lost(store: IntakeStore, sales: Sales, step: str):
    source = connect_to(sales.proxy.url, **OPTIONS)
    writer = source.order_writer
    assert writer is not None
    writer.max_seconds = 0.02  # type: ignore[misc]
    sales.spoiled[step] = "reset before"
    one = intake(customer="CUST-1")
    done = await run(store, writer, one)
    await source.aclose()
    assert (done.state, done.order_id, done.order_number) == (IntakeState.POSTED, "301", "271")
    assert sales.states(one.id) == ["processing"]


async def test_refused_order_that_is_posted_again_is_one_sale(store: IntakeStore, sales: Sales):
    source = connect_to(sales.proxy.url, **OPTIONS)
    assert source.order_writer is not None
    sales.refusals["confirm"] = user_error("The party will exceed their credit limit.")
    one = intake(customer="CUST-1")
    done = await run(store, source.order_writer, one)
    await source.aclose()
    assert (done.state, done.sent_at, sales.states(one.id)) == (IntakeState.HELD, None, ["cancelled"])


# Settings


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"order_key_field": "Key!"}, "order_key_field"),
        ({"max_order_seconds": 5}, "max_order_seconds"),
        ({"max_order_seconds": 0}, "max_order_seconds"),
        ({"confirm_warnings": "all"}, "confirm_warnings"),
    ],
)
def test_wrong_options_stop_the_start(options: dict[str, Any], key: str):
    with pytest.raises(ConfigurationError, match=key):
        connect_to("http://127.0.0.1:1", **options)


async def test_key_is_stored_in_the_configured_field(sales: Sales):
    sales.tryton.traffic = None  # The calls are declared with the names of the seed.
    source = connect_to(sales.proxy.url, **OPTIONS, order_key_field="intake_key")
    assert source.order_writer is not None
    assert (source.order_writer.unique_key, source.order_writer.max_seconds) == (False, 90.0)
    written = await source.order_writer.post(SYSTEM, order())
    assert sales.sales[301]["intake_key"] == "k"
    assert await source.order_writer.find(SYSTEM, ["k"]) == {"k": (written,)}
    await source.aclose()
