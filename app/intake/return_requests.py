"""Returns: requested once for each key, and decided on, one request of an order at a time.

begin ──> SENT ──> lock of the order ──> look-up ──> request ──> DONE, REFUSED
                    └── busy: UNSENT                   ├── not sent: UNSENT, and the key may be sent again
                                                       └── no outcome: key and order stay locked until the request can
                                                           no longer take effect; then the key is looked up
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec

from app.auth.principal import Principal
from app.errors import (
    DeadlineExceeded,
    InvalidTransition,
    KeyReused,
    LineUnknown,
    NotSupported,
    OrderChangePending,
    OrderNotDelivered,
    OrderProblem,
    ReturnExceedsDelivery,
    ReturnRefused,
    SelfApproval,
    SourceError,
    SourceRejected,
    SourceThrottled,
    TradegraphError,
    VersionConflict,
)
from app.intake.records import REQUEST_RETURN, IntakeProblem, OrderChange, OrderChangeState, problem_of
from app.intake.store import IntakeStore
from app.sources.billing import Return, ReturnShipmentState
from app.sources.order_writer import LineQuantity
from app.sources.orders import Order
from app.sources.return_writer import (
    NewReturn,
    NewReturnLine,
    ReturnDecision,
    ReturnDecisionKind,
    ReturnNotAccepted,
    ReturnRefusal,
    ReturnWriter,
)
from app.sources.source import Sources
from app.telemetry import current, log

CHANNEL = "API"
LOCK = "returnsOfOrder"
"""The scope of the keys that lock orders: a row that is SENT while a request of the order is under way."""

CLOSED = frozenset({ReturnShipmentState.REFUSED, ReturnShipmentState.CANCELLED})
_DECIDABLE = {
    ReturnDecisionKind.APPROVE: frozenset({ReturnShipmentState.REQUESTED}),
    ReturnDecisionKind.REJECT: frozenset({ReturnShipmentState.REQUESTED}),
    ReturnDecisionKind.CANCEL: frozenset({ReturnShipmentState.REQUESTED, ReturnShipmentState.APPROVED}),
}
"""The states of a return's goods that a decision applies to."""

_PROBLEMS: dict[str, type[OrderProblem]] = {
    one.code: one for one in (LineUnknown, OrderNotDelivered, ReturnExceedsDelivery)
}


class ReturnRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A return as it was requested, of an order that the caller sees."""

    key: str
    note: str | None
    lines: tuple[NewReturnLine, ...]


class ReturnProblems(Exception):
    """A request or a decision that was refused, by line if lines are named."""

    def __init__(self, problems: Sequence[IntakeProblem]) -> None:
        super().__init__(problems)
        self.problems = tuple(problems)


class _Refused(Exception):
    """A request that is not sent, or that the source refused: the code of the problem and its lines."""

    def __init__(self, code: str, lines: Sequence[int] = ()) -> None:
        super().__init__(code)
        self.code = code
        self.lines = tuple(lines)


class _Attempt(msgspec.Struct, frozen=True):
    """An attempt to send the request of a key that this call has begun."""

    principal: Principal
    writer: ReturnWriter
    order: Order
    given: ReturnRequest
    row: OrderChange
    began: float

    @property
    def age(self) -> float:
        return time.monotonic() - self.began


class ReturnCommands:
    """Requests returns of the sources that take them."""

    def __init__(self, store: IntakeStore, sources: Sources) -> None:
        self._store = store
        self._sources = sources

    async def request(self, principal: Principal, order: Order, given: ReturnRequest) -> str:
        """The id of the return of this key in the order's source: requested now, or before with the same input. Raises
        KeyReused for another input, OrderChangePending, ReturnProblems, NotSupported, SourceError, StoreUnavailable."""
        writer = self._writer(principal, order.source)
        row, began = _row(principal, order, given), time.monotonic()
        found, may_send = await self._store.begin_order_change(row, _retry_in(writer))
        if found.digest != row.digest:
            raise KeyReused
        if may_send:
            found = await self._send(_Attempt(principal, writer, order, given, found, began))
        else:
            _audit_request(principal, "return_request_replayed", found)
        if found.state is OrderChangeState.REFUSED:
            raise ReturnProblems(_problems_of(found))
        if found.state is not OrderChangeState.DONE or found.result_id is None:
            raise OrderChangePending
        return found.result_id

    async def decide(self, principal: Principal, known: Return, decision: ReturnDecision) -> None:
        """Approve, reject or cancel a return that the caller sees. Raises VersionConflict, InvalidTransition,
        SelfApproval, OrderChangePending, ReturnProblems, NotSupported, SourceError, StoreUnavailable."""
        cause: str | None = "UNKNOWN"
        try:
            await self._decide(principal, known, decision)
            cause = None
        except ReturnProblems:
            cause = ReturnRefused.code
            raise
        except TradegraphError as error:
            cause = error.code
            raise
        finally:
            text = f"{known.source}:{known.id} {decision.kind.value} {cause or OrderChangeState.DONE}"
            _audit(principal, "return_decided", text, known.source, known.id, cause)

    async def _decide(self, principal: Principal, known: Return, decision: ReturnDecision) -> None:
        writer = self._writer(principal, known.source)
        if known.version is None:
            raise NotSupported(f"The source '{known.source}' gives its returns no version.")
        if known.version != decision.version:
            raise VersionConflict
        if known.shipment_state not in _DECIDABLE[decision.kind]:
            state = known.shipment_state.value
            raise InvalidTransition(f"{decision.kind.value} does not apply to a return that is {state}.")
        if decision.kind is ReturnDecisionKind.APPROVE and known.requested_by == principal.subject:
            raise SelfApproval("You requested this return. Another person must approve it.")
        async with self._locked(principal, writer, known.source, known.order or known.id):
            try:
                await writer.decide(principal, decision)
            except ReturnNotAccepted as refused:
                raise _decision_error(known, refused) from None

    def _writer(self, principal: Principal, source: str) -> ReturnWriter:
        connected = self._sources.connected[source]
        if connected.return_writer is None or not principal.belongs_to(connected.tenant):
            raise NotSupported(f"The source '{source}' does not take returns.")
        return connected.return_writer

    async def _send(self, attempt: _Attempt) -> OrderChange:
        order = attempt.order
        try:
            async with self._locked(attempt.principal, attempt.writer, order.source, order.number):
                id = await self._created(attempt)
        except OrderChangePending as error:
            return await self._finish(attempt, OrderChangeState.UNSENT, error.code)
        except _Refused as refused:
            lines = tuple(line for line in attempt.row.lines if line.number in refused.lines)
            return await self._finish(attempt, OrderChangeState.REFUSED, refused.code, lines=lines)
        except TradegraphError as error:
            if _has_no_effect(error):
                await self._finish(attempt, OrderChangeState.UNSENT, error.code)
            raise
        return await self._finish(attempt, OrderChangeState.DONE, result_id=id)

    async def _created(self, attempt: _Attempt) -> str:
        """The id of the return of the key: that of an earlier request, if there is one. Raises _Refused, and
        OrderChangePending if it is too late to send a request."""
        principal, writer, key = attempt.principal, attempt.writer, _key_in_target(attempt.row)
        try:
            found = (await writer.find(principal, [key])).get(key)
            if found is not None:
                return found.id
            await self._check(principal, attempt.order, attempt.given)
        except (SourceError, DeadlineExceeded) as error:
            error.sent = False
            raise
        if attempt.age > writer.max_seconds:
            raise OrderChangePending
        try:
            return (await writer.request(principal, _new_return(principal, attempt.order, attempt.given, key))).id
        except ReturnNotAccepted as refused:
            log.warning("return_refused", source=attempt.order.source, detail=refused.detail)
            over = refused.refusal is ReturnRefusal.QUANTITY
            raise _Refused(ReturnExceedsDelivery.code if over else ReturnRefused.code, refused.lines) from None

    async def _check(self, principal: Principal, order: Order, given: ReturnRequest) -> None:
        """Quantities within what was delivered and is in no other return. Raises _Refused."""
        delivered = {line.number: line.shipped_quantity or 0 for line in order.lines}
        unknown = [line.number for line in given.lines if line.number not in delivered]
        if unknown:
            raise _Refused(LineUnknown.code, unknown)
        if not any(delivered.values()):
            raise _Refused(OrderNotDelivered.code)
        read = self._sources.by_ref("billing", order.source, "returns")
        rows = (await read(principal, [order.number])).get(order.number, ())
        returned = {line.number: 0 * line.quantity for line in order.lines}
        for row in rows:
            for line in row.lines if row.shipment_state not in CLOSED else ():
                if line.line_number in returned:
                    returned[line.line_number] += line.quantity
        for line in order.lines:
            returned[line.number] = max(returned[line.number], line.returned_quantity or 0 * line.quantity)
        over = [line.number for line in given.lines if line.quantity > delivered[line.number] - returned[line.number]]
        if over:
            raise _Refused(ReturnExceedsDelivery.code, over)

    @asynccontextmanager
    async def _locked(self, principal: Principal, writer: ReturnWriter, source: str, order: str) -> AsyncIterator[None]:
        """Lock an order for one request. A request without an outcome leaves it locked until it can no longer take
        effect. Raises OrderChangePending."""
        lock = OrderChange(
            tenant=principal.tenant, client="", mutation=LOCK, key=f"{source}:{order}", digest="", source=source,
            order_id="", order_number=order, customer=None, submitted_by="",
        )  # fmt: skip
        began = time.monotonic()
        _, is_free = await self._store.begin_order_change(lock, _retry_in(writer))
        if not is_free:
            raise OrderChangePending
        try:
            yield
        except BaseException as error:
            has_outcome = isinstance(error, _Refused | ReturnProblems)
            if has_outcome or (isinstance(error, TradegraphError) and _has_no_effect(error)):
                await self._unlock(lock, writer, began)
            raise
        await self._unlock(lock, writer, began)

    async def _unlock(self, lock: OrderChange, writer: ReturnWriter, began: float) -> None:
        """Unlock an order, unless another request may have locked it meanwhile."""
        if time.monotonic() - began < _retry_in(writer):
            await self._store.finish_order_change(msgspec.structs.replace(lock, state=OrderChangeState.UNSENT))

    async def _finish(
        self,
        attempt: _Attempt,
        state: OrderChangeState,
        cause: str | None = None,
        *,
        lines: tuple[LineQuantity, ...] | None = None,
        result_id: str | None = None,
    ) -> OrderChange:
        """Record the outcome; one other than DONE only while no other call may have sent the request again."""
        row, principal = attempt.row, attempt.principal
        lines = row.lines if lines is None else lines
        done = msgspec.structs.replace(row, state=state, cause=cause, lines=lines, result_id=result_id)
        if state is OrderChangeState.DONE or attempt.age < _retry_in(attempt.writer):
            await self._store.finish_order_change(done)
        _audit_request(principal, "return_requested", done)
        return done


def _has_no_effect(error: TradegraphError) -> bool:
    """Whether the failed request certainly has no effect on the source."""
    if not isinstance(error, (SourceError, DeadlineExceeded)):
        return True
    return not error.sent or isinstance(error, (SourceThrottled, SourceRejected))


def _retry_in(writer: ReturnWriter) -> float:
    """Seconds after which a request that begins now can no longer take effect: it is sent within `max_seconds` or not
    at all, and takes effect within as many."""
    return 2 * writer.max_seconds


def _row(principal: Principal, order: Order, given: ReturnRequest) -> OrderChange:
    lines = sorted(given.lines, key=lambda line: line.number)
    normalised = [msgspec.structs.replace(line, quantity=line.quantity.normalize() + 0) for line in lines]
    digested = msgspec.json.encode([order.source, order.id, given.note, normalised])
    return OrderChange(
        tenant=principal.tenant,
        client=principal.client,
        mutation=REQUEST_RETURN,
        key=given.key,
        digest=hashlib.sha256(digested).hexdigest(),
        source=order.source,
        order_id=order.id,
        order_number=order.number,
        customer=order.customer,
        submitted_by=principal.subject,
        lines=tuple(LineQuantity(number=line.number, quantity=line.quantity) for line in lines),
    )


def _key_in_target(row: OrderChange) -> str:
    scope = msgspec.json.encode([row.tenant, row.client, row.mutation, row.key])
    return hashlib.sha256(scope).hexdigest()[:32]


def _new_return(principal: Principal, order: Order, given: ReturnRequest, key: str) -> NewReturn:
    return NewReturn(
        key=key,
        customer=order.customer or "",
        order_id=order.id,
        order_number=order.number,
        channel=CHANNEL,
        requested_by=principal.subject,
        note=given.note,
        lines=tuple(sorted(given.lines, key=lambda line: line.number)),
    )


def _problems_of(refused: OrderChange) -> list[IntakeProblem]:
    kind = _PROBLEMS.get(refused.cause or "")
    lines: Sequence[int | None] = [line.number for line in refused.lines] or [None]
    if kind is not None:
        path = ("input", "order") if kind is OrderNotDelivered else ("input", "lines")
        return [problem_of(kind, path=path, line_number=line) for line in lines]
    return [
        IntakeProblem(code=ReturnRefused.code, message=ReturnRefused.default, path=("input",), line_number=line)
        for line in lines
    ]


def _decision_error(known: Return, refused: ReturnNotAccepted) -> Exception:
    """The error for a refusal of the source; its own text is for the log."""
    log.warning("return_refused", source=known.source, detail=refused.detail)
    if refused.refusal is ReturnRefusal.VERSION_CONFLICT:
        return VersionConflict()
    if refused.refusal is ReturnRefusal.NOT_OPEN:
        return InvalidTransition("The return is not open.")
    return ReturnProblems([IntakeProblem(code=ReturnRefused.code, message=ReturnRefused.default, path=("input",))])


def _audit_request(principal: Principal, event: str, row: OrderChange) -> None:
    text = f"{row.key} {row.source}:{row.order_number} {row.state.value}"
    _audit(principal, event, text, row.source, row.result_id, row.cause)


def _audit(principal: Principal, event: str, text: str, source: str, id: str | None, cause: str | None = None) -> None:
    """Who did what, and what came of it: in the log, and as the request's audit entry."""
    current().commands.append(f"{event} {text}")
    log.info(
        "return_command", command=event, source=source, result=id, cause=cause, client=principal.client,
        subject=principal.subject, tenant=principal.tenant,
    )  # fmt: skip
