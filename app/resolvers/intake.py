"""Orders in: commands, and the intakes that they made."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from app.errors import (
    ApprovalNotAllowed,
    Forbidden,
    IntakeBusy,
    InvalidCursor,
    InvalidInput,
    InvalidPageSize,
    InvalidTransition,
    KeyReused,
    NotSupported,
    QuoteExpired,
    SelfApproval,
    TradegraphError,
    VersionConflict,
)
from app.intake.commands import IntakeCommands, Submission
from app.intake.records import (
    Decision,
    IntakeContent,
    IntakeFilter,
    IntakeLine,
    IntakeProblem,
    IntakeState,
    OrderIntake,
)
from app.intake.store import IntakePage
from app.resolvers.loading.context import Context
from app.resolvers.loading.keys import CustomerKey, ItemKey, customer_number, validate_key
from app.resolvers.loading.paging import MAX_PAGE_SIZE, Connection, ListScope
from app.resolvers.nodes import node_reader
from app.sources.customers import Customer
from app.sources.node_ids import key_of
from app.sources.orders import Order
from app.sources.values import Money, Page, Record

T = TypeVar("T")

MAX_KEY = 128
MAX_PO = 64
MAX_NOTE = 1000
MAX_POSTED_WITHIN = 86_400
MAX_QUANTITY = Decimal(10**12)
PROBLEMS = (
    ApprovalNotAllowed,
    IntakeBusy,
    InvalidInput,
    InvalidTransition,
    KeyReused,
    QuoteExpired,
    SelfApproval,
    VersionConflict,
)
"""Errors of a command that its payload has as problems; all others fail the field."""


@dataclass(frozen=True, slots=True)
class OrderLineInput:
    """A line as it was submitted."""

    line_number: int
    item: ItemKey
    quantity: Decimal
    uom: str | None = None
    requested_date: date | None = None
    proof: str | None = None


@dataclass(frozen=True, slots=True)
class SubmitOrderInput:
    """An order as it was submitted."""

    key: str
    customer: CustomerKey
    customer_po: str
    lines: Sequence[OrderLineInput]
    ship_to: str | None = None
    requested_date: date | None = None
    allow_duplicate_po: bool = False
    allow_partial: bool = True
    allow_substitutes: bool = False
    note: str | None = None


@dataclass(frozen=True, slots=True)
class DecideInput:
    """A decision on the version of an intake that the caller has read."""

    id: str
    version: int
    decision: Decision
    note: str | None = None


@dataclass(frozen=True, slots=True)
class RetryInput:
    """A retry of an intake that was given up."""

    id: str
    version: int
    note: str | None = None


@dataclass(frozen=True, slots=True)
class OrderIntakeKey:
    """Exactly one is set."""

    id: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class OrderIntakeFilter:
    """Which intakes a list shows."""

    customer: CustomerKey | None = None
    states: Sequence[IntakeState] | None = None
    customer_po: str | None = None


class OrderIntakePayload(Record):
    """The outcome of a command: the intake, if there is one, and the problems."""

    intake: OrderIntake | None = None
    problems: tuple[IntakeProblem, ...] = ()


class InvalidOrder(Exception):
    """An order that cannot be stored: its problems, by input field."""

    def __init__(self, problems: Sequence[IntakeProblem]) -> None:
        super().__init__(problems)
        self.problems = tuple(problems)


@dataclass(slots=True)
class CommandProblems:
    """The problems of an input, collected."""

    found: list[IntakeProblem] = field(default_factory=list)

    def add(self, message: str, *path: str, line: int | None = None, code: str = InvalidInput.code) -> None:
        self.found.append(IntakeProblem(code=code, message=message, path=("input", *path), line_number=line))


# Commands


async def submit_order(ctx: Context, input: SubmitOrderInput) -> OrderIntakePayload:
    """Root: submit an order, once for each key."""
    try:
        submission = await _submission(input, ctx)
        intake = await commands_of(ctx).submit(ctx.principal, submission)
    except InvalidOrder as invalid:
        return OrderIntakePayload(problems=invalid.problems)
    except PROBLEMS as error:
        path = ("input", "key") if isinstance(error, KeyReused) else ("input",)
        return OrderIntakePayload(problems=(command_problem(error, path),))
    return OrderIntakePayload(intake=intake, problems=intake.problems)


async def decide_intake(ctx: Context, input: DecideInput) -> OrderIntakePayload:
    """Root: decide on an intake. To cancel is for all who may order; approvers approve and reject, those who may also
    retry release and reject."""
    approver, staff = _is_approver(ctx), _is_staff(ctx)
    allowed = {
        Decision.CANCEL: True,
        Decision.APPROVE: approver,
        Decision.REJECT: approver or staff,
        Decision.RELEASE: staff,
        Decision.RETRY: staff,
    }
    if not allowed[input.decision]:
        raise Forbidden("Your role may not take this decision.")
    return await decide(ctx, input.id, input.version, input.decision, input.note)


async def retry_intake(ctx: Context, input: RetryInput) -> OrderIntakePayload:
    """Root: post an intake again that was given up."""
    return await decide(ctx, input.id, input.version, Decision.RETRY, input.note)


async def decide(ctx: Context, id: str, version: int, decision: Decision, note: str | None) -> OrderIntakePayload:
    """The outcome of a decision on an intake, by its id in the graph."""
    problems = CommandProblems()
    check_text(problems, note, MAX_NOTE, "note")
    if problems.found:
        return OrderIntakePayload(problems=tuple(problems.found))
    commands, own = commands_of(ctx), key_of(id, "OrderIntake")
    try:
        changed = await commands.decide(ctx.principal, own, version, decision, note, staff=_is_staff(ctx))
    except PROBLEMS as error:
        current = (await commands.by_id(ctx.principal, [own])).get(own)
        return OrderIntakePayload(intake=current, problems=(command_problem(error, ("input",)),))
    if changed is None:
        return OrderIntakePayload(
            problems=(command_problem(InvalidInput("There is no such intake."), ("input", "id")),)
        )
    return OrderIntakePayload(intake=changed, problems=changed.problems)


def _is_approver(ctx: Context) -> bool:
    return not ctx.permissions.refuses("Query", "approvalsAwaitingMe")


def _is_staff(ctx: Context) -> bool:
    return not ctx.permissions.refuses("Mutation", "retryIntake")


def command_problem(error: TradegraphError, path: tuple[str, ...]) -> IntakeProblem:
    """The problem of a payload that an error is."""
    return IntakeProblem(code=error.code, message=error.message, path=path)


def commands_of(ctx: Context) -> IntakeCommands:
    """The commands of order intake. Raises NotSupported where no source takes orders."""
    if ctx.intake is None:
        raise NotSupported("This server accepts no orders.")
    return ctx.intake


# Input


async def _submission(input: SubmitOrderInput, ctx: Context) -> Submission:
    problems = CommandProblems()
    check_key(problems, input.key)
    if not input.customer_po.strip():
        problems.add("customerPo must not be empty.", "customerPo")
    check_text(problems, input.customer_po, MAX_PO, "customerPo")
    check_text(problems, input.note, MAX_NOTE, "note")
    check_text(problems, input.ship_to, MAX_KEY, "shipTo")
    lines = _lines(problems, input, ctx)
    try:
        customer = await customer_number(input.customer, ctx)
    except InvalidInput as error:
        customer = None
        problems.add(error.message, "customer")
    if customer is None and not problems.found:
        problems.add("There is no such customer.", "customer")
    if problems.found or customer is None:
        raise InvalidOrder(problems.found)
    content = IntakeContent(
        ship_to=input.ship_to,
        requested_date=input.requested_date,
        note=input.note,
        allow_duplicate_po=input.allow_duplicate_po,
        allow_partial=input.allow_partial,
        allow_substitutes=input.allow_substitutes,
        lines=lines,
    )
    return Submission(key=input.key, customer=customer, customer_po=input.customer_po.strip(), content=content)


def _lines(problems: CommandProblems, input: SubmitOrderInput, ctx: Context) -> tuple[IntakeLine, ...]:
    most = commands_of(ctx).max_lines
    if not 1 <= len(input.lines) <= most:
        problems.add(f"An order has 1 to {most} lines, not {len(input.lines)}.", "lines")
        return ()
    seen: set[int] = set()
    lines: list[IntakeLine] = []
    for line in input.lines:
        if line.line_number in seen or not 1 <= line.line_number <= 999_999:
            problems.add("lineNumber must be unique, from 1 to 999999.", "lines", line=line.line_number)
        seen.add(line.line_number)
        if not 0 < line.quantity <= MAX_QUANTITY:
            problems.add("quantity must be greater than 0 and at most 10^12.", "lines", line=line.line_number)
        if line.uom is not None:
            check_text(problems, line.uom, 32, "lines", line=line.line_number)
        try:
            named = _item(line.item, input.customer)
        except InvalidInput as error:
            problems.add(error.message, "lines", line=line.line_number)
            continue
        lines.append(
            IntakeLine(
                line_number=line.line_number,
                quantity=line.quantity,
                uom=line.uom,
                requested_date=line.requested_date,
                proof=line.proof,
                **named,
            )
        )
    return tuple(lines)


def _item(key: ItemKey, customer: CustomerKey) -> Mapping[str, Any]:
    """How a line names its item. Nothing is looked up: the item's source may be away."""
    if key.id is not None:
        return {"sku": key_of(key.id, "Item")}
    if key.sku is not None:
        return {"sku": validate_key(key.sku, "An SKU")}
    if key.gtin is not None:
        return {"gtin": validate_key(key.gtin, "A GTIN")}
    if key.customer_part is None:
        raise InvalidInput("Name the item by exactly one of id, sku, gtin and customerPart.")
    if key.customer_part.customer != customer:
        raise InvalidInput("A customer part number must be of the customer who orders, named in the same way.")
    return {"part_number": validate_key(key.customer_part.number, "A customer part number")}


def check_key(problems: CommandProblems, key: str) -> None:
    """Record what is wrong with an idempotency key."""
    if not 0 < len(key) <= MAX_KEY or not all("!" <= character <= "~" for character in key):
        problems.add(f"key must have 1 to {MAX_KEY} visible ASCII characters, without spaces.", "key")


def check_text(problems: CommandProblems, text: str | None, most: int, *path: str, line: int | None = None) -> None:
    """Record what is wrong with a text of an input."""
    if text is None:
        return
    if len(text) > most:
        problems.add(f"{path[-1]} may have at most {most} characters.", *path, line=line)
    if not text.replace("\n", " ").isprintable():
        problems.add(f"{path[-1]} must not contain control characters.", *path, line=line)


# Reads


async def order_intake(ctx: Context, by: OrderIntakeKey) -> OrderIntake | None:
    """Root: an intake by id, or by a key of the caller's own client."""
    if by.id is not None:
        own = key_of(by.id, "OrderIntake")
        return (await commands_of(ctx).by_id(ctx.principal, [own])).get(own)
    return await commands_of(ctx).by_key(ctx.principal, validate_key(by.key or "", "A key"))


@node_reader("OrderIntake")
async def _intake_node(ctx: Context, id: str) -> OrderIntake | None:
    return await order_intake(ctx, OrderIntakeKey(id=id))


async def order_intakes(
    ctx: Context, first: int, after: str | None = None, filter: OrderIntakeFilter | None = None
) -> Connection[OrderIntake]:
    """Root: intakes that exist for the caller, newest first."""
    filter = filter or OrderIntakeFilter()
    scope = ListScope("orderIntakes", filter)
    size, before = intake_page(scope, first, after)
    query = IntakeFilter(states=None if filter.states is None else frozenset(filter.states))
    if filter.customer_po is not None:
        number = validate_key(filter.customer_po, "A purchase order number")
        query = msgspec.structs.replace(query, customer_po=number)
    if filter.customer is not None:
        customer = await customer_number(filter.customer, ctx)
        query = msgspec.structs.replace(query, customers=frozenset({customer} if customer else ()))
    return intake_connection(scope, await commands_of(ctx).page(ctx.principal, query, size, before), before)


async def approvals_awaiting_me(ctx: Context, first: int, after: str | None = None) -> Connection[OrderIntake]:
    """Root: the intakes that the caller may approve or reject, newest first."""
    scope = ListScope("approvalsAwaitingMe")
    size, before = intake_page(scope, first, after)
    return intake_connection(scope, await commands_of(ctx).awaiting_approval(ctx.principal, size, before), before)


def intake_page(scope: ListScope, first: int, after: str | None) -> tuple[int, int | None]:
    """The size of a page and the position that it begins before."""
    page = scope.page(first, after, count=False)
    if page.after is not None and not page.after.isdecimal():
        raise InvalidCursor
    return page.first, None if page.after is None else int(page.after)


def intake_connection(
    scope: ListScope, found: IntakePage, before: int | None, make: Callable[[OrderIntake], T] = lambda one: one
) -> Connection[T]:
    """A page of intakes, or of what `make` makes of each, as a connection."""
    rows = Page(
        rows=tuple(make(one) for _, one in found.rows),
        cursors=tuple(str(position) for position, _ in found.rows),
        has_next=found.has_next,
        has_previous=before is not None,
        total=found.total,
    )
    return scope.connection(rows)


async def of_orders(rows: Sequence[Order], ctx: Context) -> list[OrderIntake | None]:
    """Edge: the intakes that became these orders, in one read of the store."""
    if ctx.intake is None:
        return [None] * len(rows)
    found = await ctx.intake.by_order(ctx.principal, [(row.source, row.id) for row in rows])
    return [found.get((row.source, row.id)) for row in rows]


async def open_of_customers(
    rows: Sequence[Customer], ctx: Context, first: int, posted_within: int = 0
) -> list[Sequence[OrderIntake] | Exception]:
    """Edge: the customers' orders that the system of record does not have yet, or has since `posted_within` seconds, in
    one read of the store."""
    if not 0 <= posted_within <= MAX_POSTED_WITHIN:
        raise InvalidInput(f"postedWithin must be between 0 and {MAX_POSTED_WITHIN}, not {posted_within}.")
    if not 0 <= first <= MAX_PAGE_SIZE:
        raise InvalidPageSize(f"first must be between 0 and {MAX_PAGE_SIZE}, not {first}.")
    if ctx.intake is None:
        return [()] * len(rows)
    found = await ctx.intake.open_of(ctx.principal, [row.number for row in rows], first, posted_within)
    return [tuple(found.get(row.number, ())) for row in rows]


async def customer(rows: Sequence[OrderIntake], ctx: Context) -> list[Customer | None | Exception]:
    """Edge: whose order it is."""
    return await ctx.loaders.customers.many([row.customer for row in rows])


async def order(rows: Sequence[OrderIntake], ctx: Context) -> list[Order | None | Exception]:
    """Edge: the orders in the systems of record, read by their own ids there."""
    return await _orders(ctx, [(row.target, row.order_id) if row.order_id is not None else None for row in rows])


async def ordered_prices(rows: Sequence[IntakeLine], ctx: Context) -> list[Money | None | Exception]:
    """Edge: the unit prices of the lines in the systems of record."""
    orders = await _orders(ctx, [row.order_key for row in rows])
    return [
        _unit_price(order, row) if isinstance(order, Order) else order for row, order in zip(rows, orders, strict=True)
    ]


def _unit_price(order: Order, row: IntakeLine) -> Money | None:
    lines = (line for line in order.lines if line.number == row.line_number and line.sku == row.sku)
    return next((line.unit_price for line in lines), None)


async def _orders(ctx: Context, keys: Sequence[tuple[str, str] | None]) -> list[Order | None | Exception]:
    """The orders of targets and ids, one call a target."""
    targets = dict.fromkeys(key[0] for key in keys if key is not None)

    async def orders_of(target: str) -> list[Order | None | Exception]:
        ids = [key[1] if key is not None and key[0] == target else None for key in keys]
        return await ctx.loaders.orders_of(target).many(ids)

    found = await asyncio.gather(*(orders_of(target) for target in targets))
    by_target = dict(zip(targets, found, strict=True))
    return [None if key is None else by_target[key[0]][at] for at, key in enumerate(keys)]
