"""One fixed data set, as rows of the `rest` contract.

64 customers with 20 orders of 5 lines each; two large ones with 200 orders. Prices differ by customer, so that an
answer made of another customer's rows never passes. Plain dictionaries: nothing of the gateway is used here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

CUSTOMERS = 64
LARGE = 2
ORDERS, LARGE_ORDERS, LINES = 20, 200, 5
ITEMS = 400
USUAL = 40
"""Different items that one customer buys; a large one buys all there are."""

WAREHOUSES = ("WH-EAST", "WH-MAIN", "WH-WEST")
AS_OF = "2026-11-20T08:00:00Z"
SUPPLY_DAYS = ("2090-01-10", "2090-02-20")
"""Ahead of any day on which the benchmark runs, so that its answers do not change from one day to the next."""

Row = dict[str, Any]


def money(cents: int) -> Row:
    """An amount in US dollars."""
    return {"amount": f"{cents // 100}.{cents % 100:02d}", "currency": "USD"}


@dataclass(frozen=True)
class Dataset:
    """Rows by key, as the upstream serves them."""

    customers: Mapping[str, Row]
    credit: Mapping[str, Row]
    items: Mapping[str, Row]
    stock: Mapping[str, Row]
    orders: Mapping[str, list[Row]]
    shipments: Mapping[str, list[Row]]
    warehouses: list[Row]

    @cached_property
    def numbers(self) -> list[str]:
        """The ordinary customers: those that load is made of."""
        return list(self.customers)[:CUSTOMERS]

    @cached_property
    def large(self) -> list[str]:
        """The customers with ten times the orders."""
        return list(self.customers)[CUSTOMERS:]

    def usual(self, customer: str) -> list[str]:
        """The SKUs that a customer buys."""
        place = list(self.customers).index(customer)
        count = USUAL if place < CUSTOMERS else ITEMS
        return [_sku((place * 13 + step * 7) % ITEMS) for step in range(count)]

    def price(self, customer: str, sku: str, quantity: str, uom: str | None) -> Row:
        """The price row for one question. Every customer has its own."""
        place, item = int(customer[-4:]), int(sku[-4:])
        listed = 250 + item * 17
        cents = max(1, listed - listed * (place % 23) // 100 - place - int(Decimal(quantity)) // 10)
        return {
            "customer": customer,
            "sku": sku,
            "uom": uom or "EA",
            "quantity": quantity,
            "unitPrice": money(cents),
            "listPrice": money(listed),
            "discountPercent": f"{place % 23}.{item % 100:02d}",
            "breaks": [
                {"minimum": "1", "unitPrice": money(cents)},
                {"minimum": "100", "unitPrice": money(cents * 9 // 10)},
            ],
            "reason": {
                "rule": f"contract-{place:04d}",
                "contract": f"C-{place:04d}",
                "priceList": "STANDARD",
                "certainty": "KNOWN",
            },
            "validFrom": "2026-01-01",
            "validTo": "2090-12-31",
            "quotedAt": AS_OF,
            "asOf": AS_OF,
        }


def _sku(place: int) -> str:
    return f"SKU-{place:04d}"


def build() -> Dataset:
    """The data set; the same on every call."""
    numbers = [f"CUST-{place:04d}" for place in range(1, CUSTOMERS + LARGE + 1)]
    customers = {number: _customer(place, number) for place, number in enumerate(numbers)}
    items = {_sku(place): _item(place) for place in range(ITEMS)}
    data = Dataset(
        customers=customers,
        credit={number: _credit(place) for place, number in enumerate(numbers)},
        items=items,
        stock={sku: _stock(place, sku) for place, sku in enumerate(items)},
        orders={},
        shipments={},
        warehouses=[
            {"code": code, "name": f"Warehouse {code[3:].title()}", "kind": "OWN", "region": "US", "id": code}
            for code in WAREHOUSES
        ],
    )
    orders: dict[str, list[Row]] = {}
    shipments: dict[str, list[Row]] = {}
    for place, number in enumerate(numbers):
        usual = data.usual(number)
        count = ORDERS if place < CUSTOMERS else LARGE_ORDERS
        orders[number] = [_order(place, number, step, usual, items) for step in range(count)]
        for step, order in enumerate(orders[number]):
            if step % 5:
                shipments[order["number"]] = [_shipment(place, step, order)]
    return Dataset(**{**data.__dict__, "orders": orders, "shipments": shipments})


def _address(place: int) -> Row:
    return {
        "lines": [f"{100 + place} Commerce Street", "Dock 4"],
        "city": ("Columbus", "Dayton", "Toledo", "Akron")[place % 4],
        "region": "OH",
        "postalCode": f"43{place:03d}",
        "country": "US",
    }


def _customer(place: int, number: str) -> Row:
    def location(step: int, kind: str) -> Row:
        return {
            "id": f"{number}-L{step}",
            "kind": kind,
            "name": f"{('Acme', 'Borealis', 'Cardinal', 'Delta')[place % 4]} {place} site {step}",
            "address": _address(place + step),
            "gln": f"40123450{place:04d}{step}",
            "taxProfile": {"area": "US-OH", "liable": True, "registrationNumber": f"31-{place:07d}", "exemptions": []},
            "defaultWarehouse": WAREHOUSES[step % 3],
        }

    return {
        "number": number,
        "name": f"{('Acme', 'Borealis', 'Cardinal', 'Delta')[place % 4]} Industrial Supply {place} “Süd”",
        "status": "ON_HOLD" if place % 17 == 5 else "ACTIVE",
        "customerClass": "A",
        "salesRep": f"rep-{place % 8}",
        "currency": "USD",
        "paymentTerms": {
            "code": "NET30",
            "name": "Net 30 days",
            "netDays": 30,
            "discountPercent": "2.00",
            "discountDays": 10,
        },
        "taxProfile": {"area": "US-OH", "liable": True, "registrationNumber": f"31-{place:07d}", "exemptions": []},
        "billTo": location(0, "BILL_TO"),
        "shipTos": [location(1, "SHIP_TO"), location(2, "SHIP_TO")],
        "id": f"{9000 + place}",
    }


def _credit(place: int) -> Row:
    limit, exposure = 5_000_000 + place * 1000, 1_234_500 + place * 7
    return {
        "state": ("OK", "WARN", "HOLD")[place % 3],
        "limit": money(limit),
        "exposure": money(exposure),
        "available": money(limit - exposure),
        "overdue": money(0),
        "reason": None,
        "checkedAt": AS_OF,
        "asOf": AS_OF,
    }


def _item(place: int) -> Row:
    sku = _sku(place)
    return {
        "sku": sku,
        "name": f"Hex bolt M{4 + place % 17} x {20 + place % 90}, zinc plated, DIN 933 ({place})",
        "status": "PHASE_OUT" if place % 29 == 3 else "ACTIVE",
        "baseUom": "EA",
        "uoms": [
            {"code": "EA", "name": "each", "numerator": 1, "denominator": 1, "isBase": True, "isSales": True,
             "isStock": True, "minimum": "1", "increment": "1"},
            {"code": "XBX", "name": "box", "numerator": 100, "denominator": 1, "isSales": True,
             "minimum": "1", "increment": "1"},
        ],
        "gtin": f"0401234{place:07d}",
        "manufacturerPart": f"MP-{place:05d}",
        "category": f"Fasteners/Bolts/{place % 12}",
        "description": "Hexagon head bolt, fully threaded, strength class 8.8, zinc plated, for general engineering.",
        "attributes": [
            {"code": "thread", "value": f"M{4 + place % 17}"},
            {"code": "length", "value": f"{20 + place % 90}", "unit": "MMT"},
            {"code": "material", "value": "steel 8.8"},
        ],
        "media": [],
        "dimensions": {"length": "0.08", "width": "0.02", "height": "0.02", "lengthUnit": "MTR",
                       "weight": "0.05", "weightUnit": "KGM"},
        "id": f"{70000 + place}",
    }  # fmt: skip


def _stock(place: int, sku: str) -> Row:
    positions = []
    for step, code in enumerate(WAREHOUSES):
        supply = []
        if (place + step) % 3 == 0:
            supply = [
                {"date": SUPPLY_DAYS[0], "delta": f"-{place % 150}", "kind": "DEMAND", "order": f"SO-{place}"},
                {"date": SUPPLY_DAYS[1], "delta": "200", "kind": "RECEIPT", "order": None},
            ]
        positions.append(
            {
                "sku": sku,
                "warehouse": code,
                "onHand": f"{(place * 31 + step * 57) % 900}",
                "reserved": f"{place % 40}",
                "qualityHold": f"{step}",
                "safetyStock": "10",
                "inTransfer": "0",
                "supply": supply,
            }
        )
    return {"sku": sku, "uom": "EA", "positions": positions, "orders": [f"SO-{place}"], "asOf": AS_OF}


def _order(place: int, customer: str, step: int, usual: list[str], items: Mapping[str, Row]) -> Row:
    number = f"SO-{100_000 + place * 1000 + step}"
    day = f"2026-{11 - step // 20 % 10:02d}-{20 - step % 20:02d}"
    lines = [_line(place, customer, number, step, line, usual, items, day) for line in range(LINES)]
    net = sum(int(line["total"]["amount"].replace(".", "")) for line in lines)
    return {
        "id": f"{500_000 + place * 1000 + step}",
        "number": number,
        "customer": customer,
        "customerPo": f"PO-{place:04d}-{step:05d}",
        "channel": ("WEB", "EDI", "PHONE")[step % 3],
        "status": ("CONFIRMED", "PROCESSING", "SHIPPED", "DELIVERED")[step % 4],
        "rawStatus": ("confirmed", "processing", "sent", "done")[step % 4],
        "orderedAt": f"{day}T14:12:{place % 60:02d}Z",
        "updatedAt": f"{day}T23:10:00Z",
        "warehouse": WAREHOUSES[step % 3],
        "billTo": {"name": f"Billing {place}", "address": _address(place)},
        "shipTo": {"name": f"Shipping {place}", "address": _address(place + 1)},
        "terms": {"code": "NET30", "name": "Net 30 days", "netDays": 30},
        "currency": "USD",
        "totals": {"net": money(net), "tax": money(net * 7 // 100), "total": money(net + net * 7 // 100)},
        "lines": lines,
        "holds": [],
        "exceptions": [],
        "history": [
            {"status": "CONFIRMED", "rawStatus": "confirmed", "at": f"{day}T14:12:00Z"},
            {"status": "PROCESSING", "rawStatus": "processing", "at": f"{day}T18:00:00Z"},
        ],
        "asOf": AS_OF,
    }


def _line(
    place: int, customer: str, order: str, step: int, line: int, usual: list[str], items: Mapping[str, Row], day: str
) -> Row:
    sku = usual[(step * 3 + line) % len(usual)]
    quantity = (1 + (step + line * 3) % 12) * 5
    cents = 200 + place + line * 100
    return {
        "id": f"{order}-{line + 1}",
        "number": line + 1,
        "order": order,
        "customer": customer,
        "sku": sku,
        "description": items[sku]["name"],
        "uom": "EA",
        "quantity": str(quantity),
        "confirmedQuantity": str(quantity),
        "shippedQuantity": "0",
        "invoicedQuantity": "0",
        "backorderedQuantity": "0",
        "cancelledQuantity": "0",
        "returnedQuantity": "0",
        "unitPrice": money(cents),
        "total": money(cents * quantity),
        "scheduleLines": [{"requestedDate": day, "confirmedDate": day, "quantity": str(quantity)}],
    }


def _shipment(place: int, step: int, order: Row) -> Row:
    tracking = f"1Z{place:04d}{step:05d}"
    day = order["orderedAt"][:10]
    events = [
        {
            "sequence": sequence,
            "at": f"{day}T{8 + sequence:02d}:30:00Z",
            "recordedAt": f"{day}T{8 + sequence:02d}:31:00Z",
            "status": ("PENDING", "PICKED_UP", "IN_TRANSIT", "OUT_FOR_DELIVERY")[min(sequence - 1, 3)],
            "location": f"Hub {sequence}, Columbus OH",
            "description": "Departed from the facility",
            "rawCode": f"E{sequence}",
        }
        for sequence in range(1, 4 + step % 4)
    ]
    return {
        "id": f"shp_{place:04d}{step:05d}",
        "orders": [order["number"]],
        "customer": order["customer"],
        "warehouse": order["warehouse"],
        "carrier": ("UPS", "FedEx", "DHL")[step % 3],
        "service": "Ground",
        "trackingNumber": tracking,
        "trackingUrl": f"https://carrier.example.com/track/{tracking}",
        "shippedAt": f"{day}T18:00:00Z",
        "eta": {"promised": "2026-11-25", "carrier": "2026-11-24" if step % 2 else None},
        "status": events[-1]["status"],
        "rawStatus": events[-1]["status"].lower(),
        "lines": [
            {"order": order["number"], "lineNumber": line["number"], "sku": line["sku"], "quantity": line["quantity"]}
            for line in order["lines"]
        ],
        "packages": [{"sscc": f"00340123450000{place:04d}", "trackingNumber": tracking, "items": []}],
        "events": events,
        "updatedAt": AS_OF,
        "asOf": AS_OF,
    }
