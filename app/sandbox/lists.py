"""The sandbox's lists: a table of the filterable columns of each kind, and the SQL of a query over it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import msgspec

from app.sources.billing import InvoiceQuery, ReturnQuery
from app.sources.lists import DateRange
from app.sources.orders import OrderQuery
from app.sources.quotes import QuoteQuery
from app.sources.shipments import ShipmentQuery

Row = dict[str, Any]
Condition = tuple[str, Sequence[Any]]

_OPEN = frozenset({"CONFIRMED", "PROCESSING", "PARTIALLY_SHIPPED", "PARTIALLY_DELIVERED"})
OPEN_QUOTES = frozenset({"REQUESTED", "OFFERED", "RENEGOTIATING"})
_ARRIVED = frozenset({"DELIVERED", "RETURN_TO_SENDER"})
_SEPARATOR = "\x1f"


@dataclass(frozen=True, slots=True)
class ListTable:
    """A list: its columns by name, each made of a document and its further facts, the conditions of a query, and its
    sorts by their prefix."""

    columns: Mapping[str, Callable[[Row, Row], Any]]
    conditions: Callable[[Any, date], list[Condition]]
    sorts: Mapping[str, str]

    def row(self, n: int, document: Row, **facts: Any) -> tuple[Any, ...]:
        """The row of a document in the table."""
        return (n, *(make(document, facts) for make in self.columns.values()))

    def sort(self, value: str) -> tuple[str, str]:
        """The SQL expression and direction of a sort; rows without a value are the newest."""
        name, _, direction = value.rpartition("_")
        return f"coalesce({self.sorts[name]}, '~')", direction


def _of(name: str) -> Callable[[Row, Row], Any]:
    return lambda document, _: document.get(name)


def _fact(name: str) -> Callable[[Row, Row], Any]:
    return lambda _, facts: facts.get(name)


def joined(values: Iterable[str | None]) -> str:
    """Several values in one column: each between separators, so that one can be found whole."""
    return _SEPARATOR + "".join(f"{value}{_SEPARATOR}" for value in values if value)


def is_open(status: str) -> int:
    """Whether an order with this status is confirmed and has not shipped in full."""
    return int(status in _OPEN)


def _words(*values: str | None) -> str:
    return " ".join(value for value in values if value).lower()


def _order_words(order: Row, _: Row) -> str:
    lines = (part for line in order["lines"] for part in (line.get("sku"), line.get("description")))
    return _words(order["number"], order.get("customerPo"), (order.get("shipTo") or {}).get("name"), *lines)


def one_of(column: str, values: Sequence[str] | None) -> list[Condition]:
    """The column has one of the values; nothing is asked for None or no values."""
    return [(f"{column} IN (SELECT value FROM json_each(?))", [_json(values)])] if values else []


def equals(column: str, value: Any) -> list[Condition]:
    return [] if value is None else [(f"{column} = ?", [value])]


def within(column: str, days: DateRange | None) -> list[Condition]:
    """The day of the column is within a range."""
    if days is None:
        return []
    day = f"substr({column}, 1, 10)"
    ends = ((">=", days.since), ("<=", days.until))
    return [(f"{day} {direction} ?", [end.isoformat()]) for direction, end in ends if end is not None]


def holds(column: str, values: Sequence[str]) -> list[Condition]:
    """A column of several values has one of these."""
    if not values:
        return []
    clauses = " OR ".join(f"instr({column}, ?) > 0" for _ in values)
    return [(f"({clauses})", [joined([value]) for value in values])]


def has_words(column: str, text: str | None) -> list[Condition]:
    """The column has each word of a text."""
    return [(f"instr({column}, ?) > 0", [word]) for word in (text or "").lower().split()]


def is_true(expression: str, value: bool | None, *values: Any) -> list[Condition]:
    """The expression is true or false, as asked."""
    return [] if value is None else [(expression if value else f"NOT ifnull({expression}, 0)", values)]


def of_customers(customers: Sequence[str] | None) -> list[Condition]:
    """The rows of these customers; all for None, none for no customer."""
    return [] if customers is None else one_of("customer", customers) or [("0", ())]


def order_conditions(query: OrderQuery, today: date) -> list[Condition]:
    """The conditions of a query of orders."""
    day = (query.today or today).isoformat()
    return [
        *of_customers(query.customers),
        *one_of("status", query.status),
        *within("ordered", query.ordered),
        *within("requested", query.requested),
        *within("promised", query.promised),
        *equals("po", query.customer_po),
        *equals("ship_to", query.ship_to),
        *equals("warehouse", query.warehouse),
        *holds("skus", [query.item] if query.item else []),
        *holds("holds", query.hold),
        *is_true("(open AND promised < ?)", query.late, day),
        *is_true("open", query.open),
        *has_words("words", query.text),
    ]


def _json(values: Iterable[str]) -> str:
    return msgspec.json.encode([value for value in values if "\0" not in value]).decode()


def shipment_conditions(query: ShipmentQuery, today: date) -> list[Condition]:
    """The conditions of a query of shipments. A tracking number has to be given whole."""
    day = (query.today or today).isoformat()
    words = has_words("words", query.text)
    if words:
        clause = " AND ".join(one for one, _ in words)
        words = [(f"(tracking = ? OR ({clause}))", [query.text, *(value for _, values in words for value in values)])]
    return [
        *of_customers(query.customers),
        *one_of("status", query.status),
        *within("shipped", query.shipped),
        *within("promised", query.promised),
        *equals("warehouse", query.warehouse),
        *holds("skus", [query.item] if query.item else []),
        *is_true("(open AND promised < ?)", query.late, day),
        *is_true("open", query.open),
        *words,
    ]


def invoice_conditions(query: InvoiceQuery, today: date) -> list[Condition]:
    """The conditions of a query of invoices."""
    day = (query.today or today).isoformat()
    return [
        *of_customers(query.customers),
        *one_of("status", query.status),
        *equals("kind", query.kind),
        *within("invoiced", query.invoiced),
        *within("due", query.due),
        *holds("skus", [query.item] if query.item else []),
        *is_true("(open AND due < ?)", query.past_due, day),
        *is_true("open", query.open),
        *has_words("words", query.text),
    ]


def return_conditions(query: ReturnQuery, _: date) -> list[Condition]:
    """The conditions of a query of returns."""
    return [
        *of_customers(query.customers),
        *one_of("shipment_state", query.shipment_state),
        *one_of("credit_state", query.credit_state),
        *within("requested", query.requested),
        *holds("skus", [query.item] if query.item else []),
        *is_true("open", query.open),
        *has_words("words", query.text),
    ]


def quote_conditions(query: QuoteQuery, _: date) -> list[Condition]:
    """The conditions of a query of quotes."""
    return [
        *of_customers(query.customers),
        *one_of("status", query.status),
        *within("requested", query.requested),
        *within("valid_to", query.valid_to),
        *holds("skus", [query.item] if query.item else []),
        *is_true("open", query.open),
        *has_words("words", query.text),
    ]


def is_on_its_way(status: str, *, cancelled: bool = False) -> int:
    """Whether a shipment with this status has not arrived."""
    return int(status not in _ARRIVED and not cancelled)


def _skus(document: Row, _: Row) -> str:
    return joined(line.get("sku") for line in document["lines"])


def _quote_words(quote: Row, _: Row) -> str:
    parts = (part for line in quote["lines"] for part in (line.get("sku"), line.get("description")))
    return _words(quote["number"], quote.get("note"), *parts)


LISTS: Mapping[str, ListTable] = {
    "orders": ListTable(
        columns={
            "customer": _of("customer"),
            "status": _of("status"),
            "ordered": _of("orderedAt"),
            "requested": _of("requestedOn"),
            "promised": _of("promisedOn"),
            "po": _of("customerPo"),
            "ship_to": _fact("ship_to"),
            "warehouse": _of("warehouse"),
            "holds": lambda order, _: joined(hold["kind"] for hold in order.get("holds", ())),
            "skus": _skus,
            "open": lambda order, _: is_open(order["status"]),
            "words": _order_words,
        },
        conditions=order_conditions,
        sorts={"ORDERED_AT": "ordered", "REQUESTED_ON": "requested", "PROMISED_ON": "promised"},
    ),
    "shipments": ListTable(
        columns={
            "customer": _of("customer"),
            "status": _of("status"),
            "shipped": _of("shippedAt"),
            "promised": lambda shipment, _: shipment["eta"]["promised"],
            "warehouse": _of("warehouse"),
            "tracking": _of("trackingNumber"),
            "skus": _skus,
            "open": lambda shipment, _: is_on_its_way(shipment["status"], cancelled="cancelled" in shipment),
            "words": lambda shipment, _: _words(*shipment["orders"], shipment["asn"]),
        },
        conditions=shipment_conditions,
        sorts={"SHIPPED_AT": "shipped", "PROMISED_ON": "promised"},
    ),
    "invoices": ListTable(
        columns={
            "customer": _of("customer"),
            "status": _of("status"),
            "kind": _of("kind"),
            "invoiced": _of("invoicedOn"),
            "due": _of("due"),
            "skus": _skus,
            "open": lambda invoice, _: int(float(invoice["open"]["amount"]) != 0),
            "words": lambda invoice, _: _words(invoice["number"], *invoice["orders"]),
        },
        conditions=invoice_conditions,
        sorts={"INVOICED_ON": "invoiced", "DUE_ON": "due"},
    ),
    "quotes": ListTable(
        columns={
            "customer": _of("customer"),
            "status": _of("status"),
            "requested": _of("requestedAt"),
            "valid_to": _of("validTo"),
            "skus": _skus,
            "open": lambda quote, _: int(quote["status"] in OPEN_QUOTES),
            "words": _quote_words,
        },
        conditions=quote_conditions,
        sorts={"REQUESTED_AT": "requested", "VALID_TO": "valid_to"},
    ),
    "returns": ListTable(
        columns={
            "customer": _of("customer"),
            "shipment_state": _of("shipmentState"),
            "credit_state": _of("creditState"),
            "requested": _of("requestedOn"),
            "skus": _skus,
            "open": lambda returned, _: int(
                returned["creditState"] != "CREDITED" and returned["shipmentState"] not in ("REFUSED", "CANCELLED")
            ),
            "words": lambda returned, _: _words(returned["number"], returned["order"], returned["reason"]),
        },
        conditions=return_conditions,
        sorts={"REQUESTED_ON": "requested"},
    ),
}


def table_sql() -> str:
    """The statements that make the tables."""
    return "".join(
        f"CREATE TABLE list_{kind} (n INTEGER PRIMARY KEY, {', '.join(table.columns)});"
        f"CREATE INDEX list_{kind}_customer ON list_{kind} (customer);"
        for kind, table in LISTS.items()
    )
