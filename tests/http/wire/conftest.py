"""What lies on the event loop is tested on both: asyncio's own, and uvloop's, on which the gateway runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop

from app import telemetry


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.SelectorEventLoop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(autouse=True)
def fresh_metrics() -> None:
    """A test that runs twice counts from zero each time."""
    telemetry.metrics.cache_clear()
