"""The caller's workbench."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import strawberry

from app.auth.policy import Rows, Scope
from app.resolvers import workbench as edges
from app.schema.base import AFTER, FIRST, Connection, bound_to, field
from app.schema.declare.edges import Argument, edge
from app.sources.orders import HoldKind

Invoice = Annotated["Invoice", strawberry.lazy("app.schema.billing")]
Order = Annotated["Order", strawberry.lazy("app.schema.orders")]


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
