"""All calls that the adapter makes of Business Central; `./run sources uses` writes `uses.json` from them."""

from __future__ import annotations

from typing import Any

from app.sources.business_central import rows
from app.sources.business_central.changes import SETS
from app.sources.vendor_calls import VendorCall, VendorDeclaration

OPTIONS = ("$filter", "$select", "$expand", "$orderby", "$top", "$skip", "$count")


def _call(name: str, port: str, entity_set: str, reads: Any, filters: tuple[str, ...] = (), **more: Any) -> VendorCall:
    api = more.pop("api", "v2.0")
    return VendorCall(
        name=name,
        port=port,
        method="GET",
        path=f"/api/{api}/companies({{}})/{entity_set}",
        api=api,
        set=entity_set,
        params=OPTIONS,
        reads=reads,
        filters=filters,
        **more,
    )


ANALYTICS = "microsoft/analytics/v1.0"

DECLARATION = VendorDeclaration(
    vendor="business_central",
    artefact="Business Central API reference v2.0, and the API queries v1.0 of Power BI Reports (microsoft/BCApps)",
    artefacts={"business_central": {"kind": "al"}},
    calls=(
        VendorCall(
            name="ping",
            port="ping",
            method="GET",
            path="/api/v2.0/companies({})",
            api="v2.0",
            set="companies",
            params=("$select",),
            reads=rows.CompanyRow,
        ),
        _call("probe", "ping", "itemLedgerEntries", rows.LedgerRow, api=ANALYTICS),
        _call("customers", "customers", "customers", rows.CustomerRow, ("number",)),
        _call("customers.with_credit", "customers", "customers", rows.CustomerCreditRow, ("number",)),
        _call("customers.by_id", "customers", "customers", rows.CustomerRow, ("id",)),
        _call("credit", "credit", "customers", rows.CreditRow, ("number",)),
        _call("items", "items", "items", rows.ItemRow, ("number",)),
        _call("items.by_gtin", "items", "items", rows.ItemRow, ("gtin",)),
        _call("items.by_id", "items", "items", rows.ItemRow, ("id",)),
        _call("items.costs", "items", "items", rows.ItemCostRow, ("number",)),
        _call("warehouses", "warehouses", "locations", rows.LocationRow),
        _call("stock.items", "stock", "items", rows.ItemUnitRow, ("number",)),
        _call("stock.on_hand", "stock", "itemLedgerEntries", rows.LedgerRow, ("itemNo", "open"), api=ANALYTICS),
        _call(
            "stock.demand",
            "stock",
            "outstandingSalesLines",
            rows.SalesDemandRow,
            ("itemNo", "documentType"),
            api=ANALYTICS,
        ),
        _call(
            "stock.supply",
            "stock",
            "outstandingPurchaseLines",
            rows.PurchaseSupplyRow,
            ("itemNo", "documentType"),
            api=ANALYTICS,
        ),
        _call("orders", "orders", "salesOrders", rows.OrderRow, ("number",)),
        _call("orders.by_id", "orders", "salesOrders", rows.OrderRow, ("id",)),
        _call("orders.by_customer_po", "orders", "salesOrders", rows.OrderRow, ("externalDocumentNumber",)),
        _call(
            "orders.by_customer",
            "orders",
            "salesOrders",
            rows.OrderRow,
            ("customerNumber", "status", "fullyShipped"),
            sorts=("orderDate", "number"),
        ),
        _call("shipments", "shipments", "salesShipments", rows.ShipmentRow, ("orderNumber",)),
        _call("shipments.by_id", "shipments", "salesShipments", rows.ShipmentRow, ("id",)),
        _call("billing", "billing", "salesInvoices", rows.InvoiceRow, ("orderNumber",)),
        _call("billing.by_id", "billing", "salesInvoices", rows.InvoiceRow, ("id",)),
        *(
            _call(
                f"changes.{entity_set}",
                "changes",
                entity_set,
                rows.ChangedRow,
                ("lastModifiedDateTime",),
                sorts=("lastModifiedDateTime",),
            )
            for entity_set in SETS.values()
        ),
        _call(
            "order.find",
            "order_writer",
            "salesOrders",
            rows.WrittenOrderRow,
            ("externalDocumentNumber",),
            sorts=("number",),
        ),
        VendorCall(
            name="order.post",
            port="order_writer",
            method="POST",
            path="/api/v2.0/companies({})/salesOrders",
            api="v2.0",
            set="salesOrders",
            sends=rows.NewSalesOrder,
            reads=rows.WrittenOrderRow,
        ),
        VendorCall(
            name="order.cancel",
            port="order_writer",
            method="DELETE",
            path="/api/v2.0/companies({})/salesOrders({})",
            api="v2.0",
            set="salesOrders",
        ),
    ),
)
