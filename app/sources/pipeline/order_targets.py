"""Which source takes an order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.sources.order_writer import OrderWriter
from app.sources.pipeline.routes import Routes


@dataclass(frozen=True, slots=True)
class OrderTargets:
    """The sources that take orders, with their writers: by channel, else by customer."""

    routes: Routes
    channels: Mapping[str, str]
    writers: Mapping[str, OrderWriter]

    def target_of(self, customer: str, channel: str) -> str:
        """The name of the source that takes an order of this customer and channel."""
        return self.channels.get(channel) or self.routes.source_of(customer)
