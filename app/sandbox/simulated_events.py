"""Simulated events: shipments advance, orders and stock change; each is appended to the change feed.

Nothing is persisted: a restarted sandbox has its original data.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from app.sandbox.billing import invoice_of_order
from app.sandbox.lists import is_on_its_way, is_open
from app.sandbox.parcels import TEXT
from app.sandbox.quotes import change_contract
from app.sandbox.reads import BadRequest, change_json
from app.sandbox.store import SandboxStore
from app.sources.changes import EVERY_KEY

_encode = msgspec.json.Encoder().encode

NEXT = {
    "PENDING": "PICKED_UP",
    "PICKED_UP": "IN_TRANSIT",
    "IN_TRANSIT": "OUT_FOR_DELIVERY",
    "OUT_FOR_DELIVERY": "DELIVERED",
    "READY_FOR_PICKUP": "DELIVERED",
    "PARTIALLY_DELIVERED": "DELIVERED",
}
"""What usually comes after; after anything else the goods move on."""

LAST = frozenset({"DELIVERED", "RETURN_TO_SENDER"})


class UnknownObject(LookupError):
    """No object has that key."""


class ShipmentStep(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """A step of a shipment; the next usual one if nothing is said. One whose `at` is past is told late: it takes its
    place among the events, and the newest of these still says where the goods are. With `withdraw` the carrier takes
    its newest event back instead."""

    status: str | None = None
    at: datetime | None = None
    location: str | None = None
    description: str | None = None
    raw_code: str | None = None
    withdraw: bool = False


class ObjectChange(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """A change of the status of an order, invoice or customer, of a customer's name or sales rep, of a credit state (as
    `status`), of an item's stock in a warehouse by `delta`, or of a customer's price of a `sku` by `percent`."""

    status: str | None = None
    name: str | None = None
    sales_rep: str | None = None
    warehouse: str | None = None
    delta: Decimal | None = None
    sku: str | None = None
    percent: Decimal | None = None


class EventSimulator:
    """Simulates events of one system; `publish` gets each change in the feed's form."""

    def __init__(self, store: SandboxStore, publish: Callable[[int, bytes], None]) -> None:
        self._store = store
        self._publish = publish

    def advance(self, id: str, step: ShipmentStep) -> bytes:
        shipment = self._document("shipments.id", id)
        events = [*shipment["events"]]
        if step.withdraw:
            if len(events) < 2:
                raise BadRequest("the first event cannot be withdrawn")
            code = events.pop()["rawCode"]
        else:
            event = _event(shipment, step)
            code = event["rawCode"]
            events.append(event)
        events.sort(key=lambda one: datetime.fromisoformat(one["at"]))
        for ordinal, event in enumerate(events, start=1):
            event["sequence"] = ordinal
        newest = events[-1]
        shipment |= {"events": events, "status": newest["status"], "rawStatus": newest["rawCode"], "updatedAt": _now()}
        if newest["status"] == "DELIVERED":
            shipment["proofOfDelivery"] = {"signedBy": "Receiving", "at": newest["at"]}
        else:
            shipment.pop("proofOfDelivery", None)
        status = newest["status"]
        self._store.relist("shipments", "shipments.id", id, status=status, open=is_on_its_way(status))
        return self._changed("SHIPMENT", "shipments.id", id, shipment, code)

    def change(self, noun: str, key: str, change: ObjectChange) -> bytes:
        """Change an object that is no shipment; its new state."""
        changes: dict[str, Callable[[str, ObjectChange], bytes]] = {
            "orders": self.move_order,
            "stock": self.move_stock,
            "customers": self.change_customer,
            "items": self.change_item,
            "credit": self.change_credit,
            "invoices": self.change_invoice,
            "order-invoices": self.invoice_order,
            "prices": self.change_prices,
        }
        if noun not in changes:
            raise UnknownObject
        return changes[noun](key, change)

    def move_order(self, number: str, move: ObjectChange) -> bytes:
        if move.status is None:
            raise BadRequest("give a status")
        order = self._document("orders.number", number)
        order |= {"status": move.status, "updatedAt": _now()}
        self._store.relist("orders", "orders.number", number, status=move.status, open=is_open(move.status))
        return self._changed("ORDER", "orders.number", number, order, move.status)

    def change_customer(self, number: str, change: ObjectChange) -> bytes:
        customer = self._document("customers.number", number)
        if change.sales_rep is not None:
            self._assign(number, customer["salesRep"], change.sales_rep)
        customer |= {
            name: value
            for name, value in (("status", change.status), ("name", change.name), ("salesRep", change.sales_rep))
            if value is not None
        }
        return self._changed("CUSTOMER", "customers.number", number, customer, None)

    def _assign(self, number: str, old: str, new: str) -> None:
        """Move a customer from one sales rep to another."""
        for rep in {old, new}:
            row = self._document("accounts", rep)
            customers = {*row["customers"], number} if rep == new else {*row["customers"]} - {number}
            self._store.change("accounts", rep, _encode({**row, "customers": sorted(customers)}))

    def change_item(self, sku: str, change: ObjectChange) -> bytes:
        item = self._document("items.sku", sku)
        item |= {"name": change.name or item["name"], "status": change.status or item["status"]}
        return self._changed("ITEM", "items.sku", sku, item, None)

    def change_credit(self, number: str, change: ObjectChange) -> bytes:
        credit = self._document("credit", number)
        credit |= {"state": change.status or credit["state"]}
        return self._changed("CREDIT", "credit", number, credit, None)

    def change_invoice(self, id: str, change: ObjectChange) -> bytes:
        invoice = self._document("invoices.id", id)
        invoice |= {"status": change.status or invoice["status"]}
        return self._changed("INVOICE", "invoices.id", id, invoice, None)

    def invoice_order(self, number: str, change: ObjectChange) -> bytes:
        """Invoice all of an order, at prices that differ by `percent`, until created orders are removed."""
        invoice = invoice_of_order(self._document("orders.number", number), change.percent or Decimal(0))
        self._store.add(invoice, [("invoices", number), ("invoices.id", invoice["id"])])
        self.invoice_changed(invoice["id"])
        return _encode(invoice)

    def change_prices(self, number: str, change: ObjectChange) -> bytes:
        """The prices of a customer, or of all for `*`, may no longer be valid; that of one item is another from now
        on, until created orders are removed."""
        if number != EVERY_KEY:
            self._document("customers.number", number)
        if change.sku is not None and change.percent is not None and not change_contract(
            self._store, number, change.sku, change.percent
        ):  # fmt: skip
            raise UnknownObject
        self._append_change("PRICE", number)
        return b"{}"

    def move_stock(self, sku: str, move: ObjectChange) -> bytes:
        """The levels of an item, with more or less of it in a warehouse."""
        if move.delta is None:
            raise BadRequest("give a delta")
        level = self._document("stock", sku)
        code = move.warehouse or level["positions"][0]["warehouse"]
        position = next((one for one in level["positions"] if one["warehouse"] == code), None)
        if position is None:
            raise BadRequest(f"the item is in no warehouse {code[:40]}")
        position["onHand"] = str(Decimal(position["onHand"]) + move.delta)
        return self._changed("STOCK", "stock", sku, level, None)

    def quote_changed(self, id: str) -> None:
        """Append a change of a quote that is stored already."""
        self._append_change("QUOTE", id)

    def return_changed(self, id: str) -> None:
        """Append a change of a return that is stored already."""
        self._append_change("RETURN", id)

    def invoice_changed(self, id: str) -> None:
        """Append a change of an invoice that is stored already."""
        self._append_change("INVOICE", id)

    def order_changed(self, number: str) -> None:
        """Append a change of an order that is stored already."""
        self._append_change("ORDER", number)

    def remove(self, id: str) -> None:
        self._document("shipments.id", id)
        self._store.change("shipments.id", id, None)
        self._append_change("SHIPMENT", id, deleted=True)

    def _document(self, kind: str, key: str) -> dict[str, Any]:
        found = self._store.one(kind, [key])
        if key not in found:
            raise UnknownObject
        return msgspec.json.decode(found[key])

    def _changed(self, kind: str, stored: str, key: str, document: dict[str, Any], code: str | None) -> bytes:
        body = _encode(document)
        self._store.change(stored, key, body)
        self._append_change(kind, key, **({"rawCode": code} if code else {}))
        return body

    def _append_change(self, kind: str, key: str, **more: object) -> None:
        change = _encode({"kind": kind, "key": key, "at": _now(), **more})
        self._store.append_change(kind, change)
        sequence = self._store.last_change()
        self._publish(sequence, change_json(self._store, sequence, change))


def _event(shipment: dict[str, Any], step: ShipmentStep) -> dict[str, Any]:
    status = step.status
    if status is None:
        if shipment["status"] in LAST:
            raise BadRequest("it has arrived: say which status comes now")
        status = NEXT.get(shipment["status"], "IN_TRANSIT")
    code, text = TEXT.get(status, (status[:2], status.replace("_", " ").capitalize()))
    at = step.at or datetime.now(UTC)
    if at.tzinfo is None:
        raise BadRequest("give `at` with its zone")
    return {
        "at": _text(at),
        "recordedAt": _now(),
        "status": status,
        "location": step.location or shipment["events"][-1].get("location"),
        "description": step.description or text,
        "rawCode": step.raw_code or code,
    }


def _now() -> str:
    return _text(datetime.now(UTC))


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
