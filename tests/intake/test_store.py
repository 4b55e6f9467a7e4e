"""What every store of intakes does: the same over SQLite and over PostgreSQL."""

from __future__ import annotations

import asyncio
import time

import msgspec
import pytest

from app.errors import IntakeBusy, KeyReused, VersionConflict
from app.intake.records import QUEUED, IntakeFilter, IntakeState, OrderIntake
from app.intake.store import IntakeKey, IntakeStore
from tests.support.intakes import IntakeBench as Bench
from tests.support.intakes import content

DAY = 86400.0
GUARD = 30 * DAY
LEASE = 30.0


async def add(store: IntakeStore, *intakes: OrderIntake) -> list[OrderIntake]:
    """Insert intakes in this order."""
    return [(await store.submit(one, guard_po=GUARD)).intake for one in intakes]


async def keys(store: IntakeStore, limit: int = 10, target: str = "erp", owner: str = "w-1") -> list[str]:
    """The keys that a claim gets."""
    return [one.key for one in await store.claim(target, owner, limit, LEASE)]


async def only(store: IntakeStore, owner: str = "w-1") -> OrderIntake:
    """The one intake that there is to claim."""
    (claimed,) = await store.claim("erp", owner, 10, LEASE)
    return claimed


def posted(claimed: OrderIntake, number: str = "SO-1") -> OrderIntake:
    """The intake as it is once the system of record has the order."""
    return msgspec.structs.replace(claimed, state=IntakeState.POSTED, order_id=f"id-{number}", order_number=number)


# Keys


async def test_intake_is_stored_whole(store: IntakeStore, bench: Bench):
    given = bench.intake("k", content=content("12.50", note="Gate 3 — ünï", ship_to="S-1"), channel="EDI")
    submitted = await store.submit(given, guard_po=GUARD)
    assert (submitted.created, submitted.intake) == (True, given)
    assert await store.by_id([given.id, "unknown", given.id]) == {given.id: given}
    key = IntakeKey("default", "portal", "submitOrder", "k")
    assert await store.by_key([key, key._replace(key="other")]) == {key: given}


async def test_same_key_and_digest_is_the_intake_as_it_is_now(store: IntakeStore, bench: Bench):
    first = bench.intake("k")
    await add(store, first)
    claimed = await only(store)
    await store.complete(claimed, posted(claimed))
    again = await store.submit(bench.intake("k"), guard_po=GUARD)
    assert (again.created, again.intake.id, again.intake.state) == (False, first.id, IntakeState.POSTED)


async def test_key_with_another_digest_is_refused(store: IntakeStore, bench: Bench):
    await add(store, bench.intake("k"))
    with pytest.raises(KeyReused):
        await store.submit(bench.intake("k", content=content("3")), guard_po=GUARD)
    assert len((await store.page(IntakeFilter(), 10)).rows) == 1


@pytest.mark.parametrize("scope", [{"tenant": "other"}, {"client": "other"}, {"mutation": "requestQuote"}])
async def test_key_belongs_to_tenant_client_and_mutation(store: IntakeStore, bench: Bench, scope: dict[str, str]):
    await add(store, bench.intake("k"))
    other = await store.submit(bench.intake("k", content=content("3"), customer="C-2", **scope), guard_po=GUARD)
    assert other.created


async def test_hundred_simultaneous_submissions_of_one_key_insert_one(bench: Bench):
    stores = [bench.store() for _ in range(4)]
    calls = [stores[n % 4].submit(bench.intake("k"), guard_po=GUARD) for n in range(100)]
    submitted = await asyncio.gather(*calls)
    assert [one.created for one in submitted].count(True) == 1
    assert len({one.intake.id for one in submitted}) == 1
    assert len((await stores[0].page(IntakeFilter(), 200)).rows) == 1


# The second guard


@pytest.mark.parametrize("number", ["4711", " 4711  ", "\uff14711"])
async def test_purchase_order_number_used_before_is_held(store: IntakeStore, bench: Bench, number: str):
    first, second = await add(store, bench.intake(customer_po="4711"), bench.intake(customer_po=number))
    assert (first.state, first.content.problems) == (IntakeState.POSTING, ())
    (problem,) = second.content.problems
    assert (second.state, problem.code, problem.path) == (
        IntakeState.HELD, "DUPLICATE_PO", ("input", "customerPo"),
    )  # fmt: skip
    assert await store.by_id([second.id]) == {second.id: second}
    assert await keys(store) == [first.key]


async def test_duplicate_number_is_accepted_where_it_is_allowed(store: IntakeStore, bench: Bench):
    allowed = content(allow_duplicate_po=True)
    _, second = await add(store, bench.intake(customer_po="4711"), bench.intake(customer_po="4711", content=allowed))
    assert second.state is IntakeState.POSTING


async def test_number_counts_for_its_customer_its_tenant_and_its_time(store: IntakeStore, bench: Bench):
    await add(store, bench.intake(customer_po="4711"))
    others = await add(
        store,
        bench.intake(customer_po="4711", customer="C-2"),
        bench.intake(customer_po="4711", tenant="other"),
    )
    bench.now += GUARD + 1
    others += await add(store, bench.intake(customer_po="4711"))
    assert [one.state for one in others] == [IntakeState.POSTING] * 3


async def test_rejected_order_does_not_use_its_number(store: IntakeStore, bench: Bench):
    first, second = await add(
        store, bench.intake(customer_po="4711", state=IntakeState.REJECTED), bench.intake(customer_po="4711")
    )
    assert (first.state, second.state) == (IntakeState.REJECTED, IntakeState.POSTING)


async def test_of_simultaneous_orders_with_one_number_one_is_not_held(bench: Bench):
    stores = [bench.store() for _ in range(4)]
    calls = [stores[n % 4].submit(bench.intake(f"k-{n}", customer_po="4711"), guard_po=GUARD) for n in range(20)]
    states = [one.intake.state for one in await asyncio.gather(*calls)]
    assert (states.count(IntakeState.POSTING), states.count(IntakeState.HELD)) == (1, 19)


# The queue


async def test_claim_gives_due_intakes_of_a_target_oldest_first(store: IntakeStore, bench: Bench):
    await add(
        store,
        bench.intake("a", customer="C-1"),
        bench.intake("b", customer="C-2", state=IntakeState.RECEIVED),
        bench.intake("c", customer="C-3", target="other"),
        bench.intake("d", customer="C-4", due_at=bench.now + 60),
        bench.intake("e", customer="C-5"),
        *(bench.intake(f"no-{state}", customer=state, state=state) for state in sorted(set(IntakeState) - QUEUED)),
    )
    assert await keys(store, limit=2) == ["a", "b"]
    assert await keys(store) == ["e"]
    bench.now += 60
    assert await keys(store, target="other") == ["c"]


async def test_claim_of_a_state_gives_no_other(store: IntakeStore, bench: Bench):
    await add(
        store,
        bench.intake("a", customer="C-1", state=IntakeState.RECEIVED),
        bench.intake("b", customer="C-2"),
        bench.intake("c", customer="C-1"),
    )
    posting = await store.claim("erp", "w-1", 10, LEASE, IntakeState.POSTING)
    received = await store.claim("erp", "w-2", 10, LEASE, IntakeState.RECEIVED)
    assert ([one.key for one in posting], [one.key for one in received]) == (["b"], ["a"])


async def test_orders_of_a_customer_are_claimed_one_after_the_other(store: IntakeStore, bench: Bench):
    await add(store, *(bench.intake(f"{customer}{n}", customer=customer) for n in (1, 2, 3) for customer in "ab"))
    (first, other) = await store.claim("erp", "w-1", 10, LEASE)
    assert ([first.key, other.key], await keys(store)) == (["a1", "b1"], [])
    await store.complete(first, posted(first))
    assert await keys(store, owner="w-2") == ["a2"]


async def test_postponed_order_holds_back_the_next_of_its_customer_and_no_other(store: IntakeStore, bench: Bench):
    await add(store, bench.intake("a1", customer="a"), bench.intake("a2", customer="a"))
    claimed = await only(store)
    await store.complete(claimed, claimed, delay=10)
    await add(store, bench.intake("b1", customer="b"))
    assert await keys(store, owner="w-2") == ["b1"]
    bench.now += 10
    assert await keys(store, owner="w-3") == ["a1"]


async def test_same_customer_of_another_tenant_is_another_customer(store: IntakeStore, bench: Bench):
    await add(store, bench.intake("a"), bench.intake("b", tenant="other"))
    assert await keys(store) == ["a", "b"]


async def test_several_workers_share_the_queue(bench: Bench):
    stores = [bench.store() for _ in range(4)]
    await add(stores[0], *(bench.intake(f"k-{n}", customer=f"C-{n}") for n in range(60)))
    claims = await asyncio.gather(*(one.claim("erp", f"w-{n}", 20, LEASE) for n, one in enumerate(stores)))
    claimed = [one.key for some in claims for one in some]
    assert len(claimed) == len(set(claimed))
    rest = await keys(stores[0], limit=100, owner="w-9")
    assert sorted([*claimed, *rest]) == sorted(f"k-{n}" for n in range(60))


# Leases


async def test_claim_ends_with_its_lease(store: IntakeStore, bench: Bench):
    await add(store, bench.intake("k"))
    await only(store)
    bench.now += LEASE - 1
    assert await keys(store, owner="w-2") == []
    bench.now += 1
    assert (await only(store, owner="w-3")).owner == "w-3"


async def test_attempt_is_noted_before_it_is_made(store: IntakeStore, bench: Bench):
    await add(store, bench.intake("k"))
    begun = await store.begin_attempt(await only(store), lease=40, retry_in=15)
    assert begun is not None
    (stored,) = (await store.by_id([begun.id])).values()
    assert (stored.attempts, stored.sent_at, stored.lease_until, stored.due_at) == (
        1, bench.now, bench.now + 40, bench.now + 15,
    )  # fmt: skip


async def test_no_attempt_begins_after_the_lease(store: IntakeStore, bench: Bench):
    await add(store, bench.intake("k"))
    claimed = await only(store)
    bench.now += LEASE
    assert await store.begin_attempt(claimed, lease=40, retry_in=15) is None
    (stored,) = (await store.by_id([claimed.id])).values()
    assert (stored.attempts, stored.sent_at) == (0, None)


async def test_worker_that_lost_its_claim_neither_begins_nor_completes(store: IntakeStore, bench: Bench):
    await add(store, bench.intake("k"))
    zombie = await only(store, owner="zombie")
    bench.now += LEASE
    current = await only(store, owner="current")
    assert await store.begin_attempt(zombie, lease=40, retry_in=15) is None
    assert await store.complete(zombie, posted(zombie)) is False
    assert await store.begin_attempt(current, lease=40, retry_in=15) is not None
    (stored,) = (await store.by_id([current.id])).values()
    assert (stored.state, stored.owner, stored.attempts) == (IntakeState.POSTING, "current", 1)


async def test_killed_attempt_is_taken_over_after_lease_and_retry_time(store: IntakeStore, bench: Bench):
    await add(store, bench.intake("k"))
    await store.begin_attempt(await only(store), lease=40, retry_in=60)
    bench.now += 59
    assert await keys(store, owner="w-2") == []
    bench.now += 1
    taken = await only(store, owner="w-3")
    assert (taken.attempts, taken.sent_at) == (1, bench.now - 60)


# Outcomes and decisions


async def test_completion_ends_the_claim_and_makes_a_version(store: IntakeStore, bench: Bench):
    await add(store, bench.intake("k"))
    claimed = await only(store)
    bench.now += 5
    assert await store.complete(claimed, posted(claimed, "SO-7")) is True
    (stored,) = (await store.by_id([claimed.id])).values()
    assert (stored.state, stored.version, stored.order_number, stored.order_id) == (
        IntakeState.POSTED, 2, "SO-7", "id-SO-7",
    )  # fmt: skip
    assert (stored.owner, stored.lease_until, stored.since) == (None, None, bench.now)


async def test_posted_intake_is_found_by_its_order(store: IntakeStore, bench: Bench):
    first, second, other = await add(
        store, bench.intake(customer="a"), bench.intake(customer="b"), bench.intake(customer="c", target="other")
    )
    for target in ("erp", "other"):
        for claimed in await store.claim(target, f"w-{target}", 10, LEASE):
            await store.complete(claimed, posted(claimed, claimed.key))
    found = await store.by_order("erp", [f"id-{first.key}", f"id-{other.key}", "unknown", f"id-{second.key}"])
    assert {id: one.id for id, one in found.items()} == {f"id-{one.key}": one.id for one in (first, second)}


async def test_postponement_is_no_new_version(store: IntakeStore, bench: Bench):
    await add(store, bench.intake("k"))
    claimed = await only(store)
    await store.complete(claimed, msgspec.structs.replace(claimed, cause="SOURCE_TIMEOUT"), delay=7)
    (stored,) = (await store.by_id([claimed.id])).values()
    assert (stored.version, stored.cause, stored.due_at) == (1, "SOURCE_TIMEOUT", bench.now + 7)


def cancelled(one: OrderIntake, now: float) -> OrderIntake:
    return msgspec.structs.replace(one, state=IntakeState.CANCELLED)


async def test_decision_makes_a_version(store: IntakeStore, bench: Bench):
    (held,) = await add(store, bench.intake("k", state=IntakeState.HELD))
    changed = await store.change(held.id, 1, cancelled)
    assert changed is not None
    assert (changed.state, changed.version) == (IntakeState.CANCELLED, 2)
    assert await store.by_id([held.id]) == {held.id: changed}
    assert await store.change("unknown", 1, cancelled) is None


async def test_decision_on_an_old_version_is_refused(store: IntakeStore, bench: Bench):
    (held,) = await add(store, bench.intake("k", state=IntakeState.HELD))
    await store.change(held.id, 1, cancelled)
    with pytest.raises(VersionConflict):
        await store.change(held.id, 1, cancelled)


async def test_of_two_decisions_one_wins(bench: Bench):
    stores = [bench.store() for _ in range(2)]
    (held,) = await add(stores[0], bench.intake("k", state=IntakeState.HELD))
    calls = [stores[n % 2].change(held.id, 1, cancelled) for n in range(10)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [isinstance(one, VersionConflict) for one in answers].count(True) == 9


async def test_claimed_intake_is_not_decided_on(store: IntakeStore, bench: Bench):
    await add(store, bench.intake("k"))
    claimed = await only(store)
    with pytest.raises(IntakeBusy):
        await store.change(claimed.id, 1, cancelled)
    bench.now += LEASE
    changed = await store.change(claimed.id, 1, cancelled)
    assert changed is not None
    assert await store.complete(claimed, posted(claimed)) is False


async def test_refused_decision_leaves_the_intake_as_it_is(store: IntakeStore, bench: Bench):
    def refuse(one: OrderIntake, now: float) -> OrderIntake:
        raise ValueError("not now")

    (held,) = await add(store, bench.intake("k", state=IntakeState.HELD))
    with pytest.raises(ValueError, match="not now"):
        await store.change(held.id, 1, refuse)
    assert await store.by_id([held.id]) == {held.id: held}


# Publication, pages, counts


async def test_each_version_is_published_once(store: IntakeStore, bench: Bench):
    first, second = await add(store, bench.intake("a", customer="a"), bench.intake("b", customer="b"))
    assert [one.id for one in await store.unpublished()] == [first.id, second.id]
    await store.mark_published({first.id: 1, second.id: 1})
    assert await store.unpublished() == []
    claimed = (await store.claim("erp", "w", 1, LEASE))[0]
    assert await store.unpublished() == []
    await store.complete(claimed, posted(claimed))
    assert [(one.id, one.version) for one in await store.unpublished()] == [(first.id, 2)]
    await store.mark_published({first.id: 1})
    assert len(await store.unpublished()) == 1


async def test_pages_are_newest_first_and_filtered(store: IntakeStore, bench: Bench):
    await add(
        store,
        bench.intake("a", customer="C-1", customer_po="one"),
        bench.intake("b", customer="C-2", state=IntakeState.HELD),
        bench.intake("c", customer="C-1", target="other"),
        bench.intake("d", customer="C-1", tenant="other"),
    )

    async def found(first: int = 10, before: int | None = None, **given) -> list[str]:
        return [one.key for _, one in (await store.page(IntakeFilter(**given), first, before)).rows]

    assert await found() == ["d", "c", "b", "a"]
    page = await store.page(IntakeFilter(), 2)
    assert ([one.key for _, one in page.rows], page.has_next) == (["d", "c"], True)
    assert await found(before=page.rows[-1][0]) == ["b", "a"]
    assert await found(tenant="default") == ["c", "b", "a"]
    assert await found(customers=frozenset({"C-2", "C-9"})) == ["b"]
    assert await found(customers=frozenset()) == []
    assert await found(states=frozenset({IntakeState.HELD})) == ["b"]
    assert await found(target="other", tenant="default") == ["c"]
    assert await found(customer_po=" ONE") == ["a"]


async def test_depths_count_what_is_open(store: IntakeStore, bench: Bench):
    began = bench.now
    await add(store, bench.intake("a"), bench.intake("b", customer="C-2", state=IntakeState.FAILED))
    bench.now += 60
    await add(store, bench.intake("c", customer="C-3"), bench.intake("d", customer="C-4", state=IntakeState.REJECTED))
    found = {(one.target, one.state): (one.count, one.oldest) for one in await store.depths()}
    assert found == {("erp", IntakeState.POSTING): (2, began), ("erp", IntakeState.FAILED): (1, began)}


async def test_trim_deletes_old_intakes_that_are_not_queued(store: IntakeStore, bench: Bench):
    await add(store, bench.intake("old", state=IntakeState.REJECTED), bench.intake("queued"))
    bench.now += 400 * DAY
    await add(store, bench.intake("new", customer="C-2", state=IntakeState.REJECTED))
    assert await store.trim(399 * DAY) == 1
    assert [one.key for _, one in (await store.page(IntakeFilter(), 10)).rows] == ["new", "queued"]


async def test_insertion_wakes_the_workers_of_all_processes(bench: Bench):
    here, there = bench.store(), bench.store()
    for waiting, writing in ((here, here), (here, there)):
        assert await keys(waiting, limit=100, owner=f"w-{id(writing)}") == []
        wait = asyncio.create_task(waiting.wait_queue(30, "erp"))
        while not wait.done():
            await add(writing, bench.intake(customer=f"C-{time.monotonic_ns()}"))
            await asyncio.wait([wait], timeout=0.2)
        await keys(waiting, limit=1000, owner=f"x-{id(writing)}")


async def test_intakes_that_do_not_proceed_are_found_and_counted(store: IntakeStore, bench: Bench):
    late = bench.now - 900
    await add(
        store,
        bench.intake("stuck", customer="C-1", since=late - 1),
        bench.intake("queued", customer="C-2", since=late + 1),
        bench.intake("received", customer="C-3", since=late - 1, state=IntakeState.RECEIVED),
        bench.intake("held", customer="C-4", state=IntakeState.HELD),
        bench.intake("failed", customer="C-1", state=IntakeState.FAILED, tenant="other"),
        *(
            bench.intake(state.value, customer="C-1", since=late - 1, state=state)
            for state in (IntakeState.POSTED, IntakeState.REJECTED, IntakeState.CANCELLED, IntakeState.NEEDS_APPROVAL)
        ),
    )
    query = IntakeFilter(queued_before=late)
    page = await store.page(query, 3)
    assert ([one.key for _, one in page.rows], page.has_next) == (["failed", "held", "received"], True)
    assert [one.key for _, one in (await store.page(query, 3, page.rows[-1][0])).rows] == ["stuck"]
    assert await store.count(query) == 4
    own = msgspec.structs.replace(query, tenant="default", customers=frozenset({"C-1", "C-4"}))
    assert [one.key for _, one in (await store.page(own, 10)).rows] == ["held", "stuck"]
    assert (await store.count(own), await store.count(IntakeFilter())) == (2, 9)
