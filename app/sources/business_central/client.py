"""The wire: Entra tokens, API v2.0 and the analytics API, and Business Central's errors.

Facts from Microsoft's reference: 6,000 requests in five minutes and 5 at once a user, 100 requests in a `$batch`,
20,000 rows a page, 429 without or with `Retry-After`; `or` over two fields is refused; an error message ends in
`CorrelationId:`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from app.errors import ConfigurationError, SourceError, SourceRejected
from app.http.client import HTTPClient, HTTPResponse
from app.http.errors import error_for_status
from app.http.oauth import OAuthSignIn
from app.http.odata import MAX_BATCH, ODataClient, ODataPage, ODataQuery
from app.http.resilience.guard import SourceGuard
from app.settings import SourceSettings
from app.sources.business_central.options import BusinessCentralOptions, client_authentication
from app.sources.business_central.rows import BCCompanyRow, BCLedgerRow
from app.sources.capabilities import Probe, not_supported

R = TypeVar("R")

API = "/api/v2.0"
ENCODER = msgspec.json.Encoder(decimal_format="number")
NO_ANALYTICS = "the analytics API is not there, or the application may not read it"
ANALYTICS = "/api/microsoft/analytics/v1.0"
READ_ONLY = {"Data-Access-Intent": "ReadOnly"}
"""The header by which a read is answered by the replica."""

CODE, EXTERNAL_NUMBER = 20, 35
"""The longest number of a record, and the longest external document number."""

NOT_FOUND = (401, 403, 404)
"""The statuses by which a probe finds that the application may not read an API, or that it is not there."""


class APIError(msgspec.Struct, frozen=True):
    """The error of a refused request."""

    code: str = ""
    message: str = ""


class APIErrors(msgspec.Struct, frozen=True):
    """The body of a refused request."""

    error: APIError = APIError()


class BusinessCentralClient:
    """Reads and writes one company."""

    def __init__(
        self,
        name: str,
        settings: SourceSettings,
        options: BusinessCentralOptions,
        analytics: Probe,
        clock: Callable[[], datetime],
    ) -> None:
        self.source = name
        try:
            client = client_authentication(name, settings, options)
            sign_in = OAuthSignIn(
                name, options.token_endpoint, client, scope=options.scope, clock=lambda: clock().timestamp()
            )
        except ValueError as error:
            raise ConfigurationError(f"sources.{name}.options.token_url", options.token_url, str(error)) from None
        self._http = HTTPClient(name, settings, sign_in=sign_in)
        base_url = settings.base_url.rstrip("/")
        self._company = f"companies({options.company})"
        self._api = ODataClient(self._http, API, base_url=base_url, on_expired=sign_in.expire)
        self._analytics = ODataClient(
            self._http, ANALYTICS, base_url=base_url, headers=READ_ONLY, on_expired=sign_in.expire
        )
        self._probe = analytics
        self._custom = ODataClient(
            self._http, f"/api/{options.price_api}", base_url=base_url, on_expired=sign_in.expire
        )

    @property
    def guard(self) -> SourceGuard:
        return self._http.guard

    async def aclose(self) -> None:
        await self._http.aclose()

    async def ping(self) -> None:
        """Read the company, and probe whether stock can be read."""
        await self._http.get(f"{API}/{self._company}?$select=id,name", into=BCCompanyRow, call="ping")
        query = ODataQuery(top=1)
        try:
            await self._analytics.page(f"{self._company}/itemLedgerEntries", BCLedgerRow, query, call="ping")
        except SourceRejected as error:
            if error.status not in NOT_FOUND:
                raise
            self._probe.found = False
        else:
            self._probe.found = True

    async def rows(
        self,
        entity_set: str,
        row: type[R],
        name: str,
        keys: Sequence[Any],
        *,
        orderby: tuple[str, ...] = (),
        call: str,
    ) -> list[R]:
        """The rows of an entity set in which a field has one of these values."""
        return await self._api.by_keys(f"{self._company}/{entity_set}", row, name, keys, orderby=orderby, call=call)

    async def all(self, entity_set: str, row: type[R], *, call: str) -> list[R]:
        """All rows of an entity set that is small."""
        return await self._api.rows(f"{self._company}/{entity_set}", row, ODataQuery(), call=call)

    async def pages(self, queries: Sequence[tuple[str, ODataQuery, type[Any]]], *, call: str) -> list[ODataPage[Any]]:
        """A page for each query of an entity set, in one request for each hundred."""
        return await self._batched(self._api, queries, call)

    async def custom_pages(
        self, queries: Sequence[tuple[str, ODataQuery, type[Any]]], *, call: str
    ) -> list[ODataPage[Any]]:
        """`pages` of the API that is configured for prices."""
        return await self._batched(self._custom, queries, call)

    async def analytics(self, queries: Sequence[tuple[str, ODataQuery, type[Any]]], *, call: str) -> list[list[Any]]:
        """All rows of each query of the analytics API. Raises NotSupported where it is not there."""
        try:
            pages = await self._batched(self._analytics, queries, call)
        except SourceRejected as error:
            if error.status not in NOT_FOUND:
                raise
            self._probe.found = False
            raise not_supported(self.source, call, NO_ANALYTICS) from error
        self._probe.found = True
        return [
            await self._analytics.following(page, row, call=call)
            for page, (_, _, row) in zip(pages, queries, strict=True)
        ]

    async def _batched(
        self, client: ODataClient, queries: Sequence[tuple[str, ODataQuery, type[Any]]], call: str
    ) -> list[ODataPage[Any]]:
        targets = [(f"{self._company}/{entity_set}?{query.text(row)}", row) for entity_set, query, row in queries]
        found: list[ODataPage[Any]] = []
        for start in range(0, len(targets), MAX_BATCH):
            found += await client.batch(targets[start : start + MAX_BATCH], call=call)
        return found

    async def write(self, method: str, path: str, body: object | None, *, call: str) -> HTTPResponse | APIError:
        """Send a write once. What Business Central refuses by a rule of its own is returned. Raises SourceError."""
        response = await self._http.request(
            method,
            f"{API}/{self._company}/{path}",
            content=None if body is None else ENCODER.encode(body),
            headers={"Content-Type": "application/json"} if method == "POST" else {"If-Match": "*"},
            call=call,
            safe=False,
            accept=(400, 404, 409, 412, 422),
        )
        if response.status < 300:
            return response
        error = _api_error(response)
        if error is None:
            what = f"{method} {path.partition('(')[0]}"
            raise error_for_status(self.source, what, response.status, response.headers, response.body)
        return error


def _api_error(response: HTTPResponse) -> APIError | None:
    try:
        error = response.decode(APIErrors).error
    except SourceError:
        return None
    return error if error.code else None


def sendable(keys: Iterable[str], longest: int = CODE) -> list[str]:
    """The keys that a record can have at all, each once."""
    return [key for key in dict.fromkeys(keys) if 0 < len(key) <= longest and key.isprintable() and key.strip() == key]


def guids(keys: Iterable[str]) -> dict[UUID, str]:
    """The keys that are ids of Business Central, as it writes them."""
    found: dict[UUID, str] = {}
    for key in keys:
        try:
            value = UUID(key)
        except ValueError:
            continue
        if str(value) == key:
            found[value] = key
    return found


def word(text: str) -> str:
    """A value of an enum; OData names cannot hold spaces, which are written as `_x0020_`."""
    return text.replace("_x0020_", " ").strip()


def known_day(value: date | None) -> date | None:
    """A day; Business Central writes an empty one as 0001-01-01."""
    return None if value is None or value.year == 1 else value


def midnight(value: date | None) -> datetime | None:
    """The beginning of a day in UTC: documents have no time."""
    day = known_day(value)
    return None if day is None else datetime(day.year, day.month, day.day, tzinfo=UTC)


def grouped(rows: Iterable[R], key_of: Callable[[R], str]) -> dict[str, list[R]]:
    """The rows by their key, in their order."""
    found: dict[str, list[R]] = {}
    for row in rows:
        found.setdefault(key_of(row), []).append(row)
    return found
