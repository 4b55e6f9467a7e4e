"""A hook of mkdocs: writes docs/openapi.yaml as tables into the page about the rest contract."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

CONTRACT = Path(__file__).resolve().parent.parent / "docs" / "openapi.yaml"
MARK = "<!-- contract -->"
METHODS = ("get", "post", "put", "patch", "delete")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by mkdocs for every page."""
    return markdown.replace(MARK, render(yaml.safe_load(CONTRACT.read_text()))) if MARK in markdown else markdown


def render(contract: dict[str, Any]) -> str:
    """The whole contract in Markdown."""
    found = [
        (method, path, item[method], item.get("parameters", []))
        for path, item in contract["paths"].items()
        for method in METHODS
        if method in item
    ]
    lines = ["## Ports and paths", "", *ports(found), "## Endpoints", ""]
    for method, path, said, shared in found:
        lines += operation(method, path, said, shared)
    lines += ["## Shapes", ""]
    for name, schema in contract.get("components", {}).get("schemas", {}).items():
        lines += shape(name, schema)
    return "\n".join(lines)


def ports(operations: Sequence[tuple[str, str, dict[str, Any], Any]]) -> Iterator[str]:
    """A table of the paths of each port."""
    by_port: dict[str, list[str]] = {}
    for method, path, said, _ in operations:
        anchor = f"{method}-{path.replace('/', '')}"
        for port in said.get("tags", ()):
            by_port.setdefault(port, []).append(f"[`{path}`](#{anchor})")
    yield from ("| Port | Paths |", "|---|---|")
    yield from (f"| `{port}` | {', '.join(paths)} |" for port, paths in sorted(by_port.items()))
    yield ""


def operation(method: str, path: str, said: dict[str, Any], shared: list[dict[str, Any]]) -> Iterator[str]:
    """An endpoint: what it does, what it takes, what it answers."""
    yield from (f"### {method.upper()} `{path}`", "", flat(said.get("summary", "")), "")
    if "description" in said:
        yield from (said["description"].strip(), "")
    parameters = [one for one in (*shared, *said.get("parameters", [])) if "name" in one]
    if parameters:
        yield from ("| Parameter | In | Type | |", "|---|---|---|---|")
        for one in parameters:
            said_of = flat(one.get("description", ""))
            yield f"| `{one['name']}` | {one['in']} | {kind(one.get('schema', {}))} | {said_of} |"
        yield ""
    if "requestBody" in said:
        yield from (f"Body: {bodies(said['requestBody'])}.", "")
    yield from ("| Answer | Body | |", "|---|---|---|")
    for status, answer in said.get("responses", {}).items():
        text = flat(answer.get("description", "")) or reference(answer)
        yield f"| {status} | {bodies(answer)} | {text} |"
    yield ""
    yield from example("Example request", said.get("requestBody", {}))
    yield from example("Example answer", said.get("responses", {}).get("200", {}))


def example(title: str, holder: dict[str, Any]) -> Iterator[str]:
    """The example of a body as JSON."""
    for described in holder.get("content", {}).values():
        if "example" in described:
            text = json.dumps(described["example"], indent=2, ensure_ascii=False)
            yield from (f"{title}:", "", "```json", text, "```", "")


def shape(name: str, schema: dict[str, Any]) -> Iterator[str]:
    """A schema: its fields, or what it is one of."""
    yield from (f"### {name} {{#{name.lower()}}}", "", (schema.get("description") or "").strip(), "")
    if "enum" in schema:
        yield from ("One of " + ", ".join(f"`{value}`" for value in schema["enum"]) + ".", "")
    if "properties" not in schema:
        if "enum" not in schema:
            yield from (kind(schema), "")
        return
    required = set(schema.get("required", []))
    yield from ("| Field | Type | |", "|---|---|---|")
    for field, said in schema["properties"].items():
        mark = "" if field in required else " (optional)"
        yield f"| `{field}` | {kind(said)}{mark} | {flat(said.get('description', ''))} |"
    yield ""


def kind(schema: dict[str, Any]) -> str:
    """A type in words, with a link where it has a name."""
    if "$ref" in schema:
        return reference(schema)
    for word in ("anyOf", "oneOf", "allOf"):
        if word in schema:
            return " or ".join(dict.fromkeys(kind(one) for one in schema[word]))
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    said = schema.get("type", "any")
    if said == "array":
        return f"list of {kind(schema.get('items', {}))}"
    if said == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"map to {kind(schema['additionalProperties'])}"
    words = said if isinstance(said, list) else [said]
    return " or ".join(words) + (f" ({schema['format']})" if "format" in schema else "")


def reference(holder: dict[str, Any]) -> str:
    """A link to a named schema; the name alone for anything else."""
    place, _, name = holder.get("$ref", "").rpartition("/")
    return f"[{name}](#{name.lower()})" if place.endswith("schemas") else name


def bodies(holder: dict[str, Any]) -> str:
    """What a body holds, with its media type where that is not JSON."""
    found = []
    for media, said in holder.get("content", {}).items():
        text = kind(said.get("schema", {}))
        found.append(text if media == "application/json" else f"`{media}` of {text}")
    return " or ".join(found)


def flat(text: str) -> str:
    """Text that fits into a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")
