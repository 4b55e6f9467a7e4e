"""The quotes port."""

from __future__ import annotations

from decimal import Decimal

from app.auth.principal import SYSTEM
from app.sources.lists import sort_by
from app.sources.quotes import QuoteQuery
from app.sources.source import Source
from tests.contract import checks
from tests.contract.case import Case, assert_exact

PORT = "quotes"
SORT_KEY = sort_by(REQUESTED_AT="requested_at", VALID_TO="valid_to")


def by_number(source: Source) -> checks.Read:
    return lambda keys: source.quotes.by_number(SYSTEM, keys)


def by_id(source: Source) -> checks.Read:
    return lambda keys: source.quotes.by_id(SYSTEM, keys)


async def test_quotes_are_read_by_number_and_id(case: Case, source: Source):
    known = list(case.quotes.exact)
    await checks.check_reads_by_keys(by_number(source), known, case.quotes.unknown)
    await checks.check_calls_do_not_grow(by_number(source), known)
    await checks.check_hostile_keys(by_number(source), known[0])
    found = await checks.read_all(by_number(source), known)
    expected = {quote.id: quote for quote in found.values()}
    await checks.check_reads_by_keys(by_id(source), list(expected), "no-such-id")
    await checks.check_hostile_keys(by_id(source), next(iter(expected)))
    assert checks.stable(await by_id(source)(list(expected))) == checks.stable(expected)


async def test_wrong_answers_are_our_errors(case: Case):
    await checks.check_wrong_answers(case, by_number, next(iter(case.quotes.exact)))


async def test_quotes_have_their_values(case: Case, source: Source):
    found = await checks.read_all(by_number(source), case.quotes.exact)
    for number, expected in case.quotes.exact.items():
        quote = found[number]
        assert_exact(quote, expected)
        assert (quote.number, quote.source, quote.refs[0].id) == (number, source.name, quote.id)
        assert 0 < quote.version < 2**31
        assert len(quote.lines) > 0
        for line in quote.lines:
            assert type(line.quantity) is Decimal


async def test_lists_are_those_of_the_source(case: Case, source: Source):
    await checks.check_lists(source, "quotes.search", case.quotes.lists, QuoteQuery, lambda row: row.number)
    reads = ("quotes.by_customer", "quotes.search")
    await checks.check_listed_pages(source, reads, QuoteQuery, SORT_KEY, ("CUST-0001", "CUST-0002"))
