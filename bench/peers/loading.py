"""What the two Python peers share: one aiodataloader per kind of read, over one httpx client, anew per operation."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
from aiodataloader import DataLoader

Row = dict[str, Any]


def client(upstream: str) -> httpx.AsyncClient:
    """The connection to the upstream; the pool is large enough for the highest load of the benchmark."""
    limits = httpx.Limits(max_connections=512, max_keepalive_connections=512)
    return httpx.AsyncClient(base_url=upstream, limits=limits, headers={"Authorization": "Bearer bench"})


def node_id(*parts: str) -> str:
    """The graph's id of a thing."""
    return base64.urlsafe_b64encode(":".join(parts).encode()).rstrip(b"=").decode()


def sealed(cursors: list[str]) -> str | None:
    """The last cursor, as the graph hands it out."""
    if not cursors:
        return None
    return base64.urlsafe_b64encode(json.dumps(["orders", cursors[-1]]).encode()).rstrip(b"=").decode()


def atp(position: Row) -> str:
    """What a warehouse can promise today: the lowest balance ahead."""
    running = low = (
        int(position["onHand"])
        - int(position["reserved"])
        - int(position["qualityHold"])
        - int(position["safetyStock"])
    )
    for change in position["supply"]:
        running += int(change["delta"])
        low = min(low, running)
    return str(max(0, low))


class Loaders:
    """Loaders by what they give."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self.customers = self._by_key("/v1/customers/read", "numbers")
        self.credit = self._by_key("/v1/credit/read", "customers")
        self.items = self._by_key("/v1/items/read", "skus")
        self.stock = self._by_key("/v1/stock/read", "skus")
        self.shipments = self._by_key("/v1/shipments/by-order", "orders")
        self.orders: DataLoader[Any, Any] = DataLoader(self._orders)
        self.prices: DataLoader[Any, Any] = DataLoader(self._prices)

    async def _post(self, path: str, body: Row) -> list[Row]:
        response = await self._http.post(path, json=body)
        response.raise_for_status()
        return response.json()

    def _by_key(self, path: str, name: str) -> DataLoader[str, Any]:
        async def load(keys: list[str]) -> list[Any]:
            found = {row["key"]: row["value"] for row in await self._post(path, {name: keys})}
            return [found.get(key) for key in keys]

        return _loader(load)

    async def _orders(self, keys: list[tuple[str, int]]) -> list[Any]:
        """By (customer, first); one call for each page size, which is one."""
        found: dict[tuple[str, int], Row] = {}
        for first in dict.fromkeys(first for _, first in keys):
            page = {"first": first, "after": None, "count": False}
            body = {
                "customers": [customer for customer, size in keys if size == first],
                "query": {"page": page, "sort": "ORDERED_AT_DESC"},
            }
            for row in await self._post("/v1/orders/by-customer", body):
                found[row["key"], first] = row["value"]
        return [found.get(key) for key in keys]

    async def _prices(self, keys: list[tuple[str, str, str, str | None]]) -> list[Any]:
        """By (customer, sku, quantity, uom)."""
        names = ("customer", "sku", "quantity", "uom")
        questions = [dict(zip(names, key, strict=True)) for key in keys]
        rows = await self._post("/v1/prices/quote", {"requests": questions})
        found = {row["key"]: row["value"] for row in rows}
        return [found.get(place) for place in range(len(keys))]


def _loader(load: Callable[[list[str]], Coroutine[Any, Any, list[Any]]]) -> DataLoader[str, Any]:
    return DataLoader(load)
