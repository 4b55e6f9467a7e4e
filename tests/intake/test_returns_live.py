"""A return in the real Tryton: requested under a key while answers are lost and the gateway is killed, approved,
received and credited. Run with `--live`."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.auth.principal import Role
from app.cli.real_systems import REAL_SOURCES
from app.settings import OrderDomain
from tests.intake.test_posting_live import LIMITS, deployed
from tests.support.gateway import CSR, Graph, signed
from tests.support.processes import serve
from tests.support.real import TrytonUser, real_environment, tryton_user
from tests.upstreams.proxy import proxy

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

CUSTOMER = "CUST-0012"
BUYER = signed(Role.BUYER, CUSTOMER)
RETURN = """id number version requestedBy note orderNumber shipmentState creditState receivedOn creditMemo
  lines { lineNumber sku quantity uom reason condition note }"""
REQUEST = f"""mutation Request($input: RequestReturnInput!) {{ requestReturn(input: $input) {{
  return {{ {RETURN} }} problems {{ code lineNumber }} }} }}"""
DECIDE = f"""mutation Decide($input: DecideReturnInput!) {{ decideReturn(input: $input) {{
  return {{ {RETURN} }} problems {{ code }} }} }}"""
READ = f"""query Read($id: ID!) {{ node(id: $id) {{ ... on Return {{ {RETURN}
  credit {{ number kind status total {{ amount }} lines {{ sku quantity }} }} }} }} }}"""
DELIVERED = """query Delivered($by: CustomerKey!) { customer(by: $by) {
  orders(first: 50, filter: {status: [DELIVERED]}) { nodes { number refs { id }
    lines { number shippedQuantity } returns { id } } } } }"""


async def delivered(graph: Graph) -> tuple[str, int]:
    """Number and id of a delivered order of two lines or more, of which nothing was returned."""
    rows = (await graph.data(DELIVERED, {"by": {"number": CUSTOMER}}, principal=CSR))["customer"]["orders"]["nodes"]
    return next(
        (row["number"], int(row["refs"][0]["id"]))
        for row in rows
        if len(row["lines"]) > 1
        and row["returns"] == []
        and all(float(one["shippedQuantity"]) > 2 for one in row["lines"])
    )


async def request(graph: Graph, input: dict[str, Any]) -> dict[str, Any]:
    """The outcome once it is known."""
    async with asyncio.timeout(120):
        while True:
            answer = await graph.ask(REQUEST, {"input": input}, principal=BUYER)
            payload = answer["data"]["requestReturn"]
            if payload is not None and [one["code"] for one in payload["problems"]] != ["ORDER_CHANGE_PENDING"]:
                return payload
            await asyncio.sleep(0.2)


async def returns_of(user: TrytonUser, sale: int) -> list[dict[str, Any]]:
    """All sales whose origin is this one."""
    return await user.read("sale.sale", [["origin", "=", f"sale.sale,{sale}"]], "state", "reference", "description")


async def test_return_is_one_return_and_is_followed_to_its_credit_memo(tmp_path: Path):
    key = f"live-{time.time_ns()}"
    domains = deployed(OrderDomain(master="erp", write="erp"))
    async with tryton_user() as user, proxy(REAL_SOURCES["erp"].base_url) as before:
        environment = real_environment(
            tmp_path,
            domains,
            {"erp": {"base_url": before.url, "limits": LIMITS,
                     "options": {"order_warehouse": "WH-EAST", "max_order_seconds": 10}}},
        )  # fmt: skip
        before.hangs = (b"wizard.sale.return_sale.execute",)
        async with serve(environment) as killed, killed.client() as client:
            graph = Graph(client, {}, tmp_path)
            number, sale = await delivered(graph)
            input = {
                "key": key, "customer": {"number": CUSTOMER}, "order": {"number": number}, "note": "Two cartons",
                "lines": [{"lineNumber": 2, "quantity": "2", "reason": "DAMAGED", "condition": "OPENED",
                           "note": "Cracked"}],
            }  # fmt: skip
            lost = asyncio.create_task(graph.ask(REQUEST, {"input": input}, principal=BUYER))
            async with asyncio.timeout(60):
                while not await returns_of(user, sale):
                    await asyncio.sleep(0.05)
            killed.process.kill()
            await killed.process.wait()
            await asyncio.gather(lost, return_exceptions=True)
        before.hangs = ()
        async with serve(environment) as running, running.client() as client:
            graph = Graph(client, {}, tmp_path)
            payload = await request(graph, input)
            found = payload["return"]
            assert payload["problems"] == []
            assert [(await request(graph, input))["return"]["id"] for _ in range(2)] == [found["id"]] * 2
            [row] = await returns_of(user, sale)
            assert (row["state"], row["description"]) == ("draft", None)
            assert found["lines"] == [{
                "lineNumber": 2, "sku": found["lines"][0]["sku"], "quantity": "2", "uom": "EA", "reason": "DAMAGED",
                "condition": "OPENED", "note": "Cracked",
            }]  # fmt: skip
            assert (found["shipmentState"], found["creditState"], found["requestedBy"], found["note"]) == (
                "REQUESTED", "NONE", "a-buyer", "Two cartons",
            )  # fmt: skip
            more = input | {"key": f"{key}-more", "lines": [{"lineNumber": 2, "quantity": "1000", "reason": "OTHER"}]}
            assert (await request(graph, more))["problems"] == [{"code": "RETURN_EXCEEDS_DELIVERY", "lineNumber": 2}]
            decision = {"id": found["id"], "version": found["version"], "decision": "APPROVE"}
            decided = (await graph.data(DECIDE, {"input": decision}, principal=CSR))["decideReturn"]
            assert (decided["problems"], decided["return"]["shipmentState"], decided["return"]["creditState"]) == (
                [], "APPROVED", "PENDING",
            )  # fmt: skip
            [sold] = await user.read("sale.sale", [["id", "=", row["id"]]], "shipment_returns", "state")
            assert sold["state"] == "processing"
            await user.call("stock.shipment.out.return", "receive", sold["shipment_returns"])
            received = (await graph.data(READ, {"id": found["id"]}, principal=CSR))["node"]
            assert (received["shipmentState"], received["creditState"], received["credit"]) == (
                "RECEIVED", "PENDING", None,
            )  # fmt: skip
            await user.call("stock.shipment.out.return", "do", sold["shipment_returns"])
            [credited_sale] = await user.read("sale.sale", [["id", "=", row["id"]]], "invoices")
            await user.post_invoice(credited_sale["invoices"][0], datetime.now(UTC).date())
            credited = (await graph.data(READ, {"id": found["id"]}, principal=CSR))["node"]
        assert (credited["shipmentState"], credited["creditState"]) == ("RECEIVED", "CREDITED")
        assert credited["receivedOn"] is not None
        assert (credited["credit"]["number"], credited["credit"]["kind"], credited["credit"]["status"]) == (
            credited["creditMemo"], "CREDIT_MEMO", "POSTED",
        )  # fmt: skip
        assert float(credited["credit"]["total"]["amount"]) < 0
        assert credited["credit"]["lines"] == [{"sku": found["lines"][0]["sku"], "quantity": "-2"}]
