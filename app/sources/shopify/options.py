"""The options of a Shopify source, checked at the start."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from app.errors import ConfigurationError
from app.settings import SourceSettings

API_VERSION = "2026-10"
"""The version of the Admin API that the documents are written for."""

_VERSION = re.compile(r"20\d\d-(01|04|07|10)")


class ShopifyOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[sources.NAME.options]` of a Shopify source.

    `shop` is the shop's own domain, which its webhooks name; by default the host of `base_url`. `uom` is the unit that
    quantities of a variant count. `warehouses` gives the code of a location by its numeric id; without one it is the
    location's name. `price_location` says whose prices a company with several locations has: those of the location
    whose external id is the company's ("main"), or of the oldest one ("first"). `complete_orders` turns drafts into
    orders; without it they stay drafts for a person to complete. `max_order_seconds` is after how many seconds
    Shopify's search finds a new draft for certain.
    """

    shop: str | None = None
    api_version: str = API_VERSION
    uom: Annotated[str, Meta(min_length=1)] = "EA"
    warehouses: Mapping[str, str] = {}
    price_location: Literal["main", "first"] = "main"
    complete_orders: bool = True
    max_order_seconds: float = 120.0

    @property
    def path(self) -> str:
        """The path of the Admin API."""
        return f"/admin/api/{self.api_version}/graphql.json"

    def warehouse(self, location_id: str, name: str) -> str:
        """The code of a location."""
        return self.warehouses.get(location_id, name)


def read_options(name: str, settings: SourceSettings) -> ShopifyOptions:
    """The options and the presence of credentials; ConfigurationError names what is wrong."""
    given = settings.credentials.keys()
    if "access_token" not in given and not {"client_id", "client_secret"} <= given:
        cure = "give the app's access_token, or its client_id and client_secret"
        raise ConfigurationError(f"sources.{name}.credentials", sorted(given), cure)
    try:
        options = msgspec.convert(settings.options, ShopifyOptions)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"sources.{name}.options", settings.options, str(error)) from None
    if not _VERSION.fullmatch(options.api_version):
        cure = f"is not a version of the Admin API; leave it out for {API_VERSION}"
        raise ConfigurationError(f"sources.{name}.options.api_version", options.api_version, cure)
    shop = options.shop or urlsplit(settings.base_url).hostname or ""
    return msgspec.structs.replace(options, shop=shop.lower())
