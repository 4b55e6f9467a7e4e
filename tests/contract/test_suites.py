"""The contract suites themselves: a source that answers nothing passes none of their tests."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.sources.port_registry import PORTS
from app.sources.rest.capabilities import list_capabilities
from app.sources.search import SearchPage
from app.sources.source import Source
from app.sources.values import Page
from tests.contract.case import Case
from tests.contract.conftest import all_cases

NOTHING_IS_RIGHT = {"test_feed_starts_now_without_changes", "test_wrong_answers_are_our_errors"}
"""Tests of reads that find nothing, and of answers that other servers give."""


class EmptyPort:
    """A port whose every read succeeds and finds nothing."""

    def __getattr__(self, name: str) -> Any:
        answers = {
            "search": Page(),
            "search_invoices": Page(),
            "search_returns": Page(),
            "items": SearchPage(),
            "customers": SearchPage(),
            "all": [],
            "since": SimpleNamespace(changes=(), cursor="c", more=False),
        }

        async def read(*_: Any, **__: Any) -> Any:
            return answers.get(name, {})

        return read


class EmptySource:
    """A source that serves all ports and holds no row."""

    name = "empty"
    limitations: Mapping[str, Any] = {}
    lists = list_capabilities("empty", None, frozenset(PORTS))

    def __getattr__(self, _: str) -> EmptyPort:
        return EmptyPort()


def suites() -> list[Any]:
    """Each test of each port's suite with each case of the `rest` adapter that runs it, which has all facts."""
    cases = [case for case in all_cases() if case.name.startswith("rest-")]
    found = []
    for file in sorted(Path(__file__).parent.glob("test_*.py")):
        module = import_module(f"tests.contract.{file.stem}")
        for name, test in vars(module).items():
            if (
                name.startswith("test_")
                and "source" in inspect.signature(test).parameters
                and name not in NOTHING_IS_RIGHT
            ):
                port = module.PORT
                found += [
                    pytest.param(test, case, id=f"{port}-{name}-{case}")
                    for case in cases
                    if getattr(case, port) is not None
                ]
    return found


def arguments(check: Any, of: Case) -> dict[str, Any]:
    """Those of a test: the case, the empty source, and the first values of its parameters."""
    given: dict[str, Any] = {"case": of, "source": cast("Source", EmptySource())}
    for mark in getattr(check, "pytestmark", ()):
        if mark.name == "parametrize":
            names, first = mark.args[0], next(iter(mark.args[1]))
            given |= {names: first} if isinstance(names, str) else dict(zip(names, first, strict=True))
    return {name: given[name] for name in inspect.signature(check).parameters}


@pytest.mark.parametrize(("check", "of"), suites())
async def test_empty_answers_fail(check: Any, of: Case):
    with pytest.raises((AssertionError, LookupError, ValueError, pytest.fail.Exception)):
        await check(**arguments(check, of))
