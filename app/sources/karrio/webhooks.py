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
from app.sources.changes import ChangeKind, Notice
from app.sources.webhooks import content_id, is_one_of, read_body, secrets_of

SECRET = "x-event-id"  # noqa: S105 - the name of the header, which Karrio's source has so
CONCERNS = ("tracker_", "shipment_")
"""How events begin that may change a shipment."""


class Subject(msgspec.Struct, frozen=True):
    """A tracker or a shipment."""

    tracking_number: str | None = None
    status: str | None = None


class Told(msgspec.Struct, frozen=True):
    """A webhook's body."""

    event: str
    data: msgspec.Raw


class KarrioWebhooks:
    """The webhooks port. Notices name shipments by their tracking numbers: a tracker does not tell its shipment."""

    def __init__(self, name: str, settings: WebhookSettings) -> None:
        self._name = name
        self._secrets = secrets_of(name, settings)

    def admit(self, headers: Mapping[str, str], now: datetime) -> None:
        """See `Webhooks.admit`: the secret is all there is to look at."""
        if not headers.get(SECRET):
            raise WebhookUnsigned
        if not is_one_of(headers[SECRET], self._secrets):
            raise WebhookForged

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        """See `Webhooks.verify`."""
        self.admit(headers, now)

    def notices(self, body: bytes, now: datetime) -> Sequence[Notice]:
        """See `Webhooks.notices`. A shipment without a tracking number is a draft, which nobody waits for."""
        told = read_body(body, Told)
        if not told.event.startswith(CONCERNS):
            return []
        subject = read_body(bytes(told.data), Subject)
        if not subject.tracking_number:
            return []
        return [
            Notice(
                source=self._name,
                id=content_id(body),
                kind=ChangeKind.SHIPMENT,
                key=subject.tracking_number[:100],
                received_at=now,
                raw_code=subject.status and subject.status[:100],
            )
        ]
