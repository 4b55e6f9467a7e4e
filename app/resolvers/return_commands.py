"""The commands of returns: request, approve, reject, cancel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from app.errors import (
    Forbidden,
    InvalidInput,
    InvalidTransition,
    KeyReused,
    LineUnknown,
    NotSupported,
    OrderChangePending,
    SelfApproval,
    VersionConflict,
)
from app.intake.records import IntakeProblem, problem_of
from app.intake.return_requests import ReturnCommands, ReturnProblems, ReturnRequest
from app.resolvers import orders
from app.resolvers.intake import (
    MAX_NOTE,
    MAX_QUANTITY,
    CommandProblems,
    check_key,
    check_text,
    command_problem,
)
from app.resolvers.loading.context import Context
from app.resolvers.loading.keys import CustomerKey, OrderKey, customer_number
from app.sources.billing import Return, ReturnCondition, ReturnReason
from app.sources.node_ids import source_key_of
from app.sources.orders import Order
from app.sources.return_writer import NewReturnLine, ReturnDecision, ReturnDecisionKind
from app.sources.values import Record

MAX_LINES = 500
PROBLEMS = (InvalidInput, InvalidTransition, KeyReused, OrderChangePending, SelfApproval, VersionConflict)
"""Errors that the payload has as problems; all others fail the field."""


@dataclass(frozen=True, slots=True)
class ReturnLineInput:
    """What of an order line is to come back."""

    line_number: int
    quantity: Decimal
    reason: ReturnReason
    condition: ReturnCondition | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class RequestReturnInput:
    """A return to request."""

    key: str
    customer: CustomerKey
    order: OrderKey
    lines: Sequence[ReturnLineInput]
    note: str | None = None


@dataclass(frozen=True, slots=True)
class DecideReturnInput:
    """A decision on the version of a return that the caller has read."""

    id: str
    version: int
    decision: ReturnDecisionKind
    note: str | None = None


class ReturnPayload(Record):
    """The outcome of a command: the return, if there is one, and the problems."""

    return_: Return | None = None
    problems: tuple[IntakeProblem, ...] = ()


async def request(ctx: Context, input: RequestReturnInput) -> ReturnPayload:
    """Root: request a return, once for each key."""
    problems = CommandProblems()
    check_key(problems, input.key)
    check_text(problems, input.note, MAX_NOTE, "note")
    lines = _lines(problems, input.lines)
    order = None if problems.found else await _order(problems, input, ctx)
    if order is not None:
        known = {line.number for line in order.lines}
        for line in lines:
            if line.number not in known:
                problem = problem_of(LineUnknown, path=("input", "lines"), line_number=line.number)
                problems.found.append(problem)
    if problems.found or order is None:
        return ReturnPayload(problems=tuple(problems.found))
    given = ReturnRequest(key=input.key, note=input.note, lines=lines)
    try:
        id = await _commands(ctx).request(ctx.principal, order, given)
    except ReturnProblems as refused:
        return ReturnPayload(problems=refused.problems)
    except PROBLEMS as error:
        path = ("input", "key") if isinstance(error, KeyReused) else ("input",)
        return ReturnPayload(problems=(command_problem(error, path),))
    return ReturnPayload(return_=await ctx.loaders.returns_of(order.source).one(id))


async def decide(ctx: Context, input: DecideReturnInput) -> ReturnPayload:
    """Root: decide on a return. All who may request one cancel; those who may retry orders approve and reject."""
    if input.decision is not ReturnDecisionKind.CANCEL and ctx.permissions.refuses("Mutation", "retryIntake"):
        raise Forbidden("Your role may not take this decision.")
    problems = CommandProblems()
    check_text(problems, input.note, MAX_NOTE, "note")
    if problems.found:
        return ReturnPayload(problems=tuple(problems.found))
    source, id = source_key_of(input.id, "Return")
    found = await ctx.loaders.returns_of(source).one(id)
    if found is None:
        return ReturnPayload(problems=(command_problem(InvalidInput("There is no such return."), ("input", "id")),))
    decision = ReturnDecision(
        id=id, version=input.version, kind=input.decision, decided_by=ctx.principal.subject, note=input.note
    )
    refusals: tuple[IntakeProblem, ...] = ()
    try:
        await _commands(ctx).decide(ctx.principal, found, decision)
    except ReturnProblems as refused:
        refusals = refused.problems
    except PROBLEMS as error:
        refusals = (command_problem(error, ("input",)),)
    ctx.renew_loaders()
    return ReturnPayload(return_=await ctx.loaders.returns_of(source).one(id), problems=refusals)


def _commands(ctx: Context) -> ReturnCommands:
    if ctx.intake is None:
        raise NotSupported("Returns are not taken here.")
    return ctx.intake.returns


def _lines(problems: CommandProblems, lines: Sequence[ReturnLineInput]) -> tuple[NewReturnLine, ...]:
    if not 1 <= len(lines) <= MAX_LINES:
        problems.add(f"A return has 1 to {MAX_LINES} lines, not {len(lines)}.", "lines")
        return ()
    seen: set[int] = set()
    for line in lines:
        if line.line_number in seen:
            problems.add("lineNumber must be unique.", "lines", line=line.line_number)
        seen.add(line.line_number)
        if not 0 < line.quantity <= MAX_QUANTITY:
            problems.add("quantity must be greater than 0 and at most 10^12.", "lines", line=line.line_number)
        check_text(problems, line.note, MAX_NOTE, "lines", line=line.line_number)
    return tuple(
        NewReturnLine(
            number=line.line_number,
            quantity=line.quantity,
            reason=line.reason,
            condition=line.condition,
            note=line.note,
        )
        for line in lines
    )


async def _order(problems: CommandProblems, input: RequestReturnInput, ctx: Context) -> Order | None:
    """The order of the customer; one of another customer is unknown."""
    try:
        customer = await customer_number(input.customer, ctx)
    except InvalidInput as error:
        problems.add(error.message, "customer")
        return None
    try:
        order = await orders.order(ctx, input.order)
    except InvalidInput as error:
        problems.add(error.message, "order")
        return None
    if order is None or customer is None or order.customer != customer:
        problems.add("The customer has no such order.", "order")
        return None
    return order
