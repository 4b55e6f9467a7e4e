"""Work that nobody waits for: it goes behind the callers of the graph where a source has no room for all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from app.auth.principal import Principal
from app.telemetry import open_scope

NOBODY = Principal(subject="system", roles=frozenset())
"""Whose calls are of the class `sync`."""


@contextmanager
def background(timeout: float) -> Iterator[None]:
    """A scope for one piece of work."""
    with open_scope(timeout=timeout) as running:
        running.who = NOBODY
        yield
