"""The template of a source of the `rest` contract."""

from __future__ import annotations

from app.sources.config_template import ConfigTemplate
from app.sources.rest.contract import PORTS

TEMPLATE = ConfigTemplate(
    name="erp",
    url="https://erp.example.com/gateway",
    ports=PORTS,
    table="""\
# An in-house system that speaks the REST contract (docs/rest-contract.md). Test it:
#   ./run contract test $url
[sources.$name]
vendor = "rest"
base_url = "$url"
credentials = { token_file = "secrets/$name-token" }
concurrency = 16  # calls at the same time

[sources.$name.options]
# The ports that the system has. Delete the others here, and their domains below.
serves = [$ports]
batch = true        # false if the system has no POST /v1/batch

# It may report changes by signed webhooks to /webhooks/$name (docs/webhooks-in.md):
# [sources.$name.webhooks]
# secret_files = ["secrets/$name-webhook"]
""",
)
