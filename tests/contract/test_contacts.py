"""The contacts port."""

from __future__ import annotations

from app.auth.principal import SYSTEM
from app.sources.source import Source
from tests.contract import checks
from tests.contract.case import Case, assert_exact

PORT = "contacts"


def by_customer(source: Source) -> checks.Read:
    return lambda keys: source.contacts.by_customer(SYSTEM, keys)


async def test_contacts_are_read_by_customer(case: Case, source: Source):
    await checks.check_reads_by_keys(by_customer(source), list(case.contacts.exact), case.contacts.unknown)


async def test_calls_do_not_grow_with_customers(case: Case, source: Source):
    await checks.check_calls_do_not_grow(by_customer(source), list(case.contacts.exact))


async def test_hostile_keys_are_unknown(case: Case, source: Source):
    await checks.check_hostile_keys(by_customer(source), next(iter(case.contacts.exact)))


async def test_wrong_answers_are_our_errors(case: Case):
    await checks.check_wrong_answers(case, by_customer, next(iter(case.contacts.exact)))


async def test_contacts_have_their_values(case: Case, source: Source):
    found = await checks.read_all(by_customer(source), case.contacts.exact)
    for number, expected in case.contacts.exact.items():
        assert_exact(found[number], expected)
        assert {row.customer for row in found[number]} == {number}
        assert {row.freshness.source for row in found[number]} == {source.name}
        primary = [row.is_primary for row in found[number]]
        assert primary == sorted(primary, reverse=True)
