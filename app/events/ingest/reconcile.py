"""What to fetch again when changes may have been missed: a source's subjects that are not in a final state."""

from __future__ import annotations

from datetime import datetime

from app.events.invalidation import ANNOUNCED_KINDS
from app.events.log import ChangeEvent, EventLog
from app.events.stores.cursors import BEGINNING
from app.sources.changes import ChangeHint, ChangeKind
from app.sources.source import Source

FINAL = {
    ChangeKind.SHIPMENT: frozenset({"DELIVERED", "RETURN_TO_SENDER"}),
    ChangeKind.ORDER: frozenset({"DELIVERED", "CANCELLED"}),
    ChangeKind.QUOTE: frozenset({"ACCEPTED", "DECLINED", "EXPIRED", "WITHDRAWN"}),
    ChangeKind.RETURN: frozenset({"CREDITED", "REFUSED", "CANCELLED"}),
}
"""Statuses after which a thing hardly changes."""


async def open_hints(events: EventLog, source: Source, now: datetime) -> list[ChangeHint]:
    """A hint for each open subject of a source."""
    found: dict[tuple[ChangeKind, str], ChangeEvent] = {}
    page = await events.read(BEGINNING)
    while page.entries:
        for update in (entry.update for entry in page.entries if _is_published_by(entry.update, source)):
            found[update.kind, update.key] = update
        page = await events.read(page.cursor)
    open_events = [update for update in found.values() if not update.deleted and not _is_final(update)]
    named = [(update.kind, key) for update in open_events if (key := _key(update, source)) is not None]
    return [
        ChangeHint(source=source.name, id=f"again:{now.isoformat()}:{kind}:{key}", kind=kind, key=key, received_at=now)
        for kind, key in named
    ]


def _is_published_by(update: ChangeEvent, source: Source) -> bool:
    return update.source == source.name and update.kind not in ANNOUNCED_KINDS


def _is_final(update: ChangeEvent) -> bool:
    return update.status in FINAL.get(update.kind, ())


def _key(update: ChangeEvent, source: Source) -> str | None:
    """The key that the source's hints have; None for a shipment that comes with its order."""
    if update.kind is not ChangeKind.SHIPMENT:
        return update.key
    if source.shipments is None:
        return None
    return update.tracking_number if source.shipment_hint_key == "tracking_number" else update.key
