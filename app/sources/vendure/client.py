"""Vendure's Admin API: the session, the three shapes of its errors, lists of more than a page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from functools import cache
from typing import Any, Generic, TypeVar

import httpx
import msgspec

from app.errors import SourceError, SourceMalformed, SourceRejected, SourceThrottled, SourceUnavailable
from app.http.client import HTTPClient, HTTPResponse
from app.http.resilience.guard import SourceGuard
from app.settings import SourceSettings
from app.sources.vendure.options import VendureOptions

T = TypeVar("T")

PAGE = 1000
"""The most rows that the Admin API gives at once; asking for more is refused."""

LOGIN = """mutation Login($username: String!, $password: String!) {
  login(username: $username, password: $password) { __typename ... on ErrorResult { errorCode } }
}"""


class Fault(msgspec.Struct, frozen=True):
    """One of the errors beside `data`."""

    message: str = ""
    extensions: Mapping[str, object] = {}

    @property
    def code(self) -> str:
        """Vendure's code; never absent in its own errors."""
        return str(self.extensions.get("code", ""))


class Faults(msgspec.Struct, frozen=True):
    """The errors of an answer, mostly one with status 200. What `data` holds beside them does not matter."""

    errors: tuple[Fault, ...] = ()

    @property
    def are_forbidden(self) -> bool:
        """Whether the session has ended, or the administrator lacks a permission: Vendure does not tell which."""
        return any(fault.code == "FORBIDDEN" for fault in self.errors)


class Data(msgspec.Struct, Generic[T], frozen=True):
    """The rest of an answer."""

    data: T


@cache
def _data_with(into: Any) -> Any:
    return Data[into]


class Session(httpx.Auth):
    """Logs in once and sends the session token along; one login at a time, however many requests wait for it."""

    def __init__(self, source: str, url: str, username: str, password: str) -> None:
        self._source = source
        self._url = url
        self._credentials = {"username": username, "password": password}
        self._token: str | None = None
        self._refusal: str | None = None
        self._logging_in = asyncio.Lock()
        self.attempts = 0

    def forget(self, attempt: int) -> None:
        """Drop the token of that login attempt, unless a newer one has taken its place."""
        if attempt == self.attempts:
            self._token = None

    def signed(self, path: str) -> Mapping[str, str] | None:
        """The session's token, if there is a session; that it has ended is seen by `run`."""
        return None if self._token is None else {"authorization": f"Bearer {self._token}"}

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Log in if there is no token, then send the request with it."""
        before = self.attempts
        if self._token is None:
            async with self._logging_in:
                if self._token is None:
                    if self._refusal is not None and self.attempts != before:
                        # Refused while this request waited: do not ask the same again for each one that waits.
                        raise SourceRejected(self._source, status=401, detail=self._refusal)
                    response = yield httpx.Request(
                        "POST", self._url, json={"query": LOGIN, "variables": self._credentials}
                    )
                    self.attempts += 1
                    self._refusal = None
                    self._token = self._token_of(response, await response.aread())
        request.headers["authorization"] = f"Bearer {self._token}"
        yield request

    def _token_of(self, response: httpx.Response, body: bytes) -> str:
        if response.status_code >= 500:
            raise SourceUnavailable(self._source, detail=f"login answered status {response.status_code}")
        if response.status_code == 429:
            raise SourceThrottled(self._source, detail="login answered status 429")
        token = response.headers.get("vendure-auth-token")
        if response.status_code == 200 and token and b'"CurrentUser"' in body:
            return token
        # The body may repeat what was sent; only Vendure's own code goes to the log.
        code = _error_code(body)
        if response.status_code == 200 and code is None:
            raise SourceMalformed(self._source, detail="the answer to the login is none of Vendure's")
        self._refusal = f"login refused with status {response.status_code}: {code or 'no known error code'}"
        raise SourceRejected(self._source, status=401, detail=self._refusal)


def _error_code(body: bytes) -> str | None:
    for code in (b"INVALID_CREDENTIALS_ERROR", b"NATIVE_AUTH_STRATEGY_ERROR", b"FORBIDDEN"):
        if code in body:
            return code.decode()
    return None


class VendureClient:
    """Runs documents against the Admin API. `name` is the configured source."""

    def __init__(self, name: str, settings: SourceSettings, options: VendureOptions) -> None:
        self.name = name
        self.base_url = settings.base_url.rstrip("/")
        self._path = options.admin_path
        self._channel = options.channel
        self._reservations_channel = options.reservations_channel
        self._session = Session(
            name,
            self.base_url + options.admin_path,
            settings.credentials["username"].get_secret_value(),
            settings.credentials["password"].get_secret_value(),
        )
        self._http = HTTPClient(name, settings, auth=self._session)
        self._refused: set[str] = set()

    @property
    def guard(self) -> SourceGuard:
        """What protects the system, and knows how it is."""
        return self._http.guard

    async def aclose(self) -> None:
        """Close the connections. The session stays valid on the server; it is not logged out."""
        await self._http.aclose()

    async def ping(self) -> None:
        """Ask who we are: proves the server and the session."""
        answer = await self.run("{ me { id } }", {}, into=Me, call="ping")
        if answer.me is None:
            raise SourceRejected(self.name, status=403, detail="the session belongs to nobody")

    async def run(
        self, document: str, variables: Mapping[str, object], *, into: type[T], call: str, all_channels: bool = False
    ) -> T:
        """The decoded `data` of a document. FORBIDDEN with a session that worked so far means that it has ended:
        one new login, then the error. A call that a fresh session was refused does not cause logins again."""
        attempt = self._session.attempts
        answer, faults = await self._send(document, variables, call, all_channels)
        if faults.are_forbidden and call not in self._refused:
            self._session.forget(attempt)
            answer, faults = await self._send(document, variables, call, all_channels)
            if faults.are_forbidden:
                self._refused.add(call)
        if faults.errors:
            raise self._error_of(faults.errors[0])
        self._refused.discard(call)
        data: Data[T] = answer.decode(_data_with(into))
        return data.data

    async def _send(
        self, document: str, variables: Mapping[str, object], call: str, all_channels: bool
    ) -> tuple[HTTPResponse, Faults]:
        channel = self._reservations_channel if all_channels else self._channel
        answer = await self._http.request(
            "POST",
            self._path,
            json={"query": document, "variables": variables},
            headers={"vendure-token": channel} if channel else {},
            call=call,
        )
        return answer, answer.decode(Faults) if b'"errors"' in answer.body else Faults()

    def _error_of(self, fault: Fault) -> SourceError:
        detail = f"{fault.code}: {fault.message[:500]}"
        if fault.code == "INTERNAL_SERVER_ERROR":
            return SourceUnavailable(self.name, detail=detail)
        return SourceRejected(self.name, status=403 if fault.code == "FORBIDDEN" else 400, detail=detail)


class Me(msgspec.Struct, frozen=True):
    """The answer to `ping`."""

    me: Mapping[str, str] | None


def sendable(keys: Sequence[str]) -> list[str]:
    """The keys that can exist at all, each once: Vendure's columns hold 255 characters and no control characters."""
    return [key for key in dict.fromkeys(keys) if 0 < len(key) <= 255 and key.isprintable()]


def chunks(keys: Sequence[str], size: int = 100) -> list[Sequence[str]]:
    """The keys in portions for one call each."""
    return [keys[start : start + size] for start in range(0, len(keys), size)]
