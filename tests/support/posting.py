"""A posting worker over a writer, and an intake once the worker is done with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from app.intake.records import IntakeState, OrderIntake
from app.intake.store import IntakeStore
from app.intake.worker import PostingWorker
from app.settings import IntakeSettings
from app.sources.order_writer import OrderWriter
from app.sources.values import utc_now

SETTINGS = IntakeSettings(lease=20.0, attempts=5, concurrency=8)


async def unchecked(one: OrderIntake) -> OrderIntake:
    return one


@asynccontextmanager
async def working(
    store: IntakeStore,
    target: OrderWriter,
    settings: IntakeSettings = SETTINGS,
    recheck: Any = unchecked,
    clock: Callable[[], datetime] = utc_now,
) -> AsyncIterator[None]:
    worker = PostingWorker("erp", target, store, recheck, settings, clock)
    task = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await worker.close()


async def settled(store: IntakeStore, *intakes: OrderIntake) -> list[OrderIntake]:
    """The intakes once none of them is queued."""
    ids = [one.id for one in intakes]
    while True:
        found = await store.by_id(ids)
        if all(found[id].state not in (IntakeState.POSTING, IntakeState.RECEIVED) for id in ids):
            return [found[id] for id in ids]
        await asyncio.sleep(0.005)


async def run(
    store: IntakeStore, target: OrderWriter, one: OrderIntake, settings: IntakeSettings = SETTINGS
) -> OrderIntake:
    """The intake once the worker is done with it."""
    await store.submit(one, guard_po=0)
    async with working(store, target, settings):
        (done,) = await settled(store, one)
    return done
