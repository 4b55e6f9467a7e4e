"""What the types of all domains share: how a type is bound to its record, nodes, pages, money, addresses, freshness."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar

import strawberry

from app.auth.policy import Mask, Rows, Scope
from app.resolvers import freshness as freshness_edges
from app.resolvers.loading import keys, paging
from app.schema.declare.edges import Argument, edge
from app.schema.declare.freshness import volatility as volatility_of
from app.schema.declare.policy import declaration
from app.sources import lists, values
from app.sources.freshness_contracts import Contract

T = TypeVar("T")
C = TypeVar("C", bound=type)


def field(
    description: str,
    *,
    name: str | None = None,
    requires: Scope | None = None,
    mask: Mask | None = None,
    unmasked_for: Scope | None = None,
    volatility: Contract | None = None,
) -> Any:
    """A plain field: the attribute of that name on the type's record.

    `requires` is for fewer than may see the type; those outside `unmasked_for` see the value through the `mask`.
    `volatility` is its contract, if it is not its type's.
    """
    directives = [*declaration(requires, None, mask, unmasked_for), *volatility_of(volatility)]
    return strawberry.field(description=description, name=name, directives=directives)


def open_to(scope: Scope, rows: Rows | None = None, volatility: Contract | None = None) -> Callable[[C], C]:
    """Says who may see a type with its fields, or ask by an input; `rows` which rows exist for them, if not all;
    `volatility` how old it may be, if it is not part of something else."""

    def declare(cls: C) -> C:
        definition: Any = cls.__strawberry_definition__  # type: ignore[attr-defined]
        declared = [*declaration(scope, rows), *volatility_of(volatility)]
        definition.directives = [*(definition.directives or ()), *declared]
        return cls

    return declare


def bound_to(
    record: type,
    *,
    requires: Scope | None = None,
    rows: Rows | None = None,
    volatility: Contract | None = None,
) -> Callable[[C], C]:
    """Names the record class whose attributes a type shows; interfaces and unions know by it which type a record is.

    Every type has one: a plan writes what the record promises without looking again, and a test compares the two.
    `requires`, `rows` and `volatility` are those of `open_to`; a page needs none, it is for those who may see what it
    holds.
    """

    def bind(cls: C) -> C:
        definition: Any = cls.__strawberry_definition__  # type: ignore[attr-defined]
        definition.is_type_of = lambda value, _info: isinstance(value, record)
        cls.__record__ = record  # type: ignore[attr-defined]
        return cls if requires is None else open_to(requires, rows, volatility)(cls)

    return bind


def reads_as(plain: type) -> Callable[[C], C]:
    """Names the class that resolvers get instead of an input."""

    def bind(cls: C) -> C:
        cls.__reads_as__ = plain  # type: ignore[attr-defined]
        return cls

    return bind


FIRST = Argument(int, "Number of rows, 0 to 100.")
AFTER = Argument(str | None, "Return rows after this cursor of the same list; null starts at the beginning.")


@strawberry.interface(description="A thing with an id that is unique in the graph and can be asked for by `node`.")
class Node:
    """Relay's Node."""

    node_id: strawberry.ID = field("Opaque, stable id of the object.", name="id")


@bound_to(paging.PageInfo, requires=Scope.EVERYONE)
@strawberry.type(description="Information about a page, after Relay.")
class PageInfo:
    """Relay's PageInfo; pages go forward."""

    has_next_page: bool = field("Whether rows follow this page.")
    has_previous_page: bool = field("Whether rows come before this page.")
    start_cursor: str | None = field("Cursor of the first row; null on an empty page.")
    end_cursor: str | None = field("Cursor of the last row; pass it as `after` to get the next page.")


@bound_to(paging.Edge)
@strawberry.type(description="A node of a connection with its cursor.")
class Edge(Generic[T]):
    """Relay's edge."""

    cursor: str = field("The cursor of the node.")
    node: T = field("The node.")


@bound_to(paging.Connection)
@strawberry.type(description="A page of a connection.")
class Connection(Generic[T]):
    """Relay's connection."""

    edges: list[Edge[T]] = field("The nodes with their cursors.")
    nodes: list[T] = field("The nodes of the page.")
    page_info: PageInfo = field("Information about the page, after Relay.")
    total_count: int | None = field(
        "Number of rows in the whole list; null if the source does not report it, or if customers live on several "
        "sources that may still have rows of each other's customers."
    )


@bound_to(values.Money, requires=Scope.EVERYONE)
@strawberry.type(description="An exact amount of money.")
class Money:
    amount: Decimal = field("The amount in units of the currency.")
    currency: str = field("ISO 4217 code.")


@bound_to(values.Ref, requires=Scope.EVERYONE)
@strawberry.type(description="The identity of a thing in one connected system.")
class Ref:
    system: str = field("The system's name in the gateway's configuration.")
    id: str = field("The id in that source system.")


@bound_to(values.Address, requires=Scope.EVERYONE)
@strawberry.type(description="A postal address.")
class Address:
    lines: list[str] = field("Street and further lines, in order.")
    city: str | None = field("City or town.")
    region: str | None = field("State, province or region.")
    postal_code: str | None = field("Postal code.")
    country: str | None = field("ISO 3166-1 alpha-2 code where the source has one.")


@bound_to(values.Party, requires=Scope.EVERYONE)
@strawberry.type(description="A name and address as printed on a document.")
class Party:
    name: str = field("The name.")
    address: Address | None = field("The address.")


@bound_to(values.Dimensions, requires=Scope.EVERYONE)
@strawberry.type(description="Outer dimensions and weight.")
class Dimensions:
    length: Decimal | None = field("Length in `lengthUnit`.")
    width: Decimal | None = field("Width in `lengthUnit`.")
    height: Decimal | None = field("Height in `lengthUnit`.")
    length_unit: str | None = field("UN/ECE code of the lengths' unit.")
    weight: Decimal | None = field("Weight in `weightUnit`.")
    weight_unit: str | None = field("UN/ECE code of the weight's unit.")


@bound_to(values.Freshness, requires=Scope.EVERYONE)
@strawberry.type(description="The source of data and its age.")
class Freshness:
    source: str = field("The system it was read from.")
    as_of: datetime = field("Time at which it was read from that system.")
    age = edge(freshness_edges.age, returns=int, description="Age in seconds at the start of the operation.")
    cached: bool = field("Whether the data came from the gateway's cache.")
    degraded: bool = field("Whether it is incomplete or older than its contract allows, as `reason` says.")
    max_age: int | None = field("Maximum age by the freshness contract in seconds, if the data was cached.")
    reason: str | None = field("Reason why data is missing or stale.")


@reads_as(lists.DateRange)
@strawberry.input(description="A range of days, both included; times are compared by their day in UTC.")
class DateRange:
    since: date | None = strawberry.field(description="First day; null for no limit.", default=strawberry.UNSET)
    until: date | None = strawberry.field(description="Last day; null for no limit.", default=strawberry.UNSET)


@reads_as(keys.RefKey)
@strawberry.input(description="Lookup by the id in one source system.")
class RefInput:
    system: str = strawberry.field(description="The system's name in the gateway's configuration.")
    id: str = strawberry.field(description="The id in that source system.")
