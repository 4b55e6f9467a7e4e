"""Reconciliation: compares intakes with the orders of their targets by key, and counts keys with more than one order.

Where a target has no unique key, an order that it creates later than `max_seconds` after a request may be doubled. This
finds it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

from app.auth.principal import SYSTEM
from app.intake.records import IntakeFilter, IntakeState, OrderIntake
from app.intake.store import IntakeStore
from app.sources.order_writer import OrderWriter, WrittenOrder
from app.sources.values import Record
from app.telemetry import log

PAGE = 500
CHUNK = 100
"""Intakes read of the store, and keys of one look-up."""


class Discrepancy(Record):
    """An intake that its target disagrees with. `doubled`: several orders have its key. `missing`: it is POSTED, and
    the target has no order of its key that is not cancelled. `unrecorded`: it is not POSTED, and the target has one."""

    kind: str
    intake: OrderIntake
    orders: tuple[str, ...] = ()


class Reconciliation(Record):
    """How many intakes were compared, and what differs."""

    compared: int
    discrepancies: tuple[Discrepancy, ...] = ()

    @property
    def doubled(self) -> int:
        """How many keys have several orders."""
        return sum(one.kind == "doubled" for one in self.discrepancies)


async def reconcile(store: IntakeStore, writers: Mapping[str, OrderWriter], since: float) -> Reconciliation:
    """Compare the intakes received since a time, in seconds since 1970, that may have an order. Raises SourceError,
    StoreUnavailable."""
    compared = 0
    found: list[Discrepancy] = []
    async for intakes in pages_since(store, since):
        for target, writer in writers.items():
            own = [one for one in intakes if one.target == target]
            for start in range(0, len(own), CHUNK):
                chunk = own[start : start + CHUNK]
                orders = await writer.find(SYSTEM, [one.id for one in chunk])
                compared += len(chunk)
                found += _discrepancies(chunk, orders)
    for one in found:
        log.error(
            "intake_discrepancy", kind=one.kind, intake=one.intake.id, source=one.intake.target, orders=one.orders
        )
    return Reconciliation(compared=compared, discrepancies=tuple(found))


async def pages_since(store: IntakeStore, since: float) -> AsyncIterator[Sequence[OrderIntake]]:
    """Intakes received since a time that may have an order."""
    before: int | None = None
    while True:
        page = await store.page(IntakeFilter(), PAGE, before)
        recent = [one for _, one in page.rows if one.received >= since]
        yield [one for one in recent if one.state is IntakeState.POSTED or one.may_have_been_sent]
        if not page.has_next or len(recent) < len(page.rows):
            return
        before = page.rows[-1][0]


def _discrepancies(
    intakes: Sequence[OrderIntake], orders: Mapping[str, tuple[WrittenOrder, ...]]
) -> Sequence[Discrepancy]:
    found: list[Discrepancy] = []
    for intake in intakes:
        numbers = tuple(one.number for one in orders.get(intake.id, ()))
        posted = intake.state is IntakeState.POSTED
        if len(numbers) > 1:
            found.append(Discrepancy(kind="doubled", intake=intake, orders=numbers))
        elif posted and not numbers:
            found.append(Discrepancy(kind="missing", intake=intake))
        elif numbers and not posted:
            found.append(Discrepancy(kind="unrecorded", intake=intake, orders=numbers))
    return found
