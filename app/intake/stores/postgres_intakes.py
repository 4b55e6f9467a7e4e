"""Intakes in PostgreSQL, for gateways of several machines. Leases are by the server's clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

from app.errors import KeyReused, StoreUnavailable
from app.intake.approvals import pending_spending, with_spending
from app.intake.reconciliation import ReconciliationResult, ReconciliationStatus
from app.intake.records import (
    IntakeFilter,
    IntakeState,
    OrderChange,
    OrderIntake,
    QueueDepth,
    held_as_duplicate,
    po_key,
)
from app.intake.store import Change, IntakeKey, IntakePage, Submitted
from app.intake.stores import rows
from app.intake.stores.claim_wakeups import ClaimWakeUps
from app.settings import PostgresSettings
from app.storage.batch_queue import BatchQueue, WakeUp
from app.storage.postgres import Connection, PostgresDatabase
from app.telemetry import log

CHANNEL = "intake_queue"
LISTEN_RETRY = 1.0
"""Seconds until the notifications of other gateways are subscribed to again."""

CLOCK = "extract(epoch FROM statement_timestamp())::float8"

TABLE = (
    """
CREATE TABLE intakes (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id text NOT NULL, tenant text NOT NULL,
    client text NOT NULL, mutation text NOT NULL, key text NOT NULL, digest text NOT NULL, version integer NOT NULL,
    state text NOT NULL, channel text NOT NULL, received float8 NOT NULL, since float8 NOT NULL,
    submitted_by text NOT NULL, customer text NOT NULL, customer_po text NOT NULL, target text NOT NULL,
    attempts integer NOT NULL, sent_at float8, due_at float8 NOT NULL, owner text, lease_until float8, order_id text,
    order_number text, cause text, content text NOT NULL, po_key text NOT NULL, published integer NOT NULL DEFAULT 0
);
"""
    + rows.INDEXES
)
LOCK = "SELECT pg_advisory_xact_lock(number) FROM unnest($1::bigint[]) AS number"
KNOWN = """
SELECT COLUMNS FROM intakes WHERE (tenant, client, mutation, key) IN (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
)
"""
USED_NUMBERS = """
SELECT given.* FROM unnest($1::text[], $2::text[], $3::text[], $4::float8[]) AS given (tenant, customer, po_key, since)
CROSS JOIN LATERAL (
    SELECT 1 FROM intakes WHERE intakes.tenant = given.tenant AND intakes.customer = given.customer
    AND intakes.po_key = given.po_key AND intakes.received > given.since
    AND intakes.state NOT IN ('REJECTED', 'CANCELLED') LIMIT 1
) AS earlier
"""
CLAIM = """
UPDATE intakes SET owner = $2, lease_until = NOW + $3 WHERE position = ANY (ARRAY(
    SELECT position FROM intakes WHERE CLAIMABLE ORDER BY QUEUE_ORDER LIMIT $4 FOR UPDATE SKIP LOCKED
)) RETURNING position, COLUMNS
"""
CLAIM_IN_STATE = CLAIM.replace("CLAIMABLE", "CLAIMABLE AND state = $5")
CHANGEABLE = "SELECT NOW, COLUMNS FROM intakes WHERE id = $1 FOR UPDATE"
BY_IDS = "SELECT COLUMNS FROM intakes WHERE id = ANY($1)"
BY_ORDER = "SELECT COLUMNS FROM intakes WHERE target = $1 AND order_id = ANY($2) AND order_id IS NOT NULL"
TRIM = "DELETE FROM intakes WHERE received < NOW - $1 AND state NOT IN ('RECEIVED', 'POSTING')"


class PostgresIntakes:
    """The store over one database, for one event loop."""

    def __init__(self, settings: PostgresSettings, *, clock: Callable[[], float] | None = None) -> None:
        self._clock = clock
        self._database = PostgresDatabase(settings, "intake", (TABLE, *rows.MIGRATIONS))
        self._submissions: BatchQueue[tuple[OrderIntake, float], Submitted] = BatchQueue(self._insert, 256)
        self._queue = ClaimWakeUps()
        self._changes = WakeUp()
        self._listener: asyncio.Task[None] | None = None
        self._statements: dict[str, str] = {}

    async def submit(self, intake: OrderIntake, *, guard_po: float) -> Submitted:
        (submitted,) = await self._submissions.add([(intake, guard_po)])
        if submitted.intake.digest != intake.digest:
            raise KeyReused
        self._notify_waiters()
        return submitted

    async def by_id(self, ids: Sequence[str]) -> Mapping[str, OrderIntake]:
        found = await self._fetch(BY_IDS, list(dict.fromkeys(ids)))
        return {one.id: one for one in map(rows.record, found)}

    async def by_key(self, keys: Sequence[IntakeKey]) -> Mapping[IntakeKey, OrderIntake]:
        found = await self._fetch(KNOWN, *_columns(keys)) if keys else []
        return {_key(one): one for one in map(rows.record, found)}

    async def by_order(self, target: str, order_ids: Sequence[str]) -> Mapping[str, OrderIntake]:
        found = await self._fetch(BY_ORDER, target, list(order_ids))
        return {one.order_id: one for one in map(rows.record, found) if one.order_id is not None}

    async def page(self, query: IntakeFilter, first: int, before: int | None = None) -> IntakePage:
        where, values = rows.conditions(query, before, "{0} = ANY(?)")
        text = f"SELECT position, COLUMNS FROM intakes WHERE {where} ORDER BY position DESC LIMIT {first + 1:d}"  # noqa: S608
        found = await self._fetch(text, *values)
        return IntakePage([(row[0], rows.record(row[1:])) for row in map(tuple, found[:first])], len(found) > first)

    async def count(self, query: IntakeFilter) -> int:
        where, values = rows.conditions(query, None, "{0} = ANY(?)")
        ((found,),) = map(tuple, await self._fetch(f"SELECT count(*) FROM intakes WHERE {where}", *values))  # noqa: S608
        return int(found)

    async def claim(
        self, target: str, owner: str, limit: int, lease: float, state: IntakeState | None = None
    ) -> Sequence[OrderIntake]:
        with self._queue.of(target, state).claiming() as claim:
            values = target, owner, lease, limit
            if state is None:
                found = await self._fetch(CLAIM, *values)
            else:
                found = await self._fetch(CLAIM_IN_STATE, *values, state.value)
            claim.exhausted = len(found) < limit
        return [rows.record(row[1:]) for row in sorted(map(tuple, found))]

    async def begin_attempt(self, claimed: OrderIntake, lease: float, retry_in: float) -> OrderIntake | None:
        found = await self._fetch(rows.BEGIN_ATTEMPT, claimed.id, claimed.owner, lease, retry_in)
        return rows.record(found[0]) if found else None

    async def complete(self, claimed: OrderIntake, changed: OrderIntake, *, delay: float | None = None) -> bool:
        now = (self._clock or time.time)()
        if pending_spending(changed) is None:
            after = rows.next_version(claimed, changed, now)
            found = await self._fetch(rows.UPDATE, *rows.update_values(after, claimed.owner, delay))
        else:
            async with self._database.connection() as connection, connection.transaction():
                await connection.fetchrow(self._sql(CHANGEABLE), claimed.id)  # First, as `change` does.
                after = rows.next_version(claimed, await self._within_limits(connection, changed), now)
                values = rows.update_values(after, claimed.owner, delay)
                found = await connection.fetch(self._sql(rows.UPDATE), *values)
        self._notify_waiters()  # The next order of the customer is free.
        return bool(found)

    async def change(self, id: str, version: int | None, change: Change) -> OrderIntake | None:
        async with self._database.connection() as connection, connection.transaction():
            row = await connection.fetchrow(self._sql(CHANGEABLE), id)
            if row is None:
                return None
            before = rows.record(tuple(row)[1:])
            after, delay = rows.changed(before, change, version, row[0], row[0])
            after, delay = rows.settled(before, await self._within_limits(connection, after), row[0])
            values = rows.update_values(after, before.owner, delay)
            found = await connection.fetchrow(self._sql(rows.UPDATE), *values)
            await self._notify(connection)
        self._notify_waiters()
        return rows.record(found)

    async def begin_order_change(self, given: OrderChange, retry_in: float) -> tuple[OrderChange, bool]:
        key, content = rows.order_change_key(given), rows.encode_order_change(given)
        inserted = await self._fetch(rows.INSERT_ORDER_CHANGE, *key, given.digest, content)
        if not inserted:
            inserted = await self._fetch(rows.RESUME_ORDER_CHANGE, *key, given.digest, retry_in)
        found = inserted or await self._fetch(rows.KNOWN_ORDER_CHANGE, *key)
        return rows.decode_order_change(found[0][0]), bool(inserted)

    async def finish_order_change(self, finished: OrderChange) -> None:
        key, content = rows.order_change_key(finished), rows.encode_order_change(finished)
        await self._fetch(rows.FINISH_ORDER_CHANGE, *key, finished.state.value, content)

    async def unpublished(self, limit: int = 500) -> Sequence[OrderIntake]:
        with self._changes.claiming() as claim:
            found = await self._fetch(rows.UNPUBLISHED, limit)
            claim.exhausted = len(found) < limit
        return [rows.record(row) for row in found]

    async def wait_changes(self, seconds: float) -> None:
        await self._changes.wait(seconds)

    async def mark_published(self, versions: Mapping[str, int]) -> None:
        async with self._database.connection() as connection:
            await connection.executemany(rows.MARK_PUBLISHED, sorted(versions.items()))

    async def depths(self, query: IntakeFilter | None = None) -> Sequence[QueueDepth]:
        where, values = rows.conditions(query or IntakeFilter(), None, "{0} = ANY(?)")
        return [
            QueueDepth(target=target, state=IntakeState(state), count=count, oldest=oldest)
            for target, state, count, oldest in await self._fetch(rows.DEPTHS.replace("MATCHING", where), *values)
        ]

    async def begin_reconciliation(self, tenant: str, lease: float) -> bool:
        return bool(await self._fetch(rows.BEGIN_RECONCILIATION, tenant, lease))

    async def finish_reconciliation(self, tenant: str, result: ReconciliationResult) -> None:
        await self._fetch(rows.FINISH_RECONCILIATION, tenant, rows.encode_reconciliation(result))

    async def reconciliation(self, tenant: str) -> ReconciliationStatus:
        found = await self._fetch(rows.RECONCILIATION, tenant)
        return rows.reconciliation_status(tuple(found[0]) if found else None)

    async def wait_queue(self, seconds: float, target: str, state: IntakeState | None = None) -> None:
        if self._listener is None or self._listener.done():
            self._listener = asyncio.create_task(self._listen())
        await self._queue.of(target, state).wait(seconds)

    async def trim(self, age: float) -> int:
        async with self._database.connection() as connection:
            status = await connection.execute(self._sql(TRIM), age)
            await connection.execute(self._sql(rows.TRIM_ORDER_CHANGES), age)
        return int(status.split()[-1])

    async def close(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)
        await self._database.close()

    # Statements

    def _sql(self, text: str) -> str:
        if self._clock is not None:  # A test's clock: another text each time.
            return rows.statement(text, f"{self._clock()!r}::float8")
        found = self._statements.get(text)
        if found is None:
            found = self._statements[text] = rows.statement(text, CLOCK)
        return found

    async def _fetch(self, text: str, *values: Any) -> Sequence[Any]:
        async with self._database.connection() as connection:
            return await connection.fetch(self._sql(text), *values)

    async def _insert(self, items: Sequence[tuple[OrderIntake, float]]) -> Sequence[Submitted]:
        """Insert what is new in one transaction. Locks on keys and purchase order numbers, taken in one order, make
        gateways that submit the same ones wait for each other."""
        async with self._database.connection() as connection, connection.transaction():
            await connection.execute(LOCK, sorted({lock for intake, _ in items for lock in _locks(intake)}))
            found = await connection.fetch(self._sql(KNOWN), *_columns([_key(intake) for intake, _ in items]))
            known = {_key(one): one for one in map(rows.record, found)}
            used = await self._used_numbers(connection, items)
            created: list[OrderIntake] = []
            any_created = False
            submitted: list[Submitted] = []
            for intake, _ in items:
                stored = known.get(_key(intake))
                if stored is None:
                    stored = _guarded(intake, used)
                    if pending_spending(stored) is not None:  # The sums are to have those before it.
                        await self._insert_rows(connection, created)
                        stored, created = await self._within_limits(connection, stored), []
                    known[_key(intake)] = stored
                    created.append(stored)
                    any_created = True
                    submitted.append(Submitted(stored, created=True))
                else:
                    submitted.append(Submitted(stored, created=False))
            await self._insert_rows(connection, created)
            if any_created:
                await self._notify(connection)
        return submitted

    async def _insert_rows(self, connection: Connection, created: Sequence[OrderIntake]) -> None:
        if created:
            await connection.executemany(self._sql(rows.INSERT), list(map(rows.insert_values, created)))

    async def _within_limits(self, connection: Connection, intake: OrderIntake) -> OrderIntake:
        """The intake, compared with the limits of periods that are pending; other orders of its submitter that are
        compared wait for the end of the transaction."""
        spending = pending_spending(intake)
        if spending is None:
            return intake
        await connection.execute(LOCK, [_spender_lock(intake)])
        row = await connection.fetchrow(rows.SPENT, *rows.spent_values(intake, spending))
        return with_spending(intake, rows.spent_by_rule(spending, tuple(row)))

    async def _used_numbers(
        self, connection: Connection, items: Sequence[tuple[OrderIntake, float]]
    ) -> set[tuple[str, str, str]]:
        """The purchase order numbers among those of these intakes that their customers have used."""
        guarded = [(*_po(one), one.received - guard) for one, guard in items if not one.content.allow_duplicate_po]
        if not guarded:
            return set()
        return {(row[0], row[1], row[2]) for row in await connection.fetch(USED_NUMBERS, *_columns(guarded))}

    # Notifications

    def _notify_waiters(self) -> None:
        self._queue.notify()
        self._changes.notify()

    @staticmethod
    async def _notify(connection: Connection) -> None:
        await connection.execute("SELECT pg_notify($1, '')", CHANNEL)

    async def _listen(self) -> None:
        """Wake the workers of this gateway by the insertions of all."""
        while True:
            try:
                await self._listen_once()
            except StoreUnavailable as error:
                log.warning("queue_notifications_lost", detail=error.detail)
            await asyncio.sleep(LISTEN_RETRY)

    async def _listen_once(self) -> None:
        lost = asyncio.Event()
        async with self._database.session() as connection:
            connection.add_termination_listener(lambda *_: lost.set())
            await connection.add_listener(CHANNEL, lambda *_: self._notify_waiters())
            self._notify_waiters()
            await lost.wait()


def _key(intake: OrderIntake) -> IntakeKey:
    return IntakeKey(intake.tenant, intake.client, intake.mutation, intake.key)


def _guarded(intake: OrderIntake, used: set[tuple[str, str, str]]) -> OrderIntake:
    """The intake, held where its purchase order number is used; then its number is used as well."""
    number = _po(intake)
    held = number in used and not intake.content.allow_duplicate_po
    if intake.state is not IntakeState.REJECTED:
        used.add(number)
    return held_as_duplicate(intake) if held else intake


def _po(intake: OrderIntake) -> tuple[str, str, str]:
    return intake.tenant, intake.customer, po_key(intake.customer_po)


def _columns(values: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*values, strict=True)]


def _locks(intake: OrderIntake) -> tuple[int, ...]:
    locks = _lock("key", *_key(intake)), _lock("po", *_po(intake))
    return locks if pending_spending(intake) is None else (*locks, _spender_lock(intake))


def _spender_lock(intake: OrderIntake) -> int:
    return _lock("spender", intake.tenant, intake.submitted_by)


def _lock(*parts: str) -> int:
    digest = blake2b("\0".join(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
