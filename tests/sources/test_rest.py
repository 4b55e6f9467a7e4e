"""What is particular to the `rest` adapter: batches, statuses it does not know, options."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
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
from app.sandbox.build import PORTS
from app.settings import SourceSettings
from app.sources.rest import connect
from app.sources.rest.contract import BATCH, MAX_KEYS
from app.sources.source import Source
from tests.contract.case import counted_calls
from tests.support.rest import connected, price
from tests.upstreams import serve
from tests.upstreams.faulty import faulty


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


async def test_batch_is_cancelled_when_all_its_readers_are_cancelled(erp: Source, control: httpx.AsyncClient):
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


@pytest.mark.parametrize("port", [port for port in PORTS["erp"] if port != "downloads"])
async def test_ping_is_a_read_with_the_token(sandbox: Sandbox, port: str):
    for token, status in ((sandbox.token, None), ("wrong", 401)):
        options = {"serves": [port]}
        source = connect("erp", settings_of(sandbox.erp, token, options))
        if status is None:
            await source.ping()
        else:
            with pytest.raises(SourceRejected) as caught:
                await source.ping()
            assert caught.value.status == status
        await source.aclose()


async def test_ping_of_a_system_without_the_port_fails(sandbox: Sandbox):
    source = connect("erp", settings_of(sandbox.erp, sandbox.token, {"serves": ["contents"]}))
    with pytest.raises(SourceRejected) as caught:
        await source.ping()
    await source.aclose()
    assert caught.value.status == 404


def settings_of(url: str, token: str, options: dict[str, Any]) -> SourceSettings:
    credentials = {"token": SecretStr(token)}
    return SourceSettings(vendor="rest", base_url=url, timeout=30, credentials=credentials, options=options)


async def test_health_check_fails_when_the_system_is_down(erp: Source):
    await erp.ping()
    gone = connected("http://127.0.0.1:9")
    with pytest.raises(SourceUnavailable):
        await gone.ping()
    await gone.aclose()


# What systems answer


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
