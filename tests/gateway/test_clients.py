"""Clients in other people's hands: typed code from the schema, Apollo Client, Python's gql."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from graphql import build_schema, parse, validate

from tests.support.node_tools import node_folder

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = ROOT / "clients"
DOCUMENTS = sorted((CLIENTS / "documents").glob("*.graphql"))
OPERATIONS = {
    "CustomerCard": "Query",
    "Find": "Query",
    "ItemList": "Query",
    "OrderTracking": "Query",
    "PriceAndAvailability": "Query",
    "Promise": "Query",
    "SalesView": "Query",
    "ShipmentUpdates": "Subscription",
}


def run(*command: str | Path, **variables: str) -> str:
    """What a command in clients/ prints; its complaint fails the test."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=CLIENTS,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def node_modules() -> Path:
    """The packages of clients/package-lock.json."""
    return node_folder(CLIENTS) / "node_modules"


@pytest.fixture(scope="module")
def generated(node_modules: Path) -> Path:
    """clients/generated, made anew: types from the schema and the documents, compiled."""
    folder = CLIENTS / "generated"
    shutil.rmtree(folder, ignore_errors=True)
    run(node_modules / ".bin" / "graphql-codegen", "--config", "codegen.yml", "--silent")
    run(node_modules / ".bin" / "tsc")
    return folder


@dataclass(frozen=True)
class Demo:
    """A running demo: where it answers, and a token that sees prices."""

    url: str
    token: str

    def ask(self, body: str) -> dict[str, Any]:
        """The answer to a request as somebody wrote it down."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        answer = httpx.post(self.url, content=body, headers=headers, timeout=30)
        assert answer.status_code == 200
        return answer.json()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """`./run demo` on a free port, as a newcomer starts it."""
    data_dir = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "app.cli"]
    running = subprocess.Popen(
        [*command, "demo", "--port", "0", "--data-dir", data_dir], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert running.stdout
        found = next((hit for line in running.stdout if (hit := re.search(r"http://[^/ ]+/graphql", line))), None)
        assert found, "the demo stopped without an address"
        made = [*command, "token", "--role", "sales_rep", "--customer", "CUST-0001", "--data-dir", data_dir]
        token = subprocess.run(made, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
        threading.Thread(target=running.stdout.read, daemon=True).start()  # it may go on printing
        yield Demo(found[0], token)
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(timeout=20)
        if running.stdout:
            running.stdout.close()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_document_is_valid(document: Path):
    schema = build_schema((ROOT / "schema.graphql").read_text())
    assert validate(schema, parse(document.read_text())) == []


@pytest.mark.node
@pytest.mark.timeout(240)
def test_codegen_types_every_operation(generated: Path):
    text = (generated / "operations.ts").read_text()
    made = re.findall(r"^export type (\w+)(Query|Subscription|Mutation)(Variables)? = ", text, re.MULTILINE)
    assert {name: kind for name, kind, _ in made} == OPERATIONS
    assert {name for name, _, variables in made if variables} == set(OPERATIONS)
    assert set(re.findall(r"^export const (\w+)Document = ", text, re.MULTILINE)) == set(OPERATIONS)
    assert "any" not in re.findall(r"\b\w+\??: (\w+)", text)


def seen(customer: dict[str, Any]) -> None:
    """What both scripts must have printed of the demo's first customer."""
    assert customer["number"] == "CUST-0001"
    assert customer["name"]
    assert len(customer["orders"]) == 5
    assert all(re.fullmatch(r"SO-\d+", order["number"]) and order["lines"] >= 1 for order in customer["orders"])


@pytest.mark.node
@pytest.mark.timeout(240)
def test_apollo_client_reads_the_sales_view(generated: Path, demo: Demo):
    script = generated / "js" / "sales_view_apollo.js"
    seen(json.loads(run("node", script, "CUST-0001", GRAPH_URL=demo.url, GRAPH_TOKEN=demo.token)))


def test_python_gql_reads_the_sales_view(demo: Demo):
    printed = run(sys.executable, "sales_view_gql.py", "CUST-0001", GRAPH_URL=demo.url, GRAPH_TOKEN=demo.token)
    seen(json.loads(printed))


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_request_shown_to_newcomers_is_answered(page: str, demo: Demo):
    (body,) = re.findall(r"^  -d '(.*)'$", (ROOT / page).read_text(), re.MULTILINE)
    answer = demo.ask(body)
    assert "errors" not in answer
    customer = answer["data"]["customer"]
    assert customer["creditStatus"]["state"] in {"OK", "WARN", "HOLD", "BLOCKED"}
    assert customer["orders"]["edges"][0]["node"]["number"].startswith("SO-")
