"""Stock from item ledger entries, with open sales and purchase lines as demand and supply.

All three are queries of the analytics API with `DataAccessIntent = ReadOnly`: a replica answers them, so figures carry
the age that is assumed of it. Quantities on hand are sums of the remaining quantities of open entries, which is how
Business Central itself has inventory; transfers, assembly and production are not among them.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

from app.auth.principal import Principal
from app.http.odata import MAX_KEYS, ODataQuery, all_of, any_of
from app.sources.business_central.client import BusinessCentralClient, sendable
from app.sources.business_central.options import BusinessCentralOptions
from app.sources.business_central.rows import BCItemUnitRow, BCLedgerRow, BCPurchaseSupplyRow, BCSalesDemandRow
from app.sources.stock import StockLevel, StockPosition, Supply, SupplyKind
from app.sources.values import Freshness

REPLICA = "read from a replica that lags behind the database"
ORDERS_ONLY = "documentType eq 'Order'"
SETS = (
    ("itemLedgerEntries", BCLedgerRow, "open eq true"),
    ("outstandingSalesLines", BCSalesDemandRow, ORDERS_ONLY),
    ("outstandingPurchaseLines", BCPurchaseSupplyRow, ORDERS_ONLY),
)


class Figures:
    """The rows of one item, by location."""

    def __init__(self) -> None:
        self.on_hand: defaultdict[str, Decimal] = defaultdict(Decimal)
        self.supply: defaultdict[str, list[Supply]] = defaultdict(list)
        self.orders: set[str] = set()


class BusinessCentralStock:
    """Levels by SKU: a request for the items, and a batch for their entries and open lines."""

    def __init__(
        self, client: BusinessCentralClient, options: BusinessCentralOptions, clock: Callable[[], datetime]
    ) -> None:
        self._client = client
        self._default_location = options.default_location
        self._lag = timedelta(seconds=options.replica_lag)
        self._clock = clock

    async def levels(self, principal: Principal, skus: Sequence[str]) -> Mapping[str, StockLevel]:
        """See `Stock.levels`."""
        now, keys = self._clock(), sendable(skus)
        if not keys:
            return {}
        units, figures = await asyncio.gather(
            self._client.rows("items", BCItemUnitRow, "number", keys, call="stock.items"),
            self._figures(keys, now.date()),
        )
        found = {row.number: row.base_unit_of_measure_code for row in units}
        freshness = Freshness(source=self._client.source, as_of=now - self._lag, reason=REPLICA)
        return {key: _level(key, found[key], figures[key], freshness) for key in keys if key in found}

    async def _figures(self, keys: Sequence[str], today: date) -> Mapping[str, Figures]:
        queries = [
            (entity_set, ODataQuery(filter=all_of(any_of("itemNo", keys[start : start + MAX_KEYS]), also)), row)
            for start in range(0, len(keys), MAX_KEYS)
            for entity_set, row, also in SETS
        ]
        found: defaultdict[str, Figures] = defaultdict(Figures)
        for rows in await self._client.analytics(queries, call="stock"):
            for row in rows:
                location = row.location_code or self._default_location
                if location is not None:
                    self._add(found[row.item_no], location, row, today)
        return found

    @staticmethod
    def _add(
        figures: Figures, location: str, row: BCLedgerRow | BCSalesDemandRow | BCPurchaseSupplyRow, today: date
    ) -> None:
        if isinstance(row, BCLedgerRow):
            figures.on_hand[location] += row.remaining_quantity
            return
        if isinstance(row, BCSalesDemandRow):
            figures.orders.add(row.document_no)
            change = Supply(
                date=max(row.shipment_date, today),
                delta=-row.outstanding_qty_base,
                kind=SupplyKind.DEMAND,
                order=row.document_no,
            )
        else:
            change = Supply(
                date=max(row.expected_receipt_date, today), delta=row.outstanding_qty_base, kind=SupplyKind.RECEIPT
            )
        figures.supply[location].append(change)


def _level(sku: str, uom: str, figures: Figures, freshness: Freshness) -> StockLevel:
    return StockLevel(
        sku=sku,
        uom=uom,
        positions=tuple(
            StockPosition(
                sku=sku,
                warehouse=location,
                on_hand=figures.on_hand[location],
                supply=tuple(sorted(figures.supply[location], key=lambda change: (change.date, change.delta))),
            )
            for location in sorted({*figures.on_hand, *figures.supply})
        ),
        orders=frozenset(figures.orders),
        freshness=freshness,
    )
