"""The recorder itself: it keeps what matters, hides secrets, and names what was never recorded."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from decimal import Decimal

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.upstreams import cassette as recorder
from tests.upstreams import serve_in_thread
from tests.upstreams.cassette import NOT_RECORDED, System, Tape, cassette, dumps, loads

EXACT = b'{"price": 12.10, "big": 123456789012345678901234567890, "tiny": 1e-30, "name": "\xc3\x98 8"}'


async def answer(request: Request) -> Response:
    if request.url.path == "/login":
        body = {"token": "hush", "user": request.query_params.get("user", "joe"), "rows": [{"password": "hush"}]}
        return Response(json.dumps(body), headers={"Content-Type": "application/json", "vendure-auth-token": "hush"})
    if request.url.path == "/rows":
        return Response(b'[{"price": 12.10}, 7]', headers={"Content-Type": "application/json"})
    if request.url.path == "/missing":
        return Response("no such thing", 404, {"X-Other": "1"})
    return Response(EXACT, headers={"Content-Type": "application/json", "Date": "now"})


@pytest.fixture(scope="module")
def real() -> Iterator[str]:
    with serve_in_thread(Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])) as url:
        yield url


def ask(tape: Tape, method: str, target: str, **more) -> httpx.Response:
    with httpx.Client(trust_env=False) as client:
        return client.request(method, tape.url + target, **more)


def test_what_was_recorded_is_replayed_digit_by_digit(real, tmp_path):
    with cassette("x", System(real), record=True, folder=tmp_path) as tape:
        assert ask(tape, "GET", "/price?b=2&a=1").content == EXACT
        assert ask(tape, "GET", "/missing").status_code == 404
    with cassette("x", System("http://127.0.0.1:9"), folder=tmp_path) as tape:
        replayed = ask(tape, "GET", "/price?a=1&b=2")
        missing = ask(tape, "GET", "/missing")
    assert replayed.headers["content-type"] == "application/json"
    assert json.loads(replayed.content, parse_float=Decimal) == json.loads(EXACT, parse_float=Decimal)
    assert b"12.10" in replayed.content
    assert (missing.status_code, missing.text) == (404, "no such thing")
    assert [asked.path for asked in tape.asked] == ["/price", "/missing"]


def test_recording_again_gives_the_same_file_and_keeps_the_rest(real, tmp_path):
    with cassette("x", System(real), record=True, folder=tmp_path) as tape:
        ask(tape, "GET", "/b")
        ask(tape, "GET", "/a")
    first = (tmp_path / "x.json").read_text()
    with cassette("x", System(real), record=True, folder=tmp_path) as tape:
        ask(tape, "GET", "/a")
    assert (tmp_path / "x.json").read_text() == first
    assert [exchange["request"]["path"] for exchange in json.loads(first)["exchanges"]] == ["/a", "/b"]
    assert "now" not in first


def test_row_of_several_answers_is_in_the_file_once(real, tmp_path):
    with cassette("x", System(real), record=True, folder=tmp_path) as tape:
        for page in range(3):
            ask(tape, "GET", f"/rows?page={page}")
    stored = (tmp_path / "x.json").read_text()
    assert stored.count("12.10") == 1
    with cassette("x", System("http://127.0.0.1:9"), folder=tmp_path) as tape:
        assert [ask(tape, "GET", f"/rows?page={page}").json() for page in range(3)] == [[{"price": 12.10}, 7]] * 3


def test_unrecorded_request_is_named_and_fails_the_test(real, tmp_path):
    with cassette("x", System(real), record=True, folder=tmp_path) as tape:
        ask(tape, "POST", "/a", json={"n": 1})
    named = r'"body":\{"n":2\},"method":"POST","path":"/a"'
    with pytest.raises(AssertionError, match=named), cassette("x", System(real), folder=tmp_path) as tape:
        assert ask(tape, "POST", "/a", json={"n": 2}).status_code == NOT_RECORDED


def test_secrets_reach_the_client_once_and_the_file_never(real, tmp_path):
    def hide(asked: recorder.Asked, body: dict) -> dict:
        return body | {"user": "somebody"}

    credentials = {"headers": {"Authorization": "Bearer hush"}, "json": {"user": "joe", "password": "hush"}}
    with cassette("x", System(real, hide=hide), record=True, folder=tmp_path) as tape:
        recorded = ask(tape, "POST", "/login", **credentials)
    assert recorded.headers["vendure-auth-token"] == recorded.json()["token"] == "hush"
    assert "hush" not in (tmp_path / "x.json").read_text()
    with cassette("x", System(real), folder=tmp_path) as tape:
        replayed = ask(tape, "POST", "/login", **credentials)
    assert replayed.headers["vendure-auth-token"] == "hidden"
    assert replayed.json() == {"token": "hidden", "user": "somebody", "rows": [{"password": "hidden"}]}


def test_only_named_headers_and_keys_distinguish_requests(real, tmp_path):
    system = System(real, headers=("x-context",), packed=("d", "x-context"), ignored=("id",))

    def packed(text: str) -> str:
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    def context(text: str) -> dict[str, str]:
        return {"X-Context": packed(text), "X-Request-ID": text}

    with cassette("x", system, record=True, folder=tmp_path) as tape:
        ask(tape, "POST", f"/a?d={packed('[1, 2]')}", json={"id": 1, "m": "x"}, headers=context('{"a": 1, "b": 2}'))
    with cassette("x", system, folder=tmp_path) as tape:
        target = f"/a?d={packed('[1,2]')}"
        same = ask(tape, "POST", target, json={"id": 2, "m": "x"}, headers=context('{"b":2,"a":1}'))
        assert same.status_code == 200
        other = ask(tape, "POST", target, json={"id": 1, "m": "x"}, headers=context('{"a": 2}'))
        assert other.status_code == NOT_RECORDED
        tape.missing.clear()
    request = json.loads((tmp_path / "x.json").read_text())["exchanges"][0]["request"]
    assert request["query"] == [["d", [1, 2]]]
    assert request["headers"] == {"x-context": {"a": 1, "b": 2}}


def test_layout_of_a_graphql_document_does_not_matter(real, tmp_path):
    with cassette("x", System(real), record=True, folder=tmp_path) as tape:
        ask(tape, "POST", "/g", json={"query": "query {\n  a\n}"})
    with cassette("x", System(real), folder=tmp_path) as tape:
        assert ask(tape, "POST", "/g", json={"query": "query { a }"}).status_code == 200


@pytest.mark.parametrize("text", ["12.10", "[1e-30,-0.0]", '"12.10"', '{"a":"\\n\\u0000"}'])
def test_json_comes_back_as_it_was(text):
    assert dumps(loads(text), separators=(",", ":")) == text
