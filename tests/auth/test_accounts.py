"""Accounts assigned by a source: who sees which rows, for how long, and what happens while the source fails."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from app.auth.accounts import RETRY_AFTER, AccountDirectory, AccountSource
from app.auth.principal import Principal, Role
from app.errors import AccountsUnavailable, SourceUnavailable, StoreUnavailable, TooManyAccounts
from app.settings import AuthSettings
from app.sources.accounts import AccountAssignment

REP = Principal(
    subject="jo", roles=frozenset({Role.SALES_REP}), customers=frozenset({"C-2", "C-9"}), salesperson="rep-1"
)
FIRST = frozenset({"C-1", "C-2"})


@dataclass
class System:
    """A source with its accounts, the calls that it got, and what was observed."""

    books: dict[str, Sequence[str]] = field(default_factory=lambda: {"rep-1": ("C-1", "C-2"), "rep-2": ("C-3",)})
    calls: list[tuple[str, list[str]]] = field(default_factory=list)
    observed: list[tuple[str, str, frozenset[str]]] = field(default_factory=list)
    now: float = 1_000.0
    failure: Exception | None = None
    log_failure: Exception | None = None
    gate: asyncio.Event | None = None

    async def read(self, tenant: str, salespeople: Sequence[str]) -> Mapping[str, Any]:
        self.calls.append((tenant, sorted(salespeople)))
        if self.gate is not None:
            await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        return {
            one: AccountAssignment(salesperson=one, customers=tuple(self.books[one]))
            for one in salespeople
            if one in self.books
        }

    async def observe(self, tenant: str, salesperson: str, customers: frozenset[str]) -> None:
        if self.log_failure is not None:
            raise self.log_failure
        self.observed.append((tenant, salesperson, customers))

    def directory(self, **settings: Any) -> AccountDirectory:
        source = AccountSource("erp", self.read, self.observe)
        return AccountDirectory(AuthSettings(**{"accounts": "source", **settings}), source, timer=lambda: self.now)


def rep(number: str, tenant: str = "default") -> Principal:
    return Principal(subject=number, roles=frozenset({Role.SALES_REP}), salesperson=number, tenant=tenant)


async def test_source_decides_and_the_token_does_not():
    system = System()
    principal = await system.directory().resolve(REP)
    assert (principal.customers, principal.sees("C-1"), principal.sees("C-9")) == (FIRST, True, False)
    assert principal.accounts is not None
    assert system.observed == [("default", "rep-1", FIRST)]


async def test_with_both_a_customer_needs_both():
    principal = await System().directory(accounts="both").resolve(REP)
    assert principal.customers == frozenset({"C-2"})


async def test_salesperson_that_the_source_does_not_know_has_no_accounts():
    principal = await System().directory().resolve(rep("nobody"))
    assert (principal.customers, principal.restricted) == (frozenset(), True)


OTHERS = [
    pytest.param(frozenset({Role.BUYER}), id="own accounts"),
    pytest.param(frozenset({Role.PARTNER}), id="a partner's accounts"),
    pytest.param(frozenset({Role.CSR}), id="all accounts"),
    pytest.param(frozenset({Role.SALES_REP, Role.CSR}), id="all accounts, by another role"),
]


@pytest.mark.parametrize("roles", OTHERS)
async def test_other_callers_keep_the_accounts_of_their_credential(roles: frozenset[Role]):
    system = System()
    principal = Principal(subject="x", roles=roles, customers=frozenset({"C-9"}), salesperson="rep-1")
    assert await system.directory().resolve(principal) is principal
    assert system.calls == []


async def test_accounts_are_read_once_until_they_are_too_old():
    system = System()
    directory = system.directory(accounts_max_age=30)
    for _ in range(3):
        await directory.resolve(REP)
    system.now += 29.9
    await directory.resolve(REP)
    assert len(system.calls) == 1
    system.books["rep-1"] = ("C-1",)
    system.now += 0.1
    assert (await directory.resolve(REP)).customers == frozenset({"C-1"})
    assert len(system.calls) == 2


async def test_callers_of_one_moment_share_one_call_a_tenant():
    system = System()
    directory = system.directory()
    callers = [rep("rep-1"), rep("rep-2"), rep("rep-1"), rep("rep-2", "other")]
    found = await asyncio.gather(*map(directory.resolve, callers))
    assert sorted(system.calls) == [("default", ["rep-1", "rep-2"]), ("other", ["rep-2"])]
    assert [sorted(principal.customers) for principal in found] == [["C-1", "C-2"], ["C-3"], ["C-1", "C-2"], ["C-3"]]


async def test_cancelled_caller_does_not_cancel_the_others():
    system = System(gate=asyncio.Event())
    directory = system.directory()
    first, second = (asyncio.create_task(directory.resolve(REP)) for _ in range(2))
    while not system.calls:
        await asyncio.sleep(0)
    first.cancel()
    assert system.gate is not None
    system.gate.set()
    assert (await second).customers == FIRST
    assert len(system.calls) == 1


async def test_failing_source_refuses_who_was_never_read():
    system = System(failure=SourceUnavailable("erp"))
    directory = system.directory()
    for _ in range(2):
        with pytest.raises(AccountsUnavailable) as caught:
            await directory.resolve(REP)
        assert (caught.value.code, caught.value.http_status) == ("ACCOUNTS_UNAVAILABLE", 503)
    assert len(system.calls) == 1, "a failing source is not read for each request"
    system.failure = None
    system.now += RETRY_AFTER
    assert (await directory.resolve(REP)).customers == FIRST


async def test_failing_source_leaves_earlier_accounts_for_a_bounded_time():
    system = System()
    directory = system.directory(accounts_max_age=30, accounts_stale_for=60)
    await directory.resolve(REP)
    system.failure = SourceUnavailable("erp")
    system.now += 89.9
    principal = await directory.resolve(REP)
    assert principal.customers == FIRST
    assert principal.accounts is not None
    assert principal.accounts.is_stale(system.now)
    system.now += 2.0
    with pytest.raises(AccountsUnavailable):
        await directory.resolve(REP)


async def test_change_that_cannot_be_recorded_is_not_used():
    system = System(log_failure=StoreUnavailable())
    directory = system.directory()
    with pytest.raises(AccountsUnavailable):
        await directory.resolve(REP)


async def test_expired_accounts_are_read_again_at_once():
    system = System()
    directory = system.directory()
    await directory.resolve(REP)
    system.books["rep-1"] = ("C-2",)
    directory.expire("other", "rep-1")
    assert (await directory.resolve(REP)).customers == FIRST
    directory.expire("default", "rep-1")
    assert (await directory.resolve(REP)).customers == frozenset({"C-2"})


async def test_too_many_accounts_are_refused_with_a_code():
    system = System(books={"rep-1": [f"C-{number}" for number in range(5_001)]})
    assert len((await system.directory().resolve(REP)).customers) == 5_001
    with pytest.raises(TooManyAccounts) as caught:
        await system.directory(max_accounts=5_000).resolve(REP)
    assert (caught.value.code, caught.value.message) == (
        "TOO_MANY_ACCOUNTS",
        "More than 5000 accounts are assigned to you.",
    )


async def test_callers_of_one_book_share_one_set():
    """Sets of 5,000 are compared and hashed once, not for each request."""
    directory = System().directory()
    first, second = await directory.resolve(REP), await directory.resolve(rep("rep-1"))
    assert first.customers is second.customers
    both = System().directory(accounts="both")
    assert (await both.resolve(REP)).customers is (await both.resolve(REP)).customers
