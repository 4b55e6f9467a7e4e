"""How an order and its fulfilments look on Shopify's wire, and what they are called here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal

import msgspec

from app import telemetry
from app.sources.custom_fields import SourceFields
from app.sources.customers import PaymentTerms
from app.sources.orders import Hold, HoldKind, Order, OrderLine, OrderStatus, Totals
from app.sources.shipments import (
    Eta,
    Package,
    Shipment,
    ShipmentLine,
    ShipmentStatus,
    TrackingEvent,
)
from app.sources.shopify.client import Count, ShopifyConnection, WireMoney, local_id
from app.sources.shopify.metafields import METAFIELDS, Metafields, custom_values
from app.sources.shopify.options import ShopifyOptions
from app.sources.values import Address, Freshness, Money, Party, Ref, Timestamp

LINE_PARTS = """fragment LineParts on LineItem {
  id sku name quantity
  discountedUnitPriceSet { presentmentMoney { amount currencyCode } }
  discountedTotalSet { presentmentMoney { amount currencyCode } }
}"""

FULFILLMENT_PARTS = """fragment FulfillmentParts on Fulfillment {
  id status displayStatus createdAt updatedAt estimatedDeliveryAt
  location { id name }
  trackingInfo(first: 5) { company number url }
  fulfillmentLineItems(first: $parts) { nodes { quantity lineItem { id } } pageInfo { hasNextPage endCursor } }
  events(first: $events, sortKey: HAPPENED_AT) {
    nodes { status happenedAt createdAt message city province country } pageInfo { hasNextPage endCursor }
  }
}"""

ORDER_PARTS = f"""fragment OrderParts on Order {{
  id name poNumber sourceName processedAt updatedAt cancelledAt displayFulfillmentStatus
  presentmentCurrencyCode taxesIncluded
  purchasingEntity {{ ... on PurchasingCompany {{ company {{ externalId }} }} }}
  currentSubtotalPriceSet {{ presentmentMoney {{ amount currencyCode }} }}
  currentTotalTaxSet {{ presentmentMoney {{ amount currencyCode }} }}
  currentShippingPriceSet {{ presentmentMoney {{ amount currencyCode }} }}
  currentTotalPriceSet {{ presentmentMoney {{ amount currencyCode }} }}
  billingAddress {{ ...OrderAddressParts }} shippingAddress {{ ...OrderAddressParts }}
  paymentTerms {{ paymentTermsName dueInDays }}
  lineItems(first: $lines) {{ nodes {{ ...LineParts }} pageInfo {{ hasNextPage endCursor }} }}
  fulfillmentsCount {{ count }}
  fulfillments(first: $fulfillments) {{ ...FulfillmentParts }}
  {METAFIELDS}
}}
fragment OrderAddressParts on MailingAddress {{
  company name address1 address2 city provinceCode zip countryCodeV2
}}
{LINE_PARTS}
{FULFILLMENT_PARTS}"""

STATUSES = {
    "UNFULFILLED": OrderStatus.CONFIRMED,
    "OPEN": OrderStatus.CONFIRMED,
    "RESTOCKED": OrderStatus.CONFIRMED,
    "SCHEDULED": OrderStatus.CONFIRMED,
    "ON_HOLD": OrderStatus.CONFIRMED,
    "FULFILLMENT_NOT_REQUIRED": OrderStatus.CONFIRMED,
    "IN_PROGRESS": OrderStatus.PROCESSING,
    "PENDING_FULFILLMENT": OrderStatus.PROCESSING,
    "REQUEST_DECLINED": OrderStatus.PROCESSING,
    "PARTIALLY_FULFILLED": OrderStatus.PARTIALLY_SHIPPED,
    "FULFILLED": OrderStatus.SHIPPED,
}
"""OrderDisplayFulfillmentStatus of the Admin API; an order with `cancelledAt` is cancelled."""

SHIPMENT_STATUSES = {
    "CONFIRMED": ShipmentStatus.PENDING,
    "SUBMITTED": ShipmentStatus.PENDING,
    "LABEL_PURCHASED": ShipmentStatus.PENDING,
    "LABEL_PRINTED": ShipmentStatus.PENDING,
    "LABEL_VOIDED": ShipmentStatus.PENDING,
    "CANCELED": ShipmentStatus.PENDING,
    "FULFILLED": ShipmentStatus.IN_TRANSIT,
    "MARKED_AS_FULFILLED": ShipmentStatus.IN_TRANSIT,
    "CARRIER_PICKED_UP": ShipmentStatus.PICKED_UP,
    "IN_TRANSIT": ShipmentStatus.IN_TRANSIT,
    "DELAYED": ShipmentStatus.DELIVERY_DELAYED,
    "OUT_FOR_DELIVERY": ShipmentStatus.OUT_FOR_DELIVERY,
    "READY_FOR_PICKUP": ShipmentStatus.READY_FOR_PICKUP,
    "PICKED_UP": ShipmentStatus.DELIVERED,
    "DELIVERED": ShipmentStatus.DELIVERED,
    "ATTEMPTED_DELIVERY": ShipmentStatus.DELIVERY_FAILED,
    "NOT_DELIVERED": ShipmentStatus.DELIVERY_FAILED,
    "FAILURE": ShipmentStatus.DELIVERY_FAILED,
}
"""FulfillmentDisplayStatus of the Admin API, and FulfillmentEventStatus, whose values are among them."""

UNSENT = frozenset({"CANCELLED", "ERROR", "FAILURE"})
"""FulfillmentStatus of goods that did not leave."""


class MoneyBag(msgspec.Struct, frozen=True, rename="camel"):
    """An amount as the customer pays it."""

    presentment_money: WireMoney


class PurchasingCompany(msgspec.Struct, frozen=True, rename="camel"):
    """The company that ordered."""

    external_id: str | None = None


class PurchasingEntity(msgspec.Struct, frozen=True):
    """Who ordered; a person has no company."""

    company: PurchasingCompany | None = None


class MailingAddress(msgspec.Struct, frozen=True, rename="camel"):
    """An address as typed in; everything may be missing."""

    company: str | None = None
    name: str | None = None
    address1: str | None = None
    address2: str | None = None
    city: str | None = None
    province_code: str | None = None
    zip: str | None = None
    country_code_v2: str | None = None


class OrderTerms(msgspec.Struct, frozen=True, rename="camel"):
    """When the order is to be paid."""

    payment_terms_name: str
    due_in_days: int | None = None


class LineItem(msgspec.Struct, frozen=True, rename="camel"):
    """A line. `quantity` is what was ordered; prices are after the line's discounts."""

    id: str
    name: str
    quantity: int
    discounted_unit_price_set: MoneyBag
    discounted_total_set: MoneyBag
    sku: str | None = None


class LineId(msgspec.Struct, frozen=True):
    """Which line."""

    id: str


class FulfillmentLineItem(msgspec.Struct, frozen=True, rename="camel"):
    """How much of a line a fulfilment holds."""

    line_item: LineId
    quantity: int | None = None


class FulfillmentLocation(msgspec.Struct, frozen=True):
    """Where it was sent from."""

    id: str
    name: str


class TrackingInfo(msgspec.Struct, frozen=True):
    """A parcel with its carrier."""

    company: str | None = None
    number: str | None = None
    url: str | None = None


class FulfillmentEvent(msgspec.Struct, frozen=True, rename="camel"):
    """A step on the way."""

    status: str
    happened_at: Timestamp
    created_at: Timestamp
    message: str | None = None
    city: str | None = None
    province: str | None = None
    country: str | None = None


class ShopifyFulfillment(msgspec.Struct, frozen=True, rename="camel"):
    """Goods given to a carrier, or about to be."""

    id: str
    status: str
    created_at: Timestamp
    updated_at: Timestamp
    fulfillment_line_items: ShopifyConnection[FulfillmentLineItem]
    events: ShopifyConnection[FulfillmentEvent]
    display_status: str | None = None
    estimated_delivery_at: Timestamp | None = None
    location: FulfillmentLocation | None = None
    tracking_info: tuple[TrackingInfo, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether all of its lines and events were read."""
        return not (self.fulfillment_line_items.page_info.has_next_page or self.events.page_info.has_next_page)


class ShopifyOrder(msgspec.Struct, frozen=True, rename="camel"):
    """An order with ORDER_PARTS."""

    id: str
    name: str
    processed_at: Timestamp
    updated_at: Timestamp
    display_fulfillment_status: str
    presentment_currency_code: str
    taxes_included: bool
    current_subtotal_price_set: MoneyBag
    current_shipping_price_set: MoneyBag
    current_total_price_set: MoneyBag
    line_items: ShopifyConnection[LineItem]
    fulfillments: tuple[ShopifyFulfillment, ...]
    current_total_tax_set: MoneyBag | None = None
    fulfillments_count: Count | None = None
    po_number: str | None = None
    source_name: str | None = None
    cancelled_at: Timestamp | None = None
    purchasing_entity: PurchasingEntity | None = None
    billing_address: MailingAddress | None = None
    shipping_address: MailingAddress | None = None
    payment_terms: OrderTerms | None = None
    metafields: Metafields | None = None

    @property
    def customer(self) -> str | None:
        """The external id of the company that ordered."""
        company = self.purchasing_entity.company if self.purchasing_entity else None
        return (company.external_id or None) if company else None

    @property
    def is_whole(self) -> bool:
        """Whether all of its lines and fulfilments were read."""
        more = self.fulfillments_count is not None and self.fulfillments_count.count > len(self.fulfillments)
        lines = self.line_items.page_info.has_next_page
        return not more and not lines and all(one.is_whole for one in self.fulfillments)


class ShopifyOrderMapping:
    """Turns orders of one shop into records."""

    def __init__(self, source: str, options: ShopifyOptions, fields: SourceFields) -> None:
        self._source = source
        self._options = options
        self._fields = fields

    def order(self, wire: ShopifyOrder, now: datetime) -> Order:
        freshness = Freshness(source=self._source, as_of=now)
        return Order(
            id=local_id(wire.id),
            source=self._source,
            number=wire.name,
            refs=(Ref(system=self._source, id=local_id(wire.id)),),
            customer=wire.customer,
            customer_po=wire.po_number or None,
            channel=wire.source_name or None,
            status=self._status(wire),
            raw_status=_raw_status(wire),
            ordered_at=wire.processed_at,
            updated_at=wire.updated_at,
            bill_to=_party(wire.billing_address),
            ship_to=_party(wire.shipping_address),
            terms=_terms(wire.payment_terms),
            currency=wire.presentment_currency_code,
            totals=_totals(wire),
            lines=tuple(self._lines(wire)),
            holds=_holds(wire),
            shipments=tuple(
                self._shipment(wire, sent, freshness)
                for sent in sorted(wire.fulfillments, key=lambda one: (one.created_at, one.id))
            ),
            freshness=freshness,
            custom=custom_values(self._fields, "Order", wire.metafields),
        )

    def _status(self, wire: ShopifyOrder) -> OrderStatus:
        if wire.cancelled_at is not None:
            return OrderStatus.CANCELLED
        status = wire.display_fulfillment_status
        if status not in STATUSES:
            telemetry.unknown_status(self._source, "order.displayFulfillmentStatus", status)
        return STATUSES.get(status, OrderStatus.UNKNOWN)

    def _lines(self, wire: ShopifyOrder) -> Iterator[OrderLine]:
        shipped = _shipped(wire)
        for number, line in enumerate(wire.line_items.nodes, start=1):
            yield OrderLine(
                id=local_id(line.id),
                number=number,
                order=wire.name,
                customer=wire.customer,
                sku=line.sku or None,
                description=line.name,
                uom=self._options.uom,
                quantity=Decimal(line.quantity),
                shipped_quantity=Decimal(shipped.get(line.id, 0)),
                unit_price=line.discounted_unit_price_set.presentment_money.money,
                total=line.discounted_total_set.presentment_money.money,
            )

    def _shipment(self, wire: ShopifyOrder, sent: ShopifyFulfillment, freshness: Freshness) -> Shipment:
        lines = {line.id: (number, line.sku or None) for number, line in enumerate(wire.line_items.nodes, start=1)}
        parts = [(lines.get(part.line_item.id, (None, None)), part) for part in sent.fulfillment_line_items.nodes]
        parcel = sent.tracking_info[0] if sent.tracking_info else TrackingInfo()
        expected = sent.estimated_delivery_at
        return Shipment(
            id=local_id(sent.id),
            source=self._source,
            refs=(Ref(system=self._source, id=local_id(sent.id)),),
            orders=(wire.name,),
            customer=wire.customer,
            warehouse=self._warehouse(sent.location),
            carrier=parcel.company or None,
            tracking_number=parcel.number or None,
            tracking_url=parcel.url or None,
            shipped_at=None if sent.status in UNSENT else sent.created_at,
            eta=Eta(carrier=_day(expected)) if expected is not None else None,
            status=self._shipment_status(sent.display_status or sent.status),
            raw_status=sent.display_status or sent.status,
            cancelled=sent.status == "CANCELLED",
            lines=tuple(
                ShipmentLine(order=wire.name, line_number=number, sku=sku, quantity=Decimal(part.quantity or 0))
                for (number, sku), part in parts
            ),
            packages=tuple(Package(tracking_number=one.number) for one in sent.tracking_info[1:] if one.number),
            events=tuple(self._events(sent)),
            updated_at=sent.updated_at,
            freshness=freshness,
        )

    def _events(self, sent: ShopifyFulfillment) -> Iterator[TrackingEvent]:
        ordered = sorted(sent.events.nodes, key=lambda one: one.happened_at)
        for sequence, event in enumerate(ordered, start=1):
            location = ", ".join(part for part in (event.city, event.province, event.country) if part)
            yield TrackingEvent(
                sequence=sequence,
                at=event.happened_at,
                recorded_at=event.created_at,
                status=self._shipment_status(event.status),
                location=location or None,
                description=event.message or None,
                raw_code=event.status,
                source=self._source,
            )

    def _shipment_status(self, status: str) -> ShipmentStatus:
        found = SHIPMENT_STATUSES.get(status) or _FULFILLMENT_STATUSES.get(status)
        if found is None:
            telemetry.unknown_status(self._source, "fulfillment.displayStatus", status)
        return found or ShipmentStatus.UNKNOWN

    def _warehouse(self, location: FulfillmentLocation | None) -> str | None:
        return None if location is None else self._options.warehouse(local_id(location.id), location.name)


_FULFILLMENT_STATUSES = {
    "SUCCESS": ShipmentStatus.IN_TRANSIT,
    "PENDING": ShipmentStatus.PENDING,
    "OPEN": ShipmentStatus.PENDING,
    "CANCELLED": ShipmentStatus.PENDING,
    "ERROR": ShipmentStatus.PENDING,
}
"""FulfillmentStatus of the Admin API, for fulfilments without a display status."""


def _day(at: datetime) -> date:
    return at.date()


def _raw_status(wire: ShopifyOrder) -> str:
    return "CANCELLED" if wire.cancelled_at is not None else wire.display_fulfillment_status


def _shipped(wire: ShopifyOrder) -> Mapping[str, int]:
    shipped: defaultdict[str, int] = defaultdict(int)
    for sent in wire.fulfillments:
        if sent.status not in UNSENT:
            for part in sent.fulfillment_line_items.nodes:
                shipped[part.line_item.id] += part.quantity or 0
    return shipped


def _totals(wire: ShopifyOrder) -> Totals:
    """The current amounts, after returns. Where prices include tax, Shopify names no net amount."""
    tax = wire.current_total_tax_set
    return Totals(
        net=None if wire.taxes_included else _money(wire.current_subtotal_price_set),
        tax=None if tax is None else _money(tax),
        shipping=_money(wire.current_shipping_price_set),
        total=_money(wire.current_total_price_set),
    )


def _money(bag: MoneyBag) -> Money:
    return bag.presentment_money.money


def _terms(terms: OrderTerms | None) -> PaymentTerms | None:
    if terms is None:
        return None
    return PaymentTerms(code=terms.payment_terms_name, name=terms.payment_terms_name, net_days=terms.due_in_days)


def _holds(wire: ShopifyOrder) -> tuple[Hold, ...]:
    if wire.cancelled_at is not None or wire.display_fulfillment_status != "ON_HOLD":
        return ()
    return (Hold(kind=HoldKind.OTHER, reason="The fulfillment of this order is on hold."),)


def _party(address: MailingAddress | None) -> Party | None:
    if address is None:
        return None
    name = address.company or address.name
    lines = tuple(line for line in (address.address1, address.address2) if line)
    if not name and not lines:
        return None
    return Party(
        name=name or "",
        address=Address(
            lines=lines,
            city=address.city or None,
            region=address.province_code or None,
            postal_code=address.zip or None,
            country=address.country_code_v2 or None,
        ),
    )
