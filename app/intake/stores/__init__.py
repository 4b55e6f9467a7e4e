"""Stores of intakes: SQLite in the data folder by default, PostgreSQL where several machines share the work."""

from __future__ import annotations

from collections.abc import Callable

from app.intake.store import IntakeStore
from app.settings import Settings


def connect_intakes(settings: Settings, *, clock: Callable[[], float] | None = None) -> IntakeStore:
    """The configured store, by a clock in seconds since 1970 or that of its machine. Nothing is opened before its first
    use."""
    if settings.intake.store == "postgres":
        from app.intake.stores.postgres_intakes import PostgresIntakes

        return PostgresIntakes(settings.postgres, clock=clock)
    from app.intake.stores.sqlite_intakes import SQLiteIntakes

    return SQLiteIntakes(settings.data_dir / "intake.sqlite", clock=clock)
