"""Intakes in an SQLite file, for all gateways of one machine."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from app.errors import KeyReused
from app.intake.approvals import pending_spending, with_spending
from app.intake.reconciliation import ReconciliationResult, ReconciliationStatus
from app.intake.records import (
    QUEUED,
    IntakeFilter,
    IntakeState,
    OrderChange,
    OrderIntake,
    QueueDepth,
    held_as_duplicate,
)
from app.intake.store import Change, IntakeKey, IntakePage, Submitted
from app.intake.stores import rows
from app.intake.stores.claim_wakeups import ClaimWakeUps
from app.intake.stores.lease_clock import Boot, current_boot, lease_clock
from app.storage.batch_queue import WakeUp
from app.storage.sqlite import SQLiteDatabase
from app.storage.sqlite_store import SQLiteStore, SQLiteWatcher

WATCH_INTERVAL = 0.025
"""Seconds between two checks for writes of other processes."""

TABLE = (
    """
CREATE TABLE IF NOT EXISTS intakes (
    position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, tenant TEXT NOT NULL, client TEXT NOT NULL,
    mutation TEXT NOT NULL, key TEXT NOT NULL, digest TEXT NOT NULL, version INTEGER NOT NULL, state TEXT NOT NULL,
    channel TEXT NOT NULL, received REAL NOT NULL, since REAL NOT NULL, submitted_by TEXT NOT NULL,
    customer TEXT NOT NULL, customer_po TEXT NOT NULL, target TEXT NOT NULL, attempts INTEGER NOT NULL, sent_at REAL,
    due_at REAL NOT NULL, owner TEXT, lease_until REAL, order_id TEXT, order_number TEXT, cause TEXT,
    content TEXT NOT NULL, po_key TEXT NOT NULL, published INTEGER NOT NULL DEFAULT 0
);
"""
    + rows.INDEXES
)


def _sql(text: str) -> str:
    return rows.statement(text, "$99")


CANDIDATES = "SELECT id FROM intakes INDEXED BY intakes_claimable WHERE CLAIMABLE ORDER BY QUEUE_ORDER LIMIT $2"
# By the ids alone: the planner would walk the whole queue for the target.
CLAIM = (
    "UPDATE intakes INDEXED BY intakes_id SET owner = $2, lease_until = $99 + $3 "
    "WHERE id IN (SELECT value FROM json_each($4)) AND CLAIMABLE RETURNING position, COLUMNS"
)
IN_STATE = "CLAIMABLE AND state = $98"
CLAIM_IN_STATE = _sql(CANDIDATES.replace("CLAIMABLE", IN_STATE)), _sql(CLAIM.replace("CLAIMABLE", IN_STATE))
CLAIM_ANY = _sql(CANDIDATES), _sql(CLAIM)
INSERT, BEGIN_ATTEMPT, UPDATE = _sql(rows.INSERT), _sql(rows.BEGIN_ATTEMPT), _sql(rows.UPDATE)
BY_ID, BY_KEY, UNPUBLISHED = _sql(rows.BY_ID), _sql(rows.BY_KEY), _sql(rows.UNPUBLISHED)
INSERT_ORDER_CHANGE, RESUME_ORDER_CHANGE = _sql(rows.INSERT_ORDER_CHANGE), _sql(rows.RESUME_ORDER_CHANGE)
TRIM_ORDER_CHANGES = _sql(rows.TRIM_ORDER_CHANGES)
BEGIN_RECONCILIATION, RECONCILIATION = _sql(rows.BEGIN_RECONCILIATION), _sql(rows.RECONCILIATION)
BY_ORDER = _sql(
    "SELECT COLUMNS FROM intakes WHERE target = $1 AND order_id IN (SELECT value FROM json_each($2)) "
    "AND order_id IS NOT NULL"
)
PAGE = _sql("SELECT position, COLUMNS FROM intakes")
TRIM = """
DELETE FROM intakes WHERE position IN (
    SELECT position FROM intakes WHERE received < $1 AND state NOT IN ('RECEIVED', 'POSTING')
    AND position < coalesce((SELECT position FROM intakes WHERE received >= $1 ORDER BY position LIMIT 1), 1 << 62)
    ORDER BY position LIMIT 1000
)
"""
# The end of the queue's index. Of all targets at once it would be the end of the table: of what was posted for months.
NEWEST = _sql(
    "SELECT position FROM intakes INDEXED BY intakes_claimable WHERE target = $1 AND state = $2 "
    "AND state IN ('RECEIVED', 'POSTING') ORDER BY QUEUE_ORDER DESC LIMIT 1"
)


def _named(*values: Any, now: float | None = None) -> dict[str, Any]:
    """Parameters `$1`, `$2`, ...; the time is `$99`."""
    named = {str(number + 1): value for number, value in enumerate(values)}
    return named if now is None else {**named, "99": now}


class SQLiteIntakes:
    """The store over one file, for one event loop. `clock` is the time of day. Leases follow the time since `boot`;
    with a clock and no boot, the clock."""

    def __init__(self, file: Path, *, clock: Callable[[], float] | None = None, boot: Boot | None = None) -> None:
        self._clock = clock or time.time
        self._boot = boot or (current_boot() if clock is None else None)
        self._lease_clock: Callable[[], float] | None = None if self._boot else self._clock
        self._database = SQLiteDatabase(file, (TABLE, *rows.MIGRATIONS))
        self._store = SQLiteStore(self._database)
        self._watcher: SQLiteWatcher | None = None
        self._queue = ClaimWakeUps()
        self._changes = WakeUp()

    async def submit(self, intake: OrderIntake, *, guard_po: float) -> Submitted:
        submitted = await self._store.write(lambda sql: _submit(sql, intake, guard_po))
        if submitted.intake.digest != intake.digest:
            raise KeyReused
        if submitted.created:
            self._queue.notify()
            self._changes.notify()
        return submitted

    async def by_id(self, ids: Sequence[str]) -> Mapping[str, OrderIntake]:
        def read(sql: sqlite3.Connection) -> Mapping[str, OrderIntake]:
            found = (sql.execute(BY_ID, _named(id)).fetchone() for id in dict.fromkeys(ids))
            return {one.id: one for one in (rows.record(row) for row in found if row)}

        return await self._store.read(read)

    async def by_key(self, keys: Sequence[IntakeKey]) -> Mapping[IntakeKey, OrderIntake]:
        def read(sql: sqlite3.Connection) -> Mapping[IntakeKey, OrderIntake]:
            found = {key: sql.execute(BY_KEY, _named(*key)).fetchone() for key in keys}
            return {key: rows.record(row) for key, row in found.items() if row}

        return await self._store.read(read)

    async def by_order(self, target: str, order_ids: Sequence[str]) -> Mapping[str, OrderIntake]:
        values = _named(target, json.dumps(list(order_ids)))
        found = await self._store.read(lambda sql: sql.execute(BY_ORDER, values).fetchall())
        return {one.order_id: one for one in map(rows.record, found) if one.order_id is not None}

    async def page(self, query: IntakeFilter, first: int, before: int | None = None) -> IntakePage:
        text, values = page_statement(query, first, before)
        found = await self._store.read(lambda sql: sql.execute(text, values).fetchall())
        return IntakePage([(row[0], rows.record(row[1:])) for row in found[:first]], len(found) > first)

    async def count(self, query: IntakeFilter) -> int:
        where, values = _matching(query, None)
        index = "" if query.queued_before is None else "INDEXED BY intakes_undone"
        text = f"SELECT count(*) FROM intakes {index} WHERE {where}"  # noqa: S608 - of constants
        (found,) = await self._store.read(lambda sql: sql.execute(text, values).fetchone())
        return int(found)

    async def claim(
        self, target: str, owner: str, limit: int, lease: float, state: IntakeState | None = None
    ) -> Sequence[OrderIntake]:
        with self._queue.of(target, state).claiming() as claim:
            now = await self._lease_time()
            find, claim_found = CLAIM_ANY if state is None else CLAIM_IN_STATE
            of_state = {} if state is None else {"98": state.value}
            named = _named(target, limit, now=now) | of_state
            ids = await self._store.read(lambda sql: sql.execute(find, named).fetchall())
            claim.exhausted = len(ids) < limit
            if not ids:
                return ()
            values = _named(target, owner, lease, json.dumps([id for (id,) in ids]), now=now) | of_state
            claimed = await self._store.write(lambda sql: sql.execute(claim_found, values).fetchall())
        return [rows.record(row[1:]) for row in sorted(claimed)]

    async def begin_attempt(self, claimed: OrderIntake, lease: float, retry_in: float) -> OrderIntake | None:
        values = _named(claimed.id, claimed.owner, lease, retry_in, now=await self._lease_time())
        row = await self._store.write(lambda sql: sql.execute(BEGIN_ATTEMPT, values).fetchone())
        return rows.record(row) if row else None

    async def complete(self, claimed: OrderIntake, changed: OrderIntake, *, delay: float | None = None) -> bool:
        now, lease_time = self._clock(), await self._lease_time()

        def update(sql: sqlite3.Connection) -> Any:
            after = rows.next_version(claimed, _within_limits(sql, changed), now)
            values = _named(*rows.update_values(after, claimed.owner, delay), now=lease_time)
            return sql.execute(UPDATE, values).fetchone()

        row = await self._store.write(update)
        self._queue.notify()  # The next order of the customer is free.
        self._changes.notify()
        return row is not None

    async def change(self, id: str, version: int | None, change: Change) -> OrderIntake | None:
        now = await self._lease_time()
        changed = await self._store.write(lambda sql: _change(sql, id, version, change, self._clock(), now))
        self._queue.notify()
        self._changes.notify()
        return changed

    async def begin_order_change(self, given: OrderChange, retry_in: float) -> tuple[OrderChange, bool]:
        now = await self._lease_time()
        return await self._store.write(lambda sql: _begin_order_change(sql, given, retry_in, now))

    async def finish_order_change(self, finished: OrderChange) -> None:
        named = _named(*rows.order_change_key(finished), finished.state.value, rows.encode_order_change(finished))
        await self._store.write(lambda sql: sql.execute(rows.FINISH_ORDER_CHANGE, named))

    async def unpublished(self, limit: int = 500) -> Sequence[OrderIntake]:
        with self._changes.claiming() as claim:
            found = await self._store.read(lambda sql: sql.execute(UNPUBLISHED, _named(limit)).fetchall())
            claim.exhausted = len(found) < limit
        return [rows.record(row) for row in found]

    async def wait_changes(self, seconds: float) -> None:
        await self._changes.wait(seconds)

    async def mark_published(self, versions: Mapping[str, int]) -> None:
        values = [_named(*entry) for entry in versions.items()]
        await self._store.write(lambda sql: sql.executemany(rows.MARK_PUBLISHED, values))

    async def depths(self, query: IntakeFilter | None = None) -> Sequence[QueueDepth]:
        query = query or IntakeFilter()
        where, values = _matching(query, None)
        text = rows.DEPTHS.replace("MATCHING", where)
        if query.customers is None:
            text = text.replace("FROM intakes", "FROM intakes INDEXED BY intakes_undone")
        found = await self._store.read(lambda sql: sql.execute(text, values).fetchall())
        return [
            QueueDepth(target=target, state=IntakeState(state), count=count, oldest=oldest)
            for target, state, count, oldest in found
        ]

    async def begin_reconciliation(self, tenant: str, lease: float) -> bool:
        values = _named(tenant, lease, now=await self._lease_time())
        return await self._store.write(lambda sql: sql.execute(BEGIN_RECONCILIATION, values).fetchone()) is not None

    async def finish_reconciliation(self, tenant: str, result: ReconciliationResult) -> None:
        values = _named(tenant, rows.encode_reconciliation(result))
        await self._store.write(lambda sql: sql.execute(rows.FINISH_RECONCILIATION, values))

    async def reconciliation(self, tenant: str) -> ReconciliationStatus:
        values = _named(tenant, now=await self._lease_time())
        return rows.reconciliation_status(
            await self._store.read(lambda sql: sql.execute(RECONCILIATION, values).fetchone())
        )

    async def wait_queue(self, seconds: float, target: str, state: IntakeState | None = None) -> None:
        self._watch()
        await self._queue.of(target, state).wait(seconds)

    async def trim(self, age: float) -> int:
        before, count = self._clock() - age, 0
        while part := await self._store.write(lambda sql: sql.execute(TRIM, _named(before)).rowcount):
            count += part
        values = _named(age, now=await self._lease_time())
        await self._store.write(lambda sql: sql.execute(TRIM_ORDER_CHANGES, values))
        return count

    async def close(self) -> None:
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            await asyncio.to_thread(watcher.close)
        await self._store.close()

    async def _lease_time(self) -> float:
        if self._lease_clock is None:
            assert self._boot is not None  # noqa: S101 - without one the clock is set
            boot = self._boot
            self._lease_clock = await self._store.write(lambda sql: lease_clock(sql, boot, self._clock))
        return self._lease_clock()

    def _watch(self) -> None:
        if self._watcher is not None:
            return
        loop = asyncio.get_running_loop()

        def observe(newest: int) -> None:
            self._queue.observe(newest)
            self._changes.notify()

        def notify(newest: int) -> None:
            with suppress(RuntimeError):  # The loop has ended, and nobody waits.
                loop.call_soon_threadsafe(observe, newest)

        self._watcher = SQLiteWatcher(
            self._database, lambda sql: _newest(sql, self._queue.targets), notify, seconds=WATCH_INTERVAL
        )


def page_statement(query: IntakeFilter, first: int, before: int | None) -> tuple[str, dict[str, Any]]:
    """The statement of a page and its parameters. Left alone, the planner reads all intakes of a tenant and sorts
    them."""
    where, values = _matching(query, before)
    index = ""
    if query.queued_before is not None:  # They are few, also among those of many customers.
        index = "INDEXED BY intakes_undone"
    elif query.customers is None and query.tiers is None and query.customer_po is None:
        index = "INDEXED BY intakes_undone" if rows.reads_open(query) else "NOT INDEXED"
    return f"{PAGE} {index} WHERE {where} ORDER BY position DESC LIMIT {first + 1:d}", values


def _matching(query: IntakeFilter, before: int | None) -> tuple[str, dict[str, Any]]:
    """The WHERE clause of a filter and its parameters."""
    where, values = rows.conditions(query, before, "{0} IN (SELECT value FROM json_each(?))")
    return where, _named(*(json.dumps(value) if isinstance(value, list) else value for value in values))


def _newest(sql: sqlite3.Connection, targets: Iterable[str]) -> int:
    """The position of the newest queued intake of these targets; 0 for none."""
    found = (
        sql.execute(NEWEST, _named(target, state.value)).fetchone() for target in targets for state in sorted(QUEUED)
    )
    return max((row[0] for row in found if row), default=0)


def _submit(sql: sqlite3.Connection, intake: OrderIntake, guard_po: float) -> Submitted:
    key = intake.tenant, intake.client, intake.mutation, intake.key
    known = sql.execute(BY_KEY, _named(*key)).fetchone()
    if known:
        return Submitted(rows.record(known), created=False)
    po = intake.tenant, intake.customer, rows.po_key(intake.customer_po), intake.received - guard_po
    if not intake.content.allow_duplicate_po and sql.execute(rows.PO_USED, _named(*po)).fetchone():
        intake = held_as_duplicate(intake)
    intake = _within_limits(sql, intake)
    sql.execute(INSERT, _named(*rows.insert_values(intake)))
    return Submitted(intake, created=True)


def _within_limits(sql: sqlite3.Connection, intake: OrderIntake) -> OrderIntake:
    """The intake, compared with the limits of periods that are pending."""
    spending = pending_spending(intake)
    if spending is None:
        return intake
    row = sql.execute(rows.SPENT, _named(*rows.spent_values(intake, spending))).fetchone()
    return with_spending(intake, rows.spent_by_rule(spending, row))


def _begin_order_change(
    sql: sqlite3.Connection, given: OrderChange, retry_in: float, now: float
) -> tuple[OrderChange, bool]:
    key = rows.order_change_key(given)
    inserted = sql.execute(
        INSERT_ORDER_CHANGE, _named(*key, given.digest, rows.encode_order_change(given), now=now)
    ).fetchone()
    if inserted is None:
        inserted = sql.execute(RESUME_ORDER_CHANGE, _named(*key, given.digest, retry_in, now=now)).fetchone()
    row = inserted or sql.execute(rows.KNOWN_ORDER_CHANGE, _named(*key)).fetchone()
    return rows.decode_order_change(row[0]), inserted is not None


def _change(
    sql: sqlite3.Connection, id: str, version: int | None, change: Change, now: float, lease_time: float
) -> OrderIntake | None:
    row = sql.execute(BY_ID, _named(id)).fetchone()
    if row is None:
        return None
    before = rows.record(row)
    after, delay = rows.changed(before, lambda one, at: _within_limits(sql, change(one, at)), version, now, lease_time)
    row = sql.execute(UPDATE, _named(*rows.update_values(after, before.owner, delay), now=lease_time)).fetchone()
    return rows.record(row)
