"""OData: queries whose `$select` and `$expand` come from the types that they decode, pages, key chains and batches.

The client speaks V4 with JSON batches, as OData 4.01 of OASIS has them; `odata_v2.py` has the other dialect. The URL of
a page, the number of pages and the number of requests in a batch are bounded; nothing here is repeated but by the HTTP
client.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from typing import Any, Generic, Protocol, TypeVar, cast
from urllib.parse import quote, urlsplit
from uuid import UUID

import msgspec
from msgspec import inspect

from app.errors import SourceMalformed
from app.http.client import HTTPClient, HTTPResponse
from app.http.errors import error_for_status
from app.http.response import Headers

R = TypeVar("R")

MAX_URL = 4000
"""Characters of a query, quoted: servers behind IIS and ABAP gateways refuse much longer ones."""
MAX_KEYS = 100
MAX_PAGES = 100
MAX_BATCH = 100
"""Requests in a batch; Business Central refuses more."""

SAFE = "$'(),/=;:@-._~*"


class ODataPage(msgspec.Struct, Generic[R], frozen=True):
    """A page of rows. `next_link` leads to the next one; `count` is of all rows, if it was asked for."""

    value: tuple[R, ...]
    next_link: str | None = msgspec.field(default=None, name="@odata.nextLink")
    count: int | None = msgspec.field(default=None, name="@odata.count")


class BatchAnswer(msgspec.Struct, frozen=True):
    """The response to one request of a batch."""

    id: str
    status: int
    headers: Mapping[str, object] = {}
    body: msgspec.Raw = msgspec.Raw()


class BatchAnswers(msgspec.Struct, frozen=True):
    """The response to a batch."""

    responses: tuple[BatchAnswer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ODataQuery:
    """The options of a query. `filter` is an expression, made with `literal`; `orderby` are fields with a direction.
    A query with `top` is one page of so many rows after `skip`; without, all rows are read."""

    filter: str | None = None
    orderby: tuple[str, ...] = ()
    top: int | None = None
    skip: int = 0
    count: bool = False
    options: Mapping[str, str] = field(default_factory=dict)

    def text(self, row: Any) -> str:
        """The query as it is sent, with the fields of `row`."""
        pairs: list[tuple[str, str]] = [] if self.filter is None else [("$filter", self.filter)]
        pairs += [("$orderby", ",".join(self.orderby))] if self.orderby else []
        pairs += [("$top", str(self.top))] if self.top is not None else []
        pairs += [("$skip", str(self.skip))] if self.skip else []
        pairs += [("$count", "true")] if self.count else []
        pairs += [*selection(row), *self.options.items()]
        return "&".join(f"{name}={quote(value, safe=SAFE)}" for name, value in pairs)


def literal(value: object) -> str:
    """A value in an expression. Raises TypeError for what has no literal."""
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, (date, UUID)):
        return str(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, int):
        return str(value)
    raise TypeError(f"no OData literal for a {type(value).__name__}")


def any_of(name: str, keys: Iterable[object], literal: Callable[[object], str] = literal) -> str:
    """An expression for rows in which a field has one of these values."""
    return " or ".join(f"{name} eq {literal(key)}" for key in keys)


def all_of(*expressions: str | None) -> str | None:
    """An expression for rows that fit all of these; None of them is left out."""
    given = [one for one in expressions if one]
    return " and ".join(f"({one})" if " or " in one and len(given) > 1 else one for one in given) or None


@cache
def selection(row: Any) -> tuple[tuple[str, str], ...]:
    """`$select` and `$expand` for the fields of a struct: nested structs are navigation properties."""
    fields, expanded = _selected(inspect.type_info(row))
    return tuple(
        (name, text) for name, text in (("$select", ",".join(fields)), ("$expand", ",".join(expanded))) if text
    )


def _selected(info: inspect.Type) -> tuple[list[str], list[str]]:
    fields: list[str] = []
    expanded: list[str] = []
    for one in cast("inspect.StructType", info).fields:
        nested = struct_of(one.type)
        if nested is None:
            fields.append(one.encode_name)
        else:
            inner, deeper = _selected(nested)
            options = [f"$select={','.join(inner)}", *([f"$expand={','.join(deeper)}"] if deeper else [])]
            expanded.append(f"{one.encode_name}({';'.join(options)})")
    return fields, expanded


def struct_of(info: inspect.Type) -> inspect.StructType | None:
    """The struct that a field holds, alone or many of it; None for a scalar."""
    if isinstance(info, inspect.StructType):
        return info
    if isinstance(info, inspect.UnionType):
        return next((found for one in info.types if (found := struct_of(one)) is not None), None)
    item: inspect.Type | None = getattr(info, "item_type", None)
    return None if item is None else struct_of(item)


class ODataDialect(Protocol):
    """How one version of OData writes queries, pages and batches."""

    def literal(self, value: object) -> str:
        """A value in an expression. Raises TypeError for what has no literal."""
        ...

    def text(self, query: ODataQuery, row: Any) -> str:
        """A query as it is sent, with the fields of `row`."""
        ...

    def wire_type(self, row: Any) -> Any:
        """The type of a page as it is received."""
        ...

    def page(self, received: Any) -> ODataPage[Any]:
        """A page of a value of that type."""
        ...

    def batch(self, targets: Mapping[int, str], headers: Mapping[str, str]) -> tuple[bytes, Mapping[str, str]]:
        """The body of a batch of reads and its headers; `headers` are those of each read."""
        ...

    def answers(self, response: HTTPResponse, numbers: Sequence[int]) -> Sequence[BatchAnswer]:
        """The responses to a batch of targets with these numbers. Raises SourceMalformed."""
        ...


class ODataV4:
    """V4 with batches in JSON."""

    def literal(self, value: object) -> str:
        """See `ODataDialect`."""
        return literal(value)

    def text(self, query: ODataQuery, row: Any) -> str:
        """See `ODataDialect`."""
        return query.text(row)

    def wire_type(self, row: Any) -> Any:
        """See `ODataDialect`."""
        return _page_of(row)

    def page(self, received: Any) -> ODataPage[Any]:
        """See `ODataDialect`."""
        return cast("ODataPage[Any]", received)

    def batch(self, targets: Mapping[int, str], headers: Mapping[str, str]) -> tuple[bytes, Mapping[str, str]]:
        """See `ODataDialect`."""
        requests = [
            {"id": str(number), "method": "GET", "url": target, "headers": headers}
            for number, target in targets.items()
        ]
        return msgspec.json.encode({"requests": requests}), {"content-type": "application/json"}

    def answers(self, response: HTTPResponse, numbers: Sequence[int]) -> Sequence[BatchAnswer]:
        """See `ODataDialect`."""
        return cast("BatchAnswers", response.decode(BatchAnswers)).responses


class ODataClient:
    """Reads entity sets below `root`, a path of the source such as `/api/v2.0`. `on_expired` is called when a request
    in a batch answers 401 though the batch itself was signed in: it discards the session."""

    def __init__(
        self,
        http: HTTPClient,
        root: str,
        *,
        base_url: str,
        headers: Mapping[str, str] | None = None,
        on_expired: Callable[[], None] = lambda: None,
        dialect: ODataDialect | None = None,
    ) -> None:
        self._http = http
        self._dialect: ODataDialect = dialect or ODataV4()
        self._root = root
        self._headers = dict(headers or {})
        self._base = urlsplit(base_url)
        self._on_expired = on_expired

    @property
    def source(self) -> str:
        return self._http.source

    async def page(
        self, entity_set: str, row: type[R], query: ODataQuery, *, call: str, headers: Mapping[str, str] | None = None
    ) -> ODataPage[R]:
        """One page, as large as the server makes it."""
        return await self._get(f"{self._root}/{entity_set}?{self._dialect.text(query, row)}", row, call, headers)

    async def rows(
        self, entity_set: str, row: type[R], query: ODataQuery, *, call: str, headers: Mapping[str, str] | None = None
    ) -> list[R]:
        """All rows of a query, page after page. Raises SourceMalformed for pages that do not end."""
        first = await self.page(entity_set, row, query, call=call, headers=headers)
        return await self.following(first, row, call, headers)

    async def by_keys(
        self,
        entity_set: str,
        row: type[R],
        name: str,
        keys: Sequence[Any],
        *,
        also: str | None = None,
        orderby: tuple[str, ...] = (),
        call: str,
        headers: Mapping[str, str] | None = None,
    ) -> list[R]:
        """The rows in which a field has one of many values: one request, or one batch if the URL would be too long."""
        written = self._dialect.literal
        empty = ODataQuery(filter=f"() and ({also})", orderby=orderby)
        max_length = MAX_URL - len(f"{self._root}/{entity_set}?{self._dialect.text(empty, row)}")
        queries = [
            ODataQuery(filter=all_of(any_of(name, chunk, written), also), orderby=orderby)
            for chunk in chunk_keys(name, keys, max_length, written)
        ]
        if len(queries) <= 1:
            return [] if not queries else await self.rows(entity_set, row, queries[0], call=call, headers=headers)
        found: list[R] = []
        for start in range(0, len(queries), MAX_BATCH):
            targets = [
                (f"{entity_set}?{self._dialect.text(query, row)}", row) for query in queries[start : start + MAX_BATCH]
            ]
            for page in await self.batch(targets, call=call, headers=headers):
                found += await self.following(page, row, call, headers)
        return found

    async def batch(
        self, targets: Sequence[tuple[str, type[Any]]], *, call: str, headers: Mapping[str, str] | None = None
    ) -> list[ODataPage[Any]]:
        """The pages of several queries, relative to the root and each with the type of its rows, in one request. Raises
        the error of the first that failed. Where the session ended in the middle, what it refused is requested once
        more."""
        answers = await self._batched(dict(enumerate(target for target, _ in targets)), call, headers)
        refused = {number: targets[number][0] for number, answer in answers.items() if answer.status == 401}
        if refused:
            self._on_expired()
            answers |= await self._batched(refused, call, headers)
        return [self._inner_page(answers[number], target, row) for number, (target, row) in enumerate(targets)]

    async def _batched(
        self, targets: Mapping[int, str], call: str, headers: Mapping[str, str] | None
    ) -> dict[int, BatchAnswer]:
        inner = {**self._headers, **(headers or {}), "accept": "application/json"}
        body, own = self._dialect.batch(targets, inner)
        response = await self._http.request(
            "POST", f"{self._root}/$batch", content=body, headers={**self._headers, **own}, call=call
        )
        found = {answer.id: answer for answer in self._dialect.answers(response, list(targets))}
        missing = [number for number in targets if str(number) not in found]
        if missing:
            detail = f"{call}: {len(missing)} of {len(targets)} requests of a batch have no response"
            raise SourceMalformed(self.source, detail=detail)
        return {number: found[str(number)] for number in targets}

    def _inner_page(self, answer: BatchAnswer, target: str, row: type[R]) -> ODataPage[R]:
        headers = Headers([(name.lower().encode(), str(value).encode()) for name, value in answer.headers.items()])
        if not 200 <= answer.status < 300:
            raise error_for_status(self.source, f"GET {target[:100]}", answer.status, headers, bytes(answer.body))
        response = HTTPResponse(self.source, answer.status, headers, bytes(answer.body))
        return self._dialect.page(response.decode(self._dialect.wire_type(row)))

    async def _get(self, target: str, row: type[R], call: str, headers: Mapping[str, str] | None) -> ODataPage[R]:
        merged = {**self._headers, **(headers or {})}
        received = await self._http.get(target, into=self._dialect.wire_type(row), headers=merged, call=call)
        return cast("ODataPage[R]", self._dialect.page(received))

    async def following(
        self, page: ODataPage[R], row: type[R], call: str, headers: Mapping[str, str] | None = None
    ) -> list[R]:
        """The rows of a page and of all pages after it. Raises SourceMalformed for pages that do not end."""
        found, seen = list(page.value), set[str]()
        while page.next_link is not None:
            if page.next_link in seen or len(seen) >= MAX_PAGES:
                raise SourceMalformed(self.source, detail=f"{call}: the pages do not end after {len(seen) + 1}")
            seen.add(page.next_link)
            page = await self._get(self._target(page.next_link, call), row, call, headers)
            found += page.value
        return found

    def _target(self, link: str, call: str) -> str:
        """The path and query of a link that the server gave; it must lead to the same server and root."""
        try:
            parts = urlsplit(link)
        except ValueError:
            raise SourceMalformed(self.source, detail=f"{call}: a link that is no URL") from None
        base, prefix = self._base, self._base.path.rstrip("/")
        own = not parts.netloc or (parts.scheme, parts.netloc) == (base.scheme, base.netloc)
        path = parts.path if parts.netloc or parts.path.startswith("/") else f"{prefix}{self._root}/{parts.path}"
        if not own or not path.startswith(f"{prefix}{self._root}/"):
            raise SourceMalformed(self.source, detail=f"{call}: a link to another address")
        return f"{path.removeprefix(prefix)}?{parts.query}"


def chunk_keys(
    name: str, keys: Sequence[Any], max_length: int, literal: Callable[[object], str] = literal
) -> Iterator[Sequence[Any]]:
    """The keys in pieces whose expression fits into `max_length` characters, quoted, and has at most 100 of them."""
    piece: list[Any] = []
    size = 0
    for key in dict.fromkeys(keys):
        weight = len(quote(f" or {name} eq {literal(key)}", safe=SAFE))
        if piece and (len(piece) == MAX_KEYS or size + weight > max_length):
            yield piece
            piece, size = [], 0
        piece.append(key)
        size += weight
    if piece:
        yield piece


@cache
def _page_of(row: Any) -> Any:
    return ODataPage[row]
