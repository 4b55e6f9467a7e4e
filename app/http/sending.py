"""Sends a request to a source: signed, over a pooled connection, and once more where that is safe."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from functools import partial
from typing import cast

from app.errors import SourceMalformed, SourceRejected
from app.http.body import Decompressor
from app.http.call import SIGN_IN, CallAttempt
from app.http.connection import ConnectionBroken, Exchange
from app.http.errors import error_for_status, outcome_of, outcome_of_status, translate
from app.http.pool import ConnectionPool
from app.http.request import MAX_TARGET, OutgoingRequest, RequestBuilder
from app.http.response import Headers, HTTPResponse
from app.http.sign_in import RequestSigner, SignIn
from app.http.timeouts import CallStopped


class RequestSender:
    """Sends requests to one source. `limit` is the most bytes that a body may have, packed and unpacked."""

    def __init__(
        self,
        source: str,
        builder: RequestBuilder,
        sign_in: SignIn | RequestSigner | None,
        tls: ssl.SSLContext | None,
        limit: int,
    ) -> None:
        self.pool = _pool(builder, tls)
        self._source = source
        self._builder = builder
        self._signer, self._sign_in = _signer(sign_in)
        self._limit = limit
        authority = None if self._sign_in is None else self._sign_in.base_url
        self._sign_in_builder = builder if authority is None else builder.at(authority)
        self._sign_in_pool = self.pool if authority is None else _pool(self._sign_in_builder, None)

    async def send(self, request: OutgoingRequest, attempt: CallAttempt) -> HTTPResponse:
        """Send a request and read its response whole. Raises SourceError for a status that is not accepted."""
        credentials = None if self._sign_in is None else await self._credentials(self._sign_in, request, attempt)
        exchange = await self._exchange(request, attempt, credentials)
        response = self._response(exchange)
        if self._sign_in is not None and self._sign_in.is_unauthorized(request, response):
            credentials = await self._renewed(self._sign_in, request, attempt, credentials)
            exchange = await self._exchange(request, attempt, credentials)
            response = self._response(exchange)
        if not exchange.accepted:
            raise self._refusal(request, response)
        return response

    async def stream(self, request: OutgoingRequest, attempt: CallAttempt) -> tuple[Exchange, Decompressor]:
        """Send a request and return its response once its head has come. Raises SourceError for a status that is not
        accepted."""
        credentials = None if self._sign_in is None else await self._credentials(self._sign_in, request, attempt)
        exchange = await self._exchange(request, attempt, credentials, streamed=True)
        if not exchange.accepted:
            response = self._response(exchange)
            if self._sign_in is None or not self._sign_in.is_unauthorized(request, response):
                raise self._refusal(request, response)
            credentials = await self._renewed(self._sign_in, request, attempt, credentials)
            exchange = await self._exchange(request, attempt, credentials, streamed=True)
            if not exchange.accepted:
                raise self._refusal(request, self._response(exchange))
        return exchange, Decompressor(self._source, exchange.encoding, self._limit)

    async def aclose(self) -> None:
        """Close the connections."""
        await self.pool.aclose()
        if self._sign_in_pool is not self.pool:
            await self._sign_in_pool.aclose()

    # Sign-in

    async def _credentials(
        self, sign_in: SignIn, request: OutgoingRequest, attempt: CallAttempt
    ) -> Mapping[str, str] | None:
        credentials = sign_in.headers(request.path)
        return await self._authorized(sign_in, request, attempt, None) if credentials is None else credentials

    async def _renewed(
        self, sign_in: SignIn, request: OutgoingRequest, attempt: CallAttempt, rejected: Mapping[str, str] | None
    ) -> Mapping[str, str]:
        attempt.record("rejected")
        return await self._authorized(sign_in, request, attempt, rejected)

    async def _authorized(
        self, sign_in: SignIn, request: OutgoingRequest, attempt: CallAttempt, rejected: Mapping[str, str] | None
    ) -> Mapping[str, str]:
        await sign_in.authorize(partial(self._send_sign_in, attempt), rejected)
        credentials = sign_in.headers(request.path)
        if credentials is None:
            raise SourceRejected(self._source, status=401, detail="the sign-in opened no session")
        return credentials

    async def _send_sign_in(self, attempt: CallAttempt, request: OutgoingRequest) -> HTTPResponse:
        own = attempt.beside(SIGN_IN)
        try:
            exchange = await self._exchange(request, own, None, is_sign_in=True)
        except BaseException as error:
            own.record(attempt.timeout.reason or outcome_of(translate(self._source, error)))
            raise
        own.record(outcome_of_status(exchange.status))
        return self._response(exchange)

    # The wire

    async def _exchange(
        self,
        request: OutgoingRequest,
        attempt: CallAttempt,
        credentials: Mapping[str, str] | None,
        *,
        streamed: bool = False,
        is_sign_in: bool = False,
    ) -> Exchange:
        """Send it over a connection; a second time, if an idle one was closed at that moment and it is safe."""
        builder, pool = (self._sign_in_builder, self._sign_in_pool) if is_sign_in else (self._builder, self.pool)
        target = builder.target(request)
        if len(target) > MAX_TARGET:
            detail = f"{request.call}: a target of {len(target)} characters is longer than any server accepts"
            raise SourceRejected(self._source, status=414, detail=detail)
        body = request.body()
        size = None if body is None else len(body)
        connection, repeatable, stale = pool.pop_idle(), request.safe, False
        while True:
            span = attempt.begin_request(request.method, request.batch, resent=stale)
            if self._signer is not None:
                credentials = self._signer.sign(request.method, builder.url(target))
            data = builder.head(request, target, size, credentials, span)
            attempt.request_sent()
            if connection is None:
                connection, repeatable = await pool.connect(), False
            if not request.safe and attempt.timeout.remaining <= 0:  # The process was stopped meanwhile.
                raise CallStopped
            attempt.sent = True
            exchange = Exchange(self._limit, accept=request.accept, no_body=request.method == "HEAD", streamed=streamed)
            try:
                await exchange.send(connection, data if body is None else data + body)
                attempt.response_started(exchange.status)
                return exchange
            except ConnectionBroken as error:
                if not (repeatable and error.stale):
                    raise
                attempt.record("stale")
                connection, stale = None, True
            except BaseException:
                exchange.abandon()
                raise

    # Responses

    def _response(self, exchange: Exchange) -> HTTPResponse:
        body = exchange.body()
        if exchange.encoding:
            try:
                body = Decompressor(self._source, exchange.encoding, self._limit).whole(body)
            except SourceMalformed:
                if exchange.accepted:
                    raise
                body = b""  # The status of a refusal is enough.
        return HTTPResponse(self._source, exchange.status, Headers(exchange.headers), body)

    def _refusal(self, request: OutgoingRequest, response: HTTPResponse) -> Exception:
        what = f"{request.method} {request.path}"
        return error_for_status(self._source, what, response.status, response.headers, response.body)


def _pool(builder: RequestBuilder, tls: ssl.SSLContext | None) -> ConnectionPool:
    if builder.scheme != "https":
        return ConnectionPool(builder.host, builder.port, tls=None)
    return ConnectionPool(builder.host, builder.port, tls=tls or ssl.create_default_context())


def _signer(sign_in: SignIn | RequestSigner | None) -> tuple[RequestSigner | None, SignIn | None]:
    """What signs each request, and what opens sessions; at most one of them."""
    if sign_in is None:
        return None, None
    return (None, cast("SignIn", sign_in)) if hasattr(sign_in, "authorize") else (cast("RequestSigner", sign_in), None)
