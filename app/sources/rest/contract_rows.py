"""Operations and rows of the `rest` contract. A row is a record on the wire, without what only the gateway knows."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

from app.sources.billing import Invoice, Return
from app.sources.commissions import Agent, CommissionStatement
from app.sources.contacts import Contact
from app.sources.customers import CreditStatus, Customer
from app.sources.items import (
    Item,
    ItemContent,
    ItemCost,
)
from app.sources.orders import Order, StatusChange
from app.sources.prices import ContractPrice
from app.sources.purchases import OrderGuideItem, PurchaseHistory
from app.sources.quotes import Quote
from app.sources.receivables import (
    AccountStatement,
    AgeingBucket,
    OpenItem,
    ReceivablesSummary,
    StatementEntry,
)
from app.sources.shipments import Shipment, TrackingEvent
from app.sources.stock import StockLevel
from app.sources.values import Record, Timestamp
from app.sources.warehouses import Warehouse

K = TypeVar("K")
V = TypeVar("V")


class Found(Record, Generic[K, V]):
    """What was found for one key of a read. Keys without anything are left out of the answer."""

    key: K
    value: V


class Window(Record, Generic[V]):
    """A page of a list: a cursor for each row."""

    rows: tuple[V, ...] = ()
    cursors: tuple[str, ...] = ()
    has_next: bool = False
    has_previous: bool = False
    total: int | None = None


class ContractOperation(Record):
    """A read of the contract: its path, what is sent, what is answered, and the port it is for. A `write` changes
    something: it is never part of a batch, and never sent twice."""

    port: str
    path: str
    summary: str
    request: Any
    answer: Any
    method: str = "POST"
    write: bool = False


def found(key: Any, value: Any) -> Any:
    return list[Found[key, value]]


def row(record: type[msgspec.Struct], *extra: tuple[str, Any], **retyped: Any) -> Any:
    """The wire form of a record: without what the gateway adds, with `extra` optional fields, some of other types."""
    known = {"source", "system", "refs", "freshness", "authority", "custom"}
    fields: list[Any] = []
    for field in msgspec.structs.fields(record):
        if field.name in known:
            continue
        kind = retyped.get(field.name, field.type)
        if field.default_factory is not msgspec.NODEFAULT:
            fields.append((field.name, kind, msgspec.field(default_factory=field.default_factory)))
        elif field.default is not msgspec.NODEFAULT:
            fields.append((field.name, kind, field.default))
        else:
            fields.append((field.name, kind))
    have = {name for name, *_ in fields}
    fields += [(name, kind | None, None) for name, kind in extra if name not in have]
    return msgspec.defstruct(
        f"{record.__name__}Row", fields, frozen=True, kw_only=True, rename="camel",
        namespace={"__doc__": record.__doc__, "record": record},
    )  # fmt: skip


_ID = ("id", str)
_AS_OF = ("as_of", Timestamp)

CreditRow = row(CreditStatus, _AS_OF, checked_at=Timestamp | None)
CustomerRow = row(Customer, _ID, _AS_OF, status=str, credit=CreditRow | None)
ItemRow = row(Item, _ID, _AS_OF, status=str)
ContentRow = row(ItemContent, _ID)
CostRow = row(ItemCost, _AS_OF)
WarehouseRow = row(Warehouse, _ID)
StockRow = row(StockLevel, _AS_OF)
PriceRow = row(ContractPrice, _AS_OF)
StatusChangeRow = row(StatusChange, status=str)
EventRow = row(TrackingEvent, status=str)
ShipmentRow = row(Shipment, _AS_OF, status=str, events=tuple[EventRow, ...])
OrderRow = row(Order, _AS_OF, status=str, history=tuple[StatusChangeRow, ...], shipments=tuple[ShipmentRow, ...] | None)
InvoiceRow = row(Invoice, _AS_OF, status=str)
ReturnRow = row(Return, _AS_OF, shipment_state=str, credit_state=str)
AgentRow = row(Agent, _ID, _AS_OF, status=str)
StatementRow = row(CommissionStatement, _ID, _AS_OF, status=str)
BucketRow = row(AgeingBucket, period=str)
ReceivablesRow = row(ReceivablesSummary, _AS_OF, ageing=tuple[BucketRow, ...])
OpenItemRow = row(OpenItem, _AS_OF, kind=str, period=str | None)
EntryRow = row(StatementEntry, kind=str)
ContactRow = row(Contact, _AS_OF, role=str | None)
PurchaseHistoryRow = row(PurchaseHistory, _AS_OF)
OrderGuideRow = row(OrderGuideItem, _AS_OF, basis=str)
QuoteRow = row(Quote, _AS_OF, status=str)
AccountStatementRow = row(AccountStatement, _AS_OF, entries=tuple[EntryRow, ...])

ROWS: dict[type, Any] = {
    made.record: made
    for made in (
        CreditRow, CustomerRow, ItemRow, ContentRow, CostRow, WarehouseRow, StockRow, PriceRow, StatusChangeRow,
        EventRow, ShipmentRow, OrderRow, InvoiceRow, ReturnRow, AgentRow, StatementRow, BucketRow, ReceivablesRow,
        OpenItemRow, EntryRow, AccountStatementRow, ContactRow, PurchaseHistoryRow, OrderGuideRow,
        QuoteRow,
    )
}  # fmt: skip
"""The wire form of each record that has one of its own."""
