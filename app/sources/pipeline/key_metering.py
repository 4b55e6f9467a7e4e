"""Ports that note in the request's scope how many keys they are asked for: what an operation costs is made of that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from app.sources.source import PORTS, Source
from app.telemetry import scope

KEPT = frozenset({"warehouses"})
"""Ports of reference data, which an adapter reads once and keeps."""


def counted(source: Source) -> Source:
    """The same source; whatever is read of its ports is counted."""
    ports = {port: getattr(source, port) for port in PORTS if port not in KEPT}
    return replace(source, **{port: Counted(found) for port, found in ports.items() if found is not None})


class Counted:
    """A port, read by read."""

    def __init__(self, port: Any) -> None:
        self._port = port

    def __getattr__(self, name: str) -> Any:
        """The read of that name, made once."""
        found = getattr(self._port, name)
        if name.startswith("_") or not callable(found):
            return found
        read = _counting(found)
        setattr(self, name, read)
        return read


def _counting(read: Callable[..., Any]) -> Callable[..., Any]:
    def counting(who: Any, *given: Any, **options: Any) -> Any:
        running = scope.get()
        if running is not None:
            first = given[0] if given else None
            running.keys += max(len(first), 1) if isinstance(first, (list, tuple)) else 1
        return read(who, *given, **options)

    return counting
