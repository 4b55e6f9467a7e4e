"""The gateway over the sandbox, both on real ports: what a client of the graph sees, and what its backends count."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from pydantic import SecretStr

from app.auth.demo import AUDIENCE, ISSUER, issue_demo_token
from app.auth.principal import Role
from app.cli.demo import SANDBOX_DOMAINS, sandbox_sources
from app.sandbox import Sandbox
from app.server import create_app
from app.settings import (
    AuthSettings,
    CacheSettings,
    DocumentSettings,
    DownloadSettings,
    EventSettings,
    SearchSettings,
    ServerSettings,
    Settings,
    SourceLimits,
    SourceSettings,
)
from tests.support.serving import serving

DOCUMENTS = Path(__file__).resolve().parents[2] / "clients" / "documents"
TODAY = date(2026, 11, 21)
"""The day it is, for the gateway and for its backends; the sandbox's data is made for it."""

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""Where a gateway's files cost no disk, if there is such a place."""

PATIENT: dict[str, Any] = {"max_wait": 30.0}
"""Limits of a source that a busy machine does not reach; a test of a limit sets its own."""
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
DOWNLOADS = DownloadSettings(secrets=(SecretStr("a secret for the links of the tests, long enough"),))
AUTH = AuthSettings(
    issuer=ISSUER,
    audience=AUDIENCE,
    algorithms=("HS256",),
    secret=SecretStr("a secret of the tests, 32 bytes and more"),
)


def signed(role: Role, *customers: str, agents: Sequence[str] = (), subject: str = "") -> dict[str, str]:
    """The header that says who asks."""
    subject = subject or f"a-{role.value}"
    token = issue_demo_token(AUTH, roles=[role], subject=subject, customers=customers, agents=agents, ttl=86_400)
    return {"authorization": f"Bearer {token}"}


BUYER = signed(Role.BUYER, "CUST-0001")
OTHER_BUYER = signed(Role.BUYER, "CUST-0002")
REP = signed(Role.SALES_REP, *(f"CUST-{number:04}" for number in range(1, 11)))
CSR = signed(Role.CSR)
CSR_LEAD = signed(Role.CSR_LEAD)
OPERATIONS = signed(Role.OPERATIONS)
BUYER_ADMIN = signed(Role.BUYER_ADMIN, "CUST-0001")
SELLER = signed(Role.SALES_REP, *(f"CUST-{number:04}" for number in range(1, 301)))
"""A rep to whom every customer is assigned that tests name: it is buyers, partners and reps who see prices."""


def document(name: str) -> str:
    """One of the consumers' documents, as they wrote it."""
    return (DOCUMENTS / f"{name}.graphql").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Graph:
    """A running gateway as its clients reach it, and the sandbox's controls beside it."""

    client: httpx.AsyncClient
    backends: Mapping[str, httpx.AsyncClient]
    data_dir: Path = Path(".tradegraph")

    async def ask(
        self, query: str, variables: Mapping[str, object] | None = None, *, principal: Mapping[str, str] = CSR
    ) -> dict[str, Any]:
        """The whole answer: `data` and `errors`."""
        response = await self.client.post(
            "/graphql", json={"query": query, "variables": variables or {}}, headers=principal
        )
        return response.json()

    async def data(
        self, query: str, variables: Mapping[str, object] | None = None, *, principal: Mapping[str, str] = CSR
    ) -> dict[str, Any]:
        """The `data` of an answer without errors."""
        answer = await self.ask(query, variables, principal=principal)
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    async def metrics(self) -> str:
        """The metrics, as operations staff read them."""
        response = await self.client.get("/metrics", headers=OPERATIONS)
        assert response.status_code == 200
        return response.text

    async def turn(self, system: str, **knob: object) -> None:
        """Make one resource of a backend misbehave; see `app/sandbox/fault_injection.py`."""
        (await self.backends[system].post("/sandbox/faults", json=knob)).raise_for_status()

    async def requests(self) -> dict[str, int]:
        """HTTP requests that reached each backend since `forget`."""
        answers = await asyncio.gather(*(backend.get("/sandbox/counters") for backend in self.backends.values()))
        return {system: answer.json()["requests"] for system, answer in zip(self.backends, answers, strict=True)}

    async def forget(self) -> None:
        """Start all counters anew."""
        await self._delete("/sandbox/counters")

    async def repair(self) -> None:
        """Undo all injected faults."""
        await self._delete("/sandbox/faults")

    async def _delete(self, path: str) -> None:
        await asyncio.gather(*(backend.delete(path) for backend in self.backends.values()))


@asynccontextmanager
async def gateway(
    sandbox: Sandbox,
    *,
    request_timeout: float = 60.0,
    sources: Mapping[str, Mapping[str, Any]] | None = None,
    clock: Callable[[], datetime] = lambda: NOON,
    **changed: Any,
) -> AsyncIterator[Graph]:
    """The gateway on a port of its own, knobs and counters of the sandbox reset. `sources` overrides settings of
    a source by its name, or adds one like the ERP; `changed` overrides whole sections. Partners may send any text,
    unless `documents` says otherwise, and every read reaches its backend, unless `cache` does; no feed is polled,
    unless `events` does; nothing is indexed, unless `search` does."""
    connected = {
        name: source.model_copy(update={"timeout": 30.0, "limits": SourceLimits(**PATIENT)})
        for name, source in sandbox_sources(sandbox.urls, sandbox.token).items()
    }
    for name, changes in (sources or {}).items():
        limits = SourceLimits(**PATIENT | dict(changes.get("limits", {})))
        base = dict(connected.get(name, connected["erp"]))
        connected[name] = SourceSettings(**{**base, **changes, "limits": limits})
    folder = TemporaryDirectory(prefix="tradegraph-", dir=MEMORY)
    settings = Settings(
        demo=True,
        sources=connected,
        **{
            "auth": AUTH,
            "domains": SANDBOX_DOMAINS,
            "downloads": DOWNLOADS,
            "server": ServerSettings(request_timeout=request_timeout),
            "data_dir": Path(folder.name),
            "documents": DocumentSettings(trusted_roles=()),
            "cache": CacheSettings(enabled=False),
            "events": EventSettings(poll=0, poll_webhooks=0),
            "search": SearchSettings(enabled=False),
            **changed,
        },
    )
    headers = {"authorization": f"Bearer {sandbox.token}"}
    backends = {
        name: httpx.AsyncClient(base_url=url, headers=headers, verify=False, timeout=30)
        for name, url in sandbox.urls.items()
    }
    with folder:
        async with (
            serving(create_app(settings, clock=clock), settings.server.connections) as url,
            httpx.AsyncClient(base_url=url, verify=False, timeout=30) as client,
        ):
            graph = Graph(client, backends, settings.data_dir)
            try:
                await graph.repair()
                await graph.forget()
                yield graph
            finally:
                await graph.repair()
                for backend in backends.values():
                    await backend.aclose()
