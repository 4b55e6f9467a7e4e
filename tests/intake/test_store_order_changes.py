"""What every store does with changes of orders: one call of a key may send it."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from app.intake.records import OrderChange, OrderChangeState
from app.intake.store import IntakeStore
from tests.support.intakes import IntakeBench as Bench


def change(key: str = "k", **given: Any) -> OrderChange:
    values: dict[str, Any] = {
        "tenant": "default",
        "client": "portal",
        "mutation": "cancelOrder",
        "key": key,
        "digest": "d",
        "source": "erp",
        "order_id": "1",
        "order_number": "SO-1",
        "customer": "C-1",
        "submitted_by": "anna",
        "reason": "ordered twice — ünï",
    }
    return OrderChange(**values | given)


async def test_new_key_may_be_sent_once(store: IntakeStore):
    given = change()
    assert await store.begin_order_change(given, 30) == (given, True)
    assert await store.begin_order_change(given, 30) == (given, False)
    done = msgspec.structs.replace(given, state=OrderChangeState.DONE)
    await store.finish_order_change(done)
    assert await store.begin_order_change(given, 0) == (done, False)


@pytest.mark.parametrize(
    "scope", [{"tenant": "other"}, {"client": "other"}, {"mutation": "amendOrder"}, {"key": "other"}]
)
async def test_key_belongs_to_tenant_client_and_mutation(store: IntakeStore, scope: dict[str, str]):
    await store.begin_order_change(change(), 30)
    other = change(**scope)
    assert await store.begin_order_change(other, 30) == (other, True)


async def test_another_input_gets_the_first_one(store: IntakeStore, bench: Bench):
    given = change()
    await store.begin_order_change(given, 30)
    bench.now += 60
    assert await store.begin_order_change(change(digest="e", order_id="2"), 30) == (given, False)


async def test_request_without_an_outcome_may_be_sent_again_after_its_time(store: IntakeStore, bench: Bench):
    given = change()
    await store.begin_order_change(given, 30)
    bench.now += 29
    assert (await store.begin_order_change(given, 30))[1] is False
    bench.now += 1
    assert (await store.begin_order_change(given, 30))[1] is True
    assert (await store.begin_order_change(given, 30))[1] is False


async def test_request_that_was_not_sent_may_be_sent_at_once(store: IntakeStore):
    given = change()
    await store.begin_order_change(given, 30)
    await store.finish_order_change(msgspec.structs.replace(given, state=OrderChangeState.UNSENT))
    assert (await store.begin_order_change(given, 30))[1] is True
    assert (await store.begin_order_change(given, 30))[1] is False


async def test_of_simultaneous_calls_of_several_processes_one_may_send(bench: Bench):
    stores = [bench.store() for _ in range(4)]
    begun = await asyncio.gather(*(stores[n % 4].begin_order_change(change(), 30) for n in range(40)))
    assert [may_send for _, may_send in begun].count(True) == 1


async def test_trim_deletes_old_changes(store: IntakeStore, bench: Bench):
    await store.begin_order_change(change("old"), 30)
    bench.now += 100
    await store.begin_order_change(change("new"), 30)
    await store.trim(99)
    assert [(await store.begin_order_change(change(key), 1000))[1] for key in ("old", "new")] == [True, False]
