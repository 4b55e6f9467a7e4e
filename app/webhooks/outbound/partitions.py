"""Pending deliveries of one endpoint, partitioned by subject: in order within a partition, in parallel otherwise."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from app.webhooks.outbound.endpoints import Delivery


@dataclass(slots=True)
class Offset:
    """A cursor that was read, or a gap before one. `settled` once it need not be read again after a crash."""

    cursor: str | None
    settled: bool = False


@dataclass(slots=True)
class PendingDelivery:
    """A delivery; `stored` if the store has it, else `offset` is its position in the log."""

    delivery: Delivery
    stored: bool
    offset: Offset | None = None


@dataclass(slots=True)
class Partition:
    """Deliveries in order. `busy` while the first is being attempted."""

    name: str
    items: deque[PendingDelivery] = field(default_factory=deque)
    busy: bool = False

    @property
    def is_blocked(self) -> bool:
        """Whether its first delivery is stored: it failed, or waits for another reason."""
        return bool(self.items) and self.items[0].stored


class PartitionedQueue:
    """All partitions of an endpoint, by when they are due."""

    def __init__(self) -> None:
        self._partitions: dict[str, Partition] = {}
        self._ready: deque[Partition] = deque()
        self._later: list[tuple[datetime, int, Partition]] = []
        self._count = 0

    def __len__(self) -> int:
        return sum(len(partition.items) for partition in self._partitions.values())

    def __iter__(self) -> Iterator[Partition]:
        return iter(list(self._partitions.values()))

    def partition(self, delivery: Delivery) -> Partition:
        return self._partitions.setdefault(delivery.partition_key, Partition(delivery.partition_key))

    def add(self, item: PendingDelivery) -> None:
        """Append a delivery to its partition."""
        partition = self.partition(item.delivery)
        partition.items.append(item)
        if len(partition.items) == 1:
            self.schedule(partition)

    def schedule(self, partition: Partition) -> None:
        """Schedule a partition by its first delivery; an empty one is removed."""
        if not partition.items:
            self._partitions.pop(partition.name, None)
            return
        self._count += 1
        heapq.heappush(self._later, (partition.items[0].delivery.next_at, self._count, partition))

    def next(self, now: datetime) -> Partition | None:
        """A partition that is due, the longest waiting first."""
        while self._later and self._later[0][0] <= now:
            self._ready.append(heapq.heappop(self._later)[2])
        while self._ready:
            partition = self._ready.popleft()
            if partition.items and not partition.busy:
                return partition
        return None

    def due(self) -> datetime | None:
        """When the next partition is due that is not due now."""
        return self._later[0][0] if self._later else None
