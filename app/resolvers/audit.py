"""Who asked what, for those who are to know."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum

from app.audit.records import AuditEntry, AuditQuery, NumberedEntry
from app.errors import InvalidCursor, NotSupported
from app.resolvers.loading.context import Context
from app.resolvers.loading.paging import Connection, ListScope
from app.sources.values import Page, Record


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries a list shows."""

    client: str | None = None
    subject: str | None = None
    code: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class AuditRows(Record):
    """How many objects of a type were read."""

    type: str
    count: int


class AuditOutcome(StrEnum):
    """The outcome of a request, by the words of the audit log."""

    OK = "ok"
    PARTIAL = "partial"
    FAILED = "failed"
    CLIENT_GONE = "gone"


class AuditEvent(Record):
    """An entry of the audit, in the schema's terms."""

    at: datetime
    request_id: str
    transport: str
    client: str
    subject: str
    tenant: str
    roles: tuple[str, ...]
    document: str | None
    operation: str | None
    kind: str | None
    status: int
    outcome: AuditOutcome
    code: str | None
    forbidden: tuple[str, ...]
    rows: tuple[AuditRows, ...]
    commands: tuple[str, ...]
    cost: Decimal | None
    backend_calls: int
    milliseconds: int


async def audit_events(
    ctx: Context, first: int, after: str | None = None, filter: AuditFilter | None = None
) -> Connection[AuditEvent]:
    """Root: entries of the audit, the latest first."""
    if ctx.ledger is None:
        raise NotSupported("The audit log is disabled.")
    query = _audit_query(filter or AuditFilter())
    scope = ListScope("auditEvents", query)
    page = scope.page(first, after, count=False)
    if page.after is not None and not page.after.isdecimal():
        raise InvalidCursor
    before = None if page.after is None else int(page.after)
    found = await asyncio.to_thread(ctx.ledger.page, query, page.first + 1, before)
    return scope.connection(_slice(found, page.first, began=before is None))


def _audit_query(filter: AuditFilter) -> AuditQuery:
    return AuditQuery(
        client=filter.client,
        subject=filter.subject,
        code=filter.code,
        since=filter.since and filter.since.timestamp(),
        until=filter.until and filter.until.timestamp(),
    )


def _slice(found: list[NumberedEntry], first: int, *, began: bool) -> Page[AuditEvent]:
    shown = found[:first]
    return Page(
        rows=tuple(_event(one.entry) for one in shown),
        cursors=tuple(str(one.number) for one in shown),
        has_next=len(found) > first,
        has_previous=not began,
    )


def _event(entry: AuditEntry) -> AuditEvent:
    return AuditEvent(
        at=datetime.fromtimestamp(entry.at, UTC),
        request_id=entry.request_id,
        transport=entry.transport,
        client=entry.client,
        subject=entry.subject,
        tenant=entry.tenant,
        roles=entry.roles,
        document=entry.document,
        operation=entry.operation,
        kind=entry.kind,
        status=entry.status,
        outcome=AuditOutcome(entry.outcome),
        code=entry.code,
        forbidden=entry.forbidden,
        rows=tuple(AuditRows(type=name, count=count) for name, count in (entry.rows or {}).items()),
        commands=entry.commands,
        cost=None if entry.cost is None else Decimal(str(entry.cost)),
        backend_calls=entry.backend_calls,
        milliseconds=round(entry.milliseconds),
    )
