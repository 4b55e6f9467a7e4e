"""Requesting returns and deciding on them: inputs and payload."""

from __future__ import annotations

from decimal import Decimal

import strawberry

from app.auth.policy import Rows, Scope
from app.resolvers import return_commands as commands
from app.schema.base import bound_to, field, open_to, reads_as
from app.schema.billing import Return
from app.schema.customers import CustomerKey
from app.schema.declare.enums import enum
from app.schema.intake import IntakeProblem
from app.schema.orders import OrderKey
from app.sources.billing import ReturnCondition, ReturnReason
from app.sources.return_writer import ReturnDecisionKind

enum(
    ReturnDecisionKind,
    "A decision on a return.",
    APPROVE="The goods may be sent back.",
    REJECT="The distributor does not take the goods back.",
    CANCEL="The customer keeps the goods.",
)


@bound_to(commands.ReturnPayload, requires=Scope.RETURNS, rows=Rows.ACCOUNTS)
@strawberry.type(description="Outcome of a command on a return.")
class ReturnPayload:
    return_: Return | None = field("The return as its source has it now; null if there is none.", name="return")
    problems: list[IntakeProblem] | None = field("Problems; empty if there are none.", requires=Scope.ORDERS)


@open_to(Scope.RETURNS_WRITE)
@reads_as(commands.ReturnLineInput)
@strawberry.input(description="What of an order line is to come back.")
class ReturnLineInput:
    line_number: int = strawberry.field(description="Number of the order line.")
    quantity: Decimal = strawberry.field(
        description="Quantity in the unit of the order line, at most what was delivered and is in no other return."
    )
    reason: ReturnReason = strawberry.field(description="Reason for the return.")
    condition: ReturnCondition | None = strawberry.field(
        description="Condition of the goods.", default=strawberry.UNSET
    )
    note: str | None = strawberry.field(description="Note, at most 1000 characters.", default=strawberry.UNSET)


@open_to(Scope.RETURNS_WRITE)
@reads_as(commands.RequestReturnInput)
@strawberry.input(description="A return to request.")
class RequestReturnInput:
    key: str = strawberry.field(
        description="Idempotency key of the client: 1 to 128 visible ASCII characters. The same key with the same "
        "input returns the return as it is now; with another input it is refused with KEY_REUSED."
    )
    customer: CustomerKey = strawberry.field(description="The customer who returns the goods.")
    order: OrderKey = strawberry.field(description="The order that they were delivered by.")
    lines: list[ReturnLineInput] = strawberry.field(description="The lines, at most 500.")
    note: str | None = strawberry.field(description="Note, at most 1000 characters.", default=strawberry.UNSET)


@open_to(Scope.RETURNS_WRITE)
@reads_as(commands.DecideReturnInput)
@strawberry.input(description="A decision on a return.")
class DecideReturnInput:
    id: strawberry.ID = strawberry.field(description="Id of the return.")
    version: int = strawberry.field(description="The version that the decision is based on.")
    decision: ReturnDecisionKind = strawberry.field(description="The decision.")
    note: str | None = strawberry.field(
        description="Reason, at most 1000 characters; customers read it as `message`.", default=strawberry.UNSET
    )
