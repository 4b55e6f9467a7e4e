"""Simulated order intake: reading intakes calls no source, reading beyond them does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from app.auth.principal import Principal
from app.gateway.explain.read_log import WeightedKey, key_weight
from app.gateway.explain.simulated_records import SIMULATED_AT, Assumptions
from app.intake.commands import MAX_OPEN, IntakeCommands
from app.intake.records import IntakeContent, IntakeFilter, IntakeLine, IntakeState, OrderIntake
from app.intake.store import IntakePage
from app.sources.order_writer import AcceptedQuote
from app.sources.source import Sources


class SimulatedIntakes(IntakeCommands):
    """Intakes that are all posted. One stands for many by the weight of its id."""

    def __init__(self, sources: Sources, assume: Assumptions) -> None:
        self._assume = assume
        self._target = sources.order_targets.routes.master if sources.order_targets is not None else ""
        self.max_lines = 1

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, OrderIntake]:
        return {id: self._intake(id) for id in ids}

    async def by_key(self, principal: Principal, key: str) -> OrderIntake | None:
        return self._intake(key)

    async def by_order(
        self, principal: Principal, orders: Sequence[tuple[str, str]]
    ) -> Mapping[tuple[str, str], OrderIntake]:
        return {(source, id): self._intake(id) for source, id in orders}

    async def acceptances(
        self, principal: Principal, quotes: Sequence[tuple[str, str]]
    ) -> Mapping[tuple[str, str], OrderIntake]:
        return {(source, id): self._intake(id) for source, id in quotes}

    async def open_of(
        self, principal: Principal, customers: Sequence[str], first: int, posted_within: int = 0
    ) -> Mapping[str, Sequence[OrderIntake]]:
        each = {number: min(key_weight(number) * first, MAX_OPEN) for number in customers}
        return {number: [self._intake(WeightedKey(f"{number}-open", rows))] for number, rows in each.items() if rows}

    async def page(self, principal: Principal, query: IntakeFilter, first: int, before: int | None) -> IntakePage:
        return IntakePage([(0, self._intake(WeightedKey("I0", first)))], has_next=True)

    async def not_proceeding(self, principal: Principal, first: int, before: int | None, *, count: bool) -> IntakePage:
        return await self.page(principal, IntakeFilter(), first, before)

    async def awaiting_approval(self, principal: Principal, first: int, before: int | None) -> IntakePage:
        return await self.page(principal, IntakeFilter(), first, before)

    def _intake(self, id: str) -> OrderIntake:
        weight = key_weight(id)
        line = IntakeLine(line_number=1, sku=WeightedKey(f"{id}-sku", weight * self._assume.lines), quantity=Decimal(1))
        order = WeightedKey(f"{id}-order", weight) if self._target else None
        quote = WeightedKey(f"{id}-quote", weight)
        accepted = AcceptedQuote(id=quote, version=1, accepted_at=SIMULATED_AT) if self._target else None
        return OrderIntake(
            id=id, tenant="", client="", key=id, digest="", state=IntakeState.POSTED, channel="", received=0.0,
            since=0.0, submitted_by="", customer=self._assume.customer, customer_po=id, target=self._target,
            due_at=0.0, order_id=order, order_number=order, content=IntakeContent(lines=(line,), quote=accepted),
        )  # fmt: skip
