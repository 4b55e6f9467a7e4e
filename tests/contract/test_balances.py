"""The balances port."""

from __future__ import annotations

from datetime import timedelta

from app.auth.principal import SYSTEM
from app.sources.source import Source
from tests.contract import checks
from tests.contract.case import Case, assert_exact

PORT = "balances"


def balances(case: Case) -> checks.Reader:
    async def read(source: Source, keys):
        found = await source.balances.balances(SYSTEM, [case.balances.warehouse, "WH-NONE"], keys)
        return {sku: row for (_, sku), row in found.items()}

    return lambda source: lambda keys: read(source, keys)


async def test_balances_are_read_by_warehouse_and_sku(case: Case, source: Source):
    await checks.check_reads_by_keys(balances(case)(source), case.balances.known, case.balances.unknown)
    assert await source.balances.balances(SYSTEM, [], case.balances.known) == {}


async def test_calls_do_not_grow_with_items(case: Case, source: Source):
    await checks.check_calls_do_not_grow(balances(case)(source), case.balances.known)


async def test_hostile_keys_are_unknown(case: Case, source: Source):
    await checks.check_hostile_keys(balances(case)(source), case.balances.known[0])
    assert await source.balances.balances(SYSTEM, checks.HOSTILE, case.balances.known) == {}


async def test_wrong_answers_are_our_errors(case: Case):
    await checks.check_wrong_answers(case, balances(case), case.balances.known[0])


async def test_balances_have_their_values(case: Case, source: Source):
    found = await source.balances.balances(SYSTEM, [case.balances.warehouse], list(case.balances.exact))
    for sku, expected in case.balances.exact.items():
        row = found[case.balances.warehouse, sku]
        assert (row.warehouse, row.sku) == (case.balances.warehouse, sku)
        assert row.as_of.utcoffset() == timedelta(0)
        assert_exact(row, expected)
