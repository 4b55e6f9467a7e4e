"""Orders in: the sandbox's ERP creates, finds, simulates and cancels orders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import msgspec

from app.sandbox.build import pair
from app.sandbox.lists import LISTS
from app.sandbox.quote_entry import QuoteEntry
from app.sandbox.quotes import quote
from app.sandbox.reads import found, now
from app.sandbox.return_entry import ReturnEntry
from app.sandbox.store import SandboxStore
from app.sources.order_writer import NewOrder
from app.sources.rest import contract, contract_orders

FIRST_NUMBER = 900_001
CENT = Decimal("0.01")
CANCELLABLE = frozenset({"DRAFT", "QUOTED", "CONFIRMED"})

_encode = msgspec.json.Encoder().encode


class RefusedOrder(Exception):
    """An order that a rule of the ERP refuses, as the contract says it."""

    def __init__(self, refusal: contract_orders.Refusal) -> None:
        super().__init__(refusal.title)
        self.refusal = refusal


class OrderEntry:
    """The orders that were created while the sandbox runs. `changed` gets the number of each changed order."""

    def __init__(
        self, store: SandboxStore, quotes: QuoteEntry, returns: ReturnEntry, changed: Callable[[str], None]
    ) -> None:
        self._store = store
        self._quotes = quotes
        self._returns = returns
        self._changed = changed
        self._by_key: dict[str, list[contract_orders.CreatedOrder]] = {}
        self._numbers = FIRST_NUMBER
        self.created: list[dict[str, str]] = []
        """Key and number of each order, in the order of their creation."""

    def create(self, order: NewOrder, *, unique_keys: bool) -> bytes:
        """The created order; with `unique_keys` the one that a key has already."""
        known = self._by_key.get(order.key)
        if known and unique_keys:
            return _encode(known[0])
        if order.quote is not None:
            self._quotes.check_acceptance(order.quote, order.customer)
        row = self._row(order)
        created = contract_orders.CreatedOrder(id=row["id"], number=row["number"])
        keys = [("orders.number", row["number"]), ("orders.id", row["id"]),
                ("orders.po", pair(order.customer, order.customer_po))]  # fmt: skip
        n = self._store.add(row, keys)
        self._store.add_to_list("orders", LISTS["orders"].row(n, row, ship_to=order.ship_to))
        self._by_key.setdefault(order.key, []).append(created)
        self.created.append({"key": order.key, "number": created.number})
        if order.quote is not None:
            self._quotes.accept(order.quote.id, created.number)
        self._changed(created.number)
        return _encode(created)

    def find(self, keys: Sequence[str]) -> bytes:
        """The orders of each key that are not cancelled."""
        rows = {key: [one for one in self._by_key.get(key, []) if not self._is_cancelled(one)] for key in keys}
        return found((key, _encode(orders)) for key, orders in rows.items() if orders)

    def simulate(self, order: NewOrder) -> bytes:
        return _encode([
            {"number": line["number"], "unitPrice": line["unitPrice"], "available": self._available(line["sku"])}
            for line in self._lines("", order)
        ])  # fmt: skip

    def cancel(self, cancellation: contract_orders.OrderCancellation) -> bytes:
        """Refused once picking has begun."""
        row = self._stored(cancellation.id)
        if row["status"] != "CANCELLED":
            _require_changeable(row)
            row |= {"status": "CANCELLED", "rawStatus": "90-CANCELLED", "updatedAt": now()}
            self._store.change("orders.id", cancellation.id, _encode(row))
            self._store.relist("orders", "orders.id", cancellation.id, status="CANCELLED", open=0)
            self._changed(row["number"])
        return _encode(contract_orders.Cancelled(id=cancellation.id))

    def amend(self, amendment: contract_orders.OrderAmendment) -> bytes:
        """Refused once picking has begun. Totals are calculated anew; prices stay."""
        row = self._stored(amendment.id)
        _require_changeable(row)
        lines = {line["number"]: line for line in row["lines"]}
        unknown = [change.number for change in amendment.lines if change.number not in lines]
        if unknown:
            problems = tuple(contract_orders.LineProblem(code="NO_LINE", line_number=number) for number in unknown)
            raise RefusedOrder(contract_orders.Refusal(title="No such line", code="NO_LINE", problems=problems))
        for change in amendment.lines:
            _set_quantity(lines[change.number], change.quantity)
        net = sum((Decimal(line["total"]["amount"]) for line in row["lines"]), Decimal(0))
        taxed = Decimal(row["totals"]["tax"]["amount"]) > 0
        tax = _cents(net * 7 / 100) if taxed else Decimal(0)
        row |= {"totals": {"net": _money(net), "tax": _money(tax), "total": _money(net + tax)}, "updatedAt": now()}
        self._store.change("orders.id", amendment.id, _encode(row))
        self._changed(row["number"])
        return _encode(contract_orders.Amended(id=amendment.id))

    def _stored(self, id: str) -> dict[str, Any]:
        stored = self._store.one("orders.id", [id])
        if id not in stored:
            raise RefusedOrder(contract_orders.Refusal(title="There is no such order", code="NOT_FOUND"))
        return msgspec.json.decode(stored[id])

    def clear(self) -> None:
        """Remove the created orders."""
        self._by_key.clear()
        self.created.clear()
        self._quotes.clear()
        self._returns.clear()
        self._store.clear_added()

    def counts(self) -> dict[str, Any]:
        """How many keys and orders there are, and the keys with more than one order."""
        live = {key: [one for one in orders if not self._is_cancelled(one)] for key, orders in self._by_key.items()}
        return {
            "keys": sum(1 for orders in live.values() if orders),
            "orders": sum(map(len, live.values())),
            "doubled": sorted(key for key, orders in live.items() if len(orders) > 1),
        }

    def _is_cancelled(self, created: contract_orders.CreatedOrder) -> bool:
        row = msgspec.json.decode(self._store.one("orders.id", [created.id])[created.id])
        return row["status"] == "CANCELLED"

    def _row(self, order: NewOrder) -> dict[str, Any]:
        customers = self._store.one("customers.number", [order.customer])
        if order.customer not in customers:
            raise RefusedOrder(contract_orders.Refusal(title="There is no such customer", code="CUSTOMER_UNKNOWN"))
        customer = msgspec.json.decode(customers[order.customer])
        locations = {location["id"]: location for location in customer["shipTos"]}
        ship_to = locations.get(order.ship_to or next(iter(locations)))
        if ship_to is None:
            raise RefusedOrder(
                contract_orders.Refusal(title="The customer has no such location", code="SHIP_TO_UNKNOWN")
            )
        number, self._numbers = f"SO-{self._numbers}", self._numbers + 1
        lines = self._lines(number, order)
        net = sum((Decimal(line["total"]["amount"]) for line in lines), Decimal(0))
        tax = _cents(net * 7 / 100) if customer["taxProfile"]["liable"] else Decimal(0)
        moment = now()
        return {
            "id": number.replace("SO-", "n"), "number": number, "customer": order.customer,
            "customerPo": order.customer_po, "channel": order.channel, "status": "CONFIRMED",
            "rawStatus": "20-RELEASED", "orderedAt": moment, "updatedAt": moment,
            "warehouse": ship_to.get("defaultWarehouse"),
            "billTo": {"name": customer["billTo"]["name"], "address": customer["billTo"]["address"]},
            "shipTo": {"name": ship_to["name"], "address": ship_to["address"]},
            "terms": customer["paymentTerms"], "currency": customer["currency"],
            "totals": {"net": _money(net), "tax": _money(tax), "total": _money(net + tax)},
            "lines": lines, "holds": [], "exceptions": [],
            "history": [{"status": "CONFIRMED", "rawStatus": "20-RELEASED", "at": moment}],
        }  # fmt: skip

    def _lines(self, number: str, order: NewOrder) -> list[dict[str, Any]]:
        questions = [
            contract.PriceQuestion(customer=order.customer, sku=line.sku, quantity=line.quantity, uom=line.uom)
            for line in order.lines
        ]
        prices = dict(quote(self._store, questions, now()))
        unpriced = [line.number for position, line in enumerate(order.lines) if position not in prices]
        if unpriced:
            problems = tuple(contract_orders.LineProblem(code="NO_PRICE", line_number=line) for line in unpriced)
            raise RefusedOrder(contract_orders.Refusal(title="No price", code="NO_PRICE", problems=problems))
        names = self._store.one("items.sku", {line.sku for line in order.lines})
        rows = []
        for position, line in enumerate(order.lines):
            price = prices[position]
            amount = line.unit_price.amount if line.unit_price else Decimal(price["unitPrice"]["amount"])
            total = _cents(amount * line.quantity / line.price_unit)
            rows.append({
                "id": f"{number}-{line.number}", "number": line.number, "order": number, "customer": order.customer,
                "sku": line.sku, "description": msgspec.json.decode(names[line.sku])["name"],
                "uom": price["uom"], "quantity": str(line.quantity), "confirmedQuantity": str(line.quantity),
                "shippedQuantity": "0", "invoicedQuantity": "0", "backorderedQuantity": "0", "cancelledQuantity": "0",
                "returnedQuantity": "0", "unitPrice": _money(amount), "total": _money(total),
            })  # fmt: skip
        return rows

    def _available(self, sku: str) -> str:
        level = msgspec.json.decode(self._store.one("stock", [sku])[sku])
        return str(sum((_free(position) for position in level["positions"]), Decimal(0)))


def _require_changeable(row: dict[str, Any]) -> None:
    if row["status"] == "CANCELLED":
        raise RefusedOrder(contract_orders.Refusal(title="The order is cancelled", code="CANCELLED"))
    if row["status"] not in CANCELLABLE:
        raise RefusedOrder(contract_orders.Refusal(title="Picking has begun", code=contract_orders.ALREADY_PICKED))


def _set_quantity(line: dict[str, Any], quantity: Decimal) -> None:
    """0 cancels the line, whose quantity stays."""
    if quantity == 0:
        line |= {"confirmedQuantity": "0", "cancelledQuantity": line["quantity"], "total": _money(Decimal("0.00"))}
    else:
        total = _cents(Decimal(line["unitPrice"]["amount"]) * quantity)
        line |= {"quantity": str(quantity), "confirmedQuantity": str(quantity), "cancelledQuantity": "0",
                 "total": _money(total)}  # fmt: skip


def _free(position: dict[str, Any]) -> Decimal:
    return Decimal(position["onHand"]) - Decimal(position.get("reserved", 0)) - Decimal(position.get("qualityHold", 0))


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_HALF_UP)


def _money(amount: Decimal) -> dict[str, str]:
    return {"amount": f"{amount:f}", "currency": "USD"}
