"""The commands of quotes: request, accept, decline, renegotiate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from app.errors import CustomerUnknown, Forbidden, InvalidInput, ItemUnknown, KeyReused, NotSupported, UnitUnknown
from app.intake.commands import QuoteAcceptance
from app.intake.quote_requests import QuoteProblems, QuoteRequest, answer_quote, request_quote
from app.intake.records import IntakeContent, IntakeProblem, OrderIntake, problem_of
from app.resolvers.intake import (
    MAX_KEY,
    MAX_NOTE,
    MAX_PO,
    MAX_QUANTITY,
    PROBLEMS,
    CommandProblems,
    check_key,
    check_text,
    command_problem,
)
from app.resolvers.loading.context import Context
from app.resolvers.loading.keys import CustomerKey, ItemKey, customer_number, each_sku
from app.sources.items import Item
from app.sources.node_ids import source_key_of
from app.sources.quote_writer import NewQuoteLine, QuoteAnswer, QuoteAnswerKind
from app.sources.quotes import Quote
from app.sources.values import Money, Record

MAX_LINES = 500
MAX_LINE_NUMBER = 999_999
MAX_UNIT = 32


class QuoteDecision(StrEnum):
    """What a customer decides on a quote."""

    ACCEPT = "ACCEPT"
    DECLINE = "DECLINE"
    RENEGOTIATE = "RENEGOTIATE"


@dataclass(frozen=True, slots=True)
class QuoteLineInput:
    """A line to quote."""

    line_number: int
    item: ItemKey
    quantity: Decimal
    uom: str | None = None
    target_price: Decimal | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class RequestQuoteInput:
    """A quote to request."""

    key: str
    customer: CustomerKey
    lines: Sequence[QuoteLineInput]
    note: str | None = None


@dataclass(frozen=True, slots=True)
class DecideQuoteInput:
    """A decision on the version of a quote that the caller has read."""

    id: str
    version: int
    decision: QuoteDecision
    note: str | None = None
    lines: Sequence[QuoteLineInput] | None = None
    customer_po: str | None = None
    ship_to: str | None = None
    requested_date: date | None = None
    allow_duplicate_po: bool = False


class QuotePayload(Record):
    """The outcome of a command: the quote, if there is one, the intake that accepts it, and the problems."""

    quote: Quote | None = None
    intake: OrderIntake | None = None
    problems: tuple[IntakeProblem, ...] = ()


async def request(ctx: Context, input: RequestQuoteInput) -> QuotePayload:
    """Root: request a quote, once for each key."""
    problems = CommandProblems()
    check_key(problems, input.key)
    check_text(problems, input.note, MAX_NOTE, "note")
    _check_lines(problems, input.lines)
    try:
        customer = await customer_number(input.customer, ctx)
    except InvalidInput as error:
        customer = None
        problems.add(error.message, "customer")
    if problems.found:
        return QuotePayload(problems=tuple(problems.found))
    lines = await _lines(problems, input.lines, customer, ctx)
    if problems.found or customer is None:
        return QuotePayload(problems=tuple(problems.found))
    given = QuoteRequest(key=input.key, customer=customer, note=input.note, lines=lines)
    try:
        source, id = await request_quote(ctx.sources, ctx.principal, given)
    except QuoteProblems as refused:
        return QuotePayload(problems=refused.problems)
    except PROBLEMS as error:
        path = ("input", "key") if isinstance(error, KeyReused) else ("input",)
        return QuotePayload(problems=(command_problem(error, path),))
    return QuotePayload(quote=await ctx.loaders.quotes_of(source).one(id))


async def decide(ctx: Context, input: DecideQuoteInput) -> QuotePayload:
    """Root: decide on a quote. To accept it is to order."""
    if input.decision is QuoteDecision.ACCEPT and ctx.permissions.refuses("Mutation", "submitOrder"):
        raise Forbidden("Your role may not order.")
    problems = CommandProblems()
    _check_decision(problems, input)
    if problems.found:
        return QuotePayload(problems=tuple(problems.found))
    source, id = source_key_of(input.id, "Quote")
    quote = await ctx.loaders.quotes_of(source).one(id)
    if quote is None:
        return QuotePayload(problems=(command_problem(InvalidInput("There is no such quote."), ("input", "id")),))
    try:
        if input.decision is QuoteDecision.ACCEPT:
            intake = await _accept(ctx, quote, input)
            return QuotePayload(quote=quote, intake=intake, problems=intake.problems)
        return await _answer(ctx, quote, input, problems)
    except QuoteProblems as refused:
        return QuotePayload(quote=quote, problems=refused.problems)
    except PROBLEMS as error:
        ctx.renew_loaders()
        current = await ctx.loaders.quotes_of(source).one(id)
        return QuotePayload(quote=current, problems=(command_problem(error, ("input",)),))


async def _accept(ctx: Context, quote: Quote, input: DecideQuoteInput) -> OrderIntake:
    if ctx.intake is None:
        raise NotSupported("This server accepts no orders.")
    content = IntakeContent(
        ship_to=input.ship_to,
        requested_date=input.requested_date,
        note=input.note,
        allow_duplicate_po=input.allow_duplicate_po,
        lines=(),
    )
    accepted = QuoteAcceptance(version=input.version, customer_po=(input.customer_po or "").strip(), content=content)
    return await ctx.intake.accept_quote(ctx.principal, quote, accepted)


async def _answer(ctx: Context, quote: Quote, input: DecideQuoteInput, problems: CommandProblems) -> QuotePayload:
    lines = await _lines(problems, input.lines, quote.customer, ctx) if input.lines else ()
    if problems.found:
        return QuotePayload(quote=quote, problems=tuple(problems.found))
    answer = QuoteAnswer(
        id=quote.id,
        version=input.version,
        kind=QuoteAnswerKind(input.decision.value),
        answered_by=ctx.principal.subject,
        note=input.note,
        lines=lines,
    )
    key = quote.source, quote.id
    accepted = {} if ctx.intake is None else await ctx.intake.acceptances(ctx.principal, [key])
    await answer_quote(ctx.sources, ctx.principal, quote, answer, accepted.get(key))
    ctx.renew_loaders()
    return QuotePayload(quote=await ctx.loaders.quotes_of(quote.source).one(quote.id))


# Input


def _check_decision(problems: CommandProblems, input: DecideQuoteInput) -> None:
    check_text(problems, input.note, MAX_NOTE, "note")
    check_text(problems, input.customer_po, MAX_PO, "customerPo")
    check_text(problems, input.ship_to, MAX_KEY, "shipTo")
    accepts = input.decision is QuoteDecision.ACCEPT
    if accepts and not (input.customer_po or "").strip():
        problems.add("customerPo must not be empty: an accepted quote is an order.", "customerPo")
    if input.decision is not QuoteDecision.RENEGOTIATE:
        if input.lines is not None:
            problems.add("lines are given to RENEGOTIATE only.", "lines")
    elif input.lines is not None:
        _check_lines(problems, input.lines)
    elif not (input.note or "").strip():
        problems.add("Say what to change: a note, lines, or both.", "note")
    given = {"customerPo": input.customer_po, "shipTo": input.ship_to, "requestedDate": input.requested_date}
    for name, value in given.items():
        if value is not None and not accepts:
            problems.add(f"{name} is given to ACCEPT only.", name)


def _check_lines(problems: CommandProblems, lines: Sequence[QuoteLineInput]) -> None:
    if not 1 <= len(lines) <= MAX_LINES:
        problems.add(f"A quote has 1 to {MAX_LINES} lines, not {len(lines)}.", "lines")
        return
    seen: set[int] = set()
    for line in lines:
        number = line.line_number
        if number in seen or not 1 <= number <= MAX_LINE_NUMBER:
            problems.add(f"lineNumber must be unique, from 1 to {MAX_LINE_NUMBER}.", "lines", line=number)
        seen.add(number)
        for name, value in (("quantity", line.quantity), ("targetPrice", line.target_price)):
            if value is not None and not 0 < value <= MAX_QUANTITY:
                problems.add(f"{name} must be greater than 0 and at most 10^12.", "lines", line=number)
        check_text(problems, line.uom, MAX_UNIT, "lines", line=number)
        check_text(problems, line.note, MAX_NOTE, "lines", line=number)


async def _lines(
    problems: CommandProblems, lines: Sequence[QuoteLineInput], customer: str | None, ctx: Context
) -> tuple[NewQuoteLine, ...]:
    """The lines by SKU and code of the unit; a customer, an item or a unit that does not exist is a problem."""
    record = await ctx.loaders.customers.one(customer) if customer is not None else None
    if record is None:
        problems.found.append(problem_of(CustomerUnknown, path=("input", "customer")))
        return ()
    skus = await each_sku([line.item for line in lines], ctx)
    items = await ctx.loaders.items.many([sku if isinstance(sku, str) else None for sku in skus])
    return tuple(
        _line(problems, line, found, record.currency)
        for line, found in zip(lines, map(_found, skus, items), strict=True)
    )


def _found(sku: str | None | Exception, item: Item | None | Exception) -> Item | None | InvalidInput:
    """The item of a line, or what is wrong with its key. Raises errors of the source."""
    if isinstance(sku, InvalidInput):
        return sku
    for failed in (sku, item):
        if isinstance(failed, Exception):
            raise failed
    return item  # type: ignore[return-value]


def _line(
    problems: CommandProblems, line: QuoteLineInput, item: Item | None | InvalidInput, currency: str
) -> NewQuoteLine:
    sku, uom = "", line.uom
    if isinstance(item, InvalidInput):
        problems.add(item.message, "lines", line=line.line_number)
    elif item is None:
        problems.found.append(problem_of(ItemUnknown, path=("input", "lines"), line_number=line.line_number))
    else:
        sku = item.sku
        if uom is not None:
            text = uom.casefold()
            units = [one.code for one in item.uoms if text in (one.code.casefold(), (one.name or "").casefold())]
            if not units:
                problems.found.append(problem_of(UnitUnknown, path=("input", "lines"), line_number=line.line_number))
            uom = units[0] if units else None
    price = None if line.target_price is None else Money(amount=line.target_price, currency=currency)
    return NewQuoteLine(
        number=line.line_number, sku=sku, quantity=line.quantity, uom=uom, target_price=price, note=line.note
    )
