"""Plans within bounds: which are kept and which go, and documents that ask for more than can be planned."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator

import pytest

from app.errors import DocumentTooLarge
from app.execution.document.limits import DocumentLimits
from app.execution.engine import Request, RequestRefused
from app.execution.plan.engine import PlanEngine
from app.schema import build_schema
from tests.execution.test_plans import SMALL, Calls, Row, run

SCHEMA = build_schema()._schema
MOST = 10**15
WIDE = DocumentLimits(
    tokens=10_000,
    operations=MOST,
    depth=MOST,
    aliases=MOST,
    root_fields=MOST,
    fields=MOST,
    directives=MOST,
    directives_per_place=MOST,
)


# What is kept


async def test_each_value_of_a_switch_has_a_plan_of_its_own() -> None:
    engine = PlanEngine(SMALL)
    text = "query ($a: Boolean!, $b: Boolean = false) { rows { name @skip(if: $a) loud @include(if: $b) } }"
    for a in (True, False):
        for b in (True, False):
            for _ in range(2):
                result = await run(text, Calls([Row("x")]), engine, a=a, b=b)
                assert result.data == {"rows": [({} if a else {"name": "x"}) | ({"loud": "X"} if b else {})]}
    assert len(engine._plans) == 4


async def test_plan_used_longest_ago_goes_first() -> None:
    engine = PlanEngine(SMALL, max_fields=100)
    texts = [f"{{ rows {{ a{number}: name }} }}" for number in range(40)]  # five fields each: a place counts as well
    first = engine.plan_for(engine.prepare(Request(texts[0])))
    for text in texts[1:]:
        engine.plan_for(engine.prepare(Request(text)))
        assert engine.plan_for(engine.prepare(Request(texts[0]))) is first
    assert first is not None
    assert len(engine._plans) == 100 // first.tree.size


async def test_large_plan_is_not_cached() -> None:
    engine = PlanEngine(SMALL, max_fields=200)
    engine.plan_for(engine.prepare(Request("{ rows { name } }")))
    large = " ".join(f"a{number}: name" for number in range(20))
    engine.plan_for(engine.prepare(Request(f"{{ rows {{ {large} }} }}")))
    assert len(engine._plans) == 1


async def test_fragment_of_another_operation_does_not_matter() -> None:
    engine = PlanEngine(SMALL)
    text = """query A { rows { name } } query B($s: Boolean!) { ...F __schema { queryType { name } } }
              fragment F on Query { rows { loud @skip(if: $s) } }"""
    operation = engine.prepare(Request(text, "A"))
    assert engine.plan_for(operation) is not None
    assert (await engine.execute(operation, Calls([Row("a")]))).data == {"rows": [{"name": "a"}]}
    assert engine.plan_for(engine.prepare(Request(text, "B", {"s": True}))) is None


@pytest.fixture
def no_collection() -> Iterator[None]:
    """Keeps the collector, which walks through all that earlier tests left behind, out of a measurement."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


# What is too large


def doubling(depth: int) -> str:
    """1 kB that asks for 2^depth places."""
    links = "".join(
        f"fragment F{n} on Customer {{ a: parent {{ ...F{n + 1} }} b: parent {{ ...F{n + 1} }} }} "
        for n in range(depth)
    )
    return f'{{ customer(by: {{ number: "1" }}) {{ ...F0 }} }} {links} fragment F{depth} on Customer {{ name }}'


def comparing(depth: int) -> str:
    """Selections of one key within each other, each of which must be compared with all others."""
    inner = "{ name }"
    for _ in range(depth):
        inner = f"{{ parent {inner} parent {inner} }}"
    return f'{{ customer(by: {{ number: "1" }}) {inner} }}'


@pytest.mark.parametrize(
    "text",
    [
        doubling(11),
        doubling(30),
        comparing(9),
        "{" + "me { subject } " * 1500 + "}",
        "{ me {" + "subject " * 5000 + "} }",
        "{ me {" + "".join(f"...F{n} " for n in range(500)) + "} }"
        + "".join(f"fragment F{n} on Viewer {{ a{n}: subject }} " for n in range(500)),
        '{ customer(by: { number: "1" })' + "{ parent" * 120 + "{ name }" + "}" * 120 + "}",
        "".join(f"query Q{n}($a: Int!) {{ ...F }} " for n in range(200))
        + "fragment F on Query {" + "".join(f"a{n}: items(first: $a) {{ totalCount }} " for n in range(200)) + "}",
    ],
    ids=["places", "many places", "pairs", "wide pairs", "leaves", "fragments", "depth", "operations"],
)  # fmt: skip
def test_bomb_is_refused_quickly(text: str, no_collection: None) -> None:
    """Where the limits of `app/execution/document/limits.py` are as wide as can be, what follows them still holds."""
    engine = PlanEngine(SCHEMA, limits=WIDE)
    started = time.process_time()
    with pytest.raises((RequestRefused, DocumentTooLarge)) as caught:
        engine.plan_for(engine.prepare(Request(text)))
    assert time.process_time() - started < 0.5
    if isinstance(caught.value, RequestRefused):
        assert [(error.extensions or {})["code"] for error in caught.value.errors] == ["DOCUMENT_TOO_LARGE"]


def test_fragments_that_repeat_themselves_count_once() -> None:
    chain = " ".join(f"fragment F{n} on Customer {{ parent {{ ...F{n + 1} ...F{n + 1} }} }}" for n in range(40))
    text = f'{{ customer(by: {{ number: "1" }}) {{ ...F0 }} }} {chain} fragment F40 on Customer {{ name }}'
    engine = PlanEngine(SCHEMA, limits=WIDE)
    plan = engine.plan_for(engine.prepare(Request(text)))
    assert plan is not None
    assert plan.tree.size < 200
