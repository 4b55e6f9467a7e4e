"""Contract prices: the question put together, the answer left as the source gave it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import date
from decimal import Decimal

from app.errors import InvalidInput
from app.resolvers.loading import keys
from app.resolvers.loading.context import Context
from app.resolvers.loading.keys import CustomerKey, customer_number
from app.sources.customers import Customer
from app.sources.items import Item, Uom
from app.sources.orders import OrderLine
from app.sources.prices import ContractPrice, PriceRequest

ONE = Decimal(1)


def uom_of(item: Item, text: str) -> Uom | None:
    """The item's unit that a caller means by its code or its name, without regard to case."""
    requested = text.casefold()
    return next((uom for uom in item.uoms if requested in (uom.code.casefold(), (uom.name or "").casefold())), None)


def request(
    ctx: Context, customer: Customer, sku: str, quantity: Decimal, uom: str | None = None, on: date | None = None
) -> PriceRequest:
    """A price question for a customer, with the agreement its source named if prices depend on it."""
    agreement = customer.agreement if ctx.sources.prices_by_agreement else None
    return PriceRequest(customer.number, sku, quantity, uom, on, agreement)


def prefetch(
    ctx: Context,
    skus: Sequence[str],
    customer: CustomerKey,
    quantity: Decimal = ONE,
    uom: str | None = None,
    on: date | None = None,
) -> None:
    """Start the read of a customer's prices beside those of the customer and the items, unless it needs one of them: a
    unit is known by its item, an agreement by its customer. What is wrong with it, `of_items` will say."""
    if customer.number is None or uom is not None or ctx.sources.prices_by_agreement:
        return
    with suppress(InvalidInput):
        keys.quantity(quantity)
        number = keys.validate_key(customer.number, "A customer number")
        ctx.loaders.prices.prefetch(*[PriceRequest(number, sku, quantity, on=on) for sku in skus])


async def of_items(
    rows: Sequence[Item],
    ctx: Context,
    customer: CustomerKey,
    quantity: Decimal = ONE,
    uom: str | None = None,
    on: date | None = None,
) -> list[ContractPrice | None | Exception]:
    """Edge: the customer's price of items."""
    keys.quantity(quantity)
    number = await customer_number(customer, ctx)
    buyer = await ctx.loaders.customers.one(number) if number is not None else None
    if buyer is None:
        return [None] * len(rows)
    units = [_unit(row, uom) for row in rows]
    requests_of_rows = [
        None if isinstance(unit, Exception) else request(ctx, buyer, row.sku, quantity, unit, on)
        for row, unit in zip(rows, units, strict=True)
    ]
    found = await ctx.loaders.prices.many(requests_of_rows)
    return [unit if isinstance(unit, Exception) else price for unit, price in zip(units, found, strict=True)]


def _unit(item: Item, text: str | None) -> str | None | Exception:
    if text is None:
        return None
    uom = uom_of(item, text)
    return uom.code if uom else wrong_unit(item, text)


def wrong_unit(item: Item, text: str) -> InvalidInput:
    """Says which units the item has."""
    known = ", ".join(f"{uom.code} ({uom.name})" if uom.name else uom.code for uom in item.uoms)
    return InvalidInput(f"{item.sku} has no unit {text[:40]!r}; it has {known or item.base_uom}.")


def wrong_quantity(quantity: Decimal, unit: Uom | None) -> str | None:
    """Why nobody can order this quantity of a unit; None if it can be ordered."""
    if not Decimal(0) < quantity <= Decimal(10**12):
        return "The quantity must be greater than 0 and at most 10^12."
    if unit and unit.minimum is not None and quantity < unit.minimum:
        return f"The smallest quantity is {unit.minimum} {unit.name or unit.code}."
    if unit and unit.increment and quantity % unit.increment:
        return f"The quantity must be a multiple of {unit.increment} {unit.name or unit.code}."
    return None


async def proofs(rows: Sequence[ContractPrice], ctx: Context) -> list[str | None | Exception]:
    """Edge: proofs of quoted prices. No backend is called."""
    if ctx.price_proofs is None:
        return [None] * len(rows)
    return [ctx.price_proofs.prove(ctx.principal.tenant, row) for row in rows]


async def of_lines(rows: Sequence[OrderLine], ctx: Context) -> list[ContractPrice | None | Exception]:
    """Edge: what each line's item costs the order's customer today, at the line's quantity and unit."""
    buyers = await ctx.loaders.customers.many([row.customer for row in rows])
    requests_of_rows = [
        request(ctx, buyer, row.sku, row.quantity, row.uom)
        if row.sku is not None and isinstance(buyer, Customer) and row.quantity > 0
        else None
        for row, buyer in zip(rows, buyers, strict=True)
    ]
    found = await ctx.loaders.prices.many(requests_of_rows)
    if None not in requests_of_rows:
        return found
    return [buyer if isinstance(buyer, Exception) else price for buyer, price in zip(buyers, found, strict=True)]
