"""The stock port."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from app.auth.principal import SYSTEM
from app.sources.source import Source
from app.sources.stock import SupplyKind
from tests.contract import checks
from tests.contract.case import Case, assert_exact

PORT = "stock"


def levels(source: Source) -> checks.Read:
    return lambda keys: source.stock.levels(SYSTEM, keys)


async def test_levels_are_read_by_sku(case: Case, source: Source):
    await checks.check_reads_by_keys(levels(source), case.stock.known, case.stock.unknown)


async def test_calls_do_not_grow_with_items(case: Case, source: Source):
    await checks.check_calls_do_not_grow(levels(source), case.stock.known)


async def test_hostile_skus_are_unknown(case: Case, source: Source):
    await checks.check_hostile_keys(levels(source), case.stock.known[0])


async def test_wrong_answers_are_our_errors(case: Case):
    await checks.check_wrong_answers(case, levels, case.stock.known[0])


async def test_level_has_its_values(case: Case, source: Source):
    found = await source.stock.levels(SYSTEM, list(case.stock.exact))
    for sku, expected in case.stock.exact.items():
        assert_exact(found[sku], expected)


async def test_levels_are_consistent(case: Case, source: Source):
    supply = 0
    for sku, level in (await checks.read_all(levels(source), case.stock.known)).items():
        assert level.freshness.source == source.name
        assert level.freshness.as_of.utcoffset() == timedelta(0)
        assert [position.warehouse for position in level.positions] == sorted(case.stock.warehouses)
        for position in level.positions:
            assert position.sku == sku
            assert type(position.on_hand) is Decimal
            assert position.reserved >= 0
            assert [change.date for change in position.supply] == sorted(change.date for change in position.supply)
            supply += len(position.supply)
            for change in position.supply:
                adds = change.kind in {SupplyKind.RECEIPT, SupplyKind.TRANSFER_IN}
                assert (change.delta > 0) is adds
    assert (supply > 0) is case.stock.supply
