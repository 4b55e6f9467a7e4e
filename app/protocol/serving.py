"""uvicorn as the gateway runs it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Awaitable, Callable

import uvicorn
from starlette.types import ASGIApp

from app.errors import ConfigurationError
from app.protocol.http_protocol import limited_http_protocol
from app.protocol.websocket_protocol import HEARTBEAT, limited_websocket_protocol
from app.settings import Settings, TLSSettings


class Server(uvicorn.Server):
    """uvicorn with a callback when it is ready, and one that ends streams before it stops."""

    def __init__(
        self, config: uvicorn.Config, started: Callable[[], None], stopping: Callable[[], Awaitable[None]]
    ) -> None:
        super().__init__(config)
        self._on_started = started
        self._on_stopping = stopping

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End streams first: they would delay the graceful shutdown."""
        await self._on_stopping()
        await super().shutdown(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_started()


async def no_op() -> None:
    """Nothing."""


def make_server(
    settings: Settings,
    app: ASGIApp,
    started: Callable[[], None],
    stopping: Callable[[], Awaitable[None]] = no_op,
) -> Server:
    """A configured uvicorn server, not started yet. The gateway's logs replace its own."""
    server = settings.server
    context = tls_context(server.tls)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=limited_http_protocol(server.connections),
        ws=limited_websocket_protocol(server.connections),
        ws_max_size=server.max_body_bytes,
        ws_ping_interval=HEARTBEAT,
        ws_ping_timeout=HEARTBEAT,
        ws_per_message_deflate=False,  # It costs memory by the gigabyte at thousands of sockets.
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(server.trusted_proxies),
        forwarded_allow_ips=list(server.trusted_proxies),
        timeout_keep_alive=server.connections.keep_alive,
        timeout_graceful_shutdown=server.graceful_shutdown,
        ssl_context_factory=None if context is None else lambda *_: context,
    )
    return Server(config, started, stopping)


def tls_context(tls: TLSSettings) -> ssl.SSLContext | None:
    """The TLS context, 1.2 or later; None for plain HTTP."""
    if tls.certificate_file is None:
        if tls.key_file is not None:
            raise ConfigurationError("server.tls.key_file", str(tls.key_file), "needs a certificate_file beside it")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(tls.certificate_file, tls.key_file)
    except (OSError, ssl.SSLError) as error:
        cure = f"cannot be used ({error.strerror or error}); it must be PEM, with its key in it or in key_file"
        raise ConfigurationError("server.tls.certificate_file", str(tls.certificate_file), cure) from None
    return context
