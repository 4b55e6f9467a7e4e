"""What follows from what was shipped: invoices, credit memos and returns, and what accounts owe."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from app.sandbox.accounts import Posting
from app.sandbox.pricing import money, to_cent
from app.sandbox.trade import OPEN, Calendar, Sale, is_returned

_TAXED = 107
FIRST = 800_000


def invoice_rows(sale: Sale, calendar: Calendar) -> list[dict[str, Any]]:
    """The order's invoice (none before goods left), which the account then owes; and the memo for what came back."""
    buyer = sale.account
    if sale.status in OPEN:
        buyer.ordered_ticks += sum(line.open_base // line.factor * line.ticks for line in sale.lines)
    if not any(line.shipped for line in sale.lines):
        return []
    invoiced = max(0, sale.age - 2)
    net_days = buyer.row["paymentTerms"]["netDays"]
    mismatch = sale.index % 113 == 0
    lines = [_line_row(line.number, line, line.ticks + (line.ticks // 50 if mismatch else 0)) for line in sale.lines
             if line.shipped]  # fmt: skip
    net = sum(to_cent(line.shipped * (line.ticks + (line.ticks // 50 if mismatch else 0))) for line in sale.lines)
    total = to_cent(net * _TAXED // 100) if buyer.row["taxProfile"]["liable"] else net
    late = 120 if buyer.pays_late else 10 * (buyer.index % 4)
    paid = invoiced > net_days + late
    if not paid:
        buyer.open_ticks += total
        buyer.overdue_ticks += total if invoiced > net_days else 0
    invoice = {
        "id": f"{700_000 + sale.index}", "kind": "INVOICE", "number": f"INV-{FIRST + sale.index}",
        "customer": buyer.number, "orders": [sale.number],
        "status": "PAID" if paid else "POSTED", "rawStatus": "P" if paid else "O",
        "invoicedOn": calendar.ago(invoiced), "due": calendar.ago(invoiced - net_days), "net": money(net),
        "tax": money(total - net), "total": money(total), "open": money(0 if paid else total),
        "priceMatches": not mismatch, "lines": lines,
    }  # fmt: skip
    buyer.postings.append(Posting(invoice, invoiced, invoiced - net_days - late if paid else None))
    memo = _memo(sale, calendar)
    if memo:
        buyer.postings.append(Posting(memo, sale.age - 20, sale.age - 20))
    return [invoice, memo] if memo else [invoice]


def invoice_of_order(order: dict[str, Any], percent: Decimal) -> dict[str, Any]:
    """An invoice of all that was ordered, at unit prices that differ by `percent` from the order's."""
    lines = []
    for line in order["lines"]:
        price = Decimal(line["unitPrice"]["amount"]) * (100 + percent) / 100
        lines.append({name: line[name] for name in ("sku", "description", "quantity", "uom")} | {
            "lineNumber": line["number"], "unitPrice": _amount(price),
            "total": _amount(price * Decimal(line["quantity"])),
        })  # fmt: skip
    total = _amount(sum((Decimal(line["total"]["amount"]) for line in lines), Decimal(0)))
    return {
        "id": f"i{order['id']}", "kind": "INVOICE", "number": f"INV-{order['number']}", "customer": order["customer"],
        "orders": [order["number"]], "status": "POSTED", "rawStatus": "O", "invoicedOn": order["orderedAt"][:10],
        "net": total, "tax": _amount(Decimal(0)), "total": total, "open": total, "priceMatches": percent == 0,
        "lines": lines,
    }  # fmt: skip


def _amount(amount: Decimal) -> dict[str, str]:
    return {"amount": f"{amount:f}", "currency": "USD"}


def _line_row(number: int, line: Any, ticks: int) -> dict[str, Any]:
    return {"lineNumber": number, "sku": line.article.sku, "description": line.article.name,
            "quantity": str(line.shipped), "uom": line.uom, "unitPrice": money(ticks),
            "total": money(to_cent(line.shipped * ticks))}  # fmt: skip


def _credited(sale: Sale) -> bool:
    return is_returned(sale) and sale.age > 30


def _memo(sale: Sale, calendar: Calendar) -> dict[str, Any] | None:
    if not _credited(sale):
        return None
    line = sale.lines[0]
    total = -to_cent(line.ticks)
    return {
        "id": f"{750_000 + sale.index}", "kind": "CREDIT_MEMO", "number": f"CM-{FIRST + sale.index}",
        "customer": sale.account.number, "orders": [sale.number], "status": "POSTED", "rawStatus": "O",
        "invoicedOn": calendar.ago(sale.age - 20), "net": money(total), "tax": money(0), "total": money(total),
        "open": money(0), "priceMatches": True,
        "lines": [{"lineNumber": line.number, "sku": line.article.sku, "quantity": "1", "uom": line.uom,
                   "unitPrice": money(line.ticks), "total": money(total)}],
    }  # fmt: skip


def return_rows(sale: Sale, calendar: Calendar) -> list[dict[str, Any]]:
    """A return of one unit of the first line, for some delivered orders."""
    if not is_returned(sale):
        return []
    line = sale.lines[0]
    row: dict[str, Any] = {
        "id": f"{900_000 + sale.index}", "version": 1, "number": f"RMA-{sale.index:05d}",
        "customer": sale.account.number, "order": sale.number, "requestedOn": calendar.ago(max(0, sale.age - 9)),
        "reason": ("Wrong item", "Damaged", "Not needed")[sale.index % 3],
        "shipmentState": "RECEIVED" if _credited(sale) else "IN_TRANSIT",
        "creditState": "CREDITED" if _credited(sale) else "PENDING",
        "lines": [{"lineNumber": line.number, "sku": line.article.sku, "quantity": "1", "uom": line.uom}],
    }  # fmt: skip
    return [row | {"creditMemo": f"CM-{FIRST + sale.index}"}] if _credited(sale) else [row]
