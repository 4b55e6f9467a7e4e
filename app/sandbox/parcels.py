"""The sandbox's logistics: 15,000 shipments with packages and tracking events, as carriers report them."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

from app.sandbox.accounts import WAREHOUSES
from app.sandbox.trade import DEMO_ORDER, FIRST_ORDER, Calendar, Sale, SaleLine

_CARRIERS = (
    ("Parcelway", "Ground"),
    ("Parcelway", "Two day"),
    ("Northline Freight", "LTL"),
    ("Harbor LTL", "Standard"),
)
_HUBS = ("Cleveland, OH", "Harrisburg, PA", "Louisville, KY", "Kansas City, MO", "Salt Lake City, UT", "Memphis, TN")
_ORIGIN = {"WH-EAST": "Newark, NJ", "WH-CENTRAL": "Columbus, OH", "WH-WEST": "Reno, NV"}
TEXT = {
    "PENDING": ("LB", "Label created"), "PICKED_UP": ("PU", "Picked up by the carrier"),
    "IN_TRANSIT": ("IT", "Arrived at a hub"), "OUT_FOR_DELIVERY": ("OD", "Out for delivery"),
    "DELIVERED": ("DL", "Delivered"), "DELIVERY_DELAYED": ("DY", "Delayed by weather"),
    "DELIVERY_FAILED": ("NA", "Nobody took the goods"), "RETURN_TO_SENDER": ("RS", "On the way back"),
    "READY_FOR_PICKUP": ("RP", "Ready at the depot"), "ON_HOLD": ("HD", "Held at the hub"),
    "PARTIALLY_DELIVERED": ("PD", "Part of the goods delivered"), "CUSTOMS_INSPECTION": ("CI", "Under inspection"),
}  # fmt: skip
_CLOCKS = ("06:40:00", "08:15:00", "11:30:00", "15:05:00", "18:20:00", "21:45:00")
_UNUSUAL = (
    ("DELIVERY_DELAYED", "CARRIER", "Weather on the route"), ("DELIVERY_FAILED", "CONSIGNEE", "Dock was closed"),
    ("ON_HOLD", "CARRIER", "Address query"), ("READY_FOR_PICKUP", None, ""), ("PARTIALLY_DELIVERED", None, ""),
    ("RETURN_TO_SENDER", "CONSIGNEE", "Refused"), ("CUSTOMS_INSPECTION", None, ""),
)  # fmt: skip


def shipment_rows(sale: Sale, calendar: Calendar, rng: random.Random, serial: int) -> list[dict[str, Any]]:
    """The order's shipments, oldest first; `serial` counts shipments from 1."""
    return [_shipment(sale, part, calendar, rng, serial + part) for part in range(sale.shipments)]


def _shipment(
    sale: Sale, part: int, calendar: Calendar, rng: random.Random, serial: int
) -> dict[str, Any]:  # fmt: skip
    lines = [line for line in sale.lines if line.shipped and (line.part == part or sale.shipments == 1)] or sale.lines[
        :1
    ]
    sent = max(0, sale.age - 1 - part - rng.randint(0, 1)) if sale.number != f"SO-{DEMO_ORDER}" else (5, 2)[part]
    carrier, service = _CARRIERS[sale.index % len(_CARRIERS)]
    days = 2 if service == "Two day" else 3 + sale.index % 2
    status, incident = _state(sale, part, sent, days)
    town = sale.account.row["shipTos"][sale.index % len(sale.account.row["shipTos"])]["address"]
    events = _events(status, sent, days, _ORIGIN[sale.warehouse], f"{town['city']}, {town['region']}", calendar, rng)
    tracking = f"1ZSB{sale.index + FIRST_ORDER - 1:08d}{part + 1}"
    row: dict[str, Any] = {
        "id": f"shp-{serial:06d}", "orders": [sale.number], "customer": sale.account.number,
        "warehouse": sale.warehouse, "carrier": carrier, "service": service, "trackingNumber": tracking,
        "trackingUrl": f"https://track.example.com/{tracking}",
        "shippedAt": calendar.at(sent, "18:20:00" if sent else "03:30:00"),
        "eta": {"promised": calendar.ago(sale.age - 5),
                "carrier": calendar.ago(sent - days - (2 if status == "DELIVERY_DELAYED" else 0))},
        "status": status, "rawStatus": TEXT[status][0],
        "lines": [{"order": sale.number, "lineNumber": line.number, "sku": line.article.sku,
                   "quantity": str(line.shipped or 1)} for line in lines],
        "packages": _packages(lines, tracking, serial), "events": events, "asn": f"ASN-{serial:06d}",
        "updatedAt": events[-1]["at"],
    }  # fmt: skip
    if status == "DELIVERED":
        row["proofOfDelivery"] = {"signedBy": f"Receiving {sale.index % 7 + 1}", "at": events[-1]["at"]}
    if incident is not None:
        row["incident"] = incident
    if status == "PENDING" and sale.index % 5 == 0:
        row["cancelled"] = True
    return row


def _state(sale: Sale, part: int, sent: int, days: int) -> tuple[str, dict[str, str] | None]:
    if sale.number == f"SO-{DEMO_ORDER}":
        return ("DELIVERED", "IN_TRANSIT")[part], None
    if sale.status == "DELIVERED" or (sale.status == "PARTIALLY_DELIVERED" and part == 0):
        return "DELIVERED", None
    if sale.index % 12 == 0 and sent > 1:
        status, party, reason = _UNUSUAL[sale.index // 12 % len(_UNUSUAL)]
        return status, {"party": party, "reason": reason} if party else None
    if sent == 0:
        return "PENDING", None
    if sent >= days:
        return "DELIVERED" if sale.status.startswith("PARTIALLY") else "OUT_FOR_DELIVERY", None
    return ("PICKED_UP" if sent == 1 else "IN_TRANSIT"), None


def _events(
    status: str, sent: int, days: int, origin: str, town: str, calendar: Calendar, rng: random.Random
) -> list[dict[str, Any]]:  # fmt: skip
    steps = [("PENDING", origin)]
    if status != "PENDING":
        steps.append(("PICKED_UP", origin))
    if status not in ("PENDING", "PICKED_UP"):
        steps += [("IN_TRANSIT", hub) for hub in rng.sample(_HUBS, 1 + days // 2)]
    if status in ("OUT_FOR_DELIVERY", "DELIVERED", "DELIVERY_FAILED", "PARTIALLY_DELIVERED", "RETURN_TO_SENDER"):
        steps.append(("OUT_FOR_DELIVERY", town))
    if steps[-1][0] != status:
        steps.append((status, town))
    rows: list[dict[str, Any]] = []
    span = max(1, min(sent, days) if sent else 1)
    for ordinal, (step, where) in enumerate(steps):
        hop = ordinal * span * len(_CLOCKS) // len(steps)
        age = sent - hop // len(_CLOCKS)
        clock = _CLOCKS[hop % len(_CLOCKS)] if age > 0 else f"0{min(4, ordinal)}:{ordinal * 7 % 60:02d}:00"
        code, text = TEXT[step]
        at = calendar.at(max(0, age), clock)
        rows.append({"sequence": ordinal + 1, "at": at, "recordedAt": _later(at, 4 + 7 * ordinal % 30), "status": step,
                     "location": where, "description": text, "rawCode": code})  # fmt: skip
    return rows


def _later(at: str, minutes: int) -> str:
    return (datetime.fromisoformat(at) + timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")


def _packages(lines: list[SaleLine], tracking: str, serial: int) -> list[dict[str, Any]]:
    middle = (len(lines) + 1) // 2 if len(lines) > 3 else len(lines)
    packages: list[dict[str, Any]] = []
    for ordinal, part in enumerate((lines[:middle], lines[middle:])):
        if part:
            packages.append({
                "sscc": _sscc(serial * 2 + ordinal), "trackingNumber": f"{tracking}-{ordinal + 1}",
                "dimensions": {"length": "60", "width": "40", "height": "40", "lengthUnit": "CMT",
                               "weight": f"{4 + serial % 9}.{serial % 10}", "weightUnit": "KGM"},
                "items": [{"lineNumber": line.number, "sku": line.article.sku, "quantity": str(line.shipped or 1)}
                          | ({"lot": f"L{serial % 9973:05d}"} if line.article.family.un_number else {})
                          for line in part],
            })  # fmt: skip
    return packages


def _sscc(serial: int) -> str:
    body = f"30614141{serial:09d}"
    total = sum(int(digit) * (3 if ordinal % 2 == 0 else 1) for ordinal, digit in enumerate(body))
    return f"{body}{-total % 10}"


def balance_rows(positions: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """What the operator of WH-WEST counts: mostly the ERP's figure, sometimes less. `positions` are by SKU."""
    third_party = next(row["code"] for row in WAREHOUSES if row["kind"] == "THIRD_PARTY")
    rows: list[dict[str, Any]] = []
    for ordinal, (sku, position) in enumerate(positions.items(), 1):
        if ordinal % 40 == 0:
            continue  # The operator never saw this item.
        counted = int(position["onHand"])
        missing = min(counted, 3) if ordinal % 17 == 0 else 0
        rows.append({"warehouse": third_party, "sku": sku, "onHand": str(counted - missing),
                     "qualityHold": position.get("qualityHold", "0")})  # fmt: skip
    return rows
