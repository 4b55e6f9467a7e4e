"""What an adapter hands over: one connected source with the ports it can serve."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from app.auth.principal import SYSTEM, CustomerOwned
from app.errors import SourceError, TradegraphError
from app.http.resilience.breaker import BreakerState
from app.http.resilience.guard import SourceGuard
from app.http.resilience.state import SourceState
from app.sources.accounts import Accounts
from app.sources.billing import Billing, BillingSearch
from app.sources.capabilities import Capability, Limitation
from app.sources.changes import Changes
from app.sources.commissions import Commissions
from app.sources.consumer import Topic
from app.sources.contacts import Contacts
from app.sources.customers import Credit, Customers
from app.sources.downloads import Downloads
from app.sources.items import ItemContents, Items
from app.sources.lists import ListCapability
from app.sources.order_writer import OrderWriter
from app.sources.orders import Orders, OrderSearch
from app.sources.prices import Prices
from app.sources.purchases import Purchases
from app.sources.quote_writer import QuoteWriter
from app.sources.quotes import Quotes
from app.sources.receivables import Receivables
from app.sources.return_writer import ReturnWriter
from app.sources.search import Search
from app.sources.shipments import Shipments, ShipmentSearch
from app.sources.stock import Balances, Reservations, Stock
from app.sources.warehouses import Warehouses
from app.sources.webhooks import Webhooks
from app.telemetry import log

if TYPE_CHECKING:
    from app.sources.pipeline.cache.cache import Cache
    from app.sources.pipeline.order_targets import OrderTargets
    from app.sources.pipeline.routes import Routes

R = TypeVar("R", bound="CustomerOwned")


def by_hundreds(_: str, keys: int, __: Any) -> int:
    """One request for each hundred keys."""
    return -(-keys // 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A connected source. A port it cannot serve is None; `ping` raises a SourceError when it is not well.

    `tenant` is whose data it holds; None for all tenants'. `guard` knows how the calls to it go. `requests` says how
    many requests a read of so many keys makes on the wire. A source that `coalesces` sends the reads of one moment
    together, as one request. `prices_by_agreement` says that its prices depend on the agreement that a customer's
    record names, `brings_shipments` that its orders come with their shipments.
    `lists` says of each list, such as `orders.search`, which filters and sorts it can answer. `limitations` are by port
    or read; `capabilities` are filled in once the source is compiled.

    `shipment_hint_key` is the key by which its hints name shipments. For `settle_seconds` a change may still appear in
    its feed before changes that were already returned. Where the feed is `feed_incomplete`, what is open is fetched
    again periodically. `running` is its background work in a gateway, if it has any; `topics` are
    those of a message broker.
    """

    name: str
    vendor: str
    ping: Callable[[], Awaitable[None]]
    aclose: Callable[[], Awaitable[None]]
    guard: SourceGuard | None = None
    customers: Customers | None = None
    credit: Credit | None = None
    items: Items | None = None
    contents: ItemContents | None = None
    warehouses: Warehouses | None = None
    stock: Stock | None = None
    reservations: Reservations | None = None
    balances: Balances | None = None
    prices: Prices | None = None
    orders: Orders | None = None
    shipments: Shipments | None = None
    billing: Billing | None = None
    commissions: Commissions | None = None
    receivables: Receivables | None = None
    contacts: Contacts | None = None
    purchases: Purchases | None = None
    quotes: Quotes | None = None
    accounts: Accounts | None = None
    order_writer: OrderWriter | None = None
    quote_writer: QuoteWriter | None = None
    return_writer: ReturnWriter | None = None
    search: Search | None = None
    downloads: Downloads | None = None
    changes: Changes | None = None
    webhooks: Webhooks | None = None
    requests: Callable[[str, int, Any], int] = by_hundreds
    tenant: str | None = None
    coalesces: bool = False
    prices_by_agreement: bool = False
    brings_shipments: bool = False
    lists: Mapping[str, ListCapability] = field(default_factory=dict)
    limitations: Mapping[str, Limitation] = field(default_factory=dict)
    capabilities: tuple[Capability, ...] = ()
    shipment_hint_key: Literal["id", "tracking_number"] = "id"
    settle_seconds: float = 0.0
    feed_incomplete: bool = False
    running: Callable[[], AbstractAsyncContextManager[None]] | None = None
    topics: tuple[Topic, ...] = ()

    def serves(self, port: str, read: str) -> bool:
        """Whether the source, once compiled, implements this read of a port."""
        return any(one.is_implemented for one in self.capabilities if (one.port, one.read) == (port, read))


def source_states(sources: Iterable[Source]) -> list[SourceState]:
    """The states of the sources that have a guard, by name."""
    guarded = ((source, source.guard) for source in sorted(sources, key=lambda one: one.name))
    return [guard.state(source.vendor) for source, guard in guarded if guard is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The ports of the graph, one per domain, routed and row scoped.

    `routes` are the masters of each configured domain. `scoped` are the connected sources with row-scoped ports, for
    ids of a named source. `order_views` and `shipment_views` are the ports of enriching sources. `prices_by_agreement`
    says that a price request needs the customer's agreement. `third_party` are the codes of warehouses whose balances
    have a source of their own. `order_targets` are the sources that take orders, if any does. `uncached` are the
    connected sources past the cache. `indexed` says that `search` is the gateway's own index,
    which calls no source.
    """

    customers: Customers
    credit: Credit
    items: Items
    contents: ItemContents
    warehouses: Warehouses
    stock: Stock
    reservations: Reservations
    balances: Balances
    prices: Prices
    orders: OrderSearch
    shipments: ShipmentSearch
    billing: BillingSearch
    commissions: Commissions
    receivables: Receivables
    contacts: Contacts
    purchases: Purchases
    quotes: Quotes
    accounts: Accounts
    search: Search
    routes: Mapping[str, Routes]
    scoped: Mapping[str, Source]
    order_views: Mapping[str, Orders]
    shipment_views: Mapping[str, Shipments]
    changes: Mapping[str, Changes]
    has_contents: bool
    prices_by_agreement: bool
    third_party: frozenset[str]
    order_targets: OrderTargets | None
    connected: Mapping[str, Source]
    uncached: Mapping[str, Source]
    cache: Cache | None = None
    indexed: bool = False

    def by_ref(self, port: str, system: str, read: str = "by_id") -> Callable[..., Awaitable[Mapping[str, Any]]]:
        """The read of a port by the ids of one system; it finds nothing for an unknown system."""
        source = self.scoped.get(system)
        compiled = getattr(source, port) if source is not None else None
        return _empty_mapping if compiled is None else getattr(compiled, read)

    def rows_of_customer(self, port: str, customer: str | None, rows: tuple[R, ...]) -> tuple[R, ...]:
        """The rows whose customer has the same master as this customer."""
        routes = self.routes.get(port)
        if routes is None or not routes.rules:
            return rows
        master = routes.source_of(customer)
        return tuple(row for row in rows if routes.source_of(row.customer) == master)

    async def ping(self) -> dict[str, TradegraphError | None]:
        """Each source by name with what is wrong with it, or None."""

        async def one(source: Source) -> TradegraphError | None:
            try:
                await source.ping()
            except TradegraphError as error:
                return error
            except Exception as error:  # noqa: BLE001 - an unwell source must not hide the others
                return SourceError(source.name, detail=repr(error))
            return None

        answers = await asyncio.gather(*(one(source) for source in self.connected.values()))
        return dict(zip(self.connected, answers, strict=True))

    def held(self) -> dict[str, list[str]]:
        """The kinds of calls that are held back because they fail, by source."""
        states = source_states(self.connected.values())
        held = {
            one.name: [kind.name for kind in one.kinds if kind.breaker is not BreakerState.CLOSED] for one in states
        }
        return {name: kinds for name, kinds in held.items() if kinds}

    async def warm(self) -> None:
        """Sign in and read reference data, so that no request waits for it. Failures are left to later reads."""
        await self.ping()
        with suppress(TradegraphError):
            for code in await self.unknown_warehouses():
                log.error("balances_of_unknown_warehouse", setting=f"domains.stock.balances.{code}")

    async def unknown_warehouses(self) -> list[str]:
        """The codes in `domains.stock.balances` that no warehouse has. Raises SourceError."""
        known = {warehouse.code for warehouse in await self.warehouses.all(SYSTEM)}
        return sorted(self.third_party - known)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The background tasks of the cache and of sources run; `close` stops those of the cache."""
        if self.cache is not None:
            self.cache.start()
        async with AsyncExitStack() as stack:
            for source in self.connected.values():
                if source.running is not None:
                    await stack.enter_async_context(source.running())
            yield

    async def close(self) -> None:
        """Closes every connection."""
        if self.cache is not None:
            await self.cache.close()
        await asyncio.gather(*(source.aclose() for source in self.connected.values()), return_exceptions=True)


async def _empty_mapping(*_: object, **__: object) -> Mapping[str, Any]:
    return {}
