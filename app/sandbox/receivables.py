"""What the sandbox's ERP tells of receivables, aged on the build day; every twentieth account pays late."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from app.sandbox.accounts import Account, Posting
from app.sandbox.pricing import money
from app.sandbox.trade import Calendar

PERIODS = ((0, "CURRENT"), (30, "DAYS_1_30"), (60, "DAYS_31_60"), (90, "DAYS_61_90"), (10_000, "OVER_90"))
ON_ACCOUNT = 500_0000
"""What a late payer has paid on account, in ticks."""

ON_ACCOUNT_AGE = 9
_DISPUTED_EVERY = 7


def _ticks(amount: dict[str, str]) -> int:
    return int(Decimal(amount["amount"]) * 10_000)


def _days_overdue(document: dict[str, Any], calendar: Calendar) -> int:
    return max(0, (calendar.day - date.fromisoformat(document["due"])).days)


def _period(days: int) -> str:
    return next(name for most, name in PERIODS if days <= most)


def open_item_rows(account: Account, calendar: Calendar) -> list[dict[str, Any]]:
    """What is not settled, oldest due date first."""
    rows = [_invoice_item(posting.document, calendar) for posting in account.postings if posting.settled is None]
    rows.sort(key=lambda row: (row["due"], row["number"]))
    if account.pays_late:
        amount = money(-ON_ACCOUNT)
        rows.append({"id": f"{950_000 + account.index}", "customer": account.number, "kind": "PAYMENT",
                     "number": f"PAY-A{account.index:04d}", "issuedOn": calendar.ago(ON_ACCOUNT_AGE), "amount": amount,
                     "open": amount, "daysOverdue": 0, "period": "CURRENT"})  # fmt: skip
    return rows


def _invoice_item(invoice: dict[str, Any], calendar: Calendar) -> dict[str, Any]:
    days = _days_overdue(invoice, calendar)
    return {
        "id": invoice["id"], "customer": invoice["customer"], "kind": "INVOICE", "number": invoice["number"],
        "orders": invoice["orders"], "issuedOn": invoice["invoicedOn"], "due": invoice["due"],
        "amount": invoice["total"], "open": invoice["open"], "daysOverdue": days, "period": _period(days),
        "disputed": days > 60 and int(invoice["id"]) % _DISPUTED_EVERY == 0,
    }  # fmt: skip


def summary_row(account: Account, calendar: Calendar) -> dict[str, Any]:
    """Balance, ageing and last payment."""
    items = open_item_rows(account, calendar)
    unapplied = ON_ACCOUNT if account.pays_late else 0
    row: dict[str, Any] = {
        "customer": account.number,
        "balance": money(account.open_ticks - unapplied),
        "overdue": money(account.overdue_ticks),
        "unapplied": money(unapplied),
        "agedOn": calendar.day.isoformat(),
        "ageing": [_bucket(name, [one for one in items if one["period"] == name]) for _, name in PERIODS],
    }
    payments = [entry for entry in ledger_rows(account, calendar) if entry["kind"] == "PAYMENT"]
    if payments:
        last = payments[-1]
        row["lastPayment"] = {"number": last["number"], "paidOn": last["on"], "amount": money(-_ticks(last["amount"])),
                              "method": "ACH" if account.index % 2 else "CHECK"}  # fmt: skip
    return row


def _bucket(period: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    return {"period": period, "amount": money(sum(_ticks(item["open"]) for item in items)), "items": len(items)}


def ledger_rows(account: Account, calendar: Calendar) -> list[dict[str, Any]]:
    """All movements of an account, oldest first, without balances: those depend on where a statement begins."""
    entries = [entry for posting in account.postings for entry in _movements(posting, calendar)]
    if account.pays_late:
        entries.append(_entry(ON_ACCOUNT_AGE, calendar, "PAYMENT", f"PAY-A{account.index:04d}", -ON_ACCOUNT,
                              "Payment on account"))  # fmt: skip
    return sorted(entries, key=lambda entry: (entry["on"], entry["number"]))


def _movements(posting: Posting, calendar: Calendar) -> list[dict[str, Any]]:
    document = posting.document
    number, total = document["number"], _ticks(document["total"])
    entries = [_entry(posting.age, calendar, document["kind"], number, total)]
    if posting.settled is not None:
        kind, text = ("PAYMENT", f"Payment of {number}") if total > 0 else ("OTHER", f"Refund of {number}")
        entries.append(_entry(posting.settled, calendar, kind, f"PAY-{document['id']}", -total, text))
    return entries


def _entry(
    age: int, calendar: Calendar, kind: str, number: str, ticks: int, text: str | None = None
) -> dict[str, Any]:  # fmt: skip
    entry: dict[str, Any] = {"on": calendar.ago(age), "kind": kind, "number": number, "amount": money(ticks)}
    return entry | ({"description": text} if text else {})


def statement(customer: str, entries: list[dict[str, Any]], since: date, until: date) -> dict[str, Any]:
    """The statement of a period with running balances, as an ERP prints it."""
    balance = sum(_ticks(entry["amount"]) for entry in entries if entry["on"] < since.isoformat())
    row: dict[str, Any] = {"customer": customer, "since": since.isoformat(), "until": until.isoformat(),
                           "opening": money(balance), "entries": []}  # fmt: skip
    for entry in entries:
        if since.isoformat() <= entry["on"] <= until.isoformat():
            balance += _ticks(entry["amount"])
            row["entries"].append(entry | {"balance": money(balance)})
    return row | {"closing": money(balance)}
