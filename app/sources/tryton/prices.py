"""Contract prices, as Tryton answers them.

One call has one price list, one day, one quantity and one unit, and any number of products. A price can only change at
the quantities that the list names, so asking at each of those gives the price of every quantity, and the breaks: as
many calls for a hundred lines as for one.

All is asked in base units first. The price of a box of twelve is twelve times that of a piece, exactly; where the
unit is not a whole multiple of the base unit, Tryton rounds, and is asked again in that unit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction

from app.auth.principal import Principal
from app.sources.customers import PriceAgreement
from app.sources.prices import Certainty, ContractPrice, PriceBreak, PriceReason, PriceRequest
from app.sources.tryton.client import TrytonClient, record_ids, usable
from app.sources.tryton.reference import Reference
from app.sources.tryton.units import Unit, Units, times
from app.sources.tryton.wire import Flag, Number, Row, number, quantity, tagged_day
from app.sources.values import Freshness, Money

HUNDRED = Decimal(100)
CENT = Decimal("0.01")


class PriceRow(Row, kw_only=True):
    """A product with its price at the quantity, in the unit and by the list of the context."""

    code: str | None = None
    active: Flag = True
    default_uom: int
    sale_uom: int | None = None
    list_price_used: Number | None = None
    sale_price_uom: Number | None = None


@dataclass(frozen=True, slots=True)
class PricingTerms:
    """What a call has one of, besides quantity and unit. No price list means the list price."""

    price_list: int | None
    currency: int | None
    on: date


@dataclass(slots=True)
class Question:
    """A request on its way to its answer. It is asked in `ask_in`, where a tier of base units is `scale` times as
    many. `prices` are those of the `unit` wanted, by tier."""

    request: PriceRequest
    terms: PricingTerms
    tiers: tuple[Decimal, ...]
    ask_in: Unit | None
    scale: Fraction = Fraction(1)
    unit: Unit | None = None
    base: Unit | None = None
    prices: dict[Decimal, Decimal] = field(default_factory=dict)
    list_price: Decimal | None = None

    def at(self, tier: Decimal) -> Decimal:
        """The tier, counted in the unit asked in; rounded up, so as not to fall short of it."""
        return times(tier, self.scale, up=True)


class TrytonPrices:
    """Prices of the ERP."""

    def __init__(
        self, name: str, client: TrytonClient, reference: Reference, max_tiers: int, clock: Callable[[], datetime]
    ) -> None:
        self._name = name
        self._client = client
        self._reference = reference
        self._max_tiers = max_tiers
        self._clock = clock

    async def quote(
        self,
        principal: Principal,
        requests: Sequence[PriceRequest],
    ) -> Mapping[PriceRequest, ContractPrice]:
        """Prices by request: the list price where the customer has no agreement."""
        now = self._clock()
        units, currency = await asyncio.gather(self._reference.units(), self._reference.currency())
        questions = [
            self._question(request, units, now.date())
            for request in dict.fromkeys(requests)
            if usable([request.sku]) and _answerable(request, units)
        ]
        # The first round guesses that products are kept in pieces and learns in what they are; the second one is for
        # those that are asked about in another way.
        await self._ask(await self._ask(questions, units), units)
        codes = await self._reference.currencies() if any(one.terms.currency for one in questions) else {}
        prices = (self._price(one, codes.get(one.terms.currency or 0, currency), now) for one in questions)
        return {one.request: price for one, price in zip(questions, prices, strict=True) if price is not None}

    def _question(self, request: PriceRequest, units: Units, today: date) -> Question:
        price_list, currency = _agreed(request.agreement)
        terms = PricingTerms(price_list=price_list, currency=currency, on=request.on or today)
        named = units.named(request.uom) if request.uom else []
        tiers = self._tiers(request, named[0].ratio if named else Fraction(1))
        return Question(request=request, terms=terms, tiers=tiers, ask_in=next(iter(units.named("EA")), None))

    def _tiers(self, request: PriceRequest, ratio: Fraction) -> tuple[Decimal, ...]:
        """The quantities to ask at, in base units: all at which the price may change, unless those are too many."""
        if request.agreement is None:
            return (Decimal(0),)
        tiers = request.agreement.tiers
        if self._complete(request):
            return tiers
        amount = times(request.quantity, ratio)
        below = [tier for tier in tiers if tier <= amount]
        # A list that cannot name its tiers is asked at the quantity itself.
        return (max(below),) if below else () if tiers else (amount,)

    def _complete(self, request: PriceRequest) -> bool:
        return request.agreement is None or 0 < len(request.agreement.tiers) <= self._max_tiers

    async def _ask(self, questions: Sequence[Question], units: Units) -> list[Question]:
        """Asks all questions at the same time; returns those that have to be asked in another way."""
        groups: dict[tuple[PricingTerms, Unit | None, Decimal], list[tuple[Question, Decimal]]] = {}
        for question in questions:
            for tier in question.tiers:
                groups.setdefault((question.terms, question.ask_in, question.at(tier)), []).append((question, tier))
        answers = await asyncio.gather(
            *(
                self._rows(terms, unit, amount, dict.fromkeys(question.request.sku for question, _ in group))
                for (terms, unit, amount), group in groups.items()
            )
        )
        again: dict[int, Question] = {}
        for ((_, requested_in, _), group), rows in zip(groups.items(), answers, strict=True):
            for question, tier in group:
                row = rows.get(question.request.sku)
                if row is not None and not _add_answer(question, tier, row, requested_in, units):
                    again[id(question)] = question
        for question in questions:
            # A tier asked alone was chosen before the product's units were known.
            if question.unit is not None and question.tiers != self._tiers(question.request, _ratio(question)):
                again[id(question)] = question
        for question in again.values():
            self._prepare_other_unit(question)
        return list(again.values())

    def _prepare_other_unit(self, question: Question) -> None:
        ratio = _ratio(question)
        question.ask_in, question.scale = (
            (question.base, Fraction(1)) if _multiplied(question) else (question.unit, 1 / ratio)
        )
        question.tiers = self._tiers(question.request, ratio)
        question.prices.clear()

    async def _rows(
        self, terms: PricingTerms, unit: Unit | None, amount: Decimal, skus: Iterable[str]
    ) -> dict[str, PriceRow]:
        context: dict[str, object] = {"active_test": False, "date": tagged_day(terms.on)}
        if terms.price_list is not None:
            context |= {"price_list": terms.price_list, "quantity": amount}
        if terms.currency is not None:
            context |= {"currency": terms.currency, "sale_date": tagged_day(terms.on)}
        if unit is not None:
            context["uom"] = unit.id
        rows = await self._client.search_keys(
            "product.product",
            list(skus),
            lambda chunk: [["code", "in", chunk]],
            PriceRow,
            context=context,
            call="prices",
        )
        found: dict[str, PriceRow] = {}
        for row in sorted(rows, key=lambda row: (not row.active, row.id)):
            if row.code:
                found.setdefault(row.code, row)
        return found

    def _price(self, question: Question, currency: str, now: datetime) -> ContractPrice | None:
        request, unit, base = question.request, question.unit, question.base
        if unit is None or base is None:
            return None
        amount = Fraction(request.quantity) * unit.ratio / base.ratio
        tier = max((tier for tier in question.tiers if tier <= amount), default=None)
        unit_price = None if tier is None else question.prices.get(tier)
        if unit_price is None:
            return None
        # List prices are in the company's currency.
        list_price = None if question.terms.currency else question.list_price
        breaks = _breaks(question, base.ratio / unit.ratio, currency) if self._complete(request) else ()
        return ContractPrice(
            customer=request.customer,
            sku=request.sku,
            uom=unit.code,
            quantity=request.quantity,
            unit_price=Money(amount=unit_price, currency=currency),
            list_price=None if list_price is None else Money(amount=list_price, currency=currency),
            discount_percent=_discount(unit_price, list_price),
            breaks=breaks,
            reason=_reason(request.agreement),
            authority=self._name,
            quoted_at=now,
            freshness=Freshness(source=self._name, as_of=now),
        )


def _add_answer(question: Question, tier: Decimal, row: PriceRow, requested_in: Unit | None, units: Units) -> bool:
    base = units.get(row.default_uom)
    unit = None if base is None else _requested_unit(question.request, base, units)
    if base is None or unit is None:
        # The product is not sold in that unit.
        return True
    question.base, question.unit = base, unit
    ratio = unit.ratio / base.ratio
    if row.list_price_used is not None:
        question.list_price = times(row.list_price_used.decimal, ratio)
    # Tryton counts quantity and price in the unit asked, but in the sales unit if it cannot convert to that.
    counted_in = (
        requested_in
        if requested_in is not None and requested_in.category == base.category
        else units.get(row.sale_uom) or base
    )
    price = number(row.sale_price_uom)
    if counted_in is base and question.scale == 1 and _multiplied(question):
        if price is not None:
            question.prices[tier] = times(price, ratio)
        return True
    if counted_in is unit and question.scale == 1 / ratio:
        if price is not None:
            question.prices[tier] = price
        return True
    return False


def _ratio(question: Question) -> Fraction:
    if question.unit is None or question.base is None:
        return Fraction(1)
    return question.unit.ratio / question.base.ratio


def _multiplied(question: Question) -> bool:
    """Whether the price follows exactly from that of a base unit. A converted currency is rounded in between."""
    ratio = _ratio(question)
    return ratio == 1 or (ratio.denominator == 1 and question.terms.currency is None)


def _requested_unit(request: PriceRequest, base: Unit, units: Units) -> Unit | None:
    if request.uom is None:
        return base
    return next((unit for unit in units.named(request.uom) if unit.category == base.category), None)


def _answerable(request: PriceRequest, units: Units) -> bool:
    if request.uom is not None and not units.named(request.uom):
        return False
    return request.agreement is None or _agreed(request.agreement)[0] is not None


def _agreed(agreement: PriceAgreement | None) -> tuple[int | None, int | None]:
    """Price list and currency, as the customers' mapping put them into the agreement's id."""
    if agreement is None:
        return None, None
    price_list, _, currency = agreement.id.partition("@")
    return next(iter(record_ids([price_list])), None), next(iter(record_ids([currency])), None)


def _breaks(question: Question, ratio: Fraction, currency: str) -> tuple[PriceBreak, ...]:
    """The tiers at which the price does change. The first is 0 where the list has a price for any quantity."""
    breaks: list[PriceBreak] = []
    for tier in question.tiers:
        price = question.prices.get(tier)
        if price is not None and (not breaks or breaks[-1].unit_price.amount != price):
            minimum = quantity(times(tier, ratio, up=True))
            breaks.append(PriceBreak(minimum=minimum, unit_price=Money(amount=price, currency=currency)))
    return tuple(breaks)


def _discount(unit_price: Decimal, list_price: Decimal | None) -> Decimal | None:
    if not list_price or unit_price > list_price:
        return None
    return ((list_price - unit_price) * HUNDRED / list_price).quantize(CENT)


def _reason(agreement: PriceAgreement | None) -> PriceReason:
    if agreement is None:
        return PriceReason(rule="LIST", certainty=Certainty.KNOWN)
    return PriceReason(rule="PRICE_LIST", price_list=agreement.name, certainty=Certainty.KNOWN)
