"""The sandbox's stock: positions in three warehouses that agree with the open orders, and receipts to come."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

from app.sandbox.accounts import WAREHOUSES
from app.sandbox.catalog import Article
from app.sandbox.trade import OPEN, SHIPPED, Calendar, Sale

CODES = tuple(row["code"] for row in WAREHOUSES)
LATELY = 14
"""Days for which a shipped order is still named in a level's `orders`."""


def stock_rows(
    articles: list[Article], sales: list[Sale], calendar: Calendar, rng: random.Random
) -> dict[str, dict[str, Any]]:  # fmt: skip
    """Levels by SKU. Goods being picked are reserved, all other open demand is dated supply."""
    reserved: dict[tuple[str, str], int] = defaultdict(int)
    demand: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    orders: dict[str, set[str]] = defaultdict(set)
    for sale in sales:
        known = sale.status in OPEN or (sale.age <= LATELY and sale.status in (*SHIPPED, "DELIVERED"))
        for line in sale.lines if known else ():
            orders[line.article.sku].add(sale.number)
            if line.open_base and sale.status in OPEN:
                ordinal = line.article.sku, sale.warehouse
                if sale.status == "PROCESSING":
                    reserved[ordinal] += line.open_base
                else:
                    demand[ordinal].append(_demand(line.open_base, sale, calendar))
    levels: dict[str, dict[str, Any]] = {}
    for article in articles:
        positions = [
            _position(article, code, reserved[article.sku, code], demand[article.sku, code], calendar, rng)
            for code in CODES
        ]
        _transfer(article, positions, calendar)
        levels[article.sku] = {"sku": article.sku, "uom": article.family.base, "positions": positions,
                               "orders": sorted(orders[article.sku])}  # fmt: skip
    return levels


def _demand(quantity: int, sale: Sale, calendar: Calendar) -> dict[str, Any]:
    due = -9 if sale.status == "PARTIALLY_SHIPPED" else min(0, sale.age - 5)
    return {"date": calendar.ago(due), "delta": str(-quantity), "kind": "DEMAND", "order": sale.number}


def _position(
    article: Article, code: str, reserved: int, demand: list[dict[str, Any]], calendar: Calendar, rng: random.Random
) -> dict[str, Any]:  # fmt: skip
    factor = article.pack[1]
    short = any(row["date"] > calendar.ago(-8) for row in demand)
    requested = -sum(int(row["delta"]) for row in demand)
    on_shelf = rng.choice((0, 2, 5, 8, 12, 20, 40)) * factor + rng.randint(0, factor)
    if article.status != "ACTIVE":
        on_shelf = on_shelf // 4
    supply = list(demand)
    if short or rng.random() < 0.45:
        days = 4 + rng.randrange(0, 28)
        supply.append({"date": calendar.ago(-min(days, 7) if short else -days),
                       "delta": str(max(10 * factor, requested * 2)), "kind": "RECEIPT"})  # fmt: skip
    row: dict[str, Any] = {
        "sku": article.sku,
        "warehouse": code,
        "onHand": str(reserved + (0 if short else requested + on_shelf)),
        "reserved": str(reserved),
        "qualityHold": str(rng.choice((0, 0, 0, 0, 0, 0, 0, 1, 2)) if on_shelf > 5 and not short else 0),
        "safetyStock": str(factor if article.index % 4 == 0 and not short else 0),
        "inTransfer": "0",
        "supply": sorted(supply, key=lambda change: change["date"]),
    }
    return row


def _transfer(article: Article, positions: list[dict[str, Any]], calendar: Calendar) -> None:
    if article.index % 9:
        return
    central, east, _ = positions
    quantity = 5 * article.pack[1]
    if int(central["onHand"]) - int(central["reserved"]) < 2 * quantity or len(central["supply"]) > 2:
        return
    day = calendar.ago(-3)
    central["supply"].insert(0, {"date": day, "delta": str(-quantity), "kind": "TRANSFER_OUT"})
    east["supply"].append({"date": day, "delta": str(quantity), "kind": "TRANSFER_IN"})
    east["inTransfer"] = str(quantity)
    for position in (central, east):
        position["supply"].sort(key=lambda change: change["date"])
