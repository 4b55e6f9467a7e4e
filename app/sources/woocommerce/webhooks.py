"""WooCommerce's webhooks (https://woocommerce.github.io/woocommerce-rest-api-docs/#webhooks).

The body is signed with the webhook's secret, the headers are not: what changed is read from the body, whose fields tell
its kind. Its time is that of the row, and no time of sending is signed; a webhook may wait for hours in the shop's
queue, and is turned off after a few that are refused. So none is refused for its age: it says what to read again.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from app.errors import WebhookForeign, WebhookForged, WebhookUnsigned
from app.settings import WebhookSettings
from app.sources.changes import ChangeHint, ChangeKind
from app.sources.webhooks import LONGEST_ID, LONGEST_KEY, content_id, matches_secret, read_body, webhook_secrets
from app.sources.woocommerce.client import WooMeta, gmt
from app.sources.woocommerce.customers import WooCommerceNumbers, WooUser
from app.sources.woocommerce.options import WooCommerceOptions, site_of

SIGNATURE = "x-wc-webhook-signature"
SITE = "x-wc-webhook-source"
TOPIC = "x-wc-webhook-topic"
RESOURCE = "x-wc-webhook-resource"
DELIVERY = "x-wc-webhook-delivery-id"

_PING = re.compile(rb"webhook_id=\d{1,18}")


class WooWebhookBody(msgspec.Struct, frozen=True):
    """The row of a body, or only its id where it was deleted. `order_key` is of orders, `username` of customers, `sku`
    of products and variations."""

    id: int | None = None
    date_modified_gmt: datetime | None = None
    order_key: str | None = None
    number: str = ""
    username: str | None = None
    sku: str | None = None
    meta_data: tuple[WooMeta, ...] = ()


class WooCommerceWebhooks:
    """The webhooks port."""

    ping_type = "application/x-www-form-urlencoded"

    def __init__(
        self, name: str, settings: WebhookSettings, options: WooCommerceOptions, numbers: WooCommerceNumbers
    ) -> None:
        self._name = name
        self._secrets = webhook_secrets(name, settings)
        self._site = site_of(options.site_url or "")
        self._numbers_are_ids = options.numbers_are_ids
        self._numbers = numbers

    def is_ping(self, body: bytes) -> bool:
        """See `PingedWebhooks.is_ping`. WooCommerce pings when a webhook is saved, and needs the status 200."""
        return _PING.fullmatch(body) is not None

    def admit(self, headers: Mapping[str, str], now: datetime) -> None:
        if not headers.get(SIGNATURE) or not headers.get(SITE):
            raise WebhookUnsigned
        if site_of(headers[SITE]) != self._site:
            raise WebhookForeign

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        expected = [base64.b64encode(hmac.digest(secret, body, "sha256")) for secret in self._secrets]
        if not matches_secret(headers[SIGNATURE], expected):
            raise WebhookForged

    def parse(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Sequence[ChangeHint]:
        """See `Webhooks.parse`. Two deliveries of one second have one delivery id, so that a row's webhook is known by
        its content; that of a deleted row, which is always the same, by its delivery too."""
        payload = read_body(body, WooWebhookBody)
        deleted = payload.date_modified_gmt is None
        id = content_id(body) + (f":{headers.get(DELIVERY, '')[:64]}" if deleted else "")
        topic = headers.get(TOPIC, "")[:100] or None
        subjects = self._deleted(payload, headers.get(RESOURCE, "")) if deleted else self._changed(payload)
        return [
            ChangeHint(
                source=self._name,
                id=f"{id}:{kind}:{key}"[:LONGEST_ID],
                kind=kind,
                key=key,
                at=gmt(payload.date_modified_gmt) if payload.date_modified_gmt else None,
                received_at=now,
                raw_code=topic,
            )
            for kind, key in subjects
            if 0 < len(key) <= LONGEST_KEY
        ]

    def _changed(self, payload: WooWebhookBody) -> list[tuple[ChangeKind, str]]:
        if payload.order_key is not None:
            return [(ChangeKind.ORDER, payload.number)]
        if payload.username is not None:
            user = WooUser(id=payload.id or 0, username=payload.username, meta_data=payload.meta_data)
            return [(ChangeKind.CUSTOMER, self._numbers.number_of(user) or "")]
        sku = payload.sku or ""
        return [(ChangeKind.ITEM, sku), (ChangeKind.STOCK, sku)]

    def _deleted(self, payload: WooWebhookBody, resource: str) -> list[tuple[ChangeKind, str]]:
        """What a body with nothing but an id is of: the header says it, which is not signed. All that it can do is to
        have a row read once more."""
        if payload.id is None:
            return []
        if resource == "order":
            return [(ChangeKind.ORDER, str(payload.id))]
        return [(ChangeKind.CUSTOMER, str(payload.id))] if resource == "customer" and self._numbers_are_ids else []
