"""What is read of Odoo: a struct's fields are the `fields` of the read. Names are those of Odoo 11, see `versions`."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import ClassVar

import msgspec

from app.sources.values import CustomValues

Link = tuple[int, str]
"""A record that another one refers to: its id and its name."""

QUANTUM, DIGITS = Decimal("0.000001"), 18


class OdooRow(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """A record. An attribute that Odoo has no value of is None; numbers are floats in Odoo. Of a row that `shows` a
    type of the graph, `custom` are the deployment's own fields of it."""

    shows: ClassVar[str] = ""
    custom: ClassVar[CustomValues | None] = None

    id: int


class OdooCompanyRow(OdooRow, kw_only=True, frozen=True):
    """`res.company`."""

    currency_id: Link


class CountryRow(OdooRow, kw_only=True, frozen=True):
    """`res.country` and `res.country.state`."""

    code: str | None = None


class UnitRow(OdooRow, kw_only=True, frozen=True):
    """`product.uom`: one of it is `factor_inv` reference units of its category; a smaller one `1 / factor`."""

    name: str
    category_id: Link | None = None
    uom_type: str = "reference"
    factor: Decimal = Decimal(1)
    factor_inv: Decimal = Decimal(1)
    active: bool = True


class WarehouseRow(OdooRow, kw_only=True, frozen=True):
    """`stock.warehouse`."""

    name: str
    code: str
    view_location_id: Link


class OdooLocationRow(OdooRow, kw_only=True, frozen=True):
    """`stock.location`."""

    location_id: Link | None = None
    usage: str


class PartnerNumberRow(OdooRow, kw_only=True, frozen=True):
    """`res.partner`, for the number of the customer that it belongs to."""

    ref: str | None = None
    commercial_partner_id: Link | None = None


class OdooAddressRow(OdooRow, kw_only=True, frozen=True):
    """`res.partner` as an address."""

    name: str | None = None
    type: str | None = None
    parent_id: Link | None = None
    street: str | None = None
    street2: str | None = None
    city: str | None = None
    zip: str | None = None
    state_id: Link | None = None
    country_id: Link | None = None


class PartnerRow(OdooAddressRow, kw_only=True, frozen=True):
    """`res.partner` as a customer."""

    shows: ClassVar[str] = "Customer"

    ref: str | None = None
    commercial_partner_id: Link | None = None
    active: bool = True
    user_id: Link | None = None
    vat: str | None = None
    property_payment_term_id: Link | None = None
    property_product_pricelist: Link | None = None
    sale_warn: str | None = None


class OdooCreditRow(OdooRow, kw_only=True, frozen=True):
    """`res.partner` with what it owes, in the company's currency."""

    ref: str | None = None
    commercial_partner_id: Link | None = None
    credit_limit: Decimal = Decimal(0)
    credit: Decimal = Decimal(0)
    sale_warn: str | None = None


class PartnerCreditRow(PartnerRow, kw_only=True, frozen=True):
    """`res.partner` as a customer, with what it owes."""

    credit_limit: Decimal = Decimal(0)
    credit: Decimal = Decimal(0)


class ContactRow(OdooRow, kw_only=True, frozen=True):
    """`res.partner` as a person at a customer."""

    name: str | None = None
    parent_id: Link | None = None
    function: str | None = None
    phone: str | None = None
    mobile: str | None = None
    email: str | None = None


class ProductCodeRow(OdooRow, kw_only=True, frozen=True):
    """`product.product`, for its SKU."""

    default_code: str | None = None


class OdooProductRow(ProductCodeRow, kw_only=True, frozen=True):
    """`product.product`."""

    shows: ClassVar[str] = "Item"

    name: str
    active: bool = True
    sale_ok: bool = True
    barcode: str | None = None
    uom_id: Link
    categ_id: Link | None = None
    description_sale: str | None = None
    weight: Decimal = Decimal(0)


class ProductUnitRow(ProductCodeRow, kw_only=True, frozen=True):
    """`product.product`, for the unit in which stock is counted."""

    active: bool = True
    uom_id: Link


class ProductTermsRow(ProductUnitRow, kw_only=True, frozen=True):
    """`product.product`, for the rules of price lists that may apply to it."""

    product_tmpl_id: Link


class ProductCostRow(ProductCodeRow, kw_only=True, frozen=True):
    """`product.product`, for its cost in the company's currency."""

    active: bool = True
    standard_price: Decimal = Decimal(0)


class ProductPriceRow(ProductCodeRow, kw_only=True, frozen=True):
    """`product.product` with its price by the price list, for the quantity, day and unit of the context."""

    uom_id: Link
    price: Decimal


class OdooBuyerRow(OdooRow, kw_only=True, frozen=True):
    """`res.partner`, for its price list and terms."""

    ref: str | None = None
    commercial_partner_id: Link | None = None
    property_product_pricelist: Link | None = None
    property_payment_term_id: Link | None = None


class PricelistRow(OdooRow, kw_only=True, frozen=True):
    """`product.pricelist`."""

    name: str
    currency_id: Link


class PricelistTierRow(OdooRow, kw_only=True, frozen=True):
    """`product.pricelist.item`, for the quantity from which it holds, in the product's unit."""

    pricelist_id: Link
    min_quantity: Decimal = Decimal(0)
    base: str | None = None
    product_id: Link | None = None
    product_tmpl_id: Link | None = None


class QuantRow(OdooRow, kw_only=True, frozen=True):
    """`stock.quant`, in the product's unit."""

    product_id: Link
    location_id: Link
    quantity: Decimal = Decimal(0)


class StockMoveRow(OdooRow, kw_only=True, frozen=True):
    """`stock.move`: `product_qty` is in the product's unit, the others in the move's."""

    product_id: Link
    state: str
    location_id: Link
    location_dest_id: Link
    date_expected: datetime | None = None
    product_qty: Decimal = Decimal(0)
    product_uom_qty: Decimal = Decimal(0)
    reserved_availability: Decimal = Decimal(0)
    sale_line_id: Link | None = None
    origin: str | None = None


class OrderPositionRow(OdooRow, kw_only=True, frozen=True):
    """`sale.order`, for its place in a list."""

    partner_id: Link
    date_order: datetime


class OrderRow(OdooRow, kw_only=True, frozen=True):
    """`sale.order`."""

    shows: ClassVar[str] = "Order"

    name: str
    state: str
    client_order_ref: str | None = None
    partner_id: Link
    partner_invoice_id: Link | None = None
    partner_shipping_id: Link | None = None
    date_order: datetime | None = None
    commitment_date: datetime | None = None
    write_date: datetime | None = None
    warehouse_id: Link | None = None
    payment_term_id: Link | None = None
    currency_id: Link
    amount_untaxed: Decimal
    amount_tax: Decimal
    amount_total: Decimal


class OrderLineRow(OdooRow, kw_only=True, frozen=True):
    """`sale.order.line`."""

    order_id: Link
    order_partner_id: Link | None = None
    sequence: int = 0
    product_id: Link | None = None
    name: str | None = None
    product_uom: Link | None = None
    product_uom_qty: Decimal = Decimal(0)
    qty_delivered: Decimal = Decimal(0)
    qty_invoiced: Decimal = Decimal(0)
    price_unit: Decimal = Decimal(0)
    discount: Decimal = Decimal(0)
    price_reduce_taxexcl: Decimal = Decimal(0)
    price_subtotal: Decimal = Decimal(0)


class OrderedRow(OdooRow, kw_only=True, frozen=True):
    """`sale.order.line`, for its order."""

    order_id: Link


class OdooPartyRow(OdooAddressRow, kw_only=True, frozen=True):
    """`res.partner` as it is named on a document."""

    ref: str | None = None
    commercial_partner_id: Link | None = None


class PickingStateRow(OdooRow, kw_only=True, frozen=True):
    """`stock.picking`, for how far an order is."""

    sale_id: Link | None = None
    state: str


class PickingRow(OdooRow, kw_only=True, frozen=True):
    """`stock.picking`: a delivery."""

    name: str
    state: str
    sale_id: Link | None = None
    location_id: Link
    carrier_id: Link | None = None
    carrier_tracking_ref: str | None = None
    scheduled_date: datetime | None = None
    date_done: datetime | None = None
    write_date: datetime | None = None


class PickingMoveRow(OdooRow, kw_only=True, frozen=True):
    """`stock.move` of a delivery, in its own unit."""

    picking_id: Link
    product_id: Link
    state: str
    product_uom: Link
    product_uom_qty: Decimal = Decimal(0)
    quantity_done: Decimal = Decimal(0)
    sale_line_id: Link | None = None


class OdooInvoiceRow(OdooRow, kw_only=True, frozen=True):
    """`account.invoice`."""

    number: str | None = None
    type: str
    state: str
    payment_state: str | None = None
    partner_id: Link | None = None
    date_invoice: date | None = None
    date_due: date | None = None
    currency_id: Link
    amount_untaxed: Decimal
    amount_tax: Decimal
    amount_total: Decimal
    residual: Decimal = Decimal(0)
    invoice_line_ids: tuple[int, ...] = ()


class OdooInvoiceLineRow(OdooRow, kw_only=True, frozen=True):
    """`account.invoice.line`."""

    invoice_id: Link
    product_id: Link | None = None
    name: str | None = None
    quantity: Decimal = Decimal(0)
    uom_id: Link | None = None
    price_unit: Decimal = Decimal(0)
    price_subtotal: Decimal = Decimal(0)
    sale_line_ids: tuple[int, ...] = ()


class OdooChangedRow(OdooRow, kw_only=True, frozen=True):
    """A record that changed."""

    write_date: datetime


class ChangedPartnerRow(OdooChangedRow, kw_only=True, frozen=True):
    """`res.partner` that changed."""

    ref: str | None = None


class ChangedProductRow(OdooChangedRow, kw_only=True, frozen=True):
    """`product.product` or `product.template` that changed."""

    default_code: str | None = None


class ChangedOrderRow(OdooChangedRow, kw_only=True, frozen=True):
    """`sale.order` that changed."""

    name: str


class ChangedStockRow(OdooChangedRow, kw_only=True, frozen=True):
    """`stock.quant` or `stock.move` that changed."""

    product_id: Link


class WrittenOrderRow(OdooRow, kw_only=True, frozen=True):
    """`sale.order`, as far as a writer needs it."""

    name: str
    state: str


class KeyedOrderRow(WrittenOrderRow, kw_only=True, frozen=True):
    """`sale.order` with the gateway's key. `origin` is its field, if no other one is configured."""

    origin: str | None = None


class NewLineValues(msgspec.Struct, frozen=True, omit_defaults=True):
    """The values of an order line to create."""

    product_id: int
    product_uom_qty: Decimal
    product_uom: int
    price_unit: Decimal | None = None


class NewOrderValues(msgspec.Struct, frozen=True, omit_defaults=True):
    """The values of an order to create. `origin` is the field of the key, if no other one is configured."""

    partner_id: int
    client_order_ref: str
    origin: str
    picking_policy: str
    order_line: tuple[NewLineValues, ...]
    partner_shipping_id: int | None = None
    payment_term_id: int | None = None
    pricelist_id: int | None = None
    warehouse_id: int | None = None
    note: str | None = None
    commitment_date: str | None = None


def link_id(link: Link | None) -> int | None:
    """The id of the record that is referred to."""
    return None if link is None else link[0]


def utc(value: datetime | None) -> datetime | None:
    """A time of Odoo's, which is in UTC and does not say so."""
    return None if value is None else value.replace(tzinfo=UTC)


def number(value: Decimal) -> Decimal:
    """A number as people write it: Odoo sends floats, with the noise of their last digits."""
    plain = value.quantize(QUANTUM).normalize() if value.adjusted() < DIGITS else value
    return plain.quantize(Decimal(1)) if plain == plain.to_integral_value() else plain
