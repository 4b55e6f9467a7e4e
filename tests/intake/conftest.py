"""A gateway that takes orders, over the sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.intake.store import IntakeStore
from app.sandbox import Sandbox
from app.settings import IntakeSettings, PostgresSettings, Settings
from tests.support.gateway import Graph, gateway
from tests.support.intakes import IntakeBench


@pytest.fixture
async def ordering(dated_sandbox: Sandbox) -> AsyncIterator[Graph]:
    """A gateway over the sandbox; what was ordered there, and injected faults, are removed at the end."""
    async with gateway(dated_sandbox) as running:
        await running.backends["erp"].delete("/sandbox/submitted-orders")
        try:
            yield running
        finally:
            await running.repair()
            await running.backends["erp"].delete("/sandbox/submitted-orders")


@pytest.fixture(params=["sqlite", "postgres"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    if request.param == "sqlite":
        return Settings(data_dir=tmp_path / "data")
    url = SecretStr(request.getfixturevalue("postgres_url"))
    return Settings(intake=IntakeSettings(store="postgres"), postgres=PostgresSettings(url=url, connections=4))


@pytest.fixture
async def bench(settings: Settings) -> AsyncIterator[IntakeBench]:
    made = IntakeBench(settings)
    yield made
    for store in made.opened:
        await store.close()


@pytest.fixture
def store(bench: IntakeBench) -> IntakeStore:
    return bench.store()
