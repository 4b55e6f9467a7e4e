"""What every store does with the spend limits of periods: the same over SQLite and over PostgreSQL."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import msgspec
import pytest

from app.intake.records import ApprovalRequirement, IntakeState, OrderIntake
from app.intake.spending import PeriodLimit, SpendingCheck
from app.intake.store import IntakeStore
from app.sources.values import Money
from tests.intake.test_store import GUARD, LEASE, add
from tests.support.intakes import IntakeBench as Bench
from tests.support.intakes import content

DAY = 86400.0
MONTH, QUARTER = "monthly_spend_limit", "quarterly_spend_limit"


def requirement(bench: Bench, amount: str, limits: dict[str, str], currency: str = "USD") -> ApprovalRequirement:
    """What an order of this amount needs, with limits of the last 10 days and of the last 40."""
    days = {MONTH: 10, QUARTER: 40}
    found = tuple(
        PeriodLimit(rule=rule, since=bench.now - days[rule] * DAY, until=bench.now + DAY, limit=Decimal(limit))
        for rule, limit in limits.items()
    )
    spending = SpendingCheck(limits=found, tiers=("manager",)) if found else None
    total = Money(amount=Decimal(amount), currency=currency)
    return ApprovalRequirement(amount=total, version=1, spending=spending)


def order(
    bench: Bench, key: str, amount: str, *, currency: str = "USD", limits: dict[str, str], **given
) -> OrderIntake:
    required = requirement(bench, amount, limits, currency)
    made = bench.intake(key, content=content(approval=required), **given)
    return msgspec.structs.replace(made, received=given.get("received", made.received))


def outcome(stored: OrderIntake) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """The state, and the rules and tiers of the requirement."""
    required = stored.content.approval
    assert required is not None
    return stored.state.value, required.rules, required.tiers


PASSED, NEEDED = ("POSTING", (), ()), ("NEEDS_APPROVAL", (MONTH,), ("manager",))


async def test_orders_of_a_period_need_an_approval_beyond_its_limit(store: IntakeStore, bench: Bench):
    amounts = ("60", "40.0000", "0.0001", "1")
    stored = await add(store, *(order(bench, key, key, limits={MONTH: "100"}) for key in amounts))
    assert [outcome(one) for one in stored] == [PASSED, PASSED, NEEDED, NEEDED]
    assert [one.code for one in stored[2].problems] == ["APPROVAL_REQUIRED"]
    again = await store.submit(order(bench, "60", "60", limits={MONTH: "100"}), guard_po=GUARD)
    assert (again.created, outcome(again.intake)) == (False, PASSED)


async def test_limits_of_month_and_quarter_count_their_own_orders(store: IntakeStore, bench: Bench):
    both = {MONTH: "100", QUARTER: "150"}
    old, older = bench.now - 20 * DAY, bench.now - 50 * DAY
    stored = await add(
        store,
        order(bench, "a", "70", limits={}, received=old),
        order(bench, "b", "500", limits={}, received=older),
        order(bench, "c", "80", limits=both),
        order(bench, "d", "1", limits=both),
        order(bench, "e", "20", limits=both),
    )
    assert [outcome(one) for one in stored[2:]] == [
        PASSED,
        ("NEEDS_APPROVAL", (QUARTER,), ("manager",)),
        ("NEEDS_APPROVAL", (MONTH, QUARTER), ("manager",)),
    ]


@pytest.mark.parametrize(
    "other",
    [
        {"submitted_by": "bea"},
        {"tenant": "other"},
        {"currency": "EUR"},
        {"state": IntakeState.REJECTED},
        {"state": IntakeState.CANCELLED},
    ],
)
async def test_orders_that_do_not_count(store: IntakeStore, bench: Bench, other: dict[str, str]):
    limits = {MONTH: "100"}
    await add(store, order(bench, "a", "100", limits={}, **other))
    (stored,) = await add(store, order(bench, "b", "100", limits=limits))
    assert outcome(stored) == PASSED
    (last,) = await add(store, order(bench, "c", "0.01", limits=limits))
    assert outcome(last) == NEEDED


@pytest.mark.parametrize("state", [IntakeState.HELD, IntakeState.POSTED, IntakeState.FAILED, IntakeState.RECEIVED])
async def test_orders_that_may_still_be_posted_count(store: IntakeStore, bench: Bench, state: IntakeState):
    await add(store, order(bench, "a", "100", limits={}, state=state))
    (stored,) = await add(store, order(bench, "b", "0.01", limits={MONTH: "100"}))
    assert outcome(stored) == NEEDED


async def test_simultaneous_orders_do_not_exceed_a_limit_together(bench: Bench):
    stores = [bench.store() for _ in range(4)]
    calls = [
        stores[n % 4].submit(order(bench, f"k{n}", "10", limits={MONTH: "205"}, customer=f"C-{n % 7}"), guard_po=GUARD)
        for n in range(60)
    ]
    found = [outcome(one.intake) for one in await asyncio.gather(*calls)]
    assert (found.count(PASSED), found.count(NEEDED)) == (20, 40)


async def test_simultaneous_checks_of_received_orders_do_not_exceed_a_limit_together(bench: Bench):
    stores = [bench.store() for _ in range(3)]
    for n in range(9):
        await add(stores[0], bench.intake(f"k{n}", state=IntakeState.RECEIVED, customer=f"C-{n}"))
    claimed = await stores[0].claim("erp", "w-1", 9, LEASE)

    async def check(store: IntakeStore, one: OrderIntake) -> None:
        checked = msgspec.structs.replace(one.content, approval=requirement(bench, "30", {MONTH: "100"}))
        assert await store.complete(one, msgspec.structs.replace(one, state=IntakeState.POSTING, content=checked))

    await asyncio.gather(*(check(stores[n % 3], one) for n, one in enumerate(claimed)))
    found = [outcome(one) for one in (await stores[1].by_id([one.id for one in claimed])).values()]
    assert (len(claimed), found.count(PASSED), found.count(NEEDED)) == (9, 3, 6)


async def test_changed_amount_is_compared_without_the_one_before(store: IntakeStore, bench: Bench):
    limits = {MONTH: "100"}
    first, _ = await add(store, order(bench, "a", "60", limits=limits), order(bench, "b", "30", limits=limits))

    def amended(amount: str):
        required = requirement(bench, amount, limits)
        return lambda one, now: msgspec.structs.replace(
            one, state=IntakeState.POSTING, content=msgspec.structs.replace(one.content, approval=required)
        )

    more = await store.change(first.id, 1, amended("70"))
    assert more is not None
    assert (outcome(more), more.version) == (PASSED, 2)
    most = await store.change(first.id, 2, amended("70.01"))
    assert most is not None
    assert (outcome(most), most.version) == (NEEDED, 3)
    less = await store.change(first.id, 3, amended("10"))
    assert less is not None
    assert outcome(less) == PASSED
    (later,) = await add(store, order(bench, "c", "60", limits=limits))
    assert outcome(later) == PASSED


async def test_order_is_compared_once_for_each_amount(store: IntakeStore, bench: Bench):
    limits = {MONTH: "100"}
    held, _ = await add(
        store,
        order(bench, "a", "90", limits=limits, state=IntakeState.HELD),
        order(bench, "b", "90", limits={}, customer="C-2"),
    )
    released = await store.change(held.id, 1, lambda one, _: msgspec.structs.replace(one, state=IntakeState.POSTING))
    assert released is not None
    assert outcome(released) == PASSED
