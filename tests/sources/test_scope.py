"""Row scope and routing: foreign rows are absent, each customer is read from its own master."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from app.auth.principal import Principal, Role
from app.errors import InvalidCursor, NotSupported, SourceUnavailable
from app.sources.customers import CUSTOMERS, Customer, CustomerPart, CustomerQuery
from app.sources.orders import ORDERS, CustomerPoKey, Order, OrderQuery, OrderStatus, Totals
from app.sources.pipeline.compose import Unserved
from app.sources.pipeline.routes import Routes
from app.sources.stock import BALANCES, Balance
from app.sources.values import Freshness, Money, Page, PageRequest
from tests.support.ports import composed, scoped

NOW = datetime(2026, 11, 21, tzinfo=UTC)
BUYER = Principal(subject="b", roles=frozenset({Role.BUYER}), customers=frozenset({"CUST-1"}))
LOST = Principal(subject="l", roles=frozenset({Role.BUYER}))
CSR = Principal(subject="c", roles=frozenset({Role.CSR}))


class FakeCustomers:
    """Holds the numbers it is given; pages by offset."""

    def __init__(self, *numbers: str) -> None:
        self.rows = [Customer(number=number, name=number, currency="USD") for number in numbers]
        self.asked: list[list[str]] = []

    async def by_number(
        self, principal: Principal, numbers: Sequence[str], parts: Collection[CustomerPart] = ()
    ) -> Mapping[str, Customer]:
        self.asked.append(list(numbers))
        return {row.number: row for row in self.rows if row.number in numbers}

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Customer]:
        return {f"id-{row.number}": row for row in self.rows if f"id-{row.number}" in ids}

    async def search(self, principal: Principal, query: CustomerQuery) -> Page[Customer]:
        rows = [row for row in self.rows if query.numbers is None or row.number in query.numbers]
        start = int(query.page.after) if query.page.after else 0
        shown = rows[start : start + query.page.first]
        cursors = tuple(str(start + index + 1) for index in range(len(shown)))
        return Page(rows=tuple(shown), cursors=cursors, has_next=start + len(shown) < len(rows), total=len(rows))


class FakeOrders:
    """Holds one order per (number, customer)."""

    def __init__(self, source: str, **customer_of: str | None) -> None:
        self.rows = {
            number: Order(
                id=number,
                source=source,
                number=number,
                customer=customer,
                status=OrderStatus.PROCESSING,
                currency="USD",
                totals=Totals(total=Money(amount=Decimal(1), currency="USD")),
                freshness=Freshness(source=source, as_of=NOW),
            )
            for number, customer in customer_of.items()
        }

    async def by_number(self, principal: Principal, numbers: Sequence[str]) -> Mapping[str, Order]:
        return {number: self.rows[number] for number in numbers if number in self.rows}

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Order]:
        return await self.by_number(principal, ids)

    async def by_customer_po(
        self, principal: Principal, keys: Sequence[CustomerPoKey]
    ) -> Mapping[CustomerPoKey, Order]:
        return dict.fromkeys(keys, self.rows["A"])

    async def by_customer(
        self, principal: Principal, customers: Sequence[str], query: OrderQuery
    ) -> Mapping[str, Page[Order]]:
        return {
            customer: Page(rows=tuple(row for row in self.rows.values() if row.customer == customer), cursors=())
            for customer in customers
        }


def customers(port: FakeCustomers) -> Any:
    return composed(CUSTOMERS, {"erp": port})


async def test_a_foreign_customer_is_absent_and_never_asked_for() -> None:
    port = FakeCustomers("CUST-1", "CUST-2")
    found = await customers(port).by_number(BUYER, ["CUST-2", "CUST-1", "CUST-9"])
    assert list(found) == ["CUST-1"]
    assert port.asked == [["CUST-1"]]


async def test_a_foreign_customer_is_absent_by_its_source_id_as_well() -> None:
    found = await scoped(CUSTOMERS, FakeCustomers("CUST-1", "CUST-2")).by_id(BUYER, ["id-CUST-2", "id-CUST-1"])
    assert list(found) == ["id-CUST-1"]


async def test_a_list_shows_own_customers_only_and_nothing_to_those_who_have_none() -> None:
    port = FakeCustomers("CUST-1", "CUST-2")
    query = CustomerQuery(page=PageRequest(first=10))
    assert [row.number for row in (await customers(port).search(BUYER, query)).rows] == ["CUST-1"]
    assert (await customers(port).search(LOST, query)).rows == ()
    assert len((await customers(port).search(CSR, query)).rows) == 2


async def test_foreign_and_ownerless_orders_are_absent_for_the_restricted() -> None:
    orders = FakeOrders("erp", A="CUST-1", B="CUST-2", C=None)
    port = composed(ORDERS, {"erp": orders})
    assert list(await port.by_number(BUYER, ["A", "B", "C"])) == ["A"]
    assert list(await scoped(ORDERS, orders).by_id(BUYER, ["A", "B", "C"])) == ["A"]
    assert list(await port.by_number(CSR, ["A", "B", "C"])) == ["A", "B", "C"]


async def test_orders_of_a_foreign_customer_are_not_listed() -> None:
    port = composed(ORDERS, {"erp": FakeOrders("erp", A="CUST-1", B="CUST-2")})
    query = OrderQuery(page=PageRequest(first=5))
    assert list(await port.by_customer(BUYER, ["CUST-1", "CUST-2"], query)) == ["CUST-1"]
    assert await port.by_customer_po(BUYER, [CustomerPoKey(customer="CUST-2", number="x")]) == {}


TWO = Routes("erp", (("CUST-2*", "erp2"),))


async def test_each_customer_is_read_from_its_own_master() -> None:
    old, new = FakeCustomers("CUST-1", "CUST-20"), FakeCustomers("CUST-1", "CUST-20")
    routed = composed(CUSTOMERS, {"erp": old, "erp2": new}, TWO)
    found = await routed.by_number(CSR, ["CUST-1", "CUST-20"])
    assert set(found) == {"CUST-1", "CUST-20"}
    assert (old.asked, new.asked) == ([["CUST-1"]], [["CUST-20"]])


async def test_a_list_over_two_masters_shows_each_customer_once_page_by_page() -> None:
    old = FakeCustomers("CUST-1", "CUST-20", "CUST-3")
    new = FakeCustomers("CUST-1", "CUST-20", "CUST-21")
    routed = composed(CUSTOMERS, {"erp": old, "erp2": new}, TWO)
    seen, after = [], None
    for _ in range(5):
        page = await routed.search(CSR, CustomerQuery(page=PageRequest(first=2, after=after)))
        seen += [row.number for row in page.rows]
        if not page.has_next:
            break
        after = page.cursors[-1]
    assert seen == ["CUST-1", "CUST-20", "CUST-21", "CUST-3"]  # By number.


@pytest.mark.parametrize("cursor", ["", "x", "7:1", "-1:0", "é:1"])
async def test_a_made_up_position_is_refused(cursor: str) -> None:
    routed = composed(CUSTOMERS, {"erp": FakeCustomers(), "erp2": FakeCustomers()}, TWO)
    with pytest.raises(InvalidCursor):
        await routed.search(CSR, CustomerQuery(page=PageRequest(first=2, after=cursor)))


async def test_an_order_that_two_masters_hold_belongs_to_its_customers_master() -> None:
    routed = composed(ORDERS, {"erp": FakeOrders("erp", A="CUST-20"), "erp2": FakeOrders("erp2", A="CUST-20")}, TWO)
    found = await routed.by_number(CSR, ["A"])
    assert found["A"].source == "erp2"


async def test_an_unserved_domain_says_so() -> None:
    with pytest.raises(NotSupported) as caught:
        await Unserved("credit").status(CSR, ["CUST-1"])
    assert caught.value.message == "None of the connected systems answers for 'credit'."


class Broken:
    """Fails at every read."""

    def __getattr__(self, read: str) -> Any:
        async def fail(*_: object, **__: object) -> Any:
            raise SourceUnavailable("erp2")

        return fail


async def test_a_master_that_fails_costs_its_own_customers_only() -> None:
    port = composed(CUSTOMERS, {"erp": FakeCustomers("CUST-1"), "erp2": Broken()}, TWO)
    found = await port.by_number(CSR, ["CUST-1", "CUST-20"])
    assert found["CUST-1"].number == "CUST-1"
    assert isinstance(found["CUST-20"], SourceUnavailable)
    with pytest.raises(SourceUnavailable):
        await port.by_number(CSR, ["CUST-20"])


async def test_error_instead_of_an_order_is_not_treated_as_a_foreign_row() -> None:
    port = composed(ORDERS, {"erp": FakeOrders("erp", A="CUST-1"), "erp2": Broken()}, TWO)
    keys = [CustomerPoKey(customer="CUST-1", number="x"), CustomerPoKey(customer="CUST-20", number="x")]
    found = await port.by_customer_po(CSR, keys)
    assert found[keys[0]].number == "A"
    assert isinstance(found[keys[1]], SourceUnavailable)


async def test_a_foreign_customer_is_absent_when_the_source_fails_for_the_callers_own() -> None:
    port = composed(CUSTOMERS, {"erp": Broken()})
    found = await port.by_number(BUYER, ["CUST-1", "CUST-2"])
    assert list(found) == ["CUST-1"]
    assert isinstance(found["CUST-1"], SourceUnavailable)
    assert await port.by_number(BUYER, ["CUST-2"]) == {}


async def test_an_operator_that_fails_costs_its_own_warehouses_only() -> None:
    class Counts:
        async def balances(self, principal: Principal, warehouses: Sequence[str], skus: Sequence[str]) -> Any:
            return {
                (code, sku): Balance(warehouse=code, sku=sku, on_hand=Decimal(1), as_of=NOW)
                for code in warehouses
                for sku in skus
            }

    port = composed(BALANCES, {"A": Counts(), "B": Broken()})
    found = await port.balances(CSR, ["A", "B", "C"], ["x"])
    assert found["A", "x"].on_hand == 1
    assert isinstance(found["B", "x"], SourceUnavailable)
    assert len(found) == 2
