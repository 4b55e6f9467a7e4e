"""Conformance with the `rest` contract: the sandbox passes, a broken read is found, and its request repeats it."""

from __future__ import annotations

import json
import shlex
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.cli.contract import curl
from app.sandbox import Sandbox
from app.sandbox.build import PORTS
from app.sources.pipeline.compose import compile_source
from app.sources.rest import contract, contract_orders
from app.sources.rest import sample_keys as keys
from app.sources.rest.conformance import (
    PROTOCOL,
    Conformance,
    ConformanceCheck,
    PortConformance,
    ports_named,
    run_conformance,
)
from app.sources.rest.operation_checks import CHECKS
from app.sources.values import utc_now
from tests.upstreams import serve

GIVEN = {
    "erp": [(keys.AGENT, "AG-01"), (keys.AGENT, "AG-01-01-01")],
    "commerce": [(keys.CUSTOMER, "CUST-0001"), (keys.ITEM, "SKU-0001"), (keys.ITEM, "SKU-0004")],
    "logistics": [
        (keys.CUSTOMER, "CUST-0001"),
        (keys.ORDER, "SO-100040"),
        (keys.WAREHOUSE, "WH-WEST"),
        (keys.ITEM, "SKU-0001"),
    ],
}

WRITES = {operation.path for operation in contract.OPERATIONS if operation.write}

Edit = Callable[[str, Any, Any], Any]
"""(path, request, answer) -> the answer that is sent instead."""


async def conformance(url: str, ports: Sequence[str], given: Any = ()) -> list[PortConformance]:
    return await run_conformance(
        url, "sandbox", ports, given, compile_reads=lambda source: compile_source(source, utc_now)
    )


def test_every_operation_has_checks():
    assert set(CHECKS) == {operation.path for operation in contract.OPERATIONS}
    assert {path for path, one in CHECKS.items() if not one.checks} == WRITES


async def test_sandbox_passes_with_every_operation(sandbox: Sandbox):
    passed: set[str] = set()
    for system, url in sandbox.urls.items():
        results = await conformance(url, ports_named(None), GIVEN[system])
        expected = {
            port: Conformance.PASS if port in PORTS[system] else Conformance.MISSING for port in ports_named(None)
        }
        assert {one.port: one.outcome for one in results} == {**expected, PROTOCOL: Conformance.PASS}
        checks = [check for one in results for check in one.checks if check.outcome is not Conformance.MISSING]
        assert {check.outcome for check in checks if check.operation not in WRITES} == {Conformance.PASS}
        passed |= {check.operation for check in checks if check.outcome is Conformance.PASS}
    assert passed == set(CHECKS) - WRITES


async def test_nothing_is_written(sandbox: Sandbox):
    sent: list[str] = []

    def record(path: str, _: Any, answer: Any) -> Any:
        sent.append(path)
        return answer

    async with broken(sandbox.erp, sandbox.token, record) as url:
        results = await conformance(url, ["order_writer"])
    assert {one.port: one.outcome for one in results}["order_writer"] is Conformance.PASS
    assert WRITES & set(sent) == set()
    assert contract_orders.FIND_ORDERS.path in sent


@asynccontextmanager
async def broken(url: str, token: str, edit: Edit) -> AsyncIterator[str]:
    """A server that answers as `url` does, with edited answers."""
    async with httpx.AsyncClient(base_url=url, headers={"authorization": f"Bearer {token}"}) as backend:

        async def answer(request: Request) -> Response:
            body = await request.body()
            plain = await backend.request(request.method, request.url.path, content=body)
            edited = edit(request.url.path, decoded(body), decoded(plain.content))
            if edited is None:
                return Response(plain.content, plain.status_code, media_type=plain.headers["content-type"])
            if isinstance(edited, Response):
                return edited
            return Response(json.dumps(edited), plain.status_code, media_type=plain.headers["content-type"])

        app = Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])
        async with serve(app) as address:
            yield address


def decoded(body: bytes) -> Any:
    """The JSON in a body; None in a batch's answer, and in a body that is none."""
    try:
        return json.loads(body)
    except ValueError:
        return None


def on(path: str, edit: Callable[[Any, Any], Any]) -> Edit:
    return lambda at, request, answer: edit(request, answer) if at == path else answer


def all_rows(change: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda _, answer: [{**found, "value": change(found["value"])} for found in answer]


def for_unknown(request: Any, answer: Any) -> Any:
    """Answers the row of the first key for every key that is unknown."""
    held = {found["key"] for found in answer}
    return answer + [{**answer[0], "key": key} for key in request["customers"] if answer and key not in held]


BROKEN = {
    "unknown keys have rows": (
        contract.CREDIT, on(contract.CREDIT.path, for_unknown), "unknown keys by customer", "tradegraph-no-such-key",
    ),
    "rows of other keys": (
        contract.CUSTOMERS, on(contract.CUSTOMERS.path, all_rows(lambda row: {**row, "number": "OTHER"})),
        "rows by customer", "is that of 'OTHER'",
    ),
    "a time without offset": (
        contract.ORDERS, on(contract.ORDERS.path, all_rows(lambda row: {**row, "orderedAt": "2026-11-02T08:30:00"})),
        "example", "orderedAt",
    ),
    "a price of another quantity": (
        contract.PRICES, on(contract.PRICES.path, all_rows(lambda row: {**row, "quantity": "7"})),
        "rows by price request", "quantity",
    ),
    "an error for 500 keys": (
        contract.STOCK,
        on(contract.STOCK.path, lambda request, answer: Response("x", 500) if len(request["skus"]) > 100 else answer),
        "500 keys by sku", "500",
    ),
    "pages that repeat rows": (
        contract.CUSTOMER_SEARCH,
        on(contract.CUSTOMER_SEARCH.path, lambda request, answer: {
            **answer, "cursors": answer["cursors"][:1] * len(answer["cursors"])
        } if "cursors" in answer else answer),
        "pages", "pages of 2",
    ),
    "cursors that are ignored": (
        contract.ITEM_SEARCH,
        on(contract.ITEM_SEARCH.path, lambda _, answer: answer if "rows" in answer else Response(
            '{"rows": [], "cursors": [], "hasNext": false, "hasPrevious": true}'
        )),
        "cursors", "is accepted",
    ),
    "half a port": (
        contract.RETURNS, on(contract.RETURNS.path, lambda *_: Response("no", 404)), "example", "404",
    ),
}  # fmt: skip


async def failing(url: str, port: str, given: Any = ()) -> tuple[PortConformance, list[ConformanceCheck]]:
    results = await conformance(url, contract.PORTS, given)
    result = next(one for one in results if one.port == port)
    return result, [check for check in result.checks if check.outcome in {Conformance.FAIL, Conformance.MISSING}]


@pytest.mark.parametrize("name", BROKEN)
async def test_broken_read_is_found(sandbox: Sandbox, name: str):
    operation, edit, check, detail = BROKEN[name]
    async with broken(sandbox.erp, sandbox.token, edit) as url:
        result, failed = await failing(url, operation.port)
    assert result.outcome is Conformance.FAIL
    assert (failed[0].operation, failed[0].check) == (operation.path, check)
    assert detail in (failed[0].detail or "")


async def test_failure_can_be_repeated_by_its_request(sandbox: Sandbox):
    edit = on(contract.CREDIT.path, for_unknown)
    async with broken(sandbox.erp, sandbox.token, edit) as url:
        _, [failed, *_] = await failing(url, "credit")
        command = curl(url, failed)
        assert command is not None
        words = shlex.split(command)
        assert words[:4] == ["curl", "-sS", "-X", "POST"]
        assert words[words.index("-H") + 1] == "Authorization: Bearer $TOKEN"
        async with httpx.AsyncClient() as client:
            answer = await client.post(words[4], content=words[-1], headers={"content-type": "application/json"})
    assert "tradegraph-no-such-key" in {found["key"] for found in answer.json()}


async def test_open_server_and_lenient_parser_fail_the_protocol(sandbox: Sandbox):
    """The proxy sends the right token whatever it was sent; a body that is no JSON is answered by a guess."""

    def guess(_: str, request: Any, answer: Any) -> Any:
        return Response("[]") if request is None else answer

    async with broken(sandbox.erp, sandbox.token, guess) as url:
        result, failed = await failing(url, PROTOCOL)
    assert result.outcome is Conformance.FAIL
    assert [(check.check, check.detail) for check in failed] == [
        ("token", "a wrong token is accepted"),
        ("unreadable body", "a body that is no JSON is answered 200, not 400"),
    ]


async def test_system_without_batch_must_switch_it_off(sandbox: Sandbox):
    absent = on(contract.BATCH, lambda *_: Response("no", 404))
    async with broken(sandbox.erp, sandbox.token, absent) as url:
        _, failed = await failing(url, PROTOCOL)
    [batch] = [check for check in failed if check.check == "batch"]
    assert batch.outcome is Conformance.MISSING
    assert batch.request is not None
    assert batch.request[:2] == ("POST", "/v1/batch")
