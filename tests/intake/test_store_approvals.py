"""What every store of intakes does with approvals, and what must not change between releases."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import msgspec

from app.intake.records import (
    ApprovalRequirement,
    Decision,
    IntakeDecision,
    IntakeFilter,
    IntakeLine,
    IntakeState,
    OrderIntake,
    digest_of,
)
from app.intake.store import IntakeStore
from app.intake.stores import rows, sqlite_intakes
from app.sources.values import Money
from app.storage.sqlite import SQLiteDatabase
from tests.intake.test_store import GUARD, add
from tests.support.gateway import NOON
from tests.support.intakes import IntakeBench as Bench
from tests.support.intakes import content, intake


def awaiting(bench: Bench, key: str, *tiers: str, **given) -> OrderIntake:
    """An intake that waits for its first tier."""
    required = ApprovalRequirement(
        rules=("r",), tiers=tiers, amount=Money(amount=Decimal("9.50"), currency="USD"), version=1
    )
    return bench.intake(key, state=IntakeState.NEEDS_APPROVAL, content=content(approval=required), **given)


async def test_page_of_what_waits_for_a_tier_leaves_out_a_submitter(store: IntakeStore, bench: Bench):
    await add(
        store,
        awaiting(bench, "a", "manager", "director"),
        awaiting(bench, "b", "manager", submitted_by="bea"),
        awaiting(bench, "c", "director"),
        bench.intake("d", state=IntakeState.HELD),
    )

    async def found(*tiers: str, **given) -> list[str]:
        query = IntakeFilter(tiers=frozenset(tiers), **given)
        return [one.key for _, one in (await store.page(query, 10)).rows]

    assert await found("manager") == ["b", "a"]
    assert await found("manager", "director") == ["c", "b", "a"]
    assert await found("manager", not_submitted_by="bea") == ["a"]
    assert await found("manager", customers=frozenset({"C-2"})) == []
    assert await found() == []
    assert [(one.state, one.count) for one in await store.depths()] == [
        (IntakeState.HELD, 1), (IntakeState.NEEDS_APPROVAL, 3),
    ]  # fmt: skip


async def test_intake_waits_for_the_next_tier_and_then_for_none(store: IntakeStore, bench: Bench):
    (first,) = await add(store, awaiting(bench, "a", "manager", "director"))

    def approve(one: OrderIntake, now: float) -> OrderIntake:
        made = IntakeDecision(
            decision=Decision.APPROVE.value, by="x", at=NOON, tier=one.awaited_tier, amount=None, version=one.version
        )
        decided = msgspec.structs.replace(one.content, decisions=(*one.content.decisions, made))
        return msgspec.structs.replace(one, content=decided)

    async def waits(tier: str) -> int:
        return len((await store.page(IntakeFilter(tiers=frozenset({tier})), 10)).rows)

    assert (await waits("manager"), await waits("director")) == (1, 0)
    second = await store.change(first.id, 1, approve)
    assert second is not None
    assert (second.awaited_tier, await waits("manager"), await waits("director")) == ("director", 0, 1)
    third = await store.change(first.id, 2, approve)
    assert third is not None
    assert (third.awaited_tier, await waits("manager"), await waits("director")) == (None, 0, 0)


async def test_file_of_an_older_release_is_migrated(tmp_path: Path):
    file = tmp_path / "intake.sqlite"
    SQLiteDatabase(file, (sqlite_intakes.TABLE, rows.ORDER_INDEX)).connect().close()
    store = sqlite_intakes.SQLiteIntakes(file)
    given = intake("k")
    await store.submit(given, guard_po=GUARD)
    assert await store.by_id([given.id]) == {given.id: given}
    await store.close()


def test_digest_of_an_input_is_the_same_in_each_release():
    lines = (
        IntakeLine(
            line_number=2, sku="SKU-2", quantity=Decimal("2.50"), uom="CS", requested_date=date(2026, 12, 25), proof="p"
        ),
        IntakeLine(line_number=1, gtin="4006381333931", quantity=Decimal("1E+1")),
    )
    given = content(ship_to="S-1", requested_date=date(2026, 12, 24), note="Gate 3 — ünï", lines=lines)
    expected = "20cbd392844060b04a5777fc02cadc94d927202c736b7489c511c8cb43a2a7df"
    assert digest_of("C-1", "PO-1", given) == expected
    known = msgspec.structs.replace(given, submitter_roles=("buyer",), spend_limit=Decimal(5))
    assert digest_of("C-1", "PO-1", known) == expected
