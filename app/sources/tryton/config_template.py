"""The template of a Tryton source."""

from __future__ import annotations

from app.sources.config_template import ConfigTemplate

TEMPLATE = ConfigTemplate(
    name="erp",
    url="http://tryton.example.com:8069",
    ports=(
        "customers",
        "credit",
        "items",
        "warehouses",
        "stock",
        "prices",
        "orders",
        "shipments",
        "billing",
        "receivables",
        "contacts",
        "quotes",
    ),
    table="""\
# Tryton as ERP (docs/tryton.md): an API key of a user application for REST, a user for JSON-RPC.
[sources.$name]
vendor = "tryton"
base_url = "$url"
concurrency = 4  # Tryton's worker threads

[sources.$name.credentials]
api_key_file = "secrets/$name-key"
login = "gateway"
password_file = "secrets/$name-password"

[sources.$name.options]
database = "tryton"
company = 1
order_code_pattern = '^SO-\\d+$$'  # sale references that are order codes; others are the customer's own
customer_code_like = "CUST-%"    # codes of parties that are customers
""",
)
