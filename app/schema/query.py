"""The roots: what can be asked, and what can be waited for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

import strawberry
from graphql import GraphQLInputObjectType
from strawberry.schema.config import StrawberryConfig

from app.auth.policy import Rows, Scope
from app.auth.policy_configuration import configured_audiences
from app.resolvers import audit as audit_roots
from app.resolvers import billing as billing_roots
from app.resolvers import changes as change_roots
from app.resolvers import commissions as commission_roots
from app.resolvers import customers as customer_roots
from app.resolvers import intake as intake_roots
from app.resolvers import item_search, updates
from app.resolvers import items as item_roots
from app.resolvers import nodes as node_roots
from app.resolvers import orders as order_roots
from app.resolvers import pricing as pricing_roots
from app.resolvers import promise as promise_roots
from app.resolvers import quotes as quote_roots
from app.resolvers import shipments as shipment_roots
from app.resolvers import snapshot as snapshot_roots
from app.resolvers import sources as source_roots
from app.resolvers import warehouses as warehouse_roots
from app.schema.audit import AuditEvent, AuditFilter
from app.schema.availability import Promise
from app.schema.base import AFTER, FIRST, Connection, Node
from app.schema.billing import Invoice, InvoiceFilter, Return, ReturnFilter, ReturnKey
from app.schema.changes import ChangesPage, SnapshotPage
from app.schema.commissions import Agent, AgentKey, CommissionStatement, CommissionStatementKey
from app.schema.customers import Customer, CustomerFilter, CustomerKey, Viewer
from app.schema.declare.custom_fields import add_fields
from app.schema.declare.deployment import apply_policy
from app.schema.declare.edges import Argument, root
from app.schema.declare.freshness import contracts_of, fresh
from app.schema.declare.guards import guard
from app.schema.declare.policy import POLICY, build_policy_table, check, collect_declarations, inherit_page_policies
from app.schema.declare.scalars import SCALARS, Cursor
from app.schema.declare.streams import stream
from app.schema.intake import OrderIntake, OrderIntakeFilter, OrderIntakeKey
from app.schema.items import Item, ItemConnection, ItemFilter, ItemKey
from app.schema.mutation import Mutation
from app.schema.orders import Order, OrderFilter, OrderKey
from app.schema.prices import LineInput, PricedLine
from app.schema.quotes import Quote, QuoteFilter, QuoteKey
from app.schema.shipments import Shipment, ShipmentFilter, ShipmentKey
from app.schema.sources import Source
from app.schema.updates import (
    AvailabilityChanged,
    IntakeStreamEvent,
    IntakeUpdate,
    OrderStreamEvent,
    OrderUpdate,
    QuoteStreamEvent,
    QuoteUpdate,
    ReturnStreamEvent,
    ReturnUpdate,
    ShipmentStreamEvent,
    ShipmentUpdate,
    UpdatesLost,
)
from app.schema.warehouses import Warehouse
from app.settings import FieldSettings, PolicySettings
from app.sources.billing import InvoiceSort, ReturnSort
from app.sources.changes import ChangeKind
from app.sources.orders import OrderSort
from app.sources.quotes import QuoteSort
from app.sources.shipments import ShipmentSort

CUSTOMERS = Argument(list[CustomerKey] | None, "Only rows of these customers, 1 to 500; by default of all.")


@strawberry.type(description="The queries.")
class Query:
    """Root fields; each is a function of the context and its arguments."""

    me = root(customer_roots.me, returns=Viewer, description="The caller.", requires=Scope.EVERYONE)
    node = root(
        node_roots.node,
        returns=Node | None,
        description="An object by its id; null if it does not exist for the caller.",
        args={"id": Argument(strawberry.ID, "Lookup by id.")},
        requires=Scope.EVERYONE,
    )
    nodes = root(
        node_roots.nodes,
        returns=list[Node | None],
        description="Things in the order of their ids; null for what does not exist for the caller.",
        args={"ids": Argument(list[strawberry.ID], "At most 100 ids.")},
        requires=Scope.EVERYONE,
    )
    customer = root(
        customer_roots.customer,
        returns=Customer | None,
        description="A customer; null if it does not exist for the caller.",
        args={"by": Argument(CustomerKey, "Key of the customer.")},
        keys_from_args=customer_roots.number_from_args,
        requires=Scope.CUSTOMERS,
    )
    customers = root(
        customer_roots.customers,
        returns=Connection[Customer] | None,
        description="The caller's customers, by number.",
        args={"first": FIRST, "after": AFTER, "filter": Argument(CustomerFilter | None, "Filter of the customers.")},
        requires=Scope.CUSTOMERS,
    )
    item = root(
        item_roots.item,
        returns=Item | None,
        description="An item; null if there is none.",
        args={"by": Argument(ItemKey, "Key of the item.")},
        keys_from_args=item_roots.sku_from_args,
        requires=Scope.EVERYONE,
    )
    items_by_sku = root(
        item_roots.items_by_sku,
        returns=list[Item | None] | None,
        description="Items in the order of the SKUs; null for unknown ones.",
        args={"skus": Argument(list[str], "At most 500 SKUs.")},
        keys_from_args=item_roots.skus_from_args,
        requires=Scope.EVERYONE,
    )
    items = root(
        item_search.items,
        returns=ItemConnection | None,
        description="Items: with a search the best matches first, else by SKU. Buyers and partners see the assortments "
        "of their customers.",
        args={
            "first": FIRST,
            "after": AFTER,
            "filter": Argument(ItemFilter | None, "Filter of the items."),
            "facets": Argument(
                list[str] | None, "Codes of the attributes to count, at most 20; the most common ones by default."
            ),
        },
        requires=Scope.EVERYONE,
    )
    warehouses = root(
        warehouse_roots.warehouses,
        returns=list[Warehouse] | None,
        description="All warehouses, by code.",
        requires=Scope.EVERYONE,
    )
    sources = root(
        source_roots.sources,
        returns=list[Source] | None,
        description="The connected sources and their health, by name.",
        requires=Scope.SOURCES,
    )
    audit_events = root(
        audit_roots.audit_events,
        returns=Connection[AuditEvent] | None,
        description="Audit events, newest first.",
        args={"first": FIRST, "after": AFTER, "filter": Argument(AuditFilter | None, "Filter of the entries.")},
        requires=Scope.AUDIT,
    )
    snapshot = root(
        snapshot_roots.snapshot,
        returns=SnapshotPage | None,
        description="All objects that the caller may see, kind after kind: the first download of an app that then "
        "follows `changes`.",
        args={
            "first": Argument(int, "Maximum number of objects, 1 to 500."),
            "after": Argument(
                Cursor | None, "Continue after this cursor of a download with the same arguments; null begins one."
            ),
            "kinds": Argument(
                list[ChangeKind] | None, "Only these kinds; by default all that can be listed and the caller may see."
            ),
            "customers": Argument(
                list[CustomerKey] | None, "Only objects of these customers, at most 500: those that were granted."
            ),
        },
        requires=Scope.EVERYONE,
    )
    changes = root(
        change_roots.changes,
        returns=ChangesPage | None,
        description="What changed since a cursor, of what the caller may see: what an app syncs by.",
        args={
            "first": Argument(int, "Maximum number of changes, 1 to 100."),
            "since": Argument(
                Cursor | None, "Return changes after this cursor; null returns the current cursor and no changes."
            ),
            "kinds": Argument(list[ChangeKind] | None, "Only these kinds; by default all that the caller may see."),
            "holding": Argument(
                list[strawberry.ID] | None,
                "Ids of objects that the client has stored, at most 100. Those that no longer exist for the caller are "
                "returned as REVOKED, beside the others.",
            ),
        },
        requires=Scope.EVERYONE,
    )
    order = root(
        order_roots.order,
        returns=Order | None,
        description="An order; null if it does not exist for the caller.",
        args={"by": Argument(OrderKey, "Key of the order.")},
        requires=Scope.ORDERS,
    )
    orders = root(
        order_roots.orders,
        returns=Connection[Order] | None,
        description="Orders of the caller's customers, from the system of record.",
        args={
            "first": FIRST,
            "after": AFTER,
            "order_by": Argument(OrderSort, "The order of the list.", OrderSort.ORDERED_AT_DESC),
            "customers": CUSTOMERS,
            "filter": Argument(OrderFilter | None, "Filter of the orders."),
        },
        requires=Scope.ORDERS,
    )
    shipment = root(
        shipment_roots.shipment,
        returns=Shipment | None,
        description="A shipment; null if it does not exist for the caller.",
        args={"by": Argument(ShipmentKey, "Key of the shipment.")},
        requires=Scope.SHIPMENTS,
    )
    shipments = root(
        shipment_roots.shipments,
        returns=Connection[Shipment] | None,
        description="Shipments to the caller's customers, from the system of record.",
        args={
            "first": FIRST,
            "after": AFTER,
            "order_by": Argument(ShipmentSort, "The order of the list.", ShipmentSort.SHIPPED_AT_DESC),
            "customers": CUSTOMERS,
            "filter": Argument(ShipmentFilter | None, "Filter of the shipments."),
        },
        requires=Scope.SHIPMENTS,
    )
    invoices = root(
        billing_roots.invoice_list,
        returns=Connection[Invoice] | None,
        description="Invoices and credit memos of the caller's customers.",
        args={
            "first": FIRST,
            "after": AFTER,
            "order_by": Argument(InvoiceSort, "The order of the list.", InvoiceSort.INVOICED_ON_DESC),
            "customers": CUSTOMERS,
            "filter": Argument(InvoiceFilter | None, "Filter of the invoices."),
        },
        requires=Scope.INVOICES,
    )
    returns = root(
        billing_roots.return_list,
        returns=Connection[Return] | None,
        description="Returns of the caller's customers.",
        args={
            "first": FIRST,
            "after": AFTER,
            "order_by": Argument(ReturnSort, "The order of the list.", ReturnSort.REQUESTED_ON_DESC),
            "customers": CUSTOMERS,
            "filter": Argument(ReturnFilter | None, "Filter of the returns."),
        },
        requires=Scope.RETURNS,
    )
    return_ = root(
        billing_roots.return_by_key,
        returns=Return | None,
        description="A return; null if it does not exist for the caller.",
        args={"by": Argument(ReturnKey, "Key of the return.")},
        name="return",
        requires=Scope.RETURNS,
    )
    quote = root(
        quote_roots.quote,
        returns=Quote | None,
        description="A quote; null if it does not exist for the caller.",
        args={"by": Argument(QuoteKey, "Key of the quote.")},
        requires=Scope.QUOTES,
    )
    quotes = root(
        quote_roots.quotes,
        returns=Connection[Quote] | None,
        description="Quotes of the caller's customers.",
        args={
            "first": FIRST,
            "after": AFTER,
            "order_by": Argument(QuoteSort, "The order of the list.", QuoteSort.REQUESTED_AT_DESC),
            "customers": CUSTOMERS,
            "filter": Argument(QuoteFilter | None, "Filter of the quotes."),
        },
        requires=Scope.QUOTES,
    )
    agent = root(
        commission_roots.agent,
        returns=Agent | None,
        description="A sales agent; null if it does not exist for the caller.",
        args={"by": Argument(AgentKey, "Key of the agent.")},
        requires=Scope.COMMISSIONS,
    )
    commission_statement = root(
        commission_roots.statement,
        returns=CommissionStatement | None,
        description="A commission statement; null if it does not exist for the caller.",
        args={"by": Argument(CommissionStatementKey, "Key of the statement.")},
        requires=Scope.COMMISSIONS,
    )
    price_and_availability = root(
        pricing_roots.price_and_availability,
        returns=list[PricedLine] | None,
        description="Price, stock and substitutes of any number of lines, one outcome a line, in their order.",
        args={
            "customer": Argument(CustomerKey, "The customer."),
            "lines": Argument(list[LineInput], "The requested lines."),
        },
        requires=Scope.PRICES,
    )
    order_intake = root(
        intake_roots.order_intake,
        returns=OrderIntake | None,
        description="A submitted order; null if it does not exist for the caller.",
        args={"by": Argument(OrderIntakeKey, "Key of the intake.")},
        requires=Scope.ORDERS,
    )
    order_intakes = root(
        intake_roots.order_intakes,
        returns=Connection[OrderIntake] | None,
        description="Submitted orders that exist for the caller, newest first.",
        args={"first": FIRST, "after": AFTER, "filter": Argument(OrderIntakeFilter | None, "Filter of the intakes.")},
        requires=Scope.ORDERS,
    )
    approvals_awaiting_me = root(
        intake_roots.approvals_awaiting_me,
        returns=Connection[OrderIntake] | None,
        description="Submitted orders that wait for the caller's approval, newest first; never the caller's own.",
        args={"first": FIRST, "after": AFTER},
        requires=Scope.APPROVE,
    )
    promise = root(
        promise_roots.promise,
        returns=Promise | None,
        description="How much now (`by` today), how much by a date, or when all of it; null if there is no such item.",
        args={
            "item": Argument(ItemKey, "Key of the item."),
            "quantity": Argument(Decimal, "Quantity in `uom`."),
            "by": Argument(date | None, "Only quantities that can ship by this date; by default the earliest dates."),
            "uom": Argument(str | None, "Code or name of the unit; the base unit by default."),
            "warehouses": Argument(list[str] | None, "Only from these warehouses, by code."),
        },
        requires=Scope.EVERYONE,
    )


SINCE = Argument(Cursor | None, "Resume after this cursor; the default is to start with new events.")


@strawberry.type(description="The subscriptions.")
class Subscription:
    """Streams; each is a function of the context and its arguments that yields events."""

    shipment_updates = stream(
        updates.shipment_updates,
        returns=ShipmentStreamEvent,
        description="Changes of shipments: of one customer, one order, named ones, or all that the caller may see. Of "
        "several arguments all have to fit.",
        args={
            "customer": Argument(CustomerKey | None, "Only updates of this customer."),
            "order": Argument(OrderKey | None, "Only updates of this order."),
            "shipments": Argument(list[ShipmentKey] | None, "Only these shipments, at most 100."),
            "after": SINCE,
        },
        requires=Scope.SHIPMENTS,
        rows=Rows.ACCOUNTS,
    )
    order_updates = stream(
        updates.order_updates,
        returns=OrderStreamEvent,
        description="Changes of orders: of one customer, one order, or all that the caller may see.",
        args={
            "customer": Argument(CustomerKey | None, "Only updates of this customer."),
            "order": Argument(OrderKey | None, "This order."),
            "after": SINCE,
        },
        requires=Scope.ORDERS,
        rows=Rows.ACCOUNTS,
    )
    intake_updates = stream(
        updates.intake_updates,
        returns=IntakeStreamEvent,
        description="Changes of submitted orders: of one customer, named ones, or all that the caller may see.",
        args={
            "customer": Argument(CustomerKey | None, "Only updates of this customer."),
            "intakes": Argument(list[strawberry.ID] | None, "Only these intakes, by id, at most 100."),
            "after": SINCE,
        },
        requires=Scope.ORDERS,
        rows=Rows.ACCOUNTS,
    )
    quote_updates = stream(
        updates.quote_updates,
        returns=QuoteStreamEvent,
        description="Changes of quotes: of one customer, named ones, or all that the caller may see.",
        args={
            "customer": Argument(CustomerKey | None, "Only updates of this customer."),
            "quotes": Argument(list[strawberry.ID] | None, "Only these quotes, by id, at most 100."),
            "after": SINCE,
        },
        requires=Scope.QUOTES,
        rows=Rows.ACCOUNTS,
    )
    return_updates = stream(
        updates.return_updates,
        returns=ReturnStreamEvent,
        description="Changes of returns: of one customer, one order, named ones, or all that the caller may see. Of "
        "several arguments all have to fit.",
        args={
            "customer": Argument(CustomerKey | None, "Only updates of this customer."),
            "order": Argument(OrderKey | None, "Only updates of returns of this order."),
            "returns": Argument(list[strawberry.ID] | None, "Only these returns, by id, at most 100."),
            "after": SINCE,
        },
        requires=Scope.RETURNS,
        rows=Rows.ACCOUNTS,
    )
    availability_changed = stream(
        updates.availability_changed,
        returns=AvailabilityChanged,
        description="Items of which there may be more or less, each at most about once a second. Events are not "
        "stored: after a lost connection, read again.",
        args={"items": Argument(list[ItemKey], "At most 100 items.")},
        requires=Scope.EVERYONE,
    )


def schema(policy: PolicySettings, fields: Sequence[FieldSettings]) -> strawberry.Schema:
    """The schema of a deployment, put together; its policy table is in the extensions of graphql-core's schema."""
    audiences = configured_audiences(policy)
    made = strawberry.Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=[ShipmentUpdate, OrderUpdate, IntakeUpdate, QuoteUpdate, ReturnUpdate, UpdatesLost],
        directives=[fresh],
        config=StrawberryConfig(scalar_map=SCALARS),
    )
    for name, kind in made._schema.type_map.items():  # noqa: SLF001 - no other way to graphql-core's
        # Strawberry looks at @oneOf while it reads values; graphql-core's rule finds a wrong key before anything runs.
        if isinstance(kind, GraphQLInputObjectType):
            kind.is_one_of = bool(getattr(made.get_type_by_name(name), "is_one_of", False))
    core = made._schema  # noqa: SLF001
    inherit_page_policies(core)
    add_fields(core, fields)
    apply_policy(core, policy, audiences)
    table = core.extensions[POLICY] = build_policy_table(collect_declarations(core), audiences)
    check(core, table, policy)
    contracts_of(core)
    guard(core, table)
    return made
