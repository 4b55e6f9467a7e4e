"""Stock by plant, and the periods of the availability check where a checking rule is configured.

Stock types are those of the domain INSMK of goods movements: 01 unrestricted use, 02 quality inspection, 04 to 06 in
transfer or transit; returns (03) and blocked stock (07) are not counted. Special stocks, such as consignment, are left
out. The check returns what can be promised in each period; the differences between periods become dated supply, so
that the balance of a day is S/4HANA's own figure.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from urllib.parse import quote

from app.auth.principal import Principal
from app.http.odata import all_of, any_of
from app.http.odata_v2 import literal
from app.sources.sap_s4hana.client import AVAILABILITY, MATERIAL, PRODUCTS, STOCK, S4HANAClient, external, sendable
from app.sources.sap_s4hana.options import S4HANAOptions
from app.sources.sap_s4hana.rows import SAPAvailabilityRow, SAPBaseUnitRow, SAPStockRow
from app.sources.stock import StockLevel, StockPosition, Supply, SupplyKind
from app.sources.values import Freshness

UNRESTRICTED, QUALITY = "01", "02"
IN_TRANSFER = frozenset({"04", "05", "06"})
TIMESERIES = "CalculateAvailabilityTimeseries"

Figures = Mapping[tuple[str, str], Mapping[str, Decimal]]
Periods = Mapping[tuple[str, str], Sequence[SAPAvailabilityRow]]


class S4HANAStock:
    """Levels by SKU: a request for units and one for stock; with a checking rule a batch for the periods."""

    def __init__(self, client: S4HANAClient, options: S4HANAOptions, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._plants = sorted(options.plants)
        self._rule = options.atp_checking_rule
        self._clock = clock

    async def levels(self, principal: Principal, skus: Sequence[str]) -> Mapping[str, StockLevel]:
        """See `Stock.levels`."""
        now, keys = self._clock(), sendable(skus, MATERIAL)
        units, figures = await asyncio.gather(
            self._client.rows(PRODUCTS, "A_Product", SAPBaseUnitRow, "Product", keys, call="stock.units"),
            self._figures(keys),
        )
        found = {external(row.product): row.base_unit for row in units}
        # The check refuses a material that it does not know, so it is made only of those that exist.
        periods = await self._periods([key for key in keys if key in found])
        freshness = Freshness(source=self._client.source, as_of=now)
        return {
            key: StockLevel(
                sku=key,
                uom=found[key],
                positions=tuple(
                    self._position(key, plant, figures.get((key, plant), {}), periods.get((key, plant)), now.date())
                    for plant in self._plants
                    if (key, plant) in figures or (key, plant) in periods
                ),
                freshness=freshness,
            )
            for key in keys
            if key in found
        }

    async def _figures(self, keys: Sequence[str]) -> Figures:
        rows = await self._client.rows(
            STOCK,
            "A_MatlStkInAcctMod",
            SAPStockRow,
            "Material",
            keys,
            also=all_of(any_of("Plant", self._plants, literal), "InventorySpecialStockType eq ''"),
            call="stock",
        )
        found: dict[tuple[str, str], defaultdict[str, Decimal]] = {}
        for row in rows:
            types = found.setdefault((external(row.material), row.plant), defaultdict(Decimal))
            types[row.inventory_stock_type] += row.matl_wrhs_stk_qty_in_matl_base_unit
        return found

    async def _periods(self, keys: Sequence[str]) -> Periods:
        if self._rule is None or not keys:
            return {}
        pairs = [(key, plant) for key in keys for plant in self._plants]
        targets = [_timeseries(key, plant, self._rule) for key, plant in pairs]
        pages = await self._client.targets(AVAILABILITY, targets, SAPAvailabilityRow, call="stock.availability")
        return {pair: page.value for pair, page in zip(pairs, pages, strict=True) if page.value}

    def _position(
        self,
        sku: str,
        plant: str,
        figures: Mapping[str, Decimal],
        periods: Sequence[SAPAvailabilityRow] | None,
        today: date,
    ) -> StockPosition:
        zero = Decimal(0)
        free, quality = figures.get(UNRESTRICTED, zero), figures.get(QUALITY, zero)
        return StockPosition(
            sku=sku,
            warehouse=plant,
            on_hand=free + quality,
            quality_hold=quality,
            in_transfer=sum((figures.get(one, zero) for one in IN_TRANSFER), zero),
            supply=() if periods is None else self._supply(free, periods, today),
        )

    def _supply(self, free: Decimal, periods: Sequence[SAPAvailabilityRow], today: date) -> tuple[Supply, ...]:
        dated = sorted(
            (max(self._client.day(one.period_start_utc_date_time) or today, today), position, one)
            for position, one in enumerate(periods)
        )
        balance, supply = free, list[Supply]()
        for day, _, period in dated:
            delta = period.available_quantity_in_base_unit - balance
            balance = period.available_quantity_in_base_unit
            if delta:
                kind = SupplyKind.RECEIPT if delta > 0 else SupplyKind.DEMAND
                supply.append(Supply(date=day, delta=delta, kind=kind))
        return tuple(supply)


def _timeseries(material: str, plant: str, rule: str) -> str:
    values = {"ATPCheckingRule": rule, "Material": material, "SupplyingPlant": plant}
    pairs = "&".join(f"{name}={quote(literal(value), safe='')}" for name, value in values.items())
    return f"{TIMESERIES}?{pairs}&$format=json"
