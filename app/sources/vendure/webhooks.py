"""Webhooks of Vendure, which has none of its own: those of the plugin in backends/vendure/webhook-plugin.js.

The whole body is signed, the time in it included. It has no id, so that the same content is the same event.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from app.errors import WebhookExpired, WebhookForged, WebhookUnsigned
from app.settings import WebhookSettings
from app.sources.changes import ChangeHint, ChangeKind
from app.sources.webhooks import LONGEST_KEY, content_id, matches_secret, read_body, webhook_secrets

SIGNATURE = "x-signature"


class WebhookVariant(msgspec.Struct, frozen=True):
    """What was moved or changed."""

    sku: str | None = None


class WebhookData(msgspec.Struct, frozen=True):
    """What the events have that concern us: `code` is an order's, `orders` are those of a fulfilment."""

    code: str | None = None
    orders: tuple[str, ...] = ()
    variants: tuple[WebhookVariant, ...] = ()


class VendureWebhookPayload(msgspec.Struct, frozen=True):
    """A webhook's body."""

    type: str
    at: datetime
    data: WebhookData


class VendureWebhooks:
    """The webhooks port."""

    def __init__(self, name: str, settings: WebhookSettings) -> None:
        self._name = name
        self._secrets = webhook_secrets(name, settings)
        self._tolerance = settings.tolerance

    def admit(self, headers: Mapping[str, str], now: datetime) -> None:
        if not headers.get(SIGNATURE):
            raise WebhookUnsigned

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        expected = [f"sha256={hmac.digest(secret, body, 'sha256').hex()}".encode() for secret in self._secrets]
        if not matches_secret(headers[SIGNATURE], expected):
            raise WebhookForged
        at = read_body(body, VendureWebhookPayload).at
        if at.tzinfo is None or abs((now - at).total_seconds()) > self._tolerance:
            raise WebhookExpired

    def parse(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Sequence[ChangeHint]:
        """See `Webhooks.parse`. A fulfilment is told as its orders: they bring it along."""
        payload = read_body(body, VendureWebhookPayload)
        id = content_id(body)
        return [
            ChangeHint(source=self._name, id=f"{id}:{kind}:{key}", kind=kind, key=key, at=payload.at, received_at=now)
            for kind, key in dict.fromkeys(_subjects(payload))
            if 0 < len(key) <= LONGEST_KEY
        ]


def _subjects(payload: VendureWebhookPayload) -> list[tuple[ChangeKind, str]]:
    data = payload.data
    skus = [variant.sku for variant in data.variants if variant.sku]
    if payload.type == "FulfillmentStateTransitionEvent":
        return [(ChangeKind.ORDER, code) for code in data.orders]
    if payload.type == "StockMovementEvent":
        return [(ChangeKind.STOCK, sku) for sku in skus]
    if payload.type == "ProductVariantEvent":
        return [(ChangeKind.ITEM, sku) for sku in skus]
    return [(ChangeKind.ORDER, data.code)] if payload.type.startswith("Order") and data.code else []
