"""Delivers to one endpoint: reads the log from the endpoint's offset, sends what matches, retries what failed.

The offset moves over what was delivered, given up, or stored as pending, so that a process that is killed leaves at
most some deliveries that were made and not recorded: they are sent again, under the same id.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Protocol

from msgspec.structs import replace

from app.errors import StoreUnavailable
from app.events.fanout import EventFanout
from app.events.filters import FanoutEvent, FanoutGap, FanoutItem
from app.events.log import ChangeEvent, EventLog
from app.settings import EndpointSettings
from app.telemetry import delivery_attempted, log
from app.webhooks.outbound.checkpoint import SAVE_EVERY, Checkpoint
from app.webhooks.outbound.endpoints import Delivery, DeliveryGap, Endpoint, EndpointStore
from app.webhooks.outbound.partitions import Offset, Partition, PartitionedQueue, PendingDelivery
from app.webhooks.outbound.sender import SendOutcome, WebhookSender
from app.webhooks.outbound.signing import message_id, signed

DOWN_AFTER = 3
"""Failures in a row after which an endpoint is taken to be down: one attempt at a time asks whether it is back."""

WINDOW = 256
"""Deliveries read from the log that are neither taken nor stored yet."""

MOST_WAITING = 10_000
"""Deliveries that wait for an endpoint; then reading stops, and the log keeps the rest."""

PAGE = 200
STORE_RETRY_PAUSE = 1.0
"""Seconds until the log and the store are asked again that could not answer."""

SWEEP_INTERVAL = 30.0
"""Seconds between two looks for what has waited too long."""


class RetryLater(Exception):
    """The payload cannot be rendered now, for a reason that is not the endpoint's; the text says why."""


class DisableEndpoint(Exception):
    """The endpoint is to be disabled; the text says why."""


class Renderer(Protocol):
    """Which events an endpoint subscribes to, and their payloads."""

    async def matches(self, events: Sequence[ChangeEvent]) -> Sequence[bool]:
        """For each event, whether the endpoint subscribes to it. Raises RetryLater, DisableEndpoint."""
        ...

    async def render(self, delivery: Delivery) -> bytes | None:
        """The body, or None if this client may not see the event any more. Raises RetryLater, DisableEndpoint."""
        ...


class EndpointWorker:
    """Works until it is stopped, or raises DisableEndpoint. All workers of the process share `slots`."""

    def __init__(
        self,
        endpoint: Endpoint,
        renderer: Renderer,
        events: EventLog,
        fanout: EventFanout,
        store: EndpointStore,
        sender: WebhookSender,
        settings: EndpointSettings,
        *,
        slots: asyncio.Semaphore,
        clock: Callable[[], datetime],
    ) -> None:
        self.endpoint = endpoint
        self._renderer, self._events, self._fanout, self._store = renderer, events, fanout, store
        self._sender = sender
        self._settings, self._slots, self._clock = settings, slots, clock
        self._queue = PartitionedQueue()
        self._checkpoint = Checkpoint(endpoint, events, store)
        self._cursor = ""
        self._swept_at = float("-inf")
        self._running: dict[asyncio.Task[SendOutcome | None], Partition] = {}
        self._failures = 0
        self._not_before = clock()
        self._reading: asyncio.Task[tuple[Sequence[FanoutItem], str]] | None = None
        self._stopping = asyncio.Event()

    @property
    def down(self) -> bool:
        """Whether the endpoint seems to be down."""
        return self._failures >= DOWN_AFTER

    @property
    def stopping(self) -> bool:
        """Whether it is stopping."""
        return self._stopping.is_set()

    @property
    def waiting(self) -> int:
        """How many known deliveries are pending."""
        return len(self._queue)

    def stop(self) -> None:
        """Start nothing more; `run` ends once what is running has ended."""
        self._stopping.set()

    async def run(self) -> None:
        """Deliver until stopped. Raises DisableEndpoint."""
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            await self._begin()
            while not self._stopping.is_set():
                try:
                    await self._step(stopped)
                except (StoreUnavailable, RetryLater) as error:
                    self._log_deferred(error)
                    await asyncio.wait({stopped}, timeout=STORE_RETRY_PAUSE)
            await self._finish()
        finally:
            for task in (stopped, self._reading, *self._running):
                if task is not None:
                    task.cancel()

    async def _begin(self) -> None:
        while not self._stopping.is_set():
            try:
                offset = await self._events.offset(self.endpoint.reader_name)
                self._cursor = offset or await self._events.end()
                for delivery in await self._store.pending(self.endpoint.id):
                    self._queue.add(PendingDelivery(delivery, stored=True))
            except StoreUnavailable as error:
                self._log_deferred(error)
                await asyncio.sleep(STORE_RETRY_PAUSE)
            else:
                if offset is None:
                    self._checkpoint.start_at(self._cursor)
                return

    def _log_deferred(self, error: StoreUnavailable | RetryLater) -> None:
        detail = error.detail if isinstance(error, StoreUnavailable) else str(error)
        log.warning("delivery_deferred", endpoint=self.endpoint.id, detail=detail)

    async def _step(self, stopped: asyncio.Task[bool]) -> None:
        for task in [task for task in self._running if task.done()]:
            self._settle(self._running.pop(task), task)
        self._sweep()
        await self._checkpoint.write()
        more = await self._read_page()
        await self._checkpoint.write()
        await self._checkpoint.commit(force=not self._running)
        full = self._start()
        if not more:
            await self._wait(stopped, full=full)

    async def _finish(self) -> None:
        if self._running:
            await asyncio.wait(self._running, timeout=self._settings.timeout + 1)
        for task in [task for task in self._running if task.done()]:
            self._settle(self._running.pop(task), task)
        with suppress(StoreUnavailable):  # What is not noted comes again.
            await self._checkpoint.write()
            await self._checkpoint.commit(force=True)

    # Reading

    async def _read_page(self) -> bool:
        if not self._has_capacity():
            return False
        if self._reading is None:
            self._reading = asyncio.create_task(self._fanout.next_items(self._cursor, PAGE))
        if not self._reading.done():
            return False
        reading, self._reading = self._reading, None
        items, cursor = reading.result()
        events = [item for item in items if isinstance(item, FanoutEvent)]
        matching = await self._renderer.matches([event.update for event in events])
        for item in items:
            if isinstance(item, FanoutGap):
                gap = DeliveryGap(start=self._cursor, end=item.cursor, reason=item.reason)
                self._accept(f"lost:{self._cursor}", gap=gap)
        for event, is_match in zip(events, matching, strict=True):
            if is_match:
                self._accept(event.cursor, update=event.update)
        self._cursor = cursor
        self._checkpoint.read(Offset(cursor, settled=True))
        return True

    def _has_capacity(self) -> bool:
        return self._checkpoint.fresh < WINDOW and len(self._queue) < MOST_WAITING

    def _accept(self, cursor: str, update: ChangeEvent | None = None, gap: DeliveryGap | None = None) -> None:
        now = self._clock()
        delivery = Delivery(endpoint=self.endpoint.id, cursor=cursor, update=update, gap=gap, first_at=now, next_at=now)
        offset = Offset(None if update is None else cursor)
        item = PendingDelivery(delivery, stored=False, offset=offset)
        self._checkpoint.read(offset)
        if self.down or self._queue.partition(delivery).is_blocked:
            self._checkpoint.save(item)
        self._queue.add(item)

    # Trying

    def _start(self) -> bool:
        now = self._clock()
        if now < self._not_before:
            return False
        most = 1 if self.down or self._slots.locked() else self._settings.concurrency
        while len(self._running) < most and (partition := self._queue.next(now)) is not None:
            partition.busy = True
            task = asyncio.create_task(self._attempt(partition.items[0].delivery))
            self._running[task] = partition
        return len(self._running) >= most

    async def _attempt(self, delivery: Delivery) -> SendOutcome | None:
        body = await self._renderer.render(delivery)
        if body is None:
            return None
        async with self._slots:
            id_ = message_id(self.endpoint.id, delivery.cursor)
            return await self._sender.send(self.endpoint.url, signed(self.endpoint, id_, body, self._clock()), body)

    def _settle(self, partition: Partition, task: asyncio.Task[SendOutcome | None]) -> None:
        partition.busy = False
        item = partition.items[0]
        try:
            outcome = task.result()
        except RetryLater as error:
            self._postpone(partition, item, str(error), 0.0)
            return
        if outcome is None or outcome.delivered:
            self._failures = 0 if outcome else self._failures
            self._done(partition, item)
            delivery_attempted(
                self.endpoint.client, "skipped" if outcome is None else "taken", self._lag(item.delivery)
            )
            return
        self._failures += 1
        delivery_attempted(self.endpoint.client, "failed", None)
        log.info(
            "delivery_failed", endpoint=self.endpoint.id, reason=outcome.reason, attempts=item.delivery.attempts + 1
        )
        wait = self._back_off(self._failures)
        if outcome.retry_after is not None or self.down:
            # What keeps one delivery out keeps the others out as well.
            seconds = max(outcome.retry_after or 0.0, wait if self.down else 0.0)
            self._not_before = self._clock() + timedelta(seconds=seconds)
        self._postpone(partition, item, outcome.reason, outcome.retry_after or 0.0)
        if outcome.ends_subscription:
            raise DisableEndpoint("it answered 410 Gone")

    def _done(self, partition: Partition, item: PendingDelivery) -> None:
        partition.items.popleft()
        self._checkpoint.done(item)
        self._queue.schedule(partition)

    def _postpone(self, partition: Partition, item: PendingDelivery, cause: str, at_least: float) -> None:
        """Retry later or give up. Everything behind it in its partition is stored and waits with it."""
        now = self._clock()
        attempts = item.delivery.attempts + 1
        next_at_ = now + timedelta(seconds=max(at_least, self._back_off(attempts)))
        item.delivery = replace(item.delivery, attempts=attempts, cause=cause, next_at=next_at_)
        if self._is_late(item.delivery, now):
            self._dead_letter(partition, item, now)
            return
        for waiting in partition.items:
            if waiting is item or not waiting.stored:
                self._checkpoint.save(waiting)
        self._queue.schedule(partition)

    def _dead_letter(self, partition: Partition, item: PendingDelivery, now: datetime) -> None:
        cause = item.delivery.cause or "the endpoint was down"
        item.delivery = replace(item.delivery, dead_at=now, cause=cause)
        self._checkpoint.save(item)
        partition.items.popleft()
        self._queue.schedule(partition)
        delivery_attempted(self.endpoint.client, "dead", None)
        log.warning("delivery_dead_lettered", endpoint=self.endpoint.id, cause=cause, attempts=item.delivery.attempts)

    def _sweep(self) -> None:
        passed = asyncio.get_running_loop().time()
        if passed - self._swept_at < SWEEP_INTERVAL:
            return
        self._swept_at = passed
        now = self._clock()
        for partition in self._queue:
            while partition.items and not partition.busy and self._is_late(partition.items[0].delivery, now):
                self._dead_letter(partition, partition.items[0], now)

    def _is_late(self, delivery: Delivery, now: datetime) -> bool:
        return now - delivery.first_at >= timedelta(hours=self._settings.retry_hours)

    def _back_off(self, failures: int) -> float:
        most = min(self._settings.retry_first * 2 ** min(failures - 1, 30), self._settings.retry_most)
        return most * random.uniform(0.5, 1.0)

    def _lag(self, delivery: Delivery) -> float | None:
        return delivery.update and (self._clock() - delivery.update.recorded_at).total_seconds()

    async def _wait(self, stopped: asyncio.Task[bool], *, full: bool) -> None:
        now, due = self._clock(), None
        if now < self._not_before:
            due = self._not_before
        elif not full:
            due = self._queue.due()
        seconds = SWEEP_INTERVAL if due is None else min(max((due - now).total_seconds(), 0.0), SWEEP_INTERVAL)
        if self._checkpoint.unsaved:
            seconds = min(seconds, SAVE_EVERY)
        awaited: list[asyncio.Task[Any]] = [stopped, *self._running]
        if self._reading is not None and self._has_capacity():
            awaited.append(self._reading)
        await asyncio.wait(awaited, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
