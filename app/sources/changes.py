"""Change feeds: what changed in a source since a cursor."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from app.auth.principal import Principal
from app.sources.values import Record, Timestamp


class ChangeKind(StrEnum):
    """The kind of subject that changed. A PRICE change says that prices of a customer may no longer be valid."""

    CUSTOMER = "CUSTOMER"
    ITEM = "ITEM"
    STOCK = "STOCK"
    PRICE = "PRICE"
    CREDIT = "CREDIT"
    CONTACT = "CONTACT"
    ORDER = "ORDER"
    SHIPMENT = "SHIPMENT"
    INVOICE = "INVOICE"
    QUOTE = "QUOTE"
    RETURN = "RETURN"
    INTAKE = "INTAKE"


EVERY_KEY = "*"
"""The key of a change after which all subjects of its kind may have changed."""


class FeedChange(Record):
    """One change. `key` is the subject's business key: SKU, order code, the id of a shipment, invoice, quote or return;
    the customer number for customers, prices, credit and contacts; `*` for reference data, prices, credit and contacts
    where all of a kind may have changed. `id` identifies the change, however often and by whichever way it is reported;
    `sequence` numbers a source's changes without gaps; `raw_code` is the source's own word for what happened. A source
    may have none of these."""

    kind: ChangeKind
    key: str
    at: Timestamp
    deleted: bool = False
    id: str | None = None
    sequence: int | None = None
    raw_code: str | None = None


class ChangeHint(Record):
    """Something is new about a subject. Hints with one `id` from one source are one hint; `id` is None where a second
    change may look the same. `key` is the subject's key in the source. `at` is when it happened as the source says;
    `sequence` the source's own count of its events, where it has one."""

    source: str
    id: str | None = None
    kind: ChangeKind
    key: str
    at: Timestamp | None = None
    received_at: Timestamp
    sequence: int | None = None
    raw_code: str | None = None
    deleted: bool = False


class ChangeSet(Record):
    """Changes in the order they were made, and the cursor to go on from; `more` if there are others already."""

    changes: tuple[FeedChange, ...] = ()
    cursor: str
    more: bool = False


class Changes(Protocol):
    """The change feed of a source."""

    async def since(
        self, principal: Principal, kinds: frozenset[ChangeKind], cursor: str | None, limit: int = 500
    ) -> ChangeSet:
        """Changes after `cursor`; None starts now, with no changes and a cursor to go on from."""
        ...
