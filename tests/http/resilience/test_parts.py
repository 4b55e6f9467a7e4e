"""Classes of callers, pauses and budgets of repetitions, latencies, adaptive limits, hedging: each by itself."""

from __future__ import annotations

import asyncio

import pytest

from app.auth.principal import SYSTEM, Principal, Role
from app.errors import SourceMalformed, SourceRejected, SourceThrottled, SourceTimeout, SourceUnavailable
from app.http.resilience.adaptive import AdaptiveLimit
from app.http.resilience.caller_classes import CallerClassifier
from app.http.resilience.hedging import hedge
from app.http.resilience.latencies import Latencies
from app.http.resilience.retries import RetryBudget, retry_delay
from app.settings import CallerSettings
from tests.http.resilience.clock import Clock

# Classes of callers


@pytest.mark.parametrize(
    ("roles", "client", "expected"),
    [
        ({Role.BUYER}, "portal-app", "portal"),
        ({Role.BUYER_ADMIN}, "x", "portal"),
        ({Role.SALES_REP}, "x", "rep"),
        ({Role.CSR_LEAD}, "x", "rep"),
        ({Role.PARTNER}, "x", "partner"),
        ({Role.PARTNER, Role.BUYER}, "x", "portal"),
        ({Role.BUYER}, "web-checkout", "checkout"),
        ({Role.PARTNER}, "sync-nightly", "sync"),
        (set(), "x", "sync"),
    ],
)
def test_class_follows_from_client_and_roles(roles: set[Role], client: str, expected: str):
    callers = CallerClassifier(CallerSettings(clients={"web-checkout": "checkout", "sync-*": "sync"}))
    principal = Principal(subject="s", roles=frozenset(roles), client=client)
    assert (callers.classify(principal), callers.classify(principal)) == (expected, expected)


def test_every_role_has_a_class():
    callers = CallerClassifier(CallerSettings())
    assert {callers.classify(Principal(subject="s", roles=frozenset({role}))) for role in Role} == {
        "rep",
        "portal",
        "partner",
    }
    assert (callers.classify(None), callers.classify(SYSTEM)) == ("checkout", "rep")


def test_weights_that_are_not_given_keep_their_default():
    assert CallerSettings(weights={"sync": 3}).weights == {
        "checkout": 16,
        "rep": 8,
        "portal": 4,
        "partner": 2,
        "sync": 3,
    }


# What is repeated


@pytest.mark.parametrize("error", [SourceTimeout("erp"), SourceMalformed("erp"), SourceRejected("erp", status=404)])
def test_what_would_not_help_is_not_repeated(error):
    assert retry_delay(1, error) is None


def test_pauses_are_drawn_and_grow():
    pauses = [[retry_delay(attempt, SourceUnavailable("erp")) or 0.0 for _ in range(200)] for attempt in (1, 2, 3, 4)]
    for drawn, most in zip(pauses, (0.05, 0.2, 0.8, 2.0), strict=True):
        assert most * 0.8 < max(drawn) <= most
        assert min(drawn) < most * 0.2


def test_retry_after_is_the_least_pause():
    assert retry_delay(1, SourceThrottled("erp", retry_after=3.0)) == 3.0
    assert (retry_delay(1, SourceUnavailable("erp", retry_after=0.0)) or 0) <= 0.05


def test_budget_is_a_tenth_of_the_calls():
    budget, repeated = RetryBudget(0.1), 0
    assert not budget.withdraw(), "it starts empty"
    for _ in range(1000):
        budget.deposit()
        repeated += budget.withdraw()
    assert repeated == 100


def test_budget_saves_five_up_and_no_more():
    budget = RetryBudget(0.1)
    for _ in range(10_000):
        budget.deposit()
    assert sum(budget.withdraw() for _ in range(100)) == 5


# Latencies


def test_quantiles_of_the_last_calls():
    latencies = Latencies()
    assert (latencies.quantile(0.5), latencies.p95) == (None, None)
    for number in range(1, 101):
        latencies.record(number / 100)
    assert (latencies.quantile(0.5), latencies.quantile(0.99), latencies.p95) == (0.51, 1.0, 0.96)


def test_time_that_was_never_enough_is_too_little_until_that_is_outdated():
    clock = Clock()
    latencies = Latencies(clock)
    assert not latencies.fastest_exceeds(0.001)
    for _ in range(20):
        latencies.record(0.2)
    assert (latencies.fastest_exceeds(0.1), latencies.fastest_exceeds(0.3)) == (True, False)
    clock.now += 10
    assert not latencies.fastest_exceeds(0.1)


# Adaptive


def test_limit_falls_when_calls_fail_and_rises_when_all_slots_are_used():
    limit = AdaptiveLimit(20)
    for _ in range(2000):
        limit.record(5.0, ok=False, full=True)
    assert limit.current == 1
    for _ in range(1000):
        limit.record(0.01, ok=True, full=True)
    assert limit.current == 20


def test_one_overload_counts_once_for_calls_that_were_under_way_together():
    limit = AdaptiveLimit(20)
    for _ in range(20):
        limit.record(5.0, ok=False, full=True)
    assert limit.current == pytest.approx(18)


def test_limit_falls_when_calls_get_slower_and_does_not_rise_unused():
    limit = AdaptiveLimit(20)
    for _ in range(50):
        limit.record(0.01, ok=True, full=False)
    for _ in range(40):
        limit.record(0.05, ok=True, full=True)
    lowered = limit.current
    assert lowered < 18.1
    for _ in range(100):
        limit.record(0.01, ok=True, full=False)
    assert limit.current == lowered


# Hedging


class Answering:
    """Answers, fails, or hangs; notes what became of it."""

    def __init__(self, answer: object = None, *, hangs: bool = False) -> None:
        self.answer, self.hangs = answer, hangs
        self.started = self.cancelled = False

    async def __call__(self) -> object:
        self.started = True
        try:
            if self.hangs:
                await asyncio.Event().wait()
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def test_fast_answer_needs_no_second_request():
    second = Answering("second")
    assert await hedge(Answering("first"), 5.0, second) == "first"
    assert not second.started


async def test_second_request_wins_and_the_first_is_cancelled():
    first = Answering(hangs=True)
    assert await hedge(first, 0.001, Answering("second")) == "second"
    assert first.cancelled


async def test_failure_of_the_first_call_is_raised_at_once():
    with pytest.raises(SourceUnavailable):
        await hedge(Answering(SourceUnavailable("erp")), 5.0, Answering("second"))


async def test_second_that_is_declined_or_fails_leaves_the_first():
    async def late() -> str:
        await asyncio.sleep(0.02)
        return "first"

    assert await hedge(late, 0.001, lambda: None) == "first"
    assert await hedge(late, 0.001, Answering(SourceUnavailable("erp"))) == "first"


async def test_cancelling_cancels_both():
    first, second = Answering(hangs=True), Answering(hangs=True)
    task = asyncio.create_task(hedge(first, 0.001, second))
    while not second.started:
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (first.cancelled, second.cancelled) == (True, True)
