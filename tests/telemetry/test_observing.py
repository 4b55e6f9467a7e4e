"""The dashboard and the alert rules: they speak of metrics that exist, promtool accepts them, and they fire."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client import Counter, Gauge, Histogram

from app.sandbox import Sandbox
from app.telemetry import Metrics
from tests.support.gateway import OPERATIONS, gateway

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "alerts.yml"
DASHBOARD = DEPLOY / "grafana" / "tradegraph.json"
PROMTOOL, PROMETHEUS = shutil.which("promtool"), shutil.which("prometheus")
NAME = re.compile(r"\b(?:tradegraph|process|python)_\w+")

with_prometheus = pytest.mark.skipif(
    PROMTOOL is None or PROMETHEUS is None, reason="no Prometheus: Debian's package is `prometheus`"
)


def exported() -> dict[str, set[str]]:
    """The labels of every series that the gateway can export, by the series' name."""
    found: dict[str, set[str]] = {}
    registry = Metrics().registry
    for kept in registry._collector_to_names:
        if isinstance(kept, Counter | Gauge | Histogram):
            endings = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(str(kept._type), [""])
            found.update({f"{kept._name}{ending}": set(kept._labelnames) for ending in endings})
    for family in registry.collect():
        if not family.name.startswith("tradegraph_"):
            suffix = "_total" if family.type == "counter" else ""
            found[f"{family.name}{suffix}"] = {name for sample in family.samples for name in sample.labels}
    return found


def panels() -> list[dict[str, Any]]:
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[tuple[str, str]]:
    """Every expression of the dashboard and of the rules, by what it is for."""
    for panel in panels():
        yield from ((panel["title"], target["expr"]) for target in panel["targets"])
    for rule in rules():
        yield rule["alert"], rule["expr"]


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def test_dashboard_and_rules_speak_of_metrics_that_exist():
    known = exported()
    used = {(title, name) for title, expression in expressions() for name in NAME.findall(expression)}
    assert len(used) > 50
    assert {(title, name) for title, name in used if name not in known} == set()


def test_dashboard_and_rules_speak_of_labels_that_exist():
    known = exported()
    for title, expression in expressions():
        labels = set().union({"job", "instance", "le"}, *(known[name] for name in NAME.findall(expression)))
        grouped = {label.strip() for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(",")}
        matched = set(re.findall(r"[{,]\s*(\w+)(?:=~|!~|!=|=)", expression))
        assert (grouped | matched) - {""} <= labels, title


def test_dashboard_shows_every_metric_of_ours():
    shown = {name for _, expression in expressions() for name in NAME.findall(expression)}
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in exported() if name.startswith("tradegraph_")}
    assert families - {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown} == set()


def test_panels_do_not_overlap():
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    ids = [panel["id"] for panel in json.loads(DASHBOARD.read_text())["panels"]]
    assert len(ids) == len(set(ids))


def test_every_alert_is_described():
    text = (DEPLOY.parent / "docs" / "observing.md").read_text()
    assert {rule["alert"] for rule in rules()} == set(re.findall(r"^\| `(Tradegraph\w+)` \|", text, re.MULTILINE))
    assert {rule["labels"]["severity"] for rule in rules()} == {"critical", "warning", "info"}


@with_prometheus
@pytest.mark.parametrize(
    "command",
    [
        ["check", "rules", "alerts.yml"],
        ["check", "config", "--syntax-only", "prometheus.yml"],
        ["test", "rules", "alerts_test.yml"],
    ],
    ids=" ".join,
)
def test_promtool_accepts_the_rules(command: list[str]):
    done = subprocess.run([str(PROMTOOL), *command], cwd=RULES.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@asynccontextmanager
async def prometheus(folder: Path, target: str) -> AsyncIterator[httpx.AsyncClient]:
    """A real Prometheus that scrapes `target` every second and evaluates our rules five times a second, without their
    patience."""
    table = yaml.safe_load(RULES.read_text())
    for rule in table["groups"][0]["rules"]:
        rule["for"] = "0s"
    (folder / "alerts.yml").write_text(yaml.safe_dump(table))
    config = yaml.safe_load((RULES.parent / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "200ms"}
    config["scrape_configs"][0]["static_configs"] = [{"targets": [target]}]
    (folder / "metrics.token").write_text(OPERATIONS["authorization"].removeprefix("Bearer "))
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    process = await asyncio.create_subprocess_exec(
        str(PROMETHEUS),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://{address}/api/v1") as client:
            yield client
    finally:
        process.terminate()
        await process.wait()


async def firing(client: httpx.AsyncClient) -> set[tuple[str, str]]:
    """The alerts that fire, each with its source; none while Prometheus is not there yet."""
    try:
        answer = (await client.get("/alerts")).json()
    except (httpx.HTTPError, json.JSONDecodeError):
        return set()
    alerts = [alert for alert in answer["data"]["alerts"] if alert["state"] == "firing"]
    return {(alert["labels"]["alertname"], alert["labels"].get("source", "")) for alert in alerts}


@with_prometheus
@pytest.mark.timeout(300)
async def test_alerts_fire_when_a_backend_fails_and_when_the_gateway_is_down(dated_sandbox: Sandbox, tmp_path: Path):
    query = '{ order(by: {number: "SO-100040"}) { number shipments { trackingNumber } } }'
    async with asyncio.timeout(100), AsyncExitStack() as running:
        graph = await running.enter_async_context(gateway(dated_sandbox))
        async with prometheus(tmp_path, graph.client.base_url.netloc.decode()) as client:
            await graph.data(query)
            while not await up(client):
                await asyncio.sleep(0.05)  # Another process: there is nothing to wait for but its answers.
            while ("TradegraphDown", "") in await firing(client):
                await asyncio.sleep(0.05)
            await graph.turn("logistics", resource="*", errorRate=1.0)
            while ("TradegraphBackendFails", "logistics") not in await firing(client):
                await graph.ask(query)
            assert ("TradegraphBackendFails", "erp") not in await firing(client)
            await running.aclose()
            while ("TradegraphDown", "") not in await firing(client):
                await asyncio.sleep(0.05)


async def up(client: httpx.AsyncClient) -> bool:
    """Whether the gateway was scraped."""
    try:
        answer = (await client.get("/query", params={"query": 'up{job="tradegraph"}'})).json()
    except (httpx.HTTPError, json.JSONDecodeError):
        return False
    return [row["value"][1] for row in answer["data"]["result"]] == ["1"]
