"""The purchases port."""

from __future__ import annotations

from app.auth.principal import SYSTEM
from app.sources.items import CustomerItemKey
from app.sources.purchases import OrderGuideQuery
from app.sources.source import Source
from app.sources.values import Page, PageRequest
from tests.contract import checks
from tests.contract.case import Case, assert_exact, counted_calls

PORT = "purchases"
ALL = OrderGuideQuery(page=PageRequest(first=100, count=True))


def history(source: Source) -> checks.Read:
    return lambda keys: source.purchases.history(SYSTEM, keys)


def order_guide(source: Source) -> checks.Read:
    return lambda keys: source.purchases.order_guide(SYSTEM, keys, ALL)


async def test_histories_are_read_by_customer_and_item(case: Case, source: Source):
    facts = case.purchases
    await checks.check_reads_by_keys(history(source), list(facts.histories), facts.unknown)
    await checks.check_reads_by_keys(order_guide(source), list(facts.guides), "CUST-9999")


async def test_calls_do_not_grow_with_keys_or_rows(case: Case, source: Source):
    await checks.check_calls_do_not_grow(history(source), list(case.purchases.histories))
    counts = set()
    for first in (1, 50):
        with counted_calls() as calls:
            query = OrderGuideQuery(page=PageRequest(first=first))
            await source.purchases.order_guide(SYSTEM, list(case.purchases.guides), query)
        counts.add(len(calls))
    assert counts == {1}


async def test_hostile_keys_are_unknown(case: Case, source: Source):
    key = next(iter(case.purchases.histories))
    hostile = [CustomerItemKey(customer=key.customer, sku=text) for text in checks.HOSTILE]
    hostile += [CustomerItemKey(customer=text, sku=key.sku) for text in checks.HOSTILE]
    await checks.check_hostile_keys(history(source), key, hostile)
    await checks.check_hostile_keys(order_guide(source), next(iter(case.purchases.guides)))


async def test_wrong_answers_are_our_errors(case: Case):
    await checks.check_wrong_answers(case, history, next(iter(case.purchases.histories)))
    await checks.check_wrong_answers(case, order_guide, next(iter(case.purchases.guides)))


async def test_histories_have_their_values(case: Case, source: Source):
    found = await checks.read_all(history(source), case.purchases.histories)
    for key, expected in case.purchases.histories.items():
        assert_exact(found[key], expected)
        assert (found[key].customer, found[key].sku) == (key.customer, key.sku)
        days = [purchase.ordered_on for purchase in found[key].last]
        assert days == sorted(days, reverse=True)


async def test_order_guides_have_their_values(case: Case, source: Source):
    facts = case.purchases
    found = await checks.read_all(order_guide(source), facts.guides)
    assert {number: tuple(row.sku for row in page.rows) for number, page in found.items()} == facts.guides
    for number, expected in facts.guide_rows.items():
        assert_exact(found[number].rows[0], expected)
        assert len({row.basis for row in found[number].rows}) == 1


async def test_pages_are_the_whole_guide(case: Case, source: Source):
    customer, skus = next(iter(case.purchases.guides.items()))

    async def turn(page: PageRequest) -> Page:
        return (await source.purchases.order_guide(SYSTEM, [customer], OrderGuideQuery(page=page)))[customer]

    assert tuple(await checks.check_pages(turn, lambda row: row.sku, size=4)) == skus
    await checks.check_cursors(turn)
