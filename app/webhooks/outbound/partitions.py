"""What is on its way to one endpoint, in lanes: of one thing's updates the first goes first, other things go beside."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from app.webhooks.outbound.subscriptions import Delivery


@dataclass(slots=True)
class Step:
    """A place in the log that was read, or a gap before it. `settled`: what is there needs no reading again, come
    what may."""

    cursor: str | None
    settled: bool = False


@dataclass(slots=True)
class Item:
    """A delivery; `kept` if the store has it, else `step` is its place in the log."""

    delivery: Delivery
    kept: bool
    step: Step | None = None


@dataclass(slots=True)
class Lane:
    """Deliveries one after the other. `busy` while the first is on its way."""

    name: str
    items: deque[Item] = field(default_factory=deque)
    busy: bool = False

    @property
    def waits(self) -> bool:
        """Whether its first delivery failed, or was kept for another reason."""
        return bool(self.items) and self.items[0].kept


class Lanes:
    """All lanes of an endpoint, and which may go when."""

    def __init__(self) -> None:
        self._lanes: dict[str, Lane] = {}
        self._ready: deque[Lane] = deque()
        self._later: list[tuple[datetime, int, Lane]] = []
        self._count = 0

    def __len__(self) -> int:
        return sum(len(lane.items) for lane in self._lanes.values())

    def __iter__(self) -> Iterator[Lane]:
        return iter(list(self._lanes.values()))

    def lane(self, delivery: Delivery) -> Lane:
        """The lane of a delivery."""
        return self._lanes.setdefault(delivery.lane, Lane(delivery.lane))

    def add(self, item: Item) -> None:
        """Put a delivery at the end of its lane."""
        lane = self.lane(item.delivery)
        lane.items.append(item)
        if len(lane.items) == 1:
            self.schedule(lane)

    def schedule(self, lane: Lane) -> None:
        """Let a lane go on when its first delivery may; one that is empty is gone."""
        if not lane.items:
            self._lanes.pop(lane.name, None)
            return
        self._count += 1
        heapq.heappush(self._later, (lane.items[0].delivery.next_at, self._count, lane))

    def next(self, now: datetime) -> Lane | None:
        """A lane whose first delivery may be tried now; those that have waited longest first."""
        while self._later and self._later[0][0] <= now:
            self._ready.append(heapq.heappop(self._later)[2])
        while self._ready:
            lane = self._ready.popleft()
            if lane.items and not lane.busy:
                return lane
        return None

    def due(self) -> datetime | None:
        """When the next lane may go that may not go now."""
        return self._later[0][0] if self._later else None
