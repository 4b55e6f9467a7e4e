"""Orders in: one deep insert of a sales order with items, ship-to party and note, found again by its purchase order.

S/4HANA makes two orders of two equal requests, so the customer's reference holds the gateway's key, and the customer's
own number is the first line of the note.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import UNSET, UnsetType

from app.auth.principal import Principal
from app.errors import SourceMalformed
from app.http.odata_v2 import entity_key
from app.http.response import HTTPResponse
from app.sources.order_writer import NewOrder, NewOrderLine, OrderNotAccepted, SimulatedLine, WrittenOrder, remarks
from app.sources.sap_s4hana.client import (
    ORDERS,
    PURCHASE_ORDER,
    SIMULATION,
    S4HANAClient,
    SAPError,
    external,
    sendable,
    wire_day,
)
from app.sources.sap_s4hana.options import S4HANAOptions
from app.sources.sap_s4hana.orders import REJECTED
from app.sources.sap_s4hana.rows import (
    SAPCreatedOrder,
    SAPNewItem,
    SAPNewPartner,
    SAPNewPricingElement,
    SAPNewSalesOrder,
    SAPNewSimulation,
    SAPNewSimulationItem,
    SAPNewText,
    SAPSimulatedOrder,
    SAPSimulationItemRow,
    SAPWrittenOrderRow,
)
from app.sources.values import Money

CREATED = "created"
LARGEST_PRICE_UNIT = 99_999
"""`ConditionQuantity` has five digits and no decimals."""


class S4HANAOrderWriter:
    """The writer of one sales area."""

    steps = (CREATED,)
    unique_key = False
    max_seconds = 600.0
    """A dialog work process ends a request after `rdisp/max_wprun_time`, 600 seconds by default."""

    def __init__(self, client: S4HANAClient, options: S4HANAOptions) -> None:
        self._client = client
        self._options = options

    async def find(self, principal: Principal, keys: Sequence[str]) -> Mapping[str, tuple[WrittenOrder, ...]]:
        """See `OrderWriter.find`."""
        numbers = [key for key in dict.fromkeys(keys) if 0 < len(key) <= PURCHASE_ORDER]
        rows = await self._client.rows(
            ORDERS,
            "A_SalesOrder",
            SAPWrittenOrderRow,
            "PurchaseOrderByCustomer",
            numbers,
            also=f"{REJECTED} ne 'C'",
            orderby=("SalesOrder",),
            call="order.find",
        )
        found: dict[str, list[WrittenOrder]] = {}
        for row in rows:
            key = row.purchase_order_by_customer or ""
            found.setdefault(key, []).append(_written(key, row))
        return {key: tuple(found[key]) for key in numbers if key in found}

    async def post(self, principal: Principal, order: NewOrder, found: WrittenOrder | None = None) -> WrittenOrder:
        """See `OrderWriter.post`."""
        if found is not None:
            return found
        if len(order.key) > PURCHASE_ORDER:
            raise OrderNotAccepted(detail=f"a key of {len(order.key)} characters is longer than {PURCHASE_ORDER}")
        answer = await self._client.write("POST", "A_SalesOrder", self._sales_order(order), call="order.post")
        if isinstance(answer, SAPError):
            raise _not_accepted(answer)
        return _written(order.key, answer.decode(SAPCreatedOrder).d)

    async def simulate(self, principal: Principal, order: NewOrder) -> Sequence[SimulatedLine] | None:
        """See `OrderWriter.simulate`: the whole order is priced and checked together."""
        body = SAPNewSimulation(
            sales_order_type=self._options.order_type,
            sales_organization=self._options.sales_organization,
            distribution_channel=self._options.distribution_channel,
            organization_division=self._options.division,
            sold_to_party=order.customer,
            requested_delivery_date=_day(order),
            to_item=tuple(
                SAPNewSimulationItem(
                    sales_order_item=str(10 * position),
                    material=line.sku,
                    requested_quantity=format(line.quantity, "f"),
                    requested_quantity_unit=line.uom or UNSET,
                )
                for position, line in enumerate(order.lines, 1)
            ),
        )
        (answer,) = await self._client.post_each(
            SIMULATION, "A_SalesOrderSimulation", [body], SAPSimulatedOrder, call="order.simulate"
        )
        if isinstance(answer, SAPError):
            raise _not_accepted(answer)
        found = {self._client.line_number(row.sales_order_item): row for row in answer.d.to_item.results}
        rows = [(line.number, found.get(10 * position)) for position, line in enumerate(order.lines, 1)]
        return [_simulated(number, row) for number, row in rows if row is not None]

    async def cancel(self, principal: Principal, order: WrittenOrder, reason: str) -> None:
        """See `OrderWriter.cancel`: the order is deleted, which S/4HANA refuses once it has subsequent documents."""
        if not order.id.isdecimal() or not sendable([order.id]):
            raise SourceMalformed(self._client.source, detail="the id of a written order is no number")
        path = f"A_SalesOrder{entity_key(SalesOrder=order.id)}"
        answer = await self._client.write("DELETE", path, None, call="order.cancel")
        if isinstance(answer, HTTPResponse):
            return
        raise _not_accepted(answer)

    def _sales_order(self, order: NewOrder) -> SAPNewSalesOrder:
        options = self._options
        note = "\n".join(part for part in (f"PO {order.customer_po}", remarks(order)) if part)
        ship_to = SAPNewPartner(partner_function=options.ship_to_function, customer=order.ship_to or "")
        return SAPNewSalesOrder(
            sales_order_type=options.order_type,
            sales_organization=options.sales_organization,
            distribution_channel=options.distribution_channel,
            organization_division=options.division,
            sold_to_party=order.customer,
            purchase_order_by_customer=order.key,
            requested_delivery_date=_day(order),
            complete_delivery_is_defined=not order.allow_partial,
            to_partner=(ship_to,) if order.ship_to else UNSET,
            to_text=(SAPNewText(language=options.language, long_text_id=options.note_text_id, long_text=note),),
            to_item=tuple(self._item(line) for line in order.lines),
        )

    def _item(self, line: NewOrderLine) -> SAPNewItem:
        condition = self._options.price_condition_type
        price = None if condition is None or line.unit_price is None else _pricing(condition, line, line.unit_price)
        return SAPNewItem(
            material=line.sku,
            requested_quantity=format(line.quantity, "f"),
            requested_quantity_unit=line.uom or UNSET,
            to_pricing_element=UNSET if price is None else (price,),
        )


def _pricing(condition: str, line: NewOrderLine, price: Money) -> SAPNewPricingElement:
    unit = line.price_unit
    if unit != unit.to_integral_value() or not 0 < unit <= LARGEST_PRICE_UNIT:
        raise OrderNotAccepted(lines=[line.number], detail=f"no price of {unit} units can be sent")
    return SAPNewPricingElement(
        condition_type=condition,
        condition_rate_value=format(price.amount, "f"),
        condition_currency=price.currency,
        condition_quantity=str(int(unit)),
        condition_quantity_unit=line.uom or UNSET,
    )


def _day(order: NewOrder) -> str | UnsetType:
    return UNSET if order.requested_date is None else wire_day(order.requested_date)


def _simulated(number: int, row: SAPSimulationItemRow) -> SimulatedLine:
    return SimulatedLine(
        number=number,
        unit_price=Money(amount=row.net_amount, currency=row.transaction_currency),
        price_unit=row.requested_quantity,
        available=row.confd_deliv_qty_in_order_qty_unit,
    )


def _written(key: str, row: SAPWrittenOrderRow) -> WrittenOrder:
    number = external(row.sales_order)
    return WrittenOrder(key=key, id=number, number=number, step=CREATED)


def _not_accepted(error: SAPError) -> OrderNotAccepted:
    return OrderNotAccepted(detail=f"{error.code}: {error.message.value.strip()[:500]}")
