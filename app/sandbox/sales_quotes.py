"""The sandbox's quotes: for some orders the quote that came before them or was never accepted, in every status."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.sandbox.lists import OPEN_QUOTES
from app.sandbox.pricing import money, to_cent
from app.sandbox.trade import Calendar, Sale, SaleLine

EVERY = 41
"""One order in so many has a quote."""

FIRST_NUMBER = 2000
OWN_STATUSES = (
    "REQUESTED", "OFFERED", "RENEGOTIATING", "ACCEPTED", "DECLINED", "EXPIRED", "WITHDRAWN", "ON_HOLD", "OFFERED",
    "OFFERED",
)  # fmt: skip
"""The statuses of the quotes of CUST-0001, QU-2001 and on; the gateway does not know ON_HOLD."""

CLOSED = ("ACCEPTED", "DECLINED", "EXPIRED", "ACCEPTED", "WITHDRAWN")
RAW_STATUS = {
    "REQUESTED": "Q10", "OFFERED": "Q20", "RENEGOTIATING": "Q25", "ACCEPTED": "Q60", "DECLINED": "Q70",
    "EXPIRED": "Q80", "WITHDRAWN": "Q90",
}  # fmt: skip
NEVER_ORDERED = ("CANCELLED", "DRAFT", "QUOTED")
OFFER_PERCENT = 95
"""An offer in percent of the customer's price."""


def quote_rows(sold: Sequence[Sale], calendar: Calendar) -> list[dict[str, Any]]:
    """All quotes by number, those of CUST-0001 first."""
    own = [sale for sale in sold if sale.account.index == 1][-len(OWN_STATUSES) :]
    others = [sale for sale in sold if sale.index % EVERY == 0 and sale.account.index != 1]
    chosen = [(sale, status, ordinal + 1) for ordinal, (sale, status) in enumerate(zip(own, OWN_STATUSES, strict=True))]
    chosen += [(sale, _status(sale), sale.age + 5) for sale in others]
    return [_quote(FIRST_NUMBER + ordinal, *one, calendar) for ordinal, one in enumerate(chosen, 1)]


def _status(sale: Sale) -> str:
    if sale.age <= 4:
        return "REQUESTED"
    if sale.age <= 25:
        return "RENEGOTIATING" if sale.index % 3 == 0 else "OFFERED"
    status = CLOSED[sale.index // EVERY % len(CLOSED)]
    return "DECLINED" if status == "ACCEPTED" and sale.status in NEVER_ORDERED else status


def _quote(number: int, sale: Sale, status: str, age: int, calendar: Calendar) -> dict[str, Any]:
    offered = status != "REQUESTED"
    lines = [_line(line, offered=offered, target=status in ("REQUESTED", "RENEGOTIATING")) for line in sale.lines]
    net = sum(to_cent(line.quantity * _offer(line)) for line in sale.lines)
    tax = to_cent(net * 7 // 100) if sale.account.row["taxProfile"]["liable"] else 0
    requested, updated = calendar.at(age, sale.clock), calendar.at(max(0, age - 1), "04:30:00")
    row: dict[str, Any] = {
        "id": f"q{number}", "number": f"QU-{number}", "version": 2 if offered else 1, "customer": sale.account.number,
        "status": status, "rawStatus": RAW_STATUS.get(status), "requestedAt": requested,
        "updatedAt": updated if offered else requested, "lines": lines,
    }  # fmt: skip
    if number % 3 == 0:
        row["note"] = "Please quote for the spring project"
    if offered:
        row |= {"validTo": calendar.ago(_ended(number, sale, status, age)), "net": money(net), "tax": money(tax),
                "total": money(net + tax), "message": "Prices for delivery in full"}  # fmt: skip
    if status == "ACCEPTED":
        row["orderNumber"] = sale.number
    return row


def _ended(number: int, sale: Sale, status: str, age: int) -> int:
    """How many days ago an offer ended. Of the open ones every fourth ends within a week, but for CUST-0001."""
    if status not in OPEN_QUOTES:
        return max(1, age - 7)
    return -(number // 4 % 8) if number % 4 == 0 and sale.account.index != 1 else -30 - number % 20


def _offer(line: SaleLine) -> int:
    return to_cent(line.ticks * OFFER_PERCENT // 100)


def _line(line: SaleLine, *, offered: bool, target: bool) -> dict[str, Any]:
    row: dict[str, Any] = {"number": line.number, "sku": line.article.sku, "description": line.article.name,
                           "quantity": str(line.quantity), "uom": line.uom}  # fmt: skip
    if target and line.number == 1:
        row["targetPrice"] = money(to_cent(line.ticks * 9 // 10))
    if offered:
        row |= {"unitPrice": money(_offer(line)), "total": money(to_cent(line.quantity * _offer(line)))}
    return row
