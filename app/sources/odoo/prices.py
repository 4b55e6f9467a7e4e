"""Contract prices as Odoo computes them: a product's `price` in the context of a price list, quantity, unit and day.

One read has one of each of these and any number of products. A price can change only at the quantities that rules of
the price list name, so a read at each of those gives the breaks. Odoo 16 and later have no such field.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from app.auth.principal import Principal
from app.sources.odoo.client import Domain, OdooClient, usable
from app.sources.odoo.customers import PARTNER
from app.sources.odoo.items import PRODUCT, by_code
from app.sources.odoo.reference import OdooReference
from app.sources.odoo.rows import (
    Link,
    OdooBuyerRow,
    PricelistRow,
    PricelistTierRow,
    ProductPriceRow,
    ProductTermsRow,
    link_id,
    number,
)
from app.sources.odoo.units import OdooUnit, times
from app.sources.prices import Certainty, ContractPrice, PriceBreak, PriceReason, PriceRequest
from app.sources.values import Freshness, Money

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class OdooPricingTerms:
    """What a read of prices has one of."""

    pricelist: int
    unit: int | None
    quantity: Decimal
    on: date

    def context(self) -> Mapping[str, object]:
        """The context of the read; without a unit, price and quantity are of the product's own."""
        unit = {} if self.unit is None else {"uom": self.unit}
        return {"pricelist": self.pricelist, "quantity": self.quantity, "date": self.on.isoformat(), **unit}


@dataclass(slots=True)
class OdooPriceQuestion:
    """A request with its price list and unit, and the quantities in that unit at which to read."""

    request: PriceRequest
    pricelist: Link
    unit: OdooUnit
    is_base: bool
    tiers: tuple[Decimal, ...]
    prices: dict[Decimal, Decimal] = field(default_factory=dict)


class OdooPrices:
    """Prices: four calls in two steps, then one at each quantity at which a price may change."""

    def __init__(
        self, client: OdooClient, reference: OdooReference, max_tiers: int, clock: Callable[[], datetime]
    ) -> None:
        self._client = client
        self._reference = reference
        self._max_tiers = max_tiers
        self._clock = clock

    async def quote(
        self, principal: Principal, requests: Sequence[PriceRequest]
    ) -> Mapping[PriceRequest, ContractPrice]:
        """See `Prices.quote`: by the price list that Odoo applies to the customer."""
        now = self._clock()
        sendable_requests = [
            one for one in dict.fromkeys(requests) if len(usable([one.customer])) + len(usable([one.sku])) == 2
        ]
        if not sendable_requests:
            return {}
        customers, skus = (
            list(dict.fromkeys(keys))
            for keys in zip(*((one.customer, one.sku) for one in sendable_requests), strict=True)
        )
        buyers, products = await asyncio.gather(
            self._client.search(PARTNER, OdooBuyerRow, [["ref", "in", customers]], call="prices.buyers"),
            self._client.search(
                PRODUCT, ProductTermsRow, [["default_code", "in", skus], ["sale_ok", "=", True]], call="prices.units"
            ),
        )
        lists = {
            row.ref: row.property_product_pricelist
            for row in buyers
            if row.ref and row.property_product_pricelist and link_id(row.commercial_partner_id) == row.id
        }
        if not lists or not products:
            return {}
        ids = sorted({one[0] for one in lists.values()})
        rules, currencies = await asyncio.gather(
            self._rules(ids, skus),
            self._client.search("product.pricelist", PricelistRow, [["id", "in", ids]], call="prices.lists"),
        )
        questions = await self._questions(sendable_requests, lists, by_code(products), rules)
        await self._read(questions, now.date())
        by_list = {row.id: row.currency_id[1] for row in currencies}
        return {
            one.request: self._price(one, by_list[one.pricelist[0]], now)
            for one in questions
            if one.request.quantity in one.prices and one.pricelist[0] in by_list
        }

    async def _rules(self, pricelists: Sequence[int], skus: Sequence[str]) -> Mapping[int, Sequence[PricelistTierRow]]:
        """The rules of each price list that may apply to any of these items."""
        domain: Domain = [
            ["pricelist_id", "in", list(pricelists)],
            "|",
            "|",
            ["product_id.default_code", "in", list(skus)],
            ["product_tmpl_id.product_variant_ids.default_code", "in", list(skus)],
            "&",
            ["product_id", "=", False],
            ["product_tmpl_id", "=", False],
        ]
        rows = await self._client.search("product.pricelist.item", PricelistTierRow, domain, call="prices.tiers")
        found: defaultdict[int, list[PricelistTierRow]] = defaultdict(list)
        for row in rows:
            found[row.pricelist_id[0]].append(row)
        return found

    def _tiers(self, rules: Sequence[PricelistTierRow], product: ProductTermsRow) -> tuple[Decimal, ...]:
        """The quantities at which an item's price may change, in base units; none where they cannot be told, because a
        rule is based on another price list, or where they are too many."""
        own = [
            rule
            for rule in rules
            if link_id(rule.product_id) in (None, product.id)
            and link_id(rule.product_tmpl_id) in (None, product.product_tmpl_id[0])
        ]
        minima = {ZERO, *(max(number(rule.min_quantity), ZERO) for rule in own)}
        if len(minima) > self._max_tiers or any(rule.base == "pricelist" for rule in own):
            return ()
        return tuple(sorted(minima))

    async def _questions(
        self,
        requests: Sequence[PriceRequest],
        lists: Mapping[str, Link],
        products: Mapping[str, ProductTermsRow],
        rules: Mapping[int, Sequence[PricelistTierRow]],
    ) -> list[OdooPriceQuestion]:
        units = await self._reference.units()
        questions: list[OdooPriceQuestion] = []
        for request in requests:
            product, pricelist = products.get(request.sku), lists.get(request.customer)
            base = None if product is None else units.get(product.uom_id[0])
            if product is None or pricelist is None or base is None:
                continue
            unit = base if request.uom is None else next(iter(units.named(request.uom, like=base.id)), None)
            if unit is None:
                continue
            tiers = self._tiers(rules.get(pricelist[0], ()), product)
            minima = tuple(times(one, base.ratio / unit.ratio) for one in tiers)
            questions.append(OdooPriceQuestion(request, pricelist, unit, unit is base, minima))
        return questions

    async def _read(self, questions: Sequence[OdooPriceQuestion], today: date) -> None:
        """Read all prices at the same time, and note them with their questions."""
        groups: defaultdict[OdooPricingTerms, list[OdooPriceQuestion]] = defaultdict(list)
        for one in questions:
            for quantity in {*one.tiers, one.request.quantity}:
                unit = None if one.is_base else one.unit.id
                terms = OdooPricingTerms(one.pricelist[0], unit, quantity, one.request.on or today)
                groups[terms].append(one)
        answers = await asyncio.gather(
            *(
                self._client.search(
                    PRODUCT,
                    ProductPriceRow,
                    [["default_code", "in", sorted({one.request.sku for one in group})], ["sale_ok", "=", True]],
                    context=terms.context(),
                    call="prices",
                )
                for terms, group in groups.items()
            )
        )
        for (terms, group), rows in zip(groups.items(), answers, strict=True):
            found: dict[str | None, Decimal] = {}
            for row in rows:
                found.setdefault(row.default_code, number(row.price))
            for one in group:
                if one.request.sku in found:
                    one.prices[terms.quantity] = found[one.request.sku]

    def _price(self, question: OdooPriceQuestion, currency: str, now: datetime) -> ContractPrice:
        request = question.request
        return ContractPrice(
            customer=request.customer,
            sku=request.sku,
            uom=question.unit.code,
            quantity=request.quantity,
            unit_price=Money(amount=question.prices[request.quantity], currency=currency),
            breaks=_breaks(question, currency),
            reason=PriceReason(price_list=question.pricelist[1], certainty=Certainty.KNOWN),
            authority=self._client.source,
            quoted_at=now,
            freshness=Freshness(source=self._client.source, as_of=now),
        )


def _breaks(question: OdooPriceQuestion, currency: str) -> tuple[PriceBreak, ...]:
    """The quantities at which the price of this item changes."""
    found: list[PriceBreak] = []
    for minimum in question.tiers:
        price = question.prices.get(minimum)
        if price is not None and (not found or found[-1].unit_price.amount != price):
            found.append(PriceBreak(minimum=minimum, unit_price=Money(amount=price, currency=currency)))
    return tuple(found)
