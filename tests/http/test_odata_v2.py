"""The OData V2 client against another project's SAP Gateway (`mock-sap`), and against answers that are wrong."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.errors import SourceError, SourceMalformed, SourceRejected, SourceUnavailable
from app.http.client import HTTPClient
from app.http.oauth import ClientSecret, OAuthSignIn
from app.http.odata import ODataClient, ODataQuery, all_of, any_of
from app.http.odata_v2 import (
    CSRFSignIn,
    ODataList,
    ODataV2,
    entity_key,
    literal,
    offset_literal,
    parse_date,
    post_batch,
)
from tests.upstreams import serve
from tests.upstreams.client import connected

SERVICE = "/sap/opu/odata/sap/API_SALES_ORDER_SRV"
SERVICE_V4 = "/sap/opu/odata4/sap/api_salesorder/srvd_a2x/sap/api_salesorder/0001"


class ItemRow(msgspec.Struct, rename="pascal"):
    """`A_SalesOrderItem`."""

    sales_order_item: str
    material: str
    requested_quantity: Decimal


class OrderRow(
    msgspec.Struct, rename={"sales_order": "SalesOrder", "created": "CreationDate", "net": "TotalNetAmount"}
):
    """`A_SalesOrder` without its items."""

    sales_order: str
    created: str
    net: Decimal


class OrderWithItems(msgspec.Struct, rename={"sales_order": "SalesOrder", "net": "TotalNetAmount", "items": "to_Item"}):
    """`A_SalesOrder` with its items."""

    sales_order: str
    net: Decimal
    items: ODataList[ItemRow]


class OrderV4(msgspec.Struct, rename={"sales_order": "SalesOrder", "items": "to_Item"}):
    """`SalesOrder` of the V4 service."""

    sales_order: str
    items: tuple[ItemRow, ...]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("O'Brien", "'O''Brien'"),
        (True, "true"),
        (7, "7"),
        (Decimal("1.50"), "1.50M"),
        (date(2026, 11, 30), "datetime'2026-11-30T00:00:00'"),
        (datetime(2026, 11, 30, 13, 0, tzinfo=timezone(timedelta(hours=1))), "datetime'2026-11-30T12:00:00'"),
        (UUID(int=1), "guid'00000000-0000-0000-0000-000000000001'"),
    ],
)
def test_literals(value: object, text: str) -> None:
    assert literal(value) == text


def test_time_with_an_offset_has_a_literal_of_its_own() -> None:
    at = datetime(2026, 11, 30, 13, 0, 0, 250_000, tzinfo=timezone(timedelta(hours=1)))
    assert offset_literal(at) == "datetimeoffset'2026-11-30T12:00:00.250Z'"


@pytest.mark.parametrize(("count", "number"), [("150", 150), (150, 150), (None, None), ("many", None)])
def test_count_of_a_page_is_a_text_or_a_number(count: str | int | None, number: int | None) -> None:
    dialect = ODataV2()
    body = msgspec.json.encode({"d": {"results": [], "__count": count}})
    assert dialect.page(msgspec.json.decode(body, type=dialect.wire_type(OrderV4))).count == number


def test_composite_key_is_quoted() -> None:
    assert entity_key(Product="TG/11'", Plant="1710") == "(Product=%27TG%2F11%27%27%27,Plant=%271710%27)"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("", None),
        ("/Date(1764806400000)/", datetime(2025, 12, 4, tzinfo=UTC)),
        ("/Date(1764806400000+0060)/", datetime(2025, 12, 4, tzinfo=UTC)),
        ("/Date(-1)/", datetime(1969, 12, 31, 23, 59, 59, 999000, UTC)),
    ],
)
def test_dates(text: str | None, expected: datetime | None) -> None:
    assert parse_date(text) == expected


@pytest.mark.parametrize("text", ["2026-11-30", "/Date()/", "/Date(1e5)/", "/Date(9999999999999999)/", "/Date(1)/x"])
def test_text_that_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="date"):
        parse_date(text)


def test_query_selects_fields_of_what_it_expands() -> None:
    query = ODataQuery(filter=any_of("SalesOrder", ["1"]), orderby=("SalesOrder",), top=2, skip=1, count=True)
    assert ODataV2().text(query, OrderWithItems) == (
        "$filter=SalesOrder%20eq%20'1'&$orderby=SalesOrder&$top=2&$skip=1&$inlinecount=allpages"
        "&$select=SalesOrder,TotalNetAmount,to_Item/SalesOrderItem,to_Item/Material,to_Item/RequestedQuantity"
        "&$expand=to_Item&$format=json"
    )


# Another project's server


@asynccontextmanager
async def gateway(*options: str) -> AsyncIterator[str]:
    command = (sys.executable, "-m", "mocksap", "--port", "0", "--quiet", *options)
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=DEVNULL)
    assert process.stdout is not None
    try:
        line = (await process.stdout.readline()).decode()
        yield next(word for word in line.split() if word.startswith("http://"))
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def reading(url: str, **options: Any) -> AsyncIterator[tuple[ODataClient, HTTPClient]]:
    async with connected(url, **options) as http:
        yield ODataClient(http, SERVICE, base_url=url, dialect=ODataV2()), http


async def test_another_projects_gateway_reads_our_queries() -> None:
    async with gateway() as url, reading(url) as (client, _):
        whole = await client.rows("A_SalesOrder", OrderRow, ODataQuery(orderby=("SalesOrder",)), call="orders")
        assert len(whole) > 5
        first, second, *_, last = whole
        numbers = [last.sales_order, first.sales_order, "9999999999"]
        found = await client.by_keys("A_SalesOrder", OrderWithItems, "SalesOrder", numbers, call="orders")
        assert sorted(row.sales_order for row in found) == [first.sales_order, last.sales_order]
        assert all(row.items.results for row in found)
        assert all(type(item.requested_quantity) is Decimal for row in found for item in row.items.results)
        assert {row.sales_order: row.net for row in found}[first.sales_order] == first.net
        page = await client.page(
            "A_SalesOrder", OrderRow, ODataQuery(orderby=("SalesOrder",), top=1, skip=1, count=True), call="orders"
        )
        assert ([row.sales_order for row in page.value], page.count) == ([second.sales_order], len(whole))
        day = parse_date(first.created)
        assert day is not None
        on_day = all_of(f"CreationDate eq {literal(day)}", f"TotalNetAmount ge {literal(first.net)}")
        assert first in await client.rows("A_SalesOrder", OrderRow, ODataQuery(filter=on_day), call="orders")


async def test_another_projects_gateway_answers_a_multipart_batch() -> None:
    async with gateway("--no-csrf") as url, reading(url) as (client, _):
        whole = await client.rows("A_SalesOrder", OrderRow, ODataQuery(), call="orders")
        text = ODataV2().text
        targets: list[tuple[str, type[Any]]] = [
            (f"A_SalesOrder?{text(ODataQuery(filter=any_of('SalesOrder', [row.sales_order])), OrderRow)}", OrderRow)
            for row in whole[:3]
        ]
        pages = await client.batch(targets, call="orders")
        assert [page.value for page in pages] == [(row,) for row in whole[:3]]
        with pytest.raises(SourceRejected) as caught:
            await client.batch([*targets, ("A_NoSuchSet?$format=json", OrderRow)], call="orders")
        assert caught.value.status == 404


async def test_another_projects_gateway_answers_each_change_set_of_a_batch() -> None:
    order = {
        "SalesOrderType": "OR",
        "SalesOrganization": "1710",
        "DistributionChannel": "10",
        "OrganizationDivision": "00",
        "SoldToParty": "1000001",
        "TransactionCurrency": "EUR",
    }
    bodies = [msgspec.json.encode(one) for one in (order, order | {"NoSuchField": "x"}, order)]
    async with gateway("--no-csrf") as url, reading(url) as (client, http):
        before = await client.rows("A_SalesOrder", OrderRow, ODataQuery(), call="orders")
        content, headers = post_batch("A_SalesOrder", bodies)
        response = await http.request("POST", f"{SERVICE}/$batch", content=content, headers=headers, call="orders")
        answers = ODataV2().answers(response, range(3))
        assert [answer.status for answer in answers] == [201, 400, 201]
        created = [msgspec.json.decode(answers[place].body)["d"]["SalesOrder"] for place in (0, 2)]
        assert "NoSuchField" in msgspec.json.decode(answers[1].body)["error"]["message"]["value"]
        after = await client.rows("A_SalesOrder", OrderRow, ODataQuery(), call="orders")
    assert {row.sales_order for row in after} - {row.sales_order for row in before} == set(created)
    assert len(set(created)) == 2


async def test_another_projects_gateway_takes_our_token_with_its_cookie() -> None:
    async with gateway("--auth", "me:s3cr3t") as url:
        signing = CSRFSignIn("erp", f"{SERVICE}/", "me", "s3cr3t")
        assert "s3cr3t" not in f"{signing!r} {signing.login()!r}"
        async with reading(url, sign_in=signing) as (client, http):
            order = {
                "SalesOrderType": "OR",
                "SalesOrganization": "1710",
                "DistributionChannel": "10",
                "OrganizationDivision": "00",
                "SoldToParty": "1000001",
                "TransactionCurrency": "EUR",
            }
            for _ in range(2):
                created = await http.request("POST", f"{SERVICE}/A_SalesOrder", json=order, call="order", safe=False)
                assert created.status == 201
                # A reset ends all tokens.
                async with httpx.AsyncClient(base_url=url) as other:
                    assert (await other.post("/_mock/reset")).status_code < 500
            assert len(await client.rows("A_SalesOrder", OrderRow, ODataQuery(), call="orders")) > 0
        async with reading(url, sign_in=CSRFSignIn("erp", f"{SERVICE}/", "me", "wrong")) as (client, _):
            with pytest.raises(SourceRejected) as caught:
                await client.rows("A_SalesOrder", OrderRow, ODataQuery(), call="orders")
            assert (caught.value.status, caught.value.detail) == (401, "the sign-in answered 401: ")


async def test_another_projects_server_issues_and_takes_our_bearer_token() -> None:
    async with gateway("--oauth", "gateway:s3cr3t") as url:
        signing = OAuthSignIn("erp", f"{url}/sap/bc/sec/oauth2/token", ClientSecret("gateway", "s3cr3t"))
        async with reading(url, sign_in=signing) as (client, _):
            assert len(await client.rows("A_SalesOrder", OrderRow, ODataQuery(), call="orders")) > 0
        signing = OAuthSignIn("erp", f"{url}/sap/bc/sec/oauth2/token", ClientSecret("gateway", "wrong"))
        async with reading(url, sign_in=signing) as (client, _):
            with pytest.raises(SourceRejected) as caught:
                await client.rows("A_SalesOrder", OrderRow, ODataQuery(), call="orders")
            assert caught.value.detail == "the token endpoint answered 401: invalid_client"


async def test_another_projects_server_answers_v4_with_a_json_batch() -> None:
    async with gateway("--no-csrf") as url, connected(url) as http:
        client = ODataClient(http, SERVICE_V4, base_url=url)
        whole = await client.rows("SalesOrder", OrderV4, ODataQuery(orderby=("SalesOrder",)), call="orders")
        assert len(whole) > 5
        targets: list[tuple[str, type[Any]]] = [
            (f"SalesOrder?{ODataQuery(filter=any_of('SalesOrder', [row.sales_order])).text(OrderV4)}", OrderV4)
            for row in whole[:3]
        ]
        assert [page.value for page in await client.batch(targets, call="orders")] == [(row,) for row in whole[:3]]
        with pytest.raises(SourceRejected):
            await client.batch([*targets, ("NoSuchSet?$top=1", OrderV4)], call="orders")


# Faults


def part(status: str, body: str) -> str:
    return (
        "--b-1\r\nContent-Type: application/http\r\nContent-Length: 1\r\n\r\n"
        f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nRetry-After: 7\r\n\r\n{body}\r\n"
    )


ROWS = '{"d": {"results": [{"SalesOrder": "1", "CreationDate": "", "TotalNetAmount": "1.50"}]}}'


def mixed(*parts: str, boundary: str = 'multipart/mixed; boundary="b-1"') -> Response:
    return Response("".join(parts) + "--b-1--\r\n", 202, {"content-type": boundary})


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (mixed(part("200 OK", ROWS)), SourceMalformed),
        (mixed(), SourceMalformed),
        (JSONResponse({}), SourceMalformed),
        (mixed(part("200 OK", ROWS), part("500 Internal", "<html>")), SourceUnavailable),
        (mixed(part("200 OK", ROWS), part("400 Bad", '{"error": {}}')), SourceRejected),
        (mixed(part("200 OK", ROWS), part("200 OK", "<html>")), SourceMalformed),
        (mixed(part("200 OK", ROWS), part("200 OK", '{"d": {"results": {}}}')), SourceMalformed),
    ],
)
async def test_failed_or_missing_part_fails_the_read(answer: Response, error: type[SourceError]) -> None:
    async def batch(_: Request) -> Response:
        return answer

    app = Starlette(routes=[Route(f"{SERVICE}/$batch", batch, methods=["POST"])])
    async with serve(app) as url, reading(url, limits={"retries": 0}) as (client, _):
        with pytest.raises(error):
            await client.batch([("A?$top=1", OrderRow), ("B?$top=1", OrderRow)], call="orders")


async def test_links_are_followed_and_counts_are_numbers() -> None:
    async def rows(request: Request) -> Response:
        token = request.query_params.get("$skiptoken")
        row = {"SalesOrder": token or "1", "CreationDate": "/Date(0)/", "TotalNetAmount": "1.50"}
        more = {} if token else {"__next": f"{request.url}&$skiptoken=2", "__count": "2"}
        return JSONResponse({"d": {"results": [row], **more}})

    async with serve(Starlette(routes=[Route(f"{SERVICE}/A_SalesOrder", rows)])) as url, reading(url) as (client, _):
        page = await client.page("A_SalesOrder", OrderRow, ODataQuery(count=True), call="orders")
        found = await client.following(page, OrderRow, "orders")
    assert page.count == 2
    assert [(row.sales_order, row.net) for row in found] == [("1", Decimal("1.50")), ("2", Decimal("1.50"))]


async def test_token_is_fetched_again_once_where_it_is_required() -> None:
    tokens: list[str] = []
    seen: list[tuple[str, str, str]] = []

    async def service(request: Request) -> Response:
        assert request.headers["x-csrf-token"] == "Fetch"
        tokens.append(f"t{len(tokens)}")
        response = Response("{}", headers={"x-csrf-token": tokens[-1]})
        response.set_cookie("SAP_SESSIONID", f"s{len(tokens)}", expires=3600)
        response.set_cookie("usercontext", "client=100")
        return response

    async def write(request: Request) -> Response:
        token, cookie = request.headers["x-csrf-token"], request.headers["cookie"]
        seen.append((token, cookie, request.headers["authorization"]))
        if token == "t0":
            return Response("CSRF token validation failed", 403, {"x-csrf-token": "Required"})
        return JSONResponse({}, 201)

    routes = [Route(f"{SERVICE}/", service), Route(f"{SERVICE}/A", write, methods=["POST"])]
    signing = CSRFSignIn("erp", f"{SERVICE}/", "me", "s3cr3t")
    async with serve(Starlette(routes=routes)) as url, reading(url, sign_in=signing) as (_, http):
        await asyncio.gather(
            *(http.request("POST", f"{SERVICE}/A", json={}, call="write", safe=False) for _ in range(10))
        )
    assert tokens == ["t0", "t1"]
    assert [token for token, *_ in seen].count("t1") == 10
    assert seen[-1][1] == 'SAP_SESSIONID=s2; usercontext="client=100"'
    assert {authorization for *_, authorization in seen} == {"Basic bWU6czNjcjN0"}


async def test_forbidden_without_a_required_token_is_refused_at_once() -> None:
    calls: list[str] = []

    async def answer(request: Request) -> Response:
        calls.append(request.method)
        return Response("{}", 200 if request.method == "GET" else 403, {"x-csrf-token": "t0"})

    app = Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])
    signing = CSRFSignIn("erp", f"{SERVICE}/", "me", "s3cr3t")
    async with serve(app) as url, reading(url, sign_in=signing) as (_, http):
        with pytest.raises(SourceRejected):
            await http.request("POST", f"{SERVICE}/A", json={}, call="write", safe=False)
    assert calls == ["GET", "POST"]


async def test_sign_in_without_a_token_is_malformed() -> None:
    async def answer(_: Request) -> Response:
        return Response("<html>Sign in</html>")

    signing = CSRFSignIn("erp", f"{SERVICE}/", "me", "s3cr3t")
    async with (
        serve(Starlette(routes=[Route("/{path:path}", answer)])) as url,
        reading(url, sign_in=signing) as (client, _),
    ):
        with pytest.raises(SourceMalformed):
            await client.rows("A", OrderRow, ODataQuery(), call="orders")
