"""The outermost middleware: allowed hosts, origins, and security headers."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import HostNotAllowed, OriginNotAllowed, TradegraphError
from app.protocol.cors import cors_headers, origin_allowed, preflight_headers
from app.protocol.error_responses import SECURITY_HEADERS, error_body
from app.settings import ServerSettings
from app.telemetry import report

Headers = list[tuple[bytes, bytes]]
JSON = (b"content-type", b"application/json")
MAX_SELECTIONS = 100
"""Sets of header names for which the selection of headers to add is cached."""


class SecurityMiddleware:
    """Plain ASGI around the whole application. Headers are built once per scheme and origin."""

    def __init__(self, app: ASGIApp, settings: ServerSettings) -> None:
        self._app = app
        self._hosts = frozenset(name.encode() for name in settings.allowed_hosts if not name.startswith("*."))
        self._below = tuple(name[1:].encode() for name in settings.allowed_hosts if name.startswith("*."))
        self._checks_host = bool(settings.allowed_hosts)
        self._origins = frozenset(origin.encode() for origin in settings.allowed_origins)
        self._preflights: dict[bytes, Headers] = {}
        self._headers: dict[tuple[bool, bytes | None], ServerHeaders] = {}
        for secure in (False, True):
            common: Headers = [*SECURITY_HEADERS]
            if secure and settings.strict_transport:
                common.append((b"strict-transport-security", b"max-age=%d" % settings.strict_transport))
            if self._origins:
                common.append((b"vary", b"Origin"))
            if settings.compression:
                common.append((b"vary", b"Accept-Encoding"))
            self._headers[secure, None] = ServerHeaders(common)
            for origin in self._origins:
                cors = cors_headers(origin, credentials=settings.allow_credentials)
                preflight = preflight_headers(origin, credentials=settings.allow_credentials)
                self._headers[secure, origin] = ServerHeaders([*common, *cors])
                self._preflights[origin] = preflight

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "lifespan":
            await self._app(scope, receive, send)
            return
        headers: Mapping[bytes, bytes] = dict(scope["headers"])
        if self._checks_host and not self._serves_host(headers.get(b"host", b"")):
            await _refuse(scope, self._adding_headers(scope, None, send), HostNotAllowed())
        elif kind == "websocket":
            if origin_allowed(headers, self._origins):
                del headers  # A socket may wait for days.
                await self._app(scope, receive, send)
            else:
                await _refuse(scope, send, OriginNotAllowed())
        elif scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            await self._preflight(scope, headers.get(b"origin"), send)
        else:
            await self._handle(scope, receive, self._adding_headers(scope, headers.get(b"origin"), send))

    async def _handle(self, scope: Scope, receive: Receive, send: AddHeaders) -> None:
        try:
            await self._app(scope, receive, send)
        except Exception as error:
            if send.started:
                raise  # The server ends the connection: half an answer must not pass for one.
            await _respond(send, 500, [JSON], error_body(TradegraphError(), report(error)))

    async def _preflight(self, scope: Scope, origin: bytes | None, send: Send) -> None:
        allowed = self._preflights.get(origin or b"")
        if allowed is None or scope["path"] != "/graphql":
            await _refuse(scope, self._adding_headers(scope, None, send), OriginNotAllowed())
        else:
            await _respond(self._adding_headers(scope, None, send), 204, allowed, b"")

    def _adding_headers(self, scope: Scope, origin: bytes | None, send: Send) -> AddHeaders:
        secure = scope.get("scheme") in {"https", "wss"}
        extra = self._headers.get((secure, origin)) or self._headers[secure, None]
        return AddHeaders(send, extra)

    def _serves_host(self, host: bytes) -> bool:
        name = host.lower()
        bare = name.rpartition(b":")[0] if not name.endswith(b"]") and b":" in name else name
        return bare in self._hosts or bare.endswith(self._below)


class ServerHeaders:
    """Headers that every response gets unless it sets them itself; selected once for the names that it sets."""

    def __init__(self, headers: Headers) -> None:
        self._headers = headers
        self._missing: dict[tuple[bytes, ...], Headers] = {}

    def missing(self, names: tuple[bytes, ...]) -> Headers:
        """The headers to add to a response with these. `vary` adds up."""
        missing = self._missing.get(names)
        if missing is None:
            if len(self._missing) >= MAX_SELECTIONS:
                self._missing.clear()
            own = {*names} - {b"vary"}
            missing = self._missing[names] = [header for header in self._headers if header[0] not in own]
        return missing


class AddHeaders:
    """Adds the headers that a response does not set."""

    __slots__ = ("_extra", "_send", "started")

    def __init__(self, send: Send, extra: ServerHeaders) -> None:
        self._send = send
        self._extra = extra
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            given = message.get("headers", ())
            message["headers"] = [*given, *self._extra.missing(tuple([name for name, _ in given]))]
        await self._send(message)


async def _refuse(scope: Scope, send: Send, error: TradegraphError) -> None:
    if scope["type"] == "websocket":
        # Before a WebSocket is accepted the server makes an HTTP answer of this: 403.
        await send({"type": "websocket.close", "code": 1008, "reason": error.code})
    else:
        await _respond(send, error.http_status, [JSON], error_body(error))


async def _respond(send: Send, status: int, headers: Headers, body: bytes) -> None:
    length = [] if status == 204 else [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *length]})
    await send({"type": "http.response.body", "body": body})
