"""Orders in: one request that creates an order with its lines and the gateway's key in its meta data.

WooCommerce makes two orders of two equal requests, and finds no order by its meta data: a key is looked for among the
orders of the last days.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import msgspec

from app.auth.principal import Principal
from app.errors import SourceMalformed
from app.http.client import HTTPResponse
from app.settings.resilience import ORDER_SUBMISSIONS
from app.sources.order_writer import (
    NewOrder,
    NewOrderLine,
    OrderNotAccepted,
    SimulatedLine,
    WrittenOrder,
    before_creation,
    remarks,
)
from app.sources.orders import OrderStatus
from app.sources.woocommerce.client import WooCommerceClient, WooMeta, gmt, meta_value, row_ids, sendable
from app.sources.woocommerce.customers import WooAddress, WooCommerceNumbers, WooCustomer, location_id
from app.sources.woocommerce.items import PARENTS, PRODUCTS
from app.sources.woocommerce.options import WooCommerceOptions
from app.sources.woocommerce.order_records import is_shipped
from app.sources.woocommerce.orders import ORDERS

CALL: Final = ORDER_SUBMISSIONS
CREATED = "created"
KEY = "tradegraph_key"
"""The meta key of an order that holds the gateway's key."""

REASON = "tradegraph_cancel_reason"
CANCELLED = "cancelled"
BEFORE_PICKING = frozenset({OrderStatus.DRAFT, OrderStatus.QUOTED, OrderStatus.CONFIRMED, OrderStatus.PROCESSING})
DIGITS, DECIMALS = 15, 6
"""Digits of an amount, and those after the point, that WooCommerce calculates with: its numbers are floats."""


class WooWrittenOrder(msgspec.Struct, frozen=True):
    """An order that was written, or may be one."""

    id: int
    number: str
    status: str
    date_created_gmt: datetime
    meta_data: tuple[WooMeta, ...]


class WooArticleToOrder(msgspec.Struct, frozen=True):
    """A product or variation to order."""

    id: int
    parent_id: int
    sku: str
    type: str


class NewWooMeta(msgspec.Struct, frozen=True):
    """An entry of meta data to write."""

    key: str
    value: str


class NewWooLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line to create. Without a total, WooCommerce takes its own price."""

    product_id: int
    quantity: int
    meta_data: tuple[NewWooMeta, ...]
    variation_id: int | None = None
    subtotal: str | None = None
    total: str | None = None


class NewWooAddress(msgspec.Struct, frozen=True, omit_defaults=True):
    """An address of an order to create."""

    first_name: str = ""
    last_name: str = ""
    company: str = ""
    address_1: str = ""
    address_2: str = ""
    city: str = ""
    state: str = ""
    postcode: str = ""
    country: str = ""
    email: str | None = None


class NewWooOrder(msgspec.Struct, frozen=True, omit_defaults=True):
    """An order to create."""

    status: str
    customer_id: int
    currency: str
    billing: NewWooAddress
    shipping: NewWooAddress
    line_items: tuple[NewWooLine, ...]
    meta_data: tuple[NewWooMeta, ...]
    customer_note: str | None = None


class WooCancellation(msgspec.Struct, frozen=True):
    """An order to cancel."""

    status: str
    meta_data: tuple[NewWooMeta, ...]


class WooRefusal(msgspec.Struct, frozen=True):
    """Why WooCommerce refuses a request; `message` is for the log."""

    code: str
    message: str = ""


class WooCommerceOrderWriter:
    """The writer of one shop."""

    steps = (CREATED,)
    unique_key = False

    def __init__(
        self,
        client: WooCommerceClient,
        options: WooCommerceOptions,
        clock: Callable[[], datetime],
        numbers: WooCommerceNumbers,
        max_seconds: float,
    ) -> None:
        self._client = client
        self._options = options
        self._clock = clock
        self._numbers = numbers
        self.max_seconds = max_seconds

    async def find(self, principal: Principal, keys: Sequence[str]) -> Mapping[str, tuple[WrittenOrder, ...]]:
        """See `OrderWriter.find`; among the orders of the last `lookup_days` days, of whatever customer."""
        return await self.find_since(principal, keys, self._clock() - timedelta(days=self._options.lookup_days))

    async def find_since(
        self, principal: Principal, keys: Sequence[str], since: datetime
    ) -> Mapping[str, tuple[WrittenOrder, ...]]:
        """See `DatedLookup.find_since`. Raises SourceMalformed for more than 10,000 orders since then."""
        found: defaultdict[str, list[WrittenOrder]] = defaultdict(list)
        requested = set(keys)
        if not requested:
            return {}
        async for rows in self._client.since(
            ORDERS, WooWrittenOrder, "date", since, lambda row: gmt(row.date_created_gmt), call=f"{CALL}.find"
        ):
            for row in rows:
                key = meta_value(row.meta_data, KEY)
                if key in requested and self._status(row) is not OrderStatus.CANCELLED:
                    found[key].append(_written(key, row))
        return {key: tuple(found[key]) for key in dict.fromkeys(keys) if key in found}

    async def post(self, principal: Principal, order: NewOrder, found: WrittenOrder | None = None) -> WrittenOrder:
        if found is not None:
            return found
        with before_creation():
            body = await self._new_order(order)
        response = await self._client.write("POST", ORDERS, WooWrittenOrder, body, call=f"{CALL}.create")
        if response.status >= 400:
            raise OrderNotAccepted(detail=f"create: {_reason(response)}")
        return _written(order.key, response.decode(WooWrittenOrder))

    async def simulate(self, principal: Principal, order: NewOrder) -> Sequence[SimulatedLine] | None:
        """See `OrderWriter.simulate`: WooCommerce prices an order only by creating it."""
        return None

    async def cancel(self, principal: Principal, order: WrittenOrder, reason: str) -> None:
        """See `OrderWriter.cancel`: by its status, which WooCommerce changes whatever happened to the order. One that
        is sent or completed is refused here."""
        ids = row_ids([order.id])
        if not ids:
            raise SourceMalformed(self._client.name, detail="the id of a written order is no number")
        rows = await self._client.by_keys(
            ORDERS, WooWrittenOrder, "include", ids, lambda row: str(row.id), call=f"{CALL}.status"
        )
        status = self._status(rows[0]) if rows else OrderStatus.CANCELLED
        if status is OrderStatus.CANCELLED:
            return
        if status not in BEFORE_PICKING or is_shipped(rows[0].meta_data, self._options):
            raise OrderNotAccepted(picked=True, detail=f"cancel: the order is {rows[0].status}")
        body = WooCancellation(CANCELLED, (NewWooMeta(REASON, reason[:255]),))
        response = await self._client.write("PUT", f"{ORDERS}/{ids[0]}", WooWrittenOrder, body, call=f"{CALL}.cancel")
        if response.status >= 400:
            raise OrderNotAccepted(detail=f"cancel: {_reason(response)}")

    def _status(self, row: WooWrittenOrder) -> OrderStatus:
        return self._options.order_statuses.get(row.status, OrderStatus.UNKNOWN)

    async def _new_order(self, order: NewOrder) -> NewWooOrder:
        buyer = (await self._numbers.customers([order.customer], call=f"{CALL}.customer")).get(order.customer)
        if buyer is None:
            raise OrderNotAccepted(detail="no customer has this number")
        rows = await self._client.by_keys(
            PRODUCTS,
            WooArticleToOrder,
            "sku",
            sendable([line.sku for line in order.lines]),
            lambda row: row.sku,
            call=f"{CALL}.products",
        )
        by_sku = {row.sku: row for row in reversed(rows) if row.type not in PARENTS}
        unknown = [line.number for line in order.lines if line.sku not in by_sku]
        if unknown:
            raise OrderNotAccepted(lines=unknown, detail="no product or variation has this SKU")
        return NewWooOrder(
            status=self._options.order_status,
            customer_id=buyer.id,
            currency=self._options.currency,
            billing=_address(buyer.billing, buyer.email or None),
            shipping=_address(_ship_to(buyer, order.ship_to)),
            line_items=tuple(self._line(line, by_sku[line.sku]) for line in order.lines),
            meta_data=(NewWooMeta(KEY, order.key), NewWooMeta(self._options.po_number_key, order.customer_po)),
            customer_note=remarks(order, dated=True),
        )

    def _line(self, line: NewOrderLine, article: WooArticleToOrder) -> NewWooLine:
        whole = 0 < line.quantity < Decimal(10**9) and line.quantity == line.quantity.to_integral_value()
        if not whole or line.uom not in (None, self._options.uom) or line.price_unit != 1:
            raise OrderNotAccepted(lines=[line.number], detail="WooCommerce takes whole quantities of one unit only")
        is_variation = article.type == "variation"
        total = self._total(line)
        return NewWooLine(
            product_id=article.parent_id if is_variation else article.id,
            variation_id=article.id if is_variation else None,
            quantity=int(line.quantity),
            subtotal=total,
            total=total,
            meta_data=(NewWooMeta(self._options.line_number_key, str(line.number)),),
        )

    def _total(self, line: NewOrderLine) -> str | None:
        """The quoted price of the whole line, without tax: a line has no price of a unit."""
        if line.unit_price is None:
            return None
        if line.unit_price.currency != self._options.currency:
            raise OrderNotAccepted(lines=[line.number], detail="the price is in another currency than the shop's")
        total = (line.unit_price.amount * line.quantity).normalize()
        _, digits, exponent = total.as_tuple()
        if not isinstance(exponent, int) or -exponent > DECIMALS or len(digits) + max(exponent, 0) > DIGITS:
            raise OrderNotAccepted(lines=[line.number], detail="the price has more digits than WooCommerce keeps")
        return format(total, "f")


def _ship_to(buyer: WooCustomer, location: str | None) -> WooAddress:
    """Where the goods go: the address that the order names, else the customer's own for goods."""
    default = buyer.billing if buyer.shipping.is_empty else buyer.shipping
    if location is None or location == location_id(buyer, "shipping"):
        return default
    if location != location_id(buyer, "billing"):
        raise OrderNotAccepted(detail="the customer has no such location")
    return buyer.billing


def _address(one: WooAddress, email: str | None = None) -> NewWooAddress:
    return NewWooAddress(**{name: getattr(one, name) for name in WooAddress.__struct_fields__}, email=email)


def _written(key: str, row: WooWrittenOrder) -> WrittenOrder:
    return WrittenOrder(key=key, id=str(row.id), number=row.number, step=CREATED)


def _reason(response: HTTPResponse) -> str:
    refusal = response.decode(WooRefusal)
    return f"{response.status} {refusal.code}: {refusal.message[:200]}"
