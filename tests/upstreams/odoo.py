"""Odoo 11 as its models are: `/jsonrpc` with `execute_kw`, and `/json/2`, over typed records, with faults.

Models, fields and types are those of Odoo 11 Community, written down by hand; no code or data of Odoo's is part of it.
Unknown models, fields and methods are refused. Errors come with HTTP 200 and a traceback that holds a secret.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
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

NOW = datetime.fromisoformat("2026-11-30 12:00")
DATABASE, LOGIN, PASSWORD, UID, API_KEY = "odoo11", "gateway", "s3cr3t", 7, "k3y"

_MANY2ONE = {
    "partner": "res.partner",
    "product": "product.product",
    "company": "res.company",
    "location": "stock.location",
    "uom": "product.uom",
    "order": "sale.order",
    "picking": "stock.picking",
    "invoice": "account.invoice",
    "pricelist": "product.pricelist",
    "warehouse": "stock.warehouse",
    "currency": "res.currency",
    "line": "sale.order.line",
    "country": "res.country",
    "state": "res.country.state",
}
"""The models of relations below."""

FIELDS: dict[str, str] = {
    "res.currency": "name:char",
    "res.company": "name:char currency_id:currency",
    "res.country": "name:char code:char",
    "res.country.state": "name:char code:char",
    "res.users": "name:char",
    "account.payment.term": "name:char",
    "product.category": "name:char",
    "delivery.carrier": "name:char",
    "stock.picking.type": "name:char code:char",
    "product.uom": "name:char factor:float factor_inv:float uom_type:char active:boolean category_id:res.users",
    "stock.warehouse": "name:char code:char view_location_id:location",
    "stock.location": "name:char location_id:location usage:char active:boolean",
    "res.partner": "name:char ref:char parent_id:partner commercial_partner_id:partner active:boolean type:char "
    "street:char street2:char city:char zip:char state_id:state country_id:country user_id:res.users vat:char "
    "property_payment_term_id:account.payment.term property_product_pricelist:pricelist sale_warn:char "
    "credit_limit:float credit:float is_company:boolean function:char phone:char mobile:char email:char "
    "child_ids:*res.partner.parent_id write_date:datetime x_route:char x_visits:integer x_team:product.category",
    "product.template": "name:char default_code:char active:boolean write_date:datetime "
    "product_variant_ids:*product.product.product_tmpl_id",
    "product.product": "name:char default_code:char active:boolean sale_ok:boolean barcode:char uom_id:uom "
    "categ_id:product.category description_sale:char weight:float standard_price:float price:float "
    "product_tmpl_id:product.template write_date:datetime x_shelf_life:float x_fragile:boolean x_since:char",
    "product.pricelist": "name:char currency_id:currency",
    "product.pricelist.item": "pricelist_id:pricelist min_quantity:integer base:char product_id:product "
    "product_tmpl_id:product.template fixed_price:float",
    "stock.quant": "product_id:product location_id:location quantity:float reserved_quantity:float write_date:datetime",
    "stock.move": "product_id:product state:char location_id:location location_dest_id:location date:datetime "
    "date_expected:datetime product_qty:float product_uom:uom product_uom_qty:float reserved_availability:float "
    "quantity_done:float sale_line_id:line origin:char picking_id:picking write_date:datetime",
    "sale.order": "name:char state:char client_order_ref:char origin:char partner_id:partner "
    "partner_invoice_id:partner partner_shipping_id:partner date_order:datetime write_date:datetime "
    "warehouse_id:warehouse payment_term_id:account.payment.term pricelist_id:pricelist currency_id:currency "
    "amount_untaxed:float amount_tax:float amount_total:float picking_policy:char note:char "
    "order_line:*sale.order.line.order_id picking_ids:*stock.picking.sale_id x_slot:datetime x_docks:+stock.location",
    "sale.order.line": "order_id:order order_partner_id:partner sequence:integer product_id:product name:char "
    "product_uom:uom product_uom_qty:float qty_delivered:float qty_invoiced:float price_unit:float discount:float "
    "price_reduce_taxexcl:float price_subtotal:float",
    "stock.picking": "name:char state:char sale_id:order location_id:location carrier_id:delivery.carrier "
    "carrier_tracking_ref:char scheduled_date:datetime date_done:datetime picking_type_id:stock.picking.type "
    "write_date:datetime",
    "account.invoice": "number:char type:char state:char partner_id:partner date_invoice:date date_due:date "
    "currency_id:currency amount_untaxed:float amount_tax:float amount_total:float residual:float "
    "invoice_line_ids:*account.invoice.line.invoice_id write_date:datetime",
    "account.invoice.line": "invoice_id:invoice product_id:product name:char quantity:float uom_id:uom "
    "price_unit:float price_subtotal:float sale_line_ids:+sale.order.line",
}
"""The fields of the models: a type; a relation, to one record; `*` to many by their field, `+` to many by ids."""

KINDS = {model: dict(one.split(":") for one in fields.split()) for model, fields in FIELDS.items()}
WRITES = {"sale.order": {"action_confirm": "sale", "action_cancel": "cancel"}}

Fault = Callable[[str, str], Response | None]


class OdooFault(Exception):
    """An error of Odoo's; `name` is its class."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name

    def data(self) -> dict[str, Any]:
        return {"name": self.name, "message": f"{self}\nNone", "arguments": [str(self)], "debug": "password=hunter2"}


def _related(kind: str) -> str | None:
    name = _MANY2ONE.get(kind, kind)
    return name if name in KINDS else None


@dataclass
class Odoo:
    """The running database. `fault` may answer a call of a model's method in place of it."""

    tables: dict[str, list[dict[str, Any]]]
    url: str = ""
    fault: Fault | None = None
    version: int = 11
    logins: int = 0
    seen: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    traffic: VendorTraffic = field(default_factory=lambda: VendorTraffic("odoo"))

    async def jsonrpc(self, request: Request) -> Response:
        params = json.loads(await request.body())["params"]
        try:
            if params["service"] == "common":
                self.logins += 1
                database, login, password, _ = params["args"]
                known = (database, login, password) == (DATABASE, LOGIN, PASSWORD)
                return JSONResponse({"jsonrpc": "2.0", "id": 1, "result": UID if known else False})
            database, uid, password, model, method, args, named = params["args"]
            if (database, uid, password) != (DATABASE, UID, PASSWORD):
                raise OdooFault("odoo.exceptions.AccessDenied", "Access denied")
            if self.fault is not None and (answer := self.fault(model, method)) is not None:
                return answer
            return JSONResponse({"jsonrpc": "2.0", "id": 1, "result": self._call(model, method, args, named)})
        except OdooFault as error:
            failure = {"code": 200, "message": "Odoo Server Error", "data": error.data()}
            return JSONResponse({"jsonrpc": "2.0", "id": 1, "error": failure})

    async def json2(self, request: Request) -> Response:
        model, method = request.path_params["model"], request.path_params["method"]
        named = json.loads(await request.body())
        if request.headers.get("authorization") != f"bearer {API_KEY}":
            return JSONResponse(OdooFault("werkzeug.exceptions.Unauthorized", "Invalid apikey").data(), 401)
        if self.fault is not None and (answer := self.fault(model, method)) is not None:
            return answer
        positional = {"search_count": "domain", "create": "vals_list"}.get(method, "ids")
        args = [named.pop(positional)] if positional in named and method != "search_read" else []
        try:
            return JSONResponse(self._call(model, method, args, named))
        except OdooFault as error:
            return JSONResponse(error.data(), 422)

    def _call(self, model: str, method: str, args: list[Any], named: dict[str, Any]) -> Any:
        self.seen.append((model, method, named | {"args": args}))
        if model not in KINDS:
            raise OdooFault("builtins.KeyError", model)
        domain = args[0] if method == "search_count" else named.get("domain", [])
        self.traffic.check_model_call(
            f"/json/2/{model}/{method}",
            fields=[name for name in named.get("fields", ()) if not name.startswith("x_")],  # A deployment's own.
            filters=[term[0] for term in domain if isinstance(term, list)],
            sorts=[part.split()[0] for part in named.get("order", "").split(",") if part],
            sent=_sent(args[0]) if method == "create" else None,
        )
        if method == "search_read":
            return self._read(model, named)
        if method == "search_count":
            return len(self._found(model, args[0], named.get("context", {})))
        if method == "create":
            return self._created(model, args[0])
        if method in WRITES.get(model, {}):
            return self._moved(args[0], WRITES[model][method])
        raise OdooFault("builtins.AttributeError", method)

    # Reads

    def _read(self, model: str, named: dict[str, Any]) -> list[dict[str, Any]]:
        context = named.get("context", {})
        rows = self._found(model, named["domain"], context)
        for part in reversed(named.get("order", "id").split(",")):
            name, _, direction = part.strip().partition(" ")
            kind = self._kind(model, name)
            place = (lambda row: row["id"]) if name == "id" else (lambda row, name=name: _sortable(row.get(name)))
            if _related(kind):
                place = lambda row, name=name: row.get(name) or 0  # noqa: E731
            rows.sort(key=place, reverse=direction == "desc")
        start = named.get("offset", 0)
        rows = rows[start : start + named["limit"]] if named.get("limit") else rows[start:]
        names = ["id", *named["fields"]]
        return [{name: self._shown(model, row, name, context) for name in names} for row in rows]

    def _shown(self, model: str, row: dict[str, Any], name: str, context: dict[str, Any]) -> Any:
        kind = self._kind(model, name)
        value = row["id"] if name == "id" else row.get(name)
        if name == "price":
            return self._price(row, context)
        if kind.startswith("*"):
            return [one["id"] for one in self._many(row, kind)]
        if kind.startswith("+"):
            return value or []
        if related := _related(kind):
            return False if value is None else [value, self._record(related, value)["name"]]
        if isinstance(value, datetime):
            return f"{value:%Y-%m-%d %H:%M:%S}"
        if kind in ("float", "integer"):
            return value or 0
        return False if value is None else value

    def _price(self, row: dict[str, Any], context: dict[str, Any]) -> float:
        base, asked = (
            self._record("product.uom", id)["factor_inv"] for id in (row["uom_id"], context.get("uom", row["uom_id"]))
        )
        unit = asked / base
        rules = [
            one
            for one in self.tables["product.pricelist.item"]
            if one["pricelist_id"] == context["pricelist"]
            and one.get("product_tmpl_id") in (None, row["product_tmpl_id"])
            and one["min_quantity"] <= context["quantity"] * unit
        ]
        best = max(rules, key=lambda one: one["min_quantity"], default={"fixed_price": row["list_price"]})
        return best["fixed_price"] * unit

    def _found(self, model: str, domain: list[Any], context: dict[str, Any]) -> list[dict[str, Any]]:
        named = {term[0] for term in domain if isinstance(term, list)}
        rows = [row for row in self.tables.get(model, []) if self._fits(model, row, domain)]
        if "active" in KINDS[model] and context.get("active_test", True) and "active" not in named:
            rows = [row for row in rows if row.get("active", True)]
        return rows

    def _fits(self, model: str, row: dict[str, Any], domain: list[Any]) -> bool:
        terms = iter(domain)

        def expression(term: Any) -> bool:
            if term in ("&", "|"):
                one, other = expression(next(terms)), expression(next(terms))
                return (one and other) if term == "&" else (one or other)
            path, operator, value = term
            return any(_compare(found, operator, value) for found in self._values(model, row, path)) or (
                operator in ("=", "not in") and value is False and not list(self._values(model, row, path))
            )

        result = True
        for term in terms:
            result = expression(term) and result
        return result

    def _values(self, model: str, row: dict[str, Any], path: str) -> Iterator[Any]:
        name, _, rest = path.partition(".")
        kind = self._kind(model, name)
        if kind.startswith(("*", "+")):
            related = kind[1:].rpartition(".")[0] if kind.startswith("*") else kind[1:]
            ids = [one["id"] for one in self._many(row, kind)] if kind.startswith("*") else row.get(name) or []
            records = [self._record(related, id) for id in ids]
        elif related := _related(kind):
            records = [] if row.get(name) is None else [self._record(related, row[name])]
        else:
            yield row["id"] if name == "id" else row.get(name)
            return
        for one in records:
            yield from self._values(related, one, rest) if rest else [one["id"]]
        if not records and not rest:
            yield None

    def _many(self, row: dict[str, Any], kind: str) -> list[dict[str, Any]]:
        model, _, inverse = kind[1:].rpartition(".")
        return [one for one in self.tables.get(model, []) if one.get(inverse) == row["id"]]

    def _record(self, model: str, id: int) -> dict[str, Any]:
        return next(row for row in self.tables[model] if row["id"] == id)

    def _kind(self, model: str, name: str) -> str:
        if name != "id" and name not in KINDS[model]:
            raise OdooFault("builtins.ValueError", f"Invalid field '{name}' on model '{model}'")
        return KINDS[model].get(name, "integer")

    # Writes

    def _created(self, model: str, values: Any) -> Any:
        if isinstance(values, list):
            return [self._created(model, values[0])]
        for name in values:
            self._kind(model, name)
        if not values["order_line"]:
            raise OdooFault("odoo.exceptions.UserError", "an order needs a line")
        orders, lines = self.tables["sale.order"], self.tables["sale.order.line"]
        id = max(row["id"] for row in orders) + 1
        pricelist = self._record("product.pricelist", values["pricelist_id"])
        row = {"name": f"SO-3{1000 + id:05}", "state": "draft", "date_order": NOW, "write_date": NOW}
        row |= {"currency_id": pricelist["currency_id"], "amount_untaxed": 1, "amount_tax": 0, "amount_total": 1}
        orders.append(row | {name: value for name, value in values.items() if name != "order_line"} | {"id": id})
        for place, (command, _, line) in enumerate(values["order_line"]):
            assert command == 0
            for name in line:
                self._kind("sale.order.line", name)
            own = {"id": 1000 * id + place, "order_id": id, "order_partner_id": values["partner_id"]}
            lines.append(own | line | {"sequence": 10, "qty_delivered": 0, "qty_invoiced": 0, "price_subtotal": 1})
        return id

    def _moved(self, ids: list[int], state: str) -> bool:
        for id in ids:
            row = self._record("sale.order", id)
            if row["state"] == "done" or row["state"] == state == "sale":
                raise OdooFault("odoo.exceptions.UserError", "It is not allowed in this state")
            row |= {"state": state, "write_date": NOW + timedelta(seconds=1)}
        return True


def _sent(values: Any) -> dict[str, Any]:
    """The values of a creation; lines come as commands."""
    (order,) = values if isinstance(values, list) else [values]
    return order | {"order_line": [line for _, _, line in order["order_line"]]}


def _sortable(value: Any) -> tuple[bool, Any]:
    return (value is not None, value if value is not None else 0)


def _compare(found: Any, operator: str, value: Any) -> bool:
    if isinstance(found, datetime) and isinstance(value, str):
        value = datetime.fromisoformat(value)
    if operator in ("=", "!="):
        same = found == value or (value is False and not found)
        return same is (operator == "=")
    if operator == "in":
        return found in value
    if found is None:
        return False
    if operator == "ilike":
        return value.replace("\\_", "_").replace("\\%", "%").replace("\\\\", "\\").lower() in found.lower()  # pyright: ignore[reportAttributeAccessIssue]
    if operator == "=like":
        return found.startswith(value.rstrip("%"))  # pyright: ignore[reportAttributeAccessIssue]
    compared: dict[str, bool] = {">": found > value, ">=": found >= value, "<": found < value, "<=": found <= value}
    return compared[operator]


@asynccontextmanager
async def odoo(tables: dict[str, list[dict[str, Any]]]) -> AsyncIterator[Odoo]:
    """The server, listening."""
    server = Odoo(tables)
    routes = [
        Route("/jsonrpc", server.jsonrpc, methods=["POST"]),
        Route("/json/2/{model}/{method}", server.json2, methods=["POST"]),
    ]
    async with serve(Starlette(routes=routes)) as url:
        server.url = url
        yield server
