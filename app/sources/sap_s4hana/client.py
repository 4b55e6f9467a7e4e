"""The wire: the released OData V2 services, one session with its CSRF token, and S/4HANA's errors.

Facts are from the metadata documents of the services and the SAP Gateway Foundation guide. Numbers such as that of an
order are read and sent in their external format, without leading zeros: the services convert them by themselves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import TypeVar

import msgspec

from app.errors import SourceError, SourceMalformed
from app.http.client import HTTPClient, HTTPResponse
from app.http.errors import error_for_status
from app.http.odata import MAX_BATCH, MAX_URL, BatchAnswer, ODataClient, ODataPage, ODataQuery
from app.http.odata_v2 import CSRFSignIn, ODataV2, parse_date, post_batch
from app.http.resilience.guard import SourceGuard
from app.http.response import Headers
from app.settings import SourceSettings
from app.sources.sap_s4hana.options import S4HANAOptions, read_credentials
from app.sources.sap_s4hana.rows import SAPWrittenOrderRow

R = TypeVar("R")

ROOT = "/sap/opu/odata/sap"
PARTNERS = "API_BUSINESS_PARTNER"
CREDIT = "API_CRDTMBUSINESSPARTNER"
PRODUCTS = "API_PRODUCT_SRV"
CUSTOMER_MATERIALS = "API_CUSTOMER_MATERIAL_SRV"
STOCK = "API_MATERIAL_STOCK_SRV"
AVAILABILITY = "API_PRODUCT_AVAILY_INFO_BASIC"
ORDERS = "API_SALES_ORDER_SRV"
SIMULATION = "API_SALES_ORDER_SIMULATION_SRV"
DELIVERIES = "API_OUTBOUND_DELIVERY_SRV;v=0002"
BILLING = "API_BILLING_DOCUMENT_SRV"
SERVICES = (
    PARTNERS,
    CREDIT,
    PRODUCTS,
    CUSTOMER_MATERIALS,
    STOCK,
    AVAILABILITY,
    ORDERS,
    SIMULATION,
    DELIVERIES,
    BILLING,
)

NUMBER, MATERIAL, PURCHASE_ORDER = 10, 40, 35
"""The longest number of a document or customer, of a material, and of a customer's purchase order."""

MAX_FILTER = MAX_URL - 1500
"""Characters of a filter; the rest of a query are its fields."""

_BUSINESS_CODE = re.compile(r"(V[0-9A-Z]|M3|/SAPSLL)/\d{3}")
"""Message classes of sales (V1, V4, VK, VP) and of the material master: a rule of the business, not of OData."""


class SAPMessage(msgspec.Struct, frozen=True):
    """The text of an error."""

    value: str = ""


class SAPError(msgspec.Struct, frozen=True):
    """The error of a refused request."""

    code: str = ""
    message: SAPMessage = SAPMessage()

    @property
    def is_business_rule(self) -> bool:
        return _BUSINESS_CODE.fullmatch(self.code) is not None


class SAPErrors(msgspec.Struct, frozen=True):
    """The body of a refused request."""

    error: SAPError = SAPError()


class S4HANAClient:
    """Reads and writes one system."""

    def __init__(self, name: str, settings: SourceSettings, options: S4HANAOptions) -> None:
        self.source = name
        sign_in = CSRFSignIn(name, f"{ROOT}/{ORDERS}/", *read_credentials(name, settings))
        self._http = HTTPClient(name, settings, sign_in=sign_in)
        self._headers = {"accept-language": options.language.lower()}
        self._dialect = ODataV2()
        self._services = {
            service: ODataClient(
                self._http,
                f"{ROOT}/{service}",
                base_url=settings.base_url.rstrip("/"),
                headers=self._headers,
                on_expired=sign_in.expire,
                dialect=self._dialect,
            )
            for service in SERVICES
        }

    @property
    def guard(self) -> SourceGuard:
        return self._http.guard

    async def aclose(self) -> None:
        await self._http.aclose()

    async def ping(self) -> None:
        """Read one order's number."""
        await self._services[ORDERS].page("A_SalesOrder", SAPWrittenOrderRow, ODataQuery(top=1), call="ping")

    async def rows(
        self,
        service: str,
        entity_set: str,
        row: type[R],
        name: str,
        keys: Sequence[str],
        *,
        also: str | None = None,
        orderby: tuple[str, ...] = (),
        call: str,
    ) -> list[R]:
        """The rows of an entity set in which a field has one of these values."""
        client = self._services[service]
        return await client.by_keys(entity_set, row, name, keys, also=also, orderby=orderby, call=call)

    async def page(self, service: str, entity_set: str, row: type[R], query: ODataQuery, *, call: str) -> ODataPage[R]:
        """One page of an entity set."""
        return await self._services[service].page(entity_set, row, query, call=call)

    async def pages(
        self, service: str, entity_set: str, row: type[R], queries: Sequence[ODataQuery], *, call: str
    ) -> list[ODataPage[R]]:
        """A page for each query, in one request for each hundred."""
        targets = [f"{entity_set}?{self._dialect.text(query, row)}" for query in queries]
        return await self.targets(service, targets, row, call=call)

    async def targets(self, service: str, targets: Sequence[str], row: type[R], *, call: str) -> list[ODataPage[R]]:
        """A page of each target of a service, such as a function import, in one request for each hundred."""
        found: list[ODataPage[R]] = []
        for start in range(0, len(targets), MAX_BATCH):
            chunk = [(target, row) for target in targets[start : start + MAX_BATCH]]
            found += await self._services[service].batch(chunk, call=call)
        return found

    async def following(self, service: str, page: ODataPage[R], row: type[R], *, call: str) -> list[R]:
        """The rows of a page of a batch and of all pages after it."""
        return await self._services[service].following(page, row, call, self._headers)

    async def post_each(
        self, service: str, entity_set: str, bodies: Sequence[object], into: type[R], *, call: str
    ) -> list[R | SAPError]:
        """The answer to each body, each a change set of its own, in one request for each hundred. What breaks a rule
        of the business is returned. For entity sets of which nothing is created."""
        found: list[R | SAPError] = []
        for start in range(0, len(bodies), MAX_BATCH):
            chunk = [msgspec.json.encode(body) for body in bodies[start : start + MAX_BATCH]]
            content, headers = post_batch(entity_set, chunk)
            path = f"{ROOT}/{service}/$batch"
            headers = {**self._headers, **headers}
            response = await self._http.request("POST", path, content=content, headers=headers, call=call)
            answers = self._dialect.answers(response, range(len(chunk)))
            if len(answers) != len(chunk):
                detail = f"{call}: {len(chunk) - len(answers)} of {len(chunk)} requests of a batch have no response"
                raise SourceMalformed(self.source, detail=detail)
            found += [self._answer(answer, entity_set, into) for answer in answers]
        return found

    def _answer(self, answer: BatchAnswer, entity_set: str, into: type[R]) -> R | SAPError:
        headers = Headers([(name.encode(), str(value).encode()) for name, value in answer.headers.items()])
        response = HTTPResponse(self.source, answer.status, headers, bytes(answer.body))
        if answer.status < 300:
            return response.decode(into)
        error = _api_error(response) if answer.status in (400, 404) else None
        if error is None or not error.is_business_rule:
            raise error_for_status(self.source, f"POST {entity_set}", answer.status, headers, response.body)
        return error

    async def write(self, method: str, path: str, body: object | None, *, call: str) -> HTTPResponse | SAPError:
        """Send a write of the sales order service once. What S/4HANA refuses with an error of its own is returned.
        Raises SourceError."""
        own = {"if-match": "*"} if body is None else {"content-type": "application/json"}
        response = await self._http.request(
            method,
            f"{ROOT}/{ORDERS}/{path}",
            content=None if body is None else msgspec.json.encode(body),
            headers={**self._headers, "accept": "application/json", **own},
            call=call,
            safe=False,
            accept=(400, 404, 409, 412, 422, 428),
        )
        if response.status < 300:
            return response
        error = _api_error(response)
        if error is None:
            what = f"{method} {path.partition('(')[0]}"
            raise error_for_status(self.source, what, response.status, response.headers, response.body)
        return error

    def time(self, text: str | None) -> datetime | None:
        """A time in UTC. Raises SourceMalformed."""
        try:
            return parse_date(text)
        except ValueError as error:
            raise SourceMalformed(self.source, detail=str(error)) from None

    def day(self, text: str | None) -> date | None:
        """A day, which is written as its midnight in UTC. Raises SourceMalformed."""
        at = self.time(text)
        return None if at is None else at.date()

    def line_number(self, text: str | None) -> int | None:
        """The number of an item, such as 000010. Raises SourceMalformed."""
        if not text:
            return None
        if not text.isascii() or not text.isdecimal():
            raise SourceMalformed(self.source, detail="the number of an item is no number")
        return int(text)


def _api_error(response: HTTPResponse) -> SAPError | None:
    try:
        error = response.decode(SAPErrors).error
    except SourceError:
        return None
    return error if error.code else None


def external(number: str) -> str:
    """A number without leading zeros and blanks; what is no number stays as it is."""
    bare = number.strip()
    return (bare.lstrip("0") or "0") if bare.isascii() and bare.isdecimal() else bare


def known(number: str | None) -> str | None:
    """A number that is there, in its external format."""
    return external(number) if number and number.strip("0 ") else None


def sendable(keys: Iterable[str], longest: int = NUMBER) -> list[str]:
    """The keys that a row can have at all, each once, in the format in which rows have them."""
    return [
        key
        for key in dict.fromkeys(keys)
        if 0 < len(key) <= longest and key.isprintable() and external(key) == key and key != "0"
    ]


def midnight(value: date | None) -> datetime | None:
    """The beginning of a day in UTC."""
    return None if value is None else datetime(value.year, value.month, value.day, tzinfo=UTC)


def by_key(rows: Iterable[R], key_of: Callable[[R], str]) -> Mapping[str, R]:
    """The rows by their number in external format."""
    return {external(key_of(row)): row for row in rows}


def wire_day(value: date) -> str:
    """A day as it is sent."""
    return f"/Date({int(datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp() * 1000)})/"
