"""The intake record: a submitted order, from its acceptance to the order of the system of record."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum

import msgspec

from app.errors import DuplicatePO, OrderProblem
from app.intake.spending import SpendingCheck
from app.sources.node_ids import node_id
from app.sources.order_writer import AcceptedQuote, LineQuantity
from app.sources.prices import PriceComparison, compare_prices
from app.sources.values import Money, Record, Timestamp

SUBMIT_ORDER, CANCEL_ORDER, AMEND_ORDER = "submitOrder", "cancelOrder", "amendOrder"
REQUEST_RETURN = "requestReturn"
ACCEPT_QUOTE = "decideQuote"
"""The mutations whose keys these are: a part of the scope of a key."""

AMEND = "AMEND"
"""What an amendment is called among the decisions on an intake."""

ONE = Decimal(1)


class IntakeState(StrEnum):
    """How far an intake is.

    RECEIVED   stored; a check could not be made yet           POSTING    checks passed; waits for the system of record
    HELD       stored; waits for a decision                     POSTED     the system of record has the order
    REJECTED   a check or the system of record refused it       FAILED     given up; a person replays or cancels it
    CANCELLED  cancelled                                  NEEDS_APPROVAL  checks passed; waits for an approval
    """

    RECEIVED = "RECEIVED"
    NEEDS_APPROVAL = "NEEDS_APPROVAL"
    HELD = "HELD"
    POSTING = "POSTING"
    POSTED = "POSTED"
    REJECTED = "REJECTED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


QUEUED = frozenset({IntakeState.RECEIVED, IntakeState.POSTING})
"""States in which an intake is in the queue of the engine."""

OPEN_STATES = QUEUED | {IntakeState.NEEDS_APPROVAL, IntakeState.HELD, IntakeState.FAILED}
"""States of an intake that may still become an order."""


class Acknowledgement(StrEnum):
    """The answer to the submitter."""

    ACCEPTED = "ACCEPTED"
    PENDING = "PENDING"
    REJECTED = "REJECTED"


class CheckKind(StrEnum):
    """The checks before acceptance."""

    CUSTOMER = "CUSTOMER"
    SHIP_TO = "SHIP_TO"
    ITEM = "ITEM"
    UNIT = "UNIT"
    PRICE = "PRICE"
    CREDIT = "CREDIT"
    AVAILABILITY = "AVAILABILITY"


class IntakeCheckResult(StrEnum):
    """The result of a check. UNKNOWN: its source did not answer; the check is repeated."""

    PASSED = "PASSED"
    WARNED = "WARNED"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"


class IntakeCheck(Record):
    """One check; `line_number` is None for checks of the whole order. `source` is the configured name."""

    kind: CheckKind
    result: IntakeCheckResult
    message: str | None = None
    source: str | None = None
    at: Timestamp
    line_number: int | None = None


class IntakeProblem(Record):
    """A problem of the order. `code` is of the error registry, `path` names the input field."""

    code: str
    message: str
    cure: str | None = None
    path: tuple[str, ...] | None = None
    line_number: int | None = None


class IntakeLine(Record):
    """An ordered line. The item was named by one of `sku`, `gtin` and `part_number`; `sku` is set once it is known.
    `uom` is None for the base unit. `proof` is that of the price that was quoted, `quoted_price` of `quoted_price_unit`
    units, known once the proof is verified. `unit_price` is the price of `price_unit` units that the checks found.
    `order_key` is the target and id of the posted order; it is not stored with the line."""

    line_number: int
    sku: str | None = None
    gtin: str | None = None
    part_number: str | None = None
    quantity: Decimal
    uom: str | None = None
    requested_date: date | None = None
    proof: str | None = None
    quoted_price: Money | None = None
    quoted_price_unit: Decimal = Decimal(1)
    unit_price: Money | None = None
    price_unit: Decimal = Decimal(1)
    order_key: tuple[str, str] | None = None

    @property
    def quoted(self) -> Money | None:
        """The price that was proven; without a proof, the price that the checks found."""
        return self.unit_price if self.quoted_price is None else self.quoted_price

    @property
    def quoted_unit(self) -> Decimal:
        """The number of units that `quoted` is for."""
        return self.price_unit if self.quoted_price is None else self.quoted_price_unit

    @property
    def current(self) -> Money | None:
        """The price that the checks found."""
        return self.unit_price

    @property
    def price_comparison(self) -> PriceComparison | None:
        """The current price beside the proven one; None unless both are known."""
        if self.quoted_price is None or self.unit_price is None:
            return None
        return compare_prices(self.quoted_price, self.quoted_price_unit, self.unit_price, self.price_unit)


class PriceCheck(Record):
    """The prices of an order line in one unit, and on one invoice if it is invoiced. `quoted` is of `quoted_unit`
    units, the others of one. None where the rows do not tell."""

    order_number: str
    invoice_number: str | None = None
    line_number: int
    sku: str | None = None
    uom: str
    quoted: Money | None = None
    quoted_unit: Decimal = ONE
    ordered: Money | None = None
    invoiced: Money | None = None

    @property
    def result(self) -> PriceComparison | None:
        """The invoiced price beside the quoted one, and if these are equal, the ordered price. The ordered price counts
        as quoted where there was no proof. None while fewer than two prices are known."""
        known = [(self.quoted, self.quoted_unit), (self.ordered, ONE), (self.invoiced, ONE)]
        prices = [(price, unit) for price, unit in known if price is not None]
        if len(prices) < 2:
            return None
        (first, unit), later = prices[0], prices[1:]
        compared = [compare_prices(first, unit, price, of) for price, of in reversed(later)]
        return next((one for one in compared if one is not PriceComparison.EQUAL), PriceComparison.EQUAL)


class Decision(StrEnum):
    """What a person decides on an intake."""

    APPROVE = "APPROVE"
    RELEASE = "RELEASE"
    REJECT = "REJECT"
    CANCEL = "CANCEL"
    RETRY = "RETRY"


class IntakeDecision(Record):
    """A decision of a person: what was done, by whom, and the reason given. That of an approver has the tier, the
    amount of the order and the version that it was based on."""

    decision: str
    by: str
    at: Timestamp
    note: str | None = None
    tier: str | None = None
    amount: Money | None = None
    version: int | None = None


class Approval(Record):
    """The decision of an approver at a tier, on an order of that amount. `current` says that it counts: that the order
    has not changed since in a way that requires another approval."""

    tier: str
    decision: Decision
    by: str
    at: Timestamp
    amount: Money | None = None
    note: str | None = None
    current: bool


class ApprovalRequirement(Record):
    """The approvals that an order needs: none without `tiers`, which approve one after the other. `rules` are the names
    of the rules that apply. `amount` is the order's at the checked prices, None if these are not in one currency.
    Approvals of versions before `version` do not count. `spending` has the limits of periods that apply."""

    rules: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()
    amount: Money | None = None
    version: int
    spending: SpendingCheck | None = None


class IntakeContent(Record):
    """What was ordered, and what was found out about it. `ship_to` is the id of a location of the customer.
    `submitter_roles` and `spend_limit` are the submitter's. `approval` is None until all prices are known. An order of
    a `quote`, which the intake's target has, has the prices of its lines."""

    ship_to: str | None = None
    requested_date: date | None = None
    note: str | None = None
    allow_duplicate_po: bool = False
    allow_partial: bool = True
    allow_substitutes: bool = False
    lines: tuple[IntakeLine, ...]
    checks: tuple[IntakeCheck, ...] = ()
    problems: tuple[IntakeProblem, ...] = ()
    decisions: tuple[IntakeDecision, ...] = ()
    submitter_roles: tuple[str, ...] = ()
    spend_limit: Decimal | None = None
    approval: ApprovalRequirement | None = None
    quote: AcceptedQuote | None = None

    def counts(self, decision: IntakeDecision) -> bool:
        """Whether it is of an approver, and of the order as it is now."""
        required = self.approval
        return required is not None and decision.version is not None and decision.version >= required.version

    @property
    def missing_tier(self) -> str | None:
        """The tier that has to approve next; None if none has to."""
        approved = {one.tier for one in self.decisions if one.decision == Decision.APPROVE and self.counts(one)}
        tiers = () if self.approval is None else self.approval.tiers
        return next((tier for tier in tiers if tier not in approved), None)


class OrderIntake(Record):
    """A submitted order.

    `key` is the submitter's, unique within tenant, client and mutation; `digest` covers the input that it stands for.
    `version` increases with each change that a reader can see. `target` is the source that takes the order. `sent_at`
    is when the last request that may have reached the target was sent; `attempts` counts these. `due_at` is the time of
    the next step of a queued intake, `since` when the state was entered. `owner` holds a claim until `lease_until`.
    `cause` is the code of the last failure. Times are in seconds since 1970.
    """

    id: str
    tenant: str
    client: str
    mutation: str = SUBMIT_ORDER
    key: str
    digest: str
    version: int = 1
    state: IntakeState
    channel: str
    received: float
    since: float
    submitted_by: str
    customer: str
    customer_po: str
    target: str
    attempts: int = 0
    sent_at: float | None = None
    due_at: float
    owner: str | None = None
    lease_until: float | None = None
    order_id: str | None = None
    order_number: str | None = None
    cause: str | None = None
    content: IntakeContent

    @property
    def node_id(self) -> str:
        """The id in the graph."""
        return node_id("OrderIntake", self.id)

    @property
    def received_at(self) -> datetime:
        """When it was submitted."""
        return datetime.fromtimestamp(self.received, UTC)

    @property
    def next_attempt_at(self) -> datetime | None:
        """When the next attempt is due; None if none is planned, or it is due from the beginning."""
        return datetime.fromtimestamp(self.due_at, UTC) if self.state in QUEUED and self.due_at else None

    @property
    def requested_date(self) -> date | None:
        """The requested date of the order."""
        return self.content.requested_date

    @property
    def ship_to(self) -> str | None:
        """The id of the ship-to location."""
        return self.content.ship_to

    @property
    def note(self) -> str | None:
        """The submitter's note."""
        return self.content.note

    @property
    def lines(self) -> tuple[IntakeLine, ...]:
        """The lines; those of a posted order know it."""
        if self.order_id is None:
            return self.content.lines
        key = (self.target, self.order_id)
        return tuple(msgspec.structs.replace(line, order_key=key) for line in self.content.lines)

    @property
    def quote_key(self) -> tuple[str, str] | None:
        """Source and id of the quote that the order accepts."""
        return None if self.content.quote is None else (self.target, self.content.quote.id)

    @property
    def checks(self) -> tuple[IntakeCheck, ...]:
        """The checks before acceptance."""
        return self.content.checks

    @property
    def problems(self) -> tuple[IntakeProblem, ...]:
        """The problems of the order."""
        return self.content.problems

    @property
    def decisions(self) -> tuple[IntakeDecision, ...]:
        """Decisions of persons, oldest first."""
        return self.content.decisions

    @property
    def required_approval(self) -> ApprovalRequirement | None:
        """The approvals that the order needs; None if it needs none, or as far as is known."""
        required = self.content.approval
        return required if required is not None and required.tiers else None

    @property
    def awaited_tier(self) -> str | None:
        """The tier that the intake waits for; None in other states."""
        return self.content.missing_tier if self.state is IntakeState.NEEDS_APPROVAL else None

    @property
    def approvals(self) -> tuple[Approval, ...]:
        """The decisions of approvers, oldest first."""
        return tuple(
            Approval(
                tier=one.tier,
                decision=Decision(one.decision),
                by=one.by,
                at=one.at,
                amount=one.amount,
                note=one.note,
                current=self.content.counts(one),
            )
            for one in self.content.decisions
            if one.tier is not None
        )

    @property
    def acknowledgement(self) -> Acknowledgement:
        """The answer to the submitter. A FAILED intake was accepted and still is: a person sees to it."""
        if self.state in (IntakeState.REJECTED, IntakeState.CANCELLED):
            return Acknowledgement.REJECTED
        if self.state in (IntakeState.RECEIVED, IntakeState.NEEDS_APPROVAL, IntakeState.HELD):
            return Acknowledgement.PENDING
        return Acknowledgement.ACCEPTED

    @property
    def may_have_been_sent(self) -> bool:
        """Whether the target may have the order without our knowing."""
        return self.sent_at is not None and self.order_number is None


class IntakeFilter(Record):
    """A filter of intakes; None matches all. `customers` are the numbers visible to the caller, `tiers` those that an
    intake waits for, and `not_submitted_by` leaves out a submitter. `queued_before` selects what does not proceed: held
    and failed intakes, and those queued since before a time. Intakes POSTED since `posted_since` match `states` too."""

    tenant: str | None = None
    customers: frozenset[str] | None = None
    states: frozenset[IntakeState] | None = None
    customer_po: str | None = None
    target: str | None = None
    tiers: frozenset[str] | None = None
    not_submitted_by: str | None = None
    queued_before: float | None = None
    posted_since: float | None = None


class QueueDepth(Record):
    """Intakes of one target in one state: how many, and the time since which the oldest is in it."""

    target: str
    state: IntakeState
    count: int
    oldest: float


class OrderChangeState(StrEnum):
    """How far a change is. UNSENT: it was certainly not sent; SENT: it was sent, the outcome is not known yet."""

    UNSENT = "UNSENT"
    SENT = "SENT"
    DONE = "DONE"
    REFUSED = "REFUSED"


class OrderChange(Record):
    """A request to cancel an order of a source, to change quantities of its `lines`, or to return goods of it, under a
    key of the submitter. `order_id` is the source's own; `digest` covers the input. `cause` is the code of the problem
    of a refused one, whose `lines` are those that were refused. `result_id` is the source's id of a return."""

    tenant: str
    client: str
    mutation: str
    key: str
    digest: str
    source: str
    order_id: str
    order_number: str
    customer: str | None
    submitted_by: str
    lines: tuple[LineQuantity, ...] = ()
    reason: str | None = None
    state: OrderChangeState = OrderChangeState.SENT
    cause: str | None = None
    result_id: str | None = None


def po_key(number: str) -> str:
    """A purchase order number for comparison: case and spaces do not make another number."""
    return " ".join(unicodedata.normalize("NFKC", number).split()).casefold()


_NOT_SUBMITTED = frozenset({"submitterRoles", "spendLimit", "approval", "quote"})


def digest_of(customer: str, customer_po: str, content: IntakeContent) -> str:
    """SHA-256 of the normalised input: decimals by value, lines by number. It must not change between releases, so the
    fields that were added later and are no input are left out."""
    lines = sorted(content.lines, key=lambda line: line.line_number)
    plain = msgspec.structs.replace(content, lines=tuple(map(_normalised, lines)), checks=(), problems=(), decisions=())
    given = {name: value for name, value in msgspec.to_builtins(plain).items() if name not in _NOT_SUBMITTED}
    return hashlib.sha256(msgspec.json.encode([customer, customer_po, given])).hexdigest()


def _normalised(line: IntakeLine) -> IntakeLine:
    quantity = line.quantity.normalize()
    return IntakeLine(
        line_number=line.line_number,
        sku=line.sku,
        gtin=line.gtin,
        part_number=line.part_number,
        quantity=quantity,
        uom=line.uom,
        requested_date=line.requested_date,
        proof=line.proof,
    )


def problem_of(
    kind: type[OrderProblem], *, path: tuple[str, ...] | None = None, line_number: int | None = None
) -> IntakeProblem:
    """A problem with the code and texts of the error registry."""
    return IntakeProblem(code=kind.code, message=kind.default, cure=kind.cure, path=path, line_number=line_number)


def with_problems(intake: OrderIntake, problems: Iterable[IntakeProblem]) -> IntakeContent:
    """The content with these problems instead of those before."""
    return msgspec.structs.replace(intake.content, problems=tuple(problems))


def held_as_duplicate(intake: OrderIntake) -> OrderIntake:
    """The intake, held because its purchase order number was used before; one that is refused anyway stays refused."""
    if intake.state is IntakeState.REJECTED:
        return intake
    problems = (*intake.content.problems, problem_of(DuplicatePO, path=("input", "customerPo")))
    return msgspec.structs.replace(intake, state=IntakeState.HELD, content=with_problems(intake, problems))
