"""Business Central: its declared calls, its traps, and faults of a server made from the published contract."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.auth.principal import SYSTEM
from app.errors import (
    ConfigurationError,
    NotSupported,
    SourceError,
    SourceMalformed,
    SourceRejected,
    SourceThrottled,
    SourceUnavailable,
)
from app.sources.changes import ChangeKind
from app.sources.customers import CustomerPart
from app.sources.order_writer import NewOrder, NewOrderLine, OrderNotAccepted, WrittenOrder
from app.sources.orders import CustomerPoKey, OrderQuery, OrderStatus
from app.sources.pipeline.compose import compile_source
from app.sources.source import Source
from app.sources.values import Money, PageRequest, utc_now
from tests.contract.business_central_case import NOON, connect_to, running
from tests.contract.case import counted_calls
from tests.upstreams.business_central import ANALYTICS, API, LOGIN_PAGE, BusinessCentral, sales_order

KINDS = frozenset({ChangeKind.CUSTOMER, ChangeKind.ITEM, ChangeKind.ORDER, ChangeKind.SHIPMENT, ChangeKind.INVOICE})


class Clock:
    """A time that a test moves."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
async def company() -> AsyncIterator[tuple[BusinessCentral, Source]]:
    async with running(limits={"retries": 0}) as both:
        yield both


def new_order(key: str = "01JDKEY", **values: Any) -> NewOrder:
    price = Money(amount=Decimal("9.99"), currency="USD")
    line = NewOrderLine(number=1, sku="1001", quantity=Decimal("2.5"), uom="PCS", unit_price=price)
    given = {"customer": "C00001", "customer_po": "PO 77", "channel": "web", "lines": (line,)} | values
    return NewOrder(key=key, **given)


async def test_every_declared_call_is_made_and_no_other(company: tuple[BusinessCentral, Source]):
    server, source = company
    await source.ping()
    customers = await source.customers.by_number(SYSTEM, ["C00001"])
    await source.customers.by_number(SYSTEM, ["C00001"], [CustomerPart.CREDIT])
    await source.customers.by_id(SYSTEM, [customers["C00001"].refs[0].id])
    await source.credit.status(SYSTEM, ["C00001"])
    items = await source.items.by_sku(SYSTEM, ["1001"])
    await source.items.by_gtin(SYSTEM, ["4000000000001"])
    await source.items.by_id(SYSTEM, [items["1001"].refs[0].id])
    await source.items.costs(SYSTEM, ["1001"])
    await source.warehouses.all(SYSTEM)
    await source.stock.levels(SYSTEM, ["1001"])
    orders = await source.orders.by_number(SYSTEM, ["S-ORD0001"])
    await source.orders.by_id(SYSTEM, [orders["S-ORD0001"].id])
    await source.orders.by_customer_po(SYSTEM, [CustomerPoKey(customer="C00002", number="PO-1")])
    await source.orders.by_customer(
        SYSTEM, ["C00001"], OrderQuery(page=PageRequest(first=2), status=(OrderStatus.DRAFT, OrderStatus.CONFIRMED))
    )
    shipments = await source.shipments.by_order(SYSTEM, ["S-ORD0001"])
    await source.shipments.by_id(SYSTEM, [shipments["S-ORD0001"][0].id])
    invoices = await source.billing.invoices(SYSTEM, ["S-ORD0001"])
    await source.billing.by_id(SYSTEM, [invoices["S-ORD0001"][0].id])
    await source.changes.since(SYSTEM, KINDS, "2020-01-01T00:00:00+00:00")
    written = await source.order_writer.post(SYSTEM, new_order(requested_date=date(2026, 12, 1), note="Ring twice"))
    assert await source.order_writer.find(SYSTEM, ["01JDKEY", "none"]) == {"01JDKEY": (written,)}
    await source.order_writer.cancel(SYSTEM, written, "wrong")
    assert server.traffic.unused == set()


async def test_shipments_of_an_order_come_oldest_first_without_comments(company: tuple[BusinessCentral, Source]):
    _, source = company
    with counted_calls() as calls:
        found = await source.shipments.by_order(SYSTEM, ["S-ORD0001", "S-ORD0002", "none"])
    assert (list(found), len(calls)) == (["S-ORD0001"], 2)  # The sign-in is the other one.
    first, second = found["S-ORD0001"]
    assert [first.raw_status, first.customer, first.orders] == ["Posted", "C00002", ("S-ORD0001",)]
    assert first.shipped_at == datetime(2026, 11, 21, tzinfo=UTC)
    assert [(line.sku, line.quantity, line.line_number) for line in first.lines] == [("1001", Decimal(1), 10000)]
    assert [(line.sku, line.quantity) for line in second.lines] == [("1001", Decimal(2))]
    again = await source.shipments.by_id(SYSTEM, [second.id, first.id, "no id", first.id.upper()])
    assert again == {second.id: second, first.id: first}


async def test_stock_is_refused_by_name_where_the_analytics_api_is_not_there(company: tuple[BusinessCentral, Source]):
    server, plain = company
    source = compile_source(plain, utc_now)
    (stock,) = [one for one in source.capabilities if one.port == "stock"]
    assert stock.status == "UNPROBED"
    await source.ping()
    assert stock.status == "SERVED"
    server.has_analytics = False
    with pytest.raises(NotSupported, match="The source 'bc' does not support stock: the analytics API is not there"):
        await source.stock.levels(SYSTEM, ["1001"])
    assert stock.status == "MISSING"
    requests = len(server.seen)
    with pytest.raises(NotSupported, match=r"'bc' does not support stock.levels"):
        await source.stock.levels(SYSTEM, ["1001"])
    assert len(server.seen) == requests
    server.has_analytics = True
    await source.ping()
    assert list(await source.stock.levels(SYSTEM, ["1001"])) == ["1001"]


async def test_stock_is_read_of_the_replica_in_two_requests(company: tuple[BusinessCentral, Source]):
    server, source = company
    await source.ping()
    server.replica_reads = 0
    for skus in (["1001"], ["1001", "1002", "1003", *(f"X{n}" for n in range(150))]):
        with counted_calls() as calls:
            await source.stock.levels(SYSTEM, skus)
        assert sorted(calls) == [("bc", "stock"), ("bc", "stock.items")]
    assert server.replica_reads == 3 + 6


async def test_stock_without_a_location_goes_where_it_is_configured():
    entries = {"itemNo": "1001", "locationCode": "", "remainingQuantity": 7, "open": True}
    for configured, expected in (({}, ["EAST", "WEST"]), ({"default_location": "MAIN"}, ["EAST", "MAIN", "WEST"])):
        async with running(options=configured) as (server, source):
            server.tables[f"{ANALYTICS}/itemLedgerEntries"].append(entries)
            (level,) = (await source.stock.levels(SYSTEM, ["1001"])).values()
        assert [position.warehouse for position in level.positions] == expected


async def test_many_keys_are_one_batch(company: tuple[BusinessCentral, Source]):
    server, source = company
    await source.ping()
    with counted_calls() as calls:
        found = await source.customers.by_number(SYSTEM, ["C00003", *(f"X{n:09}" for n in range(1000)), "C00001"])
    assert (list(found), calls) == (["C00003", "C00001"], [("bc", "customers")])
    assert server.seen[-1].startswith("POST /api/v2.0/$batch")


async def test_pages_that_the_server_cuts_are_read_whole(company: tuple[BusinessCentral, Source]):
    server, source = company
    server.page_size = 1
    assert len(await source.customers.by_number(SYSTEM, ["C00001", "C00002", "C00003"])) == 3
    (level,) = (await source.stock.levels(SYSTEM, ["1001"])).values()
    assert [position.on_hand for position in level.positions] == [Decimal("12.5"), Decimal("12.5")]


async def test_token_that_ends_is_renewed_once_for_all_reads():
    clock = Clock()
    async with running(clock, concurrency=20) as (server, source):
        await source.ping()
        server.endpoint.valid.clear()
        clock.now += timedelta(minutes=5)
        found = await asyncio.gather(*(source.customers.by_number(SYSTEM, ["C00001"]) for _ in range(20)))
        assert all(list(one) == ["C00001"] for one in found)
        assert len(server.endpoint.forms) == 2


async def test_token_that_ends_in_the_middle_of_a_batch_is_renewed_and_only_the_rest_repeated():
    clock = Clock()
    query = OrderQuery(page=PageRequest(first=5))
    async with running(clock) as (server, source):
        expected = await source.orders.by_customer(SYSTEM, ["C00001", "C00002"], query)
        clock.now += timedelta(minutes=5)
        server.inner_faults = {1: (401, {}, {"error": {"code": "Authentication_InvalidCredentials"}})}
        with counted_calls() as calls:
            found = await source.orders.by_customer(SYSTEM, ["C00001", "C00002"], query)
        assert calls == [("bc", "orders.by_customer"), ("bc", "sign_in"), ("bc", "orders.by_customer")]
    assert {number: [row.number for row in page.rows] for number, page in found.items()} == {
        number: [row.number for row in page.rows] for number, page in expected.items()
    }


@pytest.mark.parametrize(
    ("status", "headers", "error", "retry_after"),
    [
        (429, {"Retry-After": "17"}, SourceThrottled, 17.0),
        (429, {}, SourceThrottled, None),
        (503, {}, SourceUnavailable, None),
        (400, {}, SourceRejected, None),
    ],
)
async def test_failed_request_in_a_batch_is_the_error_of_the_read(
    company: tuple[BusinessCentral, Source],
    status: int,
    headers: dict[str, str],
    error: type[SourceError],
    retry_after: Any,
):
    server, source = company
    server.inner_faults = {1: (status, headers, {"error": {"code": "X", "message": "hunter2 CorrelationId: 1"}})}
    with pytest.raises(error) as caught:
        await source.orders.by_customer(SYSTEM, ["C00001", "C00002"], OrderQuery(page=PageRequest(first=5)))
    assert getattr(caught.value, "retry_after", None) == retry_after
    assert "hunter2" not in caught.value.message


async def test_partial_batch_is_an_error_and_no_empty_page(company: tuple[BusinessCentral, Source]):
    server, source = company
    server.left_out = {1}
    with pytest.raises(SourceMalformed) as caught:
        await source.orders.by_customer(SYSTEM, ["C00001", "C00002"], OrderQuery(page=PageRequest(first=5)))
    assert caught.value.detail == "orders.by_customer: 1 of 2 requests of a batch have no response"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Response("", 429, {"Retry-After": "3"}), SourceThrottled),
        (Response("", 429), SourceThrottled),
        (LOGIN_PAGE, SourceMalformed),
        (JSONResponse({"value": [{"id": "1", "number": 7, "displayName": "x"}]}), SourceMalformed),
        (
            JSONResponse({"value": [{"id": "1", "number": "C1", "displayName": "x", "creditLimit": "a"}]}),
            SourceMalformed,
        ),
    ],
)
async def test_faults_are_our_errors_without_the_servers_text(
    company: tuple[BusinessCentral, Source], answer: Response, error: type[SourceError]
):
    server, source = company
    server.fault = lambda _: answer
    with pytest.raises(error) as caught:
        await source.customers.by_number(SYSTEM, ["C00001"])
    assert "hunter2" not in f"{caught.value.message} {caught.value!r}"


async def test_unknown_status_is_kept(company: tuple[BusinessCentral, Source]):
    server, source = company
    server.tables[f"{API}/salesOrders"][0]["status"] = "Pending_x0020_Prepayment"
    order = (await source.orders.by_number(SYSTEM, ["S-ORD0001"]))["S-ORD0001"]
    assert (order.status, order.raw_status) == (OrderStatus.UNKNOWN, "Pending Prepayment")


async def test_newest_order_with_a_customers_number_counts(company: tuple[BusinessCentral, Source]):
    server, source = company
    server.tables[f"{API}/salesOrders"] += [
        sales_order("S-ORD0010", "C00001", "PO-9", ordered="2026-11-20"),
        sales_order("S-ORD0011", "C00001", "PO-9", ordered="2026-11-10"),
        sales_order("S-ORD0012", "C00003", "PO-9", ordered="2026-11-29"),
    ]
    key = CustomerPoKey(customer="C00001", number="PO-9")
    found = await source.orders.by_customer_po(SYSTEM, [key, CustomerPoKey(customer="C00002", number="PO-9")])
    assert {one: order.number for one, order in found.items()} == {key: "S-ORD0010"}


async def test_changes_of_one_time_are_on_one_page(company: tuple[BusinessCentral, Source]):
    server, source = company
    orders = [sales_order(f"S-ORD{n:04}", "C00001", "", ordered="2026-11-15") for n in range(100, 112)]
    server.tables[f"{API}/salesOrders"] = orders
    server.tables[f"{API}/items"][0]["lastModifiedDateTime"] = "2026-11-15T12:00:00Z"
    kinds = frozenset({ChangeKind.ORDER, ChangeKind.ITEM})
    seen, cursor, more, sizes = [], "2026-10-01T00:00:00+00:00", True, []
    while more:
        part = await source.changes.since(SYSTEM, kinds, cursor, limit=5)
        seen += [(change.kind, change.key) for change in part.changes]
        sizes.append(len(part.changes))
        cursor, more = part.cursor, part.more
    assert sizes == [2, 13, 0]
    assert sorted(seen) == sorted(
        [(ChangeKind.ITEM, one) for one in ("1001", "1002", "1003")]
        + [(ChangeKind.ORDER, row["number"]) for row in orders]
    )
    assert cursor == "2026-11-15T12:00:00+00:00"


# Orders in


async def test_order_is_one_deep_insert(company: tuple[BusinessCentral, Source]):
    server, source = company
    sent: list[Any] = []

    def record(request: Request) -> None:
        if request.method == "POST":
            sent.append(request)

    server.fault = record
    written = await source.order_writer.post(SYSTEM, new_order(requested_date=date(2026, 12, 1), allow_partial=False))
    assert (written.key, written.number, written.step) == ("01JDKEY", "S-ORD0007", "created")
    assert len(sent) == 1
    assert json.loads(await sent[0].body()) == {
        "customerNumber": "C00001",
        "externalDocumentNumber": "01JDKEY",
        "partialShipping": False,
        "requestedDeliveryDate": "2026-12-01",
        "currencyCode": "USD",
        "salesOrderLines": [
            {"lineType": "Comment", "description": "PO PO 77"},
            {
                "lineType": "Item",
                "lineObjectNumber": "1001",
                "quantity": 2.5,
                "unitOfMeasureCode": "PCS",
                "unitPrice": 9.99,
            },
        ],
    }
    assert await source.order_writer.post(SYSTEM, new_order(), written) == written
    assert len(sent) == 1


async def test_doubled_order_is_found_twice(company: tuple[BusinessCentral, Source]):
    _, source = company
    written = [await source.order_writer.post(SYSTEM, new_order()) for _ in range(2)]
    assert await source.order_writer.find(SYSTEM, ["01JDKEY", "it's", "x" * 36]) == {"01JDKEY": tuple(written)}


@pytest.mark.parametrize(
    ("order", "detail"),
    [
        ({"customer": "C99999"}, "Internal_RecordNotFound: The customer C99999 does not exist."),
        (
            {"lines": (NewOrderLine(number=1, sku="9999", quantity=Decimal(1)),)},
            "Application_DialogException: The item 9999 does not exist.",
        ),
        ({"key": "x" * 36}, "a key of 36 characters is longer than 35"),
    ],
)
async def test_refused_order_is_not_accepted_and_says_why(
    company: tuple[BusinessCentral, Source], order: dict[str, Any], detail: str
):
    _, source = company
    with pytest.raises(OrderNotAccepted) as caught:
        await source.order_writer.post(SYSTEM, new_order(**order))
    assert caught.value.detail == detail


async def test_price_of_several_units_is_not_divided(company: tuple[BusinessCentral, Source]):
    server, source = company
    line = NewOrderLine(
        number=7,
        sku="1001",
        quantity=Decimal(1),
        unit_price=Money(amount=Decimal(10), currency="USD"),
        price_unit=Decimal(3),
    )
    with pytest.raises(OrderNotAccepted) as caught:
        await source.order_writer.post(SYSTEM, new_order(lines=(line,)))
    assert (caught.value.lines, server.seen) == ((7,), [])


async def test_failed_write_is_sent_once(company: tuple[BusinessCentral, Source]):
    server, source = company
    await source.ping()
    server.fault = lambda _: Response("<html>hunter2</html>", 502)
    with pytest.raises(SourceUnavailable) as caught:
        await source.order_writer.post(SYSTEM, new_order())
    assert caught.value.sent is True
    assert sum(one.startswith("POST") for one in server.seen) == 1
    server.fault = lambda _: JSONResponse({"message": "hunter2"}, 400)
    with pytest.raises(SourceRejected) as refused:
        await source.order_writer.post(SYSTEM, new_order())
    assert "hunter2" not in refused.value.message


async def test_order_is_cancelled_by_deletion_unless_something_shipped(company: tuple[BusinessCentral, Source]):
    _, source = company
    written = await source.order_writer.post(SYSTEM, new_order())
    await source.order_writer.cancel(SYSTEM, written, "wrong")
    assert await source.order_writer.find(SYSTEM, ["01JDKEY"]) == {}
    await source.order_writer.cancel(SYSTEM, written, "wrong")
    shipped = (await source.orders.by_number(SYSTEM, ["S-ORD0001"]))["S-ORD0001"]
    with pytest.raises(OrderNotAccepted) as caught:
        await source.order_writer.cancel(
            SYSTEM, WrittenOrder(key="", id=shipped.id, number="", step="created"), "wrong"
        )
    assert caught.value.detail == "Application_DialogException: You cannot delete the order, a quantity was shipped."
    with pytest.raises(SourceMalformed):
        await source.order_writer.cancel(SYSTEM, WrittenOrder(key="", id="../x", number="", step="created"), "wrong")


# Configuration


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"options": {"company": "CRONUS"}}, "sources.bc.options"),
        ({"options": {"currency": "usd"}}, "sources.bc.options"),
        ({"options": {"tenant": "a/b"}}, "sources.bc.options"),
        ({"options": {"unknown": 1}}, "sources.bc.options"),
        ({"options": {"price_api": "contoso/../v1.0"}}, "sources.bc.options"),
        ({"credentials": {"client_id": "me"}}, "sources.bc.credentials"),
        ({"credentials": {"client_id": "me", "client_secret": "a", "private_key": "b"}}, "sources.bc.credentials"),
        ({"credentials": {"client_id": "me", "private_key": "n0 key"}}, "sources.bc.credentials.private_key"),
    ],
)
async def test_wrong_configuration_stops_the_start(changes: dict[str, Any], key: str):
    with pytest.raises(ConfigurationError) as caught:
        connect_to("http://127.0.0.1:1", token_url="http://127.0.0.1:1/token", **changes)
    assert str(caught.value).startswith(key)
    assert "n0 key" not in str(caught.value)


async def test_wrong_token_endpoint_is_named():
    with pytest.raises(ConfigurationError, match=r"sources\.bc\.options\.token_url = 'no address'"):
        connect_to("http://127.0.0.1:1", token_url="no address")
