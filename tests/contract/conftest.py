"""Runs each suite over every case that has facts for its port."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from importlib import import_module

import pytest

from app.sources.source import Source
from tests.contract.case import Case, Environment, Urls

ADAPTERS = (
    "rest",
    "tryton",
    "vendure",
    "karrio",
    "shopify",
    "files",
    "business_central",
    "odoo",
    "sap_s4hana",
    "medusa",
    "woocommerce",
)


def all_cases() -> list[Case]:
    """The cases of all adapters."""
    return [case for adapter in ADAPTERS for case in import_module(f"tests.contract.{adapter}_case").CASES]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" in metafunc.fixturenames:
        port = metafunc.module.PORT
        metafunc.parametrize("case", [case for case in all_cases() if getattr(case, port) is not None], ids=repr)


@pytest.fixture
def environment(live: bool, recording: bool, request: pytest.FixtureRequest) -> Environment:
    """How cases are opened in this run."""
    sandbox: Callable[[], Urls] = lambda: request.getfixturevalue("sandbox")  # noqa: E731 -- started only if a case asks
    return Environment(live=live, sandbox=sandbox, recording=recording)


@pytest.fixture
async def source(case: Case, environment: Environment) -> AsyncIterator[Source]:
    """The case's source, connected."""
    async with case.open(environment) as opened:
        yield opened
