"""Write docs/openapi.yaml, the published form of the `rest` contract, from app/sources/rest/contract.py.

python scripts/openapi.py          write it
python scripts/openapi.py --check  fail if it is not up to date
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "openapi.yaml"
sys.path.insert(0, str(ROOT))

import msgspec  # noqa: E402
import yaml  # noqa: E402

from app.sources.rest import contract  # noqa: E402

DESCRIPTION = """\
What an in-house system answers so that tradegraph can read it: the contract behind the `rest` vendor.

* Reads are POST with the keys in the body, so that no key is too long or too odd for a URL. They change nothing.
* At most {keys} keys in one read. A key without anything is left out of the answer; a row is repeated for no one.
* Amounts and quantities are JSON strings of decimal digits (numbers are read exactly too). Days are ISO 8601 dates,
  moments ISO 8601 with an offset. Fields that are null may be left out; fields nobody knows are ignored.
* Statuses have the values given in their description. Another value is kept, shown as UNKNOWN with what was sent
  beside it, and counted. `rawStatus` is the system's own word.
* Cursors are the system's own and opaque. A cursor that it did not make is refused with 400 and code {cursor}.
* `/v1/batch` takes up to {parts} reads and answers each by a line as soon as it is done, in any order.
* A system serves the paths of the ports it has (`options.serves` in the gateway's settings) and no others.
"""
STATUSES = {
    "CustomerRow": contract.Customer,
    "ItemRow": contract.Item,
    "OrderRow": contract.Order,
    "StatusChangeRow": contract.StatusChange,
    "ShipmentRow": contract.Shipment,
    "TrackingEventRow": contract.TrackingEvent,
    "InvoiceRow": contract.Invoice,
}


def document() -> dict[str, Any]:
    """The OpenAPI document."""
    kinds = [kind for operation in contract.OPERATIONS for kind in (operation.request, operation.answer) if kind]
    kinds += [contract.Problem, list[contract.Part], contract.PartAnswer, contract.Events]
    found, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    schemas = dict(zip(map(repr, kinds), found, strict=True))
    _tell_statuses(components)
    names = {name: _plain_name(name) for name in components}
    if len(set(names.values())) != len(names):
        raise ValueError("two schemas of one name")
    paths = {
        operation.path: {operation.method.lower(): _operation(operation, schemas)} for operation in contract.OPERATIONS
    }
    paths[contract.BATCH] = {"post": _batch(schemas)}
    paths[contract.HEALTH] = {"get": _health()}
    text = DESCRIPTION.format(keys=contract.MAX_KEYS, parts=contract.MAX_PARTS, cursor=contract.INVALID_CURSOR)
    whole = {
        "openapi": "3.1.0",
        "info": {"title": "tradegraph backend contract", "version": "1.0.0", "description": text,
                 "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        "servers": [{"url": "https://erp.example.com", "description": "The system's own address"}],
        "security": [{"token": []}],
        "paths": dict(sorted(paths.items())),
        "webhooks": {"changes": {"post": _told(schemas)}},
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {names[name]: schema for name, schema in sorted(components.items())},
        },
    }  # fmt: skip
    return _renamed(whole, names)


def _operation(operation: contract.ContractOperation, schemas: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", operation.path.removeprefix("/v1/")),
        "tags": [operation.port],
        "summary": operation.summary,
        "responses": {"200": _content("The answer", schemas[repr(operation.answer)]), **_problems(schemas)},
    }
    if operation.request:
        told["requestBody"] = _content("What is read", schemas[repr(operation.request)]) | {"required": True}
    return told


def _batch(schemas: dict[str, Any]) -> dict[str, Any]:
    lines = {"application/x-ndjson": {"schema": schemas[repr(contract.PartAnswer)]}}
    return {
        "operationId": "batch",
        "tags": ["batch"],
        "summary": "Many reads in one request; one line for each, as it is done",
        "requestBody": _content("The reads", schemas[repr(list[contract.Part])]) | {"required": True},
        "responses": {"200": {"description": "A JSON object a line", "content": lines}, **_problems(schemas)},
    }


def _told(schemas: dict[str, Any]) -> dict[str, Any]:
    names = {
        "webhook-id": "What the system calls this webhook; the same when it is sent again",
        "webhook-timestamp": "When it was sent, in seconds since 1970",
        "webhook-signature": "`v1,` and the base64 form of the HMAC-SHA256 of `ID.TIMESTAMP.BODY`; several with spaces",
    }
    headers = [
        {"name": name, "in": "header", "required": True, "description": text, "schema": {"type": "string"}}
        for name, text in names.items()
    ]
    return {
        "operationId": "changes_told",
        "tags": ["changes"],
        "summary": "Tell the gateway what has changed, signed as Standard Webhooks has it",
        "security": [],
        "parameters": headers,
        "requestBody": _content("The changes", schemas[repr(contract.Events)]) | {"required": True},
        "responses": {"202": {"description": "Kept; anything but 2xx means that it was not, and may be sent again"}},
    }


def _health() -> dict[str, Any]:
    answer = _content("The system is well", {"type": "object"})
    return {
        "operationId": "livez",
        "tags": ["health"],
        "summary": "Health",
        "security": [],
        "responses": {"200": answer},
    }


def _content(description: str, schema: Any, media: str = "application/json") -> dict[str, Any]:
    return {"description": description, "content": {media: {"schema": schema}}}


def _problems(schemas: dict[str, Any]) -> dict[str, Any]:
    problem = schemas[repr(contract.Problem)]
    media = "application/problem+json"
    return {
        "400": _content("The request cannot be read, or its cursor is not of this list", problem, media),
        "401": _content("No valid token", problem, media),
        "429": _content("Too many requests; Retry-After says when", problem, media),
    }


def _tell_statuses(components: dict[str, Any]) -> None:
    for name, record in STATUSES.items():
        kind = next(field.type for field in msgspec.structs.fields(record) if field.name == "status")
        status = components[name]["properties"]["status"]
        status["description"] = "One of " + ", ".join(member.value for member in kind)


def _plain_name(name: str) -> str:
    """`Found[str, OrderRow]` and the like read better as FoundOrder; rows lose their suffix, module paths go."""
    words = re.findall(r"[A-Za-z]+", name)
    plain = "".join(word.removesuffix("Row") for word in words if word[0].isupper())
    return f"{plain}List" if "tuple" in words else plain


def _renamed(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _renamed(inner, names) for key, inner in value.items()}
    if isinstance(value, list):
        return [_renamed(inner, names) for inner in value]
    prefix = "#/components/schemas/"
    if isinstance(value, str) and value.startswith(prefix):
        return prefix + names[value.removeprefix(prefix)]
    return value


class _Dumper(yaml.SafeDumper):
    """Keeps long texts as blocks."""


def _block(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _block)


def text() -> str:
    """The document as YAML."""
    return "# Written by scripts/openapi.py from app/sources/rest/contract.py.\n" + yaml.dump(
        document(), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110
    )


def main() -> None:
    """Write or check."""
    if "--check" in sys.argv:
        if not TARGET.exists() or TARGET.read_text() != text():
            sys.exit("docs/openapi.yaml is not what app/sources/rest/contract.py says: run scripts/openapi.py")
        return
    TARGET.write_text(text())


if __name__ == "__main__":
    main()
