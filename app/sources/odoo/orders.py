"""Sales orders with their lines. How much of an order was shipped follows from its lines and deliveries."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from app.auth.principal import Principal
from app.errors import InvalidCursor
from app.sources.lists import ListCapability
from app.sources.odoo.client import ALL, Domain, OdooClient, record_ids, usable
from app.sources.odoo.customers import PARTNER
from app.sources.odoo.documents import customer_number, parties_of, products_of
from app.sources.odoo.options import OdooOptions
from app.sources.odoo.order_records import OPEN_DELIVERY, OrderRecords, order_of
from app.sources.odoo.reference import OdooReference
from app.sources.odoo.rows import (
    OrderLineRow,
    OrderPositionRow,
    OrderRow,
    PartnerNumberRow,
    PickingStateRow,
)
from app.sources.orders import CustomerPoKey, Order, OrderQuery, OrderSort, OrderStatus
from app.sources.values import Page

SALE = "sale.order"
STATES_OF: Mapping[OrderStatus, str] = {
    OrderStatus.DRAFT: "draft",
    OrderStatus.QUOTED: "sent",
    OrderStatus.CANCELLED: "cancel",
}
"""The statuses by which orders can be listed. For others, as for items and texts of lines, Odoo would join the lines:
it then counts an order, and ends a page, once for each line."""

_SORTS = frozenset({OrderSort.ORDERED_AT_DESC, OrderSort.ORDERED_AT_ASC})
_FILTERS = frozenset({"status", "ordered", "customer_po", "ship_to", "warehouse"})
ORDER_LISTS = ListCapability(filters=_FILTERS, sorts=_SORTS, values={"status": frozenset(STATES_OF)})
ALL_ORDER_LISTS = ListCapability(
    filters=_FILTERS | {"customers"}, sorts=_SORTS, values={"status": frozenset(STATES_OF)}
)
POSITIONS_PER_CALL = 1000


@dataclass(slots=True)
class OdooListing:
    """The orders of one customer on a page: where they are in the list, and whether there are more."""

    positions: list[OrderPositionRow] = field(default_factory=list)
    more: bool = False


class OdooOrders:
    """Orders: three calls at once, then two, for any number of keys."""

    def __init__(
        self, client: OdooClient, reference: OdooReference, options: OdooOptions, clock: Callable[[], datetime]
    ) -> None:
        self._client = client
        self._reference = reference
        self._warehouse_field = options.warehouse_code
        self._clock = clock

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Order]:
        """See `Orders.by_id`."""
        found = {order.id: order for order in await self._orders("id", record_ids(ids), "orders.by_id")}
        return {key: found[key] for key in ids if key in found}

    async def by_number(self, principal: Principal, numbers: Sequence[str]) -> Mapping[str, Order]:
        """See `Orders.by_number`."""
        keys = usable(numbers)
        found = {order.number: order for order in await self._orders("name", keys, "orders")}
        return {key: found[key] for key in keys if key in found}

    async def by_customer_po(
        self, principal: Principal, keys: Sequence[CustomerPoKey]
    ) -> Mapping[CustomerPoKey, Order]:
        """See `Orders.by_customer_po`: the customer reference of an order; one that was cancelled comes last."""
        numbers = usable(key.number for key in keys)
        orders = await self._orders("client_order_ref", numbers, "orders.by_customer_po")
        found: dict[tuple[str | None, str | None], Order] = {}
        for order in sorted(orders, key=_lookup_rank):
            found[order.customer, order.customer_po] = order
        return {key: found[key.customer, key.number] for key in keys if (key.customer, key.number) in found}

    async def by_customer(
        self, principal: Principal, customers: Sequence[str], query: OrderQuery
    ) -> Mapping[str, Page[Order]]:
        """See `Orders.by_customer`: the places in the list are read for all customers together, then the orders."""
        keys, domain = usable(customers), self._domain(query)
        if not keys or domain is None:
            return {}
        position = _position(query.page.after)
        buyers = await self._buyers(keys)
        listings = {key: OdooListing() for key in dict.fromkeys(buyers.values())}
        _, total = await asyncio.gather(
            self._fill(listings, buyers, [*domain, *_after_position(position, query.sort)], query),
            self._counted([*domain, _of(buyers)], counted=query.page.count and len(listings) == 1),
        )
        ids = [row.id for listing in listings.values() for row in listing.positions[: query.page.first]]
        found = {order.id: order for order in await self._orders("id", ids, "orders.by_customer")}
        return {key: _page(listing, found, query, total) for key, listing in listings.items()}

    async def search(self, principal: Principal, query: OrderQuery) -> Page[Order]:
        """See `OrderSearch.search`."""
        domain, first = self._domain(query), query.page.first
        if domain is not None and query.customers is not None:
            buyers = await self._buyers(usable(query.customers))
            domain = [*domain, _of(buyers)] if buyers else None
        if domain is None:
            return Page(total=0 if query.page.count else None)
        window = [*domain, *_after_position(_position(query.page.after), query.sort)]
        rows, total = await asyncio.gather(
            self._positions(window, query.sort, first + 1, "orders.search"),
            self._counted(domain, counted=query.page.count),
        )
        ids = [row.id for row in rows[:first]]
        found = {order.id: order for order in await self._orders("id", ids, "orders.search")}
        return _page(OdooListing(rows, more=len(rows) > first), found, query, total)

    # Lists

    async def _fill(
        self, listings: Mapping[str, OdooListing], buyers: Mapping[int, str], domain: Domain, query: OrderQuery
    ) -> None:
        requested, after = set(listings), None
        while requested:
            some = {id: number for id, number in buyers.items() if number in requested}
            single = len(requested) == 1 and after is None
            limit = query.page.first + 1 if single else max(POSITIONS_PER_CALL, query.page.first + 1)
            window = [*domain, *_after_position(after, query.sort), _of(some)]
            rows = await self._positions(window, query.sort, limit, "orders.list")
            for row in rows:
                listing = listings[some[row.partner_id[0]]]
                listing.positions.append(row)
                listing.more = len(listing.positions) > query.page.first
            requested = {number for number in requested if not listings[number].more}
            if len(rows) < limit:
                return
            after = _sort_position(rows[-1])

    async def _positions(self, domain: Domain, sort: OrderSort, limit: int, call: str) -> list[OrderPositionRow]:
        direction = "asc" if sort is OrderSort.ORDERED_AT_ASC else "desc"
        order = f"date_order {direction}, id {direction}"
        return await self._client.search(SALE, OrderPositionRow, domain, order=order, limit=limit, call=call)

    async def _buyers(self, customers: Sequence[str]) -> Mapping[int, str]:
        """The customer of each partner that may have ordered for one of these."""
        if not customers:
            return {}
        domain: Domain = ["|", ["ref", "in", list(customers)], ["commercial_partner_id.ref", "in", list(customers)]]
        rows = await self._client.search(PARTNER, PartnerNumberRow, domain, context=ALL, call="orders.buyers")
        by_id = {row.id: row for row in rows}
        numbers = {row.id: customer_number(row, by_id) for row in rows}
        return {id: number for id, number in numbers.items() if number is not None and number in customers}

    async def _counted(self, domain: Domain, *, counted: bool) -> int | None:
        return await self._client.count(SALE, domain, call="orders.count") if counted else None

    def _domain(self, query: OrderQuery) -> Domain | None:
        """What the filters but that of customers select; None for nothing."""
        equal = {"client_order_ref": query.customer_po, f"warehouse_id.{self._warehouse_field}": query.warehouse}
        texts = {path: text for path, text in equal.items() if text is not None}
        if len(usable(texts.values())) < len(set(texts.values())):
            return None
        domain: Domain = [[path, "=", text] for path, text in texts.items()]
        if query.ship_to is not None:
            domain.append(["partner_shipping_id", "in", record_ids([query.ship_to])])
        if query.ordered is not None and query.ordered.since is not None:
            domain.append(["date_order", ">=", f"{query.ordered.since.isoformat()} 00:00:00"])
        if query.ordered is not None and query.ordered.until is not None:
            domain.append(["date_order", "<=", f"{query.ordered.until.isoformat()} 23:59:59"])
        if query.status:
            domain.append(["state", "in", [STATES_OF[status] for status in dict.fromkeys(query.status)]])
        return domain

    # Orders

    async def _orders(self, field: str, keys: Sequence[object], call: str) -> list[Order]:
        """The orders in which a field has one of these values."""
        if not keys:
            return []
        now, below = self._clock(), "" if field == "id" else f".{field}"
        rows, lines, deliveries = await asyncio.gather(
            self._client.search(SALE, OrderRow, [[field, "in", list(keys)]], call=call),
            self._client.search(
                "sale.order.line",
                OrderLineRow,
                [[f"order_id{below}", "in", list(keys)]],
                order="order_id, sequence, id",
                call="orders.lines",
            ),
            self._client.search(
                "stock.picking", PickingStateRow, [[f"sale_id{below}", "in", list(keys)]], call="orders.deliveries"
            ),
        )
        partners = [link for row in rows for link in (row.partner_id, row.partner_invoice_id, row.partner_shipping_id)]
        parties, products, units, countries, locations = await asyncio.gather(
            parties_of(self._client, partners, "orders.parties"),
            products_of(self._client, [line.product_id for line in lines], "orders.items"),
            self._reference.units(),
            self._reference.countries(),
            self._reference.locations(),
        )
        by_order: defaultdict[int, list[OrderLineRow]] = defaultdict(list)
        for line in lines:
            by_order[line.order_id[0]].append(line)
        unfinished = {one.sale_id[0] for one in deliveries if one.sale_id is not None and one.state in OPEN_DELIVERY}
        records = OrderRecords(self._client.source, parties, products, units, countries, locations)
        return [order_of(row, by_order[row.id], records, now, unfinished=row.id in unfinished) for row in rows]


def _of(buyers: Mapping[int, str]) -> list[object]:
    return ["partner_id", "in", sorted(buyers)]


def _lookup_rank(order: Order) -> tuple[bool, datetime, int]:
    """Last comes the newest of those that were not cancelled."""
    return (
        order.status is not OrderStatus.CANCELLED,
        order.ordered_at or datetime.min.replace(tzinfo=UTC),
        int(order.id),
    )


def _page(listing: OdooListing, orders: Mapping[str, Order], query: OrderQuery, total: int | None) -> Page[Order]:
    shown = [row for row in listing.positions[: query.page.first] if str(row.id) in orders]
    return Page(
        rows=tuple(orders[str(row.id)] for row in shown),
        cursors=tuple("{:%Y-%m-%d %H:%M:%S}:{}".format(*_sort_position(row)) for row in shown),
        has_next=listing.more,
        has_previous=query.page.after is not None,
        total=total,
    )


def _sort_position(row: OrderPositionRow) -> tuple[datetime, int]:
    return row.date_order, row.id


def _after_position(position: tuple[datetime, int] | None, sort: OrderSort) -> Domain:
    if position is None:
        return []
    at, further = f"{position[0]:%Y-%m-%d %H:%M:%S}", ">" if sort is OrderSort.ORDERED_AT_ASC else "<"
    return ["|", ["date_order", further, at], "&", ["date_order", "=", at], ["id", further, position[1]]]


def _position(cursor: str | None) -> tuple[datetime, int] | None:
    if cursor is None:
        return None
    at, _, id = cursor.rpartition(":")
    ids = record_ids([id])
    try:
        when = datetime.strptime(at, "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 - Odoo's times have no zone
    except ValueError:
        raise InvalidCursor from None
    if not ids:
        raise InvalidCursor
    return when, ids[0]
