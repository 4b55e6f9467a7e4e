"""The result of a reconciliation, and the last one of each tenant as the store has it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from app.intake.records import OrderIntake
from app.sources.values import Record

MAX_DISCREPANCIES = 200
"""Discrepancies that are stored of one reconciliation; all are counted."""


class Discrepancy(Record):
    """An intake that its target disagrees with. `doubled`: several orders have its key. `missing`: it is POSTED, and
    the target has no order of its key that is not cancelled. `unrecorded`: it is not POSTED, and the target has one."""

    kind: str
    intake: OrderIntake
    orders: tuple[str, ...] = ()


class ReconciledKey(Record):
    """A discrepancy as it is stored: the intake's id, and the numbers of the orders that have its key."""

    kind: str
    id: str
    customer: str
    customer_po: str
    target: str
    orders: tuple[str, ...] = ()


class ReconciliationResult(Record):
    """How many intakes of a tenant were compared, received since a time, and what differs: `doubled` counts keys with
    several orders. Times are in seconds since 1970. `failure` is the code of the error that ended it early."""

    since: float
    finished: float
    compared: int = 0
    doubled: int = 0
    missing: int = 0
    unrecorded: int = 0
    keys: tuple[ReconciledKey, ...] = ()
    failure: str | None = None


class ReconciliationStatus(Record):
    """The last result of a tenant, and whether a reconciliation runs now."""

    running: bool = False
    last: ReconciliationResult | None = None


class Reconciliation(Record):
    """How many intakes of each tenant were compared, and what differs."""

    compared_by_tenant: Mapping[str, int]
    discrepancies: tuple[Discrepancy, ...] = ()

    @property
    def compared(self) -> int:
        """How many intakes were compared."""
        return sum(self.compared_by_tenant.values())

    @property
    def doubled(self) -> int:
        """How many keys have several orders."""
        return _count(self.discrepancies, "doubled")

    def result_of(self, tenant: str, since: float, finished: float) -> ReconciliationResult:
        """The result as it is stored for a tenant."""
        own = [one for one in self.discrepancies if one.intake.tenant == tenant]
        return ReconciliationResult(
            since=since,
            finished=finished,
            compared=self.compared_by_tenant.get(tenant, 0),
            doubled=_count(own, "doubled"),
            missing=_count(own, "missing"),
            unrecorded=_count(own, "unrecorded"),
            keys=tuple(map(_key, sorted(own, key=lambda one: one.kind)[:MAX_DISCREPANCIES])),
        )


def _count(found: Iterable[Discrepancy], kind: str) -> int:
    return sum(one.kind == kind for one in found)


def _key(one: Discrepancy) -> ReconciledKey:
    return ReconciledKey(
        kind=one.kind,
        id=one.intake.id,
        customer=one.intake.customer,
        customer_po=one.intake.customer_po,
        target=one.intake.target,
        orders=one.orders,
    )
