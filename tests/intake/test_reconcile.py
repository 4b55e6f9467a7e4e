"""Reconciliation, and `./run intake`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli.main import app
from app.intake.reconcile import reconcile
from app.intake.records import IntakeState, OrderIntake
from app.intake.stores import connect_intakes
from app.settings import Settings
from app.sources.order_writer import WrittenOrder
from tests.support.intakes import intake


class Orders:
    """A target with so many orders of each key."""

    steps, unique_key, max_seconds = ("created",), False, 1.0

    def __init__(self, counts: dict[str, int]) -> None:
        self.counts = counts
        self.calls: list[int] = []

    async def find(self, principal: Any, keys: Sequence[str]) -> dict[str, tuple[WrittenOrder, ...]]:
        self.calls.append(len(keys))
        return {
            key: tuple(
                WrittenOrder(key=key, id=f"{key}-{n}", number=f"{key}-{n}", step="created") for n in range(count)
            )
            for key in keys
            if (count := self.counts.get(key, 0))
        }


async def stored(folder: Path, *intakes: OrderIntake) -> None:
    store = connect_intakes(Settings(data_dir=folder))
    for one in intakes:
        await store.submit(one, guard_po=0)
    await store.close()


def posted(**given: Any) -> OrderIntake:
    return intake(state=IntakeState.POSTED, order_id="1", order_number="SO-1", **given)


async def test_doubled_missing_and_unrecorded_orders_are_found(tmp_path: Path):
    well, doubled, missing = posted(), posted(), posted()
    unrecorded = intake(state=IntakeState.FAILED, sent_at=1.0)
    never_sent, held = intake(state=IntakeState.FAILED), intake(state=IntakeState.HELD)
    old = posted(at=1000.0)
    await stored(tmp_path, old, well, doubled, missing, unrecorded, never_sent, held)
    target = Orders({well.id: 1, doubled.id: 2, unrecorded.id: 1, old.id: 2})
    store = connect_intakes(Settings(data_dir=tmp_path))
    found = await reconcile(store, {"erp": target}, since=2000.0)  # type: ignore[dict-item]
    await store.close()
    assert (found.compared, found.doubled) == (4, 1)
    assert {(one.kind, one.intake.id, one.orders) for one in found.discrepancies} == {
        ("doubled", doubled.id, (f"{doubled.id}-0", f"{doubled.id}-1")),
        ("missing", missing.id, ()),
        ("unrecorded", unrecorded.id, (f"{unrecorded.id}-0",)),
    }


async def test_look_ups_are_made_in_chunks(tmp_path: Path):
    await stored(tmp_path, *(posted(customer_po=f"{n}") for n in range(250)))
    target = Orders({})
    store = connect_intakes(Settings(data_dir=tmp_path))
    await reconcile(store, {"erp": target}, since=0.0)  # type: ignore[dict-item]
    await store.close()
    assert target.calls == [100, 100, 50]


def run(folder: Path, *words: str) -> tuple[int, str]:
    """The exit code and the output of a command."""
    done = CliRunner().invoke(app, ["intake", *words, "--data-dir", str(folder)])
    return done.exit_code, done.output


@pytest.fixture
def failed(tmp_path: Path) -> OrderIntake:
    """A given up order, and a posted one beside it."""
    one = intake(state=IntakeState.FAILED, cause="SOURCE_TIMEOUT", customer="C-7")
    asyncio.run(stored(tmp_path, one, posted()))
    return one


def test_orders_are_listed_and_shown(tmp_path: Path, failed: OrderIntake):
    code, text = run(tmp_path, "list", "--state", "failed")
    assert (code, failed.id in text, "SOURCE_TIMEOUT" in text, "POSTED" in text) == (0, True, True, False)
    assert "erp FAILED: 1" in text
    assert len(json.loads(run(tmp_path, "list", "--json")[1])["intakes"]) == 2
    assert json.loads(run(tmp_path, "list", "--customer", "C-7", "--json")[1])["intakes"][0]["id"] == failed.id
    assert json.loads(run(tmp_path, "show", failed.id)[1])["key"] == failed.key
    assert run(tmp_path, "show", "unknown")[0] == 1


def test_given_up_order_is_retried_and_cancelled(tmp_path: Path, failed: OrderIntake):
    assert run(tmp_path, "retry", failed.id, "--note", "the ERP is back")[1] == "retry: 1 of 1\n"
    shown = json.loads(run(tmp_path, "show", failed.id)[1])
    assert (shown["state"], shown["content"]["decisions"][0]["note"]) == ("POSTING", "the ERP is back")
    code, text = run(tmp_path, "retry", failed.id, "unknown")
    assert (code, text.splitlines()[0]) == (1, "retry: 0 of 2")
    assert run(tmp_path, "cancel", failed.id)[0] == 0
    assert json.loads(run(tmp_path, "show", failed.id)[1])["state"] == "CANCELLED"


def test_unknown_state_names_those_there_are(tmp_path: Path):
    done = CliRunner().invoke(app, ["intake", "list", "--state", "LOST", "--data-dir", str(tmp_path)])
    assert done.exit_code != 0
    assert "RECEIVED" in str(done.exception)


def test_reconciliation_without_a_target_says_so(tmp_path: Path, failed: OrderIntake):
    done = CliRunner().invoke(app, ["intake", "reconcile", "--data-dir", str(tmp_path)])
    assert done.exit_code != 0
    assert str(done.exception) == (
        "domains.orders.write = None: names no source that takes orders; there is nothing to compare with"
    )
