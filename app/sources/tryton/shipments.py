"""Customer shipments: what the ERP knows of goods on their way. Carriers know more.

Tryton orders shipments by their effective date, which they have once they left, and before by the planned one: lists by
the day of shipping are therefore read in two parts, those that left and the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Protocol

from app import telemetry
from app.auth.principal import Principal
from app.sources.lists import ListCapability
from app.sources.shipments import (
    Package,
    PackageItem,
    Shipment,
    ShipmentLine,
    ShipmentQuery,
    ShipmentSort,
    ShipmentStatus,
)
from app.sources.tryton.client import Domain, TrytonClient, all_usable, record_ids, usable
from app.sources.tryton.codes import OrderCodes
from app.sources.tryton.record_lists import ListedRow, RecordList, in_range, with_states
from app.sources.tryton.reference import CodeRow
from app.sources.tryton.wire import Day, Moment, Row, day, midnight, moment, quantity
from app.sources.values import Freshness, Page, Ref

SHIPMENT = "stock.shipment.out"
CANCELLED = "cancelled"
LEFT = frozenset({"shipped", "done"})
"""States in which the goods are no longer in the warehouse."""

STATUS: Mapping[str, ShipmentStatus] = {
    "draft": ShipmentStatus.PENDING,
    "waiting": ShipmentStatus.PENDING,
    "assigned": ShipmentStatus.PENDING,
    "picked": ShipmentStatus.PENDING,
    "packed": ShipmentStatus.PENDING,
    "shipped": ShipmentStatus.IN_TRANSIT,
    "done": ShipmentStatus.DELIVERED,
    # Withdrawn at whatever point: it says nothing about where goods are, and `cancelled` is set beside it.
    CANCELLED: ShipmentStatus.PENDING,
}
CLOSED = ("done", CANCELLED)

SHIPMENT_LISTS = ListCapability(
    filters=frozenset({"customers", "status", "shipped", "item", "warehouse", "open"}),
    sorts=frozenset({ShipmentSort.SHIPPED_AT_DESC, ShipmentSort.SHIPPED_AT_ASC}),
    values={"status": frozenset(STATUS.values())},
)
"""Tryton promises no arrival, and an order's number is in one of two fields, by a pattern that no domain has."""


class LineKindRow(Row, kw_only=True):
    """A sale line, as far as numbering goes: subtotals and comments are lines too."""

    type: str


class DeliveredSaleRow(Row, kw_only=True):
    """Whose sale a move delivers."""

    party: CodeRow


class ShippedSaleRow(DeliveredSaleRow, kw_only=True):
    """The sale that a move delivers."""

    number: str | None = None
    reference: str | None = None
    lines: list[LineKindRow] = []


class MovePositionRow(Row, kw_only=True):
    """`stock.move`, as far as lists need it."""

    sale: DeliveredSaleRow | None = None


class OutgoingMoveRow(Row, kw_only=True):
    """`stock.move` from the warehouse's output to the customer; `origin` is `sale.line,ID`."""

    origin: str | None = None
    state: str
    quantity: Decimal
    unit: int
    product: CodeRow
    planned_date: Day | None = None
    effective_date: Day | None = None
    package: int | None = None
    sale: ShippedSaleRow | None = None


class PackageRow(Row, kw_only=True):
    """`stock.package`."""

    shipping_reference: str | None = None


class PartyNameRow(Row, kw_only=True):
    """A party's name."""

    name: str | None = None


class CarrierRow(Row, kw_only=True):
    """`carrier`."""

    party: PartyNameRow


class ShipmentPositionRow(ListedRow, kw_only=True):
    """`stock.shipment.out` in lists. It is the customer's who ordered, wherever it goes."""

    state: str
    customer: CodeRow | None = None
    effective_date: Day | None = None
    outgoing_moves: Sequence[MovePositionRow] = []

    @property
    def listed_on(self) -> date | None:
        return day(self.effective_date) if self.state in LEFT else None

    @property
    def listed_for(self) -> str | None:
        buyers = [move.sale.party.code for move in self.outgoing_moves if move.sale is not None]
        return buyers[0] if buyers else self.customer.code if self.customer else None


class ShipmentRow(ShipmentPositionRow, kw_only=True):
    """`stock.shipment.out`."""

    warehouse: CodeRow | None = None
    write_date: Moment | None = None
    create_date: Moment | None = None
    carrier: CarrierRow | None = None
    shipping_reference: str | None = None
    packages: list[PackageRow] = []
    outgoing_moves: list[OutgoingMoveRow] = []  # pyright: ignore[reportIncompatibleVariableOverride]


class ShippedOrderRow(Row, kw_only=True):
    """A sale with nothing but its shipments."""

    number: str | None = None
    reference: str | None = None
    shipments: list[ShipmentRow] = []


class Numbered(Protocol):
    """Anything with lines to count."""

    id: int
    type: str


def line_numbers(lines: Iterable[Numbered]) -> dict[int, int]:
    """The number of each line by its id: its place among those that order something."""
    return {
        line.id: number_of_line
        for number_of_line, line in enumerate((one for one in lines if one.type == "line"), start=1)
    }


def origin_line(move: OutgoingMoveRow) -> int | None:
    """The id of the sale line that the move delivers."""
    model, _, id = (move.origin or "").partition(",")
    return int(id) if model == "sale.line" and id.isdigit() else None


class TrytonShipmentMapping:
    """Makes shipments of rows."""

    def __init__(self, name: str, codes: OrderCodes) -> None:
        self._name = name
        self._codes = codes

    def shipment(self, row: ShipmentRow, now: datetime) -> Shipment:
        """The shipment with its packages."""
        if row.state not in STATUS:
            telemetry.unknown_status(self._name, "shipment.state", row.state)
        lines = [self._line(move) for move in row.outgoing_moves]
        return Shipment(
            id=str(row.id),
            source=self._name,
            refs=(Ref(system=self._name, id=str(row.id)),),
            orders=tuple(sorted({line.order for line in lines if line.order is not None})),
            customer=row.listed_for,
            warehouse=row.warehouse.code if row.warehouse else None,
            carrier=row.carrier.party.name if row.carrier else None,
            tracking_number=_tracking_number(row),
            shipped_at=midnight(row.effective_date) if row.state in LEFT else None,
            status=STATUS.get(row.state, ShipmentStatus.UNKNOWN),
            raw_status=row.state,
            cancelled=row.state == CANCELLED,
            lines=tuple(lines),
            packages=self._packages(row, lines),
            updated_at=moment(row.write_date or row.create_date),
            freshness=Freshness(source=self._name, as_of=now),
        )

    def _line(self, move: OutgoingMoveRow) -> ShipmentLine:
        sale, line = move.sale, origin_line(move)
        return ShipmentLine(
            order=None if sale is None else self._codes.number(sale.id, sale.reference, sale.number),
            line_number=None if sale is None or line is None else line_numbers(sale.lines).get(line),
            sku=move.product.code,
            quantity=quantity(move.quantity),
        )

    def _packages(self, row: ShipmentRow, lines: Sequence[ShipmentLine]) -> tuple[Package, ...]:
        packed = list(zip(row.outgoing_moves, lines, strict=True))
        return tuple(
            Package(
                tracking_number=package.shipping_reference or None,
                items=tuple(
                    PackageItem(line_number=line.line_number, sku=line.sku, quantity=line.quantity)
                    for move, line in packed
                    if move.package == package.id
                ),
            )
            for package in row.packages
        )


def _tracking_number(row: ShipmentRow) -> str | None:
    if row.shipping_reference:
        return row.shipping_reference
    return row.packages[0].shipping_reference or None if len(row.packages) == 1 else None


class TrytonShipments:
    """Shipments of the ERP."""

    def __init__(
        self, client: TrytonClient, mapping: TrytonShipmentMapping, codes: OrderCodes, clock: Callable[[], datetime]
    ) -> None:
        self._client = client
        self._mapping = mapping
        self._codes = codes
        self._clock = clock
        left: Domain = [["state", "in", sorted(LEFT)]]
        self._list = RecordList(
            client=client,
            model=SHIPMENT,
            day="effective_date",
            call="shipments",
            row=ShipmentRow,
            position_row=ShipmentPositionRow,
            of_customers=_of_customers,
            dated=(left, [["state", "not in", sorted(LEFT)]]),
        )

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Shipment]:
        now = self._clock()
        rows = await self._client.search_keys(
            SHIPMENT, record_ids(ids), lambda chunk: [["id", "in", chunk]], ShipmentRow, call="shipments.by_id"
        )
        return {str(row.id): self._mapping.shipment(row, now) for row in rows}

    async def by_tracking_number(self, principal: Principal, numbers: Sequence[str]) -> Mapping[str, Shipment]:
        """Shipments by their own or a package's tracking number; of several with one number the latest that stands."""
        now = self._clock()
        requested = usable(numbers)
        rows = await self._client.search_keys(
            SHIPMENT,
            requested,
            lambda chunk: ["OR", ["shipping_reference", "in", chunk], ["packages.shipping_reference", "in", chunk]],
            ShipmentRow,
            call="shipments.by_tracking",
        )
        found: dict[str, Shipment] = {}
        for row in sorted(rows, key=lambda row: (row.state != CANCELLED, row.id)):
            shipment = self._mapping.shipment(row, now)
            known = {row.shipping_reference, *(package.shipping_reference for package in row.packages)}
            found.update((number, shipment) for number in known if number is not None)
        return {number: found[number] for number in requested if number in found}

    async def by_order(self, principal: Principal, numbers: Sequence[str]) -> Mapping[str, tuple[Shipment, ...]]:
        now = self._clock()
        requested = usable(numbers)
        rows = await self._client.search_keys(
            "sale.sale", requested, self._codes.domain, ShippedOrderRow, call="shipments.by_order"
        )
        by_order: dict[str, dict[int, ShipmentRow]] = {}
        for row in rows:
            number = self._codes.number(row.id, row.reference, row.number)
            by_order.setdefault(number, {}).update((shipment.id, shipment) for shipment in row.shipments)
        return {
            number: tuple(self._mapping.shipment(shipments[id], now) for id in sorted(shipments))
            for number, shipments in by_order.items()
            if shipments and number in requested
        }

    async def by_customer(
        self, principal: Principal, customers: Sequence[str], query: ShipmentQuery
    ) -> Mapping[str, Page[Shipment]]:
        """A page of shipments for each customer: three calls and a count, whatever the customers."""
        now, domain = self._clock(), _listed(query)
        if domain is None:
            return {}
        return await self._list.by_customer(
            usable(customers),
            domain,
            query.page,
            descending=query.sort is ShipmentSort.SHIPPED_AT_DESC,
            mapped=lambda row: self._mapping.shipment(row, now),
        )

    async def search(self, principal: Principal, query: ShipmentQuery) -> Page[Shipment]:
        """A page over all customers: three calls and a count."""
        now, domain = self._clock(), _listed(query)
        if domain is None:
            return Page(rows=(), cursors=(), total=0 if query.page.count else None)
        if query.customers is not None:
            domain += _of_customers(usable(query.customers))
        return await self._list.search(
            domain,
            query.page,
            descending=query.sort is ShipmentSort.SHIPPED_AT_DESC,
            mapped=lambda row: self._mapping.shipment(row, now),
        )


def _of_customers(customers: Sequence[str]) -> Domain:
    """The shipments of what these customers ordered, and those to them that deliver no sale."""
    unsold = ["moves", "not where", [["origin", "like", "sale.line,%"]]]
    ordered = ["moves.sale.party.code", "in", customers]
    return [["OR", ordered, [["customer.code", "in", customers], unsold]]]


def _listed(query: ShipmentQuery) -> Domain | None:
    """What the filters select; None for nothing."""
    texts = {"moves.product.code": query.item, "warehouse.code": query.warehouse}
    named = {path: text for path, text in texts.items() if text is not None}
    if not all_usable(*named.values()):
        return None
    domain: Domain = [*with_states(query.status, STATUS), *([path, "=", text] for path, text in named.items())]
    if shipped := in_range("effective_date", query.shipped):
        domain += [["state", "in", sorted(LEFT)], *shipped]
    if query.open is not None:
        domain.append(["state", "not in" if query.open else "in", CLOSED])
    return domain
