"""Partial records: what an operation does not need of a row is not decoded.

`needs` tells the adapters which of the attributes in SPARE the running operation reads. It is a hint: an adapter may
answer whole records at any time, and does so where there is no hint. A partial record is of its record's class; to read
an attribute that was left out of it raises NotRead, so that nothing missing is ever taken for something empty.

Whoever keeps records for other operations must have them whole, and reads them with `needs` set to None.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from app.sources.customers import Customer
from app.sources.items import Item
from app.sources.orders import Order, OrderLine, Totals
from app.sources.prices import ContractPrice
from app.sources.shipments import Shipment, TrackingEvent
from app.sources.stock import StockPosition

Needs = frozenset[tuple[type, str]]
"""Attributes in SPARE, each with its record."""

needs: ContextVar[Needs | None] = ContextVar("needs", default=None)
"""What the running operation needs; None for whole records."""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


SPARE: dict[type, frozenset[str]] = {
    Customer: _names("customer_class sales_rep payment_terms tax_profile bill_to ship_tos refs freshness"),
    Item: _names("uoms gtin manufacturer_part category description attributes media hazmat dimensions refs freshness"),
    ContractPrice: _names(
        "uom quantity price_unit list_price discount_percent breaks reason valid_from valid_to proof_id freshness"
    ),
    StockPosition: _names("sku in_transfer"),
    Order: _names(
        "customer_po channel raw_status ordered_at updated_at bill_to ship_to terms totals lines holds exceptions "
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
"""What may be left out of a record. All else is always there: keys, statuses, whatever resolvers use unasked."""


class NotRead(Exception):
    """An attribute is used that `needs` did not name: declare it in `app/resolvers/loading/field_dependencies.py`."""


class LeftOut:
    """Stands in a partial record's class for an attribute that was left out."""

    def __init__(self, record: type, name: str) -> None:
        self._what = f"{record.__name__}.{name}"

    def __get__(self, row: object, owner: type | None = None) -> Any:
        if row is None:
            return self
        raise NotRead(f"{self._what} was left out: see app/resolvers/loading/field_dependencies.py")
