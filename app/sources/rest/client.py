"""The client of the `rest` contract: bearer token, single or batched reads, errors, keys in chunks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, TypeVar

import msgspec

from app.errors import (
    ConfigurationError,
    FilterNotSupported,
    InvalidCursor,
    SortNotSupported,
    SourceMalformed,
    SourceRejected,
    SourceThrottled,
    SourceUnavailable,
)
from app.http.client import HTTPClient, HTTPResponse
from app.http.resilience.guard import SourceGuard
from app.http.sign_in import StaticCredentials
from app.settings import SourceSettings
from app.sources.custom_fields import NO_FIELDS, SourceFields
from app.sources.order_writer import max_order_seconds
from app.sources.rest.batch import ReadBatcher
from app.sources.rest.capabilities import list_capabilities
from app.sources.rest.contract import (
    FILTER_NOT_SUPPORTED,
    INVALID_CURSOR,
    MAX_KEY,
    MAX_KEYS,
    OPERATIONS,
    PORTS,
    SORT_NOT_SUPPORTED,
    ContractOperation,
    Problem,
)
from app.sources.rest.contract_orders import Refusal
from app.sources.rest.extended_rows import ExtendedRows
from app.sources.rest.mapping import Mapper
from app.sources.rest.operation_checks import CHECKS
from app.sources.rest.partial import PartialDecoders
from app.sources.values import Page, together

K = TypeVar("K")

_OPTIONS = {"amends_orders", "batch", "lists", "max_order_seconds", "serves", "unique_order_keys"}
_REFUSALS = {FILTER_NOT_SUPPORTED: FilterNotSupported, SORT_NOT_SUPPORTED: SortNotSupported}


class RESTClient:
    """The connection to one system that speaks the contract."""

    def __init__(self, name: str, settings: SourceSettings, mapper: Mapper, fields: SourceFields = NO_FIELDS) -> None:
        unknown = set(settings.options) - _OPTIONS
        if unknown:
            key = min(unknown)
            raise ConfigurationError(
                f"sources.{name}.options.{key}", settings.options[key], f"no such option; there are {sorted(_OPTIONS)}"
            )
        token = settings.credentials.get("token")
        if token is None or not token.get_secret_value():
            raise ConfigurationError(f"sources.{name}.credentials.token", None, "give the bearer token of this system")
        batch = settings.options.get("batch", True)
        if not isinstance(batch, bool):
            raise ConfigurationError(f"sources.{name}.options.batch", batch, "use true or false")
        self.name = name
        self.mapper = mapper
        self.amends_orders = settings.options.get("amends_orders", False) is True
        self.unique_order_keys = settings.options.get("unique_order_keys", True) is True
        self.max_order_seconds = _seconds(name, settings)
        self.serves = _serves(name, settings.options.get("serves"))
        self.lists = list_capabilities(name, settings.options.get("lists"), self.serves)
        credentials = StaticCredentials({"Authorization": f"Bearer {token.get_secret_value()}"})
        self._http = HTTPClient(name, settings, sign_in=credentials)
        self._batcher = ReadBatcher(self._http, self._send, _call) if batch else None
        self._rows = ExtendedRows(fields)
        self._partial = PartialDecoders(mapper, self._rows)

    async def read(
        self, operation: ContractOperation, body: object = None, *, cursor: bool = False, keys: int = 1
    ) -> Any:
        """The decoded response to one read for so many keys: rows, or partial records where the running operation needs
        no more. A cursor that was sent and is refused raises InvalidCursor."""
        if self._batcher is None:
            response = await self._send(operation, body)
        else:
            response = await self._batcher.read(operation, body, keys)
        if response.status >= 300:
            raise _error(response, _call(operation), cursor=cursor)
        partial = self._partial.of(operation)
        if partial is not None:
            with suppress(SourceMalformed):  # The whole decoding says what is wrong, or tolerates it.
                return response.decode_with(partial)
        return response.decode(self._rows.of(operation.answer))

    async def read_keys(
        self, operation: ContractOperation, keys: Sequence[K], body: Callable[[tuple[K, ...]], object]
    ) -> list[tuple[K, Any]]:
        """(key, value) of the rows found for the keys, each read once, in chunks of MAX_KEYS. Rows of other keys are
        ignored."""
        valid = self.valid_keys(keys)
        chunks = await together([self.read(operation, body(chunk), keys=len(chunk)) for chunk in self.chunks(valid)])
        requested = set(valid)
        return [(row.key, row.value) for rows in chunks for row in rows if row.key in requested]

    async def write(self, operation: ContractOperation, body: object) -> Any:
        """Send a write once, by itself, and return the decoded response; a Refusal where a rule of the business refuses
        it. Raises SourceError."""
        call = _call(operation)
        response = await self._http.request(
            operation.method, operation.path, json=body, call=call, safe=False, accept={409, 422}
        )
        if response.status < 300:
            return response.decode(operation.answer)
        try:
            return response.decode(Refusal)
        except SourceMalformed:
            return Refusal(title=f"{call} answered {response.status}")

    async def read_page(self, operation: ContractOperation, query: object, make: Callable[[Any], Any]) -> Page[Any]:
        """A page of a list; `make` makes a record of a row."""
        return self._page(await self.read(operation, query, cursor=True), make)

    async def read_pages(
        self, operation: ContractOperation, customers: Iterable[str], query: Any, make: Callable[[Any], Any]
    ) -> dict[str, Page[Any]]:
        """A page for each customer, in chunks of MAX_KEYS. Pages of other customers are ignored."""
        distinct = self.valid_keys(customers)
        bodies = [operation.request(customers=chunk, query=query) for chunk in self.chunks(distinct)]
        answers = await together([self.read(operation, body, cursor=True) for body in bodies])
        return {row.key: self._page(row.value, make) for answer in answers for row in answer if row.key in distinct}

    def _page(self, page: Any, make: Callable[[Any], Any]) -> Page[Any]:
        return self.mapper.fill(Page, page, rows=tuple(map(make, page.rows)))

    @staticmethod
    def valid_keys(keys: Iterable[K]) -> tuple[K, ...]:
        """The keys that a system may hold, each once; no call is made for the others."""
        distinct = tuple(dict.fromkeys(keys))
        return distinct if _all_plain(distinct) else tuple(filter(_is_valid, distinct))

    @staticmethod
    def chunks(keys: tuple[K, ...]) -> list[tuple[K, ...]]:
        """The keys in chunks of at most MAX_KEYS; none for no keys."""
        return [keys[start : start + MAX_KEYS] for start in range(0, len(keys), MAX_KEYS)]

    @property
    def coalesces(self) -> bool:
        """Whether concurrent reads are sent as one request."""
        return self._batcher is not None

    async def ping(self) -> None:
        """Read the example of the first operation that the system serves and that writes nothing: checks its address,
        the token and that the answer can be read. A system that serves documents only has none. Raises SourceError."""
        reads = (one for one in OPERATIONS if one.port in self.serves and one.path in CHECKS and not one.write)
        operation = next(reads, None)
        if operation is None:
            return
        example = CHECKS[operation.path].example
        response = await self._http.request(operation.method, operation.path, json=example, call="ping")
        response.decode(operation.answer)

    def stream(
        self, path: str, body: object, *, accept: str, call: str
    ) -> AbstractAsyncContextManager[tuple[Mapping[str, str], AsyncIterator[bytes]]]:
        """A response as it comes; see `HTTPClient.stream_body`."""
        return self._http.stream_body("POST", path, json=body, accept=accept, call=call)

    @property
    def guard(self) -> SourceGuard:
        return self._http.guard

    async def aclose(self) -> None:
        if self._batcher is not None:
            await self._batcher.aclose()
        await self._http.aclose()

    async def _send(self, operation: ContractOperation, body: object) -> HTTPResponse:
        return await self._http.request(
            operation.method, operation.path, json=body, call=_call(operation), accept={400}
        )


def _serves(name: str, value: object) -> frozenset[str]:
    key = f"sources.{name}.options.serves"
    if value is None:
        return frozenset(PORTS)
    if not isinstance(value, list) or not value:
        raise ConfigurationError(key, value, f"give a list of some of {', '.join(PORTS)}")
    for port in value:
        if port not in PORTS:
            raise ConfigurationError(key, port, f"no such port; use some of {', '.join(PORTS)}")
    return frozenset(value)


def _seconds(name: str, settings: SourceSettings) -> float:
    """Seconds after which the system has created an order or never does."""
    value = settings.options.get("max_order_seconds")
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise ConfigurationError(f"sources.{name}.options.max_order_seconds", value, "give seconds")
    return float(max_order_seconds(name, settings, value))


def _call(operation: ContractOperation) -> str:
    _, _, noun, *verb = operation.path.replace("-", "_").split("/")
    return noun if verb in ([], ["read"]) else f"{noun}.{verb[0]}"


def _all_plain(keys: Sequence[Any]) -> bool:
    """Whether all keys are valid ASCII texts: checked as one text, because there are hundreds of them."""
    try:
        text = "".join(keys)
    except TypeError:  # Keys of several parts.
        return False
    return text.isascii() and "\0" not in text and all(keys) and len(max(keys, key=len, default="")) <= MAX_KEY


def _is_valid(key: object) -> bool:
    texts: Iterable[object] = [key] if isinstance(key, str) else msgspec.structs.astuple(key)  # type: ignore[arg-type]
    return all(isinstance(text, str) and 0 < len(text) <= MAX_KEY and _is_clean(text) for text in texts)


def _is_clean(text: str) -> bool:
    if text.isascii():
        return "\0" not in text
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _error(response: HTTPResponse, call: str, *, cursor: bool) -> Exception:
    detail = f"{call} answered {response.status}: {response.body[:300].decode(errors='replace')}"
    if response.status == 429:
        return SourceThrottled(response.source, detail=detail)
    if response.status >= 500:
        return SourceUnavailable(response.source, detail=detail)
    code = _code(response) if response.status == 400 else None
    if cursor and code == INVALID_CURSOR:
        return InvalidCursor(detail=detail)
    if code in _REFUSALS:
        return _REFUSALS[code](response.source)
    return SourceRejected(response.source, status=response.status, detail=detail)


def _code(response: HTTPResponse) -> str | None:
    try:
        return response.decode(Problem).code
    except SourceMalformed:
        return None
