"""Writing orders to a system of record: the port that an adapter implements, and what it is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Protocol

from app.auth.principal import Principal
from app.sources.values import Money, Record


class NewOrderLine(Record):
    """A line to write. `unit_price` is that of `price_unit` units in `uom`, as it was quoted."""

    number: int
    sku: str
    quantity: Decimal
    uom: str | None = None
    unit_price: Money | None = None
    price_unit: Decimal = Decimal(1)
    requested_date: date | None = None


class NewOrder(Record):
    """An order to write. `key` identifies it in the target: the target keeps it with the order, and finds it by it.
    `ship_to` is the id of a location of the customer."""

    key: str
    customer: str
    customer_po: str
    channel: str
    ship_to: str | None = None
    requested_date: date | None = None
    note: str | None = None
    allow_partial: bool = True
    allow_substitutes: bool = False
    lines: tuple[NewOrderLine, ...]


class WrittenOrder(Record):
    """An order that the target has. `step` is the last of the writer's steps that is done."""

    key: str
    id: str
    number: str
    step: str


class SimulatedLine(Record):
    """The target's price and promise for a line, without an order."""

    number: int
    unit_price: Money | None = None
    price_unit: Decimal = Decimal(1)
    available: Decimal | None = None


class OrderNotAccepted(Exception):
    """The target refused an order by a rule of its business: repeating it does not help. `lines` are the numbers of the
    lines that it named; `held` says that a person may release it. `detail` is for the log."""

    def __init__(self, *, lines: Sequence[int] = (), held: bool = False, detail: str = "") -> None:
        super().__init__(detail)
        self.lines = tuple(lines)
        self.held = held
        self.detail = detail


class OrderWriter(Protocol):
    """Writes orders to one source.

    `steps` are the calls of a `post`, in order; a source that needs one has one. `unique_key` says that the target
    creates one order for a key, however often it is sent. `max_seconds` after a request was sent the target has
    answered or given it up: a look-up before that may miss an order that is still being created.
    """

    @property
    def steps(self) -> Sequence[str]: ...

    @property
    def unique_key(self) -> bool: ...

    @property
    def max_seconds(self) -> float: ...

    async def find(self, who: Principal, keys: Sequence[str]) -> Mapping[str, tuple[WrittenOrder, ...]]:
        """The orders of each key, cancelled ones left out; more than one where the target doubled it."""
        ...

    async def post(self, who: Principal, order: NewOrder, found: WrittenOrder | None = None) -> WrittenOrder:
        """Create an order, or go on after the step that a look-up found; no request is sent twice. Raises SourceError,
        whose `sent` says whether the request may have reached the target, and OrderNotAccepted."""
        ...

    async def simulate(self, who: Principal, order: NewOrder) -> Sequence[SimulatedLine] | None:
        """Price and availability of each line as the target sees them; None where it cannot tell."""
        ...

    async def cancel(self, who: Principal, order: WrittenOrder, reason: str) -> None:
        """Cancel an order of which nothing was picked. Raises SourceError, OrderNotAccepted."""
        ...
