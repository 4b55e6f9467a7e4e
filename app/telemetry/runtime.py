"""How the process itself is: how late its event loop is, and what it holds open."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from app.telemetry.registry import metrics

INTERVAL = 0.25
"""Seconds between two looks at the event loop."""


async def observe_loop_lag(every: float = INTERVAL) -> None:
    """Measure how much later than asked the event loop comes back, for ever."""
    lag, loop = metrics().loop_lag, asyncio.get_running_loop()
    while True:
        due = loop.time() + every
        await asyncio.sleep(every)
        lag.observe(max(loop.time() - due, 0.0))


@contextmanager
def open_stream(transport: str) -> Iterator[None]:
    """Count a socket or a stream of events as open as long as this lasts."""
    gauge = metrics().open_streams.labels(transport)
    gauge.inc()
    try:
        yield
    finally:
        gauge.dec()
