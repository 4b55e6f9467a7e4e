"""The billing port."""

from __future__ import annotations

from decimal import Decimal

import pytest

from app.auth.principal import SYSTEM
from app.sources.billing import InvoiceQuery, ReturnQuery, invoice_sort_key, return_sort_key
from app.sources.source import Source
from tests.contract import checks
from tests.contract.case import Case, assert_exact

PORT = "billing"


def invoices(source: Source) -> checks.Read:
    return lambda keys: source.billing.invoices(SYSTEM, keys)


async def test_invoices_are_read_by_order(case: Case, source: Source):
    await checks.check_reads_by_keys(invoices(source), case.billing.invoiced, case.billing.unknown)


async def test_calls_do_not_grow_with_orders(case: Case, source: Source):
    await checks.check_calls_do_not_grow(invoices(source), case.billing.invoiced)


async def test_hostile_orders_have_none(case: Case, source: Source):
    await checks.check_hostile_keys(invoices(source), case.billing.invoiced[0])
    if checks.lacks(source, "billing.returns"):
        return
    returned = list(case.billing.returns)
    assert set(await source.billing.returns(SYSTEM, [*checks.HOSTILE, *returned])) == set(returned)


async def test_wrong_answers_are_our_errors(case: Case):
    await checks.check_wrong_answers(case, invoices, case.billing.invoiced[0])


def by_id(source: Source) -> checks.Read:
    return lambda keys: source.billing.by_id(SYSTEM, keys)


async def ids(case: Case, source: Source) -> list[str]:
    """The ids of known invoices."""
    found = await checks.read_all(invoices(source), case.billing.invoiced)
    return [row.id for rows in found.values() for row in rows]


async def test_invoices_are_read_by_id(case: Case, source: Source):
    known = await ids(case, source)
    await checks.check_reads_by_keys(by_id(source), known, "99999999")
    await checks.check_calls_do_not_grow(by_id(source), known)
    await checks.check_hostile_keys(by_id(source), known[0])


async def test_invoice_by_id_is_that_of_its_order(case: Case, source: Source):
    found = await checks.read_all(invoices(source), case.billing.invoiced)
    expected = {row.id: row for rows in found.values() for row in rows}
    assert checks.stable(await by_id(source)(list(expected))) == checks.stable(expected)


async def test_invoices_have_their_values(case: Case, source: Source):
    found = await source.billing.invoices(SYSTEM, list(case.billing.invoices))
    for number, expected in case.billing.invoices.items():
        assert_exact(found[number], expected)
        assert len(found[number]) > 0
        for invoice in found[number]:
            assert number in invoice.orders
            assert invoice.source == source.name
            assert type(invoice.total.amount) is Decimal


async def test_returns_have_their_values(case: Case, source: Source):
    if checks.lacks(source, "billing.returns"):
        assert case.billing.returns == {}
        return
    found = await source.billing.returns(SYSTEM, [*case.billing.returns, case.billing.unknown])
    assert set(found) == set(case.billing.returns)
    for number, expected in case.billing.returns.items():
        assert_exact(found[number], expected)


async def test_return_by_id_is_that_of_its_order(case: Case, source: Source):
    if checks.lacks(source, "billing.returns"):
        assert (case.billing.returns, hasattr(source.billing, "returns_by_id")) == ({}, False)
        return

    def read(source: Source) -> checks.Read:
        return lambda keys: source.billing.returns_by_id(SYSTEM, keys)  # pyright: ignore[reportAttributeAccessIssue]

    if case.billing.returns == {}:
        assert await read(source)([*checks.HOSTILE, "99999999"]) == {}
        return
    by_order = await source.billing.returns(SYSTEM, list(case.billing.returns))
    expected = {row.id: row for rows in by_order.values() for row in rows}
    assert len(expected) > 0
    assert checks.stable(await read(source)(list(expected))) == checks.stable(expected)
    await checks.check_reads_by_keys(read(source), list(expected), "99999999")
    await checks.check_hostile_keys(read(source), next(iter(expected)))
    await checks.check_wrong_answers(case, read, next(iter(expected)))


async def test_return_by_number_is_that_of_its_order(case: Case, source: Source):
    if case.billing.returns == {}:
        return  # An adapter whose recordings have no return is tested over its own stand-in.

    def read(source: Source) -> checks.Read:
        return lambda keys: source.billing.returns_by_number(SYSTEM, keys)  # pyright: ignore[reportAttributeAccessIssue]

    by_order = await source.billing.returns(SYSTEM, list(case.billing.returns))
    expected = {row.number: row for rows in by_order.values() for row in rows}
    assert len(expected) > 0
    assert checks.stable(await read(source)(list(expected))) == checks.stable(expected)
    await checks.check_reads_by_keys(read(source), list(expected), "RMA-99999")
    await checks.check_hostile_keys(read(source), next(iter(expected)))
    await checks.check_wrong_answers(case, read, next(iter(expected)))


LISTS = {
    "billing.search_invoices": ("invoice_lists", "billing.invoices_by_customer", InvoiceQuery, invoice_sort_key),
    "billing.search_returns": ("return_lists", "billing.returns_by_customer", ReturnQuery, return_sort_key),
}


@pytest.mark.parametrize("read", LISTS)
async def test_lists_are_those_of_the_source(case: Case, source: Source, read: str):
    name, by_customer, query, sort_key = LISTS[read]
    facts = getattr(case.billing, name)
    if read not in source.lists:
        assert (hasattr(source.billing, read.partition(".")[2]), facts) == (False, ())
        return
    assert len(facts) > 0
    await checks.check_lists(source, read, facts, query, lambda row: row.number)
    await checks.check_listed_pages(source, (by_customer, read), query, sort_key, ("CUST-0001", "CUST-0002"))
