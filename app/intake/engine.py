"""The engine of one gateway worker: a posting worker for each source that takes orders, retention and queue metrics."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime

from app.auth.principal import SYSTEM
from app.errors import StoreUnavailable
from app.intake.checks import OrderChecker
from app.intake.records import OPEN_STATES, IntakeState, OrderIntake
from app.intake.store import IntakeStore
from app.intake.worker import PostingWorker
from app.settings import IntakeSettings
from app.sources.pipeline.order_targets import OrderTargets
from app.telemetry import log, metrics

MEASURE_INTERVAL = 5.0
TRIM_INTERVAL = 3600.0
"""Seconds between two measurements of the queue, and between two deletions of what is too old."""

DAY = 86_400.0


class PostingEngine:
    """Posts orders while `running` lasts; several gateways over one store share the work."""

    def __init__(
        self,
        store: IntakeStore,
        targets: OrderTargets,
        checker: OrderChecker,
        settings: IntakeSettings,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._settings = settings
        self._checker = checker
        self._clock = clock
        self._targets = tuple(targets.writers)
        self._workers = [
            PostingWorker(name, writer, store, self._recheck, settings, clock, state)
            for name, writer in targets.writers.items()
            for state in (IntakeState.POSTING, IntakeState.RECEIVED)
        ]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Post for as long as this lasts; requests under way are waited for at its end."""
        tasks = [asyncio.create_task(worker.run()) for worker in self._workers]
        tasks += [asyncio.create_task(self._measure()), asyncio.create_task(self._trim())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(*(worker.close() for worker in self._workers))

    async def _recheck(self, intake: OrderIntake) -> OrderIntake:
        """The submitter's rows were checked at submission; what is left is the order itself."""
        return await self._checker.check(replace(SYSTEM, tenant=intake.tenant), intake)

    async def _measure(self) -> None:
        while True:
            try:
                found = {(one.target, one.state): one for one in await self._store.depths()}
                now = self._clock().timestamp()
                for key in {*found, *((target, state) for target in self._targets for state in OPEN_STATES)}:
                    depth = found.get(key)
                    metrics().intake.queue.labels(key[0], key[1].value).set(depth.count if depth else 0)
                    metrics().intake.oldest.labels(key[0], key[1].value).set(now - depth.oldest if depth else 0)
            except StoreUnavailable as error:
                log.warning("intake_queue_unavailable", detail=error.detail)
            await asyncio.sleep(MEASURE_INTERVAL)

    async def _trim(self) -> None:
        while True:
            try:
                deleted = await self._store.trim(self._settings.keep_days * DAY)
                if deleted:
                    log.info("intakes_trimmed", intakes=deleted)
            except StoreUnavailable as error:
                log.warning("intake_queue_unavailable", detail=error.detail)
            await asyncio.sleep(TRIM_INTERVAL)
