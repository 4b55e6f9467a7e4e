"""What the read-through cache stores, reads again and answers when its source fails."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from app.auth.principal import Principal, Role
from app.errors import DeadlineExceeded, SourceMalformed, SourceUnavailable
from app.sources.customers import CUSTOMERS
from app.sources.field_mask import field_mask
from app.sources.freshness_contracts import FreshnessTracker, Share, freshness_tracker
from app.sources.items import Item
from app.sources.pipeline.cache.memory import DISCONNECTED_TTL
from app.sources.pipeline.cache.read_through import NEGATIVE_TTL
from app.sources.stock import LEVELS
from app.sources.values import Freshness
from app.telemetry import open_scope
from tests.support.cached_reads import ITEMS, NOON, bench, buyer, cache_spec

MAX_AGE, STALE_FOR = ITEMS.contract.max_age, ITEMS.contract.stale_for


async def test_second_read_is_answered_from_the_cache_and_marked_cached():
    here = bench()
    first = await here.read("A")
    here.clock.at += 60
    again = await here.read("A")
    assert here.backend.asked == [["A"]]
    assert first["A"].freshness == Freshness(source="erp", as_of=NOON)
    assert again["A"].freshness == Freshness(source="erp", as_of=NOON, cached=True, max_age=MAX_AGE)
    assert again["A"].name == first["A"].name == "A v1"


async def test_only_what_is_missing_is_read():
    here = bench()
    await here.read("A", "B")
    assert list(await here.read("B", "C", "C")) == ["B", "C"]
    assert here.backend.asked == [["A", "B"], ["C"]]


async def test_what_is_as_old_as_it_may_be_is_answered_and_what_is_older_is_read_again():
    here = bench()
    await here.read("A")
    here.backend.version = 2
    here.clock.at += MAX_AGE
    assert await here.names("A") == {"A": "A v1"}
    here.tasks.pop().cancel()
    here.clock.at += 0.1
    assert await here.names("A") == {"A": "A v2"}


async def test_what_is_half_as_old_as_it_may_be_is_read_again_before_anybody_waits_for_it():
    here = bench()
    await here.read("A")
    here.clock.at += MAX_AGE / 2 + 1
    here.backend.version = 2
    assert await here.names("A") == {"A": "A v1"}
    assert await here.names("A") == {"A": "A v1"}, "one read ahead of time is enough"
    await here.background()
    assert await here.names("A") == {"A": "A v2"}
    assert here.backend.asked == [["A"], ["A"]]


async def test_a_failed_read_ahead_of_time_costs_nobody_anything():
    here = bench()
    await here.read("A")
    here.clock.at += MAX_AGE / 2 + 1
    here.backend.fail()
    assert await here.names("A") == {"A": "A v1"}
    await here.background()
    assert await here.names("A") == {"A": "A v1"}


async def test_an_unknown_key_is_unknown_for_a_while():
    here = bench()
    here.backend.unknown = {"X"}
    assert await here.read("X") == {}
    assert await here.read("X") == {}
    assert here.backend.asked == [["X"]]
    here.backend.unknown = set()
    here.clock.at += NEGATIVE_TTL + 0.1
    assert await here.names("X") == {"X": "X v1"}


async def test_unknown_keys_do_not_push_out_what_is_used():
    here = bench(entries=100)
    await here.read("A")
    here.backend.unknown = {f"X{number}" for number in range(1000)}
    await here.read(*sorted(here.backend.unknown))
    await here.read("A")
    assert len(here.backend.asked) == 2
    assert len(here.memory) <= 110


async def test_a_thousand_at_once_make_one_read():
    here = bench()
    answers = await asyncio.gather(*(here.names("A", "B") for _ in range(1000)))
    assert answers == [{"A": "A v1", "B": "B v1"}] * 1000
    assert here.backend.asked == [["A", "B"]]


async def test_who_reads_for_all_and_is_cancelled_leaves_the_others_theirs():
    here = bench()
    here.backend.gate = asyncio.Event()
    leader = asyncio.create_task(here.names("A"))
    await here.backend.entered.wait()
    followers = [asyncio.create_task(here.names("A")) for _ in range(10)]
    await asyncio.sleep(0)
    leader.cancel()
    here.backend.gate.set()
    assert await asyncio.gather(*followers) == [{"A": "A v1"}] * 10
    assert here.backend.asked == [["A"], ["A"]]


async def test_who_waits_keeps_to_a_deadline_of_its_own():
    here = bench()
    here.backend.gate = asyncio.Event()
    leader = asyncio.create_task(here.names("A"))
    await here.backend.entered.wait()
    with open_scope(timeout=0.02), pytest.raises(DeadlineExceeded):
        await here.names("A")
    here.backend.gate.set()
    assert await leader == {"A": "A v1"}


async def test_a_failure_is_everybodys_and_nobody_keeps_it():
    here = bench()
    here.backend.fail()
    here.backend.gate = asyncio.Event()
    asking = [asyncio.create_task(here.names("A")) for _ in range(5)]
    await here.backend.entered.wait()
    here.backend.gate.set()
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(answer) for answer in answers] == [SourceUnavailable] * 5
    assert here.backend.asked == [["A"]]
    here.backend.broken = None
    assert await here.names("A") == {"A": "A v1"}


async def test_a_source_that_fails_is_answered_for_with_a_label_as_long_as_the_contract_allows():
    here = bench()
    await here.read("A")
    here.backend.fail()
    here.clock.at += MAX_AGE + STALE_FOR - 1
    wanted = FreshnessTracker()
    token = freshness_tracker.set(wanted)
    stale = (await here.read("A"))["A"]
    freshness_tracker.reset(token)
    reason = "erp did not answer (SOURCE_UNAVAILABLE); this was read earlier."
    assert stale.name == "A v1"
    assert stale.freshness == Freshness(
        source="erp", as_of=NOON, cached=True, degraded=True, max_age=MAX_AGE, reason=reason
    )
    assert (wanted.seen["erp"].as_of, wanted.seen["erp"].degraded, wanted.seen["erp"].reason) == (NOON, True, reason)
    here.clock.at += 1.1
    with pytest.raises(SourceUnavailable):
        await here.read("A")


async def test_failing_source_lacks_only_data_that_is_not_cached():
    here = bench()
    await here.read("A")
    here.backend.fail()
    found = await here.read("A", "B")
    assert found["A"].name == "A v1"
    assert isinstance(found["B"], SourceUnavailable)


async def test_error_instead_of_a_value_is_not_cached():
    here = bench()
    wrong = SourceMalformed("erp")

    async def load(_: Principal, skus: Any) -> Mapping[str, Any]:
        return {**await here.backend.by_sku(_, skus), "B": wrong}

    assert (await here.cache.read(buyer(), ["A", "B"], load))["B"] is wrong
    assert await here.names("A", "B") == {"A": "A v1", "B": "B v1"}
    assert here.backend.asked == [["A", "B"], ["B"]]


@pytest.mark.parametrize("value", ["text", None, {"sku": "A"}, Item(sku="OTHER", name="x", base_uom="EA"), 5])
async def test_row_of_another_key_is_not_cached(value: Any):
    here = bench()

    async def load(_: Principal, skus: Any) -> Mapping[str, Any]:
        return dict.fromkeys(skus, value)

    assert await here.cache.read(buyer(), ["A"], load) == {"A": value}
    assert await here.names("A") == {"A": "A v1"}


async def test_a_partial_record_is_asked_for_whole():
    here = bench()
    seen: list[Any] = []

    async def load(principal: Principal, skus: Any) -> Mapping[str, Any]:
        seen.append(field_mask.get())
        return await here.backend.by_sku(principal, skus)

    token = field_mask.set(frozenset())
    await here.cache.read(buyer(), ["A"], load)
    assert (seen, field_mask.get()) == ([None], frozenset())
    field_mask.reset(token)


async def test_an_invalidation_during_a_read_wins():
    here = bench()
    here.backend.gate = asyncio.Event()
    asking = asyncio.create_task(here.names("A"))
    await here.backend.entered.wait()
    here.clock.at += 1
    here.backend.version = 2
    here.memory.invalidate(["item:A"])
    here.backend.gate.set()
    assert await asking == {"A": "A v1"}, "who asked before gets what was read then"
    assert await here.names("A") == {"A": "A v2"}


@pytest.mark.parametrize("tag", ["item:A", "item", "*"])
async def test_a_change_ends_what_has_its_tag(tag: str):
    here = bench()
    await here.read("A", "B")
    here.clock.at += 1
    here.memory.invalidate([tag])
    await here.read("A", "B")
    assert here.backend.asked[1] == (["A"] if tag == "item:A" else ["A", "B"])


async def test_what_was_changed_is_not_answered_while_its_source_fails():
    here = bench()
    await here.read("A")
    here.clock.at += 1
    here.memory.invalidate(["item:A"])
    here.backend.fail()
    with pytest.raises(SourceUnavailable):
        await here.read("A")


async def test_disconnected_worker_caches_for_seconds_only():
    here = bench()
    here.memory.connected = False
    await here.read("A")
    here.clock.at += DISCONNECTED_TTL
    await here.read("A")
    assert len(here.backend.asked) == 1
    here.clock.at += 0.1
    await here.read("A")
    assert len(here.backend.asked) == 2


@pytest.mark.parametrize(("within", "calls"), [(60.0, 1), (30.0, 2), (0.0, 2), (10.0**6, 1)])
async def test_a_client_asks_for_less(within: float, calls: int):
    here = bench()
    await here.read("A")
    here.clock.at += 45
    token = freshness_tracker.set(FreshnessTracker(within))
    await here.read("A")
    freshness_tracker.reset(token)
    assert len(here.backend.asked) == calls


async def test_a_client_cannot_ask_for_more_than_the_contract():
    here = bench()
    await here.read("A")
    here.clock.at += MAX_AGE + 1
    token = freshness_tracker.set(FreshnessTracker(10.0 * MAX_AGE))
    await here.read("A")
    freshness_tracker.reset(token)
    assert len(here.backend.asked) == 2


async def test_what_is_older_than_a_client_allows_is_an_error_rather_than_stale():
    here = bench()
    await here.read("A")
    here.clock.at += 10
    here.backend.fail()
    token = freshness_tracker.set(FreshnessTracker(5.0))
    with pytest.raises(SourceUnavailable):
        await here.read("A")
    freshness_tracker.reset(token)


async def test_who_wants_it_now_does_not_join_a_read_that_began_earlier():
    here = bench()
    here.backend.gate = asyncio.Event()
    asking = asyncio.create_task(here.names("A"))
    await here.backend.entered.wait()
    here.clock.at += 1
    here.backend.version = 2
    here.backend.gate.set()
    token = freshness_tracker.set(FreshnessTracker(0.0))
    assert await here.names("A") == {"A": "A v2"}
    freshness_tracker.reset(token)
    await asking


async def test_cached_reads_run_as_the_gateway_itself():
    here = bench()
    await here.read("A", principal=buyer("C1"))
    (reader,) = here.backend.readers
    assert (reader.subject, reader.roles, reader.customers) == ("cache", {Role.ADMIN}, frozenset())


async def test_tenants_share_public_data_and_nothing_else():
    public, own = bench(), bench(replace(ITEMS, contract=replace(ITEMS.contract, share=Share.TENANT)))
    for here in (public, own):
        for tenant in ("one", "two"):
            await here.read("A", principal=buyer(tenant=tenant))
    assert len(public.backend.asked) == 1
    assert [reader.tenant for reader in own.backend.readers] == ["one", "two"]
    assert cache_spec(CUSTOMERS, "by_number").contract.share is Share.CUSTOMER


async def test_volatile_data_is_shared_in_flight_by_equal_callers_and_never_cached():
    here = bench(replace(ITEMS, contract=cache_spec(LEVELS, "levels").contract))
    here.backend.gate = asyncio.Event()
    same = [asyncio.create_task(here.read("A", principal=buyer("C1"))) for _ in range(10)]
    other = asyncio.create_task(here.read("A", principal=buyer("C2")))
    await here.backend.entered.wait()
    await asyncio.sleep(0)
    here.backend.gate.set()
    await asyncio.gather(*same, other)
    assert len(here.backend.asked) == 2
    assert {reader.customers for reader in here.backend.readers} == {frozenset({"C1"}), frozenset({"C2"})}
    await here.read("A", principal=buyer("C1"))
    assert len(here.backend.asked) == 3
    assert len(here.memory) == 0


async def test_summary_has_the_oldest_age():
    here = bench()
    await here.read("A")
    here.clock.at += 100
    await here.read("B")
    here.clock.at += 100
    wanted = FreshnessTracker()
    token = freshness_tracker.set(wanted)
    await here.read("B", "A")
    freshness_tracker.reset(token)
    assert wanted.seen["erp"].as_of == NOON
    assert wanted.seen["erp"].cached
    assert here.clock.now() == NOON + timedelta(seconds=200)
