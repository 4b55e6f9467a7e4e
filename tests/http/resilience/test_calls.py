"""Calls over the HTTP seam while a backend is not well: what is sent, what is repeated, what is held back."""

from __future__ import annotations

import asyncio
import email.utils
import time
from collections.abc import AsyncIterator

import pytest

from app import telemetry
from app.auth.principal import Principal, Role
from app.errors import DeadlineExceeded, SourceThrottled, SourceTimeout, SourceUnavailable
from app.http.client import HTTPClient
from app.http.resilience.breaker import BreakerState
from tests.upstreams.client import connected, count, ended, unsent
from tests.upstreams.faulty import Faulty, faulty

UNWELL = "/status?code=503"
LASTING = {"open_for": 30, "open_most": 30}
"""A breaker that does not close while a test looks at it."""


@pytest.fixture
async def upstream() -> AsyncIterator[Faulty]:
    async with faulty() as state:
        yield state


async def fail(client: HTTPClient, times: int, call: str, target: str = UNWELL) -> None:
    for _ in range(times):
        with pytest.raises((SourceUnavailable, SourceTimeout, SourceThrottled)):
            await client.get(target, into=dict, call=call)


def usually(client: HTTPClient, kind: str, seconds: float) -> None:
    """As if calls of the kind had taken so long."""
    for _ in range(20):
        client.guard.call_class(kind).latencies.record(seconds)


async def earn(client: HTTPClient, repeats: int) -> None:
    for _ in range(repeats * 10):
        client.guard.budget.deposit()


# Repetitions


async def test_read_is_repeated_and_may_succeed(upstream: Faulty):
    async with connected(upstream.url) as client:
        await earn(client, 2)
        upstream.script.extend(["/status?code=503", "/reset-midway"])
        assert (await client.get("/ok", into=dict, call="twice"))["target"] == "/ok"
        assert len(upstream.seen) == 3
        assert (count("twice", "unavailable"), count("twice", "ok")) == (2, 1)
        await ended(client)


async def test_stream_is_repeated_before_its_first_line(upstream: Faulty):
    async with connected(upstream.url) as client:
        await earn(client, 1)
        upstream.script.append("/status?code=503")
        async with client.stream_lines("POST", "/ok", json=[], call="lines") as lines:
            assert len([line async for line in lines]) == 1
        assert len(upstream.seen) == 2
        await ended(client)


@pytest.mark.parametrize("target", ["/status?code=503", "/reset", "/reset-midway", "/close"])
async def test_write_is_never_repeated(upstream: Faulty, target: str):
    async with connected(upstream.url) as client:
        await earn(client, 5)
        with pytest.raises(SourceUnavailable):
            await client.post(target, json={"sku": "A"}, into=dict, call="write", safe=False)
    assert len(upstream.seen) == 1


@pytest.mark.parametrize("target", ["/html", "/wrong-types", "/truncated", "/huge"])
async def test_wrong_answer_is_not_asked_for_again(upstream: Faulty, target: str):
    async with connected(upstream.url, max_response_bytes=100_000) as client:
        await earn(client, 5)
        with pytest.raises(Exception, match="cannot be read"):
            await client.get(target, into=list[int], call="wrong")
    assert len(upstream.seen) == 1


@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_retry_after_is_respected_if_there_is_time(upstream: Faulty, form: str):
    async with connected(upstream.url, timeout=30) as client:
        await earn(client, 1)
        after = "1" if form == "seconds" else email.utils.formatdate(time.time() + 2, usegmt=True)
        upstream.script.append(f"/status?code=429&retry_after={after}")
        started = time.monotonic()
        await client.get("/ok", into=dict, call="asked")
        assert time.monotonic() - started >= 0.95
        assert len(upstream.seen) == 2


@pytest.mark.parametrize("code", ["429", "503"])
async def test_retry_after_beyond_the_deadline_is_returned_without_a_retry(upstream: Faulty, code: str):
    async with connected(upstream.url, timeout=30) as client:
        await earn(client, 5)
        started = time.monotonic()
        with pytest.raises((SourceThrottled, SourceUnavailable)) as caught:
            await client.get(f"/status?code={code}&retry_after=60", into=dict, call="told")
        assert time.monotonic() - started < 20
        assert (caught.value.retry_after, len(upstream.seen)) == (60.0, 1)


async def test_failing_source_is_asked_a_tenth_more_at_most(upstream: Faulty):
    async with connected(upstream.url, breaker={"enabled": False}) as client:
        await fail(client, 100, "tenth")
    assert len(upstream.seen) == 110


async def test_repetitions_of_one_read_are_bounded(upstream: Faulty):
    async with connected(upstream.url, breaker={"enabled": False}, limits={"retries": 2}) as client:
        await earn(client, 10)
        await fail(client, 1, "bounded")
        assert len(upstream.seen) == 3
        await fail(client, 1, "bounded")
    assert len(upstream.seen) == 6


# The breaker


async def test_failing_kind_is_held_back_and_others_are_not(upstream: Faulty):
    refused = unsent("orders", "open")
    async with connected(upstream.url, breaker=LASTING) as client:
        await fail(client, 10, "orders.by_customer")
        with pytest.raises(SourceUnavailable) as caught:
            await client.get("/ok", into=dict, call="orders")
        assert (len(upstream.seen), unsent("orders", "open") - refused) == (10, 1)
        assert 0 < (caught.value.retry_after or 0) <= 30
        await client.get("/ok", into=dict, call="prices")
        states = {kind.name: kind.breaker for kind in client.guard.state("x").kinds}
        assert states == {"orders": BreakerState.OPEN, "prices": BreakerState.CLOSED}
        assert client.guard.state("x").health == "DEGRADED"
        await ended(client)


async def test_one_call_probes_and_the_source_is_used_again(upstream: Faulty):
    async with connected(upstream.url) as client:
        await fail(client, 10, "probed")
        await asyncio.sleep(0.5)
        upstream.script.extend(["/held"] * 20)
        probe = asyncio.create_task(client.get("/ok", into=dict, call="probed"))
        await upstream.arrived(11)
        others = await asyncio.gather(
            *(client.get("/ok", into=dict, call="probed") for _ in range(50)), return_exceptions=True
        )
        assert {type(other) for other in others} == {SourceUnavailable}
        assert len(upstream.seen) == 11
        upstream.release.set()
        await probe
        await asyncio.gather(*(client.get("/ok", into=dict, call="probed") for _ in range(10)))
        assert client.guard.state("x").health == "OK"


async def test_probe_that_hangs_ends_early(upstream: Faulty):
    async with connected(upstream.url, timeout=30, breaker={"probe_timeout": 0.1}) as client:
        await fail(client, 10, "hanging")
        await asyncio.sleep(0.5)
        started = time.monotonic()
        with pytest.raises(SourceTimeout):
            await client.get("/hang", into=dict, call="hanging")
        assert time.monotonic() - started < 20
        await ended(client)


async def test_cancelled_probe_leaves_the_next_call_to_probe(upstream: Faulty):
    async with connected(upstream.url) as client:
        await fail(client, 10, "left")
        await asyncio.sleep(0.5)
        probe = asyncio.create_task(client.get("/hang", into=dict, call="left"))
        await upstream.arrived(11)
        probe.cancel()
        with pytest.raises(asyncio.CancelledError):
            await probe
        await client.get("/ok", into=dict, call="left")


async def test_slow_answers_count_as_failures(upstream: Faulty):
    upstream.release.set()
    async with connected(upstream.url, breaker=LASTING | {"slow_after": 1e-9, "min_calls": 5}) as client:
        for _ in range(5):
            await client.get("/ok", into=dict, call="slow")
        with pytest.raises(SourceUnavailable):
            await client.get("/ok", into=dict, call="slow")


async def test_wrong_answers_and_refusals_do_not_open_it(upstream: Faulty):
    async with connected(upstream.url) as client:
        for target in ("/html", "/status?code=404") * 20:
            with pytest.raises(Exception, match="source 'erp'"):
                await client.get(target, into=dict, call="answers")
        await client.get("/ok", into=dict, call="answers")


async def test_calls_cut_short_by_short_deadlines_open_it_only_if_they_had_time(upstream: Faulty):
    async with connected(upstream.url, timeout=30, breaker=LASTING) as client:
        usually(client, "cut", 0.001)
        for _ in range(10):
            with telemetry.open_scope(timeout=0.06), pytest.raises(DeadlineExceeded):
                await client.get("/hang", into=dict, call="cut")
        with pytest.raises(SourceUnavailable):
            await client.get("/ok", into=dict, call="cut")


async def test_source_that_hangs_from_the_start_is_held_though_no_client_waits_for_its_timeout(upstream: Faulty):
    async with connected(upstream.url, timeout=30, breaker=LASTING | {"min_calls": 4}) as client:
        for _ in range(4):
            with telemetry.open_scope(timeout=0.35), pytest.raises(DeadlineExceeded):
                await client.get("/hang", into=dict, call="cold")
        with telemetry.open_scope(timeout=20), pytest.raises(SourceUnavailable):
            await client.get("/ok", into=dict, call="cold")


async def test_calls_with_hardly_any_time_say_nothing_of_a_source_that_is_not_known_yet(upstream: Faulty):
    async with connected(upstream.url, timeout=30, breaker=LASTING | {"min_calls": 4}) as client:
        call_class = client.guard.call_class("hasty")
        for _ in range(8):
            call_class.record("deadline", 0.29, probe=False, retry_after=None)
        assert call_class.breaker.is_closed
        for _ in range(4):
            call_class.record("deadline", 0.31, probe=False, retry_after=None)
        assert not call_class.breaker.is_closed


# Time and room


async def test_call_that_cannot_be_answered_in_time_is_not_begun(upstream: Faulty):
    async with connected(upstream.url) as client:
        usually(client, "late", 0.5)
        with telemetry.open_scope(timeout=0.3), pytest.raises(DeadlineExceeded):
            await client.get("/ok", into=dict, call="late")
        assert (upstream.seen, unsent("late", "deadline")) == ([], 1)
        with telemetry.open_scope(timeout=1.0):
            await client.get("/ok", into=dict, call="late")


async def test_kind_of_call_has_its_own_time(upstream: Faulty):
    async with connected(upstream.url, timeout=30, limits={"timeouts": {"prices": 0.1}}) as client:
        started = time.monotonic()
        with pytest.raises(SourceTimeout) as caught:
            await client.get("/hang", into=dict, call="prices.quote")
        assert time.monotonic() - started < 20
        assert caught.value.detail == "prices.quote: no complete answer within 0.1 s"


async def test_wait_for_a_slot_is_bounded(upstream: Faulty):
    async with connected(upstream.url, concurrency=1, limits={"max_wait": 0.05}) as client:
        holder = asyncio.create_task(client.get("/held", into=dict, call="holding"))
        await upstream.arrived(1)
        with pytest.raises(SourceThrottled) as caught:
            await client.get("/ok", into=dict, call="waiting")
        assert (caught.value.retry_after, len(upstream.seen), unsent("waiting", "throttled")) == (1.0, 1, 1)
        upstream.release.set()
        await holder
        await ended(client)


async def test_class_of_more_weight_goes_first(upstream: Faulty):
    async with connected(upstream.url, concurrency=1, limits={"queue": 2}) as client:
        holder = asyncio.create_task(client.get("/held", into=dict, call="holding"))
        await upstream.arrived(1)

        async def ask(role: Role) -> str:
            with telemetry.open_scope() as scope:
                scope.principal = Principal(subject=role.value, roles=frozenset({role}))
                await client.get(f"/{role.value}", into=dict, call="queued")
            return role.value

        roles = (Role.PARTNER, Role.PARTNER, Role.SALES_REP, Role.SALES_REP)
        asking = [asyncio.create_task(ask(role)) for role in roles]
        await asyncio.sleep(0.01)
        upstream.release.set()
        await holder
        answers = await asyncio.gather(*asking, return_exceptions=True)
        assert [type(answer) for answer in answers] == [SourceThrottled, SourceThrottled, str, str]


async def test_open_breaker_is_not_waited_for(upstream: Faulty):
    async with connected(upstream.url, concurrency=1, breaker=LASTING) as client:
        await fail(client, 10, "orders")
        holder = asyncio.create_task(client.get("/held", into=dict, call="holding"))
        await upstream.arrived(11)
        with pytest.raises(SourceUnavailable):
            await client.get("/ok", into=dict, call="orders")
        upstream.release.set()
        await holder


# Options


async def test_late_read_is_hedged_and_the_loser_given_up(upstream: Faulty):
    async with connected(upstream.url, limits={"hedge": ["stock"]}) as client:
        usually(client, "stock", 0.05)
        await earn(client, 1)
        cancelled = count("stock", "cancelled")
        upstream.script.append("/hang")
        assert (await client.get("/ok", into=dict, call="stock"))["target"] == "/ok"
        assert len(upstream.seen) == 2
        assert count("stock", "cancelled") - cancelled == 1
        await upstream.idle()
        await ended(client)


async def test_hedging_keeps_to_the_budget_of_repetitions(upstream: Faulty):
    async with connected(upstream.url, timeout=1, limits={"hedge": ["stock"]}) as client:
        usually(client, "stock", 0.01)
        await earn(client, 2)
        await asyncio.gather(*(fail(client, 1, "stock", "/hang") for _ in range(5)))
        assert len(upstream.seen) == 7, "20 calls before and these 5 have earned two"
        await ended(client)


async def test_adaptive_source_gets_fewer_calls_at_once_when_they_fail(upstream: Faulty):
    async with connected(upstream.url, concurrency=4, limits={"adaptive": True}, breaker={"enabled": False}) as client:
        await fail(client, 60, "adaptive")
        assert client.guard.bulkhead.limit == 1
        upstream.script.extend(["/held"] * 4)
        seen = len(upstream.seen)
        calls = [asyncio.create_task(client.get("/ok", into=dict, call="adaptive")) for _ in range(4)]
        await upstream.arrived(seen + 1)
        for _ in range(50):
            await asyncio.sleep(0)
        assert upstream.open == 1
        upstream.release.set()
        await asyncio.gather(*calls)
