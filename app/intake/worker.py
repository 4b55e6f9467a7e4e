"""Posts the queued orders of one target: claims, checks, look-ups, requests, outcomes.

    claim ──> RECEIVED: checks ──> POSTING, HELD, REJECTED
          └─> POSTING: an attempt before?  ──> look-up by key ──> found: POSTED
                       note the attempt    ──> lease lost: another worker has it
                       request within the lease ──> POSTED, HELD, REJECTED, or again later

The lease is the deadline of the request: the HTTP client sends no byte of it later. See decision 0019.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import NamedTuple

import msgspec

from app.auth.principal import SYSTEM
from app.errors import (
    DeadlineExceeded,
    OrderRefused,
    PostingFailed,
    SourceError,
    SourceRejected,
    SourceThrottled,
    StoreUnavailable,
    TradegraphError,
)
from app.http.background import background
from app.intake.checks import count_prices
from app.intake.records import QUEUED, IntakeState, OrderIntake, problem_of, with_problems
from app.intake.store import IntakeStore
from app.settings import IntakeSettings
from app.sources.order_writer import NewOrder, NewOrderLine, OrderNotAccepted, OrderWriter, WrittenOrder, lookup_orders
from app.sources.values import utc_now
from app.telemetry import log, metrics, new_id

IDLE = 1.0
"""Seconds after which a worker claims again without being woken."""

DUE_SLACK = 0.1
"""Seconds for which a worker looks for an order that it postponed until now: the store's clock decides."""

CLOSING_TIMEOUT = 3.0
LOOKUP_TIMEOUT = 10.0
LEASE_MARGIN = 0.1
"""Share of the lease that is left for recording the outcome of a request."""

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 60.0
LONGEST_HOLD = 5.0
"""Seconds for which a target that refuses connections is left alone at most, where it names no time itself."""

Recheck = Callable[[OrderIntake], Awaitable[OrderIntake]]


class PostingResult(NamedTuple):
    """The intake after an attempt, in how many seconds it is due (None: as noted with the attempt), and for metrics
    what came of it. `hold` are seconds for which the target is left alone."""

    intake: OrderIntake
    name: str
    delay: float | None = None
    hold: float | None = None


class PostingWorker:
    """Works until its task is cancelled, with up to `concurrency` orders at once, in one state if it is named.
    `recheck` repeats the checks of an intake that is RECEIVED. Orders that wait for checks have a worker of their own:
    a check's source that is away must not hold up orders that are to be posted."""

    def __init__(
        self,
        target: str,
        writer: OrderWriter,
        store: IntakeStore,
        recheck: Recheck,
        settings: IntakeSettings,
        clock: Callable[[], datetime] = utc_now,
        state: IntakeState | None = None,
    ) -> None:
        self._target = target
        self._writer = writer
        self._store = store
        self._recheck = recheck
        self._settings = settings
        self._clock = clock
        self._state = state
        self._name = new_id()
        self._claims = 0
        self._running: set[asyncio.Task[None]] = set()
        self._due = float("inf")
        self._held_until = 0.0
        self._refusals = 0

    async def run(self) -> None:
        """Claim orders as they are due."""
        while True:
            try:
                if not await self._claim():
                    await self._store.wait_queue(self._idle(), self._target, self._state)
            except StoreUnavailable as error:
                log.warning("intake_queue_unavailable", source=self._target, detail=error.detail)
                await asyncio.sleep(IDLE)

    async def close(self) -> None:
        """Wait a moment for requests under way, then cancel them: their claims end with their leases."""
        if self._running:
            await asyncio.wait(self._running, timeout=CLOSING_TIMEOUT)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _claim(self) -> bool:
        """Claim what fits, and start it; whether there may be more to claim at once."""
        free = self._settings.concurrency - len(self._running)
        if free <= self._settings.concurrency // 4 and self._running:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
            return True
        held = self._held_until - time.monotonic()
        if held > 0:
            await asyncio.sleep(held)
            return True
        self._claims += 1
        began = time.monotonic()
        owner = f"{self._name}:{self._claims}"
        claimed = await self._store.claim(self._target, owner, free, self._settings.lease, self._state)
        for intake in claimed:
            task = asyncio.create_task(self._process(intake, began))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return len(claimed) == free

    def _idle(self) -> float:
        left = self._due - time.monotonic()
        if left < -DUE_SLACK:
            self._due = float("inf")
            return IDLE
        return min(max(left, 0.01), IDLE)

    async def _process(self, claimed: OrderIntake, began: float) -> None:
        try:
            if claimed.state is IntakeState.RECEIVED:
                outcome: PostingResult | None = await self._check(claimed)
            else:
                outcome = await self._post(claimed)
            if outcome is not None:
                await self._complete(claimed, outcome)
        except StoreUnavailable as error:
            log.warning("intake_not_recorded", intake=claimed.id, detail=error.detail)
        except Exception as error:  # noqa: BLE001 - its lease ends, and the worker goes on
            log.error("intake_not_recorded", intake=claimed.id, error=repr(error), exc_info=error)

    async def _complete(self, claimed: OrderIntake, outcome: PostingResult) -> None:
        metrics().intake.attempts.labels(self._target, outcome.name).inc()
        if outcome.hold:
            self._held_until = max(self._held_until, time.monotonic() + outcome.hold)
        if outcome.intake.state in QUEUED:
            delay = self._writer.max_seconds if outcome.delay is None else outcome.delay
            self._due = min(self._due, time.monotonic() + delay)
        recorded = await self._store.complete(claimed, outcome.intake, delay=outcome.delay)
        state = outcome.intake.state
        if not recorded:
            log.warning("intake_claim_lost", intake=claimed.id, source=self._target, outcome=outcome.name)
        elif state is not claimed.state:
            log.info("intake_state_changed", intake=claimed.id, source=self._target, state=state.value)
            if state is IntakeState.POSTED:
                metrics().intake.posting.labels(self._target).observe(
                    max(self._clock().timestamp() - claimed.received, 0.0)
                )

    # RECEIVED

    async def _check(self, claimed: OrderIntake) -> PostingResult:
        if self._is_too_old(claimed):
            return self._given_up(claimed, claimed.cause or "CHECKS_UNKNOWN")
        with background(self._settings.check_timeout):
            checked = await self._recheck(claimed)
        if checked.state is not IntakeState.RECEIVED:
            self._refusals = 0
            count_prices(checked)
            return PostingResult(checked, "checked", delay=0.0)
        hold = self._next_hold()
        return PostingResult(checked, "unchecked", delay=hold, hold=hold)

    # POSTING

    async def _post(self, claimed: OrderIntake) -> PostingResult | None:
        found: WrittenOrder | None = None
        if claimed.sent_at is not None:
            try:
                with background(LOOKUP_TIMEOUT):
                    orders = await lookup_orders(self._writer, SYSTEM, [claimed.id], claimed.received)
            except (SourceError, DeadlineExceeded) as error:
                return self._lookup_failed(claimed, error)
            self._refusals = 0
            found = next(iter(orders.get(claimed.id, ())), None)
            if found is not None and found.step == self._writer.steps[-1]:
                return PostingResult(_posted(claimed, found), "found")
        if claimed.attempts >= self._settings.attempts or self._is_too_old(claimed):
            return self._given_up(claimed, claimed.cause or "ATTEMPTS")
        began = time.monotonic()
        attempt = await self._store.begin_attempt(claimed, self._settings.lease, self._writer.max_seconds)
        left = self._settings.lease * (1 - LEASE_MARGIN) - (time.monotonic() - began)
        if attempt is None or left <= 0:
            log.warning("intake_claim_lost", intake=claimed.id, source=self._target, outcome="not_sent")
            return None
        return await self._send(claimed, attempt, found, left)

    async def _send(
        self, claimed: OrderIntake, attempt: OrderIntake, found: WrittenOrder | None, left: float
    ) -> PostingResult:
        try:
            with background(left):
                written = await self._writer.post(SYSTEM, new_order(attempt), found)
        except OrderNotAccepted as refusal:
            return self._refused(attempt, refusal)
        except (SourceError, DeadlineExceeded) as error:
            return self._failed(claimed, attempt, error)
        except Exception as error:  # noqa: BLE001 - it may have been sent
            log.error("order_post_failed", intake=claimed.id, source=self._target, error=repr(error), exc_info=error)
            return PostingResult(msgspec.structs.replace(attempt, cause="INTERNAL"), "uncertain")
        self._refusals = 0
        return PostingResult(_posted(attempt, written), "posted")

    # Failures

    def _failed(
        self, claimed: OrderIntake, attempt: OrderIntake, error: SourceError | DeadlineExceeded
    ) -> PostingResult:
        """Not sent: the attempt does not count. Refused: it counts, and there is no order. Else the outcome is unknown:
        the next attempt waits for `max_seconds`, and looks the order up."""
        log.info("order_not_posted", intake=claimed.id, source=self._target, cause=error.code, detail=error.detail)
        if not error.sent or isinstance(error, SourceThrottled):
            hold = self._next_hold(error)
            unsent = msgspec.structs.replace(
                attempt, attempts=claimed.attempts, sent_at=claimed.sent_at, cause=error.code
            )
            return PostingResult(unsent, "throttled" if error.sent else "not_sent", delay=hold, hold=hold)
        if isinstance(error, SourceRejected):
            refused = msgspec.structs.replace(attempt, sent_at=claimed.sent_at, cause=error.code)
            return PostingResult(refused, "rejected", delay=_pause(attempt.attempts))
        return PostingResult(msgspec.structs.replace(attempt, cause=error.code), "uncertain")

    def _lookup_failed(self, claimed: OrderIntake, error: SourceError | DeadlineExceeded) -> PostingResult:
        if self._is_too_old(claimed):
            return self._given_up(claimed, error.code)
        log.info("order_not_looked_up", intake=claimed.id, source=self._target, cause=error.code, detail=error.detail)
        hold = self._next_hold(error)
        return PostingResult(msgspec.structs.replace(claimed, cause=error.code), "not_looked_up", delay=hold, hold=hold)

    def _refused(self, attempt: OrderIntake, refusal: OrderNotAccepted) -> PostingResult:
        log.warning("order_refused", intake=attempt.id, source=self._target, detail=refusal.detail)
        self._refusals = 0
        problems = [problem_of(OrderRefused, line_number=line) for line in refusal.lines or (None,)]
        return PostingResult(
            msgspec.structs.replace(
                attempt,
                state=IntakeState.HELD if refusal.held else IntakeState.REJECTED,
                sent_at=None,
                cause=OrderRefused.code,
                content=with_problems(attempt, (*attempt.content.problems, *problems)),
            ),
            "refused",
        )

    def _given_up(self, claimed: OrderIntake, cause: str) -> PostingResult:
        log.error("intake_failed", intake=claimed.id, source=self._target, cause=cause, attempts=claimed.attempts)
        problems = (*claimed.content.problems, problem_of(PostingFailed))
        failed = msgspec.structs.replace(
            claimed, state=IntakeState.FAILED, cause=cause, content=with_problems(claimed, problems)
        )
        return PostingResult(failed, "failed")

    def _is_too_old(self, intake: OrderIntake) -> bool:
        return self._clock().timestamp() - intake.since > self._settings.patience

    def _next_hold(self, error: TradegraphError | None = None) -> float:
        """Seconds until the target is called again: as it says, or at once after the first refusal, then longer."""
        named = getattr(error, "retry_after", None)
        self._refusals += 1
        if named is not None:
            return named
        if self._refusals == 1:
            return 0.0
        return min(FIRST_PAUSE * 2 ** min(self._refusals - 2, 20), LONGEST_HOLD) * random.uniform(0.75, 1.25)


def new_order(intake: OrderIntake) -> NewOrder:
    """The order that is written for an intake. Its key is the intake's id, which is unique among all tenants."""
    content = intake.content
    return NewOrder(
        key=intake.id,
        customer=intake.customer,
        customer_po=intake.customer_po,
        channel=intake.channel,
        ship_to=content.ship_to,
        requested_date=content.requested_date,
        note=content.note,
        allow_partial=content.allow_partial,
        allow_substitutes=content.allow_substitutes,
        quote=content.quote,
        lines=tuple(
            NewOrderLine(
                number=line.line_number,
                sku=line.sku or "",
                quantity=line.quantity,
                uom=line.uom,
                unit_price=line.unit_price,
                price_unit=line.price_unit,
                requested_date=line.requested_date,
            )
            for line in content.lines
        ),
    )


def _posted(intake: OrderIntake, written: WrittenOrder) -> OrderIntake:
    return msgspec.structs.replace(
        intake, state=IntakeState.POSTED, order_id=written.id, order_number=written.number, cause=None
    )


def _pause(attempts: int) -> float:
    return min(FIRST_PAUSE * 2 ** min(attempts - 1, 20), LONGEST_PAUSE) * random.uniform(0.75, 1.25)
