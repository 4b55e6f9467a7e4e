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
            reads=rows.BCCompanyRow,
        ),
        _call("probe", "ping", "itemLedgerEntries", rows.BCLedgerRow, api=ANALYTICS),
        _call("customers", "customers", "customers", rows.BCCustomerRow, ("number",)),
        _call("customers.with_credit", "customers", "customers", rows.BCCustomerCreditRow, ("number",)),
        _call("customers.by_id", "customers", "customers", rows.BCCustomerRow, ("id",)),
        _call("credit", "credit", "customers", rows.BCCreditRow, ("number",)),
        _call("items", "items", "items", rows.BCItemRow, ("number",)),
        _call("items.by_gtin", "items", "items", rows.BCItemRow, ("gtin",)),
        _call("items.by_id", "items", "items", rows.BCItemRow, ("id",)),
        _call("items.costs", "items", "items", rows.BCItemCostRow, ("number",)),
        _call("warehouses", "warehouses", "locations", rows.BCLocationRow),
        _call("stock.items", "stock", "items", rows.BCItemUnitRow, ("number",)),
        _call("stock.on_hand", "stock", "itemLedgerEntries", rows.BCLedgerRow, ("itemNo", "open"), api=ANALYTICS),
        _call(
            "stock.demand",
            "stock",
            "outstandingSalesLines",
            rows.BCSalesDemandRow,
            ("itemNo", "documentType"),
            api=ANALYTICS,
        ),
        _call(
            "stock.supply",
            "stock",
            "outstandingPurchaseLines",
            rows.BCPurchaseSupplyRow,
            ("itemNo", "documentType"),
            api=ANALYTICS,
        ),
        _call("orders", "orders", "salesOrders", rows.BCOrderRow, ("number",)),
        _call("orders.by_id", "orders", "salesOrders", rows.BCOrderRow, ("id",)),
        _call("orders.by_customer_po", "orders", "salesOrders", rows.BCOrderRow, ("externalDocumentNumber",)),
        _call(
            "orders.by_customer",
            "orders",
            "salesOrders",
            rows.BCOrderRow,
            ("customerNumber", "status", "fullyShipped"),
            sorts=("orderDate", "number"),
        ),
        _call("shipments", "shipments", "salesShipments", rows.BCShipmentRow, ("orderNumber",)),
        _call("shipments.by_id", "shipments", "salesShipments", rows.BCShipmentRow, ("id",)),
        _call("billing", "billing", "salesInvoices", rows.BCInvoiceRow, ("orderNumber",)),
        _call("billing.by_id", "billing", "salesInvoices", rows.BCInvoiceRow, ("id",)),
        *(
            _call(
                f"changes.{entity_set}",
                "changes",
                entity_set,
                rows.BCChangedRow,
                ("lastModifiedDateTime",),
                sorts=("lastModifiedDateTime",),
            )
            for entity_set in SETS.values()
        ),
        _call(
            "order.find",
            "order_writer",
            "salesOrders",
            rows.BCWrittenOrderRow,
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
            reads=rows.BCWrittenOrderRow,
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
