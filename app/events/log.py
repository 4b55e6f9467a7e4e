"""The event log: what the gateway learned, in the order it learned it, so that nothing is lost or comes twice.

    source ──> hint ──(a worker reads the thing again)──> update ──> subscribers, endpoints, `changes`

A *hint* says that there is something new about a shipment, an order or an item's stock; it is what a webhook or a
change feed brings. An *update* is the fact that such a thing was read again and had changed. Updates have a place in
the log, the *cursor*, which means the same in every worker and after every restart.
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
    """A hint that was given up, and why."""

    number: str
    hint: ChangeHint
    attempts: int
    cause: str
    at: datetime


class ChangeEvent(Record):
    """A thing changed. `key` is its key in the source; `node_id` its id in the graph. `customer`, `orders` and
    `tracking_number` are what subscribers find it by. `status` and `raw_code` are what it came to, `digest` stands for
    all that subscribers can see of it: where it is the same as before, nothing has changed. `was` is the customer whose
    it was until then, where it is another's now."""

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


class LoggedEvent(Record):
    """An update in its place. Reading on after `cursor` brings what came after it."""

    cursor: str
    update: ChangeEvent


class LossReason(StrEnum):
    """Why updates are gone: they were older, more or larger than what is kept; the place asked for is one of another
    log, such as one that was deleted; the log was put back to an earlier state and does not know that place."""

    EXPIRED = "EXPIRED"
    TOO_MANY = "TOO_MANY"
    TOO_LARGE = "TOO_LARGE"
    OTHER_LOG = "OTHER_LOG"
    RESTORED = "RESTORED"


class EventPage(Record):
    """Updates in order, between the places `start` and `cursor`. `start` is the place asked for. Where updates between
    that and the oldest that is kept are gone, `lost` says why, and `start` is the place before the oldest."""

    entries: tuple[LoggedEvent, ...] = ()
    start: str
    cursor: str
    lost: LossReason | None = None


class EventReader(Protocol):
    """What was recorded, for those who only read it; see `EventLog`."""

    async def end(self) -> str: ...

    async def read(self, after: str, limit: int = 500) -> EventPage: ...


class EventLog(Protocol):
    """Where events are kept. Each method is one atomic step that is durable when it returns; StoreUnavailable where
    that cannot be said."""

    async def enqueue(self, hints: Sequence[ChangeHint]) -> Sequence[bool]:
        """Append hints; for each whether it is new. One that is known by source and id is left out; one without an id
        is left out while an equal one (source, kind, key, deleted) waits that no worker has claimed."""
        ...

    async def wait_hints(self, seconds: float) -> None:
        """Return as soon as there may be hints to take that the last `take` did not see; at the latest after so
        long. Notices whose lease or postponement ends call nobody."""
        ...

    async def claim(self, worker: str, limit: int, lease: float) -> Sequence[LeasedHint]:
        """Up to `most` hints for a worker to work on, oldest first, for `lease` seconds: then another may take them.
        Of one thing (source, kind, key) no two calls have hints at once, even of one worker."""
        ...

    async def renew(self, leased: Sequence[LeasedHint], lease: float) -> None:
        """Go on with hints for `lease` seconds from now, but for those that are done or another's. So leases can be
        short, and what a worker had that was killed is taken soon."""
        ...

    async def record(self, leased: Sequence[LeasedHint], updates: Sequence[ChangeEvent]) -> Sequence[LoggedEvent]:
        """Append what came of hints, and be done with these. Nothing is appended, and nothing returned, where one of
        them was taken by another in the meantime, because the lease ended."""
        ...

    async def postpone(self, leased: LeasedHint, cause: str, seconds: float) -> None:
        """Try a hint again after `seconds`, and not before. The cause is stored with it."""
        ...

    async def postponed(self, limit: int = 100) -> Sequence[PostponedHint]:
        """Hints whose last attempt failed, by the time of the next one."""
        ...

    async def dead_letter(self, leased: LeasedHint, cause: str) -> None:
        """Give a hint up. It stays among the dead until it is replayed or trimmed."""
        ...

    async def dead_letters(self, limit: int = 100) -> Sequence[DeadHint]:
        """Notices that were given up, newest first."""
        ...

    async def replay(self, numbers: Sequence[str] | None = None) -> int:
        """Let dead hints be taken again, all by default; how many."""
        ...

    async def latest(self, kind: ChangeKind, source: str, key: str) -> ChangeEvent | None:
        """The last update of a thing, while it is kept."""
        ...

    async def newest(self, limit: int) -> Sequence[LoggedEvent]:
        """The newest updates, in order."""
        ...

    async def end(self) -> str:
        """The cursor after the newest update."""
        ...

    async def read(self, after: str, limit: int = 500) -> EventPage:
        """Updates after a cursor. Raises InvalidCursor for what is none of this log's kind."""
        ...

    async def wait(self, after: str, seconds: float) -> None:
        """Return as soon as there may be updates after a cursor, of whichever worker; at the latest after so long."""
        ...

    async def follows(self, first: str, second: str) -> bool:
        """Whether the second cursor's place is after the first's."""
        ...

    async def offset(self, name: str) -> str | None:
        """A reader's own place as it was kept last: a source's cursor, or an endpoint's."""
        ...

    async def commit_offset(self, name: str, cursor: str) -> None:
        """Keep a reader's place."""
        ...

    async def acquire_lease(self, name: str, worker: str, lease: float) -> bool:
        """Whether this worker does what one worker does for all, such as polling a source, for the next `lease`
        seconds."""
        ...

    async def observe_sequence(self, source: str, numbers: Sequence[int]) -> bool:
        """Add numbers to those seen of a source's sequence, by all workers together; whether they opened a gap."""
        ...

    async def reset_sequence(self, source: str) -> None:
        """Close the gaps of a source's sequence, once its feed was polled."""
        ...

    async def trim(self) -> int:
        """Drop what is older or more than the configured retention; how many updates went."""
        ...

    async def close(self) -> None:
        """Let go of files and connections."""
        ...
