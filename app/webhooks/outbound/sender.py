"""One attempt to post to a partner's URL.

The host is resolved and checked for each attempt, and the connection is made to a checked address, with the host in
`Host` and in TLS, so that DNS rebinding leads nowhere. Redirects are not followed, connections are not reused, and the
response body is discarded.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

from app.errors import ConfigurationError
from app.http.connection import Exchange, HTTPConnection, TransportError
from app.http.pool import ConnectionPool
from app.settings import EndpointSettings
from app.webhooks.outbound.egress import AddressRefused, EgressPolicy, Target, parse_target

READ = 64 * 1024
"""Bytes that are read of an answer's body, so that its sender need not see the connection break."""

READ_SECONDS = 1.0

LONGEST_WAIT = 86_400.0
"""Seconds beyond which a Retry-After is not believed."""

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


@dataclass(frozen=True, slots=True)
class SendOutcome:
    """The outcome of an attempt: an HTTP status, or the cause of a failure before there was one. `retry_after` is the
    receiver's, in seconds."""

    status: int | None = None
    cause: str | None = None
    retry_after: float | None = None
    seconds: float = 0.0

    @property
    def delivered(self) -> bool:
        """Whether the receiver accepted it."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def ends_subscription(self) -> bool:
        """Whether the receiver answered 410 Gone: it wants no more."""
        return self.status == 410

    @property
    def reason(self) -> str:
        """The status or the cause, for people."""
        return self.cause or f"HTTP {self.status}"


async def resolve(host: str, port: int) -> Sequence[str]:
    """The IP addresses of a host, by the system resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class WebhookSender:
    """Posts within the egress policy and the timeout."""

    def __init__(self, settings: EndpointSettings, *, resolve: Resolve = resolve) -> None:
        self._timeout = settings.timeout
        self._policy = EgressPolicy(settings.allowed_networks, settings.ports)
        self._resolve = resolve
        self._ca_file = settings.ca_file
        self._tls: ssl.SSLContext | None = None

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> SendOutcome:
        """Post a JSON body. Raises nothing but CancelledError."""
        began = time.perf_counter()
        status, retry_after, cause = None, None, None
        try:
            async with asyncio.timeout(self._timeout):
                status, retry_after = await self._post(parse_target(url), headers, body)
        except AddressRefused as error:
            cause = f"the address is refused: {error}"
        except TimeoutError:
            cause = f"no answer within {self._timeout:g} s"
        except ssl.SSLCertVerificationError as error:
            cause = f"the certificate is not to be believed: {error.verify_message}"
        except (OSError, TransportError, ConfigurationError) as error:
            cause = f"{type(error).__name__}: {error}"[:200]
        return SendOutcome(status, cause, retry_after, time.perf_counter() - began)

    async def check(self, url: str) -> None:
        """Raises AddressRefused for what would be refused now; a name that does not resolve yet may do so later."""
        target = parse_target(url)
        with suppress(OSError):
            await self._addresses(target)

    async def _addresses(self, target: Target) -> Sequence[str]:
        found = await self._resolve(target.host, target.port)
        for address in found:  # One that may not be posted to spoils them all: nobody needs it beside a good one.
            self._policy.check(target, address)
        if not found:
            raise AddressRefused(f"{target.host} has no address")
        return found

    async def _post(self, target: Target, headers: Mapping[str, str], body: bytes) -> tuple[int, float | None]:
        addresses = await self._addresses(target)
        tls = await self._context() if target.scheme == "https" else None
        exchange = Exchange(sys.maxsize // 16, accept=range(1000), streamed=True)
        pool, connection = await self._connect(addresses, target, tls)
        try:
            await exchange.send(connection, _request(target, headers, body))
            with suppress(TransportError, TimeoutError):  # Its status says all that is asked.
                async with asyncio.timeout(READ_SECONDS):
                    while exchange.size <= READ and await exchange.read():
                        pass
        finally:
            exchange.abandon()
            await pool.aclose()
        return exchange.status, _retry_after(exchange.headers)

    async def _connect(
        self, addresses: Sequence[str], target: Target, tls: ssl.SSLContext | None
    ) -> tuple[ConnectionPool, HTTPConnection]:
        """A connection to the first of the checked addresses that accepts one, each within its share of the timeout.
        Raises the last address's OSError or TimeoutError."""
        share = self._timeout / 2 / len(addresses)
        *others, last = addresses
        for address in others:
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(share):
                    return await _opened(address, target, tls)
        return await _opened(last, target, tls)

    async def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = await asyncio.to_thread(_trusting, self._ca_file)
        return self._tls


async def _opened(address: str, target: Target, tls: ssl.SSLContext | None) -> tuple[ConnectionPool, HTTPConnection]:
    pool = ConnectionPool(address, target.port, tls=tls, name=target.host)
    try:
        return pool, await pool.connect()
    except BaseException:
        await pool.aclose()
        raise


def _trusting(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError) as error:
            cure = f"cannot be used ({error}); it must hold certificates in PEM"
            raise ConfigurationError("endpoints.ca_file", str(ca_file), cure) from None
    return context


def _request(target: Target, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = [f"POST {target.path} HTTP/1.1", f"host: {target.authority}"]
    lines += ["content-type: application/json", f"content-length: {len(body)}", "user-agent: tradegraph"]
    lines += ["connection: close", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


def _retry_after(headers: Sequence[tuple[bytes, bytes]]) -> float | None:
    text = next((value.decode("latin-1").strip() for name, value in headers if name == b"retry-after"), "")
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), LONGEST_WAIT)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return min(max(0.0, seconds), LONGEST_WAIT)
