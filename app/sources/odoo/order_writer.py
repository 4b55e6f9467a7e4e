"""Orders in: a sales order is created with its lines in one transaction, then confirmed; Odoo then plans deliveries.

The customer's purchase order is the order's customer reference. The gateway's key is in another text field, because
nothing makes either unique. A line that Odoo 11 makes itself gets the price of one piece, so lines are sent with one.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final, cast

import msgspec

from app.auth.principal import Principal
from app.errors import SourceMalformed
from app.settings.resilience import ORDER_SUBMISSIONS
from app.sources.odoo.client import OdooClient, OdooRefusal, record_ids, usable
from app.sources.odoo.customers import PARTNER
from app.sources.odoo.items import PRODUCT, by_code
from app.sources.odoo.options import OdooOptions
from app.sources.odoo.orders import SALE
from app.sources.odoo.prices import OdooPrices
from app.sources.odoo.reference import OdooReference
from app.sources.odoo.rows import (
    KeyedOrderRow,
    NewLineValues,
    NewOrderValues,
    OdooAddressRow,
    OdooBuyerRow,
    PricelistRow,
    ProductUnitRow,
    WrittenOrderRow,
    link_id,
)
from app.sources.odoo.units import OdooUnits
from app.sources.order_writer import (
    NewOrder,
    NewOrderLine,
    OrderNotAccepted,
    SimulatedLine,
    WrittenOrder,
    after_creation,
    before_creation,
    remarks,
)
from app.sources.prices import PriceRequest
from app.sources.values import Money

CALL: Final = ORDER_SUBMISSIONS
CREATED, CONFIRMED = "created", "confirmed"
OPEN_STATES = ("draft", "sent")
"""The states of an order that is not confirmed."""


class OdooOrderWriter:
    """The writer of one database. An order that a rule refuses to confirm is cancelled."""

    steps = (CREATED, CONFIRMED)
    unique_key = False

    def __init__(
        self,
        client: OdooClient,
        reference: OdooReference,
        prices: OdooPrices | None,
        options: OdooOptions,
        max_seconds: float,
    ) -> None:
        self._client = client
        self._reference = reference
        self._prices = prices
        self._options = options
        self.max_seconds = max_seconds
        self._dates_orders = client.names.field(SALE, "commitment_date") is not None

    async def find(self, principal: Principal, keys: Sequence[str]) -> Mapping[str, tuple[WrittenOrder, ...]]:
        """See `OrderWriter.find`."""
        requested = usable(keys)
        if not requested:
            return {}
        domain = [[self._options.order_key_field, "in", requested], ["state", "!=", "cancel"]]
        rows = await self._client.search(
            SALE, KeyedOrderRow, domain, names={"origin": self._options.order_key_field}, call=f"{CALL}.by_key"
        )
        found: defaultdict[str, list[WrittenOrder]] = defaultdict(list)
        for row in rows:
            if row.origin is not None and row.origin in requested:
                found[row.origin].append(_written(row.origin, row))
        return {key: tuple(orders) for key, orders in found.items()}

    async def post(self, principal: Principal, order: NewOrder, found: WrittenOrder | None = None) -> WrittenOrder:
        """See `OrderWriter.post`."""
        if found is None:
            with before_creation():
                values = await self._values(principal, order)
            created = await self._client.create(SALE, values, call=f"{CALL}.create")
            if isinstance(created, OdooRefusal):
                raise OrderNotAccepted(detail=created.message)
        else:
            created = _record_id(self._client.source, found)
        with after_creation(self._client.source):
            if found is None or found.step == CREATED:
                await self._confirm(created)
            return _written(order.key, await self._read(created))

    async def simulate(self, principal: Principal, order: NewOrder) -> Sequence[SimulatedLine] | None:
        """See `OrderWriter.simulate`: Odoo prices an order only by creating it."""
        return None

    async def cancel(self, principal: Principal, order: WrittenOrder, reason: str) -> None:
        """See `OrderWriter.cancel`: Odoo cancels the deliveries too, and refuses it once goods have left."""
        refused = await self._client.press(
            SALE, "action_cancel", _record_id(self._client.source, order), call=f"{CALL}.cancel"
        )
        if refused is not None:
            raise OrderNotAccepted(detail=refused.message)

    async def _confirm(self, id: int) -> None:
        refused = await self._client.press(SALE, "action_confirm", id, call=f"{CALL}.confirm")
        if refused is None or (await self._read(id)).state not in OPEN_STATES:
            return
        await self._client.press(SALE, "action_cancel", id, call=f"{CALL}.cancel")
        raise OrderNotAccepted(held=True, detail=refused.message)

    async def _read(self, id: int) -> WrittenOrderRow:
        rows = await self._client.search(SALE, WrittenOrderRow, [["id", "=", id]], call=f"{CALL}.written")
        if not rows:
            raise SourceMalformed(self._client.source, detail=f"order {id} was created and cannot be read")
        return rows[0]

    # The order's values

    async def _values(self, principal: Principal, order: NewOrder) -> dict[str, object]:
        buyer, products, units, warehouse = await asyncio.gather(
            self._buyer(order.customer), self._products(order.lines), self._reference.units(), self._warehouse()
        )
        ship_to, pricelist, prices = await asyncio.gather(
            self._ship_to(order, buyer), self._pricelist(order, buyer), self._missing_prices(principal, order)
        )
        values = NewOrderValues(
            partner_id=buyer.id,
            client_order_ref=order.customer_po,
            origin=order.key,
            picking_policy="direct" if order.allow_partial else "one",
            partner_shipping_id=ship_to,
            payment_term_id=link_id(buyer.property_payment_term_id),
            pricelist_id=pricelist,
            warehouse_id=warehouse,
            note=remarks(order, dated=not self._dates_orders),
            commitment_date=f"{order.requested_date} 12:00:00" if self._dates_orders and order.requested_date else None,
            order_line=tuple(
                self._line(line, products[line.sku], units, prices.get(line.number)) for line in order.lines
            ),
        )
        return self._encoded(values)

    def _encoded(self, values: NewOrderValues) -> dict[str, object]:
        """The values in the names of the version, the key in its field, and each line as a command to create it."""
        sent: dict[str, object] = msgspec.to_builtins(values, builtin_types=(Decimal,))
        key = sent.pop("origin")
        names = self._client.names
        lines = [
            {names.field("sale.order.line", name): value for name, value in line.items()}
            for line in cast("list[dict[str, object]]", sent["order_line"])
        ]
        return sent | {self._options.order_key_field: key, "order_line": [[0, 0, line] for line in lines]}

    def _line(
        self, line: NewOrderLine, product: ProductUnitRow, units: OdooUnits, price: Money | None
    ) -> NewLineValues:
        base = product.uom_id[0]
        unit = base if line.uom is None else next((one.id for one in units.named(line.uom, like=base)), None)
        if unit is None:
            raise OrderNotAccepted(lines=[line.number], detail=f"no unit {line.uom} of the product")
        if line.unit_price is not None and line.price_unit != 1:
            raise OrderNotAccepted(lines=[line.number], detail="Odoo prices one unit; no price is divided here")
        money = line.unit_price or price
        return NewLineValues(
            product_id=product.id,
            product_uom_qty=line.quantity,
            product_uom=unit,
            price_unit=None if money is None else money.amount,
        )

    async def _missing_prices(self, principal: Principal, order: NewOrder) -> Mapping[int, Money]:
        """The prices of lines that come without one, as Odoo computes them. Later versions than that of the price field
        compute the price of a line that is created without one."""
        if self._prices is None:
            return {}
        price_requests = {
            line.number: PriceRequest(order.customer, line.sku, line.quantity, line.uom)
            for line in order.lines
            if line.unit_price is None
        }
        found = await self._prices.quote(principal, list(price_requests.values()))
        unpriced = [number for number, request in price_requests.items() if request not in found]
        if unpriced:
            raise OrderNotAccepted(lines=unpriced, detail="no price")
        return {number: found[request].unit_price for number, request in price_requests.items()}

    async def _buyer(self, customer: str) -> OdooBuyerRow:
        domain = [["ref", "in", usable([customer])]]
        rows = await self._client.search(PARTNER, OdooBuyerRow, domain, call=f"{CALL}.customer")
        buyer = next((row for row in rows if link_id(row.commercial_partner_id) == row.id), None)
        if buyer is None:
            raise OrderNotAccepted(detail="unknown customer")
        return buyer

    async def _products(self, lines: Sequence[NewOrderLine]) -> Mapping[str, ProductUnitRow]:
        skus = usable(line.sku for line in lines)
        domain = [["default_code", "in", skus], ["sale_ok", "=", True]]
        products = by_code(await self._client.search(PRODUCT, ProductUnitRow, domain, call=f"{CALL}.products"))
        unknown = [line.number for line in lines if line.sku not in products]
        if unknown:
            raise OrderNotAccepted(lines=unknown, detail="no such product that is sold")
        return products

    async def _ship_to(self, order: NewOrder, buyer: OdooBuyerRow) -> int | None:
        if order.ship_to is None:
            return None
        ids = record_ids([order.ship_to])
        domain = [["id", "in", ids], ["commercial_partner_id", "=", buyer.id]]
        rows = await self._client.search(PARTNER, OdooAddressRow, domain, call=f"{CALL}.ship_to")
        if not rows:
            raise OrderNotAccepted(detail="the location is none of the customer's")
        return rows[0].id

    async def _pricelist(self, order: NewOrder, buyer: OdooBuyerRow) -> int | None:
        """The buyer's price list, whose currency is that of the order."""
        pricelist = link_id(buyer.property_product_pricelist)
        given = {line.unit_price.currency for line in order.lines if line.unit_price is not None}
        if pricelist is None or not given:
            return pricelist
        domain = [["id", "=", pricelist]]
        rows = await self._client.search("product.pricelist", PricelistRow, domain, call=f"{CALL}.currency")
        if given != {row.currency_id[1] for row in rows}:
            raise OrderNotAccepted(detail=f"prices in {', '.join(sorted(given))}")
        return pricelist

    async def _warehouse(self) -> int | None:
        code = self._options.order_warehouse
        if code is None:
            return None
        found = (await self._reference.locations()).warehouses.get(code)
        if found is None:
            raise OrderNotAccepted(held=True, detail=f"no warehouse {code}")
        return found.id


def _written(key: str, row: WrittenOrderRow) -> WrittenOrder:
    step = CREATED if row.state in OPEN_STATES else CONFIRMED
    return WrittenOrder(key=key, id=str(row.id), number=row.name, step=step)


def _record_id(source: str, order: WrittenOrder) -> int:
    ids = record_ids([order.id])
    if not ids:
        raise SourceMalformed(source, detail="the id of a written order is no number")
    return ids[0]
