"""Fields of a deployment's own, as each vendor's adapter reads them: with the row, and checked for their type."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr

from app.auth.principal import SYSTEM
from app.errors import ConfigurationError
from app.events.ingest.refetch import content_digest
from app.settings import DomainSettings, FieldSettings, Settings, SourceSettings
from app.sources.custom_fields import SourceFields, fields_of_sources
from app.sources.field_mask import field_mask
from app.sources.karrio.options import read_options
from app.sources.karrio.shipment_records import KarrioShipmentMapping, WireShipment
from app.sources.orders import Order
from app.sources.pipeline.cache.cache import _system
from app.sources.pipeline.cache.codec import decode, encode
from app.sources.rest import connect as connect_rest
from app.sources.source import Source
from app.sources.tryton.products import ProductRow
from app.sources.tryton.wire import extended, fields_of
from app.sources.values import CustomValues
from app.sources.vendure import connect as connect_vendure
from tests.support.rest import ORDER, answering
from tests.upstreams import serve
from tests.upstreams.vendure import Sessions, vendure_upstream

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def field(type_: str, name: str, scalar: Any, source: str = "erp", **changed: Any) -> FieldSettings:
    given = {"type": type_, "name": name, "scalar": scalar, "description": "A field.", "sources": {source: name}}
    return FieldSettings.model_validate({**given, **changed})


ALL_SCALARS = (
    field("Order", "text", "String"),
    field("Order", "count", "Int"),
    field("Order", "amount", "Decimal"),
    field("Order", "flag", "Boolean"),
    field("Order", "day", "Date"),
    field("Order", "moment", "DateTime"),
    field("Order", "texts", "String", list=True),
    field("Order", "amounts", "Decimal", list=True),
)
GOOD: dict[str, Any] = {
    "text": "x",
    "count": 7,
    "amount": "12.340",
    "flag": True,
    "day": "2026-11-21",
    "moment": "2026-11-21T08:00:00+01:00",
    "texts": ["a", "b"],
    "amounts": ["1.10", 2],
}
VALUES = {
    "text": "x",
    "count": 7,
    "amount": Decimal("12.340"),
    "flag": True,
    "day": date(2026, 11, 21),
    "moment": datetime.fromisoformat("2026-11-21T08:00:00+01:00"),
    "texts": ["a", "b"],
    "amounts": [Decimal("1.10"), Decimal(2)],
}
WRONG: dict[str, list[Any]] = {
    "text": [1, True, ["a"], {"a": 1}, "x" * 10_001],
    "count": ["7", 7.5, 2**31, True, [7]],
    "amount": ["NaN", "Infinity", "x", True, [1], {"amount": 1}],
    "flag": [0, "true", "yes", [True]],
    "day": ["21.11.2026", "2026-02-30", 20261121],
    "moment": ["2026-11-21T08:00:00", "2026-11-21", "yesterday"],
    "texts": ["a", ["a", 1], ["a", None], ["a"] * 1_001],
    "amounts": [["1", "NaN"], "1", [[1]]],
}


def own(*fields: FieldSettings, source: str = "erp") -> SourceFields:
    sources = {
        "erp": SourceSettings(vendor="rest", base_url="http://127.0.0.1:1"),
        "commerce": SourceSettings(vendor="vendure", base_url="http://127.0.0.1:1"),
        "logistics": SourceSettings(vendor="karrio", base_url="http://127.0.0.1:1"),
        "tryton": SourceSettings(vendor="tryton", base_url="http://127.0.0.1:1"),
    }
    domains = DomainSettings.model_validate(
        {
            "customers": {"master": "erp"},
            "items": {"master": "tryton" if source == "tryton" else "erp"},
            "orders": {"master": "erp", "enrich": ["commerce"]},
            "shipments": {"master": "erp", "enrich": ["logistics"]},
        }
    )
    return fields_of_sources(Settings(sources=sources, domains=domains, fields=fields))[source]


async def read(body: dict[str, Any], fields: SourceFields, *, times: int = 1) -> Order:
    """An order as the `rest` adapter reads it, the last of so many times."""
    async with serve(answering(orders=[{"key": "SO-1", "value": body}])) as url:
        settings = SourceSettings(
            vendor="rest",
            base_url=url,
            timeout=30,
            credentials={"token": SecretStr("x")},
            options={"batch": False, "serves": ["orders"]},
        )
        source: Source = connect_rest("erp", settings, clock=lambda: NOW, fields=fields)
        assert source.orders is not None
        try:
            for _ in range(times):
                found = (await source.orders.by_number(SYSTEM, ["SO-1"]))["SO-1"]
        finally:
            await source.aclose()
    return found


@pytest.mark.parametrize("partial", [False, True])
async def test_rest_reads_every_scalar_with_the_row(partial: bool) -> None:
    token = field_mask.set(frozenset() if partial else None)
    try:
        found = await read({**ORDER, "status": "CONFIRMED", "history": [], **GOOD}, own(*ALL_SCALARS), times=3)
    finally:
        field_mask.reset(token)
    assert type(found) is not Order if partial else type(found) is Order
    assert found.custom == CustomValues(source="erp", values=VALUES)
    assert found.number == "SO-1"


@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize("name", sorted(WRONG))
async def test_wrong_value_is_named_and_the_row_stays(name: str, partial: bool) -> None:
    fields = own(*ALL_SCALARS)
    token = field_mask.set(frozenset() if partial else None)
    try:
        for value in WRONG[name][: 2 if partial else None]:
            body = {**ORDER, "status": "CONFIRMED", "history": [], **GOOD, name: value}
            found = await read(body, fields, times=3 if partial else 1)
            assert found.custom is not None
            assert (found.custom.malformed, found.number) == ((name,), "SO-1"), value
            assert found.custom.values == {key: one for key, one in VALUES.items() if key != name}
    finally:
        field_mask.reset(token)


async def test_missing_and_null_values_are_no_values() -> None:
    found = await read({**ORDER, "text": None}, own(*ALL_SCALARS))
    assert found.custom == CustomValues(source="erp")


async def test_system_cannot_send_values_of_fields_that_are_not_configured() -> None:
    sent = {"custom": {"source": "x", "values": {"text": "x"}}, "(custom)": {"source": "x"}, "text": "x"}
    token = field_mask.set(frozenset())
    try:
        found = await read({**ORDER, "status": "CONFIRMED", "history": [], **sent}, SourceFields(), times=3)
    finally:
        field_mask.reset(token)
    assert found.custom is None


async def test_shipments_within_an_order_have_their_fields_too() -> None:
    shipment = {"id": "s1", "orders": ["SO-1"], "status": "IN_TRANSIT", "events": [], "dockDoor": "D4"}
    body = {**ORDER, "shipments": [shipment]}
    found = await read(body, own(field("Shipment", "dockDoor", "String")))
    assert found.custom is None
    assert found.shipments is not None
    assert found.shipments[0].custom == CustomValues(source="erp", values={"dockDoor": "D4"})


def test_karrio_reads_metadata() -> None:
    fields = own(
        field("Shipment", "dockDoor", "String", "logistics", sources={"logistics": "dock_door"}),
        field("Shipment", "pallets", "Int", "logistics"),
        source="logistics",
    )
    body = {"id": "s", "status": "draft", "created_at": "2026-11-20T00:00:00Z", "updated_at": "2026-11-20T00:00:00Z"}
    wire = msgspec.convert({**body, "metadata": {"dock_door": "D4", "pallets": "three"}}, WireShipment)
    credentials = {"api_key": SecretStr("key")}
    settings = SourceSettings(vendor="karrio", base_url="http://127.0.0.1:1", credentials=credentials)
    mapping = KarrioShipmentMapping("logistics", read_options("logistics", settings), fields)
    assert mapping.shipment(wire, NOW).custom == CustomValues(
        source="logistics", values={"dockDoor": "D4"}, malformed=("pallets",)
    )


def test_tryton_asks_for_its_fields_with_the_row() -> None:
    fields = own(
        field("Item", "shelfLife", "Int", sources={"tryton": "shelf_life"}),
        field("Item", "landedCost", "Decimal", sources={"tryton": "landed_cost"}),
        field("Item", "reviewed", "Date", sources={"tryton": "reviewed_on"}),
        field("Item", "fragile", "Boolean", sources={"tryton": "fragile"}),
        field("Item", "grade", "String", sources={"tryton": "grade"}),
        source="tryton",
    )
    row = extended(ProductRow, fields)
    assert set(fields_of(row)) - set(fields_of(ProductRow)) == {
        "shelf_life",
        "landed_cost",
        "reviewed_on",
        "fragile",
        "grade",
    }
    body = {
        "id": 1,
        "name": "Bolt",
        "default_uom": 1,
        "shelf_life": 30,
        "landed_cost": {"__class__": "Decimal", "decimal": "1.10"},
        "reviewed_on": {"__class__": "date", "year": 2026, "month": 11, "day": 21},
        "fragile": 1,
        "grade": {"__class__": "Decimal", "decimal": "1"},
    }
    found = msgspec.json.decode(msgspec.json.encode(body), type=row)
    assert isinstance(found, ProductRow)
    assert found.custom == CustomValues(
        source="tryton",
        values={"shelfLife": 30, "landedCost": Decimal("1.10"), "reviewed": date(2026, 11, 21), "fragile": True},
        malformed=("grade",),
    )
    assert extended(ProductRow, own(field("Order", "x", "Int"))) is ProductRow


async def test_vendure_asks_for_its_custom_fields_in_the_same_document() -> None:
    fields = own(
        field("Order", "costCentre", "String", "commerce"),
        field("Order", "giftWrap", "Boolean", "commerce"),
        source="commerce",
    )
    order = {
        "id": "1", "code": "SO-1", "state": "PaymentSettled", "updatedAt": "2026-01-02T03:04:05Z",
        "currencyCode": "USD", "subTotal": 1, "shipping": 0, "total": 1, "totalWithTax": 1, "history": {"items": []},
        "ownFields": {"costCentre": "CC-7", "giftWrap": "yes"},
    }  # fmt: skip
    answer = {"data": {"orders": {"totalItems": 1, "items": [order]}}}
    credentials = {"username": SecretStr("connector@example.com"), "password": SecretStr("connector-demo")}
    async with vendure_upstream(Sessions(), Orders=lambda variables, request: answer) as upstream:
        settings = SourceSettings(vendor="vendure", base_url=upstream.url, timeout=30, credentials=credentials)
        source = connect_vendure("commerce", settings, clock=lambda: NOW, fields=fields)
        assert source.orders is not None
        found = (await source.orders.by_number(SYSTEM, ["SO-1"]))["SO-1"]
        asked = source.orders._documents.orders  # type: ignore[attr-defined]
        await source.aclose()
    assert found.custom == CustomValues(source="commerce", values={"costCentre": "CC-7"}, malformed=("giftWrap",))
    assert "ownFields: customFields { costCentre giftWrap } channels" in asked


async def test_caches_and_changes_follow_the_values() -> None:
    fields = own(*ALL_SCALARS)
    row = await read({**ORDER, **GOOD}, fields)
    _, cached = decode(encode("SO-1", 1, 0.0, row, known=True), "SO-1", Order)
    assert cached.custom.source == "erp"
    assert cached.custom.values.keys() == VALUES.keys()
    settings = SourceSettings(vendor="rest", base_url="http://127.0.0.1:1")
    systems = {_system("erp", settings, one) for one in (fields, own(ALL_SCALARS[0]), SourceFields())}
    assert len(systems) == 3
    other = await read({**ORDER, **GOOD, "text": "y"}, fields)
    plain = await read(ORDER, SourceFields())
    digests = [content_digest(one, {"freshness"}) for one in (row, other, plain)]
    assert len(set(digests)) == 3
    assert content_digest({"number": "1", "custom": None}, ()) == content_digest({"number": "1"}, ())


REFUSED = {
    "source": (
        {"sources": {"erq": "x"}},
        "fields[0].sources = 'erq': no source of that name under [sources]; did you mean 'erp'?",
    ),
    "vendor": (
        {"type": "Customer", "sources": {"logistics": "x"}},
        (
            "fields[0].sources.logistics = 'x': vendor 'karrio' has no fields of Customer; "
            "medusa, odoo, rest, shopify, tryton, woocommerce do"
        ),
    ),
    "key": (
        {"sources": {"commerce": "cost centre } orders {"}},
        "fields[0].sources.commerce = 'cost centre } orders {': is not a field name of vendor 'vendure'",
    ),
    "control": (
        {"sources": {"erp": "a\0b"}},
        "fields[0].sources.erp = 'a\\x00b': is not a field name of vendor 'rest'",
    ),
    "same key": (
        {"sources": {"erp": "x"}, "before": "x"},
        "fields[1].sources.erp = 'x': is the key of another field; keep one of them",
    ),
    "unread": (
        {"type": "Item", "sources": {"tryton": "x"}},
        "fields[0].sources.tryton = 'x': its rows of Item are never read; name one of erp, or add a route",
    ),
}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_source_that_cannot_have_the_field_stops_the_start(name: str) -> None:
    changed, message = REFUSED[name]
    before = [field("Order", changed["before"], "String")] if "before" in changed else []
    with pytest.raises(ConfigurationError) as refused:
        own(*before, field(changed.get("type", "Order"), "y", "String", sources=changed["sources"]))
    assert refused.value.message == message


@pytest.mark.parametrize("key", ["number", "customerPo", "asOf", "freshness", "custom"])
def test_key_that_rows_of_the_contract_have_anyway_stops_the_start(key: str) -> None:
    settings = SourceSettings(vendor="rest", base_url="http://127.0.0.1:1", credentials={"token": SecretStr("x")})
    with pytest.raises(ConfigurationError) as refused:
        connect_rest("erp", settings, fields=own(field("Order", "y", "String", sources={"erp": key})))
    cure = "is a key of the contract already; name one of the system's own"
    assert refused.value.message == f"fields[0].sources.erp = {key!r}: {cure}"


def test_field_that_the_gateway_reads_of_tryton_anyway_stops_the_start() -> None:
    with pytest.raises(ConfigurationError) as refused:
        extended(ProductRow, own(field("Item", "y", "String", sources={"tryton": "weight"}), source="tryton"))
    cure = "is read by the gateway already; name one of the database's own"
    assert refused.value.message == f"fields[0].sources.tryton = 'weight': {cure}"
