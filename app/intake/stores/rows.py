"""The table of intakes: its columns, and the statements that both databases share.

Parameters are `$1`, `$2`, ...; NOW stands for the store's clock, COLUMNS for the columns of a record.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from app.errors import IntakeBusy, VersionConflict
from app.intake.reconciliation import ReconciliationResult, ReconciliationStatus
from app.intake.records import (
    OPEN_STATES,
    QUEUED,
    IntakeContent,
    IntakeFilter,
    IntakeState,
    OrderChange,
    OrderIntake,
    po_key,
)
from app.intake.spending import UNITS, SpendingCheck, units_of
from app.intake.store import Change

NAMES = tuple(field.name for field in msgspec.structs.fields(OrderIntake))
COLUMNS = ", ".join(NAMES)
PARAMETERS = ", ".join(f"${number + 1}" for number in range(len(NAMES) + 4))

INDEXES = """
CREATE UNIQUE INDEX IF NOT EXISTS intakes_id ON intakes (id);
CREATE UNIQUE INDEX IF NOT EXISTS intakes_key ON intakes (tenant, client, mutation, key);
CREATE INDEX IF NOT EXISTS intakes_po ON intakes (tenant, customer, po_key);
CREATE INDEX IF NOT EXISTS intakes_customer ON intakes (tenant, customer, position);
CREATE INDEX IF NOT EXISTS intakes_queue ON intakes (target, position) WHERE state IN ('RECEIVED', 'POSTING');
CREATE INDEX IF NOT EXISTS intakes_queue_customer ON intakes (tenant, customer, position)
    WHERE state IN ('RECEIVED', 'POSTING');
CREATE INDEX IF NOT EXISTS intakes_open ON intakes (state, target, since)
    WHERE state IN ('RECEIVED', 'POSTING', 'HELD', 'FAILED');
CREATE INDEX IF NOT EXISTS intakes_unpublished ON intakes (position) WHERE version > published;
"""

ORDER_INDEX = "CREATE INDEX IF NOT EXISTS intakes_order ON intakes (target, order_id) WHERE order_id IS NOT NULL;"
APPROVALS = """
ALTER TABLE intakes ADD COLUMN awaited_tier text;
CREATE INDEX IF NOT EXISTS intakes_awaited ON intakes (awaited_tier, tenant, position) WHERE awaited_tier IS NOT NULL;
DROP INDEX IF EXISTS intakes_open;
CREATE INDEX IF NOT EXISTS intakes_undone ON intakes (state, target, since)
    WHERE state IN ('RECEIVED', 'POSTING', 'NEEDS_APPROVAL', 'HELD', 'FAILED');
"""
ORDER_CHANGES = """
CREATE TABLE IF NOT EXISTS order_changes (
    tenant text NOT NULL, client text NOT NULL, mutation text NOT NULL, key text NOT NULL, digest text NOT NULL,
    state text NOT NULL, sent_at double precision NOT NULL, content text NOT NULL,
    PRIMARY KEY (tenant, client, mutation, key)
);
CREATE INDEX IF NOT EXISTS order_changes_sent ON order_changes (sent_at);
"""
RECONCILIATIONS = """
CREATE TABLE IF NOT EXISTS reconciliations (tenant text PRIMARY KEY, running_until double precision, content text);
"""
# Of an expression that no other index has: PostgreSQL would walk the primary key, through all that was posted.
QUEUE_ORDER = "position + 0"
QUEUE_BY_STATE = f"""
CREATE INDEX IF NOT EXISTS intakes_claimable ON intakes (target, state, ({QUEUE_ORDER}))
    WHERE state IN ('RECEIVED', 'POSTING');
DROP INDEX IF EXISTS intakes_queue;
"""
SPENDING = """
ALTER TABLE intakes ADD COLUMN spend bigint;
ALTER TABLE intakes ADD COLUMN spend_currency text;
CREATE INDEX IF NOT EXISTS intakes_spend ON intakes (tenant, submitted_by, spend_currency, received)
    WHERE spend IS NOT NULL;
"""
MIGRATIONS = (ORDER_INDEX, APPROVALS, ORDER_CHANGES, RECONCILIATIONS, QUEUE_BY_STATE, SPENDING)
"""What brings the table to the newest version, beginning with the first of a database."""

CLAIMABLE = """target = $1 AND state IN ('RECEIVED', 'POSTING') AND due_at <= NOW
    AND (lease_until IS NULL OR lease_until <= NOW) AND NOT EXISTS (
        SELECT 1 FROM intakes AS earlier WHERE earlier.state IN ('RECEIVED', 'POSTING')
        AND earlier.tenant = intakes.tenant AND earlier.customer = intakes.customer
        AND earlier.position < intakes.position
    )"""
INSERT = "INSERT INTO intakes (COLUMNS, po_key, awaited_tier, spend, spend_currency) VALUES (PARAMETERS)"
BEGIN_ATTEMPT = """
UPDATE intakes SET attempts = attempts + 1, sent_at = NOW, lease_until = NOW + $3, due_at = NOW + $4
WHERE id = $1 AND owner = $2 AND lease_until > NOW RETURNING COLUMNS
"""
UPDATE = """
UPDATE intakes SET version = $3, state = $4, since = $5, target = $6, attempts = $7, sent_at = $8,
    due_at = coalesce(NOW + CAST($9 AS double precision), due_at),
    owner = NULL, lease_until = NULL, order_id = $10, order_number = $11, cause = $12, content = $13,
    awaited_tier = $14, spend = $15, spend_currency = $16
WHERE id = $1 AND coalesce(owner, '') = $2 RETURNING COLUMNS
"""
BY_ID = "SELECT COLUMNS FROM intakes WHERE id = $1"
BY_KEY = "SELECT COLUMNS FROM intakes WHERE tenant = $1 AND client = $2 AND mutation = $3 AND key = $4"
PO_USED = """
SELECT 1 FROM intakes WHERE tenant = $1 AND customer = $2 AND po_key = $3 AND received > $4
AND state NOT IN ('REJECTED', 'CANCELLED') LIMIT 1
"""
SPENT = """
SELECT coalesce(sum(CASE WHEN received >= $5 AND received < $6 THEN spend END), 0),
    coalesce(sum(CASE WHEN received >= $7 AND received < $8 THEN spend END), 0)
FROM intakes WHERE tenant = $1 AND submitted_by = $2 AND spend_currency = $3 AND spend IS NOT NULL AND id <> $4
AND received >= $7 AND received < $8 AND state NOT IN ('REJECTED', 'CANCELLED')
"""
"""What a submitter has ordered in a period, and in another one that covers it."""
UNPUBLISHED = "SELECT COLUMNS FROM intakes WHERE version > published ORDER BY position LIMIT $1"
MARK_PUBLISHED = "UPDATE intakes SET published = $2 WHERE id = $1 AND published < $2"
INSERT_ORDER_CHANGE = """
INSERT INTO order_changes (tenant, client, mutation, key, digest, state, sent_at, content)
VALUES ($1, $2, $3, $4, $5, 'SENT', NOW, $6) ON CONFLICT (tenant, client, mutation, key) DO NOTHING RETURNING content
"""
RESUME_ORDER_CHANGE = """
UPDATE order_changes SET state = 'SENT', sent_at = NOW
WHERE tenant = $1 AND client = $2 AND mutation = $3 AND key = $4 AND digest = $5
AND (state = 'UNSENT' OR (state = 'SENT' AND sent_at + CAST($6 AS double precision) <= NOW)) RETURNING content
"""
KNOWN_ORDER_CHANGE = (
    "SELECT content FROM order_changes WHERE tenant = $1 AND client = $2 AND mutation = $3 AND key = $4"
)
FINISH_ORDER_CHANGE = """
UPDATE order_changes SET state = $5, content = $6 WHERE tenant = $1 AND client = $2 AND mutation = $3 AND key = $4
"""
TRIM_ORDER_CHANGES = "DELETE FROM order_changes WHERE sent_at < NOW - $1"
BEGIN_RECONCILIATION = """
INSERT INTO reconciliations (tenant, running_until) VALUES ($1, NOW + CAST($2 AS double precision))
ON CONFLICT (tenant) DO UPDATE SET running_until = excluded.running_until
WHERE reconciliations.running_until IS NULL OR reconciliations.running_until <= NOW RETURNING tenant
"""
FINISH_RECONCILIATION = """
INSERT INTO reconciliations (tenant, content) VALUES ($1, $2)
ON CONFLICT (tenant) DO UPDATE SET running_until = NULL, content = excluded.content
"""
RECONCILIATION = "SELECT coalesce(running_until > NOW, FALSE), content FROM reconciliations WHERE tenant = $1"
IS_OPEN = "state IN ('RECEIVED', 'POSTING', 'NEEDS_APPROVAL', 'HELD', 'FAILED')"
"""The condition of the index `intakes_undone`, word by word: otherwise SQLite does not use it."""
DEPTHS = f"""
SELECT target, state, count(*), min(since) FROM intakes WHERE {IS_OPEN} AND MATCHING
GROUP BY state, target ORDER BY target, state
"""  # noqa: S608 - of constants

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(IntakeContent).decode
decode_order_change = msgspec.json.Decoder(OrderChange).decode
_decode_reconciliation = msgspec.json.Decoder(ReconciliationResult).decode


def statement(text: str, now: str) -> str:
    """The text with its placeholders filled in."""
    parts = {
        "PARAMETERS": PARAMETERS,
        "COLUMNS": COLUMNS,
        "CLAIMABLE": CLAIMABLE,
        "QUEUE_ORDER": QUEUE_ORDER,
        "NOW": now,
    }
    for name, part in parts.items():
        text = text.replace(name, part)
    return text


def record(row: Sequence[Any]) -> OrderIntake:
    """The record of a row of COLUMNS."""
    values = dict(zip(NAMES, row, strict=True))
    return OrderIntake(**{**values, "state": IntakeState(values["state"]), "content": _decode(values["content"])})


def insert_values(intake: OrderIntake) -> tuple[Any, ...]:
    """The values of COLUMNS, then those of `po_key`, `awaited_tier`, `spend` and `spend_currency`."""
    values = [getattr(intake, name) for name in NAMES[:-1]]
    values[NAMES.index("state")] = intake.state.value
    return (*values, _encode(intake.content).decode(), po_key(intake.customer_po), intake.awaited_tier, *_spend(intake))


def _spend(intake: OrderIntake) -> tuple[int | None, str | None]:
    amount = None if intake.content.approval is None else intake.content.approval.amount
    return units_of(amount), None if amount is None else amount.currency


def spent_values(intake: OrderIntake, spending: SpendingCheck) -> tuple[Any, ...]:
    """The values of SPENT: the shortest and the longest period of a check that is pending."""
    first, last = spending.limits[0], spending.limits[-1]
    currency = _spend(intake)[1]
    periods = first.since, first.until, last.since, last.until
    return intake.tenant, intake.submitted_by, currency, intake.id, *periods


def spent_by_rule(spending: SpendingCheck, row: Sequence[Any]) -> dict[str, Decimal]:
    """The sums of a row of SPENT, by the rules of a check."""
    sums = {spending.limits[0].rule: row[0], spending.limits[-1].rule: row[-1]}
    return {rule: Decimal(units) / UNITS for rule, units in sums.items()}


def order_change_key(one: OrderChange) -> tuple[str, str, str, str]:
    """The values of its key: tenant, client, mutation, key."""
    return one.tenant, one.client, one.mutation, one.key


def encode_order_change(one: OrderChange) -> str:
    """The content of the row of a change."""
    return _encode(one).decode()


def encode_reconciliation(result: ReconciliationResult) -> str:
    """The content of the row of a tenant's reconciliation."""
    return _encode(result).decode()


def reconciliation_status(row: Sequence[Any] | None) -> ReconciliationStatus:
    """The status of the row of a tenant; None if it has none yet."""
    if row is None:
        return ReconciliationStatus()
    running, content = row
    last = None if content is None else _decode_reconciliation(content)
    return ReconciliationStatus(running=bool(running), last=last)


def update_values(intake: OrderIntake, owner: str | None, delay: float | None) -> tuple[Any, ...]:
    """The values of UPDATE: the intake is due in `delay` seconds, or as before."""
    return (
        intake.id, owner or "", intake.version, intake.state.value, intake.since, intake.target, intake.attempts,
        intake.sent_at, delay, intake.order_id, intake.order_number, intake.cause,
        _encode(intake.content).decode(), intake.awaited_tier, *_spend(intake),
    )  # fmt: skip


def next_version(before: OrderIntake, after: OrderIntake, now: float) -> OrderIntake:
    """`after` with the next version if a reader can see the difference, and the time if the state has changed."""
    visible = ("state", "order_number", "content", "target")
    if all(getattr(before, name) == getattr(after, name) for name in visible):
        return after
    since = after.since if before.state is after.state else now
    return msgspec.structs.replace(after, version=before.version + 1, since=since)


def is_queued(intake: OrderIntake) -> bool:
    """Whether the engine has to work on it."""
    return intake.state in QUEUED


def changed(
    before: OrderIntake, change: Change, version: int | None, now: float, lease_time: float
) -> tuple[OrderIntake, float | None]:
    """The intake after a change, and in how many seconds it is due, if it is queued by the change. Raises
    VersionConflict for another version, and IntakeBusy while the intake is claimed."""
    if version is not None and before.version != version:
        raise VersionConflict
    if before.lease_until is not None and before.lease_until > lease_time:
        raise IntakeBusy
    return settled(before, change(before, now), now)


def settled(before: OrderIntake, after: OrderIntake, now: float) -> tuple[OrderIntake, float | None]:
    """A changed intake with its version, and in how many seconds it is due, if it is queued by the change."""
    after = next_version(before, after, now)
    return after, 0.0 if is_queued(after) and after.state is not before.state else None


def _add_state_tests(query: IntakeFilter, tests: list[str], add: Callable[[str, Any], None]) -> None:
    """Add to the test of the states, which is the last, what else matches."""
    if reads_open(query):
        tests.append(IS_OPEN)
    if query.posted_since is not None:
        add(f"({tests.pop()} OR (state = 'POSTED' AND since >= ?))", query.posted_since)


def reads_open(query: IntakeFilter) -> bool:
    """Whether only open intakes match, of customers that are not named."""
    is_open = query.states is not None and query.states <= OPEN_STATES
    return is_open and query.customers is None and query.posted_since is None


def conditions(query: IntakeFilter, before: int | None, within: str) -> tuple[str, list[Any]]:
    """The WHERE clause of a page and its parameters. `within` tests a column against a list parameter, with `{0}` for
    the column and `{1}` for the parameter."""
    tests: list[str] = ["TRUE"]
    values: list[Any] = []

    def add(test: str, value: Any) -> None:
        values.append(value)
        tests.append(test.replace("?", f"${len(values)}"))

    po = None if query.customer_po is None else po_key(query.customer_po)
    for column, value in (("tenant", query.tenant), ("target", query.target), ("po_key", po)):
        if value is not None:
            add(f"{column} = ?", value)
    if query.customers is not None:
        add(within.format("customer"), sorted(query.customers))
    if query.states is not None:
        add(within.format("state"), sorted(query.states))
        _add_state_tests(query, tests, add)
    if query.tiers is not None:
        add(within.format("awaited_tier"), sorted(query.tiers))
    if query.not_submitted_by is not None:
        add("submitted_by <> ?", query.not_submitted_by)
    if query.queued_before is not None:
        queued = "state IN ('RECEIVED', 'POSTING') AND since < ?"
        add(f"{IS_OPEN} AND (state IN ('HELD', 'FAILED') OR ({queued}))", query.queued_before)
    if before is not None:
        add("position < ?", before)
    return " AND ".join(tests), values
