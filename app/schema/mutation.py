"""The commands. Each root field validates, writes one durable record and returns it with its problems."""

from __future__ import annotations

import strawberry

from app.auth.policy import Scope
from app.resolvers import intake as intake_roots
from app.resolvers import order_changes as order_change_roots
from app.resolvers import quote_commands as quote_roots
from app.resolvers import return_commands as return_roots
from app.schema.declare.edges import Argument, root
from app.schema.intake import DecideInput, OrderIntakePayload, RetryInput, SubmitOrderInput
from app.schema.order_changes import AmendOrderInput, CancelOrderInput, OrderChangePayload
from app.schema.quotes import DecideQuoteInput, QuotePayload, RequestQuoteInput
from app.schema.returns import DecideReturnInput, RequestReturnInput, ReturnPayload

SUBMIT_COST, DECIDE_COST = 50, 10
"""Cost units that commands are charged before they run: the checks of an order read several sources."""


@strawberry.type(description="The mutations.")
class Mutation:
    """Root fields; each is a function of the context and its input, run one after the other."""

    submit_order = root(
        intake_roots.submit_order,
        returns=OrderIntakePayload | None,
        description="Submit an order. It is stored before the response, and posted to the system of record once for "
        "each key.",
        args={"input": Argument(SubmitOrderInput, "The order.")},
        requires=Scope.ORDERS_WRITE,
        cost=SUBMIT_COST,
    )
    decide_intake = root(
        intake_roots.decide_intake,
        returns=OrderIntakePayload | None,
        description="Approve, reject, release or cancel an order that is not posted. Approvers approve and reject at "
        "their tier, never their own orders; buyers, partners and reps may cancel.",
        args={"input": Argument(DecideInput, "The decision.")},
        requires=Scope.ORDERS_WRITE,
        cost=DECIDE_COST,
    )
    cancel_order = root(
        order_change_roots.cancel_order,
        returns=OrderChangePayload | None,
        description="Cancel an order before it is picked: here while it is not posted, else in its system of record.",
        args={"input": Argument(CancelOrderInput, "The order.")},
        requires=Scope.ORDERS_WRITE,
        cost=DECIDE_COST,
    )
    amend_order = root(
        order_change_roots.amend_order,
        returns=OrderChangePayload | None,
        description="Change quantities of an order before it is picked: here while it is not posted, else in its "
        "system of record. An order that is not posted is checked and approved anew.",
        args={"input": Argument(AmendOrderInput, "The order and its new quantities.")},
        requires=Scope.ORDERS_WRITE,
        cost=SUBMIT_COST,
    )
    retry_intake = root(
        intake_roots.retry_intake,
        returns=OrderIntakePayload | None,
        description="Post an order again that was given up. The system of record is searched for it first.",
        args={"input": Argument(RetryInput, "The intake.")},
        requires=Scope.INTAKE_ADMIN,
        cost=DECIDE_COST,
    )
    request_quote = root(
        quote_roots.request,
        returns=QuotePayload | None,
        description="Request a quote. Its source has one quote for each key.",
        args={"input": Argument(RequestQuoteInput, "The request.")},
        requires=Scope.QUOTES_WRITE,
        cost=DECIDE_COST,
    )
    request_return = root(
        return_roots.request,
        returns=ReturnPayload | None,
        description="Request the return of delivered goods. The source of the order has one return for each key.",
        args={"input": Argument(RequestReturnInput, "The request.")},
        requires=Scope.RETURNS_WRITE,
        cost=DECIDE_COST,
    )
    decide_return = root(
        return_roots.decide,
        returns=ReturnPayload | None,
        description="Approve, reject or cancel a return. Those who may retry orders approve and reject, never what "
        "they requested themselves; all others cancel.",
        args={"input": Argument(DecideReturnInput, "The decision.")},
        requires=Scope.RETURNS_WRITE,
        cost=DECIDE_COST,
    )
    decide_quote = root(
        quote_roots.decide,
        returns=QuotePayload | None,
        description="Accept, decline or renegotiate a quote. An acceptance is an order at the quote's prices: it is "
        "stored before the response, and posted to the quote's source once.",
        args={"input": Argument(DecideQuoteInput, "The decision.")},
        requires=Scope.QUOTES_WRITE,
        cost=SUBMIT_COST,
    )
