"""Vendure's Admin API: the session, the three shapes of its errors, lists of more than a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec

from app.errors import SourceMalformed, SourceRejected, SourceThrottled, SourceUnavailable
from app.http.call import SIGN_IN
from app.http.client import HTTPClient, HTTPResponse
from app.http.graphql import GraphQLClient, GraphQLError, errors_of
from app.http.request import OutgoingRequest
from app.http.resilience.guard import SourceGuard
from app.http.sign_in import SessionSignIn
from app.settings import SourceSettings
from app.sources.vendure.options import VendureOptions

T = TypeVar("T")

PAGE = 1000
"""The most rows that the Admin API gives at once; asking for more is refused."""

PING = "{ me { id } }"
LOGIN = """mutation Login($username: String!, $password: String!) {
  login(username: $username, password: $password) { __typename ... on ErrorResult { errorCode } }
}"""


class VendureSignIn(SessionSignIn):
    """The session of an administrator. Vendure refuses an ended session and a missing permission alike, with FORBIDDEN
    and status 200: a call that a fresh session was refused causes no further logins."""

    def __init__(self, source: str, path: str, username: str, password: str) -> None:
        super().__init__(source)
        self._path = path
        self._credentials = {"username": username, "password": password}
        self.forbidden_calls: set[str] = set()

    def is_unauthorized(self, request: OutgoingRequest, response: HTTPResponse) -> bool:
        if request.call in self.forbidden_calls or response.status != 200:
            return False
        return _forbidden(errors_of(response))

    def login(self) -> OutgoingRequest:
        body = {"query": LOGIN, "variables": self._credentials}
        return OutgoingRequest(method="POST", path=self._path, json=body, call=SIGN_IN)

    def session_headers(self, response: HTTPResponse) -> Mapping[str, str]:
        if response.status >= 500:
            raise SourceUnavailable(self.source, detail=f"login answered status {response.status}")
        if response.status == 429:
            raise SourceThrottled(self.source, detail="login answered status 429")
        token = response.headers.get("vendure-auth-token")
        if response.status == 200 and token and b'"CurrentUser"' in response.body:
            return {"authorization": f"Bearer {token}"}
        # The body may repeat what was sent; only Vendure's own code goes to the log.
        code = _error_code(response.body)
        if response.status == 200 and code is None:
            raise SourceMalformed(self.source, detail="the response to the login is not one of Vendure's")
        detail = f"login refused with status {response.status}: {code or 'no known error code'}"
        raise SourceRejected(self.source, status=401, detail=detail)


def _forbidden(errors: Sequence[GraphQLError]) -> bool:
    """Whether the session has ended, or the administrator lacks a permission: Vendure does not tell which."""
    return any(error.code == "FORBIDDEN" for error in errors)


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
        self._channel = options.channel
        self._reservations_channel = options.reservations_channel
        self._sign_in = VendureSignIn(
            name,
            options.admin_path,
            settings.credentials["username"].get_secret_value(),
            settings.credentials["password"].get_secret_value(),
        )
        self._http = HTTPClient(name, settings, sign_in=self._sign_in)
        self._graphql = GraphQLClient(self._http, options.admin_path)

    @property
    def guard(self) -> SourceGuard:
        return self._http.guard

    async def aclose(self) -> None:
        """Close the connections. The session stays valid on the server; it is not logged out."""
        await self._http.aclose()

    async def ping(self) -> None:
        """Read the session's user: checks the server and the session."""
        ping = await self.run(PING, {}, into=Me, call="ping")
        if ping.me is None:
            raise SourceRejected(self.name, status=403, detail="the session has no user")

    async def write(self, document: str, variables: Mapping[str, object], *, into: type[T], call: str) -> T:
        """`run` of a document that changes something: it is sent once."""
        return await self.run(document, variables, into=into, call=call, safe=False)

    async def run(
        self,
        document: str,
        variables: Mapping[str, object],
        *,
        into: type[T],
        call: str,
        all_channels: bool = False,
        safe: bool = True,
    ) -> T:
        """The decoded `data` of a document. Any error fails the whole."""
        channel = self._reservations_channel if all_channels else self._channel
        headers = {"vendure-token": channel} if channel else {}
        result = await self._graphql.execute(document, variables, into=into, call=call, headers=headers, safe=safe)
        if _forbidden(result.errors):
            self._sign_in.forbidden_calls.add(call)
        elif not result.errors:
            self._sign_in.forbidden_calls.discard(call)
        return result.whole()


class Me(msgspec.Struct, frozen=True):
    """The response to `ping`."""

    me: Mapping[str, str] | None


def sendable(keys: Sequence[str]) -> list[str]:
    """The keys that can exist at all, each once: Vendure's columns hold 255 characters and no control characters."""
    return [key for key in dict.fromkeys(keys) if 0 < len(key) <= 255 and key.isprintable()]


def chunks(keys: Sequence[str], size: int = 100) -> list[Sequence[str]]:
    return [keys[start : start + size] for start in range(0, len(keys), size)]
