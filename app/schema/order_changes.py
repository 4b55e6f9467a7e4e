"""Cancelling and amending an order: inputs and payload."""

from __future__ import annotations

from decimal import Decimal

import strawberry

from app.auth.policy import Rows, Scope
from app.resolvers import order_changes as edges
from app.schema.base import bound_to, field, open_to, reads_as
from app.schema.declare.edges import edge
from app.schema.intake import IntakeProblem, OrderIntake
from app.schema.orders import Order, OrderKey

KEY = (
    "Idempotency key of the client: 1 to 128 visible ASCII characters. The same key with the same input returns the "
    "outcome without another request; with another input it is refused with KEY_REUSED."
)
INTAKE = "Id of the submitted order, whether it is posted yet or not."


@bound_to(edges.OrderChangePayload, requires=Scope.ORDERS, rows=Rows.ACCOUNTS)
@strawberry.type(description="Outcome of a change of an order.")
class OrderChangePayload:
    intake: OrderIntake | None = field("The submitted order, if the order was submitted here.")
    problems: list[IntakeProblem] = field("Problems of the change and of an order that is not posted; else empty.")
    order = edge(
        edges.changed_orders,
        returns=Order | None,
        description="The order in the system of record after the command; null while it is not posted.",
    )


@open_to(Scope.ORDERS_WRITE)
@reads_as(edges.CancelOrderInput)
@strawberry.input(description="An order to cancel: exactly one of `order` and `intake`.")
class CancelOrderInput:
    key: str = strawberry.field(description=KEY)
    order: OrderKey | None = strawberry.field(description="The order.", default=strawberry.UNSET)
    intake: strawberry.ID | None = strawberry.field(description=INTAKE, default=strawberry.UNSET)
    reason: str | None = strawberry.field(
        description="Reason for the cancellation, at most 1000 characters.", default=strawberry.UNSET
    )


@open_to(Scope.ORDERS_WRITE)
@reads_as(edges.LineQuantityInput)
@strawberry.input(description="The new quantity of a line.")
class LineQuantityInput:
    line_number: int = strawberry.field(description="Number of the line.")
    quantity: Decimal = strawberry.field(description="New quantity in the unit of the line; 0 cancels the line.")


@open_to(Scope.ORDERS_WRITE)
@reads_as(edges.AmendOrderInput)
@strawberry.input(description="Quantities of an order to change: of exactly one of `order` and `intake`.")
class AmendOrderInput:
    key: str = strawberry.field(description=KEY)
    lines: list[LineQuantityInput] = strawberry.field(description="The lines to change; others stay as they are.")
    order: OrderKey | None = strawberry.field(description="The order.", default=strawberry.UNSET)
    intake: strawberry.ID | None = strawberry.field(description=INTAKE, default=strawberry.UNSET)
    reason: str | None = strawberry.field(
        description="Reason for the change, at most 1000 characters.", default=strawberry.UNSET
    )
