"""Shopify's webhooks (https://shopify.dev/docs/apps/build/webhooks).

The body is signed with the app's secret, the headers are not: what changed is read from the body, whose
`admin_graphql_api_id` names its kind. All shops that have the app sign with one secret, so that the header with the
shop's domain is compared too. A webhook that comes late, twice or out of order is harmless: it says what to read again.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from app.errors import WebhookExpired, WebhookForeign, WebhookForged, WebhookUnsigned
from app.settings import WebhookSettings
from app.sources.changes import ChangeHint, ChangeKind
from app.sources.shopify.options import ShopifyOptions
from app.sources.values import Timestamp
from app.sources.webhooks import LONGEST_ID, LONGEST_KEY, content_id, matches_secret, read_body, webhook_secrets

SIGNATURE = "x-shopify-hmac-sha256"
SHOP = "x-shopify-shop-domain"
EVENT_ID = "x-shopify-event-id"
TOPIC = "x-shopify-topic"

RETRIED_FOR = timedelta(hours=4)
"""For how long Shopify repeats a webhook that was not answered (https://shopify.dev/docs/apps/build/webhooks)."""

_FULFILLMENT_NAME = re.compile(r"(.+)[.-]F?\d{1,6}")


class ChangedRowPayload(msgspec.Struct, frozen=True):
    """What every body has: the kind and id of its row, and when it was changed."""

    admin_graphql_api_id: str = ""
    updated_at: Timestamp | None = None


class NamedPayload(ChangedRowPayload, frozen=True):
    """An order, or a fulfilment, whose name begins with the order's."""

    name: str = ""


class WebhookProductVariant(msgspec.Struct, frozen=True):
    """A variant of a product."""

    sku: str | None = None


class ProductPayload(ChangedRowPayload, frozen=True):
    """A product."""

    variants: tuple[WebhookProductVariant, ...] = ()


class InventoryItemPayload(ChangedRowPayload, frozen=True):
    """The inventory item of a variant."""

    sku: str | None = None


class CompanyPayload(ChangedRowPayload, frozen=True):
    """A company."""

    external_id: str | None = None


class LocationCompany(msgspec.Struct, frozen=True):
    """The company of a location."""

    external_id: str | None = None


class CompanyLocationPayload(ChangedRowPayload, frozen=True):
    """A location of a company."""

    company: LocationCompany | None = None


TOPICS: Mapping[str, type[ChangedRowPayload]] = {
    "orders/updated": NamedPayload,
    "fulfillments/update": NamedPayload,
    "products/update": ProductPayload,
    "inventory_items/update": InventoryItemPayload,
    "companies/update": CompanyPayload,
    "company_locations/update": CompanyLocationPayload,
}
"""The topics that an app should subscribe to; `create` has the bodies of `update`."""


class ShopifyWebhooks:
    """The webhooks port."""

    def __init__(self, name: str, settings: WebhookSettings, options: ShopifyOptions) -> None:
        self._name = name
        self._secrets = webhook_secrets(name, settings)
        self._oldest = RETRIED_FOR + timedelta(seconds=settings.tolerance)
        self._shop = options.shop

    def admit(self, headers: Mapping[str, str], now: datetime) -> None:
        if not headers.get(SIGNATURE) or not headers.get(SHOP):
            raise WebhookUnsigned
        if headers[SHOP].strip().lower() != self._shop:
            raise WebhookForeign

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        """See `Webhooks.verify`. The time is that of the row, in the signed body: Shopify signs no other."""
        expected = [base64.b64encode(hmac.digest(secret, body, "sha256")) for secret in self._secrets]
        if not matches_secret(headers[SIGNATURE], expected):
            raise WebhookForged
        at = read_body(body, ChangedRowPayload).updated_at
        if at is not None and now - at > self._oldest:
            raise WebhookExpired

    def parse(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Sequence[ChangeHint]:
        """See `Webhooks.parse`. Deleted rows are not told of: their bodies have no key."""
        payload = read_body(body, ChangedRowPayload)
        id = headers.get(EVENT_ID, "")
        id = id if 0 < len(id) <= LONGEST_ID - 100 else content_id(body)
        topic = headers.get(TOPIC, "")[:100] or None
        return [
            ChangeHint(
                source=self._name,
                id=f"{id}:{kind}:{key}"[:LONGEST_ID],
                kind=kind,
                key=key,
                at=payload.updated_at,
                received_at=now,
                raw_code=topic,
            )
            for kind, key in dict.fromkeys(_subjects(payload.admin_graphql_api_id, body))
            if 0 < len(key) <= LONGEST_KEY
        ]


def _subjects(id: str, body: bytes) -> list[tuple[ChangeKind, str]]:
    """What changed. A fulfilment is told as its order, which brings it along, a location as its company."""
    kind = id.removeprefix("gid://shopify/").partition("/")[0]
    if kind == "Order":
        return [(ChangeKind.ORDER, read_body(body, NamedPayload).name)]
    if kind == "Fulfillment":
        named = _FULFILLMENT_NAME.fullmatch(read_body(body, NamedPayload).name)
        return [(ChangeKind.ORDER, named[1])] if named else []
    if kind == "Product":
        return [(ChangeKind.ITEM, one.sku or "") for one in read_body(body, ProductPayload).variants]
    if kind == "InventoryItem":
        return [(ChangeKind.ITEM, read_body(body, InventoryItemPayload).sku or "")]
    if kind == "Company":
        return [(ChangeKind.CUSTOMER, read_body(body, CompanyPayload).external_id or "")]
    company = read_body(body, CompanyLocationPayload).company if kind == "CompanyLocation" else None
    return [(ChangeKind.CUSTOMER, company.external_id or "")] if company else []
