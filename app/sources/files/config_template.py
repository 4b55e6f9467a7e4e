"""The template of a files source."""

from __future__ import annotations

from app.sources.config_template import ConfigTemplate

TEMPLATE = ConfigTemplate(
    name="warehouse",
    url="file:///var/exchange/warehouse",
    ports=("stock", "balances"),
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

[sources.$name.options.feeds.balances]
dataset = "balances"
files = "3pl*.csv"
columns = { sku = "sku", warehouse = "warehouse", on_hand = "on_hand" }
""",
)
