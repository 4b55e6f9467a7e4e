"""Generated code that fails: the response is completed, the failure is counted, and logged once a plan."""

from __future__ import annotations

import gc
import linecache
import traceback
from dataclasses import dataclass
from enum import Enum
from typing import Any

import pytest
import strawberry
from structlog.testing import capture_logs

from app.auth.policy import ALL_PERMISSIONS
from app.execution.engine import Request
from app.execution.plan.encoded_result import EncodedResult
from app.execution.plan.engine import PlanEngine
from app.execution.plan.tree import Plan
from app.schema.declare.edges import root
from app.telemetry import metrics, series


@dataclass
class Row:
    name: str
    size: Any = 1


@dataclass
class Ctx:
    rows: list[Row]
    permissions: Any = ALL_PERMISSIONS


async def rows(ctx: Ctx) -> list[Row]:
    return ctx.rows


@strawberry.type
class RowView:
    name: str
    size: int | None


@strawberry.type
class Query:
    rows = root(rows, returns=list[RowView], description="")


SCHEMA = strawberry.Schema(Query)._schema
TEXT = "query Rows { rows { name size } }"


def fallbacks(reason: str) -> float:
    return sum(value for labels, value in series(metrics().plan_fallbacks) if labels.get("reason") == reason)


def broken(*_: Any) -> list[str]:
    raise KeyError("a bug in generated code")


def planned(engine: PlanEngine) -> Plan:
    plan = engine.plan_for(engine.prepare(Request(TEXT)))
    assert plan is not None
    return plan


async def run(engine: PlanEngine, *rows: Row) -> Any:
    return await engine.execute(engine.prepare(Request(TEXT)), Ctx(list(rows)))


@pytest.mark.plan_fallback
async def test_failure_of_generated_code_is_counted_and_logged_once_a_plan() -> None:
    engine = PlanEngine(SCHEMA)
    plan = planned(engine)
    plan.serializers = dict.fromkeys(plan.serializers or (), broken)
    before = fallbacks("code")
    with capture_logs() as logs:
        for _ in range(3):
            result = await run(engine, Row("a"))
            assert result.data == {"rows": [{"name": "a", "size": 1}]}
            assert result.errors is None
    assert fallbacks("code") == before + 3
    assert [(one["event"], one["plan"], one["error"]) for one in logs] == [
        ("plan_serializer_failed", plan.filename, "KeyError('a bug in generated code')")
    ]


async def test_value_that_its_type_does_not_allow_is_no_bug() -> None:
    engine = PlanEngine(SCHEMA)
    before = fallbacks("value"), fallbacks("code")
    with capture_logs() as logs:
        result = await run(engine, Row("a", "large"))
    assert [error.path for error in result.errors] == [["rows", 0, "size"]]
    assert (fallbacks("value"), fallbacks("code")) == (before[0] + 1, before[1])
    assert logs == []


@pytest.mark.plan_fallback
async def test_plan_whose_code_cannot_be_generated_is_completed_value_by_value() -> None:
    class Shape(Enum):
        ROUND = [1]

    @dataclass
    class Shaped:
        shape: Shape

    async def read_shape(ctx: Ctx) -> Shaped:
        return Shaped(Shape.ROUND)

    view = strawberry.type(type("ShapedView", (), {"__annotations__": {"shape": strawberry.enum(Shape)}}))

    @strawberry.type
    class Root:
        shaped = root(read_shape, returns=view, description="")

    engine = PlanEngine(strawberry.Schema(Root)._schema)
    before = fallbacks("generation")
    with capture_logs() as logs:
        for _ in range(2):
            result = await engine.execute(engine.prepare(Request("{ shaped { shape } }")), Ctx([]))
            assert not isinstance(result, EncodedResult)
            assert result.data == {"shaped": {"shape": "ROUND"}}
            assert result.errors is None
    assert fallbacks("generation") == before + 1
    assert [one["event"] for one in logs] == ["plan_generation_failed"]


async def test_traceback_of_generated_code_shows_its_source() -> None:
    engine = PlanEngine(SCHEMA)
    serialize = (planned(engine).serializers or {})[max(planned(engine).serializers or ())]
    try:
        serialize([Row("a", None), object()])
    except AttributeError as error:
        shown = "".join(traceback.format_exception(error))
    assert "plan-" in shown
    assert "row.name" in shown


async def test_source_of_a_plan_goes_with_the_plan() -> None:
    engine = PlanEngine(SCHEMA)
    filename = planned(engine).filename
    assert filename.endswith("-Rows.py")
    assert any("row.name" in line for line in linecache.getlines(filename))
    del engine
    gc.collect()
    assert linecache.getlines(filename) == []


def test_locals_are_named_after_fields() -> None:
    text = planned(PlanEngine(SCHEMA)).text
    assert "(size_" in text
    assert "row.size" in text
    assert "for row in rows" in text
