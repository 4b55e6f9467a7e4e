"""Trusted documents: the stored record, and the protocol of a store."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from app.errors import TradegraphError


class DocumentState(StrEnum):
    """A draft is not served. A published document is, until the day from which it is retired."""

    DRAFT = "draft"
    PUBLISHED = "published"
    RETIRED = "retired"


class StoredDocument(Struct, frozen=True, kw_only=True):
    """A document of one client, in one version of its application; "" where versions are not distinguished.

    `cost` is that of its dearest operation, known once it was published; `roles` are those of its callers.
    `aliases` are ids that its client's tools gave it. `retires` is the day from which it is refused.
    """

    id: str
    client: str
    text: str
    version: str = ""
    operations: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    contact: str = ""
    roles: tuple[str, ...] = ("partner",)
    state: DocumentState = DocumentState.DRAFT
    cost: int | None = None
    created: datetime
    published: datetime | None = None
    retires: date | None = None

    @property
    def ids(self) -> tuple[str, ...]:
        """The id and all aliases."""
        return (self.id, *self.aliases)

    @property
    def name(self) -> str:
        """The names of its operations, else a short id."""
        return ", ".join(self.operations) or self.id[:19]


class StoreChanged(TradegraphError):
    """The store changed between a read and the write that was based on it. Read again."""


class DocumentStore(Protocol):
    """Stores documents by client, version and id. Raises StoreUnavailable.

    Every write moves `generation`, so that readers in other processes notice it without reading anything else.
    """

    async def generation(self) -> int:
        """Rises with every write."""
        ...

    async def find(self, client: str, id: str) -> Sequence[StoredDocument]:
        """The document of that id or alias, once for each version of the client's application that has it."""
        ...

    async def all(self, client: str | None = None) -> Sequence[StoredDocument]:
        """Every document, or those of one client; by client, version and id."""
        ...

    async def put(self, documents: Sequence[StoredDocument], *, since: int) -> None:
        """Store these, all or none, each replacing the one of its client, version and id. Raises StoreChanged if
        `generation` is not `since` any more."""
        ...

    async def remove(self, documents: Sequence[StoredDocument], *, since: int) -> None:
        """Remove these, all or none. Raises StoreChanged if `generation` is not `since` any more."""
        ...

    async def close(self) -> None:
        """Close files and connections."""
        ...


def document_id(text: str) -> str:
    """`sha256:` and the hash of a document's text, as GraphQL over HTTP names documents."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
