"""GraphQL backends: documents, the errors of their responses, and the client that runs them.

Errors come beside or instead of the data, mostly with status 200. What a business refuses (`userErrors` and the like)
is data, and the adapter's to judge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, TypeVar

import msgspec

from app import telemetry
from app.errors import SourceError, SourceMalformed, SourceRejected, SourceThrottled, SourceUnavailable
from app.http.client import HTTPClient
from app.http.cost_bucket import CostBucket, CostBudgetExhausted, QueryCost
from app.http.response import HTTPResponse

T = TypeVar("T")

THROTTLED = "THROTTLED"
TOO_COSTLY = 413
"""The status of the SourceRejected for a query that costs more than a single one may."""

_STATUSES = {"FORBIDDEN": 403, "ACCESS_DENIED": 403, "UNAUTHENTICATED": 401, "MAX_COST_EXCEEDED": TOO_COSTLY}


class GraphQLData(msgspec.Struct, Generic[T], frozen=True):
    """A response without errors."""

    data: T


class GraphQLError(msgspec.Struct, frozen=True):
    """One of the errors of a response. `path` leads to the field that is null for it; None if nothing was run."""

    message: str = ""
    path: tuple[str | int, ...] | None = None
    extensions: Mapping[str, object] | None = None

    @property
    def code(self) -> str:
        """The backend's code; empty where it gives none."""
        return str((self.extensions or {}).get("code", ""))


class _Errors(msgspec.Struct, frozen=True):
    errors: tuple[GraphQLError, ...] | None = None


class _Extensions(msgspec.Struct, frozen=True):
    cost: msgspec.Raw = msgspec.Raw(b"null")


class _Extended(msgspec.Struct, frozen=True):
    extensions: _Extensions | None = None


def decode_data(response: HTTPResponse, into: type[T]) -> T:
    """The `data` of a response, as `into`. Raises SourceMalformed."""
    return response.decode(_data_of(into)).data


def may_have_errors(response: HTTPResponse) -> bool:
    """Whether the body names errors at all, so that few responses are decoded twice."""
    return b'"errors"' in response.body


def errors_of(response: HTTPResponse) -> tuple[GraphQLError, ...]:
    """The errors of a response. Raises SourceMalformed."""
    return (response.decode(_Errors).errors or ()) if may_have_errors(response) else ()


def cost_of(response: HTTPResponse) -> QueryCost | None:
    """The cost that a response reports; None if it reports none that can be read."""
    if b'"throttleStatus"' not in response.body:
        return None
    try:
        extensions = response.decode(_Extended).extensions
        return None if extensions is None else msgspec.json.decode(extensions.cost, type=QueryCost)
    except (SourceMalformed, msgspec.DecodeError):
        return None


@cache
def _data_of(into: Any) -> Any:
    return GraphQLData[into]


@dataclass(frozen=True, slots=True)
class GraphQLResult(Generic[T]):
    """The response to a document."""

    response: HTTPResponse
    into: type[T]
    errors: Sequence[GraphQLError]

    def whole(self) -> T:
        """The data of a response without errors. Raises the error of the first one."""
        if self.errors:
            raise self.error()
        return decode_data(self.response, self.into)

    def partial(self) -> T:
        """The data, as long as `into` allows what the errors left null. Raises the error of the first one."""
        if not self.errors:
            return decode_data(self.response, self.into)
        if any(error.path is None for error in self.errors):
            raise self.error()
        try:
            return decode_data(self.response, self.into)
        except SourceMalformed:
            raise self.error() from None

    def error(self) -> SourceError:
        """The first error as one of ours; the backend's text is its detail, which is logged only."""
        first, source = self.errors[0], self.response.source
        detail = f"{first.code}: {first.message[:500]}"
        if first.code == "INTERNAL_SERVER_ERROR":
            return SourceUnavailable(source, detail=detail)
        return SourceRejected(source, status=_STATUSES.get(first.code, 400), detail=detail)


class GraphQLClient:
    """Runs documents at one address of a backend.

    With a `bucket`, a request first waits for the points that its call cost the last time, for `max_wait` seconds and
    within the deadline of the running request. A query that is THROTTLED all the same waits for its points and is
    repeated once; a mutation is not repeated, and raises SourceThrottled with `sent` False: it was not run.
    """

    def __init__(self, http: HTTPClient, path: str, *, bucket: CostBucket | None = None, max_wait: float = 0.0) -> None:
        self._http = http
        self._path = path
        self._bucket = bucket
        self._max_wait = max_wait

    async def execute(
        self,
        document: str,
        variables: Mapping[str, object],
        *,
        into: type[T],
        call: str,
        headers: Mapping[str, str] | None = None,
        safe: bool = True,
    ) -> GraphQLResult[T]:
        """The response to a document. Pass `safe=False` for a mutation that must not be sent twice."""
        body = {"query": document, "variables": variables}
        points = await self._reserve(call, None)
        response = await self._send(body, call, headers, points, safe=safe)
        errors = errors_of(response)
        if safe and _throttled(errors):
            points = await self._reserve(call, cost_of(response))
            response = await self._send(body, call, headers, points, safe=safe)
            errors = errors_of(response)
        if _throttled(errors):
            throttled = SourceThrottled(self._http.source, detail=f"{call}: throttled with status {response.status}")
            throttled.sent = False
            raise throttled
        return GraphQLResult(response, into, errors)

    async def _send(
        self, body: object, call: str, headers: Mapping[str, str] | None, points: float, *, safe: bool
    ) -> HTTPResponse:
        cost: QueryCost | None = None
        try:
            response = await self._http.request(
                "POST", self._path, json=body, headers=headers or {}, call=call, safe=safe
            )
            cost = cost_of(response) if self._bucket is not None else None
            return response
        finally:
            if self._bucket is not None:
                self._bucket.settle(call, points, cost)

    async def _reserve(self, call: str, reported: QueryCost | None) -> float:
        if self._bucket is None:
            return 0.0
        cost = reported.requested_query_cost if reported is not None else None
        remaining = telemetry.remaining()
        within = self._max_wait if remaining is None else min(self._max_wait, remaining)
        try:
            return await self._bucket.reserve(self._bucket.expected_cost(call) if cost is None else cost, within)
        except CostBudgetExhausted as exhausted:
            telemetry.metrics().unsent.labels(self._http.source, call, "throttled").inc()
            refused = SourceThrottled(
                self._http.source, retry_after=exhausted.retry_after, detail=f"{call}: {exhausted}"
            )
            refused.sent = False
            raise refused from None


def _throttled(errors: Sequence[GraphQLError]) -> bool:
    return any(error.code == THROTTLED for error in errors)
