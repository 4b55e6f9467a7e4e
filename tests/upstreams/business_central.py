"""Business Central as its published contract has it: API v2.0 and the analytics API of one company, with faults.

Entity sets, fields and their types are those of the API reference v2.0 and of the API queries of Power BI Reports,
written down by hand; no code or data of Microsoft's is part of it. What the contract refuses is refused: unknown sets
and fields, `or` over two fields, more than 100 requests in a batch, a write without what it needs.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, unquote
from uuid import UUID

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from tests.support.vendor_traffic import VendorTraffic
from tests.upstreams import serve
from tests.upstreams.oauth import TokenEndpoint, token_endpoint

COMPANY = "5d115c9c-44e3-ea11-bb43-000d3a2feca1"
API, ANALYTICS, PRICING = "api/v2.0", "api/microsoft/analytics/v1.0", "api/contoso/pricing/v1.0"
_COMPARISON = re.compile(r"(\w+) (eq|gt) (.+)")

_ADDRESS = "AddressLine1 AddressLine2 City Country State PostCode"
_DOCUMENT = (
    "id number externalDocumentNumber customerNumber customerName currencyCode lastModifiedDateTime "
    + " ".join(f"{prefix}{name}" for prefix in ("billTo", "shipTo", "sellTo") for name in ["Name", *_ADDRESS.split()])
)
FIELDS: dict[str, str] = {
    f"{API}/customers": "id number displayName type addressLine1 addressLine2 city state country postalCode "
    "phoneNumber email salespersonCode balanceDue creditLimit taxLiable taxRegistrationNumber currencyCode blocked "
    "lastModifiedDateTime",
    f"{API}/items": "id number displayName type itemCategoryCode blocked gtin inventory unitPrice unitCost "
    "baseUnitOfMeasureCode lastModifiedDateTime",
    f"{API}/locations": "id code displayName city state country postalCode lastModifiedDateTime",
    f"{API}/salesOrders": f"{_DOCUMENT} orderDate postingDate partialShipping requestedDeliveryDate discountAmount "
    "totalAmountExcludingTax totalTaxAmount totalAmountIncludingTax fullyShipped status",
    f"{API}/salesShipments": f"{_DOCUMENT} postingDate orderNumber",
    f"{API}/salesInvoices": f"{_DOCUMENT} invoiceDate dueDate orderNumber remainingAmount totalAmountExcludingTax "
    "totalTaxAmount totalAmountIncludingTax status",
    f"{ANALYTICS}/itemLedgerEntries": "entryNo itemNo locationCode quantity remainingQuantity open "
    "positive postingDate",
    f"{ANALYTICS}/outstandingSalesLines": "documentNo documentType sellToCustomerNo itemNo outstandingQtyBase "
    "shipmentDate locationCode",
    f"{ANALYTICS}/outstandingPurchaseLines": "documentNo documentType itemNo outstandingQtyBase expectedReceiptDate "
    "locationCode",
}
FIELDS[f"{PRICING}/contractPrices"] = (
    "customerNumber itemNumber unitOfMeasureCode quantity priceDate unitPrice currencyCode priceListCode startingDate "
    "endingDate"
)
"""The page that docs/business-central.md specifies."""
LINES = {
    "contractPriceBreaks": "minimumQuantity unitPrice",
    "customerFinancialDetail": "id number balance totalSalesExcludingTax overdueAmount lastModifiedDateTime",
    "salesOrderLines": "id documentId sequence itemId lineType lineObjectNumber description unitOfMeasureCode quantity "
    "unitPrice discountPercent netAmount amountExcludingTax shipmentDate shippedQuantity invoicedQuantity",
    "salesShipmentLines": "id documentId documentNo sequence lineType lineObjectNumber description unitOfMeasureCode "
    "unitPrice quantity shipmentDate",
    "salesInvoiceLines": "id documentId sequence lineType lineObjectNumber description unitOfMeasureCode unitPrice "
    "quantity netAmount shipmentDate",
}
"""The fields of what can be expanded."""


class Refused(Exception):
    """A request that the contract refuses."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.status = code, status

    def body(self) -> dict[str, Any]:
        return {"error": {"code": self.code, "message": f"{self} CorrelationId:  0b1c-9d0a."}}


Fault = Callable[[Request], Response | None]


@dataclass
class BusinessCentral:
    """The running company. `fault` may answer in place of it; `inner_faults` answer requests of a batch, by position,
    once; `left_out` are positions that get no response; `page_size` is the most rows of a page."""

    endpoint: TokenEndpoint
    tables: dict[str, list[dict[str, Any]]]
    url: str = ""
    page_size: int = 20_000
    fault: Fault | None = None
    inner_faults: dict[int, tuple[int, dict[str, str], Any]] = field(default_factory=dict)
    left_out: set[int] = field(default_factory=set)
    has_analytics: bool = True
    seen: list[str] = field(default_factory=list)
    traffic: VendorTraffic = field(default_factory=lambda: VendorTraffic("business_central"))
    replica_reads: int = 0

    async def handle(self, request: Request) -> Response:
        body = await request.body()
        target = f"{unquote(request.url.path)}?{request.url.query}"
        self.seen.append(f"{request.method} {target}")
        if self.fault is not None and (answer := self.fault(request)) is not None:
            return answer
        if not self.endpoint.takes(request):
            return JSONResponse(Refused("Authentication_InvalidCredentials", "no").body(), 401)
        if not request.url.path.startswith(f"/{PRICING}/"):  # It is the operator's, not the vendor's.
            self.traffic.check(request.method, target, body)
        if request.url.path.endswith("/$batch"):
            return self._batch(request.url.path.removesuffix("/$batch").lstrip("/"), json.loads(body)["requests"])
        status, found = self._answer(request.method, target, body, dict(request.headers))
        return Response(status_code=status) if found is None else JSONResponse(found, status)

    def _batch(self, root: str, requests: list[dict[str, Any]]) -> Response:
        if len(requests) > 100:
            return JSONResponse(Refused("BadRequest", "more than 100 requests in a batch").body(), 400)
        responses = []
        for place, one in enumerate(requests):
            if place in self.left_out:
                continue
            if place in self.inner_faults:
                status, headers, found = self.inner_faults.pop(place)
            else:
                headers = {}
                path, _, query = one["url"].partition("?")
                target = f"/{root}/{unquote(path)}?{query}"
                status, found = self._answer(one["method"], target, b"", one["headers"])
            responses.append({"id": one["id"], "status": status, "headers": headers, "body": found})
        return JSONResponse({"responses": responses})

    def _answer(self, method: str, target: str, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
        path, _, query = target.partition("?")
        root, _, rest = path.lstrip("/").partition("/companies(")
        company, _, name = rest.partition(")")
        try:
            if company != COMPANY:
                raise Refused("BadRequest_NotFound", "no such company", 404)
            if root == ANALYTICS:
                if not self.has_analytics:
                    raise Refused("BadRequest_NotFound", "No HTTP resource was found", 404)
                given = {key.lower(): value for key, value in headers.items()}
                self.replica_reads += given.get("data-access-intent") == "ReadOnly"
            if not name:
                return 200, {"id": COMPANY, "name": "CRONUS"}
            if method == "POST":
                return 201, self._created(json.loads(body))
            if method == "DELETE":
                return self._deleted(name.lstrip("/"), headers)
            return 200, self._rows(f"{root}{name}", dict(parse_qsl(query)), target)
        except Refused as refused:
            return refused.status, refused.body()

    # Reads

    def _rows(self, name: str, query: dict[str, str], target: str) -> dict[str, Any]:
        if name not in FIELDS:
            raise Refused("BadRequest_NotFound", f"no such set: {name}", 404)
        fields = set(FIELDS[name].split())
        if name == f"{PRICING}/contractPrices":
            return {"value": [_shown(row, query, fields) for row in self._priced(query["$filter"])]}
        rows = [row for row in self.tables.get(name, []) if _fits(row, query.get("$filter", ""), fields)]
        total = len(rows)
        for term in reversed([one for one in query.get("$orderby", "").split(",") if one]):
            attribute, _, direction = term.partition(" ")
            _known({attribute}, fields)
            rows.sort(key=lambda row: row[attribute], reverse=direction == "desc")
        start = int(query.get("$skip", 0)) + int(query.get("$skiptoken", 0))
        most = min(int(query.get("$top", len(rows))), len(rows) - start)
        page = rows[start : start + min(most, self.page_size)]
        answer: dict[str, Any] = {"@odata.context": "x", "value": [_shown(row, query, fields) for row in page]}
        if most > self.page_size and "$top" not in query:
            bare = re.sub(r"&\$skiptoken=\d+", "", target)
            answer["@odata.nextLink"] = f"{self.url}{bare}&$skiptoken={start + self.page_size}"
        return answer | ({"@odata.count": total} if query.get("$count") == "true" else {})

    def _priced(self, expression: str) -> list[dict[str, Any]]:
        """The price of one question; none for an unknown customer, item or unit."""
        matches = filter(None, map(_COMPARISON.fullmatch, _split(expression, " and ")))
        given: dict[str, str] = {match[1]: match[3] for match in matches}
        asked = {name: text.strip("'").replace("''", "'") for name, text in given.items()}
        unit = asked.get("unitOfMeasureCode", "PCS")
        item_row = next((row for row in self.tables[f"{API}/items"] if row["number"] == asked["itemNumber"]), None)
        buyers = {row["number"] for row in self.tables[f"{API}/customers"]}
        if item_row is None or asked["customerNumber"] not in buyers or unit != "PCS":
            return []
        quantity = float(asked["quantity"])
        steps = [{"minimumQuantity": 1, "unitPrice": 10.5}, {"minimumQuantity": 100, "unitPrice": 9.25}]
        return [
            {
                **asked,
                "unitOfMeasureCode": unit,
                "quantity": quantity,
                "unitPrice": 9.25 if quantity >= 100 else 10.5,
                "currencyCode": "USD",
                "priceListCode": "S00001",
                "startingDate": "2026-01-01",
                "endingDate": "0001-01-01",
                "contractPriceBreaks": steps[::-1],
            }
        ]

    # Writes

    def _created(self, order: dict[str, Any]) -> dict[str, Any]:
        customers = {row["number"]: row for row in self.tables[f"{API}/customers"]}
        items = {row["number"] for row in self.tables[f"{API}/items"]}
        if order["customerNumber"] not in customers:
            raise Refused("Internal_RecordNotFound", f"The customer {order['customerNumber']} does not exist.")
        for line in order["salesOrderLines"]:
            if line["lineType"] == "Item" and line["lineObjectNumber"] not in items:
                raise Refused("Application_DialogException", f"The item {line['lineObjectNumber']} does not exist.")
            if not isinstance(line.get("quantity", 0), (int, float)) or not isinstance(
                line.get("unitPrice", 0), (int, float)
            ):
                raise Refused("BadRequest", "Cannot convert the literal to the expected type 'Edm.Decimal'.")
        table = self.tables[f"{API}/salesOrders"]
        number = f"S-ORD{len(table) + 1:04}"
        row = sales_order(number, order["customerNumber"], order["externalDocumentNumber"], ordered="2026-11-30")
        row["salesOrderLines"] = order["salesOrderLines"]
        row["currencyCode"] = order.get("currencyCode", "USD")
        table.append(row)
        return {name: row[name] for name in ("id", "number", "externalDocumentNumber", "status")}

    def _deleted(self, name: str, headers: dict[str, str]) -> tuple[int, Any]:
        if headers.get("if-match") != "*":
            raise Refused("BadRequest", "If-Match is missing", 428)
        table = self.tables[f"{API}/salesOrders"]
        row = next((one for one in table if name == f"salesOrders({one['id']})"), None)
        if row is None:
            raise Refused("BadRequest_ResourceNotFound", "not found", 404)
        if any(line.get("shippedQuantity") for line in row["salesOrderLines"]):
            raise Refused("Application_DialogException", "You cannot delete the order, a quantity was shipped.")
        table.remove(row)
        return 204, None


def _known(names: set[str], fields: set[str]) -> None:
    if surplus := names - fields:
        raise Refused("BadRequest", f"Could not find a property named '{min(surplus)}'")


def _split(text: str, separator: str) -> list[str]:
    """The parts of an expression between separators outside texts and parentheses."""
    parts, start, depth, quoted = [], 0, 0, False
    for place, letter in enumerate(text):
        quoted = quoted != (letter == "'")
        depth += 0 if quoted else (letter == "(") - (letter == ")")
        if not quoted and not depth and text.startswith(separator, place):
            parts.append(text[start:place])
            start = place + len(separator)
    return [part for part in (*parts, text[start:]) if part]


def _fits(row: dict[str, Any], expression: str, fields: set[str]) -> bool:
    parts = [part[1:-1] if part.startswith("(") else part for part in _split(expression, " and ")]
    return all(_fits_any(row, _split(part, " or "), fields) for part in parts)


def _fits_any(row: dict[str, Any], comparisons: list[str], fields: set[str]) -> bool:
    matches = [_COMPARISON.fullmatch(one) for one in comparisons]
    if None in matches:
        raise Refused("BadRequest", f"Syntax error in '{comparisons}'")
    compared = [match.groups() for match in matches if match is not None]
    _known({name for name, _, _ in compared}, fields)
    if len({name for name, _, _ in compared}) > 1:
        raise Refused("BadRequest", "An OR over different fields is not supported")
    return any(_compare(row[name], operator, _value(name, text)) for name, operator, text in compared)


def _value(name: str, text: str) -> Any:
    if name == "id":
        return str(UUID(text))
    if name in {"fullyShipped", "open", "blocked"} and text in {"true", "false"}:
        return text == "true"
    if name.endswith("DateTime"):
        return datetime.fromisoformat(text)
    if not (text.startswith("'") and text.endswith("'")):
        raise Refused("BadRequest", f"'{text}' is no text")
    return text[1:-1].replace("''", "'")


def _compare(own: Any, operator: str, value: Any) -> bool:
    own = datetime.fromisoformat(own) if isinstance(value, datetime) else own
    own = own.replace("_x0020_", " ") if isinstance(own, str) else own
    return own == value if operator == "eq" else own > value


def _shown(row: dict[str, Any], query: dict[str, str], fields: set[str]) -> dict[str, Any]:
    selected = query.get("$select", "").split(",")
    _known(set(selected), fields)
    shown = {"@odata.etag": 'W/"1"', **{name: row[name] for name in selected}}
    if "$expand" in query:
        match = re.fullmatch(r"(\w+)\(\$select=([\w,]+)\)", query["$expand"])
        if match is None or match[1] not in LINES or match[1] not in row:
            raise Refused("BadRequest", f"cannot expand {query['$expand']}")
        inner = match[2].split(",")
        _known(set(inner), set(LINES[match[1]].split()))
        nested = row[match[1]]
        pick = lambda one: {name: one[name] for name in inner if name in one}  # noqa: E731
        shown[match[1]] = [pick(one) for one in nested] if isinstance(nested, list) else pick(nested)
    return shown


# Rows

NO_ADDRESS = {
    f"{prefix}{name}": "" for prefix in ("billTo", "shipTo", "sellTo") for name in ["Name", *_ADDRESS.split()]
}


def guid(kind: int, number: int) -> str:
    return str(UUID(int=(kind << 96) + number))


def customer(number: int, **values: Any) -> dict[str, Any]:
    key = guid(1, number)
    return {
        "id": key,
        "number": f"C{number:05}",
        "displayName": f"Customer {number}",
        "type": "Company",
        "addressLine1": f"{number} Main St",
        "addressLine2": "",
        "city": "Atlanta",
        "state": "GA",
        "country": "US",
        "postalCode": "31772",
        "phoneNumber": "",
        "email": "",
        "salespersonCode": "OF",
        "balanceDue": 0,
        "creditLimit": 0,
        "taxLiable": True,
        "taxRegistrationNumber": "",
        "currencyCode": "USD",
        "blocked": "_x0020_",
        "lastModifiedDateTime": f"2026-10-0{number}T10:00:00.{number}Z",
        "customerFinancialDetail": {"id": key, "number": f"C{number:05}", "balance": 0, "overdueAmount": 0},
    } | values


def item(number: int, **values: Any) -> dict[str, Any]:
    return {
        "id": guid(2, number),
        "number": f"1{number:03}",
        "displayName": f"Item {number}",
        "type": "Inventory",
        "itemCategoryCode": "CHAIR",
        "blocked": False,
        "gtin": f"400000000000{number}",
        "inventory": 0,
        "unitPrice": 10.5,
        "unitCost": 7.25,
        "baseUnitOfMeasureCode": "PCS",
        "lastModifiedDateTime": f"2026-10-1{number}T10:00:00Z",
    } | values


def sales_order(number: str, buyer: str, external: str, *, ordered: str, **values: Any) -> dict[str, Any]:
    place = int(re.sub(r"\D", "", number))
    return (
        NO_ADDRESS
        | {
            "id": guid(3, place),
            "number": number,
            "externalDocumentNumber": external,
            "customerNumber": buyer,
            "customerName": buyer,
            "currencyCode": "USD",
            "orderDate": ordered,
            "postingDate": ordered,
            "partialShipping": True,
            "requestedDeliveryDate": "0001-01-01",
            "discountAmount": 0,
            "totalAmountExcludingTax": 100.1,
            "totalTaxAmount": 7.01,
            "totalAmountIncludingTax": 107.11,
            "fullyShipped": False,
            "status": "Open",
            "lastModifiedDateTime": f"{ordered}T12:00:00Z",
            "salesOrderLines": [],
        }
        | values
    )


def order_line(place: int, sku: str, quantity: float, **values: Any) -> dict[str, Any]:
    return {
        "id": guid(4, place),
        "sequence": place * 10000,
        "lineType": "Item",
        "lineObjectNumber": sku,
        "description": f"Item {sku}",
        "unitOfMeasureCode": "PCS",
        "quantity": quantity,
        "unitPrice": 10.5,
        "netAmount": 21.0,
        "shipmentDate": "2026-12-04",
        "shippedQuantity": 0,
        "invoicedQuantity": 0,
    } | values


@asynccontextmanager
async def business_central(tables: dict[str, list[dict[str, Any]]]) -> AsyncIterator[BusinessCentral]:
    """Serve a company with these tables, and a token endpoint."""
    async with token_endpoint() as endpoint:
        running = BusinessCentral(endpoint, tables)
        methods = ["GET", "POST", "DELETE"]
        async with serve(Starlette(routes=[Route("/{path:path}", running.handle, methods=methods)])) as running.url:
            yield running


LOGIN_PAGE = HTMLResponse("<html><title>Sign in to your account</title>password=hunter2</html>")
