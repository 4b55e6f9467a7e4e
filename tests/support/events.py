"""Notices and updates for tests of the event log and of what is built on it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from app.events.log import ChangeEvent
from app.sources.changes import ChangeHint, ChangeKind

THEN = datetime(2026, 11, 1, 9, 30, tzinfo=UTC)


def hint(id: str, key: str = "", **changed: Any) -> ChangeHint:
    """Something is new about a shipment: of its own, unless `key` names it."""
    given: dict[str, Any] = {"source": "parcels", "kind": ChangeKind.SHIPMENT, "key": key or id, "received_at": THEN}
    return ChangeHint(id=id, **{**given, **changed})


def update(key: str, **changed: Any) -> ChangeEvent:
    """A shipment changed."""
    given: dict[str, Any] = {"source": "parcels", "kind": ChangeKind.SHIPMENT, "recorded_at": THEN}
    return ChangeEvent(key=key, node_id=f"node-{key}", **{**given, **changed})
