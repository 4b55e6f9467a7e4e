"""The queue of order intake for the console's page: depth and age, rates, orders by state, and reconciliation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec

from app.auth.principal import Principal
from app.errors import Forbidden, InvalidInput, NotFound
from app.intake.commands import IntakeCommands, applicable
from app.intake.reconciliation import ReconciledKey, ReconciliationResult
from app.intake.records import Decision, IntakeFilter, IntakeProblem, IntakeState, OrderIntake, QueueDepth
from app.sources.source import Sources
from app.web.console.timeline import PostingTimeline, Timeline

MAX_PAGE = 100
MAX_DAYS = 366.0
MAX_NOTE = 1000
DECISIONS = (Decision.RETRY, Decision.RELEASE, Decision.CANCEL)
"""Decisions that the page offers, in its order."""


class QueuePart(msgspec.Struct, kw_only=True, rename="camel"):
    """A part of the state."""


class QueueState(QueuePart):
    """Orders of a target in a state, and the seconds for which the oldest is in it."""

    target: str
    state: IntakeState
    count: int
    oldest_seconds: float


class PostingState(QueuePart):
    """What was posted to a source in the last hour, by this worker."""

    source: str
    timeline: PostingTimeline


class ProblemState(QueuePart):
    """A problem of an order."""

    code: str
    message: str
    line_number: int | None


class IntakeSummary(QueuePart):
    """An order. `cause` is the code of the last failure, `actions` the decisions that apply to this version."""

    id: str
    version: int
    state: IntakeState
    received_at: datetime
    seconds_in_state: float
    customer: str
    customer_po: str
    target: str
    attempts: int
    order_number: str | None
    cause: str | None
    problems: tuple[ProblemState, ...]
    actions: tuple[Decision, ...]


class ReconciledKeyState(QueuePart):
    """A key that intake and target disagree about."""

    kind: str
    id: str
    customer: str
    customer_po: str
    target: str
    orders: tuple[str, ...]


class ReconciliationState(QueuePart):
    """Whether a reconciliation runs, and the last result: counts, and the keys that differ. `finished_at` is null
    before the first; `failure` is the code of the error that ended it early."""

    running: bool
    since: datetime | None = None
    finished_at: datetime | None = None
    compared: int = 0
    doubled: int = 0
    missing: int = 0
    unrecorded: int = 0
    failure: str | None = None
    keys: tuple[ReconciledKeyState, ...] = ()


class IntakeQueueState(QueuePart):
    """The queue as it exists for a caller. `next` is the cursor of the next page. Rates and reconciliation are of all
    customers, and null for callers who see some."""

    at: datetime
    queue: tuple[QueueState, ...]
    posting: tuple[PostingState, ...] | None
    reconciliation: ReconciliationState | None
    intakes: tuple[IntakeSummary, ...]
    next: str | None


class QueueQuery(msgspec.Struct, kw_only=True, frozen=True):
    """What the page shows: orders in these states, of a customer, before a cursor."""

    states: frozenset[IntakeState] | None = None
    customer: str | None = None
    first: int = 25
    before: int | None = None


class IntakeDecisionRequest(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A decision on the version of an order that the page shows."""

    version: int
    decision: Decision
    note: str | None = None


class ReconciliationRequest(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How far back to compare."""

    days: float = 7.0


class IntakeQueue:
    """What callers with the scope INTAKE_ADMIN see and do; each for the rows that exist for them."""

    def __init__(
        self,
        commands: IntakeCommands,
        sources: Sources,
        timeline: Timeline,
        clock: Callable[[], datetime],
    ) -> None:
        self._commands = commands
        self._sources = sources
        self._timeline = timeline
        self._clock = clock

    async def state(self, principal: Principal, query: QueueQuery) -> IntakeQueueState:
        """The queue and a page of orders, newest first. Raises InvalidInput, StoreUnavailable."""
        if not 1 <= query.first <= MAX_PAGE:
            raise InvalidInput(f"first must be between 1 and {MAX_PAGE}.")
        now = self._clock()
        filter = IntakeFilter(
            states=query.states, customers=None if query.customer is None else frozenset({query.customer})
        )
        page = await self._commands.page(principal, filter, query.first, query.before)
        return IntakeQueueState(
            at=now,
            queue=tuple(_depth(one, now.timestamp()) for one in await self._commands.depths(principal)),
            posting=None if principal.restricted else self._posting(principal),
            reconciliation=None if principal.restricted else await self._reconciliation(principal),
            intakes=tuple(_summary(one, now.timestamp()) for _, one in page.rows),
            next=str(page.rows[-1][0]) if page.has_next else None,
        )

    async def decide(self, principal: Principal, id: str, given: IntakeDecisionRequest) -> IntakeSummary:
        """The order after a decision. Raises NotFound, InvalidInput, InvalidTransition, VersionConflict, IntakeBusy,
        StoreUnavailable."""
        if given.decision not in DECISIONS:
            raise InvalidInput(f"decision must be one of {', '.join(DECISIONS)}.")
        if given.note is not None and (len(given.note) > MAX_NOTE or not given.note.isprintable()):
            raise InvalidInput(f"note must have at most {MAX_NOTE} characters, without control characters.")
        changed = await self._commands.decide(principal, id, given.version, given.decision, given.note, staff=True)
        if changed is None:
            raise NotFound("There is no such order.")
        return _summary(changed, self._clock().timestamp())

    async def reconcile(self, principal: Principal, given: ReconciliationRequest) -> ReconciliationState:
        """Start a reconciliation, unless one runs. Raises Forbidden for callers who see some customers only,
        InvalidInput, StoreUnavailable."""
        if principal.restricted:
            raise Forbidden("Reconciliation is of all customers, and your role sees some.")
        if not 0 < given.days <= MAX_DAYS:
            raise InvalidInput(f"days must be greater than 0 and at most {MAX_DAYS:g}.")
        await self._commands.reconciliations.start(principal, given.days)
        return await self._reconciliation(principal)

    def _posting(self, principal: Principal) -> tuple[PostingState, ...]:
        self._timeline.sample()
        targets = self._sources.order_targets
        names: Sequence[str] = () if targets is None else sorted(targets.writers)
        return tuple(
            PostingState(source=name, timeline=self._timeline.posting(name))
            for name in names
            if principal.belongs_to(self._sources.connected[name].tenant)
        )

    async def _reconciliation(self, principal: Principal) -> ReconciliationState:
        status = await self._commands.reconciliations.status(principal)
        return _result(status.running, status.last)


def _depth(one: QueueDepth, now: float) -> QueueState:
    return QueueState(
        target=one.target, state=one.state, count=one.count, oldest_seconds=round(max(now - one.oldest, 0.0), 1)
    )


def _summary(one: OrderIntake, now: float) -> IntakeSummary:
    possible = applicable(one)
    return IntakeSummary(
        id=one.id,
        version=one.version,
        state=one.state,
        received_at=one.received_at,
        seconds_in_state=round(max(now - one.since, 0.0), 1),
        customer=one.customer,
        customer_po=one.customer_po,
        target=one.target,
        attempts=one.attempts,
        order_number=one.order_number,
        cause=one.cause,
        problems=tuple(map(_problem, one.problems)),
        actions=tuple(decision for decision in DECISIONS if decision in possible),
    )


def _problem(one: IntakeProblem) -> ProblemState:
    return ProblemState(code=one.code, message=one.message, line_number=one.line_number)


def _result(running: bool, last: ReconciliationResult | None) -> ReconciliationState:
    if last is None:
        return ReconciliationState(running=running)
    return ReconciliationState(
        running=running,
        since=_time(last.since),
        finished_at=_time(last.finished),
        compared=last.compared,
        doubled=last.doubled,
        missing=last.missing,
        unrecorded=last.unrecorded,
        failure=last.failure,
        keys=tuple(map(_key, last.keys)),
    )


def _key(one: ReconciledKey) -> ReconciledKeyState:
    return ReconciledKeyState(
        kind=one.kind,
        id=one.id,
        customer=one.customer,
        customer_po=one.customer_po,
        target=one.target,
        orders=one.orders,
    )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
