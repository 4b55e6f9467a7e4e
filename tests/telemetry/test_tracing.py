"""One trace from the caller through the operation to each backend request; ids and trace context on the wire."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from app import telemetry
from app.gateway.websocket import PROTOCOL
from app.sandbox import Sandbox
from app.settings import TelemetrySettings
from tests.support.gateway import CSR, Graph, gateway
from tests.support.graphs import TOKEN, small_graph
from tests.support.serving import serving
from tests.upstreams.collector import Collector, collecting
from tests.upstreams.recording import Recording, recording

ROOT = Path(__file__).resolve().parents[2]
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"
HEADERS = {
    "traceparent": f"00-{TRACE}-{CALLER}-01",
    "tracestate": "shop=a1,vendor@x=b",
    "baggage": "user=alice",
    "x-request-id": "req-1",
    "x-correlation-id": "cor-1",
}
QUERY = """query Card {
  customer(by: {number: "CUST-0001"}) { number creditStatus { state } }
  order(by: {number: "SO-100040"}) { number statusBySource { system } shipments { status } }
}"""


@asynccontextmanager
async def traced(sandbox: Sandbox, **settings: Any) -> AsyncIterator[tuple[Graph, Collector, dict[str, Recording]]]:
    """A gateway that exports to a collector, over backends whose requests are kept. The collector holds everything
    once this is left."""
    async with AsyncExitStack() as stack:
        collector = await stack.enter_async_context(collecting())
        kept = {name: await stack.enter_async_context(recording(url)) for name, url in sandbox.urls.items()}
        graph = await stack.enter_async_context(
            gateway(
                sandbox,
                sources={name: {"base_url": one.url} for name, one in kept.items()},
                telemetry=TelemetrySettings(otlp_endpoint=collector.url, **settings),
            )
        )
        yield graph, collector, kept


async def asked(graph: Graph, query: str = QUERY, **headers: str) -> dict[str, Any]:
    """The whole answer to a query that came with these headers."""
    answer = await graph.client.post("/graphql", json={"query": query}, headers=CSR | headers)
    assert answer.status_code == 200
    return answer.json()


async def test_one_trace_leads_from_the_caller_to_each_backend(dated_sandbox: Sandbox):
    settings = {
        "otlp_headers": {"authorization": SecretStr("Bearer a-collector-token")},
        "service_name": "graph",
        "resource_attributes": {"deployment.environment.name": "test"},
    }
    async with traced(dated_sandbox, **settings) as (graph, collector, kept):
        assert "errors" not in await asked(graph, **HEADERS)
        await graph.client.get("/readyz")  # A probe leaves no trace.

    (operation,) = collector.operations()
    assert (operation.trace_id, operation.parent_id, operation.name) == (TRACE, CALLER, "query")
    assert operation.trace_state == "shop=a1,vendor@x=b"
    calls = collector.calls()
    assert {call.trace_id for call in calls} == {TRACE}
    assert operation.attributes == {
        "graphql.operation.name": "Card",
        "graphql.operation.type": "query",
        "graphql.document.hash": f"sha256:{hashlib.sha256(QUERY.encode()).hexdigest()}",
        "http.response.status_code": 200,
        "tradegraph.transport": "http",
        "tradegraph.outcome": "ok",
        "tradegraph.backend_calls": len(calls),
        "tradegraph.request_id": "req-1",
        "tradegraph.correlation_id": "cor-1",
    }
    sent = {
        (name, headers["traceparent"]): headers
        for name, one in kept.items()
        for path, headers in one.seen
        if headers.get("x-request-id") == "req-1"
    }
    assert {(call.attributes["server.address"], f"00-{TRACE}-{call.span_id}-01") for call in calls} == sent.keys()
    assert {call.parent_id for call in calls} == {operation.span_id}
    assert {call.attributes["server.address"] for call in calls} == {"erp", "commerce", "logistics"}
    for headers in sent.values():
        assert (headers["x-correlation-id"], headers["tracestate"]) == ("cor-1", "shop=a1,vendor@x=b")
        assert "baggage" not in headers
    assert collector.headers["authorization"] == "Bearer a-collector-token"
    assert collector.resource["service.name"] == "graph"
    assert collector.resource["deployment.environment.name"] == "test"


async def test_batch_is_one_span_that_counts_its_reads_and_keys(dated_sandbox: Sandbox):
    query = """{ a: item(by: {sku: "SKU-0001"}) { sku } b: item(by: {sku: "SKU-0002"}) { sku }
        customer(by: {number: "CUST-0001"}) { number } }"""
    async with traced(dated_sandbox) as (graph, collector, _):
        await asked(graph, query, **HEADERS)
    (call,) = collector.calls()
    assert call.name == "POST batch"
    assert call.attributes == {
        "http.request.method": "POST",
        "server.address": "erp",
        "url.template": "batch",
        "http.response.status_code": 200,
        "tradegraph.batch.reads": 2,
        "tradegraph.batch.keys": 3,
    }


async def test_backend_that_fails_is_an_error_in_the_trace(dated_sandbox: Sandbox):
    async with traced(dated_sandbox) as (graph, collector, _):
        await graph.turn("erp", resource="*", errorRate=1.0)
        answer = await asked(graph, '{ customer(by: {number: "CUST-0001"}) { number } }', **HEADERS)
    assert answer["errors"][0]["extensions"]["code"] == "SOURCE_UNAVAILABLE"
    (call,), (operation,) = collector.calls(), collector.operations()
    assert (call.failed, call.attributes["error.type"]) == (True, "unavailable")
    assert call.attributes["http.response.status_code"] == 500
    assert (operation.failed, operation.attributes["tradegraph.outcome"]) == (False, "partial")


async def test_refused_operation_is_an_error_with_its_code(dated_sandbox: Sandbox):
    async with traced(dated_sandbox) as (graph, collector, _):
        wrong = HEADERS | {"authorization": "Bearer wrong"}
        answer = await graph.client.post("/graphql", json={"query": "{ warehouses { code } }"}, headers=wrong)
        assert answer.status_code == 401
    (operation,) = collector.spans
    assert operation.failed
    assert (operation.name, operation.parent_id) == ("GraphQL Operation", CALLER)
    assert operation.attributes["error.type"] == "UNAUTHENTICATED"
    assert operation.attributes["http.response.status_code"] == 401


async def test_document_and_variables_stay_out_of_the_trace(dated_sandbox: Sandbox):
    async with traced(dated_sandbox) as (graph, collector, kept):
        await asked(graph, '{ customer(by: {number: "CUST-0001"}) { number } }')
    told = repr(collector.spans)
    assert len(collector.spans) == 2
    assert "CUST-0001" not in told
    assert not [one.url for one in kept.values() if one.url.removeprefix("http://") in told]


@pytest.mark.parametrize(
    ("ratio", "flags", "exported"),
    [(0.0, "00", False), (0.0, "01", True), (1.0, "00", False), (1.0, "01", True)],
)
async def test_caller_decides_whether_a_trace_is_sampled(
    dated_sandbox: Sandbox, ratio: float, flags: str, exported: bool
):
    async with traced(dated_sandbox, sampling_ratio=ratio) as (graph, collector, kept):
        await asked(graph, **HEADERS | {"traceparent": f"00-{TRACE}-{CALLER}-{flags}"})
    assert bool(collector.spans) is exported
    sent = [headers["traceparent"] for _, headers in kept["erp"].seen if headers.get("x-request-id") == "req-1"]
    assert {(each[:35], each[-2:]) for each in sent} == {(f"00-{TRACE}", flags)}
    assert CALLER not in {each[36:52] for each in sent}


@pytest.mark.parametrize(("ratio", "exported"), [(0.0, False), (1.0, True)])
async def test_ratio_decides_where_the_caller_did_not(dated_sandbox: Sandbox, ratio: float, exported: bool):
    async with traced(dated_sandbox, sampling_ratio=ratio) as (graph, collector, _):
        await asked(graph)
    assert bool(collector.spans) is exported


async def test_malformed_traceparent_starts_a_trace_of_our_own(dated_sandbox: Sandbox):
    async with traced(dated_sandbox) as (graph, collector, kept):
        await asked(graph, **HEADERS | {"traceparent": f"00-{'0' * 32}-{CALLER}-01"})
    (operation,) = collector.operations()
    assert (operation.parent_id, operation.trace_state) == ("", "")
    assert operation.trace_id not in {TRACE, "0" * 32}
    assert "tracestate" not in kept["erp"].seen[-1][1]


async def test_operations_of_a_socket_belong_to_the_trace_of_its_handshake(dated_sandbox: Sandbox):
    async with traced(dated_sandbox) as (graph, collector, _):
        address = str(graph.client.base_url).replace("http", "ws").rstrip("/")
        async with connect(
            f"{address}/graphql", subprotocols=[Subprotocol(PROTOCOL)], additional_headers=CSR | HEADERS
        ) as socket:
            await socket.send('{"type": "connection_init"}')
            await socket.recv()
            await socket.send('{"id": "1", "type": "subscribe", "payload": {"query": "{ warehouses { code } }"}}')
            assert json.loads(await socket.recv())["type"] == "next"
            assert json.loads(await socket.recv())["type"] == "complete"
    (operation,) = collector.operations()
    assert (operation.trace_id, operation.parent_id) == (TRACE, CALLER)
    assert operation.attributes["tradegraph.transport"] == "websocket"
    assert operation.attributes["tradegraph.correlation_id"] == "cor-1"


async def test_each_event_of_a_subscription_is_a_span_below_it():
    async with collecting() as collector:
        export = telemetry.SpanExport(
            collector.url, headers={}, service_name="graph", sampling_ratio=1.0, resource_attributes={}
        )
        export.start()
        try:
            async with serving(small_graph()) as url, httpx.AsyncClient() as client:
                headers = {"accept": "text/event-stream", "authorization": TOKEN, "traceparent": HEADERS["traceparent"]}
                body = {"query": "subscription Ticks { ticks(first: 2) { number } }"}
                assert (await client.post(f"{url}/graphql", json=body, headers=headers)).status_code == 200
        finally:
            await asyncio.to_thread(export.stop)
    (opened,) = [span for span in collector.spans if span.parent_id == CALLER]
    events = [span for span in collector.spans if span.parent_id == opened.span_id]
    assert [span.name for span in (opened, *events)] == ["subscription"] * 3
    assert {span.trace_id for span in collector.spans} == {TRACE}
    assert {span.attributes["graphql.operation.name"] for span in collector.spans} == {"Ticks"}
    assert {span.attributes["tradegraph.outcome"] for span in collector.spans} == {"ok"}


async def test_log_lines_name_trace_and_span(dated_sandbox: Sandbox, out: io.StringIO):
    async with traced(dated_sandbox) as (graph, collector, _):
        await asked(graph, **HEADERS)
    (line,) = requests_in(out)
    (operation,) = collector.operations()
    assert (line["trace_id"], line["span_id"]) == (TRACE, operation.span_id)


async def test_without_a_collector_the_callers_trace_is_handed_on_as_it_is(dated_sandbox: Sandbox, out: io.StringIO):
    async with (
        recording(dated_sandbox.urls["erp"]) as erp,
        gateway(dated_sandbox, sources={"erp": {"base_url": erp.url}}) as graph,
    ):
        await asked(graph, **HEADERS)
    sent = [headers for _, headers in erp.seen if headers.get("x-request-id") == "req-1"]
    assert {(each["traceparent"], each["tracestate"]) for each in sent} == {
        (HEADERS["traceparent"], HEADERS["tracestate"])
    }
    assert all("baggage" not in each for each in sent)
    (line,) = requests_in(out)
    assert line["trace_id"] == TRACE
    assert "span_id" not in line


def requests_in(out: io.StringIO) -> list[dict[str, Any]]:
    """The lines that tell of an answered operation."""
    return [line for line in map(json.loads, out.getvalue().splitlines()) if line["event"] == "request"]


async def test_unavailable_collector_fails_no_operation(dated_sandbox: Sandbox):
    settings = TelemetrySettings(otlp_endpoint="http://127.0.0.1:9")
    async with gateway(dated_sandbox, telemetry=settings) as graph:
        assert "errors" not in await asked(graph, **HEADERS)


def test_endpoint_without_the_packages_is_refused_at_the_start():
    probe = """
import sys
sys.modules["opentelemetry.sdk"] = None
from app.errors import ConfigurationError
from app.telemetry import SpanExport
try:
    SpanExport("http://127.0.0.1:4318", headers={}, service_name="x", sampling_ratio=1, resource_attributes={})
except ConfigurationError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stdout == (
        "telemetry.otlp_endpoint = 'http://127.0.0.1:4318': "
        "needs packages that are not installed: pip install 'tradegraph[otel]'\n"
    ), done.stderr


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("shop=a1,vendor@x=b", "shop=a1,vendor@x=b"),
        (" shop=a1 ,\tother=2,", "shop=a1,other=2"),
        ("", None),
        (",", None),
        ("shop", None),
        ("Shop=1", None),
        ("shop=1,shop=2", None),
        ("shop=a\r\nx: y", None),
        ("shop=ä", None),
        (",".join(f"k{number}=1" for number in range(32)), ",".join(f"k{number}=1" for number in range(32))),
        (",".join(f"k{number}=1" for number in range(33)), None),
        ("shop=" + "a" * 508, None),
    ],
)
def test_tracestate_is_accepted_if_it_is_well_formed(given: str, kept: str | None):
    assert telemetry.safe_tracestate(given) == kept


def test_tracestate_without_a_parent_is_nothing():
    with telemetry.open_scope(tracestate="shop=a1") as scope:
        assert scope.tracestate is None
