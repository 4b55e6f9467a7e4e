"""Writing returns to a source: requests, and decisions on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from app.auth.principal import Principal
from app.sources.billing import ReturnCondition, ReturnReason
from app.sources.values import Record


class NewReturnLine(Record):
    """What of an order line is to come back. `number` is that of the order line, `quantity` in its unit."""

    number: int
    quantity: Decimal
    reason: ReturnReason
    condition: ReturnCondition | None = None
    note: str | None = None


class NewReturn(Record):
    """A return to request. `key` identifies it in the target, which keeps it with the return. `order_id` is the
    target's own id of the order."""

    key: str
    customer: str
    order_id: str
    order_number: str
    channel: str
    requested_by: str
    note: str | None = None
    lines: tuple[NewReturnLine, ...]


class WrittenReturn(Record):
    """A return that the target has: its id there."""

    id: str


class ReturnDecisionKind(StrEnum):
    """What is decided on a return: the distributor approves or rejects it, or it is cancelled before goods are sent."""

    APPROVE = "APPROVE"
    REJECT = "REJECT"
    CANCEL = "CANCEL"


class ReturnDecision(Record):
    """A decision on the return of this id and version."""

    id: str
    version: int
    kind: ReturnDecisionKind
    decided_by: str
    note: str | None = None


class ReturnRefusal(StrEnum):
    """Why a target refuses a request or a decision. QUANTITY: more than was delivered and is not returned yet; RULE: by
    another rule of its business."""

    VERSION_CONFLICT = "VERSION_CONFLICT"
    NOT_OPEN = "NOT_OPEN"
    QUANTITY = "QUANTITY"
    RULE = "RULE"


class ReturnNotAccepted(Exception):
    """The target refused a request or a decision: repeating it does not help. `lines` are the numbers of the lines that
    it named; `detail` is for the log."""

    def __init__(self, refusal: ReturnRefusal, *, lines: Sequence[int] = (), detail: str = "") -> None:
        super().__init__(detail)
        self.refusal = refusal
        self.lines = tuple(lines)
        self.detail = detail


class ReturnWriter(Protocol):
    """Writes returns to one source. Raises SourceError, whose `sent` says whether a request may have reached the
    target, and ReturnNotAccepted.

    `max_seconds` after a request was sent the target has answered or given it up: a look-up before that may miss a
    return that is still being created. The caller sends one request of an order at a time.
    """

    @property
    def max_seconds(self) -> float: ...

    async def find(self, principal: Principal, keys: Sequence[str]) -> Mapping[str, WrittenReturn]:
        """The complete returns of keys; unknown keys are absent."""
        ...

    async def request(self, principal: Principal, given: NewReturn) -> WrittenReturn:
        """Create a return, or complete one that an interrupted request of this key has begun."""
        ...

    async def decide(self, principal: Principal, decision: ReturnDecision) -> None:
        """Approve, reject or cancel a return, if it has this version and its state allows it."""
        ...
