"""Karrio's GraphQL API: the key, and errors that come with status 200.

Statuses are handled by the HTTP client, HTML of a crash and Retry-After of a 429 included. GraphQL is not rate-limited.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec

from app.errors import SourceError, SourceRejected, SourceThrottled, SourceUnavailable
from app.http.client import HTTPClient
from app.http.graphql import decode_data, may_have_errors
from app.http.resilience.guard import SourceGuard
from app.http.sign_in import StaticCredentials
from app.settings import SourceSettings

T = TypeVar("T")

PING = "{ token { created } }"


class KarrioError(msgspec.Struct, frozen=True):
    """One of the errors beside `data`; `code` and `status_code` only where Karrio raised it on purpose."""

    message: str = ""
    code: str | None = None
    status_code: int | None = None
    path: tuple[str | int, ...] | None = None


class KarrioErrors(msgspec.Struct, frozen=True):
    """The errors of a response. The `data` beside them is ignored."""

    errors: tuple[KarrioError, ...] | None = None


class Token(msgspec.Struct, frozen=True):
    """The response to `ping`; null would be an error."""

    token: Mapping[str, str]


class KarrioClient:
    """Runs documents. `name` is the configured source."""

    def __init__(self, name: str, settings: SourceSettings) -> None:
        self.name = name
        key = settings.credentials["api_key"].get_secret_value()
        self._http = HTTPClient(name, settings, sign_in=StaticCredentials({"Authorization": f"Token {key}"}))

    @property
    def guard(self) -> SourceGuard:
        return self._http.guard

    async def aclose(self) -> None:
        await self._http.aclose()

    async def ping(self) -> None:
        """Read the key's age: checks the server and the key."""
        await self.run(PING, {}, into=Token, call="ping")

    async def run(self, document: str, variables: Mapping[str, object], *, into: type[T], call: str) -> T:
        """The decoded `data` of a document. Any error fails the whole, since what a partial
        response leaves out would look like something that does not exist."""
        response = await self._http.request(
            "POST", "/graphql", json={"query": document, "variables": variables}, call=call
        )
        errors = response.decode(KarrioErrors).errors if may_have_errors(response) else None
        if errors:
            raise self._error_of(errors[0])
        return decode_data(response, into)

    def _error_of(self, error: KarrioError) -> SourceError:
        detail = f"{error.code}: {error.message[:500]} at {error.path}"
        if error.status_code == 429:
            return SourceThrottled(self.name, detail=detail)
        if error.code is not None or error.path is None:
            # Refused on purpose, or not run at all: the document or the key is wrong.
            return SourceRejected(self.name, status=error.status_code or 400, detail=detail)
        return SourceUnavailable(self.name, detail=detail)


def sendable(keys: Sequence[str]) -> list[str]:
    """The keys that can exist at all, each once. Karrio drops a filter that is empty or holds NUL and answers
    with every row there is, so such keys must never be sent."""
    return [key for key in dict.fromkeys(keys) if key.strip() == key and 0 < len(key) <= 100 and key.isprintable()]


def chunks(keys: Sequence[str], size: int = 100) -> list[Sequence[str]]:
    return [keys[start : start + size] for start in range(0, len(keys), size)]
