"""Endpoints: partners' URLs to which change events are posted; their pending deliveries and dead letters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import replace

from app.auth.principal import AnyRole, Principal, Role
from app.events.log import ChangeEvent

MOST_SECRETS = 2
"""Secrets that sign at once: the new one, and the one before it until it ends."""


class EndpointState(StrEnum):
    """A paused endpoint was stopped by an operator, a disabled one by the gateway; both resume at their offset."""

    ACTIVE = "active"
    PAUSED = "paused"
    DISABLED = "disabled"


class Secret(Struct, frozen=True, kw_only=True):
    """A signing secret, until it ends. It is stored in clear, because it has to sign."""

    value: str
    ends: datetime | None = None

    def __repr__(self) -> str:
        return f"Secret(ends={self.ends})"


class Endpoint(Struct, frozen=True, kw_only=True):
    """A partner's URL to which the events of one subscription document are posted, as one client may see them.

    `document` is the id of a trusted document of `client`, run with `variables`, as a principal with `roles` and
    `customers`. `secrets` are the newest first. `reason` tells why it is disabled.
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

    def principal(self, roles: Mapping[str, AnyRole]) -> Principal:
        """The principal that its payloads are rendered for; a role that the deployment does not have grants nothing."""
        return Principal(
            subject=self.client,
            roles=frozenset(roles[name] for name in self.roles if name in roles),
            customers=frozenset(self.customers),
            tenant=self.tenant,
            client=self.client,
            salesperson=self.client,
        )

    @property
    def reader_name(self) -> str:
        """The name of its offset and its lease in the event log."""
        return f"endpoint:{self.id}"

    def signing(self, now: datetime) -> list[str]:
        """The secrets that sign at a moment."""
        return [one.value for one in self.secrets if one.ends is None or now < one.ends]


class DeliveryGap(Struct, frozen=True, kw_only=True):
    """Events between two cursors were trimmed before they were delivered, and the reason."""

    start: str
    end: str
    reason: str


class Delivery(Struct, frozen=True, kw_only=True):
    """A pending delivery of an event or a gap: an attempt failed, or an earlier delivery of its subject is pending.
    `first_at` is when it was first due, `next_at` when it is tried again, `cause` the last failure. A dead letter is
    not tried again until it is replayed."""

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
        """Deliveries of one key are made in order: those of one subject."""
        return "" if self.update is None else self.update.node_id


def reset(one: Delivery, now: datetime) -> Delivery:
    """A dead letter as a delivery that was never tried."""
    return replace(one, attempts=0, first_at=now, next_at=now, dead_at=None)


class EndpointStore(Protocol):
    """The store of endpoints and their deliveries. Raises StoreUnavailable.

    Changes by operators raise `generation`, so that workers notice them without reading anything else.
    """

    async def generation(self) -> int:
        """Rises when an endpoint is put or removed, and when dead letters are replayed."""
        ...

    async def all(self) -> Sequence[Endpoint]:
        """Every endpoint, by client and id."""
        ...

    async def put(self, endpoint: Endpoint, *, since: int) -> None:
        """Store an endpoint in place of the one with its id. Raises StoreChanged if `generation` is not `since`."""
        ...

    async def remove(self, id: str) -> bool:
        """Delete an endpoint and its deliveries; whether there was one."""
        ...

    async def save(self, deliveries: Sequence[Delivery]) -> None:
        """Store deliveries, all or none, in place of those with their endpoint and cursor, whose order they keep."""
        ...

    async def remove_deliveries(self, endpoint: str, cursors: Sequence[str]) -> None:
        """Delete deliveries."""
        ...

    async def pending(self, endpoint: str) -> Sequence[Delivery]:
        """Deliveries to be tried again, in the order in which they were first stored."""
        ...

    async def dead_letters(self, endpoint: str | None = None, limit: int = 100) -> Sequence[Delivery]:
        """Deliveries that were given up, newest first."""
        ...

    async def replay(self, endpoint: str, cursors: Sequence[str] | None = None, *, now: datetime) -> int:
        """Try dead letters again, all by default, with the full retry period; how many."""
        ...

    async def trim(self, before: datetime) -> int:
        """Delete dead letters from before a moment; how many."""
        ...

    async def close(self) -> None:
        """Close files and connections."""
        ...
