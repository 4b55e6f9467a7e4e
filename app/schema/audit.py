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
@strawberry.type(description="Number of objects read, by type.")
class AuditRows:
    type: str = field("The type's name.")
    count: int = field("Quantity.")


@bound_to(records.AuditEvent, requires=Scope.AUDIT, volatility=CALLER)
@strawberry.type(description="An operation, or a request that was refused before it was one. It holds no value of a "
                 "variable or an answer.")  # fmt: skip
class AuditEvent:
    at: datetime = field("Time of the response.")
    request_id: str = field("Id of the request, as in the logs.")
    transport: str = field("The transport the operation arrived by.")
    client: str = field("The client application.")
    subject: str = field("The caller.")
    tenant: str = field("The caller's tenant.")
    roles: list[str] = field("The caller's roles.")
    document: str | None = field("The document's id.")
    operation: str | None = field("The operation's name.")
    kind: str | None = field("`query`, `mutation` or `subscription`; `dropped` marks entries lost by the audit log.")
    status: int = field("The HTTP status.")
    outcome: records.AuditOutcome = field("The outcome of the request.")
    code: str | None = field("Error code of a refused request.")
    forbidden: list[str] = field("Fields, by path, that the caller may not see.")
    rows: list[AuditRows] = field("Number of objects read, by type.")
    commands: list[str] = field("What a mutation did: event, key, id and state of the intake.")
    cost: Decimal | None = field("Cost of the operation in cost units.")
    backend_calls: int = field("Requests to backends.")
    milliseconds: int = field("Duration.")


@open_to(Scope.AUDIT)
@reads_as(records.AuditFilter)
@strawberry.input(description="Filter of the audit events.")
class AuditFilter:
    client: str | None = strawberry.field(description="Only entries of this client.", default=None)
    subject: str | None = strawberry.field(description="Only entries of this caller.", default=None)
    code: str | None = strawberry.field(description="Only requests refused with this code.", default=None)
    since: datetime | None = strawberry.field(description="Only entries from this time on.", default=None)
    until: datetime | None = strawberry.field(description="Only entries before this time.", default=None)
