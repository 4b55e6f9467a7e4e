"""Signed links: a document and the caller that it is for, until a time, under HMAC-SHA256.

Links are signed with the first secret and verified with all, so that a secret can be rotated: put the new one first,
and remove the old one after the longest lifetime of a link.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from app.auth.principal import Principal
from app.errors import DownloadLinkExpired, DownloadLinkForeign, DownloadLinkInvalid
from app.telemetry import scope

LONGEST_LINK = 4096
_PURPOSE = b"tradegraph-download-1\0"


class SignedLink(msgspec.Struct, frozen=True, array_like=True):
    """What a link is for. `expires` is in seconds since 1970."""

    kind: str
    source: str
    id: str
    customer: str
    name: str
    tenant: str
    subject: str
    expires: int


class LinkSigner:
    """Signs and verifies links. There is at least one secret."""

    def __init__(self, secrets: Sequence[bytes], lifetime: float) -> None:
        self._secrets = tuple(secrets)
        self._lifetime = timedelta(seconds=lifetime)

    def __repr__(self) -> str:
        return "<LinkSigner>"

    def expiry(self, now: datetime) -> datetime:
        """When a link that is signed now expires."""
        return (now + self._lifetime).replace(microsecond=0)

    def sign(self, link: SignedLink) -> str:
        """The link as a text for a URL; it costs the running operation as much as a key."""
        running = scope.get()
        if running is not None:
            running.keys += 1
        payload = msgspec.json.encode(link)
        return f"{_encode(payload)}.{_encode(_digest(self._secrets[0], payload))}"

    def verify(self, text: str, principal: Principal, now: datetime) -> SignedLink:
        """What a link is for. Raises DownloadLinkInvalid, DownloadLinkExpired, and DownloadLinkForeign for another
        caller than the one it was issued to."""
        payload, signature = _parts(text)
        found = False
        for secret in self._secrets:
            found |= hmac.compare_digest(_digest(secret, payload), signature)
        if not found:
            raise DownloadLinkInvalid
        try:
            link = msgspec.json.decode(payload, type=SignedLink)
        except msgspec.DecodeError:
            raise DownloadLinkInvalid from None
        if now.timestamp() >= link.expires:
            raise DownloadLinkExpired
        if (link.tenant, link.subject) != (principal.tenant, principal.subject):
            raise DownloadLinkForeign
        return link


def _parts(text: str) -> tuple[bytes, bytes]:
    payload, dot, signature = text.partition(".")
    if not dot or len(text) > LONGEST_LINK or not text.isascii():
        raise DownloadLinkInvalid
    return _decode(payload), _decode(signature)


def _digest(secret: bytes, payload: bytes) -> bytes:
    return hmac.digest(secret, _PURPOSE + payload, "sha256")


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise DownloadLinkInvalid from None
    if _encode(data) != text:  # The bits that padding leaves open.
        raise DownloadLinkInvalid
    return data
