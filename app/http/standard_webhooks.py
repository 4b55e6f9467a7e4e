"""Webhook signatures after Standard Webhooks: https://www.standardwebhooks.com

`ID.TIMESTAMP.BODY` is signed with HMAC-SHA256. While a secret is rotated, the sender signs with both and the receiver
may hold both: one matching pair is enough.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from collections.abc import Iterable

ID = "webhook-id"
TIMESTAMP = "webhook-timestamp"
SIGNATURE = "webhook-signature"

PREFIX = "whsec_"
VERSION = "v1"
MIN_SECRET_BYTES, MAX_SECRET_BYTES = 24, 64
"""Length of a secret in bytes."""

MAX_SIGNATURES = 16
"""Signatures of a header that are verified."""


def decode_secret(text: str) -> bytes:
    """The key in a secret, `whsec_` and base64. Raises ValueError, which does not repeat it."""
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not MIN_SECRET_BYTES <= len(key) <= MAX_SECRET_BYTES:
        raise ValueError(
            f"should be {PREFIX} and the base64 form of {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} random bytes"
        )
    return key


def generate_secret() -> str:
    """A new random secret."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def sign(key: bytes, id: str, timestamp: int, body: bytes) -> str:
    """The signature of a body, `v1,BASE64`."""
    digest = hmac.digest(key, f"{id}.{timestamp}.".encode() + body, "sha256")
    return f"{VERSION},{base64.b64encode(digest).decode()}"


def signed_headers(keys: Iterable[bytes], id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers of a webhook, signed with each of the keys."""
    signatures = " ".join(sign(key, id, timestamp, body) for key in keys)
    return {ID: id, TIMESTAMP: str(timestamp), SIGNATURE: signatures}


def verify_signature(sent: str, keys: Iterable[bytes], id: str, timestamp: int, body: bytes) -> bool:
    """Whether a signature in the header is by one of these keys, in constant time."""
    offered = [
        one.encode("latin-1", "replace") for one in sent.split(" ")[:MAX_SIGNATURES] if one.startswith(f"{VERSION},")
    ]
    found = False
    for key in keys:
        expected = sign(key, id, timestamp, body).encode()
        for one in offered:
            found |= hmac.compare_digest(one, expected)
    return found
