"""Compiles the reads of all ports from their descriptors, once at start-up.

    compile_source    one source: metering, the check of its rows, the cache, metrics of age, its tenant
    compose_port      all sources of a port: routing and row scope
    scope_source      one source again, row scoped: for ids of a named source, and for enriching sources

A step that a read does not need is left out, so that most reads are the adapter's own coroutine.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING, Any, cast

import msgspec

from app.auth.principal import Principal
from app.errors import NotSupported, SourceMalformed
from app.sources.capabilities import Probe, not_supported
from app.sources.lists import ListCapability
from app.sources.pipeline.age_metrics import OBSERVERS, Observe
from app.sources.pipeline.derived_capabilities import capabilities_of, limitation_of, serves
from app.sources.pipeline.key_metering import meter
from app.sources.pipeline.list_queries import check_queries
from app.sources.pipeline.routes import Routes
from app.sources.pipeline.routing import route
from app.sources.pipeline.row_scope import Call, scope_keys, scope_list, scope_rows
from app.sources.pipeline.tenants import scope_tenant
from app.sources.port_registry import PORTS
from app.sources.ports import Companion, Port, Read, Routing, Shape
from app.sources.source import Source

if TYPE_CHECKING:
    from app.sources.pipeline.cache.cache import SourceCache
    from app.sources.ports import Check


class CompiledPort:
    """A port whose reads are compiled: an attribute for each."""

    def __init__(self, reads: Mapping[str, Call]) -> None:
        self.__dict__.update(reads)


class Unserved:
    """Stands for a port that no configured source serves: every read raises NotSupported. `missing` holds why connected
    sources lack it, by name, where they declare it."""

    def __init__(self, domain: str, missing: Mapping[str, str] | None = None) -> None:
        reasons = (not_supported(source, domain, reason).message for source, reason in (missing or {}).items())
        self._message = " ".join([f"None of the connected systems answers for '{domain}'.", *reasons])

    def __getattr__(self, read: str) -> Any:
        if read.startswith("_"):
            raise AttributeError(read)
        return self._refuse

    async def _refuse(self, *_: object, **__: object) -> Any:
        raise NotSupported(self._message)


def compile_source(source: Source, clock: Callable[[], datetime], cache: SourceCache | None = None) -> Source:
    """The same source with compiled ports."""
    ports: dict[str, Any] = {}
    for port in PORTS.values():
        adapter = getattr(source, port.name)
        if adapter is not None:
            reads = {name: _compile(port, name, read, adapter, source, clock, cache) for name, read in port}
            ports[port.name] = CompiledPort(reads)
    return replace(source, **ports, capabilities=source.capabilities or capabilities_of(source))


def missing_port(source: Source, port: Port) -> CompiledPort:
    """Stands for a port that a source does not serve: every read raises NotSupported, which names the source."""
    return CompiledPort({name: _refusal(source, port.name, name) for name, _ in port})


def _refusal(source: Source, port: str, read: str) -> Call:
    error = not_supported(source.name, f"{port}.{read}", limitation_of(source, port, read).missing)

    async def refuse(*_: Any, **__: Any) -> Mapping[Any, Any]:
        raise NotSupported(error.message)

    return refuse


def _probed(call: Call, probe: Probe, refuse: Call) -> Call:
    """The read, unless the last probe did not find it."""

    def probed(*arguments: Any, **options: Any) -> Awaitable[Any]:
        return (refuse if probe.found is False else call)(*arguments, **options)

    return probed


def _compile(
    port: Port,
    name: str,
    read: Read,
    adapter: Any,
    source: Source,
    clock: Callable[[], datetime],
    cache: SourceCache | None,
) -> Call:
    limitation, refuse = limitation_of(source, port.name, name), _refusal(source, port.name, name)
    if not serves(adapter, name, read, limitation):
        return refuse
    call: Call = getattr(adapter, name)
    if limitation.probe is not None:
        call = _probed(call, limitation.probe, refuse)
    if read.query is not None:
        call = check_queries(call, source.lists.get(f"{port.name}.{name}", ListCapability()), source.name)
    if port.metered:
        call = meter(call)
    if read.check is not None:
        call = _checked(read, call, source.name)
    if cache is not None and read.cache is not None:
        call = cache.through(read.cache, call, read.shape)
    observe = OBSERVERS.get(read.record)
    if observe is not None:
        call = _observed(read, call, observe, source.name, clock)
    return call if source.tenant is None else scope_tenant(source.tenant, call, read)


def _checked(read: Read, call: Call, source: str) -> Call:
    """A row that does not fit its key is an error in place of the key, and is logged as what is wrong with it."""
    check = cast("Check", read.check)

    async def checked(principal: Principal, keys: Any, *arguments: Any, **options: Any) -> Mapping[Any, Any]:
        found = await call(principal, keys, *arguments, **options)
        wrong: dict[Any, Exception] = {}
        for key, row in found.items():
            problem = None if isinstance(row, Exception) else check(key, row)
            if problem is not None:
                wrong[key] = SourceMalformed(source, detail=problem)
        return {**found, **wrong} if wrong else found

    return checked


def _observed(read: Read, call: Call, observe: Observe, source: str, clock: Callable[[], datetime]) -> Call:
    async def observed(principal: Principal, *arguments: Any, **options: Any) -> Mapping[Any, Any]:
        found = await call(principal, *arguments, **options)
        observe(source, _rows(read, found), clock)
        return found

    return observed if read.shape in (Shape.ROW, Shape.ROWS) else call


def _rows(read: Read, found: Mapping[Any, Any]) -> list[Any]:
    rows = [value for value in found.values() if not isinstance(value, Exception)]
    return rows if read.shape is Shape.ROW else list(chain.from_iterable(rows))


def compose_port(port: Port, routes: Mapping[str, Routes], sources: Mapping[str, Any]) -> Any:
    """A port over its sources, by name; `routes` are those of all configured domains. Reads of a named source are not
    part of it, see `scope_source`."""
    own = routes.get(port.name) or Routes(next(iter(sources), ""))
    reads: dict[str, Call] = {}
    for name, read in port:
        if read.routing is Routing.SYSTEM:
            continue
        calls = {source: getattr(compiled, name) for source, compiled in sources.items()}
        brings = read.companion is not None and routes.get(read.companion.port) == own
        reads[name] = _scoped(read, route(read, own, calls), brings=brings)
    return CompiledPort(reads)


def scope_source(source: Source) -> Source:
    """The same source with row scope: `ports` whose reads return rows that exist for the caller."""
    ports = {
        port.name: CompiledPort(
            {name: _scoped(read, scope_rows(read, getattr(compiled, name)), brings=False) for name, read in port}
        )
        for port in PORTS.values()
        if (compiled := getattr(source, port.name)) is not None
    }
    return replace(source, **ports)


def _scoped(read: Read, call: Call, *, brings: bool) -> Call:
    if read.companion is not None:
        call = _companion(read, read.companion, call, brings=brings)
    return scope_list(read, call) if read.shape is Shape.LIST else scope_keys(read, call)


def _companion(read: Read, companion: Companion, call: Call, *, brings: bool) -> Call:
    """The read without a volatile attribute that is another port's, unless it is asked for and comes from that port's
    own master."""
    option, attribute = companion.option, companion.attribute

    async def plain(principal: Principal, *arguments: Any, **options: Any) -> Any:
        options.pop(option, None)
        return _without(read, attribute, await call(principal, *arguments, **options))

    def with_companion(principal: Principal, *arguments: Any, **options: Any) -> Awaitable[Any]:
        return (
            call(principal, *arguments, **options) if options.get(option) else plain(principal, *arguments, **options)
        )

    return with_companion if brings else plain


def _without(read: Read, attribute: str, found: Any) -> Any:
    if read.shape is Shape.LIST:
        rows = _stripped(found.rows, attribute)
        return found if rows is found.rows else msgspec.structs.replace(found, rows=rows)
    rows = _stripped(tuple(found.values()), attribute)
    return dict(zip(found, rows, strict=True))


def _stripped(rows: Sequence[Any], attribute: str) -> Sequence[Any]:
    if all(isinstance(row, Exception) or getattr(row, attribute) is None for row in rows):
        return rows
    return tuple(
        row if isinstance(row, Exception) else msgspec.structs.replace(row, **{attribute: None}) for row in rows
    )
