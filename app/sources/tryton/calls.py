"""Every call that the adapter makes of Tryton, printed as `uses.json`; fields of one's own have the names of the seed.

Records are read over REST, with the fields of a row type; counts, ids and whatever changes records go by JSON-RPC.
"""

from __future__ import annotations

from typing import Any

from app.sources.tryton import (
    billing,
    changes,
    contacts,
    customers,
    items,
    order_writer,
    orders,
    prices,
    products,
    quote_writer,
    quotes,
    receivables,
    reference,
    return_writer,
    returns,
    sale_values,
    sales,
    shipments,
    stock,
    units,
)
from app.sources.vendor_calls import VendorCall, VendorDeclaration

SALE, PRODUCT, PARTY = "sale.sale", "product.product", "party.party"
SHIPMENT, INVOICE, ACCOUNT_LINE = "stock.shipment.out", "account.invoice", "account.move.line"
ORDER_KEY = "description"
"""The field of a sale with the gateway's key, as the seed has it."""


def _read(name: str, port: str, model: str, reads: Any, *filters: str, sorts: tuple[str, ...] = ("id",)) -> VendorCall:
    return VendorCall(
        name=name,
        port=port,
        method="GET",
        path=f"/rest/model/{model}",
        params=("d", "f", "o", "s"),
        reads=reads,
        filters=filters,
        sorts=sorts,
    )


def _rpc(
    name: str,
    port: str,
    method: str,
    reads: Any = None,
    *,
    filters: tuple[str, ...] = (),
    sorts: tuple[str, ...] = (),
    sent: tuple[str, ...] = (),
) -> VendorCall:
    return VendorCall(
        name=name,
        port=port,
        method="POST",
        path=f"/rpc/{method}",
        variables=sent,
        reads=reads,
        filters=filters,
        sorts=sorts,
    )


def _list(noun: str, model: str, filters: tuple[str, ...], *sorts: str) -> tuple[VendorCall, VendorCall]:
    """The ids of a page, and how many records there are."""
    return (
        _rpc(f"{noun}.search", noun, f"model.{model}.search", filters=("id", *filters), sorts=("id", *sorts)),
        _rpc(f"{noun}.count", noun, f"model.{model}.search_count", filters=filters),
    )


def _changes(stream: changes.ChangeStream, *filters: str) -> VendorCall:
    name = f"changes.{stream.name.lower()}"
    return _read(name, "changes", stream.model, stream.row, stream.time, "id", *filters, sorts=(stream.time, "id"))


def _write(noun: str, port: str, *buttons: str) -> tuple[VendorCall, ...]:
    """Buttons of a sale; a warning that is confirmed is skipped."""
    pressed = tuple(_rpc(f"{noun}.{button}", port, f"model.{SALE}.{button}") for button in buttons)
    return (*pressed, _rpc(f"{noun}.confirm_warning", port, "model.res.user.warning.skip"))


BY_CODE = ("number", "reference")
RECEIVABLE = ("party.code", "account.type.receivable", "move.state")
DUE_LINES = ("account.type.receivable", "maturity_date")
INVOICE_LIST = (
    *(f"{moves}.lines.{field}" for moves in ("move", "additional_moves") for field in DUE_LINES),
    *("invoice_date", "lines.product.code", "party.code", "state", "total_amount", "type"),
)
SHIPMENT_LIST = (
    *("customer.code", "effective_date", "moves.origin", "moves.product.code", "moves.sale.party.code"),
    *("state", "warehouse.code"),
)
SALE_LIST = (
    *("lines.product.code", "party.code", "reference", "sale_date", "shipment_address", "state", "warehouse.code"),
    *("comment", "create_date", "quotation_date", "quotation_validity"),
)
TRACKED = ("packages.shipping_reference", "shipping_reference")
PARTY_LIST = ("code", "name")
PRODUCT_LIST = ("code", "name", "identifiers.code", "identifiers.type")
PRODUCTS_OF_CUSTOMER = ("code", "party.code", "product", "product.code", "template.products.code")
MOVES = ("effective_date", "from_location.type", "product.code", "shipment", "state", "to_location.type")
HEADER = (*order_writer.HEADER, "party", "company", "currency", "warehouse", "shipment_address", "shipping_date")
LINE = ("type", "product", "quantity", "unit", "unit_price", "taxes", "sequence", "note")
ACCEPTED = ("sale_date", "shipment_address", "shipping_date")
KEYED = (ORDER_KEY, "reference", "comment", "quotation_validity")

REFERENCE = (
    _rpc("sign_in", "ping", "common.db.login"),
    _read("units", "ping", "product.uom", units.UomRow, sorts=()),
    _read("locations", "warehouses", "stock.location", reference.LocationRow, sorts=()),
    _read("company", "ping", "company.company", reference.CompanyRow, "id", sorts=()),
    _read("currencies", "order_writer", "currency.currency", reference.CodeRow, sorts=()),
)
MASTER_DATA = (
    _read("customers", "customers", PARTY, customers.CustomerPartyRow, "id", *PARTY_LIST, sorts=("code", "id")),
    _read("customers.with_credit", "customers", PARTY, customers.PartyCreditRow, "code"),
    _rpc("customers.count", "customers", f"model.{PARTY}.search_count", filters=PARTY_LIST),
    _read("credit", "credit", PARTY, customers.CreditRow, "code"),
    _read("contacts", "contacts", "party.contact_mechanism", contacts.MechanismRow, "party.code", "type"),
    _read("items", "items", PRODUCT, products.ProductRow, "id", *PRODUCT_LIST, sorts=("code", "id")),
    _rpc("items.count", "items", f"model.{PRODUCT}.search_count", filters=PRODUCT_LIST),
    _read("items.costs", "items", PRODUCT, items.CostRow, "code"),
    _read("items.of_customer", "items", "sale.product_customer", items.CustomerProductRow, *PRODUCTS_OF_CUSTOMER),
    _read("stock", "stock", PRODUCT, stock.QuantityRow, "code"),
    _read("stock.moves", "stock", "stock.move", stock.MoveRow, *MOVES),
    _read("prices", "prices", PRODUCT, prices.PriceRow, "code"),
)
ORDERS = (
    _read(
        "orders", "orders", SALE, sales.SaleRow, "id", *BY_CODE, "party.code", "sale_date", "state",
        sorts=("sale_date", "id"),
    ),
    _read("orders.ids", "orders", SALE, orders.ListPositionRow, "party.code", "state", sorts=("sale_date", "id")),
    *_list("orders", SALE, SALE_LIST, "sale_date", "create_date"),
    _read("quotes", "quotes", SALE, quotes.QuoteRow, "id", "number", "quotation_validity", "state"),
    _read(
        "quotes.ids", "quotes", SALE, quotes.QuoteStateRow, "party.code", "quotation_validity", "state",
        sorts=("create_date", "id"),
    ),
    _read("shipments", "shipments", SHIPMENT, shipments.ShipmentRow, "id", *TRACKED),
    _read("shipments.by_order", "shipments", SALE, shipments.ShippedOrderRow, *BY_CODE),
    _read(
        "shipments.ids", "shipments", SHIPMENT, shipments.ShipmentPositionRow, "customer.code", "moves.origin",
        "moves.sale.party.code", "state", sorts=("effective_date", "id"),
    ),
    *_list("shipments", SHIPMENT, SHIPMENT_LIST, "effective_date"),
)  # fmt: skip
BILLING = (
    _read("invoices", "billing", INVOICE, billing.InvoiceRow, "id", "type"),
    _read("invoices.by_order", "billing", SALE, billing.InvoicedSaleRow, *BY_CODE),
    _read(
        "invoices.ids", "billing", INVOICE, billing.InvoicePositionRow,
        "party.code", "type", sorts=("invoice_date", "id"),
    ),
    *_list("invoices", INVOICE, INVOICE_LIST, "invoice_date"),
    _read("returns", "billing", SALE, returns.ReturnSaleRow, "id", "number", "origin", "reference", "state"),
    _read("returns.orders", "billing", SALE, returns.ReturnedSaleRow, "id", *BY_CODE),
    _read("receivables", "receivables", "account.aged_balance", receivables.AgedBalanceRow, "party.code"),
    _read(
        "receivables.balances", "receivables", "account.account.party", receivables.PartyBalanceRow, "party.code",
        "account.type.receivable",
    ),
    _read(
        "receivables.entries", "receivables", ACCOUNT_LINE, receivables.AccountLineRow, "id", "move.date", *RECEIVABLE
    ),
    _read(
        "receivables.ids", "receivables", ACCOUNT_LINE, receivables.AccountLinePositionRow, "id", "maturity_date",
        "reconciliation", *RECEIVABLE, sorts=("maturity_date", "id"),
    ),
    _rpc(
        "receivables.count", "receivables", f"model.{ACCOUNT_LINE}.search_count",
        filters=("reconciliation", *RECEIVABLE),
    ),
    _read("receivables.payments", "receivables", ACCOUNT_LINE, receivables.PaymentRow, "id"),
    _read(
        "receivables.payment_ids", "receivables", ACCOUNT_LINE, receivables.PaymentPositionRow, "credit",
        "move.journal.type", *RECEIVABLE, sorts=("move.date", "id"),
    ),
    _read("receivables.invoices", "receivables", INVOICE, receivables.BilledInvoiceRow, "id"),
)  # fmt: skip
OWNED = {"customer": ("code",), "invoice": ("type",), "return": ("origin",)}
WRITERS = (
    _read("order_submissions.customer", "order_writer", PARTY, sale_values.BuyerRow, "code", sorts=()),
    _read("order_submissions.products", "order_writer", PRODUCT, sale_values.SoldProductRow, "code", "salable"),
    _read("order_submissions.written", "order_writer", SALE, order_writer.SaleStateRow, "id", sorts=()),
    _read(
        "order_submissions.by_key", "order_writer", SALE, sale_values.keyed_row(order_writer.KeyedSaleRow, ORDER_KEY),
        ORDER_KEY, "comment", "company", "quotation_validity", "state",
    ),
    _read(
        "order_submissions.quoted", "order_writer", SALE, order_writer.AcceptedQuoteRow, "id", "party.code", sorts=()
    ),
    _rpc("order_submissions.header", "order_writer", f"model.{SALE}.on_change", sent=("party", "company")),
    _rpc(
        "order_submissions.line", "order_writer", "model.sale.line.on_change", sale_values.LineDefaults,
        sent=("type", "product", "quantity", "unit", "sale", "party", "company", "currency", "price_list"),
    ),
    _rpc("order_submissions.create", "order_writer", f"model.{SALE}.create", sent=(*HEADER, *KEYED, "lines", *LINE)),
    _rpc("order_submissions.write", "order_writer", f"model.{SALE}.write", sent=(*KEYED, *ACCEPTED, "lines", *LINE)),
    *_write("order_submissions", "order_writer", "quote", "confirm", "draft", "cancel"),
    _read(
        "quote_submissions.by_key", "quote_writer", SALE,
        sale_values.keyed_row(quote_writer.RequestedQuoteRow, ORDER_KEY), ORDER_KEY, "quotation_validity",
    ),
    _read("quote_submissions.answered", "quote_writer", SALE, quote_writer.AnsweredQuoteRow, "id", sorts=()),
    _read(
        "order_submissions.begun_return", "return_writer", SALE, returns.ReturnSaleRow, "company", "create_uid.login",
        "id", "origin", "reference", "state",
    ),
    _read("order_submissions.returned_order", "return_writer", SALE, return_writer.ReturnableSaleRow, "id", sorts=()),
    _rpc("order_submissions.begin", "return_writer", f"{return_writer.WIZARD}.create"),
    _rpc("order_submissions.execute", "return_writer", f"{return_writer.WIZARD}.execute", return_writer.WizardAnswer),
)  # fmt: skip

DECLARATION = VendorDeclaration(
    vendor="tryton",
    artefact="Tryton 8.2, the server of backends/tryton with its modules",
    artefacts={"tryton": {"kind": "tryton"}},
    calls=(
        *REFERENCE,
        *MASTER_DATA,
        *ORDERS,
        *BILLING,
        *(_changes(stream, *OWNED.get(stream.kind.lower(), ())) for stream in changes.STREAMS),
        *WRITERS,
    ),
)
