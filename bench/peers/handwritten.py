"""The limit: a Starlette handler written for exactly these three documents, over our own HTTP client.

No GraphQL, no schema, no authorization, no metrics of its own: it decodes the wanted fields, puts the answer together
and encodes it. It makes the fewest calls there can be, two levels of batches.

    python -m bench.peers.handwritten PORT UPSTREAM_URL
"""

from __future__ import annotations

import asyncio
import base64
import gc
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.http.client import HTTPClient
from app.settings import SourceSettings
from bench.peers import handwritten_rows as rows

encode = msgspec.json.Encoder().encode


def node_id(*parts: str) -> str:
    return base64.urlsafe_b64encode(":".join(parts).encode()).rstrip(b"=").decode()


def atp(position: rows.Position) -> str:
    running = low = (
        int(position.on_hand) - int(position.reserved) - int(position.quality_hold) - int(position.safety_stock)
    )
    for change in position.supply:
        running += int(change.delta)
        low = min(low, running)
    return str(max(0, low))


class Handler:
    """The three documents, by operation name."""

    def __init__(self, upstream: str) -> None:
        settings = SourceSettings(vendor="rest", base_url=upstream, concurrency=256)
        self._erp = HTTPClient("erp", settings)
        self._logistics = HTTPClient("logistics", settings)

    async def aclose(self) -> None:
        await self._erp.aclose()
        await self._logistics.aclose()

    async def __call__(self, request: Request) -> Response:
        body = msgspec.json.decode(await request.body())
        given = body["variables"]
        name = "sales_view" if "SalesView" in body["query"][:40] else "item_list" if "skus" in given else "card"
        answer = await getattr(self, name)(given)
        return Response(encode({"data": answer}), media_type="application/json")

    async def _batch(self, *reads: tuple[str, Any]) -> list[msgspec.Raw]:
        parts = [{"id": str(place), "path": path, "body": body} for place, (path, body) in enumerate(reads)]
        answer = await self._erp.request("POST", "/v1/batch", json=parts, call="batch")
        found = {line.id: line.body for line in rows.batch_lines(answer.body)}
        return [found[str(place)] for place in range(len(reads))]

    async def _post(self, client: HTTPClient, path: str, body: Any) -> bytes:
        return (await client.request("POST", path, json=body, call=path)).body

    async def card(self, given: Any) -> Any:
        number = given["customer"]["number"]
        found = rows.read_cards(await self._post(self._erp, "/v1/customers/read", {"numbers": [number]}))
        return {"customer": _card(found[0].value) if found else None}

    async def item_list(self, given: Any) -> Any:
        skus, number = given["skus"], given["customer"]["number"]
        questions = [{"customer": number, "sku": sku, "quantity": "1"} for sku in skus]
        read_items, read_prices, read_stock = await self._batch(
            ("/v1/items/read", {"skus": skus}),
            ("/v1/prices/quote", {"requests": questions}),
            ("/v1/stock/read", {"skus": skus}),
        )
        known = {one.key: one.value for one in rows.read_catalog(read_items)}
        priced = {one.key: one.value for one in rows.read_list_prices(read_prices)}
        stock = {one.key: one.value for one in rows.read_levels(read_stock)}
        return {
            "itemsBySku": [
                {
                    "id": node_id("Item", sku),
                    "sku": sku,
                    "name": known[sku].name,
                    "category": known[sku].category,
                    "baseUom": known[sku].base_uom,
                    "uoms": known[sku].uoms,
                    "contractPrice": priced[place],
                    "availability": [
                        {"warehouse": {"code": one.warehouse}, "atp": atp(one)} for one in stock[sku].positions
                    ],
                }
                for place, sku in enumerate(skus)
            ]
        }

    async def sales_view(self, given: Any) -> Any:
        number = given["customer"]["number"]
        page = {"first": given["orders"], "after": None, "count": False}
        read_customer, read_orders = await self._batch(
            ("/v1/customers/read", {"numbers": [number], "include": ["CREDIT"]}),
            ("/v1/orders/by-customer", {"customers": [number], "query": {"page": page, "sort": "ORDERED_AT_DESC"}}),
        )
        row = rows.read_customers(read_customer)[0].value
        found = rows.read_pages(read_orders)[0].value
        skus = list(dict.fromkeys(line.sku for order in found.rows for line in order.lines))
        questions = list(
            dict.fromkeys((line.sku, line.quantity, line.uom) for order in found.rows for line in order.lines)
        )
        (read_items, read_prices, read_stock), read_shipments = await asyncio.gather(
            self._batch(
                ("/v1/items/read", {"skus": skus}),
                (
                    "/v1/prices/quote",
                    {
                        "requests": [
                            {"customer": number, "sku": sku, "quantity": quantity, "uom": uom}
                            for sku, quantity, uom in questions
                        ]
                    },
                ),
                ("/v1/stock/read", {"skus": skus}),
            ),
            self._post(self._logistics, "/v1/shipments/by-order", {"orders": [order.number for order in found.rows]}),
        )
        known = {one.key: _item(one.value) for one in rows.read_items(read_items)}
        priced = {questions[one.key]: _price(one.value) for one in rows.read_prices(read_prices)}
        stock = {one.key: _availability(one.value) for one in rows.read_levels(read_stock)}
        sent = {one.key: [_shipment(each) for each in one.value] for one in rows.read_shipments(read_shipments)}
        return {
            "customer": {
                **_card(row),
                "paymentTerms": row.payment_terms,
                "creditStatus": row.credit,
                "shipTos": row.ship_tos,
                "orders": {
                    "edges": [
                        {
                            "node": {
                                "id": node_id("Order", "erp", order.id),
                                "number": order.number,
                                "customerPo": order.customer_po,
                                "status": order.status,
                                "orderedAt": order.ordered_at,
                                "total": order.totals.total,
                                "lines": [
                                    {
                                        "number": line.number,
                                        "quantity": line.quantity,
                                        "uom": line.uom,
                                        "item": known[line.sku],
                                        "contractPrice": priced[line.sku, line.quantity, line.uom],
                                        "availability": stock[line.sku],
                                    }
                                    for line in order.lines
                                ],
                                "shipments": sent.get(order.number, ()),
                            }
                        }
                        for order in found.rows
                    ],
                    "pageInfo": {"hasNextPage": found.has_next, "endCursor": _cursor(found.cursors)},
                },
            }
        }


def _card(row: rows.Card) -> dict[str, Any]:
    return {
        "id": node_id("Customer", row.number),
        "number": row.number,
        "name": row.name,
        "status": row.status,
        "currency": row.currency,
    }


def _cursor(cursors: Sequence[str]) -> str | None:
    if not cursors:
        return None
    return base64.urlsafe_b64encode(encode(["orders", cursors[-1]])).rstrip(b"=").decode()


def _item(row: rows.Item) -> msgspec.Raw:
    """Encoded once, however many lines name it."""
    answer = {"id": node_id("Item", row.sku), "sku": row.sku, "name": row.name, "status": row.status}
    return msgspec.Raw(encode(answer))


def _price(row: rows.Price) -> msgspec.Raw:
    return msgspec.Raw(
        encode(
            {
                "unitPrice": row.unit_price,
                "discountPercent": row.discount_percent,
                "reason": row.reason,
                "freshness": {"asOf": row.as_of, "cached": False},
            }
        )
    )


def _availability(row: rows.Stock) -> msgspec.Raw:
    freshness = {"asOf": row.as_of, "degraded": False}
    return msgspec.Raw(
        encode(
            [{"warehouse": {"code": one.warehouse}, "atp": atp(one), "freshness": freshness} for one in row.positions]
        )
    )


def _shipment(row: rows.Shipment) -> dict[str, Any]:
    return {
        "id": node_id("Shipment", "logistics", row.id),
        "carrier": row.carrier,
        "status": row.status,
        "trackingNumber": row.tracking_number,
        "eta": row.eta,
        "events": row.events[-5:],
    }


def create_app(upstream: str) -> Starlette:
    handler = Handler(upstream)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await handler.aclose()

    return Starlette(routes=[Route("/graphql", handler.__call__, methods=["POST"])], lifespan=lifespan)


if __name__ == "__main__":
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    uvicorn.run(
        create_app(sys.argv[2]),
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="error",
    )
