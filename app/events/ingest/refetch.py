"""How a thing of each kind is read again, and what its update says.

Things are read past the cache, as the source has them now and whole; who may see what of them is decided where they
are told.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from app.auth.principal import SYSTEM
from app.events.log import Update
from app.settings import Settings
from app.sources.changes import ChangeKind
from app.sources.node_ids import node_id
from app.sources.orders import Order
from app.sources.pipeline.cache.cached_ports import customer_tags, item_tags
from app.sources.shipments import Shipment
from app.sources.source import Source
from app.sources.wiring import Sources

NOT_NEWS = frozenset({"freshness", "updatedAt"})
"""What differs between two readings of a thing that has not changed."""

TAGS = {
    ChangeKind.CUSTOMER: lambda key: customer_tags(key)[1],
    ChangeKind.ITEM: lambda key: item_tags(key)[1],
    ChangeKind.PRICE: lambda _: "price",
}
"""What is kept, and ends with a notice. Other kinds are not kept."""

Found = Mapping[str, Sequence[Update]]


class Rereading:
    """Reads things of all connected sources."""

    def __init__(self, sources: Sources, settings: Settings) -> None:
        self._sources = sources.uncached
        self._cache = sources.cache
        stock = settings.domains.stock
        self._held: Mapping[str, str] = stock.balances if stock else {}

    async def purge(self, kind: ChangeKind, keys: Collection[str]) -> None:
        """End what is kept of things."""
        tag = TAGS.get(kind)
        if tag is not None and self._cache is not None:
            await self._cache.invalidate({tag(key) for key in keys})

    def tells(self, kind: ChangeKind, name: str) -> bool:
        """Whether anybody is told of this kind of thing of this source."""
        source = self._sources.get(name)
        if source is None:
            return False
        if kind is ChangeKind.SHIPMENT:
            return source.shipments is not None
        if kind is ChangeKind.ORDER:
            return source.orders is not None
        return kind is ChangeKind.STOCK and any((source.stock, source.reservations, source.balances))

    async def read(self, kind: ChangeKind, name: str, keys: Sequence[str], now: datetime) -> Found:
        """What the things are now, by the keys that notices have; what does not exist is absent. One read of a port,
        however many they are. Raises the source's errors."""
        source = self._sources[name]
        if kind is ChangeKind.SHIPMENT:
            return {key: [of_shipment(row, now)] for key, row in (await _shipments(source, keys)).items()}
        if kind is ChangeKind.ORDER and source.orders is not None:
            orders = await source.orders.by_number(SYSTEM, keys)
            aside = NOT_NEWS if source.shipments is None else NOT_NEWS | {"shipments"}
            return {key: [_of_order(row, aside, now)] for key, row in orders.items()}
        return {key: [_of_stock(name, key, row, now)] for key, row in (await self._levels(source, keys)).items()}

    async def _levels(self, source: Source, keys: Sequence[str]) -> Mapping[str, Any]:
        """What the source has to say of an item's stock, in whatever form."""
        if source.stock is not None:
            return await source.stock.levels(SYSTEM, keys)
        if source.reservations is not None:
            reserved = await source.reservations.reservations(SYSTEM, keys)
            return {key: reserved.get(key, ()) for key in keys}
        codes = [code for code, name in self._held.items() if name == source.name]
        if source.balances is None or not codes:
            return {}
        balances = await source.balances.balances(SYSTEM, codes, keys)
        return {key: [balances[code, key] for code in codes if (code, key) in balances] for key in keys}


async def _shipments(source: Source, keys: Sequence[str]) -> Mapping[str, Shipment]:
    if source.shipments is None:
        return {}
    if source.tells_by == "tracking_number":
        return await source.shipments.by_tracking_number(SYSTEM, keys)
    return await source.shipments.by_id(SYSTEM, keys)


def of_shipment(row: Shipment, now: datetime) -> Update:
    """A shipment's update. `at` is the time of its newest event."""
    newest = max(row.events, key=lambda event: event.at, default=None)
    return Update(
        kind=ChangeKind.SHIPMENT,
        source=row.source,
        key=row.id,
        node_id=row.node_id,
        at=newest.at if newest else row.updated_at,
        recorded_at=now,
        customer=row.customer,
        orders=row.orders,
        tracking_number=row.tracking_number,
        status=row.status,
        raw_code=(newest.raw_code if newest else None) or row.raw_status,
        digest=digest_of(row, NOT_NEWS),
    )


def _of_order(row: Order, aside: Collection[str], now: datetime) -> Update:
    """An order's update. Shipments that come with it and by no other way are part of it."""
    return Update(
        kind=ChangeKind.ORDER,
        source=row.source,
        key=row.number,
        node_id=row.node_id,
        at=row.updated_at,
        recorded_at=now,
        customer=row.customer,
        orders=(row.number,),
        status=row.status,
        raw_code=row.raw_status,
        digest=digest_of(row, aside),
    )


def _of_stock(name: str, sku: str, row: Any, now: datetime) -> Update:
    return Update(
        kind=ChangeKind.STOCK,
        source=name,
        key=sku,
        node_id=node_id("Item", sku),
        recorded_at=now,
        digest=digest_of(row, NOT_NEWS | {"asOf"}),
    )


def digest_of(row: Any, without: Collection[str]) -> str:
    """Stands for what a row or rows say, some attributes aside."""
    plain = msgspec.to_builtins(row, order="deterministic")
    said = _less(plain, without)
    return hashlib.blake2b(msgspec.json.encode(said, order="deterministic"), digest_size=16).hexdigest()


def _less(said: Any, without: Collection[str]) -> Any:
    if isinstance(said, dict):
        return {name: _less(value, without) for name, value in said.items() if name not in without}
    return [_less(one, without) for one in said] if isinstance(said, list | tuple) else said
