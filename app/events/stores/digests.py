"""Digests of subjects and of sources' event ids, of fixed length."""

from __future__ import annotations

import hashlib

from app.sources.changes import ChangeKind


def digest_of(*parts: str) -> str:
    """A digest of several texts."""
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()


def subject_digest(kind: ChangeKind, source: str, key: str) -> str:
    """A digest of a subject."""
    return digest_of(source, kind, key)
