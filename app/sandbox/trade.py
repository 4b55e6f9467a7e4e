"""The sandbox's orders: 20,000 of them over 420 days, with lines, holds, schedule, and what was shipped of each."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from app.sandbox.accounts import Account
from app.sandbox.catalog import Article
from app.sandbox.pricing import money, to_cent

ORDER_COUNT = 20_000
SHIPMENT_COUNT = 15_000
SPLIT_COUNT = 1_200
FIRST_ORDER = 100_001
DAYS = 420
DEMO_ORDER = 100_040
"""SO-100040: four lines for CUST-0001, one shipment delivered, one on its way, one line short."""

FEWEST, MOST = 5, 120
OWN_ORDERS = 64
"""What CUST-0001 ordered."""

SHIPPED = ("SHIPPED", "PARTIALLY_SHIPPED", "PARTIALLY_DELIVERED")
OPEN = ("CONFIRMED", "PROCESSING", "PARTIALLY_SHIPPED")
RAW_STATUS = {
    "DRAFT": "10-ENTERED", "QUOTED": "15-QUOTED", "CONFIRMED": "20-RELEASED", "PROCESSING": "30-PICKING",
    "PARTIALLY_SHIPPED": "45-PARTIAL", "SHIPPED": "50-SHIPPED", "PARTIALLY_DELIVERED": "55-PART-DELIVERED",
    "DELIVERED": "60-COMPLETE", "CANCELLED": "90-CANCELLED",
}  # fmt: skip
_PATH = ("CONFIRMED", "PROCESSING", "SHIPPED", "DELIVERED")


@dataclass(slots=True)
class SaleLine:
    """A line while data is made; `factor` base units in one `uom`; `part` is the shipment it goes with (0, 1)."""

    number: int
    article: Article
    uom: str
    factor: int
    quantity: int
    shipped: int
    cancelled: int
    ticks: int
    part: int = 0
    requested: Article | None = None

    @property
    def open_base(self) -> int:
        return (self.quantity - self.shipped - self.cancelled) * self.factor

    @property
    def total(self) -> int:
        return to_cent(self.quantity * self.ticks)


@dataclass(slots=True)
class Sale:
    """An order while data is made; `age` in days before the build day."""

    index: int
    number: str
    account: Account
    age: int
    clock: str
    status: str
    channel: str
    warehouse: str
    lines: list[SaleLine] = field(default_factory=list)
    shipments: int = 0

    @property
    def total(self) -> int:
        """The order's net value in ticks, cancelled quantities apart."""
        return sum(to_cent((line.quantity - line.cancelled) * line.ticks) for line in self.lines)


class Calendar:
    """ISO dates before and after the build day."""

    def __init__(self, day: date) -> None:
        self.day = day
        self._texts = {age: (day - timedelta(days=age)).isoformat() for age in range(-120, DAYS + 40)}

    def ago(self, age: int) -> str:
        """The day `age` days before the build day; after it where negative."""
        return self._texts[age]

    def at(self, age: int, clock: str) -> str:
        return f"{self._texts[age]}T{clock}Z"


def sales(rng: random.Random, accounts: list[Account]) -> list[Sale]:
    """All orders by number, oldest first but for the demo order; exactly SHIPMENT_COUNT shipments among them."""
    buyers = _buyers(rng, accounts)
    made = [_sale(ordinal, buyer, rng) for ordinal, buyer in enumerate(buyers)]
    demo = made[DEMO_ORDER - FIRST_ORDER]
    _make_demo(demo, accounts[0])
    _plan_shipments([sale for sale in made if sale is not demo], rng)
    for sale in made:
        if sale is not demo:
            _schedule_sale(sale, rng)
    return made


def _buyers(rng: random.Random, accounts: list[Account]) -> list[Account]:
    counts = [OWN_ORDERS, *[min(MOST, max(FEWEST, round(rng.lognormvariate(3.45, 0.7)))) for _ in accounts[1:]]]
    ordinal = 1
    while (rest := ORDER_COUNT - sum(counts)) != 0:
        step = 1 if rest > 0 else -1
        if FEWEST <= counts[ordinal] + step <= MOST:
            counts[ordinal] += step
        ordinal = ordinal % (len(counts) - 1) + 1
    buyers = [account for account, count in zip(accounts, counts, strict=True) for _ in range(count)]
    rng.shuffle(buyers)
    at = DEMO_ORDER - FIRST_ORDER
    other = buyers.index(accounts[0])
    buyers[at], buyers[other] = buyers[other], buyers[at]
    return buyers


def _sale(ordinal: int, buyer: Account, rng: random.Random) -> Sale:
    age = DAYS - ordinal * (DAYS + 1) // ORDER_COUNT
    clock = f"{rng.randint(0, 4) if age == 0 else rng.randint(12, 22):02d}:{rng.randint(0, 59):02d}:00"
    return Sale(
        index=ordinal + 1,
        number=f"SO-{FIRST_ORDER + ordinal}",
        account=buyer,
        age=age,
        clock=clock,
        status=_status(age, buyer, rng),
        channel=rng.choices(("WEB", "EDI", "PHONE", "COUNTER"), (40, 25, 20, 15))[0],
        warehouse=buyer.row["shipTos"][0]["defaultWarehouse"],
    )


def _status(age: int, buyer: Account, rng: random.Random) -> str:
    draw = rng.random()
    if draw < 0.02:
        return "CANCELLED"
    if age <= 5 and draw < 0.05:
        return rng.choice(("DRAFT", "QUOTED"))
    if age <= 1 or (age <= 20 and buyer.row["status"] == "ON_HOLD"):
        return "CONFIRMED"
    if age <= 3:
        return "PROCESSING" if draw < 0.7 else "SHIPPED"
    if age <= 8:
        return "SHIPPED" if draw < 0.85 else "PARTIALLY_SHIPPED"
    if age <= 45 and draw > 0.96:
        return rng.choice(("PARTIALLY_SHIPPED", "PARTIALLY_DELIVERED"))
    return "DELIVERED"


def _plan_shipments(others: list[Sale], rng: random.Random) -> None:
    must = [sale for sale in others if sale.status in SHIPPED]
    may = [sale for sale in others if sale.status == "DELIVERED"]
    planned = SHIPMENT_COUNT - 2  # The demo order has two.
    chosen = must + rng.sample(may, planned - SPLIT_COUNT - len(must))
    for sale in chosen:
        sale.shipments = 1
        sale.channel = "PHONE" if sale.channel == "COUNTER" else sale.channel
    for sale in rng.sample(chosen, SPLIT_COUNT):
        sale.shipments = 2
    for sale in others:
        if sale.status == "DELIVERED" and not sale.shipments:
            sale.channel = "COUNTER"


def _schedule_sale(sale: Sale, rng: random.Random) -> None:
    buyer = sale.account
    count = (
        rng.choices((4, 5, 6), (1, 3, 1))[0]
        if buyer.index == 1
        else rng.choices((1, 2, 3, 4, 6, 9), (2, 3, 3, 3, 2, 1))[0]
    )
    count = max(count, 2) if sale.shipments == 2 or sale.status.startswith("PARTIALLY") else count
    for number, article in enumerate(rng.sample(buyer.usual, min(count, len(buyer.usual))), 1):
        sale.lines.append(_line(number, article, sale, rng))
    if sale.shipments == 2:
        for line in sale.lines[(len(sale.lines) + 1) // 2 :]:
            line.part = 1
    if sale.status.startswith("PARTIALLY"):
        short = sale.lines[-1]
        short.shipped = short.quantity // 3
    if sale.index % 97 == 0 and sale.status == "DELIVERED" and len(sale.lines) > 1:
        short = sale.lines[-1]
        short.cancelled, short.shipped = short.quantity - short.quantity // 2, short.quantity // 2
    if sale.index % 61 == 0:
        line = sale.lines[0]
        peers = [article for article in buyer.usual if article.family is line.article.family]
        line.requested = peers[0] if peers and peers[0] is not line.article else None


def _line(number: int, article: Article, sale: Sale, rng: random.Random) -> SaleLine:
    pack, factor = article.pack
    if factor == 1 or rng.random() < 0.35:
        pack, factor = article.family.base, 1
    quantity = rng.choice((1, 2, 3, 4, 5, 6, 8, 10, 12, 20)) * (5 if factor == 1 and article.price < 50_000 else 1)
    shipped = quantity if sale.status in ("SHIPPED", "DELIVERED", *SHIPPED) else 0
    cancelled = quantity if sale.status == "CANCELLED" else 0
    ticks = sale.account.terms(article).ticks(quantity * factor) * factor
    return SaleLine(number, article, pack, factor, quantity, shipped, cancelled, ticks)


def _make_demo(sale: Sale, buyer: Account) -> None:
    sale.account, sale.age, sale.clock = buyer, 6, "14:12:00"
    sale.status, sale.channel, sale.shipments = "PARTIALLY_SHIPPED", "WEB", 2
    sale.warehouse = buyer.row["shipTos"][0]["defaultWarehouse"]
    for number, (index, uom, factor, quantity, shipped, part) in enumerate(
        ((0, "XBX", 100, 12, 12, 0), (1, "EA", 1, 40, 40, 0), (6, "EA", 1, 3, 3, 1), (3, "EA", 1, 25, 10, 1)), 1
    ):
        article = buyer.usual[index]
        if factor != 1 and article.pack[0] != uom:
            raise AssertionError(f"{article.sku} is not sold in {uom}")
        ticks = buyer.terms(article).ticks(quantity * factor) * factor
        sale.lines.append(
            SaleLine(
                number, article, uom if factor > 1 else article.family.base, factor, quantity, shipped, 0, ticks, part
            )
        )


def is_returned(sale: Sale) -> bool:
    """Whether one unit of the first line came or comes back."""
    return sale.index % 47 == 0 and sale.status == "DELIVERED"


def ship_to_of(sale: Sale) -> dict[str, Any]:
    """The location that an order is shipped to."""
    locations = sale.account.row["shipTos"]
    return locations[sale.index % len(locations)]


def order_row(sale: Sale, calendar: Calendar) -> dict[str, Any]:
    buyer = sale.account
    net = sale.total
    tax = to_cent(net * 7 // 100) if buyer.row["taxProfile"]["liable"] else 0
    ship_to = ship_to_of(sale)
    lines = [_line_row(line, sale, calendar) for line in sale.lines]
    updated = max(0, sale.age - (0 if sale.status in ("DRAFT", "QUOTED", "CONFIRMED") else 2))
    return {
        "id": f"{500_000 + sale.index}",
        "number": sale.number,
        "customer": buyer.number,
        "customerPo": f"PO-{buyer.index:04d}-{sale.index:05d}",
        "channel": sale.channel,
        "status": sale.status,
        "rawStatus": RAW_STATUS[sale.status],
        "orderedAt": calendar.at(sale.age, sale.clock),
        "updatedAt": calendar.at(updated, "23:10:00" if updated else "05:00:00"),
        "warehouse": sale.warehouse,
        "billTo": {"name": buyer.row["billTo"]["name"], "address": buyer.row["billTo"]["address"]},
        "shipTo": {"name": ship_to["name"], "address": ship_to["address"]},
        "terms": buyer.row["paymentTerms"],
        "currency": "USD",
        "totals": {"net": money(net), "tax": money(tax), "total": money(net + tax),
                   "margin": money(net - to_cent(sum((line.quantity - line.cancelled) * line.factor * line.article.cost
                                                     for line in sale.lines)))},
        "lines": lines,
        **_dates(lines, sale),
        "holds": _holds(sale, calendar),
        "exceptions": _exceptions(sale, calendar),
        "history": _history(sale, calendar),
    }  # fmt: skip


def _dates(lines: list[dict[str, Any]], sale: Sale) -> dict[str, str]:
    """The earliest requested and promised dates of the lines; of what waits, where a part has shipped."""
    parts = [line["scheduleLines"][-1] for line in lines]
    if sale.status.startswith("PARTIALLY"):
        parts = [line["scheduleLines"][-1] for line in lines if line["backorderedQuantity"] != "0"] or parts
    names = {"requestedOn": "requestedDate", "promisedOn": "confirmedDate"}
    days = {name: [part[key] for part in parts if key in part] for name, key in names.items()}
    return {name: min(days_of_name) for name, days_of_name in days.items() if days_of_name}


def _line_row(line: SaleLine, sale: Sale, calendar: Calendar) -> dict[str, Any]:
    backordered = line.quantity - line.shipped - line.cancelled if sale.status.startswith("PARTIALLY") else 0
    confirmed = "0" if sale.status in ("DRAFT", "QUOTED") else str(line.quantity - line.cancelled - backordered)
    row = {
        "id": f"{500_000 + sale.index}-{line.number}",
        "number": line.number,
        "order": sale.number,
        "customer": sale.account.number,
        "sku": line.article.sku,
        "description": line.article.name,
        "uom": line.uom,
        "quantity": str(line.quantity),
        "confirmedQuantity": confirmed,
        "shippedQuantity": str(line.shipped),
        "invoicedQuantity": str(line.shipped),
        "backorderedQuantity": str(backordered),
        "cancelledQuantity": str(line.cancelled),
        "returnedQuantity": "1" if line.number == 1 and is_returned(sale) else "0",
        "unitPrice": money(line.ticks),
        "total": money(line.total),
        "scheduleLines": _schedule(line, sale, calendar, backordered),
    }
    if line.requested is not None:
        row["requestedSku"] = line.requested.sku
        row["substitutionFor"] = line.requested.sku
    return row


def _schedule(line: SaleLine, sale: Sale, calendar: Calendar, backordered: int) -> list[dict[str, str]]:
    requested = calendar.ago(sale.age - 5)
    if sale.status in ("DRAFT", "QUOTED", "CANCELLED"):
        return [{"requestedDate": requested, "quantity": str(line.quantity)}]
    if not backordered:
        return [
            {"requestedDate": requested, "confirmedDate": requested, "quantity": str(line.quantity - line.cancelled)}
        ]
    # Every third backorder is behind its promised date, the others are promised for later.
    promised = calendar.ago(1 + sale.index % 5) if sale.index % 3 == 0 and sale.age > 6 else calendar.ago(-9)
    rows = [{"requestedDate": requested, "confirmedDate": promised, "quantity": str(backordered)}]
    if line.shipped:
        rows.insert(0, {"requestedDate": requested, "confirmedDate": requested, "quantity": str(line.shipped)})
    return rows


def _holds(sale: Sale, calendar: Calendar) -> list[dict[str, str]]:
    since = calendar.at(sale.age, sale.clock)
    if sale.status == "CONFIRMED" and sale.account.row["status"] == "ON_HOLD":
        return [{"kind": "CREDIT", "reason": "The account is on credit hold", "since": since}]
    if sale.status == "CONFIRMED" and sale.index % 19 == 0:
        return [{"kind": "REVIEW", "reason": "Price below margin floor: to be released by a manager", "since": since}]
    if sale.status == "PARTIALLY_SHIPPED":
        return [{"kind": "STOCK", "reason": "Waiting for goods", "since": since}]
    return []


def _exceptions(sale: Sale, calendar: Calendar) -> list[dict[str, Any]]:
    if sale.index % 211:
        return []
    return [{"code": "ADDRESS_CHECK", "message": "The ship-to address could not be verified",
             "since": calendar.at(sale.age, sale.clock)}]  # fmt: skip


def _history(sale: Sale, calendar: Calendar) -> list[dict[str, Any]]:
    steps = list(_PATH[: _PATH.index(sale.status) + 1]) if sale.status in _PATH else [*_PATH[:2], sale.status]
    if sale.status in ("DRAFT", "QUOTED"):
        steps = [sale.status]
    return [
        {"status": status, "rawStatus": RAW_STATUS[status], "at": _step_at(sale, ordinal, calendar)}
        for ordinal, status in enumerate(steps)
    ]


def _step_at(sale: Sale, ordinal: int, calendar: Calendar) -> str:
    age = max(0, sale.age - (0, 1, 2, 5)[ordinal])
    return calendar.at(age, sale.clock if ordinal == 0 or age else "04:59:00")
