"""Nothing that was acknowledged is lost, doubled or out of order, whatever befalls the gateway.

In every run of the tests a short account; `./run test --events tests/events/test_accountant.py` keeps the long one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.events.accountant import Plan, audit
from bench.events.ledger import Ledger
from tests.support.valkey import Valkey

EITHER = {"worker killed", "workers replaced", "clients dropped"}


@pytest.fixture(params=["sqlite", pytest.param("redis", marks=pytest.mark.long)])
def redis(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Valkey | None]:
    """The server that the log is in; none for SQLite."""
    if request.param == "sqlite":
        yield None
        return
    server = Valkey(tmp_path, durable=True)
    server.start()
    yield server
    server.stop()


@pytest.mark.timeout(4 * 3600)
async def test_every_acknowledged_step_comes_once_and_in_order(
    request: pytest.FixtureRequest, tmp_path: Path, redis: Valkey | None
):
    """Workers killed, replaced, Redis restarted, clients dropped at random, over both transports."""
    long = bool(request.config.getoption("--events"))
    plan = Plan(steps=100_000, faults=5.0, senders=16) if long else Plan(steps=400, faults=0.7)
    found = await audit(plan, tmp_path, redis)
    assert found.verdict.good, f"{found.verdict}\n{found.verdict!r}\n{found.refusals[:5]}"
    assert found.verdict.acknowledged >= plan.steps
    assert found.verdict.delivered == found.verdict.acknowledged * 2
    assert found.befell.keys() == (EITHER if redis is None else EITHER | {"Redis killed and started"})


async def test_accountant_finds_what_is_lost_and_what_is_doubled(tmp_path: Path):
    """One step is taken for acknowledged without being told, and one is recorded again, in a real gateway."""
    plan = Plan(steps=40, customers=2, workers=1, patience=3.0, lose=frozenset({17}), double=frozenset({22}))
    verdict = (await audit(plan, tmp_path)).verdict
    assert {number for _, number in verdict.lost} == {17}
    assert {number for _, number in verdict.doubled} == {22}
    assert len(verdict.lost) == len(verdict.doubled) == 2
    assert not verdict.disordered
    assert not verdict.good


def ledger(*cursors: tuple[str, int], acknowledged: tuple[int, ...] = (1, 2, 3)) -> Ledger:
    """A ledger of one customer with two subscribers: the first gets all in order, the second these."""
    made = Ledger()
    first, second = made.account("first", "C"), made.account("second", "C")
    for number in acknowledged:
        made.acknowledge(number, "C")
        made.got(first, f"c{number}", number)
    for cursor, number in cursors:
        made.got(second, cursor, number)
    return made


def test_good_account():
    found = ledger(("c1", 1), ("c2", 2), ("c2", 2), ("c3", 3))
    assert found.missing() == 0
    verdict = found.verdict()
    assert (verdict.good, verdict.acknowledged, verdict.delivered, verdict.repeated) == (True, 3, 6, 1)


def test_step_that_is_missing_is_lost():
    found = ledger(("c1", 1), ("c3", 3))
    assert found.missing() == 1
    assert (found.verdict().good, found.verdict().lost) == (False, (("second", 2),))


def test_step_under_two_cursors_is_doubled():
    verdict = ledger(("c1", 1), ("c2", 2), ("x", 2), ("c3", 3)).verdict()
    assert (verdict.good, verdict.doubled, verdict.lost) == (False, (("second", 2),), ())


def test_other_order_is_found():
    verdict = ledger(("c1", 1), ("c3", 3), ("c2", 2)).verdict()
    assert (verdict.good, verdict.disordered) == (False, ("second",))


def test_reported_gap_is_delivered():
    found = ledger(("c1", 1), ("c2", 2), ("c3", 3))
    found.accounts[1].told_lost.append("EXPIRED")
    assert (found.verdict().good, found.verdict().told_lost) == (False, (("second", "EXPIRED"),))


def test_step_that_was_not_acknowledged_need_not_come():
    assert ledger(("c1", 1), ("c2", 2), ("c3", 3), ("c4", 4)).verdict().good
