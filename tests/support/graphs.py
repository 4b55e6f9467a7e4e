"""A small graph for tests of the endpoint: every kind of outcome, and a gate to hold an operation open."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import strawberry
from graphql import GraphQLSchema

from app.auth.policy import ALL_PERMISSIONS
from app.auth.principal import Principal, Role
from app.errors import Forbidden, SourceTimeout, Unauthenticated
from app.execution.document.limits import DocumentLimits
from app.execution.engine import Operation
from app.execution.reference import ReferenceEngine
from app.execution.subscriptions import source_events
from app.gateway.http import GraphQLEndpoint
from app.gateway.interfaces import DocumentResolver
from app.gateway.service import GraphQLService
from app.schema.declare.edges import Argument
from app.schema.declare.streams import stream

TOKEN = "Bearer buyer"


@strawberry.enum
class Colour(enum.Enum):
    RED = "red"


@strawberry.input(one_of=True)
class Key:
    id: strawberry.Maybe[str]
    number: strawberry.Maybe[str]


@dataclass
class Gate:
    """What the test and a running resolver tell each other."""

    entered: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    backend_deadline: float | None = None


@strawberry.type
class Query:
    @strawberry.field
    def hello(self, name: str = "world") -> str:
        return f"hello {name}"

    @strawberry.field
    def who(self, info: strawberry.Info) -> str:
        return info.context["principal"].subject

    @strawberry.field
    async def echo(self, by: Key) -> str | None:
        return by.id.value if by.id else by.number.value if by.number else None

    @strawberry.field
    async def broken(self) -> str | None:
        raise RuntimeError("the backend said: secret")

    @strawberry.field
    async def brokens(self) -> list[Broken]:
        cause = SourceTimeout("erp", detail="the backend said: secret")
        return [Broken(cause=cause), Broken(cause=cause)]

    @strawberry.field
    async def late(self) -> str | None:
        raise SourceTimeout("erp", detail="the backend said: secret")

    @strawberry.field
    async def forbidden(self) -> str | None:
        raise Forbidden

    @strawberry.field
    async def missing(self) -> str:
        return None  # type: ignore[return-value]

    @strawberry.field
    async def colour(self) -> Colour | None:
        return "the backend said: secret"  # type: ignore[return-value]

    @strawberry.field
    async def held(self, info: strawberry.Info) -> str | None:
        gate: Gate = info.context["gate"]
        gate.entered.set()
        try:
            await gate.opened.wait()
        except asyncio.CancelledError:
            gate.cancelled.set()
            raise
        return "open"


@strawberry.type
class Broken:
    cause: strawberry.Private[Exception]

    @strawberry.field
    async def name(self) -> str | None:
        raise self.cause


@strawberry.type
class Mutation:
    @strawberry.mutation
    def add(self, amount: int = 1) -> int:
        return amount


@dataclass(frozen=True)
class Tick:
    """An event, with the place to go on from."""

    number: int
    cursor: str


async def ticks(ctx: SmallContext, first: int = 3) -> AsyncGenerator[Tick, None]:
    """Some ticks."""
    for number in range(1, first + 1):
        yield Tick(number, f"c{number}")


async def breaking(ctx: SmallContext) -> AsyncGenerator[Tick, None]:
    """A tick, then a failure of ours."""
    yield Tick(1, "c1")
    raise RuntimeError("the backend said: secret")


async def waiting(ctx: SmallContext) -> AsyncGenerator[Tick, None]:
    """A tick, then nothing until the gate opens, then another."""
    gate = ctx["gate"]
    yield Tick(1, "c1")
    gate.entered.set()
    try:
        await gate.opened.wait()
    except asyncio.CancelledError:
        gate.cancelled.set()
        raise
    yield Tick(2, "c2")


@strawberry.type
class TickView:
    number: int

    @strawberry.field
    async def broken(self) -> str | None:
        raise RuntimeError("the backend said: secret")

    @strawberry.field
    def who(self, info: strawberry.Info) -> str:
        return info.context["principal"].subject


@strawberry.type
class Subscription:
    ticks = stream(ticks, returns=TickView, description="", args={"first": Argument(int, "", 3)})
    breaking = stream(breaking, returns=TickView, description="")
    waiting = stream(waiting, returns=TickView, description="")


class SmallContext(dict[str, Any]):
    """What an operation of this graph carries."""

    event: Any = None
    permissions = ALL_PERMISSIONS


class FakeAuthenticator:
    """Lets in whoever says `Bearer NAME`, as a buyer, or `Bearer ROLE:NAME`; `... until SECONDS` until that time. The
    name is the client's too. Credentials in `revoked` are not believed any more."""

    def __init__(self) -> None:
        self.revoked: set[str] = set()

    async def authenticate(self, authorization: str | None) -> Principal:
        if not authorization or not authorization.startswith("Bearer ") or authorization in self.revoked:
            raise Unauthenticated
        text, _, until = authorization[7:].partition(" until ")
        role, _, name = text.rpartition(":")
        roles = frozenset({Role(role or "buyer")})
        return Principal(subject=name, roles=roles, expires_at=float(until) if until else None)


def small_engine() -> ReferenceEngine:
    """graphql-core over this graph."""
    return ReferenceEngine(small_schema(), limits=DocumentLimits(tokens=200))


@cache
def small_schema() -> GraphQLSchema:
    """The graph."""
    return strawberry.Schema(Query, Mutation, Subscription)._schema


def small_service(
    gate: Gate | None = None,
    *,
    timeout: float = 10.0,
    engine: ReferenceEngine | None = None,
    documents: DocumentResolver | None = None,
) -> GraphQLService:
    """The service over this graph."""

    def context(principal: Principal, operation: Operation) -> SmallContext:
        return SmallContext(principal=principal, gate=gate, selection=operation.selection)

    events = partial(source_events, small_schema())
    return GraphQLService(engine or small_engine(), context, documents=documents, events=events, timeout=timeout)


def small_graph(
    gate: Gate | None = None,
    *,
    timeout: float = 10.0,
    max_body_bytes: int = 4096,
    engine: ReferenceEngine | None = None,
    documents: DocumentResolver | None = None,
) -> GraphQLEndpoint:
    """The endpoint over this graph."""
    service = small_service(gate, timeout=timeout, engine=engine, documents=documents)
    return GraphQLEndpoint(service, FakeAuthenticator(), max_body_bytes=max_body_bytes)
