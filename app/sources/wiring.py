"""Everything behind the graph: ports, adapters, and the one place that puts them together.

`connect_all` reads the settings, connects each source by the table below and hands out `Sources`: one port per
domain, routed to its master and scoped to the caller's rows. Nothing here opens a connection before the first read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any

from app.auth.principal import SYSTEM
from app.errors import ConfigurationError, SourceError, TradegraphError
from app.http.resilience.breaker import BreakerState
from app.sources.source import source_states
from app.sources.values import utc_now

if TYPE_CHECKING:
    from app.settings import Settings, SourceSettings
    from app.sources.changes import Changes
    from app.sources.items import ItemContents
    from app.sources.pipeline.cache.cache import Cache
    from app.sources.pipeline.row_scope import (
        ScopedBilling,
        ScopedCredit,
        ScopedCustomers,
        ScopedItems,
        ScopedOrders,
        ScopedPrices,
        ScopedShipments,
    )
    from app.sources.source import Source
    from app.sources.stock import Balances, Reservations, Stock
    from app.sources.warehouses import Warehouses

VENDORS = {
    "rest": "app.sources.rest",
    "tryton": "app.sources.tryton",
    "vendure": "app.sources.vendure",
    "karrio": "app.sources.karrio",
}
"""Vendor name in the settings -> the package whose `connect` makes a Source of it."""

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """One port per domain. `order_views` and `shipment_views` are what enriching sources know, by source name;
    `third_party` are the codes of the warehouses whose balances have a source of their own; `uncached` are the
    connected sources past the cache."""

    customers: ScopedCustomers
    credit: ScopedCredit
    items: ScopedItems
    contents: ItemContents
    warehouses: Warehouses
    stock: Stock
    reservations: Reservations
    balances: Balances
    prices: ScopedPrices
    orders: ScopedOrders
    shipments: ScopedShipments
    billing: ScopedBilling
    order_views: Mapping[str, ScopedOrders]
    shipment_views: Mapping[str, ScopedShipments]
    changes: Mapping[str, Changes]
    has_contents: bool
    third_party: frozenset[str]
    connected: Mapping[str, Source]
    uncached: Mapping[str, Source]
    cache: Cache | None = None

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
        """Sign in and read reference data, so that no caller pays for it. What is not well now will be read later."""
        if self.cache is not None:
            self.cache.start()
        await self.ping()
        with suppress(TradegraphError):
            await self.warehouses.all(SYSTEM)

    async def close(self) -> None:
        """Closes every connection."""
        if self.cache is not None:
            await self.cache.close()
        await asyncio.gather(*(source.aclose() for source in self.connected.values()), return_exceptions=True)


def connect(name: str, settings: Any, clock: Clock) -> Source:
    """Connects one source by its vendor's adapter; does no I/O."""
    package = VENDORS.get(settings.vendor)
    if package is None:
        raise ConfigurationError(
            f"sources.{name}.vendor", settings.vendor, f"no such vendor; use one of {', '.join(sorted(VENDORS))}"
        )
    try:
        return import_module(package).connect(name, settings, clock=clock)
    except ValueError:
        # A header refuses it; the value itself may be a secret and is not repeated.
        cure = "holds characters that no HTTP header can carry; look for line ends and letters beyond ASCII"
        raise ConfigurationError(f"sources.{name}.credentials", "[hidden]", cure) from None


def connect_all(settings: Settings, clock: Clock = utc_now) -> Sources:
    """All configured sources, put together by `[domains]` and `[[routes]]`."""
    from app.sources.assembly import assemble
    from app.sources.pipeline.age_metrics import aged
    from app.sources.pipeline.cache.cache import Cache
    from app.sources.pipeline.cache.shared_tier import BACKGROUND_REDIS_TIMEOUT
    from app.sources.pipeline.key_metering import counted
    from app.storage.redis import connect as redis

    longest = max(settings.cache.redis_timeout, BACKGROUND_REDIS_TIMEOUT)
    cache = Cache(settings.cache, clock, lambda: redis(settings.redis, timeout=longest))
    plain = {
        name: counted(connect(name, _with_callers(source, settings), clock))
        for name, source in settings.sources.items()
    }
    connected = {name: aged(cache.wrapped(one, settings.sources[name]), clock) for name, one in plain.items()}
    return assemble(settings, connected, cache, {name: aged(one, clock) for name, one in plain.items()})


def _with_callers(source: SourceSettings, settings: Settings) -> SourceSettings:
    """A source has the classes of `[callers]`, unless it has its own."""
    own = "callers" in source.model_fields_set
    return source if own else source.model_copy(update={"callers": settings.callers})
