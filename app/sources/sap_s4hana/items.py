"""Products with their descriptions and units; customers' own material numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from app.auth.principal import Principal
from app.errors import SourceMalformed
from app.http.odata import ODataQuery, all_of, any_of
from app.http.odata_v2 import literal
from app.sources.items import CustomerItemKey, CustomerPartKey, Item, Items, ItemStatus, Uom
from app.sources.sap_s4hana.client import (
    CUSTOMER_MATERIALS,
    MATERIAL,
    PRODUCTS,
    PURCHASE_ORDER,
    S4HANAClient,
    by_key,
    external,
    sendable,
)
from app.sources.sap_s4hana.options import S4HANAOptions
from app.sources.sap_s4hana.rows import SAPCustomerMaterialRow, SAPProductEANRow, SAPProductRow
from app.sources.values import Freshness, Ref

GTIN = 18


class S4HANAItems(Items):
    """Products by number and GTIN; one request, two by GTIN."""

    def __init__(self, client: S4HANAClient, options: S4HANAOptions, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._language = options.language
        self._area = all_of(
            f"SalesOrganization eq {literal(options.sales_organization)}",
            f"DistributionChannel eq {literal(options.distribution_channel)}",
        )
        self._clock = clock

    async def by_sku(self, principal: Principal, skus: Sequence[str]) -> Mapping[str, Item]:
        """See `Items.by_sku`."""
        now, keys = self._clock(), sendable(skus, MATERIAL)
        rows = await self._client.rows(PRODUCTS, "A_Product", SAPProductRow, "Product", keys, call="items")
        found = by_key(rows, lambda row: row.product)
        return {key: self._item(key, found[key], now) for key in keys if key in found}

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Item]:
        """See `Items.by_id`: a product's number is its id."""
        return await self.by_sku(principal, ids)

    async def by_gtin(self, principal: Principal, gtins: Sequence[str]) -> Mapping[str, Item]:
        """See `Items.by_gtin`: of all units of a product."""
        keys = [key for key in dict.fromkeys(gtins) if key.isascii() and key.isdigit() and 0 < len(key) <= GTIN]
        rows = await self._client.rows(
            PRODUCTS, "A_ProductUnitsOfMeasureEAN", SAPProductEANRow, "ProductStandardID", keys, call="items.by_gtin"
        )
        skus = {row.product_standard_id: external(row.product) for row in rows}
        items = await self.by_sku(principal, list(skus.values())) if skus else {}
        return {key: items[skus[key]] for key in keys if key in skus and skus[key] in items}

    async def by_customer_part(
        self, principal: Principal, keys: Sequence[CustomerPartKey]
    ) -> Mapping[CustomerPartKey, str]:
        """See `Items.by_customer_part`: customer material numbers of the sales area, in one batch."""
        numbers = [key for key in keys if sendable([key.customer]) and _is_part(key.number)]
        found = await self._materials("MaterialByCustomer", [(key.customer, key.number) for key in numbers])
        skus = {(external(row.customer), row.material_by_customer): external(row.material) for row in found}
        return {key: skus[key.customer, key.number] for key in numbers if (key.customer, key.number) in skus}

    async def part_numbers(
        self, principal: Principal, keys: Sequence[CustomerItemKey]
    ) -> Mapping[CustomerItemKey, str]:
        """See `Items.part_numbers`."""
        numbers = [key for key in keys if sendable([key.customer]) and sendable([key.sku], MATERIAL)]
        found = await self._materials("Material", [(key.customer, key.sku) for key in numbers])
        parts = {(external(row.customer), external(row.material)): row.material_by_customer for row in found}
        return {key: part for key in numbers if (part := parts.get((key.customer, key.sku)))}

    async def _materials(self, name: str, keys: Sequence[tuple[str, str]]) -> list[SAPCustomerMaterialRow]:
        by_customer: dict[str, list[str]] = {}
        for customer, value in dict.fromkeys(keys):
            by_customer.setdefault(customer, []).append(value)
        queries = [
            ODataQuery(
                filter=all_of(
                    self._area,
                    f"Customer eq {literal(customer)}",
                    any_of(name, values[start : start + 30], literal),
                )
            )
            for customer, values in by_customer.items()
            for start in range(0, len(values), 30)
        ]
        pages = await self._client.pages(
            CUSTOMER_MATERIALS, "A_CustomerMaterial", SAPCustomerMaterialRow, queries, call="items.customer_materials"
        )
        return [row for page in pages for row in page.value]

    def _item(self, sku: str, row: SAPProductRow, now: datetime) -> Item:
        names = {one.language: one.product_description for one in row.to_description.results}
        name = names.get(self._language) or next(filter(None, names.values()), None)
        if row.is_marked_for_deletion:
            status = ItemStatus.DISCONTINUED
        else:
            # What a cross-plant status allows is customizing.
            status = ItemStatus.UNKNOWN if row.cross_plant_status else ItemStatus.ACTIVE
        base = Uom(code=row.base_unit, is_base=True, is_stock=True)
        others = (one for one in row.to_product_units_of_measure.results if one.alternative_unit != row.base_unit)
        return Item(
            sku=sku,
            name=name or sku,
            status=status,
            base_uom=row.base_unit,
            uoms=(
                base,
                *(
                    Uom(
                        code=one.alternative_unit,
                        numerator=self._integer(one.quantity_numerator),
                        denominator=self._integer(one.quantity_denominator),
                    )
                    for one in others
                ),
            ),
            gtin=row.product_standard_id or None,
            manufacturer_part=row.product_manufacturer_number or None,
            category=row.product_group or None,
            refs=(Ref(system=self._client.source, id=sku),),
            freshness=Freshness(source=self._client.source, as_of=now),
        )

    def _integer(self, value: Decimal) -> int:
        if value < 1 or value != value.to_integral_value():
            raise SourceMalformed(self._client.source, detail="a unit of measure has no whole ratio")
        return int(value)


def _is_part(number: str) -> bool:
    return 0 < len(number) <= PURCHASE_ORDER and number.isprintable() and number.strip() == number
