"""Records of the audit log, and the interfaces to write and read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import msgspec


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An operation, or a request that was refused before it ran. It holds no value of a response or variable.

    `rows` counts the objects read, by type; an object that two selections reach counts twice; None where rows were not
    counted. `commands` are what a mutation did: event, key, intake and its state. `forbidden` are the paths of the
    refused fields. `at` is in seconds since 1970.
    """

    at: float
    request_id: str
    transport: str = "http"
    client: str = ""
    subject: str = ""
    tenant: str = ""
    roles: tuple[str, ...] = ()
    document: str | None = None
    operation: str | None = None
    kind: str | None = None
    status: int = 200
    outcome: str = "ok"
    code: str | None = None
    forbidden: tuple[str, ...] = ()
    rows: Mapping[str, int] | None = None
    variables: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    cost: float | None = None
    backend_calls: int = 0
    milliseconds: float = 0.0


class AuditQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A filter of entries; None matches all. `since` (inclusive) and `until` (exclusive) are in seconds since 1970."""

    client: str | None = None
    subject: str | None = None
    operation: str | None = None
    code: str | None = None
    refused: bool = False
    since: float | None = None
    until: float | None = None


class NumberedEntry(msgspec.Struct, frozen=True):
    """An entry with its number, which increases."""

    number: int
    entry: AuditEntry


class AccessSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One caller's activity in a period, for an access review."""

    client: str
    subject: str
    tenant: str
    roles: tuple[str, ...]
    first_at: float
    last_at: float
    requests: int
    refused: int
    forbidden: tuple[str, ...]
    rows: Mapping[str, int]


class AuditSink(Protocol):
    """Receives entries."""

    def record(self, entry: AuditEntry) -> None:
        """Queue the entry. Never blocks and never raises: entries that cannot be written are counted."""
        ...


class AuditPages(Protocol):
    """Reads entries by pages."""

    def page(self, query: AuditQuery, most: int, before: int | None = None) -> list[NumberedEntry]:
        """A page, newest first; with `before`, of entries with lower numbers."""
        ...


class AuditReader(AuditPages, Protocol):
    """Reads entries."""

    def entries(self, query: AuditQuery, *, most: int | None = None) -> Iterator[AuditEntry]:
        """Newest first."""
        ...

    def accesses(self, query: AuditQuery) -> Sequence[AccessSummary]:
        """One summary per caller, ordered by client and subject."""
        ...
