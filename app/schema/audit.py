"""The audit: who asked what, for the platform's own people."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import strawberry

from app.auth.policy import Scope
from app.resolvers import audit as records
from app.schema.base import bound_to, field, open_to, reads_as
from app.schema.declare.enums import enum
from app.sources.freshness_contracts import CALLER

enum(
    records.AuditOutcome,
    "The outcome of a request.",
    OK="Answered without errors.",
    PARTIAL="Answered with errors in some fields.",
    FAILED="Refused or failed; there is no data.",
    CLIENT_GONE="The client disconnected before the response.",
)


@bound_to(records.AuditRows, requires=Scope.AUDIT)
@strawberry.type(description="How many objects of a type were read.")
class AuditRows:
    """See `records.AuditRows`."""

    type: str = field("The type's name.")
    count: int = field("How many.")


@bound_to(records.AuditEvent, requires=Scope.AUDIT, volatility=CALLER)
@strawberry.type(description="An operation, or a request that was refused before it was one. It holds no value of a "
                 "variable or an answer.")  # fmt: skip
class AuditEvent:
    """See `records.AuditEvent`."""

    at: datetime = field("When it was answered.")
    request_id: str = field("The request's id, as the logs have it.")
    transport: str = field("The transport the operation arrived by.")
    client: str = field("The client application.")
    subject: str = field("The caller.")
    tenant: str = field("The caller's tenant.")
    roles: list[str] = field("The caller's roles.")
    document: str | None = field("The document's id.")
    operation: str | None = field("The operation's name.")
    kind: str | None = field("query, mutation or subscription; dropped where entries are missing.")
    status: int = field("The HTTP status.")
    outcome: records.AuditOutcome = field("The outcome of the request.")
    code: str | None = field("The code with which it was refused.")
    forbidden: list[str] = field("Fields, by path, that the caller may not see.")
    rows: list[AuditRows] = field("What was read, by type.")
    cost: Decimal | None = field("What it cost, in cost units.")
    backend_calls: int = field("Requests to backends.")
    milliseconds: int = field("How long it took.")


@open_to(Scope.AUDIT)
@reads_as(records.AuditFilter)
@strawberry.input(description="Which entries of the audit.")
class AuditFilter:
    """See `records.AuditFilter`."""

    client: str | None = strawberry.field(description="Of this client.", default=None)
    subject: str | None = strawberry.field(description="Of this caller.", default=None)
    code: str | None = strawberry.field(description="Refused with this code.", default=None)
    since: datetime | None = strawberry.field(description="From then on.", default=None)
    until: datetime | None = strawberry.field(description="Before then.", default=None)
