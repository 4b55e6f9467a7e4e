"""The orders port."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from app.auth.principal import SYSTEM
from app.errors import NotSupported
from app.sources.orders import CustomerPoKey, OrderQuery, OrderSort, order_sort_key
from app.sources.source import Source
from app.sources.values import Page, PageRequest
from tests.contract import checks
from tests.contract.case import Case, assert_exact, counted_calls

PORT = "orders"


def by_number(source: Source) -> checks.Read:
    return lambda keys: source.orders.by_number(SYSTEM, keys)


def by_customer(source: Source) -> checks.Read:
    return lambda keys: source.orders.by_customer(SYSTEM, keys, OrderQuery(page=PageRequest(first=2)))


async def test_orders_are_read_by_number(case: Case, source: Source):
    await checks.check_reads_by_keys(by_number(source), case.orders.known, case.orders.unknown)


async def test_calls_do_not_grow_with_orders(case: Case, source: Source):
    await checks.check_calls_do_not_grow(by_number(source), case.orders.known)


async def test_hostile_numbers_are_unknown(case: Case, source: Source):
    await checks.check_hostile_keys(by_number(source), case.orders.known[0])


async def test_wrong_answers_are_our_errors(case: Case):
    await checks.check_wrong_answers(case, by_number, case.orders.known[0])


async def test_order_has_its_values(case: Case, source: Source):
    found = await source.orders.by_number(SYSTEM, list(case.orders.exact))
    for number, expected in case.orders.exact.items():
        assert_exact(found[number], expected)


async def test_order_knows_where_it_is_from(case: Case, source: Source):
    for number, order in (await checks.read_all(by_number(source), case.orders.known)).items():
        assert (order.number, order.source) == (number, source.name)
        assert (source.name, order.id) in {(ref.system, ref.id) for ref in order.refs}
        assert order.ordered_at.utcoffset() == timedelta(0)
        assert type(order.totals.total.amount) is Decimal
        assert len(order.lines) > 0
        for line in order.lines:
            assert (line.order, line.customer) == (number, order.customer)
            assert type(line.quantity) is Decimal


async def test_order_is_found_again_by_its_own_id(case: Case, source: Source):
    ids = {row.id: number for number, row in (await checks.read_all(by_number(source), case.orders.known)).items()}
    again = await source.orders.by_id(SYSTEM, [*ids, "999999999", "no id"])
    assert {key: row.number for key, row in again.items()} == ids


async def test_order_is_found_by_the_customers_number(case: Case, source: Source):
    if checks.lacks(source, "orders.by_customer_po"):
        return
    keys = case.orders.purchase_orders
    nobody = [CustomerPoKey(customer="CUST-9999", number=key.number) for key in keys]
    found = await source.orders.by_customer_po(SYSTEM, [*keys, *nobody])
    assert {key: row.number for key, row in found.items()} == dict(keys)


async def test_each_customer_gets_a_page_of_its_own_orders(case: Case, source: Source):
    found = await source.orders.by_customer(
        SYSTEM, [*case.orders.customers, "CUST-9999"], OrderQuery(page=PageRequest(first=3))
    )
    assert {number for number, page in found.items() if page.rows} == set(case.orders.customers)
    for number, page in found.items():
        assert {row.customer for row in page.rows} <= {number}
        assert len(page.rows) == len(page.cursors) <= 3
        dates = [row.ordered_at for row in page.rows if row.ordered_at is not None]
        assert dates == sorted(dates, reverse=True)


async def test_calls_do_not_grow_with_customers_or_rows(case: Case, source: Source):
    # One customer's page may take fewer calls than the pages of several.
    await checks.check_calls_do_not_grow(by_customer(source), case.orders.customers, few=2)
    counts = set()
    for first in (1, 50):
        with counted_calls() as calls:
            await source.orders.by_customer(SYSTEM, case.orders.customers, OrderQuery(page=PageRequest(first=first)))
        counts.add(len(calls))
    assert len(counts) == 1


async def test_pages_are_the_whole_list_both_ways(case: Case, source: Source):
    customer = case.orders.customers[0]
    size = 1 if (case.orders.count or 100) <= 4 else 4
    lists = {}
    for sort in map(OrderSort, sorted(source.lists["orders.by_customer"].sorts)):

        async def turn(page: PageRequest, sort: OrderSort = sort) -> Page:
            found = await source.orders.by_customer(SYSTEM, [customer], OrderQuery(page=page, sort=sort))
            return found.get(customer, Page(has_previous=page.after is not None))

        lists[sort] = await checks.check_pages(turn, lambda row: row.id, size=size)
        await checks.check_cursors(turn)
    down, up = lists[OrderSort.ORDERED_AT_DESC], lists[OrderSort.ORDERED_AT_ASC]
    assert len(down) > size
    assert sorted(down) == sorted(up)
    if case.orders.count is not None:
        assert len(down) == case.orders.count


async def test_total_is_returned_where_the_source_counts(case: Case, source: Source):
    customer = case.orders.customers[0]
    query = OrderQuery(page=PageRequest(first=1, count=True))
    page = (await source.orders.by_customer(SYSTEM, [customer], query))[customer]
    assert (page.total is not None) is case.orders.total
    if page.total is not None and case.orders.count is not None:
        assert page.total == case.orders.count


async def test_status_filter_keeps_its_statuses(case: Case, source: Source):
    customer = case.orders.customers[0]
    newest = (await source.orders.by_customer(SYSTEM, [customer], OrderQuery(page=PageRequest(first=100))))[
        customer
    ].rows
    status = newest[0].status
    query = OrderQuery(page=PageRequest(first=100), status=(status,))
    if "status" not in source.lists["orders.by_customer"].filters:
        with pytest.raises(NotSupported):
            await source.orders.by_customer(SYSTEM, [customer], query)
        return
    page = (await source.orders.by_customer(SYSTEM, [customer], query))[customer]
    assert [row.number for row in page.rows] == [row.number for row in newest if row.status == status]


async def test_hostile_customers_have_no_orders(case: Case, source: Source):
    found = await source.orders.by_customer(SYSTEM, checks.HOSTILE, OrderQuery(page=PageRequest(first=1)))
    assert {key for key, page in found.items() if page.rows} == set()
    known = [*case.orders.customers, "CUST-9999"]
    found = await source.orders.by_customer(SYSTEM, known, OrderQuery(page=PageRequest(first=3)))
    assert {key for key, page in found.items() if page.rows} == set(case.orders.customers)


async def test_lists_are_those_of_the_source(case: Case, source: Source):
    if "orders.search" not in source.lists:
        assert (hasattr(source.orders, "search"), case.orders.lists) == (False, ())
        return
    assert len(case.orders.lists) > 0
    await checks.check_lists(source, "orders.search", case.orders.lists, OrderQuery, lambda row: row.number)


async def test_pages_of_a_list_are_the_whole_list_in_every_sort(case: Case, source: Source):
    if "orders.search" in source.lists:
        reads = ("orders.by_customer", "orders.search")
        await checks.check_listed_pages(source, reads, OrderQuery, order_sort_key, case.orders.customers)
