"""A source of the `rest` adapter, at an address of a test."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from app.settings import SourceSettings
from app.sources.prices import PriceRequest
from app.sources.rest import connect
from app.sources.source import Source


def connected(url: str, name: str = "erp", **options: object) -> Source:
    credentials = {"token": SecretStr("sandbox")}
    settings = SourceSettings(vendor="rest", base_url=url, timeout=30, credentials=credentials, options=options)
    return connect(name, settings, clock=lambda: datetime(2026, 11, 21, tzinfo=UTC))


def price(sku: str) -> PriceRequest:
    return PriceRequest(customer="CUST-0001", sku=sku, quantity=Decimal(1))


def answering(**bodies: Any) -> Starlette:
    """A system that answers these bodies, by the path's noun."""

    async def answer(request: Request) -> Response:
        body = msgspec.json.encode(bodies[request.url.path.split("/")[2]])
        return StreamingResponse(iter([body]), media_type="application/json")

    return Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])


ORDER = {
    "id": "1",
    "number": "SO-1",
    "status": "AWAITING_PIXIES",
    "currency": "EUR",
    "totals": {"total": {"amount": "1.10", "currency": "EUR"}},
    "history": [{"status": "AWAITING_PIXIES"}],
}
