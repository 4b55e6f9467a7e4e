"""Fixtures of all tests; `support/suite.py` has the options."""

from __future__ import annotations

import gc
import hashlib
import io
import logging
import shutil
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import hypothesis
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from app import sandbox as sandbox_package
from app import telemetry
from app.sandbox import Sandbox, start_sandbox
from app.settings import BudgetSettings
from tests.support.gateway import TODAY, Graph, gateway
from tests.support.locks import exclusively
from tests.support.postgres import Postgres
from tests.support.valkey import running_valkey

# The same examples each time, however long one of them takes.
hypothesis.settings.register_profile(
    "tests", deadline=None, derandomize=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("tests")


pytest_plugins = ["tests.support.suite"]


@pytest.fixture(autouse=True)
def generated_code_works(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a test in whose process generated code of a plan failed: the response alone would not show it."""

    def failures() -> float:
        counts = telemetry.series(telemetry.metrics().plan_fallbacks)
        return sum(count for labels, count in counts if labels.get("reason") in {"code", "generation"})

    before = failures()
    yield
    if failures() > before and request.node.get_closest_marker("plan_fallback") is None:
        pytest.fail("generated code of a plan failed; see the log event plan_serializer_failed")


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
    """The embedded sandbox, one for each worker. Its data is cached for a day, or until the code that makes it
    changes; whoever turns a knob turns it back."""
    kept = _cached(request, tmp_path_factory, "sandbox")
    with _sandbox(kept, f"{datetime.now(UTC).date().isoformat()}-{_code_of_the_sandbox()}", None) as running:
        yield running


@pytest.fixture(scope="session")
def dated_sandbox(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox of its own in which it is always `TODAY`, so that tests can name dates. Its data is cached until the
    code that makes it changes."""
    kept = _cached(request, tmp_path_factory, "dated-sandbox")
    with _sandbox(kept, _code_of_the_sandbox(), TODAY) as running:
        yield running


def _cached(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, name: str) -> Path:
    """A folder that outlives this run, where pytest has a cache."""
    cache = getattr(request.config, "cache", None)
    return tmp_path_factory.getbasetemp() / name if cache is None else cache.mkdir(name)


def _sandbox(kept: Path, name: str, today: date | None) -> Sandbox:
    """A sandbox over data that the first worker builds."""
    with exclusively(kept / "lock"):
        for old in kept.iterdir():
            if old.name not in {name, "lock"}:
                shutil.rmtree(old, ignore_errors=True)
        return start_sandbox(kept / name, today=today)


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


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL, one for each worker."""
    server = Postgres()
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
async def postgres_url(postgres: Postgres) -> AsyncIterator[str]:
    """The address of a database that holds nothing."""
    async with postgres.database() as url:
        yield url


@pytest.fixture
def graph(request: pytest.FixtureRequest) -> Graph:
    """The gateway over the sandbox: made anew for the test, or for its file where that is marked `shared_gateway`."""
    shared = request.node.get_closest_marker("shared_gateway")
    return request.getfixturevalue("shared_graph" if shared else "own_graph")


@pytest.fixture
async def own_graph(dated_sandbox: Sandbox) -> AsyncIterator[Graph]:
    """A gateway of the test's own, in a file that shares one."""
    async with gateway(dated_sandbox) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def module_graph(dated_sandbox: Sandbox) -> AsyncIterator[Graph]:
    """The gateway of a file. Budgets are measured only: its tests together would exceed them."""
    async with gateway(dated_sandbox, budgets=BudgetSettings(mode="measure")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def shared_graph(module_graph: Graph) -> Graph:
    """The gateway of the file, with counters at zero."""
    await module_graph.forget()
    return module_graph


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    """What is logged, one JSON object a line."""
    stream = io.StringIO()
    handlers, level = logging.root.handlers[:], logging.root.level
    telemetry.configure_logs(stream=stream)
    yield stream
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    telemetry.reset_logs()
