"""The accountant: numbered steps in by signed webhooks, through real gateways under faults, and a ledger of what each
subscriber got. Nothing that was acknowledged may be lost, doubled or out of order.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Protocol

from app.events.stores import connect_events
from app.sources.changes import ChangeKind
from bench.events.gateways import Gateway
from bench.events.ledger import Ledger, Verdict
from bench.events.parcels import Parcels, customer_of, shipment_id
from bench.events.subscribers import Subscriber, Transport
from bench.events.webhooks import SOURCE, Sender

TRANSPORTS: tuple[Transport, ...] = ("websocket", "sse")
AFTERWARDS = 1.0
"""Seconds in which something that came twice would still come."""


class Server(Protocol):
    """A Redis that can be killed and started."""

    url: str

    def start(self) -> None: ...

    def kill(self) -> None: ...


@dataclass(frozen=True)
class Plan:
    """How much of what. Each of `customers` is followed by `followers` over each transport; a shipment moves again once
    all have seen its last step. `faults` is how many seconds pass between two of them, 0 for none; there is one of each
    kind at least, and clients are dropped about ten times as often. `lose` are steps that are taken for acknowledged
    without being told, `double` such as are recorded twice: what the accountant has to find.
    """

    steps: int
    customers: int = 4
    followers: int = 1
    shipments: int = 400
    senders: int = 8
    workers: int = 2
    faults: float = 0.0
    patience: float = 60.0
    seed: int = 1
    lose: frozenset[int] = frozenset()
    double: frozenset[int] = frozenset()


@dataclass
class Audit:
    """What was found, and what befell the gateway meanwhile."""

    verdict: Verdict
    befell: dict[str, int] = field(default_factory=dict)
    connections: int = 0
    tries: int = 0
    refusals: list[object] = field(default_factory=list)


async def audit(plan: Plan, folder: Path, redis: Server | None = None) -> Audit:
    """Run a plan over SQLite, or over a Redis."""
    parcels = Parcels(plan.shipments, plan.customers)
    async with AsyncExitStack() as stack:
        backend = await stack.enter_async_context(parcels.served())
        gateway = Gateway(folder, backend, redis=redis.url if redis else None, workers=plan.workers)
        await stack.enter_async_context(gateway.running())
        return await Accountant(plan, parcels, gateway, redis).run()


class Accountant:
    """One run."""

    def __init__(self, plan: Plan, parcels: Parcels, gateway: Gateway, redis: Server | None) -> None:
        self._plan = plan
        self._parcels = parcels
        self._gateway = gateway
        self._redis = redis
        self._ledger = Ledger()
        self._chance = random.Random(plan.seed)
        self._subscribers: list[Subscriber] = []
        self._numbers = self._count()
        self._all_befell = not plan.faults
        self._befell: Counter[str] = Counter()
        self._tries = 0

    async def run(self) -> Audit:
        """Until all that was told has come, or does not come any more."""
        await self._subscribe()
        with tasks([subscriber.run for subscriber in self._subscribers]):
            async with asyncio.timeout(self._plan.patience):
                await asyncio.gather(*(subscriber.following.wait() for subscriber in self._subscribers))
            with tasks([self._befall, self._drop_clients] if self._plan.faults else []):
                each = [range(first, self._plan.shipments, self._plan.senders) for first in range(self._plan.senders)]
                await asyncio.gather(*(self._send(places) for places in each))
            await self._settle()
        return Audit(
            self._ledger.verdict(),
            self._befell,
            sum(one.connections for one in self._subscribers),
            self._tries,
            [refusal for one in self._subscribers for refusal in one.refusals],
        )

    async def _subscribe(self) -> None:
        log = connect_events(self._gateway.settings)
        start = await log.end()
        await log.close()
        for place in range(self._plan.customers):
            customer = customer_of(place, self._plan.customers)
            authorization = self._gateway.authorization(customer)
            for transport in TRANSPORTS:
                for one in range(self._plan.followers):
                    account = self._ledger.account(f"{customer} {transport} {one}", customer)
                    self._subscribers.append(
                        Subscriber(transport, lambda: self._gateway.port, authorization, start, self._ledger, account)
                    )

    def _count(self) -> Iterator[int]:
        """The steps' numbers: all of the plan, and on until each kind of fault has happened."""
        for number in count():
            if number >= self._plan.steps and self._all_befell:
                return
            yield number

    async def _send(self, places: range) -> None:
        """Move shipments in turn, and tell of it."""
        sender = Sender(lambda: self._gateway.port)
        last: dict[int, int] = {}
        for turn, number in enumerate(self._numbers):
            place = places[turn % len(places)]
            if place in last and last[place] not in self._plan.lose:
                await self._ledger.settled(last[place], self._plan.patience)
            last[place] = number
            key = shipment_id(place)
            self._parcels.move(key, number)
            if number not in self._plan.lose:
                await sender.tell(key, number)
            self._ledger.acknowledge(number, customer_of(place, self._plan.customers))
            if number in self._plan.double:
                await self._record_again(key, number)
        self._tries += sender.tries
        sender.close()

    async def _record_again(self, key: str, number: int) -> None:
        await self._ledger.settled(number, self._plan.patience)
        log = connect_events(self._gateway.settings)
        update = await log.latest(ChangeKind.SHIPMENT, SOURCE, key)
        await log.record((), [update] if update else [])
        await log.close()

    async def _settle(self) -> None:
        """Wait until nothing is missing, or patience ends."""
        left = self._plan.patience
        while left > 0 and self._ledger.missing() > len(self._plan.lose) * len(TRANSPORTS) * self._plan.followers:
            await asyncio.sleep(0.1)
            left -= 0.1
        await asyncio.sleep(AFTERWARDS)

    async def _befall(self) -> None:
        """One fault after the other, in turn."""
        faults: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("worker killed", lambda: self._gateway.kill(self._chance)),
            ("workers replaced", self._gateway.replace),
        ]
        if (redis := self._redis) is not None:
            faults.insert(1, ("Redis killed and started", lambda: self._restart(redis)))
        while True:
            for name, fault in faults:
                await asyncio.sleep(self._plan.faults * self._chance.uniform(0.5, 1.5))
                self._befell[name] += 1
                await fault()
            self._all_befell = True

    async def _restart(self, redis: Server) -> None:
        await asyncio.to_thread(redis.kill)
        await asyncio.sleep(self._chance.uniform(0, 0.5))
        await asyncio.to_thread(redis.start)

    async def _drop_clients(self) -> None:
        while True:
            await asyncio.sleep(self._plan.faults / 10 * self._chance.uniform(0.5, 1.5))
            self._chance.choice(self._subscribers).drop()
            self._befell["clients dropped"] += 1


@contextmanager
def tasks(works: list[Callable[[], object]]) -> Iterator[None]:
    """Run these as long as this lasts."""
    running = [asyncio.ensure_future(work()) for work in works]  # type: ignore[arg-type]
    try:
        yield
    finally:
        for task in running:
            task.cancel()
        failed = [task for task in running if task.done() and not task.cancelled() and task.exception()]
        if failed:
            raise failed[0].exception()  # type: ignore[misc]
