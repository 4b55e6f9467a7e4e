"""Works on notices: reads again what they are about, and records what has changed.

What a source tells is read in one lane for each kind: while a read is under way, what comes in meanwhile waits for the
next, which asks for all of it at once. So a source that is slow or away keeps only its own notices waiting.
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
from app.events.ingest.background import background
from app.events.ingest.refetch import Found, Rereading
from app.events.log import EventLog, Taken, Update
from app.settings import EventSettings
from app.sources.changes import ChangeKind
from app.telemetry import log, metrics

LEASE, RENEW = 2.0, 0.5
"""Seconds that a worker is believed to live after it last said so, and between two times that it says so."""

STALE = 30.0
"""Seconds after which a notice that waited here is left to whoever takes it when its lease ends."""

TAKEN = 500
HELD = 4_000
"""Notices that wait here at most."""

IDLE = 1.0
TIME_LIMIT = 10.0
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 60.0
LOOKS = 3
"""Times that a thing is looked for which is not there, or still there: what a source tells may be ahead of it."""

Lane = tuple[str, ChangeKind]


class Reader:
    """Works until its task is cancelled."""

    def __init__(
        self,
        events: EventLog,
        things: Rereading,
        settings: EventSettings,
        worker: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._events = events
        self._things = things
        self._settings = settings
        self._worker = worker
        self._clock = clock
        self._waiting: defaultdict[Lane, list[tuple[float, Taken]]] = defaultdict(list)
        self._lanes: dict[Lane, asyncio.Task[None]] = {}
        self._mine: dict[str, Taken] = {}
        self._due = float("inf")

    async def run(self) -> None:
        """Take notices as they come."""
        while True:
            try:
                if len(self._mine) >= HELD or not await self._take():
                    await self._events.wait_notices(self._idle())
            except StoreUnavailable as error:
                log.warning("notices_not_taken", detail=error.detail)
                await asyncio.sleep(IDLE)

    async def stay(self) -> None:
        """Keep what was taken for as long as it is worked on."""
        while True:
            await asyncio.sleep(RENEW)
            try:
                if self._mine:
                    await self._events.renew(list(self._mine.values()), LEASE)
            except StoreUnavailable as error:
                log.warning("leases_not_renewed", detail=error.detail)

    async def close(self) -> None:
        """Leave what is under way; its leases end."""
        lanes = list(self._lanes.values())
        for task in lanes:
            task.cancel()
        await asyncio.gather(*lanes, return_exceptions=True)

    def _idle(self) -> float:
        left = self._due - time.monotonic()
        self._due = float("inf")
        return min(max(left, 0.01), IDLE)

    async def _take(self) -> bool:
        taken = await self._events.take(self._worker, TAKEN, LEASE)
        now = time.monotonic()
        for one in taken:
            lane = one.notice.source, one.notice.kind
            self._waiting[lane].append((now, one))
            self._mine[one.place] = one
            if lane not in self._lanes:
                self._lanes[lane] = asyncio.create_task(self._drive(lane))
        return bool(taken)

    async def _drive(self, lane: Lane) -> None:
        try:
            while waiting := self._waiting.pop(lane, None):
                try:
                    fresh = [one for since, one in waiting if time.monotonic() - since < STALE]
                    if fresh:
                        await self._work(lane, fresh)
                except StoreUnavailable as error:
                    log.warning("notices_not_recorded", source=lane[0], detail=error.detail)
                except Exception as error:  # noqa: BLE001 - their leases end, and the lane goes on
                    log.error("notices_not_recorded", source=lane[0], error=repr(error))
                finally:
                    for _, one in waiting:
                        self._mine.pop(one.place, None)
        finally:
            del self._lanes[lane]

    async def _work(self, lane: Lane, taken: Sequence[Taken]) -> None:
        """Be done with notices of one kind and source, in one way or another."""
        name, kind = lane
        about: defaultdict[str, list[Taken]] = defaultdict(list)
        for one in taken:
            about[one.notice.key].append(one)
        with background(TIME_LIMIT):
            await self._things.purge(kind, about)
            if not self._things.tells(kind, name):
                await self._done(taken, [], "ignored")
                return
            await self._read(kind, name, about)

    async def _read(self, kind: ChangeKind, name: str, about: Mapping[str, Sequence[Taken]]) -> None:
        """Read and record; where one thing spoils the reading of many, the others go their way."""
        try:
            found = await self._things.read(kind, name, list(about), self._clock())
        except (SourceMalformed, SourceRejected) as error:
            if len(about) == 1:
                await self._again(about, error)
                return
            keys = list(about)
            for half in (keys[: len(keys) // 2], keys[len(keys) // 2 :]):
                await self._read(kind, name, {key: about[key] for key in half})
        except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again, and told when it is given up
            await self._again(about, error)
        else:
            await self._record(kind, name, about, found)

    async def _record(self, kind: ChangeKind, name: str, about: Mapping[str, Sequence[Taken]], found: Found) -> None:
        """Record what has changed. What is not there, or still there, may need a moment."""
        outcomes = await asyncio.gather(
            *(self._outcome(kind, name, key, about[key], found.get(key, ())) for key in about)
        )
        done: defaultdict[str, list[Taken]] = defaultdict(list)
        changed: list[Update] = []
        for key, (outcome, updates) in zip(about, outcomes, strict=True):
            if outcome == "early":
                for one in about[key]:
                    await self._postpone(one, "NOT_FOUND")
            else:
                done[outcome] += about[key]
                changed += updates
        taken = [one for some in done.values() for one in some]
        if not taken:
            return
        recorded = await self._events.record(taken, changed)
        if changed and not recorded:
            return  # Another has taken them in the meantime.
        for outcome, some in done.items():
            metrics().intake.read.labels(name, outcome).inc(len(some))
        self._note_lag(name, [one for outcome in ("changed", "deleted") for one in done[outcome]])

    async def _outcome(
        self, kind: ChangeKind, name: str, key: str, taken: Sequence[Taken], now: Sequence[Update]
    ) -> tuple[str, list[Update]]:
        gone = any(one.notice.deleted for one in taken)
        early = max(one.attempts for one in taken) < LOOKS
        if gone == bool(now) and early:
            return "early", []
        if not now:
            last = await self._events.latest(kind, name, key)
            if last is None or last.deleted:
                return "unknown", []
            at = max((one.notice.at for one in taken if one.notice.at), default=None)
            left = msgspec.structs.replace(last, deleted=True, at=at, recorded_at=self._clock(), digest=None)
            return "deleted", [left]
        told = [await self._news(one) for one in now]
        changed = [one for one in told if one is not None]
        return ("changed", changed) if changed else ("same", [])

    async def _news(self, update: Update) -> Update | None:
        """The update, if it is one. Of a thing that went to another customer it says whose it was: they hear of it."""
        last = await self._events.latest(update.kind, update.source, update.key)
        if last is None or last.deleted:
            return update
        if last.digest == update.digest:
            return None
        moved = last.customer is not None and last.customer != update.customer
        return msgspec.structs.replace(update, was=last.customer) if moved else update

    async def _done(self, taken: Sequence[Taken], updates: Sequence[Update], outcome: str) -> None:
        await self._events.record(taken, updates)
        metrics().intake.read.labels(taken[0].notice.source, outcome).inc(len(taken))

    async def _again(self, about: Mapping[str, Sequence[Taken]], error: Exception) -> None:
        """Try later, or give up. The cause is a code of ours: what a backend said stays in the log."""
        cause = error.code if isinstance(error, TradegraphError) else type(error).__name__
        away = isinstance(error, DeadlineExceeded) or (isinstance(error, SourceError) and error.retryable)
        detail = error.detail if isinstance(error, TradegraphError) else repr(error)
        log.info("things_not_read", cause=cause, detail=detail, things=len(about))
        for one in (one for some in about.values() for one in some):
            age = (self._clock() - one.notice.received_at).total_seconds()
            if one.attempts < self._settings.attempts or (away and age < self._settings.patience):
                await self._postpone(one, cause)
            else:
                await self._bury(one, cause)

    async def _postpone(self, one: Taken, cause: str) -> None:
        pause = min(FIRST_PAUSE * 2 ** min(one.attempts - 1, 20), LONGEST_PAUSE) * random.uniform(0.75, 1.25)
        self._due = min(self._due, time.monotonic() + pause)
        await self._events.postpone(one, cause, pause)
        metrics().intake.read.labels(one.notice.source, "postponed").inc()

    async def _bury(self, one: Taken, cause: str) -> None:
        notice = one.notice
        log.error("notice_given_up", source=notice.source, kind=notice.kind, key=notice.key, cause=cause)
        await self._events.bury(one, cause)
        metrics().intake.read.labels(notice.source, "buried").inc()

    def _note_lag(self, name: str, taken: Sequence[Taken]) -> None:
        now, lag = self._clock(), metrics().intake.lag
        for notice in (one.notice for one in taken):
            lag.labels(name, "notice").observe(max((now - notice.received_at).total_seconds(), 0))
            if notice.at is not None:
                lag.labels(name, "event").observe(max((now - notice.at).total_seconds(), 0))
