"""The Odoo adapter and a gateway over it against Odoo 11's own answers: its prices, its forecast, orders in.

Needs the server of `backends/odoo/run.sh`, at ODOO_URL or its default port; skipped where there is none.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.auth.principal import SYSTEM, Role
from app.settings import Domain, DomainSettings, OrderDomain, SourceSettings, StockDomain
from app.sources.changes import ChangeKind
from app.sources.odoo import connect
from app.sources.orders import OrderQuery, OrderStatus
from app.sources.prices import PriceRequest
from app.sources.source import Source
from app.sources.stock import SupplyKind
from app.sources.values import PageRequest
from tests.contract.case import counted_calls
from tests.support.gateway import CSR, Graph, signed
from tests.support.processes import serve
from tests.support.real import real_environment
from tests.upstreams.proxy import proxy

pytestmark = [pytest.mark.live, pytest.mark.timeout(400)]

URL = os.environ.get("ODOO_URL", "http://127.0.0.1:8071")
DATABASE, ADMIN, PASSWORD = "odoo11", 1, "admin"
SETTINGS: dict[str, Any] = {
    "vendor": "odoo",
    "base_url": URL,
    "timeout": 30,
    "credentials": {"login": "admin", "password": PASSWORD},
    "options": {
        "database": DATABASE,
        "version": 11,
        "warehouse_code": "name",
        "customer_ref_like": "CUST-%",
        "max_order_seconds": 30,
    },
}
MASTER = Domain(master="odoo")
DOMAINS = DomainSettings(
    customers=MASTER,
    credit=MASTER,
    contacts=MASTER,
    items=MASTER,
    warehouses=MASTER,
    stock=StockDomain(master="odoo"),
    prices=MASTER,
    orders=OrderDomain(master="odoo", write="odoo"),
    shipments=MASTER,
    billing=MASTER,
)
CUSTOMER = "CUST-0002"
BUYER = signed(Role.BUYER, CUSTOMER)
SKUS = [f"SKU-{number:04}" for number in range(1, 61)]
SALES_VIEW = """query SalesView($first: Int!) { orders(first: $first) { edges { node {
  number status customer { number name creditStatus { state limit { amount } } } total { amount currency }
  lines { item { sku name } quantity uom unitPrice { amount } availability { warehouse { code } atp } }
  shipments { status trackingNumber } invoices { number status }
} } } }"""
SUBMIT = """mutation Submit($input: SubmitOrderInput!) { submitOrder(input: $input) {
  intake { id state orderNumber } problems { code message }
} }"""
READ = """query Read($by: OrderIntakeKey!) { orderIntake(by: $by) {
  id state orderNumber problems { code }
  order { number customerPo status lines { number quantity uom unitPrice { amount } } }
} }"""


def call(model: str, method: str, *args: Any, **named: Any) -> Any:
    """What Odoo says when asked directly."""
    params = {
        "service": "object",
        "method": "execute_kw",
        "args": [DATABASE, ADMIN, PASSWORD, model, method, args, named],
    }
    body = {"jsonrpc": "2.0", "method": "call", "id": 1, "params": params}
    answer = httpx.post(f"{URL}/jsonrpc", json=body, timeout=60).raise_for_status()
    found = json.loads(answer.text, parse_float=Decimal)
    assert "error" not in found, found["error"]["data"]["message"]
    return found["result"]


@pytest.fixture(scope="module", autouse=True)
def reachable() -> None:
    """Odoo needs Python 3.6 or 3.7, which many machines lack."""
    try:
        httpx.get(f"{URL}/web/login", timeout=60)
    except httpx.TransportError:
        pytest.skip(f"no Odoo at {URL}: backends/odoo/run.sh starts one")


@pytest.fixture
async def odoo() -> AsyncIterator[Source]:
    source = connect("odoo", SourceSettings.model_validate(SETTINGS))
    yield source
    await source.aclose()


async def test_prices_and_breaks_are_those_that_odoo_computes(odoo: Source):
    requests = [
        PriceRequest(customer, sku, Decimal(quantity))
        for customer in ("CUST-0001", CUSTOMER, "CUST-0003")
        for sku in SKUS[:6]
        for quantity in (1, 9, 10, 99, 100)
    ]
    found = await odoo.prices.quote(SYSTEM, requests)
    assert len(found) == len(requests)
    refs = sorted({request.customer for request in requests})
    partners = call("res.partner", "search_read", [["ref", "in", refs]], fields=["ref", "property_product_pricelist"])
    lists = {row["ref"]: row["property_product_pricelist"][0] for row in partners}
    rows = call("product.product", "search_read", [["default_code", "in", SKUS[:6]]], fields=["default_code"])
    products = {row["default_code"]: row["id"] for row in rows}
    for request, price in found.items():
        pricelist = lists[request.customer]
        own = call("product.pricelist", "price_get", [pricelist], products[request.sku], float(request.quantity))
        assert price.unit_price.amount == Decimal(str(own[str(pricelist)])).quantize(Decimal("0.01"), ROUND_HALF_UP), (
            request
        )
        at = [step.unit_price.amount for step in price.breaks if step.minimum <= request.quantity][-1]
        assert at == price.unit_price.amount


async def test_stock_adds_up_to_odoos_forecast_in_every_warehouse(odoo: Source):
    levels = await odoo.stock.levels(SYSTEM, SKUS)
    warehouses = call("stock.warehouse", "search_read", [], fields=["name"])
    compared = 0
    for warehouse in warehouses:
        rows = call(
            "product.product",
            "search_read",
            [["default_code", "in", SKUS]],
            fields=["default_code", "qty_available", "virtual_available"],
            context={"warehouse": warehouse["id"]},
        )
        for row in rows:
            (position,) = (one for one in levels[row["default_code"]].positions if one.warehouse == warehouse["name"])
            forecast = position.on_hand - position.reserved + sum(change.delta for change in position.supply)
            assert (position.on_hand, forecast) == (row["qty_available"], row["virtual_available"])
            compared += 1
    assert compared == 3 * len(SKUS)
    kinds = {change.kind for level in levels.values() for one in level.positions for change in one.supply}
    assert SupplyKind.RECEIPT in kinds


async def test_documents_of_an_order_follow_each_other(odoo: Source):
    orders = await odoo.orders.by_number(SYSTEM, ["SO-300006", "SO-300012", "SO-300016", "SO-300017", "SO-300018"])
    assert {number: order.status for number, order in orders.items()} == {
        "SO-300006": OrderStatus.QUOTED,
        "SO-300012": OrderStatus.CANCELLED,
        "SO-300016": OrderStatus.SHIPPED,
        "SO-300017": OrderStatus.PARTIALLY_SHIPPED,
        "SO-300018": OrderStatus.CONFIRMED,
    }
    shipments = await odoo.shipments.by_order(SYSTEM, list(orders))
    assert [(one.tracking_number, one.raw_status) for one in shipments["SO-300017"]] == [
        ("1ZDEMO300017", "done"),
        (None, "assigned"),
    ]
    invoices = await odoo.billing.invoices(SYSTEM, list(orders))
    assert [one.raw_status for one in invoices["SO-300017"]] == ["open"]
    assert {order.customer for order in orders.values()} == {
        "CUST-0006",
        "CUST-0012",
        "CUST-0016",
        "CUST-0017",
        "CUST-0018",
    }


async def test_drafts_are_listed_and_counted(odoo: Source):
    page = await odoo.orders.search(  # pyright: ignore[reportAttributeAccessIssue]
        SYSTEM, OrderQuery(page=PageRequest(first=2, count=True), status=(OrderStatus.QUOTED,), warehouse="WH-EAST")
    )
    own = call(
        "sale.order", "search", [["state", "=", "sent"], ["warehouse_id.name", "=", "WH-EAST"]], order="date_order desc"
    )
    assert ([int(row.id) for row in page.rows], page.total) == (own[:2], len(own))


async def test_change_is_in_the_feed_once(odoo: Source):
    kinds = frozenset(ChangeKind)
    cursor = (await odoo.changes.since(SYSTEM, kinds, None)).cursor
    await asyncio.sleep(1.1)  # Odoo's times are in whole seconds.
    ids = call("res.partner", "search", [["ref", "in", ["CUST-0007", "CUST-0008"]]])
    call("res.partner", "write", ids, {"comment": str(time.time_ns())})
    found = await odoo.changes.since(SYSTEM, kinds, cursor)
    assert [(one.kind, one.key) for one in found.changes] == [
        (ChangeKind.CUSTOMER, "CUST-0007"),
        (ChangeKind.CUSTOMER, "CUST-0008"),
    ]
    assert (await odoo.changes.since(SYSTEM, kinds, found.cursor)).changes == ()


async def test_orders_take_as_many_calls_for_one_as_for_fifty(odoo: Source):
    await odoo.ping()
    counts = []
    for first in (1, 50):
        with counted_calls() as calls:
            page = await odoo.orders.search(SYSTEM, OrderQuery(page=PageRequest(first=first)))  # pyright: ignore[reportAttributeAccessIssue]
        assert len(page.rows) == first
        counts.append(len(calls))
    assert counts == [6, 6]


# A gateway over it


def environment(folder: Path, url: str = URL) -> dict[str, str]:
    source = SETTINGS | {"base_url": url, "limits": {"timeouts": {"order_submissions": 10}}}
    return real_environment(folder, DOMAINS, {}, intake={"lease": 15}, cache={"enabled": False}) | {
        "TRADEGRAPH_SOURCES": json.dumps({"odoo": source})
    }


async def backend_calls(graph: Graph) -> Counter[str]:
    pattern = r'^tradegraph_backend_calls_total\{call="([^"]+)".*source="odoo".*\} (\S+)'
    found = re.findall(pattern, await graph.metrics(), re.MULTILINE)
    return Counter({call: int(float(count)) for call, count in found})


async def test_sales_view_takes_as_many_calls_for_one_order_as_for_fifty(tmp_path: Path):
    counts = []
    async with serve(environment(tmp_path)) as running, running.client() as client:
        graph = Graph(client, {}, tmp_path)
        await graph.data(SALES_VIEW, {"first": 2})
        for first in (1, 50):
            before = await backend_calls(graph)
            found = (await graph.data(SALES_VIEW, {"first": first}))["orders"]["edges"]
            assert len(found) == first
            counts.append(await backend_calls(graph) - before)
    # Whatever is read is read once, for all orders; their places in the list before themselves.
    assert {call: count for call, count in counts[1].items() if count > 1} == {"orders.search": 2}
    assert counts[0] <= counts[1]  # The newest order has no invoices.
    assert all(edge["node"]["customer"]["number"].startswith("CUST-") for edge in found)


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(120):
        while not await check():
            await asyncio.sleep(0.1)


async def submit(graph: Graph, key: str) -> dict[str, Any]:
    lines = [
        {"lineNumber": 1, "item": {"sku": "SKU-0004"}, "quantity": "12"},
        {"lineNumber": 2, "item": {"sku": "SKU-0009"}, "quantity": "1"},
    ]
    given = {"key": key, "customer": {"number": CUSTOMER}, "customerPo": f"PO {key}", "lines": lines}
    payload = (await graph.data(SUBMIT, {"input": given}, principal=BUYER))["submitOrder"]
    assert payload["problems"] == []
    return payload["intake"]


async def test_order_is_one_order_though_submitted_twice_and_killed_between_its_steps(tmp_path: Path):
    key = f"live-{time.time_ns()}"
    fields = ["name", "state", "origin"]

    def orders() -> list[dict[str, Any]]:
        return call("sale.order", "search_read", [["client_order_ref", "=", f"PO {key}"]], fields=fields)

    async with proxy(URL) as before:
        settings = environment(tmp_path, before.url)
        before.hangs = (b"action_confirm",)
        async with serve(settings) as killed, killed.client() as client:
            intake = await submit(Graph(client, {}, tmp_path), key)

            async def created() -> bool:
                return [one["state"] for one in await asyncio.to_thread(orders)] == ["draft"]

            await until(created)
            killed.process.kill()
            await killed.process.wait()
        before.hangs = ()
        async with serve(settings) as running, running.client() as client:
            graph = Graph(client, {}, tmp_path)

            async def posted() -> bool:
                found = (await graph.data(READ, {"by": {"id": intake["id"]}}, principal=BUYER))["orderIntake"]
                assert found["problems"] == []
                return found["state"] == "POSTED"

            await until(posted)
            again = [await submit(graph, key) for _ in range(2)]
            done = (await graph.data(READ, {"by": {"id": intake["id"]}}, principal=CSR))["orderIntake"]
    assert {one["id"] for one in again} == {intake["id"]}
    [order] = orders()
    assert order["state"] == "sale"
    assert len(call("sale.order", "search", [["origin", "=", order["origin"]]])) == 1
    assert (done["orderNumber"], done["order"]["customerPo"], done["order"]["status"]) == (
        order["name"],
        f"PO {key}",
        "CONFIRMED",
    )
    lines = done["order"]["lines"]
    # The prices of the contract at 12 pieces and at one, which Odoo 11 alone would not give.
    assert [(one["quantity"], one["uom"], Decimal(one["unitPrice"]["amount"])) for one in lines] == [
        ("12", "EA", Decimal("5.1")),
        ("1", "EA", Decimal("6.53")),
    ]
