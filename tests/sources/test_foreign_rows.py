"""Rows that a source answers for another customer than the one asked for are its error, whoever asks."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from app.auth.principal import SYSTEM
from app.errors import SourceMalformed
from app.sources.contacts import Contact
from app.sources.items import CustomerItemKey
from app.sources.pipeline.compose import compile_source
from app.sources.purchases import OrderGuideBasis, OrderGuideItem, PurchaseHistory
from app.sources.receivables import AccountStatement, OpenItem, ReceivableKind, ReceivablesSummary
from app.sources.values import Freshness, Money, Page
from tests.support.ports import source_of

NOW = datetime(2026, 11, 21, tzinfo=UTC)
FRESH = Freshness(source="erp", as_of=NOW)
ONE = Money(amount=Decimal(1), currency="USD")
DAY = date(2026, 11, 21)


def item(customer: str) -> OpenItem:
    return OpenItem(id="1", customer=customer, kind=ReceivableKind.INVOICE, amount=ONE, open=ONE, freshness=FRESH)


def guide(customer: str) -> OrderGuideItem:
    return OrderGuideItem(customer=customer, sku="S", basis=OrderGuideBasis.MAINTAINED, freshness=FRESH)


ROWS: dict[tuple[str, str], Any] = {
    ("receivables", "summary"): lambda customer: ReceivablesSummary(customer=customer, balance=ONE),
    ("receivables", "open_items"): lambda customer: Page(rows=(item("A"), item(customer)), cursors=("1", "2")),
    ("receivables", "statements"): lambda customer: AccountStatement(
        customer=customer, since=DAY, until=DAY, freshness=FRESH
    ),
    ("contacts", "by_customer"): lambda customer: (Contact(id="1", customer=customer, name="N", freshness=FRESH),),
    ("purchases", "history"): lambda customer: PurchaseHistory(customer=customer, sku="S", freshness=FRESH),
    ("purchases", "order_guide"): lambda customer: Page(rows=(guide(customer),), cursors=("1",)),
}


@pytest.mark.parametrize(("port", "read"), ROWS, ids=[".".join(one) for one in ROWS])
async def test_row_of_another_customer_is_malformed(port: str, read: str):
    make = ROWS[port, read]

    class Adapter:
        def __getattr__(self, name: str) -> Any:
            async def answer(_: object, keys: Any) -> Any:
                return {key: make("A") if key == good else make("B") for key in keys}

            return answer

    good, bad = (
        ("A", "C")
        if read != "history"
        else (CustomerItemKey(customer="A", sku="S"), CustomerItemKey(customer="C", sku="S"))
    )
    compiled = compile_source(source_of("erp", **{port: Adapter()}), lambda: NOW)
    found = await getattr(getattr(compiled, port), read)(SYSTEM, [good, bad])
    assert found[good] == make("A")
    assert type(found[bad]) is SourceMalformed
    assert " as th" in found[bad].detail
    assert found[bad].detail not in found[bad].message


async def test_history_of_another_item_is_malformed():
    class Adapter:
        async def history(self, _: object, keys: Any) -> Any:
            return {key: PurchaseHistory(customer=key.customer, sku="OTHER", freshness=FRESH) for key in keys}

        async def order_guide(self, _: object, keys: Any) -> Any:
            return {}

    compiled = compile_source(source_of("erp", purchases=Adapter()), lambda: NOW)
    key = CustomerItemKey(customer="A", sku="S")
    found = await compiled.purchases.history(SYSTEM, [key])  # type: ignore[union-attr]
    assert type(found[key]) is SourceMalformed
