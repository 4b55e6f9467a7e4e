"""The GraphQL client: errors beside data, and the vendor's budget of cost points."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from app import telemetry
from app.errors import SourceMalformed, SourceRejected, SourceThrottled, SourceUnavailable
from app.http.client import HTTPClient
from app.http.cost_bucket import ASSUMED_COST, CostBucket, CostBudgetExhausted, QueryCost, ThrottleStatus
from app.http.graphql import TOO_COSTLY, GraphQLClient
from app.settings import SourceSettings
from tests.http.resilience.clock import Clock
from tests.upstreams.graphql import Answer, GraphQLUpstream, fault, graphql_upstream

DOCUMENT = "query Rows { rows { id } }"


class Row(msgspec.Struct):
    """A row, whose name may be null."""

    id: str
    name: str | None = None


class Rows(msgspec.Struct):
    """The data of DOCUMENT."""

    rows: tuple[Row, ...]


class Waits:
    """A clock that a sleep sets forward."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.now += seconds
        await asyncio.sleep(0)

    def bucket(self) -> CostBucket:
        return CostBucket(now=self.clock, sleep=self.sleep)


def cost(requested: float | None, available: float, maximum: float = 1000.0, rate: float = 50.0) -> dict[str, Any]:
    """The extensions of a response."""
    status = {"maximumAvailable": maximum, "currentlyAvailable": available, "restoreRate": rate}
    return {"cost": {"requestedQueryCost": requested, "actualQueryCost": 1, "throttleStatus": status}}


def reported(requested: float | None, available: float, maximum: float = 1000.0, rate: float = 50.0) -> QueryCost:
    status = ThrottleStatus(maximum_available=maximum, currently_available=available, restore_rate=rate)
    return QueryCost(throttle_status=status, requested_query_cost=requested)


OK = {"data": {"rows": [{"id": "1"}]}}


async def run(answer: Answer, *, bucket: CostBucket | None = None, partial: bool = False, safe: bool = True) -> Any:
    """What the client makes of an answer, and the upstream that gave it."""
    async with graphql_upstream({"Rows": answer}) as upstream:
        return await ask(upstream, bucket=bucket, partial=partial, safe=safe), upstream


async def ask(
    upstream: GraphQLUpstream, *, bucket: CostBucket | None = None, partial: bool = False, safe: bool = True
) -> Any:
    http = HTTPClient("shop", SourceSettings(vendor="any", base_url=upstream.url))
    try:
        client = GraphQLClient(http, "/graphql", bucket=bucket, max_wait=10)
        result = await client.execute(DOCUMENT, {}, into=Rows, call="rows", safe=safe)
        return result.partial() if partial else result.whole()
    finally:
        await http.aclose()


async def test_data_without_errors_is_decoded():
    data, upstream = await run(lambda *_: OK)
    assert data == Rows((Row("1"),))
    assert upstream.asked == [("Rows", {})]


@pytest.mark.parametrize(
    ("code", "error", "status"),
    [
        ("ACCESS_DENIED", SourceRejected, 403),
        ("FORBIDDEN", SourceRejected, 403),
        ("UNAUTHENTICATED", SourceRejected, 401),
        ("MAX_COST_EXCEEDED", SourceRejected, TOO_COSTLY),
        ("undefinedField", SourceRejected, 400),
        ("INTERNAL_SERVER_ERROR", SourceUnavailable, None),
    ],
)
async def test_an_error_fails_the_whole_by_its_code(code: str, error: type[Exception], status: int | None):
    with pytest.raises(error) as caught:
        await run(lambda *_: fault(code))
    assert getattr(caught.value, "status", None) == status
    assert "ORA-00942" not in str(caught.value)
    assert "ORA-00942" in caught.value.detail  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("errors", [None, []])
async def test_empty_errors_are_none(errors: Any):
    data, _ = await run(lambda *_: {**OK, "errors": errors})
    assert data == Rows((Row("1"),))


async def test_partial_data_is_returned_where_the_type_allows_null():
    answer = {"data": {"rows": [{"id": "1", "name": None}]}, "errors": [{"message": "no", "path": ["rows", 0, "name"]}]}
    data, _ = await run(lambda *_: answer, partial=True)
    assert data == Rows((Row("1", None),))
    with pytest.raises(SourceRejected):
        await run(lambda *_: answer)


async def test_partial_data_that_lacks_what_must_be_is_the_error():
    denied = {"message": "no", "path": ["rows"], "extensions": {"code": "ACCESS_DENIED"}}
    with pytest.raises(SourceRejected) as caught:
        await run(lambda *_: {"data": {"rows": None}, "errors": [denied]}, partial=True)
    assert caught.value.status == 403


async def test_an_error_without_path_fails_partial_data_too():
    with pytest.raises(SourceRejected):
        await run(lambda *_: {**OK, "errors": [{"message": "no"}]}, partial=True)


async def test_errors_of_another_type_are_malformed():
    with pytest.raises(SourceMalformed):
        await run(lambda *_: {"errors": "[API] Invalid API key"})


async def test_cost_that_cannot_be_read_does_not_fail_the_answer():
    for wrong in ({"cost": {"throttleStatus": 7}}, {"cost": None}, None, {"cost": {"throttleStatus": {}}}):
        data, _ = await run(lambda *_, wrong=wrong: {**OK, "extensions": wrong}, bucket=CostBucket())
        assert data == Rows((Row("1"),))


async def test_a_throttled_query_waits_for_its_points_and_is_repeated_once():
    waits = Waits()
    throttled = {**fault("THROTTLED"), "extensions": cost(200, 100)}
    answers = [throttled, {**OK, "extensions": cost(200, 700)}]
    data, upstream = await run(lambda *_: answers.pop(0), bucket=waits.bucket())
    assert data == Rows((Row("1"),))
    assert upstream.count("Rows") == 2
    assert waits.slept == [2.0]


async def test_a_query_that_is_throttled_twice_is_refused():
    waits = Waits()
    with pytest.raises(SourceThrottled) as caught:
        await run(lambda *_: {**fault("THROTTLED"), "extensions": cost(200, 100)}, bucket=waits.bucket())
    assert caught.value.sent is False
    assert len(waits.slept) == 1


async def test_a_throttled_mutation_is_not_repeated():
    waits = Waits()
    async with graphql_upstream({"Rows": lambda *_: {**fault("THROTTLED"), "extensions": cost(200, 100)}}) as upstream:
        with pytest.raises(SourceThrottled) as caught:
            await ask(upstream, bucket=waits.bucket(), safe=False)
    assert caught.value.sent is False
    assert upstream.count("Rows") == 1
    assert waits.slept == []


async def test_a_request_waits_for_what_the_last_one_cost():
    waits = Waits()
    bucket = waits.bucket()
    async with graphql_upstream({"Rows": lambda *_: {**OK, "extensions": cost(400, 100)}}) as upstream:
        await ask(upstream, bucket=bucket)
        assert waits.slept == []
        await ask(upstream, bucket=bucket)
    assert waits.slept == [6.0]  # 300 points are missing, at 50 a second.


async def test_a_wait_beyond_the_deadline_is_refused_before_sending():
    waits = Waits()
    bucket = waits.bucket()
    bucket.settle("rows", 0.0, reported(1000, 0.0))
    scope = telemetry.RequestScope()
    scope.deadline = waits.clock.now  # Long past, by the monotonic clock or by any other.
    async with graphql_upstream({"Rows": lambda *_: OK}) as upstream:
        token = telemetry.scope.set(scope)
        try:
            with pytest.raises(SourceThrottled) as caught:
                await ask(upstream, bucket=bucket)
        finally:
            telemetry.scope.reset(token)
    assert upstream.asked == []
    assert caught.value.sent is False


async def test_nothing_waits_before_the_first_response():
    waits = Waits()
    bucket = waits.bucket()
    for _ in range(50):
        await bucket.reserve(1e6, within=0.001)
    assert waits.slept == []
    assert bucket.expected_cost("rows") == ASSUMED_COST


async def test_requests_share_the_points_and_never_overdraw_them():
    waits = Waits()
    bucket = waits.bucket()
    bucket.settle("rows", 0.0, reported(300, 500))
    levels: list[float] = []

    async def one() -> None:
        await bucket.reserve(300, within=1000)
        levels.append(bucket.available)

    await asyncio.gather(*(one() for _ in range(5)))
    assert levels == [200.0, 0.0, 0.0, 0.0, 0.0]
    assert waits.slept == [2.0, 6.0, 6.0, 6.0]


async def test_points_of_requests_under_way_are_not_available():
    bucket = Waits().bucket()
    bucket.settle("rows", 0.0, reported(100, 1000))
    first = await bucket.reserve(400, within=1)
    second = await bucket.reserve(100, within=1)
    bucket.settle("rows", second, reported(100, 950))  # The response does not know of the first one.
    assert bucket.available == 550.0
    bucket.settle("rows", first, reported(400, 40))
    assert bucket.available == 40.0
    third = await bucket.reserve(40, within=1)
    bucket.settle("rows", third, reported(400, -500))
    assert bucket.available == 0.0


async def test_the_bucket_refills_to_its_maximum():
    waits = Waits()
    bucket = waits.bucket()
    bucket.settle("rows", 0.0, reported(10, 400))
    waits.clock.now += 4
    assert bucket.available == 600.0
    waits.clock.now += 4000
    assert bucket.available == 1000.0


async def test_a_query_dearer_than_the_bucket_waits_for_a_full_one():
    waits = Waits()
    bucket = waits.bucket()
    bucket.settle("rows", 0.0, reported(5000, 900))
    assert await bucket.reserve(5000, within=10) == 1000.0
    assert waits.slept == [2.0]


async def test_a_wait_that_is_too_long_says_for_how_long():
    bucket = Waits().bucket()
    bucket.settle("rows", 0.0, reported(10, 0))
    with pytest.raises(CostBudgetExhausted) as caught:
        await bucket.reserve(500, within=9)
    assert caught.value.retry_after == 10.0
    assert await bucket.reserve(500, within=10) == 500.0


@pytest.mark.parametrize(
    ("available", "maximum", "rate"),
    [(float("nan"), 1000, 50), (10, float("inf"), 50), (10, 1000, 0), (10, -1, 50), (10, 1000, -5)],
)
async def test_a_status_that_makes_no_sense_is_ignored(available: float, maximum: float, rate: float):
    bucket = Waits().bucket()
    bucket.settle("rows", 0.0, reported(10, 700))
    bucket.settle("rows", 0.0, reported(10, available, maximum, rate))
    assert bucket.available == 700.0
