"""Which gateway worker delivers to which endpoint: the one that holds its lease."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from app.errors import StoreUnavailable
from app.events.fanout import EventFanout
from app.events.log import EventLog
from app.gateway.documents.stores.document_store import StoreChanged
from app.settings import EndpointSettings
from app.telemetry import log, report, watch_endpoint
from app.webhooks.outbound.endpoint_worker import DisableEndpoint, EndpointWorker, Renderer, WebhookSender
from app.webhooks.outbound.endpoints import Endpoint, EndpointState, EndpointStore

LEASE = 15.0
"""Seconds for which a worker leads an endpoint without saying so again; after a crash another one takes over then."""

REFRESH_INTERVAL = 1.0
"""Seconds between two looks for endpoints that were added or changed, or that nobody leads."""

TRIM_INTERVAL = 3600.0

STOP = 5.0
"""Seconds that attempts under way have when the worker ends."""


@dataclass(slots=True)
class _Lease:
    worker: EndpointWorker
    task: asyncio.Task[None]
    until: float


class DeliveryDispatcher:
    """Leases endpoints to this worker and runs an EndpointWorker for each, over the worker's one reader of the log."""

    def __init__(
        self,
        events: EventLog,
        fanout: EventFanout,
        store: EndpointStore,
        make_renderer: Callable[[Endpoint], Renderer],
        sender: WebhookSender,
        settings: EndpointSettings,
        *,
        worker: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._events, self._fanout, self._store = events, fanout, store
        self._make_renderer, self._sender = make_renderer, sender
        self._settings, self._worker, self._clock = settings, worker, clock
        self._slots = asyncio.Semaphore(settings.most_in_flight)
        self._leases: dict[str, _Lease] = {}
        self._endpoints: dict[str, Endpoint] = {}
        self._generation = -1
        self._trimmed = float("-inf")

    async def run(self) -> None:
        """Deliver until cancelled; then finish what is running and release the leases."""
        try:
            while True:
                try:
                    await self._refresh()
                except StoreUnavailable as error:
                    log.warning("endpoints_unavailable", detail=error.detail)
                self._stop_expired()
                await asyncio.sleep(REFRESH_INTERVAL)
        finally:
            await self._end()

    async def _refresh(self) -> None:
        self._remove_ended()
        generation = await self._store.generation()
        if generation != self._generation:
            found = {one.id: one for one in await self._store.all()}
            self._generation, self._endpoints = generation, found
            for lease in self._leases.values():  # All are begun reset: deliveries may have been replayed.
                lease.worker.stop()
        now = asyncio.get_running_loop().time()
        for endpoint in self._endpoints.values():
            if endpoint.state is EndpointState.ACTIVE:
                await self._acquire_lease(endpoint, now)
        if now - self._trimmed >= TRIM_INTERVAL:
            self._trimmed = now
            await self._store.trim(self._clock() - timedelta(days=self._settings.keep_dead_days))

    async def _acquire_lease(self, endpoint: Endpoint, now: float) -> None:
        lease = self._leases.get(endpoint.id)
        if lease is not None and lease.until - now > LEASE / 2:
            return
        leads = await self._events.acquire_lease(endpoint.reader_name, self._worker, LEASE)
        if lease is not None and leads:
            lease.until = now + LEASE
        elif lease is not None:
            lease.worker.stop()
        elif leads:
            worker = EndpointWorker(
                endpoint, self._make_renderer(endpoint), self._events, self._fanout, self._store, self._sender,
                self._settings, slots=self._slots, clock=self._clock,
            )  # fmt: skip
            self._leases[endpoint.id] = _Lease(worker, asyncio.create_task(self._run(worker)), now + LEASE)
            watch_endpoint(endpoint.id, lambda: float(worker.waiting))

    async def _run(self, worker: EndpointWorker) -> None:
        try:
            await worker.run()
        except DisableEndpoint as over:
            await self._disable(worker.endpoint, str(over))
        except Exception as error:  # noqa: BLE001 - one endpoint's trouble is not the others'
            report(error)

    async def _disable(self, endpoint: Endpoint, reason: str) -> None:
        log.warning("endpoint_disabled", endpoint=endpoint.id, client=endpoint.client, reason=reason)
        while True:
            try:
                since = await self._store.generation()
                known = next((one for one in await self._store.all() if one.id == endpoint.id), None)
                if known is not None and known.state is EndpointState.ACTIVE:
                    await self._store.put(replace(known, state=EndpointState.DISABLED, reason=reason), since=since)
            except (StoreChanged, StoreUnavailable):
                await asyncio.sleep(REFRESH_INTERVAL)
            else:
                return

    def _remove_ended(self) -> None:
        """Remove workers that have ended; they are started again if their endpoint is still active."""
        for id_ in [id_ for id_, lease in self._leases.items() if lease.task.done()]:
            del self._leases[id_]
            watch_endpoint(id_, None)

    def _stop_expired(self) -> None:
        now = asyncio.get_running_loop().time()
        for lease in self._leases.values():
            if lease.until <= now:
                lease.worker.stop()

    async def _end(self) -> None:
        lease, self._leases = self._leases, {}
        for one in lease.values():
            one.worker.stop()
        if lease:
            _, late = await asyncio.wait([one.task for one in lease.values()], timeout=STOP)
            for task in late:  # What they were about to note comes again.
                task.cancel()
        for one in lease.values():
            watch_endpoint(one.worker.endpoint.id, None)
            with suppress(StoreUnavailable):  # Nobody needs to wait for the lease to end.
                await self._events.acquire_lease(one.worker.endpoint.reader_name, self._worker, 0.0)
