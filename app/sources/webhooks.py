"""Webhooks in: how a source tells that something is new, and how it is known that it was the source.

What a webhook says of a thing is not believed: it says *read again*, and what counts is what is then read.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

import msgspec

from app.errors import ConfigurationError, WebhookMalformed
from app.settings import WebhookSettings
from app.sources.changes import Change, ChangeHint

T = TypeVar("T")

LONGEST_KEY = 256
LONGEST_ID = 256


class Webhooks(Protocol):
    """The webhooks of a source. Names of headers are in lower case; `now` is when the request came."""

    def admit(self, headers: Mapping[str, str], now: datetime) -> None:
        """Refuse what no body could make right, before one is read: WebhookUnsigned, WebhookForged, WebhookExpired."""
        ...

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        """Refuse what the source has not sent, or not lately: WebhookForged, WebhookExpired."""
        ...

    def parse(self, body: bytes, now: datetime) -> Sequence[ChangeHint]:
        """What a verified body tells, if any of it concerns us. WebhookMalformed for what cannot be read."""
        ...


def hint_from_change(source: str, change: Change, now: datetime) -> ChangeHint:
    """A change as a hint. It has the change's own id or none: two changes may agree in kind, key and second."""
    at = change.at if change.at.tzinfo else change.at.replace(tzinfo=UTC)
    return ChangeHint(
        source=source,
        id=change.id,
        kind=change.kind,
        key=change.key,
        at=at,
        received_at=now,
        sequence=change.sequence,
        raw_code=change.raw_code,
        deleted=change.deleted,
    )


def content_id(body: bytes) -> str:
    """An id for what its sender gives none: the same content is the same event."""
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def read_body(body: bytes, into: type[T]) -> T:
    """A body as what it should be; WebhookMalformed for all else, without a word of it."""
    try:
        return msgspec.json.decode(body, type=into)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WebhookMalformed(detail=str(error)[:300]) from None


def matches_secret(sent: str, secrets: Iterable[bytes]) -> bool:
    """Whether a shared secret is one of ours. Takes as long whichever it is."""
    offered = sent.encode("latin-1", "replace")
    found = False
    for secret in secrets:
        found |= hmac.compare_digest(offered, secret)
    return found


def webhook_secrets(
    name: str, settings: WebhookSettings, read: Any = str.encode, shortest: int = 16
) -> tuple[bytes, ...]:
    """The live secrets as bytes. `read` raises ValueError, which says what a secret should be."""
    key = f"sources.{name}.webhooks.secrets"
    if not settings.secrets:
        raise ConfigurationError(key, None, "give the secret that the system signs or sends its webhooks with")
    found: list[bytes] = []
    for index, secret in enumerate(settings.secrets):
        try:
            found.append(read(secret.get_secret_value()))
        except ValueError as error:
            raise ConfigurationError(f"{key}[{index}]", "[hidden]", str(error)) from None
        if len(found[-1]) < shortest:
            raise ConfigurationError(f"{key}[{index}]", "[hidden]", f"is too short; use {shortest} characters or more")
    return tuple(found)
