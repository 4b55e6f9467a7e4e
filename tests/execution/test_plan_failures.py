"""Failures in a plan: of one row, of an edge, below a null, and nulls where none may be."""

from __future__ import annotations

from typing import Any

import pytest
import strawberry

from app.errors import SourceUnavailable
from app.execution.error_formatting import format_errors
from app.execution.plan.engine import PlanEngine
from app.execution.reference import ReferenceEngine
from app.schema.declare.edges import edge, root
from tests.execution.test_plans import Calls, Row, below, rows, run


async def test_failure_of_one_row_is_its_own() -> None:
    ctx = Calls([Row("a", [Row("x")]), Row("broken")])
    result = await run("{ rows { name below { name } } }", ctx)
    assert result.data == {"rows": [{"name": "a", "below": [{"name": "x"}]}, {"name": "broken", "below": None}]}
    (error,) = format_errors(result.errors)
    assert (error["path"], error["extensions"]["code"]) == (["rows", 1, "below"], "SOURCE_UNAVAILABLE")
    assert ctx.asked == [("below", ["a", "broken"])]


async def fails(parents: list[Row], ctx: Calls, word: str) -> list[Any]:
    return [SourceUnavailable("erp") if word in one.name else one.name for one in parents]


async def soft(parents: list[Row], ctx: Calls) -> list[Any]:
    return await fails(parents, ctx, "soft")


async def hard(parents: list[Row], ctx: Calls) -> list[Any]:
    return await fails(parents, ctx, "hard")


@strawberry.type
class Brittle:
    soft = edge(soft, returns=str | None, description="")
    hard = edge(hard, returns=str, description="")


@strawberry.type
class BrittleQuery:
    all = root(rows, returns=list[Brittle] | None, description="")
    some = root(rows, returns=list[Brittle | None], description="")


BRITTLE = strawberry.Schema(BrittleQuery)._schema


@pytest.mark.parametrize(
    ("text", "names", "data", "paths"),
    [
        ("{ some { soft hard } }", ["a", "soft hard"], [{"soft": "a", "hard": "a"}, None], [["some", 1, "hard"]]),
        ("{ some { hard soft } }", ["hard", "soft"], [None, {"hard": "soft", "soft": None}],
         [["some", 0, "hard"], ["some", 1, "soft"]]),
        ("{ all { soft hard } }", ["soft", "a", "hard", "hard"], None, [["all", 2, "hard"]]),
    ],
)  # fmt: skip
async def test_error_of_a_null_is_that_of_the_field_that_caused_it(
    text: str, names: list[str], data: Any, paths: list[Any]
) -> None:
    result = await run(text, Calls([Row(name) for name in names]), PlanEngine(BRITTLE))
    assert list(result.data.values()) == [data]
    assert [error.path for error in result.errors] == paths


async def nothing(parents: list[Row], ctx: Calls) -> list[Any]:
    return [None for _ in parents]


@strawberry.type
class Hollow:
    leaf = edge(nothing, returns=str, description="")
    thing = edge(nothing, returns=Brittle, description="")
    things = edge(below, returns=list[Brittle], description="")
    maybe = edge(below, returns=list[Brittle] | None, description="")


@strawberry.type
class HollowQuery:
    some = root(rows, returns=list[Hollow | None], description="")


HOLLOW = strawberry.Schema(HollowQuery)._schema


@pytest.mark.parametrize(
    ("field", "data", "path"),
    [
        ("leaf", [None], ["some", 0, "leaf"]),
        ("thing { soft }", [None], ["some", 0, "thing"]),
        ("things { soft }", [None], ["some", 0, "things", 1]),
        ("maybe { soft }", [{"maybe": None}], ["some", 0, "maybe", 1]),
    ],
)
async def test_null_where_none_may_be_goes_up_in_both_engines(field: str, data: Any, path: list[Any]) -> None:
    for make in (PlanEngine, ReferenceEngine):
        ctx: Any = Calls([Row("a", [Row("x"), None, Row("y")])])  # type: ignore[list-item]
        ctx.edges = {}
        result = await run(f"{{ some {{ {field} }} }}", ctx, make(HOLLOW))
        assert result.data == {"some": data}
        assert [error.path for error in result.errors] == [path]
        assert format_errors(result.errors)[0]["extensions"]["code"] == "INTERNAL"


async def test_too_few_answers_of_an_edge_are_everybodys_failure() -> None:
    async def short(parents: list[Row], ctx: Calls) -> list[str]:
        return ["one"]

    @strawberry.type
    class One:
        wrong = edge(short, returns=str | None, description="")

    @strawberry.type
    class Root:
        rows = root(rows, returns=list[One], description="")

    engine = PlanEngine(strawberry.Schema(Root)._schema)
    result = await run("{ rows { wrong } }", Calls([Row("a"), Row("b")]), engine)
    assert result.data == {"rows": [{"wrong": None}, {"wrong": None}]}
    assert [one["extensions"]["code"] for one in format_errors(result.errors)] == ["INTERNAL", "INTERNAL"]
