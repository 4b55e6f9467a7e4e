"""The OData V4 client: against another project's server, and against one that pages, throttles and breaks off."""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import msgspec
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from app.errors import SourceError, SourceMalformed, SourceRejected, SourceThrottled, SourceUnavailable
from app.http.oauth import ClientSecret, OAuthSignIn
from app.http.odata import MAX_URL, ODataClient, ODataQuery, all_of, any_of, chunk_keys, literal, selection
from tests.support.node_tools import node_folder
from tests.upstreams import serve
from tests.upstreams.client import connected
from tests.upstreams.oauth import token_endpoint


class Line(msgspec.Struct, rename="camel"):
    """A line of an order."""

    sequence: int
    item_no: str
    quantity: Decimal


class Head(msgspec.Struct, rename="camel"):
    """An order without its lines."""

    number: str
    order_date: date
    total: Decimal


class Order(Head):
    """An order with its lines."""

    lines: tuple[Line, ...] = ()


def test_selection_comes_from_the_fields() -> None:
    assert dict(selection(Order)) == {
        "$select": "number,orderDate,total",
        "$expand": "lines($select=sequence,itemNo,quantity)",
    }
    query = ODataQuery(filter="a eq 'x & y'", orderby=("number desc",), top=5, skip=10, count=True)
    assert query.text(Head) == (
        "$filter=a%20eq%20'x%20%26%20y'&$orderby=number%20desc&$top=5&$skip=10&$count=true&$select=number,orderDate,total"
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("O'Brien", "'O''Brien'"),
        ("' or 1 eq 1 or '", "''' or 1 eq 1 or '''"),
        (True, "true"),
        (7, "7"),
        (Decimal("1E+2"), "100"),
        (Decimal("0.00001"), "0.00001"),
        (date(2026, 11, 30), "2026-11-30"),
        (datetime(2026, 11, 30, 12, 0, 0, 5000, UTC), "2026-11-30T12:00:00.005000Z"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ],
)
def test_literals(value: object, text: str) -> None:
    assert literal(value) == text


def test_value_without_a_literal_is_refused() -> None:
    with pytest.raises(TypeError):
        literal(1.5)


def test_expressions_keep_their_meaning() -> None:
    assert all_of(any_of("a", ["x", "y"]), None, "b eq 1") == "(a eq 'x' or a eq 'y') and b eq 1"
    assert all_of(any_of("a", ["x", "y"])) == "a eq 'x' or a eq 'y'"
    assert all_of(None, None) is None


def test_keys_are_cut_by_length_and_by_number() -> None:
    keys = [f"K{n:04}" for n in range(250)]
    assert [len(piece) for piece in chunk_keys("number", [*keys, keys[0]], 100_000)] == [100, 100, 50]
    pieces = list(chunk_keys("number", ["ü" * 20] * 1 + [f"{'ü' * 20}{n}" for n in range(20)], 500))
    assert sum(map(len, pieces)) == 21
    assert max(map(len, pieces)) == 3
    assert list(chunk_keys("number", [], 100)) == []
    assert list(chunk_keys("number", ["x" * 500], 100)) == [["x" * 500]]


# Another project's server


@asynccontextmanager
async def emulator() -> AsyncIterator[str]:
    process = await asyncio.create_subprocess_exec("node", "odata.mjs", cwd=node_folder(), stdin=PIPE, stdout=PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield json.loads(await process.stdout.readline())["url"]
    finally:
        process.stdin.close()
        await process.wait()


@asynccontextmanager
async def reading(url: str, **options: Any) -> AsyncIterator[ODataClient]:
    async with connected(f"{url}/base", **options) as client:
        yield ODataClient(client, "/v4", base_url=f"{url}/base")


@pytest.mark.node
async def test_another_projects_server_reads_our_queries() -> None:
    async with emulator() as url, reading(url) as client:
        query = ODataQuery(filter=any_of("number", ["SO-002", "SO-003", "none"]), orderby=("number desc",))
        found = await client.rows("orders", Order, query, call="orders")
        assert found == [
            Order("SO-003", date(2026, 1, 4), Decimal("3.50"), lines_of()),
            Order("SO-002", date(2026, 1, 3), Decimal("2.50"), lines_of()),
        ]
        since = ODataQuery(filter=f"changedAt gt {literal(datetime(2026, 2, 15, tzinfo=UTC))}")
        assert [row.number for row in await client.rows("orders", Head, since, call="orders")] == ["O'Brien & Co/1"]
        both = all_of(any_of("number", ["SO-001", "SO-002"]), "isOpen eq true")
        open_orders = await client.rows("orders", Head, ODataQuery(filter=both), call="orders")
        assert [row.number for row in open_orders] == ["SO-002"]


def lines_of() -> tuple[Line, ...]:
    return (Line(10000, "ITEM-1", Decimal("1.12500")), Line(20000, "ITEM-2", Decimal("2.12500")))


@pytest.mark.node
async def test_another_projects_server_counts_and_skips() -> None:
    async with emulator() as url, reading(url) as client:
        query = ODataQuery(orderby=("orderDate desc", "number"), top=2, skip=1, count=True)
        page = await client.page("orders", Head, query, call="orders")
        assert ([row.number for row in page.value], page.count) == (["SO-027", "SO-055"], 131)


@pytest.mark.node
async def test_another_projects_server_answers_a_batch() -> None:
    async with emulator() as url, reading(url) as client:
        queries = [ODataQuery(filter=any_of("number", [key])) for key in ("SO-001", "SO-9")]
        targets: list[tuple[str, type[Any]]] = [(f"orders?{query.text(Order)}", Order) for query in queries]
        pages = await client.batch(targets, call="orders")
        assert [[row.number for row in page.value] for page in pages] == [["SO-001"], []]
        with pytest.raises(SourceUnavailable):
            await client.batch([*targets, ("no_such_set?$top=1", Order)], call="orders")


# A server with faults


class Pages:
    """Answers `orders` in pages of two, and what a test puts in their place."""

    def __init__(self) -> None:
        self.numbers = [f"SO-{n}" for n in range(5)]
        self.seen: list[str] = []
        self.answer: Callable[[Request], Response] | None = None
        self.link: Callable[[int], str] = lambda start: f"{self.url}/base/v4/orders?$skiptoken={start}"
        self.inner: dict[str, tuple[int, Any]] = {}
        self.left_out: set[str] = set()
        self.batches = 0
        self.url = ""

    async def orders(self, request: Request) -> Response:
        self.seen.append(str(request.url.query))
        return self.answer(request) if self.answer is not None else JSONResponse(self.rows(request.url.query))

    def rows(self, query: str) -> dict[str, Any]:
        given = parse_qs(query)
        start = int(given.get("$skiptoken", ["0"])[0])
        chosen = [one for one in self.numbers if "$filter" not in given or f"'{one}'" in given["$filter"][0]]
        page: dict[str, Any] = {"value": [row(one) for one in chosen[start : start + 2]]}
        return page | ({"@odata.nextLink": self.link(start + 2)} if start + 2 < len(chosen) else {})

    async def batch(self, request: Request) -> Response:
        self.batches += 1
        responses = []
        for one in (await request.json())["requests"]:
            self.seen.append(one["url"])
            status, body = self.inner.get(one["id"], (200, None))
            if one["id"] not in self.left_out:
                body = self.rows(urlsplit(one["url"]).query) if body is None else body
                headers = {"Retry-After": "7"} if status == 429 else {}
                responses.append({"id": one["id"], "status": status, "headers": headers, "body": body})
        return JSONResponse({"responses": responses[::-1]})


def row(number: str) -> dict[str, Any]:
    return {"number": number, "orderDate": "2026-01-01", "total": 1.1}


@pytest.fixture
async def pages() -> AsyncIterator[Pages]:
    state = Pages()
    app = Starlette(
        routes=[Route("/base/v4/orders", state.orders), Route("/base/v4/$batch", state.batch, methods=["POST"])]
    )
    async with serve(app) as state.url:
        yield state


EVERY = ODataQuery(filter=None)


@pytest.mark.parametrize("form", ["absolute", "path", "relative"])
async def test_pages_are_followed_to_their_end(pages: Pages, form: str) -> None:
    prefix = {"absolute": f"{pages.url}/base/v4/", "path": "/base/v4/", "relative": ""}[form]
    pages.link = lambda start: f"{prefix}orders?$skiptoken={start}"
    async with reading(pages.url) as client:
        found = await client.rows("orders", Head, EVERY, call="orders")
    assert [one.number for one in found] == pages.numbers
    assert found[0].total == Decimal("1.1")
    assert len(pages.seen) == 3


@pytest.mark.parametrize(
    "link",
    [
        "http://169.254.169.254/base/v4/orders?$skiptoken=2",
        "/base/other/orders?$skiptoken=2",
        "//evil.example/base/v4/orders",
        "http://[/",
    ],
)
async def test_link_to_another_address_is_not_followed(pages: Pages, link: str) -> None:
    pages.link = lambda start: link
    async with reading(pages.url) as client:
        with pytest.raises(SourceMalformed):
            await client.rows("orders", Head, EVERY, call="orders")
    assert len(pages.seen) == 1


async def test_page_that_repeats_for_ever_is_an_error(pages: Pages) -> None:
    pages.link = lambda start: f"{pages.url}/base/v4/orders?$skiptoken=0"
    async with reading(pages.url) as client:
        with pytest.raises(SourceMalformed) as caught:
            await client.rows("orders", Head, EVERY, call="orders")
    assert caught.value.detail == "orders: the pages do not end after 2"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (HTMLResponse("<html>Sign in to your account</html>"), SourceMalformed),
        (JSONResponse({"value": [{"number": 7, "orderDate": "2026-01-01", "total": 1}]}), SourceMalformed),
        (JSONResponse({"value": None}), SourceMalformed),
        (JSONResponse({"value": [{"number": "SO-1"}]}), SourceMalformed),
        (Response('{"value": [{"number": "SO-1', media_type="application/json"), SourceMalformed),
        (JSONResponse({"error": {"code": "BadRequest", "message": "no. CorrelationId: 1."}}, 400), SourceRejected),
        (Response("", 429), SourceThrottled),
        (Response("", 503), SourceUnavailable),
    ],
)
async def test_wrong_answers_are_our_errors(pages: Pages, answer: Response, error: type[SourceError]) -> None:
    pages.answer = lambda _: answer
    async with reading(pages.url, limits={"retries": 0}) as client:
        with pytest.raises(error):
            await client.rows("orders", Head, EVERY, call="orders")


async def test_many_keys_are_one_batch_and_few_one_request(pages: Pages) -> None:
    pages.numbers = [f"SO-{n:04}" for n in range(350)]
    async with reading(pages.url) as client:
        found = await client.by_keys("orders", Head, "number", ["SO-0003", "SO-0001", "SO-0003", "none"], call="orders")
        assert ([one.number for one in found], pages.batches, len(pages.seen)) == (["SO-0001", "SO-0003"], 0, 1)
        assert await client.by_keys("orders", Head, "number", [], call="orders") == []
        pages.rows = lambda query: {"value": [row("SO-1")]}  # type: ignore[method-assign]
        found = await client.by_keys("orders", Head, "number", pages.numbers, also="isOpen eq true", call="orders")
    assert pages.batches == 1
    assert len(found) == len(pages.seen) - 1 >= 4
    assert max(len(target) for target in pages.seen[1:]) <= MAX_URL
    assert all("isOpen%20eq%20true" in target for target in pages.seen[1:])


@pytest.mark.parametrize(
    ("inner", "left_out", "error"),
    [
        ({"1": (429, {"error": {"code": "TooMany"}})}, set(), SourceThrottled),
        ({"1": (500, "<html>")}, set(), SourceUnavailable),
        ({"1": (404, {})}, set(), SourceRejected),
        ({"1": (200, {"value": 7})}, set(), SourceMalformed),
        ({}, {"1"}, SourceMalformed),
    ],
)
async def test_failed_request_in_a_batch_fails_the_read(
    pages: Pages, inner: dict[str, Any], left_out: set[str], error: type[SourceError]
) -> None:
    pages.inner, pages.left_out = inner, left_out
    async with reading(pages.url, limits={"retries": 0}) as client:
        with pytest.raises(error) as caught:
            await client.batch([(f"orders?{one}=1", Head) for one in "abc"], call="orders")
    assert getattr(caught.value, "retry_after", None) == (7.0 if error is SourceThrottled else None)


async def test_token_that_ends_in_the_middle_of_a_batch_is_renewed_once(pages: Pages) -> None:
    now = 1000.0
    async with token_endpoint() as endpoint:
        signing = OAuthSignIn("erp", endpoint.url, ClientSecret("me", "secret"), clock=lambda: now)
        async with connected(f"{pages.url}/base", sign_in=signing) as http:
            client = ODataClient(http, "/v4", base_url=f"{pages.url}/base", on_expired=signing.expire)
            await client.batch([("orders?a=1", Head)], call="orders")
            now += 60
            pages.inner = {"1": (401, {}), "2": (401, {})}
            pages.seen.clear()
            with pytest.raises(SourceRejected):  # Refused again: the new token is not replaced.
                await client.batch([(f"orders?{one}=1", Head) for one in "abc"], call="orders")
            assert pages.seen == ["orders?a=1", "orders?b=1", "orders?c=1", "orders?b=1", "orders?c=1"]
    assert len(endpoint.forms) == 2
