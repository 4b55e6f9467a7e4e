"""The HTTP seam against a backend that misbehaves in every way: errors, decoding, and what is sent."""

from __future__ import annotations

import gzip
import socket
from collections.abc import AsyncIterator
from decimal import Decimal
from types import NoneType

import msgspec
import pytest

from app import telemetry
from app.errors import (
    InvalidInput,
    SourceMalformed,
    SourceRejected,
    SourceThrottled,
    SourceTimeout,
    SourceUnavailable,
)
from app.http.client import HTTPClient, path
from app.settings import SourceSettings
from tests.upstreams.client import connected, count, ended
from tests.upstreams.faulty import Faulty, faulty
from tests.upstreams.scripted import Line, answer, scripted

SECRET_TEXT = "ORA-00942"


class Row(msgspec.Struct):
    id: str
    total: Decimal | None = None


@pytest.fixture
async def upstream() -> AsyncIterator[Faulty]:
    async with faulty() as state:
        yield state


@pytest.fixture
async def client(upstream: Faulty) -> AsyncIterator[HTTPClient]:
    async with connected(upstream.url) as made:
        yield made


# Faults


@pytest.mark.parametrize(
    ("target", "error", "outcome"),
    [
        ("/close", SourceUnavailable, "unavailable"),
        ("/reset", SourceUnavailable, "unavailable"),
        ("/reset-midway", SourceUnavailable, "unavailable"),
        ("/short", SourceUnavailable, "unavailable"),
        ("/not-http", SourceUnavailable, "unavailable"),
        ("/status?code=500", SourceUnavailable, "unavailable"),
        ("/status?code=503&retry_after=2", SourceUnavailable, "unavailable"),
        ("/status?code=429", SourceThrottled, "throttled"),
        ("/status?code=400", SourceRejected, "rejected"),
        ("/status?code=401", SourceRejected, "rejected"),
        ("/status?code=404", SourceRejected, "rejected"),
        ("/redirect?to=http://other.example.com/", SourceRejected, "rejected"),
        ("/redirect?to=/ok&code=307", SourceRejected, "rejected"),
        ("/long", SourceMalformed, "malformed"),
        ("/truncated", SourceMalformed, "malformed"),
        ("/html", SourceMalformed, "malformed"),
        ("/wrong-types", SourceMalformed, "malformed"),
        ("/bomb", SourceMalformed, "malformed"),
        ("/huge", SourceMalformed, "malformed"),
        ("/broken-gzip", SourceMalformed, "malformed"),
        ("/broken-gzip?cut=1", SourceMalformed, "malformed"),
    ],
)
async def test_fault_has_its_error_and_outcome_and_leaks_nothing(client, upstream, target, error, outcome):
    name, _, query = target.partition("?")
    with pytest.raises(error) as caught:
        await client.get(f"{name}?{query}" if query else name, into=Row, call=target)
    assert type(caught.value) is error
    assert caught.value.source == "erp"
    assert caught.value.message == f"The source 'erp' {error.says}."
    assert count(target, outcome) == 1
    assert len(upstream.seen) == 1
    await upstream.idle()
    await ended(client)


async def test_text_of_the_backend_is_in_the_detail_only(client):
    with pytest.raises(SourceUnavailable) as caught:
        await client.get("/status", params={"code": "500"}, into=Row, call="rows")
    assert SECRET_TEXT in (caught.value.detail or "")
    assert SECRET_TEXT not in caught.value.message
    assert SECRET_TEXT not in str(caught.value)


async def test_refused_connection_is_unavailable():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        async with connected(f"http://127.0.0.1:{closed.getsockname()[1]}") as client:
            with pytest.raises(SourceUnavailable):
                await client.get("/ok", into=Row, call="refused")
    assert count("refused", "unavailable") == 1


@pytest.mark.parametrize("target", ["/hang", "/hang-midway", "/drip"])
async def test_answer_that_never_completes_is_a_timeout(upstream, target):
    async with connected(upstream.url, timeout=0.1) as client:
        with pytest.raises(SourceTimeout):
            await client.get(target, into=Row, call=f"late{target}")
        await upstream.idle()
        await ended(client)
    assert count(f"late{target}", "timeout") == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("2", 2.0),
        ("0", 0.0),
        ("999999999999", 3600.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600.0),
        ("soon", None),
        ("-5", None),
        ("1e9", None),
        (None, None),
    ],
)
async def test_throttled_error_has_retry_after(client, header, seconds):
    params = {"code": "429"} | ({"retry_after": header} if header else {})
    with pytest.raises(SourceThrottled) as caught:
        await client.get("/status", params=params, into=Row, call="throttled")
    assert caught.value.retry_after == seconds


async def test_status_of_a_refusal_is_preserved(client):
    with pytest.raises(SourceRejected) as caught:
        await client.get("/redirect", params={"to": "http://other.example.com/", "code": "308"}, into=Row, call="r")
    assert caught.value.status == 308


async def test_redirect_is_not_followed_and_takes_no_credentials_along(upstream):
    async with faulty() as other, connected(upstream.url, headers={"Authorization": "Bearer hush"}) as client:
        with pytest.raises(SourceRejected):
            await client.get("/redirect", params={"to": f"{other.url}/ok"}, into=Row, call="r")
        assert other.seen == []


async def test_accepted_status_is_an_answer(client):
    answer = await client.request("GET", "/status", params={"code": "404"}, call="accepted", accept={404})
    assert answer.status == 404
    assert answer.headers["content-type"] == "application/json"
    assert answer.decode(dict[str, str]) == {"error": "ORA-00942: table or view does not exist"}
    assert count("accepted", "ok") == 1
    assert count("accepted", "rejected") == 0


async def test_no_cookie_is_stored():
    async def script(line: Line) -> None:
        for _ in range(2):
            await line.request()
            await line.send(answer(b"0", "Set-Cookie: session=1; Path=/"))

    async with scripted(script) as backend, connected(backend.url) as client:
        assert [await client.get("/", into=int, call="cookies") for _ in range(2)] == [0, 0]
    assert [head for head in backend.heads if "cookie" in head.lower()] == []
    assert len(backend.heads) == 2


# Decoding


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'{"id": 1}',
        b'{"id": null}',
        b'{"total": 1}',
        b'{"id": "1", "total": NaN}',
        b'{"id": "1", "total": "NaN"}',
        b'{"id": "1", "total": "-sNaN17"}',
        b'{"id": "1", "total": "Infinity"}',
        b'{"id": "1", "total": " -inf "}',
        b'{"id": "1", "total": true}',
        b'{"id": "1", "total": "12,50"}',
        b'{"id": "\xff"}',
        b'{"id": "1", "unread": "\xff"}',
        b'\xef\xbb\xbf{"id": "1"}',
        b'{"id": "1"} {"id": "2"}',
        b'{"id": "1", "unread": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=lambda body: repr(body[:30]),
)
async def test_unreadable_body_is_malformed(client, body):
    with pytest.raises(SourceMalformed) as caught:
        await client.post("/body", content=body, into=Row, call="decode")
    assert caught.value.message == "The source 'erp' sent an answer that cannot be read; the operators have been told."


@pytest.mark.parametrize("text", ["0.1", "12.10", "97.0719", "123456789012345678901234567890.123456789", "1E-7"])
async def test_numbers_keep_every_digit(client, text):
    row = await client.post("/body", content=f'{{"id":"1","total":{text}}}'.encode(), into=Row, call="decode")
    assert (row.total, str(row.total)) == (Decimal(text), str(Decimal(text)))


async def test_text_that_reads_nan_is_no_number_and_passes(client):
    row = await client.post("/body", content=b'{"id": "NaN", "total": "1.0"}', into=Row, call="decode")
    assert row == Row(id="NaN", total=Decimal("1.0"))


async def test_gzip_in_several_members_is_read():
    packed = gzip.compress(b'{"id":') + gzip.compress(b' "1"}')

    async def script(line: Line) -> None:
        await line.request()
        await line.send(answer(packed, "Content-Encoding: gzip"))

    async with scripted(script) as backend, connected(backend.url) as client:
        assert await client.get("/", into=Row, call="members") == Row(id="1")


async def test_unasked_encoding_is_malformed(client):
    with pytest.raises(SourceMalformed):
        await client.post("/body", params={"encoding": "br"}, content=b'{"id": "1"}', into=Row, call="br")


async def test_answer_without_content_is_none(client):
    assert await client.post("/body", content=b"", into=NoneType, call="none") is None


@pytest.mark.parametrize("packed", [False, True])
async def test_size_limit_is_exact(upstream, packed):
    params = {"gzip": "1"} if packed else {}
    async with connected(upstream.url, max_response_bytes=2000) as client:
        fits = b'"' + b"x" * 1998 + b'"'
        assert len(await client.post("/body", params=params, content=fits, into=str, call="fits")) == 1998
        with pytest.raises(SourceMalformed):
            await client.post("/body", params=params, content=fits + b" ", into=str, call="exceeds")


async def test_limit_on_the_wire_holds_for_packed_answers(upstream):
    noise = bytes(range(256)) * 16
    async with connected(upstream.url, max_response_bytes=1024) as client:
        with pytest.raises(SourceMalformed) as caught:
            await client.request("POST", "/body", content=noise, params={"encoding": "gzip"}, call="wire")
    assert caught.value.detail == "answer exceeds max_response_bytes = 1024 (bytes on the wire)"


# What is sent


async def test_headers_of_the_scope_are_passed_on(client, upstream):
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    with telemetry.open_scope(request_id="req-1", correlation_id="cor-1", traceparent=trace) as scope:
        await client.get("/ok", into=dict, call="ok")
    sent = upstream.seen[0].headers
    assert (sent["x-request-id"], sent["x-correlation-id"], sent["traceparent"]) == ("req-1", "cor-1", trace)
    assert sent["accept-encoding"] == "gzip"
    assert scope.calls == [("erp", "ok")]


async def test_without_a_scope_no_ids_are_made_up(client, upstream):
    await client.get("/ok", into=dict, call="ok")
    assert not {"x-request-id", "x-correlation-id", "traceparent"} & upstream.seen[0].headers.keys()


async def test_json_and_parameters_are_sent(client, upstream):
    body = {"quantity": Decimal("1.50"), "name": "Ø 8 mm"}
    params = {"id": ["1", "a&b"], "q": "x y"}
    await client.post("/ok", json=body, params=params, into=dict, headers={"X-Channel": "eu"}, call="ok")
    seen = upstream.seen[0]
    assert seen.target == "/ok?id=1&id=a%26b&q=x+y"
    assert seen.body == '{"quantity":"1.50","name":"Ø 8 mm"}'.encode()
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["x-channel"] == "eu"


async def test_base_path_is_preserved(upstream):
    async with connected(f"{upstream.url}/api/v2/") as client:
        await client.get(path("orders", "SO/1 ?#ä"), into=dict, call="ok")
    assert upstream.seen[0].target == "/api/v2/orders/SO%2F1%20%3F%23%C3%A4"


@pytest.mark.parametrize(
    ("segments", "quoted"),
    [
        (("v1", "orders", "SO/1"), "/v1/orders/SO%2F1"),
        (("a b", "%2e%2e", "..."), "/a%20b/%252e%252e/..."),
        (("x?y=1#z",), "/x%3Fy%3D1%23z"),
        (("😀",), "/%F0%9F%98%80"),
        (("http://other.example.com",), "/http%3A%2F%2Fother.example.com"),
        (("\\..\\",), "/%5C..%5C"),
        (("x" * 512,), "/" + "x" * 512),
    ],
)
def test_segments_are_quoted(segments, quoted):
    assert path(*segments) == quoted


@pytest.mark.parametrize("segment", ["", ".", "..", "a\0b", "a\nb", "\x7f", "x" * 513, "ä" * 257, "\ud800"])
def test_segment_no_key_looks_like_is_refused(segment):
    with pytest.raises(InvalidInput) as caught:
        path("orders", segment)
    assert caught.value.code == "INVALID_INPUT"
    assert len(caught.value.message) < 100


@pytest.mark.parametrize(
    "wrong", ["//other.example.com/x", "http://other.example.com/x", "orders", "/x#y", "/..", "/a/../b", "/a/.?x"]
)
async def test_path_that_leaves_the_base_is_refused(client, upstream, wrong):
    with pytest.raises(ValueError, match="not a path below the base URL"):
        await client.get(wrong, into=dict, call="wrong")
    assert upstream.seen == []
    assert client.in_flight == 0


async def test_url_beyond_any_measure_is_refused_unsent(client, upstream):
    with pytest.raises(SourceRejected) as caught:
        await client.get("/ok", params={"ids": "x" * 70_000}, into=dict, call="long")
    assert caught.value.status == 414
    assert upstream.seen == []


def test_repr_contains_no_secret():
    settings = SourceSettings.model_validate({"vendor": "x", "base_url": "http://erp.example.com"})
    assert repr(HTTPClient("erp", settings, headers={"Authorization": "Bearer hush"})) == "<HTTPClient erp>"
