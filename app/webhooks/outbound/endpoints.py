"""Endpoints: addresses of partners to which updates are posted, and what could not be posted yet, or at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import replace

from app.auth.principal import Principal, Role
from app.events.log import ChangeEvent

MOST_SECRETS = 2
"""Secrets that sign at once: the new one, and the one before it until it ends."""


class EndpointState(StrEnum):
    """A paused endpoint was stopped by people, a disabled one by the gateway; both go on from their place."""

    ACTIVE = "active"
    PAUSED = "paused"
    DISABLED = "disabled"


class Secret(Struct, frozen=True, kw_only=True):
    """What an endpoint's deliveries are signed with, until it ends. It is kept whole, because it has to sign."""

    value: str
    ends: datetime | None = None

    def __repr__(self) -> str:
        return f"Secret(ends={self.ends})"


class Endpoint(Struct, frozen=True, kw_only=True):
    """An address to which the updates of one subscription document are posted, as one client may see them.

    `document` is the id of a trusted document of `client`; its own `variables` say which updates. `roles` and
    `customers` are whose eyes it is read with. `secrets` are the newest first. `reason` tells why it is disabled.
    """

    id: str
    client: str
    url: str
    document: str
    variables: Mapping[str, Any] = {}
    roles: tuple[str, ...] = (Role.PARTNER.value,)
    customers: tuple[str, ...] = ()
    tenant: str = "default"
    secrets: tuple[Secret, ...]
    state: EndpointState = EndpointState.ACTIVE
    reason: str | None = None
    created: datetime

    @property
    def principal(self) -> Principal:
        """The principal that its deliveries are read as."""
        return Principal(
            subject=self.client,
            roles=frozenset(map(Role, self.roles)),
            customers=frozenset(self.customers),
            tenant=self.tenant,
            client=self.client,
        )

    @property
    def reader_name(self) -> str:
        """What its place in the event log is called."""
        return f"endpoint:{self.id}"

    def signing(self, now: datetime) -> list[str]:
        """The secrets that sign at a moment."""
        return [one.value for one in self.secrets if one.ends is None or now < one.ends]


class DeliveryGap(Struct, frozen=True, kw_only=True):
    """Updates between two cursors that were gone before they were delivered, and why."""

    start: str
    end: str
    reason: str


class Delivery(Struct, frozen=True, kw_only=True):
    """An update, or news of a gap, on its way to an endpoint: at least one attempt failed, or an earlier one of the
    same thing waits. `first_at` is when it was to be delivered first, `next_at` when it is tried again; `cause` what
    went wrong last. A dead one is not tried again until it is replayed."""

    endpoint: str
    cursor: str
    update: ChangeEvent | None = None
    gap: DeliveryGap | None = None
    attempts: int = 0
    first_at: datetime
    next_at: datetime
    cause: str | None = None
    dead_at: datetime | None = None

    @property
    def partition_key(self) -> str:
        """What is delivered one after the other: the updates of one thing."""
        return "" if self.update is None else self.update.node_id


def reset(one: Delivery, now: datetime) -> Delivery:
    """A dead delivery as if it were to be delivered for the first time."""
    return replace(one, attempts=0, first_at=now, next_at=now, dead_at=None)


class EndpointStore(Protocol):
    """Where endpoints are kept, and deliveries that wait. Raises StoreUnavailable where it cannot.

    Whatever people change moves `generation`, so that every worker notices it without reading anything else.
    """

    async def generation(self) -> int:
        """Rises when an endpoint is put or removed, and when deliveries are replayed."""
        ...

    async def all(self) -> Sequence[Endpoint]:
        """Every endpoint, by client and id."""
        ...

    async def put(self, endpoint: Endpoint, *, since: int) -> None:
        """Keep an endpoint, in place of the one with its id. Raises StoreChanged if `generation` is not `since`."""
        ...

    async def remove(self, id: str) -> bool:
        """Forget an endpoint and its deliveries; whether there was one."""
        ...

    async def save(self, deliveries: Sequence[Delivery]) -> None:
        """Keep deliveries, all or none, each in place of the one with its endpoint and cursor, which keeps its turn."""
        ...

    async def remove_deliveries(self, endpoint: str, cursors: Sequence[str]) -> None:
        """Forget deliveries."""
        ...

    async def pending(self, endpoint: str) -> Sequence[Delivery]:
        """What is to be tried again, in the order in which it was kept first."""
        ...

    async def dead_letters(self, endpoint: str | None = None, limit: int = 100) -> Sequence[Delivery]:
        """What is not tried any more, newest first."""
        ...

    async def replay(self, endpoint: str, cursors: Sequence[str] | None = None, *, now: datetime) -> int:
        """Try dead deliveries again, all by default, with all the time that a new one has; how many."""
        ...

    async def trim(self, before: datetime) -> int:
        """Forget what died before a moment; how many."""
        ...

    async def close(self) -> None:
        """Let go of files and connections."""
        ...
