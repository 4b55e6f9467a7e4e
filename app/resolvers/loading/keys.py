"""Lookups by business key: `...Key` inputs, and their resolution to the keys that loaders take."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

from app.auth.policy import Key
from app.errors import Forbidden, InvalidInput
from app.resolvers.loading.context import Context
from app.sources.items import CustomerPartKey
from app.sources.node_ids import key_of

R = TypeVar("R")

MAX_KEY_LENGTH = 256


@dataclass(frozen=True, slots=True)
class RefKey:
    """The id of an object in one source system."""

    system: str
    id: str


@dataclass(frozen=True, slots=True)
class CustomerKey:
    """Exactly one is set."""

    id: str | None = None
    number: str | None = None
    ref: RefKey | None = None


@dataclass(frozen=True, slots=True)
class CustomerScopedNumber:
    """A number assigned by a customer: a part number or a purchase order number."""

    customer: CustomerKey
    number: str


@dataclass(frozen=True, slots=True)
class ItemKey:
    """Exactly one is set."""

    id: str | None = None
    sku: str | None = None
    gtin: str | None = None
    customer_part: CustomerScopedNumber | None = None


@dataclass(frozen=True, slots=True)
class OrderKey:
    """Exactly one is set."""

    id: str | None = None
    number: str | None = None
    customer_po: CustomerScopedNumber | None = None
    ref: RefKey | None = None


@dataclass(frozen=True, slots=True)
class ShipmentKey:
    """Exactly one is set."""

    id: str | None = None
    tracking_number: str | None = None
    ref: RefKey | None = None


def validate_key(value: str, what: str) -> str:
    """The business key; InvalidInput if it is empty, too long, or has control characters."""
    if not value or len(value) > MAX_KEY_LENGTH:
        raise InvalidInput(f"{what} must have 1 to {MAX_KEY_LENGTH} characters.")
    if not value.isprintable():
        raise InvalidInput(f"{what} must not contain control characters.")
    return value


def require_revealed(ctx: Context, argument: str, fields: Iterable[Key]) -> None:
    """Raise Forbidden if the caller does not see all values whole that an argument tells."""
    hidden = next((one for one in fields if not ctx.permissions.reveals(*one)), None)
    if hidden is not None:
        raise Forbidden(f"Your role may not use '{argument}': it does not see {'.'.join(hidden)} whole.")


def quantity(value: object, what: str = "quantity") -> None:
    """Raise InvalidInput for a quantity that is not greater than 0 or exceeds 10^12."""
    if not isinstance(value, Decimal) or not Decimal(0) < value <= Decimal(10**12):
        raise InvalidInput(f"{what} must be greater than 0 and at most 10^12.")


async def one_or_capitals(read: Callable[[str], Awaitable[R | None]], key: str) -> R | None:
    """The row of a key as it is given; if there is none, of the key in capitals. Sources compare keys exactly."""
    found = await read(key)
    capitals = key.upper()
    return found if found is not None or capitals == key else await read(capitals)


async def customer_number(key: CustomerKey, ctx: Context) -> str | None:
    """The customer number a key means; None if there is no such customer. Existence is not checked for a number."""
    if key.id is not None:
        return key_of(key.id, "Customer")
    if key.number is not None:
        return validate_key(key.number, "A customer number")
    if key.ref is None:
        raise InvalidInput("Name the customer by exactly one of id, number and ref.")
    found = await ctx.loaders.customers_of(key.ref.system).one(validate_key(key.ref.id, "A ref's id"))
    return found.number if found else None


async def sku_of(key: ItemKey, ctx: Context) -> str | None:
    """The SKU a key means; None if there is no such item. Existence is not checked for an SKU."""
    if key.id is not None:
        return key_of(key.id, "Item")
    if key.sku is not None:
        return validate_key(key.sku, "An SKU")
    if key.gtin is not None:
        require_revealed(ctx, "gtin", [("Item", "gtin")])
        item = await ctx.loaders.items_by_gtin.one(validate_key(key.gtin, "A GTIN"))
        return item.sku if item else None
    if key.customer_part is None:
        raise InvalidInput("Name the item by exactly one of id, sku, gtin and customerPart.")
    require_revealed(ctx, "customerPart", [("Item", "customerPartNumber")])
    customer = await customer_number(key.customer_part.customer, ctx)
    if customer is None:
        return None
    number = validate_key(key.customer_part.number, "A customer part number")
    return await ctx.loaders.skus_by_customer_part.one(CustomerPartKey(customer=customer, number=number))


async def each_sku(keys: Sequence[ItemKey], ctx: Context) -> list[str | None | Exception]:
    """SKUs for many keys; the value of an invalid key is its error."""
    return await asyncio.gather(*(sku_of(key, ctx) for key in keys), return_exceptions=True)  # type: ignore[return-value]
