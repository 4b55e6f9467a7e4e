"""How the Tryton adapter takes what the seeded server does not do: faults, odd rows."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import date
from decimal import Decimal
from typing import Any, cast

import pytest
from starlette.responses import JSONResponse, Response

from app.auth.principal import SYSTEM
from app.errors import SourceMalformed, SourceUnavailable
from app.sources.changes import ChangeKind
from app.sources.customers import CreditState, CustomerPart, CustomerQuery, PriceAgreement
from app.sources.items import ItemStatus
from app.sources.orders import HoldKind, OrderQuery, OrderSearch, OrderStatus
from app.sources.shipments import ShipmentStatus
from app.sources.stock import Supply, SupplyKind
from app.sources.tryton.changes import STREAMS
from app.sources.values import PageRequest
from tests.contract.tryton_case import asked, usd
from tests.upstreams.tryton import NOW, Read, connected, exact, on, tryton_upstream

# Reads


async def test_every_read_names_the_company():
    async with tryton_upstream() as upstream, connected(upstream, company=3) as source:
        upstream.rows["company.company"] = [{"id": 3, "currency": {"id": 2, "code": "EUR"}}]
        await source.ping()
        await source.customers.by_number(SYSTEM, ["CUST-1"], {CustomerPart.CREDIT})
        await source.stock.levels(SYSTEM, ["SKU-1"])
        assert {read.context["company"] for read in upstream.reads} == {3}
        asked_for = [read.domain for read in upstream.reads if read.model == "company.company"]
        assert asked_for[0] == [["id", "=", 3]]


async def test_long_lists_travel_in_pieces_of_a_hundred():
    async with tryton_upstream() as upstream, connected(upstream) as source:
        await source.ping()
        upstream.reads.clear()
        await source.items.by_sku(SYSTEM, [f"SKU-{number}" for number in range(250)])
        assert sorted(len(read.domain[0][2]) for read in upstream.reads) == [50, 100, 100]
        upstream.reads.clear()
        await source.items.by_sku(SYSTEM, [f"{number:03}{'é' * 190}" for number in range(100)])
        assert sum(len(read.domain[0][2]) for read in upstream.reads) == 100
        assert len(upstream.reads) == 4


async def test_list_over_thousands_of_customers_travels_in_bodies():
    async with tryton_upstream() as upstream, connected(upstream) as source:
        asked_for: list[Any] = []

        def answer(method: str, params: list[Any]) -> Response:
            asked_for.append(params[0])
            return JSONResponse({"id": 1, "result": 0 if method.endswith("search_count") else []})

        upstream.rpc = answer
        customers = tuple(f"CUST-{number:05}" for number in range(5000))
        query = OrderQuery(page=PageRequest(first=5, count=True), customers=customers)
        page = await cast("OrderSearch", source.orders).search(SYSTEM, query)
        assert (page.rows, page.total, page.has_next) == ((), 0, False)
        assert asked_for == [[["party.code", "in", list(customers)]]] * 2
        assert sorted(upstream.called) == ["model.sale.sale.search", "model.sale.sale.search_count"]
        assert upstream.reads == []


async def test_reference_data_is_read_once_by_many_readers():
    async with tryton_upstream() as upstream, connected(upstream) as source:
        await asyncio.gather(*(source.stock.levels(SYSTEM, [f"SKU-{number}"]) for number in range(10)))
        counts = Counter(read.model for read in upstream.reads)
        assert (counts["product.uom"], counts["stock.location"]) == (1, 1)


async def test_reference_data_is_served_stale_when_it_cannot_be_refreshed():
    async with tryton_upstream() as upstream, connected(upstream, reference_ttl=0) as source:
        before = await source.warehouses.all(SYSTEM)
        upstream.rows["stock.location"] = lambda read: Response("<h1>Internal Server Error</h1>", 500)
        assert await source.warehouses.all(SYSTEM) == before
        assert [warehouse.code for warehouse in before] == ["EAST", "WEST"]


async def test_ping_fails_when_the_company_cannot_be_read():
    async with tryton_upstream() as upstream, connected(upstream) as source:
        await source.ping()
        upstream.rows["company.company"] = lambda read: Response(status_code=500)
        with pytest.raises(SourceUnavailable):
            await source.ping()
        upstream.rows["company.company"] = []
        with pytest.raises(SourceMalformed):
            await source.ping()


# Customers


def _party(**other: Any) -> dict[str, Any]:
    return {"id": 12, "code": "CUST-1", "name": "One", "active": 1, "addresses": [], **other}


async def test_customers_come_without_credit_when_credit_cannot_be_computed():
    def answer(read: Read) -> Any:
        return Response(status_code=500) if "credit_amount" in read.fields else [_party()]

    async with tryton_upstream(party__party=answer) as upstream, connected(upstream) as source:
        found = await source.customers.by_number(SYSTEM, ["CUST-1"], {CustomerPart.CREDIT})
        assert (found["CUST-1"].name, found["CUST-1"].credit) == ("One", None)
        assert [read.model for read in upstream.reads].count("party.party") == 2
        with pytest.raises(SourceUnavailable):
            await source.credit.status(SYSTEM, ["CUST-1"])


@pytest.mark.parametrize(
    ("limit", "used", "state"),
    [
        (None, "1000000", CreditState.OK),
        ("1000", "899.99", CreditState.OK),
        ("1000", "900", CreditState.WARN),
        ("1000", "1000", CreditState.WARN),
        ("1000", "1000.01", CreditState.HOLD),
        ("0", "0.01", CreditState.HOLD),
    ],
)
async def test_credit_state_follows_from_limit_and_open_amount(limit, used, state):
    row = _party(credit_limit_amount=exact(limit) if limit else None, credit_amount=exact(used))
    async with tryton_upstream(party__party=[row]) as upstream, connected(upstream) as source:
        status = (await source.credit.status(SYSTEM, ["CUST-1"]))["CUST-1"]
        assert (status.state, status.exposure, status.checked_at) == (state, usd(used), NOW)
        assert status.available == (None if limit is None else usd(str(Decimal(limit) - Decimal(used))))


@pytest.mark.parametrize(
    ("lines", "days"),
    [
        ([{"id": 1, "type": "remainder", "relativedeltas": []}], 0),
        ([{"id": 1, "type": "remainder", "relativedeltas": [{"id": 1, "days": 2, "weeks": 2}]}], 16),
        ([{"id": 1, "type": "remainder", "relativedeltas": [{"id": 1, "days": 30, "day": 31}]}], None),
        ([{"id": 1, "type": "remainder", "relativedeltas": [{"id": 1, "months": 1}]}], None),
        ([{"id": 1, "type": "percent"}, {"id": 2, "type": "remainder"}], None),
    ],
)
async def test_net_days_are_set_where_the_term_has_them(lines, days):
    row = _party(customer_payment_term={"id": 1, "name": "Term", "lines": lines})
    async with tryton_upstream(party__party=[row]) as upstream, connected(upstream) as source:
        customer = (await source.customers.by_number(SYSTEM, ["CUST-1"]))["CUST-1"]
        assert customer.payment_terms is not None
        assert (customer.payment_terms.code, customer.payment_terms.net_days) == ("Term", days)


async def test_agreement_names_the_foreign_currency_and_no_tiers_in_sales_units():
    lines = [{"id": 1, "quantity": None}, {"id": 2, "quantity": 24.0}, {"id": 3, "quantity": 24.0}]
    row = _party(
        customer_currency={"id": 2, "code": "EUR"},
        sale_price_list={"id": 4, "name": "Export", "unit": "product_default", "lines": lines},
    )
    async with tryton_upstream(party__party=[row]) as upstream, connected(upstream) as source:
        customer = (await source.customers.by_number(SYSTEM, ["CUST-1"]))["CUST-1"]
        assert customer.currency == "EUR"
        assert customer.agreement == PriceAgreement(id="4@2", name="Export", tiers=(Decimal(0), Decimal(24)))
        row["sale_price_list"]["unit"] = "product_sale"
        customer = (await source.customers.by_number(SYSTEM, ["CUST-1"]))["CUST-1"]
        assert customer.agreement == PriceAgreement(id="4@2", name="Export", tiers=())


async def test_accounts_by_the_hundreds_are_searched_in_pieces_and_come_in_order():
    def answer(read: Read) -> Any:
        [numbers] = [clause[2] for clause in read.domain if clause[1] == "in"]
        return [_party(id=int(number), code=number) for number in sorted(numbers)[: read.limit]]

    async with tryton_upstream(party__party=answer) as upstream, connected(upstream) as source:
        accounts = tuple(str(number) for number in range(500, 199, -1))
        page = await source.customers.search(
            SYSTEM, CustomerQuery(page=PageRequest(first=3, count=True), numbers=accounts)
        )
        assert [customer.number for customer in page.rows] == ["200", "201", "202"]
        assert (page.has_next, page.total) == (True, 28)


# Items, stock, prices


async def test_active_product_is_preferred_to_the_one_it_replaced():
    rows = [
        {"id": 1, "code": "SKU-1", "name": "Old", "active": 0, "default_uom": 1},
        {"id": 2, "code": "SKU-1", "name": "New", "active": 1, "default_uom": 1, "salable": 0},
        {"id": 3, "code": "SKU-2", "name": "Gone", "active": False, "default_uom": 3},
    ]
    async with tryton_upstream(product__product=rows) as upstream, connected(upstream) as source:
        items = await source.items.by_sku(SYSTEM, ["SKU-1", "SKU-2"])
        assert {sku: (item.name, item.status) for sku, item in items.items()} == {
            "SKU-1": ("New", ItemStatus.BLOCKED),
            "SKU-2": ("Gone", ItemStatus.DISCONTINUED),
        }


def _move(
    amount: float, out_of: int, into: int, state: str = "draft", planned: Any = None, **sale: Any
) -> dict[str, Any]:
    return {
        "id": 1,
        "product": {"id": 1, "code": "SKU-1"},
        "state": state,
        "internal_quantity": amount,
        "from_location": out_of,
        "to_location": into,
        "planned_date": planned,
        "effective_date": None,
        "sale": {"id": 9, "number": "77", **sale} if sale else None,
    }


async def test_moves_become_reservations_and_dated_changes():
    late, later = on(2026, 11, 1), on(2026, 12, 5)
    moves = [
        _move(3, 52, 7, "assigned", later, reference="SO-1"),
        _move(4, 52, 7, "draft", late, reference="SO-2"),
        _move(5, 52, 7, "draft", None, reference="their 5"),
        _move(6, 8, 51, "draft", late),
        _move(7, 8, 51, "draft", None),
        _move(8, 53, 52, "draft", later),
        _move(9, 53, 9, "draft", later),
        _move(10, 9, 61, "assigned", later),
        _move(11, 53, 61, "draft", later),
        _move(12, 52, 7, "done", later, reference="SO-3"),
    ]
    stock = [{"id": 1, "code": "SKU-1", "active": 1, "default_uom": 1, "quantity": 100.0}]
    async with (
        tryton_upstream(stock__move=moves, product__product=stock) as upstream,
        connected(upstream) as source,
    ):
        level = (await source.stock.levels(SYSTEM, ["SKU-1"]))["SKU-1"]
        east, west = level.positions
        today, then = date(2026, 11, 21), date(2026, 12, 5)
        assert (east.warehouse, east.on_hand, east.reserved, east.in_transfer) == ("EAST", 100, 3, 0)
        assert east.supply == (
            Supply(date=today, delta=Decimal(-5), kind=SupplyKind.DEMAND, order="77"),
            Supply(date=today, delta=Decimal(-4), kind=SupplyKind.DEMAND, order="SO-2"),
            Supply(date=today, delta=Decimal(6), kind=SupplyKind.RECEIPT),
            Supply(date=then, delta=Decimal(-11), kind=SupplyKind.TRANSFER_OUT),
            Supply(date=then, delta=Decimal(-9), kind=SupplyKind.TRANSFER_OUT),
        )
        assert (west.reserved, west.in_transfer) == (0, 10)
        assert west.supply == (
            Supply(date=then, delta=Decimal(10), kind=SupplyKind.TRANSFER_IN),
            Supply(date=then, delta=Decimal(11), kind=SupplyKind.TRANSFER_IN),
        )
        assert level.orders == {"SO-1", "SO-2", "77", "SO-3"}


async def test_item_stocked_in_another_unit_than_sold_is_priced_again_in_its_own():
    """A bag of 25 kg kept by the kilogram: asked in pieces, Tryton counts quantity and price in bags."""

    def answer(read: Read) -> Any:
        in_kilograms = read.context["uom"] == 3
        price = {True: "2.0000", False: "50.0000"}[in_kilograms]
        return [
            {"id": 1, "code": "SKU-1", "active": 1, "default_uom": 3, "sale_uom": 4,
             "list_price_used": exact("2.5000"), "sale_price_uom": exact(price)}
        ]  # fmt: skip

    async with tryton_upstream(product__product=answer) as upstream, connected(upstream) as source:
        agreement = PriceAgreement(id="4", tiers=(Decimal(0), Decimal(100)))
        question = asked("SKU-1", "5", "bag25", agreement)
        price = (await source.prices.quote(SYSTEM, [question]))[question]
        assert (price.uom, price.unit_price, price.list_price) == ("bag25", usd("50"), usd("62.5"))
        assert [one.minimum for one in price.breaks] == [0]
        contexts = [(read.context["uom"], read.context["quantity"]) for read in upstream.reads if "uom" in read.context]
        assert sorted(contexts) == [(1, 0), (1, 100), (3, 0), (3, 100)]


async def test_foreign_currency_is_asked_in_the_unit_itself_and_has_no_list_price():
    def answer(read: Read) -> Any:
        return [
            {"id": 1, "code": "SKU-1", "active": 1, "default_uom": 1, "sale_uom": 1,
             "list_price_used": exact("2.5000"), "sale_price_uom": exact("30.0001")}
        ]  # fmt: skip

    currencies = [{"id": 1, "code": "USD"}, {"id": 2, "code": "EUR"}]
    async with (
        tryton_upstream(product__product=answer, currency__currency=currencies) as upstream,
        connected(upstream) as source,
    ):
        question = asked("SKU-1", "1", "XBX", PriceAgreement(id="4@2", tiers=(Decimal(0),)))
        price = (await source.prices.quote(SYSTEM, [question]))[question]
        assert (price.unit_price.amount, price.unit_price.currency) == (Decimal("30.0001"), "EUR")
        assert price.list_price is None
        last = upstream.reads[-2].context
        assert (last["uom"], last["currency"], last["price_list"]) == (2, 2, 4)


async def test_list_without_a_line_for_the_quantity_has_no_price():
    row = {"id": 1, "code": "SKU-1", "active": 1, "default_uom": 1, "sale_uom": 1, "sale_price_uom": None}
    async with tryton_upstream(product__product=[row]) as upstream, connected(upstream) as source:
        assert await source.prices.quote(SYSTEM, [asked("SKU-1", "1")]) == {}
        above = asked("SKU-1", "1", agreement=PriceAgreement(id="4", tiers=(Decimal(24),)))
        row["sale_price_uom"] = exact("5")
        assert await source.prices.quote(SYSTEM, [above]) == {}


# Orders


def _sale(id: int = 9, **other: Any) -> dict[str, Any]:
    return {
        "id": id,
        "number": str(id),
        "reference": "SO-9",
        "state": "processing",
        "sale_date": on(2026, 11, 1),
        "party": {"id": 12, "code": "CUST-1", "name": "One"},
        "currency": {"id": 1, "code": "USD"},
        "total_amount": exact("10.00"),
        "lines": [],
        "shipments": [],
        **other,
    }


async def _order(**other: Any):
    async with tryton_upstream(sale__sale=[_sale(**other)]) as upstream, connected(upstream) as source:
        return (await source.orders.by_id(SYSTEM, ["9"]))["9"]


async def test_unmapped_states_are_unknown_and_keep_their_name():
    order = await _order(state="parked", shipments=[{"id": 1, "state": "lost at sea"}])
    assert (order.status, order.raw_status) == (OrderStatus.UNKNOWN, "parked")
    assert [(one.status, one.raw_status) for one in order.shipments or ()] == [(ShipmentStatus.UNKNOWN, "lost at sea")]


async def test_sale_without_number_or_date_is_a_draft_by_its_id():
    order = await _order(number=None, reference="our 12", state="draft", sale_date=None)
    assert (order.number, order.customer_po, order.ordered_at) == ("draft-9", "our 12", None)


async def test_goods_sent_when_paid_for_are_held_for_payment():
    assert [hold.kind for hold in (await _order(shipment_method="invoice", invoice_state="pending")).holds] == [
        HoldKind.PAYMENT
    ]
    assert (await _order(shipment_method="invoice", invoice_state="paid")).holds == ()
    assert (await _order(shipment_method="order", invoice_state="pending")).holds == ()


async def test_comments_are_no_lines_and_do_not_count():
    lines = [
        {"id": 1, "type": "title"},
        {"id": 2, "type": "line", "quantity": 2.0, "unit": 2, "product": {"id": 1, "code": "SKU-1"}},
        {"id": 3, "type": "comment"},
        {"id": 4, "type": "line", "quantity": 1.0, "description": "Freight"},
    ]
    order = await _order(lines=lines)
    assert [(line.number, line.sku, line.uom, line.description) for line in order.lines] == [
        (1, "SKU-1", "XBX", None),
        (2, None, "EA", "Freight"),
    ]


async def test_line_sent_in_pieces_is_counted_in_its_own_unit():
    line = {"id": 2, "type": "line", "quantity": 2.0, "unit": 2, "product": {"id": 1, "code": "SKU-1"}}
    move = {"id": 1, "origin": "sale.line,2", "state": "assigned", "quantity": 12.0, "unit": 1, "product": {"id": 1}}
    rest = move | {"id": 2, "state": "draft", "planned_date": on(2026, 12, 1)}
    shipments = [
        {"id": 1, "state": "shipped", "effective_date": on(2026, 11, 20), "outgoing_moves": [move]},
        {"id": 2, "state": "waiting", "outgoing_moves": [rest]},
    ]
    order = await _order(lines=[line], shipments=shipments)
    [sent] = order.lines
    assert order.status is OrderStatus.PARTIALLY_SHIPPED
    assert (sent.confirmed_quantity, sent.shipped_quantity, sent.backordered_quantity) == (2, 1, 1)
    assert [(one.confirmed_date, one.quantity) for one in sent.schedule_lines] == [
        (date(2026, 11, 20), 1),
        (date(2026, 12, 1), 1),
    ]


async def test_of_two_sales_with_one_code_the_one_that_stands_answers():
    sales = [_sale(8), _sale(9), _sale(10, state="cancelled")]
    async with tryton_upstream(sale__sale=sales) as upstream, connected(upstream) as source:
        assert (await source.orders.by_number(SYSTEM, ["SO-9"]))["SO-9"].id == "9"


async def test_undated_orders_come_first_and_the_cursor_goes_on_behind_them():
    def answer(read: Read) -> Any:
        return [_sale(30, sale_date=None), _sale(20), _sale(10)][: read.limit]

    async with tryton_upstream(sale__sale=answer) as upstream, connected(upstream) as source:
        page = (await source.orders.by_customer(SYSTEM, ["CUST-1"], OrderQuery(page=PageRequest(first=2))))["CUST-1"]
        assert (page.cursors, page.has_next) == ((":30", "2026-11-01:20"), True)
        for cursor, clause in (
            (":30", ["OR", ["sale_date", "!=", None], [["sale_date", "=", None], ["id", "<", 30]]]),
            (
                "2026-11-01:20",
                ["OR", ["sale_date", "<", on(2026, 11, 1)], [["sale_date", "=", on(2026, 11, 1)], ["id", "<", 20]]],
            ),
        ):
            await source.orders.by_customer(SYSTEM, ["CUST-1"], OrderQuery(page=PageRequest(first=2, after=cursor)))
            assert upstream.reads[-1].domain == [["party.code", "=", "CUST-1"], clause]


async def test_busy_customer_does_not_crowd_out_the_others():
    """Ids are read in stretches; who has enough drops out of the next one."""
    busy = [
        {"id": id, "sale_date": on(2026, 11, 1), "party": {"id": 1, "code": "CUST-1"}} for id in range(5000, 3000, -1)
    ]
    quiet = [{"id": 7, "sale_date": on(2026, 1, 1), "party": {"id": 2, "code": "CUST-2"}}]

    def answer(read: Read) -> Any:
        if "lines.type" in read.fields:
            wanted = next((clause[2] for clause in read.domain if clause[0] == "id"), [7])
            return [_sale(id, party={"id": 1, "code": "CUST-2" if id == 7 else "CUST-1"}) for id in wanted]
        return (busy + quiet)[: read.limit]

    async with tryton_upstream(sale__sale=answer) as upstream, connected(upstream) as source:
        await source.ping()
        upstream.reads.clear()
        pages = await source.orders.by_customer(SYSTEM, ["CUST-1", "CUST-2"], OrderQuery(page=PageRequest(first=2)))
        assert {customer: [order.id for order in page.rows] for customer, page in pages.items()} == {
            "CUST-1": ["5000", "4999"],
            "CUST-2": ["7"],
        }
        assert (pages["CUST-1"].has_next, pages["CUST-2"].has_next, len(upstream.reads)) == (True, False, 3)


# Changes


def _at(second: int) -> dict[str, Any]:
    return {"__class__": "datetime", "year": 2026, "month": 11, "day": 21, "hour": 8, "minute": 0,
            "second": second, "microsecond": 0}  # fmt: skip


async def test_changes_of_several_kinds_come_in_the_order_of_time_and_in_pages():
    """Two sales were made in one second: a page that ends between them loses neither."""
    first = {"id": 1, "reference": "SO-1", "number": "1", "create_date": _at(1)}
    second = {"id": 2, "reference": "SO-2", "number": "2", "create_date": _at(1)}
    moved = {"id": 7, "product": {"id": 3, "code": "SKU-3"}, "create_date": _at(0), "write_date": _at(2)}

    def sales(read: Read) -> Any:
        if read.domain[0][0] != "OR" or read.domain[0][1][0] == "write_date":
            return []
        _, (_, _, since), tied = read.domain[0]
        later = [
            row for row in (first, second) if row["create_date"]["second"] > since["second"] or since["year"] < 2026
        ]
        equal = [row for row in (first, second) if row["create_date"] == since and row["id"] > tied[1][2]]
        return (later or equal)[: read.limit]

    def moves(read: Read) -> Any:
        [clause] = read.domain
        return [moved] if clause[0] == "OR" and clause[1][0] == "write_date" and clause[1][2]["second"] < 2 else []

    async with tryton_upstream(sale__sale=sales, stock__move=moves) as upstream, connected(upstream) as source:
        kinds = frozenset({ChangeKind.ORDER, ChangeKind.STOCK, ChangeKind.PRICE})
        part = await source.changes.since(SYSTEM, kinds, None)
        keys = []
        for _ in range(3):
            part = await source.changes.since(SYSTEM, kinds, part.cursor, limit=1)
            keys.append(([change.key for change in part.changes], part.more))
        assert keys == [(["SO-1"], True), (["SO-2"], True), (["SKU-3"], False)]


async def test_each_declared_call_of_changes_is_made():
    async with tryton_upstream() as upstream, connected(upstream) as source:
        kinds = frozenset(stream.kind for stream in STREAMS)
        start = await source.changes.since(SYSTEM, kinds, None)
        assert (await source.changes.since(SYSTEM, kinds, start.cursor)).changes == ()
        assert upstream.traffic is not None
        assert [name for name in upstream.traffic.unused if name.startswith("changes.")] == []


async def test_changes_of_returns_are_those_of_sales_that_come_from_a_sale():
    """A return was created, then received: two changes under its id, past the sale that its goods were sold by."""
    row = {"id": 9, "create_date": _at(1), "write_date": _at(2)}

    def sales(read: Read) -> Any:
        clause = read.domain[0]
        if ["origin", "like", "sale.sale,%"] not in read.domain or clause[0] != "OR":
            return []
        time, _, since = clause[1]
        return [row] if since["year"] < 2026 or row[time]["second"] > since["second"] else []

    async with tryton_upstream(sale__sale=sales) as upstream, connected(upstream) as source:
        kinds = frozenset({ChangeKind.RETURN})
        start = await source.changes.since(SYSTEM, kinds, None)
        found = await source.changes.since(SYSTEM, kinds, start.cursor)
        assert [(one.kind, one.key, one.at.second) for one in found.changes] == [
            (ChangeKind.RETURN, "9", 1), (ChangeKind.RETURN, "9", 2),
        ]  # fmt: skip
        assert (await source.changes.since(SYSTEM, kinds, found.cursor)).changes == ()
