"""Options and fixtures of all tests."""

from __future__ import annotations

import gc
import hashlib
import io
import logging
import shutil
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import hypothesis
import pytest
import structlog
from redis.asyncio import Redis

from app import sandbox as sandbox_package
from app import telemetry
from app.sandbox import Sandbox, start_sandbox
from tests.gateway import TODAY, Graph, gateway
from tests.valkey import running_valkey

# The same examples each time, however long one of them takes.
hypothesis.settings.register_profile(
    "tests", deadline=None, derandomize=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("tests")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("tradegraph")
    group.addoption("--live", action="store_true", help="talk to the three real systems instead of their recordings")
    group.addoption("--record", action="store_true", help="record the real systems anew into tests/upstreams/recorded")
    group.addoption("--differential", action="store_true", help="compare plans with graphql-core at length: an hour")
    group.addoption("--events", action="store_true", help="account for 100,000 steps of shipments instead of 500")
    group.addoption("--security", action="store_true", help="run the attack tools of others instead of the tests")
    group.addoption("--security-seconds", default="300", help="how long schemathesis asks: 300")
    group.addoption("--graphql-cop", help="a checkout of graphql-cop, which is in no registry")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    security = bool(config.getoption("--security"))
    others = [item for item in items if ("security" in item.keywords) != security]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if ("security" in item.keywords) == security]
    if config.getoption("--live") or config.getoption("--record"):
        return
    skip = pytest.mark.skip(reason="needs the three real systems: run with --live")
    for item in items:
        if "live" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="module", autouse=True)
def light_heap() -> None:
    """Keeps the collector out of what earlier modules left behind: walking through it takes a second, and time limits
    in tests are shorter."""
    gc.freeze()


@pytest.fixture(scope="session")
def live(request: pytest.FixtureRequest) -> bool:
    """Whether tests talk to the real systems."""
    return bool(request.config.getoption("--live"))


@pytest.fixture(scope="session")
def recording(request: pytest.FixtureRequest) -> bool:
    """Whether what the real systems answer is recorded."""
    return bool(request.config.getoption("--record"))


@pytest.fixture(scope="session")
def sandbox(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """The embedded sandbox, one for the session. Its data is kept in pytest's cache for a day, or until the code that
    makes it changes; whoever turns a knob turns it back."""
    cache = getattr(request.config, "cache", None)
    kept = tmp_path_factory.getbasetemp() if cache is None else cache.mkdir("sandbox")
    folder = kept / f"{datetime.now(UTC).date().isoformat()}-{_code_of_the_sandbox()}"
    for old in kept.iterdir() if cache is not None else ():
        if old != folder:
            shutil.rmtree(old, ignore_errors=True)
    with start_sandbox(folder) as running:
        yield running


@pytest.fixture(scope="session")
def dated_sandbox(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox of its own in which it is always `TODAY`, so that tests can name dates. Its data is kept in pytest's
    cache until the code that makes it changes."""
    cache = getattr(request.config, "cache", None)
    kept = tmp_path_factory.getbasetemp() / "dated" if cache is None else cache.mkdir("dated-sandbox")
    folder = kept / _code_of_the_sandbox()
    for old in kept.iterdir() if kept.exists() else ():
        if old != folder:
            shutil.rmtree(old, ignore_errors=True)
    with start_sandbox(folder, today=TODAY) as running:
        yield running


def _code_of_the_sandbox() -> str:
    files = sorted(Path(sandbox_package.__path__[0]).glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real Valkey, one for the session."""
    with running_valkey(tmp_path_factory.mktemp("valkey")) as url:
        yield url


@pytest.fixture
async def redis_url(valkey: str) -> str:
    """The address of a Valkey that holds nothing."""
    async with Redis.from_url(valkey) as client:
        await client.flushall()
    return valkey


@pytest.fixture
async def graph(dated_sandbox: Sandbox) -> AsyncIterator[Graph]:
    """The gateway over the sandbox, made anew for the test."""
    async with gateway(dated_sandbox) as running:
        yield running


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    """What is logged, one JSON object a line."""
    stream = io.StringIO()
    handlers, level = logging.root.handlers[:], logging.root.level
    telemetry.configure_logs(stream=stream)
    yield stream
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    structlog.reset_defaults()
