"""The commands of quotes: request one, decline or renegotiate an offer, each one call to the source of the customer.

Accepting an offer makes an intake: see `IntakeCommands.accept_quote`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from app.auth.principal import Principal
from app.errors import (
    InvalidTransition,
    KeyReused,
    NotSupported,
    QuoteExpired,
    QuoteRefused,
    RequestError,
    VersionConflict,
)
from app.intake.records import Acknowledgement, IntakeProblem, OrderIntake
from app.sources.quote_writer import (
    NewQuote,
    NewQuoteLine,
    QuoteAnswer,
    QuoteAnswerKind,
    QuoteNotAccepted,
    QuoteRefusal,
    QuoteWriter,
)
from app.sources.quotes import Quote, QuoteStatus
from app.sources.source import Sources
from app.telemetry import current, log

REQUEST_QUOTE = "requestQuote"
"""The mutation whose keys these are: a part of the scope of a key."""

CHANNEL = "API"
_ANSWERABLE = {
    QuoteAnswerKind.DECLINE: frozenset({QuoteStatus.REQUESTED, QuoteStatus.OFFERED, QuoteStatus.RENEGOTIATING}),
    QuoteAnswerKind.RENEGOTIATE: frozenset({QuoteStatus.OFFERED}),
}
"""The statuses of a quote that an answer applies to."""


class QuoteRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A quote as it was requested. `customer` is the customer's number."""

    key: str
    customer: str
    note: str | None
    lines: tuple[NewQuoteLine, ...]


class QuoteProblems(Exception):
    """A request or an answer that the source refused, by line if it named lines."""

    def __init__(self, problems: Sequence[IntakeProblem]) -> None:
        super().__init__(problems)
        self.problems = tuple(problems)


async def request_quote(sources: Sources, principal: Principal, given: QuoteRequest) -> tuple[str, str]:
    """Source and id of the quote of this key: requested now, or before with the same input. Raises KeyReused for
    another input, QuoteProblems, NotSupported, SourceError."""
    source = _source_of(sources, given.customer)
    writer = _writer(sources, principal, source)
    scope = msgspec.json.encode([principal.tenant, principal.client, REQUEST_QUOTE, given.key])
    lines = tuple(sorted(given.lines, key=lambda line: line.number))
    normalised = [_normalised(line) for line in lines]
    digested = msgspec.json.encode([given.customer, given.note, normalised], order="deterministic")
    quote = NewQuote(
        key=hashlib.sha256(scope).hexdigest()[:32],
        digest=hashlib.sha256(digested).hexdigest(),
        customer=given.customer,
        channel=CHANNEL,
        requested_by=principal.subject,
        note=given.note,
        lines=lines,
    )
    try:
        known = {} if writer.unique_key else await writer.find(principal, [quote.key])
        written = known.get(quote.key) or await writer.request(principal, quote)
    except QuoteNotAccepted as refused:
        raise _refused(refused, source) from None
    if written.digest != quote.digest:
        raise KeyReused
    _audit(principal, "quote_requested", f"{given.key} {source}:{written.id}", source, written.id)
    return source, written.id


async def answer_quote(
    sources: Sources,
    principal: Principal,
    quote: Quote,
    answer: QuoteAnswer,
    accepted: OrderIntake | None,
) -> None:
    """Decline or renegotiate a quote; `accepted` is the newest intake that accepts it, if there is one. Raises
    VersionConflict, InvalidTransition, QuoteExpired, QuoteProblems, NotSupported, SourceError."""
    if quote.version != answer.version:
        raise VersionConflict
    if accepted is not None and accepted.acknowledgement is not Acknowledgement.REJECTED:
        raise InvalidTransition(f"{answer.kind.value} does not apply to a quote that was accepted.")
    if answer.kind is QuoteAnswerKind.RENEGOTIATE and quote.status is QuoteStatus.EXPIRED:
        raise QuoteExpired
    if quote.status not in _ANSWERABLE[answer.kind]:
        raise InvalidTransition(f"{answer.kind.value} does not apply to a quote that is {quote.status.value}.")
    writer = _writer(sources, principal, quote.source)
    try:
        await writer.answer(principal, answer)
    except QuoteNotAccepted as refused:
        raise _refused(refused, quote.source) from None
    _audit(principal, "quote_answered", f"{quote.source}:{quote.id} {answer.kind.value}", quote.source, quote.id)


def _source_of(sources: Sources, customer: str) -> str:
    routes = sources.routes.get("quotes")
    if routes is None:
        raise NotSupported("None of the connected systems answers for 'quotes'.")
    return routes.source_of(customer)


def _writer(sources: Sources, principal: Principal, source: str) -> QuoteWriter:
    connected = sources.connected[source]
    if connected.quote_writer is None or not principal.belongs_to(connected.tenant):
        raise NotSupported(f"The source '{source}' does not take requests for quotes.")
    return connected.quote_writer


def _normalised(line: NewQuoteLine) -> NewQuoteLine:
    price = line.target_price
    if price is not None:
        price = msgspec.structs.replace(price, amount=price.amount.normalize() + 0)
    return msgspec.structs.replace(line, quantity=line.quantity.normalize() + 0, target_price=price)


_ERRORS: dict[QuoteRefusal, type[RequestError]] = {
    QuoteRefusal.VERSION_CONFLICT: VersionConflict,
    QuoteRefusal.EXPIRED: QuoteExpired,
}


def _refused(refused: QuoteNotAccepted, source: str) -> Exception:
    """The error for a refusal of the source; its own text is for the log."""
    log.warning("quote_refused", source=source, detail=refused.detail)
    if refused.refusal in _ERRORS:
        return _ERRORS[refused.refusal]()
    if refused.refusal is QuoteRefusal.NOT_OPEN:
        return InvalidTransition("The quote is not open.")
    return QuoteProblems(
        [
            IntakeProblem(code=QuoteRefused.code, message=QuoteRefused.default, path=("input",), line_number=line)
            for line in refused.lines or (None,)
        ]
    )


def _audit(principal: Principal, event: str, text: str, source: str, id: str) -> None:
    """Who did what, and what came of it: in the log, and as the request's audit entry."""
    current().commands.append(f"{event} {text}")
    log.info(
        "quote_command", command=event, source=source, quote=id, client=principal.client, subject=principal.subject,
        tenant=principal.tenant,
    )  # fmt: skip
