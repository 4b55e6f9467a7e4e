"""Streams of what changes."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from app.errors import NotSupported
from app.resolvers.context import Context


async def shipment_updates(_: Context, **__: Any) -> AsyncGenerator[Any, None]:
    """Refuses until there is a log of events to read from."""
    raise NotSupported("Shipment updates are not served by this release.")
    yield
