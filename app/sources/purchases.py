"""What customers buy: the history of an item, and the order guide. The source counts; the gateway reads no orders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum
from operator import attrgetter
from typing import Any, Protocol

from app.auth.principal import Principal
from app.sources.items import CustomerItemKey
from app.sources.ports import Port, Read, Routing, Shape, same
from app.sources.values import Freshness, Money, Page, PageRequest, Record

LAST_PURCHASES = 3
"""Orders of an item that its history shows."""


class Purchase(Record):
    """An item on an order of the customer. Quantity and price in `uom`."""

    order_number: str
    line_number: int | None = None
    ordered_on: date
    quantity: Decimal
    uom: str
    unit_price: Money | None = None


class PurchaseHistory(Record):
    """How a customer has bought an item. `times` counts its orders since `since`; `last` are the newest, at most 3,
    newest first."""

    customer: str
    sku: str
    times: int | None = None
    since: date | None = None
    last: tuple[Purchase, ...] = ()
    freshness: Freshness


class OrderGuideBasis(StrEnum):
    """What an order guide is made of. UNKNOWN: the source has a basis that its adapter does not map."""

    MAINTAINED = "MAINTAINED"
    ORDER_HISTORY = "ORDER_HISTORY"
    UNKNOWN = "UNKNOWN"


class OrderGuideItem(Record):
    """An item of a customer's order guide. `quantity` is what it usually orders, in `uom`."""

    customer: str
    sku: str
    basis: OrderGuideBasis
    section: str | None = None
    quantity: Decimal | None = None
    uom: str | None = None
    times: int | None = None
    last_ordered_on: date | None = None
    freshness: Freshness


class OrderGuideQuery(Record):
    """A page of each customer's order guide."""

    page: PageRequest


class Purchases(Protocol):
    """Purchases of customers. Unknown keys are absent from the mappings."""

    async def history(
        self, principal: Principal, keys: Sequence[CustomerItemKey]
    ) -> Mapping[CustomerItemKey, PurchaseHistory]:
        """Purchase histories by customer and SKU; absent where the customer has not bought the item."""
        ...

    async def order_guide(
        self, principal: Principal, customers: Sequence[str], query: OrderGuideQuery
    ) -> Mapping[str, Page[OrderGuideItem]]:
        """A page of each customer's order guide, in the source's order."""
        ...


_customer = attrgetter("customer")


def _foreign_history(key: CustomerItemKey, row: Any) -> str | None:
    if (row.customer, row.sku) == (key.customer, key.sku):
        return None
    return f"history of {row.customer}, {row.sku} as that of {key.customer}, {key.sku}"


def _foreign_guide(customer: str, page: Any) -> str | None:
    others = sorted({row.customer for row in page.rows} - {customer})
    return f"order guide of {others[0]} as that of {customer}" if others else None


def _simulated_history(row: Any) -> PurchaseHistory:
    purchase = Purchase(order_number=row.key_of_lines("O"), ordered_on=date(2000, 1, 1), quantity=Decimal(1), uom="EA")
    return PurchaseHistory(customer=row.customer, sku=row.id, last=(purchase,), freshness=row.freshness)


def _simulated_guide(row: Any) -> OrderGuideItem:
    return OrderGuideItem(customer=row.customer, sku=row.id, basis=OrderGuideBasis.MAINTAINED, freshness=row.freshness)


PURCHASES = Port(
    "purchases",
    Purchases,
    {
        "history": Read(
            record=PurchaseHistory,
            routing=Routing.CUSTOMER,
            key_customer=_customer,
            row_customer=_customer,
            check=_foreign_history,
            simulated=_simulated_history,
        ),
        "order_guide": Read(
            record=OrderGuideItem,
            shape=Shape.PAGE,
            routing=Routing.CUSTOMER,
            key_customer=same,
            row_customer=_customer,
            check=_foreign_guide,
            simulated=_simulated_guide,
        ),
    },
)
