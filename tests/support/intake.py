"""A gateway whose logistics tell it what is new, and what it makes of it."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec

from app.events.log import EventLog, LoggedEvent
from app.events.stores import connect_events
from app.events.stores.cursors import BEGINNING
from app.http.standard_webhooks import decode_secret, signed_headers
from app.sandbox import Sandbox
from app.settings import EventSettings, Settings
from app.sources.changes import ChangeKind
from app.sources.values import utc_now
from app.telemetry import metrics
from tests.support.gateway import Graph, gateway

SECRET = "whsec_" + base64.b64encode(b"the secret of the tests' logistics").decode()
OLDER = "whsec_" + base64.b64encode(b"the one that it had before this one").decode()
OTHER = "whsec_" + base64.b64encode(b"what somebody else would sign with.").decode()
QUIET = EventSettings(poll=0, poll_webhooks=0)
WEBHOOKS = {"secrets": [OLDER, SECRET]}


@dataclass(slots=True)
class IngestBench:
    """The gateway, its log as another worker sees it, and the sandbox's logistics."""

    graph: Graph
    log: EventLog

    @property
    def logistics(self) -> httpx.AsyncClient:
        return self.graph.backends["logistics"]

    async def post(
        self, body: Any, *, source: str = "logistics", id: str = "msg_1", secret: str = SECRET, ago: float = 0
    ) -> httpx.Response:
        """Send a signed webhook; `body` is JSON, or bytes as they are."""
        raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
        headers = signed_headers([decode_secret(secret)], id, int(time.time() - ago), raw)
        return await self.graph.client.post(
            f"/webhooks/{source}", content=raw, headers={"content-type": "application/json", **headers}
        )

    async def updates(self, count: int, *, within: float = 15) -> list[LoggedEvent]:
        """The log, once there are so many updates."""
        async with asyncio.timeout(within):
            page = await self.log.read(BEGINNING)
            while len(page.entries) < count:
                await self.log.wait(page.cursor, 1)
                page = await self.log.read(BEGINNING)
        return list(page.entries)

    async def advance(self, id: str, **step: Any) -> dict[str, Any]:
        """Let a shipment go on, in the sandbox."""
        answer = await self.logistics.post(f"/sandbox/shipments/{id}", json=step)
        return answer.raise_for_status().json()

    async def subscribe_webhooks(self, **more: Any) -> None:
        """Have the sandbox tell the gateway."""
        url = f"{self.graph.client.base_url}/webhooks/logistics".replace("//webhooks", "/webhooks")
        answer = await self.logistics.post("/sandbox/webhook", json={"url": url, "secrets": [SECRET], **more})
        answer.raise_for_status()

    async def sent(self, count: int, *, within: float = 15) -> dict[str, Any]:
        """How the sandbox's webhooks went, once so many were answered."""
        async with asyncio.timeout(within):
            while True:
                state = (await self.logistics.get("/sandbox/webhook")).json()
                if state["accepted"] + state["refused"] >= count:
                    return state
                await asyncio.sleep(0.01)


@asynccontextmanager
async def ingest_bench(
    sandbox: Sandbox, *, events: EventSettings = QUIET, **changed: Any
) -> AsyncIterator[IngestBench]:
    """The gateway over a sandbox, by the real time: signatures have one."""
    sources = {"logistics": {"webhooks": WEBHOOKS}} | changed.pop("sources", {})
    async with gateway(sandbox, clock=utc_now, sources=sources, events=events, **changed) as graph:
        log = connect_events(Settings(data_dir=graph.data_dir))
        try:
            yield IngestBench(graph, log)
        finally:
            await graph.backends["logistics"].delete("/sandbox/webhook")
            await log.close()


def event(key: str, id: str | None = None, kind: str = "SHIPMENT", **more: Any) -> dict[str, Any]:
    """A change as a webhook tells it."""
    return {"kind": kind, "key": key, "at": "2026-11-20T08:00:00Z", **({"id": id} if id else {}), **more}


def count(name: str, **labels: str) -> float:
    """A series of this process."""
    return metrics().registry.get_sample_value(name, labels) or 0.0


def keys(entries: Sequence[LoggedEvent]) -> list[tuple[ChangeKind, str, str | None]]:
    """What updates are about and came to."""
    return [(one.update.kind, one.update.key, one.update.status) for one in entries]


def folder_of(sandbox: Sandbox) -> Path:
    """Where a sandbox has its data, for another one to use."""
    return sandbox.data_dir
