"""Lists over two masters: merged in their order, with cursors that hold the position in both."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from app.auth.principal import Principal, Role
from app.errors import FilterNotSupported, InvalidCursor, SourceMalformed, SourceTimeout, SourceUnavailable
from app.sources.orders import ORDERS, Order, OrderQuery, OrderSort, OrderStatus, Totals
from app.sources.pipeline.routes import Routes
from app.sources.values import Freshness, Money, Page, PageRequest, PartialPage
from tests.support.ports import composed

CSR = Principal(subject="c", roles=frozenset({Role.CSR}))
REP = Principal(subject="r", roles=frozenset({Role.SALES_REP}), customers=frozenset({"OLD-1", "NEW-1"}))
TWO = Routes("old", (("NEW-*", "new"),))
EXCLUSIVE = Routes("old", (("NEW-*", "new"),), exclusive=True)
MONEY = Money(amount=Decimal(1), currency="USD")


def order(number: str, customer: str, day: int | None) -> Order:
    """An order with this promised day of November."""
    return Order(
        id=number,
        source="",
        number=number,
        customer=customer,
        status=OrderStatus.PROCESSING,
        currency="USD",
        ordered_at=datetime(2026, 11, 1, tzinfo=UTC),
        promised_on=None if day is None else date(2026, 11, day),
        totals=Totals(total=MONEY),
        freshness=Freshness(source="", as_of=datetime(2026, 11, 21, tzinfo=UTC)),
    )


class Orders:
    """A source of orders, in the order of its list; cursors are offsets. It filters by customer only."""

    def __init__(self, *rows: Order, fails: Exception | None = None, counts: bool = True) -> None:
        self.rows = rows
        self.fails = fails
        self.counts = counts
        self.queries: list[OrderQuery] = []

    async def search(self, principal: Principal, query: OrderQuery) -> Page[Order]:
        self.queries.append(query)
        if self.fails is not None:
            raise self.fails
        rows = [row for row in self.rows if query.customers is None or row.customer in query.customers]
        start = int(query.page.after or 0)
        page = rows[start : start + query.page.first]
        return Page(
            rows=tuple(page),
            cursors=tuple(str(start + at) for at in range(1, len(page) + 1)),
            has_next=start + len(page) < len(rows),
            total=len(rows) if query.page.count and self.counts else None,
        )


OLD = [order(f"O{day}", f"OLD-{1 + day % 2}", day) for day in (1, 3, 5, 7)] + [order("O-", "OLD-1", None)]
NEW = [order(f"N{day}", "NEW-1", day) for day in (2, 3, 4, 9)]


async def page(
    port: Any, first: int, after: str | None = None, principal: Principal = CSR, customers: Sequence[str] | None = None
) -> Any:
    query = OrderQuery(
        page=PageRequest(first=first, after=after, count=True),
        sort=OrderSort.PROMISED_ON_ASC,
        customers=None if customers is None else tuple(customers),
    )
    return await port.search(principal, query)


def numbers(found: Page[Order]) -> list[str]:
    return [row.number for row in found.rows]


@pytest.mark.parametrize("first", [1, 2, 4, 50])
async def test_pages_of_any_size_are_the_rows_of_both_in_the_order_of_the_list(first: int) -> None:
    old, new = Orders(*OLD), Orders(*NEW)
    port = composed(ORDERS, {"old": old, "new": new}, EXCLUSIVE)
    rows: list[str] = []
    pages, after = 0, None
    while pages == 0 or after is not None:
        found = await page(port, first, after)
        assert (found.total, found.has_previous) == (9, pages > 0)
        assert found.has_next == (len(rows) + len(found.rows) < 9)
        rows += numbers(found)
        pages += 1
        after = found.cursors[-1] if found.has_next else None
    assert rows == ["O1", "N2", "O3", "N3", "N4", "O5", "O7", "N9", "O-"]
    assert (len(old.queries), len(new.queries)) == (pages, pages)


async def test_every_cursor_continues_behind_its_row() -> None:
    port = composed(ORDERS, {"old": Orders(*OLD), "new": Orders(*NEW)}, TWO)
    whole = await page(port, 9)
    for at, cursor in enumerate(whole.cursors, 1):
        assert numbers(await page(port, 9, cursor)) == numbers(whole)[at:]


async def test_each_source_is_asked_for_its_own_customers_only() -> None:
    old, new = Orders(*OLD), Orders(*NEW)
    port = composed(ORDERS, {"old": old, "new": new}, TWO)
    assert numbers(await page(port, 50, principal=REP)) == ["N2", "N3", "N4", "N9", "O-"]
    assert [query.customers for query in old.queries + new.queries] == [("OLD-1",), ("NEW-1",)]
    found = await page(port, 50, customers=["NEW-1"])
    assert (numbers(found), found.total, len(old.queries)) == (["N2", "N3", "N4", "N9"], 4, 1)


async def test_rows_of_moved_customers_count_in_their_own_source_only() -> None:
    """The old system still lists the orders of a customer who was moved: its count is not that of its own rows."""
    moved = [order(f"M{day}", "NEW-1", day) for day in (1, 2, 2, 2, 3)]
    old, new = Orders(*moved, *OLD), Orders(*NEW)
    port = composed(ORDERS, {"old": old, "new": new}, TWO)
    first = await page(port, 2)
    assert (numbers(first), first.total) == (["O1", "N2"], None)
    assert [query.page.first for query in old.queries] == [2, 100]  # All rows of the first were another source's.
    second = await page(port, 3, first.cursors[-1])
    assert (numbers(second), len(old.queries)) == (["O3", "N3", "N4"], 3)


@pytest.mark.parametrize(("first", "total"), [(1, None), (4, None), (8, None), (9, 9), (50, 9)])
async def test_all_customers_are_counted_only_where_the_page_has_all_rows(first: int, total: int | None) -> None:
    """A source may still have rows of moved customers behind the page: adding the counts would count them twice."""
    left = [order(f"M{day}", "NEW-1", day) for day in (20, 21)]
    old, new = Orders(*OLD[:4], *left, OLD[4]), Orders(*NEW)
    port = composed(ORDERS, {"old": old, "new": new}, TWO)
    found = await page(port, first)
    assert (len(found.rows), found.total) == (min(first, 9), total)
    if total is None:
        assert (await page(port, 50, found.cursors[-1])).total is None


async def test_named_customers_are_counted_by_their_own_source() -> None:
    left = [order(f"M{day}", "NEW-1", day) for day in (20, 21)]
    port = composed(ORDERS, {"old": Orders(*OLD, *left), "new": Orders(*NEW)}, TWO)
    found = await page(port, 2, customers=["NEW-1", "OLD-1", "OLD-2"])
    assert (len(found.rows), found.has_next, found.total) == (2, True, 9)
    assert (await page(port, 2, principal=REP)).total == 5


async def test_exclusive_routes_do_not_hide_a_row_that_is_twice() -> None:
    moved = order("M1", "NEW-1", 1)
    port = composed(ORDERS, {"old": Orders(moved, *OLD), "new": Orders(*NEW)}, EXCLUSIVE)
    found = await page(port, 2)
    assert (numbers(found), found.total) == (["O1", "N2"], None)


async def test_total_is_null_where_a_source_does_not_count() -> None:
    port = composed(ORDERS, {"old": Orders(*OLD), "new": Orders(*NEW, counts=False)}, TWO)
    assert (await page(port, 50)).total is None


async def test_a_failing_source_is_named_and_its_rows_follow_once_it_answers() -> None:
    old, new = Orders(*OLD), Orders(*NEW)
    port = composed(ORDERS, {"old": old, "new": new}, TWO)
    first = await page(port, 2)
    new.fails = SourceTimeout("new")
    second = await page(port, 2, first.cursors[-1])
    assert isinstance(second, PartialPage)
    assert (numbers(second), second.failures, second.total) == (["O3", "O5"], {"new": new.fails}, None)
    new.fails = None
    third = await page(port, 50, second.cursors[-1])
    assert numbers(third) == ["N3", "N4", "O7", "N9", "O-"]


async def test_all_sources_failing_is_the_error_of_the_first() -> None:
    failing = Orders(fails=SourceTimeout("old")), Orders(fails=SourceUnavailable("new"))
    port = composed(ORDERS, dict(zip(("old", "new"), failing, strict=True)), TWO)
    with pytest.raises(SourceTimeout):
        await page(port, 2)


async def test_a_query_that_one_source_cannot_answer_is_refused() -> None:
    refused = FilterNotSupported("new", ["late"], ["status"])
    port = composed(ORDERS, {"old": Orders(*OLD), "new": Orders(fails=refused)}, TWO)
    with pytest.raises(FilterNotSupported):
        await page(port, 2)


@pytest.mark.parametrize("cursor", ["", "1", "[]", '{"old":1}', '{"other":"1"}', "{", "null", '{"old":null}'])
async def test_cursors_of_other_lists_are_refused(cursor: str) -> None:
    port = composed(ORDERS, {"old": Orders(*OLD), "new": Orders(*NEW)}, TWO)
    with pytest.raises(InvalidCursor):
        await page(port, 2, cursor)


MOVED = order("M1", "NEW-1", 1)


@pytest.mark.parametrize("rows", [(), (MOVED,)], ids=["empty", "same"])
async def test_pages_that_lead_to_no_other_page_are_a_failure_of_their_source(rows: tuple[Order, ...]) -> None:
    class Endless(Orders):
        async def search(self, principal: Principal, query: OrderQuery) -> Page[Order]:
            return Page(rows=rows, cursors=("1",) * len(rows), has_next=True)

    port = composed(ORDERS, {"old": Endless(), "new": Orders(*NEW)}, TWO)
    found = await page(port, 50)
    assert isinstance(found, PartialPage)
    assert numbers(found) == ["N2", "N3", "N4", "N9"]
    assert isinstance(found.failures["old"], SourceMalformed)
