"""Orders of companies: by name, id, purchase order number and customer.

Shopify lists the orders of a company by date, and filters that list by nothing. Orders older than 60 days need the
scope `read_all_orders` (https://shopify.dev/docs/api/usage/access-scopes).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from app.auth.principal import Principal
from app.errors import NotSupported
from app.sources.custom_fields import SourceFields
from app.sources.lists import ListCapability, active_filters
from app.sources.orders import CustomerPoKey, Order, OrderQuery, OrderSort
from app.sources.shopify.client import (
    Count,
    ShopifyClient,
    ShopifyConnection,
    ShopifyDocument,
    ShopifyEdge,
    ShopifyEdges,
    ShopifyNodes,
    ShopifyPageInfo,
    ShopifyRows,
    any_of,
    gids,
    local_id,
    rows_of,
    sendable,
)
from app.sources.shopify.cursors import shopify_cursor, tradegraph_cursor
from app.sources.shopify.metafields import field_variables
from app.sources.shopify.options import ShopifyOptions
from app.sources.shopify.order_records import LINE_PARTS, ORDER_PARTS, LineItem, ShopifyOrder, ShopifyOrderMapping
from app.sources.values import Page

ORDER_LISTS = ListCapability(sorts=frozenset({OrderSort.ORDERED_AT_DESC, OrderSort.ORDERED_AT_ASC}))

CHUNK = 50
"""Orders in one call."""

LIST_SIZES = {"lines": 40, "fulfillments": 2, "parts": 20, "events": 5}
"""How much of each order is read with a list. Shopify takes 1,000 points for one query, by a formula that it does not
publish; larger orders are completed by further calls."""

LARGER_SIZES = (
    ({"lines": 250, "fulfillments": 50, "parts": 100, "events": 25}, 3),
    ({"lines": 250, "fulfillments": 250, "parts": 250, "events": 250}, 1),
)
"""How much of a larger order is read at once, with the number of orders in a call."""

_SIZES = "$lines: Int!, $fulfillments: Int!, $parts: Int!, $events: Int!, $fields: [String!], $own: Boolean!"


class CompanyOrders(msgspec.Struct, frozen=True, rename="camel"):
    """A company with a page of its orders."""

    orders: ShopifyEdges[ShopifyOrder]
    external_id: str | None = None
    orders_count: Count | None = None


class LineRows(msgspec.Struct, frozen=True):
    """The further lines of an order."""

    rows: ShopifyConnection[LineItem]


class OrderLines(msgspec.Struct, frozen=True):
    """The answer to LINES; null for an order that is gone."""

    order: LineRows | None


ORDERS = ShopifyDocument(
    f"""query Orders($query: String!, $first: Int!, $after: String, {_SIZES}) {{
  rows: orders(first: $first, after: $after, query: $query, sortKey: PROCESSED_AT, reverse: true) {{
    nodes {{ ...OrderParts }} pageInfo {{ hasNextPage endCursor }}
  }}
}}
{ORDER_PARTS}""",
    ShopifyRows[ShopifyOrder],
)
ORDERS_BY_ID = ShopifyDocument(
    f"""query OrdersById($ids: [ID!]!, {_SIZES}) {{
  nodes(ids: $ids) {{ ...OrderParts }}
}}
{ORDER_PARTS}""",
    ShopifyNodes[ShopifyOrder],
)
COMPANY_ORDERS = ShopifyDocument(
    f"""query CompanyOrders(
  $query: String!, $companies: Int!, $after: String, $first: Int!, $from: String, $reverse: Boolean!, $count: Boolean!,
  {_SIZES}
) {{
  rows: companies(first: $companies, after: $after, query: $query, sortKey: ID) {{
    nodes {{
      externalId ordersCount @include(if: $count) {{ count }}
      orders(first: $first, after: $from, sortKey: PROCESSED_AT, reverse: $reverse) {{
        edges {{ cursor node {{ ...OrderParts }} }} pageInfo {{ hasNextPage endCursor }}
      }}
    }}
    pageInfo {{ hasNextPage endCursor }}
  }}
}}
{ORDER_PARTS}""",
    ShopifyRows[CompanyOrders],
)
LINES = ShopifyDocument(
    f"""query OrderLines($id: ID!, $after: String) {{
  order(id: $id) {{
    rows: lineItems(first: 250, after: $after) {{ nodes {{ ...LineParts }} pageInfo {{ hasNextPage endCursor }} }}
  }}
}}
{LINE_PARTS}""",
    OrderLines,
)


class ShopifyOrders:
    """Orders of the shop, with their fulfilments."""

    def __init__(
        self, client: ShopifyClient, options: ShopifyOptions, clock: Callable[[], datetime], fields: SourceFields
    ) -> None:
        self._client = client
        self._clock = clock
        self._mapping = ShopifyOrderMapping(client.name, options, fields)
        self._own = field_variables(fields, "Order")
        self._listed = {**LIST_SIZES, **self._own}

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Order]:
        wires = await self._by_gid(gids("Order", ids), self._listed, CHUNK, "orders.by_id")
        found = {local_id(wire.id): wire for wire in await self._completed(wires)}
        return self._keyed(ids, found)

    async def by_number(self, principal: Principal, numbers: Sequence[str]) -> Mapping[str, Order]:
        found = {wire.name: wire for wire in reversed(await self._found("name", numbers, "orders.by_number"))}
        return self._keyed(numbers, found)

    async def by_customer_po(
        self, principal: Principal, keys: Sequence[CustomerPoKey]
    ) -> Mapping[CustomerPoKey, Order]:
        newest: dict[CustomerPoKey, ShopifyOrder] = {}
        for wire in await self._found("po_number", [key.number for key in keys], "orders.by_customer_po"):
            if wire.customer and wire.po_number:
                newest.setdefault(CustomerPoKey(customer=wire.customer, number=wire.po_number), wire)
        return self._keyed(keys, newest)

    async def by_customer(
        self, principal: Principal, customers: Sequence[str], query: OrderQuery
    ) -> Mapping[str, Page[Order]]:
        """See `Orders.by_customer`. Shopify has no filters here, and fifty orders in one call."""
        after = shopify_cursor(query.page.after)
        if active_filters(query) or query.sort not in ORDER_LISTS.sorts:
            raise NotSupported("Shopify lists the orders of a customer by date only, without filters.")
        companies = await self._companies(sendable(customers), query, query.page.first, after)
        pages: dict[str, Page[Order]] = {}
        for number, company in companies.items():
            edges = list(company.orders.edges)
            page = company.orders.page_info
            while page.has_next_page and len(edges) < query.page.first:
                more = await self._companies([number], query, query.page.first - len(edges), page.end_cursor)
                if number not in more or not more[number].orders.edges:
                    break
                edges += more[number].orders.edges
                page = more[number].orders.page_info
            pages[number] = await self._page(
                company, edges, has_next=page.has_next_page, has_previous=after is not None
            )
        return {number: pages[number] for number in dict.fromkeys(customers) if number in pages}

    async def _companies(
        self, numbers: Sequence[str], query: OrderQuery, first: int, after: str | None
    ) -> dict[str, CompanyOrders]:
        variables = {
            "first": min(first, CHUNK),
            "from": after,
            "reverse": query.sort is OrderSort.ORDERED_AT_DESC,
            "count": query.page.count,
            **self._listed,
        }

        async def read(chunk: Sequence[str]) -> list[CompanyOrders]:
            given = {"query": any_of("external_id", chunk), "companies": len(chunk), **variables}
            return await self._client.all_rows(COMPANY_ORDERS, given, call="orders.by_customer")

        companies = await self._client.read_chunks(numbers, read)
        return {one.external_id: one for one in companies if one.external_id and one.external_id in numbers}

    async def _page(
        self, company: CompanyOrders, edges: Sequence[ShopifyEdge[ShopifyOrder]], *, has_next: bool, has_previous: bool
    ) -> Page[Order]:
        now = self._clock()
        wires = await self._completed([edge.node for edge in edges])
        return Page(
            rows=tuple(self._mapping.order(wire, now) for wire in wires),
            cursors=tuple(tradegraph_cursor(edge.cursor) for edge in edges),
            has_next=has_next,
            has_previous=has_previous,
            total=company.orders_count.count if company.orders_count else None,
        )

    async def _found(self, field: str, keys: Sequence[str], call: str) -> list[ShopifyOrder]:
        """Orders with one of the keys, newest first in each portion."""

        async def read(chunk: Sequence[str]) -> list[ShopifyOrder]:
            given = {"query": any_of(field, chunk), "first": rows_of(chunk, CHUNK), **self._listed}
            return await self._client.all_rows(ORDERS, given, call=call)

        wires = await self._client.read_chunks(sendable(keys), read, CHUNK)
        return await self._completed(list({wire.id: wire for wire in wires}.values()))

    async def _by_gid(
        self, ids: Sequence[str], sizes: Mapping[str, object], size: int, call: str
    ) -> list[ShopifyOrder]:
        async def read(chunk: Sequence[str]) -> list[ShopifyOrder]:
            answer = await self._client.read(ORDERS_BY_ID, {"ids": list(chunk), **sizes}, call=call)
            return [wire for wire in answer.nodes if wire is not None]

        return await self._client.read_chunks(ids, read, size)

    async def _completed(self, wires: Sequence[ShopifyOrder]) -> list[ShopifyOrder]:
        """The orders with all their lines and fulfilments: those larger than a list reads are read again."""
        found = {wire.id: wire for wire in wires}
        for sizes, together in LARGER_SIZES:
            larger = [id for id, wire in found.items() if not wire.is_whole]
            if not larger:
                break
            again = await self._by_gid(larger, {**sizes, **self._own}, together, "orders.larger")
            found |= {wire.id: await self._with_lines(wire) for wire in again}
        return [found[wire.id] for wire in wires]

    async def _with_lines(self, wire: ShopifyOrder) -> ShopifyOrder:
        if not wire.line_items.page_info.has_next_page:
            return wire

        async def page(after: str | None) -> ShopifyConnection[LineItem]:
            answer = await self._client.read(LINES, {"id": wire.id, "after": after}, call="orders.lines")
            return answer.order.rows if answer.order else ShopifyConnection.empty()

        first = wire.line_items
        more = await self._client.all_pages(page, call="orders.lines", after=first.page_info.end_cursor)
        lines = ShopifyConnection((*first.nodes, *more), ShopifyPageInfo(has_next_page=False))
        return msgspec.structs.replace(wire, line_items=lines)

    def _keyed(self, keys: Iterable[Any], wires: Mapping[Any, ShopifyOrder]) -> dict[Any, Order]:
        now = self._clock()
        return {key: self._mapping.order(wires[key], now) for key in dict.fromkeys(keys) if key in wires}
