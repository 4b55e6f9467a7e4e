"""Metering: counts the keys that a request reads from its sources, of which its cost is made."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from app.auth.principal import Principal
from app.sources.pipeline.row_scope import Call
from app.telemetry import scope


def meter(call: Call) -> Call:
    """The same read, counted in the request's scope by its number of keys; a read without keys counts as one."""

    def metered(principal: Principal, *arguments: Any, **options: Any) -> Awaitable[Any]:
        running = scope.get()
        if running is not None:
            keys = arguments[0] if arguments else None
            running.keys += max(len(keys), 1) if isinstance(keys, (list, tuple)) else 1
        return call(principal, *arguments, **options)

    return metered
