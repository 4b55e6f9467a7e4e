"""Trusted documents through clients in other people's hands: Apollo Client, Relay, Python's gql."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from gql import Client, GraphQLRequest
from gql.transport.exceptions import TransportQueryError
from gql.transport.httpx import HTTPXAsyncTransport

from app.auth.principal import Role
from app.gateway.documents.publishing.manifests import read_file
from app.gateway.documents.stores.document_store import document_id
from app.gateway.documents.stores.sqlite_documents import SQLiteDocuments
from app.sandbox import Sandbox
from app.settings import DocumentSettings
from tests.support.gateway import CSR, Graph, gateway, signed
from tests.support.node_tools import node_folder
from tests.support.stored import keep, stored

PARTNER = signed(Role.PARTNER, "CUST-0001")
TEXT = "query Card($by: CustomerKey!) {\n  customer(by: $by) {\n    number\n    __typename\n  }\n}"
VARIABLES = {"by": {"number": "CUST-0001"}}
DATA = {"customer": {"number": "CUST-0001", "__typename": "Customer"}}
SETTINGS = DocumentSettings(registering_clients=("a-csr",))


@pytest.fixture
async def graph(dated_sandbox: Sandbox, tmp_path: Path) -> AsyncIterator[Graph]:
    async with gateway(dated_sandbox, data_dir=tmp_path, documents=SETTINGS) as running:
        yield running


async def publish(folder: Path, manifest: Path) -> None:
    """Keep what a manifest holds as published for the partner."""
    store = SQLiteDocuments(folder / "documents.sqlite")
    now = datetime.now(UTC)
    kept = [
        stored("a-partner", one.text, aliases=(one.alias,) if one.alias else (), published=now)
        for one in read_file(manifest)
    ]
    await keep(store, *kept)
    await store.close()


async def node(way: str, graph: Graph, principal: Mapping[str, str], file: Path) -> dict[str, Any]:
    """What the script saw, and how it asked."""
    folder = node_folder()
    url = f"{graph.client.base_url}/graphql"
    running = await asyncio.create_subprocess_exec(
        *("node", "trusted.mjs", way, url, principal["authorization"], file, json.dumps(VARIABLES)),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await running.communicate()
    assert running.returncode == 0, err.decode()
    return json.loads(out)


def written(folder: Path, name: str, content: Any) -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.node
@pytest.mark.timeout(240)
async def test_apollo_client_registers_once_and_asks_by_hash_from_then_on(graph: Graph, tmp_path: Path):
    seen = await node("apq", graph, CSR, written(tmp_path, "card.graphql", TEXT))
    assert seen["answers"] == [DATA, DATA]
    assert seen["sent"] == [
        {"method": "GET", "text": False},
        {"method": "POST", "text": True},
        {"method": "GET", "text": False},
    ]


@pytest.mark.node
@pytest.mark.timeout(240)
async def test_apollo_client_that_may_not_register_goes_on_with_texts(graph: Graph, tmp_path: Path):
    seen = await node("apq", graph, signed(Role.BUYER, "CUST-0001"), written(tmp_path, "card.graphql", TEXT))
    assert seen["answers"] == [DATA, DATA]
    assert [one["text"] for one in seen["sent"]] == [False, True, True]


@pytest.mark.node
@pytest.mark.timeout(240)
async def test_apollo_client_runs_the_documents_of_its_manifest(graph: Graph, tmp_path: Path):
    operation = {"id": document_id(TEXT).removeprefix("sha256:"), "name": "Card", "type": "query", "body": TEXT}
    manifest = {"format": "apollo-persisted-query-manifest", "version": 1, "operations": [operation]}
    file = written(tmp_path, "manifest.json", manifest)
    await publish(tmp_path, file)
    seen = await node("manifest", graph, PARTNER, file)
    assert seen == {"answers": [DATA], "sent": [{"method": "POST", "text": False}]}


@pytest.mark.node
@pytest.mark.timeout(240)
async def test_relay_runs_its_persisted_documents(graph: Graph, tmp_path: Path):
    file = written(tmp_path, "persisted.json", {hashlib.md5(TEXT.encode()).hexdigest(): TEXT})
    await publish(tmp_path, file)
    seen = await node("relay", graph, PARTNER, file)
    assert seen == {"answers": [DATA], "sent": [{"method": "POST", "text": False}]}


class ById(GraphQLRequest):
    """A request of gql that sends the id of its text."""

    @property
    def payload(self) -> dict[str, Any]:
        return {"documentId": document_id(TEXT), "variables": self.variable_values}


async def test_python_gql_runs_a_document_by_its_id(graph: Graph, tmp_path: Path):
    await publish(tmp_path, written(tmp_path, "card.graphql", TEXT))
    transport = HTTPXAsyncTransport(url=f"{graph.client.base_url}/graphql", headers=dict(PARTNER))
    async with Client(transport=transport) as session:
        assert await session.execute(ById(TEXT, variable_values=VARIABLES)) == DATA
        with pytest.raises(TransportQueryError) as caught:
            await session.execute(GraphQLRequest(TEXT, variable_values=VARIABLES))
    assert (caught.value.errors or [])[0]["extensions"]["code"] == "TRUSTED_DOCUMENT_REQUIRED"
