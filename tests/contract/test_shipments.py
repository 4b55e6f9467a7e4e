"""The shipments port."""

from __future__ import annotations

from datetime import timedelta

from app.auth.principal import SYSTEM
from app.sources.shipments import ShipmentQuery, shipment_sort_key
from app.sources.source import Source
from tests.contract import checks
from tests.contract.case import Case, assert_exact

PORT = "shipments"


def by_tracking(source: Source) -> checks.Read:
    return lambda keys: source.shipments.by_tracking_number(SYSTEM, keys)


def by_order(source: Source) -> checks.Read:
    return lambda keys: source.shipments.by_order(SYSTEM, keys)


async def test_shipments_are_read_by_tracking_number(case: Case, source: Source):
    await checks.check_reads_by_keys(by_tracking(source), case.shipments.tracking, case.shipments.unknown)


async def test_shipments_are_read_by_order(case: Case, source: Source):
    await checks.check_reads_by_keys(by_order(source), list(case.shipments.by_order), "SO-999999")


async def test_calls_do_not_grow_with_shipments(case: Case, source: Source):
    await checks.check_calls_do_not_grow(by_tracking(source), case.shipments.tracking)


async def test_calls_do_not_grow_with_orders(case: Case, source: Source):
    await checks.check_calls_do_not_grow(by_order(source), list(case.shipments.by_order))


async def test_hostile_keys_are_unknown(case: Case, source: Source):
    await checks.check_hostile_keys(by_tracking(source), case.shipments.tracking[0])
    await checks.check_hostile_keys(by_order(source), next(iter(case.shipments.by_order)))


async def test_wrong_answers_are_our_errors(case: Case):
    await checks.check_wrong_answers(case, by_order, next(iter(case.shipments.by_order)))


async def test_tracking_number_is_matched_whole(case: Case, source: Source):
    parts = [number[:-1] for number in case.shipments.tracking]
    assert await source.shipments.by_tracking_number(SYSTEM, parts) == {}
    await checks.read_all(by_tracking(source), case.shipments.tracking)


async def test_shipment_has_its_values(case: Case, source: Source):
    found = await source.shipments.by_tracking_number(SYSTEM, list(case.shipments.exact))
    for number, expected in case.shipments.exact.items():
        assert found[number].tracking_number == number
        assert_exact(found[number], expected)


async def test_orders_have_all_their_shipments(case: Case, source: Source):
    found = await source.shipments.by_order(SYSTEM, list(case.shipments.by_order))
    assert {key: tuple(row.tracking_number for row in rows) for key, rows in found.items()} == dict(
        case.shipments.by_order
    )
    for number, rows in found.items():
        assert all(number in row.orders for row in rows)


async def test_shipment_is_found_again_by_its_own_id(case: Case, source: Source):
    found = await checks.read_all(by_tracking(source), case.shipments.tracking)
    ids = {row.id: number for number, row in found.items()}
    again = await source.shipments.by_id(SYSTEM, [*ids, "999999999", "no id"])
    assert {key: row.tracking_number for key, row in again.items()} == ids


async def test_events_ascend_from_one(case: Case, source: Source):
    for row in (await checks.read_all(by_tracking(source), case.shipments.tracking)).values():
        assert row.source == row.freshness.source == source.name
        assert bool(row.events) is case.shipments.events
        assert [event.sequence for event in row.events] == list(range(1, len(row.events) + 1))
        assert [event.at for event in row.events] == sorted(event.at for event in row.events)
        assert {event.at.utcoffset() for event in row.events} <= {timedelta(0)}
        assert {event.source for event in row.events} <= {source.name}


async def test_lists_are_those_of_the_source(case: Case, source: Source):
    if "shipments.search" not in source.lists:
        assert (hasattr(source.shipments, "search"), case.shipments.lists) == (False, ())
        return
    assert len(case.shipments.lists) > 0
    await checks.check_lists(source, "shipments.search", case.shipments.lists, ShipmentQuery, lambda row: row.id)
    reads = ("shipments.by_customer", "shipments.search")
    await checks.check_listed_pages(source, reads, ShipmentQuery, shipment_sort_key, ("CUST-0001", "CUST-0002"))
