"""What the fan-out hands to subscribers, and by what they filter it."""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterator, Sequence
from typing import Any

from app.auth.principal import AssignedAccounts
from app.events.log import ChangeEvent, EventPage, LoggedEvent, LossReason
from app.sources.changes import ChangeKind

IndexKey = tuple[ChangeKind, str, str]
"""A key of the fan-out's index: a kind, what is named (subjects, orders, customers), and its name."""


class Subject:
    """What events are about. `shared` caches what was read of it for one subscriber, until its next event."""

    __slots__ = ("__weakref__", "shared")

    def __init__(self) -> None:
        self.shared: dict[Hashable, Any] = {}


class FanoutEvent:
    """A logged event. Events of one subject share it, so that several subscribers share one read."""

    __slots__ = ("cursor", "subject", "update")

    def __init__(self, logged: LoggedEvent, subject: Subject | None = None) -> None:
        self.cursor = logged.cursor
        self.update = logged.update
        self.subject = subject or Subject()


class FanoutGap:
    """Events between the cursors `after` and `to` were trimmed. Reading resumes after `cursor`, before the oldest."""

    __slots__ = ("after", "cursor", "reason", "to")

    def __init__(self, after: str, page: EventPage, reason: LossReason) -> None:
        self.after = after
        self.cursor = page.start
        self.to = page.entries[0].cursor if page.entries else page.cursor
        self.reason = reason


FanoutItem = FanoutEvent | FanoutGap


class EventFilter:
    """Events of one kind, about one of these customers, one of these orders and one of these subjects, by their
    `subject_keys`. None matches any. `accounts` that change while a subscriber waits are looked up for each event; an
    event matches while they are stale, so that the subscriber's caller is authorized again."""

    __slots__ = ("accounts", "customers", "kind", "orders", "subjects")

    def __init__(
        self,
        kind: ChangeKind,
        *,
        customers: frozenset[str] | None = None,
        orders: frozenset[str] | None = None,
        subjects: frozenset[str] | None = None,
        accounts: AssignedAccounts | None = None,
    ) -> None:
        self.kind = kind
        self.accounts = accounts
        self.customers = customers
        self.orders = orders
        self.subjects = subjects

    def matches(self, item: FanoutItem) -> bool:
        """Whether an item matches. A gap matches every filter: what was in it is unknown."""
        if isinstance(item, FanoutGap):
            return True
        event = item.update
        return (
            event.kind is self.kind
            and (self.customers is None or event.customer in self.customers)
            and (self.accounts is None or self._is_assigned(self.accounts, event.customer))
            and (self.orders is None or not self.orders.isdisjoint(event.orders))
            and (self.subjects is None or not self.subjects.isdisjoint(subject_keys(event)))
        )

    @staticmethod
    def _is_assigned(accounts: AssignedAccounts, customer: str | None) -> bool:
        return customer in accounts.customers or accounts.is_stale(time.monotonic())

    def index_keys(self) -> Iterator[IndexKey]:
        """The keys to index a subscriber by: the narrowest set that the filter names."""
        for family in ("subjects", "orders", "customers"):
            named: frozenset[str] | None = getattr(self, family)
            if named is not None:
                yield from ((self.kind, family, name) for name in named)
                return
        yield (self.kind, "", "")


def subject_key(source: str, key: str) -> str:
    """A subject by its key in a source."""
    return f"{source}:{key}"


def subject_keys(event: ChangeEvent) -> tuple[str, ...]:
    """The names of an event's subject: its node id, its key in the source, its tracking number."""
    names = (event.node_id, subject_key(event.source, event.key))
    return (*names, event.tracking_number) if event.tracking_number else names


def index_keys(event: ChangeEvent) -> Iterator[IndexKey]:
    """The keys under which a subscriber to an event may be indexed."""
    yield (event.kind, "", "")
    if event.customer is not None:
        yield (event.kind, "customers", event.customer)
    yield from ((event.kind, "orders", number) for number in event.orders)
    yield from ((event.kind, "subjects", name) for name in subject_keys(event))


def coalesce(items: Sequence[FanoutItem]) -> list[FanoutItem]:
    """The newest event of each subject and every gap, in order."""
    newest = {item.update.node_id: item for item in items if isinstance(item, FanoutEvent)}
    return [item for item in items if isinstance(item, FanoutGap) or newest[item.update.node_id] is item]
