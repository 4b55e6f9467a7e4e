"""The template of a files source."""

from __future__ import annotations

from app.sources.config_template import ConfigTemplate

TEMPLATE = ConfigTemplate(
    name="warehouse",
    url="file:///var/exchange/warehouse",
    ports=("stock", "balances", "items", "prices", "shipments"),
    table="""\
# Files in a folder (docs/files.md). Their columns are mapped to the attributes of a dataset.
[sources.$name]
vendor = "files"
base_url = "$url"

[sources.$name.options]
scan_seconds = 5
settle_seconds = 5               # size and time of a file must not change for so long before it is taken

[sources.$name.options.feeds.stock]
dataset = "stock"
files = "stock*.csv"
content = "snapshot"             # each file replaces all rows; "changes" replaces those that it names
columns = { sku = "sku", warehouse = "warehouse", uom = "uom", on_hand = "on_hand" }

[sources.$name.options.feeds.items]
dataset = "items"
files = "items*.csv"
columns = { sku = "sku", name = "name", base_uom = "uom", gtin = "gtin" }

[sources.$name.options.feeds.prices]
dataset = "prices"
files = "prices*.csv"
columns = { customer = "customer", sku = "sku", uom = "uom", unit_price = "price", currency = "currency" }

[sources.$name.options.feeds.shipments]
dataset = "shipments"
files = "shipments*.csv"
content = "changes"
columns = { id = "id", status = "status", customer = "customer", orders = "order", tracking_number = "tracking" }

[sources.$name.options.feeds.shipment_events]
dataset = "shipment_events"
files = "events*.csv"
content = "changes"
timezone = "UTC"
columns = { shipment = "id", at = "at", status = "status", raw_code = "code" }

[sources.$name.options.feeds.balances]
dataset = "balances"
files = "3pl*.csv"
columns = { sku = "sku", warehouse = "warehouse", on_hand = "on_hand" }
""",
)
