"""The reservations port."""

from __future__ import annotations

from app.auth.principal import SYSTEM
from app.sources.source import Source
from tests.contract import checks
from tests.contract.case import Case, assert_exact

PORT = "reservations"


def reservations(source: Source) -> checks.Read:
    return lambda keys: source.reservations.reservations(SYSTEM, keys)


async def test_reservations_are_read_by_sku(case: Case, source: Source):
    await checks.check_reads_by_keys(reservations(source), case.reservations.known, case.reservations.unknown)


async def test_calls_do_not_grow_with_items(case: Case, source: Source):
    await checks.check_calls_do_not_grow(reservations(source), case.reservations.known)


async def test_hostile_skus_are_unknown(case: Case, source: Source):
    await checks.check_hostile_keys(reservations(source), case.reservations.known[0])


async def test_wrong_answers_are_our_errors(case: Case):
    await checks.check_wrong_answers(case, reservations, case.reservations.known[0])


async def test_reservations_have_their_values(case: Case, source: Source):
    found = await source.reservations.reservations(SYSTEM, list(case.reservations.exact))
    for sku, expected in case.reservations.exact.items():
        assert_exact(found[sku], expected)


async def test_reservations_are_of_their_sku_and_positive(case: Case, source: Source):
    for sku, rows in (await checks.read_all(reservations(source), case.reservations.known)).items():
        assert {row.sku for row in rows} == {sku}
        assert min(row.quantity for row in rows) > 0
        assert len({row.order for row in rows}) == len(rows)
