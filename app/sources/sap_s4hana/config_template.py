"""The template of an S/4HANA source."""

from __future__ import annotations

from app.sources.config_template import ConfigTemplate

TEMPLATE = ConfigTemplate(
    name="sap",
    url="https://my300000-api.s4hana.example",
    ports=("customers", "items", "warehouses", "stock", "prices", "orders", "shipments", "billing"),
    table="""\
# SAP S/4HANA as ERP (docs/sap-s4hana.md). The address has no path.
[sources.$name]
vendor = "sap_s4hana"
base_url = "$url"
concurrency = 8
timeout = 15.0

[sources.$name.credentials]
username = "GATEWAY"                          # the communication user
password_file = "secrets/$name-password"

[sources.$name.options]
sales_organization = "1710"                   # one source reads and writes one sales area
distribution_channel = "10"
division = "00"
plants = { 1710 = "Palo Alto" }               # the plants that are warehouses
# atp_checking_rule = "A"                     # adds the availability check to stock
# credit_segment = "0000"                     # serves credit
""",
)
