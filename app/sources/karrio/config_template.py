"""The template of a Karrio source."""

from __future__ import annotations

from app.sources.config_template import ConfigTemplate

TEMPLATE = ConfigTemplate(
    name="parcels",
    url="https://parcels.example.com",
    ports=("shipments",),
    adds_to=frozenset({"shipments"}),
    table="""\
# Karrio for parcels (docs/karrio.md), over its GraphQL API.
[sources.$name]
vendor = "karrio"
base_url = "$url"
credentials = { api_key_file = "secrets/$name-key" }
concurrency = 8  # calls at the same time

[sources.$name.options]
order_field = "reference"        # field of a shipment that holds the order code: reference or order_id
metadata_customer = "customer"   # keys of a shipment's metadata
metadata_warehouse = "warehouse"
event_timezone = "UTC"           # zone of carriers' event times, which Karrio gives without one
""",
)
