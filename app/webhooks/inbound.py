"""`POST /webhooks/{source}`: verified, enqueued, then acknowledged; the subject is fetched later."""

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
    WebhookUnsigned,
)
from app.gateway.disconnect import ClientDisconnected
from app.gateway.media_types import check_body_type
from app.gateway.request_parsing import read_body
from app.protocol.error_responses import error_response
from app.settings import Settings
from app.sources.changes import ChangeHint
from app.sources.source import Sources
from app.sources.webhooks import LONGEST_PING, PingedWebhooks, Webhooks
from app.telemetry import log, metrics, open_scope

ENQUEUE_TIMEOUT = 2.5
RETRY_AFTER = {"retry-after": "2"}
UNKNOWN_SOURCE = "(unknown)"

Enqueue = Callable[[str, Sequence[ChangeHint]], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class InboundWebhook:
    """One source's webhook, with the networks it may come from."""

    webhooks: Webhooks
    networks: tuple[IPv4Network | IPv6Network, ...]
    max_body_bytes: int

    def allows_address(self, client: tuple[str, int] | None) -> bool:
        """Whether the source may send from this address. Behind a trusted proxy it is the forwarded address."""
        if not self.networks:
            return True
        try:
            address = ip_address(client[0] if client else "")
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self.networks)


def inbound_webhooks(settings: Settings, sources: Sources) -> dict[str, InboundWebhook]:
    """The inbound webhooks of all sources that have one."""
    found: dict[str, InboundWebhook] = {}
    for name, source in sources.connected.items():
        given = settings.sources[name].webhooks
        if source.webhooks is not None and given is not None:
            networks = tuple(ip_network(network) for network in given.networks)
            found[name] = InboundWebhook(source.webhooks, networks, given.max_body_bytes)
    return found


def webhook_route(
    inbound_webhooks: Mapping[str, InboundWebhook], enqueue: Enqueue, clock: Callable[[], datetime]
) -> Route:
    """`POST /webhooks/{source}`."""
    return Route("/webhooks/{source}", WebhookReceiver(inbound_webhooks, enqueue, clock), methods=["POST"])


class WebhookReceiver:
    """The ASGI endpoint. `enqueue` returns how many hints were new, once all are durable."""

    def __init__(
        self, inbound_webhooks: Mapping[str, InboundWebhook], enqueue: Enqueue, clock: Callable[[], datetime]
    ) -> None:
        self._webhooks = inbound_webhooks
        self._enqueue = enqueue
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name_in_path: str = scope["path_params"]["source"]
        name = name_in_path if name_in_path in self._webhooks else UNKNOWN_SOURCE
        with open_scope():
            try:
                outcome, response = await self._receive(name, scope, receive)
            except ClientDisconnected:
                metrics().events.webhooks.labels(name, "gone").inc()
                return
            except TradegraphError as error:
                outcome = error.code
                log.info("webhook_refused", source=name, code=error.code, detail=error.detail)
                response = error_response(error, RETRY_AFTER if isinstance(error, StoreUnavailable) else None)
        metrics().events.webhooks.labels(name, outcome).inc()
        await response(scope, receive, send)

    async def _receive(self, name: str, scope: Scope, receive: Receive) -> tuple[str, Response]:
        webhook = self._webhooks.get(name)
        if webhook is None:
            raise WebhookSourceUnknown
        if not webhook.allows_address(scope.get("client")):
            raise WebhookNetworkRefused
        now = self._clock()
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if await self._is_ping(webhook.webhooks, headers, receive):
            return "ping", JSONResponse({"notices": 0, "new": 0})
        webhook.webhooks.admit(headers, now)
        check_body_type(headers.get("content-type"))
        if headers.get("content-encoding", "identity").strip().lower() != "identity":
            raise UnsupportedMediaType("Send the body as it is: no Content-Encoding is accepted.")
        body = await read_body(headers.get("content-length"), receive, webhook.max_body_bytes)
        webhook.webhooks.verify(headers, body, now)
        hints = webhook.webhooks.parse(headers, body, now)
        new = await self._enqueue_within_timeout(name, hints) if hints else 0
        outcome = "accepted" if new else "duplicate" if hints else "ignored"
        return outcome, JSONResponse({"notices": len(hints), "new": new}, status_code=202)

    @staticmethod
    async def _is_ping(webhooks: Webhooks, headers: Mapping[str, str], receive: Receive) -> bool:
        """Whether a request is its sender's unsigned test of the address. Raises WebhookUnsigned for any other of that
        media type."""
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        if not isinstance(webhooks, PingedWebhooks) or media_type != webhooks.ping_type:
            return False
        if not webhooks.is_ping(await read_body(headers.get("content-length"), receive, LONGEST_PING)):
            raise WebhookUnsigned
        return True

    async def _enqueue_within_timeout(self, name: str, hints: Sequence[ChangeHint]) -> int:
        """Enqueue hints within the sender's patience, or raise StoreUnavailable, so that it retries."""
        try:
            async with asyncio.timeout(ENQUEUE_TIMEOUT):
                return await self._enqueue(name, hints)
        except TimeoutError:
            raise StoreUnavailable(detail=f"hints were not kept within {ENQUEUE_TIMEOUT} s") from None
