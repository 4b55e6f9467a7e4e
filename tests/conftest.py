"""Options and fixtures of all tests."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("tradegraph")
    group.addoption("--live", action="store_true", help="talk to the three real systems instead of their recordings")
    group.addoption("--record", action="store_true", help="record the real systems anew into tests/upstreams/recorded")
    group.addoption("--differential", action="store_true", help="reserved: compare plans with graphql-core at length")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--live") or config.getoption("--record"):
        return
    skip = pytest.mark.skip(reason="needs the three real systems: run with --live")
    for item in items:
        if "live" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def live(request: pytest.FixtureRequest) -> bool:
    """Whether tests talk to the real systems."""
    return bool(request.config.getoption("--live"))


@pytest.fixture(scope="session")
def recording(request: pytest.FixtureRequest) -> bool:
    """Whether what the real systems answer is recorded."""
    return bool(request.config.getoption("--record"))
