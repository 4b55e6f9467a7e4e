"""The account of orders in: none lost, none twice, in order by customer. `./run trial orders` is the long one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest

from app.sandbox import Sandbox
from bench.trials.acceptance import measure
from bench.trials.orders import Account, away, killed, zombies

Trial = Callable[..., Awaitable[Account]]

STORES = pytest.mark.parametrize("store", ["sqlite", "postgres"])


@asynccontextmanager
async def database(request: pytest.FixtureRequest, store: str) -> AsyncIterator[Any]:
    """The address of an empty database, for a store that needs one."""
    if store == "sqlite":
        yield None
        return
    async with request.getfixturevalue("postgres").database() as url:
        yield url


@STORES
@pytest.mark.timeout(300)
async def test_killed_workers_and_lost_answers_cost_and_double_no_order(
    request: pytest.FixtureRequest, sandbox: Sandbox, store: Any
):
    async with database(request, store) as url:
        found = await killed(store, url, sandbox.data_dir, orders=60, kills=2, lost=0.1, every=0.5)
    assert (found.posted, found.in_target, found.lost, found.doubled, found.out_of_order) == (60, 60, 0, 0, 0)
    assert found.kept


@pytest.mark.parametrize(
    ("store", "gateways", "checks"),
    [pytest.param("sqlite", 1, True, marks=pytest.mark.long), ("postgres", 2, False)],
)
@pytest.mark.timeout(300)
async def test_orders_submitted_at_once_are_accepted_and_posted_once(
    request: pytest.FixtureRequest, sandbox: Sandbox, store: Any, gateways: int, checks: bool
):
    async with database(request, store) as url:
        found = await measure(store, url, sandbox.data_dir, orders=100, in_flight=20, gateways=gateways, checks=checks)
    assert (found.orders, found.refused, found.doubled) == (100, 0, 0)
    assert found.in_target == found.accepted > 100
    assert found.kept


@STORES
@pytest.mark.long
@pytest.mark.timeout(0)  # It fails where the queue does not move; how fast it moves is up to the machine.
@pytest.mark.parametrize(
    "trial",
    [
        partial(killed, orders=2000, kills=20, lost=0.1, every=2.0),
        partial(zombies, orders=300, rounds=5),
        partial(away, orders=20_000, seconds=30),
    ],
    ids=["killed", "zombies", "away"],
)
async def test_long_account(request: pytest.FixtureRequest, sandbox: Sandbox, store: Any, trial: Trial):
    async with database(request, store) as url:
        found = await trial(store, url, sandbox.data_dir)
    assert (found.lost, found.doubled, found.out_of_order) == (0, 0, 0)
    assert (found.posted, found.in_target) == (found.submitted, found.submitted)
