"""The one way to a backend: a deadline on every call, bounded concurrency, bounded and typed answers, our own errors.

A call runs in its caller's task, over connections of our own (`wire`). Whoever is cancelled closes the connection on
which an answer is still to come, which takes no await; so nothing that happens to the caller, not even being cancelled
twice, loses a slot or leaves half an answer to the next call.

Redirects are never followed: a backend that answers 3xx is configured with a wrong address, and a redirect to another
host would carry credentials there. It counts as a refusal (SourceRejected) unless the caller accepts the status.
A source that is not well, and one that is asked too much, is the business of `resilience`: who has to wait, what is
not sent at all, and which reads are repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar, runtime_checkable

import httpx

from app import telemetry
from app.errors import (
    DeadlineExceeded,
    SourceError,
    SourceMalformed,
    SourceRejected,
    SourceThrottled,
    SourceTimeout,
    SourceUnavailable,
)
from app.http.auth_flow import Flow, Trip, beginning
from app.http.body import Splitter, Streamed, Unpacker, exceeding, pieces
from app.http.connection import Broken, Exchange, TooLarge
from app.http.errors import outcome_of, refusal, translated
from app.http.pool import Pool
from app.http.request import MAX_TARGET, Address, Outgoing, Params, path
from app.http.resilience.guard import Guard
from app.http.resilience.hedging import first_of
from app.http.response import Answer, Headers
from app.http.timeouts import Limit, Stopped
from app.http.transport import WireTransport
from app.settings import SourceSettings

__all__ = ["Answer", "HTTPClient", "Params", "Signer", "path"]

T = TypeVar("T")

Direct = tuple[Pool, Mapping[str, str]]

_UNSIGNED: Mapping[str, str] = {}


@runtime_checkable
class Signer(Protocol):
    """What an `httpx.Auth` may offer beside its flow, so that most calls need not run it."""

    def signed(self, path: str) -> Mapping[str, str] | None:
        """The headers that sign a request to this path, when nothing has to be asked for them and no answer can call
        for a new sign-in; else None."""
        ...


class HTTPClient:
    """The connection to one source; `guard` knows how it is.

    Every method raises errors of `app.errors` only: SourceUnavailable (no connection, broken off, 5xx), SourceTimeout,
    SourceThrottled (429, or no free slot in time), SourceRejected (3xx, 4xx), SourceMalformed (unreadable, not of the
    type asked for, too large) and DeadlineExceeded (the running request's own time limit).
    """

    def __init__(
        self,
        source: str,
        settings: SourceSettings,
        *,
        auth: httpx.Auth | None = None,
        headers: Mapping[str, str] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        given = {name.title(): value for name, value in (headers or {}).items()}
        common = {"User-Agent": "tradegraph", "Accept": "application/json"} | given | {"Accept-Encoding": "gzip"}
        self.source = source
        self._limit = settings.max_response_bytes
        self.guard = Guard(source, settings)
        self._address = address = Address(settings.base_url, common)
        self._transport = transport or WireTransport(settings.concurrency)
        self._pool = (
            self._transport.pool(address.scheme, address.host, address.port)
            if isinstance(self._transport, WireTransport)
            else None
        )
        self._flow = Flow(source, auth, self._transport, self._limit)
        self._unsigned = auth is None
        self._signer = auth if isinstance(auth, Signer) else None
        self._trips: set[Trip] = set()
        self._closed = False

    def __repr__(self) -> str:
        return f"<HTTPClient {self.source}>"

    @property
    def busy(self) -> int:
        """How many calls hold a place now."""
        return self.guard.bulkhead.taken

    async def get(
        self,
        path: str,
        *,
        params: Params | None = None,
        into: type[T],
        headers: Mapping[str, str] | None = None,
        call: str,
    ) -> T:
        """Read `path` and decode the JSON answer as `into`. `call` names the read in metrics."""
        return await self._call(Outgoing(method="GET", path=path, params=params, headers=headers, call=call), into)

    async def post(
        self,
        path: str,
        *,
        json: object | None = None,
        content: bytes | None = None,
        params: Params | None = None,
        into: type[T],
        headers: Mapping[str, str] | None = None,
        call: str,
        safe: bool = True,
    ) -> T:
        """Post `json` (encoded by msgspec: a Decimal becomes a string) or `content`, and decode the JSON answer as
        `into`. Pass `safe=False` for what must not be sent twice."""
        outgoing = Outgoing(
            method="POST", path=path, params=params, json=json, content=content, headers=headers, call=call, safe=safe
        )
        return await self._call(outgoing, into)

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: object | None = None,
        content: bytes | None = None,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        call: str,
        safe: bool = True,
        accept: Collection[int] = (),
    ) -> Answer:
        """Send a request and read the answer whole. Statuses in `accept` are answers as good as 2xx."""
        outgoing = Outgoing(
            method=method,
            path=path,
            params=params,
            json=json,
            content=content,
            headers=headers,
            call=call,
            safe=safe,
            accept=accept,
        )
        return await self._call(outgoing, None)

    @asynccontextmanager
    async def stream_lines(
        self,
        method: str,
        path: str,
        *,
        json: object | None = None,
        headers: Mapping[str, str] | None = None,
        call: str,
        batch: tuple[int, int] | None = None,
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Send a request and hand over the lines of its answer as they come, without their ends; empty lines are
        left out. Time limit and size limit are those of a whole answer. `batch` is for its span: how many reads the
        request carries, and how many keys those ask for."""
        wanted = {"Accept": "application/x-ndjson", **(headers or {})}
        outgoing = Outgoing(method=method, path=path, json=json, headers=wanted, call=call, batch=batch)
        trip = self._begin(call)
        try:
            streamed = await self._repeated(outgoing, trip, lambda: self._streamed(outgoing, trip))
            try:
                yield self._lines(trip, streamed)
            finally:
                self.guard.bulkhead.release()
                trip.over("cancelled")  # Left early, else it is settled.
                await streamed.aclose()
        finally:
            self._end(trip)

    async def aclose(self) -> None:
        """End what still runs and close all connections."""
        self._closed = True
        for trip in list(self._trips):
            trip.limit.stop("cancelled")
        await self._transport.aclose()

    # The one way out

    async def _call(self, outgoing: Outgoing, into: Any) -> Any:
        """Send, read the answer whole, and decode it unless `into` is None: all within the time there is."""
        trip = self._begin(outgoing.call)
        try:
            if outgoing.safe and self.guard.kind(outgoing.call).hedged:
                return await self._repeated(outgoing, trip, lambda: self._hedged(outgoing, trip, into))
            return await self._repeated(outgoing, trip, lambda: self._attempt(outgoing, trip, into))
        finally:
            self._end(trip)

    async def _repeated(self, outgoing: Outgoing, trip: Trip, attempt: Callable[[], Awaitable[T]]) -> T:
        """What an attempt brings; a read that failed may get another one."""
        try:
            with trip.limit:
                while True:
                    try:
                        return await attempt()
                    except Exception as error:
                        pause = self._pause(outgoing, trip, self._failed(trip, error))
                        if pause is None:
                            raise
                    await asyncio.sleep(pause)
        except BaseException as error:
            ours = self._failed(trip, error)
            if ours is not error:
                raise ours from error
            del ours  # Its stack refers to this frame.
            raise

    def _pause(self, outgoing: Outgoing, trip: Trip, error: BaseException) -> float | None:
        # Without a visit it was the guard that refused the call.
        if not outgoing.safe or self._closed or trip.visit is None:
            return None
        kind, trip.visit = self.guard.kind(outgoing.call), None
        trip.repeats += 1
        return self.guard.pause_before(trip.repeats, kind, outgoing.call, error, trip.limit.left)

    async def _attempt(self, outgoing: Outgoing, trip: Trip, into: Any) -> Any:
        await self._place(trip)
        try:
            self._enter(trip)
            answer = await self._answer(outgoing, trip)
            decoded = answer if into is None else answer.decode(into)
            trip.over("ok")
            return decoded
        finally:
            self.guard.bulkhead.release()

    async def _hedged(self, outgoing: Outgoing, trip: Trip, into: Any) -> Any:
        """An attempt, and a second one beside it when the first takes longer than is usual."""
        kind = self.guard.kind(outgoing.call)
        usual = kind.latencies.usual
        if usual is None:
            return await self._attempt(outgoing, trip, into)
        beside = Trip(self.source, outgoing.call, trip.limit)
        beside.repeats = 1

        def second() -> Awaitable[Any] | None:
            return self._attempt(outgoing, beside, into) if self.guard.may_hedge(kind, outgoing.call) else None

        try:
            answer = await first_of(lambda: self._attempt(outgoing, trip, into), usual, second)
            trip.over("cancelled")  # If it did not win.
            return answer
        finally:
            beside.over("cancelled")

    async def _answer(self, outgoing: Outgoing, trip: Trip) -> Answer:
        target = self._target(outgoing)
        direct = self._direct(outgoing.path)
        if direct is None:
            return await self._answer_by_flow(outgoing, target, trip)
        exchange = await self._exchange(outgoing, target, direct, trip)
        headers = Headers(exchange.headers)
        if not exchange.accepted:
            raise self._refusal(outgoing, exchange, headers)
        body = exchange.body()
        if exchange.encoding:
            body = Unpacker(self.source, exchange.encoding, self._limit).whole(body)
        return Answer(self.source, exchange.status, headers, body)

    async def _exchange(
        self, outgoing: Outgoing, target: str, direct: Direct, trip: Trip, *, streamed: bool = False
    ) -> Exchange:
        """Send it over a connection of ours; a second time, if the first one's was closed at that moment."""
        pool, signed = direct
        body = outgoing.body()
        size = None if body is None else len(body)
        connection, again, stale = pool.take(), outgoing.safe, False
        while True:
            span = trip.trace(outgoing.method, outgoing.batch, again=stale)
            data = self._address.head(outgoing, target, size, signed, span) + (body or b"")
            trip.sent()
            if connection is None:
                connection, again = await pool.open(), False
            exchange = Exchange(
                self._limit, accept=outgoing.accept, bodyless=outgoing.method == "HEAD", streamed=streamed
            )
            try:
                await exchange.sent(connection, data)
                trip.answered(exchange.status)
                return exchange
            except Broken as error:
                if not (again and error.stale):
                    raise
                trip.settle("stale")
                connection, stale = None, True
            except BaseException:
                exchange.abandon()
                raise

    async def _answer_by_flow(self, outgoing: Outgoing, target: str, trip: Trip) -> Answer:
        response = await self._flow.send(self._address.request(outgoing, target, outgoing.body()), trip)
        try:
            await self._check(outgoing, response)
            return Answer(self.source, response.status_code, response.headers, await response.aread())
        finally:
            await response.aclose()

    # Streams

    async def _streamed(self, outgoing: Outgoing, trip: Trip) -> Streamed:
        """An answer that has begun. It keeps its place."""
        await self._place(trip)
        try:
            self._enter(trip)
            return await self._beginning(outgoing, trip)
        except BaseException:
            self.guard.bulkhead.release()
            raise

    async def _beginning(self, outgoing: Outgoing, trip: Trip) -> Streamed:
        target = self._target(outgoing)
        direct = self._direct(outgoing.path)
        if direct is None:
            response = await self._flow.send(self._address.request(outgoing, target, outgoing.body()), trip)
            try:
                await self._check(outgoing, response)
            except BaseException:
                await response.aclose()
                raise
            return Streamed(response.aiter_bytes(), response=response)
        exchange = await self._exchange(outgoing, target, direct, trip, streamed=True)
        if not exchange.accepted:
            raise self._refusal(outgoing, exchange, Headers(exchange.headers))
        return Streamed(pieces(exchange, Unpacker(self.source, exchange.encoding, self._limit)), exchange=exchange)

    async def _lines(self, trip: Trip, streamed: Streamed) -> AsyncIterator[bytes]:
        splitter = Splitter()
        while True:
            try:
                with trip.limit:
                    piece = await anext(streamed.pieces, None)
            except BaseException as error:
                ours = self._failed(trip, error)
                if ours is not error:
                    raise ours from error
                del ours  # Its stack refers to this frame.
                raise
            if trip.visit is not None:
                trip.visit.end("ok")  # It answers. Whether its parts come in time is said of each of them.
            for line in splitter.end() if piece is None else splitter.feed(piece):
                yield line
            if piece is None:
                trip.over("ok")
                return

    # Refusals and faults

    def _refusal(self, outgoing: Outgoing, exchange: Exchange, headers: Headers) -> Exception:
        try:
            body = Unpacker(self.source, exchange.encoding, self._limit).whole(exchange.body())
        except SourceMalformed:
            body = b""  # The status alone says enough.
        return refusal(self.source, f"{outgoing.method} {outgoing.path}", exchange.status, headers, body)

    async def _check(self, outgoing: Outgoing, response: httpx.Response) -> None:
        status = response.status_code
        if not (200 <= status < 300 or status in outgoing.accept):
            body = await beginning(response)
            raise refusal(self.source, f"{outgoing.method} {outgoing.path}", status, response.headers, body)

    def _failed(self, trip: Trip, error: BaseException) -> BaseException:
        """Count the call's failure, and tell it in our own errors; a cancellation by others stays what it is."""
        if isinstance(error, Stopped):
            return self._stopped(trip)
        if isinstance(error, asyncio.CancelledError):
            trip.over("cancelled")
            return error
        if isinstance(error, TooLarge):
            ours: BaseException = SourceMalformed(self.source, detail=exceeding(self._limit, str(error)))
        else:
            ours = translated(self.source, error)
        trip.over(outcome_of(ours), ours.retry_after if isinstance(ours, SourceError) else None)
        return ours

    def _stopped(self, trip: Trip) -> Exception:
        limit, call = trip.limit, trip.call
        trip.over(limit.reason or "cancelled")
        if limit.reason == "cancelled":
            return SourceUnavailable(self.source, detail="the client was closed")
        if not limit.begun:
            telemetry.metrics().unsent.labels(self.source, call, "throttled").inc()
            return SourceThrottled(self.source, detail=f"{call}: no place in time")
        if limit.reason == "deadline":
            return DeadlineExceeded(detail=f"waiting for {self.source} {call}")
        return SourceTimeout(self.source, detail=f"{call}: no complete answer within {limit.seconds:g} s")

    # Time, places, addresses

    def _begin(self, call: str) -> Trip:
        """The call's time begins: the source's own limit, or what is left of the running request's deadline."""
        if self._closed:
            raise SourceUnavailable(self.source, detail="the client was closed")
        trip = Trip(self.source, call, Limit(*self.guard.seconds_for(self.guard.kind(call), call)))
        self._trips.add(trip)
        return trip

    def _end(self, trip: Trip) -> None:
        trip.limit.close()
        trip.over("cancelled")  # Whatever it was, its guard must not wait for it.
        self._trips.discard(trip)

    async def _place(self, trip: Trip) -> None:
        if trip.repeats == 0:
            self.guard.budget.earn()
        if not self.guard.bulkhead.take():
            await self.guard.wait(self.guard.kind(trip.call), trip.call, trip.limit.left)

    def _enter(self, trip: Trip) -> None:
        trip.visit = self.guard.kind(trip.call).enter()
        trip.limit.begun = True
        if trip.visit.probe:
            trip.limit.shorten(self.guard.probe_timeout)

    def _target(self, outgoing: Outgoing) -> str:
        target = self._address.target(outgoing)
        if len(target) > MAX_TARGET:
            detail = f"{outgoing.call}: an address of {len(target)} characters is longer than any server takes"
            raise SourceRejected(self.source, status=414, detail=detail)
        return target

    def _direct(self, path: str) -> Direct | None:
        """Our connections and the headers with which a request goes over them; None if it has to go by the flow."""
        if self._pool is None:
            return None
        if self._unsigned:
            return self._pool, _UNSIGNED
        signed = None if self._signer is None else self._signer.signed(path)
        return None if signed is None else (self._pool, signed)
