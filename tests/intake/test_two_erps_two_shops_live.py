"""Tryton, Odoo, Vendure, Medusa and Karrio as the graph that `./run demo --backends real --with medusa,odoo` serves:
the sales view over all of them, and an order into each of the four that take orders. Run with `--live`."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from app.auth.principal import Role
from app.cli.real_systems import FURTHER_PORTS, REAL_PORTS, is_listening, running_systems
from tests.contract.medusa_case import URL as MEDUSA
from tests.contract.medusa_case import secret_key
from tests.intake.test_medusa_live import orders_of as medusa_orders
from tests.intake.test_posting_live import orders_of as vendure_orders
from tests.intake.test_posting_live import posted, sales_of
from tests.sources.test_odoo_live import call as odoo_call
from tests.support.gateway import Graph, signed
from tests.support.processes import serve
from tests.support.real import real_environment, tryton_user, vendure_client

pytestmark = [pytest.mark.live, pytest.mark.timeout(400)]

REP = signed(Role.SALES_REP, *(f"CUST-{number:04}" for number in range(1, 51)))
WAREHOUSES = ["WH-CENTRAL", "WH-EAST", "WH-WEST"]
SALES_VIEW = """query SalesView($tryton: CustomerKey!, $odoo: CustomerKey!, $first: Int!) {
  tryton: customer(by: $tryton) { ...Sales }
  odoo: customer(by: $odoo) { ...Sales }
}
fragment Sales on Customer {
  number name freshness { source } creditStatus { state available { amount currency } }
  orders(first: $first) { edges { node {
    number status freshness { source } statusBySource { system status } total { amount currency }
    lines { item { sku name } quantity uom contractPrice { unitPrice { amount currency } }
      availability { warehouse { code } atp } }
    shipments { status carrier trackingNumber eta { carrier } }
  } } }
}"""
BY_NUMBER = """{
  tryton: order(by: {number: "SO-100040"}) { ...Found }
  odoo: order(by: {number: "SO-300017"}) { ...Found }
  medusa: order(by: {number: "SO-400021"}) { ...Found }
}
fragment Found on Order {
  freshness { source } customer { freshness { source } } statusBySource { system } shipments { trackingNumber }
}"""
SUBMIT = """mutation Submit($input: SubmitOrderInput!) { submitOrder(input: $input) {
  intake { id channel state orderNumber } problems { code message }
} }"""
WRITTEN = """query Written($by: OrderIntakeKey!) { orderIntake(by: $by) { order {
  number customerPo freshness { source } customer { number }
  lines { item { sku } quantity }
} } }"""


@pytest.fixture(scope="module", autouse=True)
def reachable() -> None:
    """Odoo needs Python 3.6 or 3.7, which many machines lack."""
    missing = [port for port in (*REAL_PORTS, *FURTHER_PORTS.values()) if not is_listening(port)]
    if missing:
        pytest.skip(f"nothing listens on {missing}: backends/up.sh --with medusa,odoo starts all five systems")


@pytest.fixture
async def graph(tmp_path: Path) -> AsyncIterator[Graph]:
    """A gateway over the five, with the settings of the demo."""
    key = await asyncio.to_thread(secret_key)
    async with httpx.AsyncClient(base_url=MEDUSA, auth=(key, ""), timeout=60) as medusa:
        [region] = (await medusa.get("/admin/regions")).raise_for_status().json()["regions"]
    (tmp_path / "medusa").mkdir()
    written = {"secret_key": key, "region": region["id"]}
    (tmp_path / "medusa" / "credentials.json").write_text(json.dumps(written))
    systems = running_systems(tmp_path, list(FURTHER_PORTS), is_listening)
    environment = real_environment(
        tmp_path,
        systems.domains,
        {name: {"timeout": 60} for name in systems.sources},
        sources=systems.sources,
        routes=[route.model_dump(mode="json") for route in systems.routes],
        cache={"enabled": False},
        intake={"lease": 90, "check_timeout": 30, "channels": dict(systems.channels)},
    )
    async with serve(environment) as running, running.client(timeout=120) as client:
        yield Graph(client, {}, tmp_path)


async def backend_calls(graph: Graph) -> Counter[tuple[str, str]]:
    """Calls that were made, by source and call."""
    pattern = r'^tradegraph_backend_calls_total\{call="([^"]+)".*source="([^"]+)".*\} (\S+)'
    calls: Counter[tuple[str, str]] = Counter()
    for call, source, count in re.findall(pattern, await graph.metrics(), re.MULTILINE):
        calls[source, call] += int(float(count))
    return calls


async def test_sales_view_reads_each_customer_from_its_erp(graph: Graph):
    variables = {"tryton": {"number": "CUST-0001"}, "odoo": {"number": "CUST-0012"}}
    await graph.data(SALES_VIEW, variables | {"first": 1}, principal=REP)  # Units and warehouses are read once.
    calls: list[Counter[tuple[str, str]]] = []
    for first in (1, 3):
        before = await backend_calls(graph)
        found = await graph.data(SALES_VIEW, variables | {"first": first}, principal=REP)
        calls.append(await backend_calls(graph) - before)
    assert calls[0] <= calls[1]  # One order may have no price breaks to read.
    assert set(calls[0]) == set(calls[1])
    assert {source for source, _ in calls[1]} == {"erp", "odoo", "commerce", "medusa", "logistics"}
    for name, source in (("tryton", "erp"), ("odoo", "odoo")):
        customer = found[name]
        assert (customer["number"], customer["freshness"]) == (variables[name]["number"], {"source": source})
        assert customer["creditStatus"]["state"] is not None
        orders = [edge["node"] for edge in customer["orders"]["edges"]]
        assert [order["freshness"]["source"] for order in orders] == [source] * 3
        for line in [line for order in orders for line in order["lines"]]:
            assert line["contractPrice"]["unitPrice"]["currency"] == "USD"
            assert sorted(one["warehouse"]["code"] for one in line["availability"]) == WAREHOUSES


async def test_orders_of_both_erps_and_of_a_shop_are_found_by_number(graph: Graph):
    found = await graph.data(BY_NUMBER, principal=REP)
    told = {
        name: (order["freshness"]["source"], order["customer"]["freshness"]["source"]) for name, order in found.items()
    }
    assert told == {"tryton": ("erp", "erp"), "odoo": ("odoo", "odoo"), "medusa": ("medusa", "erp")}
    assert {one["system"] for one in found["tryton"]["statusBySource"]} == {"erp", "commerce", "logistics"}
    assert "1ZDEMO000040" in [one["trackingNumber"] for one in found["tryton"]["shipments"]]
    assert [one["trackingNumber"] for one in found["odoo"]["shipments"]] == ["1ZDEMO300017", None]


@pytest.mark.parametrize(
    ("customer", "client", "channel", "source"),
    [
        ("CUST-0004", "order-app", "API", "erp"),
        ("CUST-0012", "order-app", "API", "odoo"),
        (
            "CUST-0012",
            "vendure-shop",
            "VENDURE",
            "commerce",
        ),  # Tryton's prices are no whole cents, which Vendure needs.
        ("CUST-0004", "medusa-shop", "MEDUSA", "medusa"),
    ],
)
async def test_order_is_posted_once_to_the_system_of_its_client_or_customer(
    graph: Graph, customer: str, client: str, channel: str, source: str
):
    key = f"live-{time.time_ns()}"
    given = {
        "key": key,
        "customer": {"number": customer},
        "customerPo": f"PO {key}",
        "lines": [{"lineNumber": 1, "item": {"sku": "SKU-0014"}, "quantity": "12"}],
    }
    buyer = signed(Role.BUYER, customer, subject=client)
    first = (await graph.data(SUBMIT, {"input": given}, principal=buyer))["submitOrder"]
    assert first["problems"] == []
    done = await posted(graph, first["intake"]["id"], principal=buyer)
    again = (await graph.data(SUBMIT, {"input": given}, principal=buyer))["submitOrder"]["intake"]
    assert (again["id"], again["state"], again["orderNumber"]) == (first["intake"]["id"], "POSTED", done["orderNumber"])
    assert await counted(f"PO {key}") == {"erp": 0, "odoo": 0, "commerce": 0, "medusa": 0} | {source: 1}
    written = (await graph.data(WRITTEN, {"by": {"id": first["intake"]["id"]}}, principal=buyer))["orderIntake"][
        "order"
    ]
    assert (written["number"], written["customerPo"], written["freshness"]["source"]) == (
        done["orderNumber"], f"PO {key}", source,
    )  # fmt: skip
    assert [(line["item"]["sku"], line["quantity"]) for line in written["lines"]] == [("SKU-0014", "12")]
    assert (written["customer"]["number"], again["channel"]) == (customer, channel)


async def counted(po: str) -> dict[str, int]:
    """The orders of a purchase order number in each system, by what it says itself."""
    odoo = await asyncio.to_thread(odoo_call, "sale.order", "search", [["client_order_ref", "=", po]])
    async with (
        tryton_user() as tryton,
        vendure_client() as vendure,
        httpx.AsyncClient(base_url=MEDUSA, auth=(secret_key(), ""), timeout=60) as medusa,
    ):
        return {
            "erp": len(await sales_of(tryton, po)),
            "odoo": len(odoo),
            "commerce": len(await vendure_orders(vendure, po)),
            "medusa": len(await medusa_orders(medusa, po)),
        }
