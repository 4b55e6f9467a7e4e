"""The items port."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from app.auth.principal import SYSTEM
from app.errors import NotSupported
from app.sources.items import CustomerItemKey, CustomerPartKey, ItemQuery
from app.sources.pipeline.compose import compile_source
from app.sources.source import Source
from app.sources.values import PageRequest, utc_now
from tests.contract import checks
from tests.contract.case import Case, assert_exact

PORT = "items"


def by_sku(source: Source) -> checks.Read:
    return lambda keys: source.items.by_sku(SYSTEM, keys)


async def test_items_are_read_by_sku(case: Case, source: Source):
    await checks.check_reads_by_keys(by_sku(source), case.items.known, case.items.unknown)


async def test_calls_do_not_grow_with_items(case: Case, source: Source):
    await checks.check_calls_do_not_grow(by_sku(source), case.items.known)


async def test_hostile_skus_are_unknown(case: Case, source: Source):
    await checks.check_hostile_keys(by_sku(source), case.items.known[0])


async def test_wrong_answers_are_our_errors(case: Case):
    await checks.check_wrong_answers(case, by_sku, case.items.known[0])


async def test_item_has_its_values(case: Case, source: Source):
    found = await source.items.by_sku(SYSTEM, list(case.items.exact))
    for sku, expected in case.items.exact.items():
        assert found[sku].sku == sku
        assert_exact(found[sku], expected)


async def test_units_are_exact_and_one_is_the_base(case: Case, source: Source):
    for item in (await checks.read_all(by_sku(source), case.items.known)).values():
        units = {uom.code: Fraction(uom.numerator, uom.denominator) for uom in item.uoms}
        assert len(units) == len(item.uoms)
        assert units[item.base_uom] == 1
        assert [uom.code for uom in item.uoms if uom.is_base] == [item.base_uom]
        assert min(units.values()) > 0


async def test_item_is_found_again_by_its_own_id(case: Case, source: Source):
    found = await checks.read_all(by_sku(source), case.items.known)
    ids = {ref.id: sku for sku, row in found.items() for ref in row.refs if ref.system == source.name}
    assert len(ids) == len(found)
    again = await source.items.by_id(SYSTEM, [*ids, "999999999", "no id"])
    assert {key: row.sku for key, row in again.items()} == ids


async def test_item_is_found_by_gtin(case: Case, source: Source):
    found = await source.items.by_gtin(SYSTEM, [*case.items.gtins, "0000000000000"])
    assert {gtin: row.sku for gtin, row in found.items()} == dict(case.items.gtins)


async def check_is_missing(source: Source, name: str, keys: list[Any]) -> bool:
    """Whether the source declares a read missing, which then answers so."""
    if f"items.{name}" not in source.limitations:
        return False
    with pytest.raises(NotSupported, match=f"'{source.name}' does not support items.{name}"):
        await getattr(compile_source(source, utc_now).items, name)(SYSTEM, keys)
    return True


async def test_customer_part_numbers_lead_both_ways(case: Case, source: Source):
    if await check_is_missing(source, "by_customer_part", [CustomerPartKey(customer="CUST-0001", number="7")]):
        key = CustomerItemKey(customer="CUST-0001", sku=case.items.known[0])
        assert await check_is_missing(source, "part_numbers", [key])
        return
    keys = list(case.items.customer_parts)
    nobody = [CustomerPartKey(customer=key.customer, number=text) for key in keys for text in checks.HOSTILE]
    assert await source.items.by_customer_part(SYSTEM, [*keys, *nobody]) == dict(case.items.customer_parts)
    wanted = dict(case.items.part_numbers)
    foreign = [CustomerItemKey(customer="CUST-9999", sku=key.sku) for key in wanted]
    assert await source.items.part_numbers(SYSTEM, [*wanted, *foreign]) == wanted


async def test_relations_come_in_order(case: Case, source: Source):
    if await check_is_missing(source, "relations", list(case.items.known)):
        return
    found = await source.items.relations(SYSTEM, [*case.items.relations, case.items.unknown])
    related = {sku: tuple((row.type.value, row.sku) for row in rows) for sku, rows in found.items()}
    assert related == dict(case.items.relations)


async def test_costs_are_exact(case: Case, source: Source):
    if await check_is_missing(source, "costs", list(case.items.known)) or not case.items.costs:
        return
    found = await source.items.costs(SYSTEM, [*case.items.costs, case.items.unknown])
    assert set(found) == set(case.items.costs)
    for sku, expected in case.items.costs.items():
        assert_exact(found[sku], expected)


async def test_pages_are_the_whole_list(case: Case, source: Source):
    if (listing := case.items.listing) is None:
        return

    async def turn(page):
        return await source.items.search(SYSTEM, ItemQuery(page=page, search=listing.search))

    assert await checks.check_pages(turn, lambda row: row.sku, size=3) == list(listing.found)
    assert await checks.check_pages(turn, lambda row: row.sku, size=100) == list(listing.found)
    await checks.check_cursors(turn)
    await checks.check_total(turn, listing.total)


async def test_search_does_not_mind_case(case: Case, source: Source):
    if (listing := case.items.listing) is None:
        return
    query = ItemQuery(page=PageRequest(first=3), search=listing.search.swapcase())
    assert [row.sku for row in (await source.items.search(SYSTEM, query)).rows] == list(listing.found[:3])
