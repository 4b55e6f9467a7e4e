"""Items with units, attributes, relations and content."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated

import strawberry

from app.auth.policy import Rows, Scope
from app.resolvers import availability as availability_edges
from app.resolvers import customers as customer_edges
from app.resolvers import item_search
from app.resolvers import items as item_edges
from app.resolvers import prices as price_edges
from app.resolvers import purchases as purchase_edges
from app.resolvers.loading import keys
from app.schema.base import Connection, Dimensions, Freshness, Money, Node, Ref, bound_to, field, reads_as
from app.schema.customers import CustomerKey
from app.schema.declare.edges import Argument, edge
from app.schema.declare.enums import enum
from app.schema.purchases import PurchaseHistory
from app.sources import items as records
from app.sources import search as search_records
from app.sources.freshness_contracts import CONTENT, COST, ITEM, PART_NUMBER, RELATION, STOCK
from app.sources.items import ItemStatus, MediaKind, RelationType

Availability = Annotated["Availability", strawberry.lazy("app.schema.availability")]
ContractPrice = Annotated["ContractPrice", strawberry.lazy("app.schema.prices")]

enum(
    ItemStatus,
    "The sales status of an item.",
    ACTIVE="Sold.",
    PHASE_OUT="Sold while stock lasts.",
    DISCONTINUED="Discontinued.",
    BLOCKED="Temporarily not sold.",
    UNKNOWN="The source has a status that the gateway does not know.",
)
enum(
    RelationType,
    "How one item relates to another.",
    SUBSTITUTE="Substitute.",
    SUPERSEDED_BY="Successor of the item.",
    ACCESSORY="Accessory.",
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
    code: str = field("UN/ECE Recommendation 20 code where there is one, else the source's own.")
    name: str | None = field("Common name of the unit; accepted as input like the code.")
    numerator: int = field("Base units in `denominator` of these units.")
    denominator: int = field("Number of these units that make `numerator` base units.")
    is_base: bool = field("Whether stock is counted in this unit.")
    is_sales: bool = field("Whether the item is sold in this unit.")
    is_stock: bool = field("Whether the item is stored in this unit.")
    minimum: Decimal | None = field("Minimum order quantity in this unit.")
    increment: Decimal | None = field("Order quantities are multiples of this.")


@bound_to(records.Attribute, requires=Scope.EVERYONE)
@strawberry.type(description="A technical property of an item.")
class ItemAttribute:
    code: str = field("Code of the property.")
    value: str = field("The value as text.")
    unit: str | None = field("UN/ECE code of the value's unit, if it is a measure.")


@bound_to(records.Media, requires=Scope.EVERYONE)
@strawberry.type(description="An image or document of an item.")
class ItemMedia:
    url: str = field("Address of the file.")
    kind: MediaKind = field("The kind of file.")
    alt: str | None = field("Alternative text.")


@bound_to(records.Hazmat, requires=Scope.EVERYONE)
@strawberry.type(description="Dangerous goods data, after the UN Model Regulations.")
class Hazmat:
    un_number: str = field("UN number.")
    hazard_class: str | None = field("Class or division.")
    packing_group: str | None = field("I, II or III.")


@bound_to(records.ItemCost, requires=Scope.COST, volatility=COST)
@strawberry.type(description="Cost of an item, for one base unit.")
class ItemCost:
    unit_cost: Money | None = field("Cost of one base unit.")
    margin_floor: Decimal | None = field("Minimum margin in percent.")
    freshness: Freshness | None = field("The source of the data and its age.")


@bound_to(records.ItemRelation, requires=Scope.EVERYONE, rows=Rows.APPROVED, volatility=RELATION)
@strawberry.type(description="A related item.")
class ItemRelation:
    type: RelationType = field("Type of the relation.")
    ratio: Decimal = field("Base units of the related item that replace one base unit of this item.")
    approved: bool = field("Whether it may be delivered as a substitute without asking the customer.")
    priority: int = field("Lower comes first.")
    item = edge(
        item_edges.by_sku,
        returns=Annotated["Item", strawberry.lazy("app.schema.items")] | None,  # type: ignore[operator]
        description="The related item.",
    )


@bound_to(records.Item, requires=Scope.EVERYONE, volatility=ITEM)
@strawberry.type(description="An article the distributor sells.")
class Item(Node):
    sku: str = field("Stock keeping unit, the same in every system.")
    name: str = field("Name of the item.")
    status: ItemStatus = field("The sales status of the item.")
    gtin: str | None = field("GS1 global trade item number.")
    manufacturer_part: str | None = field("The manufacturer's part number.")
    category: str | None = field("Category path in the catalog.")
    base_uom: str = field("The unit stock is counted in.")
    uoms: list[UomConversion] = field("Units of the item, with exact conversion factors.")
    hazmat: Hazmat | None = field("Dangerous goods data, if the item is hazardous.")
    dimensions: Dimensions | None = field("Outer measures and weight of one base unit.")
    refs: list[Ref] = field("Its ids in the connected systems.")
    freshness: Freshness | None = field("The source of the data and its age.")
    description = edge(
        item_edges.description, returns=str | None, description="Catalog description.", volatility=CONTENT
    )
    attributes = edge(
        item_edges.attributes,
        returns=list[ItemAttribute] | None,
        description="Technical properties, from all systems.",
        volatility=CONTENT,
    )
    media = edge(
        item_edges.media, returns=list[ItemMedia] | None, description="Images and documents.", volatility=CONTENT
    )
    relations = edge(
        item_edges.relations,
        returns=list[ItemRelation] | None,
        description="Substitutes, successors and accessories, by priority; buyers see approved ones only.",
    )
    customer_part_number = edge(
        item_edges.customer_part_number,
        returns=str | None,
        description="The customer's part number.",
        args={"customer": Argument(CustomerKey, "The customer that uses the part number.")},
        requires=Scope.CUSTOMERS,
        rows=Rows.ACCOUNTS,
        volatility=PART_NUMBER,
    )
    purchase_history = edge(
        purchase_edges.of_item,
        returns=PurchaseHistory | None,
        description="How a customer has bought the item; null if it never has.",
        args={"customer": Argument(CustomerKey, "The customer.")},
        requires=Scope.CUSTOMERS,
    )
    cost = edge(item_edges.cost, returns=ItemCost | None, description="Cost of the item.", requires=Scope.COST)
    contract_price = edge(
        price_edges.of_items,
        returns=ContractPrice | None,  # type: ignore[operator]
        description="Contract price of the item, as the system of record quotes it.",
        args={
            "customer": Argument(CustomerKey, "The customer."),
            "quantity": Argument(Decimal, "Quantity in `uom`.", Decimal(1)),
            "uom": Argument(str | None, "Code or name of the unit; the base unit by default."),
            "on": Argument(date | None, "For an order on this day; today by default."),
        },
        prefetch_by_keys=price_edges.prefetch,
        prefetch=customer_edges.prefetch_customer,
        requires=Scope.PRICES,
    )
    availability = edge(
        availability_edges.of_items,
        returns=list[Availability] | None,  # type: ignore[valid-type]
        description="Available to promise in each warehouse; empty if the system of record keeps no stock of it.",
        args={
            "at": Argument(date | None, "Date of the availability; today by default."),
            "warehouses": Argument(list[str] | None, "Only in these warehouses, by code."),
        },
        prefetch_by_keys=availability_edges.prefetch,
    )
    total_atp = edge(
        availability_edges.totals_of_items,
        returns=Decimal | None,
        description="Available to promise over all warehouses, or those named, in the base unit; null if the system of "
        "record keeps no stock of it.",
        args={
            "at": Argument(date | None, "Date of the availability; today by default."),
            "warehouses": Argument(list[str] | None, "Only over these warehouses, by code."),
        },
        prefetch_by_keys=availability_edges.prefetch,
        volatility=STOCK,
    )


@reads_as(keys.CustomerScopedNumber)
@strawberry.input(description="An item by a customer's own part number.")
class CustomerPartKey:
    customer: CustomerKey = strawberry.field(description="The customer that uses the part number.")
    number: str = strawberry.field(description="The part number.")


@reads_as(keys.ItemKey)
@strawberry.input(description="An item, by exactly one of these.", one_of=True)
class ItemKey:
    id: strawberry.ID | None = strawberry.field(description="Its id in the graph.", default=strawberry.UNSET)
    sku: str | None = strawberry.field(description="Its SKU.", default=strawberry.UNSET)
    gtin: str | None = strawberry.field(description="Its GTIN.", default=strawberry.UNSET)
    customer_part: CustomerPartKey | None = strawberry.field(
        description="A customer's part number for it.", default=strawberry.UNSET
    )


@bound_to(search_records.ItemFacetValue, requires=Scope.EVERYONE)
@strawberry.type(description="A value of an attribute among the items of a list.")
class ItemFacetValue:
    value: str = field("The value as text.")
    unit: str | None = field("UN/ECE code of the value's unit, if it is a measure.")
    count: int = field("Items of the list that have it.")


@bound_to(search_records.ItemFacet, requires=Scope.EVERYONE)
@strawberry.type(description="An attribute of the items of a list, with the counts of its values.")
class ItemFacet:
    code: str = field("Code of the attribute.")
    values: list[ItemFacetValue] = field(
        "Its most common values, at most 30. A filter by this attribute does not narrow them, so that others can be "
        "added."
    )


@bound_to(item_search.ItemCategory, requires=Scope.EVERYONE)
@strawberry.type(description="A category of the items of a list.")
class ItemCategory:
    path: str = field("Path of the category, for the filter `category`.")
    name: str = field("Last part of the path.")
    count: int = field("Items of the list in this category and below. A filter by category does not narrow it.")
    children: list[Annotated[ItemCategory, strawberry.lazy("app.schema.items")]] = field(
        "The categories directly below it, by path."
    )


@bound_to(item_search.ItemConnection, requires=Scope.EVERYONE, volatility=ITEM)
@strawberry.type(description="A page of items, with the counts of the whole list.")
class ItemConnection(Connection[Item]):
    facets: list[ItemFacet] = field(
        "Counts of attribute values: of the attributes that the argument `facets` names, else of the most common ones."
    )
    categories: list[ItemCategory] = field("The tree of categories with the number of items in each.")
    freshness: Freshness | None = field(
        "The time up to which changes are in the search index; null where the source itself was asked."
    )


@reads_as(item_search.ItemAttributeFilter)
@strawberry.input(description="Items whose attribute has one of these values.")
class ItemAttributeFilter:
    code: str = strawberry.field(description="Code of the attribute, such as brand.")
    values: list[str] = strawberry.field(description="Any of these values, at most 20.")
    unit: str | None = strawberry.field(
        description="UN/ECE code of the values' unit; any unit by default.", default=strawberry.UNSET
    )


@reads_as(item_search.ItemFilter)
@strawberry.input(description="Filter of an item list; all conditions have to hold.")
class ItemFilter:
    search: str | None = strawberry.field(
        description="Words, parts of words, SKUs, GTINs and part numbers as people type them, 1 to 256 characters, at "
        "most 32 words. One typo a word is forgiven. The best match comes first.",
        default=strawberry.UNSET,
    )
    category: str | None = strawberry.field(
        description="Only this category and those below it.", default=strawberry.UNSET
    )
    attributes: list[ItemAttributeFilter] | None = strawberry.field(
        description="Only items with these attributes, at most 20.", default=strawberry.UNSET
    )
    in_stock: bool | None = strawberry.field(
        description="Only items that some warehouse has on hand, as last indexed.", default=strawberry.UNSET
    )
    warehouses: list[str] | None = strawberry.field(
        description="Only items that one of these warehouses has on hand, by code, at most 20.",
        default=strawberry.UNSET,
    )
    customer: CustomerKey | None = strawberry.field(
        description="Only the assortment of this customer, whose part numbers are searched too; a buyer's own by "
        "default.",
        default=strawberry.UNSET,
    )
