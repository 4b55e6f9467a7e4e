"""How the `rest` adapter reads partial records: what is in them, and what makes it read an answer whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from app import telemetry
from app.auth.principal import SYSTEM
from app.errors import SourceMalformed
from app.sources.field_mask import OPTIONAL_FIELDS, FieldMask, field_mask
from app.sources.orders import Order, OrderStatus
from app.sources.shipments import Shipment
from app.sources.values import FieldNotFetched, Freshness, Ref
from tests.support.rest import ORDER, answering, connected
from tests.upstreams import serve

MOMENT = "2026-11-20T08:00:00+01:00"
KNOWN = ORDER | {
    "status": "CONFIRMED",
    "customerPo": "PO-7",
    "asOf": MOMENT,
    "history": [],
}
EVERYTHING: FieldMask = frozenset((record, name) for record, names in OPTIONAL_FIELDS.items() for name in names)


@contextmanager
def needing(*wanted: tuple[type, str]) -> Iterator[None]:
    token = field_mask.set(frozenset(wanted))
    try:
        yield
    finally:
        field_mask.reset(token)


async def order(body: dict[str, Any], *wanted: tuple[type, str], whole: bool = False) -> Any:
    """The order as the adapter reads it when it is asked for the second time."""
    async with serve(answering(orders=[{"key": "SO-1", "value": body}])) as url:
        source = connected(url)
        try:
            if whole:
                return (await source.orders.by_number(SYSTEM, ["SO-1"]))["SO-1"]
            with needing(*wanted):
                for _ in range(2):
                    found = await source.orders.by_number(SYSTEM, ["SO-1"])
            return found["SO-1"]
        finally:
            await source.aclose()


async def test_what_is_not_needed_is_not_decoded_and_not_there():
    found = await order(KNOWN, (Order, "customer_po"))
    assert isinstance(found, Order)
    assert (found.number, found.status, found.customer_po) == ("SO-1", OrderStatus.CONFIRMED, "PO-7")
    for name in ("channel", "lines", "totals", "freshness", "refs"):
        with pytest.raises(FieldNotFetched, match=f"Order.{name} was not fetched"):
            getattr(found, name)


async def test_what_the_gateway_adds_is_as_in_a_whole_record():
    found = await order(KNOWN, *EVERYTHING)
    assert type(found) is Order  # Nothing was left out.
    part = await order(KNOWN, *(EVERYTHING - {(Order, "channel")}))
    assert type(part) is not Order
    assert part.source == "erp"
    assert part.refs == (Ref(system="erp", id="1"),)
    assert part.freshness == Freshness(source="erp", as_of=datetime.fromisoformat(MOMENT))
    assert part.freshness is part.freshness
    shared = [name for name in Order.__struct_fields__ if name != "channel"]
    assert [getattr(part, name) for name in shared] == [getattr(found, name) for name in shared]


async def test_a_system_cannot_name_another_source():
    for name in ("source", "(source)"):
        assert (await order(KNOWN | {name: "another"}, (Order, "customer_po"))).source == "erp"


async def test_time_of_reading_is_used_where_the_system_gives_none():
    found = await order({**KNOWN, "asOf": None}, (Order, "freshness"))
    assert found.freshness.as_of == datetime(2026, 11, 21, tzinfo=UTC)


async def test_unknown_status_keeps_its_raw_value_and_is_counted():
    counter = telemetry.metrics().unknown_statuses.labels("erp", "order.status", "AWAITING_PIXIES")
    before = counter._value.get()
    found = await order(ORDER, (Order, "raw_status"))
    assert (found.status, found.raw_status) == (OrderStatus.UNKNOWN, "AWAITING_PIXIES")
    assert counter._value.get() == before + 2  # Both readings were whole.


@pytest.mark.parametrize(
    "wrong", [{"number": 1}, {"totals": {"total": {"amount": "NaN", "currency": "EUR"}}}, {"status": None}]
)
async def test_malformed_required_field_is_still_an_error(wrong: dict[str, Any]):
    told: list[str | None] = []
    for whole in (True, False):
        with pytest.raises(SourceMalformed) as caught:
            await order(KNOWN | wrong, (Order, "totals"), whole=whole)
        told.append(caught.value.detail)
    assert told[0] == told[1]


async def test_events_ascend_and_can_be_left_out():
    event = {"at": MOMENT, "status": "IN_TRANSIT", "rawCode": ""}
    shipment = {
        "id": "7",
        "status": "UNKNOWN",
        "orders": ["SO-1"],
        "events": [{**event, "sequence": 2}, {**event, "sequence": 1}],
    }
    wanted = [(Shipment, "events"), (Shipment, "raw_status"), (Shipment, "packages")]
    async with serve(answering(shipments=[{"key": "SO-1", "value": [shipment]}])) as url:
        source = connected(url)
        with needing(*wanted):
            for _ in range(2):
                (found,) = (await source.shipments.by_order(SYSTEM, ["SO-1"]))["SO-1"]
        await source.aclose()
    assert [one.sequence for one in found.events] == [1, 2]
    assert found.events is found.events
    assert found.raw_status == "UNKNOWN"
    with pytest.raises(FieldNotFetched, match=r"TrackingEvent\.raw_code"):
        _ = found.events[0].raw_code
    replaced = msgspec.structs.replace(found, events=())
    assert replaced.events == ()
