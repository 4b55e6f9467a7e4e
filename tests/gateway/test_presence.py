"""A client that leaves ends what runs for it, and nothing else does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from app.gateway.disconnect import ClientDisconnected, DisconnectWatcher


class Connection:
    """Sends a disconnect once it is left."""

    def __init__(self) -> None:
        self.left = asyncio.Event()
        self.asked = 0

    async def receive(self) -> Any:
        self.asked += 1
        await self.left.wait()
        return {"type": "http.disconnect"}


async def test_client_that_leaves_cancels_what_runs():
    connection = Connection()
    connection.left.set()
    with pytest.raises(ClientDisconnected), DisconnectWatcher(connection.receive, after=0):
        await asyncio.Event().wait()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_quick_answer_needs_no_watch():
    connection = Connection()
    with DisconnectWatcher(connection.receive, after=60):
        await asyncio.sleep(0)
    assert connection.asked == 0


async def test_watch_ends_with_the_answer():
    connection = Connection()
    with DisconnectWatcher(connection.receive, after=0):
        while not connection.asked:
            await asyncio.sleep(0)
    connection.left.set()
    for _ in range(5):
        await asyncio.sleep(0)  # A cancellation that came late would be raised here.


async def test_cancellation_from_outside_stays_one():
    connection = Connection()

    async def answer() -> None:
        with DisconnectWatcher(connection.receive, after=0):
            await asyncio.Event().wait()

    running = asyncio.ensure_future(answer())
    while not connection.asked:
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
