"""The embedded sandbox: its servers against the published contract, its knobs."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import yaml
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from app.sandbox import Sandbox, start_sandbox
from app.sandbox.build import PORTS
from app.sandbox.fault_injection import FaultInjector, FaultRule
from app.sandbox.pricing import class_terms, in_unit, minimum_in_unit
from app.sandbox.process import listen
from app.sandbox.store import SandboxStore
from app.sources.rest import account_operations, contract, list_operations, quote_operations, return_operations

ROOT = Path(__file__).resolve().parents[2]
HEADERS = {"Authorization": "Bearer sandbox"}


@pytest.fixture(scope="module")
def erp(sandbox: Sandbox) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=sandbox.erp, headers=HEADERS) as client:
        yield client


@pytest.fixture
def knobs(erp: httpx.Client) -> Iterator[httpx.Client]:
    """The ERP, its counters new and its knobs turned back afterwards."""
    erp.delete("/sandbox/counters")
    yield erp
    erp.delete("/sandbox/faults")


# Prices


def test_price_of_a_unit_is_exact():
    assert in_unit(499, 100, 1) == Decimal("4.99")
    assert in_unit(10_000, 381, 1250) == Decimal("0.3048")
    assert minimum_in_unit(100, 381, 1250) == Decimal("328.0840")
    assert minimum_in_unit(1, 100, 1) == Decimal("0.01")


def test_break_applies_from_its_minimum_on():
    terms = class_terms(10_000, "Fasteners/Bolts", "A", 100)
    assert terms.breaks == ((1, 6800), (1000, 6500), (5000, 6200))
    assert [terms.ticks(quantity) for quantity in (Decimal("0.5"), 999, 1000, 4999, 5000)] == [
        6800, 6800, 6500, 6500, 6200,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docs" / "openapi.yaml").read_text())


def test_published_contract_is_valid_and_up_to_date(published: dict[str, Any]):
    validate(published)
    check = subprocess.run(
        [sys.executable, "scripts/openapi.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert check.returncode == 0, check.stderr


def test_servers_have_all_published_paths_between_them(published: dict[str, Any]):
    served = {one.path for one in contract.OPERATIONS for ports in PORTS.values() if one.port in ports}
    assert served | {contract.BATCH, account_operations.DOCUMENTS} == set(published["paths"])


YEAR, FIRST_PAGE = {"since": "2026-01-01", "until": "2026-12-31"}, {"page": {"first": 100}}
REQUESTS: dict[str, tuple[str, Any]] = {
    contract.CUSTOMERS.path: ("erp", {"numbers": ["CUST-0001"], "include": ["CREDIT"]}),
    contract.CUSTOMER_SEARCH.path: ("erp", {"page": {"first": 3, "count": True}, "search": "granite"}),
    contract.CREDIT.path: ("erp", {"customers": ["CUST-0001", "CUST-0023"]}),
    contract.ITEMS.path: ("erp", {"skus": [f"SKU-{n:04d}" for n in range(1, 100)]}),
    contract.ITEM_SEARCH.path: ("erp", {"page": {"first": 50}, "category": "Fasteners/Bolts"}),
    contract.PART_SKUS.path: ("erp", {"numbers": [{"customer": "CUST-0001", "number": "C01-0007"}]}),
    contract.PART_NUMBERS.path: ("erp", {"items": [{"customer": "CUST-0001", "sku": "SKU-0007"}]}),
    contract.RELATIONS.path: ("erp", {"skus": ["SKU-0001"]}),
    contract.COSTS.path: ("erp", {"skus": ["SKU-0001"]}),
    contract.CONTENTS.path: ("commerce", {"skus": ["SKU-0001"]}),
    contract.WAREHOUSES.path: ("erp", None),
    contract.STOCK.path: ("erp", {"skus": [f"SKU-{n:04d}" for n in range(1, 100)]}),
    contract.RESERVATIONS.path: ("commerce", {"skus": ["SKU-0001", "SKU-0004"]}),
    contract.BALANCES.path: ("logistics", {"warehouses": ["WH-WEST"], "skus": ["SKU-0001"]}),
    contract.PRICES.path: ("erp", {"requests": [{"customer": "CUST-0001", "sku": "SKU-0001", "quantity": "1"}]}),
    contract.ORDERS.path: ("erp", {"numbers": [f"SO-{n}" for n in range(100_001, 100_400)]}),
    contract.ORDERS_BY_PO.path: ("erp", {"purchaseOrders": [{"customer": "CUST-0001", "number": "PO-0001-00040"}]}),
    contract.ORDERS_BY_CUSTOMER.path: ("erp", {"customers": ["CUST-0001"], "query": FIRST_PAGE}),
    contract.ORDER_SEARCH.path: ("erp", {"page": {"first": 100, "count": True}, "late": True, "today": "2026-11-21"}),
    list_operations.SHIPMENTS_BY_CUSTOMER.path: (
        "logistics",
        {"customers": ["CUST-0001"], "query": {"page": {"first": 9}}},
    ),
    list_operations.SHIPMENT_SEARCH.path: ("logistics", {"page": {"first": 9, "count": True}, "open": True}),
    list_operations.INVOICES_BY_CUSTOMER.path: ("erp", {"customers": ["CUST-0001"], "query": {"page": {"first": 9}}}),
    list_operations.INVOICE_SEARCH.path: ("erp", {"page": {"first": 9, "count": True}, "open": True}),
    list_operations.RETURNS_BY_CUSTOMER.path: ("erp", {"customers": ["CUST-0001"], "query": {"page": {"first": 9}}}),
    list_operations.RETURN_SEARCH.path: ("erp", {"page": {"first": 9, "count": True}, "open": False}),
    contract.SHIPMENTS.path: ("logistics", {"trackingNumbers": ["1ZSB001000401"]}),
    contract.SHIPMENTS_BY_ORDER.path: ("logistics", {"orders": [f"SO-{n}" for n in range(119_500, 119_999)]}),
    contract.INVOICES.path: ("erp", {"orders": ["SO-100040", "SO-100047"]}),
    contract.INVOICES_BY_ID.path: ("erp", {"ids": ["700040", "750047"]}),
    contract.RETURNS.path: ("erp", {"orders": ["SO-100047"]}),
    contract.AGENTS.path: ("erp", {"numbers": ["AG-01", "AG-01-01-01"]}),
    contract.SUB_AGENTS.path: ("erp", {"numbers": ["AG-01"]}),
    contract.STATEMENTS.path: ("erp", {"numbers": ["CS-02-04-06-103"]}),
    contract.STATEMENTS_BY_AGENT.path: ("erp", {"agents": ["AG-01-01-01"], "query": {"first": 5}}),
    account_operations.RECEIVABLES.path: ("erp", {"customers": ["CUST-0001", "CUST-0012"]}),
    account_operations.OPEN_ITEMS.path: ("erp", {"customers": ["CUST-0012"], "query": FIRST_PAGE}),
    account_operations.ACCOUNT_STATEMENTS.path: ("erp", {"customers": ["CUST-0012"], "period": YEAR}),
    account_operations.CONTACTS.path: ("erp", {"customers": ["CUST-0001", "CUST-0012"]}),
    account_operations.PURCHASE_HISTORY.path: ("erp", {"items": [{"customer": "CUST-0001", "sku": "SKU-0007"}]}),
    account_operations.ORDER_GUIDES.path: ("erp", {"customers": ["CUST-0018"], "query": FIRST_PAGE}),
    account_operations.ACCOUNTS.path: ("erp", {"salespeople": ["rep-01"]}),
    return_operations.RETURNS_BY_ID.path: ("erp", {"ids": ["900047", "916356"]}),
    return_operations.RETURNS_BY_NUMBER.path: ("erp", {"numbers": ["RMA-00047", "RMA-99999"]}),
    quote_operations.QUOTES.path: ("erp", {"numbers": ["QU-2001", "QU-2004"]}),
    quote_operations.QUOTES_BY_CUSTOMER.path: ("erp", {"customers": ["CUST-0001"], "query": FIRST_PAGE}),
    quote_operations.QUOTE_SEARCH.path: ("erp", {**FIRST_PAGE, "open": True}),
    contract.SEARCH_ITEMS.path: ("erp", {"page": {"first": 3, "count": True}, "text": "ball valve"}),
    contract.SEARCH_CUSTOMERS.path: ("erp", {"page": {"first": 3}, "search": "granite"}),
    contract.CHANGES.path: ("erp", {"kinds": ["ORDER"], "limit": 10}),
}


READ_OPERATIONS = [
    one for one in contract.OPERATIONS if one.port not in ("order_writer", "quote_writer", "return_writer")
]


@pytest.mark.parametrize("operation", READ_OPERATIONS, ids=lambda operation: operation.path)
def test_answer_is_of_the_published_shape(
    sandbox: Sandbox, published: dict[str, Any], operation: contract.ContractOperation
):
    system, body = REQUESTS[operation.path]
    check_shape(sandbox, published, operation, system, body)


def test_answers_to_quote_submissions_are_of_the_published_shape(sandbox: Sandbox, published: dict[str, Any]):
    request = {
        "key": "shape", "digest": "d", "customer": "CUST-0003", "channel": "API", "requestedBy": "anna",
        "lines": [{"number": 1, "sku": "SKU-0001", "quantity": "12"}],
    }  # fmt: skip
    try:
        written = check_shape(sandbox, published, quote_operations.REQUEST_QUOTE, "erp", request)
        assert check_shape(sandbox, published, quote_operations.FIND_QUOTES, "erp", {"keys": ["shape", "no"]}) == [
            {"key": "shape", "value": written}
        ]
        answer = {"id": written["id"], "version": 1, "kind": "DECLINE", "answeredBy": "anna"}
        check_shape(sandbox, published, quote_operations.ANSWER_QUOTE, "erp", answer)
    finally:
        httpx.delete(f"{sandbox.urls['erp']}/sandbox/submitted-orders", headers=HEADERS)


def test_answers_to_return_submissions_are_of_the_published_shape(sandbox: Sandbox, published: dict[str, Any]):
    request = {
        "key": "shape", "customer": "CUST-0001", "orderId": "500040", "orderNumber": "SO-100040", "channel": "API",
        "requestedBy": "anna", "lines": [{"number": 1, "quantity": "2", "reason": "DAMAGED", "condition": "OPENED"}],
    }  # fmt: skip
    try:
        written = check_shape(sandbox, published, return_operations.REQUEST_RETURN, "erp", request)
        assert check_shape(sandbox, published, return_operations.FIND_RETURNS, "erp", {"keys": ["shape", "no"]}) == [
            {"key": "shape", "value": written}
        ]
        decision = {"id": written["id"], "version": 1, "kind": "APPROVE", "decidedBy": "anna"}
        check_shape(sandbox, published, return_operations.DECIDE_RETURN, "erp", decision)
        check_shape(sandbox, published, return_operations.RETURNS_BY_ID, "erp", {"ids": [written["id"]]})
    finally:
        httpx.delete(f"{sandbox.urls['erp']}/sandbox/submitted-orders", headers=HEADERS)


def test_answers_to_orders_are_of_the_published_shape(sandbox: Sandbox, published: dict[str, Any]):
    create, find, simulate, amend, cancel = contract.ORDER_OPERATIONS
    order = {
        "key": "shape", "customer": "CUST-0003", "customerPo": "shape", "channel": "API",
        "lines": [{"number": 1, "sku": "SKU-0001", "quantity": "12"}],
    }  # fmt: skip
    try:
        check_shape(sandbox, published, simulate, "erp", order)
        created = check_shape(sandbox, published, create, "erp", order)
        assert check_shape(sandbox, published, find, "erp", {"keys": ["shape"]}) == [
            {"key": "shape", "value": [created]}
        ]
        lines = [{"number": 1, "quantity": "24"}]
        check_shape(sandbox, published, amend, "erp", {"id": created["id"], "lines": lines, "reason": "a test"})
        check_shape(sandbox, published, cancel, "erp", {"id": created["id"], "reason": "a test"})
    finally:
        httpx.delete(f"{sandbox.urls['erp']}/sandbox/submitted-orders", headers=HEADERS)


def check_shape(
    sandbox: Sandbox, published: dict[str, Any], operation: contract.ContractOperation, system: str, body: Any
) -> Any:
    """The answer of an operation; it and the request are of the published shape."""
    said = published["paths"][operation.path][operation.method.lower()]
    answer = httpx.request(operation.method, sandbox.urls[system] + operation.path, json=body, headers=HEADERS)
    value = answer.raise_for_status().json()
    assert value not in ([], {}, None)
    shape = said["responses"]["200"]["content"]["application/json"]["schema"]
    assert faults(value, shape, published["components"]["schemas"]) == []
    if body is not None:
        asked = said["requestBody"]["content"]["application/json"]["schema"]
        assert faults(body, asked, published["components"]["schemas"]) == []
    return value


def faults(value: Any, schema: dict[str, Any], schemas: dict[str, Any]) -> list[str]:
    """Where a value is not of a schema, or has a field that the schema does not publish."""
    whole = {**closed(schema), "components": {"schemas": closed(schemas)}}
    return sorted(error.json_path + ": " + error.message for error in Draft202012Validator(whole).iter_errors(value))


def closed(schema: Any) -> Any:
    """The schema without room for other fields."""
    if isinstance(schema, list):
        return [closed(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: closed(value) for name, value in schema.items()}
    is_object = schema.get("type") == "object" and isinstance(schema.get("properties"), dict)
    return inner | ({"additionalProperties": False} if is_object else {})


def test_shape_check_sees_faults():
    schema = {"type": "object", "properties": {"a": {"$ref": "#/components/schemas/A"}}, "required": ["a"]}
    schemas = {"A": {"type": "object", "properties": {"b": {"type": "string"}}}}
    assert faults({"a": {"b": "x"}}, schema, schemas) == []
    assert faults({"a": {"b": 1}}, schema, schemas) == ["$.a.b: 1 is not of type 'string'"]
    assert len(faults({"a": {"c": "x"}}, schema, schemas)) == 1
    assert faults({}, schema, schemas) == ["$: 'a' is a required property"]


def test_server_without_a_port_has_not_its_paths(sandbox: Sandbox):
    answer = httpx.post(f"{sandbox.logistics}/v1/prices/quote", json={"requests": []}, headers=HEADERS)
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b'{"skus":"SKU-0001"}', 400),
        (b'{"skus":[1]}', 400),
        (b'{"skus":["a"],"gtins":["b"]}', 400),
        (msgspec.json.encode({"skus": ["x"] * 501}), 413),
    ],
)
def test_bad_request_is_a_problem(erp: httpx.Client, body: bytes, status: int):
    answer = erp.post("/v1/items/read", content=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status


def test_cursor_of_another_list_is_refused(erp: httpx.Client):
    page = erp.post("/v1/customers/search", json={"page": {"first": 1}}).json()
    answer = erp.post("/v1/items/search", json={"page": {"first": 1, "after": page["cursors"][0]}})
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_CURSOR")


def test_token_is_asked_for_but_for_health(sandbox: Sandbox):
    assert httpx.get(f"{sandbox.erp}/livez").json() == {"status": "ok"}
    for path in ("/v1/warehouses", "/sandbox/faults", "/sandbox/requests", "/nothing"):
        answer = httpx.get(sandbox.erp + path)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"


def test_batch_answers_each_part_by_itself(erp: httpx.Client):
    parts = [
        {"id": "a", "path": "/v1/items/read", "body": {"skus": ["SKU-0001"]}},
        {"id": "b", "method": "GET", "path": "/v1/warehouses"},
        {"id": "c", "path": "/v1/nothing"},
        {"id": "d", "path": ""},
        {"id": "e", "path": "/v1/items/read", "body": {"skus": 7}},
    ]
    answer = erp.post("/v1/batch", json=parts)
    assert answer.headers["content-type"] == "application/x-ndjson"
    lines = {line["id"]: line for line in map(msgspec.json.decode, answer.content.splitlines())}
    assert {name: line["status"] for name, line in lines.items()} == {"a": 200, "b": 200, "c": 404, "d": 404, "e": 400}
    assert lines["a"]["body"] == erp.post("/v1/items/read", json={"skus": ["SKU-0001"]}).json()


def test_batch_of_doubtful_parts_is_refused(erp: httpx.Client):
    part = {"id": "a", "path": "/v1/warehouses"}
    assert erp.post("/v1/batch", json=[part, part]).status_code == 400
    assert erp.post("/v1/batch", json=[part | {"id": str(n)} for n in range(101)]).status_code == 400
    assert erp.post("/v1/batch", json={"id": 7}).status_code == 400


# Knobs


def test_requests_are_logged_and_counted(knobs: httpx.Client):
    headers = {"X-Request-ID": "r-1", "X-Correlation-ID": "c-1"}
    knobs.post("/v1/items/read", json={"skus": ["SKU-0001"]}, headers=headers)
    knobs.post("/v1/batch", json=[{"id": "0", "method": "GET", "path": "/v1/warehouses"}], headers=headers)
    entries = knobs.get("/sandbox/requests").json()
    assert [(entry["resource"], entry["status"], entry.get("part")) for entry in entries] == [
        ("items", 200, None),
        ("warehouses", 200, "0"),
    ]
    assert entries[0]["body"] == '{"skus":["SKU-0001"]}'
    assert {(entry["requestId"], entry["correlationId"]) for entry in entries} == {("r-1", "c-1")}
    assert knobs.get("/sandbox/counters").json() == {
        "requests": 2, "reads": {"items": 1, "warehouses": 1}, "faults": {},
    }  # fmt: skip
    knobs.delete("/sandbox/counters")
    assert knobs.get("/sandbox/counters").json() == {"requests": 0, "reads": {}, "faults": {}}


def test_knob_of_a_resource_wins_over_the_general_one(knobs: httpx.Client):
    knobs.post("/sandbox/faults", json={"errorRate": 1})
    knobs.post("/sandbox/faults", json={"resource": "warehouses"})
    assert knobs.get("/v1/warehouses").status_code == 200
    assert knobs.post("/v1/items/read", json={}).status_code == 500
    assert [knob["resource"] for knob in knobs.get("/sandbox/faults").json()] == ["*", "warehouses"]
    assert knobs.delete("/sandbox/faults").json() == []
    assert knobs.post("/v1/items/read", json={}).status_code == 200


@pytest.mark.parametrize("body", [b"", b"7", b'{"resource":"x","delay":1}', b'{"errorKind":"fire"}'])
def test_knob_that_is_none_is_refused(knobs: httpx.Client, body: bytes):
    assert knobs.post("/sandbox/faults", content=body).status_code == 400
    assert knobs.get("/sandbox/faults").json() == []


def test_rate_limit_answers_429(knobs: httpx.Client):
    knobs.post("/sandbox/faults", json={"resource": "warehouses", "rateLimit": 2})
    answers = [knobs.get("/v1/warehouses") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].headers["retry-after"] == "1"


def test_reset_breaks_the_connection(knobs: httpx.Client):
    knobs.post("/sandbox/faults", json={"resource": "warehouses", "errorRate": 1, "errorKind": "reset"})
    with pytest.raises(httpx.TransportError):
        knobs.get("/v1/warehouses")
    assert knobs.get("/sandbox/counters").json()["faults"] == {"reset": 1}


def test_hanging_read_says_nothing(knobs: httpx.Client):
    knobs.post("/sandbox/faults", json={"resource": "warehouses", "errorRate": 1, "errorKind": "hang"})
    with pytest.raises(httpx.ReadTimeout):
        knobs.get("/v1/warehouses", timeout=0.2)
    assert knobs.get("/livez").status_code == 200


def test_same_seed_fails_the_same_reads():
    def fates(seed: int) -> list[bool]:
        knobs = FaultInjector()
        knobs.set(FaultRule(resource="prices", error_rate=0.3, seed=seed))
        return [knobs.fault("prices").error is not None for _ in range(200)]

    assert fates(1) == fates(1)
    assert fates(1) != fates(2)
    assert 40 <= sum(fates(1)) <= 80


# The process


def test_sandbox_ends_when_stopped(folder: Path):
    with start_sandbox(folder, token="another") as sandbox:
        assert httpx.get(f"{sandbox.erp}/livez").status_code == 200
        assert "another" not in repr(sandbox)
    assert sandbox.process.returncode == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{sandbox.erp}/livez")


def test_sandbox_dies_with_its_parent(folder: Path):
    program = textwrap.dedent(
        """
        import sys, time
        from app.sandbox import start_sandbox
        sandbox = start_sandbox(sys.argv[1])
        print(sandbox.process.pid, flush=True)
        time.sleep(600)
        """
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    gone = os.pidfd_open(pid)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()

    async def ended() -> None:
        event = asyncio.Event()
        asyncio.get_running_loop().add_reader(gone, event.set)
        await asyncio.wait_for(event.wait(), 120)

    asyncio.run(ended())
    os.close(gone)


def test_port_in_use_is_named(sandbox: Sandbox, folder: Path):
    port = sandbox.erp.rpartition(":")[2]
    done = subprocess.run(
        [sys.executable, "-m", "app.sandbox", "--data-dir", str(folder), "--ports", port, "0", "0"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"port {port} on 127.0.0.1 cannot be used" in done.stderr


async def test_answers_are_sent_without_delay():
    """A batch is sent in several pieces; none of them waits until the one before is acknowledged."""
    loop = asyncio.get_running_loop()
    accepted: asyncio.Future[int] = loop.create_future()

    class Server(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            connection: socket.socket = transport.get_extra_info("socket")
            accepted.set_result(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    listener = listen(0)
    async with await loop.create_server(Server, sock=listener):
        _, writer = await asyncio.open_connection(*listener.getsockname())
        assert await accepted == 1
        writer.close()
        await writer.wait_closed()


def test_day_can_be_fixed(folder: Path):
    assert SandboxStore(folder / "erp.db", today=date(2030, 1, 2)).today == date(2030, 1, 2)
