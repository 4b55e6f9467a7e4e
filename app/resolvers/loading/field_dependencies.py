"""The optional attributes of records that an operation needs, derived from the fields that it selects.

A selected field reads the attribute of its own name; FIELD_DEPENDENCIES lists what else a field reads. A test selects
every field of the schema alone, over partial records, so none is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from msgspec.structs import fields

from app.auth.policy import Permissions
from app.sources.customers import Customer
from app.sources.field_mask import OPTIONAL_FIELDS, FieldMask
from app.sources.items import Item
from app.sources.orders import Order, OrderLine, Totals
from app.sources.prices import ContractPrice
from app.sources.shipments import Shipment
from app.sources.stock import StockPosition

GRAPHQL_TYPE_NAMES: Mapping[type, str] = {Totals: "OrderTotals"}
"""Names of GraphQL types that differ from their record's."""

FIELD_DEPENDENCIES: Mapping[tuple[str, str], tuple[tuple[type, str], ...]] = {
    ("Availability", "breakdown"): ((StockPosition, "in_transfer"),),
    ("ContractPrice", "proof"): tuple((ContractPrice, name) for name in ("reason", "valid_from", "valid_to")),
    ("Customer", "class"): ((Customer, "customer_class"),),
    ("Customer", "shipTosConnection"): ((Customer, "ship_tos"),),
    ("IntakeLine", "ordered"): ((Order, "lines"), (OrderLine, "unit_price")),
    ("Invoice", "priceChecks"): ((Order, "lines"), (OrderLine, "unit_price")),
    ("Item", "contractPrice"): ((Item, "uoms"),),
    ("Order", "conflicts"): ((Order, "raw_status"), (Order, "updated_at")),
    ("Order", "linesConnection"): ((Order, "lines"),),
    ("Order", "priceChecks"): ((Order, "lines"), (OrderLine, "unit_price")),
    ("Order", "statusBySource"): ((Order, "raw_status"), (Order, "updated_at")),
    ("Order", "total"): ((Order, "totals"),),
    ("OrderLine", "requestedItem"): ((OrderLine, "requested_sku"),),
    ("Shipment", "proofOfDeliveryDocument"): ((Shipment, "proof_of_delivery"),),
    ("Mutation", "amendOrder"): ((Order, "lines"), (OrderLine, "cancelled_quantity")),
    ("Mutation", "decideQuote"): ((Item, "uoms"),),
    ("Mutation", "requestQuote"): ((Item, "uoms"),),
    ("Mutation", "requestReturn"): (
        (Order, "lines"),
        (OrderLine, "shipped_quantity"),
        (OrderLine, "returned_quantity"),
    ),
    ("Query", "priceAndAvailability"): ((Item, "uoms"),),
    ("Query", "promise"): ((Item, "uoms"),),
    ("Query", "shipments"): ((Shipment, "shipped_at"),),
}
"""Type and field -> attributes that its resolver, or a property of its record, reads besides that of its name."""


def required_attributes(
    selection: Mapping[str, frozenset[str]], permissions: Permissions, *, joins_shipments: bool
) -> FieldMask:
    """The optional attributes that an operation with this selection needs, of the fields that its caller may see.

    Shipments that several sources know are joined: what one of them leaves open comes from the next.
    """
    return _needs_of(frozenset(selection.items()), permissions, joins_shipments)


@lru_cache(1024)
def _needs_of(
    selection: frozenset[tuple[str, frozenset[str]]], permissions: Permissions, joins_shipments: bool
) -> FieldMask:
    selected = {(kind, name) for kind, names in selection for name in names if not permissions.refuses(kind, name)}
    own = {attribute for attribute, field in _FIELDS.items() if field in selected}
    if joins_shipments:
        own.update((Shipment, name) for name in OPTIONAL_FIELDS[Shipment])
    return frozenset(own.union(*(reads for field, reads in FIELD_DEPENDENCIES.items() if field in selected)))


_FIELDS = {
    (record, field.name): (GRAPHQL_TYPE_NAMES.get(record, record.__name__), field.encode_name)
    for record, optional in OPTIONAL_FIELDS.items()
    for field in fields(record)
    if field.name in optional
}
