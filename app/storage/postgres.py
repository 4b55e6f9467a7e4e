"""The connections to PostgreSQL: how a database is opened, migrated and used, whatever is in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from app.errors import ConfigurationError, StoreUnavailable
from app.settings import PostgresSettings

__all__ = ["Connection", "PostgresDatabase"]

Connection = PoolConnectionProxy
"""A connection of the pool, autocommitting; `connection.transaction()` begins a transaction."""

ADVISORY_LOCK = 0x7472_6164  # Gateways that start together migrate one after the other.
CREATE_VERSIONS = "CREATE TABLE IF NOT EXISTS schema_versions (name text PRIMARY KEY, version integer NOT NULL)"

CONNECTION_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # The connection was lost while its transport still seemed open.
    OSError,
    TimeoutError,
)


class PostgresDatabase:
    """A pool of connections for one store and its schema. `migrations[n]` is a script that brings the tables of `name`
    from schema version n to n + 1; the table `schema_versions` holds one row a store, so several share a database.

    The pool is opened, and the schema migrated, at first use; after `close` it can be used again. It belongs to one
    event loop. Raises ConfigurationError for an address that is none.
    """

    def __init__(self, settings: PostgresSettings, name: str, migrations: Sequence[str]) -> None:
        if settings.url is None:
            cure = "is required where PostgreSQL is used, such as postgresql://tradegraph@127.0.0.1:5432/tradegraph"
            raise ConfigurationError("postgres.url", None, cure)
        self._url = settings.url.get_secret_value()
        if not self._url.startswith(("postgresql://", "postgres://")):
            raise ConfigurationError(
                "postgres.url", "(hidden)", "is not the address of a PostgreSQL; write postgresql://"
            )
        self._settings = settings
        self._name = name
        self._migrations = migrations
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection for the duration of the block, which must leave no state in its session: see `session`. Raises
        StoreUnavailable for an error of the server or the connection that leaves the block, and where no connection is
        free within `timeout`."""
        try:
            pool = self._pool or await self._open()
            async with pool.acquire(timeout=self._settings.timeout) as connection:
                yield connection
        except CONNECTION_ERRORS as error:
            raise StoreUnavailable(detail=f"postgres: {type(error).__name__}: {error}") from error

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Connection]:
        """As `connection`, for a block that takes locks of the session or listens: these end with the block."""
        async with self.connection() as connection:
            try:
                yield connection
            finally:
                try:
                    await connection.reset()
                except BaseException:
                    connection.terminate()
                    raise

    async def close(self) -> None:
        """Close the connections; those that are still used are closed without waiting for them."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.terminate()

    async def _open(self) -> asyncpg.Pool:
        async with self._opening:
            if self._pool is None:
                pool = await self._connect()
                try:
                    async with pool.acquire() as connection:
                        await self._migrate(connection)
                except BaseException:
                    pool.terminate()
                    raise
                self._pool = pool
            return self._pool

    async def _connect(self) -> asyncpg.Pool:
        try:
            return await asyncpg.create_pool(
                self._url,
                min_size=1,
                max_size=self._settings.connections,
                timeout=self._settings.timeout,
                command_timeout=self._settings.command_timeout,
                server_settings={"application_name": f"tradegraph {self._name}"},
                reset=_keep_session,
            )
        except ValueError:  # Its message quotes the address.
            raise ConfigurationError("postgres.url", "(hidden)", "is not the address of a PostgreSQL") from None

    async def _migrate(self, connection: Connection) -> None:
        known = len(self._migrations)
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", ADVISORY_LOCK)
            await connection.execute(CREATE_VERSIONS)
            version = await connection.fetchval("SELECT version FROM schema_versions WHERE name = $1", self._name) or 0
            if version > known:
                detail = f"postgres: {self._name} has schema version {version}, and this release knows {known}"
                raise StoreUnavailable(detail=detail)
            for script in self._migrations[version:]:
                await connection.execute(script)
            await connection.execute(
                "INSERT INTO schema_versions VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET version = $2",
                self._name,
                known,
            )


async def _keep_session(connection: Connection) -> None:
    """Saves the round trip that a reset of the session costs at the end of each block."""
