"""The time limits of calls, on one timer of the event loop."""

from __future__ import annotations

import asyncio

import pytest

from app.http.timeouts import CallStopped, CallTimeout, TimeoutQueue

LONG = 30.0


async def run(timeout: CallTimeout, work: asyncio.Future[str] | None = None) -> str:
    """A call that waits for its work; without any, until it is stopped."""
    async with asyncio.timeout(120):
        with timeout:
            return await (work or asyncio.get_running_loop().create_future())


async def test_calls_that_hang_are_stopped_at_their_time():
    loop, queue = asyncio.get_running_loop(), TimeoutQueue(0.02)
    started = loop.time()
    results = await asyncio.gather(*(run(queue.start()) for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [CallStopped] * 3
    assert 0.02 <= loop.time() - started < 1
    assert len(queue) == 0


async def test_call_that_began_later_is_stopped_later():
    queue = TimeoutQueue(0.03)
    first = queue.start()
    with pytest.raises(CallStopped):
        await run(TimeoutQueue(0.01).start())
    second = queue.start()
    results = await asyncio.gather(run(first), run(second), return_exceptions=True)
    assert [type(result) for result in results] == [CallStopped] * 2
    assert second.when >= first.when + 0.01


async def test_call_after_the_queue_was_empty_is_stopped():
    queue = TimeoutQueue(0.02)
    for _ in range(2):
        timeout = queue.start()
        with pytest.raises(CallStopped):
            await run(timeout)
        assert (timeout.reason, len(queue)) == ("timeout", 0)


async def test_call_behind_finished_ones_is_stopped():
    queue = TimeoutQueue(0.02)
    for _ in range(5):
        queue.start().close()
    with pytest.raises(CallStopped):
        await run(queue.start())


async def test_finished_calls_are_not_retained():
    queue = TimeoutQueue(LONG)
    for _ in range(1000):
        queue.start().close()
    assert len(queue) == 1


async def test_call_that_finishes_in_time_is_not_stopped_after():
    queue = TimeoutQueue(0.02)
    done, hanging = queue.start(), queue.start()
    work = asyncio.get_running_loop().create_future()
    work.set_result("done")
    assert await run(done, work) == "done"
    done.close()
    with pytest.raises(CallStopped):
        await run(hanging)
    assert done.reason is None


async def test_shortened_call_is_stopped_before_its_queue_would():
    loop, queue = asyncio.get_running_loop(), TimeoutQueue(LONG)
    timeout = queue.start()
    timeout.shorten(0.02)
    timeout.shorten(LONG)
    started = loop.time()
    with pytest.raises(CallStopped):
        await run(timeout)
    assert (timeout.seconds, loop.time() - started < 1) == (0.02, True)


async def test_call_that_is_stopped_between_two_waits_is_stopped_at_the_next():
    timeout = TimeoutQueue(LONG).start()
    with timeout:
        await asyncio.sleep(0)
    timeout.stop("cancelled")
    with pytest.raises(CallStopped), timeout:
        raise AssertionError("entered")
    assert timeout.reason == "cancelled"


async def test_cancellation_by_another_task_stays_a_cancellation():
    timeout = TimeoutQueue(LONG).start()
    task = asyncio.create_task(run(timeout))
    await asyncio.sleep(0)
    task.cancel()
    timeout.stop("timeout")
    with pytest.raises(asyncio.CancelledError):
        await task


def test_queue_serves_several_event_loops_in_turn():
    queue = TimeoutQueue(0.02)

    async def hang() -> None:
        with pytest.raises(CallStopped):
            await run(queue.start())

    async def leave() -> None:
        queue.start()

    for call in (hang, leave, hang):
        asyncio.run(asyncio.wait_for(call(), 120))
    assert len(queue) == 0
