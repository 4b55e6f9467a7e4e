"""How an order looks on Vendure's wire, and what it is called here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal

import msgspec

from app import telemetry
from app.sources.custom_fields import NO_FIELDS, SourceFields
from app.sources.orders import Hold, HoldKind, Order, OrderLine, OrderStatus, StatusChange, Totals
from app.sources.shipments import Shipment, ShipmentLine, ShipmentStatus
from app.sources.values import Address, Freshness, Money, Party, Ref, Timestamp
from app.sources.vendure.options import VendureOptions

ORDER_PARTS = """fragment OrderParts on Order {
  id code state orderPlacedAt updatedAt currencyCode subTotal shipping total totalWithTax
  customFields { po: PO_NUMBER } channels { code }
  customer { customFields { number: CUSTOMER_NUMBER } }
  shippingAddress { ...AddressParts } billingAddress { ...AddressParts }
  lines { id quantity orderPlacedQuantity proratedUnitPrice proratedLinePrice productVariant { sku name } }
  fulfillments { id state method trackingCode updatedAt lines { orderLineId quantity } }
  history(options: {filter: {type: {eq: "ORDER_STATE_TRANSITION"}}, sort: {createdAt: ASC}, take: 100}) {
    items { createdAt data }
  }
}
fragment AddressParts on OrderAddress {
  fullName company streetLine1 streetLine2 city province postalCode countryCode
}"""

STATES = {
    "Draft": OrderStatus.DRAFT,
    "AddingItems": OrderStatus.DRAFT,
    "ArrangingPayment": OrderStatus.DRAFT,
    "PaymentAuthorized": OrderStatus.CONFIRMED,
    "PaymentSettled": OrderStatus.PROCESSING,
    "Modifying": OrderStatus.PROCESSING,
    "ArrangingAdditionalPayment": OrderStatus.PROCESSING,
    "PartiallyShipped": OrderStatus.PARTIALLY_SHIPPED,
    "Shipped": OrderStatus.SHIPPED,
    "PartiallyDelivered": OrderStatus.PARTIALLY_DELIVERED,
    "Delivered": OrderStatus.DELIVERED,
    "Cancelled": OrderStatus.CANCELLED,
}

# Vendure knows that goods have left, not where they are.
FULFILLMENT_STATES = {
    "Created": ShipmentStatus.PENDING,
    "Pending": ShipmentStatus.PENDING,
    "Cancelled": ShipmentStatus.PENDING,
    "Shipped": ShipmentStatus.IN_TRANSIT,
    "Delivered": ShipmentStatus.DELIVERED,
}
SENT = frozenset({"Shipped", "Delivered"})

DEFAULT_CHANNEL = "__default_channel__"

# ISO 4217 currencies whose minor unit is not a hundredth.
_WITHOUT_MINOR = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THOUSANDTHS = "BHD IQD JOD KWD LYD OMR TND"
_MINOR_DIGITS = {
    **dict.fromkeys(_WITHOUT_MINOR.split(), 0),
    **dict.fromkeys(_THOUSANDTHS.split(), 3),
    "CLF": 4,
}


class Channel(msgspec.Struct, frozen=True):
    """A way that orders come in by."""

    code: str


class CustomerFields(msgspec.Struct, frozen=True):
    """Our fields of a customer."""

    number: str | None = None


class WireCustomer(msgspec.Struct, frozen=True, rename="camel"):
    """Who ordered."""

    custom_fields: CustomerFields


class OrderFields(msgspec.Struct, frozen=True):
    """Our fields of an order."""

    po: str | None = None


class OrderAddress(msgspec.Struct, frozen=True, rename="camel"):
    """An address as typed in; everything may be missing."""

    full_name: str | None = None
    company: str | None = None
    street_line1: str | None = None
    street_line2: str | None = None
    city: str | None = None
    province: str | None = None
    postal_code: str | None = None
    country_code: str | None = None


class OrderedVariant(msgspec.Struct, frozen=True):
    """What was ordered."""

    sku: str
    name: str


class WireOrderLine(msgspec.Struct, frozen=True, rename="camel"):
    """A line. `quantity` is what is left after cancellations, money in minor units after all discounts."""

    id: str
    quantity: int
    order_placed_quantity: int
    prorated_unit_price: int
    prorated_line_price: int
    product_variant: OrderedVariant


class FulfillmentLine(msgspec.Struct, frozen=True, rename="camel"):
    """How much of a line a fulfilment holds."""

    order_line_id: str
    quantity: int


class Fulfillment(msgspec.Struct, frozen=True, rename="camel"):
    """Goods made ready for, or given to, a carrier. `method` is the way of shipping that the shop offered."""

    id: str
    state: str
    updated_at: Timestamp
    method: str | None = None
    tracking_code: str | None = None
    lines: tuple[FulfillmentLine, ...] = ()


class Transition(msgspec.Struct, frozen=True):
    """A step from one state to the next."""

    to: str = ""


class HistoryEntry(msgspec.Struct, frozen=True, rename="camel"):
    """When the step was taken."""

    created_at: Timestamp
    data: Transition


class History(msgspec.Struct, frozen=True):
    """The steps, oldest first."""

    items: tuple[HistoryEntry, ...] = ()


class WireOrder(msgspec.Struct, frozen=True, rename="camel"):
    """An order with ORDER_PARTS."""

    id: str
    code: str
    state: str
    updated_at: Timestamp
    currency_code: str
    sub_total: int
    shipping: int
    total: int
    total_with_tax: int
    history: History
    order_placed_at: Timestamp | None = None
    custom_fields: OrderFields = OrderFields()
    own_fields: Mapping[str, msgspec.Raw] = {}
    channels: tuple[Channel, ...] = ()
    customer: WireCustomer | None = None
    shipping_address: OrderAddress | None = None
    billing_address: OrderAddress | None = None
    lines: tuple[WireOrderLine, ...] = ()
    fulfillments: tuple[Fulfillment, ...] | None = ()

    @property
    def customer_number(self) -> str | None:
        return self.customer.custom_fields.number if self.customer else None


class OrderMapping:
    """Maps orders of one Vendure server to records.

    Vendure's amounts are integers in minor units of the order's currency; quantities are in the unit of
    `options.uom`. A state without a mapping is UNKNOWN, keeps its name as `raw_status` and is counted.
    """

    def __init__(self, source: str, options: VendureOptions, fields: SourceFields = NO_FIELDS) -> None:
        self._source = source
        self._fields = fields
        self._uom = options.uom
        self._digits = options.money_digits

    def order(self, wire: WireOrder, now: datetime) -> Order:
        """The order with its lines, history and shipments, as of `now`."""
        freshness = Freshness(source=self._source, as_of=now)
        return Order(
            id=wire.id,
            source=self._source,
            number=wire.code,
            refs=(Ref(system=self._source, id=wire.id),),
            customer=wire.customer_number,
            customer_po=wire.custom_fields.po or None,
            channel=_channel(wire.channels),
            status=self._status(wire.state),
            raw_status=wire.state,
            ordered_at=wire.order_placed_at,
            updated_at=wire.updated_at,
            bill_to=_party(wire.billing_address),
            ship_to=_party(wire.shipping_address),
            currency=wire.currency_code,
            totals=self._totals(wire),
            lines=tuple(self._lines(wire)),
            holds=_holds(wire),
            history=tuple(
                StatusChange(
                    system=self._source,
                    status=self._status(entry.data.to),
                    raw_status=entry.data.to,
                    at=entry.created_at,
                )
                for entry in wire.history.items
            ),
            shipments=tuple(self._shipment(wire, sent, freshness) for sent in _in_order(wire.fulfillments or ())),
            freshness=freshness,
            custom=self._fields.read("Order", wire.own_fields.get),
        )

    def money(self, minor: int, currency: str) -> Money:
        """An amount from minor units: 2 decimals unless ISO 4217 or `options.money_digits` says otherwise."""
        return Money(amount=Decimal(minor).scaleb(-self._minor_digits(currency)), currency=currency)

    def minor_units(self, money: Money) -> Decimal:
        """The amount in minor units, which may be a fraction."""
        return money.amount.scaleb(self._minor_digits(money.currency))

    def _minor_digits(self, currency: str) -> int:
        return _MINOR_DIGITS.get(currency, 2) if self._digits is None else self._digits

    def _status(self, state: str) -> OrderStatus:
        if state not in STATES:
            telemetry.unknown_status(self._source, "order.state", state)
        return STATES.get(state, OrderStatus.UNKNOWN)

    def _totals(self, wire: WireOrder) -> Totals:
        currency = wire.currency_code
        return Totals(
            net=self.money(wire.sub_total, currency),
            tax=self.money(wire.total_with_tax - wire.total, currency),
            shipping=self.money(wire.shipping, currency),
            total=self.money(wire.total_with_tax, currency),
        )

    def _lines(self, wire: WireOrder) -> Iterator[OrderLine]:
        shipped = _shipped(wire)
        for number, line in enumerate(sorted(wire.lines, key=lambda line: _numeric(line.id)), start=1):
            # The quantity sinks when a line is cancelled; a changed order may also have more than was placed.
            ordered = max(line.order_placed_quantity, line.quantity)
            yield OrderLine(
                id=line.id,
                number=number,
                order=wire.code,
                customer=wire.customer_number,
                sku=line.product_variant.sku,
                description=line.product_variant.name,
                uom=self._uom,
                quantity=Decimal(ordered),
                shipped_quantity=Decimal(shipped.get(line.id, 0)),
                cancelled_quantity=Decimal(ordered - line.quantity),
                unit_price=self.money(line.prorated_unit_price, wire.currency_code),
                total=self.money(line.prorated_line_price, wire.currency_code),
            )

    def _shipment(self, wire: WireOrder, sent: Fulfillment, freshness: Freshness) -> Shipment:
        if sent.state not in FULFILLMENT_STATES:
            telemetry.unknown_status(self._source, "fulfillment.state", sent.state)
        order_of = sorted(wire.lines, key=lambda line: _numeric(line.id))
        positions = {line.id: (number, line.product_variant.sku) for number, line in enumerate(order_of, start=1)}
        lines = []
        for part in sent.lines:
            number, sku = positions.get(part.order_line_id, (None, None))
            lines.append(ShipmentLine(order=wire.code, line_number=number, sku=sku, quantity=Decimal(part.quantity)))
        return Shipment(
            id=sent.id,
            source=self._source,
            refs=(Ref(system=self._source, id=sent.id),),
            orders=(wire.code,),
            customer=wire.customer_number,
            service=sent.method or None,
            tracking_number=sent.tracking_code or None,
            status=FULFILLMENT_STATES.get(sent.state, ShipmentStatus.UNKNOWN),
            raw_status=sent.state,
            cancelled=sent.state == "Cancelled",
            lines=tuple(lines),
            updated_at=sent.updated_at,
            freshness=freshness,
        )


def _shipped(wire: WireOrder) -> Mapping[str, int]:
    shipped: defaultdict[str, int] = defaultdict(int)
    for fulfillment in wire.fulfillments or ():
        if fulfillment.state in SENT:
            for part in fulfillment.lines:
                shipped[part.order_line_id] += part.quantity
    return shipped


def _in_order(fulfillments: tuple[Fulfillment, ...]) -> list[Fulfillment]:
    return sorted(fulfillments, key=lambda fulfillment: _numeric(fulfillment.id))


def _numeric(key: str) -> tuple[int, str]:
    return (int(key), key) if key.isdecimal() else (0, key)


def _channel(channels: tuple[Channel, ...]) -> str | None:
    """The channel that an order came in by; Vendure puts every order into its default channel as well."""
    others = [channel.code for channel in channels if channel.code != DEFAULT_CHANNEL]
    return others[0] if others else ("default" if channels else None)


def _party(address: OrderAddress | None) -> Party | None:
    if address is None:
        return None
    name = address.company or address.full_name
    lines = tuple(line for line in (address.street_line1, address.street_line2) if line)
    if not name and not lines:
        return None
    return Party(
        name=name or "",
        address=Address(
            lines=lines,
            city=address.city or None,
            region=address.province or None,
            postal_code=address.postal_code or None,
            country=address.country_code or None,
        ),
    )


def _holds(wire: WireOrder) -> tuple[Hold, ...]:
    if wire.state != "ArrangingAdditionalPayment":
        return ()
    return (Hold(kind=HoldKind.PAYMENT, reason="The changed order costs more than was paid.", since=wire.updated_at),)
