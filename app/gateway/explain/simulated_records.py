"""Simulated records: one plausible row of each type that a port reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from app.gateway.explain.read_log import WeightedKey, key_weight
from app.sources.accounts import AccountAssignment
from app.sources.billing import (
    Invoice,
    InvoiceLine,
    InvoiceStatus,
    Return,
    ReturnCreditState,
    ReturnLine,
    ReturnShipmentState,
)
from app.sources.customers import CreditState, CreditStatus, Customer, CustomerPart, PriceAgreement
from app.sources.items import Item, ItemContent, ItemCost, ItemRelation, RelationType, Uom
from app.sources.orders import Order, OrderLine, OrderStatus, Totals
from app.sources.prices import ContractPrice
from app.sources.quotes import Quote, QuoteLine, QuoteStatus
from app.sources.shipments import ProofOfDelivery, Shipment, ShipmentStatus
from app.sources.stock import StockLevel
from app.sources.values import Freshness, Money
from app.sources.warehouses import Warehouse, WarehouseKind

SIMULATED_AT = datetime(2000, 1, 1, tzinfo=UTC)
ONE = Decimal(1)
MONEY = Money(amount=ONE, currency="USD")


@dataclass(frozen=True, slots=True)
class Assumptions:
    """The numbers of rows per parent that a simulation assumes where no argument bounds them."""

    lines: int = 5
    shipments: int = 1
    relations: int = 2
    tiers: int = 3
    warehouses: int = 3
    customer: str = "C0"


@dataclass(frozen=True, slots=True)
class RowRequest:
    """A row to simulate: its id, its customer, the key it was read by, and the options of the read. `source` is the
    name of the source that reads it; `with_shipments` says that its orders hold their shipments."""

    source: str
    id: str
    customer: str
    key: Any
    options: Mapping[str, Any]
    assume: Assumptions
    with_shipments: bool = False

    @property
    def freshness(self) -> Freshness:
        """The freshness of the row."""
        return Freshness(source=self.source, as_of=SIMULATED_AT)

    def key_of_lines(self, name: str) -> str:
        """A key that stands for those of all lines of the row."""
        return WeightedKey(f"{self.id}-{name}", key_weight(self.id) * self.assume.lines)


def _customer(row: RowRequest) -> Customer:
    tiers = tuple(Decimal(10**tier) for tier in range(row.assume.tiers))
    agreement = PriceAgreement(id="simulated", tiers=tiers)
    credit = _credit(row) if CustomerPart.CREDIT in row.options.get("parts", ()) else None
    return Customer(number=row.id, name=row.id, currency="USD", agreement=agreement, credit=credit)


def _credit(row: RowRequest) -> CreditStatus:
    return CreditStatus(state=CreditState.OK, checked_at=SIMULATED_AT, freshness=row.freshness)


def _item(row: RowRequest) -> Item:
    each = Uom(code="EA", name="each", is_base=True, is_sales=True)
    box = Uom(code="XBX", name="box", numerator=12)
    return Item(sku=row.id, name=row.id, base_uom="EA", uoms=(each, box))


def _relation(row: RowRequest) -> ItemRelation:
    return ItemRelation(type=RelationType.SUBSTITUTE, sku=row.id, approved=True)


def _price(row: RowRequest) -> ContractPrice:
    return ContractPrice(
        customer=row.customer,
        sku=row.key.sku,
        uom=row.key.uom or "EA",
        quantity=row.key.quantity,
        unit_price=MONEY,
        authority=row.source,
        quoted_at=SIMULATED_AT,
        freshness=row.freshness,
    )


def _order(row: RowRequest) -> Order:
    return Order(
        id=row.id,
        source=row.source,
        number=row.id,
        customer=row.customer,
        status=OrderStatus.PROCESSING,
        currency="USD",
        totals=Totals(total=MONEY),
        lines=_order_lines(row),
        freshness=row.freshness,
        shipments=_shipments_of(row) if row.with_shipments else None,
    )


def _order_lines(row: RowRequest) -> tuple[OrderLine, ...]:
    if not row.assume.lines:
        return ()
    id_ = WeightedKey(f"{row.id}-L", key_weight(row.id) * row.assume.lines)
    sku = _sku_of(row.id, row.assume)
    return (OrderLine(id=id_, number=1, order=row.id, customer=row.customer, sku=sku, uom="EA", quantity=ONE),)


def _sku_of(order: str, assume: Assumptions) -> str:
    return WeightedKey(f"S-{order}", key_weight(order) * assume.lines)


def _shipments_of(order: RowRequest) -> tuple[Shipment, ...]:
    if not order.assume.shipments:
        return ()
    weight = key_weight(order.id) * order.assume.shipments
    return (_shipment(replace(order, id=WeightedKey(f"{order.id}-P", weight), key=order.id)),)


def _shipment(row: RowRequest) -> Shipment:
    return Shipment(
        id=row.id,
        source=row.source,
        orders=(row.key,),
        customer=row.customer,
        tracking_number=WeightedKey(f"T{row.id}", key_weight(row.id)),
        warehouse="W0",
        status=ShipmentStatus.IN_TRANSIT,
        proof_of_delivery=ProofOfDelivery(),
        freshness=row.freshness,
    )


def _invoice(row: RowRequest) -> Invoice:
    return Invoice(
        id=row.id,
        source=row.source,
        number=row.id,
        status=InvoiceStatus.POSTED,
        total=MONEY,
        customer=row.customer,
        lines=(InvoiceLine(sku=_sku_of(row.key, row.assume), quantity=ONE),) if row.assume.lines else (),
        freshness=row.freshness,
    )


def _return(row: RowRequest) -> Return:
    return Return(
        id=row.id,
        source=row.source,
        number=row.id,
        customer=row.customer,
        order=row.key,
        shipment_state=ReturnShipmentState.REQUESTED,
        credit_state=ReturnCreditState.NONE,
        lines=(ReturnLine(sku=_sku_of(row.key, row.assume), quantity=ONE),) if row.assume.lines else (),
        freshness=row.freshness,
    )


def _quote(row: RowRequest) -> Quote:
    sku = _sku_of(row.id, row.assume)
    return Quote(
        id=row.id,
        source=row.source,
        number=row.id,
        version=1,
        customer=row.customer,
        status=QuoteStatus.ACCEPTED,
        order_number=row.id,
        lines=(QuoteLine(number=1, sku=sku, quantity=ONE),) if row.assume.lines else (),
        freshness=row.freshness,
    )


RECORDS: Mapping[type, Callable[[RowRequest], Any]] = {
    str: lambda row: row.id,
    Customer: _customer,
    CreditStatus: _credit,
    AccountAssignment: lambda row: AccountAssignment(salesperson=row.id),
    Item: _item,
    ItemContent: lambda row: ItemContent(sku=row.id),
    ItemCost: lambda row: ItemCost(sku=row.id),
    ItemRelation: _relation,
    StockLevel: lambda row: StockLevel(sku=row.id, uom="EA", freshness=row.freshness),
    ContractPrice: _price,
    Order: _order,
    Shipment: _shipment,
    Invoice: _invoice,
    Return: _return,
    Quote: _quote,
    Warehouse: lambda row: Warehouse(code=row.id, name=row.id, kind=WarehouseKind.OWN),
}
"""The simulated row of each record that ports read."""
