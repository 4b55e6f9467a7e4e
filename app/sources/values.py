"""What all domains share: the record base, money, addresses, references, pages, freshness."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Generic, TypeVar, dataclass_transform

import msgspec

T = TypeVar("T")

Timestamp = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time with its offset: one without is refused when it is decoded."""


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(msgspec.field,))
class RecordType(msgspec.StructMeta):
    """Makes every record keyword-only, which msgspec does not inherit, and keeps the garbage collector out of them."""

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any) -> Any:
        """The struct's class, with these options unless said otherwise."""
        return super().__new__(cls, name, bases, namespace, **{"kw_only": True, "gc": False, **options})


def utc_now() -> datetime:
    """The time, aware, in UTC."""
    return datetime.now(UTC)


async def together(reads: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """The answers of reads made at the same time. One read needs no task of its own, and one is nearly always all."""
    if len(reads) == 1:
        return [await reads[0]]
    return await asyncio.gather(*reads)


class Record(msgspec.Struct, metaclass=RecordType, frozen=True, rename="camel", eq=True):
    """An immutable row as a port returns it. Its JSON form, in camel case, is the `rest` contract.

    Rows hold no cycles, so the garbage collector need not look at them: an answer has thousands.
    """


class CustomValues(Record):
    """Values of a deployment's own fields of a row, by field, and the fields whose value is of another type."""

    source: str
    values: dict[str, Any] = {}
    malformed: tuple[str, ...] = ()


class FieldNotFetched(Exception):
    """An attribute outside `field_mask` was read: declare it in `app/resolvers/loading/field_dependencies.py`."""


class Unfetched:
    """Replaces an attribute that was not fetched in the class of a partial record."""

    def __init__(self, record: type, name: str) -> None:
        self._name = f"{record.__name__}.{name}"

    def __get__(self, row: object, owner: type | None = None) -> Any:
        if row is None:
            return self
        raise FieldNotFetched(f"{self._name} was not fetched: see app/resolvers/loading/field_dependencies.py")


def is_fetched(record: type[Record], name: str) -> bool:
    """Whether records of this class, which may be a partial one, have the attribute."""
    return type(record.__dict__.get(name)) is not Unfetched


class Money(Record):
    """An exact amount; `currency` is an ISO 4217 code."""

    amount: Decimal
    currency: str


class Ref(Record):
    """The identity of a thing in one system; `system` is the configured source name."""

    system: str
    id: str


class Address(Record):
    """A postal address; `country` is an ISO 3166-1 alpha-2 code where the source has one."""

    lines: tuple[str, ...] = ()
    city: str | None = None
    region: str | None = None
    postal_code: str | None = None
    country: str | None = None


class Party(Record):
    """A name with its address, as printed on a document."""

    name: str
    address: Address | None = None


class Dimensions(Record):
    """Outer measures; lengths in `length_unit`, weight in `weight_unit`."""

    length: Decimal | None = None
    width: Decimal | None = None
    height: Decimal | None = None
    length_unit: str | None = None
    weight: Decimal | None = None
    weight_unit: str | None = None


class Freshness(Record):
    """Where a datum comes from and how old it is. `max_age` is in seconds."""

    source: str
    as_of: Timestamp
    cached: bool = False
    degraded: bool = False
    max_age: int | None = None
    reason: str | None = None


class PageRequest(Record):
    """A window on a list: `first` rows after the source's own cursor `after`. `count` asks for the total."""

    first: int
    after: str | None = None
    count: bool = False


class Page(Record, Generic[T]):
    """One page: a cursor per row, of the source's own making. `total` is None where the source cannot tell."""

    rows: tuple[T, ...] = ()
    cursors: tuple[str, ...] = ()
    has_next: bool = False
    has_previous: bool = False
    total: int | None = None


class PartialPage(Page[T]):
    """A page over several sources, of which some failed: `failures` holds the error of each source left out, by name.
    Cursors keep the position in those sources, so that later pages contain their rows once they answer."""

    failures: Mapping[str, Exception] = {}


class PartialRows(Record, Generic[T]):
    """Rows of several sources, of which some failed: `failures` holds the error of each source left out, by name."""

    rows: tuple[T, ...] = ()
    failures: Mapping[str, Exception] = {}
