"""Port descriptors: every read of every port is described, and what is compiled of them has one rule for failures."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from app.auth.principal import Principal, Role
from app.errors import SourceMalformed, SourceTimeout, SourceUnavailable
from app.sources.billing import BILLING, Invoice, InvoiceStatus
from app.sources.customers import CUSTOMERS, CreditState, CreditStatus, Customer, CustomerPart, CustomerQuery
from app.sources.orders import ORDERS, Order, OrderStatus, Totals
from app.sources.pipeline.compose import compose_port
from app.sources.pipeline.routes import Routes
from app.sources.port_registry import PORTS
from app.sources.ports import Port, Read, Routing, Shape
from app.sources.prices import PRICES, ContractPrice, PriceBreak, PriceRequest
from app.sources.source import Source, Sources
from app.sources.stock import RESERVATIONS, Reservation
from app.sources.values import Freshness, Money, Page, PageRequest, PartialRows
from tests.support.ports import compiled, composed, scoped

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
STAMP = Freshness(source="erp", as_of=NOON)
CSR = Principal(subject="c", roles=frozenset({Role.CSR}))
BUYER = Principal(subject="b", roles=frozenset({Role.BUYER}), customers=frozenset({"CUST-1"}))
TWO = Routes("old", (("NEW-*", "new"),))
READS = [(port, name, read) for port in PORTS.values() for name, read in port]


class Rows:
    """Answers every read with the same rows, whatever its keys; an error is raised."""

    def __init__(self, found: Any) -> None:
        self.found = found
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)

        async def read(principal: Principal, *arguments: Any, **options: Any) -> Any:
            self.calls.append((*arguments, options))
            if isinstance(self.found, Exception):
                raise self.found
            return self.found

        return read


def an_order(source: str, number: str, customer: str | None) -> Order:
    money = Money(amount=Decimal(1), currency="USD")
    return Order(
        id=number,
        source=source,
        number=number,
        customer=customer,
        status=OrderStatus.PROCESSING,
        currency="USD",
        totals=Totals(total=money),
        freshness=STAMP,
    )


def an_invoice(id: str, customer: str) -> Invoice:
    money = Money(amount=Decimal(1), currency="USD")
    return Invoice(id=id, source="erp", customer=customer, status=InvoiceStatus.POSTED, total=money, freshness=STAMP)


@pytest.mark.parametrize("port", PORTS.values(), ids=PORTS)
def test_every_read_of_a_port_is_described(port: Port) -> None:
    methods = {
        name: inspect.signature(found) for name, found in inspect.getmembers(port.protocol, inspect.iscoroutinefunction)
    }
    assert set(port.reads) == set(methods)
    for name, read in port:
        given = list(methods[name].parameters)[2:]
        assert (given == []) == (read.shape is Shape.ALL), name
        assert (given == ["query"]) == (read.shape is Shape.LIST), name


def test_every_port_is_served_by_a_source_and_used_by_the_graph() -> None:
    for port in PORTS.values():
        assert port.name in Source.__dataclass_fields__
        assert port.name in Sources.__dataclass_fields__


@pytest.mark.parametrize(("port", "name", "read"), READS, ids=lambda value: getattr(value, "name", value))
def test_rows_of_customers_are_scoped(port: Port, name: str, read: Read) -> None:
    """A record that names its customer, or the agents above it, cannot be read without row scope."""
    fields = getattr(read.record, "__struct_fields__", ())
    if "customer" in fields or read.record in (Customer, CreditStatus):
        assert read.key_customer is not None or read.row_customer is not None, f"{port.name}.{name}"
    if "ancestors" in fields:
        assert read.row_filter is not None, f"{port.name}.{name}"


def test_a_read_that_lacks_what_its_route_needs_is_refused() -> None:
    with pytest.raises(TypeError, match="key_customer"):
        Read(record=Order, routing=Routing.CUSTOMER)
    with pytest.raises(TypeError, match="row_customer"):
        Read(record=Order, routing=Routing.EVERYWHERE)


@pytest.mark.parametrize(
    "module",
    [
        "orders",
        "customers",
        "items",
        "prices",
        "stock",
        "billing",
        "commissions",
        "receivables",
        "contacts",
        "purchases",
        "quotes",
        "ports",
        "values",
    ],
)
def test_importing_a_record_runs_no_composition_root(module: str) -> None:
    heavy = ("app.sources.wiring", "app.sources.source", "app.sources.pipeline", "httpx", "redis")
    code = f"import sys, app.sources.{module}; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def test_one_erp_down_leaves_the_orders_of_the_other() -> None:
    old, new = Rows({"SO-1": an_order("old", "SO-1", "CUST-1")}), Rows(SourceUnavailable("new"))
    found = await composed(ORDERS, {"old": old, "new": new}, TWO).by_number(CSR, ["SO-1", "SO-2"])
    assert found["SO-1"].source == "old"
    assert isinstance(found["SO-2"], SourceUnavailable)
    assert set(found) == {"SO-1", "SO-2"}


async def test_a_foreign_order_looks_like_a_missing_one_while_an_erp_is_down() -> None:
    old, new = Rows({"SO-1": an_order("old", "SO-1", "CUST-2")}), Rows(SourceUnavailable("new"))
    found = await composed(ORDERS, {"old": old, "new": new}, TWO).by_number(BUYER, ["SO-1", "SO-2"])
    assert [type(found[number]) for number in ("SO-1", "SO-2")] == [SourceUnavailable, SourceUnavailable]


async def test_all_erps_down_is_their_error() -> None:
    port = composed(ORDERS, {"old": Rows(SourceTimeout("old")), "new": Rows(SourceUnavailable("new"))}, TWO)
    with pytest.raises(SourceTimeout):
        await port.by_number(CSR, ["SO-1"])


async def test_an_own_order_is_found_beside_a_foreign_one_of_the_same_number() -> None:
    old, new = Rows({"SO-1": an_order("old", "SO-1", "CUST-2")}), Rows({"SO-1": an_order("new", "SO-1", "NEW-7")})
    principal = Principal(subject="b", roles=frozenset({Role.BUYER}), customers=frozenset({"NEW-7"}))
    found = await composed(ORDERS, {"old": old, "new": new}, TWO).by_number(principal, ["SO-1"])
    assert found["SO-1"].source == "new"


async def test_invoices_count_from_the_master_of_their_customer_only() -> None:
    old = Rows({"SO-1": (an_invoice("old", "CUST-OLD"), an_invoice("moved", "NEW-7"))})
    new = Rows({"SO-1": (an_invoice("new", "NEW-7"), an_invoice("left", "CUST-OLD"))})
    port = composed(BILLING, {"old": old, "new": new}, TWO)
    assert [one.id for one in (await port.invoices(CSR, ["SO-1"]))["SO-1"]] == ["old", "new"]
    principal = Principal(subject="b", roles=frozenset({Role.BUYER}), customers=frozenset({"NEW-7"}))
    assert [one.id for one in (await port.invoices(principal, ["SO-1"]))["SO-1"]] == ["new"]


async def test_one_failing_shop_leaves_the_reservations_of_the_others_and_is_named() -> None:
    good = Rows({"A": (Reservation(sku="A", quantity=Decimal(5), order="W1"),)})
    shops = {"shop": good, "shop-b": Rows(SourceUnavailable("shop-b")), "shop-c": Rows(SourceTimeout("shop-c"))}
    found = await composed(RESERVATIONS, shops).reservations(CSR, ["A", "B"])
    assert isinstance(found["A"], PartialRows)
    assert [row.order for row in found["A"].rows] == ["W1"]
    assert {name: type(error) for name, error in found["A"].failures.items()} == {
        "shop-b": SourceUnavailable,
        "shop-c": SourceTimeout,
    }
    assert (found["B"].rows, list(found["B"].failures)) == ((), ["shop-b", "shop-c"])
    assert await composed(RESERVATIONS, {"shop": good}).reservations(CSR, ["A"]) == good.found


def credit(state: CreditState) -> CreditStatus:
    return CreditStatus(state=state, checked_at=NOON)


def a_customer(status: CreditStatus | None) -> Customer:
    return Customer(number="CUST-1", name="One", currency="USD", credit=status)


@pytest.mark.parametrize(
    ("masters", "state"),
    [
        ({"customers": "erp", "credit": "erp"}, CreditState.WARN),
        ({"customers": "erp", "credit": "pricing"}, None),
        ({"customers": "erp"}, None),
    ],
    ids=["same master", "another master", "no master"],
)
async def test_credit_comes_with_a_customer_from_the_master_of_credit_only(
    masters: Mapping[str, str], state: CreditState | None
) -> None:
    erp = Rows({"CUST-1": a_customer(credit(CreditState.WARN))})
    routes = {port: Routes(master) for port, master in masters.items()}
    port = compose_port(CUSTOMERS, routes, {"erp": erp})
    found = (await port.by_number(CSR, ["CUST-1"], parts=(CustomerPart.CREDIT,)))["CUST-1"]
    assert (found.credit.state if found.credit else None) == state
    assert erp.calls[0][1] == ({"parts": (CustomerPart.CREDIT,)} if state else {})


async def test_credit_that_nobody_asked_for_does_not_come_by_other_reads() -> None:
    erp = Rows({"17": a_customer(credit(CreditState.WARN))})
    assert (await scoped(CUSTOMERS, erp).by_id(CSR, ["17"]))["17"].credit is None
    listed = Rows(Page(rows=(a_customer(credit(CreditState.WARN)),), cursors=("1",)))
    page = await composed(CUSTOMERS, {"erp": listed}).search(CSR, CustomerQuery(page=PageRequest(first=1)))
    assert [row.credit for row in page.rows] == [None]


REQUEST = PriceRequest("CUST-1", "A", Decimal(12), "EA", date(2026, 11, 21))
PRICE = ContractPrice(
    customer="CUST-1",
    sku="A",
    uom="EA",
    quantity=Decimal(12),
    unit_price=Money(amount=Decimal("1.5"), currency="USD"),
    authority="erp",
    quoted_at=NOON,
    freshness=STAMP,
)
NEGATIVE, NO_CURRENCY = Money(amount=Decimal(-1), currency="USD"), Money(amount=Decimal(1), currency="Dollar")


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"customer": "CUST-2"}, "customer, sku: expected CUST-1 A, got CUST-2 A"),
        ({"sku": "B"}, "customer, sku: expected CUST-1 A, got CUST-1 B"),
        ({"uom": "XBX"}, "uom: expected EA, got XBX"),
        ({"quantity": Decimal(1)}, "quantity: expected 12, got 1"),
        ({"price_unit": Decimal(0)}, "price_unit: expected a number above 0, got 0"),
        ({"unit_price": NEGATIVE}, "unit_price: expected an amount of 0 or more in ISO 4217, got -1 USD"),
        ({"unit_price": NO_CURRENCY}, "unit_price: expected an amount of 0 or more in ISO 4217, got 1 Dollar"),
        ({"list_price": NEGATIVE}, "list_price: expected an amount of 0 or more in ISO 4217, got -1 USD"),
        (
            {"breaks": (PriceBreak(minimum=Decimal(1), unit_price=NO_CURRENCY),)},
            "breaks: expected an amount of 0 or more in ISO 4217, got 1 Dollar",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
async def test_a_price_that_does_not_fit_its_request_is_malformed(change: dict[str, Any], detail: str) -> None:
    other = msgspec.structs.replace(REQUEST, sku="C")
    fits = msgspec.structs.replace(PRICE, sku="C")
    erp = Rows({REQUEST: msgspec.structs.replace(PRICE, **change), other: fits})
    found = await compiled(PRICES, erp).quote(CSR, [REQUEST, other])
    assert isinstance(found[REQUEST], SourceMalformed)
    assert found[REQUEST].detail == detail
    assert found[other] == fits


@pytest.mark.parametrize("quantity", [Decimal(12), Decimal("12.000")])
async def test_a_price_that_fits_is_believed(quantity: Decimal) -> None:
    price = msgspec.structs.replace(PRICE, quantity=quantity)
    assert await compiled(PRICES, Rows({REQUEST: price})).quote(CSR, [REQUEST]) == {REQUEST: price}
    free = msgspec.structs.replace(PRICE, unit_price=Money(amount=Decimal(0), currency="EUR"))
    assert await compiled(PRICES, Rows({REQUEST: free})).quote(CSR, [REQUEST]) == {REQUEST: free}
