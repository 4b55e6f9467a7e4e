"""Arguments that mostly find something: drawn from the world's keys, by the name of the argument and its type."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from graphql import (
    BooleanValueNode,
    EnumValueNode,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    IntValueNode,
    ListValueNode,
    NameNode,
    NullValueNode,
    ObjectFieldNode,
    ObjectValueNode,
    StringValueNode,
    ValueNode,
)

from app.sources.node_ids import node_id
from tests.differential.keys import AGENTS, CUSTOMERS, INTAKES, ORDERS, SKUS, TRACKING, WAREHOUSES

STATEMENTS = ("CS-1", "AG-2/0")
IDS_BY_KIND = {
    "Agent": [node_id("Agent", key) for key in AGENTS],
    "CommissionStatement": [node_id("CommissionStatement", key) for key in STATEMENTS],
    "Customer": [node_id("Customer", key) for key in CUSTOMERS],
    "Item": [node_id("Item", key) for key in SKUS],
    "Order": [node_id("Order", source, at) for source in ("erp", "erp2", "shop") for at in "012345"],
    "OrderIntake": [node_id("OrderIntake", key) for key in INTAKES],
    "Quote": [node_id("Quote", source, str(at)) for source in ("erp", "erp2") for at in range(6)],
    "Shipment": [node_id("Shipment", source, at) for source in ("erp", "carrier") for at in "012345"],
    "Warehouse": [node_id("Warehouse", key) for key in WAREHOUSES],
}
IDS = [one for ids in IDS_BY_KIND.values() for one in ids]
WRONG_IDS = (node_id("Customer", "NOBODY"), node_id("Viewer", "c"), "", "no id")

Pick = Callable[[random.Random], Any]


def _of(kind: str) -> Pick:
    return lambda rng: rng.choice(IDS_BY_KIND[kind])


def _ref(rng: random.Random) -> dict[str, str]:
    return {"system": rng.choice(("erp", "shop", "carrier", "nowhere")), "id": rng.choice("01239")}


def _customer(rng: random.Random) -> dict[str, Any]:
    return rng.choice(
        ({"number": rng.choice((*CUSTOMERS, "NOBODY"))}, {"id": _of("Customer")(rng)}, {"ref": _ref(rng)})
    )


def _item(rng: random.Random) -> dict[str, Any]:
    part = {"customer": _customer(rng), "number": rng.choice(SKUS)}
    return rng.choice(
        ({"sku": rng.choice((*SKUS, "GONE"))}, {"id": _of("Item")(rng)}, {"gtin": "0400"}, {"customerPart": part})
    )


def _order(rng: random.Random) -> dict[str, Any]:
    po = {"customer": _customer(rng), "number": rng.choice(("plain", "0", "nope"))}
    return rng.choice(
        ({"number": rng.choice(ORDERS)}, {"id": _of("Order")(rng)}, {"ref": _ref(rng)}, {"customerPo": po})
    )


def _shipment(rng: random.Random) -> dict[str, Any]:
    return rng.choice(({"trackingNumber": rng.choice(TRACKING)}, {"id": _of("Shipment")(rng)}, {"ref": _ref(rng)}))


def _quote(rng: random.Random) -> dict[str, Any]:
    return rng.choice(({"number": rng.choice((*ORDERS, "GONE"))}, {"id": _of("Quote")(rng)}))


def _return(rng: random.Random) -> dict[str, Any]:
    id = node_id("Return", rng.choice(("erp", "erp2")), rng.choice("0123"))
    return rng.choice(({"number": rng.choice(("R-0", "R-1", "GONE", ""))}, {"id": id}, {"ref": _ref(rng)}))


def _line(rng: random.Random) -> dict[str, Any]:
    line = {"item": _item(rng), "quantity": rng.choice(("1", "12", "0.5", "0", 3))}
    return line | ({"uom": rng.choice(("EA", "xbx", None))} if rng.random() < 0.5 else {})


def _agent(rng: random.Random) -> dict[str, Any]:
    return rng.choice(({"number": rng.choice((*AGENTS, "GONE", ""))}, {"id": _of("Agent")(rng)}))


def _statement(rng: random.Random) -> dict[str, Any]:
    return rng.choice(({"number": rng.choice((*STATEMENTS, "GONE"))}, {"id": _of("CommissionStatement")(rng)}))


def _intake(rng: random.Random) -> dict[str, Any]:
    return rng.choice(({"id": _of("OrderIntake")(rng)}, {"key": f"key-{rng.choice((*INTAKES, '99'))}"}, {"key": ""}))


def _intake_filter(rng: random.Random) -> dict[str, Any]:
    return rng.choice(
        (
            {},
            {"states": ["HELD", "POSTED"], "customerPo": None},
            {"customer": _customer(rng), "states": rng.choice((None, [], ["FAILED"]))},
            {"customerPo": rng.choice(("PO-7", "PO-99", ""))},
        )
    )


def _range(rng: random.Random) -> dict[str, Any]:
    return rng.choice(
        ({}, {"since": "2026-11-01"}, {"until": "2026-11-21"}, {"since": "2026-11-21", "until": "2026-11-01"})
    )


def _order_filter(rng: random.Random) -> dict[str, Any]:
    return rng.choice(
        (
            {},
            {"status": ["PROCESSING", "SHIPPED"], "late": True},
            {"status": None, "hold": ["CREDIT"], "text": rng.choice(("SO", None, "x" * 101))},
            {"item": _item(rng), "open": rng.choice((True, False, None))},
            {"ordered": _range(rng), "requested": _range(rng), "warehouse": "MAIN"},
        )
    )


OBJECTS: dict[str, Pick] = {
    "AgentKey": _agent,
    "CommissionStatementKey": _statement,
    "CustomerKey": _customer,
    "ItemKey": _item,
    "OrderKey": _order,
    "OrderIntakeKey": _intake,
    "OrderIntakeFilter": _intake_filter,
    "QuoteFilter": lambda rng: rng.choice(({}, {"open": True, "status": ["OFFERED"]}, {"validTo": _range(rng)})),
    "QuoteKey": _quote,
    "ReturnKey": _return,
    "ShipmentKey": _shipment,
    "LineInput": _line,
    "RefInput": _ref,
    "DateRange": _range,
    "OrderFilter": _order_filter,
    "ShipmentFilter": lambda rng: rng.choice(({}, {"late": True}, {"shipped": _range(rng), "item": _item(rng)})),
    "InvoiceFilter": lambda rng: rng.choice(({}, {"pastDue": True, "kind": "INVOICE"}, {"due": _range(rng)})),
    "ReturnFilter": lambda rng: rng.choice(({}, {"open": True}, {"requested": _range(rng), "item": _item(rng)})),
    "CustomerFilter": lambda rng: {"search": rng.choice(("", "CUST", "2", None))} if rng.random() < 0.8 else {},
    "AuditFilter": lambda rng: rng.choice(({}, {"client": "app"}, {"code": None, "since": "2026-11-20T00:00:00Z"})),
    "ItemFilter": lambda rng: {"search": rng.choice(("", "A", "zz")), "category": None},
}
NAMED: dict[str, Pick] = {
    "id": lambda rng: rng.choice(IDS) if rng.random() < 0.95 else rng.choice(WRONG_IDS),
    "ids": lambda rng: [rng.choice(IDS) for _ in range(rng.randint(0, 6))],
    "skus": lambda rng: [rng.choice((*SKUS, "GONE")) for _ in range(rng.randint(0, 6))],
    "first": lambda rng: rng.choice((1, 2, 2, 3, 20)) if rng.random() < 0.93 else rng.choice((0, 101, -1)),
    "after": lambda rng: None if rng.random() < 0.9 else "made up",
    "last": lambda rng: rng.choice((1, 2, 5, None)) if rng.random() < 0.9 else rng.choice((0, 1001)),
    "quantity": lambda rng: rng.choice(("1", "2.50", 10)) if rng.random() < 0.93 else rng.choice(("0", "-1")),
    "uom": lambda rng: rng.choice(("EA", "xbx", "nope", None)),
    "warehouses": lambda rng: rng.choice((None, ["MAIN"], ["WEST", "3PL"], [], ["GONE"])),
    "at": lambda rng: rng.choice((None, "2026-11-21", "2026-12-24")),
    "by": lambda rng: rng.choice((None, "2026-12-01", "2020-01-01")),
    "on": lambda rng: rng.choice((None, "2026-12-01")),
    "state": lambda rng: rng.choice((None, [], ["OPEN", "UNKNOWN"])),
    "status": lambda rng: rng.choice((None, [], ["PROCESSING", "SHIPPED"])),
    "since": lambda rng: rng.choice((None, "0", "5", "17", "900", "made up")),
    "kinds": lambda rng: rng.choice((None, [], ["STOCK"], ["ORDER", "SHIPMENT"])),
    "holding": lambda rng: rng.choice((None, [], [rng.choice(IDS), rng.choice(IDS)], [rng.choice(WRONG_IDS)])),
    "facets": lambda rng: rng.choice((None, ["size"], [""])),
    "days": lambda rng: rng.choice((0, 7, 90)) if rng.random() < 0.93 else rng.choice((-1, 91)),
    "postedWithin": lambda rng: rng.choice((0, 30, 3600)) if rng.random() < 0.93 else rng.choice((-1, 2**31 - 1)),
    "overdue": lambda rng: rng.choice((True, False)),
}


def draw(rng: random.Random, name: str, type_: GraphQLInputType) -> Any:
    """A value for an argument, as JSON."""
    bare = type_.of_type if isinstance(type_, GraphQLNonNull) else type_
    if isinstance(bare, GraphQLInputObjectType):
        return OBJECTS[bare.name](rng)
    if isinstance(bare, GraphQLList) and name not in NAMED:
        return [draw(rng, name, bare.of_type) for _ in range(rng.randint(0, 4))]
    if name in {"since", "until"} and getattr(bare, "name", None) == "Date":
        days = ("2020-01-01", "2026-12-01", "2026-12-24")
        return rng.choice(days) if bare is not type_ else rng.choice((None, *days))
    if isinstance(bare, GraphQLEnumType) and name not in NAMED:
        return rng.choice(list(bare.values))
    return NAMED[name](rng)


Swap = Callable[[Any, GraphQLInputType], ValueNode | None]


def literal(value: Any, type_: GraphQLInputType, swap: Swap) -> ValueNode:
    """The value written out; `swap` may put a variable in the place of any part of it that is not null."""
    bare = type_.of_type if isinstance(type_, GraphQLNonNull) else type_
    if value is None:
        return NullValueNode()
    if (variable := swap(value, bare)) is not None:
        return variable
    if isinstance(bare, GraphQLList):
        return ListValueNode(values=tuple(literal(item, bare.of_type, swap) for item in value))
    if isinstance(bare, GraphQLInputObjectType):
        fields = [
            ObjectFieldNode(name=NameNode(value=name), value=literal(part, bare.fields[name].type, swap))
            for name, part in value.items()
        ]
        return ObjectValueNode(fields=tuple(fields))
    if isinstance(bare, GraphQLEnumType):
        return EnumValueNode(value=value)
    if isinstance(value, bool):
        return BooleanValueNode(value=value)
    if isinstance(value, int):
        return IntValueNode(value=str(value))
    return StringValueNode(value=value)
