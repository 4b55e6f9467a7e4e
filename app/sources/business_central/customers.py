"""Customers and their credit. Business Central keeps limit and balance in the company's local currency."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from app.auth.principal import Principal
from app.sources.business_central.client import BusinessCentralClient, guids, sendable, word
from app.sources.business_central.rows import BCCreditRow, BCCustomerCreditRow, BCCustomerRow
from app.sources.customers import (
    CreditState,
    CreditStatus,
    Customer,
    CustomerLocation,
    CustomerPart,
    Customers,
    CustomerStatus,
    LocationKind,
    TaxProfile,
)
from app.sources.values import Address, Freshness, Money, Ref

BLOCKED: Mapping[str, tuple[CustomerStatus, CreditState]] = {
    "": (CustomerStatus.ACTIVE, CreditState.OK),
    "Ship": (CustomerStatus.ON_HOLD, CreditState.HOLD),
    "Invoice": (CustomerStatus.ON_HOLD, CreditState.HOLD),
    "All": (CustomerStatus.INACTIVE, CreditState.BLOCKED),
}
"""What `customers.blocked` says: which documents cannot be posted."""


class BusinessCentralCustomers(Customers):
    """Customers by number and id, and their credit; one request, or one batch for many keys."""

    def __init__(self, client: BusinessCentralClient, currency: str, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._currency = currency
        self._clock = clock

    async def by_number(
        self, principal: Principal, numbers: Sequence[str], parts: Collection[CustomerPart] = ()
    ) -> Mapping[str, Customer]:
        """See `Customers.by_number`."""
        row = BCCustomerCreditRow if CustomerPart.CREDIT in parts else BCCustomerRow
        now, keys = self._clock(), sendable(numbers)
        rows: Sequence[BCCustomerRow] = await self._client.rows("customers", row, "number", keys, call="customers")
        found = {row.number: self._customer(row, now) for row in rows}
        return {key: found[key] for key in keys if key in found}

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Customer]:
        """See `Customers.by_id`."""
        now, keys = self._clock(), guids(ids)
        rows = await self._client.rows("customers", BCCustomerRow, "id", list(keys), call="customers.by_id")
        found = {row.id: self._customer(row, now) for row in rows}
        return {key: found[key] for key in keys.values() if key in found}

    async def status(self, principal: Principal, numbers: Sequence[str]) -> Mapping[str, CreditStatus]:
        """See `Credit.status`."""
        now, keys = self._clock(), sendable(numbers)
        rows = await self._client.rows("customers", BCCreditRow, "number", keys, call="credit")
        found = {row.number: self._credit(row, now) for row in rows}
        return {key: found[key] for key in keys if key in found}

    def _customer(self, row: BCCustomerRow, now: datetime) -> Customer:
        lines = tuple(line for line in (row.address_line1, row.address_line2) if line)
        place = CustomerLocation(
            id=row.id,
            kind=LocationKind.BOTH,
            name=row.display_name,
            address=Address(
                lines=lines,
                city=row.city or None,
                region=row.state or None,
                postal_code=row.postal_code or None,
                country=row.country or None,
            ),
        )
        return Customer(
            number=row.number,
            name=row.display_name,
            status=BLOCKED.get(word(row.blocked), (CustomerStatus.UNKNOWN,))[0],
            sales_rep=row.salesperson_code or None,
            currency=row.currency_code or self._currency,
            tax_profile=TaxProfile(liable=row.tax_liable, registration_number=row.tax_registration_number or None),
            bill_to=place,
            ship_tos=(place,),
            refs=(Ref(system=self._client.source, id=row.id),),
            credit=self._credit(row, now) if isinstance(row, BCCustomerCreditRow) else None,
            freshness=Freshness(source=self._client.source, as_of=now),
        )

    def _credit(self, row: BCCreditRow | BCCustomerCreditRow, now: datetime) -> CreditStatus:
        detail, blocked = row.customer_financial_detail, word(row.blocked)
        return CreditStatus(
            state=BLOCKED.get(blocked, (None, CreditState.WARN))[1],
            limit=self._money(row.credit_limit) if row.credit_limit else None,
            exposure=None if detail is None else self._money(detail.balance),
            overdue=None if detail is None else self._money(detail.overdue_amount),
            reason=f"blocked: {blocked}" if blocked else None,
            checked_at=now,
            freshness=Freshness(source=self._client.source, as_of=now),
        )

    def _money(self, amount: Decimal) -> Money:
        return Money(amount=amount, currency=self._currency)
