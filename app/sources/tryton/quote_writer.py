"""Quotes in: a draft sale is created and, unless the customer names prices, quoted at once at Tryton's own prices.

A request with target prices waits as a draft for a salesperson: Tryton has no field for them, so they are in the notes
of the lines. The key of a request is in the field of order keys and its digest in the sale's comment, which Tryton lets
be changed in every state. Nothing makes keys unique.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from app.auth.principal import Principal
from app.sources.order_writer import NewOrder, NewOrderLine, OrderNotAccepted
from app.sources.quote_writer import (
    NewQuote,
    NewQuoteLine,
    QuoteAnswer,
    QuoteAnswerKind,
    QuoteNotAccepted,
    QuoteRefusal,
    WrittenQuote,
)
from app.sources.tryton.client import TrytonClient, TrytonRefusal, record_ids, usable
from app.sources.tryton.options import Options
from app.sources.tryton.order_writer import TrytonOrderWriter
from app.sources.tryton.quotes import DECLINED, DRAFT, QUOTATION, REQUESTED_BY, SALE, QuoteStateRow, digest_of
from app.sources.tryton.sale_values import keyed_row
from app.sources.tryton.wire import Row
from app.telemetry import log

CALL = "quote_submissions"


class RequestedQuoteRow(Row, kw_only=True):
    """The gateway's key of a request, in a field of the deployment's choice, and the comment with its digest."""

    key: str | None = None
    comment: str | None = None


class AnsweredLineRow(Row, kw_only=True):
    """A line that a renegotiation replaces."""


class AnsweredQuoteRow(QuoteStateRow, kw_only=True):
    """`sale.sale`, as far as an answer needs it."""

    lines: list[AnsweredLineRow] = []


class TrytonQuoteWriter:
    """The writer of one database. It makes sales as the order writer does."""

    unique_key = False

    def __init__(
        self, client: TrytonClient, orders: TrytonOrderWriter, options: Options, clock: Callable[[], datetime]
    ) -> None:
        self._client = client
        self._orders = orders
        self._options = options
        self._clock = clock
        self._keyed = keyed_row(RequestedQuoteRow, options.order_key_field)

    async def find(self, principal: Principal, keys: Sequence[str]) -> Mapping[str, WrittenQuote]:
        """The quotes of keys, in any state."""
        rows = await self._client.search_keys(
            SALE,
            usable(keys),
            lambda chunk: [[self._options.order_key_field, "in", chunk], ["quotation_validity", "!=", None]],
            self._keyed,
            call=f"{CALL}.by_key",
        )
        found: dict[str, WrittenQuote] = {}
        for row in sorted(rows, key=lambda row: row.id):
            if row.key is not None and row.key in keys:
                found.setdefault(row.key, WrittenQuote(id=str(row.id), digest=digest_of(row.comment) or ""))
        return found

    async def request(self, principal: Principal, quote: NewQuote) -> WrittenQuote:
        values, lines = await self._sale_values(quote.key, quote.customer, quote.channel, quote.lines)
        values |= {
            "lines": [["create", lines]],
            "reference": None,
            "comment": "\n".join([*([quote.note] if quote.note else []), f"{REQUESTED_BY}{quote.digest}"]),
            "quotation_validity": {"__class__": "timedelta", "seconds": self._options.quote_validity_days * 86_400},
        }
        created = await self._orders.call("create", [[values]], list[int])
        if isinstance(created, TrytonRefusal):
            raise QuoteNotAccepted(QuoteRefusal.RULE, detail=created.message)
        if all(line.target_price is None for line in quote.lines):
            refused = await self._orders.press("quote", created[0])
            if refused is not None:  # It stays a draft, for a salesperson.
                log.warning("quote_not_offered", source=self._client.source, quote=created[0], detail=refused.message)
        return WrittenQuote(id=str(created[0]), digest=quote.digest)

    async def answer(self, principal: Principal, answer: QuoteAnswer) -> None:
        row = await self._read(answer)
        note = f" {answer.note}" if answer.note else ""
        if answer.kind is QuoteAnswerKind.DECLINE:
            await self._write(row, {"comment": _added(row, f"{DECLINED}{note}")})
            await self._press("cancel", row)
            return
        values: dict[str, object] = {"comment": _added(row, f"Renegotiated by the customer.{note}")}
        if answer.lines:
            _, lines = await self._sale_values("", row.party.code or "", "", answer.lines)
            values["lines"] = [["delete", [line.id for line in row.lines]], ["create", lines]]
        await self._press("draft", row)
        await self._write(row, values)

    async def _sale_values(
        self, key: str, customer: str, channel: str, lines: Sequence[NewQuoteLine]
    ) -> tuple[dict[str, object], list[dict[str, object]]]:
        order = NewOrder(
            key=key,
            customer=customer,
            customer_po="",
            channel=channel,
            lines=tuple(
                NewOrderLine(number=line.number, sku=line.sku, quantity=line.quantity, uom=line.uom) for line in lines
            ),
        )
        try:
            values, made = await self._orders.sale_values(order)
        except OrderNotAccepted as refused:
            raise QuoteNotAccepted(QuoteRefusal.RULE, lines=refused.lines, detail=refused.detail) from None
        for written, line in zip(made, lines, strict=True):
            written["note"] = _note(line)
        return values, made

    async def _read(self, answer: QuoteAnswer) -> AnsweredQuoteRow:
        """The quote that is answered, if it has the version of the answer and is open."""
        ids = record_ids([answer.id])
        rows = await self._client.search(SALE, [["id", "in", ids]], AnsweredQuoteRow, limit=1, call=f"{CALL}.answered")
        if not rows:
            raise QuoteNotAccepted(QuoteRefusal.NOT_OPEN, detail=f"no sale {answer.id}")
        row = rows[0]
        if row.version != answer.version:
            raise QuoteNotAccepted(QuoteRefusal.VERSION_CONFLICT, detail=f"sale {row.id} is of {row.version}")
        renegotiated = answer.kind is QuoteAnswerKind.RENEGOTIATE
        if row.state not in ((QUOTATION,) if renegotiated else (DRAFT, QUOTATION)):
            raise QuoteNotAccepted(QuoteRefusal.NOT_OPEN, detail=f"sale {row.id} is {row.state}")
        if renegotiated and row.valid_to is not None and row.valid_to < self._clock().date():
            raise QuoteNotAccepted(QuoteRefusal.EXPIRED, detail=f"sale {row.id} was valid to {row.valid_to}")
        return row

    async def _press(self, button: str, row: AnsweredQuoteRow) -> None:
        _require(await self._orders.press(button, row.id))

    async def _write(self, row: AnsweredQuoteRow, values: Mapping[str, object]) -> None:
        _require(await self._orders.call("write", [[row.id], values], object))


def _require(answer: object) -> None:
    if isinstance(answer, TrytonRefusal):
        raise QuoteNotAccepted(QuoteRefusal.RULE, detail=answer.message)


def _added(row: AnsweredQuoteRow, line: str) -> str:
    return f"{row.comment}\n{line}" if row.comment else line


def _note(line: NewQuoteLine) -> str | None:
    price = line.target_price
    target = f"Target price: {price.amount:f} {price.currency}." if price is not None else None
    return "\n".join(part for part in (target, line.note) if part) or None
