"""Returns: the sandbox's ERP creates them, takes decisions, receives the goods, and credits them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from app.sandbox.lists import LISTS
from app.sandbox.reads import BadRequest, found, now
from app.sandbox.store import SandboxStore
from app.sources.billing import ReturnShipmentState
from app.sources.rest import contract_orders, return_operations
from app.sources.return_writer import (
    NewReturn,
    NewReturnLine,
    ReturnDecision,
    ReturnDecisionKind,
    ReturnRefusal,
    WrittenReturn,
)

FIRST_NUMBER = 9001
CLOSED = frozenset({"REFUSED", "CANCELLED"})
DECIDABLE = {
    ReturnDecisionKind.APPROVE: ("REQUESTED",),
    ReturnDecisionKind.REJECT: ("REQUESTED",),
    ReturnDecisionKind.CANCEL: ("REQUESTED", "APPROVED"),
}
DECIDED = {
    ReturnDecisionKind.APPROVE: {"shipmentState": "APPROVED", "creditState": "PENDING"},
    ReturnDecisionKind.REJECT: {"shipmentState": "REFUSED", "creditState": "NONE"},
    ReturnDecisionKind.CANCEL: {"shipmentState": "CANCELLED", "creditState": "NONE"},
}

_encode = msgspec.json.Encoder().encode


class RefusedReturn(Exception):
    """A request or a decision that a rule of the ERP refuses, as the contract says it."""

    def __init__(self, title: str, code: str, lines: Sequence[int] = ()) -> None:
        super().__init__(title)
        problems = tuple(contract_orders.LineProblem(code=code, line_number=line) for line in lines)
        self.refusal = contract_orders.Refusal(title=title, code=code, problems=problems)


class ReturnChange(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """A change of a return by the distributor: another state of the goods, or `credited` by a credit memo."""

    shipment_state: ReturnShipmentState | None = None
    credited: bool = False
    message: str | None = None


class ReturnEntry:
    """The returns of an ERP. `changed` gets the id of a return, `order_changed` the number of an order whose goods were
    received, `invoice_changed` the id of a credit memo."""

    def __init__(
        self,
        store: SandboxStore,
        changed: Callable[[str], None],
        order_changed: Callable[[str], None],
        invoice_changed: Callable[[str], None],
    ) -> None:
        self._store = store
        self._changed = changed
        self._order_changed = order_changed
        self._invoice_changed = invoice_changed
        self._by_key: dict[str, list[WrittenReturn]] = {}
        self._numbers = FIRST_NUMBER
        self._orders_before: dict[str, bytes] = {}

    def request(self, request: NewReturn, *, unique_keys: bool) -> bytes:
        """The created return; with `unique_keys` the one that a key has already."""
        known = self._by_key.get(request.key)
        if known and unique_keys:
            return _encode(known[0])
        order = self._order(request)
        lines = self._lines(order, request.lines)
        number, self._numbers = self._numbers, self._numbers + 1
        row = {
            "id": f"r{number}", "number": f"RMA-{number}", "version": 1, "customer": request.customer,
            "order": order["number"], "requestedOn": self._store.today.isoformat(), "requestedBy": request.requested_by,
            "reason": request.lines[0].reason.value, "note": request.note, "shipmentState": "REQUESTED",
            "creditState": "NONE", "lines": lines,
        }  # fmt: skip
        keys = [("returns", order["number"]), ("returns.id", row["id"]), ("returns.number", row["number"])]
        n = self._store.add(row, keys)
        self._store.add_to_list("returns", LISTS["returns"].row(n, row))
        written = WrittenReturn(id=row["id"])
        self._changed(written.id)
        self._by_key.setdefault(request.key, []).append(written)
        return _encode(written)

    def find(self, keys: Sequence[str]) -> bytes:
        """The oldest return of each key."""
        return found((key, _encode(self._by_key[key][0])) for key in keys if key in self._by_key)

    def decide(self, decision: ReturnDecision) -> bytes:
        stored = self._store.one("returns.id", [decision.id])
        if decision.id not in stored:
            raise RefusedReturn("There is no such return", ReturnRefusal.NOT_OPEN)
        row = msgspec.json.decode(stored[decision.id])
        if row.get("version") != decision.version:
            raise RefusedReturn("The return has another version", ReturnRefusal.VERSION_CONFLICT)
        if row["shipmentState"] not in DECIDABLE[decision.kind]:
            raise RefusedReturn("The return is not open", ReturnRefusal.NOT_OPEN)
        self._save(row | DECIDED[decision.kind] | {"message": decision.note or row.get("message")})
        return _encode(return_operations.DecidedReturn(id=decision.id))

    def change(self, number: str, change: ReturnChange) -> bytes:
        """The return after a change by the distributor. Raises KeyError for an unknown one."""
        id = number.replace("RMA-", "r")
        row = msgspec.json.decode(self._store.one("returns.id", [id])[id])
        if change.message is not None:
            row["message"] = change.message
        if change.shipment_state is not None:
            row["shipmentState"] = change.shipment_state.value
            if change.shipment_state is ReturnShipmentState.RECEIVED:
                self._receive(row)
        if change.credited:
            if row["shipmentState"] != "RECEIVED":
                raise BadRequest("goods are credited once they are received")
            row |= {"creditState": "CREDITED", "creditMemo": self._credit(row)}
        self._save(row)
        return _encode(row)

    def counts(self) -> dict[str, Any]:
        """How many keys and returns there are, and the keys with more than one return."""
        return {
            "keys": len(self._by_key),
            "returns": sum(map(len, self._by_key.values())),
            "doubled": sorted(key for key, rows in self._by_key.items() if len(rows) > 1),
        }

    def clear(self) -> None:
        """Forget the keys of created returns, whose rows are removed with those of created orders."""
        self._by_key.clear()
        for id, body in self._orders_before.items():
            self._store.change("orders.id", id, body)
        self._orders_before.clear()

    def _order(self, request: NewReturn) -> dict[str, Any]:
        stored = self._store.one("orders.id", [request.order_id])
        order = msgspec.json.decode(stored[request.order_id]) if request.order_id in stored else {}
        if order.get("customer") != request.customer:
            raise RefusedReturn("The customer has no such order", ReturnRefusal.RULE)
        return order

    def _lines(self, order: dict[str, Any], lines: Sequence[NewReturnLine]) -> list[dict[str, Any]]:
        ordered = {line["number"]: line for line in order["lines"]}
        unknown = [line.number for line in lines if line.number not in ordered]
        if unknown:
            raise RefusedReturn("There is no such line", ReturnRefusal.RULE, unknown)
        returnable = self._returnable(order)
        over = [line.number for line in lines if line.quantity > returnable[line.number]]
        if over:
            raise RefusedReturn("More than was delivered", ReturnRefusal.QUANTITY, over)
        return [
            {"lineNumber": line.number, "sku": ordered[line.number].get("sku"), "quantity": str(line.quantity),
             "uom": ordered[line.number]["uom"], "reason": line.reason.value,
             "condition": line.condition and line.condition.value, "note": line.note}
            for line in lines
        ]  # fmt: skip

    def _returnable(self, order: dict[str, Any]) -> dict[int, Decimal]:
        """What was delivered of each line and is in no return that stands."""
        left = {line["number"]: Decimal(line["shippedQuantity"]) for line in order["lines"]}
        for body in self._store.many("returns", [order["number"]]).get(order["number"], []):
            row = msgspec.json.decode(body)
            for line in row["lines"] if row["shipmentState"] not in CLOSED else ():
                left[line["lineNumber"]] -= Decimal(line["quantity"])
        return left

    def _receive(self, row: dict[str, Any]) -> None:
        """Receive the goods: the order says of its lines how much came back."""
        if row.get("receivedOn") is not None:
            return
        row |= {"receivedOn": self._store.today.isoformat(), "creditState": "PENDING"}
        order = self._stored_order(row["order"])
        self._orders_before.setdefault(order["id"], _encode(order))
        received = {line["lineNumber"]: Decimal(line["quantity"]) for line in row["lines"]}
        for line in order["lines"]:
            returned = Decimal(line.get("returnedQuantity") or 0) + received.get(line["number"], Decimal(0))
            line["returnedQuantity"] = str(returned)
        self._store.change("orders.id", order["id"], _encode(order | {"updatedAt": now()}))
        self._order_changed(row["order"])

    def _credit(self, row: dict[str, Any]) -> str:
        """The number of a credit memo at the order's prices."""
        ordered = self._stored_order(row["order"])["lines"]
        prices = {line["number"]: Decimal(line["unitPrice"]["amount"]) for line in ordered}
        lines, net = [], Decimal(0)
        for line in row["lines"]:
            total = -(prices[line["lineNumber"]] * Decimal(line["quantity"])).quantize(Decimal("0.01"))
            net += total
            lines.append({name: line[name] for name in ("lineNumber", "sku", "quantity", "uom")} | {
                "unitPrice": _money(prices[line["lineNumber"]]), "total": _money(total)
            })  # fmt: skip
        memo = {
            "id": f"m{row['id']}", "kind": "CREDIT_MEMO", "number": f"CM-{row['number']}", "customer": row["customer"],
            "orders": [row["order"]], "status": "POSTED", "rawStatus": "O", "invoicedOn": self._store.today.isoformat(),
            "net": _money(net), "tax": _money(Decimal(0)), "total": _money(net), "open": _money(Decimal(0)),
            "priceMatches": True, "lines": lines,
        }  # fmt: skip
        n = self._store.add(memo, [("invoices", row["order"]), ("invoices.id", memo["id"])])
        self._store.add_to_list("invoices", LISTS["invoices"].row(n, memo))
        self._invoice_changed(str(memo["id"]))
        return f"CM-{row['number']}"

    def _stored_order(self, number: str) -> dict[str, Any]:
        return msgspec.json.decode(self._store.one("orders.number", [number])[number])

    def _save(self, row: dict[str, Any]) -> None:
        row |= {"version": row["version"] + 1}
        self._store.change("returns.id", row["id"], _encode(row))
        state, credit = row["shipmentState"], row["creditState"]
        is_open = int(credit != "CREDITED" and state not in CLOSED)
        self._store.relist("returns", "returns.id", row["id"], shipment_state=state, credit_state=credit, open=is_open)
        self._changed(row["id"])


def _money(amount: Decimal) -> dict[str, str]:
    return {"amount": f"{amount:f}", "currency": "USD"}
