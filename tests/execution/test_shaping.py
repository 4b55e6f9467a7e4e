"""Plans write JSON themselves: every kind of value as graphql-core's and the encoder's way gives it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
import strawberry
from strawberry.schema.config import StrawberryConfig

from app.auth.policy import ALL_PERMISSIONS
from app.execution.engine import Request
from app.execution.plan.encoded_result import EncodedResult
from app.execution.plan.engine import PlanEngine
from app.execution.reference import ReferenceEngine
from app.schema.declare.edges import root
from app.schema.declare.scalars import SCALARS


@strawberry.enum
class Colour(StrEnum):
    RED = "RED"
    SEA_GREEN = "SEA_GREEN"


@strawberry.enum
class Size(StrEnum):
    """Its values do not read as its names."""

    LARGE = "l"


@dataclass
class Row:
    """A record with one value, alone and in lists."""

    value: Any

    @property
    def values(self) -> list[Any]:
        return [self.value, self.value]

    @property
    def nested(self) -> list[Any]:
        return [[self.value, None], None]


@dataclass
class Given:
    """A context with what to answer."""

    value: Any
    permissions: Any = ALL_PERMISSIONS


async def row(ctx: Given) -> Row:
    return Row(ctx.value)


def schema_of(kind: Any) -> Any:
    """A schema that shows the value as this type wherever a plain value can stand."""

    places = {"value": kind, "values": list[kind], "nested": list[list[kind | None] | None]}
    thing = strawberry.type(type("Thing", (), {"__annotations__": places}))

    @strawberry.type
    class Query:
        row = root(row, returns=thing, description="")

    return strawberry.Schema(Query, config=StrawberryConfig(scalar_map=SCALARS))._schema


TEXT = "{ row { value again: value values nested __typename } }"
ZURICH = ZoneInfo("Europe/Zurich")
MOMENT = datetime(2026, 10, 25, 2, 30, 0, 120_000, UTC)


async def results(kind: Any, value: Any) -> tuple[Any, Any]:
    """What the plan and graphql-core answer."""
    schema = schema_of(kind)
    plan, reference = PlanEngine(schema), ReferenceEngine(schema)
    operation = plan.prepare(Request(TEXT))
    return await plan.execute(operation, Given(value)), await reference.execute(operation, Given(value))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (str, ""),
        (str, 'quote " backslash \\ slash / braces {x}'),
        (str, "tab\tnew\nline\r\0\x1f\x7f\u2028\b\f"),
        (str, "Zürich 東京 \U0001f600"),
        (strawberry.ID, "T3JkZXI"),
        (bool, True),
        (bool, False),
        (int, 0),
        (int, -(2**31)),
        (int, 2**31 - 1),
        (float, 1.5),
        (float, -1e300),
        (Decimal, Decimal("12.50")),
        (Decimal, Decimal("-0.00")),
        (Decimal, Decimal("1E+3")),
        (Decimal, Decimal("0.00000000001")),
        (Decimal, Decimal("1E-20")),
        (Decimal, Decimal("1" * 60)),
        (date, date(2026, 2, 28)),
        (datetime, MOMENT),
        (datetime, MOMENT.replace(microsecond=0)),
        (datetime, MOMENT.astimezone(timezone(timedelta(hours=-5)))),
        (Colour, Colour.SEA_GREEN),
        (Size, Size.LARGE),
    ],
)
async def test_a_value_is_written_as_graphql_core_and_the_encoder_write_it(kind: Any, value: Any) -> None:
    plan, reference = await results(kind, value)
    assert isinstance(plan, EncodedResult)
    assert plan.json == orjson.dumps(reference.data)
    assert reference.errors is None


@pytest.mark.plan_fallback
@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (str, 5),
        (bool, 1),
        (int, True),
        (int, 2.0),
        (int, 2**31),
        (int, 1.5),
        (int, "1"),
        (float, float("nan")),
        (Decimal, Decimal("NaN")),
        (Decimal, Decimal("-Infinity")),
        (Decimal, Decimal("1E+999999999")),
        (Decimal, Decimal("1" * 61)),
        (date, "2026-01-01"),
        (datetime, "2026-01-01T00:00:00Z"),
        (datetime, date(2026, 1, 1)),
        (Colour, "YELLOW"),
        (str, None),
    ],
)
async def test_a_value_that_its_type_does_not_promise_is_answered_as_by_graphql_core(kind: Any, value: Any) -> None:
    plan, reference = await results(kind, value)
    assert plan.data == reference.data
    assert [error.path for error in plan.errors or ()] == [error.path for error in reference.errors or ()]


async def test_the_two_half_past_two_of_an_autumn_night_stay_an_hour_apart() -> None:
    early, late = (datetime(2026, 10, 25, 2, 30, tzinfo=ZURICH, fold=fold) for fold in (0, 1))
    schema = schema_of(datetime)
    engine = PlanEngine(schema)
    operation = engine.prepare(Request("{ row { value } }"))
    found = [(await engine.execute(operation, Given(value))).data["row"]["value"] for value in (early, late)]
    assert found == ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"]


@pytest.mark.plan_fallback
async def test_half_a_character_is_left_to_the_encoder_to_refuse() -> None:
    plan, _ = await results(str, "\ud800")
    assert not isinstance(plan, EncodedResult)
    assert plan.data["row"]["value"] == "\ud800"
