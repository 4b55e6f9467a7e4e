"""Karrio for the contract suites: the seeded server of `backends/karrio`, recorded or live."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from decimal import Decimal

from app.settings import SourceSettings
from app.sources.karrio import connect
from app.sources.shipments import ShipmentStatus
from app.sources.source import Source
from tests.contract.case import Case, Environment, ShipmentFacts
from tests.upstreams.cassette import System, cassette

URL = "http://127.0.0.1:5002"
KARRIO = System(URL)


def connect_to(url: str, **options: object) -> Source:
    """The adapter with the seeded key."""
    raw = {
        "vendor": "karrio",
        "base_url": url,
        "credentials": {"api_key": "key_0123456789abcdef0123456789abcdef"},
        "options": options,
    }
    return connect("logistics", SourceSettings.model_validate(raw))


@asynccontextmanager
async def open_karrio(environment: Environment) -> AsyncIterator[Source]:
    """The connected source, over the cassette or the real server."""
    if environment.live:
        source = connect_to(URL)
        try:
            yield source
        finally:
            await source.aclose()
        return
    with cassette("karrio", KARRIO, record=environment.recording) as tape:
        source = connect_to(tape.url)
        try:
            yield source
        finally:
            await source.aclose()


CASES = (
    Case(
        name="karrio",
        open=open_karrio,
        connect_to=connect_to,
        shipments=ShipmentFacts(
            tracking=("1ZDEMO000040", "1ZDEMO000053", "1ZDEMO200055"),
            by_order={
                "SO-100040": ("1ZDEMO000040",),
                "SO-100053": ("1ZDEMO000053",),
                "SO-200055": ("1ZDEMO200055",),
            },
            exact={
                "1ZDEMO000040": {
                    "id": "shp_63ab7e6b5062494cb63c62fc9d398bb7",
                    "orders": ("SO-100040",),
                    "customer": "CUST-0024",
                    "warehouse": "WH-CENTRAL",
                    "carrier": "demofreight",
                    "service": "standard_service",
                    "tracking_url": None,
                    "shipped_at": datetime(2026, 2, 3, 6, tzinfo=UTC),
                    "eta.carrier": date(2026, 2, 4),
                    "status": ShipmentStatus.IN_TRANSIT,
                    "raw_status": "in_transit",
                    "cancelled": False,
                    "incident": None,
                    "packages.#": 1,
                    "packages.0.tracking_number": "1ZDEMO000040",
                    "packages.0.dimensions.weight": Decimal("5.0"),
                    "packages.0.dimensions.weight_unit": "LBR",
                    "events.#": 3,
                    "events.0.sequence": 1,
                    "events.0.raw_code": "CREATED",
                    "events.2.sequence": 3,
                    "events.2.at": datetime(2026, 2, 3, 18, tzinfo=UTC),
                    "events.2.status": ShipmentStatus.IN_TRANSIT,
                    "events.2.location": "Chicago, IL, US",
                },
                "1ZDEMO000053": {"status": ShipmentStatus.PICKED_UP, "raw_status": "picked_up", "events.#": 2},
                "1ZDEMO200055": {
                    "status": ShipmentStatus.DELIVERED,
                    "events.#": 6,
                    "events.5.description": "Delivered, signed by dock",
                    "updated_at": datetime(2026, 4, 27, 13, tzinfo=UTC),
                },
            },
        ),
    ),
)
