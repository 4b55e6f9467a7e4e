"""What is read of Business Central: a struct's fields are the `$select`, its nested structs the `$expand`.

Names and types are those of the API reference v2.0 and of the API queries of the app Power BI Reports.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import msgspec

from app.sources.values import Record, Timestamp


class BCRow(Record):
    """A row of an entity set."""


class BCCompanyRow(BCRow):
    """`companies(id)`."""

    id: str
    name: str


class BCFinancialDetailRow(BCRow):
    """`customerFinancialDetails`: amounts in the company's local currency."""

    balance: Decimal
    overdue_amount: Decimal


class BCCustomerRow(BCRow):
    """`customers`."""

    id: str
    number: str
    display_name: str
    address_line1: str = ""
    address_line2: str = ""
    city: str = ""
    state: str = ""
    country: str = ""
    postal_code: str = ""
    salesperson_code: str = ""
    credit_limit: Decimal = Decimal(0)
    tax_liable: bool = False
    tax_registration_number: str = ""
    currency_code: str = ""
    blocked: str = ""


class BCCreditRow(BCRow):
    """`customers` with what they owe."""

    number: str
    credit_limit: Decimal = Decimal(0)
    blocked: str = ""
    customer_financial_detail: BCFinancialDetailRow | None = None


class BCCustomerCreditRow(BCCustomerRow):
    """`customers`, with what they owe beside their master data."""

    customer_financial_detail: BCFinancialDetailRow | None = None


class BCItemRow(BCRow):
    """`items`."""

    id: str
    number: str
    display_name: str
    item_category_code: str = ""
    blocked: bool = False
    gtin: str = ""
    base_unit_of_measure_code: str = ""


class BCItemCostRow(BCRow):
    """`items`, for their cost in the local currency."""

    number: str
    unit_cost: Decimal


class BCItemUnitRow(BCRow):
    """`items`, for the unit in which stock is counted."""

    number: str
    base_unit_of_measure_code: str = ""


class BCLocationRow(BCRow):
    """`locations`."""

    id: str
    code: str
    display_name: str
    state: str = ""


class BCLedgerRow(BCRow):
    """`itemLedgerEntries` of the analytics API, in base units."""

    item_no: str
    location_code: str
    remaining_quantity: Decimal


class BCSalesDemandRow(BCRow):
    """`outstandingSalesLines` of the analytics API."""

    item_no: str
    location_code: str
    outstanding_qty_base: Decimal
    shipment_date: date
    document_no: str


class BCPurchaseSupplyRow(BCRow):
    """`outstandingPurchaseLines` of the analytics API."""

    item_no: str
    location_code: str
    outstanding_qty_base: Decimal
    expected_receipt_date: date


class BCOrderLineRow(BCRow):
    """`salesOrderLines`."""

    id: str
    sequence: int
    line_type: str = ""
    line_object_number: str = ""
    description: str = ""
    unit_of_measure_code: str = ""
    quantity: Decimal = Decimal(0)
    unit_price: Decimal = Decimal(0)
    net_amount: Decimal = Decimal(0)
    shipment_date: date | None = None
    shipped_quantity: Decimal = Decimal(0)
    invoiced_quantity: Decimal = Decimal(0)


class BCOrderRow(BCRow):
    """`salesOrders`."""

    id: str
    number: str
    external_document_number: str = ""
    order_date: date | None = None
    customer_number: str = ""
    bill_to_name: str = ""
    bill_to_address_line1: str = ""
    bill_to_address_line2: str = ""
    bill_to_city: str = ""
    bill_to_country: str = ""
    bill_to_state: str = ""
    bill_to_post_code: str = ""
    ship_to_name: str = ""
    ship_to_address_line1: str = ""
    ship_to_address_line2: str = ""
    ship_to_city: str = ""
    ship_to_country: str = ""
    ship_to_state: str = ""
    ship_to_post_code: str = ""
    currency_code: str
    requested_delivery_date: date | None = None
    total_amount_excluding_tax: Decimal
    total_tax_amount: Decimal
    total_amount_including_tax: Decimal
    fully_shipped: bool = False
    status: str = ""
    last_modified_date_time: Timestamp
    sales_order_lines: tuple[BCOrderLineRow, ...] = ()


class BCWrittenOrderRow(BCRow):
    """`salesOrders`, as far as a writer needs them."""

    id: str
    number: str
    external_document_number: str = ""


class BCShipmentLineRow(BCRow):
    """`salesShipmentLines`."""

    sequence: int
    line_type: str = ""
    line_object_number: str = ""
    quantity: Decimal = Decimal(0)


class BCShipmentRow(BCRow):
    """`salesShipments`: posted, so the goods have left."""

    id: str
    number: str
    posting_date: date | None = None
    customer_number: str = ""
    order_number: str = ""
    last_modified_date_time: Timestamp
    sales_shipment_lines: tuple[BCShipmentLineRow, ...] = ()


class BCInvoiceLineRow(BCRow):
    """`salesInvoiceLines`."""

    sequence: int
    line_type: str = ""
    line_object_number: str = ""
    description: str = ""
    unit_of_measure_code: str = ""
    unit_price: Decimal = Decimal(0)
    quantity: Decimal = Decimal(0)
    net_amount: Decimal = Decimal(0)


class BCInvoiceRow(BCRow):
    """`salesInvoices`."""

    id: str
    number: str
    invoice_date: date | None = None
    due_date: date | None = None
    customer_number: str = ""
    currency_code: str
    order_number: str = ""
    remaining_amount: Decimal = Decimal(0)
    total_amount_excluding_tax: Decimal
    total_tax_amount: Decimal
    total_amount_including_tax: Decimal
    status: str = ""
    sales_invoice_lines: tuple[BCInvoiceLineRow, ...] = ()


class BCChangedRow(BCRow):
    """A changed row of any entity set whose rows have a number."""

    id: str
    number: str
    last_modified_date_time: Timestamp


class NewLine(BCRow):
    """A line of an order to create."""

    line_type: str
    line_object_number: str | msgspec.UnsetType = msgspec.UNSET
    description: str | msgspec.UnsetType = msgspec.UNSET
    quantity: Decimal | msgspec.UnsetType = msgspec.UNSET
    unit_of_measure_code: str | msgspec.UnsetType = msgspec.UNSET
    unit_price: Decimal | msgspec.UnsetType = msgspec.UNSET


class NewSalesOrder(BCRow):
    """An order to create, with its lines in the same request."""

    customer_number: str
    external_document_number: str
    partial_shipping: bool
    requested_delivery_date: date | msgspec.UnsetType = msgspec.UNSET
    currency_code: str | msgspec.UnsetType = msgspec.UNSET
    sales_order_lines: tuple[NewLine, ...]


class BCPriceBreakRow(BCRow):
    """`contractPriceBreaks` of the operator's own API page."""

    minimum_quantity: Decimal
    unit_price: Decimal


class BCPriceRow(BCRow):
    """`contractPrices` of the operator's own API page."""

    customer_number: str
    item_number: str
    unit_of_measure_code: str
    quantity: Decimal
    unit_price: Decimal
    currency_code: str
    price_list_code: str = ""
    starting_date: date | None = None
    ending_date: date | None = None
    contract_price_breaks: tuple[BCPriceBreakRow, ...] = ()
