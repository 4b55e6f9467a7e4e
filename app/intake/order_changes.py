"""Changes of orders of the systems of record: cancelled or amended once for each key.

begin ──> SENT ──> request ──> DONE, REFUSED
                      ├── not sent: UNSENT, and the key may be sent again
                      └── no outcome: once the request can no longer take effect, the order is read, and the
                          request is sent again only if the order does not have the change
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from app.auth.principal import Principal
from app.errors import (
    DeadlineExceeded,
    IntakeBusy,
    KeyReused,
    NotSupported,
    OrderAlreadyPicked,
    OrderChangePending,
    OrderChangeRefused,
    OrderProblem,
    SourceError,
    SourceRejected,
    SourceThrottled,
)
from app.intake.records import (
    AMEND,
    AMEND_ORDER,
    CANCEL_ORDER,
    Decision,
    IntakeDecision,
    IntakeState,
    OrderChange,
    OrderChangeState,
    OrderIntake,
)
from app.intake.store import IntakeStore
from app.sources.order_writer import LineQuantity, OrderAmender, OrderNotAccepted, OrderWriter, WrittenOrder
from app.sources.orders import Order, OrderStatus
from app.sources.source import Sources
from app.telemetry import current, log

REFUSALS: dict[str, type[OrderProblem]] = {one.code: one for one in (OrderAlreadyPicked, OrderChangeRefused)}
"""The problems that a refused change may have."""

LOCAL_CHANGE_SECONDS = 10.0
"""Seconds after which a change of an intake may be made again, though it has no outcome: its gateway has crashed."""


class OrderChanges:
    """Changes orders of the sources that take orders."""

    def __init__(self, store: IntakeStore, sources: Sources) -> None:
        self._store = store
        self._sources = sources

    async def cancel(self, principal: Principal, order: Order, key: str, reason: str | None) -> OrderChange:
        """The cancellation of this key: DONE or REFUSED. Raises KeyReused for another order or reason,
        OrderChangePending, NotSupported, SourceError, StoreUnavailable."""
        return await self._change(principal, order, CANCEL_ORDER, key, (), reason)

    async def amend(
        self, principal: Principal, order: Order, key: str, lines: Sequence[LineQuantity], reason: str | None
    ) -> OrderChange:
        """The amendment of this key: DONE or REFUSED. Raises as `cancel` does."""
        return await self._change(principal, order, AMEND_ORDER, key, lines, reason)

    async def begin(
        self,
        principal: Principal,
        intake: OrderIntake,
        mutation: str,
        key: str,
        lines: Sequence[LineQuantity],
        reason: str | None,
    ) -> OrderChange | None:
        """The change of this key to an intake that is not posted, which the caller makes and then finishes; None if it
        was made before. Raises KeyReused for another order, quantities or reason, OrderChangePending,
        StoreUnavailable."""
        given = OrderChange(
            **_request(principal, mutation, key, lines, reason, intake.id),
            source=intake.target,
            order_id="",
            order_number="",
            customer=intake.customer,
        )
        found, may_make = await self._store.begin_order_change(given, LOCAL_CHANGE_SECONDS)
        if found.digest != given.digest:
            raise KeyReused
        if may_make:
            return found
        if found.state is not OrderChangeState.DONE:
            raise OrderChangePending
        return None

    async def finish(self, inserted: OrderChange, *, made: bool) -> None:
        """Record whether a change that was begun was made; if not, its key may be used again."""
        state = OrderChangeState.DONE if made else OrderChangeState.UNSENT
        await self._store.finish_order_change(msgspec.structs.replace(inserted, state=state))

    async def _change(
        self,
        principal: Principal,
        order: Order,
        mutation: str,
        key: str,
        lines: Sequence[LineQuantity],
        reason: str | None,
    ) -> OrderChange:
        writer = self._writer_of(principal, order, mutation)
        intake = (await self._store.by_order(order.source, [order.id])).get(order.id)
        given = OrderChange(
            # A key that was used before the order was posted is of the same change.
            **_request(principal, mutation, key, lines, reason, intake.id if intake else f"{order.source}:{order.id}"),
            source=order.source,
            order_id=order.id,
            order_number=order.number,
            customer=order.customer,
        )
        found, may_send = await self._store.begin_order_change(given, writer.max_seconds)
        if found.digest != given.digest:
            raise KeyReused
        if not may_send:
            if found.state not in (OrderChangeState.DONE, OrderChangeState.REFUSED):
                raise OrderChangePending
            return found
        if await self._is_in_effect(principal, found):
            return await self._finish(principal, found, OrderChangeState.DONE)
        return await self._send(principal, writer, found)

    def _writer_of(self, principal: Principal, order: Order, mutation: str) -> OrderWriter:
        targets = self._sources.order_targets
        writer = None if targets is None else targets.writers.get(order.source)
        if writer is None or not principal.belongs_to(self._sources.connected[order.source].tenant):
            raise NotSupported(f"{order.source} does not let the gateway change its orders.")
        if mutation == AMEND_ORDER and not (isinstance(writer, OrderAmender) and writer.amends):
            raise NotSupported(f"{order.source} does not let the gateway amend its orders.")
        return writer

    async def _is_in_effect(self, principal: Principal, one: OrderChange) -> bool:
        """Whether the order has the change already: by an earlier request of the key, or by somebody else."""
        try:
            rows = await self._sources.by_ref("orders", one.source)(principal, [one.order_id])
        except (SourceError, DeadlineExceeded) as error:
            await self._finish(principal, one, OrderChangeState.UNSENT, error.code)
            raise
        found = rows.get(one.order_id)
        if found is None or one.mutation == CANCEL_ORDER:
            return found is not None and found.status is OrderStatus.CANCELLED
        quantities = {line.number: _open_quantity(line.quantity, line.cancelled_quantity) for line in found.lines}
        return all(quantities.get(line.number, 0) == line.quantity for line in one.lines)

    async def _send(self, principal: Principal, writer: OrderWriter, one: OrderChange) -> OrderChange:
        order = WrittenOrder(key=one.key, id=one.order_id, number=one.order_number, step="")
        try:
            if one.mutation == CANCEL_ORDER:
                await writer.cancel(principal, order, one.reason or "")
            elif isinstance(writer, OrderAmender):
                await writer.amend(principal, order, one.lines, one.reason or "")
        except OrderNotAccepted as refusal:
            log.warning("order_change_refused", source=one.source, order=one.order_number, detail=refusal.detail)
            problem = OrderAlreadyPicked if refusal.picked else OrderChangeRefused
            return await self._finish(principal, one, OrderChangeState.REFUSED, problem.code)
        except (SourceError, DeadlineExceeded) as error:
            if not error.sent or isinstance(error, (SourceThrottled, SourceRejected)):
                await self._finish(principal, one, OrderChangeState.UNSENT, error.code)
            raise
        return await self._finish(principal, one, OrderChangeState.DONE)

    async def _finish(
        self, principal: Principal, one: OrderChange, state: OrderChangeState, cause: str | None = None
    ) -> OrderChange:
        finished = msgspec.structs.replace(one, state=state, cause=cause)
        if state is OrderChangeState.DONE:
            await self._mark_intake(principal, finished)
        await self._store.finish_order_change(finished)
        current().commands.append(f"{one.mutation} {one.key} {one.source}:{one.order_number} {state.value}")
        log.info(
            "order_change", command=one.mutation, key=one.key, client=principal.client, subject=principal.subject,
            tenant=principal.tenant, source=one.source, order=one.order_number, customer=one.customer,
            state=state.value, cause=cause,
        )  # fmt: skip
        return finished

    async def _mark_intake(self, principal: Principal, one: OrderChange) -> None:
        """Note the change with the intake that the order was created from, if it was."""
        intake = (await self._store.by_order(one.source, [one.order_id])).get(one.order_id)
        if intake is None:
            return

        def apply(known: OrderIntake, now: float) -> OrderIntake:
            if known.state is IntakeState.CANCELLED:
                return known
            cancelled = one.mutation == CANCEL_ORDER
            made = IntakeDecision(
                decision=Decision.CANCEL.value if cancelled else AMEND,
                by=principal.subject,
                at=datetime.fromtimestamp(now, UTC),
                note=one.reason,
            )
            content = msgspec.structs.replace(known.content, decisions=(*known.content.decisions, made))
            state = IntakeState.CANCELLED if cancelled else known.state
            return msgspec.structs.replace(known, state=state, content=content)

        try:
            await self._store.change(intake.id, None, apply)
        except IntakeBusy:
            log.warning("intake_not_marked", intake=intake.id, order=one.order_number)


def _request(
    principal: Principal, mutation: str, key: str, lines: Sequence[LineQuantity], reason: str | None, subject: str
) -> dict[str, Any]:
    """The fields of a change that are of its request. `subject` is the id of the intake, or of an order without one."""
    ordered = sorted((line.number, format(line.quantity.normalize(), "f")) for line in lines)
    return {
        "tenant": principal.tenant,
        "client": principal.client,
        "mutation": mutation,
        "key": key,
        "digest": hashlib.sha256(msgspec.json.encode([subject, reason, ordered])).hexdigest(),
        "submitted_by": principal.subject,
        "lines": tuple(lines),
        "reason": reason,
    }


def _open_quantity(quantity: Decimal, cancelled: Decimal | None) -> Decimal:
    return quantity - (cancelled or 0)
