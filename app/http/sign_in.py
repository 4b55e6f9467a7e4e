"""Sign-in to a source, as a step of its client.

Before each request the client asks for the headers that sign it, and opens a session where there is none. Where a
response says that the session has ended, the client renews it and repeats the request, once.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from app.errors import SourceRejected
from app.http.request import OutgoingRequest, printable
from app.http.response import HTTPResponse

Send = Callable[[OutgoingRequest], Awaitable[HTTPResponse]]
"""Sends a request of the sign-in, unsigned, within the time limit of the call that needs it. Any status is returned."""


class SignIn(Protocol):
    """How the requests to one source are signed. It does no I/O but by the `Send` that it is given. `base_url` is the
    address of what it sends; None if that is the source itself."""

    base_url: str | None

    def headers(self, path: str) -> Mapping[str, str] | None:
        """The headers that sign a request to `path`, the same mapping for as long as they hold; None if `authorize`
        has to come first."""
        ...

    def is_unauthorized(self, request: OutgoingRequest, response: HTTPResponse) -> bool:
        """Whether the response says that the session has ended, so that a new one may help."""
        ...

    async def authorize(self, send: Send, rejected: Mapping[str, str] | None) -> None:
        """Open a session, unless another call has opened one since `rejected` was sent. Raises SourceError."""
        ...


class RequestSigner(Protocol):
    """How each request to one source is signed by itself, without a session."""

    def sign(self, method: str, url: str) -> Mapping[str, str]:
        """The headers that sign one request, whose URL is whole and quoted as it is sent."""
        ...


class StaticCredentials:
    """Headers that never change, such as a bearer token."""

    base_url: str | None = None

    def __init__(self, headers: Mapping[str, str]) -> None:
        """Raises ValueError for a value that no header can carry, without repeating it."""
        self._headers = {name: printable(value) for name, value in headers.items()}

    def headers(self, path: str) -> Mapping[str, str]:
        return self._headers

    def is_unauthorized(self, request: OutgoingRequest, response: HTTPResponse) -> bool:
        return False

    async def authorize(self, send: Send, rejected: Mapping[str, str] | None) -> None:
        """See `SignIn`; never needed."""


class SessionSignIn(ABC):
    """A session that one login opens. One login runs at a time, however many calls wait for it."""

    base_url: str | None = None

    def __init__(self, source: str) -> None:
        self.source = source
        self._session: Mapping[str, str] | None = None
        self._login_lock = asyncio.Lock()
        self._logins = 0
        self._refusal: str | None = None

    @abstractmethod
    def login(self) -> OutgoingRequest:
        """The request that opens a session."""

    @abstractmethod
    def session_headers(self, response: HTTPResponse) -> Mapping[str, str]:
        """The headers of the session that a login opened. Raises SourceRejected if the source refused it."""

    @abstractmethod
    def is_unauthorized(self, request: OutgoingRequest, response: HTTPResponse) -> bool:
        """See `SignIn`."""

    def headers(self, path: str) -> Mapping[str, str] | None:
        return self._session

    async def authorize(self, send: Send, rejected: Mapping[str, str] | None) -> None:
        """See `SignIn`. A refused login is an answer to all calls that waited for it, and not repeated for each."""
        logins = self._logins
        async with self._login_lock:
            if self._session is not None and self._session is not rejected:
                return
            if self._refusal is not None and self._logins != logins:
                raise SourceRejected(self.source, status=401, detail=self._refusal)
            self._session = None
            response = await send(self.login())
            self._logins += 1
            self._refusal = None
            try:
                self._session = self.session_headers(response)
            except SourceRejected as error:
                self._refusal = error.detail
                raise
