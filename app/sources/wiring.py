"""The composition root of the sources: connects them and wires their ports as `[domains]` and `[[routes]]` say.

Nothing here opens a connection before the first read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from app.errors import ConfigurationError
from app.sources.custom_fields import NO_FIELDS, SourceFields, fields_of_sources
from app.sources.pipeline.cache.cache import Cache
from app.sources.pipeline.cache.shared_tier import BACKGROUND_REDIS_TIMEOUT
from app.sources.pipeline.compose import Unserved, compile_source, compose_port, missing_port, scope_source
from app.sources.pipeline.order_targets import OrderTargets
from app.sources.pipeline.routes import Routes
from app.sources.port_registry import PORTS
from app.sources.ports import Port, Routing
from app.sources.search import SEARCH, Search
from app.sources.source import Source, Sources
from app.sources.values import utc_now
from app.storage.redis import connect as redis

if TYPE_CHECKING:
    from app.settings import Settings, SourceSettings
    from app.sources.brokers.set_aside import SetAsideMessages
    from app.sources.replica.ledger import FileArchive
    from app.sources.rest.conformance import PortConformance


VENDORS = {
    "rest": "app.sources.rest",
    "broker": "app.sources.brokers",
    "business_central": "app.sources.business_central",
    "files": "app.sources.files",
    "odoo": "app.sources.odoo",
    "sap_s4hana": "app.sources.sap_s4hana",
    "shopify": "app.sources.shopify",
    "tryton": "app.sources.tryton",
    "vendure": "app.sources.vendure",
    "karrio": "app.sources.karrio",
    "medusa": "app.sources.medusa",
    "woocommerce": "app.sources.woocommerce",
}
"""Vendor name in the settings -> the package whose `connect` makes a Source of it."""

LOCAL_SCHEMES = {"files": ("file", "sftp"), "broker": ("nats", "tls", "amqp", "amqps", "kafka")}
"""Schemes of the addresses of vendors that are no HTTP servers. These keep a copy of their rows in the data folder."""

ENRICHED = ("orders", "shipments")
"""The domains in which other sources are shown beside the master."""

Clock = Callable[[], datetime]

DEFAULT_DATA_DIR = Path(".tradegraph")


def connect(
    name: str,
    settings: Any,
    clock: Clock,
    fields: SourceFields = NO_FIELDS,
    data_dir: Path = DEFAULT_DATA_DIR,
) -> Source:
    """Connects one source, with the deployment's own fields, by its vendor's adapter; does no I/O."""
    package = VENDORS.get(settings.vendor)
    if package is None:
        raise ConfigurationError(
            f"sources.{name}.vendor", settings.vendor, f"no such vendor; use one of {', '.join(sorted(VENDORS))}"
        )
    schemes = LOCAL_SCHEMES.get(settings.vendor, ("http", "https"))
    if urlsplit(settings.base_url).scheme not in schemes:
        cure = f"vendor '{settings.vendor}' needs an address with {' or '.join(f'{one}://' for one in schemes)}"
        raise ConfigurationError(f"sources.{name}.base_url", settings.base_url, cure)
    try:
        custom: dict[str, Any] = {"fields": fields} if fields.types else {}
        custom |= {"data_dir": data_dir} if settings.vendor in LOCAL_SCHEMES else {}
        return replace(import_module(package).connect(name, settings, clock=clock, **custom), tenant=settings.tenant)
    except ValueError:
        # A header refuses it; the value itself may be a secret and is not repeated.
        cure = "holds characters that no HTTP header can carry; look for line ends and letters beyond ASCII"
        raise ConfigurationError(f"sources.{name}.credentials", "[hidden]", cure) from None


def connect_file_archive(name: str, settings: Settings) -> FileArchive:
    """The files that a source took, for a command beside the gateway. Raises ConfigurationError."""
    from app.sources.files import connect_intake

    return connect_intake(name, settings.sources[name], settings.data_dir)


def connect_set_aside(name: str, settings: Settings) -> SetAsideMessages:
    """The messages of a broker that were set aside, for a command beside the gateway. Raises ConfigurationError."""
    from app.sources.brokers import connect_set_aside_messages

    return connect_set_aside_messages(name, settings.sources[name], settings.data_dir)


def check_conformance(
    url: str, token: str, ports: Collection[str] | None, keys: Collection[str]
) -> list[PortConformance]:
    """How a system at an address conforms to the `rest` contract: the ports named, or all, with known keys as KIND=KEY.
    Raises ConfigurationError for names that there are not."""
    from app.sources.rest.conformance import keys_named, ports_named, run_conformance

    return asyncio.run(
        run_conformance(
            url,
            token,
            ports_named(ports),
            keys_named(keys),
            compile_reads=lambda source: compile_source(source, utc_now),
        )
    )


def connect_all(settings: Settings, clock: Clock = utc_now) -> Sources:
    """All configured sources, wired."""
    longest = max(settings.cache.redis_timeout, BACKGROUND_REDIS_TIMEOUT)
    cache = Cache(settings.cache, clock, lambda: redis(settings.redis, timeout=longest))
    fields = fields_of_sources(settings)
    plain = {
        name: connect(name, _with_callers(source, settings), clock, fields.get(name, NO_FIELDS), settings.data_dir)
        for name, source in settings.sources.items()
    }
    cached = {
        name: compile_source(source, clock, cache.of(name, settings.sources[name], fields.get(name, NO_FIELDS)))
        for name, source in plain.items()
    }
    uncached = {name: compile_source(source, clock) for name, source in plain.items()}
    return assemble(settings, cached, cache, uncached)


def with_index(sources: Sources, index: Search, clock: Clock = utc_now) -> Sources:
    """The sources with the gateway's own search index, where no source has a search that is configured."""
    source = Source(
        name="search", vendor="search", ping=_no_operation, aclose=_no_operation, search=index, requests=lambda *_: 0
    )  # fmt: skip
    compiled = compile_source(source, clock)
    return replace(sources, search=compose_port(SEARCH, {}, {source.name: compiled.search}), indexed=True)


async def _no_operation() -> None:
    return None


def _with_callers(source: SourceSettings, settings: Settings) -> SourceSettings:
    own = "callers" in source.model_fields_set
    return source if own else source.model_copy(update={"callers": settings.callers})


def assemble(
    settings: Settings,
    connected: Mapping[str, Source],
    cache: Cache | None = None,
    uncached: Mapping[str, Source] | None = None,
) -> Sources:
    """The ports of the graph; every mistake in `[domains]` and `[[routes]]` is a ConfigurationError."""
    by = _Assembly(settings, connected)
    by.check_enrichment()
    by.check_topics()
    routes = {name: found for name, port in PORTS.items() if (found := by.routes(port)) is not None}
    ports: dict[str, Any] = {name: by.composed(port, routes) for name, port in PORTS.items()}
    scoped: dict[str, Any] = {name: scope_source(source) for name, source in connected.items()}
    return Sources(
        **ports,
        routes=routes,
        scoped=scoped,
        order_views={name: scoped[name].orders for name in by.enriching("orders")},
        shipment_views={name: scoped[name].shipments for name in by.enriching("shipments")},
        changes={name: source.changes for name, source in connected.items() if source.changes is not None},
        has_contents="contents" in routes,
        order_targets=by.order_targets(),
        prices_by_agreement="prices" in routes
        and any(connected[name].prices_by_agreement for name in routes["prices"].sources),
        third_party=frozenset(settings.domains.stock.balances if settings.domains.stock else ()),
        connected=connected,
        uncached=connected if uncached is None else uncached,
        cache=cache,
    )


class _Assembly:
    """The settings' view of the connected sources: finds the port a key names, or stops the start."""

    def __init__(self, settings: Settings, connected: Mapping[str, Source]) -> None:
        self._settings = settings
        self._connected = connected
        self._exclusive = all(route.exclusive for route in settings.routes)
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
            missing = self._missing(source, port)
            cure = (
                f"vendor '{source.vendor}' does not serve {port}{f' ({missing})' if missing else ''}; "
                f"configured sources that do: {able or 'none'}"
            )
            raise ConfigurationError(key, name, cure)
        return found

    def check_enrichment(self) -> None:
        """Refuse `enrich` where nothing reads it, and sources in it that do not serve the domain."""
        for name, domain in self._settings.domains.configured().items():
            for source in domain.enrich:
                self.port(f"domains.{name}.enrich", source, name)
            if domain.enrich and name not in ENRICHED:
                cure = f"no source adds to {name}, only to {' and '.join(ENRICHED)}; delete `enrich`"
                raise ConfigurationError(f"domains.{name}.enrich", ", ".join(domain.enrich), cure)

    def check_topics(self) -> None:
        """Refuse topics whose messages name subjects of a source that there is not."""
        for name, source in self._connected.items():
            for topic in source.topics:
                if topic.target not in self._connected:
                    cure = f"no such source; configured are: {', '.join(sorted(self._connected))}"
                    raise ConfigurationError(f"sources.{name}.options.topics.{topic.name}.source", topic.target, cure)

    def enriching(self, domain: str) -> tuple[str, ...]:
        """The sources that add to a domain."""
        found = getattr(self._settings.domains, domain)
        return found.enrich if found else ()

    def routes(self, port: Port) -> Routes | None:
        """Routes of a port that has a domain of its own; None where it is not configured.

        A route stands for the master of the customers: it moves all domains that this source is master of.
        """
        master = None if port.domain else self._master(port.name)
        if master is None:
            return None
        moved = port.is_routed_by_customer and master == self._master("customers")
        return Routes(master, self._rules, self._exclusive) if moved else Routes(master)

    def order_targets(self) -> OrderTargets | None:
        """The sources that take orders. A route that moves customers to another master moves their orders too, if that
        source can take them."""
        orders = self._settings.domains.orders
        if orders is None or orders.write is None:
            return None
        rules = self._rules if orders.write == self._master("customers") else ()
        routes = Routes(orders.write, rules)
        named = dict.fromkeys(routes.sources, "routes.source") | {orders.write: "domains.orders.write"}
        named |= {name: f"domains.orders.write_channels.{channel}" for channel, name in orders.write_channels.items()}
        writers = {name: self.port(key, name, "order_writer") for name, key in named.items()}
        return OrderTargets(routes, orders.write_channels, writers)

    def composed(self, port: Port, routes: Mapping[str, Routes]) -> Any:
        """The port over the sources that are configured for it."""
        if port.domain is not None:
            return compose_port(port, routes, self._helpers(port))
        own = routes.get(port.name)
        if own is None:
            missing = {name: self._missing(source, port.name) for name, source in self._connected.items()}
            return Unserved(port.name, {name: reason for name, reason in missing.items() if reason})
        master, *others = own.sources
        sources = {master: self.port(f"domains.{port.name}.master", master, port.name)}
        sources |= {name: self._routed(name, port) for name in others}
        return compose_port(port, routes, sources)

    def _routed(self, name: str, port: Port) -> Any:
        """The port of a source that customers are routed to: it refuses every read if its vendor lacks the port."""
        source = self._connected.get(name)
        if source is not None and getattr(source, port.name) is None and self._missing(source, port.name):
            return missing_port(source, port)
        return self.port("routes.source", name, port.name)

    @staticmethod
    def _missing(source: Source, port: str) -> str | None:
        """Why a source does not serve a port, where it declares it."""
        declared = source.limitations.get(port)
        return declared.missing if declared is not None and getattr(source, port) is None else None

    def _helpers(self, port: Port) -> dict[str, Any]:
        """The sources of a port that `[domains.stock]` lists: by warehouse, or by source name."""
        stock = self._settings.domains.stock
        if any(read.routing is Routing.WAREHOUSE for _, read in port):
            table = stock.balances if stock is not None else {}
            return {code: self.port(f"domains.stock.balances.{code}", name, port.name) for code, name in table.items()}
        names = stock.reservations if stock is not None else ()
        return {name: self.port("domains.stock.reservations", name, port.name) for name in names}

    def _master(self, domain: str) -> str | None:
        found = getattr(self._settings.domains, domain)
        return found.master if found else None
