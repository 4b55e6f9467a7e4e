"""Customers are commercial partners with a reference; their addresses and contacts are partners below them.

Odoo keeps credit limit and receivables in the company's currency, and does not say whether a limit holds: an
operator's warning on sales (`sale_warn`) is the state.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from app.auth.principal import Principal
from app.errors import InvalidCursor
from app.sources.contacts import Contact
from app.sources.customers import (
    CreditState,
    CreditStatus,
    Customer,
    CustomerLocation,
    CustomerPart,
    CustomerQuery,
    CustomerStatus,
    LocationKind,
    PaymentTerms,
    PriceAgreement,
    TaxProfile,
)
from app.sources.odoo.client import ALL, Domain, OdooClient, containing, record_ids, usable
from app.sources.odoo.reference import Countries, OdooReference
from app.sources.odoo.rows import (
    ContactRow,
    OdooAddressRow,
    OdooCreditRow,
    PartnerCreditRow,
    PartnerNumberRow,
    PartnerRow,
    link_id,
    number,
)
from app.sources.values import Freshness, Money, Page, Ref

PARTNER = "res.partner"
WARNINGS: Mapping[str | None, tuple[CustomerStatus, CreditState]] = {
    None: (CustomerStatus.ACTIVE, CreditState.OK),
    "no-message": (CustomerStatus.ACTIVE, CreditState.OK),
    "warning": (CustomerStatus.ACTIVE, CreditState.WARN),
    "block": (CustomerStatus.ON_HOLD, CreditState.BLOCKED),
}
"""`sale_warn` of a partner -> status and state of credit."""
KINDS = {"delivery": LocationKind.SHIP_TO, "invoice": LocationKind.BILL_TO}
LISTED: Domain = [["ref", "!=", False], ["parent_id", "=", False]]


class OdooCustomers:
    """Customers by number and id, their credit and contacts: one call, or two at once, for any number of keys."""

    def __init__(
        self, client: OdooClient, reference: OdooReference, ref_like: str, clock: Callable[[], datetime]
    ) -> None:
        self._client = client
        self._reference = reference
        self._like = ref_like
        self._clock = clock

    async def by_number(
        self, principal: Principal, numbers: Sequence[str], parts: Collection[CustomerPart] = ()
    ) -> Mapping[str, Customer]:
        """See `Customers.by_number`."""
        keys = usable(numbers)
        row = PartnerCreditRow if CustomerPart.CREDIT in parts else PartnerRow
        found = {one.number: one for one in await self._customers("ref", keys, row, "customers")}
        return {key: found[key] for key in keys if key in found}

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Customer]:
        """See `Customers.by_id`."""
        found = await self._customers("id", record_ids(ids), PartnerRow, "customers.by_id")
        by_id = {one.refs[0].id: one for one in found}
        return {key: by_id[key] for key in ids if key in by_id}

    async def search(self, principal: Principal, query: CustomerQuery) -> Page[Customer]:
        """See `Customers.search`. A cursor is the number of customers before it."""
        skip, first = offset_of(query.page.after), query.page.first
        domain: Domain = [*LISTED, ["ref", "=like", self._like]]
        if query.search:
            if not usable([query.search]):
                return Page(total=0 if query.page.count else None)
            text = containing(query.search)
            domain += ["|", ["ref", "ilike", text], ["name", "ilike", text]]
        if query.numbers is not None:
            domain.append(["ref", "in", usable(query.numbers)])
        ids = await self._client.search(
            PARTNER,
            PartnerNumberRow,
            domain,
            order="ref, id",
            limit=first + 1,
            offset=skip,
            context=ALL,
            call="customers.search",
        )
        found, total = await asyncio.gather(
            self._customers("id", [row.id for row in ids[:first]], PartnerRow, "customers.search"),
            self._counted(domain, counted=query.page.count),
        )
        by_id = {one.refs[0].id: one for one in found}
        rows = tuple(by_id[str(row.id)] for row in ids[:first] if str(row.id) in by_id)
        return Page(
            rows=rows,
            cursors=tuple(str(skip + place) for place in range(1, len(rows) + 1)),
            has_next=len(ids) > first,
            has_previous=skip > 0,
            total=total,
        )

    async def status(self, principal: Principal, numbers: Sequence[str]) -> Mapping[str, CreditStatus]:
        """See `Credit.status`."""
        keys = usable(numbers)
        if not keys:
            return {}
        now = self._clock()
        rows, currency = await asyncio.gather(
            self._client.search(PARTNER, OdooCreditRow, [["ref", "in", keys]], context=ALL, call="credit"),
            self._reference.currency(),
        )
        found = {
            row.ref: self._credit(row, currency, now) for row in rows if link_id(row.commercial_partner_id) == row.id
        }
        return {key: found[key] for key in keys if key in found}

    async def by_customer(self, principal: Principal, customers: Sequence[str]) -> Mapping[str, tuple[Contact, ...]]:
        """See `Contacts.by_customer`: the partners of type contact below a customer."""
        keys = usable(customers)
        if not keys:
            return {}
        domain: Domain = [["parent_id.ref", "in", keys], ["type", "=", "contact"], ["is_company", "=", False]]
        rows, parents = await asyncio.gather(
            self._client.search(PARTNER, ContactRow, domain, order="name, id", call="contacts"),
            self._client.search(PARTNER, PartnerNumberRow, [["ref", "in", keys]], context=ALL, call="contacts.of"),
        )
        numbers = {row.id: row.ref for row in parents if link_id(row.commercial_partner_id) == row.id}
        now = self._clock()
        found: defaultdict[str, list[Contact]] = defaultdict(list)
        for row in rows:
            customer = numbers.get(link_id(row.parent_id) or 0)
            if customer is not None:
                found[customer].append(self._contact(row, customer, now))
        return {key: tuple(found[key]) for key in keys if key in found}

    async def _counted(self, domain: Domain, *, counted: bool) -> int | None:
        return await self._client.count(PARTNER, domain, context=ALL, call="customers.count") if counted else None

    async def _customers(self, field: str, keys: Sequence[object], row: type[PartnerRow], call: str) -> list[Customer]:
        if not keys:
            return []
        now = self._clock()
        above = "parent_id" if field == "id" else f"parent_id.{field}"
        domain: Domain = ["|", [field, "in", keys], "&", [above, "in", keys], ["type", "in", list(KINDS)]]
        rows, countries, currency = await asyncio.gather(
            self._client.search(PARTNER, row, domain, context=ALL, call=call),
            self._reference.countries(),
            self._reference.currency(),
        )
        below: defaultdict[int, list[OdooAddressRow]] = defaultdict(list)
        for address in rows:
            if address.active and address.type in KINDS:
                below[link_id(address.parent_id) or 0].append(address)
        return [
            self._customer(one, below[one.id], countries, currency, now)
            for one in rows
            if one.ref and link_id(one.commercial_partner_id) == one.id
        ]

    def _customer(
        self, row: PartnerRow, addresses: Sequence[OdooAddressRow], countries: Countries, currency: str, now: datetime
    ) -> Customer:
        own = _location(row, countries, LocationKind.BOTH)
        below = [_location(one, countries, KINDS[one.type or ""]) for one in addresses]
        terms, pricelist = row.property_payment_term_id, row.property_product_pricelist
        status = WARNINGS.get(row.sale_warn, (CustomerStatus.UNKNOWN,))[0]
        return Customer(
            number=row.ref or "",
            name=row.name or row.ref or "",
            status=status if row.active else CustomerStatus.INACTIVE,
            sales_rep=None if row.user_id is None else row.user_id[1],
            currency=currency,
            payment_terms=None if terms is None else PaymentTerms(code=str(terms[0]), name=terms[1]),
            tax_profile=TaxProfile(registration_number=row.vat),
            bill_to=next((one for one in below if one.kind is LocationKind.BILL_TO), own),
            ship_tos=tuple(one for one in below if one.kind is LocationKind.SHIP_TO) or (own,),
            refs=(Ref(system=self._client.source, id=str(row.id)),),
            agreement=None if pricelist is None else PriceAgreement(id=str(pricelist[0]), name=pricelist[1]),
            custom=row.custom,
            credit=self._credit(row, currency, now) if isinstance(row, PartnerCreditRow) else None,
            freshness=Freshness(source=self._client.source, as_of=now),
        )

    def _credit(self, row: OdooCreditRow | PartnerCreditRow, currency: str, now: datetime) -> CreditStatus:
        def money(amount: Decimal) -> Money:
            return Money(amount=number(amount), currency=currency)

        return CreditStatus(
            state=WARNINGS.get(row.sale_warn, (None, CreditState.WARN))[1],
            limit=money(row.credit_limit) if row.credit_limit else None,
            exposure=money(row.credit),
            reason=f"sale_warn: {row.sale_warn}" if row.sale_warn not in (None, "no-message") else None,
            checked_at=now,
            freshness=Freshness(source=self._client.source, as_of=now),
        )

    def _contact(self, row: ContactRow, customer: str, now: datetime) -> Contact:
        return Contact(
            id=str(row.id),
            customer=customer,
            name=row.name or customer,
            raw_role=row.function,
            phone=row.phone,
            mobile=row.mobile,
            email=row.email,
            refs=(Ref(system=self._client.source, id=str(row.id)),),
            freshness=Freshness(source=self._client.source, as_of=now),
        )


def _location(row: OdooAddressRow, countries: Countries, kind: LocationKind) -> CustomerLocation:
    return CustomerLocation(id=str(row.id), kind=kind, name=row.name or str(row.id), address=countries.address(row))


def offset_of(cursor: str | None) -> int:
    """The number of rows before a page. Raises InvalidCursor."""
    if cursor is None:
        return 0
    if not cursor.isascii() or not cursor.isdecimal() or len(cursor) > 9:
        raise InvalidCursor
    return int(cursor)
