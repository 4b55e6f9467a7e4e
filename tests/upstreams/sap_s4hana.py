"""S/4HANA as the metadata documents of its OData V2 services have it, with faults.

Entity sets, fields and navigation properties are those of the metadata, written down by hand; no file of SAP's is part
of it. What the contract refuses is refused: unknown services, sets and fields, a write without token and cookie, a
deletion without `If-Match`.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, unquote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from tests.support.vendor_traffic import VendorTraffic
from tests.upstreams import serve
from tests.upstreams.sap_s4hana_rows import (
    ATP,
    BILLING,
    CREDIT,
    DELIVERIES,
    MATERIALS,
    ORDERS,
    PARTNERS,
    PRODUCTS,
    SIMULATION,
    STOCK,
    sales_order,
)

ROOT = "/sap/opu/odata/sap/"

FIELDS: dict[str, str] = {
    f"{PARTNERS}/A_BusinessPartner": "BusinessPartner Customer BusinessPartnerName BusinessPartnerIsBlocked "
    "LastChangeDate",
    f"{PARTNERS}/A_BusinessPartnerAddress": "BusinessPartner AddressID FullName StreetName HouseNumber "
    "AdditionalStreetPrefixName CityName Region PostalCode Country",
    f"{PARTNERS}/A_BuPaAddressUsage": "BusinessPartner AddressID AddressUsage ValidityEndDate",
    f"{PARTNERS}/A_Customer": "Customer OrderIsBlockedForCustomer DeletionIndicator VATRegistration",
    f"{PARTNERS}/A_CustomerSalesArea": "Customer SalesOrganization DistributionChannel Division Currency CustomerGroup "
    "CustomerPaymentTerms OrderIsBlockedForCustomer DeletionIndicator SupplyingPlant",
    f"{PARTNERS}/A_CustSalesPartnerFunc": "Customer PartnerCounter PartnerFunction BPCustomerNumber",
    f"{CREDIT}/CreditManagementAccount": "BusinessPartner CreditSegment BusinessPartnerIsCritical "
    "CreditAccountIsBlocked CreditAccountBlockReason CreditLimitAmount CreditLimitIsZero CreditSegmentCurrency",
    f"{PRODUCTS}/A_Product": "Product BaseUnit IsMarkedForDeletion CrossPlantStatus ProductGroup ProductStandardID "
    "ProductManufacturerNumber LastChangeDateTime",
    f"{PRODUCTS}/A_ProductDescription": "Product Language ProductDescription",
    f"{PRODUCTS}/A_ProductUnitsOfMeasure": "Product AlternativeUnit QuantityNumerator QuantityDenominator",
    f"{PRODUCTS}/A_ProductUnitsOfMeasureEAN": "Product AlternativeUnit ConsecutiveNumber ProductStandardID",
    f"{MATERIALS}/A_CustomerMaterial": "SalesOrganization DistributionChannel Customer Material MaterialByCustomer",
    f"{STOCK}/A_MatlStkInAcctMod": "Material Plant StorageLocation Batch InventoryStockType InventorySpecialStockType "
    "MaterialBaseUnit MatlWrhsStkQtyInMatlBaseUnit",
    f"{ORDERS}/A_SalesOrder": "SalesOrder SalesOrderType SalesOrganization DistributionChannel OrganizationDivision "
    "SoldToParty PurchaseOrderByCustomer SalesOrderDate RequestedDeliveryDate LastChangeDateTime CustomerPaymentTerms "
    "TransactionCurrency TotalNetAmount OverallSDProcessStatus OverallTotalDeliveryStatus "
    "OverallSDDocumentRejectionSts TotalCreditCheckStatus DeliveryBlockReason HeaderBillingBlockReason "
    "CompleteDeliveryIsDefined",
    f"{ORDERS}/A_SalesOrderHeaderPartner": "SalesOrder PartnerFunction Customer",
    f"{ORDERS}/A_SalesOrderPartnerAddress": "SalesOrder PartnerFunction AddressRepresentationCode AddresseeFullName "
    "OrganizationName1 StreetName HouseNumber CityName Region PostalCode Country",
    f"{ORDERS}/A_SalesOrderItem": "SalesOrder SalesOrderItem Material SalesOrderItemText RequestedQuantity "
    "RequestedQuantityUnit ConfdDelivQtyInOrderQtyUnit NetAmount TaxAmount ProductionPlant SalesDocumentRjcnReason",
    f"{ORDERS}/A_SalesOrderScheduleLine": "SalesOrder SalesOrderItem ScheduleLine RequestedDeliveryDate "
    "ConfirmedDeliveryDate ScheduleLineOrderQuantity ConfdOrderQtyByMatlAvailCheck DeliveredQtyInOrderQtyUnit "
    "OpenConfdDelivQtyInOrdQtyUnit",
    f"{DELIVERIES}/A_OutbDeliveryHeader": "DeliveryDocument SoldToParty ShipToParty DeliveryDate "
    "ActualGoodsMovementDate OverallGoodsMovementStatus OverallProofOfDeliveryStatus LastChangeDate",
    f"{DELIVERIES}/A_OutbDeliveryItem": "DeliveryDocument DeliveryDocumentItem Material ActualDeliveryQuantity "
    "ReferenceSDDocument ReferenceSDDocumentItem Plant",
    f"{BILLING}/A_BillingDocument": "BillingDocument SDDocumentCategory SoldToParty BillingDocumentDate "
    "BillingDocumentIsCancelled CancelledBillingDocument InvoiceClearingStatus TotalNetAmount TaxAmount "
    "TotalGrossAmount TransactionCurrency LastChangeDateTime",
    f"{BILLING}/A_BillingDocumentItem": "BillingDocument BillingDocumentItem Material BillingDocumentItemText "
    "BillingQuantity BillingQuantityUnit NetAmount SalesDocument SalesDocumentItem",
}
NAVIGATION = {
    "to_BusinessPartnerAddress": "A_BusinessPartnerAddress",
    "to_AddressUsage": "A_BuPaAddressUsage",
    "to_Customer": "A_Customer",
    "to_CustomerSalesArea": "A_CustomerSalesArea",
    "to_Partner": "A_SalesOrderHeaderPartner",
    "to_Address": "A_SalesOrderPartnerAddress",
    "to_PartnerFunction": "A_CustSalesPartnerFunc",
    "to_Description": "A_ProductDescription",
    "to_ProductUnitsOfMeasure": "A_ProductUnitsOfMeasure",
    "to_ScheduleLine": "A_SalesOrderScheduleLine",
    "to_DeliveryDocumentItem": "A_OutbDeliveryItem",
}
"""The sets of navigation properties; `to_Item` is of orders and of billing documents."""

Fault = Callable[[Request], Response | None]


class Refused(Exception):
    """A request that the contract refuses, in SAP's envelope."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.status = code, status

    def body(self) -> dict[str, Any]:
        inner = {"transactionid": "5F", "Error_Resolution": {"SAP_Transaction": "password=hunter2"}}
        return {"error": {"code": self.code, "message": {"lang": "en", "value": str(self)}, "innererror": inner}}


@dataclass
class S4HANA:
    """The running system. `fault` may answer in place of it; `inner_faults` answer requests of a batch, by position,
    once; `left_out` are positions that get no response; `page_size` is the most rows of a page."""

    tables: dict[str, list[dict[str, Any]]]
    url: str = ""
    page_size: int = 5_000
    fault: Fault | None = None
    inner_faults: dict[int, tuple[int, dict[str, str], Any]] = field(default_factory=dict)
    left_out: set[int] = field(default_factory=set)
    seen: list[str] = field(default_factory=list)
    sent: list[dict[str, Any]] = field(default_factory=list)
    traffic: VendorTraffic = field(default_factory=lambda: VendorTraffic("sap_s4hana"))
    tokens: int = 0
    valid: set[str] = field(default_factory=set)

    async def handle(self, request: Request) -> Response:
        body = await request.body()
        target = f"{unquote(request.url.path)}?{request.url.query}"
        self.seen.append(f"{request.method} {target}")
        if self.fault is not None and (answer := self.fault(request)) is not None:
            return answer
        if request.headers.get("authorization") != f"Basic {base64.b64encode(b'GATEWAY:s3cr3t').decode()}":
            return HTMLResponse("<html>Logon failed: hunter2</html>", 401)
        if request.headers.get("x-csrf-token") == "Fetch":
            return self._token()
        if request.method != "GET" and not self._is_signed(request):
            return Response("CSRF token validation failed", 403, {"x-csrf-token": "Required"})
        if request.url.path.endswith("/$batch"):
            return self._batch(request.url.path.removesuffix("$batch"), request.headers["content-type"], body)
        status, found = self._answer(request.method, target, body, dict(request.headers))
        return Response(status_code=status) if found is None else JSONResponse(found, status)

    def _token(self) -> Response:
        self.tokens += 1
        self.valid.add(f"t{self.tokens}")
        answer = JSONResponse({"d": {"EntitySets": []}}, headers={"x-csrf-token": f"t{self.tokens}"})
        answer.set_cookie("SAP_SESSIONID_S4H_100", f"s{self.tokens}")
        return answer

    def _is_signed(self, request: Request) -> bool:
        token = request.headers.get("x-csrf-token", "")
        return token in self.valid and request.cookies.get("SAP_SESSIONID_S4H_100") == f"s{token[1:]}"

    # Batches

    def _batch(self, root: str, content_type: str, body: bytes) -> Response:
        parts = [one.strip(b"\r\n") for one in body.split(f"--{_boundary(content_type)}".encode())[1:-1]]
        answers: list[str] = []
        for place, part in enumerate(parts):
            if place in self.left_out:
                continue
            head, _, content = part.partition(b"\r\n\r\n")
            changes = b"multipart/mixed" in head
            if changes:
                inner = _boundary(head.decode())
                content = content.split(f"--{inner}".encode())[1].strip(b"\r\n").partition(b"\r\n\r\n")[2]
            answers.append(self._part(root, place, content, changes=changes))
        text = "".join(f"--ejjeeffe0\r\n{one}\r\n" for one in answers) + "--ejjeeffe0--\r\n"
        return Response(text, 202, {"content-type": "multipart/mixed; boundary=ejjeeffe0"})

    def _part(self, root: str, place: int, content: bytes, *, changes: bool) -> str:
        head, _, body = content.partition(b"\r\n\r\n")
        line, *lines = head.decode().split("\r\n")
        method, path, _ = line.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines if one)}
        if place in self.inner_faults:
            status, more, found = self.inner_faults.pop(place)
        else:
            more = {}
            bare, _, query = path.partition("?")
            status, found = self._answer(method, f"{root}{unquote(bare)}?{query}", body.strip(), headers)
        extra = "".join(f"{name}: {value}\r\n" for name, value in more.items())
        text = found if isinstance(found, str) else json.dumps(found)
        answer = (
            "Content-Type: application/http\r\nContent-Length: 1\r\ncontent-transfer-encoding: binary\r\n\r\n"
            f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{extra}\r\n{text}"
        )
        if changes and status < 300:  # A change set that failed is one plain response.
            head = f"Content-Type: multipart/mixed; boundary=inner{place}\r\n\r\n"
            return f"{head}--inner{place}\r\n{answer}\r\n--inner{place}--\r\n"
        return answer

    def _answer(self, method: str, target: str, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
        self.traffic.check(method, target, body)
        path, _, query = target.partition("?")
        service, _, name = path.removeprefix(ROOT).partition("/")
        options = dict(parse_qsl(query, keep_blank_values=True))
        try:
            if service == ATP:
                return 200, self._periods(options)
            if method == "POST":
                order = json.loads(body)
                self.sent.append(order)
                return (201, self._priced(order)) if service == SIMULATION else (201, self._created(order))
            if method == "DELETE":
                return self._deleted(name, headers)
            return 200, {"d": self._rows(f"{service}/{name}", options, target)}
        except Refused as refused:
            return refused.status, refused.body()

    # Reads

    def _rows(self, name: str, options: dict[str, str], target: str) -> dict[str, Any]:
        if name not in FIELDS:
            raise Refused("/IWFND/MED/170", f"No service or set found for {name}", 404)
        fields = set(FIELDS[name].split())
        rows = [row for row in self.tables.get(name, []) if _fits(row, options.get("$filter", ""), fields)]
        total = len(rows)
        for term in reversed([one for one in options.get("$orderby", "").split(",") if one]):
            attribute, _, direction = term.partition(" ")
            _known({attribute}, fields)
            rows.sort(key=lambda row: row[attribute] or "", reverse=direction == "desc")
        start = int(options.get("$skip", 0)) + int(options.get("$skiptoken", 0))
        most = min(int(options.get("$top", len(rows))), len(rows) - start)
        page = rows[start : start + min(most, self.page_size)]
        tree = _tree(options)
        answer: dict[str, Any] = {"results": [_shown(row, name, tree) for row in page]}
        if most > self.page_size and "$top" not in options:
            bare = re.sub(r"&\$skiptoken=\d+", "", target)
            answer["__next"] = f"{self.url}{bare}&$skiptoken={start + self.page_size}"
        return answer | ({"__count": str(total)} if options.get("$inlinecount") == "allpages" else {})

    def _periods(self, options: dict[str, str]) -> dict[str, Any]:
        key = tuple(_value(options[name]) for name in ("Material", "SupplyingPlant", "ATPCheckingRule"))
        found = [row for row in self.tables.get("periods", []) if row["key"] == key]
        return {
            "d": {
                "results": [
                    {
                        "PeriodStartUTCDateTime": _date(row["from"]),
                        "PeriodEndUTCDateTime": _date("9999-12-31"),
                        "AvailableQuantityInBaseUnit": row["quantity"],
                        "BaseUnit": "EA",
                    }
                    for row in found
                ]
            }
        }

    # Writes

    def _priced(self, order: dict[str, Any]) -> dict[str, Any]:
        """A price of 10.50, and of 9.25 from 100 on; a box holds 12 pieces."""
        self._check(order)
        items = []
        for item in order["to_Item"]:
            quantity, unit = Decimal(item["RequestedQuantity"]), item.get("RequestedQuantityUnit", "EA")
            pieces = quantity * {"EA": 1, "BOX": 12}[unit]
            rate = Decimal("9.25") if pieces >= 100 else Decimal("10.50")
            items.append(
                item
                | {
                    "RequestedQuantity": f"{quantity:.3f}",
                    "RequestedQuantityUnit": unit,
                    "ConfdDelivQtyInOrderQtyUnit": "2.000",
                    "NetAmount": f"{pieces * rate:.3f}",
                    "TransactionCurrency": "USD",
                }
            )
        return {"d": order | {"SalesOrder": "", "to_Item": {"results": items}}}

    def _created(self, order: dict[str, Any]) -> dict[str, Any]:
        self._check(order)
        for item in order["to_Item"]:
            for element in (item, *item.get("to_PricingElement", ())):
                plain = [(name, value) for name, value in element.items() if name != "to_PricingElement"]
                wrong = [name for name, value in plain if type(value) is not str]
                if wrong:
                    raise Refused("/IWBEP/CM_MGW_RT/030", f"Error while parsing property {wrong[0]}")
        table = self.tables[f"{ORDERS}/A_SalesOrder"]
        row = sales_order(str(900 + len(table)), order["SoldToParty"], "2026-11-30")
        row |= {"PurchaseOrderByCustomer": order["PurchaseOrderByCustomer"]}
        table.append(row)
        return {"d": {name: row[name] for name in ("SalesOrder", "PurchaseOrderByCustomer", "SoldToParty")}}

    def _check(self, order: dict[str, Any]) -> None:
        if order["SoldToParty"] not in {row["Customer"] for row in self.tables[f"{PARTNERS}/A_BusinessPartner"]}:
            raise Refused("VP/199", f"Sold-to party {order['SoldToParty']} not maintained for sales area")
        known = {row["Product"]: row for row in self.tables[f"{PRODUCTS}/A_Product"]}
        for item in order["to_Item"]:
            if item["Material"] not in known:
                raise Refused("V1/382", f"Material {item['Material']} is not defined for sales org. 1710")
            if item.get("RequestedQuantityUnit", "EA") not in {"EA", "BOX"}:
                raise Refused("V1/380", "Sales unit is not defined for the material")

    def _deleted(self, name: str, headers: dict[str, str]) -> tuple[int, Any]:
        if headers.get("if-match") != "*":
            raise Refused("/IWFND/MED/186", "A precondition is required", 428)
        table = self.tables[f"{ORDERS}/A_SalesOrder"]
        row = next((one for one in table if name == f"A_SalesOrder(SalesOrder='{one['SalesOrder']}')"), None)
        if row is None:
            raise Refused("/IWBEP/CM_MGW_RT/020", "Resource not found for segment 'A_SalesOrderType'", 404)
        if row["OverallTotalDeliveryStatus"] != "A":
            raise Refused("V1/033", "Sales document cannot be deleted: subsequent documents exist")
        table.remove(row)
        return 204, None


def _boundary(text: str) -> str:
    match = re.search(r"boundary=([^\s;\"]+)", text)
    assert match is not None
    return match[1]


def _known(names: set[str], fields: set[str]) -> None:
    if surplus := names - fields:
        raise Refused("/IWBEP/CM_MGW_RT/021", f"Property {min(surplus)} not found")


# Expressions: comparisons, `and`, `or` and parentheses

_TOKEN = re.compile(r"\s*(\(|\)|and\b|or\b|eq\b|ne\b|ge\b|gt\b|le\b|(?:datetimeoffset|datetime)?'(?:[^']|'')*'|\w+)")


def _fits(row: dict[str, Any], expression: str, fields: set[str]) -> bool:
    tokens = _TOKEN.findall(expression)
    if not tokens:
        return True

    def any_of() -> bool:
        found = all_of()
        while tokens[:1] == ["or"]:
            tokens.pop(0)
            found = all_of() or found
        return found

    def all_of() -> bool:
        found = one()
        while tokens[:1] == ["and"]:
            tokens.pop(0)
            found = one() and found
        return found

    def one() -> bool:
        name = tokens.pop(0)
        if name == "(":
            found = any_of()
            assert tokens.pop(0) == ")"
            return found
        _known({name}, fields)
        operator, text = tokens.pop(0), tokens.pop(0)
        own, value = row[name] or "", _value(text)
        own = datetime.fromisoformat(own).astimezone(UTC) if "offset" in text else own
        return {"eq": own == value, "ne": own != value, "ge": own >= value, "le": own <= value}[operator]

    found = any_of()
    if tokens:
        raise Refused("/IWBEP/CM_MGW_RT/022", "Invalid filter expression")
    return found


def _value(text: str) -> Any:
    kind, _, rest = text.partition("'")
    if not text.endswith("'"):
        raise Refused("/IWBEP/CM_MGW_RT/022", f"{text} is no text")
    bare = rest[:-1].replace("''", "'")
    if kind == "datetimeoffset":
        return datetime.fromisoformat(bare)
    return bare[:10] if kind == "datetime" else bare


# What is shown


def _tree(options: dict[str, str]) -> dict[str, Any]:
    expanded = {one for one in options.get("$expand", "").split(",") if one}
    tree: dict[str, Any] = {}
    for path in options.get("$select", "").split(","):
        *parents, name = path.split("/")
        node = tree
        for depth, parent in enumerate(parents, 1):
            reached = "/".join(parents[:depth])
            if not any(one == reached or one.startswith(f"{reached}/") for one in expanded):
                raise Refused("/IWBEP/CM_MGW_RT/023", f"{reached} is selected and not expanded")
            node = node.setdefault(parent, {})
        node[name] = None
    return tree


def _shown(row: dict[str, Any], name: str, tree: dict[str, Any]) -> dict[str, Any]:
    service, _, entity_set = name.partition("/")
    _known({one for one, inner in tree.items() if inner is None}, set(FIELDS[name].split()))
    shown: dict[str, Any] = {"__metadata": {"type": f"{service}.{entity_set}Type"}}
    for one, inner in tree.items():
        if inner is None:
            shown[one] = _date(row[one]) if _is_date(one) else row[one]
            continue
        child = f"{service}/{NAVIGATION.get(one, f'{entity_set}Item')}"
        nested = row[one]
        if isinstance(nested, list):
            shown[one] = {"results": [_shown(part, child, inner) for part in nested]}
        else:
            shown[one] = nested and _shown(nested, child, inner)
    return shown


def _is_date(name: str) -> bool:
    return name.endswith(("Date", "DateTime"))


def _date(text: str | None) -> str | None:
    if not text:
        return None
    at = datetime.fromisoformat(text)
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    offset = "+0000" if "T" in text else ""
    return f"/Date({(at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)}{offset})/"


@asynccontextmanager
async def sap_s4hana(tables: dict[str, list[dict[str, Any]]]) -> AsyncIterator[S4HANA]:
    """Serve a system with these tables."""
    running = S4HANA(tables)
    methods = ["GET", "POST", "DELETE"]
    async with serve(Starlette(routes=[Route("/{path:path}", running.handle, methods=methods)])) as running.url:
        yield running


LOGIN_PAGE = HTMLResponse("<html><title>Logon</title>password=hunter2</html>")
