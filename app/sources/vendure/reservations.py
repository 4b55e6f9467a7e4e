"""Reservations: what orders have been promised and has not been shipped.

`stockLevels.stockAllocated` holds the sums, but not for which orders, and a reservation must name its order so that
one which the ERP knows too is not counted twice. So the open orders are read, all of them, in one call for each
thousand, whatever the number of SKUs. The sums agree with `stockAllocated` as long as no fulfilment waits to be
sent: Vendure ends the allocation when a fulfilment is made, but the goods lie in the warehouse until it is shipped.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from app.auth.principal import Principal
from app.sources.stock import Reservation
from app.sources.values import Timestamp
from app.sources.vendure.client import PAGE, VendureClient, sendable

OPEN_ORDERS = """query OpenOrders($options: OrderListOptions!) {
  orders(options: $options) { totalItems items {
    code orderPlacedAt
    lines { id quantity productVariant { sku } }
    fulfillments { state lines { orderLineId quantity } }
  } }
}"""

# States are configurable in Vendure, so those without open reservations are named and all others count. Carts and
# drafts are left out by the missing time of order: Vendure sets it in the moment that it allocates.
CLOSED = ("Shipped", "Delivered", "Cancelled")
SENT = frozenset({"Shipped", "Delivered"})


class ReservedVariant(msgspec.Struct, frozen=True):
    """What was ordered."""

    sku: str


class ReservedLine(msgspec.Struct, frozen=True, rename="camel"):
    """A line; `quantity` is what is left of it after cancellations."""

    id: str
    quantity: int
    product_variant: ReservedVariant


class ReservedFulfillmentLine(msgspec.Struct, frozen=True, rename="camel"):
    """How much of a line a fulfilment holds."""

    order_line_id: str
    quantity: int


class ReservedFulfillment(msgspec.Struct, frozen=True):
    """Goods made ready for, or given to, a carrier."""

    state: str
    lines: tuple[ReservedFulfillmentLine, ...]


class OpenOrder(msgspec.Struct, frozen=True, rename="camel"):
    """An order that may still hold reservations."""

    code: str
    order_placed_at: Timestamp | None
    lines: tuple[ReservedLine, ...]
    fulfillments: tuple[ReservedFulfillment, ...] | None = ()


class OpenOrderList(msgspec.Struct, frozen=True, rename="camel"):
    """A page of them."""

    total_items: int
    items: tuple[OpenOrder, ...]


class OpenOrders(msgspec.Struct, frozen=True):
    """The answer to OPEN_ORDERS."""

    orders: OpenOrderList


class VendureReservations:
    """Reservations of all channels. An order has no warehouse in Vendure, so neither has a reservation."""

    def __init__(self, client: VendureClient) -> None:
        self._client = client

    async def reservations(self, principal: Principal, skus: Sequence[str]) -> Mapping[str, tuple[Reservation, ...]]:
        """See `Reservations.reservations`; oldest orders first."""
        requested = frozenset(sendable(skus))
        if not requested:
            return {}
        found: defaultdict[str, list[Reservation]] = defaultdict(list)
        for order in (await self._open_orders()).values():
            for sku, quantity in _unshipped(order).items():
                if sku in requested and quantity > 0:
                    found[sku].append(
                        Reservation(order=order.code, sku=sku, quantity=Decimal(quantity), at=order.order_placed_at)
                    )
        return {sku: tuple(rows) for sku, rows in found.items()}

    async def _open_orders(self) -> dict[str, OpenOrder]:
        orders: dict[str, OpenOrder] = {}
        skip = 0
        while True:
            options = {
                "filter": {"orderPlacedAt": {"isNull": False}, "state": {"notIn": CLOSED}},
                "sort": {"id": "ASC"},
                "take": PAGE,
                "skip": skip,
            }
            page = await self._client.run(
                OPEN_ORDERS, {"options": options}, into=OpenOrders, call="reservations", all_channels=True
            )
            # An order that closes between two pages shifts the rest, so pages overlap; the code makes them one again.
            orders.update((order.code, order) for order in page.orders.items)
            skip += PAGE - 50
            if len(page.orders.items) < PAGE:
                return orders


def _unshipped(order: OpenOrder) -> Mapping[str, int]:
    sent: defaultdict[str, int] = defaultdict(int)
    for fulfillment in order.fulfillments or ():
        if fulfillment.state in SENT:
            for part in fulfillment.lines:
                sent[part.order_line_id] += part.quantity
    left: defaultdict[str, int] = defaultdict(int)
    for line in order.lines:
        left[line.product_variant.sku] += max(0, line.quantity - sent[line.id])
    return left
