"""Which worker delivers to which endpoint: whoever leads it, for as long as that is so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from app.errors import StoreUnavailable
from app.events.log import EventLog
from app.gateway.documents.stores.document_store import StoreChanged
from app.settings import EndpointSettings
from app.telemetry import log, report, watch_endpoint
from app.webhooks.outbound.endpoint_worker import Courier, Letters, Over, Posts
from app.webhooks.outbound.subscriptions import Endpoint, EndpointState, EndpointStore

LEASE = 15.0
"""Seconds for which a worker leads an endpoint without saying so again; after a crash another one takes over then."""

LOOK_EVERY = 1.0
"""Seconds between two looks for endpoints that were added or changed, or that nobody leads."""

TRIM_EVERY = 3600.0

STOP = 5.0
"""Seconds that attempts under way have when the worker ends."""


@dataclass(slots=True)
class _Led:
    courier: Courier
    task: asyncio.Task[None]
    until: float


class Couriers:
    """The couriers of one worker. `letters` makes what an endpoint is told by."""

    def __init__(
        self,
        events: EventLog,
        store: EndpointStore,
        letters: Callable[[Endpoint], Letters],
        poster: Posts,
        settings: EndpointSettings,
        *,
        worker: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._events, self._store, self._letters, self._poster = events, store, letters, poster
        self._settings, self._worker, self._clock = settings, worker, clock
        self._slots = asyncio.Semaphore(settings.most_in_flight)
        self._led: dict[str, _Led] = {}
        self._endpoints: dict[str, Endpoint] = {}
        self._generation = -1
        self._trimmed = float("-inf")

    async def run(self) -> None:
        """Deliver until cancelled; then end what is under way, and let others lead."""
        try:
            while True:
                try:
                    await self._look()
                except StoreUnavailable as error:
                    log.warning("endpoints cannot be read", detail=error.detail)
                self._let_go()
                await asyncio.sleep(LOOK_EVERY)
        finally:
            await self._end()

    async def _look(self) -> None:
        self._reap()
        generation = await self._store.generation()
        if generation != self._generation:
            found = {one.id: one for one in await self._store.all()}
            self._generation, self._endpoints = generation, found
            for led in self._led.values():  # All are begun anew: deliveries may have been replayed.
                led.courier.stop()
        now = asyncio.get_running_loop().time()
        for endpoint in self._endpoints.values():
            if endpoint.state is EndpointState.ACTIVE:
                await self._lead(endpoint, now)
        if now - self._trimmed >= TRIM_EVERY:
            self._trimmed = now
            await self._store.trim(self._clock() - timedelta(days=self._settings.keep_dead_days))

    async def _lead(self, endpoint: Endpoint, now: float) -> None:
        led = self._led.get(endpoint.id)
        if led is not None and led.until - now > LEASE / 2:
            return
        leads = await self._events.lead(endpoint.place, self._worker, LEASE)
        if led is not None and leads:
            led.until = now + LEASE
        elif led is not None:
            led.courier.stop()
        elif leads:
            courier = Courier(
                endpoint, self._letters(endpoint), self._events, self._store, self._poster, self._settings,
                slots=self._slots, clock=self._clock,
            )  # fmt: skip
            self._led[endpoint.id] = _Led(courier, asyncio.create_task(self._run(courier)), now + LEASE)
            watch_endpoint(endpoint.id, lambda: float(courier.waiting))

    async def _run(self, courier: Courier) -> None:
        try:
            await courier.run()
        except Over as over:
            await self._disable(courier.endpoint, str(over))
        except Exception as error:  # noqa: BLE001 - one endpoint's trouble is not the others'
            report(error)

    async def _disable(self, endpoint: Endpoint, reason: str) -> None:
        log.warning("endpoint disabled", endpoint=endpoint.id, client=endpoint.client, reason=reason)
        while True:
            try:
                since = await self._store.generation()
                known = next((one for one in await self._store.all() if one.id == endpoint.id), None)
                if known is not None and known.state is EndpointState.ACTIVE:
                    await self._store.put(replace(known, state=EndpointState.DISABLED, reason=reason), since=since)
            except (StoreChanged, StoreUnavailable):
                await asyncio.sleep(LOOK_EVERY)
            else:
                return

    def _reap(self) -> None:
        """Forget couriers that have ended: another is begun, if there is still to be one."""
        for id_ in [id_ for id_, led in self._led.items() if led.task.done()]:
            del self._led[id_]
            watch_endpoint(id_, None)

    def _let_go(self) -> None:
        """Stop couriers whose endpoints are another worker's by now."""
        now = asyncio.get_running_loop().time()
        for led in self._led.values():
            if led.until <= now:
                led.courier.stop()

    async def _end(self) -> None:
        led, self._led = self._led, {}
        for one in led.values():
            one.courier.stop()
        if led:
            _, late = await asyncio.wait([one.task for one in led.values()], timeout=STOP)
            for task in late:  # What they were about to note comes again.
                task.cancel()
        for one in led.values():
            watch_endpoint(one.courier.endpoint.id, None)
            with suppress(StoreUnavailable):  # Nobody needs to wait for the lease to end.
                await self._events.lead(one.courier.endpoint.place, self._worker, 0.0)
