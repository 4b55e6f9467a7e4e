"""The store of intakes: idempotent insertion, the queue, claims, outcomes and decisions.

    submit ──> RECEIVED / POSTING ──claim──> begin_attempt ──> POST ──> complete
                    HELD / REJECTED                └── lease lost: nothing is sent

The table is the queue: a partial index holds the intakes that are RECEIVED or POSTING. An intake is claimed by one
owner for the time of a lease, and only if no earlier one of its customer is queued.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from app.intake.reconciliation import ReconciliationResult, ReconciliationStatus
from app.intake.records import IntakeFilter, IntakeState, OrderChange, OrderIntake, QueueDepth

Change = Callable[[OrderIntake, float], OrderIntake]
"""Returns an intake as it is to be, at a time; raises to leave it as it is."""


class Submitted(NamedTuple):
    """The intake of a key, and whether this call has inserted it."""

    intake: OrderIntake
    created: bool


class IntakeKey(NamedTuple):
    """The scope of a key and the key."""

    tenant: str
    client: str
    mutation: str
    key: str


class IntakePage(NamedTuple):
    """Intakes, newest first, each with its position; `total` counts those of all pages, where it was requested."""

    rows: Sequence[tuple[int, OrderIntake]]
    has_next: bool
    total: int | None = None


class IntakeStore(Protocol):
    """Every method is atomic, and durable when it returns. Raises StoreUnavailable."""

    async def submit(self, intake: OrderIntake, *, guard_po: float) -> Submitted:
        """Insert an intake, unless its key is known: then the known one is returned if its digest is the same, else
        raises KeyReused. Simultaneous calls insert one. An intake whose purchase order number the customer has used
        within `guard_po` seconds is HELD with DUPLICATE_PO, unless it allows that."""
        ...

    async def by_id(self, ids: Sequence[str]) -> Mapping[str, OrderIntake]:
        """Intakes by id; unknown ids are absent."""
        ...

    async def by_key(self, keys: Sequence[IntakeKey]) -> Mapping[IntakeKey, OrderIntake]:
        """Intakes by key; unknown keys are absent."""
        ...

    async def by_order(self, target: str, order_ids: Sequence[str]) -> Mapping[str, OrderIntake]:
        """Posted intakes by the id of their order in the target; orders that came another way are absent."""
        ...

    async def page(self, query: IntakeFilter, first: int, before: int | None = None) -> IntakePage:
        """A page, newest first; with `before`, of intakes inserted before that position."""
        ...

    async def count(self, query: IntakeFilter) -> int:
        """How many intakes a filter selects."""
        ...

    async def claim(
        self, target: str, owner: str, limit: int, lease: float, state: IntakeState | None = None
    ) -> Sequence[OrderIntake]:
        """Claim up to `limit` due intakes of a target, in a state if one is named, for `lease` seconds, oldest first,
        at most one of a customer. An `owner` names one claim: use another one for the next."""
        ...

    async def begin_attempt(self, claimed: OrderIntake, lease: float, retry_in: float) -> OrderIntake | None:
        """Count an attempt and note the time before its request is sent; the lease is `lease` seconds from now, and no
        other attempt begins for `retry_in` seconds. None if the claim was lost: nothing may be sent."""
        ...

    async def complete(self, claimed: OrderIntake, changed: OrderIntake, *, delay: float | None = None) -> bool:
        """Record the outcome of a claim and end it; whether the claim was still held. A queued intake is due in `delay`
        seconds. A change that readers can see gets a new version."""
        ...

    async def change(self, id: str, version: int | None, change: Change) -> OrderIntake | None:
        """Change an intake that nobody has claimed; None if there is none of this id. Raises VersionConflict if it has
        another version than `version`, and IntakeBusy while it is claimed."""
        ...

    async def begin_order_change(self, given: OrderChange, retry_in: float) -> tuple[OrderChange, bool]:
        """The change of this key, and whether this call may send it: if the key is new, or its request was not
        sent, or was sent `retry_in` seconds ago without an outcome. Of simultaneous calls one may."""
        ...

    async def finish_order_change(self, finished: OrderChange) -> None:
        """Record the outcome of a change that this process has begun."""
        ...

    async def unpublished(self, limit: int = 500) -> Sequence[OrderIntake]:
        """Intakes of which a version was not handed to the event log yet, oldest first."""
        ...

    async def wait_changes(self, seconds: float) -> None:
        """Return as soon as there may be a version that the last `unpublished` did not see, written by this process;
        after `seconds` at the latest."""
        ...

    async def mark_published(self, versions: Mapping[str, int]) -> None:
        """Versions that the event log has, by id."""
        ...

    async def depths(self, query: IntakeFilter | None = None) -> Sequence[QueueDepth]:
        """How many of the intakes that match are in each state but POSTED, CANCELLED and REJECTED, by target."""
        ...

    async def begin_reconciliation(self, tenant: str, lease: float) -> bool:
        """Whether this call may reconcile the tenant: no other one runs that has begun within `lease` seconds."""
        ...

    async def finish_reconciliation(self, tenant: str, result: ReconciliationResult) -> None:
        """Store the last result of the tenant."""
        ...

    async def reconciliation(self, tenant: str) -> ReconciliationStatus:
        """The last result of the tenant, and whether a reconciliation runs."""
        ...

    async def wait_queue(self, seconds: float, target: str, state: IntakeState | None = None) -> None:
        """Return as soon as there may be an intake that the last claim of this target and state did not see, after
        `seconds` at the latest."""
        ...

    async def trim(self, age: float) -> int:
        """Delete intakes that were received more than `age` seconds ago and are not queued, and changes of orders that
        are as old; how many intakes."""
        ...

    async def close(self) -> None:
        """Close files and connections."""
        ...
