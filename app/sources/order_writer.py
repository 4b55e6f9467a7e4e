"""Writing orders to a system of record: the port that an adapter implements, and what it is given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final, Protocol, runtime_checkable

from app.auth.principal import Principal
from app.errors import ConfigurationError, DeadlineExceeded, SourceError, SourceRejected, SourceUnavailable
from app.settings import SourceSettings
from app.settings.resilience import ORDER_SUBMISSIONS
from app.sources.values import Money, Record, Timestamp

LONGEST_CREATION: Final = 3600.0
CLOCKS_APART: Final = timedelta(days=1)
"""How far behind the gateway's clock that of a target may be."""


class NewOrderLine(Record):
    """A line to write. `unit_price` is that of `price_unit` units in `uom`, as it was quoted."""

    number: int
    sku: str
    quantity: Decimal
    uom: str | None = None
    unit_price: Money | None = None
    price_unit: Decimal = Decimal(1)
    requested_date: date | None = None


class AcceptedQuote(Record):
    """The quote that an order accepts: its id in the target, its version, and when the customer accepted it."""

    id: str
    version: int
    accepted_at: Timestamp


class NewOrder(Record):
    """An order to write. `key` identifies it in the target: the target keeps it with the order, and finds it by it.
    `ship_to` is the id of a location of the customer. An order of a `quote` closes it: the target refuses a second
    order of a quote, one of another version, and one that was accepted after its validity."""

    key: str
    customer: str
    customer_po: str
    channel: str
    ship_to: str | None = None
    requested_date: date | None = None
    note: str | None = None
    allow_partial: bool = True
    allow_substitutes: bool = False
    quote: AcceptedQuote | None = None
    lines: tuple[NewOrderLine, ...]


class WrittenOrder(Record):
    """An order that the target has. `step` is the last of the writer's steps that is done."""

    key: str
    id: str
    number: str
    step: str


class LineQuantity(Record):
    """The new quantity of a line, in its unit; 0 cancels the line."""

    number: int
    quantity: Decimal


class SimulatedLine(Record):
    """The target's price and promise for a line, without an order."""

    number: int
    unit_price: Money | None = None
    price_unit: Decimal = Decimal(1)
    available: Decimal | None = None


class OrderNotAccepted(Exception):
    """The target refused an order by a rule of its business: repeating it does not help. `lines` are the numbers of the
    lines that it named; `held` says that a person may release it, `picked` that picking has begun. `detail` is for the
    log."""

    def __init__(
        self, *, lines: Sequence[int] = (), held: bool = False, picked: bool = False, detail: str = ""
    ) -> None:
        super().__init__(detail)
        self.lines = tuple(lines)
        self.held = held
        self.picked = picked
        self.detail = detail


def remarks(order: NewOrder, *, dated: bool = False) -> str | None:
    """The note, and what a target has no field for; with `dated` the date that the whole order is requested for."""
    default = None if dated else order.requested_date
    lines = [
        f"Line {line.number}: requested for {line.requested_date.isoformat()}."
        for line in order.lines
        if line.requested_date is not None and line.requested_date != default
    ]
    on = [f"Requested for {order.requested_date.isoformat()}."] if dated and order.requested_date else []
    complete = [] if order.allow_partial else ["Ship complete: the customer takes no partial shipments."]
    return "\n".join([*([order.note] if order.note else []), *on, *complete, *lines]) or None


def max_order_seconds(name: str, settings: SourceSettings, seconds: float | None) -> float:
    """Seconds after which a source has created an order or never does: three times the time limit of a write, if not
    configured. Raises ConfigurationError for less than the time limit."""
    limit = settings.timeout_of(ORDER_SUBMISSIONS)
    if seconds is None:
        return 3 * limit
    if not limit <= seconds <= LONGEST_CREATION:
        cure = f"give seconds, from the time limit of a write ({limit:g}) to {LONGEST_CREATION:g}"
        raise ConfigurationError(f"sources.{name}.options.max_order_seconds", seconds, cure)
    return seconds


@contextmanager
def before_creation() -> Iterator[None]:
    """Around the reads that an order is made of. They create nothing: a failure other than a refusal is reported as not
    sent, so that the order is tried again without a look-up."""
    try:
        yield
    except (SourceError, DeadlineExceeded) as error:
        if not isinstance(error, SourceRejected):
            error.sent = False
        raise


@contextmanager
def after_creation(source: str) -> Iterator[None]:
    """Around the steps of an order that exists. Whatever fails, also a request that was not sent, leaves it there: the
    next attempt must look it up."""
    try:
        yield
    except (SourceError, DeadlineExceeded) as error:
        raise SourceUnavailable(source, detail=f"an order is incomplete: {error.code}: {error.detail}") from error


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

    async def find(self, principal: Principal, keys: Sequence[str]) -> Mapping[str, tuple[WrittenOrder, ...]]:
        """The orders of each key, cancelled ones left out; more than one where the target doubled it."""
        ...

    async def post(self, principal: Principal, order: NewOrder, found: WrittenOrder | None = None) -> WrittenOrder:
        """Create an order, or go on after the step that a look-up found; no request is sent twice. Raises SourceError,
        whose `sent` says whether the request may have reached the target, and OrderNotAccepted."""
        ...

    async def simulate(self, principal: Principal, order: NewOrder) -> Sequence[SimulatedLine] | None:
        """Price and availability of each line as the target sees them; None where it cannot tell."""
        ...

    async def cancel(self, principal: Principal, order: WrittenOrder, reason: str) -> None:
        """Cancel an order of which nothing was picked. Raises SourceError, OrderNotAccepted."""
        ...


@runtime_checkable
class DatedLookup(Protocol):
    """What a writer may be as well: its system finds no order by its key, so that `find` reads the orders of the last
    days only."""

    async def find_since(
        self, principal: Principal, keys: Sequence[str], since: datetime
    ) -> Mapping[str, tuple[WrittenOrder, ...]]:
        """As `OrderWriter.find`, among all orders that were created at `since` or later by the target's clock."""
        ...


async def lookup_orders(
    writer: OrderWriter, principal: Principal, keys: Sequence[str], received: float
) -> Mapping[str, tuple[WrittenOrder, ...]]:
    """The orders of intakes of which the oldest was received at a time, in seconds since 1970. However old it is, none
    of them is missed."""
    if isinstance(writer, DatedLookup):
        return await writer.find_since(principal, keys, datetime.fromtimestamp(received, UTC) - CLOCKS_APART)
    return await writer.find(principal, keys)


@runtime_checkable
class OrderAmender(Protocol):
    """What a writer may be as well: it changes quantities of lines. `amends` says whether its system does."""

    @property
    def amends(self) -> bool: ...

    async def amend(
        self, principal: Principal, order: WrittenOrder, lines: Sequence[LineQuantity], reason: str
    ) -> None:
        """Set the quantities of lines of an order of which nothing was picked: all of them or none. Raises SourceError,
        OrderNotAccepted."""
        ...
