"""The accounts of callers whose role reaches assigned customers: named by the credential, by a source, or by both.

    source   the customers that the source assigns to the caller, instead of those of the credential
    both     those that the source assigns and the credential names

Assignments are cached for `accounts_max_age` seconds. While the source fails, they are used for `accounts_stale_for`
seconds more and the response is degraded; after that the caller is refused.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from cachetools import LRUCache

from app.auth.principal import AssignedAccounts, Principal
from app.errors import AccountsUnavailable, StoreUnavailable, TooManyAccounts, TradegraphError
from app.settings import AuthSettings
from app.telemetry import account_read, log

CACHED_SALESPEOPLE = 10_000
RETRY_AFTER = 1.0
"""Seconds after a failed read until the source is read again."""

STALE_WAIT = 0.5
"""Seconds to wait for a read before earlier accounts are used."""

Key = tuple[str, str]
"""A tenant and a salesperson."""


class Assignment(Protocol):
    """What a source assigns to a salesperson."""

    @property
    def customers(self) -> tuple[str, ...]: ...


ReadAssignments = Callable[[str, Sequence[str]], Awaitable[Mapping[str, Assignment | TradegraphError]]]
"""Reads the assignments of a tenant's salespeople, by salesperson. Unknown ones are absent; an error stands for those
that could not be read."""

Observe = Callable[[str, str, frozenset[str]], Awaitable[None]]
"""Told a tenant, a salesperson and the accounts, before they are used. Raises StoreUnavailable."""


@dataclass(frozen=True, slots=True)
class AccountSource:
    """Where assignments are read, under its name, and who observes them."""

    name: str
    read: ReadAssignments
    observe: Observe


class AccountDirectory:
    """Resolves the accounts of callers. Concurrent reads of one tenant are one call."""

    def __init__(
        self, settings: AuthSettings, source: AccountSource, *, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._source = source
        self._timer = timer
        self._known: LRUCache[Key, AssignedAccounts] = LRUCache(maxsize=CACHED_SALESPEOPLE)
        self._failed: LRUCache[Key, float] = LRUCache(maxsize=CACHED_SALESPEOPLE)
        self._waiting: dict[str, dict[str, asyncio.Future[None]]] = {}
        self._reads: set[asyncio.Task[None]] = set()

    async def resolve(self, principal: Principal) -> Principal:
        """The caller with its accounts. Raises AccountsUnavailable, TooManyAccounts."""
        if not principal.salesperson or not principal.has_assigned_accounts:
            return principal
        accounts = await self._accounts((principal.tenant, principal.salesperson))
        customers = accounts.customers
        if self._settings.accounts == "both":
            customers = accounts.within(principal.customers)
        return replace(principal, customers=customers, accounts=accounts)

    def expire(self, tenant: str, salesperson: str) -> None:
        """Read these accounts again before they are used: another worker has seen them change."""
        known = self._known.get((tenant, salesperson))
        if known is not None:
            known.fresh_until = 0.0

    async def aclose(self) -> None:
        """Stop reading."""
        for task in self._reads:
            task.cancel()
        await asyncio.gather(*self._reads, return_exceptions=True)

    async def _accounts(self, key: Key) -> AssignedAccounts:
        known = self._known.get(key)
        now = self._timer()
        if known is not None and now < known.fresh_until:
            return known
        if now >= self._failed.get(key, 0.0):
            with suppress(TimeoutError):
                async with asyncio.timeout(STALE_WAIT if known is not None and now < known.usable_until else None):
                    await self._join(key)
        known = self._known.get(key)
        if known is None or self._timer() >= known.usable_until:
            raise AccountsUnavailable
        if len(known.customers) > self._settings.max_accounts:
            raise TooManyAccounts(f"More than {self._settings.max_accounts} accounts are assigned to you.")
        return known

    async def _join(self, key: Key) -> None:
        """Wait for the read of this tick that includes the key."""
        tenant, salesperson = key
        batch = self._waiting.get(tenant)
        if batch is None:
            batch = self._waiting[tenant] = {}
            task = asyncio.create_task(self._read_batch(tenant))
            self._reads.add(task)
            task.add_done_callback(self._reads.discard)
        if salesperson not in batch:
            batch[salesperson] = asyncio.get_running_loop().create_future()
        await asyncio.shield(batch[salesperson])

    async def _read_batch(self, tenant: str) -> None:
        await asyncio.sleep(0)
        batch = self._waiting.pop(tenant)
        try:
            await self._read(tenant, list(batch))
        finally:
            for waiting in batch.values():
                if not waiting.done():
                    waiting.set_result(None)

    async def _read(self, tenant: str, salespeople: list[str]) -> None:
        began = self._timer()
        try:
            found = await self._source.read(tenant, salespeople)
        except TradegraphError as error:
            self._fail(tenant, salespeople, error)
            return
        for salesperson in salespeople:
            row = found.get(salesperson)
            if isinstance(row, TradegraphError):
                self._fail(tenant, [salesperson], row)
                continue
            try:
                await self._store((tenant, salesperson), frozenset(row.customers if row else ()), began)
            except StoreUnavailable as error:
                self._fail(tenant, [salesperson], error)

    async def _store(self, key: Key, customers: frozenset[str], began: float) -> None:
        known = self._known.get(key)
        if known is None or known.customers != customers:
            await self._source.observe(*key, customers)
        if known is None:
            known = self._known[key] = AssignedAccounts(self._source.name)
        account_read(self._source.name, "read")
        known.update(
            customers, began + self._settings.accounts_max_age, self._settings.accounts_stale_for, datetime.now(UTC)
        )
        self._failed.pop(key, None)

    def _fail(self, tenant: str, salespeople: Sequence[str], error: TradegraphError) -> None:
        account_read(self._source.name, "failed", len(salespeople))
        log.warning("accounts_not_read", source=self._source.name, code=error.code, detail=error.detail,
                    salespeople=len(salespeople))  # fmt: skip
        for salesperson in salespeople:
            self._failed[tenant, salesperson] = self._timer() + RETRY_AFTER
