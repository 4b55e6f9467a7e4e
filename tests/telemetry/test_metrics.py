"""What is counted of operations, of the age of their data, and of the process."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from app.auth.principal import Principal
from app.gateway.websocket import PROTOCOL
from app.sources.field_mask import field_mask
from app.sources.prices import PRICES, ContractPrice, PriceRequest
from app.sources.shipments import SHIPMENTS, Shipment, ShipmentStatus, TrackingEvent
from app.sources.stock import LEVELS, StockLevel
from app.sources.values import Freshness, Money
from app.telemetry import metrics, observe_loop_lag
from app.telemetry.age_metrics import AgeMetrics
from tests.support.gateway import CSR, SELLER, Graph
from tests.support.ports import compiled

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
WHO = Principal(subject="a-csr", roles=frozenset(), tenant="demo")


def value(name: str, **labels: str) -> float:
    """A series of this process, 0 before it is begun."""
    return metrics().registry.get_sample_value(name, labels) or 0.0


def read_at(minutes: float) -> Freshness:
    return Freshness(source="any", as_of=NOON - timedelta(minutes=minutes))


def asked(age: int) -> PriceRequest:
    return PriceRequest("CUST-0001", "SKU-0001", Decimal(1), on=(NOON - timedelta(minutes=age)).date())


class Ports:
    """Stock, prices and shipments of one source, as old as they are made."""

    def __init__(self, *minutes: Any) -> None:
        self._minutes: tuple[Any, ...] = minutes

    async def levels(self, principal, skus):
        return {str(age): StockLevel(sku=str(age), uom="EA", freshness=read_at(age)) for age in self._minutes}

    async def quote(self, principal, requests) -> Any:
        return {
            asked(age): ContractPrice(
                customer="CUST-0001",
                sku="SKU-0001",
                uom="EA",
                quantity=Decimal(1),
                unit_price=Money(amount=Decimal(1), currency="EUR"),
                authority="any",
                quoted_at=NOON - timedelta(minutes=age),
                freshness=read_at(0),
            )
            for age in self._minutes
        }

    async def by_id(self, principal, ids):
        events = tuple(
            TrackingEvent(
                sequence=number,
                at=NOON,
                recorded_at=None if lag is None else NOON + timedelta(minutes=lag),
                status=ShipmentStatus.IN_TRANSIT,
                source="any",
            )
            for number, lag in enumerate(self._minutes, 1)
        )
        row = Shipment(id="1", source="any", status=ShipmentStatus.IN_TRANSIT, events=events, freshness=read_at(0))
        return {"1": row}

    async def by_tracking_number(self, principal, numbers):
        return await self.by_id(principal, numbers)

    async def by_order(self, principal, numbers):
        return {"1": tuple((await self.by_id(principal, numbers)).values())}


async def test_stock_counts_the_oldest_level_of_a_read():
    stock = compiled(LEVELS, Ports(2, 30), "erp-a", lambda: NOON)
    assert (await stock.levels(WHO, ["SKU-0001"])).keys() == {"2", "30"}
    assert value("tradegraph_stock_age_seconds_sum", source="erp-a") == 1800
    assert value("tradegraph_stock_age_seconds_count", source="erp-a") == 1
    assert value("tradegraph_stock_age_seconds_bucket", source="erp-a", le="900.0") == 0
    assert value("tradegraph_stock_age_seconds_bucket", source="erp-a", le="3600.0") == 1


async def test_clock_that_runs_ahead_makes_nothing_younger_than_now():
    await compiled(LEVELS, Ports(-5), "erp-ahead", lambda: NOON).levels(WHO, [])
    assert value("tradegraph_stock_age_seconds_sum", source="erp-ahead") == 0
    assert value("tradegraph_stock_age_seconds_count", source="erp-ahead") == 1


async def test_read_that_found_nothing_has_no_age():
    await compiled(LEVELS, Ports(), "erp-empty", lambda: NOON).levels(WHO, [])
    assert value("tradegraph_stock_age_seconds_count", source="erp-empty") == 0


async def test_prices_count_from_the_moment_at_which_they_were_quoted():
    await compiled(PRICES, Ports(1, 3), "erp-a", lambda: NOON).quote(WHO, [])
    assert value("tradegraph_price_age_seconds_sum", source="erp-a") == 180
    assert value("tradegraph_price_age_seconds_count", source="erp-a") == 1


async def test_event_lag_is_measured_once_and_only_if_both_times_are_known():
    shipments = compiled(SHIPMENTS, Ports(10, None, 20), "carrier-a")
    await shipments.by_id(WHO, ["1"])
    await shipments.by_tracking_number(WHO, ["1"])
    await shipments.by_order(WHO, ["1"])
    assert value("tradegraph_shipment_confirmation_lag_seconds_sum", source="carrier-a") == 1800
    assert value("tradegraph_shipment_confirmation_lag_seconds_count", source="carrier-a") == 2


async def test_events_whose_record_nobody_reads_are_let_be():
    token = field_mask.set(frozenset({(Shipment, "events")}))
    try:
        await compiled(SHIPMENTS, Ports(10), "carrier-b").by_id(WHO, ["1"])
    finally:
        field_mask.reset(token)
    assert value("tradegraph_shipment_confirmation_lag_seconds_count", source="carrier-b") == 0


async def test_reads_of_stock_and_prices_are_aged_and_predictions_are_not(graph: Graph):
    names = ("tradegraph_stock_age_seconds_count", "tradegraph_price_age_seconds_count")
    before = [value(name, source="erp") for name in names]
    await graph.data(
        """{ a: item(by: {sku: "SKU-0001"}) { availability { atp }
                contractPrice(customer: {number: "CUST-0001"}) { unitPrice { amount } } }
             b: item(by: {sku: "SKU-0002"}) { availability { atp } } }""",
        principal=SELLER,
    )
    assert [value(name, source="erp") for name in names] == [before[0] + 1, before[1] + 1]


async def test_events_are_aged_where_both_moments_are_selected(graph: Graph, monkeypatch: pytest.MonkeyPatch):
    name, registry = "tradegraph_shipment_confirmation_lag_seconds_count", CollectorRegistry()
    monkeypatch.setattr(metrics(), "ages", AgeMetrics(registry))  # other tests have read events, which count once
    query = '{ order(by: {number: "SO-100040"}) { shipments { events { at %s } } } }'
    await graph.data(query % "")
    assert registry.get_sample_value(name, {"source": "logistics"}) is None
    answer = await graph.data(query % "recordedAt")
    told = [event for row in answer["order"]["shipments"] for event in row["events"] if event["recordedAt"]]
    assert told
    assert registry.get_sample_value(name, {"source": "logistics"}) == len(told)


@pytest.mark.parametrize(
    ("query", "outcome"),
    [
        ("query Kept { warehouses { code } }", "ok"),
        ('query Kept { warehouses { code } item(by: {sku: ""}) { sku } }', "partial"),
    ],
)
async def test_operations_count_by_name_and_outcome(graph: Graph, query: str, outcome: str):
    before = value("tradegraph_requests_total", operation="Kept", outcome=outcome)
    await graph.ask(query)
    assert value("tradegraph_requests_total", operation="Kept", outcome=outcome) == before + 1


async def test_what_the_caller_can_mend_is_no_failure(graph: Graph):
    refused = value("tradegraph_requests_total", operation="anonymous", outcome="refused")
    failed = value("tradegraph_requests_total", operation="anonymous", outcome="failed")
    await graph.ask("{ nothing }")
    await graph.client.post("/graphql", json={"query": "{ warehouses { code } }"})
    assert value("tradegraph_requests_total", operation="anonymous", outcome="refused") == refused + 2
    assert value("tradegraph_requests_total", operation="anonymous", outcome="failed") == failed


async def test_open_sockets_are_counted(graph: Graph):
    before = value("tradegraph_open_streams", transport="websocket")
    address = str(graph.client.base_url).replace("http", "ws").rstrip("/")
    async with connect(f"{address}/graphql", subprotocols=[Subprotocol(PROTOCOL)], additional_headers=CSR) as socket:
        await socket.send('{"type": "connection_init"}')
        assert json.loads(await socket.recv()) == {"type": "connection_ack"}
        assert value("tradegraph_open_streams", transport="websocket") == before + 1
    await until(lambda: value("tradegraph_open_streams", transport="websocket") == before)


async def until(so) -> None:
    """Let others run until it is so."""
    async with asyncio.timeout(120):
        while not so():
            await asyncio.sleep(0)


def late() -> float:
    """How often the event loop came back more than 50 ms late."""
    name = "tradegraph_event_loop_lag_seconds_bucket"
    return value(name, le="+Inf") - value(name, le="0.05")


async def test_loop_that_is_blocked_is_late():
    before = late()
    watch = asyncio.create_task(observe_loop_lag(every=0.001))
    await asyncio.sleep(0)
    time.sleep(0.06)  # noqa: ASYNC251 - what is measured
    await until(lambda: late() == before + 1)
    watch.cancel()


async def test_metrics_can_be_read_by_prometheus(graph: Graph):
    text = await graph.metrics()
    names = {family.name for family in text_string_to_metric_families(text)}
    assert {"tradegraph_requests", "tradegraph_event_loop_lag_seconds", "process_open_fds"} <= names
