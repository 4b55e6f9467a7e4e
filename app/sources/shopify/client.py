"""Shopify's Admin API: sign-in, documents, lists of several pages, and portions of keys."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Generic, TypeVar

import msgspec

from app import telemetry
from app.errors import SourceMalformed, SourceRejected
from app.http.client import HTTPClient, HTTPResponse
from app.http.cost_bucket import CostBucket
from app.http.graphql import TOO_COSTLY, GraphQLClient, GraphQLResult
from app.http.oauth import ClientSecret, OAuthSignIn
from app.http.resilience.guard import SourceGuard
from app.http.sign_in import SignIn, StaticCredentials
from app.settings import SourceSettings
from app.sources.freshness_contracts import note_incomplete
from app.sources.shopify.options import ShopifyOptions
from app.sources.values import Money, utc_now

T = TypeVar("T")
K = TypeVar("K")

PAGE = 250
"""The most rows, and the most values of an argument, that the Admin API takes (https://shopify.dev/docs/api/usage/limits)."""

MOST_PAGES = 100
"""Shopify ends every list at 25,000 rows."""

TOKEN = "x-shopify-access-token"  # noqa: S105 - the name of the header
TOKEN_PATH = "/admin/oauth/access_token"  # noqa: S105 - the path of the grant


class ShopifyPageInfo(msgspec.Struct, frozen=True, rename="camel"):
    """Whether a list goes on, and from where."""

    has_next_page: bool
    end_cursor: str | None = None


class ShopifyConnection(msgspec.Struct, Generic[T], frozen=True, rename="camel"):
    """A page of a list."""

    nodes: tuple[T, ...]
    page_info: ShopifyPageInfo

    @classmethod
    def empty(cls) -> ShopifyConnection[T]:
        """The page of a list without rows."""
        return cls((), ShopifyPageInfo(has_next_page=False))


class ShopifyEdge(msgspec.Struct, Generic[T], frozen=True):
    """A row with its cursor."""

    cursor: str
    node: T


class ShopifyEdges(msgspec.Struct, Generic[T], frozen=True, rename="camel"):
    """A page of a list whose rows have cursors."""

    edges: tuple[ShopifyEdge[T], ...]
    page_info: ShopifyPageInfo


class ShopifyRows(msgspec.Struct, Generic[T], frozen=True):
    """The data of a document that reads one list."""

    rows: ShopifyConnection[T]


class ShopifyEdgeRows(msgspec.Struct, Generic[T], frozen=True):
    """The data of a document that reads one list with cursors."""

    rows: ShopifyEdges[T]


class ShopifyNodes(msgspec.Struct, Generic[T], frozen=True):
    """The data of a document that reads rows by id; null for an unknown one, empty for one of another type."""

    nodes: tuple[T | None, ...]


class Count(msgspec.Struct, frozen=True):
    """How many rows there are."""

    count: int


class WireMoney(msgspec.Struct, frozen=True, rename="camel"):
    """An amount: decimal text, in the currency's major unit."""

    amount: Decimal
    currency_code: str

    @property
    def money(self) -> Money:
        """The same amount as a record."""
        return Money(amount=self.amount, currency=self.currency_code)


@dataclass(frozen=True, slots=True)
class ShopifyDocument(Generic[T]):
    """A document with the type of its data."""

    text: str
    into: type[T]


class ShopifySignIn(OAuthSignIn):
    """The client credentials grant, whose tokens hold for a day
    (https://shopify.dev/docs/apps/build/authentication-authorization/access-tokens/client-credentials-grant)."""

    def session_headers(self, response: HTTPResponse) -> Mapping[str, str]:
        session = super().session_headers(response)
        return {TOKEN: session["authorization"].removeprefix("Bearer ")}


def _sign_in(name: str, settings: SourceSettings) -> SignIn:
    secrets = {key: value.get_secret_value() for key, value in settings.credentials.items()}
    if "access_token" in secrets:
        return StaticCredentials({TOKEN: secrets["access_token"]})
    client = ClientSecret(secrets["client_id"], secrets["client_secret"])
    return ShopifySignIn(name, settings.base_url.rstrip("/") + TOKEN_PATH, client)


class SearchWarning(msgspec.Struct, frozen=True):
    """A term of a search that Shopify did not understand. It answers as if the term were not there: with all rows."""

    field: str | None = None


class ParsedSearch(msgspec.Struct, frozen=True):
    """What Shopify made of one search of a document."""

    warnings: tuple[SearchWarning, ...] = ()


class SearchExtensions(msgspec.Struct, frozen=True):
    """The extensions of a response with searches."""

    search: tuple[ParsedSearch, ...] = ()


class SearchedResponse(msgspec.Struct, frozen=True):
    """A response as far as its searches are concerned."""

    extensions: SearchExtensions | None = None


class ShopName(msgspec.Struct, frozen=True):
    """The response to `ping`."""

    shop: Mapping[str, str]


PING = ShopifyDocument("query Ping { shop { name } }", ShopName)


class ShopifyClient:
    """Runs documents against one shop. `name` is the configured source."""

    def __init__(self, name: str, settings: SourceSettings, options: ShopifyOptions) -> None:
        self.name = name
        self._http = HTTPClient(name, settings, sign_in=_sign_in(name, settings))
        self._graphql = GraphQLClient(self._http, options.path, bucket=CostBucket(), max_wait=settings.timeout)

    @property
    def guard(self) -> SourceGuard:
        return self._http.guard

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def ping(self) -> None:
        """Read the shop's name: checks the address and the token."""
        await self.read(PING, {}, call="ping")

    async def read(self, document: ShopifyDocument[T], variables: Mapping[str, object], *, call: str) -> T:
        """The data of a query. What an error left null is kept where the type allows it, and noted as incomplete."""
        result = await self._graphql.execute(document.text, variables, into=document.into, call=call)
        self._check_search(result.response, call)
        data = result.partial()
        if result.errors:
            self._note_incomplete(result, call)
        return data

    def _check_search(self, response: HTTPResponse, call: str) -> None:
        """Raise SourceRejected where a term was ignored: its rows are not those that were searched for."""
        if b'"warnings"' not in response.body:
            return
        extensions = response.decode(SearchedResponse).extensions
        ignored = [one.field or "?" for search in (extensions.search if extensions else ()) for one in search.warnings]
        if ignored:
            raise SourceRejected(self.name, status=400, detail=f"{call}: search terms were ignored: {ignored[:5]}")

    def _note_incomplete(self, result: GraphQLResult[Any], call: str) -> None:
        paths = [".".join(str(step) for step in error.path or ()) for error in result.errors[:5]]
        telemetry.log.warning("source_answer_incomplete", source=self.name, call=call, paths=paths)
        note_incomplete(self.name, utc_now(), "The source did not return all fields.")

    async def write(self, document: ShopifyDocument[T], variables: Mapping[str, object], *, call: str) -> T:
        """The data of a mutation, which is sent once. Any error fails the whole."""
        result = await self._graphql.execute(document.text, variables, into=document.into, call=call, safe=False)
        return result.whole()

    async def all_rows(
        self, document: ShopifyDocument[ShopifyRows[T]], variables: Mapping[str, object], *, call: str
    ) -> list[T]:
        """The rows of all pages of a document's list. Raises SourceMalformed for a list whose pages repeat."""
        return [row async for rows in self.pages(document, variables, call=call) for row in rows]

    async def pages(
        self, document: ShopifyDocument[ShopifyRows[T]], variables: Mapping[str, object], *, call: str
    ) -> AsyncIterator[tuple[T, ...]]:
        """The pages of a document's list."""

        async def page(after: str | None) -> ShopifyConnection[T]:
            return (await self.read(document, {**variables, "after": after}, call=call)).rows

        async for rows in self._each(page, call):
            yield rows

    async def all_pages(
        self, page: Callable[[str | None], Awaitable[ShopifyConnection[T]]], *, call: str, after: str | None = None
    ) -> list[T]:
        """The rows of all pages after a cursor. Raises SourceMalformed for a list whose pages repeat."""
        return [row async for rows in self._each(page, call, after) for row in rows]

    async def _each(
        self, page: Callable[[str | None], Awaitable[ShopifyConnection[T]]], call: str, after: str | None = None
    ) -> AsyncIterator[tuple[T, ...]]:
        cursors = {after}
        while True:
            rows = await page(after)
            yield rows.nodes
            if not rows.page_info.has_next_page:
                return
            after = rows.page_info.end_cursor
            if after in cursors or len(cursors) >= MOST_PAGES:
                raise SourceMalformed(self.name, detail=f"{call}: the pages of a list repeat, or do not end")
            cursors.add(after)

    async def read_chunks(
        self, keys: Sequence[K], read: Callable[[Sequence[K]], Awaitable[Sequence[T]]], size: int = 100
    ) -> list[T]:
        """The rows of many keys, a hundred in a call. A portion that costs more than a query may is halved."""
        found: list[T] = []
        waiting = [keys[start : start + size] for start in range(0, len(keys), size)]
        while waiting:
            chunk = waiting.pop(0)
            try:
                found += await read(chunk)
            except SourceRejected as error:
                if error.status != TOO_COSTLY or len(chunk) < 2:
                    raise
                half = len(chunk) // 2
                waiting[:0] = [chunk[:half], chunk[half:]]
        return found


def rows_of(keys: Sequence[object], most: int = PAGE) -> int:
    """How many rows to read at once for keys of which each has one row, or sometimes two: cost follows the number."""
    return min(most, 2 * len(keys))


def sendable(keys: Sequence[str]) -> list[str]:
    """The keys that can exist at all, each once. A `*` at the end of a term would match every key that begins so."""
    return [
        key
        for key in dict.fromkeys(keys)
        if 0 < len(key) <= 255 and key.isprintable() and key.strip() == key and not key.endswith("*")
    ]


def any_of(field: str, values: Sequence[str]) -> str:
    """A search for rows with one of the values (https://shopify.dev/docs/api/usage/search-syntax)."""
    return " OR ".join(f"{field}:{quoted(value)}" for value in values)


def quoted(value: str) -> str:
    """A value of the search syntax: quoted, with quotes and backslashes escaped."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def gid(kind: str, id: str) -> str:
    """The global id of a row."""
    return f"gid://shopify/{kind}/{id}"


def gids(kind: str, ids: Sequence[str]) -> list[str]:
    """The global ids of those ids that can exist, each once: Shopify refuses all ids for one malformed one."""
    return [gid(kind, id) for id in dict.fromkeys(ids) if id.isascii() and id.isdecimal() and len(id) <= 19]


def local_id(global_id: str) -> str:
    """The numeric id in a global one."""
    return global_id.rpartition("/")[2]
