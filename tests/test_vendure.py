"""Vendure's peculiarities; what all adapters have in common is in tests/contract."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from app import telemetry
from app.auth.principal import SYSTEM
from app.errors import (
    ConfigurationError,
    InvalidCursor,
    SourceError,
    SourceMalformed,
    SourceRejected,
    SourceUnavailable,
)
from app.settings import SourceSettings
from app.sources.changes import ChangeKind
from app.sources.common import Money, Page
from app.sources.orders import CustomerPoKey, OrderQuery, OrderSort, OrderStatus
from app.sources.shipments import ShipmentStatus
from app.sources.vendure import connect
from app.sources.vendure.client import VendureClient
from app.sources.vendure.items import plain_text
from app.sources.vendure.options import VendureOptions
from tests.contract.case import Environment
from tests.contract.vendure_case import URL, connect_to, open_vendure
from tests.upstreams.graphql import Answer, fault, graphql_upstream

SHARED = [f"SO-{number}" for number in range(100011, 100061)]
SKUS = [f"SKU-{number:04}" for number in range(1, 201)]
HOSTILE = ["", " ", "'", '"}{', "SO-100040\0", "../x?y#z", "%", "_", "x" * 10_000, "😀", "so-100040", "SO-100040'"]


@pytest.fixture
async def vendure(live, recording):
    async with open_vendure(Environment(live=live, recording=recording, sandbox=NotImplemented)) as source:
        yield source


# The seeded server, recorded


async def test_order_that_the_erp_thinks_unsent_is_shipped_here(vendure):
    order = (await vendure.orders.by_number(SYSTEM, ["SO-100053"]))["SO-100053"]
    assert (order.status, order.raw_status) == (OrderStatus.SHIPPED, "Shipped")
    assert [(sent.tracking_number, sent.status) for sent in order.shipments] == [
        ("1ZDEMO000053", ShipmentStatus.IN_TRANSIT)
    ]
    assert [line.shipped_quantity for line in order.lines] == [line.quantity for line in order.lines]


async def test_cancelled_order_keeps_what_was_ordered(vendure):
    order = (await vendure.orders.by_number(SYSTEM, ["SO-100082"]))["SO-100082"]
    assert order.status is OrderStatus.CANCELLED
    assert [(line.quantity, line.cancelled_quantity) for line in order.lines] == [(4, 4), (3, 3)]
    assert order.totals.total == Money(amount=Decimal("0.00"), currency="USD")
    assert [step.status for step in order.history] == [
        OrderStatus.DRAFT,
        OrderStatus.DRAFT,
        OrderStatus.PROCESSING,
        OrderStatus.CANCELLED,
    ]


async def test_every_state_of_the_seed_is_known(vendure):
    codes = [
        f"SO-{number}" for number in (100001, 100006, 100011, 100036, 100046, 100061, 100066, 100081, 100086, 100096)
    ]
    orders = await vendure.orders.by_number(SYSTEM, codes)
    assert {orders[code].raw_status: orders[code].status for code in codes} == {
        "Draft": OrderStatus.DRAFT,
        "ArrangingPayment": OrderStatus.DRAFT,
        "PaymentSettled": OrderStatus.PROCESSING,
        "PartiallyShipped": OrderStatus.PARTIALLY_SHIPPED,
        "Shipped": OrderStatus.SHIPPED,
        "PartiallyDelivered": OrderStatus.PARTIALLY_DELIVERED,
        "Delivered": OrderStatus.DELIVERED,
        "Cancelled": OrderStatus.CANCELLED,
        "PaymentAuthorized": OrderStatus.CONFIRMED,
        "AddingItems": OrderStatus.DRAFT,
    }


async def test_totals_add_up_to_the_cent(vendure):
    orders = await vendure.orders.by_number(SYSTEM, SHARED)
    assert len(orders) == 50
    for order in orders.values():
        sums = order.totals
        assert sums.net.amount + sums.shipping.amount + sums.tax.amount == sums.total.amount
        assert sum(line.total.amount for line in order.lines) == sums.net.amount


async def test_fifty_orders_take_as_many_calls_as_one(vendure):
    await vendure.ping()
    with telemetry.begin() as scope:
        await vendure.orders.by_number(SYSTEM, SHARED[:1])
    assert scope.calls == [("commerce", "orders.by_number")]
    with telemetry.begin() as scope:
        await vendure.orders.by_number(SYSTEM, SHARED)
    assert scope.calls == [("commerce", "orders.by_number")]


async def test_hostile_keys_are_absent(vendure):
    assert dict(await vendure.orders.by_number(SYSTEM, HOSTILE)) == {}
    assert dict(await vendure.orders.by_id(SYSTEM, HOSTILE)) == {}
    assert dict(await vendure.contents.contents(SYSTEM, HOSTILE)) == {}
    assert dict(await vendure.reservations.reservations(SYSTEM, HOSTILE)) == {}
    keys = [CustomerPoKey(customer="CUST-0024", number=number) for number in HOSTILE]
    assert dict(await vendure.orders.by_customer_po(SYSTEM, keys)) == {}
    assert dict(await vendure.orders.by_customer(SYSTEM, HOSTILE, OrderQuery(page=Page(first=5)))) == {}


async def test_keys_that_cannot_exist_are_not_sent(vendure):
    await vendure.ping()
    with telemetry.begin() as scope:
        assert dict(await vendure.orders.by_number(SYSTEM, ["", "a\0b", "x" * 10_000])) == {}
    assert scope.calls == []


async def test_pages_of_a_customer_follow_each_other(vendure):
    first = OrderQuery(page=Page(first=1, count=True))
    one = (await vendure.orders.by_customer(SYSTEM, ["CUST-0002"], first))["CUST-0002"]
    assert [row.number for row in one.rows] == ["SO-100094"]
    assert (one.total, one.has_next, one.has_previous) == (2, True, False)
    rest = OrderQuery(page=Page(first=5, after=one.cursors[-1]))
    two = (await vendure.orders.by_customer(SYSTEM, ["CUST-0002"], rest))["CUST-0002"]
    assert [row.number for row in two.rows] == ["SO-100044"]
    assert (two.total, two.has_next, two.has_previous) == (2, False, True)


async def test_orders_of_a_customer_by_status_and_oldest_first(vendure):
    async def codes(**query: Any) -> list[str]:
        asked = OrderQuery(page=Page(first=5), **query)
        found = await vendure.orders.by_customer(SYSTEM, ["CUST-0002"], asked)
        return [row.number for row in found["CUST-0002"].rows]

    assert await codes(sort=OrderSort.ORDERED_AT_ASC) == ["SO-100044", "SO-100094"]
    assert await codes(status=(OrderStatus.CONFIRMED, OrderStatus.SHIPPED)) == ["SO-100094"]
    assert await codes(status=(OrderStatus.UNKNOWN,)) == []
    assert await codes(status=(OrderStatus.UNKNOWN, OrderStatus.PARTIALLY_SHIPPED)) == ["SO-100044"]
    assert await codes(status=(OrderStatus.QUOTED,)) == []


@pytest.mark.parametrize("cursor", ["", "-1", "1.5", "x", "9" * 40, "١"])
async def test_garbage_cursor_is_refused(vendure, cursor):
    with pytest.raises(InvalidCursor):
        await vendure.orders.by_customer(SYSTEM, ["CUST-0002"], OrderQuery(page=Page(first=1, after=cursor)))


async def test_purchase_order_of_another_customer_is_absent(vendure):
    mine = CustomerPoKey(customer="CUST-0024", number="PO-00040")
    other = CustomerPoKey(customer="CUST-0001", number="PO-00040")
    found = await vendure.orders.by_customer_po(SYSTEM, [mine, other])
    assert {key: order.number for key, order in found.items()} == {mine: "SO-100040"}


async def test_reservations_of_any_number_of_items_take_one_call(vendure):
    await vendure.ping()
    with telemetry.begin() as scope:
        some = await vendure.reservations.reservations(SYSTEM, ["SKU-0145"])
        every = await vendure.reservations.reservations(SYSTEM, SKUS)
    assert scope.calls == [("commerce", "reservations")] * 2
    assert every["SKU-0145"] == some["SKU-0145"]
    assert sum(row.quantity for rows in every.values() for row in rows) == 343
    # The rest of a part shipment is still promised; what was shipped is not.
    partly = {(row.sku, row.quantity) for rows in every.values() for row in rows if row.order == "SO-100040"}
    assert partly == {("SKU-0165", 4), ("SKU-0124", 5), ("SKU-0045", 1)}


@pytest.mark.live
async def test_reservations_agree_with_the_allocations_of_the_real_server(recording):
    if recording:
        pytest.skip("compares two moments of the real server")
    source, client = connect_to(URL), VendureClient("commerce", _settings(URL), VendureOptions())
    document = "{ productVariants(options: {take: 1000}) { items { sku stockLevels { stockAllocated } } } }"
    try:
        reserved = await source.reservations.reservations(SYSTEM, SKUS)
        answer = await client.run(document, {}, into=dict[str, Any], call="stock")
    finally:
        await source.aclose()
        await client.aclose()
    allocated = {
        item["sku"]: sum(level["stockAllocated"] for level in item["stockLevels"])
        for item in answer["productVariants"]["items"]
    }
    assert len(allocated) == 200
    assert {sku: sum(row.quantity for row in reserved.get(sku, ())) for sku in SKUS} == allocated


async def test_changes_are_read_to_the_end_without_gaps_or_repeats(vendure):
    cursor = "ORDER@2020-01-01T00:00:00+00:00@"
    seen, more = [], True
    while more:
        page = await vendure.changes.since(SYSTEM, frozenset({ChangeKind.ORDER}), cursor, limit=30)
        assert len(page.changes) <= 30
        seen += page.changes
        cursor, more = page.cursor, page.more
    assert [change.key for change in seen] == [
        change.key for change in sorted(seen, key=lambda change: (change.at, int(change.key[3:])))
    ]
    assert len({change.key for change in seen}) == len(seen) == 100


async def test_changes_start_now_without_a_call():
    source = connect("commerce", _settings("http://127.0.0.1:9"), clock=lambda: datetime(2026, 11, 1, tzinfo=UTC))
    page = await source.changes.since(SYSTEM, frozenset({ChangeKind.ORDER, ChangeKind.STOCK}), None)
    assert (page.changes, page.more) == ((), False)
    assert page.cursor == "ORDER@2026-11-01T00:00:00+00:00@"
    await source.aclose()


@pytest.mark.parametrize("cursor", ["x", "ORDER@yesterday@1", "ORDER@2026-01-01T00:00:00@1", "STOCK@2026-01-01@1"])
async def test_garbage_change_cursor_is_refused(vendure, cursor):
    with pytest.raises(InvalidCursor):
        await vendure.changes.since(SYSTEM, frozenset({ChangeKind.ORDER}), cursor)


# The session


def _settings(url: str, **options: object) -> SourceSettings:
    credentials = {"username": "connector@example.com", "password": "connector-demo"}
    raw = {"vendor": "vendure", "base_url": url, "credentials": credentials, "options": options}
    return SourceSettings.model_validate(raw)


class Sessions:
    """Logins of a scripted Vendure: the n-th login gives the token `session-n`; `valid` are those that still hold."""

    def __init__(self) -> None:
        self.logins = 0
        self.valid: set[str] = set()

    def login(self, variables: dict[str, Any], request: Request) -> Response:
        assert variables == {"username": "connector@example.com", "password": "connector-demo"}
        self.logins += 1
        self.valid = {f"Bearer session-{self.logins}"}
        body = {"data": {"login": {"__typename": "CurrentUser"}}}
        return JSONResponse(body, headers={"vendure-auth-token": f"session-{self.logins}"})

    def guarded(self, answer: Any) -> Answer:
        """Gives the answer with a valid session, else FORBIDDEN."""
        return lambda variables, request: (
            answer if request.headers["authorization"] in self.valid else fault("FORBIDDEN", {"me": None})
        )


NO_ORDERS = {"data": {"orders": {"totalItems": 0, "items": []}}}


def _upstream(sessions: Sessions, **answers: Answer):
    return graphql_upstream({"Login": sessions.login, "": sessions.guarded({"data": {"me": {"id": "52"}}}), **answers})


async def test_many_first_calls_log_in_once():
    sessions = Sessions()
    async with _upstream(sessions) as upstream:
        source = connect_to(upstream.url)
        await asyncio.gather(*(source.ping() for _ in range(20)))
        await source.aclose()
    assert (sessions.logins, upstream.count("")) == (1, 20)


async def test_ended_session_is_renewed_once_for_all_that_meet_it():
    sessions = Sessions()
    async with _upstream(sessions, Orders=sessions.guarded(NO_ORDERS)) as upstream:
        source = connect_to(upstream.url)
        await source.ping()
        sessions.valid.clear()
        await asyncio.gather(*(source.orders.by_number(SYSTEM, [f"SO-{n}"]) for n in range(10)))
        await source.aclose()
    assert sessions.logins == 2


async def test_missing_permission_is_rejected_and_causes_no_further_logins():
    sessions = Sessions()
    async with _upstream(sessions, Orders=lambda variables, request: fault("FORBIDDEN")) as upstream:
        source = connect_to(upstream.url)
        await source.ping()
        for _ in range(3):
            with pytest.raises(SourceRejected) as caught:
                await source.orders.by_number(SYSTEM, ["SO-1"])
            assert caught.value.status == 403
        await source.ping()
        await source.aclose()
    assert sessions.logins == 2
    assert "ORA-00942" not in caught.value.message
    assert "ORA-00942" in (caught.value.detail or "")


async def test_wrong_password_is_rejected_and_asked_once_by_all_who_wait():
    refused = {"data": {"login": {"__typename": "InvalidCredentialsError", "errorCode": "INVALID_CREDENTIALS_ERROR"}}}
    async with graphql_upstream({"Login": lambda variables, request: refused}) as upstream:
        source = connect_to(upstream.url)
        errors = await asyncio.gather(*(source.ping() for _ in range(10)), return_exceptions=True)
        with pytest.raises(SourceRejected):
            await source.ping()
        await source.aclose()
    assert [(type(error), getattr(error, "status", None)) for error in errors] == [(SourceRejected, 401)] * 10
    assert all("connector" not in f"{error} {getattr(error, 'detail', '')}" for error in errors)
    assert upstream.count("Login") == 2


async def test_login_that_breaks_is_unavailable_and_tried_again():
    sessions = Sessions()
    answers = iter([HTMLResponse("<h1>Bad gateway</h1>", 502)])

    def login(variables: dict[str, Any], request: Request) -> Response:
        return next(answers, None) or sessions.login(variables, request)

    async with _upstream(sessions, Login=login) as upstream:
        source = connect_to(upstream.url)
        with pytest.raises(SourceUnavailable):
            await source.ping()
        await source.ping()
        await source.aclose()
    assert sessions.logins == 1


async def test_cancelled_login_does_not_block_the_next():
    sessions = Sessions()
    async with _upstream(sessions) as upstream:
        source = connect_to(upstream.url)
        first = asyncio.ensure_future(source.ping())
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await source.ping()
        await source.aclose()


# Errors


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (fault("CHANNEL_NOT_FOUND"), SourceRejected),
        (fault("USER_INPUT_ERROR"), SourceRejected),
        (JSONResponse(fault("GRAPHQL_VALIDATION_FAILED"), 400), SourceRejected),
        (JSONResponse({"statusCode": 400, "message": "x", "path": "/admin-api"}, 400), SourceRejected),
        (fault("INTERNAL_SERVER_ERROR"), SourceUnavailable),
        (HTMLResponse("<h1>Oops</h1>", 500), SourceUnavailable),
        (HTMLResponse("<h1>Login</h1>"), SourceMalformed),
        (Response('{"data": {"orders": {"items": [', media_type="application/json"), SourceMalformed),
        ({"data": None}, SourceMalformed),
        ({"data": {"orders": {"totalItems": 1, "items": [{"id": 7}]}}}, SourceMalformed),
        ({"data": {"orders": {"totalItems": 1, "items": "none"}}}, SourceMalformed),
        ([], SourceMalformed),
    ],
)
async def test_wrong_answers_become_our_errors(answer, error):
    sessions = Sessions()
    async with _upstream(sessions, Orders=lambda variables, request: answer) as upstream:
        source = connect_to(upstream.url)
        with pytest.raises(SourceError) as caught:
            await source.orders.by_number(SYSTEM, ["SO-1"])
        await source.aclose()
    assert type(caught.value) is error
    assert "ORA" not in caught.value.message
    assert sessions.logins == 1


# Mapping


def _order(**changes: Any) -> dict[str, Any]:
    return {
        "id": "1",
        "code": "SO-1",
        "state": "PaymentSettled",
        "orderPlacedAt": "2026-01-02T03:04:05.678Z",
        "updatedAt": "2026-01-02T03:04:05.678Z",
        "currencyCode": "USD",
        "subTotal": 1999,
        "shipping": 100,
        "total": 2099,
        "totalWithTax": 2300,
        "customFields": {"po": None},
        "channels": [{"code": "__default_channel__"}, {"code": "canada"}],
        "customer": {"customFields": {"number": "C-1"}},
        "shippingAddress": {},
        "billingAddress": None,
        "lines": [],
        "fulfillments": None,
        "history": {"items": []},
        **changes,
    }


def _orders(*orders: dict[str, Any]) -> dict[str, Any]:
    return {"data": {"orders": {"totalItems": len(orders), "items": list(orders)}}}


async def _read(answer: dict[str, Any], **options: object):
    async with _upstream(Sessions(), Orders=lambda variables, request: answer) as upstream:
        source = connect_to(upstream.url, **options)
        found = await source.orders.by_number(SYSTEM, ["SO-1"])
        await source.aclose()
    return found["SO-1"]


@pytest.mark.parametrize(
    ("currency", "options", "amount"),
    [
        ("USD", {}, "23.00"),
        ("JPY", {}, "2300"),
        ("KWD", {}, "2.300"),
        ("JPY", {"money_digits": 2}, "23.00"),
        ("USD", {"money_digits": 4}, "0.2300"),
    ],
)
async def test_money_has_the_digits_of_its_currency(currency, options, amount):
    order = await _read(_orders(_order(currencyCode=currency)), **options)
    assert order.totals.total == Money(amount=Decimal(amount), currency=currency)
    assert str(order.totals.total.amount) == amount


async def test_unknown_states_are_kept_and_counted():
    sent = {"id": "9", "state": "Lost", "updatedAt": "2026-01-02T03:04:05Z", "lines": []}
    order = await _read(_orders(_order(state="Fraud check", fulfillments=[sent])))
    assert (order.status, order.raw_status) == (OrderStatus.UNKNOWN, "Fraud check")
    assert (order.shipments[0].status, order.shipments[0].raw_status) == (ShipmentStatus.UNKNOWN, "Lost")
    text = telemetry.metrics_text().decode()
    assert 'tradegraph_unknown_statuses_total{field="order.state",raw="Fraud check",source="commerce"}' in text
    assert 'tradegraph_unknown_statuses_total{field="fulfillment.state",raw="Lost",source="commerce"}' in text


async def test_lines_are_numbered_by_id_and_count_what_left_the_house():
    def line(key: str, quantity: int, placed: int) -> dict[str, Any]:
        variant = {"sku": f"S{key}", "name": f"Thing {key}"}
        prices = {"proratedUnitPrice": 10, "proratedLinePrice": 10 * quantity}
        return {"id": key, "quantity": quantity, "orderPlacedQuantity": placed, **prices, "productVariant": variant}

    def sent(key: str, state: str, quantity: int) -> dict[str, Any]:
        lines = [{"orderLineId": "9", "quantity": quantity}]
        return {"id": key, "state": state, "updatedAt": "2026-01-02T03:04:05Z", "lines": lines}

    order = await _read(
        _orders(
            _order(
                lines=[line("10", 2, 5), line("9", 8, 6)],
                fulfillments=[sent("2", "Shipped", 3), sent("1", "Delivered", 1), sent("3", "Pending", 2)],
            )
        )
    )
    told = [
        (line.number, line.sku, line.quantity, line.shipped_quantity, line.cancelled_quantity) for line in order.lines
    ]
    assert told == [(1, "S9", 8, 4, 0), (2, "S10", 5, 0, 3)]
    assert [(sent.id, sent.status) for sent in order.shipments] == [
        ("1", ShipmentStatus.DELIVERED),
        ("2", ShipmentStatus.IN_TRANSIT),
        ("3", ShipmentStatus.PENDING),
    ]


async def test_sparse_order_of_another_channel_is_read():
    order = await _read(_orders(_order(customer=None)))
    assert (order.customer, order.customer_po, order.bill_to, order.ship_to) == (None, None, None, None)
    assert (order.channel, order.lines, order.shipments) == ("canada", (), ())
    assert order.ordered_at == datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)


async def test_unpaid_change_holds_the_order():
    order = await _read(_orders(_order(state="ArrangingAdditionalPayment")))
    assert order.status is OrderStatus.PROCESSING
    assert [(hold.kind, hold.since) for hold in order.holds] == [("PAYMENT", order.updated_at)]


async def test_orders_of_several_buyers_of_a_customer_are_merged():
    placed = {"anna": [8, 5, 2], "bert": [9, 4]}  # days, newest first

    def answer(variables: dict[str, Any], request: Request) -> dict[str, Any]:
        skip, take = variables["orders"].get("skip", 0), variables["orders"]["take"]
        people = []
        for buyer, days in placed.items():
            rows = [_order(id=str(day), code=f"SO-{day}", orderPlacedAt=f"2026-01-0{day}T00:00:00Z") for day in days]
            page = {"totalItems": len(rows), "items": rows[skip : skip + take]}
            people.append({"id": buyer, "customFields": {"number": "C-1"}, "orders": page})
        return {"data": {"customers": {"totalItems": 2, "items": people}}}

    async with _upstream(Sessions(), CustomerOrders=answer) as upstream:
        source = connect_to(upstream.url)
        after, codes = None, []
        for _ in range(3):
            query = OrderQuery(page=Page(first=2, after=after))
            page = (await source.orders.by_customer(SYSTEM, ["C-1"], query))["C-1"]
            assert page.total == 5
            after = page.cursors[-1]
            codes.append([row.number for row in page.rows])
        await source.aclose()
    assert codes == [["SO-9", "SO-8"], ["SO-5", "SO-4"], ["SO-2"]]
    assert (page.has_next, page.has_previous) == (False, True)


async def test_reservations_are_read_page_by_page_and_over_all_channels():
    def order(number: int) -> dict[str, Any]:
        lines = [{"id": "1", "quantity": 2, "productVariant": {"sku": "S"}}]
        return {"code": f"SO-{number}", "orderPlacedAt": None, "lines": lines, "fulfillments": None}

    channels = []

    def answer(variables: dict[str, Any], request: Request) -> dict[str, Any]:
        channels.append(request.headers.get("vendure-token"))
        skip, take = variables["options"]["skip"], variables["options"]["take"]
        rows = [order(number) for number in range(1200)][skip : skip + take]
        return {"data": {"orders": {"totalItems": 1200, "items": rows}}}

    async with _upstream(Sessions(), OpenOrders=answer) as upstream:
        source = connect_to(upstream.url, channel="canada-channel")
        found = await source.reservations.reservations(SYSTEM, ["S", "T"])
        await source.aclose()
    assert set(found) == {"S"}
    assert len({row.order for row in found["S"]}) == len(found["S"]) == 1200
    assert channels == [None, None]


async def test_channel_is_sent_with_orders_and_content():
    seen = []

    def answer(variables: dict[str, Any], request: Request) -> dict[str, Any]:
        seen.append(request.headers.get("vendure-token"))
        return NO_ORDERS

    async with _upstream(Sessions(), Orders=answer) as upstream:
        source = connect_to(upstream.url, channel="canada-channel")
        await source.orders.by_number(SYSTEM, ["SO-1"])
        await source.aclose()
    assert seen == ["canada-channel"]


async def test_content_is_plain_text_with_absolute_media_and_public_attributes():
    picture = {"name": "Bolt", "type": "IMAGE", "mimeType": "image/png", "source": "a/bolt.png"}
    sheet = {"name": "", "type": "BINARY", "mimeType": "application/pdf", "source": "https://cdn.example.com/b.pdf"}
    metal = {"name": "Steel", "facet": {"code": "material", "isPrivate": False}}
    secret = {"name": "low margin", "facet": {"code": "steering", "isPrivate": True}}
    product = {
        "id": "1",
        "slug": "bolt",
        "description": "<p>Hex &amp; hard</p><script>alert(1)</script><p>M8</p>",
        "assets": [picture, sheet],
        "facetValues": [metal, secret],
    }
    option = {"name": "100 pcs", "group": {"code": "bolt-pack"}}
    base = {"sku": "S", "product": product, "assets": [picture], "options": [option], "facetValues": [metal]}
    variants = [{"id": "1", "enabled": False, **base}, {"id": "2", "enabled": True, **base}]
    answer = {"data": {"productVariants": {"items": variants}}}
    async with _upstream(Sessions(), Contents=lambda variables, request: answer) as upstream:
        source = connect_to(upstream.url)
        found = (await source.contents.contents(SYSTEM, ["S", "T"]))["S"]
        await source.aclose()
    assert found.description == "Hex & hard\nM8"
    assert [(one.code, one.value) for one in found.attributes] == [("pack", "100 pcs"), ("material", "Steel")]
    assert [(one.url, one.kind, one.alt) for one in found.media] == [
        (f"{upstream.url}/assets/a/bolt.png", "IMAGE", "Bolt"),
        ("https://cdn.example.com/b.pdf", "DATASHEET", None),
    ]
    assert found.refs[0].id == "2"


def test_markup_that_is_never_closed_is_still_text():
    assert plain_text("a <b>bold</b> word <br>next <script>x") == "a bold word\nnext"
    assert plain_text("") == ""


# Configuration


@pytest.mark.parametrize(
    ("credentials", "options", "key"),
    [
        ({"username": "x"}, {}, "sources.shop.credentials.password"),
        ({"username": "x", "password": "y"}, {"chanel": "x"}, "sources.shop.options"),
        ({"username": "x", "password": "y"}, {"po_number_field": "po}{evil"}, "sources.shop.options"),
        ({"username": "x", "password": "y"}, {"money_digits": -1}, "sources.shop.options"),
    ],
)
def test_wrong_configuration_names_the_key(credentials, options, key):
    raw = {"vendor": "vendure", "base_url": "http://shop.example.com", "credentials": credentials, "options": options}
    with pytest.raises(ConfigurationError) as caught:
        connect("shop", SourceSettings.model_validate(raw))
    assert caught.value.key == key
