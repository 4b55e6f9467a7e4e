"""What stands for a thing or a source's event, however long its key is and whatever is in it."""

from __future__ import annotations

import hashlib

from app.sources.changes import ChangeKind


def digest_of(*parts: str) -> str:
    """Stands for texts together, whatever is in them."""
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()


def subject_digest(kind: ChangeKind, source: str, key: str) -> str:
    """Stands for a thing."""
    return digest_of(source, kind, key)
