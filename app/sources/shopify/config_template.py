"""The template of a Shopify source."""

from __future__ import annotations

from app.sources.config_template import ConfigTemplate

TEMPLATE = ConfigTemplate(
    name="shopify",
    url="https://example.myshopify.com",
    ports=("customers", "items", "warehouses", "stock", "prices", "orders"),
    adds_to=frozenset({"customers", "items", "warehouses", "stock", "prices", "orders"}),
    table="""\
# Shopify B2B as $name (docs/shopify.md), over its Admin GraphQL API.
[sources.$name]
vendor = "shopify"
base_url = "$url"  # the shop's own domain, which ends in myshopify.com
timeout = 10       # seconds, the wait for Shopify's cost budget included

[sources.$name.credentials]
client_id_file = "secrets/$name-client-id"          # of an app of the shop's own organization
client_secret_file = "secrets/$name-client-secret"  # or access_token_file alone, for an app that has a token

[sources.$name.options]
uom = "EA"                # what a quantity of a variant counts
price_location = "main"   # of several locations of a company, the one with the company's external id
# warehouses = { "655441491" = "WH-EAST" }  # codes of locations by id; their names if left out

# What Shopify tells of changes is taken at /webhooks/$name:
# [sources.$name.webhooks]
# secret_files = ["secrets/$name-client-secret"]
""",
)
