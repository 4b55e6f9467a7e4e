"""Quotes in for Tryton: draft sales that are quoted, answered, and confirmed by the order that accepts them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from app.auth.principal import SYSTEM
from app.errors import SourceUnavailable
from app.http.background import background
from app.sources.order_writer import AcceptedQuote, NewOrder, OrderNotAccepted, OrderWriter, WrittenOrder
from app.sources.quote_writer import (
    NewQuote,
    NewQuoteLine,
    QuoteAnswer,
    QuoteAnswerKind,
    QuoteNotAccepted,
    QuoteRefusal,
    QuoteWriter,
    WrittenQuote,
)
from app.sources.source import Source
from app.sources.tryton.calls import DECLARATION
from app.sources.values import Money
from tests.contract.case import counted_calls
from tests.contract.tryton_case import connect_to
from tests.upstreams.tryton import NOW, on
from tests.upstreams.tryton_sales import Sales, sales_upstream, user_error, user_warning

KEY, DIGEST = "a1" * 16, "d2" * 32


@pytest.fixture
async def sales() -> AsyncIterator[Sales]:
    async with sales_upstream() as upstream:
        upstream.expire = on(2026, 12, 21)
        yield upstream


@pytest.fixture
async def source(sales: Sales) -> AsyncIterator[Source]:
    options = {"order_warehouse": "EAST", "quote_validity_days": 14, "confirm_warnings": ["credit_limit_amount"]}
    source = connect_to(sales.proxy.url, lambda: NOW, **options)
    yield source
    await source.aclose()


@pytest.fixture
def writer(source: Source) -> QuoteWriter:
    assert source.quote_writer is not None
    return source.quote_writer


@pytest.fixture
def orders(source: Source) -> OrderWriter:
    assert source.order_writer is not None
    return source.order_writer


def request(**line: Any) -> NewQuote:
    """A request of one line."""
    lines = (NewQuoteLine(**{"number": 1, "sku": "SKU-1", "quantity": Decimal(12), "uom": "EA", **line}),)
    return NewQuote(
        key=KEY, digest=DIGEST, customer="CUST-1", channel="API", requested_by="buyer", note="Spring", lines=lines
    )


def answer(kind: QuoteAnswerKind, version: int, **given: Any) -> QuoteAnswer:
    return QuoteAnswer(id="301", version=version, kind=kind, answered_by="buyer", **given)


def accepting(version: int, **given: Any) -> NewOrder:
    quote = AcceptedQuote(id="301", version=version, accepted_at=datetime(2026, 12, 21, 23, tzinfo=UTC))
    return NewOrder(**{
        "key": "order-key", "customer": "CUST-1", "customer_po": "PO 77", "channel": "API", "quote": quote, "lines": (),
        **given,
    })  # fmt: skip


# Requests


async def test_request_is_a_sale_with_a_validity_that_is_quoted_at_once(writer: QuoteWriter, sales: Sales):
    assert await writer.request(SYSTEM, request(note="blue")) == WrittenQuote(id="301", digest=DIGEST)
    sale = sales.sales[301]
    assert sale["state"] == "quotation"
    assert (sale["description"], sale["reference"]) == (KEY, None)
    assert sale["comment"] == f"Spring\nQuote request {DIGEST}"
    assert sale["quotation_validity"] == {"__class__": "timedelta", "seconds": 14 * 86_400}
    [[_, [line]]] = sale["lines"]
    assert (line["product"], line["quantity"], line["note"]) == (1, 12.0, "blue")
    assert line["unit_price"] == {"__class__": "Decimal", "decimal": "9.5000"}
    assert await writer.find(SYSTEM, [KEY, "b2" * 16]) == {KEY: WrittenQuote(id="301", digest=DIGEST)}


async def test_request_with_a_target_price_waits_for_a_salesperson(writer: QuoteWriter, sales: Sales):
    price = Money(amount=Decimal("4.50"), currency="USD")
    await writer.request(SYSTEM, request(target_price=price, note="blue"))
    assert sales.sales[301]["state"] == "draft"
    assert sales.sales[301]["lines"][0][1][0]["note"] == "Target price: 4.50 USD.\nblue"


async def test_request_that_tryton_does_not_quote_waits_for_a_salesperson(writer: QuoteWriter, sales: Sales):
    sales.refusals["quote"] = user_error("enter a warehouse")
    assert await writer.request(SYSTEM, request()) == WrittenQuote(id="301", digest=DIGEST)
    assert sales.states(KEY) == ["draft"]


async def test_unknown_item_is_refused_by_line_and_nothing_is_written(writer: QuoteWriter, sales: Sales):
    with pytest.raises(QuoteNotAccepted) as refused:
        await writer.request(SYSTEM, request(number=7, sku="NOPE"))
    assert (refused.value.refusal, refused.value.lines, sales.sales) == (QuoteRefusal.RULE, (7,), {})


async def test_lost_answer_leaves_a_quote_that_its_key_finds(writer: QuoteWriter, sales: Sales):
    sales.spoiled["create"] = "reset before"
    with pytest.raises(SourceUnavailable), background(30):
        await writer.request(SYSTEM, request())
    assert (await writer.find(SYSTEM, [KEY]))[KEY] == WrittenQuote(id="301", digest=DIGEST)


async def test_orders_are_no_quotes(orders: OrderWriter, writer: QuoteWriter, sales: Sales):
    await orders.post(SYSTEM, accepting(0, quote=None, lines=()))
    assert sales.sales[301]["quotation_validity"] is None
    assert await writer.find(SYSTEM, ["order-key"]) == {}


# Answers


async def test_declined_quote_is_a_cancelled_sale_that_says_so(writer: QuoteWriter, sales: Sales):
    await writer.request(SYSTEM, request())
    await writer.answer(SYSTEM, answer(QuoteAnswerKind.DECLINE, version_of(sales), note="too dear"))
    assert sales.sales[301]["state"] == "cancelled"
    assert sales.sales[301]["comment"].splitlines()[-1] == "Declined by the customer. too dear"
    with pytest.raises(QuoteNotAccepted) as again:
        await writer.answer(SYSTEM, answer(QuoteAnswerKind.DECLINE, version_of(sales)))
    assert again.value.refusal is QuoteRefusal.NOT_OPEN


async def test_renegotiated_quote_is_a_draft_with_the_lines_of_the_customer(writer: QuoteWriter, sales: Sales):
    await writer.request(SYSTEM, request())
    lines = (NewQuoteLine(number=1, sku="SKU-2", quantity=Decimal(5)),)
    await writer.answer(SYSTEM, answer(QuoteAnswerKind.RENEGOTIATE, version_of(sales), note="cheaper", lines=lines))
    sale = sales.sales[301]
    assert (sale["state"], sale["comment"].splitlines()[-1]) == ("draft", "Renegotiated by the customer. cheaper")
    assert sale["lines"][0] == ["delete", [3010]]
    assert [(line["product"], line["quantity"]) for line in sale["lines"][1][1]] == [(2, 5.0)]


@pytest.mark.parametrize(
    ("kind", "shift", "expire", "refusal"),
    [
        (QuoteAnswerKind.DECLINE, 1, None, QuoteRefusal.VERSION_CONFLICT),
        (QuoteAnswerKind.RENEGOTIATE, -1, None, QuoteRefusal.VERSION_CONFLICT),
        (QuoteAnswerKind.RENEGOTIATE, 0, on(2026, 11, 20), QuoteRefusal.EXPIRED),
    ],
)
async def test_answer_that_does_not_apply_changes_nothing(
    writer: QuoteWriter, sales: Sales, kind: QuoteAnswerKind, shift: int, expire: dict[str, Any], refusal: QuoteRefusal
):
    await writer.request(SYSTEM, request())
    sales.expire = expire
    with pytest.raises(QuoteNotAccepted) as refused:
        await writer.answer(SYSTEM, answer(kind, version_of(sales) + shift))
    assert refused.value.refusal is refusal
    assert (sales.states(KEY), sales.called[-1]) == (["quotation"], "quote")


# Orders of quotes


async def test_order_of_a_quote_confirms_that_quotation(writer: QuoteWriter, orders: OrderWriter, sales: Sales):
    await writer.request(SYSTEM, request())
    with counted_calls() as calls:
        written = await orders.post(
            SYSTEM, accepting(version_of(sales), requested_date=date(2026, 12, 24), note="Dock 4")
        )
    assert written == WrittenOrder(key="order-key", id="301", number="271", step="confirmed")
    assert list(sales.sales) == [301]
    sale = sales.sales[301]
    assert (sale["state"], sale["reference"], sale["description"]) == ("processing", "PO 77", KEY)
    assert sale["comment"] == f"Spring\nQuote request {DIGEST}\nDock 4\nAccepted by order order-key"
    assert (sale["sale_date"], sale["shipping_date"]) == (on(2026, 12, 21), on(2026, 12, 24))
    assert [call for _, call in calls if call != "sign-in"] == [
        "order_submissions.quoted", "order_submissions.customer", "order_submissions.write",
        "order_submissions.confirm", "order_submissions.written",
    ]  # fmt: skip
    assert await orders.find(SYSTEM, ["order-key"]) == {"order-key": (written,)}
    assert (await writer.find(SYSTEM, [KEY]))[KEY].id == "301"


@pytest.mark.parametrize("step", ["write", "confirm"])
async def test_lost_answer_is_resumed_from_the_quotation(
    writer: QuoteWriter, orders: OrderWriter, sales: Sales, step: str
):
    await writer.request(SYSTEM, request())
    sales.spoiled[step] = "reset before"
    order = accepting(version_of(sales))
    with pytest.raises(SourceUnavailable) as lost, background(30):
        await orders.post(SYSTEM, order)
    assert lost.value.sent
    [found] = (await orders.find(SYSTEM, ["order-key"]))["order-key"]
    assert found.step == {"write": "quotation", "confirm": "confirmed"}[step]
    if found.step == "quotation":
        found = await orders.post(SYSTEM, order, found)
    assert (found.step, sales.sales[301]["state"], len(sales.sales)) == ("confirmed", "processing", 1)


async def test_refused_confirmation_leaves_the_quotation_to_try_again(
    writer: QuoteWriter, orders: OrderWriter, sales: Sales
):
    await writer.request(SYSTEM, request())
    order = accepting(version_of(sales))
    sales.refusals["confirm"] = user_error("credit limit")
    with pytest.raises(OrderNotAccepted) as refused:
        await orders.post(SYSTEM, order)
    assert (refused.value.held, sales.states(KEY)) == (True, ["quotation"])
    sales.refusals.clear()
    assert (await orders.post(SYSTEM, order)).step == "confirmed"
    assert sales.called.count("write") == 1


@pytest.mark.parametrize(
    ("given", "expire", "detail"),
    [
        ({"customer": "CUST-2"}, on(2026, 12, 21), "quote 301 is unknown"),
        ({"shift": 1}, on(2026, 12, 21), "of version"),
        ({}, on(2026, 12, 20), "was valid to 2026-12-20"),
    ],
)
async def test_quote_that_cannot_be_accepted_is_refused_and_not_changed(
    writer: QuoteWriter, orders: OrderWriter, sales: Sales, given: dict[str, Any], expire: dict[str, Any], detail: str
):
    await writer.request(SYSTEM, request())
    sales.expire = expire
    shift = given.pop("shift", 0)
    with pytest.raises(OrderNotAccepted, match=detail) as refused:
        await orders.post(SYSTEM, accepting(version_of(sales) + shift, **given))
    assert (refused.value.held, sales.called[-1]) == (False, "quote")


async def test_declined_quote_is_not_ordered(writer: QuoteWriter, orders: OrderWriter, sales: Sales):
    await writer.request(SYSTEM, request())
    await writer.answer(SYSTEM, answer(QuoteAnswerKind.DECLINE, version_of(sales)))
    with pytest.raises(OrderNotAccepted, match="quote 301 is cancelled"):
        await orders.post(SYSTEM, accepting(version_of(sales)))


def version_of(sales: Sales) -> int:
    """The version of the one sale: the second of its last change."""
    at = sales.sales[301]["write_date"]
    changed = datetime(at["year"], at["month"], at["day"], 0, at["minute"], at["second"], tzinfo=UTC)
    return int((changed - datetime(2020, 1, 1, tzinfo=UTC)).total_seconds())


async def test_each_declared_call_of_orders_and_quotes_is_made(writer: QuoteWriter, orders: OrderWriter, sales: Sales):
    await writer.request(SYSTEM, request())
    await writer.find(SYSTEM, [KEY])
    await writer.answer(SYSTEM, answer(QuoteAnswerKind.RENEGOTIATE, version_of(sales)))
    sales.sales[301]["state"] = "quotation"
    sales.refusals["confirm"] = user_warning("credit_limit_amount")
    accepted = await orders.post(SYSTEM, accepting(version_of(sales)))
    assert await orders.find(SYSTEM, ["order-key"]) == {"order-key": (accepted,)}
    sales.sales[301]["state"] = "confirmed"
    await orders.cancel(SYSTEM, accepted, "ordered twice")
    assert sales.tryton.traffic is not None
    written = {call.name for call in DECLARATION.calls if call.port in {"order_writer", "quote_writer"}}
    assert written & sales.tryton.traffic.unused == set()
