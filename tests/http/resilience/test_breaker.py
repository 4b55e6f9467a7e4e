"""The breaker by itself, over a clock that stands."""

from __future__ import annotations

import pytest

from app.http.resilience.breaker import Breaker, BreakerState
from app.settings import BreakerSettings
from tests.http.resilience.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


def make(clock: Clock, **settings: object) -> Breaker:
    return Breaker(BreakerSettings.model_validate({"min_calls": 4} | settings), clock)


def fail(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        breaker.record_failure(probe=False)


def test_it_opens_at_the_rate_and_not_before(clock: Clock):
    breaker = make(clock)
    for _ in range(2):
        breaker.record_success(probe=False)
        breaker.record_success(probe=False)
        breaker.record_failure(probe=False)
    breaker.record_failure(probe=False)
    assert (breaker.state, breaker.retry_in()) == (BreakerState.CLOSED, None)
    breaker.record_failure(probe=False)
    assert breaker.state is BreakerState.OPEN
    assert 0.375 <= (breaker.retry_in() or 0) <= 0.5


def test_failures_in_succession_open_it_whatever_was_before(clock: Clock):
    breaker = make(clock)
    for _ in range(1000):
        breaker.record_success(probe=False)
    fail(breaker, 3)
    assert breaker.state is BreakerState.CLOSED
    breaker.record_failure(probe=False)
    assert breaker.state is BreakerState.OPEN


@pytest.mark.parametrize(
    ("calls", "state"),
    [
        ("ttt", BreakerState.OPEN),
        ("tokotokot", BreakerState.CLOSED),
        ("totot", BreakerState.OPEN),
        ("ttokkt", BreakerState.CLOSED),
        ("fff", BreakerState.CLOSED),
        ("tft", BreakerState.CLOSED),
        ("tfft", BreakerState.OPEN),
    ],
)
def test_three_timeouts_of_the_last_five_calls_open_it(clock: Clock, calls: str, state: BreakerState):
    """`t` times out, `f` fails otherwise, others succeed; four failures in succession open it in any case."""
    breaker = make(clock, min_calls=4, failure_rate=1)
    for call in calls:
        if call in "tf":
            breaker.record_failure(probe=False, timed_out=call == "t")
        else:
            breaker.record_success(probe=False)
    assert breaker.state is state


def test_timeouts_before_a_success_of_the_probe_do_not_count(clock: Clock):
    breaker = make(clock)
    for _ in range(3):
        breaker.record_failure(probe=False, timed_out=True)
    clock.now += 0.5
    assert breaker.acquire()
    breaker.record_success(probe=True)
    for _ in range(2):
        breaker.record_failure(probe=False, timed_out=True)
    assert breaker.state is BreakerState.CLOSED


def test_few_calls_say_nothing(clock: Clock):
    breaker = make(clock)
    fail(breaker, 3)
    assert breaker.state is BreakerState.CLOSED


def test_failures_of_long_ago_are_forgotten(clock: Clock):
    breaker = make(clock, window=10)
    fail(breaker, 3)
    clock.now += 10
    breaker.record_success(probe=False)
    breaker.record_failure(probe=False)
    assert breaker.state is BreakerState.CLOSED


def test_failures_of_the_half_before_count(clock: Clock):
    breaker = make(clock, window=10)
    fail(breaker, 3)
    clock.now += 6
    breaker.record_success(probe=False)
    breaker.record_failure(probe=False)
    assert breaker.state is BreakerState.OPEN


def test_one_call_is_the_probe_and_its_success_closes(clock: Clock):
    breaker = make(clock)
    fail(breaker, 4)
    clock.now += 0.5
    assert (breaker.retry_in(), breaker.state) == (None, BreakerState.HALF_OPEN)
    assert breaker.acquire()
    assert breaker.retry_in() == 0.5, "a second call is refused while the probe is under way"
    breaker.record_success(probe=True)
    assert (breaker.retry_in(), breaker.state) == (None, BreakerState.CLOSED)
    assert not breaker.acquire()
    fail(breaker, 3)
    assert breaker.state is BreakerState.CLOSED, "it has forgotten what was before"


def test_failing_probes_open_it_for_longer_up_to_a_bound(clock: Clock):
    breaker = make(clock, open_for=0.5, open_most=2)
    fail(breaker, 4)
    for most in (1.0, 2.0, 2.0, 2.0):
        clock.now += breaker.retry_in() or 0
        assert breaker.acquire()
        breaker.record_failure(probe=True)
        assert most * 0.75 <= (breaker.retry_in() or 0) <= most


def test_probe_that_nobody_waited_for_leaves_the_next_call_to_probe(clock: Clock):
    breaker = make(clock)
    fail(breaker, 4)
    clock.now += 0.5
    breaker.acquire()
    breaker.release(probe=True)
    assert breaker.retry_in() is None
    assert breaker.acquire()


def test_calls_that_began_before_it_opened_change_nothing(clock: Clock):
    breaker = make(clock)
    fail(breaker, 4)
    breaker.record_success(probe=False)
    fail(breaker, 10)
    assert breaker.state is BreakerState.OPEN
    clock.now += 0.5
    assert breaker.retry_in() is None


@pytest.mark.parametrize(("asked", "kept"), [(5.0, 5.0), (3600.0, 30.0)])
def test_source_that_names_a_time_is_left_alone_so_long(clock: Clock, asked: float, kept: float):
    breaker = make(clock)
    fail(breaker, 3)
    breaker.record_failure(probe=False, retry_after=asked)
    assert breaker.retry_in() == pytest.approx(kept)


def test_breaker_that_is_off_never_opens(clock: Clock):
    breaker = make(clock, enabled=False)
    fail(breaker, 100)
    assert breaker.state is BreakerState.CLOSED
