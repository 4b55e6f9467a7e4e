"""Partial records: attributes that the running operation does not use are not decoded.

`field_mask` names the attributes of OPTIONAL_FIELDS that the running operation uses. It is a hint: an adapter may
return whole records at any time, and does so where the mask is None. A partial record has its record's class; reading
an attribute that was not fetched raises FieldNotFetched, so that a missing value is never taken for an empty one.

A cache stores whole records only: it reads with `field_mask` set to None.
"""

from __future__ import annotations

from contextvars import ContextVar

from app.sources.customers import Customer
from app.sources.items import Item
from app.sources.orders import Order, OrderLine, Totals
from app.sources.prices import ContractPrice
from app.sources.shipments import Shipment, TrackingEvent
from app.sources.stock import StockPosition

FieldMask = frozenset[tuple[type, str]]
"""Attributes of OPTIONAL_FIELDS, each with its record class."""

field_mask: ContextVar[FieldMask | None] = ContextVar("field_mask", default=None)
"""The mask of the running operation; None for whole records."""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


OPTIONAL_FIELDS: dict[type, frozenset[str]] = {
    Customer: _names("customer_class sales_rep payment_terms tax_profile bill_to ship_tos refs freshness"),
    Item: _names("uoms gtin manufacturer_part category description attributes media hazmat dimensions refs freshness"),
    ContractPrice: _names("list_price discount_percent breaks reason valid_from valid_to proof_id freshness"),
    StockPosition: _names("sku in_transfer"),
    Order: _names(
        "customer_po channel raw_status updated_at bill_to ship_to terms totals lines holds exceptions "
        "history refs freshness"
    ),
    Totals: _names("net tax shipping margin"),
    OrderLine: _names(
        "id order requested_sku substitution_for description confirmed_quantity shipped_quantity invoiced_quantity "
        "backordered_quantity cancelled_quantity returned_quantity unit_price total schedule_lines"
    ),
    Shipment: _names(
        "service tracking_url shipped_at eta raw_status incident lines packages events asn proof_of_delivery "
        "updated_at refs freshness"
    ),
    TrackingEvent: _names("recorded_at location description raw_code"),
}
"""Attributes that a partial record may omit. Keys, statuses and what resolvers always use are never omitted."""
