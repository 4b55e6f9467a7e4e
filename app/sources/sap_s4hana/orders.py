"""Sales orders with their items and schedule lines.

The status of an order is S/4HANA's own: rejected in full, or what was delivered of it. `A` is not, `B` partly, `C`
wholly processed; empty is not relevant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal

from app import telemetry
from app.auth.principal import Principal
from app.errors import InvalidCursor
from app.http.odata import ODataPage, ODataQuery, all_of, any_of
from app.http.odata_v2 import literal
from app.sources.capabilities import not_supported
from app.sources.customers import PaymentTerms
from app.sources.lists import DateRange, ListCapability
from app.sources.orders import (
    CustomerPoKey,
    Hold,
    HoldKind,
    Order,
    OrderLine,
    OrderQuery,
    OrderSort,
    OrderStatus,
    ScheduleLine,
    Totals,
)
from app.sources.sap_s4hana.client import (
    MAX_FILTER,
    ORDERS,
    PURCHASE_ORDER,
    S4HANAClient,
    external,
    known,
    midnight,
    sendable,
)
from app.sources.sap_s4hana.options import S4HANAOptions
from app.sources.sap_s4hana.rows import SAPOrderItemRow, SAPOrderRow, SAPScheduleLineRow
from app.sources.values import Address, Freshness, Money, Page, Party, Ref

REJECTED, DELIVERY = "OverallSDDocumentRejectionSts", "OverallTotalDeliveryStatus"
DELIVERIES = {"A": OrderStatus.CONFIRMED, "B": OrderStatus.PARTIALLY_SHIPPED, "C": OrderStatus.SHIPPED}
_OPEN = f"{REJECTED} ne 'C' and ({DELIVERY} eq 'A' or {DELIVERY} eq 'B')"
_STATUS_FILTERS = {
    OrderStatus.CANCELLED: f"{REJECTED} eq 'C'",
    **{status: f"({REJECTED} ne 'C' and {DELIVERY} eq '{code}')" for code, status in DELIVERIES.items()},
}
_HOLD_FILTERS = {
    HoldKind.CREDIT: "TotalCreditCheckStatus eq 'B'",
    HoldKind.OTHER: "DeliveryBlockReason ne '' or HeaderBillingBlockReason ne ''",
}
_ORDER_BY = {
    OrderSort.ORDERED_AT_DESC: ("SalesOrderDate desc", "SalesOrder desc"),
    OrderSort.ORDERED_AT_ASC: ("SalesOrderDate", "SalesOrder"),
}
ORDER_LISTS = ListCapability(
    filters=frozenset({"status", "ordered", "customer_po", "hold", "open", "customers"}),
    sorts=frozenset(_ORDER_BY),
    values={"status": frozenset(_STATUS_FILTERS), "hold": frozenset(_HOLD_FILTERS)},
)


class S4HANAOrders:
    """Orders, in one request for any number of keys."""

    def __init__(self, client: S4HANAClient, options: S4HANAOptions, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._ship_to = options.ship_to_function
        self._bill_to = options.bill_to_function
        self._clock = clock

    async def by_number(self, principal: Principal, numbers: Sequence[str]) -> Mapping[str, Order]:
        """See `Orders.by_number`."""
        keys = sendable(numbers)
        found = {order.number: order for order in await self._found("SalesOrder", keys, "orders")}
        return {key: found[key] for key in keys if key in found}

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Order]:
        """See `Orders.by_id`: an order's number is its id."""
        return await self.by_number(principal, ids)

    async def by_customer_po(
        self, principal: Principal, keys: Sequence[CustomerPoKey]
    ) -> Mapping[CustomerPoKey, Order]:
        """See `Orders.by_customer_po`."""
        numbers = [one for one in dict.fromkeys(key.number for key in keys) if 0 < len(one) <= PURCHASE_ORDER]
        orders = await self._found("PurchaseOrderByCustomer", numbers, "orders.by_customer_po")
        found: dict[tuple[str | None, str | None], Order] = {}
        for order in sorted(orders, key=_age):
            found[order.customer, order.customer_po] = order
        return {key: found[key.customer, key.number] for key in keys if (key.customer, key.number) in found}

    async def by_customer(
        self, principal: Principal, customers: Sequence[str], query: OrderQuery
    ) -> Mapping[str, Page[Order]]:
        """See `Orders.by_customer`: a batch with a page for each customer. A cursor is the number of orders before it,
        so an order that is created while someone pages moves the rest by one."""
        skip, numbers = _start(query.page.after), sendable(customers)
        own = _conditions(query)
        queries = [_page_query(query, skip, f"SoldToParty eq {literal(number)}", *own) for number in numbers]
        pages = await self._client.pages(ORDERS, "A_SalesOrder", SAPOrderRow, queries, call="orders.by_customer")
        now = self._clock()
        return {number: self._page(page, skip, now) for number, page in zip(numbers, pages, strict=True)}

    async def search(self, principal: Principal, query: OrderQuery) -> Page[Order]:
        """See `OrderSearch.search`. Raises NotSupported for more customers than fit into a URL."""
        skip, now = _start(query.page.after), self._clock()
        chosen = None
        if query.customers is not None:
            numbers = sendable(query.customers)
            chosen = any_of("SoldToParty", numbers, literal)
            if not numbers:
                return Page()
            if len(chosen) * 5 // 3 > MAX_FILTER:  # Blanks are sent as three characters.
                raise not_supported(self._client.source, "orders.search", f"{len(numbers)} customers are too many")
        found = _page_query(query, skip, chosen, *_conditions(query))
        page = await self._client.page(ORDERS, "A_SalesOrder", SAPOrderRow, found, call="orders.search")
        return self._page(page, skip, now)

    def _page(self, page: ODataPage[SAPOrderRow], skip: int, now: datetime) -> Page[Order]:
        return Page(
            rows=tuple(self._order(row, now) for row in page.value),
            cursors=tuple(str(skip + position) for position in range(1, len(page.value) + 1)),
            has_next=skip + len(page.value) < (page.count or 0),
            has_previous=skip > 0,
            total=page.count,
        )

    async def _found(self, name: str, keys: Sequence[str], call: str) -> list[Order]:
        rows = await self._client.rows(ORDERS, "A_SalesOrder", SAPOrderRow, name, keys, call=call)
        now = self._clock()
        return [self._order(row, now) for row in rows]

    def _order(self, row: SAPOrderRow, now: datetime) -> Order:
        number, currency, client = external(row.sales_order), row.transaction_currency, self._client
        items = sorted(row.to_item.results, key=lambda item: client.line_number(item.sales_order_item) or 0)
        tax = sum((item.tax_amount for item in items if item.tax_amount is not None), Decimal(0))
        plants = {item.production_plant for item in items if item.production_plant}
        promised = [day for item in items for line in item.to_schedule_line.results if (day := self._promised(line))]
        return Order(
            id=number,
            source=client.source,
            number=number,
            refs=(Ref(system=client.source, id=number),),
            customer=known(row.sold_to_party),
            customer_po=row.purchase_order_by_customer or None,
            status=self._status(row),
            raw_status=_raw_status(row),
            ordered_at=midnight(client.day(row.sales_order_date)),
            updated_at=client.time(row.last_change_date_time),
            requested_on=client.day(row.requested_delivery_date),
            promised_on=min(promised, default=None),
            warehouse=plants.pop() if len(plants) == 1 else None,
            bill_to=_party(row, self._bill_to),
            ship_to=_party(row, self._ship_to),
            terms=PaymentTerms(code=row.customer_payment_terms) if row.customer_payment_terms else None,
            currency=currency,
            totals=Totals(
                net=Money(amount=row.total_net_amount, currency=currency),
                tax=Money(amount=tax, currency=currency),
                total=Money(amount=row.total_net_amount + tax, currency=currency),
            ),
            lines=tuple(self._line(number, row, item) for item in items),
            holds=tuple(_holds(row)),
            freshness=Freshness(source=client.source, as_of=now),
        )

    def _status(self, row: SAPOrderRow) -> OrderStatus:
        if row.overall_sd_document_rejection_sts == "C":
            return OrderStatus.CANCELLED
        status = DELIVERIES.get(row.overall_total_delivery_status or "", OrderStatus.UNKNOWN)
        if status is OrderStatus.UNKNOWN:
            telemetry.unknown_status(self._client.source, "order", _raw_status(row))
        return status

    def _promised(self, line: SAPScheduleLineRow) -> date | None:
        return self._client.day(line.confirmed_delivery_date) if line.open_confd_deliv_qty_in_ord_qty_unit > 0 else None

    def _line(self, number: str, row: SAPOrderRow, item: SAPOrderItemRow) -> OrderLine:
        schedule = item.to_schedule_line.results
        line_number = self._client.line_number(item.sales_order_item) or 0
        delivered = sum((line.delivered_qty_in_order_qty_unit for line in schedule), Decimal(0))
        amount = item.net_amount
        return OrderLine(
            id=f"{number}-{line_number}",
            number=line_number,
            order=number,
            customer=known(row.sold_to_party),
            sku=known(item.material),
            description=item.sales_order_item_text or None,
            uom=item.requested_quantity_unit or "",
            quantity=item.requested_quantity,
            confirmed_quantity=item.confd_deliv_qty_in_order_qty_unit,
            shipped_quantity=delivered,
            cancelled_quantity=item.requested_quantity if item.sales_document_rjcn_reason else None,
            total=None if amount is None else Money(amount=amount, currency=row.transaction_currency),
            schedule_lines=tuple(
                ScheduleLine(
                    requested_date=self._client.day(line.requested_delivery_date),
                    confirmed_date=self._client.day(line.confirmed_delivery_date)
                    if line.confd_order_qty_by_matl_avail_check > 0
                    else None,
                    quantity=line.confd_order_qty_by_matl_avail_check or line.schedule_line_order_quantity,
                )
                for line in schedule
            ),
        )


def _party(row: SAPOrderRow, function: str) -> Party | None:
    partners = (one for one in row.to_partner.results if one.partner_function == function)
    found = next((address for one in partners for address in one.to_address.results), None)
    if found is None:
        return None
    street = " ".join(part for part in (found.street_name, found.house_number) if part)
    address = Address(
        lines=(street,) if street else (),
        city=found.city_name or None,
        region=found.region or None,
        postal_code=found.postal_code or None,
        country=found.country or None,
    )
    return Party(name=found.organization_name1 or found.addressee_full_name or "", address=address)


def _raw_status(row: SAPOrderRow) -> str:
    return (
        f"delivery {row.overall_total_delivery_status or '-'}, process {row.overall_sd_process_status or '-'}, "
        f"rejection {row.overall_sd_document_rejection_sts or '-'}"
    )


def _holds(row: SAPOrderRow) -> list[Hold]:
    holds = [Hold(kind=HoldKind.CREDIT, reason="credit check: not approved")] if _is_unapproved(row) else []
    if row.delivery_block_reason:
        holds.append(Hold(kind=HoldKind.OTHER, reason=f"delivery block {row.delivery_block_reason}"))
    if row.header_billing_block_reason:
        holds.append(Hold(kind=HoldKind.OTHER, reason=f"billing block {row.header_billing_block_reason}"))
    return holds


def _is_unapproved(row: SAPOrderRow) -> bool:
    return row.total_credit_check_status == "B"


def _age(order: Order) -> tuple[bool, datetime | None, int, str]:
    return (order.ordered_at is not None, order.ordered_at, len(order.number), order.number)


def _page_query(query: OrderQuery, skip: int, *conditions: str | None) -> ODataQuery:
    return ODataQuery(
        filter=all_of(*conditions), orderby=_ORDER_BY[query.sort], top=query.page.first, skip=skip, count=True
    )


def _conditions(query: OrderQuery) -> list[str | None]:
    """The filters of a list, those over customers left out."""
    status = " or ".join(_STATUS_FILTERS[one] for one in query.status)
    hold = " or ".join(_HOLD_FILTERS[one] for one in query.hold)
    if query.open is None:
        is_open = None
    else:
        is_open = _OPEN if query.open else f"({REJECTED} eq 'C' or {DELIVERY} eq 'C' or {DELIVERY} eq '')"
    purchase_order = query.customer_po
    return [
        status or None,
        hold or None,
        is_open,
        *_between("SalesOrderDate", query.ordered),
        None if purchase_order is None else f"PurchaseOrderByCustomer eq {literal(purchase_order)}",
    ]


def _between(name: str, days: DateRange | None) -> list[str | None]:
    if days is None:
        return []
    return [
        None if days.since is None else f"{name} ge {literal(days.since)}",
        None if days.until is None else f"{name} le {literal(days.until)}",
    ]


def _start(after: str | None) -> int:
    if after is None:
        return 0
    if not after.isascii() or not after.isdecimal() or len(after) > 9:
        raise InvalidCursor
    return int(after)
