"""The search port: a system's own search."""

from __future__ import annotations

import pytest

from app.auth.principal import SYSTEM
from app.errors import InvalidCursor
from app.sources.search import AttributeFilter, CustomerSearchQuery, ItemSearchQuery
from app.sources.source import Source
from app.sources.values import PageRequest
from tests.contract.case import Case

PORT = "search"


async def test_items_are_found_in_pages(case: Case, source: Source):
    facts = case.search
    keys: list[str] = []
    after: str | None = None
    while True:
        page = await source.search.items(
            SYSTEM, ItemSearchQuery(page=PageRequest(first=2, after=after, count=True), text=facts.text)
        )
        assert page.total == len(facts.skus)
        keys += page.rows
        if not page.has_next:
            break
        after = page.cursors[-1]
    assert keys == list(facts.skus)


async def test_facets_and_categories_count_the_whole_result(case: Case, source: Source):
    facts = case.search
    query = ItemSearchQuery(page=PageRequest(first=1), text=facts.text, facets=(facts.facet,), categories=True)
    page = await source.search.items(SYSTEM, query)
    (found,) = page.facets
    assert (found.code, {one.value: one.count for one in found.values}) == (facts.facet, facts.values)
    assert {one.path: one.count for one in page.categories} == facts.categories


async def test_filters_and_assortments_are_applied_before_counting(case: Case, source: Source):
    facts = case.search
    value, count = next(iter(facts.values.items()))
    query = ItemSearchQuery(
        page=PageRequest(first=1, count=True),
        text=facts.text,
        attributes=(AttributeFilter(code=facts.facet, values=(value,)),),
    )
    assert (await source.search.items(SYSTEM, query)).total == count
    outside = ItemSearchQuery(page=PageRequest(first=1, count=True), text=facts.assorted, assortments=())
    assert (await source.search.items(SYSTEM, outside)).total == 0


async def test_customers_are_found_among_the_given_numbers(case: Case, source: Source):
    number, text = case.search.customer
    page = PageRequest(first=100, count=True)
    assert number in (await source.search.customers(SYSTEM, CustomerSearchQuery(page=page, search=text))).rows
    found = await source.search.customers(SYSTEM, CustomerSearchQuery(page=page, search=text, numbers=(number,)))
    assert (found.rows, found.total) == ((number,), 1)


async def test_a_cursor_that_the_system_did_not_make_is_refused(source: Source):
    with pytest.raises(InvalidCursor):
        await source.search.items(SYSTEM, ItemSearchQuery(page=PageRequest(first=1, after="nonsense")))
