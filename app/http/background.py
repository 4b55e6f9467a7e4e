"""The request scope of background work: its calls yield to those of callers where a source is at its limit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from app.auth.principal import Principal
from app.telemetry import open_scope

SYSTEM = Principal(subject="system", roles=frozenset())
"""Whose calls are of the class `sync`."""


@contextmanager
def background(timeout: float) -> Iterator[None]:
    """A scope with a timeout in seconds."""
    with open_scope(timeout=timeout) as running:
        running.principal = SYSTEM
        yield
