"""Mutations in plans: root fields run serially, each payload is selected like a query, and a null root ends the run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
import strawberry

from app.auth.policy import ALL_PERMISSIONS
from app.errors import SourceUnavailable
from app.execution.engine import Request
from app.execution.plan.engine import PlanEngine
from app.execution.reference import ReferenceEngine
from app.schema.declare.edges import Argument, edge, root


@dataclass
class Account:
    """A balance that commands change."""

    name: str
    balance: int


@dataclass
class Ctx:
    """The store, a log of calls, and how often the loaders were renewed."""

    balances: dict[str, int] = field(default_factory=lambda: {"a": 0, "b": 0})
    calls: list[Any] = field(default_factory=list)
    permissions: Any = ALL_PERMISSIONS
    edges: dict[Any, Any] = field(default_factory=dict)
    renewed: int = 0

    def renew_loaders(self) -> None:
        self.renewed += 1


async def deposit(ctx: Ctx, account: str, amount: int) -> Account:
    ctx.calls.append(("deposit", account, amount))
    if account not in ctx.balances:
        raise SourceUnavailable("erp")
    ctx.balances[account] += amount
    return Account(account, ctx.balances[account])


async def accounts(ctx: Ctx) -> list[Account]:
    return [Account(name, balance) for name, balance in ctx.balances.items()]


async def peers(rows: list[Account], ctx: Ctx) -> list[list[Account]]:
    ctx.calls.append(("peers", [one.name for one in rows]))
    return [[Account(name, ctx.balances[name]) for name in ctx.balances if name != one.name] for one in rows]


@strawberry.type
class Peer:
    name: str
    balance: int


@strawberry.type
class AccountView(Peer):
    peers = edge(peers, returns=list[Peer], description="")


ARGS = {"account": Argument(str, ""), "amount": Argument(int, "", 1)}


@strawberry.type
class Query:
    accounts = root(accounts, returns=list[AccountView], description="")


@strawberry.type
class Mutation:
    deposit = root(deposit, returns=AccountView | None, description="", args=ARGS)
    must_deposit = root(deposit, returns=AccountView, description="", args=ARGS)


SCHEMA = strawberry.Schema(Query, Mutation)._schema
ENGINES = [PlanEngine, ReferenceEngine]


async def run(make: Any, text: str, **variables: Any) -> tuple[Any, Ctx]:
    engine, ctx = make(SCHEMA), Ctx()
    return await engine.execute(engine.prepare(Request(text, None, variables)), ctx), ctx


def test_a_mutation_is_compiled() -> None:
    engine = PlanEngine(SCHEMA)
    plan = engine.plan_for(engine.prepare(Request('mutation { deposit(account: "a") { balance } }')))
    assert plan is not None
    assert plan.serial


@pytest.mark.parametrize("make", ENGINES)
async def test_root_fields_run_serially_each_with_its_payload(make: Any) -> None:
    text = """mutation ($n: Int!) {
        first: deposit(account: "a", amount: $n) { name balance peers { name balance } }
        second: deposit(account: "b", amount: 7) { balance peers { balance } }
        third: deposit(account: "a") { balance }
    }"""
    result, ctx = await run(make, text, n=5)
    assert result.errors is None
    assert result.data == {
        "first": {"name": "a", "balance": 5, "peers": [{"name": "b", "balance": 0}]},
        "second": {"balance": 7, "peers": [{"balance": 5}]},
        "third": {"balance": 6},
    }
    assert ctx.calls == [
        ("deposit", "a", 5),
        ("peers", ["a"]),
        ("deposit", "b", 7),
        ("peers", ["b"]),
        ("deposit", "a", 1),
    ]


@pytest.mark.parametrize("make", ENGINES)
async def test_failed_nullable_field_does_not_stop_the_next(make: Any) -> None:
    text = 'mutation { x: deposit(account: "none") { balance } y: deposit(account: "a", amount: 2) { balance } }'
    result, ctx = await run(make, text)
    assert result.data == {"x": None, "y": {"balance": 2}}
    assert [error.path for error in result.errors] == [["x"]]
    assert ctx.balances == {"a": 2, "b": 0}


@pytest.mark.parametrize("make", ENGINES)
async def test_failed_non_null_field_stops_the_rest(make: Any) -> None:
    text = """mutation {
        x: deposit(account: "a", amount: 2) { balance }
        y: mustDeposit(account: "none") { balance }
        z: deposit(account: "b", amount: 3) { balance }
    }"""
    result, ctx = await run(make, text)
    assert result.data is None
    assert [error.path for error in result.errors] == [["y"]]
    assert ctx.balances == {"a": 2, "b": 0}


async def test_loaders_are_renewed_between_root_fields() -> None:
    _, ctx = await run(PlanEngine, 'mutation { x: deposit(account: "a") { name } y: deposit(account: "b") { name } }')
    assert ctx.renewed == 1
