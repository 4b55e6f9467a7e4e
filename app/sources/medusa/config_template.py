"""The template of a Medusa source."""

from __future__ import annotations

from app.sources.config_template import ConfigTemplate

TEMPLATE = ConfigTemplate(
    name="medusa",
    url="http://127.0.0.1:9000",
    ports=("customers", "items", "warehouses", "stock", "prices", "orders"),
    adds_to=frozenset({"orders"}),
    table="""\
# Medusa 2.17 as $name (docs/medusa.md), over its Admin API and two routes of the Medusa project.
[sources.$name]
vendor = "medusa"
base_url = "$url"
timeout = 10  # seconds

[sources.$name.credentials]
secret_key_file = "secrets/$name-secret-key"  # a secret API key

[sources.$name.options]
currency = "USD"                      # of customers and prices
customer_number_key = "erp_number"    # the key in a customer's metadata that holds the customer's number
po_number_key = "po_number"           # the key in an order's metadata that holds the purchase order number
uom = "EA"                            # what a quantity of a variant counts
region = "reg_01EXAMPLE"              # id of the region in which orders are created
# warehouses = { "sloc_01..." = "WH-EAST" }  # codes of stock locations by id; their names if left out
""",
)
