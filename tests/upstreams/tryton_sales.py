"""A stand-in for Tryton's sales: creates, quotes, confirms and cancels them, behind a proxy that spoils answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import JSONResponse, Response

from tests.upstreams.proxy import Proxy, proxy
from tests.upstreams.tryton import Read, Tryton, on, tryton_upstream

PARTIES = {
    "CUST-1": {"id": 11, "customer_tax_rule": None, "sale_price_list": 3, "addresses": [{"id": 41}, {"id": 42}]},
    "CUST-2": {"id": 12, "customer_tax_rule": 9, "sale_price_list": None, "addresses": [{"id": 43}]},
}
PRODUCTS = [
    {"id": 1, "code": "SKU-1", "default_uom": 1, "account_category": {"id": 2, "customer_taxes_used": [5]}},
    {"id": 2, "code": "SKU-2", "default_uom": 1, "account_category": None},
]
CURRENCIES = [{"id": 1, "code": "USD"}, {"id": 2, "code": "EUR"}]
PRESSED = {
    ("quote", "draft"): "quotation", ("confirm", "quotation"): "processing", ("draft", "confirmed"): "draft",
    ("cancel", "draft"): "cancelled", ("cancel", "quotation"): "cancelled", ("draft", "quotation"): "draft",
}  # fmt: skip
"""The state after a button, by the state before it."""


@dataclass
class Sales:
    """Tryton's sales, and the proxy before it. `refusals` are errors of Tryton's by method, `spoiled` are faults of the
    proxy by method: once each, after Tryton has done what it was called for."""

    tryton: Tryton
    proxy: Proxy
    sales: dict[int, dict[str, Any]] = field(default_factory=dict)
    refusals: dict[str, list[Any]] = field(default_factory=dict)
    spoiled: dict[str, str] = field(default_factory=dict)
    header: dict[str, Any] = field(
        default_factory=lambda: {
            "party": 11, "party.": {"rec_name": "Company 1"}, "invoice_address": 41, "shipment_address": 42,
            "payment_term": 7, "price_list": 3, "currency": 1, "currency.": {"rec_name": "US Dollar"},
            "invoice_method": "order", "shipment_method": "order", "shipment_party": None, "warehouse": None,
        }
    )  # fmt: skip
    confirmed_warnings: list[str] = field(default_factory=list)
    changed_lines: list[dict[str, Any]] = field(default_factory=list)
    before: Callable[[str], None] = lambda _: None
    expire: dict[str, Any] | None = None
    """The end of the validity of all sales that have one."""
    _changes: int = 0

    @property
    def called(self) -> list[str]:
        """The methods that were called, models left out."""
        return [method.removeprefix("model.").removeprefix("sale.sale.") for method in self.tryton.called]

    def states(self, key: str) -> list[str]:
        """The states of the sales of a key."""
        return [sale["state"] for sale in self.sales.values() if sale["description"] == key]

    # What Tryton answers

    def call(self, method: str, params: list[Any]) -> Response:
        name = method.removeprefix("model.").removeprefix("sale.sale.")
        self.proxy.fault = self.spoiled.pop(name, None)
        self.before(name)
        if refusal := self._refusal(name):
            return JSONResponse({"id": 1, "error": refusal})
        return JSONResponse({"id": 1, "result": self._result(name, params)})

    def _refusal(self, name: str) -> list[Any] | None:
        refusal = self.refusals.get(name)
        if refusal is None or (refusal[0] == "UserWarning" and refusal[1][0] in self.confirmed_warnings):
            return None
        return refusal

    def _result(self, name: str, params: list[Any]) -> Any:
        if name == "on_change":
            return self.header
        if name == "sale.line.on_change":
            self.changed_lines.append(params[0])
            price = {"__class__": "Decimal", "decimal": "9.5000"}
            return {"unit_price": price, "taxes": {"add": [[0, {"id": 6}]]}}
        if name == "res.user.warning.skip":
            self.confirmed_warnings.append(params[0])
            return None
        if name == "create":
            id = 301 + len(self.sales)
            self.sales[id] = {**params[0][0], "id": id, "state": "draft", "number": None, "quotation_date": None}
            self._touch(self.sales[id])
            return [id]
        sale = self.sales[params[0][0]]
        self._touch(sale)
        if name == "write":
            sale |= params[1]
            return None
        sale["state"] = PRESSED[name, sale["state"]]
        if name == "quote":
            sale["number"] = str(sale["id"] - 30)
            sale["quotation_date"] = on(2026, 11, 21)
        return None

    def _touch(self, sale: dict[str, Any]) -> None:
        """A change a second, on one day."""
        self._changes += 1
        minute, second = divmod(self._changes, 60)
        sale["write_date"] = {**on(2026, 11, 21), "__class__": "datetime", "minute": minute, "second": second}

    def rows(self, read: Read) -> list[dict[str, Any]]:
        self.proxy.fault = self.spoiled.pop("read", None)
        return [self._row(sale, read.fields) for sale in self.sales.values() if self._fits(sale, read.domain)]

    def _row(self, sale: dict[str, Any], fields: tuple[str, ...]) -> dict[str, Any]:
        row = {name: sale.get(name) for name in ("id", *fields) if "." not in name}
        if "party.code" in fields:
            row["party"] = {"id": sale["party"], "code": self._customer(sale)}
        if "lines.id" in fields:
            row["lines"] = [{"id": 10 * sale["id"] + n} for n, _ in enumerate(sale["lines"][-1][1])]
        if "quotation_expire" in fields and sale["quotation_validity"] is not None:
            row["quotation_expire"] = self.expire
        return row

    def _customer(self, sale: dict[str, Any]) -> str:
        return next(code for code, party in PARTIES.items() if party["id"] == sale["party"])

    def _fits(self, sale: dict[str, Any], domain: list[Any]) -> bool:
        if domain and domain[0] == "OR":
            return any(self._fits(sale, clause) for clause in domain[1:])
        if not domain or not isinstance(domain[0], str):
            return all(self._fits(sale, clause) for clause in domain)
        field, operator, value = domain
        held = self._customer(sale) if field == "party.code" else sale.get(field, 1)
        if operator == "like":
            return value.strip("%") in (held or "")
        return {"in": lambda: held in value, "=": lambda: held == value, "!=": lambda: held != value}[operator]()

    def parties(self, read: Read) -> list[dict[str, Any]]:
        self.proxy.fault = self.spoiled.pop("parties", None)
        found = PARTIES.get(read.domain[0][2])
        return [] if found is None else [found]


@asynccontextmanager
async def sales_upstream() -> AsyncIterator[Sales]:
    """Tryton with customers, products and no sale; `sales.proxy.url` is its address."""
    rows = {"product__product": PRODUCTS, "currency__currency": CURRENCIES}
    async with tryton_upstream(**rows) as tryton, proxy(tryton.url) as before:
        sales = Sales(tryton, before)
        tryton.rpc = sales.call
        tryton.rows |= {"sale.sale": sales.rows, "party.party": sales.parties}
        yield sales


def user_error(message: str) -> list[Any]:
    """A refusal by a rule, as Tryton words it."""
    return ["UserError", [message, "", None]]


def user_warning(name: str) -> list[Any]:
    """A warning about records."""
    digest = "72359930d83c1f2418fa7e04ba48fa39"
    return ["UserWarning", [f"{digest}.{name}", "The party will exceed their limit.", ""]]
