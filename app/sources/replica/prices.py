"""Contract prices of a replica: the source's own price lines, chosen by unit, day and quantity."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from app.auth.principal import Principal
from app.sources.prices import Certainty, ContractPrice, PriceBreak, PriceReason, PriceRequest
from app.sources.replica.datasets import DATASETS, ReplicaPriceRow, composite_key
from app.sources.replica.freshness import FeedAges
from app.sources.replica.store import ReplicaStore, StoredRow
from app.sources.values import Money

_PRICES = DATASETS["prices"]


@dataclass(frozen=True, slots=True)
class ReplicaPrices:
    """Prices of customers. A request without a unit finds the lines of the only unit that there are lines for."""

    store: ReplicaStore
    ages: FeedAges
    clock: Callable[[], datetime]

    async def quote(
        self, principal: Principal, requests: Sequence[PriceRequest]
    ) -> Mapping[PriceRequest, ContractPrice]:
        keys = {composite_key(request.customer, request.sku) for request in requests}
        found, today = await self.store.rows(_PRICES, keys), self.clock().date()
        prices: dict[PriceRequest, ContractPrice] = {}
        for request in requests:
            lines = found.get(composite_key(request.customer, request.sku), [])
            price = self._price(request, _applicable(lines, request, request.on or today))
            if price is not None:
                prices[request] = price
        return prices

    def _price(self, request: PriceRequest, lines: Sequence[StoredRow]) -> ContractPrice | None:
        reached = [line for line in lines if line.row.minimum <= request.quantity]
        if not reached:
            return None
        chosen = reached[-1]
        row: ReplicaPriceRow = chosen.row
        reason = PriceReason(
            contract=row.contract,
            price_list=row.price_list,
            certainty=Certainty.KNOWN if row.contract or row.price_list else Certainty.OPAQUE,
        )
        return ContractPrice(
            customer=row.customer,
            sku=row.sku,
            uom=row.uom,
            quantity=request.quantity,
            unit_price=Money(amount=row.unit_price, currency=row.currency),
            price_unit=row.price_unit,
            list_price=None if row.list_price is None else Money(amount=row.list_price, currency=row.currency),
            breaks=tuple(
                PriceBreak(
                    minimum=line.row.minimum, unit_price=Money(amount=line.row.unit_price, currency=line.row.currency)
                )
                for line in lines
            ),
            reason=reason,
            valid_from=row.valid_from,
            valid_to=row.valid_to,
            authority=self.store.source,
            quoted_at=chosen.as_of,
            freshness=self.ages.freshness(_PRICES, min(line.as_of for line in lines)),
        )


def _applicable(lines: Sequence[StoredRow], request: PriceRequest, on: date) -> list[StoredRow]:
    """The lines of a unit that are valid on a day, by quantity; of several for a quantity the one that began last."""
    units = {line.row.uom for line in lines}
    uom = request.uom or (next(iter(units)) if len(units) == 1 else None)
    valid = [
        line
        for line in lines
        if line.row.uom == uom
        and (line.row.valid_from is None or line.row.valid_from <= on)
        and (line.row.valid_to is None or line.row.valid_to >= on)
    ]
    valid.sort(key=lambda line: (line.row.minimum, line.row.valid_from or date.min))
    return list({line.row.minimum: line for line in valid}.values())
