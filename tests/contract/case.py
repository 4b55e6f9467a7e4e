"""What an adapter tells the contract suites: how to open it, and facts that its system is known to hold.

An adapter has a module `tests/contract/<vendor>_case.py` with `CASES: tuple[Case, ...]`, built without any I/O.
A port whose facts are None is not run. Values in `exact` are compared with `==` by dotted attribute path
(`"bill_to.address.city"`, `"lines.0.quantity"`, `"lines.#"` for a length); list only what is stable, in the
cassettes as well as on the live system.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Protocol

from app import telemetry
from app.sources.changes import ChangeKind
from app.sources.customers import CustomerPart
from app.sources.items import CustomerItemKey, CustomerPartKey
from app.sources.orders import CustomerPoKey
from app.sources.prices import PriceRequest
from app.sources.source import Source

Expected = Mapping[str, object]
"""Dotted attribute path to exact value."""


class Urls(Protocol):
    """Where the embedded sandbox listens."""

    erp: str
    commerce: str
    logistics: str


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What a case may need to open: whether to talk to the real systems or to record them, and the running sandbox."""

    live: bool
    recording: bool = False
    sandbox: Callable[[], Urls]


@dataclass(frozen=True, kw_only=True)
class ListFacts:
    """A search: `search` finds exactly `found`, in order (at least 3 rows, so that paging shows); `total` is what
    the source tells when asked to count, None if it never can."""

    search: str
    found: tuple[str, ...]
    total: int | None


@dataclass(frozen=True, kw_only=True)
class CustomerFacts:
    """At least 3 known customer numbers."""

    known: tuple[str, ...]
    unknown: str = "CUST-9999"
    exact: Mapping[str, Expected] = field(default_factory=dict)
    parts: frozenset[CustomerPart] = frozenset()
    """The parts this source can bring along."""
    calls: int = 1
    """Calls of a read by number, with and without parts."""
    listing: ListFacts | None = None


@dataclass(frozen=True, kw_only=True)
class CreditFacts:
    """At least 2 customer numbers under credit control."""

    known: tuple[str, ...]
    unknown: str = "CUST-9999"
    exact: Mapping[str, Expected] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ItemFacts:
    """At least 3 known SKUs; GTINs, customer parts, relations, costs where the source has them."""

    known: tuple[str, ...]
    unknown: str = "SKU-9999"
    exact: Mapping[str, Expected] = field(default_factory=dict)
    gtins: Mapping[str, str] = field(default_factory=dict)
    customer_parts: Mapping[CustomerPartKey, str] = field(default_factory=dict)
    part_numbers: Mapping[CustomerItemKey, str] = field(default_factory=dict)
    relations: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    """SKU to (type, SKU) in order."""
    costs: Mapping[str, Expected] = field(default_factory=dict)
    listing: ListFacts | None = None


@dataclass(frozen=True, kw_only=True)
class ContentFacts:
    """At least 2 SKUs with content."""

    known: tuple[str, ...]
    unknown: str = "SKU-9999"
    exact: Mapping[str, Expected] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class WarehouseFacts:
    """All warehouses, by code."""

    exact: Mapping[str, Expected]


@dataclass(frozen=True, kw_only=True)
class StockFacts:
    """At least 3 known SKUs; `warehouses` are the codes each level has positions for; `supply` says whether some of
    them have dated supply."""

    known: tuple[str, ...]
    warehouses: tuple[str, ...]
    supply: bool = True
    unknown: str = "SKU-9999"
    exact: Mapping[str, Expected] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ReservationFacts:
    """At least 2 SKUs with open reservations; `exact` is on the SKU's tuple (`"0.order"`)."""

    known: tuple[str, ...]
    unknown: str = "SKU-9999"
    exact: Mapping[str, Expected] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class BalanceFacts:
    """What one third-party warehouse holds; at least 2 SKUs."""

    warehouse: str
    known: tuple[str, ...]
    unknown: str = "SKU-9999"
    exact: Mapping[str, Expected] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PriceFacts:
    """Price questions with their exact answers. `bulk` are at least 3 questions of one customer for several SKUs that
    must take as many calls as the first of them alone; `unpriced` have no answer."""

    exact: Mapping[PriceRequest, Expected]
    bulk: tuple[PriceRequest, ...]
    unpriced: tuple[PriceRequest, ...] = ()
    breaks: bool = True
    """Whether some of the prices have breaks."""
    by_agreement: bool = False
    """Whether the agreement alone says whose price it is, so that the source never sees the customer."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Filters of a list, by attribute of its query, for a day; `total` is the number of rows, and `first` are the keys
    of the first ones in the default sort. `restrict` are customers that have some of the rows or none, but not all."""

    filters: Mapping[str, Any]
    today: date
    total: int
    first: tuple[str, ...] = ()
    restrict: tuple[str, ...] = ("CUST-0001",)


@dataclass(frozen=True, kw_only=True)
class OrderFacts:
    """At least 3 known order codes. `customers` (at least 2) have orders; the first has at least 2, and `count` is
    how many in all (give it where there are less than 5); `total` says whether the source counts when asked."""

    known: tuple[str, ...]
    customers: tuple[str, ...]
    count: int | None = None
    total: bool = True
    unknown: str = "SO-999999"
    exact: Mapping[str, Expected] = field(default_factory=dict)
    purchase_orders: Mapping[CustomerPoKey, str] = field(default_factory=dict)
    lists: tuple[Selection, ...] = ()
    """Lists over all customers, where the source has them."""


@dataclass(frozen=True, kw_only=True)
class ShipmentFacts:
    """Tracking numbers (at least 2) and the order codes of those shipments; `by_order` gives all tracking numbers of
    an order, oldest first (None for a shipment without). An ERP that serves shipments with orders only has none."""

    tracking: tuple[str, ...]
    by_order: Mapping[str, tuple[str | None, ...]]
    events: bool = True
    """Whether the source has tracking events."""
    unknown: str = "1ZUNKNOWN"
    exact: Mapping[str, Expected] = field(default_factory=dict)
    """By tracking number."""
    lists: tuple[Selection, ...] = ()
    """Lists over all customers by id, where the source has them."""


@dataclass(frozen=True, kw_only=True)
class BillingFacts:
    """Order codes with invoices (at least 2) and returns; `exact` are on the order's tuple (`"0.number"`)."""

    invoiced: tuple[str, ...]
    unknown: str = "SO-999999"
    invoices: Mapping[str, Expected] = field(default_factory=dict)
    returns: Mapping[str, Expected] = field(default_factory=dict)
    invoice_lists: tuple[Selection, ...] = ()
    return_lists: tuple[Selection, ...] = ()
    """Lists over all customers by number, where the source has them."""


@dataclass(frozen=True, kw_only=True)
class CommissionFacts:
    """Agents (at least 2) with agents below them and statements; `statements` are by number, `below` and `newest` the
    numbers of the agents directly below and of all statements, newest first."""

    agents: Mapping[str, Expected]
    below: Mapping[str, tuple[str, ...]]
    statements: Mapping[str, Expected]
    newest: Mapping[str, tuple[str, ...]]
    unknown: str = "AG-99"


@dataclass(frozen=True, kw_only=True)
class ReceivablesFacts:
    """Customers with figures (at least 2). `open_items` are the numbers of all items of customers, in order, at least
    2 of the first; `item` is its first one, and the first `overdue` are past due. `statements` are by customer, for the
    days `since` to `until` before the day on which items are aged. Without open items or statements, those reads raise
    NotSupported."""

    summaries: Mapping[str, Expected]
    open_items: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    item: Expected = field(default_factory=dict)
    overdue: int = 0
    statements: Mapping[str, Expected] = field(default_factory=dict)
    since: int = 0
    until: int = 0
    unknown: str = "CUST-9999"


@dataclass(frozen=True, kw_only=True)
class ContactFacts:
    """Customers with contacts (at least 2); `exact` are on the customer's tuple (`"0.name"`)."""

    exact: Mapping[str, Expected]
    unknown: str = "CUST-9999"


@dataclass(frozen=True, kw_only=True)
class PurchaseFacts:
    """Items that customers have bought (at least 2), and the SKUs of whole order guides (at least 4 of the first), with
    the first row of each."""

    histories: Mapping[CustomerItemKey, Expected]
    guides: Mapping[str, tuple[str, ...]]
    guide_rows: Mapping[str, Expected]
    unknown: CustomerItemKey


@dataclass(frozen=True, kw_only=True)
class QuoteFacts:
    """Quotes (at least 2) by number, and lists over all customers by number."""

    exact: Mapping[str, Expected]
    lists: tuple[Selection, ...]
    unknown: str = "QU-9999999"


@dataclass(frozen=True, kw_only=True)
class AccountFacts:
    """Salespeople (at least 2) with a customer that is assigned to each."""

    assigned: Mapping[str, str]
    unknown: str = "rep-99"


@dataclass(frozen=True, kw_only=True)
class ChangeFacts:
    """Kinds the feed has; `earliest` is a cursor before which nothing is, if there is one to start from."""

    kinds: frozenset[ChangeKind]
    earliest: str | None = None
    minimum: int = 0
    """At least so many changes come after `earliest`."""


@dataclass(frozen=True, kw_only=True)
class SearchFacts:
    """A `text` finds these `skus` in this order, with `values` of the attribute `facet` and `categories`; what
    `assorted` finds is of an assortment. `customer` is a number and a text that finds it."""

    text: str
    skus: tuple[str, ...]
    facet: str
    values: Mapping[str, int]
    categories: Mapping[str, int]
    assorted: str
    customer: tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One adapter against one system. `open` yields a connected source (cassette, sandbox or the real one);
    `connect_to` makes the same adapter for any address, for upstreams that answer wrongly, if there are any."""

    name: str
    open: Callable[[Environment], AbstractAsyncContextManager[Source]]
    connect_to: Callable[[str], Source] | None
    customers: CustomerFacts | None = None
    credit: CreditFacts | None = None
    items: ItemFacts | None = None
    contents: ContentFacts | None = None
    warehouses: WarehouseFacts | None = None
    stock: StockFacts | None = None
    reservations: ReservationFacts | None = None
    balances: BalanceFacts | None = None
    prices: PriceFacts | None = None
    orders: OrderFacts | None = None
    shipments: ShipmentFacts | None = None
    billing: BillingFacts | None = None
    commissions: CommissionFacts | None = None
    receivables: ReceivablesFacts | None = None
    contacts: ContactFacts | None = None
    purchases: PurchaseFacts | None = None
    quotes: QuoteFacts | None = None
    accounts: AccountFacts | None = None
    search: SearchFacts | None = None
    changes: ChangeFacts | None = None

    def __repr__(self) -> str:
        return self.name


def value_at(record: object, path: str) -> object:
    """The value at a dotted path: attributes, indexes, `#` for a length."""
    value = record
    for step in path.split("."):
        if step == "#":
            value = len(value)  # pyright: ignore[reportArgumentType]
        elif step.lstrip("-").isdigit():
            value = value[int(step)]  # pyright: ignore[reportIndexIssue]
        else:
            value = getattr(value, step)
    return value


def assert_exact(record: object, expected: Expected) -> None:
    """Compare value and type at every path."""
    got = {path: value_at(record, path) for path in expected}
    assert got == dict(expected)
    assert {path: type(value) for path, value in got.items()} == {path: type(v) for path, v in expected.items()}


@contextmanager
def counted_calls() -> Iterator[list[tuple[str, str]]]:
    """The backend calls made inside, as (source, call)."""
    scope = telemetry.RequestScope()
    token = telemetry.scope.set(scope)
    try:
        yield scope.calls
    finally:
        telemetry.scope.reset(token)
