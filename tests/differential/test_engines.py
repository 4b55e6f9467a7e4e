"""Plan and graphql-core give the same answer to any document over any data: this is what makes the plan right."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from graphql import GraphQLObjectType

from tests.differential.arguments import draw
from tests.differential.compare import Bench
from tests.differential.documents import DocumentGenerator, shapes
from tests.differential.world import AGENT, BUYER, OPERATIONS, SEES_ALL, World

SDL = Path(__file__).resolve().parents[2] / "schema.graphql"
SHAPES = 15
"""Selections that are drawn for a seed."""

SEEDS, EACH = 10, 15
QUICK_SEEDS = 2
LONG_SEEDS, LONG_EACH = 200, 37
"""Documents made of each selection. A tenth of them asks for one field in two ways, which validation refuses."""

pytestmark = [
    # graphql-core leaves coroutines behind when a null beside them takes their parent away.
    pytest.mark.filterwarnings("ignore:coroutine 'Executor:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:.*coroutine object Executor:pytest.PytestUnraisableExceptionWarning"),
]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "long_seed" in metafunc.fixturenames:
        skip = pytest.mark.skip(reason="compares 100,000 documents: run with --differential")
        wanted = metafunc.config.getoption("--differential")
        seeds = range(1000, 1000 + LONG_SEEDS) if wanted else [pytest.param(1000, marks=skip)]
        metafunc.parametrize("long_seed", seeds)
    elif "seed" in metafunc.fixturenames:
        long = [pytest.param(seed, marks=pytest.mark.long) for seed in range(QUICK_SEEDS, SEEDS)]
        metafunc.parametrize("seed", [*range(QUICK_SEEDS), *long])


async def compare(bench: Bench, seed: int, each: int) -> tuple[int, list[str]]:
    """How many documents of a seed ran, and all that was answered differently."""
    ran = 0
    found: list[str] = []
    worlds = [World(seed, failure_rate=failure_rate) for failure_rate in (0.0, 0.03, 0.15)]
    drawn = shapes(SDL.read_text(encoding="utf-8"), seed, SHAPES)
    for number in range(each * SHAPES):
        rng = random.Random(f"{seed}/{number}")
        example = DocumentGenerator(bench.schema, rng).generate(rng.sample(drawn, 3))
        operation = bench.example(example.text, example.variables, thoroughly=number % 10 == 0)
        if operation is None:
            continue
        world, principal = rng.choice(worlds), rng.choice((SEES_ALL, SEES_ALL, BUYER, OPERATIONS, AGENT))
        ran += 1
        if differences := await bench.compared(operation, world, principal):
            place = f"document {number} of seed {seed}, failure rate {world.failure_rate}, {principal.subject}"
            found.append("\n".join([place, *differences, example.text, repr(example.variables)]))
    gc.collect()
    return ran, found


async def test_plan_and_reference_agree(
    bench: Bench, seed: int, record_property: Callable[[str, object], None]
) -> None:
    await check(bench, seed, EACH, record_property)


def test_every_argument_of_a_query_can_be_drawn(bench: Bench) -> None:
    rng, drawn = random.Random(0), 0
    for type_ in bench.schema.type_map.values():
        if (
            isinstance(type_, GraphQLObjectType)
            and type_.name not in {"Mutation", "Subscription"}
            and type_.name[:2] != "__"
        ):
            for each in (argument for one in type_.fields.values() for argument in one.args.items()):
                draw(rng, each[0], each[1].type)
                drawn += 1
    assert drawn > 100


@pytest.mark.timeout(1200)
async def test_plan_and_reference_agree_at_length(
    bench: Bench, long_seed: int, record_property: Callable[[str, object], None]
) -> None:
    await check(bench, long_seed, LONG_EACH, record_property)


async def check(bench: Bench, seed: int, each: int, record_property: Callable[[str, object], None]) -> None:
    """Compare the documents of a seed."""
    ran, found = await compare(bench, seed, each)
    record_property("documents", ran)
    record_property("differing", len(found))
    assert not found, found[0]
    assert ran >= each * SHAPES * 0.7
