"""The `rest` contract: what the operations that take orders send and answer."""

from __future__ import annotations

from app.sources.order_writer import LineQuantity, NewOrder, SimulatedLine
from app.sources.rest.contract_rows import ContractOperation, found
from app.sources.values import Record

ALREADY_PICKED = "ALREADY_PICKED"
"""The `code` of a refusal to cancel an order of which something was picked."""


class OrderKeysRead(Record):
    """Orders by the keys that they were created with."""

    keys: tuple[str, ...]


class OrderCancellation(Record):
    """Cancel the order of this id, if nothing of it was picked."""

    id: str
    reason: str = ""


class OrderAmendment(Record):
    """Set quantities of lines of the order of this id, if nothing of it was picked: all of them or none. A quantity of
    0 cancels the line."""

    id: str
    lines: tuple[LineQuantity, ...]
    reason: str = ""


class CreatedOrder(Record):
    """An order that was created: the system's own `id`, and its `number`."""

    id: str
    number: str


class LineProblem(Record):
    """A problem of a line of an order. `code` is the system's own word."""

    code: str = ""
    message: str = ""
    line_number: int | None = None


class Refusal(Record):
    """RFC 9457: a rule of the business refuses an order (409, 422). `held` says that a person may release it.
    The `code` ALREADY_PICKED says that picking has begun."""

    title: str = ""
    status: int | None = None
    detail: str | None = None
    code: str | None = None
    held: bool = False
    problems: tuple[LineProblem, ...] = ()


class Amended(Record):
    """The order of this id has the quantities."""

    id: str = ""


class Cancelled(Record):
    """The order of this id is cancelled."""

    id: str = ""


CREATE_ORDER = ContractOperation(
    port="order_writer",
    path="/v1/order-submissions/create",
    summary="Create an order; of a key that is known, the order that it has",
    request=NewOrder,
    answer=CreatedOrder,
    write=True,
)
FIND_ORDERS = ContractOperation(
    port="order_writer",
    path="/v1/order-submissions/find",
    summary="Orders by the keys they were created with, cancelled ones left out",
    request=OrderKeysRead,
    answer=found(str, tuple[CreatedOrder, ...]),
)
SIMULATE_ORDER = ContractOperation(
    port="order_writer",
    path="/v1/order-submissions/simulate",
    summary="Price and availability of an order's lines; nothing is created",
    request=NewOrder,
    answer=tuple[SimulatedLine, ...],
    write=True,
)
CANCEL_ORDER = ContractOperation(
    port="order_writer", path="/v1/order-submissions/cancel", summary="Cancel an order of which nothing was picked",
    request=OrderCancellation, answer=Cancelled, write=True,
)  # fmt: skip
AMEND_ORDER = ContractOperation(
    port="order_writer", path="/v1/order-submissions/amend",
    summary="Set quantities of lines of an order of which nothing was picked",
    request=OrderAmendment, answer=Amended, write=True,
)  # fmt: skip
ORDER_OPERATIONS = (CREATE_ORDER, FIND_ORDERS, SIMULATE_ORDER, AMEND_ORDER, CANCEL_ORDER)
