"""How an order looks on Medusa's wire, and what it is called here.

Amounts and quantities are exact in the fields that begin with `raw_`; Medusa calculates them only where `total` itself
is among the fields. Its subtotals are before discounts. Lines come in changing order. `fields` must not name
`fulfillments.location`: Medusa 2.17.2 then never answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from app import telemetry
from app.sources.custom_fields import SourceFields
from app.sources.medusa.client import RawAmount
from app.sources.medusa.customers import MedusaAddress, number_of
from app.sources.medusa.options import MedusaOptions
from app.sources.orders import Order, OrderLine, OrderStatus, Totals
from app.sources.shipments import Package, Shipment, ShipmentLine, ShipmentStatus
from app.sources.values import Freshness, Money, Party, Ref, Timestamp

FULFILLMENT_STATUSES = {
    "not_fulfilled": OrderStatus.CONFIRMED,
    "partially_fulfilled": OrderStatus.PROCESSING,
    "fulfilled": OrderStatus.PROCESSING,
    "partially_shipped": OrderStatus.PARTIALLY_SHIPPED,
    "shipped": OrderStatus.SHIPPED,
    "partially_delivered": OrderStatus.PARTIALLY_DELIVERED,
    "delivered": OrderStatus.DELIVERED,
    "canceled": OrderStatus.CONFIRMED,
}
"""The fulfilment status of an order in force (`getLastFulfillmentStatus` of Medusa's core flows); `canceled` is that of
an order whose fulfilments were cancelled."""

ORDER_STATUSES = {
    "draft": OrderStatus.DRAFT,
    "canceled": OrderStatus.CANCELLED,
    "requires_action": OrderStatus.CONFIRMED,
}
"""The statuses of an order that say more than its fulfilments."""

IN_FORCE = frozenset({"pending", "completed", "archived"})


class OrderCustomer(msgspec.Struct, frozen=True):
    """Who ordered."""

    id: str
    metadata: Mapping[str, Any] | None


class OrderChannel(msgspec.Struct, frozen=True):
    """The way that an order came in by."""

    name: str


class LineDetail(msgspec.Struct, frozen=True):
    """How far a line is. From an order's lines without `raw_fulfilled_quantity`, Medusa calculates a fulfilment status
    as if all of them were fulfilled."""

    raw_quantity: RawAmount
    raw_fulfilled_quantity: RawAmount
    raw_shipped_quantity: RawAmount
    raw_return_received_quantity: RawAmount
    raw_written_off_quantity: RawAmount


class MedusaLine(msgspec.Struct, frozen=True):
    """A line."""

    id: str
    title: str
    variant_sku: str | None
    variant_title: str | None
    metadata: Mapping[str, Any] | None
    created_at: Timestamp
    raw_unit_price: RawAmount
    raw_subtotal: RawAmount
    raw_discount_total: RawAmount
    detail: LineDetail


class FulfillmentLabel(msgspec.Struct, frozen=True):
    """A parcel of a fulfilment."""

    tracking_number: str
    tracking_url: str


class FulfillmentItem(msgspec.Struct, frozen=True):
    """How much of a line a fulfilment holds."""

    line_item_id: str | None
    sku: str
    raw_quantity: RawAmount


class MedusaFulfillment(msgspec.Struct, frozen=True):
    """Goods made ready, or sent."""

    id: str
    created_at: Timestamp
    updated_at: Timestamp
    shipped_at: Timestamp | None
    delivered_at: Timestamp | None
    canceled_at: Timestamp | None
    location_id: str
    provider_id: str | None
    labels: tuple[FulfillmentLabel, ...]
    items: tuple[FulfillmentItem, ...]


class MedusaOrder(msgspec.Struct, frozen=True):
    """An order."""

    id: str
    display_id: int
    custom_display_id: str | None
    status: str
    fulfillment_status: str
    currency_code: str
    created_at: Timestamp
    updated_at: Timestamp
    metadata: Mapping[str, Any] | None
    customer: OrderCustomer | None
    sales_channel: OrderChannel | None
    shipping_address: MedusaAddress | None
    billing_address: MedusaAddress | None
    total: Decimal
    raw_total: RawAmount
    raw_item_subtotal: RawAmount
    raw_discount_total: RawAmount
    raw_tax_total: RawAmount
    raw_shipping_total: RawAmount
    items: tuple[MedusaLine, ...]
    fulfillments: tuple[MedusaFulfillment, ...]

    @property
    def number(self) -> str:
        """The number that the project gives, else Medusa's own."""
        return self.custom_display_id or str(self.display_id)


class OrderRows(msgspec.Struct, frozen=True, rename={"rows": "orders"}):
    """A page of orders."""

    rows: tuple[MedusaOrder, ...]
    count: int


class MedusaOrderMapping:
    """Turns orders of one server into records."""

    def __init__(self, source: str, options: MedusaOptions, fields: SourceFields) -> None:
        self._source = source
        self._options = options
        self._fields = fields

    def order(self, wire: MedusaOrder, warehouses: Mapping[str, str], now: datetime) -> Order:
        """The record of an order; `warehouses` are codes by the id of a stock location."""
        freshness = Freshness(source=self._source, as_of=now)
        metadata = wire.metadata or {}
        customer = number_of(wire.customer.metadata, self._options) if wire.customer else None
        lines = self._sorted(wire.items)
        return Order(
            id=wire.id,
            source=self._source,
            number=wire.number,
            refs=(Ref(system=self._source, id=wire.id),),
            customer=customer,
            customer_po=_text(metadata.get(self._options.po_number_key)),
            channel=wire.sales_channel.name if wire.sales_channel else None,
            status=self._status(wire),
            raw_status=wire.status if wire.status not in IN_FORCE else wire.fulfillment_status,
            ordered_at=wire.created_at,
            updated_at=wire.updated_at,
            bill_to=_party(wire.billing_address),
            ship_to=_party(wire.shipping_address),
            currency=wire.currency_code.upper(),
            totals=Totals(
                net=None if wire.raw_discount_total.value else _money(wire, wire.raw_item_subtotal),
                tax=_money(wire, wire.raw_tax_total),
                shipping=_money(wire, wire.raw_shipping_total),
                total=_money(wire, wire.raw_total),
            ),
            lines=tuple(self._line(wire, number, line, customer) for number, line in lines),
            shipments=tuple(
                self._shipment(wire, sent, lines, customer, warehouses, freshness)
                for sent in sorted(wire.fulfillments, key=lambda one: (one.created_at, one.id))
            ),
            freshness=freshness,
            custom=self._fields.read("Order", metadata.get),
        )

    def _status(self, wire: MedusaOrder) -> OrderStatus:
        found = ORDER_STATUSES.get(wire.status)
        if found is None and wire.status in IN_FORCE:
            found = FULFILLMENT_STATUSES.get(wire.fulfillment_status)
        if found is None:
            telemetry.unknown_status(self._source, "order.status", f"{wire.status}/{wire.fulfillment_status}")
        return found or OrderStatus.UNKNOWN

    def _sorted(self, lines: Sequence[MedusaLine]) -> list[tuple[int, MedusaLine]]:
        """The lines with their numbers, in order: by the number in their metadata, else by age."""
        key = self._options.line_number_key
        given = [(line.metadata or {}).get(key) for line in lines]
        numbers = [value for value in given if type(value) is int and value > 0]
        if len(set(numbers)) == len(lines):
            return sorted(zip(numbers, lines, strict=True), key=lambda one: one[0])
        return list(enumerate(sorted(lines, key=lambda line: (line.created_at, line.id)), start=1))

    def _line(self, wire: MedusaOrder, number: int, line: MedusaLine, customer: str | None) -> OrderLine:
        detail = line.detail
        return OrderLine(
            id=line.id,
            number=number,
            order=wire.number,
            customer=customer,
            sku=line.variant_sku or None,
            description=line.variant_title or line.title,
            uom=self._options.uom,
            quantity=detail.raw_quantity.value,
            shipped_quantity=detail.raw_shipped_quantity.value,
            cancelled_quantity=detail.raw_written_off_quantity.value,
            returned_quantity=detail.raw_return_received_quantity.value,
            unit_price=_money(wire, line.raw_unit_price),
            total=None if line.raw_discount_total.value else _money(wire, line.raw_subtotal),
        )

    def _shipment(
        self,
        wire: MedusaOrder,
        sent: MedusaFulfillment,
        lines: Sequence[tuple[int, MedusaLine]],
        customer: str | None,
        warehouses: Mapping[str, str],
        freshness: Freshness,
    ) -> Shipment:
        numbers = {line.id: number for number, line in lines}
        first = sent.labels[0] if sent.labels else None
        status = _shipment_status(sent)
        return Shipment(
            id=sent.id,
            source=self._source,
            refs=(Ref(system=self._source, id=sent.id),),
            orders=(wire.number,),
            customer=customer,
            warehouse=warehouses.get(sent.location_id),
            carrier=sent.provider_id,
            tracking_number=first.tracking_number or None if first else None,
            tracking_url=first.tracking_url or None if first else None,
            shipped_at=sent.shipped_at,
            status=status,
            raw_status=_raw_status(sent),
            cancelled=sent.canceled_at is not None,
            lines=tuple(
                ShipmentLine(
                    order=wire.number,
                    line_number=numbers.get(one.line_item_id or ""),
                    sku=one.sku or None,
                    quantity=one.raw_quantity.value,
                )
                for one in sorted(sent.items, key=lambda one: (numbers.get(one.line_item_id or "", 0), one.sku))
            ),
            packages=tuple(_packages(sent.labels)),
            updated_at=sent.updated_at,
            freshness=freshness,
        )


def _shipment_status(sent: MedusaFulfillment) -> ShipmentStatus:
    """Medusa knows that goods have left and arrived, not where they are."""
    if sent.delivered_at is not None:
        return ShipmentStatus.DELIVERED
    return ShipmentStatus.IN_TRANSIT if sent.shipped_at is not None else ShipmentStatus.PENDING


def _raw_status(sent: MedusaFulfillment) -> str:
    if sent.canceled_at is not None:
        return "canceled"
    if sent.delivered_at is not None:
        return "delivered"
    return "shipped" if sent.shipped_at is not None else "created"


def _packages(labels: Sequence[FulfillmentLabel]) -> Iterator[Package]:
    for label in labels[1:]:
        if label.tracking_number:
            yield Package(tracking_number=label.tracking_number)


def _money(wire: MedusaOrder, amount: RawAmount) -> Money:
    return Money(amount=amount.value, currency=wire.currency_code.upper())


def _party(address: MedusaAddress | None) -> Party | None:
    return (
        Party(name=address.name, address=address.address) if address and (address.name or address.address_1) else None
    )


def _text(value: object) -> str | None:
    return str(value) if isinstance(value, (str, int)) and value != "" else None
