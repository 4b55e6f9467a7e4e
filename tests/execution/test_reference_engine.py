"""The reference engine's short cuts: what is waited for without tasks, and what ends with a run."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
import strawberry

from app.auth.policy import ALL_PERMISSIONS
from app.execution.engine import Request
from app.execution.reference import ReferenceEngine
from app.schema.declare.edges import edge, root


@dataclass
class Gate:
    """Lets the first level of edges wait until it is opened, and keeps what was asked."""

    asked: list[str] = field(default_factory=list)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    permissions: Any = ALL_PERMISSIONS
    edges: dict[Any, Any] = field(default_factory=dict)


@dataclass
class Row:
    """A thing; its `size` is not always what the schema says."""

    name: str
    size: Any = 1


async def rows(ctx: Gate) -> list[Row]:
    return [Row("a"), Row("b", "large")]


async def first(parents: list[Row], ctx: Gate) -> list[Row]:
    ctx.asked.append("first")
    ctx.reached.set()
    await ctx.opened.wait()
    return [Row(f"{one.name}1") for one in parents]


async def second(parents: list[Row], ctx: Gate) -> list[str]:
    ctx.asked.append("second")
    return [one.name.upper() for one in parents]


@strawberry.type
class Below:
    name: str
    second = edge(second, returns=str, description="")


@strawberry.type
class Thing:
    name: str
    size: int | None
    first = edge(first, returns=Below, description="")


@strawberry.type
class Query:
    rows = root(rows, returns=list[Thing], description="")


ENGINE = ReferenceEngine(strawberry.Schema(Query)._schema)


async def run(text: str, ctx: Gate) -> Any:
    return await ENGINE.execute(ENGINE.prepare(Request(text)), ctx)


async def test_edges_below_edges_are_answered_level_by_level():
    ctx = Gate()
    ctx.opened.set()
    result = await run("{ rows { name first { name second } } }", ctx)
    assert result.data == {
        "rows": [
            {"name": "a", "first": {"name": "a1", "second": "A1"}},
            {"name": "b", "first": {"name": "b1", "second": "B1"}},
        ]
    }
    assert result.errors is None
    assert ctx.asked == ["first", "second"]


async def test_leaf_that_does_not_serialize_has_the_error_of_graphql_core():
    result = await run("{ rows { name size } }", Gate())
    assert result.data == {"rows": [{"name": "a", "size": 1}, {"name": "b", "size": None}]}
    assert [(error.path, error.message) for error in result.errors] == [
        (["rows", 1, "size"], "Int cannot represent non-integer value: 'large'")
    ]


async def test_what_comes_after_a_cancelled_run_is_left():
    ctx = Gate()
    running = asyncio.ensure_future(run("{ rows { first { second } } }", ctx))
    await ctx.reached.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    ctx.opened.set()
    for _ in range(10):
        await asyncio.sleep(0)
    assert ctx.asked == ["first"]
