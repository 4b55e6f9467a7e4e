"""Karrio's GraphQL API: the key, and errors that come with status 200.

Statuses are the HTTP layer's matter, HTML of a crash and Retry-After of a 429 included. GraphQL is not rate-limited.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Generic, TypeVar

import msgspec

from app.errors import SourceError, SourceRejected, SourceThrottled, SourceUnavailable
from app.http.client import HTTPClient
from app.http.resilience.guard import SourceGuard
from app.http.sign_in import StaticCredentials
from app.settings import SourceSettings

T = TypeVar("T")


class KarrioFault(msgspec.Struct, frozen=True):
    """One of the errors beside `data`; `code` and `status_code` only where Karrio raised it on purpose."""

    message: str = ""
    code: str | None = None
    status_code: int | None = None
    path: tuple[str | int, ...] | None = None


class KarrioFaults(msgspec.Struct, frozen=True):
    """The errors of an answer. What `data` holds beside them does not matter."""

    errors: tuple[KarrioFault, ...] | None = None


class KarrioData(msgspec.Struct, Generic[T], frozen=True):
    """The rest of an answer."""

    data: T


@cache
def _data_with(into: Any) -> Any:
    return KarrioData[into]


class Token(msgspec.Struct, frozen=True):
    """The answer to `ping`; null would be an error."""

    token: Mapping[str, str]


class KarrioClient:
    """Runs documents. `name` is the configured source."""

    def __init__(self, name: str, settings: SourceSettings) -> None:
        self.name = name
        key = settings.credentials["api_key"].get_secret_value()
        self._http = HTTPClient(name, settings, sign_in=StaticCredentials({"Authorization": f"Token {key}"}))

    @property
    def guard(self) -> SourceGuard:
        """What protects the system, and knows how it is."""
        return self._http.guard

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def ping(self) -> None:
        """Ask for the age of our key: proves the server and the key."""
        await self.run("{ token { created } }", {}, into=Token, call="ping")

    async def run(self, document: str, variables: Mapping[str, object], *, into: type[T], call: str) -> T:
        """The decoded `data` of a document. Any error fails the whole, for what a half answer leaves out would
        look like something that does not exist."""
        answer = await self._http.request(
            "POST", "/graphql", json={"query": document, "variables": variables}, call=call
        )
        faults = answer.decode(KarrioFaults).errors if b'"errors"' in answer.body else None
        if faults:
            raise self._error_of(faults[0])
        data: KarrioData[T] = answer.decode(_data_with(into))
        return data.data

    def _error_of(self, fault: KarrioFault) -> SourceError:
        detail = f"{fault.code}: {fault.message[:500]} at {fault.path}"
        if fault.status_code == 429:
            return SourceThrottled(self.name, detail=detail)
        if fault.code is not None or fault.path is None:
            # Refused on purpose, or not run at all: the document or the key is wrong.
            return SourceRejected(self.name, status=fault.status_code or 400, detail=detail)
        return SourceUnavailable(self.name, detail=detail)


def sendable(keys: Sequence[str]) -> list[str]:
    """The keys that can exist at all, each once. Karrio drops a filter that is empty or holds NUL and answers
    with every row there is, so such keys must never be sent."""
    return [key for key in dict.fromkeys(keys) if key.strip() == key and 0 < len(key) <= 100 and key.isprintable()]


def chunks(keys: Sequence[str], size: int = 100) -> list[Sequence[str]]:
    """The keys in portions for one call each."""
    return [keys[start : start + size] for start in range(0, len(keys), size)]
