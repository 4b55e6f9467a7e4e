"""Contract prices: what this customer pays for that quantity on that day, as the source itself answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from app.auth.principal import Principal
from app.sources.customers import PriceAgreement
from app.sources.values import Freshness, Money, Record


class Certainty(StrEnum):
    """How a price's reason is known: told by the source, derived from its price list by us, or not told."""

    KNOWN = "KNOWN"
    DERIVED = "DERIVED"
    OPAQUE = "OPAQUE"


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
    quoted_at: datetime
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


class Prices(Protocol):
    """Prices of the system of record."""

    async def quote(self, who: Principal, requests: Sequence[PriceRequest]) -> Mapping[PriceRequest, ContractPrice]:
        """A price for each request; absent where the source has none (unknown item, unit or no line of the list)."""
        ...
