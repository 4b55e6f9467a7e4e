"""The sandbox's ERP answers price questions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from app.sandbox.build import pair
from app.sandbox.pricing import PriceTerms, breaks_in_unit, class_terms, in_unit
from app.sandbox.store import SandboxStore
from app.sources.rest.contract import PriceQuestion


class PricedItem(msgspec.Struct):
    """What pricing knows of an item: list price of a base unit in ticks, units as (numerator, denominator)."""

    ticks: int
    category: str
    pack: int
    base: str
    uoms: dict[str, tuple[int, int]]


class PricedCustomer(msgspec.Struct, rename={"customer_class": "class"}):
    """What pricing knows of a customer."""

    customer_class: str


def quote(store: SandboxStore, questions: Sequence[PriceQuestion], moment: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """(position, price) for each question that has a price: known customer, item and unit, positive quantity."""
    items = store.one("pricing.item", {question.sku for question in questions})
    customers = store.one("pricing.customer", {question.customer for question in questions})
    lines = store.one("pricing.contract", {pair(question.customer, question.sku) for question in questions})
    for ordinal, question in enumerate(questions):
        if question.sku not in items or question.customer not in customers or not question.quantity > 0:
            continue
        item = msgspec.json.decode(items[question.sku], type=PricedItem)
        unit = question.uom or item.base
        if unit in item.uoms:
            line = lines.get(pair(question.customer, question.sku))
            terms = _terms(item, customers[question.customer], line, question.on or store.today)
            yield ordinal, _price(question, item, unit, terms, moment)


def _terms(item: PricedItem, customer: bytes, line: bytes | None, day: date) -> PriceTerms:
    if line is not None:
        terms = msgspec.json.decode(line, type=PriceTerms)
        if (terms.valid_from or "") <= day.isoformat() <= (terms.valid_to or "9999"):
            return terms
    known = msgspec.json.decode(customer, type=PricedCustomer)
    return class_terms(item.ticks, item.category, known.customer_class, item.pack)


def change_contract(store: SandboxStore, customer: str, sku: str, percent: Decimal) -> bool:
    """Add a contract line with other prices than those of today; False where the customer or item is unknown."""
    items, customers = store.one("pricing.item", [sku]), store.one("pricing.customer", [customer])
    if sku not in items or customer not in customers:
        return False
    key = pair(customer, sku)
    item = msgspec.json.decode(items[sku], type=PricedItem)
    terms = _terms(item, customers[customer], store.one("pricing.contract", [key]).get(key), store.today)
    breaks = tuple((minimum, int(ticks * (100 + percent) / 100)) for minimum, ticks in terms.breaks)
    changed = PriceTerms(rule="CONTRACT", breaks=breaks, contract=f"{terms.contract or customer}-CHANGED")
    store.add(changed, [("pricing.contract", key)])
    return True


def _price(question: PriceQuestion, item: PricedItem, unit: str, terms: PriceTerms, moment: str) -> dict[str, Any]:
    numerator, denominator = item.uoms[unit]
    base_quantity = question.quantity * numerator / denominator
    unit_price = in_unit(terms.ticks(base_quantity), numerator, denominator)
    list_price = in_unit(item.ticks, numerator, denominator)
    return {
        "customer": question.customer,
        "sku": question.sku,
        "uom": unit,
        "quantity": question.quantity,
        "unitPrice": _money(unit_price),
        "listPrice": _money(list_price),
        "discountPercent": (100 * (list_price - unit_price) / list_price).quantize(Decimal("0.01")),
        "breaks": [
            {"minimum": minimum, "unitPrice": _money(in_unit(ticks, numerator, denominator))}
            for minimum, ticks in breaks_in_unit(terms.breaks, numerator, denominator)
        ],
        "reason": {"rule": terms.rule, "contract": terms.contract, "priceList": terms.price_list, "certainty": "KNOWN"},
        "validFrom": terms.valid_from,
        "validTo": terms.valid_to,
        "quotedAt": moment,
    }  # fmt: skip


def _money(amount: Decimal) -> dict[str, Any]:
    return {"amount": amount, "currency": "USD"}
