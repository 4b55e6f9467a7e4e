"""Karrio's peculiarities; what all adapters have in common is in tests/contract."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from app import telemetry
from app.auth.principal import SYSTEM
from app.errors import (
    ConfigurationError,
    SourceError,
    SourceMalformed,
    SourceRejected,
    SourceThrottled,
    SourceUnavailable,
)
from app.settings import SourceSettings
from app.sources.karrio import connect
from app.sources.shipments import Incident, IncidentParty, ShipmentStatus
from tests.contract.case import Environment
from tests.contract.karrio_case import connect_to, open_karrio
from tests.upstreams.graphql import Answer, fault, graphql_upstream

CODES = [f"SO-{number}" for number in (*range(100036, 100081), *range(200001, 200056))]
TRACKING = [f"1ZDEMO{number:06}" for number in (*range(36, 81), *range(200001, 200056))]
HOSTILE = [
    "",
    " ",
    "'",
    '"}){x}',
    "SO-100040\0",
    "\0",
    "../x?y#z",
    "%",
    "_",
    "x" * 10_000,
    "😀",
    "so-100040",
    " SO-100040",
]


@pytest.fixture
async def karrio(live, recording):
    async with open_karrio(Environment(live=live, recording=recording, sandbox=NotImplemented)) as source:
        yield source


# The seeded server, recorded


async def test_shipment_that_the_erp_thinks_unsent_was_picked_up(karrio):
    (shipment,) = (await karrio.shipments.by_order(SYSTEM, ["SO-100053"]))["SO-100053"]
    assert (shipment.status, shipment.raw_status) == (ShipmentStatus.PICKED_UP, "picked_up")
    assert (shipment.tracking_number, shipment.customer, shipment.warehouse) == ("1ZDEMO000053", "CUST-0015", "WH-WEST")
    assert [(event.sequence, event.at, event.status, event.raw_code) for event in shipment.events] == [
        (1, datetime(2026, 2, 12, 7, tzinfo=UTC), ShipmentStatus.PENDING, "CREATED"),
        (2, datetime(2026, 2, 12, 11, tzinfo=UTC), ShipmentStatus.PICKED_UP, "PU"),
    ]


async def test_order_cancelled_in_the_shop_was_never_sent(karrio):
    assert dict(await karrio.shipments.by_order(SYSTEM, ["SO-100082"])) == {}


async def test_every_shipment_of_the_seed_has_its_status(karrio):
    found = await karrio.shipments.by_order(SYSTEM, CODES)
    counts: dict[tuple[str | None, str, bool], int] = {}
    for shipments in found.values():
        for one in shipments:
            key = (one.raw_status, one.status.value, one.cancelled)
            counts[key] = counts.get(key, 0) + 1
    assert counts == {
        ("draft", "PENDING", False): 5,
        ("cancelled", "PENDING", True): 5,
        ("pending", "PENDING", False): 5,
        ("picked_up", "PICKED_UP", False): 5,
        ("in_transit", "IN_TRANSIT", False): 15,
        ("out_for_delivery", "OUT_FOR_DELIVERY", False): 10,
        ("on_hold", "ON_HOLD", False): 5,
        ("delivery_delayed", "DELIVERY_DELAYED", False): 5,
        ("delivery_failed", "DELIVERY_FAILED", False): 5,
        ("return_to_sender", "RETURN_TO_SENDER", False): 5,
        ("delivered", "DELIVERED", False): 35,
    }
    every = [one for shipments in found.values() for one in shipments]
    assert not any(event.status is ShipmentStatus.UNKNOWN for one in every for event in one.events)
    assert {one.incident for one in every if one.status is ShipmentStatus.ON_HOLD} == {
        Incident(party=IncidentParty.OTHER, reason="Held: address query")
    }


async def test_hundred_orders_take_as_many_calls_as_one(karrio):
    with telemetry.open_scope() as scope:
        await karrio.shipments.by_order(SYSTEM, CODES[:1])
    assert scope.calls == [("logistics", "shipments.by_order")]
    with telemetry.open_scope() as scope:
        found = await karrio.shipments.by_order(SYSTEM, CODES)
    assert scope.calls == [("logistics", "shipments.by_order")]
    assert list(found) == CODES


async def test_tracking_numbers_take_one_call_and_one_more_for_those_without_a_tracker(karrio):
    with telemetry.open_scope() as scope:
        some = await karrio.shipments.by_tracking_number(SYSTEM, TRACKING[:45])
    assert (len(some), len(scope.calls)) == (45, 1)
    with telemetry.open_scope() as scope:
        every = await karrio.shipments.by_tracking_number(SYSTEM, [*TRACKING[1:], "1ZUNKNOWN"])
    assert (len(every), len(scope.calls)) == (94, 2)
    assert every["1ZDEMO200054"].cancelled
    assert all(number == one.tracking_number for number, one in every.items())


async def test_shipments_by_id_take_one_call(karrio):
    ids = [one[0].id for one in (await karrio.shipments.by_order(SYSTEM, CODES)).values()]
    with telemetry.open_scope() as scope:
        found = await karrio.shipments.by_id(SYSTEM, [*ids[:50], "shp_0"])
    assert list(found) == ids[:50]
    assert scope.calls == [("logistics", "shipments.by_id")]


async def test_part_of_a_key_finds_nothing(karrio):
    assert dict(await karrio.shipments.by_order(SYSTEM, ["SO-10004", "SO-10004%", "100040"])) == {}
    assert dict(await karrio.shipments.by_tracking_number(SYSTEM, ["1ZDEMO00004", "DEMO000040"])) == {}


async def test_hostile_keys_are_absent(karrio):
    assert dict(await karrio.shipments.by_order(SYSTEM, HOSTILE)) == {}
    assert dict(await karrio.shipments.by_tracking_number(SYSTEM, HOSTILE)) == {}
    assert dict(await karrio.shipments.by_id(SYSTEM, HOSTILE)) == {}


async def test_keys_for_which_karrio_would_give_every_row_are_not_sent(karrio):
    with telemetry.open_scope() as scope:
        for read in (karrio.shipments.by_order, karrio.shipments.by_tracking_number, karrio.shipments.by_id):
            assert dict(await read(SYSTEM, ["", " ", "\0", "SO-100040\0", "x" * 10_000])) == {}
            assert dict(await read(SYSTEM, [])) == {}
    assert scope.calls == []


async def test_server_and_key_are_well(karrio):
    await karrio.ping()


# Errors


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (
            {"data": None, "errors": [{"message": "x", "code": "authentication_required", "status_code": 401}]},
            SourceRejected,
        ),
        ({"data": None, "errors": [{"message": "Cannot query field 'nope'", "locations": []}]}, SourceRejected),
        (fault("X", {"a0": None}), SourceRejected),
        (
            {"data": {"a0": {"edges": []}}, "errors": [{"message": "'Tracking' has no x", "path": ["a0", 0]}]},
            SourceUnavailable,
        ),
        ({"data": None, "errors": [{"message": "x", "code": "throttled", "status_code": 429}]}, SourceThrottled),
        (JSONResponse({"errors": [{"code": "invalid_token"}]}, 401), SourceRejected),
        (JSONResponse({"errors": [{"code": "throttled"}]}, 429, {"Retry-After": "7"}), SourceThrottled),
        (HTMLResponse("<h1>Server Error (500)</h1>", 500), SourceUnavailable),
        (HTMLResponse("<h1>Not Found</h1>", 404), SourceRejected),
        (HTMLResponse("<h1>Welcome</h1>"), SourceMalformed),
        (Response('{"data": {"a0": {"edges": [', media_type="application/json"), SourceMalformed),
        ({"data": None}, SourceMalformed),
        ({"data": {"a0": {"edges": [{"node": {"id": 1}}]}}}, SourceMalformed),
        ({}, SourceMalformed),
    ],
)
async def test_wrong_answers_become_our_errors(answer, error):
    async with graphql_upstream({"*": lambda variables, request: answer}) as upstream:
        source = connect_to(upstream.url)
        with pytest.raises(SourceError) as caught:
            await source.shipments.by_order(SYSTEM, ["SO-1"])
        await source.aclose()
    assert type(caught.value) is error
    assert "Tracking" not in caught.value.message
    if isinstance(caught.value, SourceThrottled):
        assert caught.value.retry_after == (7 if isinstance(answer, Response) else None)


async def test_key_is_sent_as_a_token_and_shown_nowhere():
    seen = []

    def answer(variables: dict[str, Any], request: Request) -> Any:
        seen.append(request.headers["authorization"])
        return HTMLResponse("no", 401)

    async with graphql_upstream({"*": answer}) as upstream:
        source = connect_to(upstream.url)
        with pytest.raises(SourceRejected) as caught:
            await source.ping()
        await source.aclose()
    assert seen == ["Token key_0123456789abcdef0123456789abcdef"]
    assert "key_0123" not in f"{source!r} {caught.value} {caught.value.detail}"


# Mapping


def _event(day: str | None, clock: str | None, code: str | None, text: str = "x") -> dict[str, Any]:
    return {"date": day, "time": clock, "code": code, "description": text, "location": ""}


def _shipment(tracker: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    whole = {"id": "trk_1", "status": "in_transit", "updated_at": "2026-01-03T00:00:00+00:00", "events": []}
    return {
        "id": "shp_1",
        "reference": "SO-1",
        "order_id": "SO-2",
        "status": "in_transit",
        "tracking_number": "1Z",
        "created_at": "2026-01-01T00:00:00+00:00",
        "updated_at": "2026-01-02T00:00:00+00:00",
        "metadata": {},
        "parcels": [],
        "tracker": None if tracker is None else whole | tracker,
        **changes,
    }


def _matching(*shipments: dict[str, Any]) -> Answer:
    """Answers like Karrio: what contains the key, in pages."""

    def answer(variables: dict[str, Any], request: Request) -> Any:
        data = {}
        for place in range(len(variables)):
            asked = variables[f"f{place}"]
            ((field, key),) = [pair for pair in asked.items() if pair[0] not in {"first", "offset"}]
            by_tracker = field == "tracking_number"
            if field == "keyword":
                field = "tracking_number"
            rows = [one for one in shipments if key in (one[field] or "") and (one["tracker"] or not by_tracker)]
            page = rows[asked["offset"] : asked["offset"] + asked["first"]]
            more = len(rows) > asked["offset"] + asked["first"]
            edges = [{"node": {"shipment": one} if by_tracker else one} for one in page]
            data[f"a{place}"] = {"page_info": {"has_next_page": more}, "edges": edges}
        return {"data": data}

    return answer


async def _read(shipment: dict[str, Any], **options: object):
    async with graphql_upstream({"*": _matching(shipment)}) as upstream:
        source = connect_to(upstream.url, **options)
        found = await source.shipments.by_order(SYSTEM, ["SO-1"])
        await source.aclose()
    return found["SO-1"][0]


async def test_events_are_put_in_order_whatever_form_their_time_has():
    events = [
        _event("2026-01-02", "06:00 PM", "DE"),
        _event("2026-01-02", None, "AR"),
        _event("01/01/2026", "23:30", "IT", "second of two at once"),
        _event("2026-01-01", "23:30:00", "PU", "first of two at once"),
        _event(None, "06:00 PM", "OD"),
        _event("soon", "06:00 PM", "OD"),
    ]
    shipment = await _read(_shipment({"events": events}))
    assert [(event.sequence, event.at, event.raw_code) for event in shipment.events] == [
        (1, datetime(2026, 1, 1, 23, 30, tzinfo=UTC), "PU"),
        (2, datetime(2026, 1, 1, 23, 30, tzinfo=UTC), "IT"),
        (3, datetime(2026, 1, 2, tzinfo=UTC), "AR"),
        (4, datetime(2026, 1, 2, 18, tzinfo=UTC), "DE"),
    ]
    assert shipment.shipped_at == datetime(2026, 1, 1, 23, 30, tzinfo=UTC)
    text = telemetry.metrics_text().decode()
    assert 'tradegraph_unknown_statuses_total{field="event.date",raw="soon",source="logistics"} 1.0' in text


async def test_event_times_are_read_in_the_configured_zone():
    events = [_event("2026-07-01", "09:00 AM", "IT"), _event("2026-01-01", "09:00 AM", "PU")]
    shipment = await _read(_shipment({"events": events}), event_timezone="Europe/Berlin")
    assert [event.at.isoformat() for event in shipment.events] == [
        "2026-01-01T08:00:00+00:00",
        "2026-07-01T07:00:00+00:00",
    ]


async def test_carrier_codes_come_from_the_options_and_unknown_ones_are_counted():
    events = [_event("2026-01-01", None, code) for code in ("out_for_delivery", "IT", "ZX-9", "R7", None)]
    shipment = await _read(_shipment({"events": events}), event_statuses={"R7": "RETURN_TO_SENDER", "IT": "PICKED_UP"})
    assert {event.raw_code: event.status for event in shipment.events} == {
        None: ShipmentStatus.UNKNOWN,
        "R7": ShipmentStatus.RETURN_TO_SENDER,
        "ZX-9": ShipmentStatus.UNKNOWN,
        "IT": ShipmentStatus.PICKED_UP,
        "out_for_delivery": ShipmentStatus.OUT_FOR_DELIVERY,
    }
    text = telemetry.metrics_text().decode()
    assert 'tradegraph_unknown_statuses_total{field="event.code",raw="ZX-9",source="logistics"} 1.0' in text


@pytest.mark.parametrize(
    ("status", "tracker", "expected", "raw", "cancelled"),
    [
        ("needs_attention", {"status": "on_hold"}, ShipmentStatus.ON_HOLD, "on_hold", False),
        ("in_transit", {"status": "delivered"}, ShipmentStatus.DELIVERED, "delivered", False),
        ("created", {"status": "ready_for_pickup"}, ShipmentStatus.READY_FOR_PICKUP, "ready_for_pickup", False),
        ("cancelled", {"status": "cancelled"}, ShipmentStatus.PENDING, "cancelled", True),
        ("in_transit", {"status": "unknown"}, ShipmentStatus.UNKNOWN, "unknown", False),
        ("in_transit", {"status": "teleported"}, ShipmentStatus.UNKNOWN, "teleported", False),
        ("draft", None, ShipmentStatus.PENDING, "draft", False),
        ("shipped", None, ShipmentStatus.PICKED_UP, "shipped", False),
        ("delivered", None, ShipmentStatus.DELIVERED, "delivered", False),
        ("cancelled", None, ShipmentStatus.PENDING, "cancelled", True),
        ("needs_attention", None, ShipmentStatus.UNKNOWN, "needs_attention", False),
    ],
)
async def test_tracker_knows_better_than_the_shipment(status, tracker, expected, raw, cancelled):
    shipment = await _read(_shipment(tracker, status=status))
    assert (shipment.status, shipment.raw_status, shipment.cancelled) == (expected, raw, cancelled)


async def test_failed_delivery_shows_its_last_error():
    events = [
        _event("2026-01-03", None, "DF", "Receiver closed"),
        _event("2026-01-02", None, "OD"),
        _event("2026-01-01", None, "DF", "No one there"),
    ]
    shipment = await _read(_shipment({"status": "delivery_failed", "events": events}))
    assert shipment.incident == Incident(party=IncidentParty.OTHER, reason="Receiver closed")
    bare = await _read(_shipment({"status": "delivery_failed"}))
    assert bare.incident == Incident(party=IncidentParty.OTHER, reason="DELIVERY_FAILED")


async def test_delivery_is_proven_by_a_signature_only():
    events = [_event("2026-01-03", "09:00 AM", "DE")]
    signed = {"signed_by": "M. Dock", "carrier_tracking_link": "https://track.example.com/1Z"}
    shipment = await _read(_shipment({"status": "delivered", "events": events, "info": signed}))
    proof = shipment.proof_of_delivery
    assert proof is not None
    assert (proof.signed_by, proof.at) == ("M. Dock", datetime(2026, 1, 3, 9, tzinfo=UTC))
    assert shipment.tracking_url == "https://track.example.com/1Z"
    plain = await _read(_shipment({"status": "delivered", "events": events}))
    assert (plain.proof_of_delivery, plain.tracking_url) == (None, None)
    script = await _read(_shipment({"info": {"carrier_tracking_link": "javascript:alert(1)"}}))
    assert script.tracking_url is None


async def test_parcels_become_packages_and_lines():
    parcel = {
        "reference_number": "1Z-A",
        "weight": 2.50,
        "weight_unit": "KG",
        "length": 30,
        "dimension_unit": "CM",
        "items": [{"sku": "SKU-1", "quantity": 3}],
    }
    shipment = await _read(_shipment({"estimated_delivery": "2026-01-05"}, parcels=[parcel]))
    package = shipment.packages[0]
    assert package.dimensions is not None
    assert (package.tracking_number, package.dimensions.weight, package.dimensions.weight_unit) == (
        "1Z-A",
        Decimal("2.5"),
        "KGM",
    )
    assert (package.dimensions.length, package.dimensions.width, package.dimensions.length_unit) == (30, None, "CMT")
    assert [(line.order, line.sku, line.quantity) for line in shipment.lines] == [("SO-1", "SKU-1", Decimal(3))]
    assert shipment.eta is not None
    assert shipment.eta.carrier == date(2026, 1, 5)
    assert shipment.updated_at == datetime(2026, 1, 3, tzinfo=UTC)


async def test_order_code_may_be_in_another_field():
    async with graphql_upstream({"*": _matching(_shipment(metadata={"account": "C-1", "site": "W"}))}) as upstream:
        source = connect_to(
            upstream.url, order_field="order_id", metadata_customer="account", metadata_warehouse="site"
        )
        found = await source.shipments.by_order(SYSTEM, ["SO-1", "SO-2"])
        await source.aclose()
    assert list(found) == ["SO-2"]
    assert (found["SO-2"][0].orders, found["SO-2"][0].customer, found["SO-2"][0].warehouse) == (("SO-2",), "C-1", "W")


async def test_key_that_others_contain_is_read_on_to_its_end():
    others = [_shipment(id=f"shp_{n}", reference=f"SO-1{n:03}") for n in range(600)]
    mine = [_shipment(id=f"mine_{n}", created_at=f"2026-01-0{n}T00:00:00+00:00") for n in (2, 1)]
    async with graphql_upstream({"*": _matching(*others, *mine)}) as upstream:
        source = connect_to(upstream.url)
        found = await source.shipments.by_order(SYSTEM, ["SO-1", "SO-1007"])
        await source.aclose()
    assert {key: [one.id for one in rows] for key, rows in found.items()} == {
        "SO-1": ["mine_1", "mine_2"],
        "SO-1007": ["shp_7"],
    }
    assert [len(variables) for _, variables in upstream.asked] == [2, 1, 1]


async def test_reused_tracking_number_gives_the_live_shipment():
    old = _shipment({"id": "trk_0"}, id="shp_old", created_at="2025-01-01T00:00:00+00:00")
    new = _shipment({"id": "trk_1"}, id="shp_new")
    void = _shipment({"id": "trk_2"}, id="shp_void", status="cancelled", created_at="2026-02-01T00:00:00+00:00")
    async with graphql_upstream({"*": _matching(void, old, new)}) as upstream:
        source = connect_to(upstream.url)
        found = await source.shipments.by_tracking_number(SYSTEM, ["1Z"])
        await source.aclose()
    assert found["1Z"].id == "shp_new"


async def test_row_that_was_not_asked_for_is_never_given():
    """Karrio answers with everything when it drops a filter."""
    everything = {"a0": {"edges": [{"node": _shipment()}]}, "shipments": {"edges": [{"node": _shipment()}]}}
    async with graphql_upstream({"*": lambda variables, request: {"data": everything}}) as upstream:
        source = connect_to(upstream.url)
        assert dict(await source.shipments.by_order(SYSTEM, ["SO-9"])) == {}
        assert dict(await source.shipments.by_id(SYSTEM, ["shp_9"])) == {}
        await source.aclose()


# Configuration


@pytest.mark.parametrize(
    ("credentials", "options", "key"),
    [
        ({}, {}, "sources.carrier.credentials.api_key"),
        ({"api_key": "x"}, {"order_field": "metadata"}, "sources.carrier.options"),
        ({"api_key": "x"}, {"event_statuses": {"X": "LOST"}}, "sources.carrier.options"),
        ({"api_key": "x"}, {"event_timezone": "Mars/Base"}, "sources.carrier.options.event_timezone"),
        ({"api_key": "x"}, {"event_timezone": "../etc"}, "sources.carrier.options.event_timezone"),
    ],
)
def test_wrong_configuration_names_the_key(credentials, options, key):
    raw = {"vendor": "karrio", "base_url": "http://carrier.example.com", "credentials": credentials, "options": options}
    with pytest.raises(ConfigurationError) as caught:
        connect("carrier", SourceSettings.model_validate(raw))
    assert caught.value.key == key
