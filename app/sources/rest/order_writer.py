"""Orders in over the `rest` contract: one call, with a key that the system keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.auth.principal import Principal
from app.sources.order_writer import LineQuantity, NewOrder, OrderNotAccepted, SimulatedLine, WrittenOrder
from app.sources.rest import contract_orders
from app.sources.rest.client import RESTClient

CREATED = "created"


@dataclass(frozen=True, slots=True)
class RestOrderWriter:
    """The writer of one system."""

    client: RESTClient
    unique_key: bool
    max_seconds: float
    amends: bool

    @property
    def steps(self) -> Sequence[str]:
        return (CREATED,)

    async def find(self, principal: Principal, keys: Sequence[str]) -> Mapping[str, tuple[WrittenOrder, ...]]:
        found = await self.client.read_keys(
            contract_orders.FIND_ORDERS, keys, lambda chunk: contract_orders.OrderKeysRead(keys=chunk)
        )
        return {key: tuple(_written(key, row) for row in rows) for key, rows in found}

    async def post(self, principal: Principal, order: NewOrder, found: WrittenOrder | None = None) -> WrittenOrder:
        if found is not None:
            return found
        created = await self.client.write(contract_orders.CREATE_ORDER, order)
        if isinstance(created, contract_orders.Refusal):
            raise _not_accepted(created)
        return _written(order.key, created)

    async def simulate(self, principal: Principal, order: NewOrder) -> Sequence[SimulatedLine] | None:
        lines = await self.client.write(contract_orders.SIMULATE_ORDER, order)
        if isinstance(lines, contract_orders.Refusal):
            raise _not_accepted(lines)
        return lines

    async def cancel(self, principal: Principal, order: WrittenOrder, reason: str) -> None:
        answer = await self.client.write(
            contract_orders.CANCEL_ORDER, contract_orders.OrderCancellation(id=order.id, reason=reason)
        )
        if isinstance(answer, contract_orders.Refusal):
            raise _not_accepted(answer)

    async def amend(
        self, principal: Principal, order: WrittenOrder, lines: Sequence[LineQuantity], reason: str
    ) -> None:
        body = contract_orders.OrderAmendment(id=order.id, lines=tuple(lines), reason=reason)
        answer = await self.client.write(contract_orders.AMEND_ORDER, body)
        if isinstance(answer, contract_orders.Refusal):
            raise _not_accepted(answer)


def _written(key: str, row: contract_orders.CreatedOrder) -> WrittenOrder:
    return WrittenOrder(key=key, id=row.id, number=row.number, step=CREATED)


def _not_accepted(refusal: contract_orders.Refusal) -> OrderNotAccepted:
    lines = [problem.line_number for problem in refusal.problems if problem.line_number is not None]
    detail = f"{refusal.code}: {refusal.detail or refusal.title}"
    picked = refusal.code == contract_orders.ALREADY_PICKED
    return OrderNotAccepted(lines=lines, held=refusal.held, picked=picked, detail=detail)
