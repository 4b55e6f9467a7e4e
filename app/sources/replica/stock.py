"""Stock and balances of a replica."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from app.auth.principal import Principal
from app.sources.replica.datasets import DATASETS
from app.sources.replica.freshness import FeedAges
from app.sources.replica.store import ReplicaStore, StoredRow
from app.sources.stock import Balance, StockLevel, StockPosition, Supply

_STOCK, _SUPPLY, _BALANCES = DATASETS["stock"], DATASETS["supply"], DATASETS["balances"]


@dataclass(frozen=True, slots=True)
class ReplicaStock:
    """Levels from the datasets `stock` and `supply`. An item has positions in the warehouses that the files name."""

    store: ReplicaStore
    ages: FeedAges
    clock: Callable[[], datetime]

    async def levels(self, principal: Principal, skus: Sequence[str]) -> Mapping[str, StockLevel]:
        found = await self.store.rows_of((_STOCK, _SUPPLY), skus)
        supply, today = found[_SUPPLY.name], self.clock().date()
        return {sku: self._level(sku, rows, supply.get(sku, []), today) for sku, rows in found[_STOCK.name].items()}

    def _level(self, sku: str, rows: Sequence[StoredRow], supply: Sequence[StoredRow], today: date) -> StockLevel:
        planned: defaultdict[str, list[Supply]] = defaultdict(list)
        for stored in supply:
            one = stored.row
            planned[one.warehouse].append(
                Supply(date=max(one.date, today), delta=one.delta, kind=one.kind, order=one.order)
            )
        positions = tuple(
            StockPosition(
                sku=sku,
                warehouse=stored.row.warehouse,
                on_hand=stored.row.on_hand,
                reserved=stored.row.reserved,
                quality_hold=stored.row.quality_hold,
                safety_stock=stored.row.safety_stock,
                in_transfer=stored.row.in_transfer,
                supply=tuple(sorted(planned[stored.row.warehouse], key=lambda one: one.date)),
            )
            for stored in rows
        )
        orders = frozenset(stored.row.order for stored in supply if stored.row.order is not None)
        as_of = min(stored.as_of for stored in (*rows, *supply))
        return StockLevel(
            sku=sku,
            uom=rows[0].row.uom,
            positions=positions,
            orders=orders,
            freshness=self.ages.freshness(_STOCK, as_of),
        )


@dataclass(frozen=True, slots=True)
class ReplicaBalances:
    """Balances from the dataset `balances`."""

    store: ReplicaStore

    async def balances(
        self, principal: Principal, warehouses: Sequence[str], skus: Sequence[str]
    ) -> Mapping[tuple[str, str], Balance]:
        if not warehouses:
            return {}
        requested = set(warehouses)
        found = await self.store.rows(_BALANCES, skus)
        return {
            (stored.row.warehouse, sku): Balance(
                warehouse=stored.row.warehouse,
                sku=sku,
                on_hand=stored.row.on_hand,
                quality_hold=stored.row.quality_hold,
                as_of=stored.row.as_of or stored.as_of,
            )
            for sku, rows in found.items()
            for stored in rows
            if stored.row.warehouse in requested
        }
