"""Webhooks: inbound from sources at `POST /webhooks/{source}`, outbound to partners' endpoints."""

from app.webhooks.inbound import inbound_webhooks, webhook_route

__all__ = ["inbound_webhooks", "webhook_route"]
