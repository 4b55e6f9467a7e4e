"""Documents written by hand, run by both engines over many worlds; and the test of the comparison itself."""

from __future__ import annotations

import gc
from typing import Any

import orjson
import pytest
from graphql import ExecutionResult, GraphQLError

from app.execution.engine import Operation
from app.execution.plan.engine import PlanEngine
from tests.differential.compare import Answer, Bench, differences
from tests.differential.corners import CORNERS, consumers
from tests.differential.world import BUYER, SEES_ALL, World

WORLDS = [World(seed, failure_rate=failure_rate) for seed in range(4) for failure_rate in (0.0, 0.1, 0.3)]

pytestmark = [
    pytest.mark.filterwarnings("ignore:coroutine 'Executor:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:.*coroutine object Executor:pytest.PytestUnraisableExceptionWarning"),
]


@pytest.mark.parametrize("name", [*CORNERS, *consumers()])
async def test_engines_agree_on(bench: Bench, name: str) -> None:
    text, variables = (CORNERS | consumers())[name]
    operation = bench.prepare(text, variables=variables)
    for world in WORLDS:
        for principal in (SEES_ALL, BUYER):
            assert not await bench.compared(operation, world, principal), (
                f"seed {world.seed}, failure rate {world.failure_rate}"
            )
    gc.collect()


async def test_named_operations_of_one_document_agree(bench: Bench) -> None:
    text = """
    query A { me { ...V } } query B($s: Boolean!) { me { ...W } }
    fragment V on Viewer { subject } fragment W on Viewer { roles @skip(if: $s) subject }
    """
    for name, variables in (("A", {}), ("B", {"s": True}), ("B", {"s": False}), ("B", {})):
        operation = bench.prepare(text, name, variables)
        assert not await bench.compared(operation, WORLDS[0], BUYER)


# The comparison


def told(data: object, *errors: dict[str, Any]) -> Answer:
    return Answer(orjson.dumps(data), list(errors))


def error(*path: object, code: str = "SOURCE_TIMEOUT", message: str = "late", line: int = 1) -> dict[str, Any]:
    return {
        "message": message,
        "path": list(path),
        "locations": [{"line": line, "column": 1}],
        "extensions": {"code": code},
    }


DATA = {"a": None, "b": {"c": None, "d": 1}, "e": [None, {"f": None}]}


@pytest.mark.parametrize(
    ("plan", "reference"),
    [
        pytest.param(told({"a": 1, "b": 2}), told({"b": 2, "a": 1}), id="keys in another order"),
        pytest.param(told({"a": "1"}), told({"a": 1}), id="another type"),
        pytest.param(told({"a": None}), told({"a": None}, error("a")), id="an error the plan lacks"),
        pytest.param(told({"a": None}, error("a")), told({"a": None}), id="an error of the plan's own"),
        pytest.param(told({"a": None}, error("a", code="X")), told({"a": None}, error("a")), id="another code"),
        pytest.param(told({"a": None}, error("a", message="X")), told({"a": None}, error("a")), id="another message"),
        pytest.param(told({"a": None}, error("a", line=2)), told({"a": None}, error("a")), id="another location"),
        pytest.param(told({"a": None}, error("a"), error("a")), told({"a": None}, error("a")), id="one error twice"),
        pytest.param(
            told({"a": None}, error("a", "b"), error("a", "c")),
            told({"a": None}, error("a", "b"), error("a", "c")),
            id="two errors of the plan for one null",
        ),
        pytest.param(
            told(DATA, error("e", 0), error("a")), told(DATA, error("a"), error("e", 0)), id="not in the answer's order"
        ),
        pytest.param(
            told(DATA, error("b", "c")), told(DATA, error("e", 1, "f")), id="an error in another place of the answer"
        ),
        pytest.param(Answer(b"null", [error("a")], refused=True), told(None, error("a")), id="refused by one only"),
    ],
)
def test_real_difference_is_found(plan: Answer, reference: Answer) -> None:
    found, _ = differences(plan, reference)
    assert found


def test_order_of_reference_and_errors_below_a_null_are_let_pass() -> None:
    plan = told(DATA, error("a"), error("b", "c"), error("e", 0, "x"))
    reference = told(DATA, error("e", 0, "x"), error("e", 0, "y"), error("b", "c"), error("a"))
    assert differences(plan, reference) == ([], [])


def test_another_error_below_a_null_is_looked_at_alone() -> None:
    found, doubtful = differences(told({"a": None}, error("a", "x")), told({"a": None}, error("a", "y")))
    assert found == []
    assert doubtful == [error("a", "x")]


class WrongEngine(PlanEngine):
    """Answers as the plan does, but tells its errors in other words."""

    async def execute(self, operation: Operation, context: Any) -> ExecutionResult:
        result = await super().execute(operation, context)
        lies = [GraphQLError("made up", one.nodes, path=one.path) for one in result.errors or ()]
        return ExecutionResult(result.data, lies)


@pytest.mark.parametrize("field", ["events(last: 0) { at }", "events(last: 0) { at } x: events(last: -1) { at }"])
async def test_error_that_graphql_core_does_not_know_is_found_out(bench: Bench, field: str) -> None:
    """Be it below a null, where graphql-core may have told another one."""
    wrong = Bench(bench.schema)
    wrong.plan = WrongEngine(bench.schema)
    operation = wrong.prepare(f'{{ shipment(by: {{ trackingNumber: "T1" }}) {{ {field} }} }}')
    assert not await bench.compared(operation, World(1), SEES_ALL)
    (found,) = await wrong.compared(operation, World(1), SEES_ALL)
    assert "made up" in found
