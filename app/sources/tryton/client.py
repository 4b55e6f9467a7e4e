"""Tryton over its two protocols: REST with a key for reads, JSON-RPC with a session for what REST cannot do."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any, TypeVar, cast

import msgspec

from app.errors import ConfigurationError, SourceMalformed, SourceRejected, SourceUnavailable
from app.http.call import SIGN_IN
from app.http.client import HTTPClient, HTTPResponse
from app.http.errors import error_for_status
from app.http.request import OutgoingRequest
from app.http.resilience.guard import SourceGuard
from app.http.sign_in import SessionSignIn
from app.settings import SourceSettings
from app.sources.custom_fields import NO_FIELDS, SourceFields
from app.sources.tryton.options import Options
from app.sources.tryton.wire import Row, extended, fields_of

R = TypeVar("R", bound=Row)
T = TypeVar("T")

Domain = list[Any]

CHUNK_KEYS = 100
CHUNK_BYTES = 12_000
LONGEST_KEY = 200
LARGEST_ID = 2**31 - 1

# Quantities in a context are numbers, not text.
ENCODER = msgspec.json.Encoder(decimal_format="number")

_RECORDS = re.compile(r"^[0-9a-f]{32}\.")
"""The digest that the name of a warning about records begins with."""

# What Tryton raises when the request is at fault; any other error is its own.
BUSINESS_REFUSALS = frozenset({"UserError", "UserWarning"})
REFUSALS = BUSINESS_REFUSALS | {"LoginException", "ConcurrencyException"}


class Login(msgspec.Struct):
    """The response to a login: user id, session key, and more that is not needed."""

    result: list[Any]


class RPCResponse(msgspec.Struct):
    """A response over JSON-RPC; errors come with HTTP 200."""

    result: msgspec.Raw = msgspec.Raw()
    error: list[Any] | None = None


class TrytonRefusal(msgspec.Struct, frozen=True):
    """A rule of Tryton's that refuses a call. `warning` is the name of one that a user may confirm, without the digest
    of its records; `key` is the whole name. `message` is text for people, for the log."""

    message: str
    key: str | None = None

    @property
    def warning(self) -> str | None:
        """What is warned of, whatever the records."""
        return None if self.key is None else _RECORDS.sub("", self.key)


class TrytonSignIn(SessionSignIn):
    """The key for REST; for JSON-RPC a session, opened when first needed and renewed when it has ended."""

    def __init__(self, source: str, rpc_path: str, key: str, login: str, password: str) -> None:
        super().__init__(source)
        self._rpc_path = rpc_path
        self._key = {"authorization": f"Bearer {key}"}
        self._login, self._password = login, password

    def headers(self, path: str) -> Mapping[str, str] | None:
        return self._session if path == self._rpc_path else self._key

    def is_unauthorized(self, request: OutgoingRequest, response: HTTPResponse) -> bool:
        return response.status in (401, 403) and request.path == self._rpc_path

    def login(self) -> OutgoingRequest:
        body = {"id": 0, "method": "common.db.login", "params": [self._login, {"password": self._password}]}
        return OutgoingRequest(method="POST", path=self._rpc_path, json=body, call=SIGN_IN)

    def session_headers(self, response: HTTPResponse) -> Mapping[str, str]:
        if response.status != 200:
            raise error_for_status(self.source, "login", response.status, response.headers, response.body)
        login = response.decode(Login).result
        if len(login) < 2:
            raise SourceRejected(self.source, status=401, detail="the login opened no session")
        user, key = login[:2]
        session = base64.b64encode(f"{self._login}:{user}:{key}".encode()).decode()
        return {"authorization": f"Session {session}"}


class TrytonClient:
    """Typed reads of Tryton's models."""

    def __init__(
        self,
        name: str,
        settings: SourceSettings,
        options: Options,
        fields: SourceFields = NO_FIELDS,
    ) -> None:
        self.source = name
        self._extended = cache(partial(extended, fields=fields)) if fields.types else _unchanged
        self._root = f"/{options.database}"
        self._company = options.company
        sign_in = TrytonSignIn(
            name,
            f"{self._root}/rpc/",
            _credential(name, settings, "api_key"),
            _credential(name, settings, "login"),
            _credential(name, settings, "password"),
        )
        self._http = HTTPClient(name, settings, sign_in=sign_in)
        self.login = _credential(name, settings, "login")

    async def search(
        self,
        model: str,
        domain: Domain,
        row: type[R],
        *,
        call: str,
        context: Mapping[str, object] | None = None,
        order: Sequence[tuple[str, str]] = (),
        limit: int | None = None,
    ) -> list[R]:
        """The records that match, with the fields of `row`. Prices, limits and costs are null without a company."""
        row = cast("type[R]", self._extended(row))
        params = [("d", _encoded(domain)), *(("f", field) for field in fields_of(row))]
        if order:
            params.append(("o", _encoded(order)))
        if limit is not None:
            params.append(("s", str(limit)))
        headers = {"x-tryton-context": _encoded({"company": self._company, **(context or {})})}
        path = f"{self._root}/rest/model/{model}"
        return await self._http.get(path, params=params, headers=headers, into=list[row], call=call)

    async def search_keys(
        self,
        model: str,
        keys: Sequence[Any],
        domain: Callable[[Sequence[Any]], Domain],
        row: type[R],
        *,
        call: str,
        context: Mapping[str, object] | None = None,
    ) -> list[R]:
        """`search` for many keys, which travel in the address and so in pieces; no keys, no call."""
        pieces = await asyncio.gather(
            *(
                self.search(model, domain(chunk), row, call=call, context=context, order=[("id", "ASC")])
                for chunk in chunks(keys)
            )
        )
        return [found for piece in pieces for found in piece]

    async def count(self, model: str, domain: Domain, *, call: str) -> int:
        """How many records match; REST cannot count without reading them."""
        return await self._rpc(f"model.{model}.search_count", [domain], int, call=call)

    async def search_ids(
        self, model: str, domain: Domain, order: Sequence[tuple[str, str]], limit: int, *, call: str
    ) -> list[int]:
        """The ids of the first records that match; unlike in REST, the domain may be of any length."""
        return await self._rpc(f"model.{model}.search", [domain, 0, limit, order], list[int], call=call)

    async def on_change(
        self, model: str, values: Mapping[str, object], fields: Sequence[str], into: type[T], *, call: str
    ) -> T:
        """The values that Tryton fills in when these fields are set; nothing is stored."""
        return await self._rpc(f"model.{model}.on_change", [values, fields], into, call=call)

    async def write_confirming(
        self,
        method: str,
        params: Sequence[object],
        into: type[T],
        *,
        call: str,
        confirm: Collection[str],
        context: Mapping[str, object] | None = None,
    ) -> T | TrytonRefusal:
        """`write`, with the warnings of these names confirmed, each once: Tryton warns by refusing, and is called
        again. `call` is a noun and a verb."""
        confirmed: set[str] = set()
        while True:
            answer = await self.write(method, params, into, call=call, context=context)
            if not isinstance(answer, TrytonRefusal) or answer.key is None or answer.key in confirmed:
                return answer
            if answer.warning not in confirm:
                return answer
            noun = call.partition(".")[0]
            skipped = await self.write(
                "model.res.user.warning.skip", [answer.key, False], object, call=f"{noun}.confirm_warning"
            )
            if isinstance(skipped, TrytonRefusal):
                return answer
            confirmed.add(answer.key)

    async def write(
        self,
        method: str,
        params: Sequence[object],
        into: type[T],
        *,
        call: str,
        context: Mapping[str, object] | None = None,
    ) -> T | TrytonRefusal:
        """The result of a method that changes records, called once, or the rule that refuses it. Tryton keeps nothing
        of a call that it refuses or fails. Raises SourceError."""
        response = await self._respond(method, params, call=call, safe=False, context=context)
        if response.error and response.error[0] in BUSINESS_REFUSALS:
            return _refusal(response.error)
        return self._result(method, response, into)

    async def _rpc(self, method: str, params: Sequence[object], into: type[T], *, call: str) -> T:
        return self._result(method, await self._respond(method, params, call=call), into)

    async def _respond(
        self,
        method: str,
        params: Sequence[object],
        *,
        call: str,
        safe: bool = True,
        context: Mapping[str, object] | None = None,
    ) -> RPCResponse:
        body = {"id": 1, "method": method, "params": [*params, {"company": self._company, **(context or {})}]}
        return await self._http.post(f"{self._root}/rpc/", json=body, into=RPCResponse, call=call, safe=safe)

    def _result(self, method: str, response: RPCResponse, into: type[T]) -> T:
        if response.error is not None:
            raise self._refused(method, response.error)
        try:
            return msgspec.json.decode(response.result, type=into)
        except msgspec.DecodeError as error:
            raise SourceMalformed(self.source, detail=f"{method}: {error}") from None

    def _refused(self, method: str, error: Sequence[object]) -> SourceRejected | SourceUnavailable:
        detail = f"{method}: {error}"[:1000]
        if error and error[0] in REFUSALS:
            return SourceRejected(self.source, status=400, detail=detail)
        return SourceUnavailable(self.source, detail=detail)

    @property
    def guard(self) -> SourceGuard:
        return self._http.guard

    async def aclose(self) -> None:
        await self._http.aclose()


def _refusal(error: Sequence[object]) -> TrytonRefusal:
    kind, content = error[0], error[1] if len(error) > 1 else ()
    texts = [text for text in content if isinstance(text, str)] if isinstance(content, list | tuple) else []
    if kind == "UserWarning" and texts:
        return TrytonRefusal(message=": ".join(texts)[:1000], key=texts[0])
    return TrytonRefusal(message=" ".join(texts)[:1000])


def _unchanged(row: type[R]) -> type[R]:
    return row


def usable(keys: Iterable[str]) -> list[str]:
    """The keys that a record could have, each once. Tryton strips texts, those searched for too: a blank one would
    find whatever has none."""
    return [
        key for key in dict.fromkeys(keys) if key and key == key.strip() and len(key) <= LONGEST_KEY and _is_text(key)
    ]


def all_usable(*keys: str) -> bool:
    """Whether a record could have each of these keys."""
    return len(usable(keys)) == len(set(keys))


def record_ids(keys: Iterable[str]) -> list[int]:
    plain = (key for key in dict.fromkeys(keys) if key.isascii() and key.isdigit() and len(key) <= 10)
    return [number for number in map(int, plain) if 0 < number <= LARGEST_ID]


def chunks(keys: Sequence[Any]) -> Iterator[list[Any]]:
    """The keys in pieces of at most 100, and fewer where they are long."""
    piece: list[Any] = []
    size = 0
    for key in keys:
        weight = len(str(key).encode()) + 4
        if piece and (len(piece) == CHUNK_KEYS or size + weight > CHUNK_BYTES):
            yield piece
            piece, size = [], 0
        piece.append(key)
        size += weight
    if piece:
        yield piece


def containing(text: str) -> str:
    """A pattern for `ilike`: anything that contains the text itself, wildcards taken literally."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def _is_text(key: str) -> bool:
    return "\0" not in key and not any("\ud800" <= char <= "\udfff" for char in key)


def _encoded(value: object) -> str:
    return base64.urlsafe_b64encode(ENCODER.encode(value)).decode()


def _credential(name: str, settings: SourceSettings, key: str) -> str:
    secret = settings.credentials.get(key)
    if secret is None or not secret.get_secret_value():
        raise ConfigurationError(
            f"sources.{name}.credentials.{key}", None, "Tryton needs api_key (REST) and login, password (JSON-RPC)"
        )
    return secret.get_secret_value()
