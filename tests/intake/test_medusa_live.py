"""Orders by `submitOrder` in a real Medusa: one, though the gateway is killed between its draft and Medusa's answer.
Run with `--live` against `backends/medusa/run.sh`."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.auth.principal import Role
from tests.contract.medusa_case import URL, secret_key
from tests.intake.test_posting_live import INTAKE, LIMITS, posted, submit, until
from tests.support.gateway import AUTH, Graph, signed
from tests.support.processes import serve
from tests.upstreams.proxy import proxy

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

BUYER = signed(Role.BUYER, "CUST-0012")
PORTS = ("customers", "items", "warehouses", "stock", "prices")


def environment(folder: Path, base_url: str, key: str, region: str) -> dict[str, str]:
    """A gateway whose only source is the shop, on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    auth = AUTH.model_dump(mode="json", exclude_unset=True) | {"secret": AUTH.secret and AUTH.secret.get_secret_value()}
    shop = {
        "vendor": "medusa",
        "base_url": base_url,
        "timeout": 30,
        "limits": LIMITS,
        "credentials": {"secret_key": key},
        "options": {"currency": "USD", "region": region, "max_order_seconds": 10},
    }
    sections: dict[str, Any] = {
        "server": {"port": port},
        "auth": auth,
        "sources": {"shop": shop},
        "domains": {port: {"master": "shop"} for port in PORTS} | {"orders": {"master": "shop", "write": "shop"}},
        "search": {"enabled": False},
        "events": {"poll": 0, "poll_webhooks": 0},
        "intake": INTAKE,
    }
    return os.environ | {
        "TRADEGRAPH_DATA_DIR": str(folder),
        "TRADEGRAPH_DEMO": "true",
        **{f"TRADEGRAPH_{name.upper()}": json.dumps(section) for name, section in sections.items()},
    }


async def orders_of(client: httpx.AsyncClient, po: str) -> list[dict[str, Any]]:
    """The orders and drafts of a purchase order number."""
    params = {"entity": "order", "field": "metadata.po_number", "value[]": po}
    return (await client.get("/admin/lookup", params=params)).raise_for_status().json()["rows"]


async def test_order_is_one_order_of_the_shop(tmp_path: Path):
    key, secret = f"live-{time.time_ns()}", secret_key()
    async with (
        httpx.AsyncClient(base_url=URL, auth=(secret, ""), timeout=60) as medusa,
        proxy(URL) as before,
    ):
        [region] = (await medusa.get("/admin/regions")).raise_for_status().json()["regions"]
        settings = environment(tmp_path, before.url, secret, region["id"])
        before.hangs = (b"tradegraph_key",)
        async with serve(settings) as killed, killed.client() as client:
            intake = await submit(Graph(client, {}, tmp_path), key)

            async def drafted() -> bool:
                return [one["draft"] for one in await orders_of(medusa, f"PO {key}")] == [True]

            await until(drafted)
            killed.process.kill()
            await killed.process.wait()
        before.hangs = ()
        async with serve(settings) as running, running.client() as client:
            graph = Graph(client, {}, tmp_path)
            done = await posted(graph, intake["id"])
            assert {(await submit(graph, key))["id"] for _ in range(2)} == {intake["id"]}
        [made] = await orders_of(medusa, f"PO {key}")
        assert (made["draft"], made["status"], made["number"]) == (False, "pending", done["orderNumber"])
        assert (done["order"]["status"], [one["quantity"] for one in done["order"]["lines"]]) == (
            "CONFIRMED", ["12", "12"],
        )  # fmt: skip
