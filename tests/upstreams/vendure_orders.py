"""A stand-in for Vendure's draft orders: makes, labels, fills, places, cancels and deletes them, behind a proxy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.support.vendor_traffic import VendorTraffic
from tests.upstreams.graphql import GraphQLUpstream, fault, graphql_upstream
from tests.upstreams.proxy import Proxy, proxy

ADDRESSES = [
    {"id": "18", "fullName": "Buyer", "company": "Company 1", "streetLine1": "12 Main St", "streetLine2": "",
     "city": "Denver", "province": "CO", "postalCode": "80202", "phoneNumber": "", "country": {"code": "US"},
     "defaultShippingAddress": True, "defaultBillingAddress": True},
    {"id": "19", "streetLine1": "12 Depot Rd", "country": {"code": "US"}, "defaultShippingAddress": False},
]  # fmt: skip
CUSTOMERS = {"CUST-1": {"id": "12", "addresses": ADDRESSES}, "CUST-2": {"id": "13", "addresses": []}}
VARIANTS = {
    f"SKU-{number}": {"id": str(number), "sku": f"SKU-{number}", "currencyCode": "USD"} for number in range(1, 61)
}
LIST_PRICE = 900


@dataclass
class Draft:
    """An order as the stand-in has it."""

    id: str
    code: str
    state: str = "Draft"
    key: str | None = None
    po: str | None = None
    customer: str | None = None
    ship_to: str | None = None
    note: str | None = None
    method: str | None = None
    lines: list[tuple[str, int, int]] = field(default_factory=list)
    fulfillments: list[dict[str, str]] = field(default_factory=list)


@dataclass
class Shop:
    """Vendure's orders, and the proxy before it. `refusals` are error codes by alias, `failures` codes of errors by
    operation, `spoiled` faults of the proxy by operation: once each, after Vendure has done what it was asked."""

    proxy: Proxy
    upstream: GraphQLUpstream
    orders: dict[str, Draft] = field(default_factory=dict)
    refusals: dict[str, str] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    spoiled: dict[str, str] = field(default_factory=dict)
    methods: list[str] = field(default_factory=lambda: ["ground", "freight"])
    takes_quoted_prices: bool = True
    unique_keys: bool = True
    made: int = 0

    @property
    def called(self) -> list[str]:
        """The operations, log-ins left out."""
        return [name for name, _ in self.upstream.asked if name != "Login"]

    def states(self, key: str) -> list[str]:
        """The states of the orders of a key."""
        return [one.state for one in self.orders.values() if one.key == key]

    # What Vendure answers

    def answer(self, name: str, variables: dict[str, Any], _: Request) -> dict[str, Any]:
        self.proxy.fault = self.spoiled.pop(name, None)
        if code := self.failures.pop(name, None):
            return fault(code)
        try:
            return {"data": OPERATIONS[name](self, variables)}
        except KeyTaken:  # As SQLite words it: without a code.
            error = {"message": "SqliteError: UNIQUE constraint failed: order.customFieldsIntakekey", "path": ["key"]}
            return {"errors": [error], "data": None}

    def order_content(self, variables: dict[str, Any]) -> dict[str, Any]:
        customer = CUSTOMERS.get(variables["customer"])
        variants = [VARIANTS[sku] for sku in variables["skus"] if sku in VARIANTS]
        return {"customers": {"items": [customer] if customer else []}, "productVariants": {"items": variants}}

    def create_order(self, _: dict[str, Any]) -> dict[str, Any]:
        self.made += 1
        draft = Draft(str(100 + self.made), f"SO-{100100 + self.made}")
        self.orders[draft.id] = draft
        return {"order": {"id": draft.id, "code": draft.code}}

    def fill_order(self, variables: dict[str, Any]) -> dict[str, Any]:
        order = self.orders[variables["id"]]
        if "key" in variables:
            fields = variables["key"]["customFields"]
            others = [one for one in self.orders.values() if one is not order]
            if self.unique_keys and any(one.key == fields["intakeKey"] for one in others):
                raise KeyTaken
            order.key, order.po = fields["intakeKey"], fields["poNumber"]
            order.customer, order.ship_to = variables["customer"], variables["shipTo"]["streetLine1"]
            order.note = variables.get("note", {}).get("note")
        results: dict[str, Any] = {}
        for name, value in variables.items():
            results[name] = self._result(name)
            if name.startswith("line") and name not in self.refusals:
                quoted = value.get("customFields", {}).get("quotedUnitPrice") if self.takes_quoted_prices else None
                sku = f"SKU-{value['productVariantId']}"
                order.lines.append((sku, value["quantity"], LIST_PRICE if quoted is None else quoted))
        return results

    def check_order(self, variables: dict[str, Any]) -> dict[str, Any]:
        lines = [
            {"quantity": quantity, "proratedUnitPrice": price, "productVariant": {"sku": sku}}
            for sku, quantity, price in self.orders[variables["id"]].lines
        ]
        methods = [{"id": str(number), "code": code} for number, code in enumerate(self.methods, 1)]
        return {"order": {"lines": lines}, "methods": methods}

    def place_order(self, variables: dict[str, Any]) -> dict[str, Any]:
        order = self.orders[variables["id"]]
        order.method = variables["method"]
        if "shipping" not in self.refusals and "arranging" not in self.refusals:
            order.state = "ArrangingPayment"
        return {name: self._result(name) for name in ("shipping", "arranging")} | self.pay_order(variables)

    def pay_order(self, variables: dict[str, Any]) -> dict[str, Any]:
        order = self.orders[variables["payment"]["orderId"]]
        assert variables["payment"]["method"] == "on-account"
        if "paid" not in self.refusals and order.state == "ArrangingPayment":
            order.state = "PaymentSettled"
        return {"paid": self._result("paid")}

    def order_state(self, variables: dict[str, Any]) -> dict[str, Any]:
        order = self.orders.get(variables["id"])
        return {"order": order and {"state": order.state, "fulfillments": order.fulfillments}}

    def orders_by_key(self, variables: dict[str, Any]) -> dict[str, Any]:
        found = [one for one in self.orders.values() if one.key in variables["keys"] and one.state != "Cancelled"]
        items = [
            {"id": one.id, "code": one.code, "state": one.state, "customFields": {"key": one.key}} for one in found
        ]
        return {"orders": {"items": items}}

    def empty_drafts(self, variables: dict[str, Any]) -> dict[str, Any]:
        items = [
            {"id": one.id, "customer": one.customer and {"id": one.customer}, "lines": [{"id": "1"} for _ in one.lines]}
            for one in self.orders.values()
            if one.key is None and one.state == "Draft"
        ]
        return {"orders": {"items": items}}

    def delete_order(self, variables: dict[str, Any]) -> dict[str, Any]:
        assert self.orders.pop(variables["id"]).state == "Draft"
        return {"deleted": {"result": "DELETED"}}

    def clear_key(self, variables: dict[str, Any]) -> dict[str, Any]:
        self.orders[variables["id"]].key = None
        return {"key": {"__typename": "Order"}}

    def cancel_order(self, variables: dict[str, Any]) -> dict[str, Any]:
        if "cancelled" not in self.refusals:
            self.orders[variables["input"]["orderId"]].state = "Cancelled"
        return {"cancelled": self._result("cancelled")}

    def _result(self, name: str) -> dict[str, Any]:
        code = self.refusals.get(name)
        return {"__typename": "Order"} if code is None else {"__typename": "SomeError", "errorCode": code}


class KeyTaken(Exception):
    """Another order has the key."""


OPERATIONS = {
    "OrderContent": Shop.order_content,
    "CreateOrder": Shop.create_order,
    "FillOrder": Shop.fill_order,
    "CheckOrder": Shop.check_order,
    "PlaceOrder": Shop.place_order,
    "PayOrder": Shop.pay_order,
    "OrderState": Shop.order_state,
    "OrdersByKey": Shop.orders_by_key,
    "EmptyDrafts": Shop.empty_drafts,
    "DeleteOrder": Shop.delete_order,
    "ClearKey": Shop.clear_key,
    "CancelOrder": Shop.cancel_order,
}


def _login(variables: dict[str, Any], request: Request) -> Response:
    body = {"data": {"login": {"__typename": "CurrentUser"}}}
    return JSONResponse(body, headers={"vendure-auth-token": "session"})


@asynccontextmanager
async def shop_upstream() -> AsyncIterator[Shop]:
    """Vendure with customers, variants and no order; `shop.proxy.url` is its address."""
    async with graphql_upstream({"Login": _login}, VendorTraffic("vendure")) as upstream, proxy(upstream.url) as before:
        shop = Shop(before, upstream)
        upstream.answers |= {name: partial(shop.answer, name) for name in OPERATIONS}
        yield shop
