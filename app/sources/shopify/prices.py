"""Contract prices of a company's location, with their quantity breaks, as its catalogs have them.

`contextualPricing` gives the price of one, and the breaks: from a minimum on each unit has another price. The break of
a quantity is chosen here, which the price's reason says.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from app.auth.principal import Principal
from app.errors import SourceMalformed
from app.sources.prices import Certainty, ContractPrice, PriceBreak, PriceReason, PriceRequest
from app.sources.shopify.client import (
    ShopifyClient,
    ShopifyConnection,
    ShopifyDocument,
    ShopifyRows,
    WireMoney,
    any_of,
    gid,
    rows_of,
    sendable,
)
from app.sources.shopify.customers import price_location
from app.sources.shopify.options import ShopifyOptions
from app.sources.shopify.variants import ProductStatus, variants_by_sku
from app.sources.values import Freshness

LOCATION = gid("CompanyLocation", "")


class QuantityPriceBreak(msgspec.Struct, frozen=True, rename="camel"):
    """From this quantity on each unit has this price."""

    minimum_quantity: int
    price: WireMoney


class ContextualPricing(msgspec.Struct, frozen=True, rename="camel"):
    """The price of a variant for a location."""

    price: WireMoney
    quantity_price_breaks: ShopifyConnection[QuantityPriceBreak]


class PricedVariant(msgspec.Struct, frozen=True, rename="camel"):
    """A variant with its price for a location."""

    id: str
    product: ProductStatus
    contextual_pricing: ContextualPricing
    sku: str | None = None


class PricingLocation(msgspec.Struct, frozen=True, rename="camel"):
    """A location as far as prices need it."""

    id: str
    external_id: str | None = None


class PricingCompany(msgspec.Struct, frozen=True, rename="camel"):
    """A company with the first of its locations."""

    locations: ShopifyConnection[PricingLocation]
    external_id: str | None = None


PRICES = ShopifyDocument(
    """query Prices($query: String!, $first: Int!, $after: String, $location: ID!) {
  rows: productVariants(first: $first, after: $after, query: $query, sortKey: ID) {
    nodes {
      id sku product { status }
      contextualPricing(context: {companyLocationId: $location}) {
        price { amount currencyCode }
        quantityPriceBreaks(first: 20, sortKey: MINIMUM_QUANTITY) {
          nodes { minimumQuantity price { amount currencyCode } } pageInfo { hasNextPage endCursor }
        }
      }
    }
    pageInfo { hasNextPage endCursor }
  }
}""",
    ShopifyRows[PricedVariant],
)
PRICE_LOCATIONS = ShopifyDocument(
    """query PriceLocations($query: String!, $first: Int!, $after: String) {
  rows: companies(first: $first, after: $after, query: $query, sortKey: ID) {
    nodes { externalId locations(first: 100) { nodes { id externalId } pageInfo { hasNextPage endCursor } } }
    pageInfo { hasNextPage endCursor }
  }
}""",
    ShopifyRows[PricingCompany],
)


class ShopifyPrices:
    """Prices by company location: one call for each location of a hundred SKUs."""

    def __init__(self, client: ShopifyClient, options: ShopifyOptions, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._options = options
        self._clock = clock

    async def quote(
        self, principal: Principal, requests: Sequence[PriceRequest]
    ) -> Mapping[PriceRequest, ContractPrice]:
        """See `Prices.quote`. Only today's prices of whole quantities in the source's unit are known."""
        today = self._clock().date()
        sendable_requests = [one for one in dict.fromkeys(requests) if self._can_price(one) and one.on in (None, today)]
        locations = await self._locations(sendable_requests)
        by_location: defaultdict[str, list[PriceRequest]] = defaultdict(list)
        for one in sendable_requests:
            if (location := locations.get(one)) is not None:
                by_location[location].append(one)
        found: dict[PriceRequest, ContractPrice] = {}
        for location, group in by_location.items():
            skus = [one.sku for one in group]
            variants = await variants_by_sku(self._client, PRICES, skus, {"location": location}, call="prices.quote")
            for one in group:
                if (variant := variants.get(one.sku)) is not None:
                    found[one] = self._price(one, variant.contextual_pricing)
        return found

    def _can_price(self, request: PriceRequest) -> bool:
        quantity = request.quantity
        return request.uom in (None, self._options.uom) and quantity > 0 and quantity == quantity.to_integral_value()

    async def _locations(self, requests: Sequence[PriceRequest]) -> dict[PriceRequest, str]:
        """The location of each request: the one that its customer's record names, or found by the customer's number."""
        found = {one: one.agreement.id for one in requests if one.agreement and one.agreement.id.startswith(LOCATION)}
        numbers = sendable([one.customer for one in requests if one not in found])
        if numbers:

            async def read(chunk: Sequence[str]) -> list[PricingCompany]:
                variables = {"query": any_of("external_id", chunk), "first": rows_of(chunk)}
                return await self._client.all_rows(PRICE_LOCATIONS, variables, call="prices.locations")

            by_number = {
                company.external_id: price_location(
                    company.external_id, company.locations.nodes, self._options.price_location
                )
                for company in await self._client.read_chunks(numbers, read)
            }
            for one in requests:
                location = by_number.get(one.customer)
                if location is not None:
                    found.setdefault(one, location.id)
        return found

    def _price(self, request: PriceRequest, pricing: ContextualPricing) -> ContractPrice:
        if pricing.quantity_price_breaks.page_info.has_next_page:
            raise SourceMalformed(self._client.name, detail=f"prices.quote: {request.sku} has too many quantity breaks")
        now = self._clock()
        breaks = sorted(pricing.quantity_price_breaks.nodes, key=lambda one: one.minimum_quantity)
        reached = [one for one in breaks if one.minimum_quantity <= request.quantity]
        price = reached[-1].price if reached else pricing.price
        certainty = Certainty.DERIVED if reached else Certainty.KNOWN
        return ContractPrice(
            customer=request.customer,
            sku=request.sku,
            uom=self._options.uom,
            quantity=request.quantity,
            unit_price=price.money,
            breaks=tuple(
                PriceBreak(minimum=Decimal(one.minimum_quantity), unit_price=one.price.money) for one in breaks
            ),
            reason=PriceReason(rule="quantity break" if reached else None, certainty=certainty),
            authority=self._client.name,
            quoted_at=now,
            freshness=Freshness(source=self._client.name, as_of=now),
        )
