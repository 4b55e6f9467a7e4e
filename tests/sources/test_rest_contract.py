"""The published form of the `rest` contract: examples, times, names, and the page of the documentation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from app.sources.rest import contract
from app.sources.rest.operation_checks import CHECKS
from scripts.docs_contract import render

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docs" / "openapi.yaml").read_text())


@pytest.mark.parametrize("operation", contract.OPERATIONS, ids=lambda operation: operation.path)
def test_operation_has_an_example_that_can_be_decoded(published: dict[str, Any], operation: contract.ContractOperation):
    described = published["paths"][operation.path][operation.method.lower()]
    answer = described["responses"]["200"]["content"]["application/json"]["example"]
    assert msgspec.convert(answer, operation.answer, strict=False)
    if operation.request:
        request = described["requestBody"]["content"]["application/json"]["example"]
        assert msgspec.convert(request, operation.request, strict=False) == CHECKS[operation.path].example


def texts(value: Any, name: str) -> list[str]:
    if isinstance(value, dict):
        own = [value[name]] if isinstance(value.get(name), str) else []
        return own + [text for inner in value.values() for text in texts(inner, name)]
    return [text for inner in value for text in texts(inner, name)] if isinstance(value, list) else []


def test_no_python_names(published: dict[str, Any]):
    descriptions = texts(published, "description") + texts(published, "title")
    assert len(descriptions) > 100
    odd = re.compile(r"\b[a-z]+_[a-z]+|\bNone\b|\btuple\b|\bTrue\b|\bapp\.")
    assert [text for text in descriptions if odd.search(text)] == []


def test_times_say_how_they_are_written(published: dict[str, Any]):
    fields = [
        field
        for schema in published["components"]["schemas"].values()
        for field in schema.get("properties", {}).values()
        if {"date", "date-time"} & {kind.get("format") for kind in (field, *field.get("anyOf", ()))}
    ]
    assert len(fields) > 30
    assert [field for field in fields if not re.search("RFC 3339|YYYY-MM-DD", field["description"])] == []


def test_page_lists_the_paths_of_each_port_and_shows_examples(published: dict[str, Any]):
    page = render(published)
    for operation in contract.OPERATIONS:
        row = next(line for line in page.splitlines() if line.startswith(f"| `{operation.port}` |"))
        assert f"[`{operation.path}`](#{operation.method.lower()}-{operation.path.replace('/', '')})" in row
    assert page.count("Example answer:") == len(contract.OPERATIONS)
    requests = len([one for one in contract.OPERATIONS if one.request]) + 1  # Documents are answered as PDF.
    assert page.count("Example request:") == requests
