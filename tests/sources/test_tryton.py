"""Tryton's peculiarities; what all adapters have in common is in tests/contract."""

from __future__ import annotations

from collections import Counter
from datetime import date
from decimal import Decimal

import msgspec
import pytest

from app.auth.principal import SYSTEM
from app.errors import ConfigurationError, InvalidCursor
from app.settings import SourceSettings
from app.sources.customers import CreditState, CustomerPart, CustomerQuery, PriceAgreement
from app.sources.items import CustomerItemKey, CustomerPartKey, ItemQuery
from app.sources.orders import CustomerPoKey, OrderQuery, OrderSort, OrderStatus
from app.sources.shipments import ShipmentStatus
from app.sources.tryton import connect
from app.sources.tryton.orders import ORDER_LISTS
from app.sources.tryton.units import Units, UomRow, times
from app.sources.tryton.wire import quantity
from app.sources.values import PageRequest
from tests.contract.case import Environment, counted_calls
from tests.contract.tryton_case import asked, open_tryton, usd

SKUS = [f"SKU-{number:04}" for number in range(1, 51)]
HOSTILE = [
    "",
    " ",
    " CUST-0001",
    "SKU-0001\n",
    "'",
    '"]]',
    "SO-100040\0",
    "../x?y#z",
    "%",
    "_",
    "CUST-____",
    "x" * 10_000,
    "😀",
    "\ud800",
    "-1",
]


@pytest.fixture
async def tryton(live, recording):
    async with open_tryton(Environment(live=live, recording=recording, sandbox=NotImplemented)) as source:
        yield source


# Orders and shipments


@pytest.mark.parametrize(
    ("code", "status", "raw", "shipments"),
    [
        ("SO-100086", OrderStatus.CONFIRMED, "confirmed", []),
        ("SO-100011", OrderStatus.PROCESSING, "processing", ["waiting"]),
        ("SO-100040", OrderStatus.PARTIALLY_SHIPPED, "processing", ["shipped", "waiting"]),
        ("SO-100046", OrderStatus.SHIPPED, "processing", ["shipped"]),
        ("SO-100061", OrderStatus.PARTIALLY_DELIVERED, "processing", ["done", "waiting"]),
        ("SO-100066", OrderStatus.DELIVERED, "done", ["done"]),
        ("SO-100081", OrderStatus.CANCELLED, "cancelled", []),
        ("SO-200010", OrderStatus.PROCESSING, "processing", ["cancelled"]),
        # What the other two systems see differently.
        ("SO-100053", OrderStatus.PROCESSING, "processing", ["waiting"]),
        ("SO-100082", OrderStatus.PROCESSING, "processing", ["waiting"]),
    ],
)
async def test_status_follows_from_the_shipments_own_states(tryton, code, status, raw, shipments):
    order = (await tryton.orders.by_number(SYSTEM, [code]))[code]
    assert (order.status, order.raw_status) == (status, raw)
    assert [shipment.raw_status for shipment in order.shipments] == shipments


async def test_cancelled_shipment_is_flagged_and_its_order_needs_a_person(tryton):
    order = (await tryton.orders.by_number(SYSTEM, ["SO-200010"]))["SO-200010"]
    [shipment] = order.shipments
    assert (shipment.status, shipment.cancelled) == (ShipmentStatus.PENDING, True)
    assert shipment.tracking_number is not None
    assert [exception.code for exception in order.exceptions] == ["SHIPMENT"]
    assert all(line.cancelled_quantity == line.quantity for line in order.lines)
    assert all(line.shipped_quantity == 0 for line in order.lines)


async def test_grouped_shipment_names_all_its_orders_and_each_counts_its_own(tryton):
    shipment = (await tryton.shipments.by_id(SYSTEM, ["22"]))["22"]
    assert (shipment.orders, shipment.customer) == (("108", "50", "61"), "CUST-0007")
    orders = await tryton.orders.by_number(SYSTEM, shipment.orders)
    assert {number: [one.id for one in order.shipments] for number, order in orders.items()} == {
        "108": ["22"],
        "50": ["22"],
        "61": ["22"],
    }
    for number, order in orders.items():
        assert order.shipments[0] == msgspec.structs.replace(shipment, freshness=order.shipments[0].freshness)
        held = {line.line_number: line.quantity for line in shipment.lines if line.order == number}
        planned = {line.number: line.confirmed_quantity for line in order.lines if line.confirmed_quantity}
        assert set(held) == set(planned)


async def test_line_in_boxes_counts_what_was_planned_in_boxes(tryton):
    order = await tryton.orders.by_customer_po(SYSTEM, [CustomerPoKey(customer="CUST-0001", number="CUST-PO-10021")])
    [sale] = order.values()
    assert (sale.number, sale.customer_po) == ("42", "CUST-PO-10021")
    assert [(line.uom, line.quantity, line.confirmed_quantity) for line in sale.lines] == [
        ("EA", Decimal(12), Decimal(12)),
        ("XBX", Decimal(12), Decimal(12)),
        ("EA", Decimal(12), Decimal(12)),
        ("XBX", Decimal(2), Decimal(2)),
        ("XBX", Decimal(2), Decimal(2)),
        ("XBX", Decimal(2), Decimal(2)),
    ]


async def test_order_code_is_no_purchase_order_and_a_purchase_order_no_order_code(tryton):
    assert await tryton.orders.by_customer_po(SYSTEM, [CustomerPoKey(customer="CUST-0024", number="SO-100040")]) == {}
    assert await tryton.orders.by_number(SYSTEM, ["CUST-PO-10021", "174"]) == {}  # 174 goes by SO-100040


async def test_purchase_order_of_another_customer_is_not_found(tryton):
    assert (
        await tryton.orders.by_customer_po(SYSTEM, [CustomerPoKey(customer="CUST-0002", number="CUST-PO-10021")]) == {}
    )


@pytest.mark.parametrize("sort", sorted(ORDER_LISTS.sorts))
async def test_pages_of_orders_put_together_are_the_whole_list(tryton, sort):
    whole = (await tryton.orders.by_customer(SYSTEM, ["CUST-0001"], OrderQuery(page=PageRequest(first=50), sort=sort)))[
        "CUST-0001"
    ]
    days = [order.ordered_at for order in whole.rows]
    assert days == sorted(days, reverse=sort is OrderSort.ORDERED_AT_DESC)
    assert (len(whole.rows), whole.has_next, whole.has_previous) == (16, False, False)
    pages, after = [], None
    for _ in range(4):
        query = OrderQuery(page=PageRequest(first=5, after=after), sort=sort)
        page = (await tryton.orders.by_customer(SYSTEM, ["CUST-0001"], query))["CUST-0001"]
        pages.append([order.id for order in page.rows])
        after = page.cursors[-1]
        assert page.has_next == (len(pages) < 4)
    assert [len(page) for page in pages] == [5, 5, 5, 1]
    assert [id for page in pages for id in page] == [order.id for order in whole.rows]


async def test_filter_by_a_status_tryton_does_not_have_fills_the_page(tryton):
    wanted = (OrderStatus.PARTIALLY_SHIPPED,)
    customers = ["CUST-0024", "CUST-0001", "CUST-0036"]
    query = OrderQuery(page=PageRequest(first=2), status=wanted)
    alone = (await tryton.orders.by_customer(SYSTEM, ["CUST-0024"], query))["CUST-0024"]
    assert ([order.number for order in alone.rows], alone.has_next) == (["SO-100040"], False)
    together = await tryton.orders.by_customer(SYSTEM, customers, query)
    assert [order.number for order in together["CUST-0024"].rows] == ["SO-100040"]
    assert {order.status for page in together.values() for order in page.rows} == set(wanted)


async def test_draft_statuses_are_filtered_by_tryton_itself(tryton):
    query = OrderQuery(page=PageRequest(first=5), status=(OrderStatus.QUOTED,))
    page = (await tryton.orders.by_customer(SYSTEM, ["CUST-0024"], query))["CUST-0024"]
    assert [(order.number, order.status) for order in page.rows] == [("1", OrderStatus.QUOTED)]


async def test_total_is_counted_for_one_customer(tryton):
    query = OrderQuery(page=PageRequest(first=1, count=True))
    assert (await tryton.orders.by_customer(SYSTEM, ["CUST-0001"], query))["CUST-0001"].total == 16


@pytest.mark.parametrize("cursor", ["", "x", "2026-11-21", "2026-11-21:x", "2026-13-01:1", ":0", "code:SKU-0001", "\0"])
async def test_cursor_of_elsewhere_is_refused(tryton, cursor):
    with pytest.raises(InvalidCursor):
        await tryton.orders.by_customer(SYSTEM, ["CUST-0001"], OrderQuery(page=PageRequest(first=1, after=cursor)))
    if not cursor.startswith("code:"):
        with pytest.raises(InvalidCursor):
            await tryton.items.search(SYSTEM, ItemQuery(page=PageRequest(first=1, after=cursor)))
        with pytest.raises(InvalidCursor):
            await tryton.customers.search(SYSTEM, CustomerQuery(page=PageRequest(first=1, after=cursor)))


async def test_package_number_finds_its_shipment(tryton):
    found = await tryton.shipments.by_tracking_number(SYSTEM, ["1Z7799621659"])
    shipment = found["1Z7799621659"]
    assert (shipment.id, shipment.tracking_number, shipment.status) == ("3", "TRK00000001", ShipmentStatus.DELIVERED)
    assert [package.tracking_number for package in shipment.packages] == ["1Z5865231614", "1Z7799621659"]


# Customers and items


async def test_party_that_is_no_customer_is_not_found(tryton):
    assert await tryton.customers.by_number(SYSTEM, ["1", "2", "11"]) == {}
    assert await tryton.customers.by_id(SYSTEM, ["1", "2"]) == {}


async def test_credit_comes_with_the_customer_in_one_call(tryton):
    with counted_calls() as calls:
        found = await tryton.customers.by_number(SYSTEM, ["CUST-0009", "CUST-0010"], {CustomerPart.CREDIT})
    assert calls == [("erp", "customers")]
    held, free = found["CUST-0009"].credit, found["CUST-0010"].credit
    assert (held.state, held.available.amount) == (CreditState.HOLD, held.limit.amount - held.exposure.amount)
    assert (free.state, free.limit, free.available, free.exposure.currency) == (CreditState.OK, None, None, "USD")
    assert (await tryton.customers.by_number(SYSTEM, ["CUST-0009"]))["CUST-0009"].credit is None


@pytest.mark.parametrize("search", ["%", "_", "\\", "SKU_0001", "CUST_0001", "0%1", "'"])
async def test_wildcards_in_a_search_stand_for_themselves(tryton, search):
    assert (await tryton.items.search(SYSTEM, ItemQuery(page=PageRequest(first=1), search=search))).rows == ()
    assert (await tryton.customers.search(SYSTEM, CustomerQuery(page=PageRequest(first=1), search=search))).rows == ()


async def test_customers_search_keeps_to_the_callers_accounts(tryton):
    accounts = ("CUST-0003", "CUST-0002", "CUST-0040")
    page = await tryton.customers.search(SYSTEM, CustomerQuery(page=PageRequest(first=5, count=True), numbers=accounts))
    assert [customer.number for customer in page.rows] == ["CUST-0002", "CUST-0003", "CUST-0040"]
    assert page.total == 3
    nothing = await tryton.customers.search(SYSTEM, CustomerQuery(page=PageRequest(first=5, count=True), numbers=()))
    assert (nothing.rows, nothing.total) == ((), 0)


async def test_hostile_keys_are_unknown_keys(tryton):
    assert await tryton.customers.by_number(SYSTEM, HOSTILE, {CustomerPart.CREDIT}) == {}
    assert await tryton.customers.by_id(SYSTEM, [*HOSTILE, "99999999999", "2147483648", "０"]) == {}
    assert await tryton.credit.status(SYSTEM, HOSTILE) == {}
    assert await tryton.items.by_sku(SYSTEM, HOSTILE) == {}
    assert await tryton.items.by_id(SYSTEM, HOSTILE) == {}
    assert await tryton.items.by_gtin(SYSTEM, HOSTILE) == {}
    assert await tryton.items.costs(SYSTEM, HOSTILE) == {}
    parts = [CustomerPartKey(customer=key, number=key) for key in HOSTILE]
    assert await tryton.items.by_customer_part(SYSTEM, parts) == {}
    assert await tryton.items.part_numbers(SYSTEM, [CustomerItemKey(customer=k, sku=k) for k in HOSTILE]) == {}
    assert await tryton.stock.levels(SYSTEM, HOSTILE) == {}
    assert await tryton.prices.quote(SYSTEM, [asked(key, "1") for key in HOSTILE]) == {}
    assert await tryton.orders.by_id(SYSTEM, HOSTILE) == {}
    assert await tryton.orders.by_number(SYSTEM, HOSTILE) == {}
    assert await tryton.orders.by_customer_po(SYSTEM, [CustomerPoKey(customer=k, number=k) for k in HOSTILE]) == {}
    pages = await tryton.orders.by_customer(SYSTEM, HOSTILE, OrderQuery(page=PageRequest(first=1)))
    assert all(page.rows == () for page in pages.values())
    assert await tryton.shipments.by_id(SYSTEM, HOSTILE) == {}
    assert await tryton.shipments.by_tracking_number(SYSTEM, HOSTILE) == {}
    assert await tryton.shipments.by_order(SYSTEM, HOSTILE) == {}
    assert await tryton.billing.invoices(SYSTEM, HOSTILE) == {}
    for text in ("x" * 10_000, "SKU\0", "\ud800"):
        assert (await tryton.items.search(SYSTEM, ItemQuery(page=PageRequest(first=1), search=text))).rows == ()
        assert (await tryton.customers.search(SYSTEM, CustomerQuery(page=PageRequest(first=1), search=text))).rows == ()


async def test_keys_that_cannot_exist_cost_no_call(tryton):
    with counted_calls() as calls:
        await tryton.items.by_sku(SYSTEM, ["", "x" * 10_000, "SKU\0"])
        await tryton.orders.by_number(SYSTEM, [])
        await tryton.stock.levels(SYSTEM, ["\0"])
        await tryton.prices.quote(SYSTEM, [asked("\0", "1")])
    assert calls == []


# The number of calls does not depend on the number of keys


async def test_one_key_costs_as_many_calls_as_fifty(tryton):
    customers = [f"CUST-{number:04}" for number in range(1, 51)]
    reads = {
        "customers": lambda n: tryton.customers.by_number(SYSTEM, customers[:n], {CustomerPart.CREDIT}),
        "items": lambda n: tryton.items.by_sku(SYSTEM, SKUS[:n]),
        "stock": lambda n: tryton.stock.levels(SYSTEM, SKUS[:n]),
        "prices": lambda n: tryton.prices.quote(SYSTEM, [asked(sku, "12") for sku in SKUS[:n]]),
        "orders": lambda n: tryton.orders.by_customer(SYSTEM, ["CUST-0001"], OrderQuery(page=PageRequest(first=n))),
        "numbers": lambda n: tryton.orders.by_number(SYSTEM, [f"SO-{100041 + i}" for i in range(n)]),
        "parts": lambda n: tryton.items.part_numbers(
            SYSTEM, [CustomerItemKey(customer="CUST-0001", sku=sku) for sku in SKUS[:n]]
        ),
    }
    counts = {}
    for name, read in reads.items():
        for n in (1, 50):
            with counted_calls() as calls:
                await read(n)
            counts[name, n] = len(calls)
    expected = {"customers": 1, "items": 1, "stock": 4, "prices": 3, "orders": 1, "numbers": 1, "parts": 1}
    assert counts == {(name, n): count for name, count in expected.items() for n in (1, 50)}


async def test_orders_of_many_customers_take_two_calls(tryton):
    customers = [f"CUST-{number:04}" for number in range(1, 21)]
    query = OrderQuery(page=PageRequest(first=1))
    with counted_calls() as calls:
        pages = await tryton.orders.by_customer(SYSTEM, customers, query)
    assert Counter(call for _, call in calls) == {"orders.ids": 1, "orders.by_customer": 1}
    assert list(pages) == customers
    assert all(page.rows[0].customer == customer for customer, page in pages.items())
    alone = await tryton.orders.by_customer(SYSTEM, ["CUST-0007"], query)
    assert pages["CUST-0007"].cursors == alone["CUST-0007"].cursors


# Stock


async def test_stock_knows_the_orders_it_counts(tryton):
    level = (await tryton.stock.levels(SYSTEM, ["SKU-0061"]))["SKU-0061"]
    assert {"SO-100040", "SO-200050"} <= level.orders
    [central] = [one for one in level.positions if one.warehouse == "WH-CENTRAL"]
    # Shipped, and so still assigned until delivered: reserved. The rest of the order is demand.
    assert central.reserved == 3
    assert sum(change.delta for change in central.supply) == -12


# Prices


async def test_price_asked_in_boxes_is_that_of_the_boxes(tryton):
    questions = [asked("SKU-0004", amount, "XBX") for amount in ("1", "11", "12")]
    prices = await tryton.prices.quote(SYSTEM, questions)
    assert [prices[one].unit_price for one in questions] == [usd("414.3768"), usd("414.3768"), usd("392.0976")]
    assert [(one.minimum, one.unit_price) for one in prices[questions[0]].breaks] == [
        (Decimal(0), usd("414.3768")),
        (Decimal(12), usd("392.0976")),
    ]


async def test_units_and_days_and_pieces_share_the_calls_of_the_tiers(tryton):
    questions = [asked("SKU-0001", "24"), asked("SKU-0004", "2", "XBX"), asked("SKU-0019", "200", "MTR")]
    with counted_calls() as calls:
        prices = await tryton.prices.quote(SYSTEM, questions)
    assert (len(prices), len(calls)) == (3, 3)


async def test_unit_that_is_no_multiple_is_asked_of_tryton_itself(tryton):
    """A metre at 27.4090 is 0.27409 a centimetre, which Tryton rounds to 0.2741."""
    question = asked("SKU-0019", "14399.5", "CMT")
    price = (await tryton.prices.quote(SYSTEM, [question]))[question]
    assert (price.unit_price, price.list_price) == (usd("0.2741"), usd("0.29472"))
    assert [(one.minimum, one.unit_price) for one in price.breaks] == [
        (Decimal(0), usd("0.2741")),
        (Decimal(14400), usd("0.2594")),
    ]


async def test_without_agreement_the_list_price_answers(tryton):
    question = asked("SKU-0001", "500", agreement=None)
    price = (await tryton.prices.quote(SYSTEM, [question]))[question]
    assert (price.unit_price, price.reason.rule) == (usd("20.2020"), "LIST")
    assert price.discount_percent == 0


async def test_price_of_a_day_is_of_the_contract_of_that_day(tryton):
    later = msgspec.structs.replace(asked("SKU-0001", "24"), on=date(2027, 12, 1))
    price = (await tryton.prices.quote(SYSTEM, [later]))[later]
    assert (price.unit_price, price.reason.price_list) == (usd("18.7879"), "Contract 01")


async def test_list_of_too_many_tiers_is_asked_at_the_one_that_applies(live, recording):
    async with open_tryton(Environment(live=live, recording=recording, sandbox=NotImplemented), max_tiers=2) as tryton:
        question = asked("SKU-0004", "12", "XBX")
        with counted_calls() as calls:
            price = (await tryton.prices.quote(SYSTEM, [question]))[question]
    assert (price.unit_price, price.breaks, len(calls)) == (usd("392.0976"), (), 1)


async def test_agreement_of_another_source_prices_nothing(tryton):
    foreign = PriceAgreement(id="contract/7", tiers=(Decimal(0),))
    with counted_calls() as calls:
        assert await tryton.prices.quote(SYSTEM, [asked("SKU-0001", "1", agreement=foreign)]) == {}
    assert calls == []


# Units and numbers


def _uom(id: int, symbol: str, factor: str, rate: str, category: int = 1) -> UomRow:
    return UomRow(
        id=id, name=symbol, symbol=symbol, category=category, factor=Decimal(factor), rate=Decimal(rate),
        rounding=Decimal("0.01"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("factor", "rate", "ratio"),
    [
        ("12.0", "0.083333333333", "12"),
        ("0.016666666667", "60.0", "1/60"),
        ("0.3048", "3.280839895013", "381/1250"),
        ("1609.344", "0.000621371192", "201168/125"),
        ("3600000.0", "2.77778e-07", "3600000"),
        ("0.001", "1000.0", "1/1000"),
        ("0.0", "4.0", "1/4"),
    ],
)
def test_unit_is_taken_from_the_exact_one_of_its_two_numbers(factor, rate, ratio):
    unit = Units([_uom(1, "x", factor, rate)]).get(1)
    assert unit is not None
    assert str(unit.ratio) == ratio


def test_second_box_of_a_category_keeps_its_own_symbol():
    units = Units(
        [_uom(1, "u", "1", "1"), _uom(2, "bx12", "12", "0.083333333333"), _uom(3, "bx24", "24", "0.041666666667")]
    )
    assert [units.code(id) for id in (1, 2, 3, 99, None)] == ["EA", "XBX", "bx24", "EA", "EA"]
    assert units.convert(Decimal(3), 3, into=2) == 6
    assert units.convert(Decimal(3), 3, into=99) == 3


def test_conversion_is_exact_or_rounds_in_the_given_direction():
    units = Units(
        [_uom(1, "m", "1", "1"), _uom(2, "min", "0.016666666667", "60"), _uom(3, "ft", "0.3048", "3.280839895013")]
    )
    assert units.convert(Decimal(10), 3, into=1) == Decimal("3.048")
    sixth = units.get(2)
    assert sixth is not None
    assert times(Decimal(10), sixth.ratio) == Decimal("0.166667")
    assert times(Decimal(20), sixth.ratio, up=True) == Decimal("0.333334")


@pytest.mark.parametrize(
    ("wire", "plain"), [("12.0", "12"), ("0.50", "0.5"), ("1e3", "1000"), ("-0.0", "0"), ("1.25", "1.25")]
)
def test_quantity_reads_as_people_write_it(wire, plain):
    assert str(quantity(msgspec.json.decode(wire, type=Decimal))).lstrip("-") == plain


# Configuration


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"databse": "x"}, "sources.erp.options.databse"),
        ({"company": "one"}, "sources.erp.options.company"),
        ({"order_code_pattern": "("}, "sources.erp.options.order_code_pattern"),
        ({"max_tiers": 0}, "sources.erp.options.max_tiers"),
        ({"database": "../x"}, "sources.erp.options.database"),
    ],
)
def test_wrong_option_stops_the_start_by_name(options, key):
    settings = SourceSettings(vendor="tryton", base_url="http://127.0.0.1:1", options=options)
    with pytest.raises(ConfigurationError) as error:
        connect("erp", settings)
    assert error.value.key == key


def test_missing_credential_stops_the_start_by_name():
    with pytest.raises(ConfigurationError) as error:
        connect("erp", SourceSettings(vendor="tryton", base_url="http://127.0.0.1:1"))
    assert error.value.key == "sources.erp.credentials.api_key"
