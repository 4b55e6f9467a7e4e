"""A gateway whose only source is an S/4HANA system: calls of the sales view, and what is left when a service fails."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response

from app.server import create_app
from app.settings import CacheSettings, DocumentSettings, EventSettings, SearchSettings, ServerSettings, Settings
from tests.contract.sap_s4hana_case import OPTIONS
from tests.support.gateway import AUTH, REP, document
from tests.support.serving import serving
from tests.upstreams.sap_s4hana import LOGIN_PAGE, S4HANA, sap_s4hana
from tests.upstreams.sap_s4hana_rows import DELIVERIES, ORDERS, SIMULATION, order_item, sales_order, system

PORTS = ("customers", "credit", "items", "warehouses", "stock", "prices", "orders", "shipments", "billing")
VIEW = {"customer": {"number": "CUST-0001"}, "orders": 50}
_SERVICE = re.compile(r"/sap/opu/odata/sap/([^/?]+)/([^/?]*)")


@pytest.fixture
async def server() -> AsyncIterator[S4HANA]:
    tables = system()
    for table in tables.values():
        for row in table:
            rename(row)
    orders = [
        sales_order(
            str(n),
            "CUST-0001",
            f"2026-10-{1 + n % 28:02}",
            to_Item=[order_item(str(n), "10", f"TG1{1 + n % 3}", "3.000")],
        )
        for n in range(1000, 1050)
    ]
    tables[f"{ORDERS}/A_SalesOrder"] += orders
    for item in tables[f"{DELIVERIES}/A_OutbDeliveryItem"]:
        item["ReferenceSDDocument"] = "6"  # The newest order.
    async with sap_s4hana(tables) as running:
        yield running


def rename(row: dict[str, Any]) -> None:
    """Give the first customer the number of the one whose account the caller has."""
    for name, value in row.items():
        if value == "17100001":
            row[name] = "CUST-0001"
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict):
                rename(one)


@pytest.fixture
async def client(server: S4HANA, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings.model_validate(
        {
            "auth": AUTH,
            "demo": True,
            "data_dir": tmp_path,
            "sources": {
                "sap": {
                    "vendor": "sap_s4hana",
                    "base_url": server.url,
                    "timeout": 30,
                    "credentials": {"username": "GATEWAY", "password": "s3cr3t"},
                    "options": OPTIONS,
                    "limits": {"retries": 0, "max_wait": 30},
                }
            },
            "domains": {port: {"master": "sap"} for port in PORTS},
            "cache": CacheSettings(enabled=False),
            "documents": DocumentSettings(trusted_roles=()),
            "events": EventSettings(poll=0, poll_webhooks=0),
            "search": SearchSettings(enabled=False),
            "server": ServerSettings(request_timeout=60),
        }
    )
    async with serving(create_app(settings)) as url, httpx.AsyncClient(base_url=url, timeout=60) as running:
        yield running


async def ask(client: httpx.AsyncClient, orders: int) -> dict[str, Any]:
    content = {"query": document("sales_view"), "variables": {**VIEW, "orders": orders}}
    return (await client.post("/graphql", json=content, headers=REP)).json()


def calls(server: S4HANA) -> list[str]:
    """The requests so far, by service and entity set."""
    found = [match for one in server.seen if (match := _SERVICE.search(one)) is not None]
    return sorted(f"{match[1]}/{match[2]}" for match in found)


async def test_the_sales_view_takes_eleven_calls_for_one_order_and_for_fifty(
    client: httpx.AsyncClient, server: S4HANA
) -> None:
    await ask(client, 1)  # Signs in.
    for orders in (1, 50):
        server.seen.clear()
        answer = await ask(client, orders)
        assert "errors" not in answer
        assert len(answer["data"]["customer"]["orders"]["edges"]) == orders
        assert calls(server) == [
            "API_BUSINESS_PARTNER/A_BusinessPartner",  # The customer, and its ship-to parties.
            "API_BUSINESS_PARTNER/A_BusinessPartner",
            "API_CRDTMBUSINESSPARTNER/CreditManagementAccount",
            "API_MATERIAL_STOCK_SRV/A_MatlStkInAcctMod",
            "API_OUTBOUND_DELIVERY_SRV;v=0002/A_OutbDeliveryHeader",
            "API_OUTBOUND_DELIVERY_SRV;v=0002/A_OutbDeliveryItem",
            "API_PRODUCT_AVAILY_INFO_BASIC/$batch",
            "API_PRODUCT_SRV/A_Product",  # Items, and the units of stock.
            "API_PRODUCT_SRV/A_Product",
            "API_SALES_ORDER_SIMULATION_SRV/$batch",
            "API_SALES_ORDER_SRV/$batch",
        ]


async def test_login_page_of_one_service_leaves_the_rest_of_the_view(client: httpx.AsyncClient, server: S4HANA) -> None:
    def fault(request: Request) -> Response | None:
        return LOGIN_PAGE if SIMULATION in request.url.path else None

    server.fault = fault
    answer = await ask(client, 5)
    codes = {(one["extensions"]["code"], one["path"][-1]) for one in answer["errors"]}
    assert codes == {("SOURCE_MALFORMED", "contractPrice")}
    assert "hunter2" not in str(answer)
    rows = [edge["node"] for edge in answer["data"]["customer"]["orders"]["edges"]]
    assert len(rows) == 5
    assert all(line["availability"] for row in rows for line in row["lines"])
