"""Write docs/openapi.yaml, the published form of the `rest` contract, from app/sources/rest/contract.py.

python scripts/openapi.py             write it
python scripts/openapi.py --examples  write docs/examples/rest-answers.json, the sandbox's answers, first
python scripts/openapi.py --check     fail if it is not up to date
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "openapi.yaml"
ANSWERS = ROOT / "docs" / "examples" / "rest-answers.json"
sys.path.insert(0, str(ROOT))

import msgspec  # noqa: E402
import yaml  # noqa: E402

from app.sandbox.build import PORTS, SYSTEMS, build  # noqa: E402
from app.sandbox.server import ReadRequest, SandboxSystem  # noqa: E402
from app.sandbox.store import SandboxStore  # noqa: E402
from app.sources.downloads import DocumentKind  # noqa: E402
from app.sources.rest import account_operations, contract, contract_orders, contract_rows  # noqa: E402
from app.sources.rest.operation_checks import CHECKS  # noqa: E402

EXAMPLE_DAY = date(2026, 11, 2)
READ_AT = "2026-11-02T08:30:00.000Z"

DESCRIPTION = """\
What an in-house system answers so that tradegraph can read it: the contract behind the `rest` vendor.

* Reads are POST with the keys in the body, so that no key is too long or too odd for a URL. They change nothing.
* Paths below `/v1/order-submissions` take orders. The gateway gives each order a `key` that is stored with it. A create
  with a known key answers with the order that exists: it is sent again whenever its answer was lost. A rule of the
  business refuses with 409 or 422. Writes are never part of a batch.
* At most {keys} keys in one read. A key without anything is left out of the answer; a row is repeated for no one.
* Amounts and quantities are JSON strings of decimal digits (numbers are read exactly too). Days are ISO 8601 dates,
  moments RFC 3339 with an offset. Fields that are null may be left out; fields nobody knows are ignored.
* Statuses have the values given in their description. Another value is kept, shown as UNKNOWN with what was sent
  beside it, and counted. `rawStatus` is the system's own word.
* Cursors are the system's own and opaque. A cursor that it did not make is refused with 400 and code {cursor}.
* `/v1/batch` takes up to {parts} reads and answers each by a line as soon as it is done, in any order.
* A system serves the paths of the ports it has (`options.serves` in the gateway's settings) and no others.
"""
STATUSES = {
    "CustomerRow": contract_rows.CustomerRow.record,
    "ItemRow": contract_rows.ItemRow.record,
    "OrderRow": contract_rows.OrderRow.record,
    "StatusChangeRow": contract_rows.StatusChangeRow.record,
    "ShipmentRow": contract_rows.ShipmentRow.record,
    "TrackingEventRow": contract_rows.EventRow.record,
    "InvoiceRow": contract_rows.InvoiceRow.record,
}


def document() -> dict[str, Any]:
    """The OpenAPI document."""
    kinds = [kind for operation in contract.OPERATIONS for kind in (operation.request, operation.answer) if kind]
    kinds += [contract.Problem, contract_orders.Refusal, list[contract.Part], contract.PartAnswer, contract.Events]
    kinds.append(account_operations.DocumentRead)
    found, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    schemas = dict(zip(map(repr, kinds), found, strict=True))
    _tell_statuses(components)
    _describe_times(components)
    _without_python_names(components)
    names = {name: _plain_name(name) for name in components}
    if len(set(names.values())) != len(names):
        raise ValueError("two schemas of one name")
    paths = {
        operation.path: {operation.method.lower(): _operation(operation, schemas)} for operation in contract.OPERATIONS
    }
    paths[contract.BATCH] = {"post": _batch(schemas)}
    paths[account_operations.DOCUMENTS] = {"post": _document(schemas)}
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
            "schemas": {names[name]: schema | {"title": names[name]} for name, schema in sorted(components.items())},
        },
    }  # fmt: skip
    return _renamed(whole, names)


def _operation(operation: contract.ContractOperation, schemas: dict[str, Any]) -> dict[str, Any]:
    answer = json.loads(ANSWERS.read_text()).get(operation.path)
    described: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", operation.path.removeprefix("/v1/")),
        "tags": [operation.port],
        "summary": operation.summary,
        "responses": {
            "200": _content("The answer", schemas[repr(operation.answer)], example=answer),
            **_problems(schemas),
        },
    }
    if operation.write:
        refused = _content(
            "A rule of the business refuses", schemas[repr(contract_orders.Refusal)], "application/problem+json"
        )
        described["responses"] |= {"409": refused, "422": refused}
    if operation.request:
        example = _compact(msgspec.to_builtins(CHECKS[operation.path].example), most=None)
        description = "What is written" if operation.write else "What is read"
        body = _content(description, schemas[repr(operation.request)], example=example)
        described["requestBody"] = body | {"required": True}
    return described


def write_answers() -> None:
    """Write what the sandbox answers to the example of each operation, with lists cut to their first element."""
    answers: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder), EXAMPLE_DAY)
        stores = {name: SandboxStore(Path(folder) / f"{name}.db", EXAMPLE_DAY) for name in SYSTEMS}
        systems = {name: SandboxSystem(name, store) for name, store in stores.items()}
        for operation in contract.OPERATIONS:
            system = next(systems[name] for name in SYSTEMS if operation.port in PORTS[name])
            body = msgspec.json.encode(CHECKS[operation.path].example)
            reply = asyncio.run(system.read(ReadRequest(operation.path, body, {})))
            if reply.status != 200:
                raise ValueError(f"{operation.path} answers {reply.status}: {reply.body.decode()}")
            answers[operation.path] = _compact(json.loads(reply.body), most=1)
    ANSWERS.write_text(json.dumps(answers, indent=1) + "\n")


def _compact(value: Any, *, most: int | None) -> Any:
    """An example without nulls and empty lists, lists cut to `most` elements, times of reading fixed."""
    if isinstance(value, dict):
        return {
            key: READ_AT if key in {"asOf", "checkedAt", "quotedAt"} else _compact(inner, most=most)
            for key, inner in value.items()
            if inner is not None and inner != []
        }
    return [_compact(inner, most=most) for inner in value[:most]] if isinstance(value, list) else value


def _describe_times(components: dict[str, Any]) -> None:
    """Say of each moment and day how it is written."""
    forms = {
        "date-time": "RFC 3339 with an offset, such as 2026-11-02T08:30:00Z or 2026-11-02T09:30:00+01:00",
        "date": "A day as YYYY-MM-DD",
    }
    for schema in components.values():
        for field in schema.get("properties", {}).values():
            kinds = [field, *field.get("anyOf", [])]
            form = next((forms[kind["format"]] for kind in kinds if kind.get("format") in forms), None)
            if form is not None:
                field["description"] = f"{field['description']} {form}" if "description" in field else form


def _batch(schemas: dict[str, Any]) -> dict[str, Any]:
    lines = {"application/x-ndjson": {"schema": schemas[repr(contract.PartAnswer)]}}
    return {
        "operationId": "batch",
        "tags": ["batch"],
        "summary": "Many reads in one request; one line for each, as it is done",
        "requestBody": _content("The reads", schemas[repr(list[contract.Part])]) | {"required": True},
        "responses": {"200": {"description": "A JSON object a line", "content": lines}, **_problems(schemas)},
    }


def _document(schemas: dict[str, Any]) -> dict[str, Any]:
    kind = {"type": "string", "enum": [one.value for one in DocumentKind]}
    example = {"id": "700040", "customer": "CUST-0001"}
    body = _content("The document", schemas[repr(account_operations.DocumentRead)], example=example)
    return {
        "operationId": "documents_read",
        "tags": [account_operations.DOWNLOADS],
        "summary": "A document of a customer as PDF; 404 if there is none, or if it is another customer's",
        "parameters": [{"name": "kind", "in": "path", "required": True, "schema": kind}],
        "requestBody": body | {"required": True},
        "responses": {
            "200": _content("The document", {"type": "string", "format": "binary"}, "application/pdf"),
            "404": _content("No such document", schemas[repr(contract.Problem)], "application/problem+json"),
            **_problems(schemas),
        },
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


def _content(description: str, schema: Any, media: str = "application/json", example: object = None) -> dict[str, Any]:
    shown = {} if example is None else {"example": example}
    return {"description": description, "content": {media: {"schema": schema, **shown}}}


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


def _without_python_names(schema: Any) -> None:
    """Write attributes in descriptions as they are on the wire: `netDays` for `net_days`, null for None."""
    if isinstance(schema, dict):
        if isinstance(text := schema.get("description"), str):
            wire = re.sub(r"\b[a-z]+(?:_[a-z]+)+\b", lambda word: _camel(word[0]), text)
            schema["description"] = re.sub(r"\bNone\b", "null", wire)
        for inner in schema.values():
            _without_python_names(inner)
    elif isinstance(schema, list):
        for inner in schema:
            _without_python_names(inner)


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


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
    if "--examples" in sys.argv:
        write_answers()
    TARGET.write_text(text())


if __name__ == "__main__":
    main()
