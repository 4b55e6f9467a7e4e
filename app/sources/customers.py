"""Customers, their locations and terms, and their credit."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from operator import attrgetter
from typing import Protocol

import msgspec

from app.auth.principal import Principal
from app.sources.freshness_contracts import CREDIT, CUSTOMER
from app.sources.node_ids import node_id
from app.sources.ports import CacheSpec, Companion, Port, Read, Routing, Shape, same
from app.sources.values import Address, CustomValues, Freshness, Money, Page, PageRequest, Record, Ref, Timestamp


class CustomerStatus(StrEnum):
    """Whether the distributor trades with the customer."""

    ACTIVE = "ACTIVE"
    ON_HOLD = "ON_HOLD"
    INACTIVE = "INACTIVE"
    UNKNOWN = "UNKNOWN"


class LocationKind(StrEnum):
    """What a customer's address is for."""

    BILL_TO = "BILL_TO"
    SHIP_TO = "SHIP_TO"
    BOTH = "BOTH"


class CreditState(StrEnum):
    """Whether the customer's credit holds."""

    OK = "OK"
    WARN = "WARN"
    HOLD = "HOLD"
    BLOCKED = "BLOCKED"


class CustomerPart(StrEnum):
    """What a read of customers may bring along in the same call, where the source can."""

    CREDIT = "CREDIT"


class PaymentTerms(Record):
    """When an invoice is due. `net_days` from the invoice date; discount in percent within `discount_days`."""

    code: str
    name: str | None = None
    net_days: int | None = None
    discount_percent: Decimal | None = None
    discount_days: int | None = None


class TaxProfile(Record):
    """How the customer is taxed."""

    area: str | None = None
    liable: bool = True
    registration_number: str | None = None
    exemptions: tuple[str, ...] = ()


class CustomerLocation(Record):
    """An address of a customer with what is delivered or billed there."""

    id: str
    kind: LocationKind
    name: str
    address: Address
    gln: str | None = None
    tax_profile: TaxProfile | None = None
    default_warehouse: str | None = None


class PriceAgreement(Record, cache_hash=True):
    """Which contract or price list the source applies to a customer. `tiers` are the quantities, in the
    items' base units and ascending, at which any of its prices may change; empty where the source prices
    each quantity by itself."""

    id: str
    name: str | None = None
    tiers: tuple[Decimal, ...] = ()


class CreditStatus(Record):
    """The customer's credit at `checked_at`. Amounts in the customer's currency."""

    state: CreditState
    limit: Money | None = None
    exposure: Money | None = None
    available: Money | None = None
    overdue: Money | None = None
    reason: str | None = None
    checked_at: Timestamp
    freshness: Freshness | None = None


class Customer(Record):
    """A company that buys. `number` is its key in every system. `assortments` are the codes of the assortments that it
    may buy from; None for the whole range."""

    number: str
    name: str
    status: CustomerStatus = CustomerStatus.ACTIVE
    parent: str | None = None
    customer_class: str | None = None
    sales_rep: str | None = None
    currency: str
    payment_terms: PaymentTerms | None = None
    tax_profile: TaxProfile | None = None
    bill_to: CustomerLocation | None = None
    ship_tos: tuple[CustomerLocation, ...] = ()
    refs: tuple[Ref, ...] = ()
    agreement: PriceAgreement | None = None
    assortments: tuple[str, ...] | None = None
    credit: CreditStatus | None = None
    freshness: Freshness | None = None
    custom: CustomValues | None = None

    @property
    def node_id(self) -> str:
        """The id in the graph."""
        return node_id("Customer", self.number)


class CustomerQuery(Record):
    """A list of customers. `search` matches number and name; `numbers` restricts to the caller's accounts."""

    page: PageRequest
    search: str | None = None
    numbers: tuple[str, ...] | None = None


class Customers(Protocol):
    """Master data of customers. Unknown and foreign numbers are absent from the mappings."""

    async def by_number(
        self, principal: Principal, numbers: Sequence[str], parts: Collection[CustomerPart] = ()
    ) -> Mapping[str, Customer]:
        """Customers by number. A source that cannot bring a part along leaves it None."""
        ...

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Customer]:
        """Customers by the source's own ids (`Ref.id`)."""
        ...

    async def search(self, principal: Principal, query: CustomerQuery) -> Page[Customer]:
        """A page of customers, ordered by number."""
        ...


def customer_tags(number: str) -> tuple[str, ...]:
    """Cache tags of an entry about a customer."""
    return "customer", f"customer:{number}"


def _without_credit(customer: Customer) -> Customer:
    return customer if customer.credit is None else msgspec.structs.replace(customer, credit=None)


_CREDIT = Companion(attribute="credit", port="credit", option="parts")
_number = attrgetter("number")

CUSTOMERS = Port(
    "customers",
    Customers,
    {
        "by_number": Read(
            record=Customer,
            routing=Routing.CUSTOMER,
            key_customer=same,
            companion=_CREDIT,
            cache=CacheSpec(
                name="customers",
                contract=CUSTOMER,
                record=Customer,
                tags=customer_tags,
                identity=_number,
                cached_form=_without_credit,
            ),
        ),
        "by_id": Read(record=Customer, routing=Routing.SYSTEM, row_customer=_number, companion=_CREDIT),
        "search": Read(
            record=Customer,
            shape=Shape.LIST,
            row_customer=_number,
            restrict=lambda query, customers: msgspec.structs.replace(query, numbers=tuple(sorted(customers))),
            query_customers=attrgetter("numbers"),
            sort_key=lambda _: _number,
            companion=_CREDIT,
        ),
    },
)


class Credit(Protocol):
    """Credit, read fresh each time."""

    async def status(self, principal: Principal, numbers: Sequence[str]) -> Mapping[str, CreditStatus]:
        """Credit by customer number; a customer without credit control is state OK with no limit."""
        ...


CREDITS = Port(
    "credit",
    Credit,
    {
        "status": Read(
            record=CreditStatus,
            routing=Routing.CUSTOMER,
            key_customer=same,
            cache=CacheSpec(name="credit", contract=CREDIT, record=CreditStatus),
        )
    },
)
