"""Writing quotes to a source: requests, and the customer's answers to offers. An order of a quote is the order writer's
(`NewOrder.quote`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from app.auth.principal import Principal
from app.sources.values import Money, Record


class NewQuoteLine(Record):
    """A line to quote. `target_price` is the price of one `uom` that the customer asks for."""

    number: int
    sku: str
    quantity: Decimal
    uom: str | None = None
    target_price: Money | None = None
    note: str | None = None


class NewQuote(Record):
    """A quote to request. `key` identifies it in the target, which keeps it and `digest`, that of the request, with the
    quote."""

    key: str
    digest: str
    customer: str
    channel: str
    requested_by: str
    note: str | None = None
    lines: tuple[NewQuoteLine, ...]


class WrittenQuote(Record):
    """A quote that the target has: its id there, and the digest of the request that it was created by."""

    id: str
    digest: str


class QuoteAnswerKind(StrEnum):
    """The customer's answer to an offer that is not accepted."""

    DECLINE = "DECLINE"
    RENEGOTIATE = "RENEGOTIATE"


class QuoteAnswer(Record):
    """An answer to the quote of this id and version. `lines` replace those of the quote in a renegotiation; none keeps
    them."""

    id: str
    version: int
    kind: QuoteAnswerKind
    answered_by: str
    note: str | None = None
    lines: tuple[NewQuoteLine, ...] = ()


class QuoteRefusal(StrEnum):
    """Why a target refuses a request or an answer. RULE: by another rule of its business."""

    VERSION_CONFLICT = "VERSION_CONFLICT"
    NOT_OPEN = "NOT_OPEN"
    EXPIRED = "EXPIRED"
    RULE = "RULE"


class QuoteNotAccepted(Exception):
    """The target refused a request or an answer: repeating it does not help. `lines` are the numbers of the lines that
    it named; `detail` is for the log."""

    def __init__(self, refusal: QuoteRefusal, *, lines: Sequence[int] = (), detail: str = "") -> None:
        super().__init__(detail)
        self.refusal = refusal
        self.lines = tuple(lines)
        self.detail = detail


class QuoteWriter(Protocol):
    """Writes quotes to one source. Raises SourceError, QuoteNotAccepted.

    `unique_key` says that the target creates one quote for a key, however often it is sent. Of other targets a key is
    looked up before; a request that is repeated while the first is still under way may then make a second quote.
    """

    @property
    def unique_key(self) -> bool: ...

    async def find(self, principal: Principal, keys: Sequence[str]) -> Mapping[str, WrittenQuote]:
        """The quotes of keys, the oldest of each; unknown keys are absent."""
        ...

    async def request(self, principal: Principal, quote: NewQuote) -> WrittenQuote:
        """Create a quote; with unique keys, of a key that is known the quote that it has, with its digest."""
        ...

    async def answer(self, principal: Principal, answer: QuoteAnswer) -> None:
        """Decline or renegotiate a quote, if it has this version and is open."""
        ...
