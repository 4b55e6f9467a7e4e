"""Sign-in as a step of the HTTP client: who signs, when a session is opened or renewed, and how its requests count."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

import msgspec
import pytest

from app import telemetry
from app.errors import SourceRejected, SourceUnavailable
from app.http.call import SIGN_IN
from app.http.client import HTTPResponse
from app.http.request import OutgoingRequest, RequestBuilder
from app.http.sign_in import SessionSignIn, StaticCredentials
from tests.upstreams.client import connected, count, ended
from tests.upstreams.faulty import Faulty, faulty

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Echo(msgspec.Struct):
    """What `/ok` answers: the request's headers."""

    headers: dict[str, str]


class Sessions(SessionSignIn):
    """Opens a session with whatever `login_path` answers. `ended` are the statuses that say a session has ended."""

    def __init__(self, login_path: str = "/ok", *, ended: tuple[int, ...] = (401,)) -> None:
        super().__init__("erp")
        self.login_path = login_path
        self.ended = ended
        self.opened = 0

    def login(self) -> OutgoingRequest:
        return OutgoingRequest(method="POST", path=self.login_path, content=b'"user"', call=SIGN_IN)

    def session_headers(self, response: HTTPResponse) -> Mapping[str, str]:
        if response.status != 200:
            raise SourceRejected("erp", status=response.status, detail="login refused")
        self.opened += 1
        return {"Authorization": f"Session {self.opened}"}

    def is_unauthorized(self, request: OutgoingRequest, response: HTTPResponse) -> bool:
        return response.status in self.ended


@pytest.fixture
async def upstream() -> AsyncIterator[Faulty]:
    async with faulty() as state:
        yield state


def sent(upstream: Faulty) -> list[tuple[str, str | None]]:
    """Path and credentials of each request."""
    return [(seen.path, seen.headers.get("authorization")) for seen in upstream.seen]


async def test_static_credentials_sign_every_request(upstream):
    async with connected(upstream.url, sign_in=StaticCredentials({"Authorization": "Bearer t0k3n"})) as client:
        for headers in (None, {"X-Channel": "eu"}, None):
            await client.get("/ok", into=dict, headers=headers, call="static")
        async with client.stream_lines("GET", "/ok", call="static") as lines:
            assert len([line async for line in lines]) == 1
        await ended(client)
    assert sent(upstream) == [("/ok", "Bearer t0k3n")] * 4
    assert [seen.headers.get("x-channel") for seen in upstream.seen] == [None, "eu", None, None]
    assert [seen.headers["accept-encoding"] for seen in upstream.seen] == ["gzip"] * 4
    assert [seen.headers["user-agent"] for seen in upstream.seen] == ["tradegraph"] * 4
    assert count("static", "ok") == 4


async def test_refused_static_credentials_are_not_sent_again(upstream):
    async with connected(upstream.url, sign_in=StaticCredentials({"Authorization": "Bearer old"})) as client:
        with pytest.raises(SourceRejected) as caught:
            await client.get("/status", params={"code": "401"}, into=dict, call="static_refused")
    assert (caught.value.status, len(upstream.seen)) == (401, 1)


async def test_header_that_the_sign_in_sets_is_not_a_calls_to_set(upstream):
    async with connected(upstream.url, sign_in=StaticCredentials({"Authorization": "Bearer t0k3n"})) as client:
        with pytest.raises(ValueError, match="authorization"):
            await client.get("/ok", into=dict, headers={"authorization": "Bearer mine"}, call="static")
    assert upstream.seen == []


async def test_session_is_opened_before_the_first_request_and_reused(upstream):
    async with connected(upstream.url, sign_in=Sessions()) as client:
        with telemetry.open_scope() as scope:
            for _ in range(2):
                await client.get("/ok", into=dict, call="opened")
    assert sent(upstream) == [("/ok", None), ("/ok", "Session 1"), ("/ok", "Session 1")]
    assert scope.calls == [("erp", "sign_in"), ("erp", "opened"), ("erp", "opened")]
    assert (count("opened", "ok"), count("opened", "rejected")) == (2, 0)


async def test_ended_session_is_renewed_once_and_the_request_sent_once_more(upstream):
    async with connected(upstream.url, sign_in=Sessions()) as client:
        with telemetry.open_scope() as scope, pytest.raises(SourceRejected) as caught:
            await client.get("/status", params={"code": "401"}, into=dict, call="renewed")
    assert caught.value.status == 401
    assert sent(upstream) == [("/ok", None), ("/status", "Session 1"), ("/ok", None), ("/status", "Session 2")]
    assert scope.calls == [("erp", "sign_in"), ("erp", "renewed"), ("erp", "sign_in"), ("erp", "renewed")]
    assert count("renewed", "rejected") == 2


async def test_request_repeated_after_a_sign_in_counts_twice(upstream):
    """Some vendors refuse a session with status 200."""
    async with connected(upstream.url, sign_in=Sessions(ended=(200,))) as client:
        await client.get("/ok", into=dict, call="once_more")
    assert len(upstream.seen) == 4
    assert (count("once_more", "rejected"), count("once_more", "ok")) == (1, 1)


async def test_ended_session_is_renewed_for_a_stream(upstream):
    async with connected(upstream.url, sign_in=Sessions()) as client:
        upstream.script.extend(["/ok", "/status?code=401"])
        async with client.stream_lines("POST", "/lines", json=[], call="stream_renewed") as lines:
            assert len([line async for line in lines]) == 1
        await ended(client)
    assert [credentials for _, credentials in sent(upstream)] == [None, "Session 1", None, "Session 2"]
    assert (count("stream_renewed", "rejected"), count("stream_renewed", "ok")) == (1, 1)


async def test_requests_of_a_sign_in_carry_the_correlation_headers(upstream):
    async with connected(upstream.url, sign_in=Sessions()) as client:
        with telemetry.open_scope(request_id="req-1", correlation_id="cor-1", traceparent=TRACE, tracestate="shop=a1"):
            await client.get("/ok", into=dict, call="correlated")
    names = ("x-request-id", "x-correlation-id", "traceparent", "tracestate")
    assert [tuple(seen.headers.get(name) for name in names) for seen in upstream.seen] == [
        ("req-1", "cor-1", TRACE, "shop=a1")
    ] * 2


class FirstSessionEnds(Sessions):
    """Refuses what the first session signed, from its second request on."""

    def is_unauthorized(self, request: OutgoingRequest, response: HTTPResponse) -> bool:
        return request.call == "shared" and response.decode(Echo).headers["authorization"] == "Session 1"


async def test_calls_that_meet_an_ended_session_share_one_renewal(upstream):
    sessions = FirstSessionEnds()
    async with connected(upstream.url, sign_in=sessions) as client:
        await client.get("/ok", into=Echo, call="first")
        echoes = await asyncio.gather(*(client.get("/ok", into=Echo, call="shared") for _ in range(10)))
    assert [echo.headers["authorization"] for echo in echoes] == ["Session 2"] * 10
    assert sessions.opened == 2


async def test_refused_login_is_the_answer_to_all_that_wait_for_it(upstream):
    async with connected(upstream.url, sign_in=Sessions("/status?code=403")) as client:
        errors = await asyncio.gather(
            *(client.get("/ok", into=dict, call="refused_login") for _ in range(10)), return_exceptions=True
        )
        assert [type(error) for error in errors] == [SourceRejected] * 10
        assert [path for path, _ in sent(upstream)] == ["/status"]
        with pytest.raises(SourceRejected):
            await client.get("/ok", into=dict, call="refused_login")
        assert [path for path, _ in sent(upstream)] == ["/status"] * 2
        await ended(client)


async def test_failed_login_is_tried_again_by_the_next_that_waits(upstream):
    sessions = Sessions()
    async with connected(upstream.url, sign_in=sessions) as client:
        upstream.script.append("/reset")
        results = await asyncio.gather(
            *(client.get("/ok", into=dict, call="failed_login") for _ in range(3)), return_exceptions=True
        )
        await ended(client)
    assert sorted(type(result).__name__ for result in results) == ["SourceUnavailable", "dict", "dict"]
    assert [type(result) for result in results if isinstance(result, Exception)] == [SourceUnavailable]
    assert sessions.opened == 1


async def test_cancelled_login_leaves_the_next_call_to_sign_in(upstream):
    sessions = Sessions("/hang")
    async with connected(upstream.url, sign_in=sessions) as client:
        first = asyncio.create_task(client.get("/ok", into=dict, call="cancelled_login"))
        second = asyncio.create_task(client.get("/ok", into=dict, call="cancelled_login"))
        await upstream.arrived(1)
        sessions.login_path = "/ok"
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert (await second)["headers"]["authorization"] == "Session 1"
        await ended(client)


def test_request_heads_follow_the_credentials_and_are_cached_in_bounds():
    builder = RequestBuilder("http://erp.example.com/api", {"User-Agent": "x"})
    request = OutgoingRequest(method="GET", path="/orders", call="orders", headers={"X-Channel": "eu"})
    for number in range(200):
        head = builder.head(request, "/api/orders", None, {"Authorization": f"Session {number}"}).decode()
        assert head == (
            "GET /api/orders HTTP/1.1\r\nHost: erp.example.com\r\nUser-Agent: x\r\n"
            f"Authorization: Session {number}\r\nX-Channel: eu\r\n\r\n"
        )
    assert len(builder._prefixes) <= 64
