"""Keys of a system's own rows, found in what it answers, for the conformance tests of `./run contract test`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice, product
from typing import Any

import msgspec

from app.sources.billing import Invoice, Return
from app.sources.commissions import Agent, CommissionStatement
from app.sources.customers import Customer
from app.sources.items import CustomerItemKey, CustomerPartKey, Item
from app.sources.orders import CustomerPoKey, Order
from app.sources.prices import PriceRequest
from app.sources.quotes import Quote
from app.sources.shipments import Shipment
from app.sources.values import Page
from app.sources.warehouses import Warehouse

MAX_SAMPLES = 40
"""Keys of one kind that are remembered."""


@dataclass(frozen=True, slots=True)
class KeyKind:
    """A kind of key. `text_field` is the attribute of a compound key that takes any text, for keys that are unknown;
    None where a key is a text, a number where it is a tuple."""

    name: str
    text_field: str | int | None = None

    def with_text(self, key: Any, text: str) -> Any:
        """The key with another text in it."""
        if self.text_field is None:
            return text
        if isinstance(self.text_field, int):
            return (*key[: self.text_field], text, *key[self.text_field + 1 :])
        return msgspec.structs.replace(key, **{self.text_field: text})


CUSTOMER, CUSTOMER_ID = KeyKind("customer"), KeyKind("customer id")
ITEM, ITEM_ID, GTIN = KeyKind("sku"), KeyKind("item id"), KeyKind("gtin")
PART, PART_ITEM = KeyKind("customer part number", "number"), KeyKind("item of a customer", "sku")
WAREHOUSE, BALANCE = KeyKind("warehouse"), KeyKind("item in a warehouse", 1)
PRICE = KeyKind("price request", "sku")
ORDER, ORDER_ID, PURCHASE_ORDER = KeyKind("order"), KeyKind("order id"), KeyKind("purchase order", "number")
SHIPMENT, TRACKING = KeyKind("shipment"), KeyKind("tracking number")
AGENT, STATEMENT = KeyKind("agent"), KeyKind("statement")
INVOICE_ID, RETURN_ID, SALESPERSON = KeyKind("invoice id"), KeyKind("return id"), KeyKind("salesperson")
QUOTE, QUOTE_ID, RETURN = KeyKind("quote"), KeyKind("quote id"), KeyKind("return")

GIVEN = (CUSTOMER, ITEM, WAREHOUSE, ORDER, SHIPMENT, TRACKING, AGENT, STATEMENT, SALESPERSON, QUOTE, RETURN)
"""The kinds that a person may name, for systems whose lists are empty or missing."""


def _with_ids(row: Any, kind: KeyKind, key: str, id_kind: KeyKind) -> Iterator[tuple[KeyKind, Any]]:
    yield kind, key
    yield from ((id_kind, ref.id) for ref in row.refs)


def _customer(row: Customer) -> Iterator[tuple[KeyKind, Any]]:
    yield from _with_ids(row, CUSTOMER, row.number, CUSTOMER_ID)
    if row.sales_rep:
        yield SALESPERSON, row.sales_rep


def _order(row: Order) -> Iterator[tuple[KeyKind, Any]]:
    yield from _with_ids(row, ORDER, row.number, ORDER_ID)
    if row.customer and row.customer_po:
        yield PURCHASE_ORDER, CustomerPoKey(customer=row.customer, number=row.customer_po)
    yield from ((ITEM, line.sku) for line in row.lines if line.sku)


def _shipment(row: Shipment) -> Iterator[tuple[KeyKind, Any]]:
    yield SHIPMENT, row.id
    if row.tracking_number:
        yield TRACKING, row.tracking_number
    yield from ((ORDER, order) for order in row.orders)


def _quote(row: Quote) -> Iterator[tuple[KeyKind, Any]]:
    yield QUOTE_ID, row.id
    if row.number:
        yield QUOTE, row.number


KEYS_IN: Mapping[type, Callable[[Any], Iterator[tuple[KeyKind, Any]]]] = {
    Customer: _customer,
    Item: lambda row: iter([*_with_ids(row, ITEM, row.sku, ITEM_ID), *([(GTIN, row.gtin)] if row.gtin else [])]),
    Warehouse: lambda row: iter([(WAREHOUSE, row.code)]),
    Order: _order,
    Shipment: _shipment,
    Invoice: lambda row: iter([(INVOICE_ID, row.id)]),
    Return: lambda row: iter([(RETURN_ID, row.id), (RETURN, row.number)]),
    Quote: _quote,
    Agent: lambda row: iter([(AGENT, row.number)]),
    CommissionStatement: lambda row: iter([(STATEMENT, row.number), (AGENT, row.agent)]),
    CustomerPartKey: lambda key: iter([(PART, key)]),
}
"""The keys in a record, by its type."""

COMBINED: Mapping[KeyKind, tuple[tuple[KeyKind, ...], Callable[..., Any]]] = {
    PRICE: ((CUSTOMER, ITEM), lambda customer, sku: PriceRequest(customer=customer, sku=sku, quantity=Decimal(1))),
    PART_ITEM: ((CUSTOMER, ITEM), lambda customer, sku: CustomerItemKey(customer=customer, sku=sku)),
    BALANCE: ((WAREHOUSE, ITEM), lambda warehouse, sku: (warehouse, sku)),
}
"""Kinds whose keys are made of keys of other kinds."""


@dataclass(slots=True)
class SampleKeys:
    """The keys known so far, by kind."""

    known: dict[KeyKind, dict[Any, None]] = field(default_factory=dict)

    def add(self, kind: KeyKind, key: Any) -> None:
        keys = self.known.setdefault(kind, {})
        if len(keys) < MAX_SAMPLES:
            keys[key] = None

    def of(self, kind: KeyKind) -> list[Any]:
        """The keys of a kind; those of a combined kind are all pairs, at most MAX_SAMPLES."""
        if kind not in COMBINED:
            return list(self.known.get(kind, ()))
        parts, combine = COMBINED[kind]
        return [combine(*keys) for keys in islice(product(*map(self.of, parts)), MAX_SAMPLES)]

    def learn(self, value: Any) -> None:
        """Remember the keys in records, wherever they are in an answer."""
        keys_in = KEYS_IN.get(type(value))
        if keys_in is not None:
            for kind, key in keys_in(value):
                self.add(kind, key)
        elif isinstance(value, Mapping):
            self.learn(list(value.values()))
        elif isinstance(value, Sequence) and not isinstance(value, str):
            for inner in value:
                self.learn(inner)
        elif isinstance(value, Page):
            self.learn(value.rows)
