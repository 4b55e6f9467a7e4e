"""Items with units, attributes, relations and content."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated

import strawberry

from app.auth.policy import Rows, Scope
from app.resolvers import availability as availability_edges
from app.resolvers import customers as customer_edges
from app.resolvers import items as item_edges
from app.resolvers import prices as price_edges
from app.resolvers.items import ItemFilter as PlainFilter
from app.resolvers.loading import keys
from app.schema.base import Dimensions, Freshness, Money, Node, Ref, bound_to, field, reads_as
from app.schema.customers import CustomerKey
from app.schema.declare.edges import Argument, edge
from app.schema.declare.enums import enum
from app.sources import items as records
from app.sources.freshness_contracts import CONTENT, COST, ITEM, PART_NUMBER, RELATION
from app.sources.items import ItemStatus, MediaKind, RelationType

Availability = Annotated["Availability", strawberry.lazy("app.schema.availability")]
ContractPrice = Annotated["ContractPrice", strawberry.lazy("app.schema.prices")]

enum(
    ItemStatus,
    "Whether an item can be ordered.",
    ACTIVE="Yes.",
    PHASE_OUT="While stock lasts.",
    DISCONTINUED="No longer.",
    BLOCKED="Not at the moment.",
    UNKNOWN="The source has a status that the gateway does not know.",
)
enum(
    RelationType,
    "How one item relates to another.",
    SUBSTITUTE="May be sent instead.",
    SUPERSEDED_BY="Replaces it for good.",
    ACCESSORY="Goes with it.",
)
enum(
    MediaKind,
    "The kind of a media file.",
    IMAGE="An image.",
    DATASHEET="A data sheet.",
    OTHER="Any other file.",
)


@bound_to(records.Uom, requires=Scope.EVERYONE, volatility=ITEM)
@strawberry.type(description="A unit of an item: one of it is exactly `numerator / denominator` base units.")
class UomConversion:
    """See `records.Uom`."""

    code: str = field("UN/ECE Recommendation 20 code where there is one, else the source's own.")
    name: str | None = field("What people say; accepted wherever a unit is asked for, like the code.")
    numerator: int = field("Base units in `denominator` of it.")
    denominator: int = field("How many of it make `numerator` base units.")
    is_base: bool = field("Whether stock is counted in it.")
    is_sales: bool = field("Whether it is sold by it.")
    is_stock: bool = field("Whether it is stored by it.")
    minimum: Decimal | None = field("Smallest order quantity in this unit.")
    increment: Decimal | None = field("Order quantities are multiples of this.")


@bound_to(records.Attribute, requires=Scope.EVERYONE)
@strawberry.type(description="A technical property of an item.")
class ItemAttribute:
    """See `records.Attribute`."""

    code: str = field("What is described.")
    value: str = field("The value as text.")
    unit: str | None = field("UN/ECE code of the value's unit, if it is a measure.")


@bound_to(records.Media, requires=Scope.EVERYONE)
@strawberry.type(description="An image or document of an item.")
class ItemMedia:
    """See `records.Media`."""

    url: str = field("Address of the file.")
    kind: MediaKind = field("The kind of file.")
    alt: str | None = field("Alternative text.")


@bound_to(records.Hazmat, requires=Scope.EVERYONE)
@strawberry.type(description="Dangerous goods, in the words of the UN Model Regulations.")
class Hazmat:
    """See `records.Hazmat`."""

    un_number: str = field("UN number.")
    hazard_class: str | None = field("Class or division.")
    packing_group: str | None = field("I, II or III.")


@bound_to(records.ItemCost, requires=Scope.COST, volatility=COST)
@strawberry.type(description="What an item costs the distributor, for one base unit.")
class ItemCost:
    """See `records.ItemCost`."""

    unit_cost: Money | None = field("Cost of one base unit.")
    margin_floor: Decimal | None = field("Smallest margin allowed, in percent.")
    freshness: Freshness | None = field("Where it comes from and how old it is.")


@bound_to(records.ItemRelation, requires=Scope.EVERYONE, rows=Rows.APPROVED, volatility=RELATION)
@strawberry.type(description="A related item.")
class ItemRelation:
    """See `records.ItemRelation`."""

    type: RelationType = field("How it relates.")
    ratio: Decimal = field("Base units of the related item for one of this.")
    approved: bool = field("Whether customers may be sent it without asking.")
    priority: int = field("Lower comes first.")
    item = edge(
        item_edges.by_sku,
        returns=Annotated["Item", strawberry.lazy("app.schema.items")] | None,  # type: ignore[operator]
        description="The related item.",
    )


@bound_to(records.Item, requires=Scope.EVERYONE, volatility=ITEM)
@strawberry.type(description="An article the distributor sells.")
class Item(Node):
    """See `records.Item`."""

    sku: str = field("Stock keeping unit, the same in every system.")
    name: str = field("What it is called.")
    status: ItemStatus = field("Whether it can be ordered.")
    gtin: str | None = field("GS1 global trade item number.")
    manufacturer_part: str | None = field("The manufacturer's part number.")
    category: str | None = field("Where it stands in the catalog.")
    base_uom: str = field("The unit stock is counted in.")
    uoms: list[UomConversion] = field("All its units, with exact ratios.")
    hazmat: Hazmat | None = field("Dangerous goods data, if it is one.")
    dimensions: Dimensions | None = field("Outer measures and weight of one base unit.")
    refs: list[Ref] = field("Its ids in the connected systems.")
    freshness: Freshness | None = field("Where it comes from and how old it is.")
    description = edge(
        item_edges.description, returns=str | None, description="The catalog's text.", volatility=CONTENT
    )
    attributes = edge(
        item_edges.attributes,
        returns=list[ItemAttribute] | None,
        description="Technical properties, from all systems.",
        volatility=CONTENT,
    )
    media = edge(
        item_edges.media, returns=list[ItemMedia] | None, description="Pictures and documents.", volatility=CONTENT
    )
    relations = edge(
        item_edges.relations,
        returns=list[ItemRelation] | None,
        description="Substitutes, successors and accessories, by priority; buyers see approved ones only.",
    )
    customer_part_number = edge(
        item_edges.customer_part_number,
        returns=str | None,
        description="What a customer calls it.",
        args={"customer": Argument(CustomerKey, "Whose part number.")},
        requires=Scope.CUSTOMERS,
        rows=Rows.ACCOUNTS,
        volatility=PART_NUMBER,
    )
    cost = edge(
        item_edges.cost, returns=ItemCost | None, description="What it costs the distributor.", requires=Scope.COST
    )
    contract_price = edge(
        price_edges.of_items,
        returns=ContractPrice | None,  # type: ignore[operator]
        description="What a customer pays for it, as the system of record answers.",
        args={
            "customer": Argument(CustomerKey, "Who buys."),
            "quantity": Argument(Decimal, "How much, counted in `uom`.", Decimal(1)),
            "uom": Argument(str | None, "Code or name of the unit; the base unit by default."),
            "on": Argument(date | None, "For an order on this day; today by default."),
        },
        prefetch=customer_edges.prefetch_customer,
        requires=Scope.PRICES,
    )
    availability = edge(
        availability_edges.of_items,
        returns=list[Availability] | None,  # type: ignore[valid-type]
        description="Available to promise in each warehouse; empty if the system of record keeps no stock of it.",
        args={
            "at": Argument(date | None, "At this day; today by default."),
            "warehouses": Argument(list[str] | None, "Only in these warehouses, by code."),
        },
    )


@reads_as(keys.CustomerScopedNumber)
@strawberry.input(description="An item by a customer's own part number.")
class CustomerPartKey:
    """See `keys.CustomerScopedNumber`."""

    customer: CustomerKey = strawberry.field(description="Whose part number.")
    number: str = strawberry.field(description="The part number.")


@reads_as(keys.ItemKey)
@strawberry.input(description="An item, by exactly one of these.", one_of=True)
class ItemKey:
    """See `keys.ItemKey`."""

    id: strawberry.ID | None = strawberry.field(description="Its id in the graph.", default=strawberry.UNSET)
    sku: str | None = strawberry.field(description="Its SKU.", default=strawberry.UNSET)
    gtin: str | None = strawberry.field(description="Its GTIN.", default=strawberry.UNSET)
    customer_part: CustomerPartKey | None = strawberry.field(
        description="A customer's part number for it.", default=strawberry.UNSET
    )


@reads_as(PlainFilter)
@strawberry.input(description="Which items a list shows.")
class ItemFilter:
    """See `items.ItemFilter`."""

    search: str | None = strawberry.field(
        description="Part of an SKU, a name or a manufacturer's part number, in any case.", default=strawberry.UNSET
    )
    category: str | None = strawberry.field(description="Only this category.", default=strawberry.UNSET)
