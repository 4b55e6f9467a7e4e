"""Contract prices: S/4HANA prices an order of one item for each question, and creates nothing.

Each question is an order of its own: in one order, scales over several items would price them together. The answer has
the net amount of the item, which is the price of the quantity in question, so nothing is divided.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from app.auth.principal import Principal
from app.errors import SourceMalformed
from app.sources.prices import ContractPrice, PriceRequest
from app.sources.sap_s4hana.client import (
    MATERIAL,
    PRODUCTS,
    SIMULATION,
    S4HANAClient,
    SAPError,
    external,
    sendable,
    wire_day,
)
from app.sources.sap_s4hana.options import S4HANAOptions
from app.sources.sap_s4hana.rows import SAPBaseUnitRow, SAPNewSimulation, SAPNewSimulationItem, SAPSimulatedOrder
from app.sources.values import Freshness, Money

ORDERS = "A_SalesOrderSimulation"
FIRST = "10"
UNIT = 3


class S4HANAPrices:
    """Prices: a request for base units where a question has no unit, and a batch with an order for each question."""

    def __init__(self, client: S4HANAClient, options: S4HANAOptions, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._options = options
        self._clock = clock

    async def quote(
        self, principal: Principal, requests: Sequence[PriceRequest]
    ) -> Mapping[PriceRequest, ContractPrice]:
        """See `Prices.quote`."""
        now = self._clock()
        possible = [request for request in dict.fromkeys(requests) if _is_sendable(request)]
        base = list(dict.fromkeys(request.sku for request in possible if request.uom is None))
        rows = await self._client.rows(PRODUCTS, "A_Product", SAPBaseUnitRow, "Product", base, call="prices.units")
        units = {external(row.product): row.base_unit for row in rows}
        given = {request: unit for request in possible if (unit := request.uom or units.get(request.sku))}
        bodies = [self._order(request, unit, now) for request, unit in given.items()]
        answers = await self._client.post_each(SIMULATION, ORDERS, bodies, SAPSimulatedOrder, call="prices")
        return {
            request: self._price(request, answer, now)
            for request, answer in zip(given, answers, strict=True)
            if not isinstance(answer, SAPError)
        }

    def _order(self, request: PriceRequest, unit: str, now: datetime) -> SAPNewSimulation:
        day = wire_day(request.on or now.date())
        item = SAPNewSimulationItem(
            sales_order_item=FIRST,
            material=request.sku,
            requested_quantity=format(request.quantity, "f"),
            requested_quantity_unit=unit,
        )
        return SAPNewSimulation(
            sales_order_type=self._options.order_type,
            sales_organization=self._options.sales_organization,
            distribution_channel=self._options.distribution_channel,
            organization_division=self._options.division,
            sold_to_party=request.customer,
            pricing_date=day,
            requested_delivery_date=day,
            to_item=(item,),
        )

    def _price(self, request: PriceRequest, answer: SAPSimulatedOrder, now: datetime) -> ContractPrice:
        rows = answer.d.to_item.results
        row = next((one for one in rows if self._client.line_number(one.sales_order_item) == int(FIRST)), None)
        if row is None or external(row.material or "") != request.sku:
            raise SourceMalformed(self._client.source, detail="a simulation without the item in question")
        return ContractPrice(
            customer=request.customer,
            sku=request.sku,
            uom=row.requested_quantity_unit,
            quantity=row.requested_quantity,
            unit_price=Money(amount=row.net_amount, currency=row.transaction_currency),
            price_unit=row.requested_quantity,
            authority=self._client.source,
            quoted_at=now,
            freshness=Freshness(source=self._client.source, as_of=now),
        )


def _is_sendable(request: PriceRequest) -> bool:
    unit = request.uom is None or (0 < len(request.uom) <= UNIT and request.uom.isprintable())
    keys = len(sendable([request.customer])) + len(sendable([request.sku], MATERIAL)) == 2
    return unit and keys and 0 < request.quantity < 10**12 and round(request.quantity, 3) == request.quantity
