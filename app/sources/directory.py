"""The list of warehouses, kept for a while: a handful of rows that nearly every answer needs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from cachetools import TTLCache

from app.auth.principal import SYSTEM, Principal
from app.sources.warehouses import Warehouse, Warehouses


class WarehouseDirectory:
    """Warehouses of one or several sources, read as the gateway itself and kept for `ttl` seconds.

    Concurrent first readers share one read. A failed read is not kept.
    """

    def __init__(self, ports: Sequence[Warehouses], ttl: float = 600) -> None:
        self._ports = ports
        self._kept: TTLCache[str, tuple[Warehouse, ...]] = TTLCache(maxsize=1, ttl=ttl)
        self._reading: asyncio.Task[tuple[Warehouse, ...]] | None = None

    async def all(self, who: Principal) -> tuple[Warehouse, ...]:
        """All warehouses, by code; the same for every caller."""
        kept = self._kept.get("all")
        if kept is not None:
            return kept
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
        return await asyncio.shield(self._reading)

    async def _read(self) -> tuple[Warehouse, ...]:
        found = await asyncio.gather(*(port.all(SYSTEM) for port in self._ports))
        by_code: dict[str, Warehouse] = {}
        for warehouses in found:
            for warehouse in warehouses:
                by_code.setdefault(warehouse.code, warehouse)
        kept = self._kept["all"] = tuple(by_code[code] for code in sorted(by_code))
        return kept
