"""The ASGI application behind `/webhooks/{source}`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from app.errors import (
    StoreUnavailable,
    TradegraphError,
    UnsupportedMediaType,
    WebhookNetworkRefused,
    WebhookSourceUnknown,
)
from app.gateway.disconnect import ClientDisconnected
from app.gateway.media_types import check_body_type
from app.gateway.request_parsing import read_body
from app.protocol.refusals import refused
from app.settings import Settings
from app.sources.changes import Notice
from app.sources.webhooks import Webhooks
from app.sources.wiring import Sources
from app.telemetry import begin, log, metrics

KEPT_WITHIN = 2.5
RETRY_AFTER = {"retry-after": "2"}
NOT_KNOWN = "(unknown)"

Keep = Callable[[str, Sequence[Notice]], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Door:
    """Where one source's webhooks come in."""

    webhooks: Webhooks
    networks: tuple[IPv4Network | IPv6Network, ...]
    max_body_bytes: int

    def lets_in(self, client: tuple[str, int] | None) -> bool:
        """Whether this source may send from there. Behind a trusted proxy it is the address that the proxy names."""
        if not self.networks:
            return True
        try:
            address = ip_address(client[0] if client else "")
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self.networks)


def doors(settings: Settings, sources: Sources) -> dict[str, Door]:
    """A door for each source that sends webhooks."""
    found: dict[str, Door] = {}
    for name, source in sources.connected.items():
        given = settings.sources[name].webhooks
        if source.webhooks is not None and given is not None:
            networks = tuple(ip_network(network) for network in given.networks)
            found[name] = Door(source.webhooks, networks, given.max_body_bytes)
    return found


def webhook_route(doors: Mapping[str, Door], keep: Keep, clock: Callable[[], datetime]) -> Route:
    """`POST /webhooks/{source}`."""
    return Route("/webhooks/{source}", WebhookEndpoint(doors, keep, clock), methods=["POST"])


class WebhookEndpoint:
    """Takes webhooks. `keep` says how many notices were new, once all of them are kept."""

    def __init__(self, doors: Mapping[str, Door], keep: Keep, clock: Callable[[], datetime]) -> None:
        self._doors = doors
        self._keep = keep
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        asked: str = scope["path_params"]["source"]
        name = asked if asked in self._doors else NOT_KNOWN
        with begin():
            try:
                outcome, response = await self._take(name, scope, receive)
            except ClientDisconnected:
                metrics().intake.webhooks.labels(name, "gone").inc()
                return
            except TradegraphError as error:
                outcome = error.code
                log.info("webhook_refused", source=name, code=error.code, detail=error.detail)
                response = refused(error, RETRY_AFTER if isinstance(error, StoreUnavailable) else None)
        metrics().intake.webhooks.labels(name, outcome).inc()
        await response(scope, receive, send)

    async def _take(self, name: str, scope: Scope, receive: Receive) -> tuple[str, Response]:
        door = self._doors.get(name)
        if door is None:
            raise WebhookSourceUnknown
        if not door.lets_in(scope.get("client")):
            raise WebhookNetworkRefused
        now = self._clock()
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        door.webhooks.admit(headers, now)
        check_body_type(headers.get("content-type"))
        if headers.get("content-encoding", "identity").strip().lower() != "identity":
            raise UnsupportedMediaType("Send the body as it is: no Content-Encoding is accepted.")
        body = await read_body(headers.get("content-length"), receive, door.max_body_bytes)
        door.webhooks.verify(headers, body, now)
        notices = door.webhooks.notices(body, now)
        new = await self._kept(name, notices) if notices else 0
        outcome = "accepted" if new else "duplicate" if notices else "ignored"
        return outcome, JSONResponse({"notices": len(notices), "new": new}, status_code=202)

    async def _kept(self, name: str, notices: Sequence[Notice]) -> int:
        """Keep notices, or say soon enough that it may be tried again: a sender does not wait for long."""
        try:
            async with asyncio.timeout(KEPT_WITHIN):
                return await self._keep(name, notices)
        except TimeoutError:
            raise StoreUnavailable(detail=f"notices were not kept within {KEPT_WITHIN} s") from None
