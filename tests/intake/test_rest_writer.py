"""Orders in over the `rest` contract: the writer against the sandbox, faults included."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from datetime import date
from decimal import Decimal
from typing import Any

import httpx
import msgspec
import pytest
from pydantic import SecretStr

from app.auth.principal import SYSTEM
from app.errors import (
    ConfigurationError,
    SourceError,
    SourceMalformed,
    SourceThrottled,
    SourceUnavailable,
)
from app.http.background import background
from app.sandbox import Sandbox
from app.settings import BreakerSettings, SourceSettings
from app.sources.order_writer import NewOrder, NewOrderLine, OrderNotAccepted, OrderWriter
from app.sources.orders import OrderQuery
from app.sources.source import Source
from app.sources.values import PageRequest
from app.sources.wiring import connect
from tests.support.gateway import NOON

CUSTOMER = "CUST-0007"


def settings(url: str, **given: Any) -> SourceSettings:
    return SourceSettings(
        vendor="rest", base_url=url, credentials={"token": SecretStr("none")}, timeout=10.0,
        breaker=BreakerSettings(enabled=False), **given,
    )  # fmt: skip


@pytest.fixture
async def backend(dated_sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    """The controls of the sandbox's ERP; what was ordered and how it failed is undone."""
    headers = {"authorization": f"Bearer {dated_sandbox.token}"}
    async with httpx.AsyncClient(base_url=dated_sandbox.urls["erp"], headers=headers) as client:
        await client.delete("/sandbox/submitted-orders")
        yield client
        await client.delete("/sandbox/faults")
        await client.delete("/sandbox/submitted-orders")


@pytest.fixture
async def source(dated_sandbox: Sandbox, backend: httpx.AsyncClient) -> AsyncIterator[Source]:
    connected = connect("erp", _settings(dated_sandbox), lambda: NOON)
    yield connected
    await connected.aclose()


def _settings(sandbox: Sandbox, **given: Any) -> SourceSettings:
    made = settings(sandbox.urls["erp"], **given)
    return made.model_copy(update={"credentials": {"token": SecretStr(sandbox.token)}})


@pytest.fixture
def writer(source: Source) -> OrderWriter:
    assert source.order_writer is not None
    return source.order_writer


def order(key: str, **given: Any) -> NewOrder:
    lines = (
        NewOrderLine(number=1, sku="SKU-0001", quantity=Decimal(12)),
        NewOrderLine(number=2, sku="SKU-0002", quantity=Decimal(3)),
    )
    return NewOrder(**{
        "key": key, "customer": CUSTOMER, "customer_po": f"PO {key}", "channel": "API", "lines": lines,
        "requested_date": date(2026, 12, 1), **given,
    })  # fmt: skip


async def counts(backend: httpx.AsyncClient) -> dict[str, Any]:
    return (await backend.get("/sandbox/submitted-orders")).json()


async def fault(backend: httpx.AsyncClient, **rule: Any) -> None:
    (await backend.post("/sandbox/faults", json={"resource": "order-submissions", **rule})).raise_for_status()


async def test_created_order_is_found_by_its_key_and_read_as_any_other(writer: OrderWriter, source: Source):
    written = await writer.post(SYSTEM, order("k-1"))
    assert await writer.find(SYSTEM, ["k-1", "k-2", ""]) == {"k-1": (written,)}
    found = (await source.orders.by_number(SYSTEM, [written.number]))[written.number]  # type: ignore[union-attr]
    assert (found.id, found.customer, found.customer_po, found.channel) == (written.id, CUSTOMER, "PO k-1", "API")
    assert [(line.number, line.sku, line.quantity) for line in found.lines] == [
        (1, "SKU-0001", Decimal(12)), (2, "SKU-0002", Decimal(3)),
    ]  # fmt: skip
    assert found.totals.net is not None
    assert found.totals.net.amount == sum(line.total.amount for line in found.lines if line.total)
    page = await source.orders.by_customer(SYSTEM, [CUSTOMER], OrderQuery(page=PageRequest(first=3, count=True)))  # type: ignore[union-attr]
    assert page[CUSTOMER].rows[0].number == written.number


async def test_known_key_is_the_order_that_exists(writer: OrderWriter, backend: httpx.AsyncClient):
    first, again = await writer.post(SYSTEM, order("k")), await writer.post(SYSTEM, order("k"))
    assert first == again
    assert await counts(backend) == {"keys": 1, "orders": 1, "doubled": []}


async def test_target_that_ignores_keys_doubles_and_both_are_found(writer: OrderWriter, backend: httpx.AsyncClient):
    await fault(backend, ignoreKeys=True)
    first, again = await writer.post(SYSTEM, order("k")), await writer.post(SYSTEM, order("k"))
    assert first.number != again.number
    assert await writer.find(SYSTEM, ["k"]) == {"k": (first, again)}
    assert (await counts(backend))["doubled"] == ["k"]


@pytest.mark.parametrize(
    ("rule", "error", "created"),
    [
        ({"errorKind": "500"}, SourceUnavailable, 0),
        ({"errorKind": "reset"}, SourceUnavailable, 1),
        ({"errorKind": "truncated"}, SourceMalformed, 1),
        ({"errorKind": "html"}, SourceMalformed, 1),
    ],
)
async def test_failed_create_is_sent_once_and_may_have_been_done(
    writer: OrderWriter, backend: httpx.AsyncClient, rule: dict[str, Any], error: type[SourceError], created: int
):
    await fault(backend, errorRate=1.0, **rule)
    with pytest.raises(error) as failed:
        await writer.post(SYSTEM, order("k"))
    assert failed.value.sent
    await backend.delete("/sandbox/faults")
    assert (await counts(backend))["orders"] == created
    assert (await backend.get("/sandbox/counters")).json()["reads"].get("order-submissions", 0) >= 1
    assert len(await writer.find(SYSTEM, ["k"])) == created


async def test_lost_answer_is_a_timeout_of_an_order_that_exists(dated_sandbox: Sandbox, backend: httpx.AsyncClient):
    quick = connect("erp", _settings(dated_sandbox), lambda: NOON)
    assert quick.order_writer is not None
    await quick.order_writer.post(SYSTEM, order("warm"))
    await fault(backend, errorRate=1.0, errorKind="hang")
    with background(0.5), pytest.raises(Exception) as failed:  # noqa: PT011 - a timeout, or the deadline
        await quick.order_writer.post(SYSTEM, order("k"))
    assert failed.value.sent is True  # type: ignore[attr-defined]
    await backend.delete("/sandbox/faults")
    assert len(await quick.order_writer.find(SYSTEM, ["k"])) == 1
    await quick.aclose()


async def test_throttled_create_is_not_done(writer: OrderWriter, backend: httpx.AsyncClient):
    await fault(backend, rateLimit=0)
    with pytest.raises(SourceThrottled) as throttled:
        await writer.post(SYSTEM, order("k"))
    assert throttled.value.retry_after == 1
    await backend.delete("/sandbox/faults")
    assert (await counts(backend))["orders"] == 0


@pytest.mark.parametrize(("kind", "held"), [("refuse", False), ("hold", True)])
async def test_refusal_by_business(writer: OrderWriter, backend: httpx.AsyncClient, kind: str, held: bool):
    await fault(backend, errorRate=1.0, errorKind=kind)
    with pytest.raises(OrderNotAccepted) as refused:
        await writer.post(SYSTEM, order("k"))
    assert (refused.value.held, refused.value.lines) == (held, ())
    assert (await counts(backend))["orders"] == 0


async def test_refusal_names_its_lines(writer: OrderWriter):
    lines = (*order("k").lines, NewOrderLine(number=7, sku="NO-SUCH-ITEM", quantity=Decimal(1)))
    with pytest.raises(OrderNotAccepted) as refused:
        await writer.post(SYSTEM, order("k", lines=lines))
    assert refused.value.lines == (7,)


async def test_refused_connection_was_not_sent():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nowhere = connect("erp", settings(f"http://127.0.0.1:{unused.getsockname()[1]}"), lambda: NOON)
        assert nowhere.order_writer is not None
        with pytest.raises(SourceUnavailable) as refused:
            await nowhere.order_writer.post(SYSTEM, order("k"))
        await nowhere.aclose()
    assert refused.value.sent is False


async def test_open_breaker_was_not_sent():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        breaking = settings(f"http://127.0.0.1:{unused.getsockname()[1]}").model_copy(
            update={"breaker": BreakerSettings(min_calls=1)}
        )
        nowhere = connect("erp", breaking, lambda: NOON)
        assert nowhere.order_writer is not None
        for _ in range(2):
            with pytest.raises(SourceUnavailable) as refused:
                await nowhere.order_writer.post(SYSTEM, order("k"))
        await nowhere.aclose()
    assert refused.value.sent is False
    assert refused.value.retry_after is not None


async def test_cancelled_order_is_not_found_any_more(writer: OrderWriter, source: Source, backend: httpx.AsyncClient):
    written = await writer.post(SYSTEM, order("k"))
    await writer.cancel(SYSTEM, written, "ordered twice")
    assert await writer.find(SYSTEM, ["k"]) == {}
    found = await source.orders.by_id(SYSTEM, [written.id])  # type: ignore[union-attr]
    assert found[written.id].status == "CANCELLED"
    with pytest.raises(OrderNotAccepted):
        await writer.cancel(SYSTEM, msgspec.structs.replace(written, id="unknown"), "")


async def test_order_that_is_picked_is_not_cancelled(writer: OrderWriter, backend: httpx.AsyncClient):
    written = await writer.post(SYSTEM, order("k"))
    (await backend.post(f"/sandbox/orders/{written.number}", json={"status": "PROCESSING"})).raise_for_status()
    with pytest.raises(OrderNotAccepted):
        await writer.cancel(SYSTEM, written, "too late")


async def test_simulation_prices_and_creates_nothing(writer: OrderWriter, backend: httpx.AsyncClient):
    lines = await writer.simulate(SYSTEM, order("k"))
    assert lines is not None
    assert [line.number for line in lines] == [1, 2]
    assert all(line.unit_price and line.available is not None for line in lines)
    assert (await counts(backend))["orders"] == 0


async def test_write_in_a_batch_is_refused(backend: httpx.AsyncClient):
    parts = [{"id": "0", "path": "/v1/order-submissions/create", "body": {}}]
    assert (await backend.post("/v1/batch", json=parts)).json()["status"] == 400


@pytest.mark.parametrize("value", [1, "10", True, 4000])
def test_wrong_time_of_creation_stops_the_start(value: object):
    with pytest.raises(ConfigurationError, match="max_order_seconds"):
        connect("erp", settings("http://127.0.0.1:1", options={"max_order_seconds": value}), lambda: NOON)


async def test_time_limits_of_a_writer_are_reported(dated_sandbox: Sandbox):
    made = connect("erp", _settings(dated_sandbox, options={"unique_order_keys": False}), lambda: NOON)
    assert made.order_writer is not None
    assert (made.order_writer.unique_key, made.order_writer.max_seconds) == (False, 30.0)
    await made.aclose()
