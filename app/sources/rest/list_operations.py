"""Lists in the `rest` contract: shipments, invoices and returns of each customer, and over all customers."""

from __future__ import annotations

from app.sources.billing import InvoiceQuery, ReturnQuery
from app.sources.rest.contract_rows import ContractOperation, InvoiceRow, ReturnRow, ShipmentRow, Window, found
from app.sources.shipments import ShipmentQuery
from app.sources.values import Record


class ShipmentsSearch(Record):
    """A page of the shipments of each customer."""

    customers: tuple[str, ...]
    query: ShipmentQuery


class InvoicesSearch(Record):
    """A page of the invoices of each customer."""

    customers: tuple[str, ...]
    query: InvoiceQuery


class ReturnsSearch(Record):
    """A page of the returns of each customer."""

    customers: tuple[str, ...]
    query: ReturnQuery


SHIPMENTS_BY_CUSTOMER = ContractOperation(
    port="shipments",
    path="/v1/shipments/by-customer",
    summary="A page of each customer's shipments",
    request=ShipmentsSearch,
    answer=found(str, Window[ShipmentRow]),
)
SHIPMENT_SEARCH = ContractOperation(
    port="shipments",
    path="/v1/shipments/search",
    summary="A page of the shipments of the named customers, or of all",
    request=ShipmentQuery,
    answer=Window[ShipmentRow],
)
INVOICES_BY_CUSTOMER = ContractOperation(
    port="billing",
    path="/v1/invoices/by-customer",
    summary="A page of each customer's invoices and credit memos",
    request=InvoicesSearch,
    answer=found(str, Window[InvoiceRow]),
)
INVOICE_SEARCH = ContractOperation(
    port="billing",
    path="/v1/invoices/search",
    summary="A page of the invoices and credit memos of the named customers, or of all",
    request=InvoiceQuery,
    answer=Window[InvoiceRow],
)
RETURNS_BY_CUSTOMER = ContractOperation(
    port="billing",
    path="/v1/returns/by-customer",
    summary="A page of each customer's returns",
    request=ReturnsSearch,
    answer=found(str, Window[ReturnRow]),
)
RETURN_SEARCH = ContractOperation(
    port="billing",
    path="/v1/returns/search",
    summary="A page of the returns of the named customers, or of all",
    request=ReturnQuery,
    answer=Window[ReturnRow],
)

OPERATIONS = (
    SHIPMENTS_BY_CUSTOMER,
    SHIPMENT_SEARCH,
    INVOICES_BY_CUSTOMER,
    INVOICE_SEARCH,
    RETURNS_BY_CUSTOMER,
    RETURN_SEARCH,
)
