"""Tenants: what a source of one tenant holds is absent for callers of another, like what does not exist."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from app.auth.principal import Principal
from app.sources.pipeline.row_scope import Call
from app.sources.ports import Read, Shape


def scope_tenant(tenant: str, call: Call, read: Read) -> Call:
    """The same read for callers of this tenant; for all others it finds nothing and sends nothing."""

    def scoped(principal: Principal, *arguments: Any, **options: Any) -> Awaitable[Any]:
        return call(principal, *arguments, **options) if principal.belongs_to(tenant) else _absent(read)

    return scoped


async def _absent(read: Read) -> Any:
    if read.shape is Shape.LIST:
        return read.page(total=0)
    return () if read.shape is Shape.ALL else {}
