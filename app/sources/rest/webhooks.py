"""Webhooks of systems that speak the `rest` contract, signed as Standard Webhooks has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from app.errors import WebhookExpired, WebhookForged, WebhookMalformed, WebhookUnsigned
from app.http.standard_webhooks import ID, SIGNATURE, TIMESTAMP, decode_secret, verify_signature
from app.settings import WebhookSettings
from app.sources.changes import ChangeHint
from app.sources.rest.contract import MAX_EVENTS, Events
from app.sources.webhooks import LONGEST_ID, LONGEST_KEY, hint_from_change, read_body, webhook_secrets


class RestWebhooks:
    """The webhooks port."""

    def __init__(self, name: str, settings: WebhookSettings) -> None:
        self._name = name
        self._keys = webhook_secrets(name, settings, decode_secret)
        self._tolerance = settings.tolerance

    def admit(self, headers: Mapping[str, str], now: datetime) -> None:
        if not all(headers.get(name) for name in (ID, TIMESTAMP, SIGNATURE)):
            raise WebhookUnsigned
        sent = headers[TIMESTAMP]
        if not (sent.isascii() and sent.isdigit() and len(sent) <= 12) or len(headers[ID]) > LONGEST_ID:
            raise WebhookForged
        if abs(now.timestamp() - int(sent)) > self._tolerance:
            raise WebhookExpired

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        if not verify_signature(headers[SIGNATURE], self._keys, headers[ID], int(headers[TIMESTAMP]), body):
            raise WebhookForged

    def parse(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Sequence[ChangeHint]:
        events = read_body(body, Events).events
        if len(events) > MAX_EVENTS:
            raise WebhookMalformed(f"A webhook may contain at most {MAX_EVENTS} changes.")
        for event in events:
            if not 0 < len(event.key) <= LONGEST_KEY or len(event.id or "") > LONGEST_ID:
                raise WebhookMalformed
        return [hint_from_change(self._name, event, now) for event in events]
