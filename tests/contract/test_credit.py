"""The credit port."""

from __future__ import annotations

from datetime import timedelta

from app.auth.principal import SYSTEM
from app.sources.source import Source
from tests.contract import checks
from tests.contract.case import Case, assert_exact

PORT = "credit"


def status(source: Source) -> checks.Read:
    return lambda keys: source.credit.status(SYSTEM, keys)


async def test_credit_is_read_by_number(case: Case, source: Source):
    await checks.check_reads_by_keys(status(source), case.credit.known, case.credit.unknown)


async def test_calls_do_not_grow_with_customers(case: Case, source: Source):
    await checks.check_calls_do_not_grow(status(source), case.credit.known)


async def test_hostile_numbers_are_unknown(case: Case, source: Source):
    await checks.check_hostile_keys(status(source), case.credit.known[0])


async def test_wrong_answers_are_our_errors(case: Case):
    await checks.check_wrong_answers(case, status, case.credit.known[0])


async def test_credit_has_its_values_and_moment(case: Case, source: Source):
    found = await source.credit.status(SYSTEM, list(case.credit.exact))
    for number, expected in case.credit.exact.items():
        assert_exact(found[number], expected)
        assert found[number].checked_at.utcoffset() == timedelta(0)
        assert found[number].freshness.source == source.name
