"""The prices port."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import msgspec

from app.auth.principal import SYSTEM
from app.sources.prices import price_problem
from app.sources.source import Source
from tests.contract import checks
from tests.contract.case import Case, assert_exact

PORT = "prices"


def quote(source: Source) -> checks.Read:
    return lambda keys: source.prices.quote(SYSTEM, keys)


async def test_price_has_its_values(case: Case, source: Source):
    found = await source.prices.quote(SYSTEM, list(case.prices.exact))
    for request, expected in case.prices.exact.items():
        price = found[request]
        assert (price.customer, price.sku, price.quantity) == (request.customer, request.sku, request.quantity)
        assert price.authority == price.freshness.source == source.name
        assert price.quoted_at.utcoffset() == timedelta(0)
        assert_exact(price, expected)


async def test_questions_without_a_price_are_left_out(case: Case, source: Source):
    bulk = case.prices.bulk
    found = await source.prices.quote(SYSTEM, [*case.prices.unpriced, *bulk, *bulk])
    assert set(found) == set(bulk)
    assert await source.prices.quote(SYSTEM, []) == {}


async def test_answers_do_not_depend_on_company_in_the_batch(case: Case, source: Source):
    alone = {}
    for request in case.prices.bulk:
        alone |= await checks.read_all(quote(source), [request])
    together = await source.prices.quote(SYSTEM, list(reversed(case.prices.bulk)))
    assert stable_by_request(together) == stable_by_request(alone)


def stable_by_request(prices):
    return {request: checks.stable(price) for request, price in prices.items()}


async def test_calls_do_not_grow_with_questions(case: Case, source: Source):
    await checks.check_calls_do_not_grow(quote(source), case.prices.bulk)


async def test_hostile_questions_have_no_price(case: Case, source: Source):
    first = case.prices.bulk[0]
    fields = ("sku", "uom") if case.prices.by_agreement else ("sku", "customer", "uom")
    odd = [msgspec.structs.replace(first, **{field: text})
           for text in checks.HOSTILE if text for field in fields]  # fmt: skip
    assert set(await source.prices.quote(SYSTEM, [*odd, first])) == {first}


async def test_wrong_answers_are_our_errors(case: Case):
    await checks.check_wrong_answers(case, quote, case.prices.bulk[0])


async def test_breaks_ascend(case: Case, source: Source):
    breaks = 0
    for price in (await checks.read_all(quote(source), case.prices.bulk)).values():
        breaks += len(price.breaks)
        minimums = [step.minimum for step in price.breaks]
        assert minimums == sorted(set(minimums))
        assert type(price.unit_price.amount) is Decimal
    assert (breaks > 0) == case.prices.breaks


async def test_prices_fit_their_requests(case: Case, source: Source):
    requests = list(dict.fromkeys([*case.prices.exact, *case.prices.bulk]))
    found = await source.prices.quote(SYSTEM, requests)
    assert set(found) == set(requests)
    assert {request: price_problem(request, price) for request, price in found.items()} == dict.fromkeys(requests)
