"""What the sandbox's ERP tells of purchases: by item, and as order guides; accounts with a contract keep one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from app.sandbox.accounts import Account
from app.sandbox.pricing import money
from app.sandbox.trade import DAYS, Calendar, Sale, SaleLine
from app.sources.purchases import LAST_PURCHASES

_NOT_PLACED = frozenset({"DRAFT", "QUOTED", "CANCELLED"})
Bought = dict[tuple[str, str], list[tuple[Sale, SaleLine]]]
"""The placed lines of each customer and SKU, newest first."""


def bought(sold: Iterable[Sale]) -> Bought:
    """What was placed, by customer and SKU."""
    lines: Bought = defaultdict(list)
    for sale in sorted(sold, key=lambda one: (one.age, one.clock, -one.index)):
        if sale.status not in _NOT_PLACED:
            for line in sale.lines:
                lines[sale.account.number, line.article.sku].append((sale, line))
    return lines


def history_rows(lines: Bought, calendar: Calendar) -> Iterator[dict[str, Any]]:
    """The history of each customer and SKU."""
    for (customer, sku), own in lines.items():
        yield {
            "customer": customer, "sku": sku, "times": len({sale.number for sale, _ in own}),
            "since": calendar.ago(DAYS),
            "last": [_purchase(sale, line, calendar) for sale, line in own[:LAST_PURCHASES]],
        }  # fmt: skip


def _purchase(sale: Sale, line: SaleLine, calendar: Calendar) -> dict[str, Any]:
    return {"orderNumber": sale.number, "lineNumber": line.number, "orderedOn": calendar.ago(sale.age),
            "quantity": str(line.quantity), "uom": line.uom, "unitPrice": money(line.ticks)}  # fmt: skip


def guide_rows(account: Account, lines: Bought, calendar: Calendar) -> list[dict[str, Any]]:
    """The order guide: the items of the contract in the order in which the account keeps them, else what it has
    ordered, the most frequent first."""
    own = [(article.sku, article.family.category, lines.get((account.number, article.sku), []))
           for article in account.usual]  # fmt: skip
    if account.contract:
        maintained = [one for one in own if one[0] in account.contract_lines]
        return [_guide_row(account, "MAINTAINED", *one, calendar) for one in maintained]
    ordered = sorted((one for one in own if one[2]), key=lambda one: (-len(one[2]), one[0]))
    return [_guide_row(account, "ORDER_HISTORY", *one, calendar) for one in ordered]


def _guide_row(
    account: Account, basis: str, sku: str, category: str, own: list[tuple[Sale, SaleLine]], calendar: Calendar
) -> dict[str, Any]:  # fmt: skip
    section = category.partition("/")[0]
    row: dict[str, Any] = {"customer": account.number, "sku": sku, "basis": basis, "section": section,
                           "times": len(own)}  # fmt: skip
    if own:
        sale, line = own[0]
        row |= {"quantity": str(line.quantity), "uom": line.uom, "lastOrderedOn": calendar.ago(sale.age)}
    return row
