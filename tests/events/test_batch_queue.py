"""Waiting for positions of a log."""

from __future__ import annotations

import asyncio

from app.storage.batch_queue import Notifier


async def test_waiter_is_woken_by_what_is_beyond_its_position_alone():
    notifier = Notifier()
    early, late = (asyncio.create_task(notifier.wait(beyond, 30)) for beyond in (3, 5))
    await asyncio.sleep(0)
    notifier.notify(2)
    notifier.notify(4)
    await early
    await asyncio.sleep(0)
    assert not late.done()
    notifier.notify(6)
    await late


async def test_notification_without_a_position_wakes_everyone():
    notifier = Notifier()
    waiting = [asyncio.create_task(notifier.wait(beyond, 30)) for beyond in (3, 5)]
    await asyncio.sleep(0)
    notifier.notify()
    await asyncio.gather(*waiting)


async def test_position_that_was_reached_is_not_waited_for():
    notifier = Notifier()
    notifier.notify(4)
    async with asyncio.timeout(120):
        await notifier.wait(3, 30)
