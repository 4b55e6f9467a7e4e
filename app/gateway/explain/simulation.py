"""Simulated sources: every port answers plausible rows at once and records its reads, in rounds.

A plan that runs over them makes the reads that it would make of the real sources for such rows; a read that waits for
another is in a later round. `explain` and the cost of operations are derived from it, without a request. One row stands
for many: its key carries a weight (`WeightedKey`), so that a page of a hundred pages of a hundred rows is simulated as
quickly as a single row.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any, Self

from app.audit.records import AuditQuery, NumberedEntry
from app.events.log import ChangeEvent, EventPage, LoggedEvent
from app.sources.billing import Invoice, InvoiceStatus
from app.sources.changes import ChangeKind
from app.sources.customers import CreditState, CreditStatus, Customer, CustomerPart, CustomerQuery, PriceAgreement
from app.sources.items import Item, ItemContent, ItemCost, ItemQuery, ItemRelation, RelationType, Uom
from app.sources.node_ids import node_id
from app.sources.orders import Order, OrderLine, OrderQuery, OrderStatus, Totals
from app.sources.prices import ContractPrice
from app.sources.shipments import Shipment, ShipmentStatus
from app.sources.source import PORTS
from app.sources.stock import StockLevel
from app.sources.values import Freshness, Money, Page
from app.sources.warehouses import Warehouse, WarehouseKind

if TYPE_CHECKING:
    from app.settings import Settings
    from app.sources.source import Source, Sources

SIMULATED_AT = datetime(2000, 1, 1, tzinfo=UTC)
IDLE_TURNS = 12


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What the model takes for granted of data that nobody has read."""

    lines: int = 5
    shipments: int = 1
    relations: int = 2
    tiers: int = 3
    warehouses: int = 3
    customer: str = "C0"


class WeightedKey(str):
    """The key of a row that stands for as many as `weight` says."""

    __slots__ = ("weight",)
    weight: int

    def __new__(cls, text: str, weight: int) -> Self:
        """Rows of different weights are different rows."""
        made = super().__new__(cls, f"{text}#{weight}")
        made.weight = weight
        return made


def key_weight(key: Any) -> int:
    """How many rows a key stands for; of one made of several parts, the part that stands for most."""
    if isinstance(key, WeightedKey):
        return key.weight
    if isinstance(key, str):
        return 1
    parts = key if isinstance(key, tuple) else (getattr(key, name) for name in getattr(key, "__struct_fields__", ()))
    return max((part.weight for part in parts if isinstance(part, WeightedKey)), default=1)


def _weights(keys: Iterable[Any]) -> int:
    return sum(map(key_weight, keys))


def _rows(answer: Any) -> int:
    """How many rows an answer stands for."""
    if isinstance(answer, Page):
        return _weights(answer.rows)
    if isinstance(answer, Mapping):
        return sum(
            _rows(found) if isinstance(found, (Page, tuple)) else max(key_weight(key), key_weight(found))
            for key, found in answer.items()
        )
    return _weights(answer)


@dataclass(frozen=True, slots=True)
class SimulatedRead:
    """A read of a port: which source, what, for how many keys, in how many requests on the wire, for how many rows."""

    source: str
    read: str
    keys: int
    requests: int
    rows: int = 0
    round: int = 0
    cached: bool = False


@dataclass(slots=True)
class ReadLog:
    """What was asked, and the gate that opens round after round."""

    reads: list[SimulatedRead] = field(default_factory=list)
    round: int = 1
    _gate: asyncio.Event = field(default_factory=asyncio.Event)
    _active: bool = False

    async def record(self, read: SimulatedRead) -> None:
        """Note a read of this round, and wait until the round is over."""
        self.reads.append(replace(read, round=self.round))
        self._active = True
        if not read.cached:
            await self._gate.wait()

    async def drive(self, run: asyncio.Task[Any]) -> None:
        """Open the gate whenever nothing more is asked in a round, until the run ends."""
        while not run.done():
            idle_turns = 0
            while idle_turns < IDLE_TURNS and not run.done():
                await asyncio.sleep(0)
                idle_turns = 0 if self._active else idle_turns + 1
                self._active = False
            self.round += 1
            opened, self._gate = self._gate, asyncio.Event()
            opened.set()


class SimulatedSource:
    """The ports of one source. `requests(read, keys, assumptions)` tells what a read costs on its wire."""

    def __init__(
        self, name: str, log: ReadLog, assume: Assumptions, requests: Callable[[str, int, Assumptions], int]
    ) -> None:
        self._name = name
        self._log = log
        self._assume = assume
        self._requests = requests
        self._freshness = Freshness(source=name, as_of=SIMULATED_AT)
        self.brings_shipments = False
        self.third_party: tuple[str, ...] = ()

    def port(self, domain: str) -> Any:
        """The port of a domain: a read `x` is answered by the method `_domain_x` here, else by nothing found."""
        return _SimulatedPort(self, domain)

    async def read(self, domain: str, name: str, arguments: Sequence[Any], options: Mapping[str, Any]) -> Any:
        """Note a read and answer it."""
        _, *given = arguments
        keys = list(given.pop(0)) if given and isinstance(given[0], (list, tuple)) else []
        cached = domain == "warehouses"
        count = max(_weights(keys), 1)
        requests = 0 if cached else self._requests(f"{domain}.{name}", count, self._assume)
        make = getattr(self, f"_{domain}_{name}", None)
        answer = make(keys, *given, **options) if make else {}
        await self._log.record(
            SimulatedRead(self._name, f"{domain}.{name}", count, requests, _rows(answer), cached=cached)
        )
        return answer

    def _customers_by_number(self, keys: list[str], parts: Sequence[CustomerPart] = ()) -> dict[str, Customer]:
        tiers = tuple(Decimal(10**tier) for tier in range(self._assume.tiers))
        agreement = PriceAgreement(id="model", tiers=tiers)
        credit = self._credit() if CustomerPart.CREDIT in parts else None
        return {key: Customer(number=key, name=key, currency="USD", agreement=agreement, credit=credit) for key in keys}

    def _customers_by_id(self, keys: list[str]) -> dict[str, Customer]:
        return self._customers_by_number(keys)

    def _customers_search(self, _: list[str], query: CustomerQuery) -> Page[Customer]:
        return _page(self._customers_by_number([WeightedKey("C", query.page.first)]).values())

    def _credit(self) -> CreditStatus:
        return CreditStatus(state=CreditState.OK, checked_at=SIMULATED_AT, freshness=self._freshness)

    def _credit_status(self, keys: list[str]) -> dict[str, CreditStatus]:
        return dict.fromkeys(keys, self._credit())

    def _items_by_sku(self, keys: list[str]) -> dict[str, Item]:
        each = Uom(code="EA", name="each", is_base=True, is_sales=True)
        box = Uom(code="XBX", name="box", numerator=12)
        return {key: Item(sku=key, name=key, base_uom="EA", uoms=(each, box)) for key in keys}

    _items_by_gtin = _items_by_id = _items_by_sku

    def _items_by_customer_part(self, keys: list[Any]) -> dict[Any, str]:
        return {key: key.number for key in keys}

    def _items_part_numbers(self, keys: list[Any]) -> dict[Any, str]:
        return {key: key.sku for key in keys}

    def _items_relations(self, keys: list[str]) -> dict[str, tuple[ItemRelation, ...]]:
        return {
            key: (
                ItemRelation(
                    type=RelationType.SUBSTITUTE,
                    sku=WeightedKey(f"{key}-R", key_weight(key) * self._assume.relations),
                    approved=True,
                ),
            )
            for key in keys
        }

    def _items_costs(self, keys: list[str]) -> dict[str, ItemCost]:
        return {key: ItemCost(sku=key) for key in keys}

    def _items_search(self, _: list[str], query: ItemQuery) -> Page[Item]:
        return _page(self._items_by_sku([WeightedKey("S", query.page.first)]).values())

    def _contents_contents(self, keys: list[str]) -> dict[str, ItemContent]:
        return {key: ItemContent(sku=key) for key in keys}

    def _warehouses_all(self, _: list[str]) -> tuple[Warehouse, ...]:
        own = [f"W{row}" for row in range(self._assume.warehouses - len(self.third_party))]
        kinds = dict.fromkeys(own, WarehouseKind.OWN) | dict.fromkeys(self.third_party, WarehouseKind.THIRD_PARTY)
        return tuple(Warehouse(code=code, name=code, kind=kind) for code, kind in kinds.items())

    def _stock_levels(self, keys: list[str]) -> dict[str, StockLevel]:
        return {key: StockLevel(sku=key, uom="EA", freshness=self._freshness) for key in keys}

    def _prices_quote(self, keys: list[Any]) -> dict[Any, ContractPrice]:
        return {
            key: ContractPrice(
                customer=key.customer,
                sku=key.sku,
                uom=key.uom or "EA",
                quantity=key.quantity,
                unit_price=Money(amount=Decimal(1), currency="USD"),
                authority=self._name,
                quoted_at=SIMULATED_AT,
                freshness=self._freshness,
            )
            for key in keys
        }

    def _lines(self, number: str, customer: str) -> tuple[OrderLine, ...]:
        if not self._assume.lines:
            return ()
        many = key_weight(number) * self._assume.lines
        key, sku = WeightedKey(f"{number}-L", many), WeightedKey(f"S-{number}", many)
        return (OrderLine(id=key, number=1, order=number, customer=customer, sku=sku, uom="EA", quantity=Decimal(1)),)

    def _order(self, number: str, customer: str) -> Order:
        money = Money(amount=Decimal(1), currency="USD")
        return Order(
            id=number,
            source=self._name,
            number=number,
            customer=customer,
            status=OrderStatus.PROCESSING,
            currency="USD",
            totals=Totals(total=money),
            lines=self._lines(number, customer),
            freshness=self._freshness,
            shipments=self._shipments_of(number, customer) if self.brings_shipments else None,
        )

    def _orders_by_number(self, keys: list[str]) -> dict[str, Order]:
        return {key: self._order(key, self._assume.customer) for key in keys}

    _orders_by_id = _orders_by_number

    def _orders_by_customer_po(self, keys: list[Any]) -> dict[Any, Order]:
        return {key: self._order(key.number, key.customer) for key in keys}

    def _orders_by_customer(self, keys: list[str], query: OrderQuery) -> dict[str, Page[Order]]:
        first = query.page.first
        return {key: _page([self._order(WeightedKey(f"{key}-O", key_weight(key) * first), key)]) for key in keys}

    def _shipments_of(self, number: str, customer: str) -> tuple[Shipment, ...]:
        if not self._assume.shipments:
            return ()
        many = key_weight(number) * self._assume.shipments
        return (
            Shipment(
                id=WeightedKey(f"{number}-P", many),
                source=self._name,
                orders=(number,),
                customer=customer,
                tracking_number=WeightedKey(f"T{number}", many),
                warehouse="W0",
                status=ShipmentStatus.IN_TRANSIT,
                freshness=self._freshness,
            ),
        )

    def _shipments_by_order(self, keys: list[str]) -> dict[str, tuple[Shipment, ...]]:
        return {key: self._shipments_of(key, self._assume.customer) for key in keys}

    def _shipments_by_id(self, keys: list[str]) -> dict[str, Shipment]:
        return {key: self._shipments_of(key, self._assume.customer)[0] for key in keys}

    _shipments_by_tracking_number = _shipments_by_id

    def _billing_invoices(self, keys: list[str]) -> dict[str, tuple[Invoice, ...]]:
        money = Money(amount=Decimal(1), currency="USD")
        invoice = Invoice(
            id="1",
            source=self._name,
            status=InvoiceStatus.POSTED,
            total=money,
            customer=self._assume.customer,
            freshness=self._freshness,
        )
        return dict.fromkeys(keys, (invoice,))


class _SimulatedPort:
    """Any port: each of its reads goes to the model."""

    def __init__(self, model: SimulatedSource, domain: str) -> None:
        self._model = model
        self._domain = domain

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """The read of that name."""
        if name.startswith("_"):
            raise AttributeError(name)

        async def read(*arguments: Any, **options: Any) -> Any:
            return await self._model.read(self._domain, name, arguments, options)

        return read


def _page(found: Iterable[Any]) -> Page[Any]:
    rows = tuple(found)
    return Page(rows=rows, cursors=tuple(str(row) for row in range(len(rows))), has_next=True)


class SimulatedEventLog:
    """A log in which everything changes: things of each kind, of each source that has such, one after the other."""

    def __init__(self, connected: Mapping[str, Source], assume: Assumptions) -> None:
        self._customer = assume.customer
        self._subjects = [(ChangeKind.SHIPMENT, name) for name, one in connected.items() if one.shipments is not None]
        self._subjects += [(ChangeKind.ORDER, name) for name, one in connected.items() if one.orders is not None]
        self._subjects.append((ChangeKind.STOCK, ""))

    async def end(self) -> str:
        """See `EventLog.end`."""
        return "0"

    async def read(self, after: str, most: int = 500) -> EventPage:
        """See `EventLog.read`."""
        kinds = islice(cycle(self._subjects), most)
        entries = tuple(LoggedEvent(cursor=str(row), update=self._update(row, *one)) for row, one in enumerate(kinds))
        return EventPage(entries=entries, start=after, cursor=str(most))

    def _update(self, row: int, kind: ChangeKind, source: str) -> ChangeEvent:
        key = f"K{row}"
        id = node_id("Item", key) if kind is ChangeKind.STOCK else node_id(kind.title(), source, key)
        return ChangeEvent(
            kind=kind, source=source, key=key, node_id=id, recorded_at=SIMULATED_AT, customer=self._customer
        )


class SimulatedLedger:
    """An audit without entries: to read it asks no source."""

    def page(self, query: AuditQuery, most: int, before: int | None = None) -> list[NumberedEntry]:
        """See `Ledger.page`."""
        return []


def simulate_sources(settings: Settings, real: Sources, log: ReadLog, assume: Assumptions) -> Sources:
    """The configured sources, modelled: the same domains, masters and routes, and each vendor's own cost of a read."""
    from app.sources.wiring import assemble

    connected = {}
    for name, source in real.connected.items():
        model = SimulatedSource(name, log, assume, source.requests)
        model.brings_shipments = source.brings_shipments
        model.third_party = tuple(sorted(real.third_party))
        ports = {port: model.port(port) for port in PORTS if getattr(source, port) is not None}
        connected[name] = replace(source, **ports)
    return assemble(settings, connected)
