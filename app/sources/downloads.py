"""Documents of a source as PDF: invoices and proofs of delivery, read as a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from app.auth.principal import Principal
from app.sources.values import Record

PDF = "application/pdf"


class DocumentKind(StrEnum):
    """A kind of document. The value is its name in links and in the REST contract."""

    INVOICE = "invoices"
    PROOF_OF_DELIVERY = "proofs-of-delivery"


class DocumentLink(Record):
    """A signed link. `url` is a path of the gateway."""

    url: str
    file_name: str
    media_type: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class DocumentStream:
    """A document as it comes. `size` in bytes, where the source says it."""

    media_type: str
    chunks: AsyncIterator[bytes]
    size: int | None = None


class Downloads(Protocol):
    """Documents of a source."""

    def open(
        self, principal: Principal, kind: DocumentKind, id: str, customer: str
    ) -> AbstractAsyncContextManager[DocumentStream | None]:
        """Read the document of this customer; None if there is none. Leaving the context stops the read."""
        ...
