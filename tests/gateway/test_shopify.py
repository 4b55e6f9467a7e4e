"""A gateway whose only source is a Shopify shop: what the sales view costs, and what is left when the shop fails."""

from __future__ import annotations

import base64
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from starlette.responses import HTMLResponse, Response

from app.server import create_app
from app.settings import CacheSettings, DocumentSettings, EventSettings, SearchSettings, ServerSettings, Settings
from tests.support.gateway import AUTH, REP, document
from tests.support.serving import serving
from tests.upstreams.shopify import TOKEN, Shop, serve_shop
from tests.upstreams.shopify_rows import fulfillment, line, order

SECRET = "the client secret of the app"
VIEW = {"customer": {"number": "CUST-0001"}, "orders": 50}
CREDIT = ("NOT_SUPPORTED", "creditStatus")
"""What Shopify does not have of the sales view."""


@dataclass(frozen=True)
class ShopGraph:
    """A running gateway over a shop."""

    client: httpx.AsyncClient
    shop: Shop

    async def ask(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        answer = await self.client.post("/graphql", json={"query": query, "variables": variables}, headers=REP)
        return answer.json()

    async def tell(self, raw: bytes, **headers: str) -> httpx.Response:
        """Send a webhook, signed by the app."""
        signature = base64.b64encode(hmac.digest(SECRET.encode(), raw, "sha256")).decode()
        given = {
            "content-type": "application/json",
            "x-shopify-hmac-sha256": signature,
            "x-shopify-shop-domain": "127.0.0.1",
            "x-shopify-event-id": "e-1",
            **headers,
        }
        return await self.client.post("/webhooks/shop", content=raw, headers=given)


@asynccontextmanager
async def shop_gateway(shop: Shop, folder: Path) -> AsyncIterator[ShopGraph]:
    ports = ("customers", "items", "warehouses", "stock", "prices", "orders")
    settings = Settings.model_validate(
        {
            "auth": AUTH,
            "demo": True,
            "data_dir": folder,
            "sources": {
                "shop": {
                    "vendor": "shopify",
                    "base_url": shop.url,
                    "timeout": 30,
                    "credentials": {"access_token": TOKEN},
                    "limits": {"retries": 0, "max_wait": 30},
                    "webhooks": {"secrets": [SECRET]},
                }
            },
            "domains": {port: {"master": "shop"} for port in ports},
            "cache": CacheSettings(enabled=False),
            "documents": DocumentSettings(trusted_roles=()),
            "events": EventSettings(poll=0, poll_webhooks=0),
            "search": SearchSettings(enabled=False),
            "server": ServerSettings(request_timeout=60),
        }
    )
    async with serving(create_app(settings)) as url, httpx.AsyncClient(base_url=url, timeout=60) as client:
        yield ShopGraph(client, shop)


@pytest.fixture
async def graph(tmp_path: Path) -> AsyncIterator[ShopGraph]:
    async with serve_shop() as shop, shop_gateway(shop, tmp_path) as running:
        yield running


def errors(answer: dict[str, Any]) -> set[tuple[str, Any]]:
    """Code and field of each error."""
    return {(one["extensions"]["code"], one["path"][-1]) for one in answer.get("errors", ())}


def stock_up(shop: Shop) -> None:
    """Fifty orders of two items each, some of which are shipped."""
    for number in range(2000, 2045):
        lines = [line(number * 10 + n, f"SKU-{1 + (number + n) % 12:04}", 3) for n in range(2)]
        made = order(number, shop.companies[0], lines, number - 1990)
        made["fulfillments"] = [fulfillment(number, [(lines[0], 3)], number - 1980)] if number % 2 else []
        shop.orders.append(made)


async def test_the_sales_view_takes_five_calls_for_one_order_and_for_fifty(graph: ShopGraph):
    stock_up(graph.shop)
    for orders in (1, 50):
        graph.shop.asked.clear()
        answer = await graph.ask(document("sales_view"), {**VIEW, "orders": orders})
        assert errors(answer) == {CREDIT}
        assert len(answer["data"]["customer"]["orders"]["edges"]) == orders
        assert sorted(name for name, _ in graph.shop.asked) == [
            "Companies", "CompanyOrders", "Prices", "Stock", "Variants",
        ]  # fmt: skip
    assert max(graph.shop.costs.values()) <= 1000


async def test_the_sales_view_has_prices_stock_and_shipments(graph: ShopGraph):
    answer = await graph.ask(document("sales_view"), VIEW)
    customer = answer["data"]["customer"]
    assert (customer["name"], customer["currency"], customer["paymentTerms"]) == (
        "Company 0001", "USD", {"code": "Net 30", "netDays": 30},
    )  # fmt: skip
    rows = [edge["node"] for edge in customer["orders"]["edges"]]
    assert [row["number"] for row in rows] == ["#1005", "#1004", "#1003", "#1002", "#1001"]
    first = rows[-1]
    assert (first["status"], first["total"]) == ("PARTIALLY_SHIPPED", {"amount": "148.50", "currency": "USD"})
    ordered = first["lines"][0]
    assert ordered["item"]["sku"] == "SKU-0001"
    assert ordered["contractPrice"]["unitPrice"] == {"amount": "9.00", "currency": "USD"}
    assert {(one["warehouse"]["code"], one["atp"]) for one in ordered["availability"]} == {
        ("East", "83"),
        ("West", "33"),
    }
    (sent,) = first["shipments"]
    assert (sent["carrier"], sent["trackingNumber"], sent["eta"]["carrier"]) == ("UPS", "1ZSHOP000501", "2026-03-06")
    assert [event["sequence"] for event in sent["events"]] == [1, 2]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("throttled twice", "SOURCE_THROTTLED"),
        ("login page", "SOURCE_MALFORMED"),
        ("429", "SOURCE_THROTTLED"),
        ("debug text", "SOURCE_REJECTED"),
        ("503", "SOURCE_UNAVAILABLE"),
    ],
)
async def test_what_fails_leaves_the_other_fields(graph: ShopGraph, fault: str, code: str):
    debug = {"errors": [{"message": "undefined method: token=shpat_1", "extensions": {"code": "undefinedField"}}]}
    answers: dict[str, Any] = {
        "throttled twice": graph.shop.throttled(),
        "login page": HTMLResponse("<form>Log in</form>"),
        "429": Response("slow down", 429, {"retry-after": "2"}),
        "debug text": debug,
        "503": Response("", 503),
    }
    graph.shop.fault("Prices", answers[fault], times=2)
    answer = await graph.ask(document("sales_view"), VIEW)
    assert errors(answer) == {CREDIT, (code, "contractPrice")}
    lines = [row for edge in answer["data"]["customer"]["orders"]["edges"] for row in edge["node"]["lines"]]
    assert {row["contractPrice"] for row in lines} == {None}
    assert all(row["item"]["name"].startswith("Hex bolt") and len(row["availability"]) == 2 for row in lines)
    assert "shpat_1" not in msgspec.json.encode(answer).decode()


async def test_missing_capabilities_name_the_source(graph: ShopGraph):
    answer = await graph.ask(document("sales_view"), VIEW)
    (error,) = answer["errors"]
    assert (error["extensions"]["code"], "Shopify has no credit limits" in error["message"]) == ("NOT_SUPPORTED", True)
    filtered = """query Late($customer: CustomerKey!) {
      customer(by: $customer) { name orders(first: 1, status: [SHIPPED]) { edges { cursor } } }
    }"""
    answer = await graph.ask(filtered, {"customer": VIEW["customer"]})
    assert answer["data"] == {"customer": {"name": "Company 0001", "orders": None}}
    assert errors(answer) == {("FILTER_NOT_SUPPORTED", "orders")}
    assert graph.shop.count("CompanyOrders") == 1  # Of the sales view.


async def test_a_webhook_is_taken_once_and_of_this_shop_only(graph: ShopGraph):
    at = datetime.now(UTC).isoformat()
    raw = msgspec.json.encode({"admin_graphql_api_id": "gid://shopify/Order/1001", "name": "#1001", "updated_at": at})
    answers = [await graph.tell(raw) for _ in range(2)]
    assert [(one.status_code, one.json()) for one in answers] == [
        (202, {"notices": 1, "new": 1}),
        (202, {"notices": 1, "new": 0}),
    ]
    foreign = await graph.tell(raw, **{"x-shopify-shop-domain": "other.myshopify.com"})
    forged = await graph.tell(raw, **{"x-shopify-hmac-sha256": "AAAA"})
    assert [(one.status_code, one.json()["errors"][0]["extensions"]["code"]) for one in (foreign, forged)] == [
        (403, "WEBHOOK_FOREIGN"),
        (401, "WEBHOOK_FORGED"),
    ]
