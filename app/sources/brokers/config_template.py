"""The template of a message broker."""

from __future__ import annotations

from app.sources.config_template import ConfigTemplate

TEMPLATE = ConfigTemplate(
    name="bus",
    url="nats://broker.example.com:4222",
    ports=("stock",),
    table="""\
# Topics of a message broker (docs/brokers.md): nats://, amqp:// or kafka://.
[sources.$name]
vendor = "broker"
base_url = "$url"
timeout = 10

[sources.$name.options.topics.stock]
name = "stock.levels"
dataset = "stock"
columns = { sku = "sku", warehouse = "warehouse", uom = "uom", on_hand = "onHand" }
""",
)
