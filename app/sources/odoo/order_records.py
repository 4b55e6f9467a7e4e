"""Makes orders of rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from app import telemetry
from app.sources.customers import PaymentTerms
from app.sources.odoo.documents import Parties, line_numbers
from app.sources.odoo.reference import Countries, OdooLocations
from app.sources.odoo.rows import Link, OrderLineRow, OrderRow, number, utc
from app.sources.odoo.units import OdooUnits
from app.sources.orders import Order, OrderLine, OrderStatus, Totals
from app.sources.values import Freshness, Money, Party, Ref

STATES: Mapping[str, OrderStatus] = {
    "draft": OrderStatus.DRAFT,
    "sent": OrderStatus.QUOTED,
    "sale": OrderStatus.CONFIRMED,
    "done": OrderStatus.CONFIRMED,
    "cancel": OrderStatus.CANCELLED,
}
"""`state` of an order of which nothing was shipped. A locked order is `done`."""
OPEN_DELIVERY = ("draft", "waiting", "confirmed", "assigned")
"""The states of a delivery that is to come."""


@dataclass(frozen=True, slots=True)
class OrderRecords:
    """What orders refer to."""

    source: str
    parties: Parties
    products: Mapping[int, str | None]
    units: OdooUnits
    countries: Countries
    locations: OdooLocations

    def party(self, link: Link | None) -> Party | None:
        """Name and address of a partner."""
        row = self.parties.get(link)
        if row is None or link is None:
            return None
        return Party(name=row.name or link[1], address=self.countries.address(row))


def order_of(
    row: OrderRow, lines: Sequence[OrderLineRow], records: OrderRecords, now: datetime, *, unfinished: bool
) -> Order:
    """The order. `unfinished` says that a delivery of it is to come."""
    currency, terms = row.currency_id[1], row.payment_term_id
    customer = records.parties.number(row.partner_id)

    def money(amount: Decimal) -> Money:
        return Money(amount=number(amount), currency=currency)

    numbers = line_numbers(lines)
    return Order(
        id=str(row.id),
        source=records.source,
        number=row.name,
        refs=(Ref(system=records.source, id=str(row.id)),),
        customer=customer,
        customer_po=row.client_order_ref,
        custom=row.custom,
        status=_status(row, lines, records.source, unfinished=unfinished),
        raw_status=row.state,
        ordered_at=utc(row.date_order),
        updated_at=utc(row.write_date),
        promised_on=None if row.commitment_date is None else row.commitment_date.date(),
        warehouse=next(
            (
                code
                for code, one in records.locations.warehouses.items()
                if row.warehouse_id and one.id == row.warehouse_id[0]
            ),
            None,
        ),
        bill_to=records.party(row.partner_invoice_id),
        ship_to=records.party(row.partner_shipping_id),
        terms=None if terms is None else PaymentTerms(code=str(terms[0]), name=terms[1]),
        currency=currency,
        totals=Totals(net=money(row.amount_untaxed), tax=money(row.amount_tax), total=money(row.amount_total)),
        lines=tuple(
            _line(row, line, numbers[line.id], customer, records)
            for line in sorted(lines, key=lambda line: numbers[line.id])
        ),
        freshness=Freshness(source=records.source, as_of=now),
    )


def _status(row: OrderRow, lines: Sequence[OrderLineRow], source: str, *, unfinished: bool) -> OrderStatus:
    status = STATES.get(row.state, OrderStatus.UNKNOWN)
    if status is OrderStatus.UNKNOWN:
        telemetry.unknown_status(source, "order", row.state)
    if status is OrderStatus.CONFIRMED and any(line.qty_delivered > 0 for line in lines):
        return OrderStatus.PARTIALLY_SHIPPED if unfinished else OrderStatus.SHIPPED
    return status


def _line(order: OrderRow, row: OrderLineRow, place: int, customer: str | None, records: OrderRecords) -> OrderLine:
    currency = order.currency_id[1]
    # A discount is in percent of the unit price; Odoo has the net price as well.
    price = row.price_reduce_taxexcl if row.discount else row.price_unit
    return OrderLine(
        id=str(row.id),
        number=place,
        order=order.name,
        customer=customer,
        sku=None if row.product_id is None else records.products.get(row.product_id[0]),
        description=row.name,
        uom=records.units.code(None if row.product_uom is None else row.product_uom[0]),
        quantity=number(row.product_uom_qty),
        shipped_quantity=number(row.qty_delivered),
        invoiced_quantity=number(row.qty_invoiced),
        unit_price=Money(amount=number(price), currency=currency),
        total=Money(amount=number(row.price_subtotal), currency=currency),
    )
