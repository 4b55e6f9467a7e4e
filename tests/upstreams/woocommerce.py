"""A small WooCommerce: its REST API v3 as the vendor documents it, with faults.

It refuses pages of more than 100 rows, sorts and statuses that it does not know, and ignores unknown parameters; it
compares SKUs as MySQL does. Times without `_gmt` are those of the shop, five hours behind UTC.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.support.vendor_traffic import VendorTraffic
from tests.upstreams import serve

Row = dict[str, Any]
Fault = Callable[[Request], Response | None]

KEY, SECRET = "ck_0123456789abcdef", "cs_fedcba9876543210"
BASIC = "Basic " + base64.b64encode(f"{KEY}:{SECRET}".encode()).decode()
API = "/wp-json/wc/v3"
LOCAL = timedelta(hours=-5)
LISTED = {"pending", "processing", "on-hold", "completed", "cancelled", "refunded", "failed", "checkout-draft"}
SORTS = {
    "customers": {"id", "include", "name", "registered_date"},
    "products": {"date", "id", "include", "title", "slug", "modified", "price", "popularity", "rating"},
    "variations": {"date", "id", "include", "title", "slug", "modified"},
    "orders": {"date", "id", "include", "title", "slug", "modified"},
}
NO_ADDRESS = dict.fromkeys(
    ("first_name", "last_name", "company", "address_1", "address_2", "city", "state", "postcode", "country"), ""
)


def stamps(name: str, gmt: str | None) -> Row:
    """A time of a row: in the shop's own time, and in UTC, both without an offset."""
    local = (datetime.fromisoformat(gmt) + LOCAL).isoformat() if gmt else None
    return {f"date_{name}": local, f"date_{name}_gmt": gmt}


def meta(**entries: Any) -> list[Row]:
    """The meta data of a row."""
    return [{"id": at, "key": key, "value": value} for at, (key, value) in enumerate(entries.items(), start=1)]


def address(company: str, line: str, city: str = "Dallas", state: str = "TX") -> Row:
    """An address of a company."""
    where = {"address_1": line, "city": city, "state": state, "postcode": "75201", "country": "US", "phone": ""}
    return NO_ADDRESS | {"company": company} | where


def customer(number: int, role: str = "customer", **more: Any) -> Row:
    """A user with two addresses."""
    company = f"Company {number:04}"
    return {
        "id": number,
        **stamps("created", "2026-01-01T12:00:00"),
        **stamps("modified", None),
        "email": f"buyer{number}@example.com",
        "first_name": "Ann",
        "last_name": "Buyer",
        "role": role,
        "username": f"company-{number:04}",
        "billing": address(company, f"{number} Main St") | {"email": f"ap{number}@example.com"},
        "shipping": address(company, f"{number} Dock Rd", "Kent", "WA"),
        "is_paying_customer": True,
        "avatar_url": "https://secure.gravatar.com/avatar/",
        "meta_data": meta(erp_number=f"CUST-{number:04}"),
    } | more


def product(number: int, **more: Any) -> Row:
    """A simple product."""
    return {
        "id": number,
        "parent_id": 0,
        "name": f"Hex bolt M{number}",
        "type": "simple",
        "status": "publish",
        **stamps("created", "2026-01-01T12:00:00"),
        **stamps("modified", f"2026-11-30T12:{number // 60 % 60:02}:{number % 60:02}"),
        "description": "<p>Zinc plated.</p>",
        "short_description": "",
        "sku": f"SKU-{number:04}",
        "global_unique_id": f"400000000{number:04}",
        "price": "9.50",
        "regular_price": "9.50",
        "sale_price": "",
        "manage_stock": True,
        "stock_quantity": number * 10,
        "stock_status": "instock",
        "weight": "",
        "dimensions": {"length": "", "width": "", "height": ""},
        "categories": [{"id": 9, "name": "Nuts &amp; bolts", "slug": "nuts-bolts"}],
        "images": [{"id": 5, "src": f"https://shop.example.com/{number}.png", "name": "", "alt": ""}],
        "attributes": [{"id": 0, "name": "Material", "position": 0, "visible": True, "options": ["Steel", "Brass"]}],
        "variations": [],
        "meta_data": meta(brand="Acme"),
    } | more


def variation(number: int, parent: int, **more: Any) -> Row:
    """A variation; the route of products shows it as it does products."""
    option = [{"id": 0, "name": "Pack", "option": f"{number} pcs"}]
    return product(number, parent_id=parent, type="variation", attributes=option, **more)


def line(id: int, sku: str | None, quantity: Any, total: str, price: Any, **entries: Any) -> Row:
    """A line of an order."""
    return {
        "id": id,
        "name": f"Bolt &#8211; {sku}",
        "product_id": 1,
        "variation_id": 0,
        "quantity": quantity,
        "tax_class": "",
        "subtotal": total,
        "total": total,
        "total_tax": "0.00",
        "sku": sku,
        "price": price,
        "meta_data": meta(**entries),
    }


def order(number: int, buyer: Row | None, lines: list[Row], at: str, **more: Any) -> Row:
    """An order of a customer, or of a guest."""
    return {
        "id": number,
        "parent_id": 0,
        "number": str(number),
        "order_key": f"wc_order_{number}",
        "created_via": "checkout",
        "version": "9.4.0",
        "status": "processing",
        "currency": "USD",
        **stamps("created", at),
        **stamps("modified", at),
        "discount_total": "0.00",
        "shipping_total": "5.00",
        "total": "148.50",
        "total_tax": "1.00",
        "prices_include_tax": False,
        "customer_id": buyer["id"] if buyer else 0,
        "customer_note": "",
        "billing": buyer["billing"] if buyer else NO_ADDRESS,
        "shipping": buyer["shipping"] if buyer else NO_ADDRESS,
        "meta_data": [],
        "line_items": lines,
        "shipping_lines": [],
        "refunds": [],
    } | more


@dataclass
class Shop:
    """The running shop. `fault` may answer in place of it, `after` sees each answered request. `ignores` are parameters
    that it ignores, `lacks` routes that its version lacks; `has_filters` says whether it has our filters by number, and
    `loses_answers` that a proxy in front of it does not bring back what it answers to writes."""

    customers: list[Row] = field(default_factory=list)
    products: list[Row] = field(default_factory=list)
    orders: list[Row] = field(default_factory=list)
    fault: Fault | None = None
    after: Callable[[Request], None] | None = None
    ignores: frozenset[str] = frozenset()
    lacks: frozenset[str] = frozenset()
    has_filters: bool = False
    loses_answers: bool = False
    url: str = ""
    seen: list[str] = field(default_factory=list)
    queries: list[Row] = field(default_factory=list)
    sent: list[Any] = field(default_factory=list)
    traffic: VendorTraffic = field(default_factory=lambda: VendorTraffic("woocommerce"))

    async def handle(self, request: Request) -> Response:
        body = await request.body()
        self.seen.append(f"{request.method} {request.url.path.removeprefix(API)}")
        self.queries.append(dict(request.query_params))
        self.traffic.check(request.method, f"{request.url.path}?{request.url.query}", body)
        answer = self.fault(request) if self.fault is not None else None
        if answer is None:
            answer = self._answer(request, json.loads(body) if body else None)
        if self.loses_answers and request.method != "GET":
            answer = Response("Bad gateway", 502)
        if self.after is not None:
            self.after(request)
        return answer

    def _answer(self, request: Request, body: Any) -> Response:
        if request.headers.get("authorization") != BASIC:
            return refusal(401, "woocommerce_rest_cannot_view", "Sorry, you cannot list resources.")
        name, _, id = request.url.path.removeprefix(f"{API}/").partition("/")
        if name not in SORTS or name in self.lacks:
            return refusal(404, "rest_no_route", "No route was found matching the URL and request method.")
        query = {key: value for key, value in request.query_params.items() if key not in self.ignores}
        if request.method != "GET":
            return self._write(request.method, id, query, body)
        return self._list(name, query)

    def _list(self, name: str, query: Row) -> Response:
        size = int(query.get("per_page", 10))
        registered = name == "customers"
        sort = query.get("orderby", "name" if registered else "date")
        wrong = [key for key, bad in (("per_page", not 1 <= size <= 100), ("orderby", sort not in SORTS[name])) if bad]
        wrong += ["status"] if not {*query.get("status", "pending").split(",")} <= LISTED | {"any"} else []
        if wrong:
            return refusal(400, "rest_invalid_param", f"Invalid parameter(s): {', '.join(wrong)}")
        rows = self._selected(name, query)
        keys = {"date": "date_created_gmt", "modified": "date_modified_gmt"}
        rows.sort(key=lambda row: (row.get(keys.get(sort, "id")) or "", row["id"]))
        if query.get("order", "asc" if registered else "desc") == "desc":
            rows.reverse()
        start = int(query.get("offset", 0))
        page = [_with_fields(row, query) for row in rows[start : start + size]]
        return JSONResponse(page, headers={"x-wp-total": str(len(rows)), "x-wp-totalpages": "1"})

    def _selected(self, name: str, query: Row) -> list[Row]:
        rows = list(getattr(self, "products" if name == "variations" else name))
        if name in ("products", "variations"):
            both = name == "products" and bool(query.keys() & {"sku", "global_unique_id"})
            rows = [row for row in rows if both or (row["type"] == "variation") is (name == "variations")]
        if name == "customers" and query.get("role", "customer") != "all":
            rows = [row for row in rows if row["role"] == query.get("role", "customer")]
        if "include" in query:
            rows = [row for row in rows if str(row["id"]) in query["include"].split(",")]
        for key in ("sku", "global_unique_id"):
            if key in query:
                wanted = {one.casefold() for one in query[key].split(",")}
                rows = [row for row in rows if row[key].casefold() in wanted]
        if "customer" in query:
            rows = [row for row in rows if row["customer_id"] == int(query["customer"])]
        if query.get("status", "any") != "any":
            rows = [row for row in rows if row["status"] in query["status"].split(",")]
        if "search" in query and name == "customers":
            text = query["search"].casefold()
            rows = [row for row in rows if any(text in row[one].casefold() for one in ("username", "email"))]
        if self.has_filters:
            rows = _by_number(rows, query)
        return _by_time(rows, query)

    def _write(self, method: str, id: str, query: Row, body: Any) -> Response:
        self.sent.append(body)
        if method == "POST":
            if not any(row["id"] == body["customer_id"] for row in self.customers):
                return refusal(400, "woocommerce_rest_invalid_customer_id", "Customer ID is invalid.")
            made = order(900 + len(self.orders), None, [], "2026-12-01T12:00:00")
            made |= {name: value for name, value in body.items() if name not in ("line_items", "meta_data")}
            made["meta_data"] = [{"id": at, **one} for at, one in enumerate(body["meta_data"])]
            self.orders.append(made)
            return JSONResponse(_with_fields(made, query), 201)
        row = next((row for row in self.orders if str(row["id"]) == id), None)
        if row is None:
            return refusal(400, "woocommerce_rest_shop_order_invalid_id", "Invalid ID.")
        row["status"] = body["status"]
        row["meta_data"] = [*row["meta_data"], *body["meta_data"]]
        return JSONResponse(_with_fields(row, query))


def refusal(status: int, code: str, message: str) -> Response:
    """An error as WordPress writes it."""
    return JSONResponse({"code": code, "message": message, "data": {"status": status}}, status)


def _with_fields(row: Row, query: Row) -> Row:
    names = query["_fields"].split(",") if "_fields" in query else list(row)
    return {name: row[name] for name in names if name in row}


def _by_number(rows: list[Row], query: Row) -> list[Row]:
    """What the filter of docs/woocommerce.md does."""
    for name, number_of in (
        ("tradegraph_numbers", lambda row: {one["value"] for one in row["meta_data"] if one["key"] == "erp_number"}),
        ("tradegraph_usernames", lambda row: {row["username"]}),
    ):
        if name in query:
            rows = [row for row in rows if number_of(row) & {*query[name].split(",")}]
    return rows


def _by_time(rows: list[Row], query: Row) -> list[Row]:
    suffix = "_gmt" if query.get("dates_are_gmt") == "true" else ""
    for limit, name in (("after", "created"), ("before", "created"), ("modified_after", "modified")):
        if limit in query:
            later = limit != "before"
            key = f"date_{name}{suffix}"
            rows = [row for row in rows if row[key] and row[key] != query[limit] and (row[key] > query[limit]) is later]
    return rows


def stocked_shop() -> Shop:
    """A shop with the customers, products and orders that the tests know."""
    customers = [customer(number) for number in (1, 2, 3, 4)]
    customers[3] |= {"shipping": NO_ADDRESS}
    products = [product(number) for number in range(1, 8)]
    products[0] |= {"weight": "1.5", "dimensions": {"length": "2", "width": "1", "height": "1"}}
    products.append(product(20, type="variable", sku="BOLT", manage_stock=False, stock_quantity=None))
    products += [variation(21, 20), variation(22, 20, manage_stock="parent", stock_quantity=7)]
    products.append(product(23, manage_stock=False, stock_quantity=None))
    bolts = [
        line(11, "SKU-0001", 12, "114.00", 9.5, line_number="20"),
        line(12, "SKU-0021", 3, "28.50", 9.5, line_number="10"),
    ]
    pieces = [line(15, "SKU-0002", 3, "10.00", 3.3333333333333335), line(14, None, 1, "5.00", 5)]
    orders = [
        order(101, customers[0], bolts, "2026-03-02T14:00:00", meta_data=meta(po_number="PO-1001")),
        order(102, customers[0], [line(13, "SKU-0003", 1, "9.50", 9.5)], "2026-03-03T14:00:00", status="cancelled"),
        order(103, customers[0], pieces, "2026-03-04T03:30:00", status="completed"),
        order(104, customers[1], [line(16, "SKU-0001", 2, "19.00", 9.5)], "2026-03-05T14:00:00", status="on-hold"),
        order(105, customers[0], [line(17, "SKU-0001", 2, "19.00", 9.5)], "2026-03-06T14:00:00"),
        order(106, None, [line(18, "SKU-0001", 2, "19.00", 9.5)], "2026-03-07T14:00:00", status="pending"),
    ]
    orders[0]["meta_data"] += [
        {"id": 90, "key": "is_fulfilled", "value": "1"},
        {"id": 91, "key": "tracking_number", "value": "1ZSHOP000101"},
        {"id": 92, "key": "tracking_carrier", "value": "UPS"},
    ]
    orders[2]["refunds"] = [
        {"id": 202, "reason": "", "total": "-1.50"},
        {"id": 201, "reason": "damaged", "total": "-5.00"},
    ]
    return Shop(customers=customers, products=products, orders=orders)


@asynccontextmanager
async def serve_woocommerce() -> AsyncIterator[Shop]:
    """The shop on a port of its own."""
    shop = stocked_shop()
    methods = ["GET", "POST", "PUT"]
    async with serve(Starlette(routes=[Route("/{path:path}", shop.handle, methods=methods)])) as shop.url:
        yield shop
