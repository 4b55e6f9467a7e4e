"""The statements of the queue read what they return: of a long queue, and beside many posted orders."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr

from app.intake.records import IntakeFilter, IntakeState
from app.intake.stores import postgres_intakes, rows, sqlite_intakes
from app.intake.stores.postgres_intakes import PostgresIntakes
from app.intake.stores.sqlite_intakes import SQLiteIntakes
from app.settings import PostgresSettings
from tests.support.intakes import intake

ORDERS = 2000
LIMIT = 16
FILL = """
INSERT INTO intakes (id, tenant, client, mutation, key, digest, version, state, channel, received, since, submitted_by,
    customer, customer_po, target, attempts, due_at, content, po_key)
SELECT n::text, 'default', 'portal', 'submitOrder', n::text, '', 1, 'POSTING', 'API', 0, 0, 'anna',
    'C-' || n % 100, 'PO-' || n, 'erp', 0, 0, '{}', 'po-' || n
FROM generate_series(1, $1::integer) AS n
"""
PLANS = ("force_custom_plan", "force_generic_plan")


async def test_statements_of_sqlite_read_no_more_than_they_need(tmp_path: Path):
    """SQLite steps through as many rows for a long queue, and for many posted orders, as for none."""
    store = SQLiteIntakes(tmp_path / "intake.sqlite")
    orders = [intake(customer=f"C-{number}") for number in range(400)]
    posted = [intake(state=IntakeState.POSTED, customer="C-9") for _ in range(400)]
    await asyncio.gather(*(store.submit(one, guard_po=0) for one in (*orders, *posted)))
    await store.close()
    now, ids = time.time() + 60, json.dumps([one.id for one in orders[:2]])
    find, claim = sqlite_intakes.CLAIM_IN_STATE
    statements: list[tuple[str, dict[str, Any]]] = [
        (find, {"1": "erp", "2": 2, "98": "POSTING", "99": now}),
        (find, {"1": "erp", "2": 2, "98": "RECEIVED", "99": now}),
        (claim, {"1": "erp", "2": "w", "3": 1.0, "4": ids, "98": "POSTING", "99": now}),
        (sqlite_intakes.NEWEST, {"1": "erp", "2": "POSTING"}),
        (sqlite_intakes.NEWEST, {"1": "erp", "2": "RECEIVED"}),
        (sqlite_intakes.TRIM, {"1": now - 3600}),
    ]
    connection = sqlite3.connect(tmp_path / "intake.sqlite")
    for statement, values in statements:
        steps = 0

        def count() -> int:
            nonlocal steps
            steps += 1
            return 0

        connection.set_progress_handler(count, 100)
        connection.execute(statement, values).fetchall()
        assert steps <= 5, statement
    connection.close()


async def test_intakes_that_do_not_proceed_are_found_without_the_posted_ones(tmp_path: Path):
    """SQLite reads the index of the open intakes, and none of the many posted orders."""
    file = tmp_path / "intake.sqlite"
    store = SQLiteIntakes(file)
    posted = [intake(state=IntakeState.POSTED, customer=f"C-{number % 9}") for number in range(900)]
    await asyncio.gather(*(store.submit(one, guard_po=0) for one in (*posted, intake(state=IntakeState.HELD))))
    await store.close()
    connection = sqlite3.connect(file)
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    connection.set_progress_handler(count, 100)
    query = IntakeFilter(tenant="default", customers=frozenset({"C-1"}), queued_before=time.time())
    assert len(connection.execute(*sqlite_intakes.page_statement(query, 10, None)).fetchall()) == 1
    assert steps <= 5
    connection.close()


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize(("state", "claimed"), [(IntakeState.POSTING, LIMIT), (IntakeState.RECEIVED, 0)])
@pytest.mark.parametrize("posted", [0, ORDERS - 100])
async def test_claims_of_postgres_read_what_they_claim(
    postgres_url: str, plan: str, state: IntakeState, claimed: int, posted: int
):
    """The planner has statistics of a queue that is the whole table; since then most of it may have been posted."""
    store = PostgresIntakes(PostgresSettings(url=SecretStr(postgres_url)))
    await store.by_id(["unknown"])  # It makes the table.
    await store.close()
    connection = await asyncpg.connect(postgres_url)
    try:
        await connection.execute(f"SET plan_cache_mode = {plan}")
        await connection.execute(FILL.replace("$1", str(ORDERS)))
        await connection.execute("ANALYZE intakes")
        await connection.execute(f"UPDATE intakes SET state = 'POSTED' WHERE position <= {posted}")
        claim = rows.statement(postgres_intakes.CLAIM_IN_STATE, postgres_intakes.CLOCK)
        await connection.execute(f"PREPARE claim (text, text, float8, bigint, text) AS {claim}")
        text = await connection.fetchval(
            f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE claim('erp', 'w', 30, {LIMIT}, '{state.value}')"
        )
    finally:
        await connection.close()
    (found,) = json.loads(text)
    assert found["Plan"]["Actual Rows"] == claimed
    for node in _nodes(found["Plan"]):
        read = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        assert read <= 2 * LIMIT, node


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)
