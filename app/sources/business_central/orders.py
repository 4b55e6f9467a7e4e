"""Sales orders. An order that was shipped and invoiced in full leaves Business Central's orders for its invoices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from app import telemetry
from app.auth.principal import Principal
from app.errors import InvalidCursor
from app.http.odata import ODataQuery, all_of, any_of, literal
from app.sources.business_central.client import (
    EXTERNAL_NUMBER,
    BusinessCentralClient,
    guids,
    known_day,
    midnight,
    sendable,
    word,
)
from app.sources.business_central.rows import BCOrderLineRow, BCOrderRow
from app.sources.lists import ListCapability
from app.sources.orders import CustomerPoKey, Order, OrderLine, OrderQuery, OrderSort, OrderStatus, Totals
from app.sources.values import Address, Freshness, Money, Page, Party, Ref

STATUSES = {"Draft": OrderStatus.DRAFT, "In Review": OrderStatus.PROCESSING, "Open": OrderStatus.CONFIRMED}
"""Business Central's status of an order that is not shipped in full."""

ORDER_LISTS = ListCapability(
    filters=frozenset({"status"}),
    sorts=frozenset({OrderSort.ORDERED_AT_DESC, OrderSort.ORDERED_AT_ASC}),
    values={"status": frozenset(STATUSES.values())},
)
_ORDER_BY = {
    OrderSort.ORDERED_AT_DESC: ("orderDate desc", "number desc"),
    OrderSort.ORDERED_AT_ASC: ("orderDate", "number"),
}


class BusinessCentralOrders:
    """Orders with their lines, in one request for any number of keys."""

    def __init__(self, client: BusinessCentralClient, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._clock = clock

    async def by_number(self, principal: Principal, numbers: Sequence[str]) -> Mapping[str, Order]:
        """See `Orders.by_number`."""
        keys = sendable(numbers)
        found = {order.number: order for order in await self._found("number", keys, "orders")}
        return {key: found[key] for key in keys if key in found}

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Order]:
        """See `Orders.by_id`."""
        keys = guids(ids)
        found = {order.id: order for order in await self._found("id", list(keys), "orders.by_id")}
        return {key: found[key] for key in keys.values() if key in found}

    async def by_customer_po(
        self, principal: Principal, keys: Sequence[CustomerPoKey]
    ) -> Mapping[CustomerPoKey, Order]:
        """See `Orders.by_customer_po`: the external document number, which Business Central's users fill with it."""
        numbers = sendable((key.number for key in keys), EXTERNAL_NUMBER)
        orders = await self._found("externalDocumentNumber", numbers, "orders.by_customer_po")
        found: dict[tuple[str | None, str | None], Order] = {}
        for order in sorted(orders, key=lambda order: (order.ordered_at is not None, order.ordered_at, order.number)):
            found[order.customer, order.customer_po] = order
        return {key: found[key.customer, key.number] for key in keys if (key.customer, key.number) in found}

    async def by_customer(
        self, principal: Principal, customers: Sequence[str], query: OrderQuery
    ) -> Mapping[str, Page[Order]]:
        """See `Orders.by_customer`: a batch with a page for each customer. A cursor is the number of orders before it,
        so an order that is created while someone pages moves the rest by one."""
        skip = _start(query.page.after)
        numbers = sendable(customers)
        names = [name for name, status in STATUSES.items() if status in query.status]
        narrowed = (any_of("status", names), "fullyShipped eq false") if query.status else ()
        queries = [
            (
                "salesOrders",
                ODataQuery(
                    filter=all_of(f"customerNumber eq {literal(number)}", *narrowed),
                    orderby=_ORDER_BY[query.sort],
                    top=query.page.first,
                    skip=skip,
                    count=True,
                ),
                BCOrderRow,
            )
            for number in numbers
        ]
        pages = await self._client.pages(queries, call="orders.by_customer")
        now = self._clock()
        return {
            number: Page(
                rows=tuple(self._order(row, now) for row in page.value),
                cursors=tuple(str(skip + place) for place in range(1, len(page.value) + 1)),
                has_next=skip + len(page.value) < (page.count or 0),
                has_previous=skip > 0,
                total=page.count,
            )
            for number, page in zip(numbers, pages, strict=True)
        }

    async def _found(self, name: str, keys: Sequence[object], call: str) -> list[Order]:
        rows = await self._client.rows("salesOrders", BCOrderRow, name, keys, call=call)
        now = self._clock()
        return [self._order(row, now) for row in rows]

    def _order(self, row: BCOrderRow, now: datetime) -> Order:
        raw = word(row.status)
        status = OrderStatus.SHIPPED if row.fully_shipped else STATUSES.get(raw, OrderStatus.UNKNOWN)
        if status is OrderStatus.UNKNOWN:
            telemetry.unknown_status(self._client.source, "order", raw)
        currency = row.currency_code

        def money(amount: Decimal) -> Money:
            return Money(amount=amount, currency=currency)

        return Order(
            id=row.id,
            source=self._client.source,
            number=row.number,
            refs=(Ref(system=self._client.source, id=row.id),),
            customer=row.customer_number or None,
            customer_po=row.external_document_number or None,
            status=status,
            raw_status=raw,
            ordered_at=midnight(row.order_date),
            updated_at=row.last_modified_date_time,
            requested_on=known_day(row.requested_delivery_date),
            bill_to=_party(
                row.bill_to_name,
                (row.bill_to_address_line1, row.bill_to_address_line2),
                row.bill_to_city,
                row.bill_to_state,
                row.bill_to_post_code,
                row.bill_to_country,
            ),
            ship_to=_party(
                row.ship_to_name,
                (row.ship_to_address_line1, row.ship_to_address_line2),
                row.ship_to_city,
                row.ship_to_state,
                row.ship_to_post_code,
                row.ship_to_country,
            ),
            currency=currency,
            totals=Totals(
                net=money(row.total_amount_excluding_tax),
                tax=money(row.total_tax_amount),
                total=money(row.total_amount_including_tax),
            ),
            lines=tuple(_line(row, line) for line in sorted(row.sales_order_lines, key=lambda line: line.sequence)),
            freshness=Freshness(source=self._client.source, as_of=now),
        )


def _line(order: BCOrderRow, row: BCOrderLineRow) -> OrderLine:
    is_item = word(row.line_type) == "Item"
    return OrderLine(
        id=row.id,
        number=row.sequence,
        order=order.number,
        customer=order.customer_number or None,
        sku=row.line_object_number or None if is_item else None,
        description=row.description or None,
        uom=row.unit_of_measure_code,
        quantity=row.quantity,
        shipped_quantity=row.shipped_quantity,
        invoiced_quantity=row.invoiced_quantity,
        unit_price=Money(amount=row.unit_price, currency=order.currency_code),
        total=Money(amount=row.net_amount, currency=order.currency_code),
    )


def _party(name: str, lines: Sequence[str], city: str, region: str, postal_code: str, country: str) -> Party | None:
    if not name:
        return None
    address = Address(
        lines=tuple(line for line in lines if line),
        city=city or None,
        region=region or None,
        postal_code=postal_code or None,
        country=country or None,
    )
    return Party(name=name, address=address)


def _start(after: str | None) -> int:
    if after is None:
        return 0
    if not after.isascii() or not after.isdecimal() or len(after) > 9:
        raise InvalidCursor
    return int(after)
