"""Places, queues and shares."""

from __future__ import annotations

import asyncio

import pytest

from app.http.resilience import bulkhead as module
from app.http.resilience.bulkhead import Bulkhead, LoadShed, RateLimiter

WEIGHTS = {"checkout": 4, "portal": 2, "sync": 1}


async def waits(bulkhead: Bulkhead, caller: str, served: list[str], within: float = 5.0) -> asyncio.Task[None]:
    """Somebody who waits; notes when it is served."""

    async def one() -> None:
        await bulkhead.acquire(caller, within)
        served.append(caller)

    task = asyncio.create_task(one())
    await asyncio.sleep(0)
    return task


async def settled() -> None:
    for _ in range(4):
        await asyncio.sleep(0)


async def test_positions_are_counted():
    bulkhead = Bulkhead(2, WEIGHTS)
    assert [bulkhead.try_acquire(), bulkhead.try_acquire(), bulkhead.try_acquire()] == [True, True, False]
    bulkhead.release()
    assert bulkhead.try_acquire()
    assert (bulkhead.in_flight, bulkhead.waiting) == (2, 0)


async def test_classes_share_by_weight_and_none_starves():
    bulkhead = Bulkhead(1, WEIGHTS)
    bulkhead.try_acquire()
    served: list[str] = []
    tasks = [await waits(bulkhead, caller, served) for caller in ("sync", "portal", "checkout") for _ in range(14)]
    for _ in range(14):
        bulkhead.release()
        await settled()
    assert {name: served.count(name) for name in WEIGHTS} == {"checkout": 8, "portal": 4, "sync": 2}
    for _ in range(28):
        bulkhead.release()
        await settled()
    assert len(served) == 42
    await asyncio.gather(*tasks)


async def test_class_that_was_idle_has_saved_nothing_up():
    bulkhead = Bulkhead(1, {"portal": 1, "sync": 1})
    bulkhead.try_acquire()
    served: list[str] = []
    first = [await waits(bulkhead, "portal", served) for _ in range(20)]
    for _ in range(10):
        bulkhead.release()
        await settled()
    second = [await waits(bulkhead, "sync", served) for _ in range(10)]
    for _ in range(10):
        bulkhead.release()
        await settled()
    assert served[10:].count("portal") == 5
    for _ in range(10):
        bulkhead.release()
        await settled()
    await asyncio.gather(*first, *second)


async def test_nobody_passes_those_who_wait():
    bulkhead = Bulkhead(1, WEIGHTS)
    bulkhead.try_acquire()
    served: list[str] = []
    task = await waits(bulkhead, "sync", served)
    bulkhead.release()
    assert not bulkhead.try_acquire()
    await task
    assert (served, bulkhead.in_flight) == (["sync"], 1)


async def test_full_queue_sheds_the_newest_of_the_lowest_class():
    bulkhead = Bulkhead(1, WEIGHTS, queue=2)
    bulkhead.try_acquire()
    served: list[str] = []
    older, newer = await waits(bulkhead, "sync", served), await waits(bulkhead, "sync", served)
    higher = await waits(bulkhead, "portal", served)
    with pytest.raises(LoadShed) as shed:
        await newer
    assert (shed.value.reason, older.done(), bulkhead.waiting) == ("full", False, 2)
    with pytest.raises(LoadShed):
        await bulkhead.acquire("sync", 5.0)
    for _ in range(3):
        bulkhead.release()
        await settled()
    await asyncio.gather(older, higher)


async def test_queue_of_equals_refuses_whoever_comes():
    bulkhead = Bulkhead(1, WEIGHTS, queue=1)
    bulkhead.try_acquire()
    task = await waits(bulkhead, "portal", [])
    with pytest.raises(LoadShed):
        await bulkhead.acquire("portal", 5.0)
    bulkhead.release()
    await task


async def test_wait_is_bounded():
    bulkhead = Bulkhead(1, WEIGHTS)
    bulkhead.try_acquire()
    with pytest.raises(LoadShed) as shed:
        await bulkhead.acquire("checkout", 0.01)
    assert (shed.value.reason, bulkhead.waiting, bulkhead.in_flight) == ("late", 0, 1)


async def test_turn_that_would_come_too_late_is_refused_at_once_the_lowest_class_first(
    monkeypatch: pytest.MonkeyPatch,
):
    now = module._now()
    monkeypatch.setattr(module, "_now", lambda: now)
    bulkhead = Bulkhead(1, WEIGHTS)
    bulkhead.try_acquire()
    served: list[str] = []
    tasks = [await waits(bulkhead, caller, served) for caller in WEIGHTS for _ in range(10)]
    bulkhead._interval, bulkhead._served_at = 0.05, now  # as if a place came free 20 times a second
    assert bulkhead.expected_wait("sync") > bulkhead.expected_wait("portal") > bulkhead.expected_wait("checkout")
    refused = await waits(bulkhead, "sync", served, 1.2)
    assert refused.done()
    with pytest.raises(LoadShed) as shed:
        await refused
    assert shed.value.retry_after == pytest.approx(31 * 0.05)
    tasks.append(await waits(bulkhead, "checkout", served, 1.2))
    for _ in range(31):
        bulkhead.release()
        await settled()
    await asyncio.gather(*tasks)
    assert len(served) == 31


async def test_cancelled_waiters_leak_no_slot():
    bulkhead = Bulkhead(2, WEIGHTS)
    bulkhead.try_acquire()
    bulkhead.try_acquire()
    served: list[str] = []
    tasks = [await waits(bulkhead, "portal", served) for _ in range(6)]
    tasks[0].cancel()
    bulkhead.release()  # serves the second, for the first is cancelled
    tasks[1].cancel()  # at the moment at which its place came
    await settled()
    assert (served, bulkhead.in_flight) == (["portal"], 2)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    bulkhead.release()
    bulkhead.release()
    assert (bulkhead.in_flight, bulkhead.waiting) == (0, 0)


async def test_added_slots_serve_waiting_calls():
    bulkhead = Bulkhead(1, WEIGHTS)
    bulkhead.try_acquire()
    served: list[str] = []
    tasks = [await waits(bulkhead, "portal", served) for _ in range(3)]
    bulkhead.limit = 3
    bulkhead.release()
    await asyncio.gather(*tasks)
    assert bulkhead.in_flight == 3


def test_rate_lets_a_burst_through_and_then_so_many_a_second():
    rate, now = RateLimiter(10, 3), 100.0
    for _ in range(3):
        assert rate.delay(now) <= 1e-9
        rate.consume(now)
    assert rate.delay(now) == pytest.approx(0.1)
    assert rate.delay(now + 0.1) <= 1e-9


async def test_calls_beyond_the_rate_wait_for_their_turn(monkeypatch: pytest.MonkeyPatch):
    bulkhead = Bulkhead(100, WEIGHTS, rate=RateLimiter(200, 2))
    started = module._now()
    with monkeypatch.context() as standing:
        standing.setattr(module, "_now", lambda: started)
        assert [bulkhead.try_acquire(), bulkhead.try_acquire(), bulkhead.try_acquire()] == [True, True, False]
    await asyncio.gather(*(bulkhead.acquire("portal", 5.0) for _ in range(10)))
    assert module._now() - started >= 0.045
    assert bulkhead.in_flight == 12
