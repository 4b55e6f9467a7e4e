"""A gateway over a WooCommerce shop alone: what the sales view costs, and what is left when the shop fails."""

from __future__ import annotations

import base64
import hmac
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from starlette.responses import HTMLResponse, JSONResponse, Response

from app.auth.principal import Role
from app.server import create_app
from app.settings import CacheSettings, DocumentSettings, EventSettings, SearchSettings, ServerSettings, Settings
from tests.contract.woocommerce_case import CREDENTIALS, OPTIONS
from tests.support.gateway import AUTH, document, signed
from tests.support.serving import serving
from tests.upstreams.woocommerce import Shop, line, order, serve_woocommerce

REP = signed(Role.SALES_REP, "1", "2", "3")
SECRET = "the secret of the webhook"
VIEW = {"customer": {"number": "1"}, "orders": 50}
MISSING = {("NOT_SUPPORTED", "creditStatus"), ("NOT_SUPPORTED", "contractPrice")}
"""What WooCommerce does not have of the sales view."""

FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class ShopGraph:
    """A running gateway over a shop."""

    client: httpx.AsyncClient
    shop: Shop

    async def ask(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        answer = await self.client.post("/graphql", json={"query": query, "variables": variables}, headers=REP)
        return answer.json()

    async def tell(self, raw: bytes, **headers: str) -> httpx.Response:
        """Send a webhook, signed by the shop."""
        signature = base64.b64encode(hmac.digest(SECRET.encode(), raw, "sha256")).decode()
        given = {
            "content-type": "application/json",
            "x-wc-webhook-signature": signature,
            "x-wc-webhook-source": f"{self.shop.url}/",
            "x-wc-webhook-topic": "order.updated",
            "x-wc-webhook-delivery-id": "d-1",
            **headers,
        }
        return await self.client.post("/webhooks/shop", content=raw, headers=given)


@pytest.fixture
async def graph(tmp_path: Path) -> AsyncIterator[ShopGraph]:
    async with serve_woocommerce() as shop:
        ports = ("customers", "items", "warehouses", "stock", "orders", "billing")
        settings = Settings.model_validate(
            {
                "auth": AUTH,
                "demo": True,
                "data_dir": tmp_path,
                "sources": {
                    "shop": {
                        "vendor": "woocommerce",
                        "base_url": shop.url,
                        "timeout": 30,
                        "credentials": CREDENTIALS,
                        "options": OPTIONS,
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


def errors(answer: dict[str, Any]) -> set[tuple[str, Any]]:
    """Code and field of each error."""
    return {(one["extensions"]["code"], one["path"][-1]) for one in answer.get("errors", ())}


def stock_up(shop: Shop) -> None:
    """Fifty orders of two lines each."""
    for number in range(200, 250):
        lines = [line(number * 10 + n, f"SKU-{1 + (number + n) % 7:04}", 3, "28.50", 9.5) for n in range(2)]
        at = f"2026-04-{1 + number % 28:02}T12:00:00"
        shop.orders.append(order(number, shop.customers[0], lines, at))


async def test_the_sales_view_takes_four_calls_for_one_order_and_for_fifty(graph: ShopGraph):
    stock_up(graph.shop)
    for orders in (1, 50):
        graph.shop.seen.clear()
        answer = await graph.ask(document("sales_view"), {**VIEW, "orders": orders})
        assert errors(answer) == MISSING
        assert len(answer["data"]["customer"]["orders"]["edges"]) == orders
        assert sorted(graph.shop.seen) == ["GET /customers", "GET /orders", "GET /products", "GET /products"]


async def test_the_sales_view_has_stock_and_shipments(graph: ShopGraph):
    answer = await graph.ask(document("sales_view"), VIEW)
    customer = answer["data"]["customer"]
    assert (customer["name"], customer["currency"]) == ("Company 0001", "USD")
    rows = [edge["node"] for edge in customer["orders"]["edges"]]
    assert [row["number"] for row in rows] == ["105", "103", "102", "101"]
    first = rows[-1]
    assert (first["status"], first["total"]) == ("PROCESSING", {"amount": "148.50", "currency": "USD"})
    assert [one["item"]["sku"] for one in first["lines"]] == ["SKU-0021", "SKU-0001"]
    assert [(one["warehouse"]["code"], one["atp"]) for one in first["lines"][1]["availability"]] == [("WH-SHOP", "10")]
    (sent,) = first["shipments"]
    assert (sent["carrier"], sent["trackingNumber"]) == ("UPS", "1ZSHOP000101")


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (HTMLResponse("<form>Log in</form>"), "SOURCE_MALFORMED"),
        (Response("slow down", 429, {"retry-after": "2"}), "SOURCE_THROTTLED"),
        (Response("slow down", 429), "SOURCE_THROTTLED"),
        (JSONResponse({"code": "x", "message": "consumer_secret=cs_1 is invalid"}, 401), "SOURCE_REJECTED"),
        (Response("", 503), "SOURCE_UNAVAILABLE"),
    ],
    ids=["login page", "429", "429 without a time", "debug text", "503"],
)
async def test_what_fails_leaves_the_other_fields(graph: ShopGraph, answer: Response, code: str):
    graph.shop.fault = lambda request: answer if "manage_stock" in request.url.query else None
    found = await graph.ask(document("sales_view"), VIEW)
    assert errors(found) == MISSING | {(code, "availability")}
    lines = [row for edge in found["data"]["customer"]["orders"]["edges"] for row in edge["node"]["lines"]]
    assert {row["availability"] for row in lines} == {None}
    assert all(row["item"]["name"].startswith("Hex bolt") for row in lines if row["item"])
    assert "cs_1" not in msgspec.json.encode(found).decode()


async def test_a_rep_sees_no_orders_of_customers_of_others(graph: ShopGraph):
    query = "query One($number: String!) { order(by: {number: $number}) { number customer { number } } }"
    found = [(await graph.ask(query, {"number": number}))["data"]["order"] for number in ("101", "106", "107")]
    assert found == [{"number": "101", "customer": {"number": "1"}}, None, None]
    graph.shop.orders[0]["customer_id"] = 4
    assert (await graph.ask(query, {"number": "101"}))["data"]["order"] is None


async def test_missing_capabilities_name_the_source(graph: ShopGraph):
    answer = await graph.ask(document("sales_view"), VIEW)
    said = " ".join(error["message"] for error in answer["errors"])
    assert "WooCommerce has no credit limits" in said
    assert "WooCommerce has no prices by customer" in said


async def test_a_webhook_is_taken_once_and_of_this_shop_only(graph: ShopGraph):
    raw = msgspec.json.encode(graph.shop.orders[0])
    answers = [await graph.tell(raw) for _ in range(2)]
    assert [(one.status_code, one.json()) for one in answers] == [
        (202, {"notices": 1, "new": 1}),
        (202, {"notices": 1, "new": 0}),
    ]
    foreign = await graph.tell(raw, **{"x-wc-webhook-source": "https://other.example.com/"})
    forged = await graph.tell(raw, **{"x-wc-webhook-signature": "AAAA"})
    assert [(one.status_code, one.json()["errors"][0]["extensions"]["code"]) for one in (foreign, forged)] == [
        (403, "WEBHOOK_FOREIGN"),
        (401, "WEBHOOK_FORGED"),
    ]


async def test_the_ping_of_a_saved_webhook_is_answered_with_200_and_tells_nothing(graph: ShopGraph):
    """WooCommerce shows an error for any other status, 202 too. The ping is a form, and not signed."""
    for media_type in (FORM, f"{FORM}; charset=UTF-8"):
        answer = await graph.client.post(
            "/webhooks/shop", content=b"webhook_id=7", headers={"content-type": media_type}
        )
        assert (answer.status_code, answer.json()) == (200, {"notices": 0, "new": 0})
    assert set(graph.shop.seen) <= {"GET /products"}  # The ping of the start.


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        (b"webhook_id=x", 401, "WEBHOOK_UNSIGNED"),
        (b"id=101&number=101", 401, "WEBHOOK_UNSIGNED"),
        (b"webhook_id=" + b"7" * 100, 413, "PAYLOAD_TOO_LARGE"),
    ],
)
async def test_another_form_is_no_ping(graph: ShopGraph, raw: bytes, status: int, code: str):
    answer = await graph.client.post("/webhooks/shop", content=raw, headers={"content-type": FORM})
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (status, code)
