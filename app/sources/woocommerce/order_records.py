"""How an order looks on WooCommerce's wire, and what it is called here.

Amounts are text with the shop's number of decimals. A line's `price` is its total divided by its quantity as a float:
it counts only where it gives the total exactly. The lines of an order are not cut, whatever their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from app import telemetry
from app.sources.custom_fields import SourceFields
from app.sources.orders import Order, OrderLine, OrderStatus, Totals
from app.sources.shipments import Shipment, ShipmentStatus
from app.sources.values import Freshness, Money, Ref
from app.sources.woocommerce.client import WooMeta, gmt, meta_value, plain, text_of
from app.sources.woocommerce.customers import WooAddress
from app.sources.woocommerce.options import WooCommerceOptions

TRUE = frozenset({"1", "true", "yes"})


class WooLine(msgspec.Struct, frozen=True):
    """A line. `sku` is null for a product that was deleted."""

    id: int
    name: str
    quantity: Decimal
    total: Decimal
    price: Decimal
    sku: str | None
    meta_data: tuple[WooMeta, ...]


class WooRefund(msgspec.Struct, frozen=True):
    """Money given back; `total` is negative."""

    id: int
    reason: str
    total: Decimal


class WooOrder(msgspec.Struct, frozen=True):
    """An order. Times are in UTC, without their offset; the fields without `_gmt` are in the shop's own time."""

    id: int
    number: str
    status: str
    currency: str
    created_via: str
    date_created_gmt: datetime | None
    date_modified_gmt: datetime | None
    customer_id: int
    total: Decimal
    total_tax: Decimal
    shipping_total: Decimal
    billing: WooAddress
    shipping: WooAddress
    meta_data: tuple[WooMeta, ...]
    line_items: tuple[WooLine, ...]
    refunds: tuple[WooRefund, ...]


class WooCommerceOrderMapping:
    """Turns orders of one shop into records."""

    def __init__(self, source: str, options: WooCommerceOptions, fields: SourceFields) -> None:
        self._source = source
        self._options = options
        self._fields = fields

    def order(self, wire: WooOrder, customer: str | None, now: datetime) -> Order:
        """The record of an order of a customer, by its number."""
        freshness = Freshness(source=self._source, as_of=now)
        return Order(
            id=str(wire.id),
            source=self._source,
            number=wire.number,
            refs=(Ref(system=self._source, id=str(wire.id)),),
            customer=customer,
            customer_po=text_of(meta_value(wire.meta_data, self._options.po_number_key)),
            channel=wire.created_via or None,
            status=self._status(wire.status),
            raw_status=wire.status,
            ordered_at=gmt(wire.date_created_gmt) if wire.date_created_gmt else None,
            updated_at=gmt(wire.date_modified_gmt) if wire.date_modified_gmt else None,
            bill_to=wire.billing.party,
            ship_to=wire.shipping.party,
            currency=wire.currency,
            totals=Totals(
                tax=self._money(wire, wire.total_tax),
                shipping=self._money(wire, wire.shipping_total),
                total=self._money(wire, wire.total),
            ),
            lines=tuple(self._line(wire, number, line, customer) for number, line in self._numbered(wire.line_items)),
            shipments=self._shipments(wire, customer, freshness) if self._options.shipped_key else None,
            freshness=freshness,
            custom=self._fields.read("Order", lambda key: meta_value(wire.meta_data, key)),
        )

    def _status(self, status: str) -> OrderStatus:
        found = self._options.order_statuses.get(status)
        if found is None:
            telemetry.unknown_status(self._source, "order.status", status)
        return found or OrderStatus.UNKNOWN

    def _numbered(self, lines: Sequence[WooLine]) -> list[tuple[int, WooLine]]:
        """The lines with their numbers, in order: by the number in their meta data, else by id."""
        texts = [text_of(meta_value(line.meta_data, self._options.line_number_key)) or "" for line in lines]
        numbers = [int(text) for text in texts if text.isascii() and text.isdecimal() and len(text) < 10]
        if len(set(numbers)) == len(lines):
            return sorted(zip(numbers, lines, strict=True), key=lambda one: one[0])
        return list(enumerate(sorted(lines, key=lambda line: line.id), start=1))

    def _line(self, wire: WooOrder, number: int, line: WooLine, customer: str | None) -> OrderLine:
        is_exact = line.price * line.quantity == line.total
        return OrderLine(
            id=str(line.id),
            number=number,
            order=wire.number,
            customer=customer,
            sku=line.sku or None,
            description=plain(line.name),
            uom=self._options.uom,
            quantity=line.quantity,
            unit_price=self._money(wire, line.price) if is_exact else None,
            total=self._money(wire, line.total),
        )

    def _shipments(self, wire: WooOrder, customer: str | None, freshness: Freshness) -> tuple[Shipment, ...]:
        """The one shipment of an order that is marked as sent. Nothing says when it left, and what it holds."""
        if not is_shipped(wire.meta_data, self._options):
            return ()
        return (
            Shipment(
                id=str(wire.id),
                source=self._source,
                refs=(Ref(system=self._source, id=str(wire.id)),),
                orders=(wire.number,),
                customer=customer,
                warehouse=self._options.warehouse,
                carrier=text_of(meta_value(wire.meta_data, self._options.carrier_key)),
                tracking_number=text_of(meta_value(wire.meta_data, self._options.tracking_number_key)),
                status=ShipmentStatus.IN_TRANSIT,
                raw_status=self._options.shipped_key,
                freshness=freshness,
            ),
        )

    @staticmethod
    def _money(wire: WooOrder, amount: Decimal) -> Money:
        return Money(amount=amount, currency=wire.currency)


def is_shipped(meta: Sequence[WooMeta], options: WooCommerceOptions) -> bool:
    """Whether an order is marked as sent: PHP writes true as `true`, 1, "1" or "yes"."""
    value = meta_value(meta, options.shipped_key)
    return value is True or (text_of(value) or "").lower() in TRUE
