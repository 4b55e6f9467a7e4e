"""The worker that posts: the protocol of attempts, look-ups and leases, over a scripted target."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr

from app.errors import (
    DeadlineExceeded,
    SourceMalformed,
    SourceRejected,
    SourceThrottled,
    SourceTimeout,
    SourceUnavailable,
    TradegraphError,
)
from app.intake.records import IntakeState, OrderIntake
from app.intake.store import IntakeStore
from app.intake.stores import connect_intakes
from app.settings import IntakeSettings, PostgresSettings, Settings
from app.sources.order_writer import NewOrder, OrderNotAccepted, WrittenOrder
from app.sources.values import utc_now
from tests.support.intakes import intake
from tests.support.posting import SETTINGS, run, settled, working


class Target:
    """A target whose answers are scripted: an error to raise, with or without having created the order; None is well.
    `order` names what was called, in order."""

    unique_key = False
    steps: Sequence[str] = ("created",)

    def __init__(self, *script: Any, max_seconds: float = 0.02) -> None:
        self.max_seconds = max_seconds
        self.hidden = False
        self.script = list(script)
        self.orders: dict[str, list[WrittenOrder]] = {}
        self.calls: list[str] = []
        self.posted: list[NewOrder] = []
        self.before_post: Callable[[NewOrder], Any] = lambda _: None

    async def find(self, principal: Any, keys: Sequence[str]) -> dict[str, tuple[WrittenOrder, ...]]:
        self.calls.append("find")
        return {} if self.hidden else {key: tuple(self.orders[key]) for key in keys if key in self.orders}

    async def post(self, principal: Any, order: NewOrder, found: WrittenOrder | None = None) -> WrittenOrder:
        self.calls.append("post" if found is None else f"post after {found.step}")
        self.posted.append(order)
        await asyncio.sleep(0)
        self.before_post(order)
        answer = self.script.pop(0) if self.script else None
        created, error = answer if isinstance(answer, tuple) else (answer is None, answer)
        written = WrittenOrder(key=order.key, id=f"id-{order.customer_po}", number=order.customer_po, step="created")
        if created:
            self.orders.setdefault(order.key, []).append(written)
        if error is not None:
            raise error
        return written

    async def simulate(self, principal: Any, order: NewOrder) -> None:
        return None

    async def cancel(self, principal: Any, order: WrittenOrder, reason: str) -> None:
        return None


def unsent(error: SourceUnavailable | SourceThrottled | DeadlineExceeded) -> TradegraphError:
    error.sent = False
    return error


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[IntakeStore]:
    made = connect_intakes(Settings(data_dir=tmp_path))
    yield made
    await made.close()


async def test_first_attempt_is_posted_without_a_look_up(store: IntakeStore):
    target = Target()
    done = await run(store, target, intake("k", customer_po="4711"))
    assert (target.calls, done.state, done.order_number, done.order_id, done.attempts) == (
        ["post"], IntakeState.POSTED, "4711", "id-4711", 1,
    )  # fmt: skip
    assert (done.version, done.cause, done.owner) == (2, None, None)
    (sent,) = target.posted
    assert (sent.key, sent.customer, [line.sku for line in sent.lines]) == (done.id, "C-1", ["SKU-1"])


async def test_attempt_is_durable_before_the_request(store: IntakeStore, tmp_path: Path):
    seen: list[OrderIntake] = []
    other = connect_intakes(Settings(data_dir=tmp_path))
    target = Target((True, SourceTimeout("erp")))

    async def recorded() -> None:
        seen.extend((await other.by_id([one.id])).values())

    one = intake()
    target.before_post = lambda _: reads.append(asyncio.create_task(recorded()))
    reads: list[asyncio.Task[None]] = []
    await run(store, target, one)
    await asyncio.gather(*reads)
    await other.close()
    assert seen[0].attempts >= 1
    assert seen[0].sent_at is not None


@pytest.mark.parametrize(
    "error",
    [SourceTimeout("erp"), SourceUnavailable("erp"), SourceMalformed("erp"), DeadlineExceeded(), ValueError("a bug")],
)
async def test_unknown_outcome_is_looked_up_and_found(store: IntakeStore, error: Exception):
    target = Target((True, error))
    done = await run(store, target, intake())
    assert (target.calls, done.state, done.attempts) == (["post", "find"], IntakeState.POSTED, 1)
    assert [len(orders) for orders in target.orders.values()] == [1]


async def test_unknown_outcome_is_posted_again_if_the_order_is_absent(store: IntakeStore):
    target = Target((False, SourceTimeout("erp")), (False, SourceUnavailable("erp")))
    done = await run(store, target, intake())
    assert (target.calls, done.state, done.attempts) == (
        ["post", "find", "post", "find", "post"], IntakeState.POSTED, 3,
    )  # fmt: skip


async def test_look_up_waits_for_the_time_in_which_the_target_may_still_create_the_order(store: IntakeStore):
    """The target creates the order after its client is gone: a look-up at once finds nothing."""
    loop = asyncio.get_running_loop()
    target = Target((False, SourceTimeout("erp")), max_seconds=0.3)
    late = WrittenOrder(key="", id="late", number="late", step="created")

    def create_late(order: NewOrder) -> None:
        written = msgspec.structs.replace(late, key=order.key)
        loop.call_later(0.1, lambda: target.orders.setdefault(order.key, []).append(written))

    target.before_post = create_late
    done = await run(store, target, intake())
    assert (target.calls, done.order_number) == (["post", "find"], "late")


@pytest.mark.parametrize(
    "error", [unsent(SourceUnavailable("erp")), unsent(SourceThrottled("erp")), unsent(DeadlineExceeded())]
)
async def test_request_that_was_not_sent_costs_no_attempt_and_needs_no_look_up(store: IntakeStore, error: Exception):
    target = Target(error, error)
    done = await run(store, target, intake())
    assert (target.calls, done.state, done.attempts) == (["post"] * 3, IntakeState.POSTED, 1)


async def test_pending_lookup_survives_a_request_that_was_not_sent(store: IntakeStore):
    target = Target((False, SourceTimeout("erp")), unsent(SourceUnavailable("erp")))
    done = await run(store, target, intake())
    assert (target.calls, done.attempts) == (["post", "find", "post", "find", "post"], 2)


async def test_throttled_request_comes_again_when_the_target_says(store: IntakeStore):
    target = Target(SourceThrottled("erp", retry_after=0.05))
    began = asyncio.get_running_loop().time()
    done = await run(store, target, intake())
    assert (target.calls, done.attempts) == (["post", "post"], 1)
    assert asyncio.get_running_loop().time() - began >= 0.05


async def test_refused_request_counts_and_is_no_order(store: IntakeStore):
    target = Target((False, SourceRejected("erp", status=401)))
    done = await run(store, target, intake())
    assert (target.calls, done.state, done.attempts) == (["post", "post"], IntakeState.POSTED, 2)


@pytest.mark.parametrize(("held", "state"), [(True, IntakeState.HELD), (False, IntakeState.REJECTED)])
async def test_order_refused_by_business_is_not_repeated(store: IntakeStore, held: bool, state: IntakeState):
    target = Target((False, OrderNotAccepted(lines=[3, 4], held=held, detail="secret words of the ERP")))
    done = await run(store, target, intake())
    assert (target.calls, done.state) == (["post"], state)
    assert [(one.code, one.line_number) for one in done.content.problems] == [
        ("ORDER_REFUSED", 3),
        ("ORDER_REFUSED", 4),
    ]
    assert "secret" not in repr(done)


async def test_order_is_given_up_after_its_attempts_and_a_last_look_up(store: IntakeStore):
    target = Target(*[(False, SourceTimeout("erp"))] * 9)
    done = await run(store, target, intake(), SETTINGS.model_copy(update={"attempts": 2}))
    assert (target.calls, done.state, done.attempts, done.cause) == (
        ["post", "find", "post", "find"], IntakeState.FAILED, 2, "SOURCE_TIMEOUT",
    )  # fmt: skip
    assert [one.code for one in done.content.problems] == ["POSTING_FAILED"]


async def test_last_look_up_finds_the_order_of_the_last_attempt(store: IntakeStore):
    target = Target((False, SourceTimeout("erp")), (True, SourceTimeout("erp")))
    done = await run(store, target, intake(), SETTINGS.model_copy(update={"attempts": 2}))
    assert done.state is IntakeState.POSTED


async def test_replayed_order_is_looked_up_first(store: IntakeStore):
    """A dead letter keeps the time of its last request."""
    target = Target((True, SourceTimeout("erp")))
    target.hidden = True
    failed = await run(store, target, intake(), SETTINGS.model_copy(update={"attempts": 1}))
    assert (failed.state, failed.may_have_been_sent) == (IntakeState.FAILED, True)
    target.hidden = False
    target.calls.clear()
    await store.change(failed.id, None, lambda one, now: msgspec.structs.replace(one, state=IntakeState.POSTING))
    async with working(store, target):
        (done,) = await settled(store, failed)
    assert (target.calls, done.state) == (["find"], IntakeState.POSTED)


async def test_open_breaker_holds_the_queue_and_costs_no_attempts(store: IntakeStore):
    one, two = intake(customer="C-1"), intake(customer="C-2")
    refusal = unsent(SourceUnavailable("erp", retry_after=0.2))
    target = Target(refusal, refusal)
    for each in (one, two):
        await store.submit(each, guard_po=0)
    async with working(store, target):
        while len(target.calls) < 2:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)  # The queue is held: no call is made within the time that the breaker names.
        assert target.calls == ["post", "post"]
        done = await settled(store, one, two)
    assert [(each.state, each.attempts) for each in done] == [(IntakeState.POSTED, 1)] * 2


async def test_orders_of_a_customer_are_posted_in_order(store: IntakeStore):
    ordered = [intake(f"{customer}-{n}", customer=customer) for n in range(8) for customer in ("a", "b", "c")]
    for one in ordered:
        await store.submit(one, guard_po=0)
    target = Target((False, SourceTimeout("erp")), unsent(SourceUnavailable("erp")), (True, SourceTimeout("erp")))
    async with working(store, target):
        await settled(store, *ordered)
    created = [order.number for orders in target.orders.values() for order in orders]
    for customer in ("a", "b", "c"):
        assert [name for name in created if f"-{customer}-" in name] == [f"PO-{customer}-{n}" for n in range(8)]


async def test_machines_whose_clocks_differ_by_minutes_post_each_order_once(postgres_url: str):
    """Leases and due times are by the clock of the database, whatever the machines' clocks say."""
    behind, ahead = (Machine(postgres_url, timedelta(minutes=minutes)) for minutes in (-5, 5))
    ordered = [intake(f"{customer}-{n}", customer=customer) for n in range(8) for customer in ("a", "b", "c")]
    for machine, half in ((behind, ordered[::2]), (ahead, ordered[1::2])):
        for one in half:
            at = machine.clock().timestamp()
            await machine.store.submit(msgspec.structs.replace(one, received=at, since=at), guard_po=0)
    targets = [Target((True, SourceTimeout("erp")), (False, SourceTimeout("erp"))) for _ in range(2)]
    targets[1].orders = targets[0].orders
    try:
        async with (
            working(behind.store, targets[0], clock=behind.clock),
            working(ahead.store, targets[1], clock=ahead.clock),
        ):
            done = await settled(ahead.store, *ordered)
    finally:
        await behind.store.close()
        await ahead.store.close()
    assert {one.state for one in done} == {IntakeState.POSTED}
    assert {key: len(orders) for key, orders in targets[0].orders.items()} == {one.id: 1 for one in ordered}


class Machine:
    """A gateway's store in a database, and the machine's clock, which is wrong by some time."""

    def __init__(self, url: str, error: timedelta) -> None:
        postgres = PostgresSettings(url=SecretStr(url))
        self.store = connect_intakes(Settings(intake=IntakeSettings(store="postgres"), postgres=postgres))
        self._error = error

    def clock(self) -> datetime:
        return utc_now() + self._error


async def test_worker_without_its_lease_sends_nothing(store: IntakeStore):
    """Its claim is over when it wants to send: another worker has the order."""

    class Slow:
        stopped = False

        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        async def begin_attempt(self, claimed: OrderIntake, lease: float, retry_in: float) -> OrderIntake | None:
            if not self.stopped:
                self.stopped = True
                await asyncio.sleep(lease)  # Longer than the claim.
            return await store.begin_attempt(claimed, lease, retry_in)

    zombie, target = Target(), Target()
    one = intake()
    await store.submit(one, guard_po=0)
    short = SETTINGS.model_copy(update={"lease": 0.5})
    async with working(Slow(), zombie, short), working(store, target, short):  # type: ignore[arg-type]
        (done,) = await settled(store, one)
    assert (done.state, len(zombie.posted) + len(target.posted)) == (IntakeState.POSTED, 1)


async def test_worker_stopped_after_its_mark_sends_nothing(store: IntakeStore):
    """The mark is made and the process is stopped for longer than the lease: the request is not sent any more."""

    class Stopping:
        stopped = False

        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        async def begin_attempt(self, claimed: OrderIntake, lease: float, retry_in: float) -> OrderIntake | None:
            begun = await store.begin_attempt(claimed, lease, retry_in)
            if not self.stopped:
                self.stopped = True
                await asyncio.sleep(lease)
            return begun

    target, one = Target(), intake()
    await store.submit(one, guard_po=0)
    async with working(Stopping(), target, SETTINGS.model_copy(update={"lease": 0.5})):  # type: ignore[arg-type]
        (done,) = await settled(store, one)
    assert (target.calls, done.state, done.attempts) == (["find", "post"], IntakeState.POSTED, 2)


async def test_order_that_a_look_up_finds_half_done_goes_on(store: IntakeStore):
    target = Target((False, SourceTimeout("erp")))
    target.steps = ("draft", "created")
    one = intake()
    target.orders[one.id] = [WrittenOrder(key=one.id, id="draft-1", number="D-1", step="draft")]
    done = await run(store, target, one)
    assert (target.calls, done.state) == (["post", "find", "post after draft"], IntakeState.POSTED)


async def test_received_order_is_checked_until_it_is_known(store: IntakeStore):
    checks: list[str] = []

    async def recheck(one: OrderIntake) -> OrderIntake:
        checks.append(one.id)
        return one if len(checks) < 3 else msgspec.structs.replace(one, state=IntakeState.POSTING)

    one = intake(state=IntakeState.RECEIVED)
    await store.submit(one, guard_po=0)
    target = Target()
    async with working(store, target, recheck=recheck):
        (done,) = await settled(store, one)
    assert (len(checks), done.state, target.calls) == (3, IntakeState.POSTED, ["post"])
