"""Ports over adapters that a test holds in its hand, compiled as a gateway compiles them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from app.sources.pipeline.compose import compile_source, compose_port, scope_source
from app.sources.pipeline.routes import Routes
from app.sources.ports import Port
from app.sources.source import Source
from app.sources.values import utc_now


async def _nothing() -> None:
    """Neither pings nor closes anything."""


def source_of(name: str, **ports: Any) -> Source:
    """A source with these ports."""
    return Source(name=name, vendor="test", ping=_nothing, aclose=_nothing, **ports)


def compiled(port: Port, adapter: Any, source: str = "erp", clock: Callable[[], datetime] = utc_now) -> Any:
    """The reads that an adapter has of a port, as compiled for one source."""
    part = Fragment(adapter, port)
    return getattr(compile_source(source_of(source, **{port.name: part}), clock), port.name)


def composed(port: Port, sources: Mapping[str, Any], routes: Routes | None = None) -> Any:
    """The reads that all these adapters have of a port, routed and row scoped."""
    own = routes or Routes(next(iter(sources)))
    reads = {name: read for name, read in port if all(hasattr(one, name) for one in sources.values())}
    return compose_port(replace(port, reads=reads), {port.name: own}, sources)


def scoped(port: Port, adapter: Any) -> Any:
    """The reads of one named source, row scoped."""
    return getattr(scope_source(source_of("erp", **{port.name: Fragment(adapter, port)})), port.name)


class Fragment:
    """An adapter that has some reads of a port; the others fail."""

    def __init__(self, adapter: Any, port: Port) -> None:
        for name, _ in port:
            setattr(self, name, getattr(adapter, name, _missing))


async def _missing(*_: Any, **__: Any) -> Any:
    raise NotImplementedError
