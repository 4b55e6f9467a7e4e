"""Clients in other people's hands: typed code from the schema, Apollo Client, Python's gql."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from graphql import build_schema, parse, validate

ROOT = Path(__file__).resolve().parent.parent
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

needs_node = pytest.mark.skipif(
    not (shutil.which("node") and shutil.which("npm")), reason="needs Node.js with npm (Debian: nodejs, npm)"
)


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
    """The packages of clients/package-lock.json, installed once for each version of it."""
    folder = CLIENTS / "node_modules"
    stamp = folder / ".installed"
    wanted = hashlib.sha256((CLIENTS / "package-lock.json").read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        run("npm", "ci", "--no-audit", "--no-fund", "--loglevel=error")
        stamp.write_text(wanted)
    return folder


@pytest.fixture(scope="module")
def generated(node_modules: Path) -> Path:
    """clients/generated, made anew: types from the schema and the documents, compiled."""
    folder = CLIENTS / "generated"
    shutil.rmtree(folder, ignore_errors=True)
    run(node_modules / ".bin" / "graphql-codegen", "--config", "codegen.yml", "--silent")
    run(node_modules / ".bin" / "tsc")
    return folder


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_document_is_valid(document: Path):
    schema = build_schema((ROOT / "schema.graphql").read_text())
    assert validate(schema, parse(document.read_text())) == []


@needs_node
@pytest.mark.node
@pytest.mark.timeout(240)
def test_codegen_types_every_operation(generated: Path):
    text = (generated / "operations.ts").read_text()
    made = re.findall(r"^export type (\w+)(Query|Subscription|Mutation)(Variables)? = ", text, re.MULTILINE)
    assert {name: kind for name, kind, _ in made} == OPERATIONS
    assert {name for name, _, variables in made if variables} == set(OPERATIONS)
    assert set(re.findall(r"^export const (\w+)Document = ", text, re.MULTILINE)) == set(OPERATIONS)
    assert "any" not in re.findall(r"\b\w+\??: (\w+)", text)
