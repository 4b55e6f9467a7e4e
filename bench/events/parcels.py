"""The backend of the measurement: shipments that move one step at a time, and tell of it when they are asked.

Each step has a number of its own, which is the `location` of the shipment's newest event.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from bench.upstream import Connection, response

EVENTS = 3
"""Events of a shipment that are told, the newest."""

JSON, LINES = b"application/json", b"application/x-ndjson"


def shipment_id(place: int) -> str:
    """The id of a shipment."""
    return f"P{place:05}"


def customer_of(place: int, customers: int) -> str:
    """Whose it is."""
    return f"C{place % customers:04}"


@dataclass
class Parcels:
    """Shipments by id, of some customers in turn. `delay` is how many seconds each answer waits."""

    count: int
    customers: int
    delay: float = 0.0
    reads: int = 0
    _events: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    _rows: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for place in range(self.count):
            key, customer = shipment_id(place), customer_of(place, self.customers)
            self._events[key] = []
            self._rows[key] = {
                "id": key,
                "orders": [f"O{place:05}"],
                "customer": customer,
                "trackingNumber": f"T{key}",
                "carrier": "UPS",
                "packages": [],
                "lines": [],
            }

    def move(self, key: str, number: int) -> None:
        """A step of a shipment happens."""
        events, now = self._events[key], _now()
        sequence = events[-1]["sequence"] + 1 if events else 1
        events.append(
            {"sequence": sequence, "at": now, "status": "IN_TRANSIT", "location": str(number), "rawCode": "IT"}
        )
        del events[:-EVENTS]

    def answer(self, path: bytes, body: bytes) -> bytes:
        """The bytes to send back for a request."""
        self.reads += 1
        asked = orjson.loads(body) if body else {}
        if path != b"/v1/batch":
            return response(200, JSON, orjson.dumps(self._read(path.decode(), asked)))
        parts = (
            {"id": part["id"], "status": 200, "body": self._read(part["path"], part.get("body") or {})}
            for part in asked
        )
        return response(200, LINES, b"".join(orjson.dumps(part) + b"\n" for part in parts))

    def _read(self, path: str, asked: Any) -> Any:
        if path == "/v1/shipments/read":
            keys = [*asked.get("ids", ()), *(number[1:] for number in asked.get("trackingNumbers", ()))]
            own = asked.get("ids") or asked.get("trackingNumbers") or ()
            return [
                {"key": name, "value": self._row(key)} for name, key in zip(own, keys, strict=True) if key in self._rows
            ]
        return {} if path == "/livez" else []

    def _row(self, key: str) -> dict[str, Any]:
        status = "IN_TRANSIT" if self._events[key] else "PENDING"
        return self._rows[key] | {"status": status, "rawStatus": status, "events": self._events[key], "asOf": _now()}

    @asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        """The backend on a free port, as its address."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Connection(self), "127.0.0.1", 0, backlog=1024)  # type: ignore[arg-type]
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def _now() -> str:
    return datetime.now(UTC).isoformat()
