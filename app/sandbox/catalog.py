"""The sandbox's range of goods: 5,000 items of industrial supply, made from families and their sizes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from app.sandbox.pricing import money

ITEM_COUNT = 5000

FURTHER, FIRST_FURTHER = 35_000, 10_001
"""Items that only a large sandbox has, and the number of the first."""

CHEMICALS = "CHEM"
"""The assortment that chemicals belong to; all other items are in all assortments."""


@dataclass(frozen=True, slots=True)
class Family:
    """A kind of article: `name` is filled from the axes; `price` is of the smallest, in ticks per base unit."""

    code: str
    name: str
    category: str
    brand: str
    axes: dict[str, tuple[str, ...]]
    price: int
    base: str = "EA"
    packs: tuple[tuple[str, str, int, int], ...] = ()
    units: dict[str, str] = field(default_factory=dict)
    un_number: str | None = None


BOX_100 = ("XBX", "box", 100, 1)
BOX_50 = ("XBX", "box", 50, 1)
BOX_10 = ("XBX", "box", 10, 1)
CASE_12 = ("XCS", "case", 12, 1)
CASE_1000 = ("XCS", "case", 1000, 1)
PACK_5 = ("XPK", "pack", 5, 1)
PACK_25 = ("XPK", "pack", 25, 1)
FOOT = ("FOT", "foot", 381, 1250)
REEL_100 = ("XRL", "reel", 100, 1)
GALLON = ("GLL", "gallon (US)", 473_176_473, 125_000_000)
DRUM_200 = ("XDR", "drum", 200, 1)

UOM_NAMES = {"EA": "each", "MTR": "metre", "LTR": "litre", "KGM": "kilogram", "PR": "pair"}

_THREADS = ("M4", "M5", "M6", "M8", "M10", "M12", "M16", "M20", "M24")
_LENGTHS = ("12", "16", "20", "25", "30", "40", "50", "60", "80", "100", "120", "150")
_STEELS = ("8.8 zinc plated", "10.9 plain", "A2 stainless", "A4 stainless")
_PIPE = ("1/8", "1/4", "3/8", "1/2", "3/4", "1", "1-1/4", "1-1/2", "2", "3")
_METALS = ("brass", "stainless 316", "galvanized", "bronze")
_SIZES = ("S", "M", "L", "XL", "XXL")
_BORES = tuple(str(bore) for bore in (10, 12, 15, 17, 20, 25, 30, 35, 40, 45, 50, 55, 60))

FAMILIES = (
    Family("HB", "Hex bolt {thread} x {length} {material}", "Fasteners/Bolts", "Kestrel",
           {"thread": _THREADS, "length": _LENGTHS, "material": _STEELS}, 900, packs=(BOX_100, CASE_1000),
           units={"length": "MMT"}),
    Family("SC", "Socket head cap screw {thread} x {length} {material}", "Fasteners/Screws", "Kestrel",
           {"thread": _THREADS, "length": _LENGTHS, "material": _STEELS}, 1100, packs=(BOX_100,),
           units={"length": "MMT"}),
    Family("NT", "Hex nut {thread} {material}", "Fasteners/Nuts", "Kestrel",
           {"thread": _THREADS, "material": _STEELS}, 300, packs=(BOX_100, CASE_1000)),
    Family("WA", "Flat washer {thread} {material}", "Fasteners/Washers", "Kestrel",
           {"thread": _THREADS, "material": _STEELS}, 200, packs=(BOX_100, CASE_1000)),
    Family("AB", "Wedge anchor bolt {thread} x {length} zinc plated", "Fasteners/Anchors", "Holdfast",
           {"thread": ("M8", "M10", "M12", "M16", "M20"), "length": ("75", "95", "110", "140", "180")}, 9500,
           packs=(BOX_50,), units={"length": "MMT"}),
    Family("EL", "Elbow {angle} deg {size} in {material}", "Fittings/Elbows", "Norpipe",
           {"angle": ("45", "90"), "size": _PIPE, "material": _METALS}, 21000, packs=(BOX_10,),
           units={"size": "INH"}),
    Family("TE", "Tee {size} in {material}", "Fittings/Tees", "Norpipe",
           {"size": _PIPE, "material": _METALS}, 26000, packs=(BOX_10,), units={"size": "INH"}),
    Family("CP", "Coupling {size} in {material}", "Fittings/Couplings", "Norpipe",
           {"size": _PIPE, "material": _METALS}, 15500, packs=(BOX_10,), units={"size": "INH"}),
    Family("BV", "Ball valve {size} in {material} {port} port", "Valves/Ball valves", "Norpipe",
           {"size": _PIPE, "material": _METALS, "port": ("full", "reduced")}, 118000, units={"size": "INH"}),
    Family("CV", "Check valve {size} in {material}", "Valves/Check valves", "Norpipe",
           {"size": _PIPE, "material": _METALS}, 97000, units={"size": "INH"}),
    Family("HO", "Hydraulic hose {size} in {wires}-wire {pressure} bar", "Hoses/Hydraulic", "Flexworth",
           {"size": _PIPE[1:8], "wires": ("1", "2", "4"), "pressure": ("180", "280", "420")}, 64000, base="MTR",
           packs=(FOOT, REEL_100), units={"size": "INH", "pressure": "BAR"}),
    Family("WI", "Building wire {area} mm2 {colour} {kind}", "Electrical/Wire", "Ampera",
           {"area": ("1.5", "2.5", "4", "6", "10", "16", "25", "35"),
            "colour": ("black", "blue", "brown", "red", "green-yellow", "grey"), "kind": ("solid", "stranded")},
           4200, base="MTR", packs=(FOOT, REEL_100), units={"area": "MMK"}),
    Family("CB", "Circuit breaker {poles}-pole {rating} A curve {curve}", "Electrical/Breakers", "Ampera",
           {"poles": ("1", "2", "3", "4"), "rating": ("6", "10", "16", "20", "25", "32", "40", "63"),
            "curve": ("B", "C", "D")}, 74000, packs=(BOX_10,), units={"rating": "AMP"}),
    Family("CT", "Contactor {rating} A coil {coil}", "Electrical/Contactors", "Ampera",
           {"rating": ("9", "12", "18", "25", "32", "40", "65", "95"), "coil": ("24 V DC", "110 V AC", "230 V AC")},
           312000, units={"rating": "AMP"}),
    Family("CG", "Cable gland {thread} {material} IP68", "Electrical/Glands", "Ampera",
           {"thread": ("M12", "M16", "M20", "M25", "M32", "M40"), "material": ("nylon", "brass", "stainless")},
           8800, packs=(PACK_25,)),
    Family("LD", "LED high bay {power} W {temperature} K {beam} deg", "Electrical/Lighting", "Lumora",
           {"power": ("60", "100", "150", "200"), "temperature": ("3000", "4000", "5000"), "beam": ("60", "90", "120")},
           890000, units={"power": "WTT", "temperature": "KEL"}),
    Family("GL", "{kind} gloves size {size}", "Safety/Hand protection", "Safeline",
           {"kind": ("Nitrile coated", "Cut level D", "Leather driver", "Chemical resistant", "Insulated winter",
                     "Disposable nitrile"), "size": _SIZES}, 32000, base="PR", packs=(CASE_12,)),
    Family("SV", "Safety vest class {class} {colour} {size}", "Safety/Visibility", "Safeline",
           {"class": ("2", "3"), "colour": ("yellow", "orange"), "size": _SIZES}, 84000, packs=(PACK_5,)),
    Family("GG", "Safety glasses {lens} {style}", "Safety/Eye protection", "Safeline",
           {"lens": ("clear", "smoke", "amber", "mirror"), "style": ("wraparound", "classic", "over-glass", "sealed")},
           41000, packs=(BOX_10,)),
    Family("RS", "Respirator {kind} {size}", "Safety/Respiratory", "Safeline",
           {"kind": ("half mask P3", "full face", "FFP2 valved", "FFP3 valved"), "size": ("S", "M", "L")}, 52000,
           packs=(BOX_10,)),
    Family("BT", "Safety boot {kind} size {size}", "Safety/Footwear", "Safeline",
           {"kind": ("S3 leather", "S3 composite", "S5 rubber", "S1P sneaker"),
            "size": tuple(str(size) for size in range(37, 49))}, 690000, base="PR"),
    Family("BB", "Deep groove ball bearing bore {bore} mm {seal} {series}", "Power transmission/Bearings", "Rotora",
           {"bore": _BORES, "seal": ("2RS", "ZZ", "open"), "series": ("60", "62", "63")}, 38000,
           units={"bore": "MMT"}),
    Family("VB", "V-belt {profile} {length} mm", "Power transmission/Belts", "Rotora",
           {"profile": ("SPZ", "SPA", "SPB", "SPC", "XPZ", "XPA"),
            "length": tuple(str(length) for length in range(800, 3200, 150))}, 96000, units={"length": "MMT"}),
    Family("OR", "O-ring {bore} x {section} {material}", "Seals/O-rings", "Sealtek",
           {"bore": _BORES, "section": ("1.78", "2.62", "3.53", "5.33"), "material": ("NBR 70", "FKM 75", "EPDM 70")},
           1900, packs=(PACK_25, BOX_100), units={"bore": "MMT", "section": "MMT"}),
    Family("DB", "{kind} drill bit {diameter} mm", "Cutting tools/Drills", "Edgewell",
           {"kind": ("HSS-Co", "HSS-TiN", "Solid carbide", "Masonry SDS"),
            "diameter": tuple(f"{tenths / 10:.1f}" for tenths in range(20, 131, 5))}, 27000, packs=(PACK_5,),
           units={"diameter": "MMT"}),
    Family("GD", "Grinding disc {diameter} mm grit {grit} {kind}", "Abrasives/Discs", "Edgewell",
           {"diameter": ("115", "125", "150", "180", "230"), "grit": ("24", "36", "40", "60", "80", "120"),
            "kind": ("metal", "inox", "stone", "ceramic")}, 18500, packs=(BOX_50,), units={"diameter": "MMT"}),
    Family("SB", "Sanding belt {width} x {length} grit {grit}", "Abrasives/Belts", "Edgewell",
           {"width": ("50", "75", "100", "150"), "length": ("533", "610", "914", "1220"),
            "grit": ("40", "60", "80", "120", "180", "240")}, 29500, packs=(PACK_5,),
           units={"width": "MMT", "length": "MMT"}),
    Family("WR", "Combination wrench {size} mm {finish}", "Hand tools/Wrenches", "Gripmark",
           {"size": tuple(str(size) for size in range(6, 37)), "finish": ("chrome", "black")}, 69000,
           units={"size": "MMT"}),
    Family("SK", "Impact socket {drive} drive {size} mm {depth}", "Hand tools/Sockets", "Gripmark",
           {"drive": ("3/8", "1/2", "3/4"), "size": tuple(str(size) for size in range(8, 37)),
            "depth": ("standard", "deep")}, 57000, units={"size": "MMT"}),
    Family("AD", "{kind} adhesive {grade}", "Chemicals/Adhesives", "Bondwell",
           {"kind": ("Threadlocker", "Instant", "Epoxy", "Retaining", "Polyurethane"),
            "grade": ("low strength", "medium strength", "high strength", "high temperature")}, 143000,
           packs=(CASE_12,), un_number="UN3082"),
    Family("LU", "{kind} ISO VG {grade}", "Chemicals/Lubricants", "Glidex",
           {"kind": ("Hydraulic oil", "Gear oil", "Compressor oil", "Slideway oil", "Food grade oil"),
            "grade": ("22", "32", "46", "68", "100", "150", "220", "320")}, 58000, base="LTR",
           packs=(GALLON, DRUM_200)),
    Family("SO", "{kind} solvent cleaner", "Chemicals/Cleaners", "Glidex",
           {"kind": ("Acetone", "Isopropanol", "Citrus", "Brake", "White spirit")}, 71000, base="LTR",
           packs=(GALLON, DRUM_200), un_number="UN1993"),
    Family("TA", "{kind} tape {width} mm x 50 m {colour}", "Packaging/Tapes", "Packwell",
           {"kind": ("Duct", "Masking", "Electrical", "Floor marking", "Filament"), "width": ("19", "25", "38", "50"),
            "colour": ("black", "white", "yellow", "red", "silver")}, 46000, packs=(CASE_12,), units={"width": "MMT"}),
    Family("CH", "Welded chain {size} mm grade {grade}", "Material handling/Chain", "Holdfast",
           {"size": ("6", "8", "10", "13", "16", "20"), "grade": ("30", "43", "80", "100")}, 99000, base="MTR",
           packs=(FOOT,), units={"size": "MMT"}),
    Family("CY", "Pneumatic cylinder bore {bore} stroke {stroke} mm", "Pneumatics/Cylinders", "Airmatic",
           {"bore": ("16", "20", "25", "32", "40", "50", "63", "80", "100"),
            "stroke": ("25", "50", "80", "100", "125", "160", "200", "250", "320")}, 640000,
           units={"bore": "MMT", "stroke": "MMT"}),
    Family("PF", "Push-in fitting {form} {tube} mm to {thread}", "Pneumatics/Fittings", "Airmatic",
           {"form": ("straight", "elbow", "tee", "Y"), "tube": ("4", "6", "8", "10", "12"),
            "thread": ("M5", "G1/8", "G1/4", "G3/8", "G1/2")}, 23500, packs=(PACK_25,), units={"tube": "MMT"}),
    Family("FL", "Filter element {kind} {fineness} micron size {size}", "Filtration/Elements", "Airmatic",
           {"kind": ("hydraulic", "air", "fuel", "coolant", "oil"), "fineness": ("3", "5", "10", "25", "50"),
            "size": ("1", "2", "3", "4", "5", "6", "7", "8")}, 265000, units={"fineness": "4H"}),
    Family("WR7", "Welding rod {alloy} {diameter} mm", "Welding/Consumables", "Arcline",
           {"alloy": ("E6013", "E7018", "E308L", "E316L", "ER70S-6", "ENi-CI"),
            "diameter": ("1.6", "2.0", "2.5", "3.2", "4.0", "5.0")}, 84000, base="KGM",
           packs=(("XBX", "box", 5, 1),), units={"diameter": "MMT"}),
)  # fmt: skip


@dataclass(slots=True)
class Article:
    """An item while data is made: `packs` are (code, name, numerator, denominator); prices in ticks a base unit."""

    index: int
    sku: str
    name: str
    family: Family
    attributes: list[tuple[str, str, str | None]]
    price: int
    cost: int
    status: str
    gtin: str
    part: str

    @property
    def pack(self) -> tuple[str, int]:
        """The usual sales unit and how many base units it holds; the base unit where packs are not whole."""
        for code, _, numerator, denominator in self.family.packs:
            if denominator == 1:
                return code, numerator
        return self.family.base, 1


def gtin13(body: str) -> str:
    """Twelve digits with their GS1 check digit."""
    total = sum(int(digit) * (3 if ordinal % 2 else 1) for ordinal, digit in enumerate(body))
    return f"{body}{-total % 10}"


def articles(rng: random.Random) -> list[Article]:
    """All items by SKU: SKU-0001 is the first hex bolt, the rest are spread over the families."""
    shapes = list(_shapes())
    first, rest = shapes[0], shapes[1:]
    rng.shuffle(rest)
    chosen = [first, *rest[: ITEM_COUNT - 1]]
    if len(chosen) < ITEM_COUNT:
        chosen += [(family, values, rank) for family, values, rank in _second_brand(chosen, ITEM_COUNT - len(chosen))]
    return [_article(index, *shape, rng) for index, shape in enumerate(chosen, 1)]


def further_articles(rng: random.Random) -> list[Article]:
    """The items of a large sandbox beyond those of every sandbox: SKU-10001 to SKU-45000, in series of each shape."""
    shapes = list(_shapes())
    made: list[Article] = []
    for number in range(FURTHER):
        family, values, rank = shapes[number % len(shapes)]
        article = _article(FIRST_FURTHER + number, family, values, rank, rng)
        article.name = f"{article.name}, series {number // len(shapes) + 2}"
        made.append(article)
    return made


def _shapes() -> Iterator[tuple[Family, tuple[str, ...], float]]:
    for family in FAMILIES:
        combinations = list(product(*family.axes.values()))
        for ordinal, values in enumerate(combinations):
            yield family, values, ordinal / len(combinations)


def _second_brand(chosen: list[Any], missing: int) -> Iterator[tuple[Family, tuple[str, ...], float]]:
    for family, values, rank in chosen[1 : missing + 1]:
        yield family, values, rank + 1.0


def _article(index: int, family: Family, values: tuple[str, ...], rank: float, rng: random.Random) -> Article:
    economy = rank >= 1.0
    rank %= 1.0
    fields = dict(zip(family.axes, values, strict=True))
    name = family.name.format(**fields) + (", economy" if economy else "")
    price = max(100, round(family.price * (1 + 6 * rank) * rng.uniform(0.9, 1.15)) * (8 if economy else 10) // 10)
    status = "ACTIVE" if index <= 200 else rng.choices(
        ("ACTIVE", "PHASE_OUT", "DISCONTINUED", "BLOCKED"), (950, 25, 20, 5))[0]  # fmt: skip
    return Article(
        index=index,
        sku=f"SKU-{index:04d}",
        name=name,
        family=family,
        attributes=[(code, value, family.units.get(code)) for code, value in fields.items()],
        price=price,
        cost=round(price * rng.uniform(0.48, 0.72)),
        status=status,
        gtin=gtin13(f"4099{index:08d}"),
        part=f"{family.brand[:2].upper()}-{family.code}{'E' if economy else ''}-{index * 37 % 100_000:05d}",
    )


def item_row(article: Article) -> dict[str, Any]:
    family = article.family
    row: dict[str, Any] = {
        "id": f"{20_000 + article.index}",
        "sku": article.sku,
        "name": article.name,
        "status": article.status,
        "baseUom": family.base,
        "uoms": list(_uoms(article)),
        "gtin": article.gtin,
        "manufacturerPart": article.part,
        "category": family.category,
        "attributes": [_attribute(*attribute) for attribute in article.attributes],
    }
    if family.category.startswith("Chemicals/"):
        row["assortments"] = [CHEMICALS]
    if family.un_number:
        row["hazmat"] = {"unNumber": family.un_number, "hazardClass": "3" if family.code == "SO" else "9",
                         "packingGroup": "III"}  # fmt: skip
    if family.base == "EA":
        grams = 5 + article.price // 40
        row["dimensions"] = {"weight": f"{grams / 1000:.3f}", "weightUnit": "KGM"}
    return row


def _uoms(article: Article) -> Iterator[dict[str, Any]]:
    base = article.family.base
    yield {"code": base, "name": UOM_NAMES[base], "numerator": 1, "denominator": 1, "isBase": True, "isSales": True,
           "isStock": True, "minimum": "1", "increment": "1"}  # fmt: skip
    for code, name, numerator, denominator in article.family.packs:
        yield {"code": code, "name": name, "numerator": numerator, "denominator": denominator, "isBase": False,
               "isSales": True, "isStock": False, "minimum": "1", "increment": "1"}  # fmt: skip


def _attribute(code: str, value: str, unit: str | None) -> dict[str, Any]:
    return {"code": code, "value": value} if unit is None else {"code": code, "value": value, "unit": unit}


def cost_row(article: Article) -> dict[str, Any]:
    """What the item costs, and the least margin in percent."""
    return {"sku": article.sku, "unitCost": money(article.cost), "marginFloor": "12.5"}


def content_row(article: Article, index: int) -> dict[str, Any]:
    """What the commerce platform adds: text and media."""
    family = article.family
    words = ", ".join(f"{code} {value}" for code, value, _ in article.attributes)
    media = [{"url": f"https://media.example.com/{article.sku.lower()}.jpg", "kind": "IMAGE", "alt": article.name}]
    if index % 3 == 0:
        media.append({"url": f"https://media.example.com/{family.code.lower()}-datasheet.pdf", "kind": "DATASHEET"})
    return {
        "id": f"v{article.index}",
        "sku": article.sku,
        "description": f"{family.brand} {article.name}: {words}. {family.category.split('/')[0]} for industrial use.",
        "attributes": [{"code": "brand", "value": family.brand}],
        "media": media,
    }


def relation_rows(catalog: list[Article], rng: random.Random) -> dict[str, list[dict[str, Any]]]:
    """Substitutes within a family, successors of discontinued items, accessories (a nut for a bolt)."""
    by_family: dict[str, list[Article]] = {}
    for article in catalog:
        if article.status == "ACTIVE":
            by_family.setdefault(article.family.code, []).append(article)
    related: dict[str, list[dict[str, Any]]] = {}
    for article in catalog:
        rows: list[dict[str, Any]] = []
        peers = by_family.get(article.family.code, [])
        if article.status == "DISCONTINUED" and peers:
            rows.append(_relation("SUPERSEDED_BY", rng.choice(peers), approved=True, priority=0))
        if article.index % 3 == 1:
            for priority, peer in enumerate(rng.sample(peers, min(2, len(peers))), 1):
                if peer is not article:
                    rows.append(_relation("SUBSTITUTE", peer, approved=priority == 1, priority=priority))
        if article.family.code == "HB":
            rows.append(_relation("ACCESSORY", rng.choice(by_family["NT"]), approved=True, priority=9))
        if rows:
            related[article.sku] = rows
    return related


def _relation(kind: str, other: Article, *, approved: bool, priority: int) -> dict[str, Any]:
    return {"type": kind, "sku": other.sku, "ratio": "1", "approved": approved, "priority": priority}
