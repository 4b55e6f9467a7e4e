"""All calls that the adapter makes of S/4HANA; `./run sources uses` writes `uses.json` from them."""

from __future__ import annotations

from typing import Any

from app.sources.sap_s4hana import rows
from app.sources.sap_s4hana.changes import SETS
from app.sources.sap_s4hana.client import (
    AVAILABILITY,
    BILLING,
    CREDIT,
    CUSTOMER_MATERIALS,
    DELIVERIES,
    ORDERS,
    PARTNERS,
    PRODUCTS,
    ROOT,
    SERVICES,
    SIMULATION,
    STOCK,
)
from app.sources.sap_s4hana.stock import TIMESERIES
from app.sources.vendor_calls import VendorCall, VendorDeclaration

OPTIONS = ("$filter", "$select", "$expand", "$orderby", "$top", "$skip", "$inlinecount", "$format")


def _call(
    name: str, port: str, service: str, entity_set: str, reads: Any, filters: tuple[str, ...] = (), **more: Any
) -> VendorCall:
    return VendorCall(
        name=name,
        port=port,
        method="GET",
        path=f"{ROOT}/{service}/{entity_set}",
        api=_api(service),
        set=entity_set,
        params=OPTIONS,
        reads=reads,
        filters=filters,
        **more,
    )


def _api(service: str) -> str:
    return service.partition(";")[0]


def _post(name: str, port: str, service: str, entity_set: str, sends: Any, reads: Any) -> VendorCall:
    return VendorCall(
        name=name,
        port=port,
        method="POST",
        path=f"{ROOT}/{service}/{entity_set}",
        api=_api(service),
        set=entity_set,
        sends=sends,
        reads=reads,
    )


AREA = ("SalesOrganization", "DistributionChannel", "Customer")
NEWEST = ("SalesOrderDate", "SalesOrder")
LISTED = (
    "SoldToParty",
    "SalesOrderDate",
    "PurchaseOrderByCustomer",
    "OverallSDDocumentRejectionSts",
    "OverallTotalDeliveryStatus",
    "TotalCreditCheckStatus",
    "DeliveryBlockReason",
    "HeaderBillingBlockReason",
)

DECLARATION = VendorDeclaration(
    vendor="sap_s4hana",
    artefact="metadata documents of the released OData V2 services of SAP S/4HANA",
    artefacts={_api(service): {"kind": "edmx"} for service in SERVICES},
    calls=(
        _call("ping", "ping", ORDERS, "A_SalesOrder", rows.SAPWrittenOrderRow),
        _call("customers", "customers", PARTNERS, "A_BusinessPartner", rows.SAPBusinessPartnerRow, ("Customer",)),
        _call("customers.ship_tos", "customers", PARTNERS, "A_BusinessPartner", rows.SAPLocationRow, ("Customer",)),
        _call(
            "credit",
            "credit",
            CREDIT,
            "CreditManagementAccount",
            rows.SAPCreditAccountRow,
            ("BusinessPartner", "CreditSegment"),
        ),
        _call("items", "items", PRODUCTS, "A_Product", rows.SAPProductRow, ("Product",)),
        _call(
            "items.by_gtin",
            "items",
            PRODUCTS,
            "A_ProductUnitsOfMeasureEAN",
            rows.SAPProductEANRow,
            ("ProductStandardID",),
        ),
        _call(
            "items.customer_materials",
            "items",
            CUSTOMER_MATERIALS,
            "A_CustomerMaterial",
            rows.SAPCustomerMaterialRow,
            (*AREA, "MaterialByCustomer", "Material"),
        ),
        _call("stock.units", "stock", PRODUCTS, "A_Product", rows.SAPBaseUnitRow, ("Product",)),
        _call(
            "stock",
            "stock",
            STOCK,
            "A_MatlStkInAcctMod",
            rows.SAPStockRow,
            ("Material", "Plant", "InventorySpecialStockType"),
        ),
        VendorCall(
            name="stock.availability",
            port="stock",
            method="GET",
            path=f"{ROOT}/{AVAILABILITY}/{TIMESERIES}",
            api=AVAILABILITY,
            function=TIMESERIES,
            params=("ATPCheckingRule", "Material", "SupplyingPlant", "$format"),
            reads=rows.SAPAvailabilityRow,
        ),
        _post("prices", "prices", SIMULATION, "A_SalesOrderSimulation", rows.SAPNewSimulation, rows.SAPSimulationRow),
        _call("orders", "orders", ORDERS, "A_SalesOrder", rows.SAPOrderRow, (*LISTED, "SalesOrder"), sorts=NEWEST),
        _call("shipments", "shipments", DELIVERIES, "A_OutbDeliveryHeader", rows.SAPDeliveryRow, ("DeliveryDocument",)),
        _call(
            "shipments.of_orders",
            "shipments",
            DELIVERIES,
            "A_OutbDeliveryItem",
            rows.SAPDeliveryReferenceRow,
            ("ReferenceSDDocument",),
        ),
        _call("billing", "billing", BILLING, "A_BillingDocument", rows.SAPBillingRow, ("BillingDocument",)),
        _call(
            "billing.of_orders",
            "billing",
            BILLING,
            "A_BillingDocumentItem",
            rows.SAPBillingReferenceRow,
            ("SalesDocument",),
        ),
        *(
            _call(
                f"changes.{own.entity_set}",
                "changes",
                own.service,
                own.entity_set,
                own.row,
                ("LastChangeDateTime",),
                sorts=("LastChangeDateTime", own.name),
            )
            for own in SETS.values()
        ),
        _call(
            "order.find",
            "order_writer",
            ORDERS,
            "A_SalesOrder",
            rows.SAPWrittenOrderRow,
            ("PurchaseOrderByCustomer", "OverallSDDocumentRejectionSts"),
            sorts=("SalesOrder",),
        ),
        _post("order.post", "order_writer", ORDERS, "A_SalesOrder", rows.SAPNewSalesOrder, rows.SAPWrittenOrderRow),
        VendorCall(
            name="order.cancel",
            port="order_writer",
            method="DELETE",
            path=f"{ROOT}/{ORDERS}/A_SalesOrder({{}})",
            api=ORDERS,
            set="A_SalesOrder",
        ),
    ),
)
