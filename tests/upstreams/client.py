"""A client of the HTTP seam for tests, and what tests ask about it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app import telemetry
from app.http.client import HTTPClient
from app.settings import SourceSettings


@asynccontextmanager
async def connected(url: str, *, tls=None, sign_in=None, headers=None, **settings) -> AsyncIterator[HTTPClient]:
    """A client of the source "erp" at `url`."""
    given = SourceSettings.model_validate({"vendor": "x", "base_url": url, "timeout": 30} | settings)
    client = HTTPClient("erp", given, tls=tls, sign_in=sign_in, headers=headers)
    try:
        yield client
    finally:
        await client.aclose()


async def ended(client: HTTPClient) -> None:
    """Nothing is held by what was given up, once those who were woken have run."""
    await asyncio.sleep(0)
    assert (client.in_flight, client._attempts) == (0, set())


def count(call: str, outcome: str) -> float:
    """How many requests of "erp" were counted so."""
    return _sample("tradegraph_backend_calls_total", call, outcome=outcome)


def unsent(call: str, reason: str) -> float:
    """How many calls of "erp" were given up before a request was sent."""
    return _sample("tradegraph_backend_unsent_total", call, reason=reason)


def _sample(name: str, call: str, **labels: str) -> float:
    found = telemetry.metrics().registry.get_sample_value(name, {"source": "erp", "call": call} | labels)
    return found or 0.0
