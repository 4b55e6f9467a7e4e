"""Customers: business partners with the data of one sales area, and their credit accounts.

Ship-to parties are customers of their own in S/4HANA: a second request reads their addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime

from app.auth.principal import Principal
from app.http.odata import all_of
from app.http.odata_v2 import literal
from app.sources.customers import (
    CreditState,
    CreditStatus,
    Customer,
    CustomerLocation,
    CustomerPart,
    Customers,
    CustomerStatus,
    LocationKind,
    PaymentTerms,
    TaxProfile,
)
from app.sources.sap_s4hana.client import CREDIT, PARTNERS, S4HANAClient, by_key, external, sendable
from app.sources.sap_s4hana.options import S4HANAOptions
from app.sources.sap_s4hana.rows import (
    SAPAddressRow,
    SAPBusinessPartnerRow,
    SAPCreditAccountRow,
    SAPLocationRow,
    SAPSalesAreaRow,
)
from app.sources.values import Address, Freshness, Money, Ref

STANDARD = "XXDEFAULT"
"""The usage of a business partner's standard address."""


class S4HANACustomers(Customers):
    """Customers of one sales area by number; a partner without that area is no customer here."""

    def __init__(self, client: S4HANAClient, options: S4HANAOptions, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._options = options
        self._clock = clock

    async def by_number(
        self, principal: Principal, numbers: Sequence[str], parts: Collection[CustomerPart] = ()
    ) -> Mapping[str, Customer]:
        """See `Customers.by_number`."""
        return await self._customers(numbers)

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Customer]:
        """See `Customers.by_id`: a customer's number is its id."""
        return await self._customers(ids)

    async def _customers(self, numbers: Sequence[str]) -> Mapping[str, Customer]:
        now, keys = self._clock(), sendable(numbers)
        rows = await self._client.rows(
            PARTNERS, "A_BusinessPartner", SAPBusinessPartnerRow, "Customer", keys, call="customers"
        )
        found = by_key(rows, lambda row: row.customer)
        areas = {number: area for number, row in found.items() if (area := self._area(row)) is not None}
        others = {ship_to for area in areas.values() for ship_to in self._ship_tos(area)} - found.keys()
        located = await self._client.rows(
            PARTNERS, "A_BusinessPartner", SAPLocationRow, "Customer", sorted(others), call="customers.ship_tos"
        )
        locations: dict[str, SAPLocationRow] = {**found, **by_key(located, lambda row: row.customer)}
        return {key: self._customer(key, found[key], areas[key], locations, now) for key in keys if key in areas}

    def _area(self, row: SAPBusinessPartnerRow) -> SAPSalesAreaRow | None:
        requested = self._options
        own = (requested.sales_organization, requested.distribution_channel, requested.division)
        areas = () if row.to_customer is None else row.to_customer.to_customer_sales_area.results
        return next(
            (one for one in areas if (one.sales_organization, one.distribution_channel, one.division) == own), None
        )

    def _ship_tos(self, area: SAPSalesAreaRow) -> list[str]:
        return [
            external(one.bp_customer_number)
            for one in area.to_partner_function.results
            if one.partner_function == self._options.ship_to_function and one.bp_customer_number
        ]

    def _customer(
        self,
        number: str,
        row: SAPBusinessPartnerRow,
        area: SAPSalesAreaRow,
        locations: Mapping[str, SAPLocationRow],
        now: datetime,
    ) -> Customer:
        ship_tos = self._ship_tos(area) or [number]
        vat = row.to_customer.vat_registration if row.to_customer is not None else None
        return Customer(
            number=number,
            name=row.business_partner_name or number,
            status=_status(row, area),
            customer_class=area.customer_group or None,
            currency=area.currency or "",
            payment_terms=PaymentTerms(code=area.customer_payment_terms) if area.customer_payment_terms else None,
            tax_profile=TaxProfile(registration_number=vat) if vat else None,
            bill_to=_location(number, row, LocationKind.BILL_TO, area),
            ship_tos=tuple(
                _location(one, locations[one], LocationKind.SHIP_TO, area) for one in ship_tos if one in locations
            ),
            refs=(Ref(system=self._client.source, id=number),),
            freshness=Freshness(source=self._client.source, as_of=now),
        )


class S4HANACredit:
    """Credit accounts of one credit segment. The service has limits and blocks, and no exposure."""

    def __init__(self, client: S4HANAClient, segment: str, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._segment = segment
        self._clock = clock

    async def status(self, principal: Principal, numbers: Sequence[str]) -> Mapping[str, CreditStatus]:
        """See `Credit.status`. A customer without an account in the segment is absent."""
        now, keys = self._clock(), sendable(numbers)
        also = all_of(f"CreditSegment eq {literal(self._segment)}")
        rows = await self._client.rows(
            CREDIT, "CreditManagementAccount", SAPCreditAccountRow, "BusinessPartner", keys, also=also, call="credit"
        )
        found = by_key(rows, lambda row: row.business_partner)
        return {key: self._credit(found[key], now) for key in keys if key in found}

    def _credit(self, row: SAPCreditAccountRow, now: datetime) -> CreditStatus:
        if row.credit_account_is_blocked:
            state = CreditState.BLOCKED
        else:
            state = CreditState.WARN if row.business_partner_is_critical else CreditState.OK
        # An amount of zero is a limit only where the account says so.
        limited = row.credit_limit_amount != 0 or row.credit_limit_is_zero
        limit = Money(amount=row.credit_limit_amount, currency=row.credit_segment_currency)
        reason = row.credit_account_block_reason
        return CreditStatus(
            state=state,
            limit=limit if limited else None,
            reason=f"block reason {reason}" if reason else None,
            checked_at=now,
            freshness=Freshness(source=self._client.source, as_of=now),
        )


def _status(row: SAPBusinessPartnerRow, area: SAPSalesAreaRow) -> CustomerStatus:
    customer = row.to_customer
    if area.deletion_indicator or (customer is not None and customer.deletion_indicator):
        return CustomerStatus.INACTIVE
    central = customer is not None and customer.order_is_blocked_for_customer
    if row.business_partner_is_blocked or central or area.order_is_blocked_for_customer:
        return CustomerStatus.ON_HOLD
    return CustomerStatus.ACTIVE


def _location(number: str, row: SAPLocationRow, kind: LocationKind, area: SAPSalesAreaRow) -> CustomerLocation:
    return CustomerLocation(
        id=number,
        kind=kind,
        name=row.business_partner_name or number,
        address=_address(row),
        default_warehouse=area.supplying_plant or None,
    )


def _address(row: SAPLocationRow) -> Address:
    addresses = row.to_business_partner_address.results
    standard = (one for one in addresses if any(use.address_usage == STANDARD for use in one.to_address_usage.results))
    found: SAPAddressRow | None = next(standard, addresses[0] if addresses else None)
    if found is None:
        return Address()
    street = " ".join(part for part in (found.street_name, found.house_number) if part)
    return Address(
        lines=tuple(line for line in (found.additional_street_prefix_name, street) if line),
        city=found.city_name or None,
        region=found.region or None,
        postal_code=found.postal_code or None,
        country=found.country or None,
    )
