"""The options of a Medusa source, checked at the start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from app.errors import ConfigurationError
from app.settings import SourceSettings

MetadataKey = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{1,64}$")]
Id = Annotated[str, Meta(pattern="^[A-Za-z0-9_]{1,64}$")]
ProjectPath = Annotated[str, Meta(pattern="^/admin/[A-Za-z0-9/_-]{1,100}$")]


class MedusaOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[sources.NAME.options]` of a Medusa source.

    `currency` is that of customers and prices. `customer_number_key` and `po_number_key` are the keys of the metadata
    of customers and orders that hold the customer's number and the purchase order number; `line_number_key` is that of
    a line's number, which Medusa does not have. `uom` is the unit that quantities of a variant count. `warehouses`
    gives the code of a stock location by its id; without one it is the location's name. `lookup_path` and
    `price_path` are the routes of the Medusa project that find rows by number and calculate prices.

    Written orders: `region` and `sales_channel` are the ids that they are created with; without a region no order is
    written. `convert_orders` turns drafts into orders; without it they stay drafts for a person to convert.
    `max_order_seconds` after a request Medusa has created an order or never does; three times `timeout` by default.
    """

    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")]
    customer_number_key: MetadataKey = "erp_number"
    po_number_key: MetadataKey = "po_number"
    line_number_key: MetadataKey = "line_number"
    uom: Annotated[str, Meta(min_length=1)] = "EA"
    warehouses: Mapping[str, str] = {}
    lookup_path: ProjectPath = "/admin/lookup"
    price_path: ProjectPath = "/admin/calculated-prices"
    region: Id | None = None
    sales_channel: Id | None = None
    convert_orders: bool = True
    max_order_seconds: Annotated[float, Meta(gt=0, le=3600)] | None = None

    def warehouse(self, location: str, name: str) -> str:
        """The code of a stock location."""
        return self.warehouses.get(location, name)


def read_options(name: str, settings: SourceSettings) -> MedusaOptions:
    """The options and the presence of the key; ConfigurationError names what is wrong."""
    if "secret_key" not in settings.credentials:
        raise ConfigurationError(f"sources.{name}.credentials.secret_key", None, "give a secret API key of Medusa")
    try:
        return msgspec.convert(settings.options, MedusaOptions)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"sources.{name}.options", settings.options, str(error)) from None
