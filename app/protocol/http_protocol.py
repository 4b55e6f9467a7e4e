"""uvicorn's HTTP/1.1 protocol with limits of time and size, against slow clients and request smuggling.

uvicorn waits without limit for a client that is silent, slow or does not read. Requests that a proxy in front might
parse differently are refused too. The parser (llhttp, strict) itself refuses several or invalid lengths, a length
beside chunks, folded headers, bare line feeds and invalid chunk sizes.
"""

from __future__ import annotations

from asyncio import TimerHandle, Transport
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.errors import EdgeRefusal, HeadersTooLarge, MalformedHTTP, RequestTooSlow, TooManyConnections
from app.protocol.error_responses import raw_error_response
from app.protocol.response_cycle import ResponseCycle
from app.protocol.slow_readers import SlowReaderWatch
from app.settings import ConnectionSettings
from app.telemetry import metrics

HEADERS, BODY = "headers", "body"
SINGLE_VALUED = frozenset({b"host", b"authorization", b"content-type", b"content-length", b"origin", b"cookie"})
"""Headers that mean something here and mean nothing certain when they come twice."""

LINGER = 2.0
"""Seconds for which the rest of a body is let in after the answer, so that the client gets to read that answer."""

DRAIN = 1.0
"""Seconds for which a stopping gateway keeps a connection on which nothing is asked: what its client is just sending is
still answered."""

PIPELINED = 16
"""Requests that may wait on one connection for the answer of an earlier one."""

_ERRORS: tuple[type[EdgeRefusal], ...] = (MalformedHTTP, HeadersTooLarge, RequestTooSlow, TooManyConnections)
_RESPONSES: dict[type[EdgeRefusal], bytes] = {kind: raw_error_response(kind()) for kind in _ERRORS}


def limited_http_protocol(limits: ConnectionSettings) -> Any:
    """uvicorn's `http=` for these limits."""
    return partial(LimitedHTTPProtocol, limits=limits)


class LimitedHTTPProtocol(SlowReaderWatch, HttpToolsProtocol):
    """One connection. `_phase` is the part of a request that has begun and is incomplete."""

    transport: Transport

    def __init__(self, *arguments: Any, limits: ConnectionSettings, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._limits = limits
        self.write_timeout = limits.write_timeout
        self._phase: str | None = None
        self._timed_phase: str | None = None  # what `_reading` waits for
        self._read_timer: TimerHandle | None = None
        self._unparsed = 0  # bytes since something of the request was last complete
        self._ignore_input = False  # whatever still comes is not listened to
        self._draining = False  # what is asked now is the last on this connection
        self._problem: type[EdgeRefusal] = MalformedHTTP

    # The transport's side

    def connection_made(self, transport: Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().connection_made(transport)
        if len(self.connections) > self._limits.most:
            self._refuse(TooManyConnections)
        else:
            self._wait_for(HEADERS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_for(None)
        self.stop_watching_reader()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._ignore_input:
            return
        self._unparsed += len(data)
        super().data_received(data)
        if self._ignore_input or self.transport.is_closing():
            return
        if self._unparsed > self._limits.max_header_bytes and self._phase is not None:
            self._refuse(HeadersTooLarge)
        else:
            self._wait_for(self._expected_phase())

    def pause_writing(self) -> None:
        super().pause_writing()
        self.watch_reader()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.stop_watching_reader()

    def shutdown(self) -> None:
        """Serve at most one more request. A client that gets `Connection: close` loses nothing; one that is cut off
        while it sends cannot know whether to retry."""
        self._draining = True
        if self.cycle is None or self.cycle.response_complete:
            self.loop.call_later(DRAIN, self._close_if_silent)
        else:
            self.cycle.keep_alive = False

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection to the WebSocket protocol, which has limits of its own."""
        self._wait_for(None)
        self.stop_watching_reader()
        self._ignore_input = True
        super().handle_websocket_upgrade()
        self.parser = self.cycle = None  # type: ignore[assignment]  # They and this would keep each other for long.

    # The parser's side

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._phase = HEADERS

    def on_headers_complete(self) -> None:
        """Check the headers before the application sees them."""
        problem = self._check_headers()
        if problem is not None:
            self._problem = problem
            raise problem
        # A list of its own: trailers, which proxies do not look at, must not become headers of the request.
        self.scope["headers"] = list(self.headers)
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not None and self.cycle is not before:
            self.cycle.__class__ = ResponseCycle  # uvicorn has no parameter for the class that it makes.
        self._phase, self._unparsed = BODY, 0
        if self._draining and self.cycle is not None:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        self._unparsed = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._phase, self._unparsed = None, 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Drain the rest of the request for a moment, and wait for the client to read the response."""
        super().on_response_complete()
        if self.transport.get_write_buffer_size():
            self.watch_reader()
        if self._phase is BODY and not self.transport.is_closing():
            self._unset_keepalive_if_required()
            self._wait_for(None)
            self._timed_phase = BODY
            self._read_timer = self.loop.call_later(LINGER, self._close)

    def send_400_response(self, msg: str) -> None:
        self._refuse(self._problem)

    def _unsupported_upgrade_warning(self) -> None:
        """Answer the request without the upgrade; the parser reads no further on this connection."""
        self._wait_for(None)
        self._ignore_input = True
        if self.cycle is not None:
            self.cycle.keep_alive = False

    # The limits

    def _check_headers(self) -> type[EdgeRefusal] | None:
        headers, limits = self.headers, self._limits
        if len(headers) > limits.max_headers:
            return HeadersTooLarge
        if self._unparsed > limits.max_header_bytes:  # what was read at once may hold some of the body
            length = len(self.url) + sum(len(name) + len(value) + 4 for name, value in headers)
            if length > limits.max_header_bytes:
                return HeadersTooLarge
        found = dict(headers)
        if len(found) != len(headers) and not _is_single_valued(headers):
            return MalformedHTTP
        newer = self.parser is not None and self.parser.get_http_version() != "1.0"
        if newer and b"host" not in found:
            return MalformedHTTP
        encoding = found.get(b"transfer-encoding")
        if encoding is not None and (encoding.lower() != b"chunked" or not newer):
            return MalformedHTTP
        if b"upgrade" in found and (encoding is not None or found.get(b"content-length", b"0") != b"0"):
            return MalformedHTTP  # The parser takes the body for words of the other protocol.
        return MalformedHTTP if len(self.pipeline) >= PIPELINED else None

    def _expected_phase(self) -> str | None:
        if self._phase is None and (self.cycle is None or self.cycle.response_complete):
            return HEADERS
        return self._phase

    def _wait_for(self, what: str | None) -> None:
        if what is self._timed_phase:
            return
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = None
        self._timed_phase = what
        if what is not None:
            limit = self._limits.header_timeout if what is HEADERS else self._limits.body_timeout
            self._read_timer = self.loop.call_later(limit, self._too_slow)

    def _close_if_silent(self) -> None:
        if self._phase is None and (self.cycle is None or self.cycle.response_complete):
            self.transport.close()

    def _too_slow(self) -> None:
        self._read_timer = None
        if self._phase is None and not self._unparsed:
            metrics().connection_refused("silent")
            self._close()
        else:
            self._refuse(RequestTooSlow)

    def _refuse(self, problem: type[EdgeRefusal]) -> None:
        metrics().connection_refused(problem.code.lower())
        self._wait_for(None)
        self._ignore_input = True
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            self._write_error(problem)
        elif self._phase is not BODY:
            cycle.keep_alive = False  # what came after the request is refused; the request gets its answer
        elif cycle.response_started or self.pipeline:
            self.transport.abort()  # Another answer is on its way: what we said would be taken for a part of it.
        else:
            self._write_error(problem)

    def _write_error(self, problem: type[EdgeRefusal]) -> None:
        """Write the error and close once the client has read it: closing with unread input could discard it."""
        self.transport.write(_RESPONSES[problem])
        if problem is TooManyConnections or not self.transport.can_write_eof():
            self._close()
        else:
            self.transport.write_eof()
            self._read_timer = self.loop.call_later(LINGER, self._close)

    def _close(self) -> None:
        self._ignore_input = True
        self.transport.close()
        if self.transport.get_write_buffer_size():
            self.watch_reader()


def _is_single_valued(headers: list[tuple[bytes, bytes]]) -> bool:
    names = [name for name, _ in headers if name in SINGLE_VALUED]
    return len(names) == len(set(names))
