"""Opaque ids of the graph: a type name and a key, in base64url.

Keys are business keys where all systems share one (customer number, SKU, warehouse code), so ids survive the
replacement of a system; orders and shipments are named by source and the source's own id.
"""

from __future__ import annotations

import base64
import binascii
from functools import lru_cache

from app.errors import InvalidID

LONGEST = 700

_URL_SAFE = bytes.maketrans(b"+/", b"-_")


@lru_cache(20_000)
def node_id(kind: str, *key: str) -> str:
    """The id of a thing: `node_id("Order", "erp", "190")`."""
    raw = binascii.b2a_base64(":".join((kind, *key)).encode(), newline=False)
    return raw.translate(_URL_SAFE, b"=").decode()


def parse_node_id(text: str) -> tuple[str, str]:
    """Kind and key of an id; InvalidID for whatever `node_id` did not make."""
    if not text or len(text) > LONGEST:
        raise InvalidID
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise InvalidID from None
    kind, separator, key = raw.partition(":")
    if not separator or not kind.isalnum() or not key or "\0" in key or node_id(kind, key) != text:
        raise InvalidID
    return kind, key


def key_of(text: str, kind: str) -> str:
    """The key in an id of this kind; InvalidID for an id of another kind."""
    found, key = parse_node_id(text)
    if found != kind:
        raise InvalidID(f"That id is of type {found}; a {kind} was expected.")
    return key


def source_key_of(text: str, kind: str) -> tuple[str, str]:
    """Source name and the source's own id in an id of this kind."""
    source, separator, key = key_of(text, kind).partition(":")
    if not separator or not key:
        raise InvalidID
    return source, key
