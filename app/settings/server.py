"""The HTTP server: `[server]`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from app.settings.section import Section
from app.settings.validation import check_host, check_network, check_origin


class ConnectionSettings(Section):
    """`[server.connections]`: limits of a connection. `header_timeout` runs from a request's first byte, `body_timeout`
    from its last header; `write_timeout` limits how long a client may leave a response unread, `keep_alive` how long a
    connection may be idle; `max_unacknowledged` limits WebSockets of one address before `connection_ack`."""

    most: int = Field(default=10_000, ge=1)
    header_timeout: float = Field(default=10.0, gt=0, le=300)
    body_timeout: float = Field(default=20.0, gt=0, le=300)
    write_timeout: float = Field(default=20.0, gt=0, le=300)
    keep_alive: int = Field(default=20, ge=0, le=3600)
    max_header_bytes: int = Field(default=64 * 1024, ge=1024, le=1024 * 1024)
    max_headers: int = Field(default=100, ge=10, le=1000)
    max_unacknowledged: int = Field(default=100, ge=1, le=100_000)


class TLSSettings(Section):
    """`[server.tls]`: serve https, TLS 1.2 or later. Files in PEM; the certificate's may hold its chain and key."""

    certificate_file: Path | None = None
    key_file: Path | None = None


class ServerSettings(Section):
    """The address, and the number of `workers`, each a process. With `background_worker` a process of its own posts
    orders, ingests changes and delivers webhooks, and workers answer requests only. `request_timeout` limits an
    operation, `graceful_shutdown` the wait for open ones, `max_in_flight` the simultaneous operations of a worker.

    `allowed_hosts` limits the `Host` header, empty allows any; `allowed_origins` lists other origins for CORS;
    `trusted_proxies` lists addresses or networks whose `X-Forwarded-*` headers count; `compression` compresses
    responses for clients that accept it; `strict_transport` is the `max-age` of HSTS in seconds.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    workers: int = Field(default=1, ge=1, le=64)
    background_worker: bool = False
    max_body_bytes: int = Field(default=256 * 1024, ge=1024, le=64 * 1024 * 1024)
    max_tokens: int = Field(default=3_000, ge=100, le=100_000)
    request_timeout: float = Field(default=10.0, gt=0, le=300)
    max_in_flight: int = Field(default=1_000, ge=1)
    graceful_shutdown: int = Field(default=10, ge=0, le=600)
    allowed_hosts: tuple[Annotated[str, AfterValidator(check_host)], ...] = ()
    allowed_origins: tuple[Annotated[str, AfterValidator(check_origin)], ...] = ()
    allow_credentials: bool = False
    trusted_proxies: tuple[Annotated[str, AfterValidator(check_network)], ...] = ()
    compression: bool = True
    strict_transport: int = Field(default=31_536_000, ge=0)
    connections: ConnectionSettings = ConnectionSettings()
    tls: TLSSettings = TLSSettings()
