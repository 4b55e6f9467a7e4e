"""Leases in SQLite while the clock of the machine is corrected by minutes, and after a boot."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app.errors import IntakeBusy
from app.intake.records import IntakeState, OrderIntake
from app.intake.store import IntakeStore
from app.intake.stores.lease_clock import Boot, current_boot
from app.intake.stores.sqlite_intakes import SQLiteIntakes
from tests.support.intakes import intake

LEASE, RETRY_IN = 30.0, 20.0
STEP = 300.0


@dataclass
class Machine:
    """The clocks of a machine, and stores that its processes open over one file."""

    file: Path
    time_of_day: float = 1_790_000_000.0
    since_boot: float = 5_000.0
    boot: str = "first"
    opened: list[IntakeStore] = field(default_factory=list)

    def store(self) -> IntakeStore:
        boot = Boot(self.boot, lambda: self.since_boot)
        self.opened.append(SQLiteIntakes(self.file, clock=lambda: self.time_of_day, boot=boot))
        return self.opened[-1]

    def wait(self, seconds: float) -> None:
        self.time_of_day += seconds
        self.since_boot += seconds

    def intake(self, key: str) -> OrderIntake:
        return intake(key, at=self.time_of_day, due_at=0.0)


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    made = Machine(tmp_path / "intake.sqlite")
    yield made
    for store in made.opened:
        await store.close()


async def claimed(store: IntakeStore, owner: str) -> list[str]:
    return [one.key for one in await store.claim("erp", owner, 10, LEASE)]


@pytest.mark.parametrize("step", [STEP, -STEP])
async def test_lease_lasts_as_long_as_it_says_when_the_clock_is_corrected(machine: Machine, step: float):
    here, there = machine.store(), machine.store()
    await here.submit(machine.intake("k"), guard_po=0)
    (claim,) = await here.claim("erp", "a", 10, LEASE)
    machine.time_of_day += step
    machine.wait(LEASE - 1)
    assert await claimed(there, "b") == []
    assert await claimed(machine.store(), "c") == []  # Opened after the correction.
    with pytest.raises(IntakeBusy):
        await there.change(claim.id, None, lambda one, _: one)
    machine.wait(2)
    assert await claimed(there, "d") == ["k"]
    assert await here.begin_attempt(claim, LEASE, RETRY_IN) is None


@pytest.mark.parametrize("step", [STEP, -STEP])
async def test_order_is_looked_up_no_earlier_than_its_target_is_done(machine: Machine, step: float):
    """The request was sent before the correction; its worker is killed. Another attempt begins after the time in which
    the target has created an order or never does."""
    here, there = machine.store(), machine.store()
    await here.submit(machine.intake("k"), guard_po=0)
    (claim,) = await here.claim("erp", "a", 10, LEASE)
    attempt = await here.begin_attempt(claim, 5.0, RETRY_IN)
    assert attempt is not None
    assert attempt.attempts == 1
    machine.time_of_day += step
    machine.wait(RETRY_IN - 1)
    assert await claimed(there, "b") == []
    machine.wait(2)
    assert await claimed(there, "b") == ["k"]


async def test_times_that_are_shown_are_those_of_day(machine: Machine):
    store = machine.store()
    await store.submit(machine.intake("k"), guard_po=0)
    (claim,) = await store.claim("erp", "a", 10, LEASE)
    machine.time_of_day += STEP
    held = type(claim)(**{name: getattr(claim, name) for name in claim.__struct_fields__} | {"state": IntakeState.HELD})  # pyright: ignore[reportArgumentType]
    assert await store.complete(claim, held)
    assert (await store.by_id([claim.id]))[claim.id].since == machine.time_of_day


async def test_leases_of_an_earlier_boot_end_by_the_time_of_day(machine: Machine):
    store = machine.store()
    await store.submit(machine.intake("k"), guard_po=0)
    assert await claimed(store, "a") == ["k"]
    machine.boot, machine.since_boot = "second", 1.0
    machine.time_of_day += LEASE - 1
    rebooted = machine.store()
    assert await claimed(rebooted, "b") == []
    machine.wait(2)
    assert await claimed(rebooted, "b") == ["k"]


def test_current_boot_is_the_same_for_all_and_goes_on():
    one, other = current_boot(), current_boot()
    if one is None or other is None:
        pytest.skip("the system does not name its boot")
    assert one.id == other.id != ""
    assert one.seconds() <= other.seconds()
