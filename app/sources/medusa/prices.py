"""Contract prices with their breaks, as Medusa's Pricing Module calculates them for a customer's groups and a quantity.

The Admin API has no such call, and that of the store knows no customer but the one who is signed in. The Medusa project
needs a route for it; docs/medusa.md gives it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from app.auth.principal import Principal
from app.errors import SourceMalformed
from app.sources.medusa.client import MedusaClient, RawAmount, sendable
from app.sources.medusa.options import MedusaOptions
from app.sources.prices import Certainty, ContractPrice, PriceBreak, PriceReason, PriceRequest
from app.sources.values import Freshness, Money, Timestamp

PRICES = 200
"""Price questions in one call."""


class CalculatedBreak(msgspec.Struct, frozen=True):
    """From this quantity on each unit has this price."""

    min_quantity: Decimal
    raw_amount: RawAmount


class PriceList(msgspec.Struct, frozen=True):
    """The price list that a price is from."""

    id: str
    title: str
    starts_at: Timestamp | None
    ends_at: Timestamp | None


class CalculatedPrice(msgspec.Struct, frozen=True):
    """A price of one unit. The original one is what it would be without a price list of type sale."""

    currency_code: str
    raw_amount: RawAmount
    raw_original_amount: RawAmount | None
    breaks: tuple[CalculatedBreak, ...]
    price_list: PriceList | None


class CalculatedPrices(msgspec.Struct, frozen=True):
    """The answer of the route, a price or null for each question."""

    prices: tuple[CalculatedPrice | None, ...]


class MedusaPriceQuestion(msgspec.Struct, frozen=True):
    """What a customer pays for so many units."""

    customer: str
    sku: str
    quantity: int


class MedusaPriceQuestions(msgspec.Struct, frozen=True):
    """The body of a call."""

    number_key: str
    currency_code: str
    region_id: str | None
    requests: tuple[MedusaPriceQuestion, ...]


class MedusaPrices:
    """Prices: one call for two hundred questions, whoever asks."""

    def __init__(self, client: MedusaClient, options: MedusaOptions, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._options = options
        self._clock = clock

    async def quote(
        self, principal: Principal, requests: Sequence[PriceRequest]
    ) -> Mapping[PriceRequest, ContractPrice]:
        """See `Prices.quote`. Only today's prices of whole quantities in the source's unit are known."""
        today = self._clock().date()
        sendable_requests = [one for one in dict.fromkeys(requests) if self._can_price(one) and one.on in (None, today)]
        found: dict[PriceRequest, ContractPrice] = {}
        for start in range(0, len(sendable_requests), PRICES):
            chunk = sendable_requests[start : start + PRICES]
            answers = await self._client.prices(self._questions(chunk), CalculatedPrices)
            if len(answers.prices) != len(chunk):
                raise SourceMalformed(self._client.name, detail="prices.quote: not one price for each question")
            found |= {one: self._price(one, price) for one, price in zip(chunk, answers.prices, strict=True) if price}
        return found

    def _can_price(self, request: PriceRequest) -> bool:
        quantity = request.quantity
        whole = quantity > 0 and quantity == quantity.to_integral_value() and quantity < 10**9
        return (
            whole
            and request.uom in (None, self._options.uom)
            and sendable([request.sku, request.customer]) == [request.sku, request.customer]
        )

    def _questions(self, requests: Sequence[PriceRequest]) -> MedusaPriceQuestions:
        return MedusaPriceQuestions(
            number_key=self._options.customer_number_key,
            currency_code=self._options.currency.lower(),
            region_id=self._options.region,
            requests=tuple(MedusaPriceQuestion(one.customer, one.sku, int(one.quantity)) for one in requests),
        )

    def _price(self, request: PriceRequest, price: CalculatedPrice) -> ContractPrice:
        now, listed = self._clock(), price.price_list
        currency = price.currency_code.upper()
        original = price.raw_original_amount
        return ContractPrice(
            customer=request.customer,
            sku=request.sku,
            uom=self._options.uom,
            quantity=request.quantity,
            unit_price=Money(amount=price.raw_amount.value, currency=currency),
            list_price=Money(amount=original.value, currency=currency) if original else None,
            breaks=tuple(
                PriceBreak(minimum=one.min_quantity, unit_price=Money(amount=one.raw_amount.value, currency=currency))
                for one in price.breaks
            ),
            reason=PriceReason(
                contract=listed.id if listed else None,
                price_list=listed.title if listed else None,
                certainty=Certainty.KNOWN,
            ),
            valid_from=listed.starts_at.date() if listed and listed.starts_at else None,
            valid_to=listed.ends_at.date() if listed and listed.ends_at else None,
            authority=self._client.name,
            quoted_at=now,
            freshness=Freshness(source=self._client.name, as_of=now),
        )
