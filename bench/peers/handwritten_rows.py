"""What the hand-written handler reads of the upstream's rows: the wanted fields and no others, as text."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

K = TypeVar("K")
V = TypeVar("V")


class Wire(msgspec.Struct, rename="camel", gc=False):
    """What is read of a row."""


class Found(Wire, Generic[K, V]):
    key: K
    value: V


class Line(Wire):
    """One read's answer within a batch."""

    id: str
    body: msgspec.Raw


class Money(Wire):
    amount: str
    currency: str


class Terms(Wire):
    code: str
    net_days: int


class Place(Wire):
    city: str
    region: str
    country: str


class Location(Wire):
    id: str
    name: str
    address: Place


class Credit(Wire):
    state: str
    available: Money
    checked_at: str


class Card(Wire):
    number: str
    name: str
    status: str
    currency: str


class Customer(Card):
    payment_terms: Terms
    ship_tos: list[Location]
    credit: Credit


class OrderLine(Wire):
    number: int
    quantity: str
    uom: str
    sku: str


class Totals(Wire):
    total: Money


class Order(Wire):
    id: str
    number: str
    customer_po: str
    status: str
    ordered_at: str
    totals: Totals
    lines: list[OrderLine]


class Page(Wire):
    rows: list[Order]
    cursors: list[str]
    has_next: bool


class Reason(Wire):
    rule: str
    certainty: str


class Price(Wire):
    unit_price: Money
    discount_percent: str
    reason: Reason
    as_of: str


class ListPrice(Wire):
    unit_price: Money
    list_price: Money


class Item(Wire):
    sku: str
    name: str
    status: str


class Uom(Wire):
    code: str
    numerator: int
    denominator: int
    minimum: str
    increment: str


class CatalogItem(Wire):
    sku: str
    name: str
    category: str
    base_uom: str
    uoms: list[Uom]


class Change(Wire):
    delta: str


class Position(Wire):
    warehouse: str
    on_hand: str
    reserved: str
    quality_hold: str
    safety_stock: str
    supply: list[Change]


class Stock(Wire):
    positions: list[Position]
    as_of: str


class Eta(Wire):
    promised: str | None
    carrier: str | None


class Event(Wire):
    sequence: int
    at: str
    status: str
    location: str


class Shipment(Wire):
    id: str
    carrier: str
    status: str
    tracking_number: str
    eta: Eta
    events: list[Event]


def _decoder(kind: Any) -> Any:
    return msgspec.json.Decoder(kind).decode


batch_lines = msgspec.json.Decoder(Line).decode_lines
read_cards = _decoder(list[Found[str, Card]])
read_customers = _decoder(list[Found[str, Customer]])
read_pages = _decoder(list[Found[str, Page]])
read_prices = _decoder(list[Found[int, Price]])
read_list_prices = _decoder(list[Found[int, ListPrice]])
read_items = _decoder(list[Found[str, Item]])
read_catalog = _decoder(list[Found[str, CatalogItem]])
read_levels = _decoder(list[Found[str, Stock]])
read_shipments = _decoder(list[Found[str, list[Shipment]]])
