"""Reconciliation: compares intakes with the orders of their targets by key, and counts keys with more than one order.

Where a target has no unique key, an order that it creates later than `max_seconds` after a request may be doubled. This
finds it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime

from app.auth.principal import SYSTEM, Principal
from app.errors import SourceError, StoreUnavailable
from app.intake.reconciliation import Discrepancy, Reconciliation, ReconciliationResult, ReconciliationStatus
from app.intake.records import IntakeFilter, IntakeState, OrderIntake
from app.intake.store import IntakeStore
from app.sources.order_writer import OrderWriter, WrittenOrder, lookup_orders
from app.sources.source import Sources
from app.telemetry import log

PAGE = 500
CHUNK = 100
"""Intakes read of the store, and keys of one look-up."""

DAY = 86_400.0
LEASE = 900.0
"""Seconds after which another reconciliation of the tenant may begin, though the result of the last is missing."""


async def reconcile(
    store: IntakeStore, writers: Mapping[str, OrderWriter], since: float, tenant: str | None = None
) -> Reconciliation:
    """Compare the intakes received since a time, in seconds since 1970, that may have an order: all, or those of a
    tenant. Raises SourceError, StoreUnavailable."""
    compared: Counter[str] = Counter()
    found: list[Discrepancy] = []
    async for intakes in pages_since(store, since, tenant):
        for target, writer in writers.items():
            own = [one for one in intakes if one.target == target]
            for start in range(0, len(own), CHUNK):
                chunk = own[start : start + CHUNK]
                oldest = min(one.received for one in chunk)
                orders = await lookup_orders(writer, SYSTEM, [one.id for one in chunk], oldest)
                compared.update(one.tenant for one in chunk)
                found += _discrepancies(chunk, orders)
    for one in found:
        log.error(
            "intake_discrepancy", kind=one.kind, intake=one.intake.id, source=one.intake.target, orders=one.orders
        )
    return Reconciliation(compared_by_tenant=compared, discrepancies=tuple(found))


async def pages_since(
    store: IntakeStore, since: float, tenant: str | None = None
) -> AsyncIterator[Sequence[OrderIntake]]:
    """Intakes received since a time that may have an order: all, or those of a tenant."""
    before: int | None = None
    while True:
        page = await store.page(IntakeFilter(tenant=tenant), PAGE, before)
        recent = [one for _, one in page.rows if one.received >= since]
        yield [one for one in recent if one.state is IntakeState.POSTED or one.may_have_been_sent]
        if not page.has_next or len(recent) < len(page.rows):
            return
        before = page.rows[-1][0]


def _discrepancies(
    intakes: Sequence[OrderIntake], orders: Mapping[str, tuple[WrittenOrder, ...]]
) -> Sequence[Discrepancy]:
    found: list[Discrepancy] = []
    for intake in intakes:
        numbers = tuple(one.number for one in orders.get(intake.id, ()))
        posted = intake.state is IntakeState.POSTED
        if len(numbers) > 1:
            found.append(Discrepancy(kind="doubled", intake=intake, orders=numbers))
        elif posted and not numbers:
            found.append(Discrepancy(kind="missing", intake=intake))
        elif numbers and not posted:
            found.append(Discrepancy(kind="unrecorded", intake=intake, orders=numbers))
    return found


class ReconciliationRunner:
    """Reconciles tenants in the background, one at a time each, and stores the results."""

    def __init__(self, store: IntakeStore, sources: Sources, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._sources = sources
        self._clock = clock
        self._running: set[asyncio.Task[None]] = set()

    async def start(self, principal: Principal, days: float) -> bool:
        """Begin to reconcile the orders of the caller's tenant that were received within `days` days; False while a
        reconciliation runs, here or on another machine. Raises StoreUnavailable."""
        if not await self._store.begin_reconciliation(principal.tenant, LEASE):
            return False
        log.info("reconciliation_started", tenant=principal.tenant, subject=principal.subject, days=days)
        task = asyncio.create_task(self._run(principal.tenant, self._writers(principal), self._now() - days * DAY))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return True

    async def status(self, principal: Principal) -> ReconciliationStatus:
        """The last result of the caller's tenant. Raises StoreUnavailable."""
        return await self._store.reconciliation(principal.tenant)

    async def close(self) -> None:
        """Cancel what runs; its lease ends it for the others."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _writers(self, principal: Principal) -> Mapping[str, OrderWriter]:
        targets, connected = self._sources.order_targets, self._sources.connected
        if targets is None:
            return {}
        return {name: one for name, one in targets.writers.items() if principal.belongs_to(connected[name].tenant)}

    async def _run(self, tenant: str, writers: Mapping[str, OrderWriter], since: float) -> None:
        try:
            try:
                found = await reconcile(self._store, writers, since, tenant)
                result = found.result_of(tenant, since, self._now())
            except SourceError as error:
                log.warning("reconciliation_failed", tenant=tenant, source=error.source, code=error.code)
                result = ReconciliationResult(since=since, finished=self._now(), failure=error.code)
            await self._store.finish_reconciliation(tenant, result)
        except StoreUnavailable as error:
            log.warning("reconciliation_failed", tenant=tenant, code=error.code, detail=error.detail)

    def _now(self) -> float:
        return self._clock().timestamp()
