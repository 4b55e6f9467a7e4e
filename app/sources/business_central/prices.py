"""Contract prices from an API page that the operator adds to Business Central, whose own APIs have none.

docs/business-central.md specifies the page: it calculates the price of one question and answers with one row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime

from app.auth.principal import Principal
from app.http.odata import ODataQuery, all_of, literal
from app.sources.business_central.client import BusinessCentralClient, known_day, sendable
from app.sources.business_central.rows import BCPriceRow
from app.sources.prices import Certainty, ContractPrice, PriceBreak, PriceReason, PriceRequest
from app.sources.values import Freshness, Money

PRICES = "contractPrices"
UNIT = 10
"""Characters of a unit of measure's code."""


class BusinessCentralPrices:
    """Prices: a batch with a query for each question."""

    def __init__(self, client: BusinessCentralClient, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._clock = clock

    async def quote(
        self, principal: Principal, requests: Sequence[PriceRequest]
    ) -> Mapping[PriceRequest, ContractPrice]:
        """See `Prices.quote`."""
        now = self._clock()
        sendable_requests = [request for request in dict.fromkeys(requests) if _is_sendable(request)]
        queries = [
            (PRICES, ODataQuery(filter=_question(request, now.date()), top=1), BCPriceRow)
            for request in sendable_requests
        ]
        pages = await self._client.custom_pages(queries, call="prices")
        return {
            request: self._price(request, page.value[0], now)
            for request, page in zip(sendable_requests, pages, strict=True)
            if page.value
        }

    def _price(self, request: PriceRequest, row: BCPriceRow, now: datetime) -> ContractPrice:
        steps = sorted(row.contract_price_breaks, key=lambda step: step.minimum_quantity)
        currency = row.currency_code
        return ContractPrice(
            customer=row.customer_number,
            sku=row.item_number,
            uom=row.unit_of_measure_code,
            quantity=row.quantity,
            unit_price=Money(amount=row.unit_price, currency=currency),
            breaks=tuple(
                PriceBreak(minimum=step.minimum_quantity, unit_price=Money(amount=step.unit_price, currency=currency))
                for step in steps
            ),
            reason=PriceReason(
                price_list=row.price_list_code or None,
                certainty=Certainty.KNOWN if row.price_list_code else Certainty.OPAQUE,
            ),
            valid_from=known_day(row.starting_date),
            valid_to=known_day(row.ending_date),
            authority=self._client.source,
            quoted_at=now,
            freshness=Freshness(source=self._client.source, as_of=now),
        )


def _is_sendable(request: PriceRequest) -> bool:
    unit = request.uom is None or bool(sendable([request.uom], UNIT))
    return unit and len(sendable([request.customer])) + len(sendable([request.sku])) == 2


def _question(request: PriceRequest, today: date) -> str | None:
    return all_of(
        f"customerNumber eq {literal(request.customer)}",
        f"itemNumber eq {literal(request.sku)}",
        f"quantity eq {literal(request.quantity)}",
        None if request.uom is None else f"unitOfMeasureCode eq {literal(request.uom)}",
        f"priceDate eq {literal(request.on or today)}",
    )
