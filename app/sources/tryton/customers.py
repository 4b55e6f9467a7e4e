"""Customers are parties; their credit, price list and terms are kept per company."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from app.auth.principal import Principal
from app.errors import InvalidCursor, SourceUnavailable
from app.sources.customers import (
    CreditState,
    CreditStatus,
    Customer,
    CustomerPart,
    CustomerQuery,
    CustomerStatus,
    PriceAgreement,
    TaxProfile,
)
from app.sources.tryton.client import Domain, TrytonClient, chunks, containing, record_ids, usable
from app.sources.tryton.parties import PartyAddressRow, TermRow, location, terms
from app.sources.tryton.reference import CodeRow, Reference
from app.sources.tryton.wire import Flag, Number, Row, number, quantity
from app.sources.values import Freshness, Money, Page, Ref

PARTY = "party.party"
WARN_AT = Decimal("0.9")
EVERYBODY = {"active_test": False}


class TierRow(Row, kw_only=True):
    """The quantity from which a line of a price list applies."""

    quantity: Decimal | None = None


class PriceListRow(Row, kw_only=True):
    """`product.price_list`; quantities are counted in the unit that `unit` names."""

    name: str
    unit: str
    lines: list[TierRow] = []


class CustomerPartyRow(Row, kw_only=True):
    """`party.party`."""

    shows = "Customer"

    code: str | None = None
    name: str | None = None
    active: Flag = True
    customer_currency: CodeRow | None = None
    customer_payment_term: TermRow | None = None
    sale_price_list: PriceListRow | None = None
    tax_identifier: CodeRow | None = None
    addresses: list[PartyAddressRow] = []


class CreditRow(Row, kw_only=True):
    """Credit, which Tryton adds up order line by order line."""

    code: str | None = None
    credit_amount: Number | None = None
    credit_limit_amount: Number | None = None


class PartyCreditRow(CustomerPartyRow, kw_only=True):
    """A party with its credit."""

    credit_amount: Number | None = None
    credit_limit_amount: Number | None = None


class TrytonCustomers:
    """Customers and their credit: one call for any number of them."""

    def __init__(
        self, name: str, client: TrytonClient, reference: Reference, like: str, clock: Callable[[], datetime]
    ) -> None:
        self._name = name
        self._client = client
        self._reference = reference
        self._like = like
        self._clock = clock

    async def by_number(
        self,
        principal: Principal,
        numbers: Sequence[str],
        parts: Collection[CustomerPart] = (),
    ) -> Mapping[str, Customer]:
        """Customers by number; where credit cannot be computed they come without."""
        now = self._clock()
        rows: Sequence[CustomerPartyRow]
        if CustomerPart.CREDIT in parts:
            try:
                rows = await self._rows("code", usable(numbers), PartyCreditRow, call="customers")
            except SourceUnavailable:
                rows = await self._rows("code", usable(numbers), CustomerPartyRow, call="customers")
        else:
            rows = await self._rows("code", usable(numbers), CustomerPartyRow, call="customers")
        return {customer.number: customer for customer in await self._customers(rows, now)}

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Customer]:
        now = self._clock()
        rows = await self._rows("id", record_ids(ids), CustomerPartyRow, call="customers.by_id")
        return {customer.refs[0].id: customer for customer in await self._customers(rows, now)}

    async def search(self, principal: Principal, query: CustomerQuery) -> Page[Customer]:
        """Active customers by number, from the last page's last number on."""
        now = self._clock()
        domains = self._search_domains(query)
        after = _after(query.page.after)
        first = query.page.first
        found, total = await asyncio.gather(
            asyncio.gather(*(self._window(domain, after, first + 1) for domain in domains)),
            self._total(domains, query.page.count),
        )
        rows = sorted((row for rows in found for row in rows), key=lambda row: row.code or "")
        customers = await self._customers(rows[:first], now)
        return Page(
            rows=tuple(customers),
            cursors=tuple(_cursor(customer.number) for customer in customers),
            has_next=len(rows) > first,
            has_previous=after is not None,
            total=total,
        )

    async def status(self, principal: Principal, numbers: Sequence[str]) -> Mapping[str, CreditStatus]:
        now = self._clock()
        rows = await self._rows("code", usable(numbers), CreditRow, call="credit")
        currency = await self._reference.currency()
        return {row.code: self._credit(row, currency, now) for row in rows if row.code}

    async def _window(self, domain: Domain, after: str | None, limit: int) -> list[CustomerPartyRow]:
        window = [*domain, ["code", ">", after]] if after else domain
        order = [("code", "ASC")]
        return await self._client.search(
            PARTY, window, CustomerPartyRow, order=order, limit=limit, call="customers.search"
        )

    async def _total(self, domains: Sequence[Domain], requested: bool) -> int | None:
        if not requested:
            return None
        counts = (self._client.count(PARTY, domain, call="customers.count") for domain in domains)
        return sum(await asyncio.gather(*counts))

    def _search_domains(self, query: CustomerQuery) -> list[Domain]:
        """What to search: once, but in pieces where a caller has very many accounts; not at all for the impossible."""
        domain: Domain = [["code", "like", self._like]]
        if text := (query.search or "").strip():
            if not usable([text]):
                return []
            pattern = containing(text)
            domain.append(["OR", ["code", "ilike", pattern], ["name", "ilike", pattern]])
        if query.numbers is None:
            return [domain]
        return [[*domain, ["code", "in", chunk]] for chunk in chunks(usable(query.numbers))]

    async def _rows(self, key: str, keys: Sequence[object], row: type, *, call: str) -> list:
        return await self._client.search_keys(
            PARTY,
            keys,
            lambda chunk: [[key, "in", chunk], ["code", "like", self._like]],
            row,
            context=EVERYBODY,
            call=call,
        )

    async def _customers(self, rows: Sequence[CustomerPartyRow], now: datetime) -> list[Customer]:
        if not rows:
            return []
        currency = await self._reference.currency()
        return [self._customer(row, row.code, currency, now) for row in rows if row.code]

    def _customer(self, row: CustomerPartyRow, code: str, company_currency: str, now: datetime) -> Customer:
        name = row.name or code
        addresses = [address for address in row.addresses if address.active]
        bill_to = next((one for one in addresses if one.invoice), addresses[0] if addresses else None)
        # Tryton itself delivers to the first address where none is named for it.
        ship_tos = [one for one in addresses if one.delivery] or addresses[:1]
        currency = row.customer_currency.code if row.customer_currency else None
        return Customer(
            number=code,
            name=name,
            status=CustomerStatus.ACTIVE if row.active else CustomerStatus.INACTIVE,
            currency=currency or company_currency,
            payment_terms=terms(row.customer_payment_term),
            tax_profile=TaxProfile(registration_number=row.tax_identifier.code) if row.tax_identifier else None,
            bill_to=None if bill_to is None else location(bill_to, name),
            ship_tos=tuple(location(one, name) for one in ship_tos),
            refs=(Ref(system=self._name, id=str(row.id)),),
            agreement=_agreement(row, company_currency),
            credit=self._credit(row, company_currency, now) if isinstance(row, PartyCreditRow) else None,
            freshness=Freshness(source=self._name, as_of=now),
            custom=row.custom,
        )

    def _credit(self, row: CreditRow | PartyCreditRow, currency: str, now: datetime) -> CreditStatus:
        limit, exposure = number(row.credit_limit_amount), number(row.credit_amount)
        state, reason = _state(limit, exposure or Decimal(0))
        return CreditStatus(
            state=state,
            limit=None if limit is None else Money(amount=limit, currency=currency),
            exposure=None if exposure is None else Money(amount=exposure, currency=currency),
            available=None if limit is None else Money(amount=limit - (exposure or Decimal(0)), currency=currency),
            reason=reason,
            checked_at=now,
            freshness=Freshness(source=self._name, as_of=now),
        )


def _state(limit: Decimal | None, exposure: Decimal) -> tuple[CreditState, str | None]:
    if limit is None:
        return CreditState.OK, None
    if exposure > limit:
        return CreditState.HOLD, "The open amount is over the credit limit."
    if exposure >= limit * WARN_AT:
        return CreditState.WARN, "At least nine tenths of the credit limit are used."
    return CreditState.OK, None


def _agreement(row: CustomerPartyRow, company_currency: str) -> PriceAgreement | None:
    """The price list. Its id names the customer's currency too, where prices have to be asked for in another one."""
    prices = row.sale_price_list
    if prices is None:
        return None
    foreign = row.customer_currency
    other = foreign is not None and foreign.code != company_currency
    id = f"{prices.id}@{foreign.id}" if foreign is not None and other else str(prices.id)
    tiers = sorted({quantity(line.quantity or Decimal(0)) for line in prices.lines})
    # Breaks counted in each product's sales unit are no quantities in base units.
    return PriceAgreement(id=id, name=prices.name, tiers=tuple(tiers) if prices.unit == "product_default" else ())


def _cursor(code: str) -> str:
    return f"code:{code}"


def _after(cursor: str | None) -> str | None:
    if cursor is None:
        return None
    kind, _, code = cursor.partition(":")
    if kind != "code" or not usable([code]):
        raise InvalidCursor
    return code
