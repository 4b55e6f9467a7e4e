"""Ariadne over our printed schema: resolvers for the edges, dictionaries as the upstream sends them, dataloaders made
per request, httpx.

    python -m bench.peers.ariadne_peer PORT UPSTREAM_URL
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from ariadne import ObjectType, QueryType, load_schema_from_path, make_executable_schema  # pyright: ignore[reportMissingImports]
from ariadne.asgi import GraphQL  # pyright: ignore[reportMissingImports]
from graphql import GraphQLResolveInfo
from starlette.applications import Starlette
from starlette.routing import Mount

from bench.peers.loading import Loaders, Row, atp, client, node_id, sealed
from bench.processes import ROOT

query = QueryType()
customer, order, line = ObjectType("Customer"), ObjectType("Order"), ObjectType("OrderLine")
item, shipment = ObjectType("Item"), ObjectType("Shipment")


def loaders(info: GraphQLResolveInfo) -> Loaders:
    return info.context["loaders"]


@query.field("customer")
async def resolve_customer(_: Any, info: GraphQLResolveInfo, by: Row) -> Any:
    return await loaders(info).customers.load(by["number"])


@query.field("itemsBySku")
async def resolve_items(_: Any, info: GraphQLResolveInfo, skus: list[str]) -> Any:
    return await loaders(info).items.load_many(skus)


@customer.field("id")
def resolve_customer_id(row: Row, _: GraphQLResolveInfo) -> str:
    return node_id("Customer", row["number"])


@customer.field("creditStatus")
async def resolve_credit(row: Row, info: GraphQLResolveInfo) -> Any:
    return await loaders(info).credit.load(row["number"])


@customer.field("orders")
async def resolve_orders(row: Row, info: GraphQLResolveInfo, first: int, **_: Any) -> Row:
    page = await loaders(info).orders.load((row["number"], first))
    return {
        "edges": [{"node": one} for one in page["rows"]],
        "pageInfo": {"hasNextPage": page["hasNext"], "endCursor": sealed(page["cursors"])},
    }


@order.field("id")
def resolve_order_id(row: Row, _: GraphQLResolveInfo) -> str:
    return node_id("Order", "erp", row["id"])


@order.field("total")
def resolve_total(row: Row, _: GraphQLResolveInfo) -> Row:
    return row["totals"]["total"]


@order.field("shipments")
async def resolve_shipments(row: Row, info: GraphQLResolveInfo) -> list[Row]:
    return await loaders(info).shipments.load(row["number"]) or []


@line.field("item")
async def resolve_item(row: Row, info: GraphQLResolveInfo) -> Any:
    return await loaders(info).items.load(row["sku"])


@line.field("contractPrice")
async def resolve_line_price(row: Row, info: GraphQLResolveInfo) -> Row:
    return await _price(info, row["customer"], row["sku"], row["quantity"], row["uom"])


@item.field("contractPrice")
async def resolve_item_price(row: Row, info: GraphQLResolveInfo, customer: Row, quantity: str, **_: Any) -> Row:
    return await _price(info, customer["number"], row["sku"], quantity, None)


async def _price(info: GraphQLResolveInfo, number: str, sku: str, quantity: str, uom: str | None) -> Row:
    row = await loaders(info).prices.load((number, sku, quantity, uom))
    return {**row, "freshness": {"asOf": row["asOf"], "cached": False}}


@line.field("availability")
@item.field("availability")
async def resolve_availability(row: Row, info: GraphQLResolveInfo, **_: Any) -> list[Row]:
    level = await loaders(info).stock.load(row["sku"])
    freshness = {"asOf": level["asOf"], "degraded": False}
    return [
        {"warehouse": {"code": one["warehouse"]}, "atp": atp(one), "freshness": freshness} for one in level["positions"]
    ]


@item.field("id")
def resolve_item_id(row: Row, _: GraphQLResolveInfo) -> str:
    return node_id("Item", row["sku"])


@shipment.field("id")
def resolve_shipment_id(row: Row, _: GraphQLResolveInfo) -> str:
    return node_id("Shipment", "logistics", row["id"])


@shipment.field("events")
def resolve_events(row: Row, _: GraphQLResolveInfo, last: int | None = None) -> list[Row]:
    return row["events"] if last is None else row["events"][-last:]


def create_app(upstream: str) -> Starlette:
    http = client(upstream)
    schema = make_executable_schema(
        load_schema_from_path(str(ROOT / "schema.graphql")), query, customer, order, line, item, shipment
    )

    def context(*_: Any) -> Row:
        return {"loaders": Loaders(http)}

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await http.aclose()

    return Starlette(routes=[Mount("/", GraphQL(schema, context_value=context))], lifespan=lifespan)


if __name__ == "__main__":
    uvicorn.run(
        create_app(sys.argv[2]),
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="error",
    )
