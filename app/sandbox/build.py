"""Build the sandbox's three SQLite files: the same data for the same day, every time."""

from __future__ import annotations

import os
import random
import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import msgspec

from app.sandbox import accounts as customers
from app.sandbox import catalog, parcels, shop, supply
from app.sandbox.billing import invoice_rows, return_rows
from app.sandbox.commissions import agent_rows, statement_rows
from app.sandbox.contacts import contact_rows
from app.sandbox.lists import LISTS, table_sql
from app.sandbox.purchases import bought, guide_rows, history_rows
from app.sandbox.receivables import ledger_rows, open_item_rows, summary_row
from app.sandbox.sales_quotes import quote_rows
from app.sandbox.trade import DEMO_ORDER, OPEN, Calendar, Sale, order_row, sales, ship_to_of

VERSION = "16"
"""Raised with every change to the data, so that older files are built anew."""

SEED = 20_261_121
SYSTEMS = ("erp", "commerce", "logistics")
DEMO = f"SO-{DEMO_ORDER}"

PORTS = {
    "erp": (
        "customers",
        "credit",
        "items",
        "warehouses",
        "stock",
        "prices",
        "orders",
        "billing",
        "commissions",
        "search",
        "receivables",
        "contacts",
        "purchases",
        "quotes",
        "accounts",
        "order_writer",
        "quote_writer",
        "return_writer",
        "downloads",
        "changes",
    ),
    "commerce": ("contents", "reservations", "orders", "changes"),
    "logistics": ("shipments", "balances", "downloads", "changes"),
}
"""The ports that each of the three systems serves."""

_TABLES = """
CREATE TABLE docs (n INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE keys (kind TEXT NOT NULL, key TEXT NOT NULL, place INTEGER NOT NULL, n INTEGER NOT NULL, tag TEXT,
    PRIMARY KEY (kind, key, place, n)) WITHOUT ROWID;
CREATE TABLE texts (kind TEXT NOT NULL, key TEXT NOT NULL, text TEXT NOT NULL, tag TEXT, n INTEGER NOT NULL,
    PRIMARY KEY (kind, key)) WITHOUT ROWID;
CREATE TABLE changes (seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class DatasetWriter:
    """Collects the documents of one system and the keys they are found by, and writes them in one go."""

    def __init__(self) -> None:
        self.docs: list[tuple[int, bytes]] = []
        self.keys: list[tuple[str, str, int, int, str | None]] = []
        self.texts: list[tuple[str, str, str, str | None, int]] = []
        self.changes: list[tuple[str, str, str]] = []
        self.lists: dict[str, list[tuple[Any, ...]]] = {kind: [] for kind in LISTS}
        self._encode = msgspec.json.Encoder().encode

    def add(self, row: object, keys: Iterable[tuple[str, str]], ordinal: int = 0) -> int:
        """Keep a document under (kind, key) pairs; `place` orders the documents of one key."""
        n = len(self.docs) + 1
        self.docs.append((n, self._encode(row)))
        self.keys.extend((kind, key, ordinal, n, None) for kind, key in keys)
        return n

    def text(self, kind: str, key: str, words: Iterable[str], n: int, tag: str | None = None) -> None:
        self.texts.append((kind, key, " ".join(words).lower(), tag, n))

    def add_to_list(self, kind: str, n: int, row: dict[str, Any], **facts: Any) -> None:
        """Keep a document in a list; `facts` are those that it does not say itself."""
        self.lists[kind].append(LISTS[kind].row(n, row, **facts))

    def change(self, kind: str, key: str, at: str) -> None:
        self.changes.append((at, kind, key))

    def write(self, path: Path, day: date, *, large: bool = False) -> None:
        """Write the file beside its place and move it there, so that a broken build leaves nothing."""
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        partial.unlink(missing_ok=True)
        db = sqlite3.connect(partial)
        db.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;" + _TABLES + table_sql())
        with db:
            db.executemany("INSERT INTO docs VALUES (?, ?)", self.docs)
            self.keys.sort(key=lambda row: row[:4])
            db.executemany("INSERT INTO keys VALUES (?, ?, ?, ?, ?)", self.keys)
            db.executemany("INSERT INTO texts VALUES (?, ?, ?, ?, ?)", self.texts)
            for kind, rows in self.lists.items():
                values = ", ".join("?" for _ in range(len(LISTS[kind].columns) + 1))
                db.executemany(f"INSERT INTO list_{kind} VALUES ({values})", rows)
            db.executemany("INSERT INTO changes VALUES (?, ?, ?)", [
                (seq, kind, self._encode({"kind": kind, "key": key, "at": at}))
                for seq, (at, kind, key) in enumerate(sorted(self.changes), 1)])  # fmt: skip
            db.executemany(
                "INSERT INTO meta VALUES (?, ?)", [("version", _version(large=large)), ("day", day.isoformat())]
            )
        db.close()
        partial.replace(path)


def build(folder: Path, day: date, *, large: bool = False) -> None:
    """Write erp.db, commerce.db and logistics.db for a build day. A `large` one has two sales reps more, of 800 and of
    5,000 customers, and 40,000 items."""
    folder.mkdir(parents=True, exist_ok=True)
    calendar = Calendar(day)
    articles = catalog.articles(random.Random(SEED))
    buyers = customers.accounts(random.Random(SEED + 1), articles, day)
    sold = sales(random.Random(SEED + 2), buyers)
    levels = supply.stock_rows(articles, sold, calendar, random.Random(SEED + 3))
    further = catalog.further_articles(random.Random(SEED + 7)) if large else []
    levels |= supply.stock_rows(further, [], calendar, random.Random(SEED + 8))
    erp, commerce, logistics = DatasetWriter(), DatasetWriter(), DatasetWriter()
    _items(erp, commerce, articles, further, day)
    _orders(erp, commerce, sold, calendar)
    books = customers.large_books(random.Random(SEED + 6)) if large else []
    _customers(erp, [*buyers, *books], calendar)
    _commissions(erp, sold, calendar)
    _receivables(erp, buyers, calendar)
    _purchases(erp, buyers, sold, calendar)
    _stock(erp, logistics, levels, calendar)
    _quotes(erp, sold, calendar)
    _web(commerce, sold, buyers, calendar)
    _shipments(logistics, sold, calendar)
    for name, writer in zip(SYSTEMS, (erp, commerce, logistics), strict=True):
        writer.write(folder / f"{name}.db", day, large=large)


def _version(*, large: bool) -> str:
    return f"{VERSION}-large" if large else VERSION


def is_built(folder: Path, *, large: bool = False) -> bool:
    """Whether all three files are there, whole, of this version and size."""
    for name in SYSTEMS:
        path = folder / f"{name}.db"
        if not path.exists():
            return False
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            row = db.execute("SELECT value FROM meta WHERE name = 'version'").fetchone()
        except sqlite3.DatabaseError:
            row = None
        finally:
            db.close()
        if row != (_version(large=large),):
            return False
    return True


def _items(
    erp: DatasetWriter,
    commerce: DatasetWriter,
    articles: list[catalog.Article],
    further: list[catalog.Article],
    day: date,
) -> None:
    at = f"{day.isoformat()}T03:00:00Z"
    relations = catalog.relation_rows(articles, random.Random(SEED + 4))
    for article in (*articles, *further):
        row = catalog.item_row(article)
        n = erp.add(row, [("items.sku", article.sku), ("items.gtin", article.gtin), ("items.id", row["id"])])
        erp.text("items", article.sku, (article.sku, article.name, article.part), n, article.family.category)
        erp.add(catalog.cost_row(article), [("costs", article.sku)])
        if article.sku in relations:
            erp.add(relations[article.sku], [("relations", article.sku)])
        pricing = {"ticks": article.price, "category": article.family.category, "pack": article.pack[1],
                   "base": article.family.base, "uoms": {unit["code"]: [unit["numerator"], unit["denominator"]]
                                                         for unit in row["uoms"]}}  # fmt: skip
        if article.status != "BLOCKED":
            erp.add(pricing, [("pricing.item", article.sku)])
        if article.index % 50:
            commerce.add(catalog.content_row(article, article.index), [("contents", article.sku)])
        if article.index % 40 == 0:
            erp.change("ITEM", article.sku, at)
    only = catalog.content_row(articles[0], 0) | {
        "id": "v5001",
        "sku": "SKU-5001",
        "description": "Web exclusive bundle",
    }
    commerce.add(only, [("contents", "SKU-5001")])


def _orders(erp: DatasetWriter, commerce: DatasetWriter, sold: list[Sale], calendar: Calendar) -> None:
    for sale in sold:
        row = order_row(sale, calendar)
        add_order(erp, row, ship_to_of(sale)["id"])
        if sale.age <= 30:
            erp.change("ORDER", sale.number, row["updatedAt"])
        for ordinal, invoice in enumerate(invoice_rows(sale, calendar)):
            n = erp.add(invoice, [("invoices", sale.number), ("invoices.id", invoice["id"])], ordinal)
            erp.add_to_list("invoices", n, invoice)
            if sale.age <= 30:
                erp.change("INVOICE", invoice["id"], row["updatedAt"])
        for returned in return_rows(sale, calendar):
            found = [("returns", sale.number), ("returns.id", returned["id"]), ("returns.number", returned["number"])]
            erp.add_to_list("returns", erp.add(returned, found), returned)
        if shop.known(sale):
            add_order(commerce, shop.web_order(row, sale, DEMO))
            if sale.age <= 30:
                commerce.change("ORDER", sale.number, row["updatedAt"])


def add_order(writer: DatasetWriter, row: dict[str, Any], ship_to: str | None = None) -> None:
    """An order with its keys and its place in lists. `ship_to` is the id of the location."""
    minute = int(datetime.fromisoformat(row["orderedAt"]).timestamp()) // 60
    found = [("orders.number", row["number"]), ("orders.id", row["id"])]
    if "customerPo" in row:
        found.append(("orders.po", pair(row["customer"], row["customerPo"])))
    writer.add_to_list("orders", writer.add(row, found, minute), row, ship_to=ship_to)


def pair(first: str, second: str) -> str:
    return f"{first}\x1f{second}"


def _customers(erp: DatasetWriter, buyers: list[customers.Account], calendar: Calendar) -> None:
    assigned: dict[str, list[str]] = {}
    for account in buyers:
        n = erp.add(account.row, [("customers.number", account.number), ("customers.id", account.row["id"])])
        erp.text("customers", account.number, (account.number, account.row["name"]), n)
        erp.add(customers.credit_row(account), [("credit", account.number)])
        erp.add({"class": account.customer_class}, [("pricing.customer", account.number)])
        for sku, terms in account.contract_lines.items():
            erp.add(terms, [("pricing.contract", pair(account.number, sku))])
        for number, sku in customers.part_numbers(account):
            n = erp.add({"number": number, "sku": sku}, [("parts.number", pair(account.number, number))])
            erp.keys.append(("parts.sku", pair(account.number, sku), 0, n, None))
        assigned.setdefault(account.row["salesRep"], []).append(account.number)
        if account.index % 20 == 0:
            erp.change("CREDIT", account.number, calendar.at(0, "04:00:00"))
        if account.index % 25 == 0:
            erp.change("CUSTOMER", account.number, calendar.at(1, "20:00:00"))
    for rep, numbers in assigned.items():
        erp.add({"salesperson": rep, "customers": numbers}, [("accounts", rep)])


def _commissions(erp: DatasetWriter, sold: list[Sale], calendar: Calendar) -> None:
    agents = agent_rows()
    for row in agents:
        parent = [("agents.parent", row["ancestors"][0])] if row["ancestors"] else []
        erp.add(row, [("agents", row["number"]), *parent])
    for ordinal, row in enumerate(statement_rows(agents, sold, calendar)):
        erp.add(row, [("statements", row["number"]), ("statements.agent", row["agent"])], ordinal)


def _receivables(erp: DatasetWriter, buyers: list[customers.Account], calendar: Calendar) -> None:
    for account in buyers:
        erp.add(summary_row(account, calendar), [("receivables", account.number)])
        erp.add(ledger_rows(account, calendar), [("ledger", account.number)])
        for ordinal, row in enumerate(open_item_rows(account, calendar)):
            n = erp.add(row, [])
            tag = "OVERDUE" if row["daysOverdue"] else None
            erp.keys.append(("open_items", account.number, ordinal, n, tag))


def _purchases(erp: DatasetWriter, buyers: list[customers.Account], sold: list[Sale], calendar: Calendar) -> None:
    lines = bought(sold)
    for row in history_rows(lines, calendar):
        erp.add(row, [("purchases", pair(row["customer"], row["sku"]))])
    for account in buyers:
        for ordinal, row in enumerate(guide_rows(account, lines, calendar)):
            erp.add(row, [("guide", account.number)], ordinal)
        for ordinal, row in enumerate(contact_rows(account)):
            erp.add(row, [("contacts", account.number)], ordinal)


def _quotes(erp: DatasetWriter, sold: list[Sale], calendar: Calendar) -> None:
    for row in quote_rows(sold, calendar):
        n = erp.add(row, [("quotes.id", row["id"]), ("quotes.number", row["number"])])
        erp.add_to_list("quotes", n, row)
        if row["updatedAt"][:10] >= calendar.ago(30):
            erp.change("QUOTE", row["id"], row["updatedAt"])


def _stock(erp: DatasetWriter, logistics: DatasetWriter, levels: dict[str, dict[str, Any]], calendar: Calendar) -> None:
    for row in customers.WAREHOUSES:
        erp.add(row, [("warehouses", row["code"])])
    for ordinal, (sku, level) in enumerate(levels.items()):
        erp.add(level, [("stock", sku)])
        if ordinal % 20 == 0:
            erp.change("STOCK", sku, calendar.at(0, "04:30:00"))
    third = {sku: level["positions"][2] for sku, level in levels.items()}
    for row in parcels.balance_rows(third):
        logistics.add(row, [("balances", pair(row["warehouse"], row["sku"]))])


def _web(commerce: DatasetWriter, sold: list[Sale], buyers: list[customers.Account], calendar: Calendar) -> None:
    held: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for sale in sold:
        if shop.known(sale) and sale.status in OPEN and shop.web_status(sale, DEMO) != "CANCELLED":
            for line in sale.lines:
                if line.open_base:
                    held[line.article.sku].append(shop.reservation(sale, line, calendar))
    for order, account in zip(shop.new_orders(buyers, calendar), buyers, strict=False):
        add_order(commerce, order)
        commerce.change("ORDER", order["number"], order["orderedAt"])
        for row in shop.new_reservations(order, account.row["shipTos"][0]["defaultWarehouse"]):
            held[row["sku"]].append(row)
    for sku, rows in held.items():
        commerce.add(rows, [("reservations", sku)])


def _shipments(logistics: DatasetWriter, sold: list[Sale], calendar: Calendar) -> None:
    rng = random.Random(SEED + 5)
    serial = 1
    for sale in sold:
        for ordinal, row in enumerate(parcels.shipment_rows(sale, calendar, rng, serial)):
            n = logistics.add(
                row,
                [("shipments.id", row["id"]), ("shipments.tracking", row["trackingNumber"]),
                 ("shipments.order", sale.number)],
                ordinal,
            )  # fmt: skip
            logistics.add_to_list("shipments", n, row)
            if sale.age <= 30:
                logistics.change("SHIPMENT", row["id"], row["updatedAt"])
            serial += 1
