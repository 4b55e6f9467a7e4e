"""The sandbox's commerce platform: the web orders as it sees them, a few that the ERP has not got, reservations."""

from __future__ import annotations

from typing import Any

from app.sandbox.accounts import Account
from app.sandbox.pricing import money
from app.sandbox.trade import Calendar, Sale, SaleLine

RAW_STATUS = {
    "CONFIRMED": "PaymentAuthorized", "PROCESSING": "PaymentSettled", "PARTIALLY_SHIPPED": "PartiallyShipped",
    "SHIPPED": "Shipped", "PARTIALLY_DELIVERED": "PartiallyDelivered", "DELIVERED": "Delivered",
    "CANCELLED": "Cancelled",
}  # fmt: skip
BEHIND = {"SHIPPED": "PROCESSING", "PARTIALLY_SHIPPED": "PARTIALLY_DELIVERED", "PROCESSING": "CANCELLED"}
"""What the platform says of an order on which the two disagree, by what the ERP says."""

NEW_ORDERS = 30
FIRST_NEW = 300_001


def disagrees(sale: Sale, demo: str) -> bool:
    """Whether the platform knows the order in another status than the ERP: some of the open ones, and the demo."""
    every = 7 if sale.status == "PROCESSING" else 31
    return sale.number == demo or (sale.index % every == 0 and sale.status in BEHIND)


def known(sale: Sale) -> bool:
    """Whether the platform has the order at all."""
    return sale.channel == "WEB" and sale.status in RAW_STATUS


def web_status(sale: Sale, demo: str) -> str:
    """The order's status as the platform has it."""
    return BEHIND[sale.status] if disagrees(sale, demo) else sale.status


def web_order(order: dict[str, Any], sale: Sale, demo: str) -> dict[str, Any]:
    """The ERP's row as the platform shows it: fewer fields, its own id and status."""
    status = web_status(sale, demo)
    lines = [
        {name: value for name, value in line.items() if name not in _ERP_ONLY}
        | {"id": f"w{sale.index}-{line['number']}"}
        for line in order["lines"]
    ]
    return {
        "id": f"w{sale.index}", "number": sale.number, "customer": order["customer"], "customerPo": order["customerPo"],
        "channel": "WEB", "status": status, "rawStatus": RAW_STATUS[status], "orderedAt": order["orderedAt"],
        "updatedAt": order["updatedAt"], "billTo": order["billTo"], "shipTo": order["shipTo"], "currency": "USD",
        "totals": {name: value for name, value in order["totals"].items() if name != "margin"}, "lines": lines,
        "history": [{"status": status, "rawStatus": RAW_STATUS[status], "at": order["updatedAt"]}],
    }  # fmt: skip


_ERP_ONLY = {"confirmedQuantity", "invoicedQuantity", "backorderedQuantity", "scheduleLines", "returnedQuantity"}


def new_orders(accounts: list[Account], calendar: Calendar) -> list[dict[str, Any]]:
    """Orders placed this morning that the ERP does not know yet, one by each of the first customers."""
    return [_new_order(ordinal, account, calendar) for ordinal, account in enumerate(accounts[:NEW_ORDERS])]


def _new_order(ordinal: int, account: Account, calendar: Calendar) -> dict[str, Any]:
    number = f"SO-{FIRST_NEW + ordinal}"
    lines: list[dict[str, Any]] = []
    net = 0
    for position, article in enumerate(account.usual[:2], 1):
        quantity = 2 + ordinal % 5
        ticks = account.terms(article).ticks(quantity)
        net += quantity * ticks
        lines.append({
            "id": f"w{90_000 + ordinal}-{position}", "number": position, "order": number, "customer": account.number,
            "sku": article.sku, "description": article.name, "uom": article.family.base, "quantity": str(quantity),
            "unitPrice": money(ticks), "total": money(quantity * ticks),
        })  # fmt: skip
    at = calendar.at(0, f"04:{ordinal:02d}:00")
    return {
        "id": f"w{90_000 + ordinal}", "number": number, "customer": account.number, "channel": "WEB",
        "customerPo": f"WEB-{ordinal + 1:04d}", "status": "CONFIRMED", "rawStatus": "PaymentAuthorized",
        "orderedAt": at, "updatedAt": at, "billTo": {"name": account.row["name"]}, "currency": "USD",
        "totals": {"net": money(net), "total": money(net)}, "lines": lines,
        "history": [{"status": "CONFIRMED", "rawStatus": "PaymentAuthorized", "at": at}],
    }  # fmt: skip


def reservation(sale: Sale, line: SaleLine, calendar: Calendar) -> dict[str, Any]:
    """What the platform holds for an open line, in base units."""
    return {"order": sale.number, "sku": line.article.sku, "quantity": str(line.open_base), "warehouse": sale.warehouse,
            "at": calendar.at(sale.age, sale.clock)}  # fmt: skip


def new_reservations(order: dict[str, Any], warehouse: str) -> list[dict[str, Any]]:
    """The reservations of an order that the ERP does not know."""
    return [{"order": order["number"], "sku": line["sku"], "quantity": line["quantity"], "warehouse": warehouse,
             "at": order["orderedAt"]} for line in order["lines"]]  # fmt: skip
