"""The sandbox's customers: 500 companies with locations, terms, contracts and their own part numbers."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from app.sandbox.catalog import Article, gtin13
from app.sandbox.pricing import PriceTerms, class_terms, contract_breaks, money, to_cent

CUSTOMER_COUNT = 500
LATE_PAYER = 20
"""One account in so many pays late, CUST-0012 first."""
LARGE_BOOKS = {"rep-13": 800, "rep-14": 5000}
"""Further customers of a large sandbox by their sales rep; they have no orders."""

_FIRST = ("Alder", "Boltmaster", "Cascade", "Delta", "Eastgate", "Fairview", "Granite", "Harbor", "Ironwood", "Juniper",
          "Keystone", "Lakeside", "Meridian", "Northfield", "Orchard", "Prairie", "Quarry", "Ridgeline", "Summit",
          "Tidewater", "Union", "Valley", "Westbrook", "Yellowstone", "Zenith")  # fmt: skip
_SECOND = ("Fabrication", "Machine Works", "Construction", "Mechanical", "Marine Services", "Food Processing",
           "Foundry", "Electric", "Plumbing & Heating", "Aggregates", "Packaging", "Rail Maintenance",
           "Water Authority", "Automotive Parts", "Paper Mill", "HVAC", "Shipyard", "Energy", "Robotics",
           "Facilities")  # fmt: skip
_TAIL = ("Inc.", "LLC", "Co.", "Corp.", "Group")
CITIES = (
    ("Columbus", "OH", "43085", "WH-CENTRAL"), ("Indianapolis", "IN", "46201", "WH-CENTRAL"),
    ("Chicago", "IL", "60608", "WH-CENTRAL"), ("St. Louis", "MO", "63101", "WH-CENTRAL"),
    ("Milwaukee", "WI", "53202", "WH-CENTRAL"), ("Newark", "NJ", "07102", "WH-EAST"),
    ("Philadelphia", "PA", "19104", "WH-EAST"), ("Baltimore", "MD", "21201", "WH-EAST"),
    ("Charlotte", "NC", "28202", "WH-EAST"), ("Boston", "MA", "02118", "WH-EAST"), ("Albany", "NY", "12203", "WH-EAST"),
    ("Portland", "OR", "97209", "WH-WEST"), ("Sacramento", "CA", "95814", "WH-WEST"),
    ("Reno", "NV", "89501", "WH-WEST"), ("Seattle", "WA", "98104", "WH-WEST"), ("Denver", "CO", "80202", "WH-WEST"),
)  # fmt: skip
_STREETS = ("Industrial Pkwy", "Foundry Rd", "Commerce Dr", "Mill St", "Harbor Ave", "Depot Ln", "Quarry Rd",
            "Enterprise Blvd")  # fmt: skip
_TERMS = (
    {"code": "NET30", "name": "Net 30 days", "netDays": 30},
    {"code": "2-10-NET30", "name": "2 % 10 days, net 30", "netDays": 30, "discountPercent": "2", "discountDays": 10},
    {"code": "NET45", "name": "Net 45 days", "netDays": 45},
    {"code": "NET60", "name": "Net 60 days", "netDays": 60},
)

_WORKDAYS = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY"]


def _cut_offs(zone: str, parcel: str, freight: str) -> list[dict[str, Any]]:
    return [{"time": parcel, "timeZone": zone, "days": _WORKDAYS, "service": "Parcel"},
            {"time": freight, "timeZone": zone, "days": _WORKDAYS, "service": "Freight"}]  # fmt: skip


WAREHOUSES: tuple[dict[str, Any], ...] = (
    {"id": "2", "code": "WH-CENTRAL", "name": "Columbus distribution center", "kind": "OWN", "region": "US-Midwest",
     "cutOffs": _cut_offs("America/New_York", "16:30", "13:00"),
     "deliveryDays": [{"area": "Columbus", "postalCodes": ["430", "431", "432"], "days": _WORKDAYS},
                      {"area": "Indianapolis", "postalCodes": ["460", "461", "462"], "days": ["TUESDAY", "THURSDAY"]}]},
    {"id": "1", "code": "WH-EAST", "name": "Newark distribution center", "kind": "OWN", "region": "US-East",
     "cutOffs": _cut_offs("America/New_York", "17:00", "14:00"),
     "deliveryDays": [{"area": "Newark", "postalCodes": ["070", "071", "072", "073"], "days": _WORKDAYS}]},
    {"id": "3", "code": "WH-WEST", "name": "Reno (Basin 3PL)", "kind": "THIRD_PARTY", "region": "US-West",
     "cutOffs": _cut_offs("America/Los_Angeles", "15:00", "12:00")},
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Posting:
    """An invoice or memo of an account, posted `age` days before the build day; settled `settled` days before it."""

    document: dict[str, Any]
    age: int
    settled: int | None


@dataclass(slots=True)
class Account:
    """A customer while data is made: the row without credit, the items it buys again and again, and its contract."""

    index: int
    number: str
    row: dict[str, Any]
    customer_class: str
    usual: list[Article]
    contract: str | None
    contract_lines: dict[str, PriceTerms]
    open_ticks: int = 0
    overdue_ticks: int = 0
    ordered_ticks: int = 0
    postings: list[Posting] = field(default_factory=list)

    @property
    def pays_late(self) -> bool:
        """Whether the account pays four months after the due date."""
        return self.index % LATE_PAYER == 12

    def terms(self, article: Article) -> PriceTerms:
        """The prices that the ERP applies for this account."""
        line = self.contract_lines.get(article.sku)
        return line or class_terms(article.price, article.family.category, self.customer_class, article.pack[1])


def accounts(rng: random.Random, articles: list[Article], day: date) -> list[Account]:
    saleable = [article for article in articles if article.status == "ACTIVE"]
    return [_account(index, rng, articles, saleable, day) for index in range(1, CUSTOMER_COUNT + 1)]


def large_books(rng: random.Random) -> list[Account]:
    """The customers of two sales reps with many accounts."""
    reps = [rep for rep, count in LARGE_BOOKS.items() for _ in range(count)]
    found: list[Account] = []
    for index, rep in enumerate(reps, CUSTOMER_COUNT + 1):
        number, customer_class = f"CUST-{index:04d}", rng.choice("ABC")
        row = _customer_row(index, number, customer_class, None, rng) | {"salesRep": rep}
        found.append(Account(index, number, row, customer_class, [], None, {}))
    return found


def _account(
    index: int, rng: random.Random, articles: list[Article], saleable: list[Article], day: date
) -> Account:  # fmt: skip
    number = f"CUST-{index:04d}"
    customer_class = "A" if index == 1 else rng.choices("ABC", (15, 35, 50))[0]
    usual = rng.sample(saleable, rng.randint(14, 36))
    if index == 1:
        usual = [*articles[:12], *[article for article in usual if article.index > 12]]
    contract = f"K-{index:04d}" if index == 1 or customer_class == "A" or rng.random() < 0.35 else None
    lines: dict[str, PriceTerms] = {}
    if contract:
        start, end = day - timedelta(days=200), day + timedelta(days=165)
        for article in usual[: max(6, len(usual) * 2 // 3)]:
            off = 4000 if index == 1 and article.index == 1 else rng.randrange(2000, 4200, 100)
            lines[article.sku] = PriceTerms(
                rule="CONTRACT", contract=contract, valid_from=start.isoformat(), valid_to=end.isoformat(),
                breaks=contract_breaks(article.price, article.pack[1], off),
            )  # fmt: skip
    row = _customer_row(index, number, customer_class, contract, rng)
    return Account(index, number, row, customer_class, usual, contract, lines)


def _customer_row(
    index: int, number: str, customer_class: str, contract: str | None, rng: random.Random
) -> dict[str, Any]:  # fmt: skip
    first, second = _FIRST[index % len(_FIRST)], _SECOND[index // len(_FIRST) % len(_SECOND)]
    name = f"{first} {second} {_TAIL[index % len(_TAIL)]}"
    home = CITIES[index % len(CITIES)]
    status = "ACTIVE" if index <= 60 else rng.choices(("ACTIVE", "ON_HOLD", "INACTIVE"), (94, 4, 2))[0]
    ship_tos = [
        _location((index, ordinal), "SHIP_TO", name, _near(home, rng), rng) for ordinal in range(1, rng.randint(2, 4))
    ]
    row: dict[str, Any] = {
        "id": f"{1000 + index}",
        "number": number,
        "name": name,
        "status": status,
        "customerClass": customer_class,
        "salesRep": f"rep-{(index - 1) % 12 + 1:02d}",
        "currency": "USD",
        "paymentTerms": _TERMS[index % len(_TERMS)],
        "taxProfile": {"area": f"US-{home[1]}", "liable": index % 9 != 0, "registrationNumber": f"99-{index:07d}",
                       "exemptions": ["RESALE"] if index % 9 == 0 else []},
        "billTo": _location((index, 0), "BILL_TO", name, home, rng),
        "shipTos": ship_tos,
        "agreement": {"id": contract, "name": f"Contract {contract}"} if contract
                     else {"id": f"CLASS-{customer_class}", "name": f"Class {customer_class} on the price list"},
    }  # fmt: skip
    if index % 10 == 4:
        row["assortments"] = []
    if index > 20 and index % 10 == 0:
        row["parent"] = f"CUST-{index // 10:04d}"
    return row


def _near(home: tuple[str, str, str, str], rng: random.Random) -> tuple[str, str, str, str]:
    return rng.choice([city for city in CITIES if city[3] == home[3]])


def _location(
    site: tuple[int, int], kind: str, name: str, city: tuple[str, str, str, str], rng: random.Random
) -> dict[str, Any]:  # fmt: skip
    index, ordinal = site
    town, region, postal, warehouse = city
    return {
        "id": f"{1000 + index}-{ordinal}",
        "kind": kind,
        "name": name if kind == "BILL_TO" else f"{name.rsplit(' ', 1)[0]}, {town} site {ordinal}",
        "address": {"lines": [f"{rng.randint(1, 990) * 10} {rng.choice(_STREETS)}"], "city": town, "region": region,
                    "postalCode": postal, "country": "US"},
        "gln": gtin13(f"0614{index:06d}{ordinal:02d}"),
        "defaultWarehouse": warehouse,
    }  # fmt: skip


def part_numbers(account: Account) -> list[tuple[str, str]]:
    """The customer's own numbers: (number, SKU), C01-0001 and up for CUST-0001."""
    return [(f"C{account.index:02d}-{ordinal:04d}", article.sku) for ordinal, article in enumerate(account.usual, 1)]


def credit_row(account: Account) -> dict[str, Any]:
    """Credit from what the account owes and has on order."""
    exposure = to_cent(account.open_ticks + account.ordered_ticks)
    limit = max(25_000_0000, (exposure * 3 // 2 // 50_000_000 + 1) * 50_000_000)
    if account.index % 23 == 0:
        limit = max(10_000_000, to_cent(exposure * 9 // 10))
    state, reason = "OK", None
    if account.row["status"] == "INACTIVE":
        state, reason = "BLOCKED", "Account is inactive"
    elif exposure > limit:
        state, reason = "HOLD", "Credit limit exceeded"
    elif account.overdue_ticks * 4 > account.open_ticks > 0:
        state, reason = "WARN", "Invoices are overdue"
    row: dict[str, Any] = {
        "state": state, "limit": money(limit), "exposure": money(exposure),
        "available": money(max(0, limit - exposure)), "overdue": money(account.overdue_ticks),
    }  # fmt: skip
    return row | ({"reason": reason} if reason else {})
