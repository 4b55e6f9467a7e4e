"""Refunds as returns that are credited. WooCommerce keeps no invoices, and does not say where returned goods are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from app.auth.principal import Principal
from app.sources.billing import Return, ReturnCreditState, ReturnShipmentState
from app.sources.values import Freshness
from app.sources.woocommerce.customers import WooCommerceNumbers
from app.sources.woocommerce.orders import WooCommerceOrders


class WooCommerceReturns:
    """The refunds of orders."""

    def __init__(
        self, source: str, orders: WooCommerceOrders, numbers: WooCommerceNumbers, clock: Callable[[], datetime]
    ) -> None:
        self._source = source
        self._orders = orders
        self._numbers = numbers
        self._clock = clock

    async def returns(self, principal: Principal, orders: Sequence[str]) -> Mapping[str, tuple[Return, ...]]:
        """See `Billing.returns`. A refund may be of money only."""
        call = "billing.returns"
        found = await self._orders.wires(orders, call)
        wires = [wire for wire in found if wire.refunds and wire.number == str(wire.id)]
        customers = await self._numbers.numbers([wire.customer_id for wire in wires], call=call)
        freshness = Freshness(source=self._source, as_of=self._clock())
        return {
            wire.number: tuple(
                Return(
                    id=str(one.id),
                    source=self._source,
                    number=str(one.id),
                    customer=customers.get(wire.customer_id),
                    order=wire.number,
                    reason=one.reason or None,
                    shipment_state=ReturnShipmentState.UNKNOWN,
                    credit_state=ReturnCreditState.CREDITED,
                    freshness=freshness,
                )
                for one in sorted(wire.refunds, key=lambda one: one.id)
            )
            for wire in wires
        }
