"""What every candidate must answer, computed from the rows and from nothing else."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass

from bench.dataset import AS_OF, ORDERS, Dataset, Row


def node_id(kind: str, *key: str) -> str:
    """The graph's id of a thing."""
    return base64.urlsafe_b64encode(":".join((kind, *key)).encode()).rstrip(b"=").decode()


def variables(data: Dataset, document: str, customer: str) -> Row:
    """The variables with which a document is sent for a customer."""
    key = {"customer": {"number": customer}}
    if document == "sales_view":
        return {**key, "orders": ORDERS}
    if document == "item_list":
        return {**key, "skus": data.usual(customer)[:20]}
    return key


def expected(data: Dataset, document: str, customer: str, *, logistics: str = "logistics", erp: str = "erp") -> bytes:
    """The one right answer, as compact JSON in the order of the document. Cursors are opaque; see `comparable`."""
    answer = Answers(data, erp, logistics)
    made = {
        "sales_view": lambda: {"customer": answer.sales_view(customer)},
        "item_list": lambda: {"itemsBySku": answer.item_list(customer)},
        "customer_card": lambda: {"customer": answer.card(customer)},
    }[document]()
    return _compact({"data": made})


def comparable(body: bytes) -> bytes:
    """An answer in the form of `expected`: white space and escapes aside, and each end cursor replaced by the source's
    own cursor in it, because a graph may seal cursors as it likes."""
    answer = json.loads(body)
    customer = (answer.get("data") or {}).get("customer") or {}
    info = (customer.get("orders") or {}).get("pageInfo")
    if info and info["endCursor"]:
        info["endCursor"] = opened(info["endCursor"])
    return _compact(answer)


def opened(cursor: str) -> str:
    """The source's cursor inside of a sealed one: base64url of the JSON list [mark, own]."""
    return json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))[1]


def own_cursor(customer: str, place: int) -> str:
    """The upstream's cursor for an order at this place of its customer's list."""
    return f"{customer}.{place}"


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _pick(row: Row, names: str) -> Row:
    return {name: row[name] for name in names.split()}


@dataclass(frozen=True)
class Answers:
    """The documents' answers, straight from the rows."""

    data: Dataset
    erp: str
    logistics: str

    def card(self, customer: str) -> Row:
        """customer_card."""
        row = self.data.customers[customer]
        return {"id": node_id("Customer", customer), **_pick(row, "number name status currency")}

    def item_list(self, customer: str) -> list[Row]:
        """item_list."""
        found = []
        for sku in self.data.usual(customer)[:20]:
            row = self.data.items[sku]
            price = self.data.price(customer, sku, "1", None)
            found.append(
                {
                    "id": node_id("Item", sku),
                    **_pick(row, "sku name category baseUom"),
                    "uoms": [_pick(uom, "code numerator denominator minimum increment") for uom in row["uoms"]],
                    "contractPrice": _pick(price, "unitPrice listPrice"),
                    "availability": [_pick(one, "warehouse atp") for one in self.availability(sku)],
                }
            )
        return found

    def sales_view(self, customer: str) -> Row:
        """sales_view."""
        row = self.data.customers[customer]
        orders = self.data.orders[customer][:ORDERS]
        return {
            **self.card(customer),
            "paymentTerms": _pick(row["paymentTerms"], "code netDays"),
            "creditStatus": _pick(self.data.credit[customer], "state available checkedAt"),
            "shipTos": [
                {**_pick(place, "id name"), "address": _pick(place["address"], "city region country")}
                for place in row["shipTos"]
            ],
            "orders": {
                "edges": [{"node": self.order(order)} for order in orders],
                "pageInfo": {
                    "hasNextPage": len(self.data.orders[customer]) > ORDERS,
                    "endCursor": own_cursor(customer, len(orders) - 1),
                },
            },
        }

    def order(self, row: Row) -> Row:
        """An order as sales_view selects it."""
        return {
            "id": node_id("Order", self.erp, row["id"]),
            **_pick(row, "number customerPo status orderedAt"),
            "total": row["totals"]["total"],
            "lines": [self.line(row["customer"], line) for line in row["lines"]],
            "shipments": [self.shipment(one) for one in self.data.shipments.get(row["number"], ())],
        }

    def line(self, customer: str, row: Row) -> Row:
        """A line of it."""
        item = self.data.items[row["sku"]]
        price = self.data.price(customer, row["sku"], row["quantity"], row["uom"])
        return {
            **_pick(row, "number quantity uom"),
            "item": {"id": node_id("Item", row["sku"]), **_pick(item, "sku name status")},
            "contractPrice": {
                **_pick(price, "unitPrice discountPercent"),
                "reason": _pick(price["reason"], "rule certainty"),
                "freshness": {"asOf": AS_OF, "cached": False},
            },
            "availability": self.availability(row["sku"]),
        }

    def availability(self, sku: str) -> list[Row]:
        """What each warehouse can promise today: the lowest projected balance from today on, and never below 0."""
        return [
            {
                "warehouse": {"code": position["warehouse"]},
                "atp": str(lowest(position)),
                "freshness": {"asOf": AS_OF, "degraded": False},
            }
            for position in self.data.stock[sku]["positions"]
        ]

    def shipment(self, row: Row) -> Row:
        """A shipment of it."""
        return {
            "id": node_id("Shipment", self.logistics, row["id"]),
            **_pick(row, "carrier status trackingNumber eta"),
            "events": [_pick(event, "sequence at status location") for event in row["events"][-5:]],
        }


def lowest(position: Row) -> int:
    """ATP now of a stock row, whose supply is dated ahead and in order."""
    running = low = sum(int(position["onHand"]) if name == "onHand" else -int(position[name])
                        for name in ("onHand", "reserved", "qualityHold", "safetyStock"))  # fmt: skip
    for change in position["supply"]:
        running += int(change["delta"])
        low = min(low, running)
    return max(0, low)
