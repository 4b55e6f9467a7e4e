"""The template of a Business Central source."""

from __future__ import annotations

from app.sources.config_template import ConfigTemplate

TEMPLATE = ConfigTemplate(
    name="bc",
    url="https://api.businesscentral.dynamics.com/v2.0/contoso.example/Production",
    ports=("customers", "credit", "items", "warehouses", "stock", "orders", "shipments", "billing"),
    table="""\
# Business Central as ERP (docs/business-central.md). The address ends in tenant and environment.
[sources.$name]
vendor = "business_central"
base_url = "$url"
concurrency = 5      # Business Central runs five requests of a user at a time
timeout = 10.0
limits = { rate = 20 }  # 6,000 requests in five minutes

[sources.$name.credentials]
client_id = "00000000-0000-0000-0000-000000000000"  # the application in Entra
client_secret_file = "secrets/$name-client-secret"

[sources.$name.options]
tenant = "contoso.example"                         # the Entra tenant that issues the tokens
company = "00000000-0000-0000-0000-000000000000"   # GET /api/v2.0/companies lists the ids
currency = "USD"                                   # the company's local currency
# default_location = "MAIN"                        # the warehouse of stock without a location
""",
)
