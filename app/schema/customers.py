"""Customers, their locations, terms and credit; the caller."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated

import strawberry

from app.auth import principal
from app.auth.policy import Mask, Rows, Scope
from app.auth.principal import Role
from app.resolvers import billing as billing_edges
from app.resolvers import contacts as contact_edges
from app.resolvers import customers as customer_edges
from app.resolvers import intake as intake_edges
from app.resolvers import purchases as purchase_edges
from app.resolvers import quotes as quote_edges
from app.resolvers import receivables as receivable_edges
from app.resolvers import shipments as shipment_edges
from app.resolvers import workbench as workbench_edges
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
from app.schema.contacts import Contact
from app.schema.declare.edges import Argument, edge
from app.schema.declare.enums import enum
from app.schema.purchases import OrderGuideItem, PurchaseHistory
from app.schema.receivables import Receivables
from app.schema.workbench import Workbench
from app.sources import customers as records
from app.sources.billing import InvoiceSort, ReturnSort
from app.sources.customers import CreditState, CustomerStatus, LocationKind
from app.sources.freshness_contracts import CALLER, CREDIT, CUSTOMER
from app.sources.orders import OrderSort, OrderStatus
from app.sources.quotes import QuoteSort
from app.sources.shipments import ShipmentSort

Order = Annotated["Order", strawberry.lazy("app.schema.orders")]
OrderIntake = Annotated["OrderIntake", strawberry.lazy("app.schema.intake")]
OrderFilter = Annotated["OrderFilter", strawberry.lazy("app.schema.orders")]
Invoice = Annotated["Invoice", strawberry.lazy("app.schema.billing")]
InvoiceFilter = Annotated["InvoiceFilter", strawberry.lazy("app.schema.billing")]
Quote = Annotated["Quote", strawberry.lazy("app.schema.quotes")]
QuoteFilter = Annotated["QuoteFilter", strawberry.lazy("app.schema.quotes")]
Return = Annotated["Return", strawberry.lazy("app.schema.billing")]
ReturnFilter = Annotated["ReturnFilter", strawberry.lazy("app.schema.billing")]
Shipment = Annotated["Shipment", strawberry.lazy("app.schema.shipments")]
ShipmentFilter = Annotated["ShipmentFilter", strawberry.lazy("app.schema.shipments")]
Warehouse = Annotated["Warehouse", strawberry.lazy("app.schema.warehouses")]

enum(
    CustomerStatus,
    "The trading status of a customer.",
    ACTIVE="Active.",
    ON_HOLD="New orders are held for approval.",
    INACTIVE="Inactive.",
    UNKNOWN="The source has a status that the gateway does not know.",
)
enum(
    LocationKind,
    "Use of a customer's address.",
    BILL_TO="Bill-to address.",
    SHIP_TO="Ship-to address.",
    BOTH="Ship-to and bill-to address.",
)
enum(
    CreditState,
    "The credit state of a customer.",
    OK="New orders are accepted.",
    WARN="Credit limit nearly used up.",
    HOLD="Credit limit used up: new orders are held.",
    BLOCKED="No delivery.",
)
enum(
    Role,
    "Role of a caller.",
    BUYER="Buyer of a customer.",
    BUYER_ADMIN="Administrator of a customer account.",
    SALES_REP="Sales rep of assigned customers.",
    CSR="Inside customer service.",
    CSR_LEAD="Lead of inside customer service.",
    PARTNER="Machine client of a trading partner.",
    AGENT="Sales agent, for its own and subordinate agents.",
    FINANCE="Finance.",
    OPERATIONS="Warehouse and logistics staff.",
    ADMIN="Platform administrator.",
)
enum(
    OrderSort,
    "Sort order of an order list.",
    ORDERED_AT_DESC="Newest first.",
    ORDERED_AT_ASC="Oldest first.",
    REQUESTED_ON_ASC="Earliest requested date first; orders without one last.",
    REQUESTED_ON_DESC="Latest requested date first; orders without one first.",
    PROMISED_ON_ASC="Earliest promised date first; orders without one last.",
    PROMISED_ON_DESC="Latest promised date first; orders without one first.",
)


@bound_to(records.PaymentTerms, requires=Scope.CUSTOMERS, rows=Rows.ACCOUNTS, volatility=CUSTOMER)
@strawberry.type(description="Payment terms.")
class PaymentTerms:
    code: str = field("The source's code or name for the terms.")
    name: str | None = field("Common name of the terms.")
    net_days: int | None = field("Days from the invoice to the due date; null where the source does not say.")
    discount_percent: Decimal | None = field("Discount for early payment, in percent.")
    discount_days: int | None = field("Days within which the discount may be taken.")


@bound_to(records.TaxProfile, requires=Scope.CUSTOMERS, rows=Rows.ACCOUNTS, volatility=CUSTOMER)
@strawberry.type(description="Tax profile of a customer.")
class TaxProfile:
    area: str | None = field("Tax area of the source.")
    liable: bool = field("Whether the customer is liable for tax.")
    registration_number: str | None = field("Tax registration number.", mask=Mask.LAST4, unmasked_for=Scope.TAX_NUMBERS)
    exemptions: list[str] = field("Codes of exemptions held.")


@bound_to(records.CustomerLocation, requires=Scope.CUSTOMERS, rows=Rows.ACCOUNTS, volatility=CUSTOMER)
@strawberry.type(description="An address of a customer.")
class CustomerLocation:
    id: strawberry.ID = field("The location's id within its customer.")
    kind: LocationKind = field("Use of the address.")
    name: str = field("Name of the location.")
    address: Address = field("Address of the location.")
    gln: str | None = field("GS1 global location number.")
    tax_profile: TaxProfile | None = field(
        "Tax profile of deliveries to this location, if different from the customer's."
    )
    default_warehouse = edge(
        customer_edges.default_warehouse,
        returns=Warehouse | None,  # type: ignore[operator]
        description="Default warehouse of this location.",
    )


@bound_to(records.CreditStatus, requires=Scope.CUSTOMERS, rows=Rows.ACCOUNTS, volatility=CREDIT)
@strawberry.type(description="Credit status of a customer, read on each request.")
class CreditStatus:
    state: CreditState = field("The credit state.")
    limit: Money | None = field("Credit limit; null if none is set.", requires=Scope.CREDIT_AMOUNTS)
    exposure: Money | None = field("Sum of open items and open orders.", requires=Scope.CREDIT_AMOUNTS)
    available: Money | None = field("Remaining credit.", requires=Scope.CREDIT_AMOUNTS)
    overdue: Money | None = field("Overdue amount.", requires=Scope.CREDIT_AMOUNTS)
    reason: str | None = field("Reason why the state is not OK.", requires=Scope.CREDIT_AMOUNTS)
    checked_at: datetime = field("Time at which the source was asked.")
    freshness: Freshness | None = field("The source of the data and its age.")


@bound_to(records.Customer, requires=Scope.CUSTOMERS, rows=Rows.ACCOUNTS, volatility=CUSTOMER)
@strawberry.type(description="A company that buys from the distributor.")
class Customer(Node):
    number: str = field("The customer number, the same in every system.")
    name: str = field("The company's name.")
    status: CustomerStatus = field("The trading status of the customer.")
    customer_class: str | None = field("The distributor's classification.", name="class")
    sales_rep: str | None = field("The sales rep of the customer.")
    currency: str = field("ISO 4217 code of its prices and invoices.")
    payment_terms: PaymentTerms | None = field("Payment terms of the customer.")
    tax_profile: TaxProfile | None = field("Tax profile of the customer.")
    bill_to: CustomerLocation | None = field("Bill-to location.")
    ship_tos: list[CustomerLocation] = field("Ship-to locations.")
    refs: list[Ref] = field("Its ids in the connected systems.")
    freshness: Freshness | None = field("The source of the data and its age.")
    ship_tos_connection = edge(
        customer_edges.ship_tos_page,
        returns=Connection[CustomerLocation],
        description="Ship-to locations, in pages.",
        args={"first": FIRST, "after": AFTER},
    )
    parent = edge(
        customer_edges.parent,
        returns=Annotated["Customer", strawberry.lazy("app.schema.customers")] | None,  # type: ignore[operator]
        description="The parent company.",
    )
    credit_status = edge(
        customer_edges.credit_status,
        returns=CreditStatus | None,
        description="Current credit status, read from the credit source on each request.",
    )
    orders = edge(
        customer_edges.orders,
        returns=Connection[Order] | None,  # type: ignore[valid-type]
        description="Orders of the customer, from the system of record.",
        args={
            "first": FIRST,
            "after": AFTER,
            "order_by": Argument(OrderSort, "The order of the list.", OrderSort.ORDERED_AT_DESC),
            "status": Argument(list[OrderStatus] | None, "Only orders in one of these statuses."),
            "filter": Argument(OrderFilter | None, "Filter of the orders."),  # type: ignore[operator]
        },
        prefetch_by_keys=customer_edges.prefetch_orders,
    )
    open_intakes = edge(
        intake_edges.open_of_customers,
        returns=list[OrderIntake] | None,  # type: ignore[valid-type]
        description="Submitted orders that the system of record does not have yet, newest first; the others are in "
        "`orders`, with their `intake`.",
        args={
            "first": FIRST,
            "posted_within": Argument(
                int,
                "Also orders that were posted within this number of seconds, at most 86400: a list of `orders` may be "
                "older. Leave out those whose `id` is that of an order's `intake`.",
                0,
            ),
        },
    )
    shipments = edge(
        shipment_edges.of_customers,
        returns=Connection[Shipment] | None,  # type: ignore[valid-type]
        description="Shipments to the customer, from the system of record.",
        args={
            "first": FIRST,
            "after": AFTER,
            "order_by": Argument(ShipmentSort, "The order of the list.", ShipmentSort.SHIPPED_AT_DESC),
            "filter": Argument(ShipmentFilter | None, "Filter of the shipments."),  # type: ignore[operator]
        },
        requires=Scope.SHIPMENTS,
    )
    invoices = edge(
        billing_edges.invoices_of_customers,
        returns=Connection[Invoice] | None,  # type: ignore[valid-type]
        description="Invoices and credit memos of the customer.",
        args={
            "first": FIRST,
            "after": AFTER,
            "order_by": Argument(InvoiceSort, "The order of the list.", InvoiceSort.INVOICED_ON_DESC),
            "filter": Argument(InvoiceFilter | None, "Filter of the invoices."),  # type: ignore[operator]
        },
        requires=Scope.INVOICES,
    )
    returns = edge(
        billing_edges.returns_of_customers,
        returns=Connection[Return] | None,  # type: ignore[valid-type]
        description="Returns of the customer.",
        args={
            "first": FIRST,
            "after": AFTER,
            "order_by": Argument(ReturnSort, "The order of the list.", ReturnSort.REQUESTED_ON_DESC),
            "filter": Argument(ReturnFilter | None, "Filter of the returns."),  # type: ignore[operator]
        },
        requires=Scope.RETURNS,
    )
    quotes = edge(
        quote_edges.of_customers,
        returns=Connection[Quote] | None,  # type: ignore[valid-type]
        description="Quotes of the customer.",
        args={
            "first": FIRST,
            "after": AFTER,
            "order_by": Argument(QuoteSort, "The order of the list.", QuoteSort.REQUESTED_AT_DESC),
            "filter": Argument(QuoteFilter | None, "Filter of the quotes."),  # type: ignore[operator]
        },
        requires=Scope.QUOTES,
    )
    receivables = edge(
        receivable_edges.receivables,
        returns=Receivables | None,
        description="Balance, ageing and last payment of the customer, as its ERP reports them.",
        requires=Scope.RECEIVABLES,
    )
    contacts = edge(
        contact_edges.contacts,
        returns=list[Contact] | None,
        description="Contacts of the customer, primary ones first.",
    )
    purchase_history = edge(
        purchase_edges.of_customer,
        returns=list[PurchaseHistory] | None,
        description="How the customer has bought items, in the order of the SKUs; items never bought are left out.",
        args={"skus": Argument(list[str], "SKUs, at most 100.")},
    )
    order_guide = edge(
        purchase_edges.order_guide,
        returns=Connection[OrderGuideItem] | None,
        description="Items that the customer orders regularly, in the source's order.",
        args={"first": FIRST, "after": AFTER},
    )


@bound_to(principal.Principal, requires=Scope.EVERYONE, volatility=CALLER)
@strawberry.type(description="The caller.")
class Viewer:
    subject: str = field("Subject of the caller's token.")
    role_names: list[Role] = field("Roles of the caller.", name="roles")
    customers = edge(
        customer_edges.own_customers,
        returns=list[Customer] | None,
        description="The accounts the caller is bound to; empty for those who see all customers.",
        requires=Scope.CUSTOMERS,
    )
    customers_connection = edge(
        customer_edges.own_customers_page,
        returns=Connection[Customer] | None,
        description="The accounts the caller is bound to, by number, in pages; empty for those who see all customers.",
        args={"first": FIRST, "after": AFTER},
        requires=Scope.CUSTOMERS,
    )
    workbench = edge(
        workbench_edges.workbench,
        returns=Workbench,
        description="What needs attention among the customers that the caller sees.",
    )


@open_to(Scope.CUSTOMERS)
@reads_as(keys.CustomerKey)
@strawberry.input(description="A customer, by exactly one of these.", one_of=True)
class CustomerKey:
    id: strawberry.ID | None = strawberry.field(description="Its id in the graph.", default=strawberry.UNSET)
    number: str | None = strawberry.field(description="Its customer number.", default=strawberry.UNSET)
    ref: RefInput | None = strawberry.field(
        description="Lookup by the id in one source system.", default=strawberry.UNSET
    )


@reads_as(PlainFilter)
@strawberry.input(description="Filter of a customer list.")
class CustomerFilter:
    search: str | None = strawberry.field(
        description="Part of a number or name, case-insensitive.", default=strawberry.UNSET
    )
