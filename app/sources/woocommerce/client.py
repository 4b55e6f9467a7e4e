"""WooCommerce's REST API v3: sign-in, lists of several pages, portions of keys, times.

WooCommerce ignores parameters that it does not know, with 200. So every filter is checked on the rows that it returned,
and every field that is read must be there. Facts are from the vendor's documentation of wc/v3
(https://woocommerce.github.io/woocommerce-rest-api-docs/) and from the source of WooCommerce.
"""

from __future__ import annotations

import base64
import unicodedata
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from html import unescape
from typing import Any, Generic, Literal, Protocol, TypeVar
from urllib.parse import quote

import msgspec

from app.errors import InvalidCursor, SourceMalformed, SourceRejected
from app.http.client import HTTPClient, HTTPResponse
from app.http.resilience.guard import SourceGuard
from app.http.sign_in import StaticCredentials
from app.settings import SourceSettings
from app.sources.vendor_calls import field_types

API = "/wp-json/wc/v3"
PAGE = 100
"""The most rows of a page: 101 are refused with 400."""

MOST_PAGES = 100
MOST_QUERY = 6000
"""Characters that the keys of one call may take: common web servers refuse a request line of 8 KB."""

NOT_FOUND = 404
SECOND = timedelta(seconds=1)

Params = list[tuple[str, str]]
SortTime = Literal["date", "modified"]


class WooRow(Protocol):
    """What every row has."""

    @property
    def id(self) -> int: ...


R = TypeVar("R", bound=WooRow)


class WooPage(msgspec.Struct, Generic[R], frozen=True):
    """A page of a list. `total` is how many rows the whole list has."""

    rows: tuple[R, ...]
    total: int


class WooProductId(msgspec.Struct, frozen=True):
    """A product, read to check address and key."""

    id: int


class WooMeta(msgspec.Struct, frozen=True):
    """An entry of the meta data of a row."""

    key: str
    value: Any


class WooCommerceClient:
    """Reads and writes one shop."""

    def __init__(self, name: str, settings: SourceSettings) -> None:
        self.name = name
        key, secret = (settings.credentials[one].get_secret_value() for one in ("consumer_key", "consumer_secret"))
        token = base64.b64encode(f"{key}:{secret}".encode()).decode()
        self._http = HTTPClient(name, settings, sign_in=StaticCredentials({"authorization": f"Basic {token}"}))

    @property
    def guard(self) -> SourceGuard:
        return self._http.guard

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def ping(self) -> None:
        """Read the id of a product."""
        await self.page("/products", WooProductId, [("per_page", "1")], call="ping")

    async def page(self, path: str, row: type[R], params: Params, *, call: str) -> WooPage[R]:
        """One page of a list, with the fields that its rows have."""
        response = await self._http.request("GET", API + path, params=[*params, ("_fields", fields_of(row))], call=call)
        rows: tuple[R, ...] = response.decode(tuple[row, ...])  # pyright: ignore[reportInvalidTypeForm]
        total = response.headers.get("x-wp-total", "").strip()
        if not total.isascii() or not total.isdecimal() or len(total) > 12:
            raise SourceMalformed(self.name, detail=f"{call}: the answer does not say how many rows the list has")
        return WooPage(rows, int(total))

    async def pages(self, path: str, row: type[R], params: Params, *, call: str) -> AsyncIterator[WooPage[R]]:
        """The pages of a list in the order of ids. Rows that moved from one page to the next come once. Raises
        SourceMalformed for a list whose pages repeat or do not end."""
        seen: set[int] = set()
        for number in range(MOST_PAGES):
            offset = number * PAGE
            window = [("orderby", "id"), ("order", "asc"), ("per_page", str(PAGE)), ("offset", str(offset))]
            page = await self.page(path, row, [*params, *window], call=call)
            fresh = tuple(one for one in page.rows if one.id not in seen)
            seen.update(one.id for one in fresh)
            yield WooPage(fresh, page.total)
            if offset + PAGE >= page.total:
                return
            if not fresh:
                break
        raise self.repeated_pages(call)

    async def by_keys(
        self,
        path: str,
        row: type[R],
        name: str,
        keys: Sequence[str],
        key_of: Callable[[R], str],
        *,
        more: Sequence[tuple[str, str]] = (),
        call: str,
    ) -> list[R]:
        """The rows with one of the keys, a hundred in a call, in the order of ids. `name` is the filter. Raises
        IgnoredFilter."""
        found: list[R] = []
        for portion in portions(keys):
            requested = {folded(key) for key in portion}
            async for page in self.pages(path, row, [(name, ",".join(portion)), *more], call=call):
                # A list that is no longer than the keys is whole: whatever else it holds, nothing is missing.
                if page.total > len(portion) and not {folded(key_of(one)) for one in page.rows} <= requested:
                    raise IgnoredFilter(self.name, detail=f"{call}: the filter {name} was ignored")
                found += page.rows
        exact = set(keys)
        return [one for one in found if key_of(one) in exact]

    async def since(
        self,
        path: str,
        row: type[R],
        sort: SortTime,
        since: datetime,
        time_of: Callable[[R], datetime],
        *,
        size: int = PAGE,
        call: str,
    ) -> AsyncIterator[list[R]]:
        """The pages of the rows that were created or modified at a time or later, ordered by time and id. Each begins
        at the last time of the one before: with an offset, a row that changes meanwhile would move the rest, and one be
        missed."""
        seen: set[tuple[int, datetime]] = set()
        offset = 0
        for _ in range(MOST_PAGES):
            # The limit itself is excluded, and times are of whole seconds.
            limit = (since.astimezone(UTC).replace(microsecond=0, tzinfo=None) - SECOND).isoformat()
            after = "after" if sort == "date" else "modified_after"
            order = [("orderby", sort), ("order", "asc"), ("per_page", str(size)), ("offset", str(offset))]
            page = await self.page(path, row, [(after, limit), ("dates_are_gmt", "true"), *order], call=call)
            times = [time_of(one) for one in page.rows]
            if times != sorted(times) or any(time < since - SECOND for time in times):
                raise SourceMalformed(self.name, detail=f"{call}: filter or sort by time was ignored")
            fresh = [one for one in page.rows if (one.id, time_of(one)) not in seen]
            seen.update((one.id, time_of(one)) for one in fresh)
            if fresh:
                yield fresh
            if offset + size >= page.total:
                return
            if not page.rows or (not fresh and offset):
                break
            offset, since = (offset + size, since) if times[-1] <= since else (0, times[-1])
        raise self.repeated_pages(call)

    async def write(self, method: str, path: str, row: Any, body: object, *, call: str) -> HTTPResponse:
        """Send a write once. A refusal by a rule of the shop is returned, with its status. Raises SourceError."""
        return await self._http.request(
            method,
            API + path,
            params=[("_fields", fields_of(row))],
            content=msgspec.json.encode(body),
            headers={"content-type": "application/json"},
            call=call,
            safe=False,
            accept=REFUSALS,
        )

    def repeated_pages(self, call: str) -> SourceMalformed:
        """The error of a list whose pages bring nothing new before it ends."""
        return SourceMalformed(self.name, detail=f"{call}: the pages of a list repeat, or do not end")


class IgnoredFilter(SourceMalformed):
    """The shop ignored a filter, and returned rows that it should have left out."""


REFUSALS = (400, 404)
"""The statuses of invalid parameters and of references to rows that there are not."""


@cache
def fields_of(row: Any) -> str:
    """The `_fields` of a call whose rows have this type."""
    return ",".join(dict.fromkeys(path.partition(".")[0].partition("[")[0] for path in field_types(row)))


def portions(keys: Sequence[str], most: int = PAGE) -> Iterator[list[str]]:
    """The keys in portions of one call each, of `most` keys at most."""
    portion: list[str] = []
    size = 0
    for key in keys:
        length = len(quote(key, safe="")) + 3  # The comma is quoted, too.
        if portion and (len(portion) == most or size + length > MOST_QUERY):
            yield portion
            portion, size = [], 0
        portion.append(key)
        size += length
    if portion:
        yield portion


def sendable(keys: Sequence[str]) -> list[str]:
    """The keys that can exist at all and fit into a list with commas, each once."""
    return [
        key
        for key in dict.fromkeys(keys)
        if 0 < len(key) <= 255 and key.isprintable() and key.strip() == key and "," not in key
    ]


def row_ids(keys: Sequence[str]) -> list[str]:
    """The keys that are ids of rows as WooCommerce writes them, each once: 007 is not 7."""
    return [
        key
        for key in dict.fromkeys(keys)
        if key.isascii() and key.isdecimal() and len(key) <= 18 and not key.startswith("0")
    ]


def folded(key: str) -> str:
    """A key as MySQL compares it: without case, accents and surrounding space."""
    plain = "".join(one for one in unicodedata.normalize("NFKD", key) if not unicodedata.combining(one))
    return plain.casefold().strip()


def offset_of(after: str | None) -> int:
    """The number of rows before a page. Raises InvalidCursor."""
    if after is None:
        return 0
    if not after.isascii() or not after.isdecimal() or len(after) > 9:
        raise InvalidCursor
    return int(after)


def gmt(time: datetime) -> datetime:
    """A time of a field that ends in `_gmt`, which is written without its offset."""
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def meta_value(meta: Sequence[WooMeta], key: str | None) -> Any:
    """The last value of a meta key; None without one."""
    return next((one.value for one in reversed(meta) if one.key == key), None)


def text_of(value: object) -> str | None:
    """A value of a meta key as text; None for an empty one, and for what is no text or number."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal)):
        return None
    return str(value).strip() or None


def plain(text: str | None) -> str | None:
    """A name, which WordPress stores with entities of HTML; None for an empty one."""
    return unescape(text).strip() or None if text else None


def is_missing_route(error: SourceRejected) -> bool:
    """Whether a version of WooCommerce lacks a route."""
    return error.status == NOT_FOUND
