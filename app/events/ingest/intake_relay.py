"""Relays versions of intakes to the event log as hints, which it deduplicates: two databases do not commit together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from app.errors import StoreUnavailable
from app.events.log import ChangeEvent, EventLog
from app.intake.records import OrderIntake
from app.intake.store import IntakeStore
from app.sources.changes import ChangeHint, ChangeKind
from app.telemetry import log

INTAKE_SOURCE = "$intake"
"""The source of hints about intakes; no configured source has such a name."""

IDLE = 1.0
"""Seconds until versions that other processes wrote are relayed, if those do not."""

LIMIT = 500


class IntakeRelay:
    """Runs in each gateway worker. A version that two of them relay is one hint."""

    def __init__(self, store: IntakeStore, events: EventLog, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._events = events
        self._clock = clock

    async def run(self) -> None:
        """Relay until cancelled."""
        while True:
            try:
                if not await self._relay():
                    await self._store.wait_changes(IDLE)
            except StoreUnavailable as error:
                log.warning("intakes_not_relayed", detail=error.detail)
                await asyncio.sleep(IDLE)

    async def _relay(self) -> bool:
        intakes = await self._store.unpublished(LIMIT)
        if intakes:
            await self._events.enqueue([self._hint(one) for one in intakes])
            await self._store.mark_published({one.id: one.version for one in intakes})
        return len(intakes) == LIMIT

    def _hint(self, intake: OrderIntake) -> ChangeHint:
        return ChangeHint(
            source=INTAKE_SOURCE,
            id=f"intake:{intake.id}:{intake.version}",
            kind=ChangeKind.INTAKE,
            key=intake.id,
            received_at=self._clock(),
        )


def of_intake(intake: OrderIntake, now: datetime) -> ChangeEvent:
    """An intake's event; its version is the digest."""
    return ChangeEvent(
        kind=ChangeKind.INTAKE,
        source=INTAKE_SOURCE,
        key=intake.id,
        node_id=intake.node_id,
        recorded_at=now,
        customer=intake.customer,
        orders=(intake.order_number,) if intake.order_number else (),
        status=intake.state.value,
        digest=str(intake.version),
        tenant=intake.tenant,
    )
