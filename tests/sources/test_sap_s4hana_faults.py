"""S/4HANA: faults of a server made from the services' metadata."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from app.auth.principal import SYSTEM
from app.errors import (
    SourceError,
    SourceMalformed,
    SourceRejected,
    SourceThrottled,
    SourceUnavailable,
)
from app.sources.orders import OrderQuery
from app.sources.prices import PriceRequest
from app.sources.source import Source
from app.sources.values import PageRequest
from tests.contract.case import counted_calls
from tests.contract.sap_s4hana_case import running
from tests.upstreams.sap_s4hana import LOGIN_PAGE, S4HANA, Refused
from tests.upstreams.sap_s4hana_rows import order_item, sales_order

BOTH = ["17100001", "17100002"]
PAGE = OrderQuery(page=PageRequest(first=5))


@pytest.fixture
async def system() -> AsyncIterator[tuple[S4HANA, Source]]:
    async with running(limits={"retries": 0}) as both:
        yield both


async def test_token_that_ends_is_fetched_once_for_all_reads(system: tuple[S4HANA, Source]) -> None:
    server, source = system
    await source.orders.by_customer(SYSTEM, BOTH, PAGE)
    server.valid.clear()
    found = await asyncio.gather(*(source.orders.by_customer(SYSTEM, BOTH, PAGE) for _ in range(10)))
    assert all(set(one) == set(BOTH) for one in found)
    assert server.tokens == 2


async def test_session_that_ends_in_the_middle_of_a_batch_is_renewed_and_only_the_rest_repeated(
    system: tuple[S4HANA, Source],
) -> None:
    server, source = system
    expected = await source.orders.by_customer(SYSTEM, BOTH, PAGE)
    server.inner_faults = {1: (401, {}, "<html>Logon failed</html>")}
    with counted_calls() as calls:
        found = await source.orders.by_customer(SYSTEM, BOTH, PAGE)
    assert calls == [("sap", "orders.by_customer"), ("sap", "sign_in"), ("sap", "orders.by_customer")]
    assert {number: page.rows for number, page in found.items()} == {
        number: page.rows for number, page in expected.items()
    }


@pytest.mark.parametrize(
    ("status", "headers", "error", "retry_after"),
    [
        (429, {"Retry-After": "17"}, SourceThrottled, 17.0),
        (429, {}, SourceThrottled, None),
        (503, {}, SourceUnavailable, None),
        (400, {}, SourceRejected, None),
    ],
)
async def test_failed_request_in_a_batch_is_the_error_of_the_read(
    system: tuple[S4HANA, Source], status: int, headers: dict[str, str], error: type[SourceError], retry_after: Any
) -> None:
    server, source = system
    body = Refused("/IWBEP/CM_MGW_RT/022", "hunter2").body()
    for read in (
        lambda: source.orders.by_customer(SYSTEM, BOTH, PAGE),
        lambda: source.prices.quote(
            SYSTEM, [PriceRequest("17100001", sku, Decimal(1), "EA") for sku in ("TG11", "TG12")]
        ),
    ):
        server.inner_faults = {1: (status, headers, body)}
        with pytest.raises(error) as caught:
            await read()
        assert getattr(caught.value, "retry_after", None) == retry_after
        assert "hunter2" not in f"{caught.value.message} {caught.value!r}"


async def test_partial_batch_is_an_error_and_no_empty_page(system: tuple[S4HANA, Source]) -> None:
    server, source = system
    server.left_out = {1}
    with pytest.raises(SourceMalformed) as caught:
        await source.orders.by_customer(SYSTEM, BOTH, PAGE)
    assert caught.value.detail == "orders.by_customer: 1 of 2 requests of a batch have no response"
    with pytest.raises(SourceMalformed) as caught:
        await source.prices.quote(SYSTEM, [PriceRequest("17100001", sku, Decimal(1), "EA") for sku in ("TG11", "TG12")])
    assert caught.value.detail == "prices: 1 of 2 requests of a batch have no response"


def _rows(**values: Any) -> Response:
    return JSONResponse(
        {
            "d": {
                "results": [
                    sales_order("1", "1", "2026-11-20")
                    | {"to_Item": {"results": []}, "to_Partner": {"results": []}}
                    | values
                ]
            }
        }
    )


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Response("", 429, {"Retry-After": "3"}), SourceThrottled),
        (Response("", 429), SourceThrottled),
        (LOGIN_PAGE, SourceMalformed),
        (Response("hunter2", 403), SourceRejected),
        (JSONResponse(Refused("SY/530", "hunter2").body(), 500), SourceUnavailable),
        (_rows(SalesOrder=7), SourceMalformed),
        (_rows(TotalNetAmount="1,50"), SourceMalformed),
        (_rows(TotalNetAmount="NaN"), SourceMalformed),
        (_rows(SalesOrderDate="2026-11-20"), SourceMalformed),
        (_rows(to_Item=[]), SourceMalformed),
        (
            _rows(to_Item={"results": [order_item("1", "1O", "TG11", "1") | {"to_ScheduleLine": {"results": []}}]}),
            SourceMalformed,
        ),
    ],
)
async def test_faults_are_our_errors_without_the_servers_text(
    system: tuple[S4HANA, Source], answer: Response, error: type[SourceError]
) -> None:
    server, source = system
    await source.ping()
    server.fault = lambda _: answer
    with pytest.raises(error) as caught:
        await source.orders.by_number(SYSTEM, ["1"])
    assert "hunter2" not in f"{caught.value.message} {caught.value!r}"
    server.fault = None
    assert list(await source.customers.by_number(SYSTEM, ["17100001"])) == ["17100001"]


async def test_login_page_instead_of_a_token_is_malformed(system: tuple[S4HANA, Source]) -> None:
    server, source = system
    server.fault = lambda _: LOGIN_PAGE
    with pytest.raises(SourceMalformed, match="sap") as caught:
        await source.ping()
    assert "hunter2" not in f"{caught.value.message} {caught.value!r} {caught.value.detail}"
