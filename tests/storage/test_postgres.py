"""The pool of PostgreSQL connections: migrations, errors, restarts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg
import pytest
from pydantic import SecretStr

from app.errors import ConfigurationError, StoreUnavailable
from app.settings import PostgresSettings
from app.storage.postgres import PostgresDatabase
from tests.support.postgres import Postgres

TABLE = "CREATE TABLE part (number text PRIMARY KEY)"
COLUMN = "ALTER TABLE part ADD quantity integer NOT NULL DEFAULT 7"


def settings(
    url: str, *, connections: int = 8, timeout: float = 5.0, command_timeout: float = 10.0
) -> PostgresSettings:
    return PostgresSettings(
        url=SecretStr(url), connections=connections, timeout=timeout, command_timeout=command_timeout
    )


@asynccontextmanager
async def opened(
    url: str, migrations: Sequence[str] = (TABLE,), name: str = "parts"
) -> AsyncIterator[PostgresDatabase]:
    database = PostgresDatabase(settings(url), name, migrations)
    try:
        yield database
    finally:
        await database.close()


async def test_an_older_schema_is_migrated_with_its_rows(postgres_url: str):
    async with opened(postgres_url) as old, old.connection() as connection:
        await connection.execute("INSERT INTO part VALUES ('A')")
    async with opened(postgres_url, (TABLE, COLUMN)) as new, new.connection() as connection:
        assert tuple(await connection.fetchrow("SELECT * FROM part")) == ("A", 7)


async def test_a_newer_schema_is_refused(postgres_url: str):
    async with opened(postgres_url, (TABLE, COLUMN)) as new, new.connection():
        pass
    async with opened(postgres_url) as old:
        with pytest.raises(StoreUnavailable) as refused:
            async with old.connection():
                pass
    assert refused.value.detail == "postgres: parts has schema version 2, and this release knows 1"


async def test_a_migration_that_fails_leaves_nothing(postgres_url: str):
    async with opened(postgres_url, (TABLE, "CREATE TABLE part ()")) as broken:
        with pytest.raises(StoreUnavailable, match="unavailable"):
            async with broken.connection():
                pass
    async with opened(postgres_url) as repaired, repaired.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM part") == 0


async def test_pools_that_open_together_migrate_once(postgres_url: str):
    async def count(name: str) -> int:
        migration = f"CREATE TABLE {name} (x int); INSERT INTO {name} VALUES (1)"
        async with opened(postgres_url, (migration,), name) as one, one.connection() as connection:
            return await connection.fetchval(f"SELECT count(*) FROM {name}")

    assert await asyncio.gather(*(count(name) for name in ("a", "a", "a", "b", "b", "b"))) == [1] * 6


async def test_an_error_of_a_statement_rolls_back_and_is_caught_inside_the_block(postgres_url: str):
    async with opened(postgres_url) as database:
        async with database.connection() as connection:
            await connection.execute("INSERT INTO part VALUES ('A')")
            with pytest.raises(asyncpg.UniqueViolationError):
                await connection.executemany("INSERT INTO part VALUES ($1)", [("B",), ("A",)])
        async with database.connection() as connection:
            assert [row["number"] for row in await connection.fetch("SELECT number FROM part")] == ["A"]


async def test_locks_of_a_session_end_with_its_block(postgres_url: str):
    async with opened(postgres_url) as database, opened(postgres_url) as other:
        async with database.session() as connection:
            await connection.execute("SELECT pg_advisory_lock(7)")
            async with other.connection() as second:
                assert await second.fetchval("SELECT pg_try_advisory_lock(7)") is False
        async with other.session() as second:
            assert await second.fetchval("SELECT pg_try_advisory_lock(7)") is True


async def test_a_block_costs_no_call_beyond_its_statements(postgres_url: str):
    statement = "SELECT calls FROM (SELECT count(*) AS calls FROM part) AS counted"
    async with opened(postgres_url) as database:
        async with database.connection() as connection:
            await connection.fetchval(statement)
        async with database.connection() as connection:
            activity = "SELECT query FROM pg_stat_activity WHERE pid = $1"
            pid = connection.get_server_pid()
            async with opened(postgres_url) as other, other.connection() as second:
                assert await second.fetchval(activity, pid) == statement


async def test_a_pool_without_a_free_connection_is_unavailable(postgres_url: str):
    database = PostgresDatabase(settings(postgres_url, connections=1), "parts", (TABLE,))
    try:
        async with database.connection():
            database._settings = settings(postgres_url, timeout=0.01)
            with pytest.raises(StoreUnavailable) as refused:
                async with database.connection():
                    pass
        assert refused.value.detail == "postgres: TimeoutError: "
    finally:
        await database.close()


async def test_a_killed_server_is_unavailable_and_used_again_after_its_restart():
    server = Postgres()
    try:
        server.start()
        async with opened(server.url) as database:
            async with database.connection() as connection:
                await connection.execute("INSERT INTO part VALUES ('A')")
            server.kill()
            with pytest.raises(StoreUnavailable):
                async with database.connection() as connection:
                    await connection.fetchval("SELECT 1")
            server.start()
            async with database.connection() as connection:
                assert await connection.fetchval("SELECT number FROM part") == "A"
    finally:
        server.stop()


async def test_a_hanging_server_is_unavailable_after_the_limit_of_a_statement():
    server = Postgres()
    try:
        server.start()
        database = PostgresDatabase(settings(server.url, command_timeout=0.1), "parts", ())
        async with database.connection() as connection:
            assert await connection.fetchval("SELECT 1") == 1
        with server.hanging(), pytest.raises(StoreUnavailable):
            async with database.connection() as connection:
                await connection.fetchval("SELECT 1")
        await database.close()
    finally:
        server.stop()


@pytest.mark.parametrize("url", ["mysql://root:s3cret@host/db", "postgresql://root:s3cret@host:port/db"])
async def test_a_wrong_address_is_a_configuration_error_without_its_password(url: str):
    with pytest.raises(ConfigurationError) as refused:
        async with PostgresDatabase(settings(url), "parts", ()).connection():
            pass
    assert refused.value.message.startswith("postgres.url = '(hidden)': is not the address of a PostgreSQL")
    assert "s3cret" not in repr(refused.value)


async def test_a_missing_address_says_what_to_write():
    with pytest.raises(ConfigurationError, match=r"postgres\.url = None: is required where PostgreSQL is used"):
        PostgresDatabase(PostgresSettings(), "parts", ())
