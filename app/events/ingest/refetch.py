"""How a subject of each kind is fetched again, and the event that describes it.

Subjects are read past the cache and unscoped; row scope is applied when the event is delivered.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from app.auth.principal import SYSTEM
from app.events.ingest.intake_relay import INTAKE_SOURCE, of_intake
from app.events.invalidation import ANNOUNCED_KINDS, CACHED_KINDS, invalidation_tag
from app.events.log import ChangeEvent
from app.intake.store import IntakeStore
from app.settings import Settings
from app.sources.billing import Invoice, Return, ReturnCreditState
from app.sources.changes import EVERY_KEY, ChangeKind
from app.sources.node_ids import node_id
from app.sources.orders import Order
from app.sources.quotes import Quote
from app.sources.shipments import Shipment
from app.sources.source import Source, Sources

IGNORED_FIELDS = frozenset({"freshness", "updatedAt"})
"""What differs between two readings of a thing that has not changed."""

Found = Mapping[str, Sequence[ChangeEvent]]


class Refetcher:
    """Fetches subjects from the connected sources."""

    def __init__(self, sources: Sources, settings: Settings, intakes: IntakeStore | None = None) -> None:
        self._intakes = intakes
        self._sources = sources.uncached
        self._cache = sources.cache
        self._caching = settings.cache.enabled
        stock = settings.domains.stock
        self._balance_sources: Mapping[str, str] = stock.balances if stock else {}

    def announces(self, kind: ChangeKind, name: str) -> bool:
        """Whether changes of this kind are announced without a fetch."""
        return kind in ANNOUNCED_KINDS and name in self._sources

    async def invalidate_shared(self, kind: ChangeKind, keys: Collection[str]) -> None:
        """End entries of the shared cache. Raises StoreUnavailable."""
        if self._caching and self._cache is not None and kind in CACHED_KINDS:
            await self._cache.invalidate_shared({invalidation_tag(kind, key) for key in keys})

    def announcement(self, kind: ChangeKind, name: str, key: str, now: datetime, *, deleted: bool) -> ChangeEvent:
        """The event that a subject may have changed. For `EVERY_KEY` it names none."""
        subject = "Item" if kind is ChangeKind.ITEM else "Customer"
        return ChangeEvent(
            kind=kind,
            source=name,
            key=key,
            node_id="" if key == EVERY_KEY else node_id(subject, key),
            recorded_at=now,
            customer=key if subject == "Customer" and key != EVERY_KEY else None,
            deleted=deleted,
            tenant=self._sources[name].tenant,
        )

    def publishes(self, kind: ChangeKind, name: str) -> bool:
        """Whether the subjects of this kind and source are fetched again."""
        if kind is ChangeKind.INTAKE:
            return self._intakes is not None and name == INTAKE_SOURCE
        source = self._sources.get(name)
        if source is None:
            return False
        if kind is ChangeKind.SHIPMENT:
            return source.shipments is not None
        if kind is ChangeKind.ORDER:
            return source.orders is not None
        if kind is ChangeKind.INVOICE:
            return source.billing is not None
        if kind is ChangeKind.QUOTE:
            return source.quotes is not None
        if kind is ChangeKind.RETURN:
            return source.serves("billing", "returns_by_id")
        return kind is ChangeKind.STOCK and any((source.stock, source.reservations, source.balances))

    async def fetch(self, kind: ChangeKind, name: str, keys: Sequence[str], now: datetime) -> Found:
        """The events that describe subjects as they are now, by the key that hints have; absent subjects are missing.
        One read of a port, however many they are. Raises the source's errors."""
        if kind is ChangeKind.INTAKE and self._intakes is not None:
            return {key: [of_intake(one, now)] for key, one in (await self._intakes.by_id(keys)).items()}
        found, tenant = await self._fetch(kind, name, keys, now), self._sources[name].tenant
        if tenant is None:
            return found
        return {key: [msgspec.structs.replace(one, tenant=tenant) for one in events] for key, events in found.items()}

    async def _fetch(self, kind: ChangeKind, name: str, keys: Sequence[str], now: datetime) -> Found:
        source = self._sources[name]
        if kind is ChangeKind.SHIPMENT:
            return {key: [of_shipment(row, now)] for key, row in (await _shipments(source, keys)).items()}
        if kind is ChangeKind.ORDER and source.orders is not None:
            orders = await source.orders.by_number(SYSTEM, keys)
            ignored = IGNORED_FIELDS if source.shipments is None else IGNORED_FIELDS | {"shipments"}
            return {key: [_of_order(row, ignored, now)] for key, row in orders.items()}
        if kind is ChangeKind.INVOICE and source.billing is not None:
            invoices = await source.billing.by_id(SYSTEM, keys)
            return {key: [_of_invoice(row, now)] for key, row in invoices.items()}
        if kind is ChangeKind.QUOTE and source.quotes is not None:
            quotes = await source.quotes.by_id(SYSTEM, keys)
            return {key: [_of_quote(row, now)] for key, row in quotes.items()}
        if kind is ChangeKind.RETURN and source.billing is not None:
            returns = await source.billing.returns_by_id(SYSTEM, keys)  # type: ignore[attr-defined]
            return {key: [_of_return(row, now)] for key, row in returns.items()}
        return {key: [_of_stock(name, key, row, now)] for key, row in (await self._levels(source, keys)).items()}

    async def _levels(self, source: Source, keys: Sequence[str]) -> Mapping[str, Any]:
        if source.stock is not None:
            return await source.stock.levels(SYSTEM, keys)
        if source.reservations is not None:
            reserved = await source.reservations.reservations(SYSTEM, keys)
            return {key: reserved.get(key, ()) for key in keys}
        codes = [code for code, name in self._balance_sources.items() if name == source.name]
        if source.balances is None or not codes:
            return {}
        balances = await source.balances.balances(SYSTEM, codes, keys)
        return {key: [balances[code, key] for code in codes if (code, key) in balances] for key in keys}


async def _shipments(source: Source, keys: Sequence[str]) -> Mapping[str, Shipment]:
    if source.shipments is None:
        return {}
    if source.shipment_hint_key == "tracking_number":
        return await source.shipments.by_tracking_number(SYSTEM, keys)
    return await source.shipments.by_id(SYSTEM, keys)


def of_shipment(row: Shipment, now: datetime) -> ChangeEvent:
    """A shipment's event. `at` is the time of its newest tracking event."""
    newest = max(row.events, key=lambda event: event.at, default=None)
    return ChangeEvent(
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
        digest=content_digest(row, IGNORED_FIELDS),
    )


def _of_order(row: Order, ignored: Collection[str], now: datetime) -> ChangeEvent:
    return ChangeEvent(
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
        digest=content_digest(row, ignored),
    )


def _of_invoice(row: Invoice, now: datetime) -> ChangeEvent:
    return ChangeEvent(
        kind=ChangeKind.INVOICE,
        source=row.source,
        key=row.id,
        node_id=row.node_id,
        recorded_at=now,
        customer=row.customer,
        orders=row.orders,
        status=row.status,
        raw_code=row.raw_status,
        digest=content_digest(row, IGNORED_FIELDS),
    )


def _of_quote(row: Quote, now: datetime) -> ChangeEvent:
    return ChangeEvent(
        kind=ChangeKind.QUOTE,
        source=row.source,
        key=row.id,
        node_id=row.node_id,
        at=row.updated_at,
        recorded_at=now,
        customer=row.customer,
        orders=() if row.order_number is None else (row.order_number,),
        status=row.status,
        raw_code=row.raw_status,
        digest=content_digest(row, IGNORED_FIELDS),
    )


def _of_return(row: Return, now: datetime) -> ChangeEvent:
    """A return's event. Its status is that of the goods, until the return is credited."""
    is_credited = row.credit_state is ReturnCreditState.CREDITED
    return ChangeEvent(
        kind=ChangeKind.RETURN,
        source=row.source,
        key=row.id,
        node_id=row.node_id,
        recorded_at=now,
        customer=row.customer,
        orders=() if row.order is None else (row.order,),
        status=row.credit_state if is_credited else row.shipment_state,
        digest=content_digest(row, IGNORED_FIELDS),
    )


def _of_stock(name: str, sku: str, row: Any, now: datetime) -> ChangeEvent:
    return ChangeEvent(
        kind=ChangeKind.STOCK,
        source=name,
        key=sku,
        node_id=node_id("Item", sku),
        recorded_at=now,
        digest=content_digest(row, IGNORED_FIELDS | {"asOf"}),
    )


def content_digest(row: Any, without: Collection[str]) -> str:
    """A digest of rows, without some attributes."""
    plain = msgspec.to_builtins(row, order="deterministic")
    plain_value = _without(plain, without)
    return hashlib.blake2b(msgspec.json.encode(plain_value, order="deterministic"), digest_size=16).hexdigest()


def _without(plain_value: Any, without: Collection[str]) -> Any:
    if isinstance(plain_value, dict):
        # A deployment without fields of its own has the digests that it had before there were any.
        left = {name: value for name, value in plain_value.items() if name != "custom" or value is not None}
        return {name: _without(value, without) for name, value in left.items() if name not in without}
    return [_without(one, without) for one in plain_value] if isinstance(plain_value, list | tuple) else plain_value
