"""Metrics of the process: event loop lag and open streams."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from app.telemetry.registry import metrics

INTERVAL = 0.25
"""Seconds between two looks at the event loop."""


async def observe_loop_lag(every: float = INTERVAL) -> None:
    """Measure the lag of the event loop until cancelled."""
    lag, loop = metrics().loop_lag, asyncio.get_running_loop()
    while True:
        due = loop.time() + every
        await asyncio.sleep(every)
        lag.observe(max(loop.time() - due, 0.0))


@contextmanager
def open_stream(transport: str) -> Iterator[None]:
    """Count an open WebSocket or event stream for the duration of the context."""
    gauge = metrics().open_streams.labels(transport)
    gauge.inc()
    try:
        yield
    finally:
        gauge.dec()
