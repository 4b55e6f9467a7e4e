"""The template of a Vendure source."""

from __future__ import annotations

from app.sources.config_template import ConfigTemplate

TEMPLATE = ConfigTemplate(
    name="shop",
    url="https://shop.example.com",
    ports=("contents", "reservations", "orders"),
    adds_to=frozenset({"orders"}),
    table="""\
# Vendure as shop (docs/vendure.md), over its Admin API.
[sources.$name]
vendor = "vendure"
base_url = "$url"
concurrency = 8  # calls at the same time

[sources.$name.credentials]
username = "connector@example.com"
password_file = "secrets/$name-password"

[sources.$name.options]
customer_number_field = "erpCustomerNumber"  # custom field of Customer
po_number_field = "poNumber"                 # custom field of Order
uom = "EA"                                   # what a quantity of a variant counts
# channel = "token of the channel to read"   # all channels if left out
""",
)
