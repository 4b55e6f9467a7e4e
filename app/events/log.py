"""The event log: what changed in the sources, in the order the gateway learned it, without loss or duplicates.

    source ──> hint ──(a worker fetches the subject again)──> event ──> subscribers, endpoints, `changes`

A *hint* says that a subject may have changed (a shipment, an order, an item's stock): a webhook or a change feed brings
it. An *event* records that the subject was fetched again and had changed. Events have a position in the log, the
*cursor*, which is valid in every worker and after every restart.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from app.sources.changes import ChangeHint, ChangeKind
from app.sources.values import Record


class LeasedHint(Record):
    """A hint that a worker has claimed. `number` is its position among hints; `attempts` includes this one."""

    number: str
    hint: ChangeHint
    attempts: int


class PostponedHint(Record):
    """A hint that is to be tried again at `until`, and the cause of its last failure."""

    number: str
    hint: ChangeHint
    attempts: int
    cause: str
    until: datetime


class DeadHint(Record):
    """A hint that was given up, and the cause."""

    number: str
    hint: ChangeHint
    attempts: int
    cause: str
    at: datetime


class ChangeEvent(Record):
    """A subject changed. `key` is its key in the source, `node_id` its id in the graph. Subscribers filter by
    `customer`, `orders` and `tracking_number`. `status` and `raw_code` are its state after the change. `digest` covers
    everything that subscribers can see of it: the same digest is no change. `was` is its former customer, if it moved
    to another one. `tenant` is that of its source; None is visible to all tenants. `assigned_to` is the salesperson to
    whom the customer was assigned, or from whom it was taken: only their `changes` return such an event."""

    kind: ChangeKind
    source: str
    key: str
    node_id: str
    at: datetime | None = None
    recorded_at: datetime
    customer: str | None = None
    orders: tuple[str, ...] = ()
    tracking_number: str | None = None
    status: str | None = None
    raw_code: str | None = None
    digest: str | None = None
    deleted: bool = False
    was: str | None = None
    tenant: str | None = None
    assigned_to: str | None = None


class LoggedEvent(Record):
    """An event with its position: what follows `cursor` comes after it."""

    cursor: str
    update: ChangeEvent


class LossReason(StrEnum):
    """Why events are missing: they exceeded the retention by age, number or size; the cursor is one of another log,
    such as one that was deleted; the log was restored to an earlier state."""

    EXPIRED = "EXPIRED"
    TOO_MANY = "TOO_MANY"
    TOO_LARGE = "TOO_LARGE"
    OTHER_LOG = "OTHER_LOG"
    RESTORED = "RESTORED"


class EventPage(Record):
    """Events in order, between the cursors `start` and `cursor`. `start` is the requested cursor, or, where events
    after that are missing for the reason `lost`, the one before the oldest event."""

    entries: tuple[LoggedEvent, ...] = ()
    start: str
    cursor: str
    lost: LossReason | None = None


class EventReader(Protocol):
    """Read access to the log; see `EventLog`."""

    async def end(self) -> str: ...

    async def read(self, after: str, limit: int = 500) -> EventPage: ...


class EventLog(Protocol):
    """The store of events and hints. Each method is atomic, and durable when it returns. Raises StoreUnavailable."""

    async def enqueue(self, hints: Sequence[ChangeHint]) -> Sequence[bool]:
        """Append hints; for each whether it is new. One that is known by source and id is left out; one without an id
        is left out while an equal one (source, kind, key, deleted) waits that no worker has claimed."""
        ...

    async def wait_hints(self, seconds: float) -> None:
        """Return as soon as there may be hints that the last `claim` did not see, after `seconds` at the latest. The
        end of a lease or postponement wakes nobody."""
        ...

    async def claim(self, worker: str, limit: int, lease: float) -> Sequence[LeasedHint]:
        """Lease up to `limit` hints to a worker for `lease` seconds, oldest first. Hints of one subject (source, kind,
        key) are never leased by two calls at once, even of one worker."""
        ...

    async def renew(self, leased: Sequence[LeasedHint], lease: float) -> None:
        """Extend leases to `lease` seconds from now, except those that were completed or claimed by another worker.
        Leases are short, so that a killed worker's hints are claimed soon."""
        ...

    async def record(self, leased: Sequence[LeasedHint], updates: Sequence[ChangeEvent]) -> Sequence[LoggedEvent]:
        """Append the events that came of hints and complete these. Appends and returns nothing if another worker has
        claimed one of them since."""
        ...

    async def postpone(self, leased: LeasedHint, cause: str, seconds: float) -> None:
        """Try a hint again after `seconds`, and not before. The cause is stored with it."""
        ...

    async def postponed(self, limit: int = 100) -> Sequence[PostponedHint]:
        """Hints whose last attempt failed, by the time of the next one."""
        ...

    async def dead_letter(self, leased: LeasedHint, cause: str) -> None:
        """Give a hint up. It is a dead letter until it is replayed or trimmed."""
        ...

    async def dead_letters(self, limit: int = 100) -> Sequence[DeadHint]:
        """Hints that were given up, newest first."""
        ...

    async def replay(self, numbers: Sequence[str] | None = None) -> int:
        """Enqueue dead letters again, all by default; how many."""
        ...

    async def latest(self, kind: ChangeKind, source: str, key: str) -> ChangeEvent | None:
        """The last event of a subject, if the log still has it."""
        ...

    async def newest(self, limit: int) -> Sequence[LoggedEvent]:
        """The newest events, in order."""
        ...

    async def end(self) -> str:
        """The cursor of the newest event."""
        ...

    async def read(self, after: str, limit: int = 500) -> EventPage:
        """Events after a cursor. Raises InvalidCursor for what is not a cursor of an event log."""
        ...

    async def wait(self, after: str, seconds: float) -> None:
        """Return as soon as there may be events after a cursor, written by any worker; after `seconds` at the
        latest."""
        ...

    async def follows(self, first: str, second: str) -> bool:
        """Whether the second cursor is after the first."""
        ...

    async def offset(self, name: str) -> str | None:
        """A reader's committed offset: the cursor of a source's feed, or an endpoint's."""
        ...

    async def commit_offset(self, name: str, cursor: str) -> None:
        """Commit a reader's offset."""
        ...

    async def acquire_lease(self, name: str, worker: str, lease: float) -> bool:
        """Whether this worker holds a named lease for the next `lease` seconds, such as that to poll a source."""
        ...

    async def observe_sequence(self, source: str, numbers: Sequence[int]) -> bool:
        """Add numbers to those seen of a source's sequence, by all workers together; whether they opened a gap."""
        ...

    async def reset_sequence(self, source: str) -> None:
        """Close the gaps of a source's sequence, once its feed was polled."""
        ...

    async def trim(self) -> int:
        """Delete what exceeds the configured retention; how many events."""
        ...

    async def close(self) -> None:
        """Close files and connections."""
        ...
