"""Contract prices: what this customer pays for that quantity on that day, as the source itself answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from operator import attrgetter
from typing import Protocol

import msgspec

from app.auth.principal import Principal
from app.sources.currencies import ISO_4217
from app.sources.customers import PriceAgreement, customer_tags
from app.sources.freshness_contracts import PRICE
from app.sources.items import item_tags
from app.sources.ports import CacheSpec, Port, Read, Routing
from app.sources.values import Freshness, Money, Record, Timestamp, is_fetched


class Certainty(StrEnum):
    """How a price's reason is known: told by the source, derived from its price list by us, or not told."""

    KNOWN = "KNOWN"
    DERIVED = "DERIVED"
    OPAQUE = "OPAQUE"


class PriceComparison(StrEnum):
    """A price beside the one that was quoted before."""

    EQUAL = "EQUAL"
    LOWER = "LOWER"
    HIGHER = "HIGHER"
    OTHER_CURRENCY = "OTHER_CURRENCY"


class PriceRequest(Record, cache_hash=True, kw_only=False):
    """A price question. `quantity` is counted in `uom`; no `uom` means the item's base unit, no `on` means today.
    `agreement` is the customer's, as its own source gave it."""

    customer: str
    sku: str
    quantity: Decimal
    uom: str | None = None
    on: date | None = None
    agreement: PriceAgreement | None = None


class PriceBreak(Record):
    """From `minimum` on, counted in the price's uom, each unit costs `unit_price`."""

    minimum: Decimal
    unit_price: Money


class PriceReason(Record):
    """Why the price is what it is."""

    rule: str | None = None
    contract: str | None = None
    price_list: str | None = None
    certainty: Certainty = Certainty.OPAQUE


class ContractPrice(Record):
    """The price of one `uom` (times `price_unit`) at `quantity`. `breaks` ascend and are empty where the source
    cannot tell them. `authority` is the configured name of the source that answered."""

    customer: str
    sku: str
    uom: str
    quantity: Decimal
    unit_price: Money
    price_unit: Decimal = Decimal(1)
    list_price: Money | None = None
    discount_percent: Decimal | None = None
    breaks: tuple[PriceBreak, ...] = ()
    reason: PriceReason = PriceReason()
    valid_from: date | None = None
    valid_to: date | None = None
    authority: str
    quoted_at: Timestamp
    proof_id: str | None = None
    freshness: Freshness

    @property
    def currency(self) -> str:
        """The currency of the unit price."""
        return self.unit_price.currency

    @property
    def net(self) -> Money:
        """Unit price times quantity, not rounded."""
        return Money(amount=self.unit_price.amount * self.quantity / self.price_unit, currency=self.unit_price.currency)


def compare_prices(quoted: Money, quoted_unit: Decimal, price: Money, price_unit: Decimal) -> PriceComparison:
    """How a price of `price_unit` units compares with the quoted one of `quoted_unit` units. Exact: nothing is divided
    or rounded."""
    if quoted.currency != price.currency:
        return PriceComparison.OTHER_CURRENCY
    before, after = quoted.amount * price_unit, price.amount * quoted_unit
    if before == after:
        return PriceComparison.EQUAL
    return PriceComparison.LOWER if after < before else PriceComparison.HIGHER


class Prices(Protocol):
    """Prices of the system of record."""

    async def quote(
        self, principal: Principal, requests: Sequence[PriceRequest]
    ) -> Mapping[PriceRequest, ContractPrice]:
        """A price for each request; absent where the source has none (unknown item, unit or no line of the list)."""
        ...


def price_problem(request: PriceRequest, price: ContractPrice) -> str | None:
    """What is wrong with a price as the answer to a request: it must be of the same customer, item, unit and quantity,
    its amounts not negative and in an ISO 4217 currency. Of a partial record, what was fetched is checked."""
    if price.customer != request.customer or price.sku != request.sku:
        return f"customer, sku: expected {request.customer} {request.sku}, got {price.customer} {price.sku}"
    if request.uom is not None and price.uom != request.uom:
        return f"uom: expected {request.uom}, got {price.uom}"
    if price.quantity != request.quantity:
        return f"quantity: expected {request.quantity}, got {price.quantity}"
    if not price.price_unit > 0:
        return f"price_unit: expected a number above 0, got {price.price_unit}"
    unit = price.unit_price
    if unit.currency not in ISO_4217 or unit.amount < 0:
        return _wrong_amount("unit_price", unit)
    for name in _optional_amounts(type(price)):
        found = getattr(price, name)
        for money in (found,) if isinstance(found, Money) else [step.unit_price for step in found or ()]:
            if money.currency not in ISO_4217 or money.amount < 0:
                return _wrong_amount(name, money)
    return None


@lru_cache(1024)
def _optional_amounts(kind: type[ContractPrice]) -> tuple[str, ...]:
    """The further amounts that a price has, of a partial record those that were fetched."""
    return tuple(name for name in ("list_price", "breaks") if is_fetched(kind, name))


def _wrong_amount(name: str, money: Money) -> str:
    return f"{name}: expected an amount of 0 or more in ISO 4217, got {money.amount} {money.currency}"


def _dated(request: PriceRequest, today: date) -> PriceRequest:
    return request if request.on is not None else msgspec.structs.replace(request, on=today)


def _tags(request: PriceRequest) -> tuple[str, ...]:
    return "price", *customer_tags(request.customer), *item_tags(request.sku)


PRICES = Port(
    "prices",
    Prices,
    {
        "quote": Read(
            record=ContractPrice,
            routing=Routing.CUSTOMER,
            key_customer=attrgetter("customer"),
            check=price_problem,
            cache=CacheSpec(name="prices", contract=PRICE, record=ContractPrice, tags=_tags, dated=_dated),
        )
    },
)
