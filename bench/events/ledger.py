"""The accountant's book: what was acknowledged, and what each subscriber got of it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field


@dataclass
class Account:
    """What one subscriber got, after it has left out what it had seen by its cursor."""

    name: str
    customer: str
    cursors: dict[str, int] = field(default_factory=dict)
    """Cursor -> number of the step, in the order they came."""
    numbers: set[int] = field(default_factory=set)
    repeated: int = 0
    """Deliveries left out, because their cursor was known."""
    told_lost: list[str] = field(default_factory=list)
    """Gaps that the gateway told, by their reason."""
    latencies: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Verdict:
    """Steps that were acknowledged and that somebody never got; steps that somebody got under two cursors; subscribers
    that got theirs in another order than others; gaps that were told."""

    acknowledged: int
    delivered: int
    repeated: int
    lost: tuple[tuple[str, int], ...]
    doubled: tuple[tuple[str, int], ...]
    disordered: tuple[str, ...]
    told_lost: tuple[tuple[str, str], ...]

    @property
    def good(self) -> bool:
        """Whether nothing was lost, doubled or out of order."""
        return not (self.lost or self.doubled or self.disordered or self.told_lost)

    def __str__(self) -> str:
        """One line for people."""
        return (
            f"{self.acknowledged} acknowledged, {self.delivered} deliveries: {len(self.lost)} lost, "
            f"{len(self.doubled)} doubled, {len(self.disordered)} subscribers out of order, "
            f"{len(self.told_lost)} gaps told ({self.repeated} repeated deliveries known by their cursor)"
        )


class Ledger:
    """Steps by number, each of one customer's shipment."""

    def __init__(self) -> None:
        self.accounts: list[Account] = []
        self._acknowledged: dict[int, tuple[str, float]] = {}
        self._came: Counter[int] = Counter()
        self._followers: Counter[str] = Counter()
        self._early: dict[int, list[tuple[Account, float]]] = {}
        self._settled: dict[int, asyncio.Event] = {}

    def account(self, name: str, customer: str) -> Account:
        """A new subscriber, who is to get everything of one customer that is acknowledged from now on."""
        made = Account(name, customer)
        self.accounts.append(made)
        self._followers[customer] += 1
        return made

    def followed(self, customer: str) -> bool:
        """Whether anybody follows a customer."""
        return bool(self._followers[customer])

    async def settled(self, number: int, seconds: float) -> None:
        """Return when all have got a step, at the latest after so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._settled.setdefault(number, asyncio.Event()).wait()

    def acknowledge(self, number: int, customer: str) -> None:
        """The gateway has said that it has this step."""
        now = time.perf_counter()
        self._acknowledged[number] = (customer, now)
        for account, came in self._early.pop(number, ()):
            account.latencies.append(max(came - now, 0.0))

    def got(self, account: Account, cursor: str, number: int) -> bool:
        """A subscriber got a step; whether that was news by its cursor."""
        if cursor in account.cursors:
            account.repeated += 1
            return False
        if number not in account.numbers:
            account.numbers.add(number)
            self._came[number] += 1
            if self._came[number] == self._followers[account.customer]:
                self._settled.setdefault(number, asyncio.Event()).set()
        account.cursors[cursor] = number
        now = time.perf_counter()
        if number in self._acknowledged:
            account.latencies.append(now - self._acknowledged[number][1])
        else:
            self._early.setdefault(number, []).append((account, now))
        return True

    def missing(self) -> int:
        """How many deliveries of acknowledged steps are still to come."""
        return sum(
            self._followers[customer] - self._came[number] for number, (customer, _) in self._acknowledged.items()
        )

    def latencies(self) -> list[float]:
        """Seconds from acknowledgement to each subscriber, sorted."""
        return sorted(seconds for account in self.accounts for seconds in account.latencies)

    def verdict(self) -> Verdict:
        """The book, closed."""
        of: dict[str, list[int]] = {}
        for number, (customer, _) in self._acknowledged.items():
            of.setdefault(customer, []).append(number)
        lost, doubled = [], []
        for one in self.accounts:
            got = Counter(one.cursors.values())
            lost += [(one.name, number) for number in of.get(one.customer, ()) if not got[number]]
            doubled += [(one.name, number) for number, times in got.items() if times > 1]
        return Verdict(
            acknowledged=len(self._acknowledged),
            delivered=sum(len(one.cursors) for one in self.accounts),
            repeated=sum(one.repeated for one in self.accounts),
            lost=tuple(lost),
            doubled=tuple(doubled),
            disordered=tuple(self._disordered()),
            told_lost=tuple((one.name, reason) for one in self.accounts for reason in one.told_lost),
        )

    def _disordered(self) -> list[str]:
        """Who got what several got in another order than the first of them."""
        first: dict[str, Account] = {}
        found = []
        for one in self.accounts:
            other = first.setdefault(one.customer, one)
            common = one.cursors.keys() & other.cursors.keys()
            if [c for c in one.cursors if c in common] != [c for c in other.cursors if c in common]:
                found.append(one.name)
        return found
