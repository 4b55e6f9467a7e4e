"""The account of orders in: none lost, none twice, in order by customer. `./run trial orders` is the long one."""

from __future__ import annotations

import pytest

from app.sandbox import Sandbox
from bench.trials.orders import away, killed, zombies


@pytest.mark.timeout(300)
@pytest.mark.parametrize("store", ["sqlite", "postgres"])
async def test_killed_workers_and_lost_answers_cost_and_double_no_order(
    request: pytest.FixtureRequest, sandbox: Sandbox, store: str
):
    url = request.getfixturevalue("postgres_url") if store == "postgres" else None
    found = await killed(store, url, sandbox.data_dir, orders=60, kills=2, lost=0.1, every=0.5)  # type: ignore[arg-type]
    assert (found.posted, found.in_target, found.lost, found.doubled, found.out_of_order) == (60, 60, 0, 0, 0)
    assert found.kept


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("store", ["sqlite", "postgres"])
async def test_long_account(request: pytest.FixtureRequest, sandbox: Sandbox, store: str):
    url = request.getfixturevalue("postgres_url") if store == "postgres" else None
    accounts = [
        await killed(store, url, sandbox.data_dir, orders=2000, kills=20, lost=0.1, every=2.0),  # type: ignore[arg-type]
        await zombies(store, url, sandbox.data_dir, orders=300, rounds=5),  # type: ignore[arg-type]
        await away(store, url, sandbox.data_dir, orders=20_000, seconds=30),  # type: ignore[arg-type]
    ]
    assert [(one.trial, one.lost, one.doubled, one.out_of_order) for one in accounts] == [
        ("killed", 0, 0, 0), ("zombie", 0, 0, 0), ("away", 0, 0, 0),
    ]  # fmt: skip
