"""The options of a WooCommerce source, checked at the start."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from app.errors import ConfigurationError
from app.settings import SourceSettings
from app.sources.orders import OrderStatus

MetaKey = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{1,64}$")]
StatusSlug = Annotated[str, Meta(pattern="^[a-z0-9_-]{1,40}$")]
Code = Annotated[str, Meta(min_length=1, max_length=64)]

STATUSES: Mapping[str, OrderStatus] = {
    "checkout-draft": OrderStatus.DRAFT,
    "auto-draft": OrderStatus.DRAFT,
    "pending": OrderStatus.CONFIRMED,
    "on-hold": OrderStatus.CONFIRMED,
    "processing": OrderStatus.PROCESSING,
    "completed": OrderStatus.SHIPPED,
    "cancelled": OrderStatus.CANCELLED,
    "failed": OrderStatus.CANCELLED,
    "refunded": OrderStatus.CANCELLED,
    "trash": OrderStatus.CANCELLED,
}
"""The statuses of WooCommerce itself (https://woocommerce.com/document/managing-orders/order-statuses/)."""

UNLISTED = frozenset({"auto-draft", "trash"})
"""Statuses of orders that a list of all statuses leaves out."""


class WooCommerceOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """`[sources.NAME.options]` of a WooCommerce source.

    `currency` is the shop's. `customer_number` says what a customer's number is: its `id`, its `username`, or the value
    of a meta key, `meta:KEY`. `po_number_key` and `line_number_key` are the meta keys of orders and lines that hold the
    purchase order number and the line's number. `uom` is the unit that quantities count. `warehouse` is the code of the
    warehouse that the shop's stock lies in; without one no stock is served. `statuses` are the statuses of orders by
    the shop's own, beside or in place of `STATUSES`. `shipped_key` is the meta key of an order that says whether its
    goods were sent, `tracking_number_key` and `carrier_key` those of its parcel; without `shipped_key` no shipments are
    served. `site_url` is the address that webhooks name, by default `base_url`.

    Written orders begin in `order_status`, and are looked for among the orders of the last `lookup_days` days.
    `max_order_seconds` after a request WooCommerce has created an order or never does; three times `timeout` by
    default.
    """

    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")]
    customer_number: Annotated[str, Meta(pattern="^(id|username|meta:[A-Za-z0-9_-]{1,64})$")] = "id"
    po_number_key: MetaKey = "po_number"
    line_number_key: MetaKey = "line_number"
    uom: Code = "EA"
    warehouse: Code | None = None
    statuses: Mapping[StatusSlug, OrderStatus] = {}
    shipped_key: MetaKey | None = None
    tracking_number_key: MetaKey | None = None
    carrier_key: MetaKey | None = None
    site_url: str | None = None
    order_status: StatusSlug = "processing"
    lookup_days: Annotated[float, Meta(gt=3, le=60)] = 8.0
    max_order_seconds: Annotated[float, Meta(gt=0, le=3600)] | None = None

    @property
    def customer_meta_key(self) -> str | None:
        """The meta key of a customer's number; None where the number is in no meta key."""
        return self.customer_number.removeprefix("meta:") if self.customer_number.startswith("meta:") else None

    @property
    def numbers_are_ids(self) -> bool:
        """Whether a customer's number is its id."""
        return self.customer_number == "id"

    @cached_property
    def order_statuses(self) -> Mapping[str, OrderStatus]:
        """The status of an order by the shop's own."""
        return {**STATUSES, **self.statuses}

    def listed_as(self, statuses: tuple[OrderStatus, ...]) -> list[str]:
        """The shop's own statuses that a list is filtered by for some of ours."""
        return [slug for slug, one in self.order_statuses.items() if one in statuses and slug not in UNLISTED]


def read_options(name: str, settings: SourceSettings) -> WooCommerceOptions:
    """The options and the presence of credentials; ConfigurationError names what is wrong."""
    for key in ("consumer_key", "consumer_secret"):
        if key not in settings.credentials:
            cure = "give consumer key and consumer secret of a REST API key of WooCommerce"
            raise ConfigurationError(f"sources.{name}.credentials.{key}", None, cure)
    if not _is_private(settings.base_url):
        cure = "WooCommerce takes key and secret over TLS only; give an address with https://"
        raise ConfigurationError(f"sources.{name}.base_url", settings.base_url, cure)
    try:
        options = msgspec.convert(settings.options, WooCommerceOptions)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"sources.{name}.options", settings.options, str(error)) from None
    if options.shipped_key is None and (options.tracking_number_key or options.carrier_key):
        cure = "give shipped_key too: without it no shipments are served"
        raise ConfigurationError(f"sources.{name}.options.shipped_key", None, cure)
    return msgspec.structs.replace(options, site_url=options.site_url or settings.base_url)


def site_of(url: str) -> str:
    """What identifies a site in its address: host, port and path."""
    parts = urlsplit(url.strip())
    return re.sub(r"/+$", "", f"{parts.netloc.lower()}{parts.path}")


def _is_private(url: str) -> bool:
    """Whether what is sent to an address can be read by nobody else: it is encrypted, or does not leave the machine."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        is_loopback = ip_address(host).is_loopback
    except ValueError:
        is_loopback = host == "localhost"
    return parts.scheme == "https" or is_loopback
