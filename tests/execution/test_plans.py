"""Plans: what is asked once, shaped once, read ahead, kept, refused and stopped."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any

import orjson
import pytest
import strawberry

from app import telemetry
from app.auth.policy import ALL_PERMISSIONS, Key, Permissions
from app.errors import SourceUnavailable
from app.execution.engine import Request
from app.execution.error_formatting import format_errors
from app.execution.plan.engine import PlanEngine
from app.execution.reference import ReferenceEngine
from app.resolvers.loading.context import Context
from app.resolvers.loading.level_loader import LevelLoader
from app.schema import build_schema
from app.schema.declare.edges import Argument, edge, root
from tests.differential.world import SEES_ALL, World, context

SCHEMA = build_schema()._schema


# A schema small enough to count in


@dataclass
class Row:
    """A thing with others below it."""

    name: str
    below: list[Row] = field(default_factory=list)


class Counted(Row):
    """Counts how often its name is read."""

    reads = 0

    def __getattribute__(self, name: str) -> Any:
        if name == "name":
            self.reads += 1
        return super().__getattribute__(name)


@dataclass
class Calls:
    """What was asked of the edges, and under which permissions."""

    rows: list[Row]
    asked: list[tuple[str, list[str]]] = field(default_factory=list)
    permissions: Any = ALL_PERMISSIONS


async def rows(ctx: Calls) -> list[Row]:
    return ctx.rows


async def below(parents: list[Row], ctx: Calls, last: int = 9) -> list[Any]:
    ctx.asked.append(("below", [one.name for one in parents]))
    return [SourceUnavailable("erp") if one.name == "broken" else one.below[:last] for one in parents]


async def loud(parents: list[Row], ctx: Calls) -> list[str]:
    ctx.asked.append(("loud", [one.name for one in parents]))
    return [one.name.upper() for one in parents]


@strawberry.type
class Thing:
    name: str
    below = edge(
        below,
        returns=list[Annotated["Thing", strawberry.lazy("tests.execution.test_plans")]] | None,
        description="",
        args={"last": Argument(int, "", 9)},
    )
    loud = edge(loud, returns=str | None, description="")


@strawberry.type
class Query:
    rows = root(rows, returns=list[Thing], description="")


SMALL = strawberry.Schema(Query)._schema


async def run(text: str, ctx: Any, engine: Any = None, **variables: Any) -> Any:
    engine = engine or PlanEngine(SMALL)
    return await engine.execute(engine.prepare(Request(text, None, variables)), ctx)


async def test_edge_is_called_once_for_all_rows_of_its_level() -> None:
    leaf, other = Row("leaf"), Row("other")
    ctx = Calls([Row("a", [leaf, other]), Row("b", [leaf]), Row("c")])
    result = await run("{ rows { loud below { loud name } again: below(last: 1) { name } } }", ctx)
    assert result.data == {
        "rows": [
            {
                "loud": "A",
                "below": [{"loud": "LEAF", "name": "leaf"}, {"loud": "OTHER", "name": "other"}],
                "again": [{"name": "leaf"}],
            },
            {"loud": "B", "below": [{"loud": "LEAF", "name": "leaf"}], "again": [{"name": "leaf"}]},
            {"loud": "C", "below": [], "again": []},
        ]
    }
    assert sorted(ctx.asked) == [
        ("below", ["a", "b", "c"]),
        ("below", ["a", "b", "c"]),
        ("loud", ["a", "b", "c"]),
        ("loud", ["leaf", "other"]),
    ]


async def test_object_at_many_positions_is_serialized_once() -> None:
    leaf = Counted("leaf")
    result = await run("{ rows { below { name } } }", Calls([Row("a", [leaf, leaf]), Row("b", [leaf])]))
    assert result.data == {"rows": [{"below": [{"name": "leaf"}] * 2}, {"below": [{"name": "leaf"}]}]}
    assert leaf.reads == 1


async def test_edge_without_rows_is_not_called() -> None:
    ctx = Calls([Row("a")])
    await run("{ rows { below { loud below { loud } } } }", ctx)
    assert ctx.asked == [("below", ["a"])]


async def test_level_loader_keeps_its_parents() -> None:
    """It knows them by identity: the next object in the same place would get the answer of the one before."""
    loader = LevelLoader(loud, Calls([]), {})  # type: ignore[arg-type]
    row = Row("a")
    left = weakref.ref(row)
    assert await loader.load(row) == "A"
    del row
    gc.collect()
    assert left() is not None


# Permissions


@dataclass(frozen=True, slots=True, eq=False)
class Refusing(Permissions):
    """Refuses the fields named."""

    granted: frozenset[Key] = frozenset()
    names: frozenset[str] = frozenset()

    def refuses(self, type_name: str, field_name: str) -> bool:
        return f"{type_name}.{field_name}" in self.names


@pytest.mark.parametrize("name", ["loud", "below { name }", "name"])
async def test_refused_field_is_forbidden_and_its_edge_never_asked(name: str) -> None:
    leaf = Row("leaf")
    permissions = Refusing(names=frozenset({f"Thing.{name.partition(' ')[0]}"}))
    ctx = Calls([Row("a", [leaf])], permissions=permissions)
    result = await run(f"{{ rows {{ x: {name} __typename }} }}", ctx)
    path = ["rows", 0, "x"]
    assert ctx.asked == []
    assert [(one.path, one.message) for one in result.errors] == [
        (path, "Your role does not have permission for this field.")
    ]
    assert format_errors(result.errors)[0]["extensions"] == {"code": "FORBIDDEN"}
    # `name` is not nullable: its refusal takes the row along, and the list, and so the whole answer.
    assert result.data == (None if name == "name" else {"rows": [{"x": None, "__typename": "Thing"}]})


async def test_two_rights_never_share_a_plan() -> None:
    engine = PlanEngine(SMALL)
    text = "{ rows { loud } }"
    everything, nothing = Refusing(), Refusing(names=frozenset({"Thing.loud"}))
    for permissions, expected in ((everything, "A"), (nothing, None), (everything, "A"), (nothing, None)):
        result = await run(text, Calls([Row("a")], permissions=permissions), engine)
        assert result.data == {"rows": [{"loud": expected}]}
    assert len(engine._plans) == 2


# Read ahead


class Gated(World):
    """Answers for customers once their orders are asked for, and the other way round."""

    def __init__(self) -> None:
        super().__init__(1)
        self.both: dict[str, asyncio.Event] = {
            "Customers.by_number": asyncio.Event(),
            "Orders.by_customer": asyncio.Event(),
        }

    async def asked(self, method: str, keys: Any) -> None:
        await super().asked(method, keys)
        name = method.partition(".")[2]
        if name in self.both:
            self.both[name].set()
            for event in self.both.values():
                await event.wait()


async def test_orders_are_read_beside_their_customer() -> None:
    """Each of the two reads waits for the other: one after the other would wait for ever."""
    world = Gated()
    engine = PlanEngine(SCHEMA)
    text = 'query ($n: Int!) { customer(by: { number: "CUST-1" }) { name orders(first: $n) { nodes { id } } } }'
    operation = engine.prepare(Request(text, None, {"n": 2}))
    async with asyncio.timeout(120):
        result = await engine.execute(operation, context(world, SEES_ALL, operation.selection))
    assert not result.errors
    names = [method.partition(".")[2] for method, _ in world.calls]
    assert sorted(names) == ["Customers.by_number", "Orders.by_customer"]


async def test_failed_prefetch_fails_its_own_field() -> None:
    text = '{ customer(by: { number: "CUST-1" }) { number orders(first: 101) { totalCount } } }'
    engine = PlanEngine(SCHEMA)
    operation = engine.prepare(Request(text))
    result = await engine.execute(operation, context(World(1), SEES_ALL, operation.selection))
    assert result.data == {"customer": {"number": "CUST-1", "orders": None}}
    assert [error.path for error in result.errors] == [["customer", "orders"]]


# Stopping


class Slow(World):
    """Holds every call until it is let go."""

    def __init__(self) -> None:
        super().__init__(1)
        self.entered = asyncio.Event()
        self.let_go = asyncio.Event()

    async def asked(self, method: str, keys: Any) -> None:
        self.entered.set()
        await super().asked(method, keys)
        await self.let_go.wait()


@pytest.mark.parametrize("make", [PlanEngine, ReferenceEngine])
async def test_cancelled_run_starts_no_further_call(make: Any) -> None:
    world = Slow()
    engine = make(SCHEMA)
    text = '{ customer(by: { number: "CUST-1" }) { orders(first: 5) { nodes { lines { item { name } } } } } }'
    operation = engine.prepare(Request(text))
    running = asyncio.ensure_future(engine.execute(operation, context(world, SEES_ALL, operation.selection)))
    await world.entered.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    before = list(world.calls)
    world.let_go.set()
    for _ in range(50):
        await asyncio.sleep(0)
    assert world.calls == before
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    with telemetry.open_scope(timeout=seconds):
        yield


async def test_no_read_starts_after_the_deadline() -> None:
    world = World(1)
    engine = PlanEngine(SCHEMA)
    operation = engine.prepare(Request('{ customer(by: { number: "CUST-1" }) { name } me { subject } }'))
    with deadline(-1):
        result = await engine.execute(operation, context(world, SEES_ALL, operation.selection))
    assert world.calls == []
    assert result.data == {"customer": None, "me": {"subject": "c"}}
    (error,) = format_errors(result.errors or ())
    assert (error["path"], error["extensions"]["code"]) == (["customer"], "DEADLINE_EXCEEDED")


async def test_what_was_read_ahead_in_vain_is_stopped_with_the_answer() -> None:
    class Forgotten(Slow):
        async def asked(self, method: str, keys: Any) -> None:
            if method.endswith("by_customer"):
                await super().asked(method, keys)

    world = Forgotten()
    engine = PlanEngine(SCHEMA)
    operation = engine.prepare(Request('{ customer(by: { number: "NOBODY" }) { orders(first: 5) { totalCount } } }'))
    result = await engine.execute(operation, context(world, SEES_ALL, operation.selection))
    assert result.data == {"customer": None}
    for _ in range(5):
        await asyncio.sleep(0)
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


# Both engines, encoded


async def test_encoded_answers_are_the_same_bytes() -> None:
    world = World(2)
    text = """{ nodes(ids: ["T3JkZXI6ZXJwOjE"]) { ... on Order { orderedAt updatedAt status history { at status }
                lines { number quantity scheduleLines { confirmedDate } } freshness { asOf maxAge cached } } }
              me { roles } }"""
    encoded = []
    for make in (PlanEngine, ReferenceEngine):
        engine = make(SCHEMA)
        operation = engine.prepare(Request(text))
        ctx: Context = context(world, SEES_ALL, operation.selection)
        result = await engine.execute(operation, ctx)
        assert not result.errors
        encoded.append(orjson.dumps(result.data, option=orjson.OPT_UTC_Z))
    assert encoded[0] == encoded[1]
    assert b'"roles":["ADMIN","CSR"]' in encoded[0]
