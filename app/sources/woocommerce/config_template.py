"""The template of a WooCommerce source."""

from __future__ import annotations

from app.sources.config_template import ConfigTemplate

PORTS = ("customers", "items", "warehouses", "stock", "orders", "billing")

TEMPLATE = ConfigTemplate(
    name="woocommerce",
    url="https://shop.example.com",
    ports=PORTS,
    adds_to=frozenset(PORTS),
    table="""\
# WooCommerce as $name (docs/woocommerce.md), over its REST API v3.
[sources.$name]
vendor = "woocommerce"
base_url = "$url"  # the address of the site, without /wp-json
timeout = 10       # seconds

[sources.$name.credentials]
consumer_key_file = "secrets/$name-consumer-key"        # of a REST API key with the right Read/Write
consumer_secret_file = "secrets/$name-consumer-secret"

[sources.$name.options]
currency = "USD"           # the shop's
customer_number = "id"     # or "username", or "meta:KEY": see docs/woocommerce.md
warehouse = "WH-SHOP"      # the code of the warehouse that the shop's stock lies in
po_number_key = "po_number"
# shipped_key = "is_fulfilled"  # the meta key that marks an order as sent
# statuses = { "picking" = "PROCESSING" }  # of statuses that a plugin adds

# What WooCommerce tells of changes is taken at /webhooks/$name:
# [sources.$name.webhooks]
# secret_files = ["secrets/$name-webhook"]
""",
)
