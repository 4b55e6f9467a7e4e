"""The customers port."""

from __future__ import annotations

from app.auth.principal import SYSTEM
from app.sources.customers import CustomerPart, CustomerQuery
from app.sources.source import Source
from app.sources.values import PageRequest
from tests.contract import checks
from tests.contract.case import Case, assert_exact, counted_calls

PORT = "customers"


def by_number(source: Source) -> checks.Read:
    return lambda keys: source.customers.by_number(SYSTEM, keys)


async def test_customers_are_read_by_number(case: Case, source: Source):
    await checks.check_reads_by_keys(by_number(source), case.customers.known, case.customers.unknown)


async def test_calls_do_not_grow_with_customers(case: Case, source: Source):
    await checks.check_calls_do_not_grow(by_number(source), case.customers.known)


async def test_hostile_numbers_are_unknown(case: Case, source: Source):
    await checks.check_hostile_keys(by_number(source), case.customers.known[0])


async def test_wrong_answers_are_our_errors(case: Case):
    await checks.check_wrong_answers(case, by_number, case.customers.known[0])


async def test_customer_has_its_values(case: Case, source: Source):
    found = await source.customers.by_number(SYSTEM, list(case.customers.exact))
    for number, expected in case.customers.exact.items():
        assert found[number].number == number
        assert_exact(found[number], expected)


async def test_customer_is_found_again_by_its_own_id(case: Case, source: Source):
    found = await checks.read_all(by_number(source), case.customers.known)
    ids = {ref.id: number for number, row in found.items() for ref in row.refs if ref.system == source.name}
    assert len(ids) == len(found)
    again = await source.customers.by_id(SYSTEM, [*ids, "999999999", "no id"])
    assert {key: row.number for key, row in again.items()} == ids


async def test_parts_come_in_the_same_call(case: Case, source: Source):
    known = case.customers.known
    await source.customers.by_number(SYSTEM, known)
    with counted_calls() as calls:
        found = await source.customers.by_number(SYSTEM, known, [CustomerPart.CREDIT])
    assert len(calls) == case.customers.calls
    brings = CustomerPart.CREDIT in case.customers.parts
    assert {row.credit is not None for row in found.values()} == {brings}


async def test_pages_are_the_whole_list(case: Case, source: Source):
    if (listing := case.customers.listing) is None:
        return

    async def turn(page):
        return await source.customers.search(SYSTEM, CustomerQuery(page=page, search=listing.search))

    assert await checks.check_pages(turn, lambda row: row.number, size=2) == list(listing.found)
    assert await checks.check_pages(turn, lambda row: row.number, size=100) == list(listing.found)
    await checks.check_cursors(turn)
    await checks.check_total(turn, listing.total)


async def test_list_is_restricted_to_numbers(case: Case, source: Source):
    if case.customers.listing is None:
        return
    known = sorted(case.customers.known)
    whole = PageRequest(first=10, count=True)
    page = await source.customers.search(SYSTEM, CustomerQuery(page=whole, numbers=(*known, case.customers.unknown)))
    assert [row.number for row in page.rows] == known
    assert page.total in {None, len(known)}
    none = await source.customers.search(SYSTEM, CustomerQuery(page=whole, numbers=()))
    assert (none.rows, none.has_next) == ((), False)


async def test_hostile_search_finds_nothing(case: Case, source: Source):
    if (listing := case.customers.listing) is None:
        return
    assert (await source.customers.search(SYSTEM, CustomerQuery(page=PageRequest(first=3), search=listing.search))).rows
    for text in ("' OR 1=1 --", '"}]}', "no\0thing", "%_%"):
        page = await source.customers.search(SYSTEM, CustomerQuery(page=PageRequest(first=3), search=text))
        assert page.rows == ()
