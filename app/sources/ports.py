"""Port descriptors: what the read pipeline has to know of each read of a port, declared once beside its Protocol.

Row scope, routing, metering, freshness metrics and caching are compiled from them (`app/sources/pipeline/`); a
simulation of every port can be derived from them too. The first argument of a read is the caller, the next one its
keys; a read whose shape is LIST takes a query instead, one whose shape is ALL takes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from operator import attrgetter
from typing import Any

from app.auth.principal import Principal
from app.sources.freshness_contracts import Contract
from app.sources.lists import ListQuery, SortKey, restrict
from app.sources.values import Page

RowPredicate = Callable[[Any], bool]
RowFilter = Callable[[Principal], RowPredicate | None]
"""Returns the predicate of the rows that exist for a caller; None where all do."""


CustomerOf = Callable[[Any], str | None]
"""Returns the customer number that a key or a row belongs to; None where it names none."""


Check = Callable[[Any, Any], str | None]
"""Says what is wrong with a row as the answer to a key, for the log; None if nothing is."""


class Shape(Enum):
    """What a read returns."""

    ROW = "a mapping of key to row"
    ROWS = "a mapping of key to a tuple of rows"
    PAGE = "a mapping of key to a page of rows"
    LIST = "one page of rows, for a query"
    ALL = "a tuple of all rows"


class Routing(Enum):
    """Which sources answer a read."""

    MASTER = "the master of the domain"
    CUSTOMER = "for each key the master of its customer"
    EVERYWHERE = "all masters for every key; a row counts from the master of its customer only"
    SYSTEM = "the source that the caller names: keys are that source's own ids"
    MERGED = "all sources of the port; the rows of a key are concatenated"
    WAREHOUSE = "for each warehouse its operator's source; the arguments are warehouses and SKUs (special)"


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSpec:
    """How a read is cached, or, with a `max_age` of 0, only shared by concurrent callers of the same row scope.

    `name` is the key in the settings; `record` the type of every value; `tags` are what invalidates the entry of a key;
    `identity` is the key that a value itself names; `cached_form` takes out of a value what is not cached with it;
    `dated` fills in the day where a key means "today". `always` caches it even with the cache disabled.
    """

    name: str
    contract: Contract
    record: Any
    tags: Callable[[Any], tuple[str, ...]] = lambda _: ()
    identity: Callable[[Any], Any] | None = None
    cached_form: Callable[[Any], Any] = lambda value: value
    dated: Callable[[Any, date], Any] | None = None
    always: bool = False

    def accepts(self, key: Any, value: Any) -> bool:
        """Whether a value has the declared type, whole, and belongs to this key."""
        expected = getattr(self.record, "__origin__", self.record)
        return type(value) is expected and (self.identity is None or self.identity(value) == key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Companion:
    """A volatile attribute of a row that belongs to another port: it is only believed of that port's own master.

    A read that takes `option` brings it along on request; of all others the attribute is removed.
    """

    attribute: str
    port: str
    option: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One read of a port.

    `key_customer` and `row_customer` return the customer number that a key or a row belongs to: keys of customers that
    the caller cannot see are not read, their rows are absent. `row_filter` hides further rows. `restrict` narrows the
    query of a LIST to a set of customers, None if nothing is left; `query_customers` returns the customers that a query
    names, None for all; `page` is the type of its page. `query` is the type of the read's query, whose filters and
    sorts the source declares in `Source.lists`; `sort_key` orders the rows of several sources. A source need not have
    an `optional` read: it is then NOT_SUPPORTED. `check(key, row)` says what is wrong with a row, as
    text for the log; the row is then SOURCE_MALFORMED. `simulated` returns a plausible row for a `RowRequest` of the
    cost simulation, which assumes `simulated_rows` of them a key, or as many as the query's `first` says.
    """

    record: type
    shape: Shape = Shape.ROW
    routing: Routing = Routing.MASTER
    key_customer: CustomerOf | None = None
    row_customer: CustomerOf | None = None
    row_filter: RowFilter | None = None
    restrict: Callable[[Any, frozenset[str]], Any] | None = None
    query_customers: Callable[[Any], Collection[str] | None] | None = None
    query: type[ListQuery] | None = None
    sort_key: SortKey | None = None
    optional: bool = False
    cache: CacheSpec | None = None
    check: Check | None = None
    companion: Companion | None = None
    page: type[Page[Any]] = Page
    simulated: Callable[[Any], Any] | None = None
    simulated_rows: int = 1

    def __post_init__(self) -> None:
        if self.routing is Routing.CUSTOMER and self.key_customer is None:
            raise TypeError("a read routed by customer needs key_customer")
        if self.routing is Routing.EVERYWHERE and self.row_customer is None:
            raise TypeError("a read from all masters needs row_customer")

    @property
    def is_routed_by_customer(self) -> bool:
        """Whether customers' routes decide which source answers."""
        return self.routing in (Routing.CUSTOMER, Routing.EVERYWHERE)


@dataclass(frozen=True, slots=True)
class Port:
    """A port by its name, which `Source`, `Sources`, `[domains]` and the `rest` contract use. `metered` reads count
    into the cost of an operation. `domain` names the settings of a port that has no domain of its own."""

    name: str
    protocol: type
    reads: Mapping[str, Read] = field(default_factory=dict)
    metered: bool = True
    domain: str | None = None

    def __iter__(self) -> Iterator[tuple[str, Read]]:
        return iter(self.reads.items())

    @property
    def is_routed_by_customer(self) -> bool:
        """Whether customers' routes decide which source answers, for any of its reads."""
        return any(read.is_routed_by_customer for read in self.reads.values())


def list_reads(
    record: type, query: type[ListQuery], sort_key: SortKey, by_customer: str = "by_customer", search: str = "search"
) -> dict[str, Read]:
    """The two reads of a list of customers' rows: a page for each customer, and a page over all customers."""
    return {
        by_customer: Read(
            record=record, shape=Shape.PAGE, routing=Routing.CUSTOMER, key_customer=same, query=query, optional=True
        ),
        search: Read(
            record=record,
            shape=Shape.LIST,
            row_customer=attrgetter("customer"),
            restrict=restrict,
            query_customers=attrgetter("customers"),
            query=query,
            sort_key=sort_key,
            optional=True,
        ),
    }


def same(key: Any) -> Any:
    """The key itself, where it is a customer number."""
    return key
