"""The options of a Vendure source, checked at the start."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from app.errors import ConfigurationError
from app.settings import SourceSettings

# Field names go into the documents we send, so they must be GraphQL names and nothing else.
FieldName = Annotated[str, Meta(pattern="^[_A-Za-z][_0-9A-Za-z]{0,62}$")]


class VendureOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[sources.NAME.options]` of a Vendure source.

    `channel` is the token of the channel to read orders and content in; without it, the default channel, which
    holds the orders of all channels. `reservations_channel` is the same for reservations: leave it out so that
    what other channels have sold counts. `customer_number_field` and `po_number_field` are the custom fields of
    Customer and Order. `uom` is the unit that quantities of a variant count. `money_digits` is for servers
    with a MoneyStrategy of another precision than the currency's. `asset_url` completes relative asset paths.

    Written orders: `order_key_field` is the custom field of Order with the gateway's key; `unique_order_keys` says that
    it is declared unique. `quoted_price_field` is the custom field of OrderLine with a price in minor units that the
    shop's price strategy goes by; without it, Vendure's own prices must be those of the order. `shipping_method` is the
    code of the method to ship by, else the first that is eligible; `payment_method` is how orders on account are paid.
    `max_order_seconds` after a request Vendure has created an order or never does; three times `timeout` by default.
    `draft_max_age` are the seconds after which an empty draft without a key is deleted.
    """

    admin_path: Annotated[str, Meta(pattern="^/[A-Za-z0-9/_-]*$")] = "/admin-api"
    channel: str | None = None
    reservations_channel: str | None = None
    customer_number_field: FieldName = "erpCustomerNumber"
    po_number_field: FieldName = "poNumber"
    uom: Annotated[str, Meta(min_length=1)] = "EA"
    money_digits: Annotated[int, Meta(ge=0, le=6)] | None = None
    asset_url: str | None = None
    order_key_field: FieldName = "intakeKey"
    unique_order_keys: bool = False
    quoted_price_field: FieldName | None = None
    shipping_method: Annotated[str, Meta(min_length=1)] | None = None
    payment_method: Annotated[str, Meta(min_length=1)] = "on-account"
    max_order_seconds: Annotated[float, Meta(gt=0, le=3600)] | None = None
    draft_max_age: Annotated[float, Meta(ge=60)] = 3600


def read_options(name: str, settings: SourceSettings) -> VendureOptions:
    """The options and the presence of credentials; ConfigurationError names what is wrong."""
    for key in ("username", "password"):
        if key not in settings.credentials:
            raise ConfigurationError(f"sources.{name}.credentials.{key}", None, "give the administrator's credentials")
    try:
        return msgspec.convert(settings.options, VendureOptions)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"sources.{name}.options", settings.options, str(error)) from None
