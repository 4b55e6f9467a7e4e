"""`POST /webhooks/{source}`: what backends tell us. Verified, kept, acknowledged, in this order; read again later."""

from app.webhooks.inbound import inbound_webhooks, webhook_route

__all__ = ["inbound_webhooks", "webhook_route"]
