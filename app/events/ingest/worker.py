"""Claims hints, fetches their subjects again and records what changed.

Each kind of each source has a queue of its own: while a fetch is running, hints that arrive wait for the next one,
which fetches all their subjects at once. A slow source delays its own hints only.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import msgspec

from app.errors import DeadlineExceeded, SourceError, SourceMalformed, SourceRejected, StoreUnavailable, TradegraphError
from app.events.ingest.refetch import Found, Refetcher
from app.events.log import ChangeEvent, EventLog, LeasedHint
from app.http.background import background
from app.settings import EventSettings
from app.sources.changes import ChangeKind
from app.telemetry import log, metrics

LEASE, RENEW = 2.0, 0.5
"""Seconds that a worker is believed to live after it last said so, and between two times that it says so."""

STALE = 30.0
"""Seconds after which a hint that waited here is left to the worker that claims it when its lease ends."""

CLAIM_LIMIT = 500
QUEUE_LIMIT = 4_000
"""Notices that wait here at most."""

IDLE = 1.0
TIME_LIMIT = 10.0
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 60.0
FETCH_ATTEMPTS = 3
"""Times that a thing is looked for which is not there, or still there: what a source tells may be ahead of it."""

QueueKey = tuple[str, ChangeKind]


class IngestWorker:
    """Works until its task is cancelled."""

    def __init__(
        self,
        events: EventLog,
        refetcher: Refetcher,
        settings: EventSettings,
        worker: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._events = events
        self._refetcher = refetcher
        self._settings = settings
        self._worker = worker
        self._clock = clock
        self._waiting: defaultdict[QueueKey, list[tuple[float, LeasedHint]]] = defaultdict(list)
        self._draining: dict[QueueKey, asyncio.Task[None]] = {}
        self._leased: dict[str, LeasedHint] = {}
        self._due = float("inf")

    async def run(self) -> None:
        """Claim hints as they arrive."""
        while True:
            try:
                if len(self._leased) >= QUEUE_LIMIT or not await self._claim():
                    await self._events.wait_hints(self._idle())
            except StoreUnavailable as error:
                log.warning("hints_not_claimed", detail=error.detail)
                await asyncio.sleep(IDLE)

    async def renew_leases(self) -> None:
        """Extend the leases of hints for as long as they are worked on."""
        while True:
            await asyncio.sleep(RENEW)
            try:
                if self._leased:
                    await self._events.renew(list(self._leased.values()), LEASE)
            except StoreUnavailable as error:
                log.warning("leases_not_renewed", detail=error.detail)

    async def close(self) -> None:
        """Cancel what is running; its leases end."""
        tasks = list(self._draining.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _idle(self) -> float:
        left = self._due - time.monotonic()
        self._due = float("inf")
        return min(max(left, 0.01), IDLE)

    async def _claim(self) -> bool:
        leased = await self._events.claim(self._worker, CLAIM_LIMIT, LEASE)
        now = time.monotonic()
        for one in leased:
            queue = one.hint.source, one.hint.kind
            self._waiting[queue].append((now, one))
            self._leased[one.number] = one
            if queue not in self._draining:
                self._draining[queue] = asyncio.create_task(self._drain(queue))
        return bool(leased)

    async def _drain(self, queue: QueueKey) -> None:
        try:
            while waiting := self._waiting.pop(queue, None):
                try:
                    fresh = [one for since, one in waiting if time.monotonic() - since < STALE]
                    if fresh:
                        await self._process(queue, fresh)
                except StoreUnavailable as error:
                    log.warning("hints_not_recorded", source=queue[0], detail=error.detail)
                except Exception as error:  # noqa: BLE001 - their leases end, and the queue goes on
                    log.error("hints_not_recorded", source=queue[0], error=repr(error))
                finally:
                    for _, one in waiting:
                        self._leased.pop(one.number, None)
        finally:
            del self._draining[queue]

    async def _process(self, queue: QueueKey, leased: Sequence[LeasedHint]) -> None:
        name, kind = queue
        about: defaultdict[str, list[LeasedHint]] = defaultdict(list)
        for one in leased:
            about[one.hint.key].append(one)
        with background(TIME_LIMIT):
            if self._refetcher.publishes(kind, name):
                await self._read(kind, name, about)
            elif self._refetcher.announces(kind, name):
                await self._announce(kind, name, about)
            else:
                await self._complete(leased, [], "ignored")

    async def _announce(self, kind: ChangeKind, name: str, about: Mapping[str, Sequence[LeasedHint]]) -> None:
        """End cache entries in the shared cache, then in all workers by the log, from which apps synchronize. Neither
        is lost: if the shared cache does not acknowledge it, the hints are retried."""
        try:
            await self._refetcher.invalidate_shared(kind, about)
        except StoreUnavailable as error:
            await self._retry(about, error)
            return
        now = self._clock()
        events = [
            self._refetcher.announcement(kind, name, key, now, deleted=any(one.hint.deleted for one in hints))
            for key, hints in about.items()
        ]
        await self._complete([one for hints in about.values() for one in hints], events, "invalidated")

    async def _read(self, kind: ChangeKind, name: str, about: Mapping[str, Sequence[LeasedHint]]) -> None:
        try:
            found = await self._refetcher.fetch(kind, name, list(about), self._clock())
        except (SourceMalformed, SourceRejected) as error:
            if len(about) == 1:
                await self._retry(about, error)
                return
            keys = list(about)
            for half in (keys[: len(keys) // 2], keys[len(keys) // 2 :]):
                await self._read(kind, name, {key: about[key] for key in half})
        except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again, and counted when it is given up
            await self._retry(about, error)
        else:
            await self._record(kind, name, about, found)

    async def _record(
        self, kind: ChangeKind, name: str, about: Mapping[str, Sequence[LeasedHint]], found: Found
    ) -> None:
        """Record what changed. What is missing, or unexpectedly present, is tried again first."""
        outcomes = await asyncio.gather(
            *(self._outcome(kind, name, key, about[key], found.get(key, ())) for key in about)
        )
        done: defaultdict[str, list[LeasedHint]] = defaultdict(list)
        changed: list[ChangeEvent] = []
        for key, (outcome, updates) in zip(about, outcomes, strict=True):
            if outcome == "early":
                for one in about[key]:
                    await self._postpone(one, "NOT_FOUND")
            else:
                done[outcome] += about[key]
                changed += updates
        leased = [one for hints in done.values() for one in hints]
        if not leased:
            return
        recorded = await self._events.record(leased, changed)
        if changed and not recorded:
            return  # Another worker claimed them in the meantime.
        for outcome, hints in done.items():
            metrics().events.read.labels(name, outcome).inc(len(hints))
        self._observe_lag(name, [one for outcome in ("changed", "deleted") for one in done[outcome]])

    async def _outcome(
        self, kind: ChangeKind, name: str, key: str, leased: Sequence[LeasedHint], now: Sequence[ChangeEvent]
    ) -> tuple[str, list[ChangeEvent]]:
        is_deletion = any(one.hint.deleted for one in leased)
        early = max(one.attempts for one in leased) < FETCH_ATTEMPTS
        if is_deletion == bool(now) and early:
            return "early", []
        if not now:
            last = await self._events.latest(kind, name, key)
            if last is None or last.deleted:
                return "unknown", []
            at = max((one.hint.at for one in leased if one.hint.at), default=None)
            tombstone = msgspec.structs.replace(last, deleted=True, at=at, recorded_at=self._clock(), digest=None)
            return "deleted", [tombstone]
        changes = [await self._event_if_changed(one) for one in now]
        changed = [one for one in changes if one is not None]
        return ("changed", changed) if changed else ("same", [])

    async def _event_if_changed(self, update: ChangeEvent) -> ChangeEvent | None:
        """The event, unless its digest is that of the last one. `was` names the former customer."""
        last = await self._events.latest(update.kind, update.source, update.key)
        if last is None or last.deleted:
            return update
        if last.digest == update.digest:
            return None
        moved = last.customer is not None and last.customer != update.customer
        return msgspec.structs.replace(update, was=last.customer) if moved else update

    async def _complete(self, leased: Sequence[LeasedHint], updates: Sequence[ChangeEvent], outcome: str) -> None:
        await self._events.record(leased, updates)
        metrics().events.read.labels(leased[0].hint.source, outcome).inc(len(leased))

    async def _retry(self, about: Mapping[str, Sequence[LeasedHint]], error: Exception) -> None:
        cause = error.code if isinstance(error, TradegraphError) else type(error).__name__
        away = isinstance(error, DeadlineExceeded | StoreUnavailable) or (
            isinstance(error, SourceError) and error.retryable
        )
        detail = error.detail if isinstance(error, TradegraphError) else repr(error)
        log.info("subjects_not_fetched", cause=cause, detail=detail, subjects=len(about))
        for one in (one for hints in about.values() for one in hints):
            age = (self._clock() - one.hint.received_at).total_seconds()
            if one.attempts < self._settings.attempts or (away and age < self._settings.patience):
                await self._postpone(one, cause)
            else:
                await self._dead_letter(one, cause)

    async def _postpone(self, one: LeasedHint, cause: str) -> None:
        pause = min(FIRST_PAUSE * 2 ** min(one.attempts - 1, 20), LONGEST_PAUSE) * random.uniform(0.75, 1.25)
        self._due = min(self._due, time.monotonic() + pause)
        await self._events.postpone(one, cause, pause)
        metrics().events.read.labels(one.hint.source, "postponed").inc()

    async def _dead_letter(self, one: LeasedHint, cause: str) -> None:
        hint = one.hint
        log.error("hint_dead_lettered", source=hint.source, kind=hint.kind, key=hint.key, cause=cause)
        await self._events.dead_letter(one, cause)
        metrics().events.read.labels(hint.source, "buried").inc()

    def _observe_lag(self, name: str, leased: Sequence[LeasedHint]) -> None:
        now, lag = self._clock(), metrics().events.lag
        for hint in (one.hint for one in leased):
            lag.labels(name, "notice").observe(max((now - hint.received_at).total_seconds(), 0))
            if hint.at is not None:
                lag.labels(name, "event").observe(max((now - hint.at).total_seconds(), 0))
