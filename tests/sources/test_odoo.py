"""Odoo: its declared calls, its traps, orders in, and faults of a server made like version 11."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from starlette.responses import HTMLResponse, JSONResponse, Response

from app.auth.principal import SYSTEM
from app.errors import (
    ConfigurationError,
    SourceError,
    SourceMalformed,
    SourceRejected,
    SourceThrottled,
    SourceUnavailable,
)
from app.sources.changes import ChangeKind
from app.sources.customers import CustomerPart, CustomerQuery
from app.sources.items import ItemQuery
from app.sources.odoo.versions import Names
from app.sources.order_writer import NewOrder, NewOrderLine, OrderNotAccepted, WrittenOrder
from app.sources.orders import CustomerPoKey, OrderQuery, OrderStatus
from app.sources.pipeline.compose import compile_source
from app.sources.prices import PriceRequest
from app.sources.source import Source
from app.sources.values import Money, PageRequest, utc_now
from tests.contract.case import counted_calls
from tests.contract.odoo_case import AT, connect_to, running
from tests.upstreams.odoo import Odoo

KINDS = frozenset(ChangeKind)
LOGIN_PAGE = HTMLResponse("<!doctype html><form>Log in, hunter2</form>")


@pytest.fixture
async def database() -> AsyncIterator[tuple[Odoo, Source]]:
    async with running(limits={"retries": 0}) as both:
        yield both


def new_order(key: str = "01JDKEY", **values: Any) -> NewOrder:
    price = Money(amount=Decimal("9.99"), currency="USD")
    line = NewOrderLine(number=1, sku="SKU-0001", quantity=Decimal("2.5"), uom="EA", unit_price=price)
    given = {"customer": "CUST-0001", "customer_po": "PO 77", "channel": "web", "lines": (line,)} | values
    return NewOrder(key=key, **given)


def rpc_error(name: str, message: str = "hunter2") -> Response:
    data = {"name": name, "message": message, "debug": "Traceback: password=hunter2"}
    return JSONResponse({"jsonrpc": "2.0", "id": 1, "error": {"code": 200, "message": "x", "data": data}})


async def test_every_declared_call_is_made_and_no_other(database: tuple[Odoo, Source]):
    server, source = database
    await source.ping()
    customers = await source.customers.by_number(SYSTEM, ["CUST-0001"])
    await source.customers.by_number(SYSTEM, ["CUST-0001"], [CustomerPart.CREDIT])
    await source.customers.by_id(SYSTEM, [customers["CUST-0001"].refs[0].id])
    await source.customers.search(SYSTEM, CustomerQuery(page=PageRequest(first=1, count=True), search="company"))
    await source.credit.status(SYSTEM, ["CUST-0001"])
    await source.contacts.by_customer(SYSTEM, ["CUST-0001"])
    items = await source.items.by_sku(SYSTEM, ["SKU-0001"])
    await source.items.by_gtin(SYSTEM, ["4000000000001"])
    await source.items.by_id(SYSTEM, [items["SKU-0001"].refs[0].id])
    await source.items.costs(SYSTEM, ["SKU-0001"])
    query = ItemQuery(page=PageRequest(first=1, count=True), search="item", category="Chairs")
    await source.items.search(SYSTEM, query)
    await source.stock.levels(SYSTEM, ["SKU-0001"])
    await source.prices.quote(SYSTEM, [PriceRequest("CUST-0001", "SKU-0001", Decimal(1))])
    orders = await source.orders.by_number(SYSTEM, ["SO-300001"])
    await source.orders.by_id(SYSTEM, [orders["SO-300001"].id])
    await source.orders.by_customer_po(SYSTEM, [CustomerPoKey(customer="CUST-0001", number="PO-1")])
    page = await source.orders.by_customer(
        SYSTEM, ["CUST-0001"], OrderQuery(page=PageRequest(first=1, count=True), status=(OrderStatus.DRAFT,))
    )
    again = OrderQuery(
        page=PageRequest(first=1, after=page["CUST-0001"].cursors[0]),
        customer_po="PO-1",
        ship_to="12",
        warehouse="EAST",
    )
    await source.orders.by_customer(SYSTEM, ["CUST-0001"], again)
    shipments = await source.shipments.by_order(SYSTEM, ["SO-300001"])
    await source.shipments.by_id(SYSTEM, [shipments["SO-300001"][0].id])
    await source.shipments.by_tracking_number(SYSTEM, ["1Z1"])
    invoices = await source.billing.invoices(SYSTEM, ["SO-300001"])
    await source.billing.by_id(SYSTEM, [invoices["SO-300001"][0].id])
    await source.changes.since(SYSTEM, KINDS, None)
    order = new_order(ship_to="12", requested_date=date(2026, 12, 1), note="Ring twice")
    written = await source.order_writer.post(SYSTEM, order)
    assert await source.order_writer.find(SYSTEM, ["01JDKEY", "none"]) == {"01JDKEY": (written,)}
    await source.order_writer.cancel(SYSTEM, written, "wrong")
    assert server.traffic.unused == set()


# Orders in


async def test_order_is_created_with_its_prices_and_confirmed(database: tuple[Odoo, Source]):
    server, source = database
    lines = (
        NewOrderLine(
            number=1,
            sku="SKU-0001",
            quantity=Decimal("2.5"),
            uom="DZN",
            unit_price=Money(amount=Decimal("9.99"), currency="USD"),
        ),
        NewOrderLine(number=2, sku="SKU-0001", quantity=Decimal(12)),
    )
    order = new_order(lines=lines, requested_date=date(2026, 12, 1), allow_partial=False, ship_to="12")
    written = await source.order_writer.post(SYSTEM, order)
    assert written == WrittenOrder(key="01JDKEY", id="8", number="SO-301008", step="confirmed")
    writes = [
        (method, named["args"]) for _, method, named in server.seen if method not in ("search_read", "search_count")
    ]
    assert writes == [
        (
            "create",
            [
                {
                    "partner_id": 1,
                    "client_order_ref": "PO 77",
                    "origin": "01JDKEY",
                    "picking_policy": "one",
                    "partner_shipping_id": 12,
                    "payment_term_id": 1,
                    "pricelist_id": 1,
                    "note": "Requested for 2026-12-01.\nShip complete: the customer takes no partial shipments.",
                    "order_line": [
                        [0, 0, {"product_id": 1, "product_uom_qty": 2.5, "product_uom": 2, "price_unit": 9.99}],
                        # Odoo's own price for twelve, sent with the line.
                        [0, 0, {"product_id": 1, "product_uom_qty": 12, "product_uom": 1, "price_unit": 9.25}],
                    ],
                }
            ],
        ),
        ("action_confirm", [[8]]),
    ]
    assert await source.order_writer.post(SYSTEM, order, written) == written
    assert len(server.tables["sale.order"]) == 8


async def test_order_that_was_only_created_is_confirmed(database: tuple[Odoo, Source]):
    server, source = database
    server.fault = lambda _, method: Response("", 502) if method == "action_confirm" else None
    with pytest.raises(SourceUnavailable) as caught:
        await source.order_writer.post(SYSTEM, new_order())
    assert caught.value.sent is True
    server.fault = None
    ((found,),) = (await source.order_writer.find(SYSTEM, ["01JDKEY"])).values()
    assert found.step == "created"
    written = await source.order_writer.post(SYSTEM, new_order(), found)
    assert (written.id, written.step, len(server.tables["sale.order"])) == (found.id, "confirmed", 8)


async def test_order_that_cannot_be_confirmed_is_cancelled_and_held(database: tuple[Odoo, Source]):
    server, source = database
    refusal = rpc_error("odoo.exceptions.UserError", "Over the credit limit")
    server.fault = lambda _, method: refusal if method == "action_confirm" else None
    with pytest.raises(OrderNotAccepted) as caught:
        await source.order_writer.post(SYSTEM, new_order())
    assert (caught.value.held, caught.value.detail) == (True, "UserError: Over the credit limit")
    assert server.tables["sale.order"][-1]["state"] == "cancel"
    assert await source.order_writer.find(SYSTEM, ["01JDKEY"]) == {}


async def test_failed_creation_is_sent_once(database: tuple[Odoo, Source]):
    server, source = database
    server.fault = lambda _, method: Response("<html>hunter2</html>", 502) if method == "create" else None
    with pytest.raises(SourceUnavailable) as caught:
        await source.order_writer.post(SYSTEM, new_order())
    assert caught.value.sent is True
    assert "hunter2" not in caught.value.message


async def test_failed_read_before_a_creation_was_not_sent(database: tuple[Odoo, Source]):
    server, source = database
    server.fault = lambda model, _: Response("", 502) if model == "product.product" else None
    with pytest.raises(SourceUnavailable) as caught:
        await source.order_writer.post(SYSTEM, new_order())
    assert caught.value.sent is False
    assert not any(method == "create" for _, method, _ in server.seen)


@pytest.mark.parametrize(
    ("order", "detail"),
    [
        ({"customer": "CUST-9999"}, "unknown customer"),
        ({"ship_to": "13"}, "the location is none of the customer's"),
        ({"lines": (NewOrderLine(number=1, sku="SKU-0002", quantity=Decimal(1)),)}, "no such product that is sold"),
        (
            {"lines": (NewOrderLine(number=1, sku="SKU-0001", quantity=Decimal(1), uom="XBX"),)},
            "no price",
        ),
        (
            {
                "lines": (
                    NewOrderLine(
                        number=1,
                        sku="SKU-0001",
                        quantity=Decimal(1),
                        unit_price=Money(amount=Decimal(1), currency="EUR"),
                    ),
                )
            },
            "prices in EUR",
        ),
        (
            {
                "lines": (
                    NewOrderLine(
                        number=1,
                        sku="SKU-0001",
                        quantity=Decimal(1),
                        unit_price=Money(amount=Decimal(1), currency="USD"),
                        price_unit=Decimal(3),
                    ),
                )
            },
            "Odoo prices one unit; no price is divided here",
        ),
    ],
)
async def test_order_that_cannot_be_written_is_not_accepted(
    database: tuple[Odoo, Source], order: dict[str, Any], detail: str
):
    server, source = database
    with pytest.raises(OrderNotAccepted) as caught:
        await source.order_writer.post(SYSTEM, new_order(**order))
    assert caught.value.detail == detail
    assert not any(method == "create" for _, method, _ in server.seen)


async def test_doubled_order_is_found_twice(database: tuple[Odoo, Source]):
    _, source = database
    written = [await source.order_writer.post(SYSTEM, new_order()) for _ in range(2)]
    assert await source.order_writer.find(SYSTEM, ["01JDKEY", "it's"]) == {"01JDKEY": tuple(written)}


async def test_key_is_kept_in_the_configured_field_and_warehouse():
    async with running(options={"order_key_field": "note", "order_warehouse": "EAST"}) as (server, source):
        for call in server.traffic.calls:
            if call["name"] == "order.find":  # The declaration has the default field.
                call["reads"].append("note")
                call["filters"].append("note")
        written = await source.order_writer.post(SYSTEM, new_order())
        assert [server.tables["sale.order"][-1][name] for name in ("note", "warehouse_id")] == ["01JDKEY", 2]
        assert await source.order_writer.find(SYSTEM, ["01JDKEY"]) == {"01JDKEY": (written,)}


# Changes


async def read_feed(source: Source, cursor: str, limit: int) -> tuple[list[tuple[ChangeKind, str, datetime]], str]:
    seen: list[tuple[ChangeKind, str, datetime]] = []
    more = True
    while more:
        part = await source.changes.since(SYSTEM, KINDS, cursor, limit=limit)
        assert len(part.changes) <= limit
        seen += [(change.kind, change.key, change.at) for change in part.changes]
        cursor, more = part.cursor, part.more
    return seen, cursor


@pytest.mark.parametrize("limit", [1, 3, 100])
async def test_changes_of_one_second_come_each_once_whatever_the_page(database: tuple[Odoo, Source], limit: int):
    server, source = database
    cursor = (await source.changes.since(SYSTEM, KINDS, None)).cursor
    later = AT + timedelta(days=1)
    for n, row in enumerate(server.tables["sale.order"]):
        row["write_date"] = later + timedelta(microseconds=1000 * (9 - n))  # Not in the order of ids.
    server.tables["stock.quant"][0]["write_date"] = later + timedelta(seconds=1)
    server.tables["res.partner"][0]["write_date"] = later - timedelta(seconds=1)
    server.tables["res.partner"][4]["write_date"] = later  # It has no number of its own.
    server.tables["account.invoice"][3]["write_date"] = later  # Of a supplier.
    seen, cursor = await read_feed(source, cursor, limit)
    at = later.replace(tzinfo=UTC)
    assert seen == [
        (ChangeKind.CUSTOMER, "CUST-0001", at - timedelta(seconds=1)),
        *((ChangeKind.ORDER, f"SO-30000{n}", at) for n in range(1, 8)),
        (ChangeKind.STOCK, "SKU-0001", at + timedelta(seconds=1)),
    ]
    assert await read_feed(source, cursor, limit) == ([], cursor)


# Lists


async def test_pages_of_several_customers_take_the_same_calls(database: tuple[Odoo, Source]):
    _, source = database
    await source.ping()
    query = OrderQuery(page=PageRequest(first=2))
    with counted_calls() as calls:
        found = await source.orders.by_customer(SYSTEM, ["CUST-0001", "CUST-0002", "CUST-9999"], query)
    assert {key: [row.number for row in page.rows] for key, page in found.items()} == {
        "CUST-0001": ["SO-300007", "SO-300006"],
        "CUST-0002": ["SO-300003"],
    }
    assert [page.has_next for page in found.values()] == [True, False]
    assert len(calls) == 7


async def test_unknown_status_is_kept(database: tuple[Odoo, Source]):
    server, source = database
    server.tables["sale.order"][0]["state"] = "waiting_approval"
    order = (await source.orders.by_number(SYSTEM, ["SO-300001"]))["SO-300001"]
    assert (order.status, order.raw_status) == (OrderStatus.UNKNOWN, "waiting_approval")


# Faults


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Response("", 429, {"Retry-After": "3"}), SourceThrottled),
        (Response("", 429), SourceThrottled),
        (LOGIN_PAGE, SourceMalformed),
        (rpc_error("odoo.exceptions.AccessDenied"), SourceRejected),
        (rpc_error("odoo.exceptions.AccessError"), SourceRejected),
        (rpc_error("odoo.exceptions.UserError"), SourceRejected),
        (rpc_error("psycopg2.OperationalError"), SourceUnavailable),
        (JSONResponse({"jsonrpc": "2.0", "id": 1}), SourceMalformed),
        (JSONResponse({"jsonrpc": "2.0", "id": 1, "result": {"id": 1}}), SourceMalformed),
        (JSONResponse({"jsonrpc": "2.0", "id": 1, "result": [{"id": 1}]}), SourceMalformed),
        (JSONResponse({"jsonrpc": "2.0", "id": 1, "result": ["hunter2"]}), SourceMalformed),
    ],
)
async def test_faults_are_our_errors_without_the_servers_text(
    database: tuple[Odoo, Source], answer: Response, error: type[SourceError]
):
    server, source = database
    server.fault = lambda _, __: answer
    with pytest.raises(error) as caught:
        await source.items.by_sku(SYSTEM, ["SKU-0001"])
    assert "hunter2" not in f"{caught.value.message} {caught.value!r}"
    assert "Traceback" not in (caught.value.detail or "")


async def test_twenty_first_reads_sign_in_once(database: tuple[Odoo, Source]):
    server, source = database
    found = await asyncio.gather(*(source.items.by_sku(SYSTEM, ["SKU-0001"]) for _ in range(20)))
    assert (server.logins, {tuple(one) for one in found}) == (1, {("SKU-0001",)})


async def test_refused_login_is_an_error_and_tried_again(database: tuple[Odoo, Source]):
    server, _ = database
    other = connect_to(server.url, credentials={"login": "gateway", "password": "wrong"})
    for _ in range(2):
        with pytest.raises(SourceRejected) as caught:
            await other.items.by_sku(SYSTEM, ["SKU-0001"])
        assert (caught.value.status, caught.value.detail) == (401, "the login was refused")
    await other.aclose()


# Versions


async def test_version_19_is_read_with_a_bearer_token_and_lacks_prices(database: tuple[Odoo, Source]):
    server, _ = database
    source = compile_source(connect_to(server.url, version=19), utc_now)
    level = await source.warehouses.all(SYSTEM)
    assert [one.code for one in level] == ["EAST", "WEST"]
    assert server.logins == 0
    (prices,) = [one for one in source.capabilities if one.port == "prices"]
    assert prices.status == "MISSING"
    assert prices.missing_reason == "Odoo computes prices in private methods since version 16; no call returns one"
    await source.aclose()


async def test_names_of_versions_are_translated():
    old, new = Names(11), Names(19)
    assert [one.model("account.invoice.line") for one in (old, Names(12), new)] == [
        "account.invoice.line",
        "account.invoice.line",
        "account.move.line",
    ]
    assert [Names(version).field("account.invoice", "payment_state") for version in (11, 12, 13, 14)] == [
        None,
        None,
        "invoice_payment_state",
        "payment_state",
    ]
    assert [new.field("sale.order.line", name) for name in ("product_uom", "qty_delivered")] == [
        "product_uom_id",
        "qty_delivered",
    ]


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"options": {"version": 10}}, "sources.odoo.options"),
        ({"options": {"database": "a/b"}}, "sources.odoo.options"),
        ({"options": {"unknown": 1}}, "sources.odoo.options"),
        ({"options": {"order_key_field": "x; drop"}}, "sources.odoo.options"),
        ({"credentials": {"login": "me"}}, "sources.odoo.credentials"),
        ({"credentials": {"api_key": "s3cr3t"}}, "sources.odoo.credentials.api_key"),
        ({"options": {"max_order_seconds": 0.1}}, "sources.odoo.options.max_order_seconds"),
    ],
)
async def test_wrong_configuration_stops_the_start(changes: dict[str, Any], key: str):
    with pytest.raises(ConfigurationError) as caught:
        connect_to("http://127.0.0.1:1", **changes)
    assert str(caught.value).startswith(key)
    assert "s3cr3t" not in str(caught.value)
