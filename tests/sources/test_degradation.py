"""What each of the consumers' documents answers when a source is gone, wrong or slow, held to docs/degradation.md.

What it fails with are the rows as they have to be.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.sandbox import Sandbox
from tests.support.consumers import VARIABLES
from tests.support.gateway import BUYER_ADMIN, CSR, SELLER, Graph, document, gateway

PAGE = Path(__file__).resolve().parents[2] / "docs" / "degradation.md"
SOURCES = ("erp", "commerce", "logistics")
STATES: dict[str, tuple[dict[str, object], str]] = {
    "gone": ({"errorRate": 1, "errorKind": "reset"}, "SOURCE_UNAVAILABLE"),
    "wrong": ({"errorRate": 1, "errorKind": "html"}, "SOURCE_MALFORMED"),
    "slow": ({"delayMs": 5000}, "SOURCE_TIMEOUT"),
}
CALLERS = {"promise": CSR, "customer_card": BUYER_ADMIN}


def where(path: list[Any]) -> str:
    """A path whose places in lists do not matter."""
    return ".".join(str(step) for step in path if not isinstance(step, int))


def degraded(value: Any, path: str = "") -> Iterator[str]:
    """The places at which the answer says itself that it is incomplete."""
    if isinstance(value, dict):
        if value.get("degraded"):
            yield path.removesuffix(".freshness")
        for key, inner in value.items():
            yield from degraded(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for inner in value:
            yield from degraded(inner, path)


async def row(graph: Graph, name: str, source: str, code: str) -> str:
    """The document's row of the table."""
    answer = await graph.ask(document(name), VARIABLES[name], principal=CALLERS.get(name, SELLER))
    lost = sorted({where(error["path"]) for error in answer.get("errors", ())})
    assert {error["extensions"]["code"] for error in answer.get("errors", ())} <= {code}
    assert {error["extensions"]["source"] for error in answer.get("errors", ())} <= {source}
    less = sorted(set(degraded(answer["data"])))
    told = [", ".join(f"`{path}`" for path in paths) or "–" for paths in (lost, less)]
    return f"| `{name}` | {source} | {told[0]} | {told[1]} |"


def rows_of_the_page() -> list[str]:
    return re.findall(
        r"^\| `\w+` \| (?:erp|commerce|logistics) \|.*\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )


@pytest.mark.parametrize("state", STATES)
async def test_rows_of_the_page_are_what_is_answered(dated_sandbox: Sandbox, state: str):
    knob, code = STATES[state]
    found = []
    for source in SOURCES:
        patience: dict[str, dict[str, object]] = {
            name: {"timeout": 0.4 if (name, state) == (source, "slow") else 5.0, "breaker": {"enabled": False}}
            for name in SOURCES
        }
        async with gateway(dated_sandbox, request_timeout=8.0, sources=patience) as graph:
            await graph.turn(source, **knob)
            await graph.turn(source, resource="batch", **knob)
            found += [await row(graph, name, source, code) for name in VARIABLES]
    assert sorted(found) == sorted(rows_of_the_page()), "\n".join(sorted(found))
