"""`POST /webhooks/{source}`: what backends tell us. Verified, kept, acknowledged, in this order; read again later."""

from app.webhooks.inbound import doors, webhook_route

__all__ = ["doors", "webhook_route"]
