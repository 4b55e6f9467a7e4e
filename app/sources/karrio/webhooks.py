"""Karrio's webhooks. It signs nothing: it sends the webhook's secret in a header, and tells neither when nor which
event it is. So the same content is the same event, and a copy of an old one does no more than have a shipment read
again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from app.errors import WebhookForged, WebhookUnsigned
from app.settings import WebhookSettings
from app.sources.changes import ChangeHint, ChangeKind
from app.sources.webhooks import content_id, matches_secret, read_body, webhook_secrets

SECRET = "x-event-id"  # noqa: S105 - the name of the header, which Karrio's source has so
CONCERNS = ("tracker_", "shipment_")
"""How events begin that may change a shipment."""


class TrackerSubject(msgspec.Struct, frozen=True):
    """A tracker or a shipment."""

    tracking_number: str | None = None
    status: str | None = None


class KarrioWebhookPayload(msgspec.Struct, frozen=True):
    """A webhook's body."""

    event: str
    data: msgspec.Raw


class KarrioWebhooks:
    """The webhooks port. Notices name shipments by their tracking numbers: a tracker does not tell its shipment."""

    def __init__(self, name: str, settings: WebhookSettings) -> None:
        self._name = name
        self._secrets = webhook_secrets(name, settings)

    def admit(self, headers: Mapping[str, str], now: datetime) -> None:
        """See `Webhooks.admit`: the secret is all there is to look at."""
        if not headers.get(SECRET):
            raise WebhookUnsigned
        if not matches_secret(headers[SECRET], self._secrets):
            raise WebhookForged

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        self.admit(headers, now)

    def parse(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Sequence[ChangeHint]:
        """See `Webhooks.parse`. A shipment without a tracking number is a draft, which nobody waits for."""
        payload = read_body(body, KarrioWebhookPayload)
        if not payload.event.startswith(CONCERNS):
            return []
        subject = read_body(bytes(payload.data), TrackerSubject)
        if not subject.tracking_number:
            return []
        return [
            ChangeHint(
                source=self._name,
                id=content_id(body),
                kind=ChangeKind.SHIPMENT,
                key=subject.tracking_number[:100],
                received_at=now,
                raw_code=subject.status and subject.status[:100],
            )
        ]
