"""Items: what is sold, in which units, with which relations, content and cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from operator import attrgetter
from typing import Protocol

from app.auth.principal import Principal
from app.sources.customers import customer_tags
from app.sources.freshness_contracts import CONTENT, ITEM, PART_NUMBER, RELATION
from app.sources.node_ids import node_id
from app.sources.ports import CacheSpec, Port, Read, Routing, RowPredicate, Shape
from app.sources.values import CustomValues, Dimensions, Freshness, Money, Page, PageRequest, Record, Ref


class ItemStatus(StrEnum):
    """Whether an item can be ordered."""

    ACTIVE = "ACTIVE"
    PHASE_OUT = "PHASE_OUT"
    DISCONTINUED = "DISCONTINUED"
    BLOCKED = "BLOCKED"
    UNKNOWN = "UNKNOWN"


class RelationType(StrEnum):
    """How one item relates to another."""

    SUBSTITUTE = "SUBSTITUTE"
    SUPERSEDED_BY = "SUPERSEDED_BY"
    ACCESSORY = "ACCESSORY"


class Uom(Record):
    """A unit in which an item is kept, bought or sold: one of it is `numerator / denominator` base units, exactly.
    `code` is of UN/ECE Recommendation 20 where there is one, else the source's own; `name` is what people say.
    `minimum` and `increment` are order quantities in this unit."""

    code: str
    name: str | None = None
    numerator: int = 1
    denominator: int = 1
    is_base: bool = False
    is_sales: bool = False
    is_stock: bool = False
    minimum: Decimal | None = None
    increment: Decimal | None = None


class Attribute(Record):
    """A technical property of an item; `unit` is a unit code where the value is a measure."""

    code: str
    value: str
    unit: str | None = None


class MediaKind(StrEnum):
    """The kind of a media file. Any kind that the gateway does not know is OTHER."""

    IMAGE = "IMAGE"
    DATASHEET = "DATASHEET"
    OTHER = "OTHER"

    @classmethod
    def _missing_(cls, value: object) -> MediaKind:  # noqa: ARG003 - enum calls it with the value
        return cls.OTHER


class Media(Record):
    """An image or document of an item."""

    url: str
    kind: MediaKind = MediaKind.IMAGE
    alt: str | None = None


class Hazmat(Record):
    """Dangerous goods; `un_number` and `hazard_class` as in the UN Model Regulations."""

    un_number: str
    hazard_class: str | None = None
    packing_group: str | None = None


class Item(Record):
    """An article. `sku` is its key in every system. `assortments` are the codes of those that it belongs to; an item
    without any is in all."""

    sku: str
    name: str
    status: ItemStatus = ItemStatus.ACTIVE
    base_uom: str
    uoms: tuple[Uom, ...] = ()
    gtin: str | None = None
    manufacturer_part: str | None = None
    category: str | None = None
    description: str | None = None
    attributes: tuple[Attribute, ...] = ()
    media: tuple[Media, ...] = ()
    hazmat: Hazmat | None = None
    dimensions: Dimensions | None = None
    assortments: tuple[str, ...] = ()
    refs: tuple[Ref, ...] = ()
    freshness: Freshness | None = None
    custom: CustomValues | None = None

    @property
    def node_id(self) -> str:
        """The id in the graph."""
        return node_id("Item", self.sku)


class ItemContent(Record):
    """What a commerce platform adds to an item."""

    sku: str
    description: str | None = None
    attributes: tuple[Attribute, ...] = ()
    media: tuple[Media, ...] = ()
    refs: tuple[Ref, ...] = ()


class ItemRelation(Record):
    """A related item; `ratio` of its base units replace one of ours; lower `priority` comes first."""

    type: RelationType
    sku: str
    ratio: Decimal = Decimal(1)
    approved: bool = False
    priority: int = 0


class ItemCost(Record):
    """What an item costs the distributor, for one base unit."""

    sku: str
    unit_cost: Money | None = None
    margin_floor: Decimal | None = None
    freshness: Freshness | None = None


class CustomerPartKey(Record):
    """A customer's own part number, or the question for it: `number` is the customer's word for the item."""

    customer: str
    number: str


class CustomerItemKey(Record):
    """An item as one customer sees it."""

    customer: str
    sku: str


class ItemQuery(Record):
    """A list of items. `search` matches SKU, name and manufacturer's part, without regard to case."""

    page: PageRequest
    search: str | None = None
    category: str | None = None


class Items(Protocol):
    """Master data of items. Unknown keys are absent from the mappings."""

    async def by_sku(self, principal: Principal, skus: Sequence[str]) -> Mapping[str, Item]:
        """Items by SKU."""
        ...

    async def by_gtin(self, principal: Principal, gtins: Sequence[str]) -> Mapping[str, Item]:
        """Items by GTIN."""
        ...

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Item]:
        """Items by the source's own ids (`Ref.id`)."""
        ...

    async def by_customer_part(
        self, principal: Principal, keys: Sequence[CustomerPartKey]
    ) -> Mapping[CustomerPartKey, str]:
        """SKUs by customer part number."""
        ...

    async def part_numbers(
        self, principal: Principal, keys: Sequence[CustomerItemKey]
    ) -> Mapping[CustomerItemKey, str]:
        """Customer part numbers by item."""
        ...

    async def relations(self, principal: Principal, skus: Sequence[str]) -> Mapping[str, tuple[ItemRelation, ...]]:
        """Relations by SKU, by priority; absent where there are none."""
        ...

    async def costs(self, principal: Principal, skus: Sequence[str]) -> Mapping[str, ItemCost]:
        """Costs by SKU."""
        ...

    async def search(self, principal: Principal, query: ItemQuery) -> Page[Item]:
        """A page of items, ordered by SKU."""
        ...


def item_tags(sku: str) -> tuple[str, ...]:
    """Cache tags of an entry about an item."""
    return "item", f"item:{sku}"


def _part_tags(key: CustomerItemKey) -> tuple[str, ...]:
    return (*customer_tags(key.customer), *item_tags(key.sku))


def _approved_only(principal: Principal) -> RowPredicate | None:
    return attrgetter("approved") if principal.approved_only else None


_customer = attrgetter("customer")
_sku = attrgetter("sku")

ITEMS = Port(
    "items",
    Items,
    {
        "by_sku": Read(
            record=Item,
            cache=CacheSpec(name="items", contract=ITEM, record=Item, tags=item_tags, identity=_sku),
        ),
        "by_gtin": Read(record=Item),
        "by_id": Read(record=Item, routing=Routing.SYSTEM),
        "by_customer_part": Read(record=str, key_customer=_customer),
        "part_numbers": Read(
            record=str,
            key_customer=_customer,
            cache=CacheSpec(name="part_numbers", contract=PART_NUMBER, record=str, tags=_part_tags),
        ),
        "relations": Read(
            record=ItemRelation,
            shape=Shape.ROWS,
            row_filter=_approved_only,
            cache=CacheSpec(name="relations", contract=RELATION, record=tuple[ItemRelation, ...], tags=item_tags),
        ),
        "costs": Read(record=ItemCost),
        "search": Read(record=Item, shape=Shape.LIST),
    },
)


class ItemContents(Protocol):
    """Content of items on a commerce platform."""

    async def contents(self, principal: Principal, skus: Sequence[str]) -> Mapping[str, ItemContent]:
        """Content by SKU; absent where the platform does not know the SKU."""
        ...


CONTENTS = Port(
    "contents",
    ItemContents,
    {
        "contents": Read(
            record=ItemContent,
            cache=CacheSpec(name="contents", contract=CONTENT, record=ItemContent, tags=item_tags, identity=_sku),
        )
    },
)
