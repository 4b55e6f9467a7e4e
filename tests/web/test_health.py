"""Liveness, readiness and metrics."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette

from app.auth.chain import CompositeAuthenticator
from app.auth.principal import Role
from app.auth.stores import connect_keys
from app.errors import SourceTimeout, SourceUnavailable, TradegraphError
from app.server import may_read_metrics, process_metrics
from app.settings import Settings
from app.telemetry import backend_call
from app.web.health import Readiness, health_routes
from tests.support.gateway import AUTH, BUYER, OPERATIONS, signed
from tests.support.serving import serving

UP = {"erp": None, "commerce": None}
SETTINGS = Settings(demo=True, auth=AUTH)
OK = {"status": "ok", "master": True}


class Backends:
    """Answers pings as it is told, and counts them."""

    def __init__(self, answers: Mapping[str, TradegraphError | None]) -> None:
        self.answers = answers
        self.asked = 0

    async def ping(self) -> Mapping[str, TradegraphError | None]:
        self.asked += 1
        await asyncio.sleep(0)
        return self.answers


class Clock:
    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


async def may_read(authorization: str | None) -> None:
    await may_read_metrics(
        SecretStr("scraper"), CompositeAuthenticator(SETTINGS, connect_keys(SETTINGS)), authorization
    )


@asynccontextmanager
async def health(readiness: Readiness) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        serving(Starlette(routes=health_routes(readiness, process_metrics, may_read))) as url,
        httpx.AsyncClient(base_url=url) as client,
    ):
        yield client


async def test_ready_when_all_masters_answer():
    async with health(Readiness(Backends(UP).ping, {"erp"})) as client:
        response = await client.get("/readyz")
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    assert response.json() == {
        "status": "ready",
        "sources": {"commerce": {"status": "ok", "master": False}, "erp": OK},
    }


@pytest.mark.parametrize("status", [200, 503])
async def test_only_a_master_that_fails_makes_it_unready(status: int):
    error = SourceTimeout("commerce", detail="connect to 10.0.0.7 failed")
    masters = {"erp"} if status == 200 else {"erp", "commerce"}
    async with health(Readiness(Backends({"erp": None, "commerce": error}).ping, masters)) as client:
        response = await client.get("/readyz")
        assert (await client.get("/livez")).json() == {"status": "ok"}
    assert response.status_code == status
    assert response.json()["sources"]["commerce"] == {
        "status": "failing",
        "master": status == 503,
        "code": "SOURCE_TIMEOUT",
    }
    assert "10.0.0.7" not in response.text


async def test_many_probes_ask_the_sources_once_a_second():
    backends, clock = Backends(UP), Clock()
    readiness = Readiness(backends.ping, {"erp"}, now=clock)
    async with health(readiness) as client:
        await asyncio.gather(*(client.get("/readyz") for _ in range(10)))
        assert backends.asked == 1
        clock.time += 0.99
        assert (await client.get("/readyz")).status_code == 200
        assert backends.asked == 1
        backends.answers = {"erp": SourceUnavailable("erp"), "commerce": None}
        clock.time += 0.01
        assert (await client.get("/readyz")).status_code == 503
        assert backends.asked == 2


async def test_metrics_are_in_prometheus_text():
    backend_call("metrics-test", "ping", "ok", 0.01)
    async with health(Readiness(Backends(UP).ping, {"erp"})) as client:
        response = await client.get("/metrics", headers={"authorization": "Bearer scraper"})
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    line = 'tradegraph_backend_calls_total{call="ping",outcome="ok",source="metrics-test"} 1.0'
    assert line in response.text


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 401, "UNAUTHENTICATED"),
        ({"authorization": "Bearer scrapers"}, 401, "UNAUTHENTICATED"),
        ({"authorization": "Basic scraper"}, 401, "UNAUTHENTICATED"),
        (BUYER, 403, "FORBIDDEN"),
        (signed(Role.FINANCE), 403, "FORBIDDEN"),
    ],
    ids=["nobody", "another token", "another scheme", "a buyer", "finance"],
)
async def test_metrics_are_for_the_scraper_and_for_staff(headers: dict[str, str], status: int, code: str):
    async with health(Readiness(Backends(UP).ping, {"erp"})) as client:
        refused = await client.get("/metrics", headers=headers)
        assert (refused.status_code, refused.json()["errors"][0]["extensions"]["code"]) == (status, code)
        assert "tradegraph_" not in refused.text
        assert (await client.get("/metrics", headers=OPERATIONS)).status_code == 200
