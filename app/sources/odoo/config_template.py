"""The template of an Odoo source."""

from __future__ import annotations

from app.sources.config_template import ConfigTemplate

TEMPLATE = ConfigTemplate(
    name="odoo",
    url="https://odoo.example.com",
    ports=(
        "customers",
        "credit",
        "contacts",
        "items",
        "warehouses",
        "stock",
        "prices",
        "orders",
        "shipments",
        "billing",
    ),
    table="""\
# Odoo as ERP (docs/odoo.md): a user of its own; from version 14 on its API key is the password.
[sources.$name]
vendor = "odoo"
base_url = "$url"
concurrency = 6  # at most the workers of the server

[sources.$name.credentials]
login = "gateway"
password_file = "secrets/$name-password"

[sources.$name.options]
database = "odoo"
version = 11               # the major version, which decides names of fields
customer_ref_like = "CUST-%"  # references of partners that are customers
# warehouse_code = "name"  # where warehouses are known by name; Odoo's own code has five characters
# order_warehouse = "WH"   # the warehouse of written orders, where Odoo's default is not the right one
""",
)
