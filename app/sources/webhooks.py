"""Inbound webhooks: the port that authenticates a webhook and turns it into hints.

The content of a webhook is not trusted: it says what to fetch again, and what is then fetched counts.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar, runtime_checkable

import msgspec

from app.errors import ConfigurationError, WebhookMalformed
from app.settings import WebhookSettings
from app.sources.changes import ChangeHint, FeedChange

T = TypeVar("T")

LONGEST_KEY = 256
LONGEST_ID = 256


class Webhooks(Protocol):
    """The webhooks of a source. Header names are in lower case; `now` is when the request arrived."""

    def admit(self, headers: Mapping[str, str], now: datetime) -> None:
        """Reject before the body is read. Raises WebhookUnsigned, WebhookForged, WebhookExpired."""
        ...

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        """Verify the signature and its time. Raises WebhookForged, WebhookExpired."""
        ...

    def parse(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Sequence[ChangeHint]:
        """The hints of a verified body; none if it is of no interest. Raises WebhookMalformed."""
        ...


@runtime_checkable
class PingedWebhooks(Protocol):
    """What webhooks may be as well: their sender tries the address with an unsigned request of another media type. It
    tells nothing, and is answered with 200."""

    @property
    def ping_type(self) -> str:
        """The media type of such a request."""
        ...

    def is_ping(self, body: bytes) -> bool:
        """Whether a body of that type, of 64 bytes at most, is such a request."""
        ...


LONGEST_PING = 64


def hint_from_change(source: str, change: FeedChange, now: datetime) -> ChangeHint:
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
    """An id by content, for a sender that gives none: the same content is the same event."""
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def read_body(body: bytes, into: type[T]) -> T:
    """A decoded body. Raises WebhookMalformed, without quoting the body."""
    try:
        return msgspec.json.decode(body, type=into)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WebhookMalformed(detail=str(error)[:300]) from None


def matches_secret(sent: str, secrets: Iterable[bytes]) -> bool:
    """Whether a shared secret is among ours, in constant time."""
    offered = sent.encode("latin-1", "replace")
    found = False
    for secret in secrets:
        found |= hmac.compare_digest(offered, secret)
    return found


def webhook_secrets(
    name: str, settings: WebhookSettings, read: Any = str.encode, shortest: int = 16
) -> tuple[bytes, ...]:
    """The configured secrets as bytes. `read` raises ValueError, which says what a secret should be."""
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
