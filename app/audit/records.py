"""The audit: who asked what, as it is kept and asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import msgspec


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One operation, or a request that was refused before it was one. No value of an answer or a variable is in it.

    `rows` counts the objects that were read, by type: an object that two selections of a document reach counts in
    both; None where it was not counted. `forbidden` are the fields, by path, that the caller may not see.
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
    cost: float | None = None
    backend_calls: int = 0
    milliseconds: float = 0.0


class AuditQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries are asked for; None does not choose. `since` and `until` are in seconds since 1970."""

    client: str | None = None
    subject: str | None = None
    operation: str | None = None
    code: str | None = None
    refused: bool = False
    since: float | None = None
    until: float | None = None


class NumberedEntry(msgspec.Struct, frozen=True):
    """An entry, and its number: later ones have higher numbers."""

    number: int
    entry: AuditEntry


class AccessSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What one caller did in a time, for an access review."""

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
    """Where entries are kept."""

    def record(self, entry: AuditEntry) -> None:
        """Keep it, soon. Never waits and never fails: what cannot be kept is counted."""
        ...


class AuditPages(Protocol):
    """Kept entries, a page at a time."""

    def page(self, query: AuditQuery, most: int, before: int | None = None) -> list[NumberedEntry]:
        """Some, the latest first; `before` a number, those that are older."""
        ...


class AuditReader(AuditPages, Protocol):
    """Kept entries, to be read."""

    def entries(self, query: AuditQuery, *, most: int | None = None) -> Iterator[AuditEntry]:
        """The latest first."""
        ...

    def accesses(self, query: AuditQuery) -> Sequence[AccessSummary]:
        """One for each caller, in the order of client and subject."""
        ...
