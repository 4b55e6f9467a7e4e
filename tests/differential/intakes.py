"""Submitted orders in the world of the differential tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from app.auth.principal import Principal
from app.intake.commands import IntakeCommands
from app.intake.records import OPEN_STATES, IntakeContent, IntakeFilter, IntakeLine, IntakeState, OrderIntake
from app.intake.store import IntakePage
from app.sources.order_writer import AcceptedQuote
from tests.differential.keys import CUSTOMERS, INTAKES, NOW, SKUS

if TYPE_CHECKING:
    from tests.differential.world import World

TARGETS = ("erp", "erp2", "shop")


class Intakes(IntakeCommands):
    """Intakes in all states, some of them posted to each system. Positions are numbers, newest first."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rows = [self._intake(at, id) for at, id in enumerate(INTAKES)]

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, OrderIntake]:
        await self._world.asked("intakes.by_id", ids)
        return {row.id: row for row in self._visible(principal) if row.id in ids}

    async def by_key(self, principal: Principal, key: str) -> OrderIntake | None:
        await self._world.asked("intakes.by_key", [key])
        return next((row for row in self._visible(principal) if row.key == key), None)

    async def by_order(
        self, principal: Principal, orders: Sequence[tuple[str, str]]
    ) -> Mapping[tuple[str, str], OrderIntake]:
        await self._world.asked("intakes.by_order", orders)
        found = {(row.target, row.order_id): row for row in self._visible(principal) if row.order_id is not None}
        return {key: found[key] for key in orders if key in found}

    async def acceptances(
        self, principal: Principal, quotes: Sequence[tuple[str, str]]
    ) -> Mapping[tuple[str, str], OrderIntake]:
        await self._world.asked("intakes.acceptances", quotes)
        found = {row.quote_key: row for row in self._visible(principal) if row.quote_key is not None}
        return {key: found[key] for key in quotes if key in found}

    async def open_of(
        self, principal: Principal, customers: Sequence[str], first: int, posted_within: int = 0
    ) -> Mapping[str, Sequence[OrderIntake]]:
        await self._world.asked("intakes.open_of", customers)
        rows = [row for row in self._visible(principal) if row.state in OPEN_STATES]
        return {number: [row for row in rows if row.customer == number][:first] for number in customers}

    async def page(self, principal: Principal, query: IntakeFilter, first: int, before: int | None) -> IntakePage:
        await self._world.asked("intakes.page", [query])
        rows = [
            (int(row.id), row)
            for row in reversed(self._visible(principal))
            if (before is None or int(row.id) < before)
            and (query.states is None or row.state in query.states)
            and (query.customers is None or row.customer in query.customers)
            and (query.customer_po is None or row.customer_po == query.customer_po)
        ]
        return IntakePage(rows[:first], has_next=len(rows) > first)

    async def not_proceeding(self, principal: Principal, first: int, before: int | None, *, count: bool) -> IntakePage:
        await self._world.asked("intakes.not_proceeding", [before])
        states = frozenset({IntakeState.HELD, IntakeState.FAILED})
        page = await self.page(principal, IntakeFilter(states=states), first, before)
        every = await self.page(principal, IntakeFilter(states=states), len(self._rows), None)
        return page._replace(total=len(every.rows)) if count else page

    async def awaiting_approval(self, principal: Principal, first: int, before: int | None) -> IntakePage:
        await self._world.asked("intakes.awaiting_approval", [before])
        states = frozenset({IntakeState.NEEDS_APPROVAL})
        return await self.page(principal, IntakeFilter(states=states), first, before)

    def _visible(self, principal: Principal) -> list[OrderIntake]:
        return [row for row in self._rows if principal.sees(row.customer)]

    def _intake(self, at: int, id: str) -> OrderIntake:
        made, state = self._world.made, list(IntakeState)[at % len(IntakeState)]
        order_id = str(at % 6) if state is IntakeState.POSTED else None
        skus = (SKUS[at % len(SKUS)], SKUS[(at + 1) % len(SKUS)])
        lines = tuple(
            made("intake line", (id, number), IntakeLine, line_number=number, sku=sku, order_key=None)
            for number, sku in enumerate(skus, 1)
        )
        quote = AcceptedQuote(id=str(at % 6), version=1, accepted_at=NOW) if at % 2 else None
        return made(
            "intake",
            id,
            OrderIntake,
            id=id,
            key=f"key-{id}",
            state=state,
            customer=CUSTOMERS[at % len(CUSTOMERS)],
            customer_po=f"PO-{id}",
            target=TARGETS[at // len(IntakeState) % len(TARGETS)],
            order_id=order_id,
            order_number=order_id and f"SO-{order_id}",
            received=NOW.timestamp() + at,
            since=NOW.timestamp(),
            due_at=NOW.timestamp() * (at % 2),
            sent_at=None,
            lease_until=None,
            content=made("intake content", id, IntakeContent, lines=lines, quote=quote),
        )
