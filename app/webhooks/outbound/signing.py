"""Signatures and message ids of deliveries."""

from __future__ import annotations

import base64
import hashlib
import secrets
from datetime import datetime

from app.http.standard_webhooks import PREFIX, decode_secret, signed_headers
from app.webhooks.outbound.endpoints import Endpoint

BYTES = 32


def generate_secret() -> str:
    """A fresh secret, in the form that receivers' libraries take."""
    return PREFIX + base64.b64encode(secrets.token_bytes(BYTES)).decode()


def message_id(endpoint: str, cursor: str) -> str:
    """The id of a delivery, by endpoint and cursor: the same at each attempt, in each worker."""
    digest = hashlib.sha256(f"{endpoint}\n{cursor}".encode()).digest()
    return "msg_" + base64.urlsafe_b64encode(digest[:21]).decode()


def signed(endpoint: Endpoint, id: str, body: bytes, now: datetime) -> dict[str, str]:
    """The headers of a message to an endpoint."""
    keys = [decode_secret(secret) for secret in endpoint.signing(now)]
    return signed_headers(keys, id, int(now.timestamp()), body)
