"""A small graph for tests of the endpoint: every kind of outcome, and a gate to hold an operation open."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import strawberry

from app.auth.principal import Principal, Role
from app.endpoint.http import GraphQLEndpoint
from app.endpoint.service import Documents, Service
from app.errors import Forbidden, SourceTimeout, Unauthenticated
from app.execution.engine import Operation, ReferenceEngine
from app.execution.limits import DocumentLimits

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
        return info.context["who"].subject

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


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def ticks(self) -> AsyncIterator[int]:
        yield 1


class Doorman:
    """Lets in whoever says `Bearer NAME`, as a buyer, or `Bearer ROLE:NAME`. The name is the client's too."""

    async def authenticate(self, authorization: str | None) -> Principal:
        if not authorization or not authorization.startswith("Bearer "):
            raise Unauthenticated
        role, _, name = authorization[7:].rpartition(":")
        return Principal(subject=name, roles=frozenset({Role(role or "buyer")}))


def small_engine() -> ReferenceEngine:
    """graphql-core over this graph."""
    return ReferenceEngine(strawberry.Schema(Query, Mutation, Subscription)._schema, limits=DocumentLimits(tokens=200))


def small_graph(
    gate: Gate | None = None,
    *,
    timeout: float = 10.0,
    max_body_bytes: int = 4096,
    engine: ReferenceEngine | None = None,
    documents: Documents | None = None,
) -> GraphQLEndpoint:
    """The endpoint over this graph."""

    def context(who: Principal, operation: Operation) -> dict[str, object]:
        return {"who": who, "gate": gate, "selection": operation.selection}

    service = Service(engine or small_engine(), context, documents=documents, timeout=timeout)
    return GraphQLEndpoint(service, Doorman(), max_body_bytes=max_body_bytes)
