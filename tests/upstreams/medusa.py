"""A small Medusa: variants, orders and drafts, and the routes of the project, with faults.

Rows have the fields that are asked for, as Medusa 2.17.2 answers them; unknown filters are ignored, as it does.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.support.vendor_traffic import VendorTraffic
from tests.upstreams import serve

Row = dict[str, Any]
Fault = Callable[[Request], Response | None]

ADDRESS = {
    "company": "Company 0001",
    "first_name": None,
    "last_name": None,
    "address_1": "1 Main St",
    "address_2": None,
    "city": "Dallas",
    "province": "TX",
    "postal_code": "75201",
    "country_code": "us",
}


def customer(number: int) -> Row:
    """A customer with one address."""
    book = ADDRESS | {"id": f"cuaddr_{number}", "address_name": "Main", "is_default_shipping": True}
    return {
        "id": f"cus_{number}",
        "email": f"buyer{number}@example.com",
        "company_name": f"Company {number:04}",
        "first_name": None,
        "last_name": None,
        "metadata": {"erp_number": f"CUST-{number:04}"},
        "updated_at": f"2026-11-30T12:00:{number:02}.000Z",
        "addresses": [book | {"is_default_billing": True}],
        "groups": [],
    }


def variant(number: int, at: str = "2026-11-30T12:00:00.000Z") -> Row:
    """A variant."""
    return {
        "id": f"variant_{number}",
        "title": f"Bolt {number}",
        "sku": f"SKU-{number:04}",
        "ean": None,
        "upc": None,
        "barcode": None,
        "weight": None,
        "metadata": None,
        "updated_at": at,
        "product": {"title": "Bolt", "status": "published", "description": None, "thumbnail": None, "type": None},
        "options": [],
    }


@dataclass
class Medusa:
    """The running server. `fault` may answer in place of it; `after` sees each answered request."""

    customers: list[Row] = field(default_factory=lambda: [customer(1), customer(2)])
    variants: list[Row] = field(default_factory=lambda: [variant(number) for number in (1, 2, 3)])
    orders: list[Row] = field(default_factory=list)
    fault: Fault | None = None
    after: Callable[[Request], None] | None = None
    has_routes: bool = True
    ignores: tuple[str, ...] = ()
    url: str = ""
    seen: list[str] = field(default_factory=list)
    sent: list[Any] = field(default_factory=list)
    traffic: VendorTraffic = field(default_factory=lambda: VendorTraffic("medusa"))

    async def handle(self, request: Request) -> Response:
        body = await request.body()
        path = request.url.path
        self.seen.append(f"{request.method} {path}")
        content = json.loads(body) if body else None
        declared = json.dumps(_without_metadata(content)).encode() if body else b""
        self.traffic.check(request.method, f"{path}?{request.url.query}", declared)
        answer = self.fault(request) if self.fault is not None else None
        if answer is None:
            answer = self._answer(request, parse_qsl(request.url.query), content)
        if self.after is not None:
            self.after(request)
        return answer

    def _answer(self, request: Request, query: list[tuple[str, str]], body: Any) -> Response:
        path = request.url.path
        if path in ("/admin/lookup", "/admin/calculated-prices") and not self.has_routes:
            return Response("Cannot GET", 404, media_type="text/html")
        if path == "/admin/lookup":
            return JSONResponse(self._lookup(dict(query), [value for name, value in query if name == "value[]"]))
        if path.startswith("/admin/draft-orders") or path.endswith("/cancel"):
            return self._write(request.method, path, body)
        lists = {"/admin/product-variants": "variants", "/admin/customers": "customers"}
        return JSONResponse(self._list(lists[path], query) if path in lists else {"stores": [], "count": 0})

    def _list(self, name: str, query: list[tuple[str, str]]) -> Row:
        rows: list[Row] = getattr(self, name)
        given = dict(query)
        for key in ("id", "sku"):
            values = [value for one, value in query if one == f"{key}[]"]
            if values and key not in self.ignores:
                rows = [row for row in rows if row[key] in values]
        if "updated_at[$gte]" in given and "updated_at" not in self.ignores:
            rows = [row for row in rows if row["updated_at"] >= given["updated_at[$gte]"]]
        if "order" in given:
            rows = sorted(rows, key=lambda row: row[given["order"]])
        start = int(given.get("offset", 0))
        return {name: rows[start : start + int(given["limit"])], "count": len(rows)}

    def _lookup(self, query: Row, values: list[str]) -> Row:
        if query["entity"] == "customer":
            found = [(row["metadata"]["erp_number"], row) for row in self.customers]
            rows = [{"value": value, "customer": row, **_found(row)} for value, row in found if value in values]
            return {"rows": rows, "totals": {"": len(rows)}}
        key = query["field"].removeprefix("metadata.")
        found = [(row["metadata"].get(key), row) for row in self.orders]
        rows = [{"value": value, **_found(row)} for value, row in found if value in values]
        return {"rows": rows, "totals": {"": len(rows)}}

    def _write(self, method: str, path: str, body: Any) -> Response:
        self.sent.append(body)
        if path == "/admin/draft-orders":
            number = 41 + len(self.orders)
            made = {"id": f"order_{number}", "display_id": number, "custom_display_id": None, "status": "draft"}
            self.orders.append(made | {"metadata": body["metadata"]})
            return JSONResponse({"draft_order": made})
        order = next((one for one in self.orders if one["id"] == path.split("/")[3]), None)
        if order is None:
            return JSONResponse({"type": "not_found", "message": "Order was not found"}, 404)
        if method == "DELETE":
            self.orders.remove(order)
        else:
            order["status"] = "canceled" if path.endswith("/cancel") else "pending"
        return JSONResponse({"order": {"id": order["id"]}})


def _without_metadata(value: Any) -> Any:
    """A body as it is declared: the keys of metadata are the configuration's."""
    if isinstance(value, list):
        return [_without_metadata(one) for one in value]
    if isinstance(value, dict):
        return {name: "" if name == "metadata" else _without_metadata(one) for name, one in value.items()}
    return value


def _found(row: Row) -> Row:
    number = str(row["display_id"]) if "display_id" in row else None
    status = row.get("status")
    return {"id": row["id"], "number": number, "status": status, "draft": status == "draft"}


@asynccontextmanager
async def serve_medusa() -> AsyncIterator[Medusa]:
    """The server on a port of its own."""
    medusa = Medusa()
    methods = ["GET", "POST", "DELETE"]
    async with serve(Starlette(routes=[Route("/{path:path}", medusa.handle, methods=methods)])) as medusa.url:
        yield medusa
