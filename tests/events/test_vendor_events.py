"""How Karrio and Vendure tell of events: their webhooks as they send them, and Karrio's log of events."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from pydantic import SecretStr

from app.auth.principal import SYSTEM
from app.errors import ConfigurationError, InvalidCursor, WebhookExpired, WebhookForged, WebhookMalformed
from app.events.log import EventLog
from app.events.stores import connect_events
from app.server import create_app
from app.settings import Domain, DomainSettings, EventSettings, Settings, SourceSettings, WebhookSettings
from app.sources.changes import ChangeKind
from app.sources.karrio.changes import PAGE
from app.sources.karrio.shipment_records import latest_status
from app.sources.shipments import ShipmentStatus, TrackingEvent
from app.sources.values import utc_now
from app.sources.vendure.webhooks import VendureWebhooks
from app.sources.webhooks import Webhooks
from app.sources.wiring import connect
from tests.support.gateway import AUTH
from tests.support.intake import IngestBench
from tests.support.serving import serving
from tests.support.vendor_traffic import VendorTraffic
from tests.upstreams.graphql import Answer, GraphQLUpstream, graphql_upstream

SECRET = "whsec_0123456789abcdef"
OLDER = "whsec_of_the_webhook_before"
HERE = "https://gateway.example.com/webhooks/logistics"
SHIPMENTS = frozenset({ChangeKind.SHIPMENT})
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def shipment(status: str = "out_for_delivery") -> dict[str, Any]:
    """A shipment as Karrio answers it."""
    events = [{"date": "2026-11-20", "time": "09:00 AM", "code": "OD", "description": "On the van", "location": None}]
    tracker = {"id": "trk_1", "status": status, "updated_at": "2026-11-20T09:00:00+00:00", "events": events}
    return {
        "id": "shp_1",
        "reference": "SO-100040",
        "status": "in_transit",
        "tracking_number": "1ZDEMO000040",
        "created_at": "2026-11-19T09:00:00+00:00",
        "updated_at": "2026-11-20T09:00:00+00:00",
        "metadata": {"customer": "CUST-0001"},
        "tracker": tracker,
    }


def by_keys(variables: dict[str, Any], _: object) -> Any:
    """One tracker for each alias."""
    page = {"page_info": {"has_next_page": False}, "edges": [{"node": {"shipment": shipment()}}]}
    return {"data": {f"a{place}": page for place in range(len(variables))}}


class Log:
    """Karrio's log of events, newest first."""

    def __init__(self, count: int = 0) -> None:
        self.rows: list[dict[str, Any]] = []
        self.disabled: list[str] = []
        for _ in range(count):
            self.add()

    def add(self, **data: Any) -> None:
        number = len(self.rows)
        at = NOON + timedelta(seconds=number)
        data = {"id": f"trk_{number}", "tracking_number": f"1Z{number:04}", "status": "in_transit"} | data
        self.rows.insert(0, {"id": f"evt_{number}", "created_at": at.isoformat(), "data": data})

    def answer(self, variables: dict[str, Any], _: object) -> Any:
        asked = variables["events"]
        start = asked["offset"]
        rows = self.rows[start : start + asked["first"]]
        more = start + len(rows) < len(self.rows)
        found: dict[str, Any] = {
            "events": {"page_info": {"has_next_page": more}, "edges": [{"node": row} for row in rows]}
        }
        if variables["look"]:
            nodes = [{"id": id, "url": url, "enabled_events": ["all"]} for id, url in map(str.split, self.disabled)]
            found["webhooks"] = {"edges": [{"node": node} for node in nodes]}
        return {"data": found}


@pytest.fixture
def events() -> Log:
    return Log()


@pytest.fixture
async def karrio(events: Log) -> AsyncIterator[GraphQLUpstream]:
    enable = {"data": {"update_webhook": {"webhook": {"id": "w", "disabled": False}}}}
    answers: dict[str, Answer] = {"ByKeys": by_keys, "Events": events.answer, "Enable": lambda *_: enable}
    answers["*"] = lambda *_: {"data": {"token": {"created": "x"}}}
    async with graphql_upstream(answers, VendorTraffic("karrio")) as upstream:
        yield upstream


def karrio_settings(upstream: GraphQLUpstream, **more: Any) -> SourceSettings:
    credentials = {"api_key": SecretStr("key_of_the_tests")}
    return SourceSettings(vendor="karrio", base_url=upstream.url, timeout=30, credentials=credentials, **more)


@pytest.fixture
async def told(karrio: GraphQLUpstream, tmp_path: Path) -> AsyncIterator[tuple[httpx.AsyncClient, EventLog]]:
    """A gateway that Karrio tells of events, and its log."""
    webhooks = WebhookSettings(secrets=(SecretStr(OLDER), SecretStr(SECRET)))
    settings = Settings(
        auth=AUTH,
        demo=True,
        data_dir=tmp_path,
        sources={"logistics": karrio_settings(karrio, webhooks=webhooks)},
        domains=DomainSettings(shipments=Domain(master="logistics")),
        events=EventSettings(poll=0, poll_webhooks=0),
    )
    log = connect_events(settings)
    async with serving(create_app(settings)) as url, httpx.AsyncClient(base_url=url) as client:
        yield client, log
    await log.close()


def tracker_updated(**data: Any) -> dict[str, Any]:
    return {"event": "tracker_updated", "data": {"id": "trk_1", "tracking_number": "1ZDEMO000040", **data}}


async def post(client: httpx.AsyncClient, body: Any, secret: str | None = SECRET) -> tuple[int, Any]:
    headers = {} if secret is None else {"x-event-id": secret}
    answer = await client.post("/webhooks/logistics", json=body, headers=headers)
    found = answer.json()
    return answer.status_code, found["errors"][0]["extensions"]["code"] if "errors" in found else found


# Karrio's webhooks


async def test_karrios_webhook_has_the_shipment_read_by_its_number(
    told: tuple[httpx.AsyncClient, EventLog], karrio: GraphQLUpstream
):
    client, log = told
    assert await post(client, tracker_updated(status="out_for_delivery")) == (202, {"notices": 1, "new": 1})
    (entry,) = await IngestBench(graph=None, log=log).updates(1)  # pyright: ignore[reportArgumentType]
    update = entry.update
    assert (update.key, update.tracking_number, update.status) == ("shp_1", "1ZDEMO000040", "OUT_FOR_DELIVERY")
    assert (update.customer, update.orders, update.raw_code) == ("CUST-0001", ("SO-100040",), "OD")
    assert update.at == datetime(2026, 11, 20, 9, tzinfo=UTC)
    assert karrio.count("ByKeys") == 1


async def test_the_same_content_is_the_same_event(told: tuple[httpx.AsyncClient, EventLog]):
    client, _ = told
    bodies = [tracker_updated(status="in_transit")] * 2 + [tracker_updated(status="delivered")]
    assert [(await post(client, body))[1]["new"] for body in bodies] == [1, 0, 1]


@pytest.mark.parametrize(
    ("secret", "expected"),
    [
        (None, (401, "WEBHOOK_UNSIGNED")),
        ("", (401, "WEBHOOK_UNSIGNED")),
        ("whsec_of_somebody_else", (401, "WEBHOOK_FORGED")),
        (SECRET[:-1], (401, "WEBHOOK_FORGED")),
        (OLDER, (202, {"notices": 1, "new": 1})),
    ],
)
async def test_karrios_secret_is_compared(
    told: tuple[httpx.AsyncClient, EventLog], secret: str | None, expected: tuple[int, Any]
):
    assert await post(told[0], tracker_updated(), secret) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"event": "order_created", "data": {"id": "ord_1"}}, (202, {"notices": 0, "new": 0})),
        ({"event": "batch_queued", "data": [1]}, (202, {"notices": 0, "new": 0})),
        ({"event": "shipment_purchased", "data": {"tracking_number": None}}, (202, {"notices": 0, "new": 0})),
        ({"event": "tracker_updated", "data": [1]}, (400, "WEBHOOK_MALFORMED")),
        ({"event": 1, "data": {}}, (400, "WEBHOOK_MALFORMED")),
        ({"data": {}}, (400, "WEBHOOK_MALFORMED")),
        ([], (400, "WEBHOOK_MALFORMED")),
    ],
)
async def test_karrio_webhooks_of_other_subjects(
    told: tuple[httpx.AsyncClient, EventLog], body: Any, expected: tuple[int, Any]
):
    assert await post(told[0], body) == expected


@pytest.mark.parametrize("secrets", [(), ("short",)])
def test_webhooks_need_a_secret_worth_the_name(secrets: tuple[str, ...]):
    webhooks = WebhookSettings(secrets=tuple(map(SecretStr, secrets)))
    settings = SourceSettings(
        vendor="karrio", base_url="http://127.0.0.1:1", credentials={"api_key": SecretStr("k")}, webhooks=webhooks
    )
    with pytest.raises(ConfigurationError) as caught:
        connect("logistics", settings, utc_now)
    assert caught.value.key.startswith("sources.logistics.webhooks.secrets")
    assert "short" not in caught.value.message.replace("too short", "")


# Karrio's log of events


@pytest.fixture
async def feed(karrio: GraphQLUpstream) -> AsyncIterator[Any]:
    source = connect("logistics", karrio_settings(karrio, options={"webhook_url": HERE}), utc_now)
    yield source.changes
    await source.aclose()


async def test_the_log_is_read_back_to_what_is_known(feed: Any, events: Log, karrio: GraphQLUpstream):
    for _ in range(120):
        events.add()
    start = await feed.since(SYSTEM, SHIPMENTS, None)
    assert start.changes == ()
    assert (await feed.since(SYSTEM, SHIPMENTS, start.cursor)).changes == ()
    for _ in range(2 * PAGE):
        events.add()
    karrio.asked.clear()
    found = await feed.since(SYSTEM, SHIPMENTS, start.cursor)
    assert [change.key for change in found.changes] == [f"1Z{number:04}" for number in range(120, 120 + 2 * PAGE)]
    assert [change.id for change in found.changes] == [f"evt_{number}" for number in range(120, 120 + 2 * PAGE)]
    assert karrio.count("Events") == 3
    assert (await feed.since(SYSTEM, SHIPMENTS, found.cursor)).changes == ()


async def test_the_log_is_handed_on_in_portions(feed: Any, events: Log):
    events.add()
    start = await feed.since(SYSTEM, SHIPMENTS, None)
    for _ in range(5):
        events.add()
    keys: list[str] = []
    cursor, more = start.cursor, True
    while more:
        part = await feed.since(SYSTEM, SHIPMENTS, cursor, limit=2)
        keys += [change.key for change in part.changes]
        cursor, more = part.cursor, part.more
    assert keys == [f"1Z{number:04}" for number in range(1, 6)]


async def test_an_empty_log_begins_with_its_first_event(feed: Any, events: Log):
    start = await feed.since(SYSTEM, SHIPMENTS, None)
    events.add(tracking_number=None)
    events.add()
    assert [change.key for change in (await feed.since(SYSTEM, SHIPMENTS, start.cursor)).changes] == ["1Z0001"]


async def test_an_event_that_was_dropped_from_the_log_is_passed_by_its_time(feed: Any, events: Log):
    for _ in range(3):
        events.add()
    start = await feed.since(SYSTEM, SHIPMENTS, None)
    events.rows.pop(0)
    events.rows.insert(
        0, {"id": "evt_9", "created_at": NOON.replace(hour=13).isoformat(), "data": {"tracking_number": "1Z"}}
    )
    assert [change.id for change in (await feed.since(SYSTEM, SHIPMENTS, start.cursor)).changes] == ["evt_9"]


@pytest.mark.parametrize("cursor", ["", "nonsense", "2026-11-21T12:00:00|evt", "|", "2026-11-21T12:00:00+00:00"])
async def test_another_cursor_is_refused(feed: Any, cursor: str):
    with pytest.raises(InvalidCursor):
        await feed.since(SYSTEM, SHIPMENTS, cursor)


async def test_offset_beyond_retention_is_invalid(feed: Any, events: Log):
    for _ in range(40 * PAGE + 1):
        events.add()
    with pytest.raises(InvalidCursor):
        await feed.since(SYSTEM, SHIPMENTS, "1970-01-01T00:00:00+00:00|")


async def test_karrio_is_not_asked_for_what_it_has_not(feed: Any, karrio: GraphQLUpstream):
    found = await feed.since(SYSTEM, frozenset({ChangeKind.ITEM}), None)
    assert (found.changes, found.more, karrio.asked) == ((), False, [])


async def test_our_webhook_is_enabled_again_and_no_other(feed: Any, events: Log, karrio: GraphQLUpstream):
    events.disabled = [f"weh_ours {HERE}", f"weh_other {HERE}/other"]
    await feed.since(SYSTEM, SHIPMENTS, None)
    enabled = [variables for name, variables in karrio.asked if name == "Enable"]
    assert enabled == [{"input": {"id": "weh_ours", "enabled_events": ["all"], "disabled": False}}]


# Karrio's status


def at_(hour: int, status: ShipmentStatus) -> TrackingEvent:
    return TrackingEvent(sequence=hour, at=NOON.replace(hour=hour), status=status, source="logistics")


PICKED_UP, MOVING, DELIVERED = ShipmentStatus.PICKED_UP, ShipmentStatus.IN_TRANSIT, ShipmentStatus.DELIVERED


@pytest.mark.parametrize(
    ("status", "events", "expected"),
    [
        (PICKED_UP, (PICKED_UP, MOVING), MOVING),  # The older event was told last.
        (PICKED_UP, (PICKED_UP, MOVING, DELIVERED), DELIVERED),
        (MOVING, (PICKED_UP, MOVING), MOVING),  # The newest was taken back.
        (MOVING, (PICKED_UP, DELIVERED), MOVING),  # The carrier says so, and no event of it is behind.
        (DELIVERED, (PICKED_UP, MOVING), DELIVERED),  # Events follow later.
        (ShipmentStatus.ON_HOLD, (PICKED_UP, ShipmentStatus.ON_HOLD, MOVING), ShipmentStatus.ON_HOLD),
        (
            ShipmentStatus.RETURN_TO_SENDER,
            (DELIVERED, ShipmentStatus.RETURN_TO_SENDER),
            ShipmentStatus.RETURN_TO_SENDER,
        ),
        (MOVING, (MOVING, ShipmentStatus.UNKNOWN), MOVING),
        (MOVING, (), MOVING),
    ],
)
def test_a_status_does_not_go_back_behind_a_newer_event(
    status: ShipmentStatus, events: tuple[ShipmentStatus, ...], expected: ShipmentStatus
):
    assert latest_status(status, tuple(at_(hour, one) for hour, one in enumerate(events))) is expected


# Vendure's webhooks

VENDURE_SECRET = "vendure-secret-of-the-tests"


@pytest.fixture
def vendure() -> Webhooks:
    return VendureWebhooks("commerce", WebhookSettings(secrets=(SecretStr(VENDURE_SECRET),)))


def body(type: str, at: datetime = NOON, **data: Any) -> bytes:
    return msgspec.json.encode({"type": type, "at": at, "data": data})


def signed(raw: bytes, secret: str = VENDURE_SECRET) -> dict[str, str]:
    return {"x-signature": "sha256=" + hmac.digest(secret.encode(), raw, "sha256").hex()}


def test_vendures_signature_is_over_the_body(vendure: Webhooks):
    raw = body("OrderPlacedEvent", code="SO-1")
    vendure.admit(signed(raw), NOON)
    vendure.verify(signed(raw), raw, NOON)
    for headers, sent in ((signed(raw, "another-secret-of-them"), raw), (signed(raw), raw + b" ")):
        with pytest.raises(WebhookForged):
            vendure.verify(headers, sent, NOON)


@pytest.mark.parametrize("seconds", [301, -301])
def test_vendures_time_is_part_of_what_is_signed(vendure: Webhooks, seconds: int):
    raw = body("OrderPlacedEvent", NOON - timedelta(seconds=seconds), code="SO-1")
    with pytest.raises(WebhookExpired):
        vendure.verify(signed(raw), raw, NOON)


@pytest.mark.parametrize(
    ("type", "data", "expected"),
    [
        ("OrderStateTransitionEvent", {"id": "6", "code": "SO-6", "to": "Shipped"}, [("ORDER", "SO-6")]),
        ("OrderPlacedEvent", {"code": "SO-6"}, [("ORDER", "SO-6")]),
        ("OrderEvent", {"code": "SO-6", "change": "updated"}, [("ORDER", "SO-6")]),
        ("FulfillmentStateTransitionEvent", {"orders": ["SO-6", "SO-7"]}, [("ORDER", "SO-6"), ("ORDER", "SO-7")]),
        ("StockMovementEvent", {"variants": [{"sku": "A"}, {"sku": "A"}, {"id": "3"}]}, [("STOCK", "A")]),
        ("ProductVariantEvent", {"variants": [{"id": "1", "sku": "A"}]}, [("ITEM", "A")]),
        ("CustomerEvent", {"id": "1"}, []),
        ("SomethingNew", {"code": "SO-6"}, []),
    ],
)
def test_subjects_of_vendure_webhooks(
    vendure: Webhooks, type: str, data: dict[str, Any], expected: list[tuple[str, str]]
):
    raw = body(type, **data)
    hints = vendure.parse({}, raw, NOON)
    assert [(one.kind, one.key) for one in hints] == expected
    assert len({one.id for one in hints}) == len(expected)
    assert [one.id for one in vendure.parse({}, raw, NOON)] == [one.id for one in hints]


@pytest.mark.parametrize("raw", [b"", b"[]", b'{"type": "OrderEvent"}', b'{"type":"X","at":"soon","data":{}}'])
def test_what_is_signed_and_unreadable_is_malformed(vendure: Webhooks, raw: bytes):
    with pytest.raises(WebhookMalformed):
        vendure.verify(signed(raw), raw, NOON)
