"""Simulated sources: every port answers plausible rows at once and records its reads, in rounds.

A plan that runs over them makes the reads that it would make of the real sources for such rows; a read that waits for
another is in a later round. `explain` and the cost of operations are derived from it, without a request. The ports are
derived from their descriptors (`app/sources/ports.py`): a read whose record has no simulated row raises UnmodelledRead.
One row stands for many: its key carries a weight (`WeightedKey`), so that a page of a hundred pages of a hundred rows
is simulated as quickly as a single row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import cycle, islice
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from app.audit.records import AuditQuery, NumberedEntry
from app.auth.link_signing import LinkSigner, SignedLink
from app.events.log import ChangeEvent, EventPage, LoggedEvent
from app.gateway.explain.read_log import ReadLog, SimulatedRead, WeightedKey, count_rows, key_weight, total_weight
from app.gateway.explain.simulated_records import RECORDS, SIMULATED_AT, Assumptions, RowRequest
from app.sources.changes import ChangeKind
from app.sources.items import ItemRelation
from app.sources.node_ids import node_id
from app.sources.port_registry import PORTS
from app.sources.ports import Port, Read, Shape
from app.sources.search import SEARCH
from app.sources.shipments import Shipment
from app.sources.stock import Balance, Reservation
from app.sources.values import Page
from app.sources.warehouses import Warehouse, WarehouseKind

if TYPE_CHECKING:
    from app.settings import Settings
    from app.sources.source import Source, Sources

NOT_FOUND = frozenset({Reservation, Balance})
"""Records of which a simulation finds none: they correct a quantity, and no field leads on from them."""


UNREAD = ("order_writer", "quote_writer", "return_writer", "downloads", "changes", "webhooks")
"""Ports of a source that no query reads: a download is charged by itself, a command by its declared cost."""


class UnmodelledRead(LookupError):
    """A port reads a record of which there is no simulated row: its cost would be unknown."""


class UnmodelledPort:
    """A port that no query reads: its use raises UnmodelledRead, and calls no backend."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        raise UnmodelledRead(f"{self._name}.{attribute} is not simulated")


class SimulatedLinkSigner(LinkSigner):
    """Counts the links that it is to sign."""

    def __init__(self, log: ReadLog) -> None:
        super().__init__((), lifetime=0)
        self._log = log

    def sign(self, link: SignedLink) -> str:
        self._log.links += key_weight(link.id)
        return ""


class SimulatedSource:
    """The ports of one source. `requests(read, keys, assumptions)` returns the requests of a read on its wire."""

    def __init__(
        self, name: str, log: ReadLog, assume: Assumptions, requests: Callable[[str, int, Assumptions], int]
    ) -> None:
        self._name = name
        self._log = log
        self._assume = assume
        self._requests = requests
        self.with_shipments = False
        self.third_party: tuple[str, ...] = ()

    def port(self, port: Port) -> Any:
        """A simulated port with the reads of its descriptor."""
        return SimpleNamespace(**{name: partial(self._read, port, name, read) for name, read in port})

    async def _read(self, port: Port, name: str, read: Read, _: object, *arguments: Any, **options: Any) -> Any:
        keys, rest = _keys(read, arguments)
        cached = read.cache is not None and read.cache.always
        count = max(total_weight(keys), 1)
        requests = 0 if cached else self._requests(f"{port.name}.{name}", count, self._assume)
        if read.simulated is None and read.record not in RECORDS and read.record not in NOT_FOUND:
            raise UnmodelledRead(f"{port.name}.{name} reads {read.record.__name__}, which is not simulated")
        rows = self._rows(read, keys, rest, options)
        await self._log.record(
            SimulatedRead(self._name, f"{port.name}.{name}", count, requests, count_rows(rows), cached=cached)
        )
        return rows

    def _rows(self, read: Read, keys: Sequence[Any], rest: Sequence[Any], options: Mapping[str, Any]) -> Any:
        if read.record in NOT_FOUND:
            return {}
        if read.record is Warehouse:
            return self._warehouses()
        if read.shape is Shape.LIST:
            weight = _page_size(rest, options)
            return _page(read, self._row(read, WeightedKey(read.record.__name__, weight), None, options))
        if read.shape is Shape.PAGE:
            weight = _page_size(rest, options)
            return {key: _page(read, self._child(read, key, weight, "O", options)) for key in keys}
        if read.shape is Shape.ROWS:
            return {key: self._children(read, key, options) for key in keys}
        return {key: self._row(read, _id(key), key, options) for key in keys}

    def _children(self, read: Read, key: Any, options: Mapping[str, Any]) -> tuple[Any, ...]:
        many = {Shipment: self._assume.shipments, ItemRelation: self._assume.relations}.get(
            read.record, getattr(options.get("query"), "first", read.simulated_rows)
        )
        suffix = {Shipment: "P", ItemRelation: "R"}.get(read.record, read.record.__name__)
        return (self._child(read, key, many, suffix, options),) if many else ()

    def _child(self, read: Read, key: Any, many: int, suffix: str, options: Mapping[str, Any]) -> Any:
        return self._row(read, WeightedKey(f"{key}-{suffix}", key_weight(key) * many), key, options)

    def _row(self, read: Read, id_: str, key: Any, options: Mapping[str, Any]) -> Any:
        customer = read.key_customer(key) if read.key_customer is not None and key is not None else None
        simulate = read.simulated or RECORDS[read.record]
        return simulate(
            RowRequest(
                self._name,
                id_,
                customer or self._assume.customer,
                key,
                options,
                self._assume,
                self.with_shipments,
            )
        )

    def _warehouses(self) -> tuple[Warehouse, ...]:
        own = [f"W{row}" for row in range(self._assume.warehouses - len(self.third_party))]
        kinds = dict.fromkeys(own, WarehouseKind.OWN) | dict.fromkeys(self.third_party, WarehouseKind.THIRD_PARTY)
        return tuple(Warehouse(code=code, name=code, kind=kind) for code, kind in kinds.items())


def _keys(read: Read, arguments: Sequence[Any]) -> tuple[list[Any], Sequence[Any]]:
    if read.shape in (Shape.LIST, Shape.ALL):
        return [], arguments
    return list(arguments[0]), arguments[1:]


def _page_size(arguments: Sequence[Any], options: Mapping[str, Any]) -> int:
    query = options["query"] if "query" in options else arguments[0]
    return query.page.first


def _id(key: Any) -> str:
    return key if isinstance(key, str) else getattr(key, "number", None) or key.sku


def _page(read: Read, row: Any) -> Page[Any]:
    return read.page(rows=(row,), cursors=("0",))


SHARED_KEYS = {
    ChangeKind.STOCK: "Item",
    ChangeKind.ITEM: "Item",
    ChangeKind.CUSTOMER: "Customer",
    ChangeKind.CREDIT: "Customer",
    ChangeKind.PRICE: "Customer",
    ChangeKind.CONTACT: "Customer",
}
"""The type of the subject of a kind whose key all sources share."""


class SimulatedEventLog:
    """An event log in which everything changes: subjects of each kind and source in turn."""

    def __init__(self, connected: Mapping[str, Source], assume: Assumptions) -> None:
        self._customer = assume.customer
        self._subjects = [(ChangeKind.SHIPMENT, name) for name, one in connected.items() if one.shipments is not None]
        self._subjects += [(ChangeKind.ORDER, name) for name, one in connected.items() if one.orders is not None]
        self._subjects += [(ChangeKind.INVOICE, name) for name, one in connected.items() if one.billing is not None]
        self._subjects += [(ChangeKind.QUOTE, name) for name, one in connected.items() if one.quotes is not None]
        returning = [name for name, one in connected.items() if one.serves("billing", "returns_by_id")]
        self._subjects += [(ChangeKind.RETURN, name) for name in returning]
        self._subjects += [(kind, "") for kind in SHARED_KEYS]
        self._subjects.append((ChangeKind.INTAKE, ""))

    async def end(self) -> str:
        return "0"

    async def read(self, after: str, limit: int = 500) -> EventPage:
        kinds = islice(cycle(self._subjects), limit)
        entries = tuple(LoggedEvent(cursor=str(row), update=self._update(row, *one)) for row, one in enumerate(kinds))
        return EventPage(entries=entries, start=after, cursor=str(limit))

    def _update(self, row: int, kind: ChangeKind, source: str) -> ChangeEvent:
        key = f"K{row}"
        shared = SHARED_KEYS.get(kind)
        if kind is ChangeKind.INTAKE:
            shared = "OrderIntake"
        id = node_id(shared, key) if shared else node_id(kind.title(), source, key)
        return ChangeEvent(
            kind=kind, source=source, key=key, node_id=id, recorded_at=SIMULATED_AT, customer=self._customer
        )


class SimulatedLedger:
    """An audit log without entries: reading it calls no source."""

    def page(self, query: AuditQuery, most: int, before: int | None = None) -> list[NumberedEntry]:
        return []


def simulate_sources(settings: Settings, real: Sources, log: ReadLog, assume: Assumptions) -> Sources:
    """The configured sources, simulated: the same domains, masters and routes, and each vendor's requests of a read."""
    from app.sources.wiring import assemble, with_index

    connected = {}
    for name, source in real.connected.items():
        simulated = SimulatedSource(name, log, assume, source.requests)
        simulated.with_shipments = source.brings_shipments
        simulated.third_party = tuple(sorted(real.third_party))
        ports: dict[str, Any] = {
            port.name: simulated.port(port) for port in PORTS.values() if getattr(source, port.name) is not None
        }
        ports |= {port: UnmodelledPort(port) for port in UNREAD if getattr(source, port) is not None}
        connected[name] = replace(source, **ports)
    sources = assemble(settings, connected)
    if not real.indexed:
        return sources
    return with_index(sources, SimulatedSource("search", log, assume, lambda *_: 0).port(SEARCH))
