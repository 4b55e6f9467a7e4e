"""Stores: the last reconciliation of a tenant, and depths of what a caller may see. Over both databases."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from app.intake.reconcile import reconcile
from app.intake.reconciliation import ReconciledKey, ReconciliationResult, ReconciliationStatus
from app.intake.records import IntakeFilter, IntakeState
from app.intake.store import IntakeStore
from app.intake.stores import sqlite_intakes
from app.intake.stores.sqlite_intakes import SQLiteIntakes
from tests.intake.test_reconcile import Orders, posted
from tests.support.intakes import IntakeBench, intake

KEY = ReconciledKey(kind="doubled", id="1", customer="C-1", customer_po="7", target="erp", orders=("A", "B"))
RESULT = ReconciliationResult(since=1.0, finished=2.0, compared=3, doubled=1, keys=(KEY,))


async def test_one_reconciliation_of_a_tenant_runs_at_a_time(store: IntakeStore, bench: IntakeBench):
    assert await store.reconciliation("default") == ReconciliationStatus()
    begun = await asyncio.gather(*(bench.store().begin_reconciliation("default", 60) for _ in range(5)))
    assert sorted(begun) == [False, False, False, False, True]
    assert await store.begin_reconciliation("other", 60)
    assert await store.reconciliation("default") == ReconciliationStatus(running=True)
    await store.finish_reconciliation("default", RESULT)
    assert await store.reconciliation("default") == ReconciliationStatus(running=False, last=RESULT)
    assert await store.reconciliation("other") == ReconciliationStatus(running=True)
    assert await store.begin_reconciliation("default", 60)
    assert await store.reconciliation("default") == ReconciliationStatus(running=True, last=RESULT)


async def test_reconciliation_that_never_ended_does_not_block_the_next(store: IntakeStore, bench: IntakeBench):
    assert await store.begin_reconciliation("default", 60)
    bench.now += 61
    assert await store.reconciliation("default") == ReconciliationStatus()
    assert await store.begin_reconciliation("default", 60)


async def test_result_without_a_begin_is_stored(store: IntakeStore):
    await store.finish_reconciliation("default", RESULT)
    assert await store.reconciliation("default") == ReconciliationStatus(last=RESULT)


async def test_depths_count_what_matches_alone(store: IntakeStore, bench: IntakeBench):
    for one in (
        bench.intake(customer="C-1"),
        bench.intake(customer="C-2", state=IntakeState.FAILED),
        bench.intake(customer="C-1", tenant="other", state=IntakeState.FAILED),
    ):
        await store.submit(one, guard_po=0)

    async def depths(**query: Any) -> dict[str, int]:
        return {one.state.value: one.count for one in await store.depths(IntakeFilter(**query))}

    assert await depths() == {"POSTING": 1, "FAILED": 2}
    assert await depths(tenant="default") == {"POSTING": 1, "FAILED": 1}
    assert await depths(tenant="default", customers=frozenset({"C-1"})) == {"POSTING": 1}
    assert await depths(customers=frozenset()) == {}


async def test_page_has_intakes_that_are_posted_since(store: IntakeStore, bench: IntakeBench):
    early = bench.intake("early", state=IntakeState.POSTED)
    bench.now += 60
    late, held = bench.intake("late", state=IntakeState.POSTED), bench.intake("held", state=IntakeState.HELD)
    foreign = bench.intake("foreign", state=IntakeState.POSTED, customer="C-2")
    for one in (early, late, held, foreign, bench.intake("rejected", state=IntakeState.REJECTED)):
        await store.submit(one, guard_po=0)

    async def keys(**query: Any) -> list[str]:
        found = IntakeFilter(states=frozenset({IntakeState.HELD}), **query)
        return [one.key for _, one in (await store.page(found, 10)).rows]

    assert await keys() == ["held"]
    assert await keys(posted_since=bench.now) == ["foreign", "held", "late"]
    assert await keys(posted_since=bench.now, customers=frozenset({"C-1"})) == ["held", "late"]
    assert await keys(posted_since=bench.now - 60, customers=frozenset({"C-1"})) == ["held", "late", "early"]


async def test_reconciliation_of_a_tenant_compares_its_orders_alone(store: IntakeStore):
    own, foreign = posted(tenant="acme"), posted(tenant="other")
    for one in (own, foreign):
        await store.submit(one, guard_po=0)
    target = Orders({own.id: 2, foreign.id: 2})
    found = await reconcile(store, {"erp": target}, since=0.0, tenant="acme")  # type: ignore[dict-item]
    assert (found.compared, [one.intake.id for one in found.discrepancies]) == (1, [own.id])
    found = await reconcile(store, {"erp": target}, since=0.0)  # type: ignore[dict-item]
    result = found.result_of("other", 5.0, 6.0)
    assert (found.compared, result.compared, result.doubled, result.missing) == (2, 1, 1, 0)
    assert [(one.id, one.orders) for one in result.keys] == [(foreign.id, (f"{foreign.id}-0", f"{foreign.id}-1"))]


@pytest.mark.parametrize("states", [frozenset({IntakeState.FAILED, IntakeState.HELD}), None], ids=["open", "all"])
async def test_page_reads_no_more_than_it_needs(tmp_path: Path, states: frozenset[IntakeState] | None):
    """SQLite reads what is open by its index, and all by position: the posted orders of months are not read."""
    store = SQLiteIntakes(tmp_path / "intake.sqlite")
    await asyncio.gather(*(store.submit(intake(state=IntakeState.POSTED), guard_po=0) for _ in range(500)))
    await store.submit(intake(state=IntakeState.FAILED), guard_po=0)
    await store.close()
    connection = sqlite3.connect(tmp_path / "intake.sqlite")
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    connection.set_progress_handler(count, 100)
    connection.execute(
        *sqlite_intakes.page_statement(IntakeFilter(tenant="default", states=states), 2, None)
    ).fetchall()
    assert steps <= 5
    connection.close()
