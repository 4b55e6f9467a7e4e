"""Connects the `rest` adapter with the servers of the sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from pydantic import SecretStr

from app.sandbox.build import PORTS
from app.sandbox.process import DEFAULT_TOKEN
from app.settings import SourceSettings
from app.sources.rest import connect
from app.sources.source import Source
from tests.contract.case import Environment


def connect_to(system: str, url: str, **options: object) -> Source:
    """The adapter with the sandbox's token."""
    settings = SourceSettings(
        vendor="rest",
        base_url=url,
        timeout=30,
        credentials={"token": SecretStr(DEFAULT_TOKEN)},
        options={"serves": list(PORTS[system]), **options},
    )
    return connect(system, settings)


def opener(system: str, **options: object) -> Callable[[Environment], AbstractAsyncContextManager[Source]]:
    """Opens one of the three servers."""

    @asynccontextmanager
    async def opened(environment: Environment) -> AsyncIterator[Source]:
        source = connect_to(system, getattr(environment.sandbox(), system), **options)
        try:
            yield source
        finally:
            await source.aclose()

    return opened


def connector(system: str, **options: object) -> Callable[[str], Source]:
    """Connects one system's adapter to any address."""
    return lambda url: connect_to(system, url, **options)
