"""Puts connected sources together as `[domains]` and `[[routes]]` say, and checks that they can serve it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from app.errors import ConfigurationError
from app.sources.pipeline.routing import (
    MergedReservations,
    RoutedBalances,
    RoutedBilling,
    RoutedCredit,
    RoutedCustomers,
    RoutedItems,
    RoutedOrders,
    RoutedPrices,
    RoutedShipments,
    Routes,
)
from app.sources.pipeline.row_scope import (
    ScopedBilling,
    ScopedCredit,
    ScopedCustomers,
    ScopedItems,
    ScopedOrders,
    ScopedPrices,
    ScopedShipments,
    Unserved,
)
from app.sources.wiring import Sources

if TYPE_CHECKING:
    from app.settings import Settings
    from app.sources.pipeline.cache.cache import Cache
    from app.sources.source import Source
    from app.sources.stock import Balances, Reservations


class Assembly:
    """The settings' view of the connected sources: finds the port a key names, or stops the start."""

    def __init__(self, settings: Settings, connected: Mapping[str, Source]) -> None:
        self._settings = settings
        self._connected = connected
        self._rules = tuple((pattern, route.source) for route in settings.routes for pattern in route.customers)

    def port(self, key: str, name: str, port: str) -> Any:
        """The port of the named source; ConfigurationError if there is no such source or it cannot serve it."""
        source = self._connected.get(name)
        if source is None:
            known = ", ".join(sorted(self._connected)) or "none"
            raise ConfigurationError(key, name, f"no such source; configured under [sources] are: {known}")
        found = getattr(source, port)
        if found is None:
            able = ", ".join(sorted(other.name for other in self._connected.values() if getattr(other, port)))
            cure = f"vendor '{source.vendor}' does not serve {port}; configured sources that do: {able or 'none'}"
            raise ConfigurationError(key, name, cure)
        return found

    def all_of(self, port: str) -> dict[str, Any]:
        """Every connected source that serves the port, by name."""
        return {name: getattr(source, port) for name, source in self._connected.items() if getattr(source, port)}

    def enriching(self, domain: str, port: str) -> dict[str, Any]:
        """The ports of the sources that add to a domain, by name."""
        found = getattr(self._settings.domains, domain)
        return {name: self.port(f"domains.{domain}.enrich", name, port) for name in (found.enrich if found else ())}

    def master(self, domain: str) -> str | None:
        """The master of a domain as configured."""
        found = getattr(self._settings.domains, domain)
        return found.master if found else None

    def routed(self, domain: str, port: str) -> tuple[Routes, dict[str, Any]] | None:
        """Routes and masters of a domain whose rows belong to customers; None where it is not configured.

        A route stands for the master of the customers: it moves all domains that this source is master of.
        """
        master = self.master(domain)
        if master is None:
            return None
        rules = self._rules if master == self.master("customers") else ()
        ports = {master: self.port(f"domains.{domain}.master", master, port)}
        for _, name in rules:
            ports[name] = self.port("routes.source", name, port)
        return Routes(master, rules), ports

    def single(self, domain: str, port: str) -> Any:
        """The master's port of a domain that is not routed by customer."""
        master = self.master(domain)
        return None if master is None else self.port(f"domains.{domain}.master", master, port)


def assemble(
    settings: Settings,
    connected: Mapping[str, Source],
    cache: Cache | None = None,
    uncached: Mapping[str, Source] | None = None,
) -> Sources:
    """The ports of the graph; every mistake in `[domains]` and `[[routes]]` is a ConfigurationError."""
    by = Assembly(settings, connected)
    balances, reservations = _stock_helpers(by, settings)
    warehouses = by.single("warehouses", "warehouses")
    contents = by.single("contents", "contents")
    order_views = by.enriching("orders", "orders")
    shipment_views = by.enriching("shipments", "shipments")
    return Sources(
        customers=_customers(by),
        credit=_scoped(ScopedCredit, RoutedCredit, by.routed("credit", "credit"), "credit"),
        items=_items(by),
        contents=contents or _unserved("contents"),
        warehouses=warehouses or _unserved("warehouses"),
        stock=by.single("stock", "stock") or _unserved("stock"),
        reservations=MergedReservations(reservations),
        balances=RoutedBalances(balances),
        prices=_scoped(ScopedPrices, RoutedPrices, by.routed("prices", "prices"), "prices"),
        orders=_orders(by),
        shipments=_shipments(by),
        billing=_billing(by),
        order_views={
            name: ScopedOrders(RoutedOrders(Routes(name), {name: port}, {})) for name, port in order_views.items()
        },
        shipment_views={
            name: ScopedShipments(RoutedShipments({name: port}, {})) for name, port in shipment_views.items()
        },
        changes=by.all_of("changes"),
        has_contents=contents is not None,
        third_party=frozenset(balances),
        connected=connected,
        uncached=connected if uncached is None else uncached,
        cache=cache,
    )


def _stock_helpers(by: Assembly, settings: Settings) -> tuple[dict[str, Balances], list[Reservations]]:
    stock = settings.domains.stock
    if stock is None:
        return {}, []
    balances = {
        code: by.port(f"domains.stock.balances.{code}", name, "balances") for code, name in stock.balances.items()
    }
    return balances, [by.port("domains.stock.reservations", name, "reservations") for name in stock.reservations]


def _unserved(domain: str) -> Any:
    return Unserved(domain)


def _scoped(scoped: Any, routed: Any, found: tuple[Routes, dict[str, Any]] | None, domain: str) -> Any:
    return scoped(routed(*found)) if found else _unserved(domain)


def _customers(by: Assembly) -> Any:
    found = by.routed("customers", "customers")
    return ScopedCustomers(RoutedCustomers(*found, by.all_of("customers"))) if found else _unserved("customers")


def _items(by: Assembly) -> Any:
    master = by.single("items", "items")
    return ScopedItems(RoutedItems(master, by.all_of("items"))) if master else _unserved("items")


def _orders(by: Assembly) -> Any:
    found = by.routed("orders", "orders")
    return ScopedOrders(RoutedOrders(*found, by.all_of("orders"))) if found else _unserved("orders")


def _shipments(by: Assembly) -> Any:
    found = by.routed("shipments", "shipments")
    if not found:
        return _unserved("shipments")
    return ScopedShipments(RoutedShipments(found[1], by.all_of("shipments")))


def _billing(by: Assembly) -> Any:
    found = by.routed("billing", "billing")
    return ScopedBilling(RoutedBilling(list(found[1].values()))) if found else _unserved("billing")
