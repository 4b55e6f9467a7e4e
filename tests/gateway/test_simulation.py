"""The simulation behind `explain` and costs: every read of every port has simulated rows, or fails."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any, get_args, get_type_hints

import msgspec
import pytest

from app.auth.principal import SYSTEM
from app.cli.demo import SANDBOX_DOMAINS, sandbox_sources
from app.gateway.explain.read_log import ReadLog, count_rows
from app.gateway.explain.simulated_records import Assumptions
from app.gateway.explain.simulation import NOT_FOUND, UNREAD, SimulatedSource, UnmodelledRead, simulate_sources
from app.settings import Settings
from app.sources.billing import InvoiceQuery, ReturnQuery
from app.sources.customers import CustomerQuery
from app.sources.downloads import DocumentKind
from app.sources.items import CustomerItemKey, CustomerPartKey, ItemQuery
from app.sources.orders import CustomerPoKey, OrderQuery
from app.sources.port_registry import PORTS
from app.sources.ports import Port, Read, Routing, Shape
from app.sources.prices import PriceRequest
from app.sources.quotes import QuoteQuery
from app.sources.search import CustomerSearchQuery, ItemSearchQuery
from app.sources.shipments import ShipmentQuery
from app.sources.source import Source, by_hundreds
from app.sources.values import PageRequest
from app.sources.wiring import connect_all

READS = [(port, name) for port in PORTS.values() for name, _ in port]
PAGE = PageRequest(first=7)
KEYS: dict[str, Any] = {
    "items.by_customer_part": CustomerPartKey(customer="C1", number="P1"),
    "purchases.history": CustomerItemKey(customer="C1", sku="S1"),
    "items.part_numbers": CustomerItemKey(customer="C1", sku="S1"),
    "orders.by_customer_po": CustomerPoKey(customer="C1", number="PO1"),
    "prices.quote": PriceRequest(customer="C1", sku="S1", quantity=Decimal(1), uom="EA"),
}
QUERIES = {
    "customers.search": CustomerQuery(page=PAGE),
    "items.search": ItemQuery(page=PAGE),
    "orders.by_customer": OrderQuery(page=PAGE),
    "orders.search": OrderQuery(page=PAGE),
    "shipments.by_customer": ShipmentQuery(page=PAGE),
    "shipments.search": ShipmentQuery(page=PAGE),
    "billing.invoices_by_customer": InvoiceQuery(page=PAGE),
    "billing.search_invoices": InvoiceQuery(page=PAGE),
    "billing.returns_by_customer": ReturnQuery(page=PAGE),
    "billing.search_returns": ReturnQuery(page=PAGE),
    "quotes.by_customer": QuoteQuery(page=PAGE),
    "quotes.search": QuoteQuery(page=PAGE),
    "search.items": ItemSearchQuery(page=PAGE),
    "search.customers": CustomerSearchQuery(page=PAGE),
}


async def read(port: Port, name: str, log: ReadLog) -> Any:
    """The simulated answer of a read for one key, or for a query."""
    label, descriptor = f"{port.name}.{name}", port.reads[name]
    key = KEYS.get(label, "K1")
    arguments: tuple[Any, ...] = ([key],)
    if descriptor.shape is Shape.LIST:
        arguments = (QUERIES[label],)
    elif descriptor.shape is Shape.ALL:
        arguments = ()
    elif descriptor.shape is Shape.PAGE:
        arguments = ([key], QUERIES.get(label, OrderQuery(page=PAGE)))
    elif descriptor.routing is Routing.WAREHOUSE:
        arguments = (["W1"], ["S1"])
    simulated = SimulatedSource("erp", log, Assumptions(), by_hundreds).port(port)
    running = asyncio.ensure_future(getattr(simulated, name)(SYSTEM, *arguments))
    await log.drive(running)
    return await running


@pytest.mark.parametrize(("port", "name"), READS, ids=lambda one: getattr(one, "name", one))
async def test_every_read_of_every_port_is_simulated(port: Port, name: str):
    log = ReadLog()
    rows = await read(port, name, log)
    descriptor = port.reads[name]
    expected = {Shape.PAGE: 7, Shape.LIST: 7, Shape.ALL: 3}.get(descriptor.shape, 1)
    expected = {"items.relations": 2, "commissions.sub_agents": 5, "contacts.by_customer": 5}.get(
        f"{port.name}.{name}", expected
    )
    assert count_rows(rows) == (0 if descriptor.record in NOT_FOUND else expected)
    (recorded,) = log.reads
    assert (recorded.source, recorded.read, recorded.keys) == ("erp", f"{port.name}.{name}", 1)


def test_reads_were_walked():
    assert len(READS) >= 20


async def test_read_without_a_simulated_row_fails():
    class Unknown(msgspec.Struct):
        """A record that nobody has simulated."""

    port = Port("pallets", object, {"by_id": Read(record=Unknown)})
    with pytest.raises(UnmodelledRead, match=r"pallets\.by_id reads Unknown"):
        await read(port, "by_id", ReadLog())


def test_every_port_of_a_source_is_simulated_or_refused():
    found = {name for name, kind in get_type_hints(Source).items() for one in get_args(kind) if is_protocol(one)}
    assert found == PORTS.keys() | set(UNREAD)


def is_protocol(kind: Any) -> bool:
    return getattr(kind, "_is_protocol", False) and kind.__module__.startswith("app.sources")


async def test_ports_without_a_simulation_fail_and_call_no_backend():
    nowhere: dict[str, str] = dict.fromkeys(("erp", "commerce", "logistics"), "http://127.0.0.1:1")
    settings = Settings(sources=sandbox_sources(nowhere, "none"), domains=SANDBOX_DOMAINS)
    real = connect_all(settings)
    refused = set()
    try:
        for name, source in simulate_sources(settings, real, ReadLog(), Assumptions()).connected.items():
            for port in UNREAD:
                if getattr(real.connected[name], port) is None:
                    assert getattr(source, port) is None
                    continue
                refused.add(port)
                with pytest.raises(UnmodelledRead, match=rf"{port}\.open is not simulated"):
                    getattr(source, port).open(SYSTEM, DocumentKind.INVOICE, "1", "CUST-0001")
    finally:
        await real.close()
    assert "downloads" in refused
