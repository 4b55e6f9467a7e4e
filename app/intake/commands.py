"""The commands of order intake: submit, decide, retry, and the reads beside them, for one caller at a time.

Rows of other tenants, and of customers that the caller may not see, do not exist for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from app.auth.principal import SYSTEM, Principal
from app.errors import (
    ApprovalOutdated,
    ApprovalRequired,
    DuplicatePO,
    Forbidden,
    InvalidInput,
    InvalidTransition,
    KeyReused,
    NotSupported,
    QuoteExpired,
    VersionConflict,
)
from app.intake.approvals import Approvals
from app.intake.checks import OrderChecker, count_prices
from app.intake.order_changes import OrderChanges
from app.intake.reconcile import ReconciliationRunner
from app.intake.records import (
    ACCEPT_QUOTE,
    AMEND,
    OPEN_STATES,
    SUBMIT_ORDER,
    Acknowledgement,
    Decision,
    IntakeContent,
    IntakeDecision,
    IntakeFilter,
    IntakeLine,
    IntakeProblem,
    IntakeState,
    OrderIntake,
    QueueDepth,
    digest_of,
    held_as_duplicate,
    with_problems,
)
from app.intake.return_requests import ReturnCommands
from app.intake.store import IntakeKey, IntakePage, IntakeStore
from app.settings import IntakeSettings
from app.sources.order_writer import AcceptedQuote
from app.sources.quotes import Quote, QuoteLine, QuoteStatus
from app.sources.source import Sources
from app.telemetry import current, log, metrics, new_id

DAY = 86_400.0
DEFAULT_CHANNEL = "API"
MAX_OPEN = 5000
STUCK_AFTER = 15 * 60
"""Seconds in the queue after which an intake does not proceed as it should."""

_RESULTS: Mapping[Decision, tuple[frozenset[IntakeState], IntakeState]] = {
    Decision.APPROVE: (frozenset({IntakeState.NEEDS_APPROVAL}), IntakeState.POSTING),
    Decision.RELEASE: (frozenset({IntakeState.HELD}), IntakeState.POSTING),
    Decision.REJECT: (
        frozenset({IntakeState.HELD, IntakeState.RECEIVED, IntakeState.NEEDS_APPROVAL}),
        IntakeState.REJECTED,
    ),
    Decision.CANCEL: (OPEN_STATES, IntakeState.CANCELLED),
    Decision.RETRY: (frozenset({IntakeState.FAILED}), IntakeState.POSTING),
}
"""The states that a decision applies to, and the state that it leads to."""


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it was submitted. `customer` is the customer's number."""

    key: str
    customer: str
    customer_po: str
    content: IntakeContent


class QuoteAcceptance(msgspec.Struct, frozen=True, kw_only=True):
    """What a customer adds to the version of a quote that it accepts. `content` has no lines."""

    version: int
    customer_po: str
    content: IntakeContent


class IntakeCommands:
    """Commands over one store. `clock` is the time of day."""

    def __init__(
        self, store: IntakeStore, sources: Sources, settings: IntakeSettings, clock: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._sources = sources
        self._settings = settings
        self._clock = clock
        self._checker = OrderChecker(sources, settings, clock)
        self._approvals = Approvals(settings.approvals)
        self.order_changes = OrderChanges(store, sources)
        self.reconciliations = ReconciliationRunner(store, sources, clock)
        self.returns = ReturnCommands(store, sources)
        self.max_lines = settings.max_lines

    async def submit(self, principal: Principal, given: Submission) -> OrderIntake:
        """The intake of this key: checked and stored now, or as it is if the key is known with the same input. Raises
        KeyReused for another input, InvalidInput, NotSupported, StoreUnavailable."""
        self._require_visible(principal, given.customer)
        digest = digest_of(given.customer, given.customer_po, given.content)
        key = IntakeKey(principal.tenant, principal.client, SUBMIT_ORDER, given.key)
        if self._settings.checks:  # Without any, the insertion itself finds the key.
            known = (await self._store.by_key([key])).get(key)
            if known is not None:
                return self._replayed(principal, known, digest)
        target = self._target_of(principal, given.customer)
        return await self._store_checked(principal, self._received(principal, given, key, digest, target))

    async def accept_quote(self, principal: Principal, quote: Quote, given: QuoteAcceptance) -> OrderIntake:
        """The intake that orders an offered quote at its prices. A quote has one intake, whoever accepts it: that of an
        earlier acceptance is returned as it is, unless it was rejected or cancelled. Raises VersionConflict,
        QuoteExpired, InvalidTransition, NotSupported, StoreUnavailable."""
        number, known = (await self._acceptances(principal, [(quote.source, quote.id)]))[quote.source, quote.id]
        if known is not None and known.acknowledgement is not Acknowledgement.REJECTED:
            return self._replayed(principal, known, known.digest)
        check_offered(quote, given.version, self._clock())
        targets = self._sources.order_targets
        if targets is None or quote.source not in targets.writers:
            raise NotSupported(f"The source '{quote.source}' does not take orders.")
        now = self._clock()
        accepted = AcceptedQuote(id=quote.id, version=quote.version, accepted_at=now)
        content = msgspec.structs.replace(given.content, lines=tuple(map(_ordered, quote.lines)), quote=accepted)
        key = _acceptance_key(principal, quote.source, quote.id, number + 1 if known is not None else number)
        submission = Submission(
            key=key.key, customer=quote.customer or "", customer_po=given.customer_po, content=content
        )
        digest = hashlib.sha256(key.key.encode()).hexdigest()
        return await self._store_checked(principal, self._received(principal, submission, key, digest, quote.source))

    async def acceptances(
        self, principal: Principal, quotes: Sequence[tuple[str, str]]
    ) -> Mapping[tuple[str, str], OrderIntake]:
        """The newest intakes of quotes, by source and the quote's id there, those that exist for the caller."""
        found = await self._acceptances(principal, quotes)
        return {key: one for key, (_, one) in found.items() if one is not None and _exists(principal, one)}

    async def _acceptances(
        self, principal: Principal, quotes: Sequence[tuple[str, str]]
    ) -> dict[tuple[str, str], tuple[int, OrderIntake | None]]:
        """For each quote the number and intake of its newest acceptance: a new one follows one that was refused."""
        newest: dict[tuple[str, str], tuple[int, OrderIntake | None]] = dict.fromkeys(quotes, (1, None))
        number, requested = 1, list(newest)
        while requested:
            keys = {_acceptance_key(principal, *one, number): one for one in requested}
            found = {keys[key]: intake for key, intake in (await self._store.by_key(list(keys))).items()}
            newest |= {one: (number, intake) for one, intake in found.items()}
            refused = [one for one, row in found.items() if row.acknowledgement is Acknowledgement.REJECTED]
            number, requested = number + 1, refused
        return newest

    def _received(
        self, principal: Principal, given: Submission, key: IntakeKey, digest: str, target: str
    ) -> OrderIntake:
        now = self._clock().timestamp()
        return OrderIntake(
            id=new_id(),
            tenant=key.tenant,
            client=key.client,
            mutation=key.mutation,
            key=key.key,
            digest=digest,
            state=IntakeState.RECEIVED,
            channel=self._channel_of(principal),
            received=now,
            since=now,
            submitted_by=principal.subject,
            customer=given.customer,
            customer_po=given.customer_po,
            target=target,
            due_at=0.0,
            content=msgspec.structs.replace(
                given.content,
                submitter_roles=tuple(role.value for role in principal.role_names),
                spend_limit=principal.spend_limit,
            ),
        )

    async def _store_checked(self, principal: Principal, intake: OrderIntake) -> OrderIntake:
        """Check a new intake and store it; the stored one of its key if there is one already."""
        checked = await self._checker.check(principal, intake)
        submitted = await self._store.submit(checked, guard_po=self._settings.duplicate_po_days * DAY)
        if not submitted.created:
            return self._replayed(principal, submitted.intake, intake.digest)
        stored = submitted.intake
        metrics().intake.submitted.labels(stored.channel, stored.acknowledgement.value).inc()
        if stored.state is not IntakeState.RECEIVED:
            count_prices(stored)
        self._audit(principal, stored, "order_submitted")
        return stored

    async def decide(
        self,
        principal: Principal,
        id: str,
        version: int,
        decision: Decision,
        note: str | None = None,
        *,
        staff: bool = False,
    ) -> OrderIntake | None:
        """Apply a decision to the version that the caller has read; None if there is no such intake for it. `staff` may
        release and reject; at a tier its approvers approve and reject. An approval repeats all checks first, and counts
        if nothing that it is based on has changed. Raises InvalidTransition, VersionConflict, IntakeBusy, SelfApproval,
        ApprovalNotAllowed, Forbidden."""
        known = (await self.by_id(principal, [id])).get(id)
        if known is None:
            return None
        checked: OrderIntake | None = None
        if decision is Decision.APPROVE and known.state is IntakeState.NEEDS_APPROVAL and known.version == version:
            self._approvals.require_approver(principal, known)
            checked = await self._checker.check(replace(SYSTEM, tenant=known.tenant), known)

        def apply(intake: OrderIntake, now: float) -> OrderIntake:
            at_tier = intake.state is IntakeState.NEEDS_APPROVAL and decision in (Decision.APPROVE, Decision.REJECT)
            if at_tier:
                self._approvals.require_approver(principal, intake)
            elif decision in (Decision.RELEASE, Decision.REJECT) and not staff:
                raise Forbidden("Your role may only cancel orders.")
            made = IntakeDecision(
                decision=decision.value, by=principal.subject, at=datetime.fromtimestamp(now, UTC), note=note
            )
            if at_tier:
                made = _at_tier(made, intake)
            if at_tier and decision is Decision.APPROVE:
                if checked is None:
                    raise VersionConflict
                return _approved(checked, made)
            return decided(intake, made, self._approvals.enabled)

        changed = await self._store.change(id, version, apply)
        if changed is not None:
            self._audit(principal, changed, "intake_decided", decision=decision.value)
        return changed

    async def amend(
        self, principal: Principal, known: OrderIntake, quantities: Mapping[int, Decimal], note: str | None
    ) -> tuple[OrderIntake, tuple[IntakeProblem, ...]]:
        """Change quantities of lines of an intake that is not posted, by line number; 0 removes the line. All checks
        are repeated, approvals begin anew. The intake and its problems; if the checks reject the order, the intake as
        it was with the problems of the amendment. Raises InvalidTransition, VersionConflict, IntakeBusy."""
        _require_amendable(known)
        lines = _amended(known.content.lines, quantities)
        if lines == known.content.lines:
            return known, ()
        content = msgspec.structs.replace(known.content, lines=lines, approval=None)
        system = replace(SYSTEM, tenant=known.tenant)
        checked = await self._checker.check(system, msgspec.structs.replace(known, content=content))
        if checked.state is IntakeState.REJECTED:
            return known, checked.problems
        if not known.approvals:
            problems = (one for one in checked.problems if one.code != ApprovalOutdated.code)
            checked = msgspec.structs.replace(checked, content=with_problems(checked, problems))
        if any(one.code == DuplicatePO.code for one in known.problems):
            checked = held_as_duplicate(checked)

        def apply(intake: OrderIntake, now: float) -> OrderIntake:
            _require_amendable(intake)
            made = IntakeDecision(decision=AMEND, by=principal.subject, at=datetime.fromtimestamp(now, UTC), note=note)
            decisions = (*checked.content.decisions, made)
            content = msgspec.structs.replace(checked.content, decisions=decisions)
            return msgspec.structs.replace(intake, state=checked.state, attempts=0, content=content)

        changed = await self._store.change(known.id, known.version, apply)
        if changed is None:
            raise VersionConflict
        self._audit(principal, changed, "intake_amended")
        return changed, changed.problems

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, OrderIntake]:
        """Intakes by id, those that exist for the caller."""
        found = await self._store.by_id(ids)
        return {id: one for id, one in found.items() if _exists(principal, one)}

    async def by_key(self, principal: Principal, key: str) -> OrderIntake | None:
        """The intake of a key of the caller's own client."""
        scoped = IntakeKey(principal.tenant, principal.client, SUBMIT_ORDER, key)
        found = (await self._store.by_key([scoped])).get(scoped)
        return found if found is not None and _exists(principal, found) else None

    async def by_order(
        self, principal: Principal, orders: Sequence[tuple[str, str]]
    ) -> Mapping[tuple[str, str], OrderIntake]:
        """The intakes that became orders, by source and the order's id there."""
        by_source: dict[str, list[str]] = {}
        for source, id in orders:
            by_source.setdefault(source, []).append(id)
        found: dict[tuple[str, str], OrderIntake] = {}
        for source, ids in by_source.items():
            intakes = await self._store.by_order(source, list(dict.fromkeys(ids)))
            found |= {(source, id): one for id, one in intakes.items() if _exists(principal, one)}
        return found

    async def open_of(
        self, principal: Principal, customers: Sequence[str], first: int, posted_within: int = 0
    ) -> Mapping[str, Sequence[OrderIntake]]:
        """The `first` intakes of each customer that are not orders yet, or are since `posted_within` seconds, newest
        first; of all customers together at most the MAX_OPEN newest."""
        posted_since = self._clock().timestamp() - posted_within if posted_within else None
        query = IntakeFilter(customers=frozenset(customers), states=OPEN_STATES, posted_since=posted_since)
        found: dict[str, list[OrderIntake]] = {}
        for _, one in (await self.page(principal, query, MAX_OPEN, None)).rows:
            found.setdefault(one.customer, []).append(one)
        return {customer: rows[:first] for customer, rows in found.items()}

    async def page(self, principal: Principal, query: IntakeFilter, first: int, before: int | None) -> IntakePage:
        """A page of intakes that exist for the caller, newest first."""
        return await self._store.page(_existing(principal, query), first, before)

    async def not_proceeding(self, principal: Principal, first: int, before: int | None, *, count: bool) -> IntakePage:
        """A page of the intakes that are held, failed, or queued for more than STUCK_AFTER seconds, newest first."""
        query = _existing(principal, IntakeFilter(queued_before=self._clock().timestamp() - STUCK_AFTER))
        page = await self._store.page(query, first, before)
        return page._replace(total=await self._store.count(query)) if count else page

    async def depths(self, principal: Principal) -> Sequence[QueueDepth]:
        """The queue of intakes that exist for the caller, by target and state."""
        return await self._store.depths(_existing(principal, IntakeFilter()))

    async def awaiting_approval(self, principal: Principal, first: int, before: int | None) -> IntakePage:
        """A page of the intakes that the caller may approve or reject, newest first: never its own submissions."""
        query = IntakeFilter(tiers=self._approvals.tiers_of(principal), not_submitted_by=principal.subject)
        return await self.page(principal, query, first, before)

    def _require_visible(self, principal: Principal, customer: str) -> None:
        if not principal.sees(customer):
            raise InvalidInput("There is no such customer.")

    def _channel_of(self, principal: Principal) -> str:
        return self._settings.channels.get(principal.client, DEFAULT_CHANNEL)

    def _target_of(self, principal: Principal, customer: str) -> str:
        targets = self._sources.order_targets
        if targets is None:
            raise NotSupported("None of the connected systems accepts orders.")
        target = targets.target_of(customer, self._channel_of(principal))
        if not principal.belongs_to(self._sources.connected[target].tenant):
            raise NotSupported("None of the connected systems accepts orders.")
        return target

    def _replayed(self, principal: Principal, known: OrderIntake, digest: str) -> OrderIntake:
        if known.digest != digest or not _exists(principal, known):
            raise KeyReused
        metrics().intake.submitted.labels(known.channel, "replayed").inc()
        self._audit(principal, known, "order_submission_replayed")
        return known

    @staticmethod
    def _audit(principal: Principal, intake: OrderIntake, event: str, **fields: str) -> None:
        """Who did what, with which key, and what came of it: in the log, and as the request's audit entry."""
        current().commands.append(f"{event} {intake.key} {intake.id} {intake.state.value}")
        log.info(
            "intake_command", command=event, intake=intake.id, key=intake.key, client=principal.client,
            subject=principal.subject, tenant=principal.tenant, customer=intake.customer, state=intake.state.value,
            version=intake.version, **fields,
        )  # fmt: skip


def _acceptance_key(principal: Principal, source: str, id: str, number: int) -> IntakeKey:
    return IntakeKey(principal.tenant, "", ACCEPT_QUOTE, f"{source}:{id}:{number}")


def _ordered(line: QuoteLine) -> IntakeLine:
    return IntakeLine(
        line_number=line.number,
        sku=line.sku,
        quantity=line.quantity,
        uom=line.uom,
        quoted_price=line.unit_price,
        quoted_price_unit=line.price_unit,
        unit_price=line.unit_price,
        price_unit=line.price_unit,
    )


def check_offered(quote: Quote, version: int, now: datetime) -> None:
    """Raise VersionConflict, QuoteExpired or InvalidTransition unless the quote can be accepted in this version."""
    if quote.version != version:
        raise VersionConflict
    ended = quote.valid_to is not None and quote.valid_to < now.astimezone(UTC).date()
    if quote.status is QuoteStatus.EXPIRED or (quote.status is QuoteStatus.OFFERED and ended):
        raise QuoteExpired
    if quote.status is not QuoteStatus.OFFERED:
        raise InvalidTransition(f"ACCEPT does not apply to a quote that is {quote.status.value}.")


def _existing(principal: Principal, query: IntakeFilter) -> IntakeFilter:
    customers = query.customers
    if principal.restricted:
        customers = principal.customers if customers is None else customers & principal.customers
    return msgspec.structs.replace(query, tenant=principal.tenant, customers=customers)


def _exists(principal: Principal, intake: OrderIntake) -> bool:
    return principal.tenant == intake.tenant and principal.sees(intake.customer)


def decided(intake: OrderIntake, made: IntakeDecision, needs_approval: bool) -> OrderIntake:
    """The intake after a decision. With `needs_approval` it is not posted before the approvals that it needs are known
    and given. Raises InvalidTransition."""
    decision = Decision(made.decision)
    states, result = _RESULTS[decision]
    if intake.state not in states:
        raise InvalidTransition(f"{decision.value} does not apply to an order that is {intake.state.value}.")
    if result in (IntakeState.CANCELLED, IntakeState.REJECTED) and intake.may_have_been_sent:
        raise InvalidTransition("The system of record may have this order already. Retry it; then cancel it there.")
    problems = () if result is IntakeState.POSTING else _without_approval(intake.content.problems)
    content = msgspec.structs.replace(with_problems(intake, problems), decisions=(*intake.content.decisions, made))
    attempts = 0 if decision is Decision.RETRY else intake.attempts
    changed = msgspec.structs.replace(intake, state=result, attempts=attempts, content=content)
    if result is not IntakeState.POSTING or not needs_approval or intake.may_have_been_sent:
        return changed
    if content.approval is None:
        return msgspec.structs.replace(changed, state=IntakeState.RECEIVED)
    return Approvals.awaiting(changed)


def applicable(intake: OrderIntake) -> tuple[Decision, ...]:
    """The decisions that apply to an intake as it is, for staff; approvals are of the approvers."""
    final = (IntakeState.CANCELLED, IntakeState.REJECTED)
    return tuple(
        decision
        for decision, (states, result) in _RESULTS.items()
        if decision is not Decision.APPROVE
        and intake.state in states
        and not (result in final and intake.may_have_been_sent)
        and not (decision is Decision.REJECT and intake.state is IntakeState.NEEDS_APPROVAL)
    )


def _require_amendable(intake: OrderIntake) -> None:
    if intake.state not in OPEN_STATES:
        raise InvalidTransition(f"AMEND does not apply to an order that is {intake.state.value}.")
    if intake.content.quote is not None:
        raise InvalidTransition("An accepted quote is ordered as it is. Cancel the order and renegotiate the quote.")
    if intake.may_have_been_sent:
        raise InvalidTransition("The system of record may have this order already. Amend it once it is posted.")


def _amended(lines: Sequence[IntakeLine], quantities: Mapping[int, Decimal]) -> tuple[IntakeLine, ...]:
    """The lines with these quantities; a quantity of the same value changes nothing."""
    changed = [
        line
        if quantities.get(line.line_number, line.quantity) == line.quantity
        else msgspec.structs.replace(line, quantity=quantities[line.line_number])
        for line in lines
    ]
    return tuple(line for line in changed if line.quantity)


def _without_approval(problems: Sequence[IntakeProblem]) -> tuple[IntakeProblem, ...]:
    return tuple(one for one in problems if one.code not in (ApprovalRequired.code, ApprovalOutdated.code))


def _at_tier(made: IntakeDecision, intake: OrderIntake) -> IntakeDecision:
    required = intake.content.approval
    amount = None if required is None else required.amount
    return msgspec.structs.replace(made, tier=intake.awaited_tier, amount=amount, version=intake.version)


def _approved(checked: OrderIntake, made: IntakeDecision) -> OrderIntake:
    """The intake after the approval of a tier and the checks that it has repeated. If these require other approvals, or
    do not pass, the approval is not recorded; while one is UNKNOWN it is, and the checks are repeated."""
    if not checked.content.counts(made) or checked.state in (IntakeState.HELD, IntakeState.REJECTED):
        return checked
    content = msgspec.structs.replace(checked.content, decisions=(*checked.content.decisions, made))
    if checked.state is IntakeState.RECEIVED:
        return msgspec.structs.replace(checked, content=content)
    content = msgspec.structs.replace(content, problems=_without_approval(content.problems))
    return Approvals.awaiting(msgspec.structs.replace(checked, state=IntakeState.POSTING, content=content))
