"""Changes of assigned accounts, recorded as events: from them, `changes` tells which customers a caller gained or lost.

The accounts that were last seen of a salesperson are stored in the log, so that a change is also found after a restart,
and by one worker for all. Workers that see a change at once record it twice, which a reader cannot tell from once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from app.auth.principal import SYSTEM, Principal
from app.errors import TradegraphError
from app.events.log import ChangeEvent, EventLog
from app.sources.accounts import AccountAssignment, Accounts
from app.sources.changes import ChangeKind
from app.sources.node_ids import node_id
from app.telemetry import account_read, log, open_scope

TIME_LIMIT = 5.0


async def assigned_accounts(
    port: Accounts, tenant: str, salespeople: Sequence[str]
) -> Mapping[str, AccountAssignment | TradegraphError]:
    """The accounts that a source assigns, read for the gateway itself: the caller is not known yet. Raises SourceError,
    DeadlineExceeded."""
    gateway = Principal(subject="system", roles=SYSTEM.roles, tenant=tenant)
    with open_scope(timeout=TIME_LIMIT):
        return await port.assigned(gateway, salespeople)  # type: ignore[return-value]


class AssignmentRecorder:
    """Compares accounts with those last seen. `source` is the name of the source that assigns them."""

    def __init__(self, events: EventLog, source: str, clock: Callable[[], datetime]) -> None:
        self._events = events
        self._source = source
        self._clock = clock

    async def observe(self, tenant: str, salesperson: str, customers: frozenset[str]) -> None:
        """Record what changed. Raises StoreUnavailable."""
        name = f"accounts:{tenant}:{salesperson}"
        stored = await self._events.offset(name)
        known = None if stored is None else frozenset(msgspec.json.decode(stored, type=list[str]))
        if known == customers:
            return
        if known is not None:
            moved = sorted(known ^ customers)
            await self._events.record((), [self._event(tenant, salesperson, number) for number in moved])
            account_read(self._source, "changed")
            log.info("accounts_changed", source=self._source, salesperson=salesperson,
                     gained=len(customers - known), lost=len(known - customers))  # fmt: skip
        await self._events.commit_offset(name, msgspec.json.encode(sorted(customers)).decode())

    def _event(self, tenant: str, salesperson: str, number: str) -> ChangeEvent:
        return ChangeEvent(
            kind=ChangeKind.CUSTOMER,
            source=self._source,
            key=number,
            node_id=node_id("Customer", number),
            recorded_at=self._clock(),
            customer=number,
            tenant=tenant,
            assigned_to=salesperson,
        )


class AssignmentInvalidator:
    """Expires cached accounts whose change another worker has recorded."""

    def __init__(self, expire: Callable[[str, str], None]) -> None:
        self._expire = expire

    def reset(self) -> None:
        """Nothing: cached accounts expire by themselves."""

    def apply(self, events: Iterable[ChangeEvent]) -> None:
        """Expire the accounts that these events changed."""
        for tenant, salesperson in {(one.tenant, one.assigned_to) for one in events}:
            if tenant is not None and salesperson is not None:
                self._expire(tenant, salesperson)
