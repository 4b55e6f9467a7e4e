"""Cancelling and amending an order: one that is submitted, or one that a system of record has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from app.errors import (
    IntakeBusy,
    InvalidInput,
    InvalidTransition,
    KeyReused,
    NotSupported,
    OrderChangePending,
    TradegraphError,
    VersionConflict,
)
from app.intake.order_changes import REFUSALS
from app.intake.records import (
    AMEND_ORDER,
    CANCEL_ORDER,
    Decision,
    IntakeProblem,
    IntakeState,
    OrderChange,
    OrderIntake,
    problem_of,
)
from app.resolvers import intake as intakes
from app.resolvers import orders
from app.resolvers.loading.context import Context
from app.resolvers.loading.keys import OrderKey
from app.sources.node_ids import key_of
from app.sources.order_writer import LineQuantity
from app.sources.orders import Order
from app.sources.values import Record

PROBLEMS = (
    IntakeBusy,
    InvalidInput,
    InvalidTransition,
    KeyReused,
    NotSupported,
    OrderChangePending,
    VersionConflict,
)
"""Errors that the payload has as problems; all others fail the field."""


@dataclass(frozen=True, slots=True)
class CancelOrderInput:
    """What to cancel: one of `order` and `intake`."""

    key: str
    order: OrderKey | None = None
    intake: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class LineQuantityInput:
    """The new quantity of a line."""

    line_number: int
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class AmendOrderInput:
    """What to amend: one of `order` and `intake`."""

    key: str
    lines: Sequence[LineQuantityInput]
    order: OrderKey | None = None
    intake: str | None = None
    reason: str | None = None


class OrderChangePayload(Record):
    """The outcome: the intake and the source and id of the order, as far as there are any, and the problems."""

    intake: OrderIntake | None = None
    order_key: tuple[str, str] | None = None
    problems: tuple[IntakeProblem, ...] = ()


async def cancel_order(ctx: Context, input: CancelOrderInput) -> OrderChangePayload:
    """Root: cancel an order. One that is not posted is cancelled here, any other in its system of record."""
    problems = _problems_of(input)
    if problems.found:
        return OrderChangePayload(problems=tuple(problems.found))
    try:
        intake, order = await _subject(ctx, input)
        if order is not None:
            return await _cancel_order(ctx, input, order)
        return await _cancel_intake(ctx, input, intake)
    except PROBLEMS as error:
        return _refused(error)


async def amend_order(ctx: Context, input: AmendOrderInput) -> OrderChangePayload:
    """Root: change quantities of lines. An order that is not posted is amended here, any other in its system of
    record."""
    problems = _problems_of(input)
    quantities = _quantities(problems, input.lines)
    if problems.found:
        return OrderChangePayload(problems=tuple(problems.found))
    try:
        intake, order = await _subject(ctx, input)
        if order is not None:
            _check_lines({line.number for line in order.lines}, quantities)
            return await _amend_order(ctx, input, order, quantities)
        if intake is None:
            raise InvalidInput("There is no such order.")
        return await _amend_intake(ctx, input, intake, quantities)
    except PROBLEMS as error:
        return _refused(error)


# Input


def _problems_of(input: CancelOrderInput | AmendOrderInput) -> intakes.CommandProblems:
    problems = intakes.CommandProblems()
    intakes.check_key(problems, input.key)
    intakes.check_text(problems, input.reason, intakes.MAX_NOTE, "reason")
    if (input.order is None) == (input.intake is None):
        problems.add("Name exactly one of order and intake.")
    return problems


def _quantities(problems: intakes.CommandProblems, lines: Sequence[LineQuantityInput]) -> Mapping[int, Decimal]:
    if not lines:
        problems.add("Name at least one line.", "lines")
    found: dict[int, Decimal] = {}
    for line in lines:
        if line.line_number in found:
            problems.add("lineNumber must be unique.", "lines", line=line.line_number)
        if not 0 <= line.quantity <= intakes.MAX_QUANTITY:
            problems.add("quantity must be from 0 to 10^12.", "lines", line=line.line_number)
        found[line.line_number] = line.quantity
    return found


def _check_lines(known: set[int], quantities: Mapping[int, Decimal]) -> None:
    """Raises InvalidInput for lines that the order does not have, and if none would be left."""
    unknown = sorted(quantities.keys() - known)
    if unknown:
        raise InvalidInput(f"The order has no line {unknown[0]}.")
    if all(quantities.get(number, 1) == 0 for number in known):
        raise InvalidInput("No line would be left. Cancel the order instead.")


async def _subject(ctx: Context, input: CancelOrderInput | AmendOrderInput) -> tuple[OrderIntake | None, Order | None]:
    """The intake that is named, and the order: that of a posted intake, or that is named. Raises InvalidInput."""
    intake: OrderIntake | None = None
    if input.intake is not None:
        id = key_of(input.intake, "OrderIntake")
        intake = (await intakes.commands_of(ctx).by_id(ctx.principal, [id])).get(id)
        if intake is None:
            raise InvalidInput("There is no such intake.")
        if intake.state is not IntakeState.POSTED or intake.order_id is None:
            return intake, None
        order = await ctx.loaders.orders_of(intake.target).one(intake.order_id)
    else:
        order = await orders.order(ctx, input.order or OrderKey())
    if order is None:
        raise InvalidInput("There is no such order.")
    return intake, order


# Changes


async def _cancel_intake(ctx: Context, input: CancelOrderInput, known: OrderIntake | None) -> OrderChangePayload:
    if known is None:
        raise InvalidInput("There is no such order.")
    key = (known.target, known.order_id) if known.order_id is not None else None
    changes = intakes.commands_of(ctx).order_changes
    started = await changes.begin(ctx.principal, known, CANCEL_ORDER, input.key, (), input.reason)
    if started is None or known.state is IntakeState.CANCELLED:
        if started is not None:
            await changes.finish(started, made=True)
        return OrderChangePayload(intake=known, order_key=key)
    payload = await intakes.decide(ctx, known.node_id, known.version, Decision.CANCEL, input.reason)
    cancelled = payload.intake is not None and payload.intake.state is IntakeState.CANCELLED
    await changes.finish(started, made=cancelled)
    return OrderChangePayload(intake=payload.intake, order_key=key, problems=() if cancelled else payload.problems)


async def _amend_intake(
    ctx: Context, input: AmendOrderInput, known: OrderIntake, quantities: Mapping[int, Decimal]
) -> OrderChangePayload:
    commands = intakes.commands_of(ctx)
    lines = _line_quantities(quantities)
    started = await commands.order_changes.begin(ctx.principal, known, AMEND_ORDER, input.key, lines, input.reason)
    if started is None:
        return OrderChangePayload(intake=known)
    made = False
    try:
        _check_lines({line.line_number for line in known.lines}, quantities)
        amended, problems = await commands.amend(ctx.principal, known, quantities, input.reason)
        made = amended.version > known.version or not problems
    finally:
        await commands.order_changes.finish(started, made=made)
    return OrderChangePayload(intake=amended, problems=problems)


async def _cancel_order(ctx: Context, input: CancelOrderInput, found: Order) -> OrderChangePayload:
    changes = intakes.commands_of(ctx).order_changes
    try:
        done = await changes.cancel(ctx.principal, found, input.key, input.reason)
    except PROBLEMS as error:
        return await _outcome(ctx, found, error)
    return await _outcome(ctx, found, done)


async def _amend_order(
    ctx: Context, input: AmendOrderInput, found: Order, quantities: Mapping[int, Decimal]
) -> OrderChangePayload:
    changes = intakes.commands_of(ctx).order_changes
    try:
        done = await changes.amend(ctx.principal, found, input.key, _line_quantities(quantities), input.reason)
    except PROBLEMS as error:
        return await _outcome(ctx, found, error)
    return await _outcome(ctx, found, done)


def _line_quantities(quantities: Mapping[int, Decimal]) -> Sequence[LineQuantity]:
    return [LineQuantity(number=number, quantity=quantity) for number, quantity in quantities.items()]


async def _outcome(ctx: Context, order: Order, outcome: OrderChange | TradegraphError) -> OrderChangePayload:
    key = (order.source, order.id)
    problems: tuple[IntakeProblem, ...] = ()
    if isinstance(outcome, TradegraphError):
        problems = (_problem(outcome),)
    elif outcome.cause is not None:
        problems = (problem_of(REFUSALS[outcome.cause], path=("input",)),)
    intake = (await intakes.commands_of(ctx).by_order(ctx.principal, [key])).get(key)
    return OrderChangePayload(intake=intake, order_key=key, problems=problems)


def _refused(error: TradegraphError) -> OrderChangePayload:
    return OrderChangePayload(problems=(_problem(error),))


def _problem(error: TradegraphError) -> IntakeProblem:
    return intakes.command_problem(error, ("input", "key") if isinstance(error, KeyReused) else ("input",))


async def changed_orders(rows: Sequence[OrderChangePayload], ctx: Context) -> list[Order | None]:
    """Edge: the orders as they are after the command, read anew."""
    found: list[Order | None] = []
    for row in rows:
        if row.order_key is None:
            found.append(None)
        else:
            source, id = row.order_key
            found.append((await ctx.sources.by_ref("orders", source)(ctx.principal, [id])).get(id))
    return found
