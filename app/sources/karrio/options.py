"""The options of a Karrio source, checked at the start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from app.errors import ConfigurationError
from app.settings import SourceSettings
from app.sources.shipments import ShipmentStatus

# Karrio's own code and those of its demonstration carrier. Codes are the carrier's: add yours by `event_statuses`.
EVENT_STATUSES: Mapping[str, ShipmentStatus] = {
    "CREATED": ShipmentStatus.PENDING,
    "PU": ShipmentStatus.PICKED_UP,
    "IT": ShipmentStatus.IN_TRANSIT,
    "AR": ShipmentStatus.IN_TRANSIT,
    "OD": ShipmentStatus.OUT_FOR_DELIVERY,
    "DE": ShipmentStatus.DELIVERED,
    "DF": ShipmentStatus.DELIVERY_FAILED,
    "DL": ShipmentStatus.DELIVERY_DELAYED,
    "OH": ShipmentStatus.ON_HOLD,
    "RS": ShipmentStatus.RETURN_TO_SENDER,
}


class KarrioOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[sources.NAME.options]` of a Karrio source.

    `order_field` is the field of a shipment that holds the order code; the `metadata_...` are the keys of its
    metadata for what Karrio has no field for. `event_timezone` is the zone in which carriers' event times are
    read: Karrio's GraphQL gives a date and a time of day without one, and Karrio itself writes UTC into its own
    events. `event_statuses` adds a carrier's event codes to the table above. `webhook_url` is the address that
    Karrio has been given for its webhooks here: if it gives up on it, it is enabled again.
    """

    order_field: Literal["reference", "order_id"] = "reference"
    metadata_order: str = "order"
    metadata_customer: str = "customer"
    metadata_warehouse: str = "warehouse"
    event_timezone: Annotated[str, Meta(min_length=1)] = "UTC"
    event_statuses: Mapping[str, ShipmentStatus] = {}
    webhook_url: Annotated[str, Meta(min_length=1)] | None = None

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.event_timezone)


def read_options(name: str, settings: SourceSettings) -> KarrioOptions:
    """The options and the presence of the key; ConfigurationError names what is wrong."""
    if "api_key" not in settings.credentials:
        raise ConfigurationError(f"sources.{name}.credentials.api_key", None, "give a Karrio API key")
    try:
        options = msgspec.convert(settings.options, KarrioOptions)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"sources.{name}.options", settings.options, str(error)) from None
    try:
        _ = options.zone
    except (KeyError, ValueError, OSError):
        raise ConfigurationError(
            f"sources.{name}.options.event_timezone", options.event_timezone, "use an IANA name such as Europe/Berlin"
        ) from None
    return options
