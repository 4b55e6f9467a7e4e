"""Rows of an S/4HANA system of our own, as `sap_s4hana.py` serves them.

Dates are written as ISO texts; the server shows them as `/Date(ms)/`.
"""

from __future__ import annotations

from typing import Any

PARTNERS, CREDIT, PRODUCTS = "API_BUSINESS_PARTNER", "API_CRDTMBUSINESSPARTNER", "API_PRODUCT_SRV"
MATERIALS, STOCK, ATP = "API_CUSTOMER_MATERIAL_SRV", "API_MATERIAL_STOCK_SRV", "API_PRODUCT_AVAILY_INFO_BASIC"
ORDERS, SIMULATION = "API_SALES_ORDER_SRV", "API_SALES_ORDER_SIMULATION_SRV"
DELIVERIES, BILLING = "API_OUTBOUND_DELIVERY_SRV;v=0002", "API_BILLING_DOCUMENT_SRV"

SKUS = ("TG11", "TG12", "TG13")
BUYERS = ("17100001", "17100002", "17100003")


def system() -> dict[str, list[dict[str, Any]]]:
    """A system with three customers and a ship-to party, three products, two plants and six orders."""
    one, two, three = BUYERS
    orders = [
        sales_order(
            str(n),
            BUYERS[n % 2],
            f"2026-11-0{n}",
            to_Item=[order_item(str(n), "20", "TG12", f"{n}.000"), order_item(str(n), "10", "TG11", "2.500")],
        )
        for n in range(1, 7)
    ]
    orders[0] |= {"DeliveryBlockReason": "01", "TotalCreditCheckStatus": "B", "OverallTotalDeliveryStatus": "B"}
    orders[0]["to_Item"][1]["to_ScheduleLine"][0] |= {
        "DeliveredQtyInOrderQtyUnit": "1.000",
        "OpenConfdDelivQtyInOrdQtyUnit": "1.500",
    }
    orders[1] |= {"OverallTotalDeliveryStatus": "C", "OverallSDProcessStatus": "C"}
    orders[2] |= {"OverallSDDocumentRejectionSts": "C", "RequestedDeliveryDate": None}
    return {
        f"{PARTNERS}/A_BusinessPartner": [
            _with_area(partner(one, "Customer 1"), ("17100009", one)),
            _with_area(partner(two, "Customer 2", BusinessPartnerIsBlocked=True), (), Currency="CAD"),
            partner(three, "Customer 3"),
            partner("17100009", "Dock 7", areas=[]) | {"to_Customer": None},
            partner("17100004", "Of another sales area")
            | {"to_Customer": {"Customer": "17100004", "to_CustomerSalesArea": []} | _NO_BLOCKS},
        ],
        f"{CREDIT}/CreditManagementAccount": [
            _account(one, "5000.00"),
            _account(two, "0.00", CreditAccountIsBlocked=True, CreditAccountBlockReason="03", CreditLimitIsZero=True),
            _account(three, "0.00", BusinessPartnerIsCritical=True),
            _account(three, "9.00", CreditSegment="1000"),
        ],
        f"{PRODUCTS}/A_Product": [
            product("TG11", ProductStandardID="4000000000001", ProductManufacturerNumber="M-1"),
            product("TG12", CrossPlantStatus="01", LastChangeDateTime="2026-10-12T10:00:00+00:00"),
            product("TG13", IsMarkedForDeletion=True, LastChangeDateTime="2026-10-13T10:00:00+00:00"),
        ],
        f"{PRODUCTS}/A_ProductUnitsOfMeasureEAN": [
            {
                "Product": "TG11",
                "AlternativeUnit": "EA",
                "ConsecutiveNumber": "1",
                "ProductStandardID": "4000000000001",
            },
            {
                "Product": "TG11",
                "AlternativeUnit": "BOX",
                "ConsecutiveNumber": "1",
                "ProductStandardID": "40000000000118",
            },
        ],
        f"{MATERIALS}/A_CustomerMaterial": [
            _material(one, "TG11", "C-1"),
            _material(two, "TG11", "C-2"),
            _material(one, "TG12", "C-2"),
        ],
        f"{STOCK}/A_MatlStkInAcctMod": [
            _stock("TG11", "1710", "01", "10.000", StorageLocation="171A"),
            _stock("TG11", "1710", "01", "2.500", StorageLocation="171B"),
            _stock("TG11", "1710", "02", "1.000"),
            _stock("TG11", "1710", "06", "4.000"),
            _stock("TG11", "1710", "07", "99.000"),
            _stock("TG11", "1710", "01", "77.000", InventorySpecialStockType="K"),
            _stock("TG11", "1720", "01", "3.000"),
            _stock("TG11", "9999", "01", "55.000"),
        ],
        "periods": [
            {"key": (sku, plant, "A"), "from": day, "quantity": quantity}
            for sku in SKUS
            for plant in ("1710", "1720")
            for day, quantity in (("2026-11-30", "9.500"), ("2026-12-10", "109.500"), ("2026-12-20", "109.500"))
        ],
        f"{ORDERS}/A_SalesOrder": orders,
        f"{DELIVERIES}/A_OutbDeliveryHeader": [
            _delivery("80000002", "2", "C", goods="2026-11-22", delivered="C"),
            _delivery("80000001", "1", "C", goods="2026-11-21"),
            _delivery("80000003", "1", "A"),
        ],
        f"{DELIVERIES}/A_OutbDeliveryItem": [
            _delivery_item(f"8000000{n}", order) for n, order in ((1, "1"), (2, "2"), (3, "1"))
        ],
        f"{BILLING}/A_BillingDocument": [
            _invoice("90000001", "1", "M"),
            _invoice("90000002", "2", "O", InvoiceClearingStatus="C"),
            _invoice("90000003", "2", "M", BillingDocumentIsCancelled=True),
        ],
        f"{BILLING}/A_BillingDocumentItem": [
            {"BillingDocument": f"9000000{n}", "SalesDocument": order} for n, order in ((1, "1"), (2, "2"), (3, "2"))
        ],
    }


_NO_BLOCKS = {"OrderIsBlockedForCustomer": "", "DeletionIndicator": False, "VATRegistration": ""}


def _with_area(row: dict[str, Any], ship_tos: tuple[str, ...], **values: Any) -> dict[str, Any]:
    areas = [sales_area(row["Customer"], SalesOrganization="1010"), sales_area(row["Customer"], ship_tos, **values)]
    customer = {"Customer": row["Customer"], **_NO_BLOCKS, "VATRegistration": "US1", "to_CustomerSalesArea": areas}
    return row | {"to_Customer": customer}


def _account(number: str, limit: str, **values: Any) -> dict[str, Any]:
    return {
        "BusinessPartner": number,
        "CreditSegment": "0000",
        "BusinessPartnerIsCritical": False,
        "CreditAccountIsBlocked": False,
        "CreditAccountBlockReason": "",
        "CreditLimitAmount": limit,
        "CreditLimitIsZero": False,
        "CreditSegmentCurrency": "USD",
    } | values


def _material(customer: str, sku: str, part: str) -> dict[str, Any]:
    return {
        "SalesOrganization": "1710",
        "DistributionChannel": "10",
        "Customer": customer,
        "Material": sku,
        "MaterialByCustomer": part,
    }


def _stock(sku: str, plant: str, kind: str, quantity: str, **values: Any) -> dict[str, Any]:
    return {
        "Material": sku,
        "Plant": plant,
        "StorageLocation": "171A",
        "Batch": "",
        "InventoryStockType": kind,
        "InventorySpecialStockType": "",
        "MaterialBaseUnit": "EA",
        "MatlWrhsStkQtyInMatlBaseUnit": quantity,
    } | values


def _delivery_item(number: str, order: str) -> dict[str, Any]:
    return {
        "DeliveryDocument": number,
        "DeliveryDocumentItem": "000010",
        "Material": "TG11",
        "ActualDeliveryQuantity": "1.000",
        "ReferenceSDDocument": order,
        "ReferenceSDDocumentItem": "000010",
        "Plant": "1710",
    }


def _delivery(number: str, order: str, moved: str, goods: str | None = None, delivered: str = "") -> dict[str, Any]:
    return {
        "DeliveryDocument": number,
        "SoldToParty": BUYERS[int(order) % 2],
        "ShipToParty": "17100009",
        "DeliveryDate": "2026-12-01",
        "ActualGoodsMovementDate": goods,
        "OverallGoodsMovementStatus": moved,
        "OverallProofOfDeliveryStatus": delivered,
        "LastChangeDate": "2026-11-22",
        "to_DeliveryDocumentItem": [_delivery_item(number, order)],
    }


def _invoice(number: str, order: str, category: str, **values: Any) -> dict[str, Any]:
    return {
        "BillingDocument": number,
        "SDDocumentCategory": category,
        "SoldToParty": BUYERS[int(order) % 2],
        "BillingDocumentDate": "2026-11-21",
        "BillingDocumentIsCancelled": False,
        "CancelledBillingDocument": "",
        "InvoiceClearingStatus": "A",
        "TotalNetAmount": "100.10",
        "TaxAmount": "7.01",
        "TotalGrossAmount": "107.11",
        "TransactionCurrency": "USD",
        "LastChangeDateTime": f"2026-11-2{number[-1]}T09:00:00+00:00",
        "to_Item": [
            {
                "BillingDocument": number,
                "BillingDocumentItem": "000010",
                "Material": "TG11",
                "BillingDocumentItemText": "Item TG11",
                "BillingQuantity": "2.000",
                "BillingQuantityUnit": "EA",
                "NetAmount": "100.10",
                "SalesDocument": order,
                "SalesDocumentItem": "000010",
            }
        ],
    } | values


def partner(number: str, name: str, *, areas: list[dict[str, Any]] | None = None, **values: Any) -> dict[str, Any]:
    address = {
        "BusinessPartner": number,
        "FullName": name,
        "AdditionalStreetPrefixName": "",
        "HouseNumber": "1",
        "Region": "GA",
        "PostalCode": "31772",
        "Country": "US",
    }
    usage = {"BusinessPartner": number, "AddressUsage": "XXDEFAULT", "ValidityEndDate": "9999-12-31"}
    customer = {"Customer": number, "OrderIsBlockedForCustomer": "", "DeletionIndicator": False, "VATRegistration": ""}
    return {
        "BusinessPartner": number,
        "Customer": number,
        "BusinessPartnerName": name,
        "BusinessPartnerIsBlocked": False,
        "LastChangeDate": "2026-11-01",
        "to_BusinessPartnerAddress": [
            address | {"AddressID": "1", "StreetName": "Old St", "CityName": "Macon", "to_AddressUsage": []},
            address | {"AddressID": "2", "StreetName": "Main St", "CityName": "Atlanta", "to_AddressUsage": [usage]},
        ],
        "to_Customer": customer | {"to_CustomerSalesArea": [sales_area(number)] if areas is None else areas},
    } | values


def sales_area(number: str, ship_tos: tuple[str, ...] = (), **values: Any) -> dict[str, Any]:
    return {
        "Customer": number,
        "SalesOrganization": "1710",
        "DistributionChannel": "10",
        "Division": "00",
        "Currency": "USD",
        "CustomerGroup": "01",
        "CustomerPaymentTerms": "0004",
        "OrderIsBlockedForCustomer": "",
        "DeletionIndicator": False,
        "SupplyingPlant": "1710",
        "to_PartnerFunction": [
            {"Customer": number, "PartnerCounter": str(place), "PartnerFunction": "SH", "BPCustomerNumber": one}
            for place, one in enumerate(ship_tos or (number,))
        ],
    } | values


def product(number: str, **values: Any) -> dict[str, Any]:
    return {
        "Product": number,
        "BaseUnit": "EA",
        "IsMarkedForDeletion": False,
        "CrossPlantStatus": "",
        "ProductGroup": "L001",
        "ProductStandardID": "",
        "ProductManufacturerNumber": "",
        "LastChangeDateTime": "2026-10-11T10:00:00+00:00",
        "to_Description": [
            {"Product": number, "Language": "DE", "ProductDescription": f"Ware {number}"},
            {"Product": number, "Language": "EN", "ProductDescription": f"Item {number}"},
        ],
        "to_ProductUnitsOfMeasure": [
            {"Product": number, "AlternativeUnit": unit, "QuantityNumerator": count, "QuantityDenominator": "1"}
            for unit, count in (("EA", "1"), ("BOX", "12"))
        ],
    } | values


def sales_order(number: str, buyer: str, ordered: str, **values: Any) -> dict[str, Any]:
    return {
        "SalesOrder": number,
        "SalesOrderType": "OR",
        "SalesOrganization": "1710",
        "DistributionChannel": "10",
        "OrganizationDivision": "00",
        "SoldToParty": buyer,
        "PurchaseOrderByCustomer": f"PO-{number}",
        "SalesOrderDate": ordered,
        "RequestedDeliveryDate": "2026-12-24",
        "LastChangeDateTime": f"{ordered}T12:00:00+00:00",
        "CustomerPaymentTerms": "0004",
        "TransactionCurrency": "USD",
        "TotalNetAmount": "100.10",
        "OverallSDProcessStatus": "A",
        "OverallTotalDeliveryStatus": "A",
        "OverallSDDocumentRejectionSts": "A",
        "TotalCreditCheckStatus": "",
        "DeliveryBlockReason": "",
        "HeaderBillingBlockReason": "",
        "CompleteDeliveryIsDefined": False,
        "to_Partner": [order_partner(number, "SH", "Dock 7"), order_partner(number, "SP", "Customer")],
        "to_Item": [],
    } | values


def order_partner(order: str, function: str, name: str) -> dict[str, Any]:
    address = {
        "SalesOrder": order,
        "PartnerFunction": function,
        "AddressRepresentationCode": "",
        "AddresseeFullName": name,
        "OrganizationName1": name,
        "StreetName": "Harbor Rd",
        "HouseNumber": "7",
        "CityName": "Macon",
        "Region": "GA",
        "PostalCode": "31201",
        "Country": "US",
    }
    return {"SalesOrder": order, "PartnerFunction": function, "Customer": "17100009", "to_Address": [address]}


def order_item(order: str, number: str, sku: str, quantity: str, **values: Any) -> dict[str, Any]:
    schedule = {
        "SalesOrder": order,
        "SalesOrderItem": number,
        "ScheduleLine": "1",
        "RequestedDeliveryDate": "2026-12-24",
        "ConfirmedDeliveryDate": "2026-12-28",
        "ScheduleLineOrderQuantity": quantity,
        "ConfdOrderQtyByMatlAvailCheck": quantity,
        "DeliveredQtyInOrderQtyUnit": "0",
        "OpenConfdDelivQtyInOrdQtyUnit": quantity,
    }
    return {
        "SalesOrder": order,
        "SalesOrderItem": number,
        "Material": sku,
        "SalesOrderItemText": f"Item {sku}",
        "RequestedQuantity": quantity,
        "RequestedQuantityUnit": "EA",
        "ConfdDelivQtyInOrderQtyUnit": quantity,
        "NetAmount": "50.05",
        "TaxAmount": "3.50",
        "ProductionPlant": "1710",
        "SalesDocumentRjcnReason": "",
        "to_ScheduleLine": [schedule],
    } | values
