"""The accounts port."""

from __future__ import annotations

from app.auth.principal import SYSTEM
from app.sources.source import Source
from tests.contract import checks
from tests.contract.case import Case

PORT = "accounts"


def assigned(source: Source) -> checks.Read:
    return lambda keys: source.accounts.assigned(SYSTEM, keys)


async def test_accounts_are_read_by_salesperson(case: Case, source: Source):
    await checks.check_reads_by_keys(assigned(source), list(case.accounts.assigned), case.accounts.unknown)


async def test_calls_do_not_grow_with_salespeople(case: Case, source: Source):
    await checks.check_calls_do_not_grow(assigned(source), list(case.accounts.assigned))


async def test_hostile_salespeople_have_none(case: Case, source: Source):
    await checks.check_hostile_keys(assigned(source), next(iter(case.accounts.assigned)))


async def test_wrong_answers_are_our_errors(case: Case):
    await checks.check_wrong_answers(case, assigned, next(iter(case.accounts.assigned)))


async def test_each_customer_is_assigned_once(case: Case, source: Source):
    found = await checks.read_all(assigned(source), case.accounts.assigned)
    for salesperson, customer in case.accounts.assigned.items():
        assert found[salesperson].salesperson == salesperson
        assert customer in found[salesperson].customers
    everybody = [customer for row in found.values() for customer in row.customers]
    assert len(everybody) == len(set(everybody))
