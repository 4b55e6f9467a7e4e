"""Items of a replica. Relations and customers' part numbers are not among its datasets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.auth.principal import Principal
from app.errors import InvalidCursor
from app.sources.items import Item, ItemCost, ItemQuery, Uom
from app.sources.replica.datasets import DATASETS
from app.sources.replica.freshness import FeedAges
from app.sources.replica.mapping import LONGEST_KEY
from app.sources.replica.store import ReplicaStore, StoredRow, time_of
from app.sources.values import Money, Page, Ref

_ITEMS = DATASETS["items"]
_CURSOR = "s:"

_SEARCH = (
    "dataset = 'items' AND (?1 IS NULL OR key LIKE ?1 ESCAPE '\\' OR json_extract(CAST(value AS TEXT), '$[1]') LIKE ?1 "
    "ESCAPE '\\' OR json_extract(CAST(value AS TEXT), '$[5]') LIKE ?1 ESCAPE '\\') "
    "AND (?2 IS NULL OR json_extract(CAST(value AS TEXT), '$[6]') = ?2)"
)


@dataclass(frozen=True, slots=True)
class ReplicaItems:
    """Items by SKU and GTIN. The source's own id of an item is its SKU."""

    store: ReplicaStore
    ages: FeedAges

    async def by_sku(self, principal: Principal, skus: Sequence[str]) -> Mapping[str, Item]:
        return {sku: self._item(rows[0]) for sku, rows in (await self.store.rows(_ITEMS, skus)).items()}

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Item]:
        return await self.by_sku(principal, ids)

    async def by_gtin(self, principal: Principal, gtins: Sequence[str]) -> Mapping[str, Item]:
        found = await self.store.looked_up(_ITEMS, "gtin", gtins)
        return {gtin: self._item(rows[0]) for gtin, rows in found.items()}

    async def costs(self, principal: Principal, skus: Sequence[str]) -> Mapping[str, ItemCost]:
        found = await self.store.rows(_ITEMS, skus)
        return {
            sku: ItemCost(
                sku=sku,
                unit_cost=Money(amount=rows[0].row.unit_cost, currency=rows[0].row.currency),
                freshness=self.ages.freshness(_ITEMS, rows[0].as_of),
            )
            for sku, rows in found.items()
            if rows[0].row.unit_cost is not None and rows[0].row.currency is not None
        }

    async def search(self, principal: Principal, query: ItemQuery) -> Page[Item]:
        page = query.page
        after = _read_cursor(page.after)
        text = None if query.search is None else f"%{_escaped(query.search)}%"
        statement = f"SELECT key, value, as_of FROM replica_rows WHERE {_SEARCH} AND key > ?3 ORDER BY key LIMIT ?4"  # noqa: S608
        found = await self.store.query("items", statement, text, query.category, after, page.first + 1)
        rows = [StoredRow(self.store.decode(_ITEMS, value), time_of(as_of)) for _, value, as_of in found[: page.first]]
        self.store.note_age(row.as_of for row in rows)
        total = None
        if page.count:
            counted = f"SELECT count(*) FROM replica_rows WHERE {_SEARCH}"  # noqa: S608 - constants
            [(total,)] = await self.store.read(counted, text, query.category)
        return Page(
            rows=tuple(map(self._item, rows)),
            cursors=tuple(f"{_CURSOR}{row.row.sku}" for row in rows),
            has_next=len(found) > page.first,
            has_previous=page.after is not None,
            total=total,
        )

    def _item(self, stored: StoredRow) -> Item:
        row = stored.row
        return Item(
            sku=row.sku,
            name=row.name,
            status=row.status,
            base_uom=row.base_uom,
            uoms=(Uom(code=row.base_uom, is_base=True, is_sales=True, is_stock=True),),
            gtin=row.gtin,
            manufacturer_part=row.manufacturer_part,
            category=row.category,
            description=row.description,
            refs=(Ref(system=self.store.source, id=row.sku),),
            freshness=self.ages.freshness(_ITEMS, stored.as_of),
        )


def _read_cursor(cursor: str | None) -> str:
    if cursor is None:
        return ""
    if not cursor.startswith(_CURSOR) or not 0 < len(cursor) - len(_CURSOR) <= LONGEST_KEY:
        raise InvalidCursor
    return cursor.removeprefix(_CURSOR)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
