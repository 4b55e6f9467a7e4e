"""A stand-in for Tryton: answers by model, sessions that end, faults on demand."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.sources.source import Source
from tests.contract.tryton_case import connect_to
from tests.support.vendor_traffic import VendorTraffic
from tests.upstreams import serve

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)

UNITS = [
    {"id": 1, "name": "Unit", "symbol": "u", "category": 1, "factor": 1.0, "rate": 1.0, "rounding": 1.0, "active": 1},
    {"id": 2, "name": "Box of 12", "symbol": "bx12", "category": 1, "factor": 12.0, "rate": 0.083333333333,
     "rounding": 1.0, "active": 1},
    {"id": 3, "name": "Kilogram", "symbol": "kg", "category": 2, "factor": 1.0, "rate": 1.0, "rounding": 0.01,
     "active": 1},
    {"id": 4, "name": "Bag of 25 kg", "symbol": "bag25", "category": 2, "factor": 25.0, "rate": 0.04, "rounding": 1.0,
     "active": 1},
]  # fmt: skip
COMPANY = [{"id": 1, "currency": {"id": 1, "code": "USD"}}]
LOCATIONS = [
    {"id": 5, "code": "EAST", "name": "East", "type": "warehouse", "parent": None, "active": 1, "address": None},
    {"id": 6, "code": "WEST", "name": "West", "type": "warehouse", "parent": None, "active": 1, "address": None},
    {"id": 51, "code": None, "name": "East input", "type": "storage", "parent": 5, "active": 1, "address": None},
    {"id": 52, "code": None, "name": "East output", "type": "storage", "parent": 5, "active": 1, "address": None},
    {"id": 53, "code": None, "name": "East shelf", "type": "storage", "parent": 51, "active": 1, "address": None},
    {"id": 61, "code": None, "name": "West input", "type": "storage", "parent": 6, "active": 1, "address": None},
    {"id": 7, "code": None, "name": "Customer", "type": "customer", "parent": None, "active": 1, "address": None},
    {"id": 8, "code": None, "name": "Supplier", "type": "supplier", "parent": None, "active": 1, "address": None},
    {"id": 9, "code": None, "name": "Transit", "type": "storage", "parent": None, "active": 1, "address": None},
]


def check_read(traffic: VendorTraffic, model: str, domain: Any, fields: Sequence[str], order: Any) -> None:
    """Compare a read over REST with the declaration. Raises UndeclaredRequest."""
    traffic.check_model_call(
        f"/rest/model/{model}",
        fields=[part for path in fields for part in path.split(".")],
        filters=[*_filtered(domain)],
        sorts=[name for name, _ in order],
        sent=None,
    )


def check_call(traffic: VendorTraffic, method: str, params: Sequence[Any]) -> None:
    """Compare a call over JSON-RPC with the declaration. Raises UndeclaredRequest."""
    verb = method.rpartition(".")[2]
    sent = {"create": lambda: params[0][0], "write": lambda: params[1], "on_change": lambda: params[0]}
    traffic.check_model_call(
        f"/rpc/{method}",
        fields=(),
        filters=[*_filtered(params[0])] if verb in {"search", "search_count"} else (),
        sorts=[name for name, _ in params[3]] if verb == "search" else (),
        sent=dict.fromkeys(_sent(sent[verb]())) if verb in sent and "wizard" not in method else None,
    )


def check_recorded(traffic: VendorTraffic) -> None:
    """Compare each request that was recorded of a real Tryton."""
    for request in traffic.recorded():
        if request["method"] == "POST":
            check_call(traffic, request["body"]["method"], request["body"]["params"])
        else:
            query = request["query"]
            (domain,) = (value for name, value in query if name == "d")
            order = next((value for name, value in query if name == "o"), ())
            fields = [value for name, value in query if name == "f"]
            check_read(traffic, request["path"].rpartition("/")[2], domain, fields, order)


def _filtered(domain: Any) -> Iterator[str]:
    """The fields that a domain compares."""
    if domain and isinstance(domain[0], str) and domain[0] not in {"OR", "AND"}:
        if domain[1] in {"where", "not where"}:
            yield from (f"{domain[0]}.{name}" for name in _filtered(domain[2]))
        else:
            yield domain[0]
    else:
        for part in domain:
            if isinstance(part, list):
                yield from _filtered(part)


def _sent(value: Any) -> Iterator[str]:
    """The names of fields that are written, those of lines too."""
    if isinstance(value, dict) and "__class__" not in value:
        for name, inner in value.items():
            yield name
            yield from _sent(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _sent(inner)


@dataclass(frozen=True)
class Read:
    """A read over REST."""

    model: str
    domain: Any
    fields: tuple[str, ...]
    context: dict[str, Any]
    limit: int | None


Answer = list[dict[str, Any]] | Callable[[Read], Any]


@dataclass
class Tryton:
    """The running stand-in. `rows` are answers by model; `rpc` answers a call or raises; `session` is the one that
    counts, and logins with another password than `password` are refused."""

    rows: dict[str, Answer] = field(default_factory=dict)
    rpc: Callable[[str, list[Any]], Response] = lambda method, params: JSONResponse({"id": 1, "result": 7})
    password: str = "gateway-demo-password"
    url: str = ""
    reads: list[Read] = field(default_factory=list)
    called: list[str] = field(default_factory=list)
    logins: int = 0
    traffic: VendorTraffic | None = field(default_factory=lambda: VendorTraffic("tryton"))
    """What each request has to be declared in, if fields have the names of the seed."""
    refusing: int | None = None
    """The status with which every session is refused."""
    _valid: str = ""

    def end_session(self) -> None:
        """The next call finds its session gone."""
        self._valid = ""

    async def handle_rest(self, request: Request) -> Response:
        query = request.query_params
        read = Read(
            model=request.path_params["model"],
            domain=_packed(query["d"]),
            fields=tuple(query.getlist("f")),
            context=_packed(request.headers["x-tryton-context"]),
            limit=int(query["s"]) if "s" in query else None,
        )
        self.reads.append(read)
        if self.traffic is not None:
            order = _packed(query["o"]) if "o" in query else ()
            check_read(self.traffic, read.model, read.domain, read.fields, order)
        answer = self.rows.get(read.model, [])
        found = answer(read) if callable(answer) else answer
        return found if isinstance(found, Response) else JSONResponse(found)

    async def handle_rpc(self, request: Request) -> Response:
        body = await request.json()
        if body["method"] == "common.db.login":
            self.logins += 1
            if body["params"][1]["password"] != self.password:
                return Response(status_code=401)
            self._valid = f"session-{self.logins}"
            return JSONResponse({"id": body["id"], "result": [2, self._valid, None]})
        sent = request.headers.get("authorization", "").removeprefix("Session ")
        if self.refusing is not None:
            return Response(status_code=self.refusing)
        if not self._valid or sent != base64.b64encode(f"gateway:2:{self._valid}".encode()).decode():
            return Response(status_code=401)
        self.called.append(body["method"])
        if self.traffic is not None:
            check_call(self.traffic, body["method"], body["params"])
        return self.rpc(body["method"], body["params"])


@asynccontextmanager
async def tryton_upstream(**rows: Answer) -> AsyncIterator[Tryton]:
    """The stand-in on a port of its own, with reference data; model names with `__` for the dot."""
    tryton = Tryton()
    tryton.rows = {"product.uom": UNITS, "company.company": COMPANY, "stock.location": LOCATIONS}
    tryton.rows |= {model.replace("__", "."): answer for model, answer in rows.items()}
    app = Starlette(
        routes=[
            Route("/tryton/rest/model/{model}", tryton.handle_rest),
            Route("/tryton/rpc/", tryton.handle_rpc, methods=["POST"]),
        ]
    )
    async with serve(app) as tryton.url:
        yield tryton


@asynccontextmanager
async def connected(upstream: Tryton, **options: Any) -> AsyncIterator[Source]:
    """The adapter over the stand-in; it is always the same time."""
    source = connect_to(upstream.url, lambda: NOW, **options)
    try:
        yield source
    finally:
        await source.aclose()


def _packed(value: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(value))


def exact(digits: str) -> dict[str, str]:
    """A Decimal on the wire."""
    return {"__class__": "Decimal", "decimal": digits}


def on(year: int, month: int, day: int) -> dict[str, Any]:
    """A date on the wire."""
    return {"__class__": "date", "year": year, "month": month, "day": day}
