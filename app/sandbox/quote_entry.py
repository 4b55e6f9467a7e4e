"""Quotes: the sandbox's ERP creates them, takes customers' answers, makes offers, and closes those that are ordered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from app.sandbox.lists import LISTS, OPEN_QUOTES
from app.sandbox.quotes import quote
from app.sandbox.reads import BadRequest, found, now
from app.sandbox.sales_quotes import RAW_STATUS
from app.sandbox.store import SandboxStore
from app.sources.order_writer import AcceptedQuote
from app.sources.quote_writer import NewQuote, NewQuoteLine, QuoteAnswer, QuoteAnswerKind, QuoteRefusal, WrittenQuote
from app.sources.rest import contract, contract_orders, quote_operations

FIRST_NUMBER = 9001
VALID_DAYS = 30
CENT = Decimal("0.01")

_encode = msgspec.json.Encoder().encode


class RefusedQuote(Exception):
    """A request or an answer that a rule of the ERP refuses, as the contract says it."""

    def __init__(self, title: str, code: str, lines: Sequence[int] = ()) -> None:
        super().__init__(title)
        problems = tuple(contract_orders.LineProblem(code=code, line_number=line) for line in lines)
        self.refusal = contract_orders.Refusal(title=title, code=code, problems=problems)


class QuoteChange(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """A change of a quote by the distributor: another status; for OFFERED at prices that differ from the customer's by
    `percent`, until `valid_to`."""

    status: str
    percent: Decimal = Decimal(0)
    valid_to: date | None = None
    message: str | None = None


class QuoteEntry:
    """The quotes of an ERP. `changed` gets the id of each changed quote."""

    def __init__(self, store: SandboxStore, changed: Callable[[str], None]) -> None:
        self._store = store
        self._changed = changed
        self._by_key: dict[str, WrittenQuote] = {}
        self._numbers = FIRST_NUMBER

    def request(self, request: NewQuote, *, unique_keys: bool) -> bytes:
        """The created quote; with `unique_keys` the one that a key has already."""
        known = self._by_key.get(request.key)
        if known is not None and unique_keys:
            return _encode(known)
        if request.customer not in self._store.one("customers.number", [request.customer]):
            raise RefusedQuote("There is no such customer", QuoteRefusal.RULE)
        number, self._numbers = self._numbers, self._numbers + 1
        moment = now()
        row = {
            "id": f"q{number}", "number": f"QU-{number}", "version": 1, "customer": request.customer,
            "status": "REQUESTED", "rawStatus": RAW_STATUS["REQUESTED"], "requestedAt": moment, "updatedAt": moment,
            "note": request.note, "lines": self._lines(request.lines),
        }  # fmt: skip
        n = self._store.add(row, [("quotes.id", row["id"]), ("quotes.number", row["number"])])
        self._store.add_to_list("quotes", LISTS["quotes"].row(n, row))
        written = WrittenQuote(id=f"q{number}", digest=request.digest)
        self._by_key.setdefault(request.key, written)
        self._changed(written.id)
        return _encode(written)

    def find(self, keys: Sequence[str]) -> bytes:
        """The oldest quote of each key."""
        return found((key, _encode(self._by_key[key])) for key in keys if key in self._by_key)

    def answer(self, answer: QuoteAnswer) -> bytes:
        row = self._open(answer.id, answer.version)
        if answer.kind is QuoteAnswerKind.DECLINE:
            row["status"] = "DECLINED"
        else:
            self._check_validity(row, self._store.today)
            row = _without_offer(row) | {"status": "RENEGOTIATING"}
            if answer.lines:
                row["lines"] = self._lines(answer.lines)
        row["note"] = answer.note or row.get("note")
        self._save(row)
        return _encode(quote_operations.AnsweredQuote(id=answer.id))

    def change(self, number: str, change: QuoteChange) -> bytes:
        """The quote after a change by the distributor. Raises KeyError for an unknown one."""
        row = msgspec.json.decode(self._store.one("quotes.number", [number])[number])
        if change.status not in RAW_STATUS:
            raise BadRequest(f"no such status; use one of {', '.join(RAW_STATUS)}")
        if change.status == "OFFERED":
            row = self._offered(row, change)
        row |= {"status": change.status, "message": change.message or row.get("message")}
        self._save(row)
        return _encode(row)

    def check_acceptance(self, accepted: AcceptedQuote, customer: str) -> None:
        """Refuse the order of a quote that is not offered to the customer, in this version and at that time."""
        row = self._open(accepted.id, accepted.version)
        if row["status"] != "OFFERED" or row["customer"] != customer:
            raise RefusedQuote("The quote is not offered", QuoteRefusal.NOT_OPEN)
        self._check_validity(row, accepted.accepted_at.date())

    def accept(self, id: str, order: str) -> None:
        """Close a quote that has become an order."""
        row = msgspec.json.decode(self._store.one("quotes.id", [id])[id])
        self._save(row | {"status": "ACCEPTED", "orderNumber": order})

    def clear(self) -> None:
        """Forget the keys of created quotes, whose rows are removed with those of created orders."""
        self._by_key.clear()

    def _open(self, id: str, version: int) -> dict[str, Any]:
        stored = self._store.one("quotes.id", [id])
        if id not in stored:
            raise RefusedQuote("There is no such quote", QuoteRefusal.NOT_OPEN)
        row = msgspec.json.decode(stored[id])
        if row["version"] != version:
            raise RefusedQuote("The quote has another version", QuoteRefusal.VERSION_CONFLICT)
        if row["status"] == "EXPIRED":
            raise RefusedQuote("The quote has expired", QuoteRefusal.EXPIRED)
        if row["status"] not in OPEN_QUOTES:
            raise RefusedQuote("The quote is not open", QuoteRefusal.NOT_OPEN)
        return row

    @staticmethod
    def _check_validity(row: dict[str, Any], day: date) -> None:
        if row.get("validTo") is not None and day > date.fromisoformat(row["validTo"]):
            raise RefusedQuote("The quote has expired", QuoteRefusal.EXPIRED)

    def _lines(self, lines: Sequence[NewQuoteLine]) -> list[dict[str, Any]]:
        items = self._store.one("items.sku", {line.sku for line in lines})
        unknown = [line.number for line in lines if line.sku not in items]
        if unknown:
            raise RefusedQuote("There is no such item", QuoteRefusal.RULE, unknown)
        return [
            {"number": line.number, "sku": line.sku, "description": msgspec.json.decode(items[line.sku])["name"],
             "quantity": str(line.quantity), "uom": line.uom, "targetPrice": line.target_price, "note": line.note}
            for line in lines
        ]  # fmt: skip

    def _offered(self, row: dict[str, Any], change: QuoteChange) -> dict[str, Any]:
        questions = [
            contract.PriceQuestion(
                customer=row["customer"], sku=line["sku"], quantity=Decimal(line["quantity"]), uom=line.get("uom")
            )
            for line in row["lines"]
        ]
        prices = dict(quote(self._store, questions, now()))
        if len(prices) < len(questions):
            raise BadRequest("a line has no price")
        lines, net = [], Decimal(0)
        for at, line in enumerate(row["lines"]):
            unit = (prices[at]["unitPrice"]["amount"] * (100 + change.percent) / 100).quantize(CENT)
            total = (unit * Decimal(line["quantity"])).quantize(CENT)
            net += total
            lines.append({**line, "uom": prices[at]["uom"], "unitPrice": _money(unit), "total": _money(total)})
        valid_to = change.valid_to or self._store.today + timedelta(days=VALID_DAYS)
        totals = {"net": _money(net), "tax": _money(Decimal(0)), "total": _money(net)}
        return row | {"lines": lines, "validTo": valid_to.isoformat(), **totals}

    def _save(self, row: dict[str, Any]) -> None:
        row |= {"version": row["version"] + 1, "rawStatus": RAW_STATUS[row["status"]], "updatedAt": now()}
        id, status = row["id"], row["status"]
        self._store.change("quotes.id", id, _encode(row))
        columns = {"status": status, "open": int(status in OPEN_QUOTES)}
        self._store.relist("quotes", "quotes.id", id, **columns, valid_to=row.get("validTo"))
        self._changed(id)


def _without_offer(row: dict[str, Any]) -> dict[str, Any]:
    """The quote without prices and validity."""
    lines = [
        {name: value for name, value in line.items() if name not in ("unitPrice", "total")} for line in row["lines"]
    ]
    return {name: value for name, value in row.items() if name not in ("validTo", "net", "tax", "total")} | {
        "lines": lines
    }


def _money(amount: Decimal) -> dict[str, str]:
    return {"amount": f"{amount:f}", "currency": "USD"}
