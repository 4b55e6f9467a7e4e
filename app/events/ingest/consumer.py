"""Consumes a topic: messages to hints in the event log, acknowledged once the log has them.

One worker consumes a topic, so that rows are written in the order of their messages. While the event log or the
replica cannot be written, nothing is received.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from app.errors import TradegraphError
from app.events.log import EventLog
from app.sources.changes import ChangeHint
from app.sources.consumer import Message, Topic
from app.telemetry import log, metrics

BATCH = 500
WAIT = 1.0
"""Seconds for which a worker waits for messages, and after which it looks at the lag."""

LEASE = 15.0
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 15.0

Enqueue = Callable[[str, Sequence[ChangeHint]], Awaitable[int]]


class TopicConsumer:
    """Consumes one topic of a source, while this worker holds its lease."""

    def __init__(
        self,
        source: str,
        topic: Topic,
        events: EventLog,
        enqueue: Enqueue,
        worker: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._source, self._topic = source, topic
        self._events, self._enqueue = events, enqueue
        self._worker, self._clock = worker, clock
        self._lease_until = 0.0
        self._lag_at = 0.0
        self._pause = FIRST_PAUSE

    async def run(self) -> None:
        """Consume until cancelled."""
        while True:
            try:
                if await self._is_leader():
                    await self.consume()
                    self._pause = FIRST_PAUSE
                else:
                    await self._topic.consumer.aclose()  # What it was sent goes to the worker that consumes now.
                    await asyncio.sleep(WAIT)
            except TradegraphError as error:
                await self._wait(code=error.code, detail=error.detail)
            except Exception as error:  # noqa: BLE001 - it must go on
                await self._wait(error=repr(error))

    async def consume(self) -> int:
        """Take a batch; how many messages it had. Raises SourceError and StoreUnavailable; then it is repeated."""
        messages = await self._topic.consumer.receive(BATCH, WAIT)
        if messages:
            await self._ingest(messages)
        await self._observe_lag()
        return len(messages)

    async def _ingest(self, messages: Sequence[Message]) -> None:
        consumer = self._topic.consumer
        try:
            hints = await self._topic.handler.handle(messages, self._clock())
            if hints:
                await self._enqueue(self._topic.target, hints)
        except BaseException:
            await consumer.release(messages)
            raise
        await consumer.acknowledge(messages)
        metrics().brokers.messages.labels(self._source, self._topic.name, "acknowledged").inc(len(messages))

    async def _observe_lag(self) -> None:
        now = time.monotonic()
        if now - self._lag_at < WAIT:
            return
        self._lag_at = now
        lag = await self._topic.consumer.lag()
        if lag is not None:
            metrics().brokers.lag.labels(self._source, self._topic.name).set(lag)

    async def _is_leader(self) -> bool:
        """Whether this worker holds the lease, which it renews before half of it has passed."""
        now = time.monotonic()
        if now < self._lease_until - LEASE / 2:
            return True
        name = f"consume:{self._source}:{self._topic.name}"
        held = await self._events.acquire_lease(name, self._worker, LEASE)
        self._lease_until = now + LEASE if held else 0.0
        return held

    async def _wait(self, **fields: object) -> None:
        log.warning("topic_not_consumed", source=self._source, topic=self._topic.name, **fields)
        await asyncio.sleep(self._pause)
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
