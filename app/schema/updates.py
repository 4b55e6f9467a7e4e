"""What subscribers receive: updates of shipments, orders, quotes and returns, changes of stock."""

from __future__ import annotations

from datetime import datetime

import strawberry

from app.auth.policy import Rows, Scope
from app.events.log import LossReason
from app.resolvers import updates
from app.schema.base import bound_to, field
from app.schema.billing import Return
from app.schema.declare.edges import edge
from app.schema.declare.scalars import Cursor
from app.schema.intake import OrderIntake
from app.schema.items import Item
from app.schema.orders import Order
from app.schema.quotes import Quote
from app.schema.shipments import Shipment
from app.sources.freshness_contracts import ORDER, RETURN, SHIPMENT, STOCK
from app.sources.quotes import QUOTE


@strawberry.interface(description="An event of `shipmentUpdates`.")
class ShipmentStreamEvent:
    """An event of the stream, with the place to resume from."""

    cursor: Cursor = field("Resume after this event by passing it as `after`.")


@strawberry.interface(description="An event of `orderUpdates`.")
class OrderStreamEvent:
    """An event of the stream, with the place to resume from."""

    cursor: Cursor = field("Resume after this event by passing it as `after`.")


@strawberry.interface(description="An event of `intakeUpdates`.")
class IntakeStreamEvent:
    """An event of the stream, with the place to resume from."""

    cursor: Cursor = field("Resume after this event by passing it as `after`.")


@strawberry.interface(description="An event of `quoteUpdates`.")
class QuoteStreamEvent:
    """An event of the stream, with the place to resume from."""

    cursor: Cursor = field("Resume after this event by passing it as `after`.")


@strawberry.interface(description="An event of `returnUpdates`.")
class ReturnStreamEvent:
    """An event of the stream, with the place to resume from."""

    cursor: Cursor = field("Resume after this event by passing it as `after`.")


@bound_to(updates.ShipmentUpdate, requires=Scope.SHIPMENTS, rows=Rows.ACCOUNTS, volatility=SHIPMENT)
@strawberry.type(description="A shipment changed.")
class ShipmentUpdate(ShipmentStreamEvent):
    """A change, read again and authorized again when it is sent."""

    at: datetime = field("When the change was recorded.")
    shipment = edge(
        updates.shipments,
        returns=Shipment | None,
        description="The shipment as it is now; null if it does not exist any more for the caller.",
    )


@bound_to(updates.OrderUpdate, requires=Scope.ORDERS, rows=Rows.ACCOUNTS, volatility=ORDER)
@strawberry.type(description="An order changed.")
class OrderUpdate(OrderStreamEvent):
    """A change, read again and authorized again when it is sent."""

    at: datetime = field("When the change was recorded.")
    order = edge(
        updates.orders,
        returns=Order | None,
        description="The order as it is now; null if it does not exist any more for the caller.",
    )


@bound_to(updates.IntakeUpdate, requires=Scope.ORDERS, rows=Rows.ACCOUNTS, volatility=ORDER)
@strawberry.type(description="An order intake changed.")
class IntakeUpdate(IntakeStreamEvent):
    """A change, read again and authorized again when it is sent."""

    at: datetime = field("When the change was recorded.")
    intake = edge(
        updates.intakes,
        returns=OrderIntake | None,
        description="The intake as it is now; null if it does not exist any more for the caller.",
    )


@bound_to(updates.QuoteUpdate, requires=Scope.QUOTES, rows=Rows.ACCOUNTS, volatility=QUOTE)
@strawberry.type(description="A quote changed.")
class QuoteUpdate(QuoteStreamEvent):
    """A change, read again and authorized again when it is sent."""

    at: datetime = field("When the change was recorded.")
    quote = edge(
        updates.quotes,
        returns=Quote | None,
        description="The quote as it is now; null if it does not exist any more for the caller.",
    )


@bound_to(updates.ReturnUpdate, requires=Scope.RETURNS, rows=Rows.ACCOUNTS, volatility=RETURN)
@strawberry.type(description="A return changed: its request, a decision, the receipt of the goods, or the credit.")
class ReturnUpdate(ReturnStreamEvent):
    """A change, read again and authorized again when it is sent."""

    at: datetime = field("When the change was recorded.")
    return_ = edge(
        updates.returns,
        returns=Return | None,
        name="return",
        description="The return as it is now; null if it does not exist any more for the caller.",
    )


@bound_to(updates.UpdatesLost, requires=Scope.ORDERS, rows=Rows.ACCOUNTS, volatility=SHIPMENT)
@strawberry.type(description="Events between two cursors are no longer in the log; query the objects again.")
class UpdatesLost(ShipmentStreamEvent, OrderStreamEvent, IntakeStreamEvent, QuoteStreamEvent, ReturnStreamEvent):
    """A gap in the stream that is reported to the client."""

    from_: Cursor = field("The requested cursor.", name="from")
    to: Cursor = field("The oldest cursor in the log.")
    reason: LossReason = field("The reason for the loss.")


@bound_to(updates.AvailabilityChanged, requires=Scope.EVERYONE, volatility=STOCK)
@strawberry.type(description="The availability of an item may have changed; query it again.")
class AvailabilityChanged:
    """A hint that says nothing by itself."""

    at: datetime = field("When the change was recorded.")
    item = edge(updates.items, returns=Item | None, description="The item.")
