"""What customers buy: purchase histories and order guides."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated

import strawberry

from app.auth.policy import Rows, Scope
from app.resolvers import items as item_edges
from app.resolvers import purchases as edges
from app.schema.base import Freshness, Money, bound_to, field
from app.schema.declare.edges import edge
from app.schema.declare.enums import enum
from app.sources import purchases as records
from app.sources.freshness_contracts import PURCHASE
from app.sources.purchases import OrderGuideBasis

Item = Annotated["Item", strawberry.lazy("app.schema.items")]
Order = Annotated["Order", strawberry.lazy("app.schema.orders")]

enum(
    OrderGuideBasis,
    "What an order guide is made of.",
    MAINTAINED="A list that the source maintains for the customer.",
    ORDER_HISTORY="The customer's own orders, most frequent items first.",
    UNKNOWN="The source has a basis that the gateway does not know.",
)


@bound_to(records.Purchase, requires=Scope.ORDERS, rows=Rows.ACCOUNTS)
@strawberry.type(description="An item on an order of a customer.")
class Purchase:
    order_number: str = field("Number of the order.")
    line_number: int | None = field("Number of the order line.")
    ordered_on: date = field("Day of the order.")
    quantity: Decimal = field("Quantity in `uom`.")
    uom: str = field("The unit's code.")
    unit_price: Money | None = field("Price of one unit, as ordered.")
    order = edge(
        edges.order_of,
        returns=Order | None,  # type: ignore[operator]
        description="The order, from its system of record.",
    )


@bound_to(records.PurchaseHistory, requires=Scope.ORDERS, rows=Rows.ACCOUNTS, volatility=PURCHASE)
@strawberry.type(description="How a customer has bought an item, as the source counts it.")
class PurchaseHistory:
    sku: str = field("The item's SKU.")
    times: int | None = field("Number of orders with the item since `since`; null if the source does not count them.")
    since: date | None = field("First day of the period in which orders are counted.")
    last: list[Purchase] = field("The last three orders, newest first.")
    freshness: Freshness = field("The source of the data and its age.")
    item = edge(item_edges.by_sku, returns=Item | None, description="The item.")  # type: ignore[operator]


@bound_to(records.OrderGuideItem, requires=Scope.ORDERS, rows=Rows.ACCOUNTS, volatility=PURCHASE)
@strawberry.type(description="An item that a customer orders regularly.")
class OrderGuideItem:
    sku: str = field("The item's SKU.")
    basis: OrderGuideBasis = field("What the order guide is made of.")
    section: str | None = field("Section of the guide.")
    quantity: Decimal | None = field("Usual or last quantity in `uom`.")
    uom: str | None = field("The unit's code.")
    times: int | None = field("Number of orders with the item; null if the source does not count them.")
    last_ordered_on: date | None = field("Day of the last order.")
    freshness: Freshness = field("The source of the data and its age.")
    item = edge(item_edges.by_sku, returns=Item | None, description="The item.")  # type: ignore[operator]
    purchase_history = edge(
        edges.of_guide_item, returns=PurchaseHistory | None, description="How the customer has bought the item."
    )
