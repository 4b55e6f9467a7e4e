"""Orders by `submitOrder` in the real Tryton and Vendure: one each, though the gateway is killed between two steps of
the posting, and what becomes of them. Run with `--live`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.auth.principal import Role
from app.cli.real_systems import REAL_DOMAINS, REAL_SOURCES
from app.settings import Domain, DomainSettings, OrderDomain
from tests.support.gateway import CSR, Graph, signed
from tests.support.processes import serve
from tests.support.real import VENDURE_WRITER, TrytonUser, real_environment, tryton_user, vendure_client
from tests.upstreams.proxy import proxy

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

CUSTOMER = "CUST-0012"
BUYER = signed(Role.BUYER, CUSTOMER)
LIMITS = {"timeouts": {"order_submissions": 10}}
INTAKE = {"lease": 15}
"""Seconds after which an order of a killed gateway is claimed by the next."""

PAYLOAD = "intake { id state orderNumber attempts order { number } } problems { code message }"
SUBMIT = f"mutation Submit($input: SubmitOrderInput!) {{ submitOrder(input: $input) {{ {PAYLOAD} }} }}"
READ = """query Read($by: OrderIntakeKey!) { orderIntake(by: $by) {
  id state attempts orderNumber problems { code }
  order { number customerPo status lines { number quantity uom unitPrice { amount } } }
} }"""
FOLLOW = """query Follow($by: OrderIntakeKey!) { orderIntake(by: $by) { order {
  status lines { shippedQuantity quantity unitPrice { amount } } shipments { trackingNumber status }
  invoices { number status total { amount } lines { sku quantity } }
} } }"""


def deployed(orders: OrderDomain) -> DomainSettings:
    """The domains of the demo, without Karrio."""
    return REAL_DOMAINS.model_copy(update={"orders": orders, "shipments": Domain(master="erp")})


async def submit(graph: Graph, key: str) -> dict[str, Any]:
    lines = [
        {"lineNumber": 1, "item": {"sku": "SKU-0014"}, "quantity": "12"},
        {"lineNumber": 2, "item": {"sku": "SKU-0039"}, "quantity": "12"},
    ]
    given = {"key": key, "customer": {"number": CUSTOMER}, "customerPo": f"PO {key}", "lines": lines}
    payload = (await graph.data(SUBMIT, {"input": given}, principal=BUYER))["submitOrder"]
    assert payload["problems"] == []
    return payload["intake"]


async def posted(graph: Graph, id: str, principal: Mapping[str, str] = BUYER) -> dict[str, Any]:
    """The intake once it is not queued any more."""
    async with asyncio.timeout(180):
        while True:
            found = (await graph.data(READ, {"by": {"id": id}}, principal=principal))["orderIntake"]
            if found["state"] not in ("RECEIVED", "POSTING"):
                break
            await asyncio.sleep(0.1)
    assert found["state"] == "POSTED", found
    return found


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(120):
        while not await check():
            await asyncio.sleep(0.05)


async def sales_of(user: TrytonUser, po: str) -> list[dict[str, Any]]:
    """The sales of a purchase order number, cancelled ones too."""
    return await user.read("sale.sale", [["reference", "=", po]], "state", "description", "shipments", "invoices")


async def orders_of(vendure: httpx.AsyncClient, po: str) -> list[dict[str, Any]]:
    """The orders of a purchase order number in Vendure, cancelled ones too."""
    query = "query($po: String!) { orders(options: {filter: {poNumber: {eq: $po}}}) { items { ITEM } } }"
    item = "id code state customFields { intakeKey } lines { quantity unitPrice productVariant { sku } }"
    body = {"query": query.replace("ITEM", item), "variables": {"po": po}}
    return (await vendure.post("/admin-api", json=body)).json()["data"]["orders"]["items"]


async def test_order_is_one_sale_and_is_followed_to_its_invoice(tmp_path: Path):
    key = f"live-{time.time_ns()}"
    domains = deployed(OrderDomain(master="erp", enrich=("commerce",), write="erp"))
    async with tryton_user() as user, proxy(REAL_SOURCES["erp"].base_url) as before:
        environment = real_environment(
            tmp_path,
            domains,
            {"erp": {"base_url": before.url, "limits": LIMITS,
                     "options": {"order_warehouse": "WH-EAST", "max_order_seconds": 10}}},
            intake=INTAKE,
        )  # fmt: skip
        before.hangs = (b"sale.sale.quote",)
        async with serve(environment) as killed, killed.client() as client:
            intake = await submit(Graph(client, {}, tmp_path), key)

            async def quoted() -> bool:
                return [one["state"] for one in await sales_of(user, f"PO {key}")] == ["quotation"]

            await until(quoted)
            killed.process.kill()
            await killed.process.wait()
        before.hangs = ()
        async with serve(environment) as running, running.client() as client:
            graph = Graph(client, {}, tmp_path)
            done = await posted(graph, intake["id"])
            again = [await submit(graph, key) for _ in range(2)]
            assert {one["id"] for one in again} == {intake["id"]}
            [sale] = await sales_of(user, f"PO {key}")
            assert sale["state"] == "processing"
            assert await user.read("sale.sale", [["description", "=", sale["description"]]], "id") == [
                {"id": sale["id"]}
            ]
            order = done["order"]
            assert (order["number"], order["customerPo"], order["status"]) == (
                done["orderNumber"], f"PO {key}", "PROCESSING",
            )  # fmt: skip
            assert [(one["number"], one["quantity"], one["uom"]) for one in order["lines"]] == [
                (1, "12", "EA"), (2, "12", "EA"),
            ]  # fmt: skip
            await user.ship(sale["shipments"][0], f"1Z{key}")
            await user.post_invoice(sale["invoices"][0], datetime.now(UTC).date())
            followed = (await graph.data(FOLLOW, {"by": {"id": intake["id"]}}, principal=CSR))["orderIntake"]["order"]
        assert (followed["status"], [one["shippedQuantity"] for one in followed["lines"]]) == ("SHIPPED", ["12", "12"])
        assert [(one["trackingNumber"], one["status"]) for one in followed["shipments"]] == [(f"1Z{key}", "IN_TRANSIT")]
        [invoice] = followed["invoices"]
        assert (invoice["status"], invoice["lines"]) == (
            "POSTED", [{"sku": "SKU-0014", "quantity": "12"}, {"sku": "SKU-0039", "quantity": "12"}],
        )  # fmt: skip
        assert Decimal(invoice["total"]["amount"]) == sum(
            (Decimal(one["quantity"]) * Decimal(one["unitPrice"]["amount"]) for one in followed["lines"]), Decimal(0)
        ).quantize(Decimal("0.01"))


async def test_order_is_one_order_of_the_shop(tmp_path: Path):
    key = f"live-{time.time_ns()}"
    domains = deployed(OrderDomain(master="commerce", write="commerce"))
    options = {"quoted_price_field": "quotedUnitPrice", "unique_order_keys": True, "max_order_seconds": 10}
    async with vendure_client() as vendure, proxy(REAL_SOURCES["commerce"].base_url) as before:
        environment = real_environment(
            tmp_path,
            domains,
            {"commerce": {"base_url": before.url, "limits": LIMITS, "options": options, "credentials": VENDURE_WRITER}},
            intake=INTAKE,
        )
        before.hangs = (b"mutation FillOrder",)
        async with serve(environment) as killed, killed.client() as client:
            intake = await submit(Graph(client, {}, tmp_path), key)

            async def filled() -> bool:
                return [len(one["lines"]) for one in await orders_of(vendure, f"PO {key}")] == [2]

            await until(filled)
            killed.process.kill()
            await killed.process.wait()
        before.hangs = ()
        async with serve(environment) as running, running.client() as client:
            graph = Graph(client, {}, tmp_path)
            done = await posted(graph, intake["id"])
            assert {(await submit(graph, key))["id"] for _ in range(2)} == {intake["id"]}
        [made] = await orders_of(vendure, f"PO {key}")
        assert (made["state"], made["code"]) == ("PaymentSettled", done["orderNumber"])
        assert made["customFields"]["intakeKey"]
        assert [(one["productVariant"]["sku"], one["quantity"]) for one in made["lines"]] == [
            ("SKU-0014", 12), ("SKU-0039", 12),
        ]  # fmt: skip
        prices = [Decimal(one["unitPrice"]["amount"]) * 100 for one in done["order"]["lines"]]
        assert [one["unitPrice"] for one in made["lines"]] == prices
        assert (done["order"]["number"], done["order"]["status"]) == (made["code"], "PROCESSING")
