"""Customers, their locations, terms and credit; the caller."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated

import strawberry

from app.auth import principal
from app.auth.policy import Mask, Rows, Scope
from app.auth.principal import Role
from app.resolvers import customers as customer_edges
from app.resolvers.customers import CustomerFilter as PlainFilter
from app.resolvers.loading import keys
from app.schema.base import (
    AFTER,
    FIRST,
    Address,
    Connection,
    Freshness,
    Money,
    Node,
    Ref,
    RefInput,
    bound_to,
    field,
    open_to,
    reads_as,
)
from app.schema.declare.edges import Argument, edge
from app.schema.declare.enums import enum
from app.sources import customers as records
from app.sources.customers import CreditState, CustomerStatus, LocationKind
from app.sources.freshness_contracts import CALLER, CREDIT, CUSTOMER
from app.sources.orders import OrderSort, OrderStatus

Order = Annotated["Order", strawberry.lazy("app.schema.orders")]
Warehouse = Annotated["Warehouse", strawberry.lazy("app.schema.warehouses")]

enum(
    CustomerStatus,
    "Whether the distributor trades with a customer.",
    ACTIVE="Trades as usual.",
    ON_HOLD="Orders wait for a decision.",
    INACTIVE="No longer trades.",
    UNKNOWN="The source has a status that the gateway does not know.",
)
enum(
    LocationKind,
    "What a customer's address is for.",
    BILL_TO="Invoices go there.",
    SHIP_TO="Goods go there.",
    BOTH="Goods and invoices go there.",
)
enum(
    CreditState,
    "Whether a customer's credit holds.",
    OK="Orders pass.",
    WARN="Nearly used up.",
    HOLD="Used up: new orders wait.",
    BLOCKED="Nothing is delivered.",
)
enum(
    Role,
    "What a caller is to the distributor.",
    BUYER="Buys for a customer.",
    BUYER_ADMIN="Runs a customer's account.",
    SALES_REP="Looks after assigned customers.",
    CSR="Serves customers from inside.",
    CSR_LEAD="Leads the inside service.",
    PARTNER="A machine of a trading partner.",
    FINANCE="Credit, invoices and cost.",
    OPERATIONS="Warehouse and logistics.",
    ADMIN="Runs the platform.",
)
enum(
    OrderSort,
    "How a list of orders is ordered.",
    ORDERED_AT_DESC="Newest first.",
    ORDERED_AT_ASC="Oldest first.",
)


@bound_to(records.PaymentTerms, requires=Scope.CUSTOMERS, rows=Rows.ACCOUNTS, volatility=CUSTOMER)
@strawberry.type(description="When an invoice is due.")
class PaymentTerms:
    """See `records.PaymentTerms`."""

    code: str = field("The source's code or name for the terms.")
    name: str | None = field("What people call them.")
    net_days: int | None = field("Days from the invoice to the due date; null where the source does not say.")
    discount_percent: Decimal | None = field("Discount for early payment, in percent.")
    discount_days: int | None = field("Days within which the discount may be taken.")


@bound_to(records.TaxProfile, requires=Scope.CUSTOMERS, rows=Rows.ACCOUNTS, volatility=CUSTOMER)
@strawberry.type(description="How a customer is taxed.")
class TaxProfile:
    """See `records.TaxProfile`."""

    area: str | None = field("Tax area of the source.")
    liable: bool = field("Whether tax is charged.")
    registration_number: str | None = field("Tax registration number.", mask=Mask.LAST4, unmasked_for=Scope.TAX_NUMBERS)
    exemptions: list[str] = field("Codes of exemptions held.")


@bound_to(records.CustomerLocation, requires=Scope.CUSTOMERS, rows=Rows.ACCOUNTS, volatility=CUSTOMER)
@strawberry.type(description="An address of a customer.")
class CustomerLocation:
    """See `records.CustomerLocation`."""

    id: strawberry.ID = field("The location's id within its customer.")
    kind: LocationKind = field("What the address is for.")
    name: str = field("The name on the door.")
    address: Address = field("Where it is.")
    gln: str | None = field("GS1 global location number.")
    tax_profile: TaxProfile | None = field("How deliveries there are taxed, if not as the customer.")
    default_warehouse = edge(
        customer_edges.default_warehouse,
        returns=Warehouse | None,  # type: ignore[operator]
        description="The warehouse goods for this location come from.",
    )


@bound_to(records.CreditStatus, requires=Scope.CUSTOMERS, rows=Rows.ACCOUNTS, volatility=CREDIT)
@strawberry.type(description="A customer's credit, read fresh.")
class CreditStatus:
    """See `records.CreditStatus`."""

    state: CreditState = field("Whether the credit holds.")
    limit: Money | None = field("The limit; null where none is set.", requires=Scope.CREDIT_AMOUNTS)
    exposure: Money | None = field("What is owed and ordered.", requires=Scope.CREDIT_AMOUNTS)
    available: Money | None = field("What remains of the limit.", requires=Scope.CREDIT_AMOUNTS)
    overdue: Money | None = field("What should have been paid by now.", requires=Scope.CREDIT_AMOUNTS)
    reason: str | None = field("Why the state is not OK.", requires=Scope.CREDIT_AMOUNTS)
    checked_at: datetime = field("When the source was asked.")
    freshness: Freshness | None = field("Where it comes from and how old it is.")


@bound_to(records.Customer, requires=Scope.CUSTOMERS, rows=Rows.ACCOUNTS, volatility=CUSTOMER)
@strawberry.type(description="A company that buys from the distributor.")
class Customer(Node):
    """See `records.Customer`."""

    number: str = field("The customer number, the same in every system.")
    name: str = field("The company's name.")
    status: CustomerStatus = field("Whether the distributor trades with it.")
    customer_class: str | None = field("The distributor's classification.", name="class")
    sales_rep: str | None = field("Who looks after it.")
    currency: str = field("ISO 4217 code of its prices and invoices.")
    payment_terms: PaymentTerms | None = field("When its invoices are due.")
    tax_profile: TaxProfile | None = field("How it is taxed.")
    bill_to: CustomerLocation | None = field("Where invoices go.")
    ship_tos: list[CustomerLocation] = field("Where goods go.")
    refs: list[Ref] = field("Its ids in the connected systems.")
    freshness: Freshness | None = field("Where it comes from and how old it is.")
    parent = edge(
        customer_edges.parent,
        returns=Annotated["Customer", strawberry.lazy("app.schema.customers")] | None,  # type: ignore[operator]
        description="The company it belongs to.",
    )
    credit_status = edge(
        customer_edges.credit_status, returns=CreditStatus | None, description="Whether its credit holds, read fresh."
    )
    orders = edge(
        customer_edges.orders,
        returns=Connection[Order] | None,  # type: ignore[valid-type]
        description="Its orders, as the system of record has them.",
        args={
            "first": FIRST,
            "after": AFTER,
            "order_by": Argument(OrderSort, "The order of the list.", OrderSort.ORDERED_AT_DESC),
            "status": Argument(list[OrderStatus] | None, "Only orders in one of these statuses."),
        },
        prefetch_by_key=customer_edges.prefetch_orders,
    )


@bound_to(principal.Principal, requires=Scope.EVERYONE, volatility=CALLER)
@strawberry.type(description="The caller.")
class Viewer:
    """See `principal.Principal`."""

    subject: str = field("Who the token was made out to.")
    role_names: list[Role] = field("What the caller is to the distributor.", name="roles")
    customers = edge(
        customer_edges.own_customers,
        returns=list[Customer] | None,
        description="The accounts the caller is bound to; empty for those who see all customers.",
        requires=Scope.CUSTOMERS,
    )


@open_to(Scope.CUSTOMERS)
@reads_as(keys.CustomerKey)
@strawberry.input(description="A customer, by exactly one of these.", one_of=True)
class CustomerKey:
    """See `keys.CustomerKey`."""

    id: strawberry.ID | None = strawberry.field(description="Its id in the graph.", default=strawberry.UNSET)
    number: str | None = strawberry.field(description="Its customer number.", default=strawberry.UNSET)
    ref: RefInput | None = strawberry.field(description="Its id in one system.", default=strawberry.UNSET)


@reads_as(PlainFilter)
@strawberry.input(description="Which customers a list shows.")
class CustomerFilter:
    """See `customers.CustomerFilter`."""

    search: str | None = strawberry.field(
        description="Part of a number or name, in any case.", default=strawberry.UNSET
    )
