"""What is particular to the `rest` adapter: batches, statuses it does not know, options."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import msgspec
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from app import telemetry
from app.auth.principal import SYSTEM
from app.errors import (
    ConfigurationError,
    DeadlineExceeded,
    SourceMalformed,
    SourceRejected,
    SourceThrottled,
    SourceUnavailable,
)
from app.sandbox import Sandbox
from app.settings import SourceSettings
from app.sources.field_mask import OPTIONAL_FIELDS, FieldMask, field_mask
from app.sources.orders import OrderStatus
from app.sources.pipeline.compose import compile_source
from app.sources.prices import PriceRequest
from app.sources.rest import connect
from app.sources.rest.contract import BATCH, MAX_KEYS
from app.sources.shipments import ShipmentStatus
from app.sources.source import Source
from app.sources.values import utc_now
from tests.contract.case import counted_calls
from tests.upstreams import serve
from tests.upstreams.faulty import faulty


def connected(url: str, name: str = "erp", **options: object) -> Source:
    credentials = {"token": SecretStr("sandbox")}
    settings = SourceSettings(vendor="rest", base_url=url, credentials=credentials, options=options)
    return connect(name, settings, clock=lambda: datetime(2026, 11, 21, tzinfo=UTC))


@pytest.fixture
async def erp(sandbox: Sandbox) -> AsyncIterator[Source]:
    source = connected(sandbox.erp)
    yield source
    await source.aclose()


@pytest.fixture
async def control(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    """The ERP's knobs and counters; both are as new before and after."""
    async with httpx.AsyncClient(base_url=sandbox.erp, headers={"Authorization": "Bearer sandbox"}) as client:
        await client.delete("/sandbox/faults")
        await client.delete("/sandbox/counters")
        yield client
        await client.delete("/sandbox/faults")


async def outcomes(*reads: Awaitable[Any]) -> list[Any]:
    """What each read gave or raised."""
    return await asyncio.gather(*reads, return_exceptions=True)


def price(sku: str) -> PriceRequest:
    return PriceRequest(customer="CUST-0001", sku=sku, quantity=Decimal(1))


# Batches


async def test_reads_of_one_turn_are_one_call(erp: Source, control: httpx.AsyncClient):
    with counted_calls() as calls:
        items, stock, prices, warehouses = await asyncio.gather(
            erp.items.by_sku(SYSTEM, ["SKU-0001"]),
            erp.stock.levels(SYSTEM, ["SKU-0001"]),
            erp.prices.quote(SYSTEM, [price("SKU-0001")]),
            erp.warehouses.all(SYSTEM),
        )
    assert calls == [("erp", "batch")]
    assert (set(items), set(stock), set(prices)) == ({"SKU-0001"}, {"SKU-0001"}, {price("SKU-0001")})
    assert [row.code for row in warehouses] == ["WH-CENTRAL", "WH-EAST", "WH-WEST"]
    counters = (await control.get("/sandbox/counters")).json()
    assert counters["requests"] == 1
    assert counters["reads"] == {"items": 1, "stock": 1, "prices": 1, "warehouses": 1}


async def test_read_alone_goes_plain(erp: Source):
    with counted_calls() as calls:
        await erp.items.by_sku(SYSTEM, ["SKU-0001"])
    assert calls == [("erp", "items")]


async def test_batching_can_be_switched_off(sandbox: Sandbox):
    source = connected(sandbox.erp, batch=False)
    with counted_calls() as calls:
        await asyncio.gather(source.items.by_sku(SYSTEM, ["SKU-0001"]), source.stock.levels(SYSTEM, ["SKU-0001"]))
    await source.aclose()
    assert sorted(calls) == [("erp", "items"), ("erp", "stock")]


async def test_cascade_of_dataloaders_joins_one_batch(erp: Source):
    async def cascade(turns: int):
        for _ in range(turns):
            await asyncio.sleep(0)
        return await erp.items.by_sku(SYSTEM, [f"SKU-000{turns + 1}"])

    with counted_calls() as calls:
        await asyncio.gather(*(cascade(turns) for turns in range(6)))
    assert calls == [("erp", "batch")]


async def test_reads_of_two_requests_do_not_share_a_batch(erp: Source):
    async def request(sku: str):
        with counted_calls() as calls:
            await asyncio.gather(erp.items.by_sku(SYSTEM, [sku]), erp.stock.levels(SYSTEM, [sku]))
        return calls

    assert await asyncio.gather(request("SKU-0001"), request("SKU-0002")) == [[("erp", "batch")]] * 2


async def test_many_keys_are_chunks_of_one_batch(erp: Source):
    skus = [f"SKU-{n:04d}" for n in range(1, 2 * MAX_KEYS + 2)]
    with counted_calls() as calls:
        found = await erp.items.by_sku(SYSTEM, skus)
    assert list(found) == skus
    assert calls == [("erp", "batch")]


async def test_slow_part_does_not_delay_the_others(erp: Source, control: httpx.AsyncClient):
    await control.post("/sandbox/faults", json={"resource": "prices", "delayMs": 60_000})
    slow = asyncio.create_task(erp.prices.quote(SYSTEM, [price("SKU-0001")]))
    items = await erp.items.by_sku(SYSTEM, ["SKU-0001"])
    assert set(items) == {"SKU-0001"}
    assert not slow.done()
    slow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slow


async def test_cancelled_reader_leaves_the_others_alone(erp: Source):
    first = asyncio.create_task(erp.items.by_sku(SYSTEM, ["SKU-0001"]))
    second = asyncio.create_task(erp.stock.levels(SYSTEM, ["SKU-0001"]))
    third = asyncio.create_task(erp.warehouses.all(SYSTEM))
    await asyncio.sleep(0)
    first.cancel()
    assert set(await second) == {"SKU-0001"}
    assert len(await third) == 3
    assert first.cancelled()


async def test_reader_cancelled_under_way_leaves_the_others_alone(erp: Source, control: httpx.AsyncClient):
    await control.post("/sandbox/faults", json={"resource": "*", "delayMs": 300})
    with counted_calls() as calls:
        first = asyncio.create_task(erp.items.by_sku(SYSTEM, ["SKU-0001"]))
        second = asyncio.create_task(erp.stock.levels(SYSTEM, ["SKU-0001"]))
        while not calls:
            await asyncio.sleep(0)
        first.cancel()
        assert set(await second) == {"SKU-0001"}
    assert calls == [("erp", "batch")]


async def test_cancelled_reader_ends_a_read_that_is_alone():
    async with faulty() as upstream:
        source = connected(upstream.url)
        upstream.script.append("/hang")
        reading = asyncio.create_task(source.items.by_sku(SYSTEM, ["SKU-0001"]))
        await upstream.arrived(1)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await upstream.idle()
        await source.aclose()


async def test_batch_ends_when_all_its_readers_are_gone(erp: Source, control: httpx.AsyncClient):
    await control.post("/sandbox/faults", json={"resource": "*", "delayMs": 60_000})
    with counted_calls() as calls:
        readers = [
            asyncio.create_task(erp.items.by_sku(SYSTEM, ["SKU-0001"])),
            asyncio.create_task(erp.stock.levels(SYSTEM, ["SKU-0001"])),
        ]
        while not calls:
            await asyncio.sleep(0)
    for reader in readers:
        reader.cancel()
    assert [type(error) for error in await outcomes(*readers)] == [
        asyncio.CancelledError,
        asyncio.CancelledError,
    ]
    await control.delete("/sandbox/faults")
    assert set(await erp.items.by_sku(SYSTEM, ["SKU-0001"])) == {"SKU-0001"}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("500", SourceUnavailable), ("html", SourceMalformed), ("wrong_types", SourceMalformed),
     ("truncated", SourceMalformed)],
)  # fmt: skip
async def test_fault_of_a_part_is_its_readers_alone(
    erp: Source, control: httpx.AsyncClient, kind: str, expected: type[Exception]
):
    await control.post("/sandbox/faults", json={"resource": "prices", "errorRate": 1, "errorKind": kind})
    prices, items, stock = await outcomes(
        erp.prices.quote(SYSTEM, [price("SKU-0001")]),
        erp.items.by_sku(SYSTEM, ["SKU-0001"]),
        erp.stock.levels(SYSTEM, ["SKU-0001"]),
    )
    assert type(prices) is expected
    assert (set(items), set(stock)) == ({"SKU-0001"}, {"SKU-0001"})


async def test_throttled_part_is_throttled(erp: Source, control: httpx.AsyncClient):
    await control.post("/sandbox/faults", json={"resource": "prices", "rateLimit": 0})
    prices, items = await outcomes(
        erp.prices.quote(SYSTEM, [price("SKU-0001")]), erp.items.by_sku(SYSTEM, ["SKU-0001"])
    )
    assert type(prices) is SourceThrottled
    assert set(items) == {"SKU-0001"}


async def test_part_that_hangs_fails_at_the_deadline(erp: Source, control: httpx.AsyncClient):
    await control.post("/sandbox/faults", json={"resource": "prices", "errorRate": 1, "errorKind": "hang"})
    with telemetry.open_scope(timeout=2):
        prices, items = await outcomes(
            erp.prices.quote(SYSTEM, [price("SKU-0001")]), erp.items.by_sku(SYSTEM, ["SKU-0001"])
        )
    assert type(prices) is DeadlineExceeded
    assert set(items) == {"SKU-0001"}


async def test_broken_connection_fails_the_unfinished_parts(erp: Source, control: httpx.AsyncClient):
    fault = {"resource": "prices", "delayMs": 300, "errorRate": 1, "errorKind": "reset"}
    await control.post("/sandbox/faults", json=fault)
    prices, items = await outcomes(
        erp.prices.quote(SYSTEM, [price("SKU-0001")]), erp.items.by_sku(SYSTEM, ["SKU-0001"])
    )
    assert type(prices) is SourceUnavailable
    assert set(items) == {"SKU-0001"}
    await control.delete("/sandbox/faults")
    assert set(await erp.prices.quote(SYSTEM, [price("SKU-0001")])) == {price("SKU-0001")}


async def test_batch_that_ends_early_fails_the_unfinished_parts():
    async def answer(_: Request) -> Response:
        return Response(b'{"id":"0","status":200,"body":[]}\n{"id":"77","status":200,"body":[]}\n')

    async with serve(Starlette(routes=[Route(BATCH, answer, methods=["POST"])])) as url:
        source = connected(url)
        items, stock = await outcomes(
            source.items.by_sku(SYSTEM, ["SKU-0001"]), source.stock.levels(SYSTEM, ["SKU-0001"])
        )
        await source.aclose()
    assert items == {}
    assert type(stock) is SourceMalformed
    assert "1 of 2 reads unanswered" in (stock.detail or "")


@pytest.mark.parametrize(
    "form",
    [
        b'{"id":"%b","status":200,"body":%b}',
        b'{"id":"%b","status":200,"body":%b,"took":{"ms":1}}',
        b'{"id":"%b","status":200,"body":%b,"path":[{}]}  ',
        b'{ "id" : "%b" , "status" : 200 , "body" : %b }\r',
    ],
    ids=["usual", "member after the body", "list after the body", "spaces"],
)
async def test_line_of_a_batch_is_read_however_it_is_written(form: bytes):
    async def answer(_: Request) -> Response:
        lines = (
            form % (b"0", b'[{"key":"SKU-1","value":[{"type":"SUBSTITUTE","sku":"SKU-2"}]}]'),
            form % (b"1", b"[]"),
        )
        return Response(b"\n".join(lines))

    async with serve(Starlette(routes=[Route(BATCH, answer, methods=["POST"])])) as url:
        source = connected(url)
        relations, stock = await asyncio.gather(
            source.items.relations(SYSTEM, ["SKU-1"]), source.stock.levels(SYSTEM, ["SKU-0001"])
        )
        await source.aclose()
    assert [row.sku for row in relations["SKU-1"]] == ["SKU-2"]
    assert stock == {}


@pytest.mark.parametrize(
    "line",
    [
        b'{"id":"0","status":200,"body":[{"key":7}]}',
        b'{"id":"0","status":200,"body":[}',
        b'{"id":"0","status":200,"body":[],"took":}',
        b'{"id":"0","status":200,"body":[]',
        b'{"id":"0","status":200,"body":["\xff"]}',
    ],
)
async def test_line_of_a_batch_that_is_wrong_costs_its_own_read_only(line: bytes):
    async def answer(_: Request) -> Response:
        return Response(line + b'\n{"id":"1","status":200,"body":[]}\n')

    async with serve(Starlette(routes=[Route(BATCH, answer, methods=["POST"])])) as url:
        source = connected(url)
        items, stock = await outcomes(
            source.items.by_sku(SYSTEM, ["SKU-0001"]), source.stock.levels(SYSTEM, ["SKU-0001"])
        )
        await source.aclose()
    assert type(items) is SourceMalformed
    assert stock == {}


async def test_closing_ends_what_waits(erp: Source, control: httpx.AsyncClient):
    await control.post("/sandbox/faults", json={"resource": "*", "delayMs": 60_000})
    with counted_calls() as calls:
        readers = [
            asyncio.create_task(erp.items.by_sku(SYSTEM, ["SKU-0001"])),
            asyncio.create_task(erp.stock.levels(SYSTEM, ["SKU-0001"])),
        ]
        while not calls:
            await asyncio.sleep(0)
    await erp.aclose()
    errors = await outcomes(*readers)
    assert [type(error) for error in errors] == [SourceUnavailable, SourceUnavailable]


async def test_wrong_token_is_a_refusal(sandbox: Sandbox):
    settings = SourceSettings(vendor="rest", base_url=sandbox.erp, credentials={"token": SecretStr("wrong")})
    source = connect("erp", settings)
    with pytest.raises(SourceRejected) as caught:
        await source.items.by_sku(SYSTEM, ["SKU-0001"])
    await source.aclose()
    assert caught.value.status == 401


async def test_health_tells_when_the_system_is_gone(erp: Source):
    await erp.ping()
    gone = connected("http://127.0.0.1:9")
    with pytest.raises(SourceUnavailable):
        await gone.ping()
    await gone.aclose()


# What systems answer


def answering(**bodies: Any) -> Starlette:
    """A system that answers these bodies, by the path's noun."""

    async def answer(request: Request) -> Response:
        body = msgspec.json.encode(bodies[request.url.path.split("/")[2]])
        return StreamingResponse(iter([body]), media_type="application/json")

    return Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])


ORDER = {
    "id": "1",
    "number": "SO-1",
    "status": "AWAITING_PIXIES",
    "currency": "EUR",
    "totals": {"total": {"amount": "1.10", "currency": "EUR"}},
    "history": [{"status": "AWAITING_PIXIES"}],
}


async def test_unknown_status_is_kept_raw_and_counted():
    counter = telemetry.metrics().unknown_statuses.labels("erp", "order.status", "AWAITING_PIXIES")
    before = counter._value.get()
    async with serve(answering(orders=[{"key": "SO-1", "value": ORDER}])) as url:
        source = connected(url)
        order = (await source.orders.by_number(SYSTEM, ["SO-1"]))["SO-1"]
        await source.aclose()
    assert (order.status, order.raw_status) == (OrderStatus.UNKNOWN, "AWAITING_PIXIES")
    assert (order.history[0].status, order.history[0].raw_status) == (OrderStatus.UNKNOWN, "AWAITING_PIXIES")
    assert order.freshness.as_of == datetime(2026, 11, 21, tzinfo=UTC)
    assert counter._value.get() == before + 1


async def test_unknown_event_status_keeps_the_systems_word():
    event = {"sequence": 1, "at": "2026-11-21T00:00:00Z", "status": "TELEPORTED"}
    shipment = {"id": "1", "status": "TELEPORTED", "rawStatus": "T9", "events": [event]}
    async with serve(answering(shipments=[{"key": "SO-1", "value": [shipment]}])) as url:
        source = connected(url)
        (row,) = (await source.shipments.by_order(SYSTEM, ["SO-1"]))["SO-1"]
        await source.aclose()
    assert (row.status, row.raw_status) == (ShipmentStatus.UNKNOWN, "T9")
    assert (row.events[0].status, row.events[0].raw_code) == (ShipmentStatus.UNKNOWN, "TELEPORTED")


async def test_amounts_sent_as_numbers_keep_their_digits():
    body = (b'[{"key":"SO-1","value":{"id":"1","number":"SO-1","status":"DRAFT","currency":"EUR",'
            b'"totals":{"total":{"amount":0.30000000000000000001,"currency":"EUR"}}}}]')  # fmt: skip

    async def answer(_: Request) -> Response:
        return Response(body, media_type="application/json")

    async with serve(Starlette(routes=[Route("/{path:path}", answer, methods=["POST"])])) as url:
        source = connected(url)
        order = (await source.orders.by_number(SYSTEM, ["SO-1"]))["SO-1"]
        await source.aclose()
    assert order.totals.total.amount == Decimal("0.30000000000000000001")


async def test_rows_nobody_asked_for_are_dropped():
    async with serve(answering(orders=[{"key": "SO-2", "value": ORDER}])) as url:
        source = connected(url)
        assert await source.orders.by_number(SYSTEM, ["SO-1"]) == {}
        await source.aclose()


MOST_FIELDS: FieldMask = frozenset(
    (record, name) for record, names in OPTIONAL_FIELDS.items() for name in names if name != "refs"
)
PRICE = {
    "customer": "CUST-0001",
    "sku": "SKU-0001",
    "uom": "EA",
    "quantity": "1",
    "unitPrice": {"amount": "1", "currency": "USD"},
    "quotedAt": "2026-11-21T00:00:00Z",
}


@pytest.mark.parametrize("mask", [None, frozenset()], ids=["whole", "partial"])
@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"customer": "CUST-0002"}, "customer, sku: expected CUST-0001 SKU-0001, got CUST-0002 SKU-0001"),
        ({"sku": "SKU-0002"}, "customer, sku: expected CUST-0001 SKU-0001, got CUST-0001 SKU-0002"),
        ({"uom": "XBX"}, "uom: expected EA, got XBX"),
        ({"quantity": "12"}, "quantity: expected 1, got 12"),
        ({"priceUnit": "0"}, "price_unit: expected a number above 0, got 0"),
        (
            {"unitPrice": {"amount": "-1", "currency": "USD"}},
            "unit_price: expected an amount of 0 or more in ISO 4217, got -1 USD",
        ),
        (
            {"unitPrice": {"amount": "1", "currency": "Dollar"}},
            "unit_price: expected an amount of 0 or more in ISO 4217, got 1 Dollar",
        ),
    ],
    ids=["customer", "sku", "uom", "quantity", "price unit", "negative", "currency"],
)
async def test_price_that_does_not_fit_its_request_is_malformed(
    change: dict[str, Any], detail: str, mask: FieldMask | None
) -> None:
    request = PriceRequest(customer="CUST-0001", sku="SKU-0001", quantity=Decimal(1), uom="EA")
    async with serve(answering(prices=[{"key": 0, "value": PRICE | change}])) as url:
        source = compile_source(connected(url), utc_now)
        assert source.prices is not None
        token = field_mask.set(mask)
        try:
            for _ in range(2):  # A partial decoder is made on the second request.
                found: Any = (await source.prices.quote(SYSTEM, [request]))[request]
        finally:
            field_mask.reset(token)
        await source.aclose()
    assert isinstance(found, SourceMalformed)
    assert found.detail == detail
    assert found.message == SourceMalformed("erp").message


@pytest.mark.parametrize("mask", [None, MOST_FIELDS], ids=["whole", "partial"])
@pytest.mark.parametrize(
    ("noun", "value", "path"),
    [
        ("prices", PRICE | {"quotedAt": "2026-11-21T00:00:00"}, "quotedAt"),
        ("prices", PRICE | {"asOf": "2026-11-21T00:00:00"}, "asOf"),
        ("orders", ORDER | {"updatedAt": "2026-11-21T00:00:00"}, "updatedAt"),
        ("orders", ORDER | {"asOf": "2026-11-21T00:00:00"}, "asOf"),
        ("orders", ORDER | {"history": [{"status": "DRAFT", "at": "2026-11-21T00:00:00"}]}, "at"),
    ],
    ids=["quotedAt", "price asOf", "updatedAt", "order asOf", "history"],
)
async def test_time_without_an_offset_is_malformed_and_its_path_logged(
    noun: str, value: dict[str, Any], path: str, mask: FieldMask | None
) -> None:
    key: Any = "SO-1" if noun == "orders" else 0
    async with serve(answering(**{noun: [{"key": key, "value": value}]})) as url:
        source = connected(url)
        assert source.orders is not None
        assert source.prices is not None
        token = field_mask.set(mask)
        try:
            for _ in range(2):
                read = source.orders.by_number if noun == "orders" else source.prices.quote
                keys: Any = ["SO-1"] if noun == "orders" else [price("SKU-0001")]
                with pytest.raises(SourceMalformed) as caught:
                    await read(SYSTEM, keys)
        finally:
            field_mask.reset(token)
        await source.aclose()
    assert "timezone" in (caught.value.detail or "")
    assert f".{path}`" in (caught.value.detail or "")


async def test_keys_that_are_not_unicode_are_unknown(erp: Source):
    assert set(await erp.items.by_sku(SYSTEM, ["\ud800", "SKU-0001"])) == {"SKU-0001"}


# Options


def test_source_has_the_ports_it_serves():
    source = connected("http://127.0.0.1:9", serves=["orders", "stock"])
    ports = {name for name in ("orders", "stock", "items", "prices", "changes") if getattr(source, name) is not None}
    assert ports == {"orders", "stock"}


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"serves": ["orders", "ordres"]}, "sources.erp.options.serves"),
        ({"serves": "orders"}, "sources.erp.options.serves"),
        ({"batch": "yes"}, "sources.erp.options.batch"),
        ({"batches": True}, "sources.erp.options.batches"),
    ],
)
def test_wrong_option_is_named(options: dict[str, Any], key: str):
    with pytest.raises(ConfigurationError) as caught:
        connected("http://127.0.0.1:9", **options)
    assert caught.value.key == key


def test_missing_token_is_named():
    with pytest.raises(ConfigurationError) as caught:
        connect("erp", SourceSettings(vendor="rest", base_url="http://127.0.0.1:9"))
    assert caught.value.key == "sources.erp.credentials.token"
