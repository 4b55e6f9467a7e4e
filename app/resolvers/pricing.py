"""Price and availability of many lines at once: one outcome a line, never a failure of the whole."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from app.errors import InvalidInput, SourceError, TradegraphError
from app.resolvers import availability
from app.resolvers.loading.context import Context
from app.resolvers.loading.keys import CustomerKey, ItemKey, customer_number, each_sku
from app.resolvers.prices import request, uom_of, wrong_quantity, wrong_unit
from app.sources.customers import Customer
from app.sources.freshness_contracts import note_incomplete
from app.sources.items import Item, ItemRelation, ItemStatus, RelationType
from app.sources.prices import ContractPrice, PriceRequest
from app.sources.values import Record
from app.telemetry import report


class Outcome(StrEnum):
    """What became of a line."""

    OK = "OK"
    SUBSTITUTE = "SUBSTITUTE"
    STALE = "STALE"
    DENIED = "DENIED"
    UNAVAILABLE = "UNAVAILABLE"
    UNKNOWN_ITEM = "UNKNOWN_ITEM"
    INVALID = "INVALID"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of an order pad."""

    item: ItemKey
    quantity: Decimal
    uom: str | None = None


class PricedLine(Record):
    """A line's answer; whatever is known of it is there, whatever the outcome."""

    outcome: Outcome
    message: str | None = None
    quantity: Decimal
    uom: str | None = None
    item: Item | None = None
    price: ContractPrice | None = None
    availability: tuple[availability.Availability, ...] = ()
    substitutes: tuple[ItemRelation, ...] = ()


@dataclass(slots=True)
class _Draft:
    """A line on its way to its answer: refused as soon as `outcome` is set."""

    line: Line
    item: Item | None = None
    uom: str | None = None
    base_quantity: Decimal = Decimal(0)
    outcome: Outcome | None = None
    message: str | None = None

    def refuse(self, outcome: Outcome, message: str) -> None:
        if self.outcome is None:
            self.outcome, self.message = outcome, message


async def price_and_availability(ctx: Context, customer: CustomerKey, lines: Sequence[Line]) -> list[PricedLine]:
    """Root: price, stock and substitutes of each line, in the order of the lines."""
    drafts = [_Draft(line) for line in lines]
    buyer, found = await asyncio.gather(_buyer(customer, ctx), _items(drafts, ctx))
    # What is wrong with the buyer goes first, whichever of the two was answered sooner.
    if not isinstance(buyer, Customer):
        for draft in drafts:
            draft.refuse(*buyer)
    for draft, item in zip(drafts, found, strict=True):
        _check_item(draft, item)
        _check_unit(draft)
    skus = [draft.item.sku for draft in drafts if draft.item]
    relations_read = ctx.loaders.relations.start(skus)
    prices_read = ctx.loaders.prices.start([_request(ctx, draft, buyer) for draft in drafts])
    stock = dict(zip(skus, await availability.of_skus(skus, ctx), strict=True)) if skus else {}
    relations = dict(zip(skus, await relations_read, strict=True))
    prices = await prices_read
    _report_unexpected([*found, *prices, *stock.values()])
    for source in {one.source for one in relations.values() if isinstance(one, SourceError)}:
        note_incomplete(source, ctx.now, f"{source} returned no related items: substitutes are not included.")
    return [
        _answer(draft, price, stock.get(draft.item.sku) if draft.item else None, relations)
        for draft, price in zip(drafts, prices, strict=True)
    ]


async def _buyer(key: CustomerKey, ctx: Context) -> Customer | tuple[Outcome, str]:
    try:
        number = await customer_number(key, ctx)
        buyer = await ctx.loaders.customers.one(number) if number is not None else None
    except TradegraphError as error:
        return Outcome.INVALID if isinstance(error, InvalidInput) else Outcome.UNAVAILABLE, error.message
    if buyer is None:
        return Outcome.DENIED, "There is no such customer among your accounts; check the customer's number."
    return buyer


async def _items(drafts: Sequence[_Draft], ctx: Context) -> list[Item | None | Exception]:
    skus = await each_sku([draft.line.item for draft in drafts], ctx)
    items = await ctx.loaders.items.many(sku if isinstance(sku, str) else None for sku in skus)
    return [sku if isinstance(sku, Exception) else item for sku, item in zip(skus, items, strict=True)]


def _check_item(draft: _Draft, item: Item | None | Exception) -> None:
    if isinstance(item, InvalidInput):
        draft.refuse(Outcome.INVALID, item.message)
    elif isinstance(item, Exception):
        draft.refuse(Outcome.UNAVAILABLE, _public_message(item))
    elif item is None:
        draft.refuse(Outcome.UNKNOWN_ITEM, "There is no such item; check its number or search for it.")
    else:
        draft.item = item


def _report_unexpected(answers: Iterable[object]) -> None:
    errors = {id(one): one for one in answers if isinstance(one, Exception) and not isinstance(one, TradegraphError)}
    for error in errors.values():
        report(error)


def _public_message(error: Exception) -> str:
    return error.message if isinstance(error, TradegraphError) else "The server could not answer this line."


def _check_unit(draft: _Draft) -> None:
    item, line = draft.item, draft.line
    if item is None:
        return
    unit = uom_of(item, line.uom) if line.uom else next((uom for uom in item.uoms if uom.is_base), None)
    draft.uom = unit.code if unit else item.base_uom
    if line.uom and unit is None and line.uom.casefold() != item.base_uom.casefold():
        draft.uom = None
        draft.refuse(Outcome.INVALID, wrong_unit(item, line.uom).message)
    elif wrong := wrong_quantity(line.quantity, unit):
        draft.refuse(Outcome.INVALID, wrong)
    else:
        draft.base_quantity = line.quantity * (unit.numerator if unit else 1) / (unit.denominator if unit else 1)


def _request(ctx: Context, draft: _Draft, buyer: Customer | tuple[Outcome, str]) -> PriceRequest | None:
    if draft.outcome is not None or not isinstance(buyer, Customer) or draft.item is None:
        return None
    return request(ctx, buyer, draft.item.sku, draft.line.quantity, draft.uom)


def _answer(
    draft: _Draft,
    price: ContractPrice | None | Exception,
    stock: list[availability.Availability] | Exception | None,
    relations: dict[str, tuple[ItemRelation, ...] | None | Exception],
) -> PricedLine:
    related = relations.get(draft.item.sku) if draft.item else None
    substitutes = _substitutes(related)
    if draft.outcome is None:
        outcome, message = _judge(draft, price, stock, related, substitutes)
    else:
        outcome, message = draft.outcome, draft.message
    return PricedLine(
        outcome=outcome,
        message=message,
        quantity=draft.line.quantity,
        uom=draft.uom or draft.line.uom,
        item=draft.item,
        price=price if isinstance(price, ContractPrice) else None,
        availability=tuple(stock) if isinstance(stock, list) else (),
        substitutes=substitutes,
    )


def _substitutes(found: tuple[ItemRelation, ...] | None | Exception) -> tuple[ItemRelation, ...]:
    if not isinstance(found, tuple):
        return ()
    kinds = (RelationType.SUBSTITUTE, RelationType.SUPERSEDED_BY)
    return tuple(one for one in found if one.type in kinds)


def _judge(
    draft: _Draft,
    price: ContractPrice | None | Exception,
    stock: list[availability.Availability] | Exception | None,
    related: tuple[ItemRelation, ...] | None | Exception,
    substitutes: Sequence[ItemRelation],
) -> tuple[Outcome, str | None]:
    wrong = price if isinstance(price, Exception) else stock if isinstance(stock, Exception) else None
    if wrong is not None:
        return Outcome.UNAVAILABLE, _public_message(wrong)
    item = draft.item
    if item is not None and item.status in (ItemStatus.DISCONTINUED, ItemStatus.BLOCKED):
        if substitutes:
            return Outcome.SUBSTITUTE, "This item is no longer sold; take one of the substitutes."
        if isinstance(related, Exception):
            return Outcome.UNAVAILABLE, "This item is no longer sold; whether there are substitutes cannot be told now."
        return Outcome.UNAVAILABLE, "This item is no longer sold."
    if price is None:
        return Outcome.UNAVAILABLE, "No price is agreed for this item and quantity; ask your sales representative."
    degraded = [one for one in stock or () if one.freshness.degraded] if isinstance(stock, list) else []
    if degraded:
        return Outcome.STALE, f"The stock shown is incomplete: {degraded[0].freshness.reason}"
    return _judge_stock(draft, stock if isinstance(stock, list) else [], substitutes)


def _judge_stock(
    draft: _Draft, stock: Sequence[availability.Availability], substitutes: Sequence[ItemRelation]
) -> tuple[Outcome, str | None]:
    available = sum((one.atp for one in stock), Decimal(0))
    if available >= draft.base_quantity:
        return Outcome.OK, None
    base = draft.item.base_uom if draft.item else ""
    message = f"Only {available.normalize():f} {base} are available now; ask `promise` for the date of the rest."
    if substitutes:
        return Outcome.SUBSTITUTE, f"{message} Or take one of the substitutes."
    return Outcome.UNAVAILABLE, message
