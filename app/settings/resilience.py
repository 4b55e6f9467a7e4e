"""What a source gets at most, and what is done when it is not well: `[sources.NAME.limits]`, `[sources.NAME.breaker]`,
`[callers]`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from app.settings.section import Section

CallerClass = Literal["checkout", "rep", "portal", "partner", "sync"]

Seconds = Annotated[float, Field(gt=0, le=120)]
Weight = Annotated[int, Field(ge=1, le=1000)]

WEIGHTS: dict[CallerClass, int] = {"checkout": 16, "rep": 8, "portal": 4, "partner": 2, "sync": 1}


def _complete(given: dict[CallerClass, int]) -> dict[CallerClass, int]:
    return WEIGHTS | given


FEED_TIMEOUT = 10.0
"""Seconds of a call that reads a source's feed of changes."""

ORDER_SUBMISSIONS = "order_submissions"
"""The kind of the calls that post orders and look them up."""

SUBMISSION_TIMEOUT = 10.0
"""Seconds of a call that posts an order, where the source's own timeout is not longer."""


def _with_feed(given: dict[str, float]) -> dict[str, float]:
    return {"changes": FEED_TIMEOUT} | given


class CallerSettings(Section):
    """`[callers]`: whose calls go first when a source has no room for all. `weights` are the shares of the classes;
    `clients` puts clients into one by patterns, in which `*` stands for any characters, the first that fits. The
    others' class follows from their roles."""

    weights: Annotated[dict[CallerClass, Weight], AfterValidator(_complete)] = WEIGHTS
    clients: dict[str, CallerClass] = {}


class SourceLimits(Section):
    """`[sources.NAME.limits]`. `rate` calls a second, `burst` at a stroke after a rest; `queue` calls may wait for one
    of the source's `concurrency` places, each no longer than `max_wait`. `timeouts` are by kind of call, such as
    `prices`; those of a feed, `changes`, and of `order_submissions` are longer, because nobody waits for them.
    `retries` of a read at most, all together `retry_share` of the calls; 0 repeats nothing.

    Off unless asked for: `hedge` names kinds of reads that are sent a second time when the first is late; `adaptive`
    finds out how many calls at once the source bears."""

    rate: float | None = Field(default=None, gt=0)
    burst: int = Field(default=10, ge=1)
    queue: int = Field(default=1000, ge=1)
    max_wait: Seconds = 2.0
    timeouts: Annotated[dict[str, Seconds], AfterValidator(_with_feed)] = {"changes": FEED_TIMEOUT}
    retries: int = Field(default=2, ge=0, le=5)
    retry_share: float = Field(default=0.1, ge=0, le=1)
    hedge: tuple[str, ...] = ()
    adaptive: bool = False


class BreakerSettings(Section):
    """`[sources.NAME.breaker]`, one for each kind of call. It opens when of at least `min_calls` within `window` the
    share `failure_rate` failed or took longer than `slow_after`, or when `timeouts` of the last `timeouts_of` calls
    timed out; for `open_for` at first, doubling up to `open_most`. A probe that takes longer than `probe_timeout` has
    failed."""

    enabled: bool = True
    window: Seconds = 10.0
    min_calls: int = Field(default=10, ge=1)
    failure_rate: float = Field(default=0.5, gt=0, le=1)
    timeouts: int = Field(default=3, ge=1, le=100)
    timeouts_of: int = Field(default=5, ge=1, le=100)
    slow_after: Seconds | None = None
    open_for: Seconds = 0.5
    open_most: Seconds = 2.0
    probe_timeout: Seconds = 2.0
