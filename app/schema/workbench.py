"""The caller's workbench."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

import strawberry

from app.auth.policy import Rows, Scope
from app.resolvers import workbench as edges
from app.schema.base import AFTER, FIRST, Connection, bound_to, field
from app.schema.declare.edges import Argument, edge
from app.schema.declare.enums import enum
from app.sources.freshness_contracts import ORDER
from app.sources.orders import HoldKind

Invoice = Annotated["Invoice", strawberry.lazy("app.schema.billing")]
Order = Annotated["Order", strawberry.lazy("app.schema.orders")]
OrderIntake = Annotated["OrderIntake", strawberry.lazy("app.schema.intake")]
Quote = Annotated["Quote", strawberry.lazy("app.schema.quotes")]

enum(
    edges.ExceptionKind,
    "What is wrong with a submitted order.",
    ORDER_FAILED="It was accepted and given up: nothing more happens without a person.",
    ORDER_HELD="It waits for a decision.",
    ORDER_STUCK="It has been in the queue for more than 15 minutes.",
)
enum(
    edges.ExceptionSeverity,
    "Urgency of an exception.",
    HIGH="Nothing happens without a person, and the order was accepted.",
    MEDIUM="A decision is needed.",
    LOW="The gateway goes on by itself.",
)


@bound_to(edges.WorkbenchException, requires=Scope.ORDERS, rows=Rows.ACCOUNTS, volatility=ORDER)
@strawberry.type(description="A submitted order that does not proceed.")
class WorkbenchException:
    kind: edges.ExceptionKind = field("What is wrong.")
    severity: edges.ExceptionSeverity = field("How urgent it is.")
    since: datetime = field("Time since which the order is in its state.")
    cure: str = field("What to do about it.")
    intake = edge(
        edges.intake_of_exceptions,
        returns=OrderIntake,
        description="The submitted order, with its checks and problems.",
    )


@bound_to(edges.Workbench, requires=Scope.EVERYONE, rows=Rows.ACCOUNTS)
@strawberry.type(description="What needs attention among the customers that the caller sees.")
class Workbench:
    day: date = field("The day that the lists are evaluated for, in UTC.")
    late_orders = edge(
        edges.late_orders,
        returns=Connection[Order] | None,  # type: ignore[valid-type]
        description="Orders whose promised date has passed and that are not shipped, the earliest promise first.",
        args={"first": FIRST, "after": AFTER},
        requires=Scope.ORDERS,
    )
    held_orders = edge(
        edges.held_orders,
        returns=Connection[Order] | None,  # type: ignore[valid-type]
        description="Orders on hold, the oldest first.",
        args={
            "first": FIRST,
            "after": AFTER,
            "hold": Argument(list[HoldKind] | None, "Only holds of these kinds; all if empty."),
        },
        requires=Scope.ORDERS,
    )
    past_due_invoices = edge(
        edges.past_due_invoices,
        returns=Connection[Invoice] | None,  # type: ignore[valid-type]
        description="Invoices that are past due and not paid in full, the longest past due first.",
        args={"first": FIRST, "after": AFTER},
        requires=Scope.INVOICE_TOTALS,
    )
    expiring_quotes = edge(
        edges.expiring_quotes,
        returns=Connection[Quote] | None,  # type: ignore[valid-type]
        description="Offered quotes whose validity ends within `days` days from today, the earliest end first.",
        args={"first": FIRST, "after": AFTER, "days": Argument(int, "Number of days ahead, 0 to 90.", 7)},
        requires=Scope.QUOTES,
    )
    exceptions = edge(
        edges.exceptions,
        returns=Connection[WorkbenchException] | None,
        description="Submitted orders that do not proceed: held, failed, or queued for more than 15 minutes; the "
        "latest submission first.",
        args={"first": FIRST, "after": AFTER},
        requires=Scope.ORDERS,
    )
