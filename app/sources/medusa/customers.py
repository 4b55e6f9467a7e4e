"""Customers by the number in their metadata, with their addresses and groups.

Several people may buy for one customer; the one that was created first is the customer, and the orders of all of them
are its orders. Medusa knows no credit, and no account that is on hold.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from app.auth.principal import Principal
from app.sources.custom_fields import SourceFields
from app.sources.customers import Customer, CustomerLocation, CustomerPart, LocationKind
from app.sources.medusa.client import MedusaClient, prefixed_ids, sendable
from app.sources.medusa.options import MedusaOptions
from app.sources.values import Address, Freshness, Ref


class MedusaAddress(msgspec.Struct, frozen=True):
    """An address of an order or a customer."""

    company: str | None
    first_name: str | None
    last_name: str | None
    address_1: str | None
    address_2: str | None
    city: str | None
    province: str | None
    postal_code: str | None
    country_code: str | None

    @property
    def name(self) -> str:
        """Whose address it is: the company's, or a person's."""
        return self.company or " ".join(part for part in (self.first_name, self.last_name) if part)

    @property
    def address(self) -> Address:
        """The same as a record."""
        return Address(
            lines=tuple(line for line in (self.address_1, self.address_2) if line),
            city=self.city or None,
            region=self.province or None,
            postal_code=self.postal_code or None,
            country=self.country_code.upper() if self.country_code else None,
        )


class MedusaCustomerAddress(MedusaAddress, frozen=True):
    """An address in a customer's address book."""

    id: str
    address_name: str | None
    is_default_shipping: bool
    is_default_billing: bool


class CustomerGroup(msgspec.Struct, frozen=True):
    """A group that a customer is in."""

    name: str | None


class MedusaCustomer(msgspec.Struct, frozen=True):
    """A customer."""

    id: str
    email: str | None
    company_name: str | None
    first_name: str | None
    last_name: str | None
    metadata: Mapping[str, Any] | None
    addresses: tuple[MedusaCustomerAddress, ...]
    groups: tuple[CustomerGroup, ...]


class CustomerRows(msgspec.Struct, frozen=True, rename={"rows": "customers"}):
    """A page of customers."""

    rows: tuple[MedusaCustomer, ...]
    count: int


class FoundCustomer(msgspec.Struct, frozen=True):
    """A customer that has a number."""

    value: str
    customer: MedusaCustomer


class CustomerLookup(msgspec.Struct, frozen=True):
    """The answer of the look-up route with whole customers, newest first."""

    rows: tuple[FoundCustomer, ...]

    @property
    def values(self) -> set[str]:
        """The numbers that the customers have."""
        return {row.value for row in self.rows}


async def customers_by_number(client: MedusaClient, numbers: Sequence[str], *, call: str) -> dict[str, MedusaCustomer]:
    """The customers of these numbers; of several people with one number the oldest."""
    answers = await client.customers(sendable(numbers), MedusaCustomer, CustomerLookup, call=call)
    rows = sorted((row for answer in answers for row in answer.rows), key=lambda row: row.customer.id, reverse=True)
    return {row.value: row.customer for row in rows}


class MedusaCustomers:
    """Customers, a hundred in a call."""

    def __init__(
        self, client: MedusaClient, options: MedusaOptions, clock: Callable[[], datetime], fields: SourceFields
    ) -> None:
        self._client = client
        self._options = options
        self._clock = clock
        self._fields = fields

    async def by_number(
        self, principal: Principal, numbers: Sequence[str], parts: Collection[CustomerPart] = ()
    ) -> Mapping[str, Customer]:
        found = await customers_by_number(self._client, numbers, call="customers.by_number")
        return {number: self._customer(found[number]) for number in dict.fromkeys(numbers) if number in found}

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Customer]:
        rows = await self._client.by_keys(
            "/admin/customers",
            CustomerRows,
            "id",
            prefixed_ids("cus", ids),
            lambda row: row.id,
            call="customers.by_id",
        )
        return {row.id: self._customer(row) for row in rows if number_of(row.metadata, self._options)}

    def _customer(self, row: MedusaCustomer) -> Customer:
        metadata = row.metadata or {}
        person = " ".join(part for part in (row.first_name, row.last_name) if part)
        addresses = sorted(row.addresses, key=lambda one: one.id)
        groups = sorted(one.name for one in row.groups if one.name)
        return Customer(
            number=number_of(metadata, self._options) or "",
            name=row.company_name or person or row.email or "",
            customer_class=", ".join(groups) or None,
            currency=self._options.currency,
            bill_to=next((_location(one) for one in addresses if one.is_default_billing), None),
            ship_tos=tuple(_ship_tos(addresses)),
            refs=(Ref(system=self._client.name, id=row.id),),
            freshness=Freshness(source=self._client.name, as_of=self._clock()),
            custom=self._fields.read("Customer", metadata.get),
        )


def number_of(metadata: Mapping[str, Any] | None, options: MedusaOptions) -> str | None:
    """The number of a customer in its metadata."""
    value = (metadata or {}).get(options.customer_number_key)
    return str(value) if isinstance(value, (str, int)) and value != "" else None


def _ship_tos(addresses: Sequence[MedusaCustomerAddress]) -> Iterator[CustomerLocation]:
    """All addresses, the default one first."""
    for one in sorted(addresses, key=lambda one: not one.is_default_shipping):
        yield _location(one)


def _location(one: MedusaCustomerAddress) -> CustomerLocation:
    kind = LocationKind.BOTH if one.is_default_billing else LocationKind.SHIP_TO
    return CustomerLocation(id=one.id, kind=kind, name=one.address_name or one.name, address=one.address)
