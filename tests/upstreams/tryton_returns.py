"""A stand-in for Tryton's sales that are returned: its wizard copies a sale, and the copy is changed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.upstreams.proxy import proxy
from tests.upstreams.tryton import Read, tryton_upstream
from tests.upstreams.tryton_sales import Sales

NOON = {"__class__": "datetime", "year": 2026, "month": 11, "day": 21, "hour": 12, "minute": 0}


class ReturnedSales(Sales):
    """Tryton's sales, with their returns."""

    def deliver(self, *quantities: float, **given: Any) -> int:
        """The id of a sale that is done, of a line for each quantity."""
        id = 201 + len(self.sales)
        lines = [
            {"id": 10 * id + at, "type": "line", "quantity": one, "unit": 1, "product": {"id": at, "code": f"SKU-{at}"}}
            for at, one in enumerate(quantities, start=1)
        ]
        self.sales[id] = {
            "id": id, "number": str(id), "state": "done", "party": {"id": 11, "code": "CUST-1"},
            "description": "key of the order", "reference": "PO 1", "origin": None, "comment": None, "company": 1,
            "quotation_validity": None, "lines": lines, "create_date": NOON, "write_date": None,
            "create_uid.login": "clerk", "shipment_returns": [], "invoices": [],
        } | given  # fmt: skip
        return id

    def returns(self, sale: int) -> list[dict[str, Any]]:
        """The sales that return goods of a sale."""
        return [one for one in self.sales.values() if one.get("origin") == f"sale.sale,{sale}"]

    def rows(self, read: Read) -> list[dict[str, Any]]:
        self.proxy.fault = self.spoiled.pop("read", None)
        fields = ("id", *dict.fromkeys(name.partition(".")[0] for name in read.fields))
        return [
            {name: sale.get(name) for name in fields} for sale in self.sales.values() if self._fits(sale, read.domain)
        ]

    def _result(self, name: str, params: list[Any]) -> Any:
        if name == "wizard.sale.return_sale.create":
            return [50, "start", "end"]
        if name == "wizard.sale.return_sale.execute":
            return {"actions": [[{"name": "Sales"}, {"res_id": [self._copy(params[-1]["active_id"])]}]]}
        if name == "write":
            sale, values = self.sales[params[0][0]], dict(params[1])
            lines = {line["id"]: line for line in sale["lines"]}
            for command, ids, *changes in values.pop("lines", ()):
                for id in ids:
                    lines[id] = {**lines[id], **changes[0]} if command == "write" else {}
            params = [params[0], values | {"lines": [line for line in lines.values() if line]}]
        return super()._result(name, params)

    def _copy(self, sale: int) -> int:
        """A return of a whole sale: what the wizard does not reset is copied, the order's key too."""
        id = self.deliver()
        lines = [
            line | {"id": 10 * id + at, "quantity": -line["quantity"]}
            for at, line in enumerate(self.sales[sale]["lines"], start=1)
        ]
        changed = {"number": None, "reference": None, "state": "draft", "origin": f"sale.sale,{sale}", "lines": lines}
        self.sales[id] |= changed | {"create_uid.login": "gateway"}
        return id


@asynccontextmanager
async def returned_sales() -> AsyncIterator[ReturnedSales]:
    """Tryton with no sale; `sales.proxy.url` is its address."""
    async with tryton_upstream() as tryton, proxy(tryton.url) as before:
        sales = ReturnedSales(tryton, before)
        tryton.rpc = sales.call
        tryton.rows |= {"sale.sale": sales.rows}
        yield sales
