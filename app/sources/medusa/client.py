"""Medusa's Admin API: sign-in, lists of several pages, fields, and the look-up route of the project.

Medusa ignores filters and fields that it does not know, with 200. So every filter is checked on the rows that it
returned, and every field that is read must be there.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Any, Protocol, TypeVar

import msgspec

from app.errors import SourceMalformed, SourceRejected
from app.http.client import HTTPClient, HTTPResponse
from app.http.resilience.guard import SourceGuard
from app.http.sign_in import StaticCredentials
from app.settings import SourceSettings
from app.sources.capabilities import Probe, not_supported
from app.sources.medusa.options import MedusaOptions
from app.sources.vendor_calls import field_types

CHUNK = 100
"""Keys in one call. The query of a hundred ids is about 4 KB long."""

PAGE = 100
MOST_PAGES = 100

NO_LOOKUP = "the Medusa project lacks the look-up route, see docs/medusa.md"
NO_PRICES = "the Medusa project lacks the route for prices, see docs/medusa.md"
NOT_FOUND = 404

Params = list[tuple[str, str]]


class RawAmount(msgspec.Struct, frozen=True):
    """An exact number. Medusa sends the same number without `raw_` as a float."""

    value: Decimal


class MedusaRow(Protocol):
    """What every row has."""

    @property
    def id(self) -> str: ...


R = TypeVar("R", bound=MedusaRow)
T = TypeVar("T")


class MedusaRows(Protocol[T]):
    """A page of a list. `count` is how many rows the whole list has."""

    @property
    def rows(self) -> tuple[T, ...]: ...

    @property
    def count(self) -> int: ...


class StoreRow(msgspec.Struct, frozen=True):
    """A store, read to check address and key."""

    id: str


class StoreRows(msgspec.Struct, frozen=True, rename={"rows": "stores"}):
    """The answer to `ping`."""

    rows: tuple[StoreRow, ...]
    count: int


class LookupRow(msgspec.Struct, frozen=True):
    """A row that has one of the values; the last three are of orders."""

    value: str
    id: str
    number: str | None
    status: str | None
    draft: bool


class LookupAnswer(Protocol):
    """What the look-up route answers, whatever its rows are."""

    @property
    def values(self) -> set[str]: ...


class Lookup(msgspec.Struct, frozen=True):
    """The answer of the look-up route. `totals` are the numbers of orders by value, where a page of each is read; else
    of all rows, under an empty key."""

    rows: tuple[LookupRow, ...]
    totals: Mapping[str, int]

    @property
    def values(self) -> set[str]:
        """The values that the rows have."""
        return {row.value for row in self.rows}


L = TypeVar("L", bound=LookupAnswer)


class MedusaClient:
    """Reads and writes one server. `lookup_probe` and `price_probe` say which routes the project has."""

    def __init__(self, name: str, settings: SourceSettings, options: MedusaOptions) -> None:
        self.name = name
        self._options = options
        key = settings.credentials["secret_key"].get_secret_value()
        # A secret key is the user of Basic authentication, without a password (https://docs.medusajs.com/api/admin).
        token = base64.b64encode(f"{key}:".encode()).decode()
        self._http = HTTPClient(name, settings, sign_in=StaticCredentials({"authorization": f"Basic {token}"}))
        self.lookup_probe = Probe()
        self.price_probe = Probe()

    @property
    def guard(self) -> SourceGuard:
        return self._http.guard

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def ping(self) -> None:
        """Read the store, and probe the look-up route."""
        params = [("fields", fields_of(StoreRow)), ("limit", "1")]
        await self._http.get("/admin/stores", params=params, into=StoreRows, call="ping")
        try:
            await self._lookup([("entity", "customer"), ("field", self._customer_field)], Lookup, "ping")
        except SourceRejected as error:
            if error.status != NOT_FOUND:
                raise

    @property
    def _customer_field(self) -> str:
        return f"metadata.{self._options.customer_number_key}"

    async def by_keys(
        self,
        path: str,
        into: type[MedusaRows[R]],
        name: str,
        keys: Sequence[str],
        key_of: Callable[[R], str | None],
        *,
        more: Params | None = None,
        call: str,
    ) -> list[R]:
        """The rows with one of the keys, a hundred in a call. `name` is the filter, whose values are unique. Raises
        SourceMalformed for rows that it should have left out."""
        found: list[R] = []
        for start in range(0, len(keys), CHUNK):
            chunk = keys[start : start + CHUNK]
            params = [*((f"{name}[]", key) for key in chunk), *(more or ()), ("limit", str(len(chunk)))]
            page = await self.page(path, into, params, call=call)
            if page.count > len(chunk) or not {key_of(row) for row in page.rows} <= set(chunk):
                raise SourceMalformed(self.name, detail=f"{call}: the filter {name} was ignored")
            found += page.rows
        return found

    async def page(self, path: str, into: type[MedusaRows[T]], params: Params, *, call: str) -> MedusaRows[T]:
        """One page of a list, with the fields that its rows have."""
        fields = ("fields", fields_of(row_of(into)))
        return await self._http.get(path, params=[fields, *params], into=into, call=call)

    async def pages(
        self, path: str, into: type[MedusaRows[R]], params: Params, *, call: str, size: int = PAGE
    ) -> AsyncIterator[Sequence[R]]:
        """The pages of a list that `params` order by what never changes. Rows that moved from one page to the next come
        once. Raises SourceMalformed for a list whose pages repeat or do not end."""
        seen: set[str] = set()
        offset = 0
        for _ in range(MOST_PAGES):
            window = [("limit", str(size)), ("offset", str(offset))]
            page = await self.page(path, into, [*params, *window], call=call)
            fresh = [row for row in page.rows if row.id not in seen]
            seen.update(row.id for row in fresh)
            if fresh:
                yield fresh
            offset += len(page.rows)
            if not page.rows or offset >= page.count:
                return
            if not fresh:
                break
        raise SourceMalformed(self.name, detail=f"{call}: the pages of a list repeat, or do not end")

    async def customers(self, numbers: Sequence[str], row: Any, into: type[L], *, call: str) -> list[L]:
        """Answers with the customers of these numbers, a hundred numbers in each; `row` is the type of a customer."""
        fields = ("fields", fields_of(row))
        found: list[L] = []
        for start in range(0, len(numbers), CHUNK):
            chunk = numbers[start : start + CHUNK]
            params = [("entity", "customer"), ("field", self._customer_field), fields]
            found.append(await self._found([*params, *(("value[]", one) for one in chunk)], into, chunk, call))
        return found

    async def orders(self, field: str, values: Sequence[str], *, call: str) -> list[LookupRow]:
        """The orders that have one of the values in a field, newest first in each hundred values."""
        found: list[LookupRow] = []
        for start in range(0, len(values), CHUNK):
            chunk = values[start : start + CHUNK]
            params = [("entity", "order"), ("field", field), *(("value[]", value) for value in chunk)]
            answer = await self._found(params, Lookup, chunk, call)
            if len(answer.rows) < answer.totals.get("", 0):
                raise SourceMalformed(self.name, detail=f"{call}: the look-up route did not return all rows")
            found += answer.rows
        return found

    async def order_pages(
        self, numbers: Sequence[str], *, first: int, skip: int, descending: bool, call: str
    ) -> list[tuple[LookupRow, int]]:
        """A page of the orders of each customer, without drafts, with the number of orders that the customer has."""
        found: list[tuple[LookupRow, int]] = []
        for start in range(0, len(numbers), CHUNK):
            chunk = numbers[start : start + CHUNK]
            window = [("take", str(first)), ("skip", str(skip)), ("order", "DESC" if descending else "ASC")]
            params = [("entity", "order"), ("field", f"customer.{self._customer_field}"), *window]
            answer = await self._found([*params, *(("value[]", one) for one in chunk)], Lookup, chunk, call)
            found += [(row, answer.totals.get(row.value, 0)) for row in answer.rows]
        return found

    async def _found(self, params: Params, into: type[L], values: Sequence[str], call: str) -> L:
        try:
            answer = await self._lookup(params, into, call)
        except SourceRejected as error:
            if error.status != NOT_FOUND:
                raise
            raise not_supported(self.name, call, NO_LOOKUP) from error
        if not answer.values <= set(values):
            raise SourceMalformed(self.name, detail=f"{call}: the look-up route returned rows of other values")
        return answer

    async def _lookup(self, params: Params, into: type[L], call: str) -> L:
        try:
            answer = await self._http.get(self._options.lookup_path, params=params, into=into, call=call)
        except SourceRejected as error:
            if error.status == NOT_FOUND:
                self.lookup_probe.found = False
            raise
        self.lookup_probe.found = True
        return answer

    async def prices(self, questions: object, into: type[T], *, call: str = "prices.quote") -> T:
        """The answer of the project's route for prices. Raises NotSupported where there is none."""
        try:
            answer = await self._http.post(self._options.price_path, json=questions, into=into, call=call)
        except SourceRejected as error:
            if error.status != NOT_FOUND:
                raise
            self.price_probe.found = False
            raise not_supported(self.name, call, NO_PRICES) from error
        self.price_probe.found = True
        return answer

    async def write(self, method: str, path: str, body: object | None, *, call: str) -> HTTPResponse:
        """Send a write once. A refusal by a rule of Medusa's business is returned, with its status. Raises
        SourceError."""
        headers = {"content-type": "application/json"}
        content = None if body is None else ENCODER.encode(body)
        return await self._http.request(
            method, path, content=content, headers=headers, call=call, safe=False, accept=REFUSALS
        )


ENCODER = msgspec.json.Encoder(decimal_format="number")
REFUSALS = (400, 404, 409, 422)
"""The statuses of `invalid_data`, `not_found`, `conflict` and `not_allowed` (Medusa's error handler)."""


@cache
def fields_of(row: Any) -> str:
    """The `fields` of a call whose rows have this type: the exact number of `raw_total` is one field."""
    names = dict.fromkeys(_field(path) for path in field_types(row))
    return ",".join(names)


def _field(path: str) -> str:
    steps = path.replace("[]", "").split(".")
    return ".".join(steps[:-1] if len(steps) > 1 and steps[-2].startswith("raw_") else steps)


@cache
def row_of(rows: Any) -> Any:
    """The type of the rows of a page."""
    return msgspec.structs.fields(rows)[0].type.__args__[0]


def sendable(keys: Sequence[str]) -> list[str]:
    """The keys that can exist at all, each once."""
    return [key for key in dict.fromkeys(keys) if 0 < len(key) <= 255 and key.isprintable() and key.strip() == key]


def prefixed_ids(prefix: str, keys: Sequence[str]) -> list[str]:
    """The keys that are ids of Medusa with this prefix, each once."""
    return [
        key
        for key in dict.fromkeys(keys)
        if key.startswith(f"{prefix}_") and len(key) <= 64 and key.isascii() and key.replace("_", "").isalnum()
    ]
