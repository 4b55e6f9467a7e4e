"""A collector of traces: takes OTLP over HTTP on a real port, in the official messages."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.support.serving import serving


@dataclass(frozen=True)
class Received:
    """A span as it was exported; ids in hexadecimal."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    trace_state: str
    failed: bool
    attributes: dict[str, Any]


@dataclass
class Collector:
    """What was exported so far, and what the exporter said of itself."""

    url: str = ""
    spans: list[Received] = field(default_factory=list)
    resource: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    def operations(self) -> list[Received]:
        return [span for span in self.spans if span.kind == "SERVER"]

    def calls(self) -> list[Received]:
        return [span for span in self.spans if span.kind == "CLIENT"]


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """A collector on a port of its own."""
    kept = Collector()

    async def traces(request: Request) -> Response:
        body = await request.body()
        if request.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        kept.headers = dict(request.headers)
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            kept.resource = {pair.key: plain(pair.value) for pair in group.resource.attributes}
            kept.spans += [received(span) for scope in group.scope_spans for span in scope.spans]
        return Response(ExportTraceServiceResponse().SerializeToString(), media_type="application/x-protobuf")

    async with serving(Starlette(routes=[Route("/v1/traces", traces, methods=["POST"])])) as kept.url:
        yield kept


def received(span: Span) -> Received:
    return Received(
        name=span.name,
        kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        trace_state=span.trace_state,
        failed=span.status.code == Status.STATUS_CODE_ERROR,
        attributes={pair.key: plain(pair.value) for pair in span.attributes},
    )


def plain(value: AnyValue) -> Any:
    return getattr(value, value.WhichOneof("value") or "string_value")
