"""All calls that the adapter makes of Odoo; `./run sources uses` writes `uses.json` from them.

Paths are those of `/json/2`, which name model and method; before version 19 the same calls go through `/jsonrpc`.
"""

from __future__ import annotations

from typing import Any

from app.sources.odoo import rows
from app.sources.odoo.changes import STREAMS
from app.sources.vendor_calls import VendorCall, VendorDeclaration

SEARCH = ("domain", "fields", "order", "limit", "offset", "context")
PRODUCT, PARTNER, SALE, LINE = "product.product", "res.partner", "sale.order", "sale.order.line"
MOVE, PICKING, INVOICE = "stock.move", "stock.picking", "account.invoice"
WINDOW = ("id", "write_date")


def _read(
    name: str, port: str, model: str, reads: Any, filters: tuple[str, ...] = (), sorts: tuple[str, ...] = ()
) -> VendorCall:
    return VendorCall(
        name=name,
        port=port,
        method="POST",
        path=f"/json/2/{model}/search_read",
        params=SEARCH,
        reads=reads,
        filters=filters,
        sorts=sorts or ("id",),
    )


def _count(name: str, port: str, model: str, filters: tuple[str, ...]) -> VendorCall:
    path = f"/json/2/{model}/search_count"
    return VendorCall(name=name, port=port, method="POST", path=path, params=("domain",), filters=filters)


def _by_paths(
    name: str, port: str, model: str, reads: Any, paths: tuple[str, ...], also: tuple[str, ...] = (), **more: Any
) -> tuple[VendorCall, ...]:
    """A call for each path by which records of a document are found."""
    return tuple(_read(f"{name}.{path}", port, model, reads, (path, *also), **more) for path in paths)


CUSTOMER_LIST = ("ref", "parent_id", "name")
ITEM_LIST = ("default_code", "sale_ok", "categ_id.name", "name")
ORDER_LIST = ("client_order_ref", "warehouse_id.code", "partner_shipping_id", "date_order", "state", "partner_id")
SORTED_LINES = ("order_id", "sequence", "id")
INVOICED = "invoice_line_ids.sale_line_ids.order_id.name"

REFERENCE = (
    _read("company", "ping", "res.company", rows.OdooCompanyRow, ("id",)),
    _read("units", "ping", "product.uom", rows.UnitRow),
    _read("warehouses", "warehouses", "stock.warehouse", rows.WarehouseRow),
    _read("locations", "stock", "stock.location", rows.OdooLocationRow),
    _read("countries", "customers", "res.country", rows.CountryRow),
    _read("states", "customers", "res.country.state", rows.CountryRow),
)
MASTER_DATA = (
    _read("customers", "customers", PARTNER, rows.PartnerRow, ("ref", "parent_id.ref", "type")),
    _read("customers.with_credit", "customers", PARTNER, rows.PartnerCreditRow, ("ref", "parent_id.ref", "type")),
    _read("customers.by_id", "customers", PARTNER, rows.PartnerRow, ("id", "parent_id", "type")),
    _read("customers.search", "customers", PARTNER, rows.PartnerNumberRow, CUSTOMER_LIST, ("ref", "id")),
    _count("customers.count", "customers", PARTNER, CUSTOMER_LIST),
    _read("credit", "credit", PARTNER, rows.OdooCreditRow, ("ref",)),
    _read("contacts", "contacts", PARTNER, rows.ContactRow, ("parent_id.ref", "type", "is_company"), ("name", "id")),
    _read("partners.by_ref", "contacts", PARTNER, rows.PartnerNumberRow, ("ref",)),
    _read("items", "items", PRODUCT, rows.OdooProductRow, ("default_code",)),
    _read("items.by_gtin", "items", PRODUCT, rows.OdooProductRow, ("barcode",)),
    _read("items.by_id", "items", PRODUCT, rows.OdooProductRow, ("id",)),
    _read("items.costs", "items", PRODUCT, rows.ProductCostRow, ("default_code",)),
    _read("items.search", "items", PRODUCT, rows.OdooProductRow, ITEM_LIST, ("default_code", "id")),
    _count("items.count", "items", PRODUCT, ITEM_LIST),
)
STOCK_AND_PRICES = (
    _read("stock.items", "stock", PRODUCT, rows.ProductUnitRow, ("default_code",)),
    _read("stock", "stock", "stock.quant", rows.QuantRow, ("product_id.default_code", "location_id.usage")),
    _read(
        "stock.moves",
        "stock",
        MOVE,
        rows.StockMoveRow,
        ("product_id.default_code", "state", "date", "location_dest_id.usage"),
    ),
    _read("prices.buyers", "prices", PARTNER, rows.OdooBuyerRow, ("ref",)),
    _read("prices.units", "prices", PRODUCT, rows.ProductTermsRow, ("default_code", "sale_ok")),
    _read(
        "prices.tiers",
        "prices",
        "product.pricelist.item",
        rows.PricelistTierRow,
        (
            "pricelist_id",
            "product_id",
            "product_id.default_code",
            "product_tmpl_id",
            "product_tmpl_id.product_variant_ids.default_code",
        ),
    ),
    _read("prices.lists", "prices", "product.pricelist", rows.PricelistRow, ("id",)),
    _read("prices", "prices", PRODUCT, rows.ProductPriceRow, ("default_code", "sale_ok")),
)
DOCUMENTS = (
    *_by_paths("orders", "orders", SALE, rows.OrderRow, ("id", "name", "client_order_ref")),
    *_by_paths(
        "orders.lines",
        "orders",
        LINE,
        rows.OrderLineRow,
        ("order_id", "order_id.name", "order_id.client_order_ref"),
        sorts=SORTED_LINES,
    ),
    *_by_paths(
        "orders.deliveries",
        "orders",
        PICKING,
        rows.PickingStateRow,
        ("sale_id", "sale_id.name", "sale_id.client_order_ref"),
    ),
    _read("orders.list", "orders", SALE, rows.OrderPositionRow, (*ORDER_LIST, "id"), ("date_order", "id")),
    _count("orders.count", "orders", SALE, ORDER_LIST),
    _read("orders.buyers", "orders", PARTNER, rows.PartnerNumberRow, ("ref", "commercial_partner_id.ref")),
    _read("documents.parties", "orders", PARTNER, rows.OdooPartyRow, ("id", "child_ids")),
    _read("documents.items", "orders", PRODUCT, rows.ProductCodeRow, ("id",)),
    *_by_paths(
        "shipments",
        "shipments",
        PICKING,
        rows.PickingRow,
        ("id", "carrier_tracking_ref", "sale_id.name"),
        ("picking_type_id.code",),
    ),
    *_by_paths(
        "shipments.lines",
        "shipments",
        MOVE,
        rows.PickingMoveRow,
        ("picking_id", "picking_id.carrier_tracking_ref", "picking_id.sale_id.name"),
    ),
    *_by_paths(
        "shipments.orders",
        "shipments",
        LINE,
        rows.OrderLineRow,
        (
            "order_id.picking_ids",
            "order_id.picking_ids.carrier_tracking_ref",
            "order_id.picking_ids.sale_id.name",
        ),
        sorts=SORTED_LINES,
    ),
    *_by_paths("billing", "billing", INVOICE, rows.OdooInvoiceRow, ("id", INVOICED), ("type",)),
    *_by_paths(
        "billing.lines",
        "billing",
        "account.invoice.line",
        rows.OdooInvoiceLineRow,
        ("invoice_id", f"invoice_id.{INVOICED}"),
    ),
    _read("billing.orders", "billing", LINE, rows.OrderedRow, ("id",)),
)
CHANGES = tuple(
    _read(
        f"changes.{stream.name}",
        "changes",
        stream.model,
        stream.row,
        (*WINDOW, *(term[0] for term in stream.domain if isinstance(term, list))),
        WINDOW,
    )
    for stream in STREAMS
)


def _method(name: str, method: str, params: tuple[str, ...], sends: Any = None) -> VendorCall:
    path = f"/json/2/{SALE}/{method}"
    return VendorCall(name=name, port="order_writer", method="POST", path=path, params=params, sends=sends)


ORDERS_IN = (
    _read("order.find", "order_writer", SALE, rows.KeyedOrderRow, ("origin", "state")),
    _read("order.read", "order_writer", SALE, rows.WrittenOrderRow, ("id",)),
    _read("order.products", "order_writer", PRODUCT, rows.ProductUnitRow, ("default_code", "sale_ok")),
    _read("order.ship_to", "order_writer", PARTNER, rows.OdooAddressRow, ("id", "commercial_partner_id")),
    _method("order.create", "create", ("vals_list",), rows.NewOrderValues),
    _method("order.confirm", "action_confirm", ("ids",)),
    _method("order.cancel", "action_cancel", ("ids",)),
)
DECLARATION = VendorDeclaration(
    vendor="odoo",
    artefact="Odoo 11.0 Community, fields of the installed modules; names of 12 to 19 in versions.py",
    artefacts={"odoo": {"kind": "odoo"}},
    calls=(*REFERENCE, *MASTER_DATA, *STOCK_AND_PRICES, *DOCUMENTS, *CHANGES, *ORDERS_IN),
)
